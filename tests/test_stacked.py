"""Several series of one metric as one table."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from chartmogul_async import ARREntry, MetricQuery, Series, SeriesTable, Summary
from chartmogul_async.errors import ArgumentError

NOW = Summary(7, 7, 0.0)
ACME = Series((ARREntry(date(2025, 1, 31), 5), ARREntry(date(2025, 2, 28), 6)), NOW, MetricQuery("arr", "2025-01"))
GLOBEX = Series((ARREntry(date(2025, 1, 31), 7),), NOW, MetricQuery("arr", "2025-01", geo="DE"))


def test_rows_have_the_name_first() -> None:
    table = SeriesTable({"Globex": GLOBEX, "Acme": ACME}, column="account")
    assert table.column_names == ("account", "date", "arr", "percentage_change")
    rows = table.to_dicts()
    assert [tuple(row) for row in rows] == [table.column_names] * 3
    assert [(row["account"], row["date"].month, row["arr"]) for row in rows] == [
        ("Globex", 1, 7),
        ("Acme", 1, 5),
        ("Acme", 2, 6),
    ]
    assert repr(table) == "<SeriesTable of arr: 2 series, 3 rows>"
    assert table == SeriesTable({"Globex": GLOBEX, "Acme": ACME}, "account")


def test_later_changes_of_the_mapping_do_not_reach_the_table() -> None:
    given = {"Acme": ACME}
    table = SeriesTable(given)
    given.clear()
    assert table.column_names[0] == "segment"
    assert len(table.to_dicts()) == 2


def test_columns_have_the_metadata_that_all_series_share() -> None:
    core: Any = pytest.importorskip("arro3.core", reason="the extra `arrow` is not installed")
    series = SeriesTable({"Globex": GLOBEX, "Acme": ACME})
    table = core.Table.from_arrow(series.to_arrow(currency="EUR"))
    assert table.schema.names == list(series.column_names)
    assert table.column("segment").to_pylist() == ["Globex", "Acme", "Acme"]
    assert table.column("arr").to_pylist() == [7, 5, 6]
    assert table.schema.metadata_str == {
        "metric": "arr",
        "start-date": "2025-01-01",
        "end-date": "2025-01-31",
        "interval": "month",
        "currency": "EUR",
    }
    assert core.Table.from_arrow(series).num_rows == 3
    alone = core.Table.from_arrow(SeriesTable({"Globex": GLOBEX})).schema.metadata_str
    assert alone["geo"] == "DE"


def test_an_empty_series_has_no_rows() -> None:
    empty: Series[Any, Any] = Series((), NOW, MetricQuery("arr", "2025"))
    assert SeriesTable({"Acme": empty}).to_dicts() == []


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ([ACME], r"series must be a mapping of names to series, such as {'Acme': series}, not \["),
        ({}, r"series must be a mapping of names to series, such as {'Acme': series}, not an empty one"),
        ({1: ACME}, "not one of 1 to <Series|not one of 1 to Series"),
        ({"\ud800": ACME}, "the names of series must be valid Unicode, without lone surrogates, not "),
        ({"Acme": [5]}, r"not one of 'Acme' to \[5\]"),
        (
            {"a": ACME, "b": Series((), NOW, MetricQuery("ltv", "2025"))},
            "series must be of one metric, not arr and ltv: make a table of each",
        ),
    ],
)
def test_what_is_no_mapping_of_series_is_refused(given: Any, complaint: str) -> None:
    with pytest.raises(ArgumentError, match=complaint):
        SeriesTable(given)


@pytest.mark.parametrize(
    ("column", "complaint"),
    [
        (5, "column must be a str, such as 'account', not 5"),
        ("date", "column must differ from the fields date, arr, percentage_change, not 'date'"),
        ("zero\0", r"column must have no zero byte, not 'zero\\x00'"),
        ("\ud800", "column must be valid Unicode, without lone surrogates, not "),
    ],
)
def test_the_column_of_the_names_is_another_one(column: Any, complaint: str) -> None:
    with pytest.raises(ArgumentError, match=complaint):
        SeriesTable({"Acme": ACME}, column)
