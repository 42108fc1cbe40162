"""Warehouses for the tests, and what is in them."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dlt", reason="the group `warehouse` is not installed: `nox -s warehouse` has it")

import dlt
import duckdb

from chartmogul_async.blocking import Client
from chartmogul_async.integrations.dlt import chartmogul_source
from chartmogul_async.sandbox import Company, Limits, Sandbox

TODAY = date(2026, 1, 31)
Row = dict[str, Any]


def new_sandbox() -> Sandbox:
    return Sandbox(Company(customers=40, today=TODAY), limits=Limits(per_second=None))


def client_of(sandbox: Sandbox, **options: Any) -> Client:
    return Client(sandbox.api_key, transport=sandbox.transport(), **options)


def source_of(sandbox: Sandbox, **options: Any) -> Any:
    """The source of the tests: MRR by month until the end of November 2025."""
    given = {"start": "2025-06-10", "end": "2025-11-30", "metrics": "mrr", "client": client_of(sandbox)}
    return chartmogul_source(**{**given, **options})


class Warehouse:
    """A DuckDB file, and the pipeline that loads it."""

    def __init__(self, folder: Path, name: str = "warehouse", files: bool = False) -> None:
        self.path, self.folder = folder / f"{name}.duckdb", folder / name
        destinations = dlt.destinations
        destination: Any = destinations.filesystem(str(self.folder)) if files else destinations.duckdb(str(self.path))
        self.files = files
        self.pipeline = dlt.pipeline(name, destination=destination, dataset_name="chartmogul")

    def run(self, source: Any, **options: Any) -> dict[str, int]:
        """Load a source.

        Returns:
            How many rows each table was given.
        """
        if self.files:
            options["loader_file_format"] = "parquet"
        self.pipeline.run(source, **options)
        trace: Any = self.pipeline.last_trace
        # There is nothing to normalize where only what was left over is loaded.
        counts = trace.last_normalize_info.row_counts if trace.last_normalize_info else {}
        return {name: count for name, count in counts.items() if not name.startswith("_dlt")}

    def rows(self, table: str) -> list[Row]:
        """What a table contains, without dlt's own columns, in the order of its key; none if there is no table."""
        place = f"read_parquet('{self.folder}/chartmogul/{table}/*.parquet')" if self.files else f"chartmogul.{table}"
        found: list[Row] = []
        with duckdb.connect(":memory:" if self.files else str(self.path)) as database, suppress(duckdb.Error):
            result = database.execute(f"SELECT * EXCLUDE (_dlt_load_id, _dlt_id) FROM {place}")
            names = [column[0] for column in result.description or ()]
            found = [dict(zip(names, values, strict=True)) for values in result.fetchall()]
        return sorted(found, key=lambda row: (row["period_start"], row.get("segment_id", ""), row.get("figure", "")))

    def column(self, table: str, name: str) -> list[Any]:
        return [row[name] for row in self.rows(table)]


def clean(folder: Path, sandbox: Sandbox, **options: Any) -> Warehouse:
    """Load all at once into another warehouse, for comparison."""
    warehouse = Warehouse(folder, "clean")
    warehouse.run(source_of(sandbox, **options))
    return warehouse
