"""What is called to write a table into a file, one function for each format."""

from __future__ import annotations

import os
from typing import BinaryIO, TypeAlias

from chartmogul_async import Breakdown, Series, SeriesTable
from chartmogul_async.checks import file_path, instance_of, shown
from chartmogul_async.errors import ArgumentError
from chartmogul_async.files.columns import as_arrow, as_parquet
from chartmogul_async.files.replacing import check_place, replace
from chartmogul_async.files.text import as_csv, as_json_lines

Table: TypeAlias = Series | Breakdown | SeriesTable
Target: TypeAlias = str | os.PathLike[str] | BinaryIO


def write_csv(table: Table, path: Target, *, escape_formulas: bool = True) -> None:
    """Write CSV in UTF-8, with a header: dates as 2025-01-31, amounts in cents, rates in percent, None as nothing.

    Args:
        table: A series, a breakdown or a ``SeriesTable``.
        path: Where: a path, whose file is replaced if it exists, or a file that is open for writing bytes.
        escape_formulas: Whether a text that a spreadsheet would take for a formula, such as a plan with the name
            ``=1+2``, gets an apostrophe before it. It begins with one of ``=``, ``+``, ``-``, ``@``, a tab or a line
            break. Numbers are never changed. False writes the exact text, for programs.

    Raises:
        ArgumentError: It is not such a table; ``escape_formulas`` is not a bool; or the path is in no folder, or is a
            folder or a device.
        OSError: The file cannot be written. One that was there before is there still.
    """
    instance_of("escape_formulas", escape_formulas, bool)
    rows = [row.values() for row in _checked(table).to_dicts()]
    _put(path, as_csv(table.column_names, rows, escape_formulas).encode(errors="backslashreplace"))


def write_json_lines(table: Table, path: Target) -> None:
    """Write JSON lines in UTF-8: an object for each row, with dates as texts, amounts in cents, rates in percent.

    Args:
        table: A series, a breakdown or a ``SeriesTable``.
        path: Where: a path, whose file is replaced if it exists, or a file that is open for writing bytes.

    Raises:
        ArgumentError: It is not such a table; or the path is in no folder, or is a folder or a device.
        OSError: The file cannot be written. One that was there before is there still.
    """
    _put(path, as_json_lines(_checked(table).to_dicts()).encode(errors="backslashreplace"))


def write_parquet(table: Table, path: Target, *, currency: str | None = None) -> None:
    """Write Parquet, compressed by zstd. Needs the extra ``parquet``.

    Types are those of ``to_arrow``: dates, integers of cents, floats of percent, null for what is missing. The metadata
    of each column has its unit and kind, those of the file the metric, the parameters of the query and the currency.

    Args:
        table: A series, a breakdown or a ``SeriesTable``.
        path: Where: a path, whose file is replaced if it exists, or a file that is open for writing bytes.
        currency: What the metadata says about the amounts: ``account.currency``.

    Raises:
        ArgumentError: It is not such a table; or the path is in no folder, or is a folder or a device.
        ImportError: The extra is not installed.
        OSError: The file cannot be written. One that was there before is there still.
    """
    _put(path, as_parquet(_checked(table).to_arrow(currency=currency)))


def write_arrow(table: Table, path: Target, *, currency: str | None = None) -> None:
    """Write Arrow's file format, also called IPC and Feather 2, compressed by zstd. Needs the extra ``parquet``.

    Types and metadata are those of ``write_parquet``.

    Args:
        table: A series, a breakdown or a ``SeriesTable``.
        path: Where: a path, whose file is replaced if it exists, or a file that is open for writing bytes.
        currency: What the metadata says about the amounts: ``account.currency``.

    Raises:
        ArgumentError: It is not such a table; or the path is in no folder, or is a folder or a device.
        ImportError: The extra is not installed.
        OSError: The file cannot be written. One that was there before is there still.
    """
    _put(path, as_arrow(_checked(table).to_arrow(currency=currency)))


def _checked(table: Table) -> Table:
    if not isinstance(table, Table):
        raise ArgumentError(f"table must be a Series, a Breakdown or a SeriesTable, not {shown(table)}")
    return table


def _put(target: Target, content: bytes) -> None:
    if isinstance(target, (str, os.PathLike)):
        path = file_path("path", target)
        check_place("path", path)
        replace(path, content)
    elif hasattr(target, "write"):
        _write(target, content)
    else:
        raise _not_a_target(target)


def _write(file: BinaryIO, content: bytes) -> None:
    while content:
        try:
            # A file without a buffer may write a part of it.
            written: int | None = file.write(content)
        except TypeError:
            # It takes texts.
            raise _not_a_target(file) from None
        content = content[written:] if written is not None else b""


def _not_a_target(target: object) -> ArgumentError:
    return ArgumentError(f"path must be a path, or a file that is open for writing bytes, not {shown(target)}")
