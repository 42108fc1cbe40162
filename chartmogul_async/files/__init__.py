"""Metrics as files: CSV, JSON lines, Parquet, Arrow.

::

    from chartmogul_async.files import write_csv

    write_csv(await client.metrics.mrr("2025"), "mrr.csv")

Each function takes a series, a breakdown or a ``SeriesTable``. Figures are those of the records: amounts in cents,
rates in percent. A file is written beside its place and then put there, so a crash never leaves half of one. The
functions are synchronous: an event loop stands still while a large table is written, some tenths of a second.
"""

from chartmogul_async.files.writing import write_arrow, write_csv, write_json_lines, write_parquet

__all__ = ["write_arrow", "write_csv", "write_json_lines", "write_parquet"]
