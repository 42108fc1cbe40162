"""A series or a breakdown in each format, on stdout or in a file."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias, get_args

import click
from rich.console import Console

from chartmogul_async import Breakdown, Series
from chartmogul_async.cli import files, formats, tables, terminal
from chartmogul_async.cli.failures import USAGE, CommandError, print_note
from chartmogul_async.files import columns, write_arrow, write_csv, write_parquet

Table: TypeAlias = Series[Any, Any] | Breakdown[Any, Any]
Format = Literal["table", "csv", "json", "jsonl", "parquet", "arrow"]
FORMATS: tuple[Format, ...] = get_args(Format)
BINARY: tuple[Format, ...] = ("parquet", "arrow")
WITH_ACCOUNT: tuple[Format, ...] = ("table", *BINARY)
"""Those that name the currency."""

_ENDINGS: dict[str, Format] = {f".{format_}": format_ for format_ in FORMATS if format_ != "table"}
_ENDINGS |= {".ndjson": "jsonl", ".feather": "arrow"}


def chosen(given: Format | None, out: Path | None) -> Format:
    """Choose the format, and check that it can be written, before anything is fetched for it.

    Args:
        given: The format that was requested, if any.
        out: The file, if there is one.

    Returns:
        The requested format, or that of the file's ending; by default a table on a terminal, and CSV elsewhere.

    Raises:
        UsageError: The ending says nothing, or a terminal would show bytes.
        CommandError: The format requires an extra that is not installed.
    """
    format_ = given or (_of_ending(out) if out else formats.chosen(None))
    if format_ in BINARY:
        if not out and sys.stdout.isatty():
            raise click.UsageError(f"--format {format_} requires --out, or a pipe", click.get_current_context())
        try:
            columns.check_extra()
        except ImportError as error:
            raise CommandError(str(error), USAGE) from None
    return format_


def _of_ending(out: Path) -> Format:
    if out.suffix.lower() not in _ENDINGS:
        raise click.UsageError(
            f"--out must end with one of {', '.join(_ENDINGS)}, unless --format is given, not {str(out)!r}",
            click.get_current_context(),
        )
    return _ENDINGS[out.suffix.lower()]


def put(
    table: Table, format_: Format, out: Path | None, currency: str | None, parts: Sequence[date], exact_text: bool
) -> None:
    """Write a series or a breakdown.

    Args:
        table: The series or breakdown, with at least one entry.
        format_: The format.
        out: The file; stdout if there is none.
        currency: The account's currency, if it is known.
        parts: The dates of entries that are no whole intervals.
        exact_text: Whether CSV leaves text as it is that a spreadsheet would take for a formula.

    Raises:
        CommandError: The file cannot be written.
    """
    if out is None and format_ == "table":
        _tables(terminal.stdout(), table, currency, parts)
        return
    file = io.BytesIO()
    _into(file, table, format_, currency, parts, exact_text, in_file=out is not None)
    if out:
        files.replace(out, file.getvalue())
        print_note(f"wrote {out}")
    elif format_ in BINARY:
        sys.stdout.buffer.write(file.getvalue())
        sys.stdout.flush()
    else:
        terminal.write(file.getvalue().decode())


def _into(
    file: BinaryIO,
    table: Table,
    format_: Format,
    currency: str | None,
    parts: Sequence[date],
    exact_text: bool,
    in_file: bool,
) -> None:
    match format_:
        case "csv":
            write_csv(table, file, escape_formulas=not exact_text)
        case "jsonl":
            file.write(formats.as_jsonl(table.to_dicts(), in_file).encode(errors="backslashreplace"))
        case "json":
            file.write(formats.as_json(_document(table), in_file).encode(errors="backslashreplace"))
        case "parquet":
            write_parquet(table, file, currency=currency)
        case "arrow":
            write_arrow(table, file, currency=currency)
        case _:
            page = io.StringIO()
            _tables(terminal.page(page), table, currency, parts)
            file.write(page.getvalue().encode(errors="backslashreplace"))


def _document(table: Table) -> dict[str, Any]:
    if isinstance(table, Series):
        return {"entries": table.to_dicts(), "summary": table.summary}
    failures = {name: str(failure.error) for name, failure in table.failures.items()}
    return {"by": table.by, "note": table.note, "entries": table.to_dicts(), "failures": failures}


def _tables(console: Console, table: Table, currency: str | None, parts: Sequence[date]) -> None:
    named = currency or "units"
    terminal.show(console, tables.rows_table(table, named, console))
    print_parts(console, table, parts)
    if isinstance(table, Breakdown):
        console.print(f"{table.note[0].upper()}{table.note[1:]}.", style="dim")
    elif table.summary is not None:
        console.print()
        terminal.show(console, tables.summary_table(table, named))
        console.print(tables.BEFORE, style="dim")


def print_parts(console: Console, table: Table, parts: Sequence[date]) -> None:
    """Say which entries are no whole intervals.

    Args:
        console: Where it is printed.
        table: The series or breakdown.
        parts: The dates of such entries.
    """
    if parts:
        days = " and ".join(map(str, parts))
        console.print(f"Only a part of the {table.query.interval}, so far or as asked for: {days}.", style="dim")
