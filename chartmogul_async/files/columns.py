"""Columns as bytes: Parquet and Arrow. The extra ``parquet`` (arro3-io) is imported when they are made."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from chartmogul_async.metrics.arrow import ArrowTable


def as_parquet(table: ArrowTable) -> bytes:
    """Write a table as Parquet.

    Args:
        table: The table.

    Returns:
        The file, compressed by zstd.

    Raises:
        ImportError: The extra ``parquet`` is not installed.
    """
    file = BytesIO()
    _io().write_parquet(table, file, compression="zstd(3)")
    return file.getvalue()


def as_arrow(table: ArrowTable) -> bytes:
    """Write a table in Arrow's file format, which is also called IPC, and Feather 2.

    Args:
        table: The table.

    Returns:
        The file, compressed by zstd.

    Raises:
        ImportError: The extra ``parquet`` is not installed.
    """
    file = BytesIO()
    _io().write_ipc(table, file, compression="zstd")
    return file.getvalue()


def check_extra() -> None:
    """Check that the extra is installed, before anything is fetched.

    Raises:
        ImportError: It is not.
    """
    _io()


def _io() -> Any:
    try:
        from arro3 import io
    except ImportError:
        raise ImportError(
            "files of Parquet and Arrow require an extra; run: pip install 'chartmogul-async[parquet]'", name="arro3.io"
        ) from None
    return io
