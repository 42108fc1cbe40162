"""The tables of docs/metrics.md are what the records and the methods say."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import attrs

from chartmogul_async import MetricName, MetricQuery, Metrics
from chartmogul_async.errors import ArgumentError
from chartmogul_async.intervals import INTERVALS, Interval
from chartmogul_async.metrics.query import METRICS
from chartmogul_async.metrics.series import entry_class

PAGE = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text(encoding="utf-8")
LISTED = [line for line in PAGE.splitlines() if line.startswith("|")]


def takes(metric: MetricName, interval: Interval) -> bool:
    try:
        return MetricQuery(metric, "2024", interval=interval).interval == interval
    except ArgumentError:
        return False


def intervals_and_default(metric: MetricName) -> tuple[str, str]:
    taken = ", ".join(interval for interval in INTERVALS if takes(metric, interval))
    return taken, inspect.signature(getattr(Metrics, metric)).parameters["interval"].default


def rows() -> Iterator[str]:
    yield "| method | default | intervals | entries |"
    yield "|---|---|---|---|"
    for metric in METRICS:
        taken, default = intervals_and_default(metric)
        yield f"| `{metric}` | {default} | {taken} | `{entry_class(metric).__name__}` |"
    yield "| entries of | field | unit | kind | may be None |"
    yield "|---|---|---|---|---|"
    for metric in METRICS:
        for column in attrs.fields(entry_class(metric)):
            if column.name != "date":
                nullable = "yes" if column.default is None else ""
                unit, kind = column.metadata["unit"], column.metadata["kind"]
                yield f"| `{metric}` | `{column.name}` | {unit} | {kind} | {nullable} |"


def test_the_tables_are_those_of_the_code() -> None:
    assert list(rows()) == LISTED
