"""How a series shows itself: short where it is long, and as a table in a notebook."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings

from chartmogul_async import ARREntry, MetricQuery, MRREntry, Series, Summary
from tests.documents import series

QUERY = MetricQuery("arr", "2023-01-01", "2023-12-31", interval="day")
SUMMARY = Summary(700, 600, 16.67)


def days(count: int) -> Series[ARREntry, Summary]:
    entries = (ARREntry(date(2023, 1, 1) + timedelta(day), day * 100, 0.5) for day in range(count))
    return Series(tuple(entries), SUMMARY, QUERY)


@pytest.mark.parametrize("count", [0, 1, 6])
def test_a_short_series_is_shown_as_it_is_made(count: int) -> None:
    made = days(count)
    names = {"Series": Series, "ARREntry": ARREntry, "Summary": Summary, "MetricQuery": MetricQuery, "date": date}
    assert eval(repr(made).replace("datetime.date", "date"), names) == made


@pytest.mark.parametrize("count", [7, 365])
def test_a_long_series_shows_its_first_and_last_entry(count: int) -> None:
    made = days(count)
    assert repr(made) == (f"<Series of {count} entries: {made[0]!r} ... {made[-1]!r}, query={QUERY!r}>")


class Table(HTMLParser):
    """The cells of each row of a table."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.caption = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert attrs == []
        self.tags.append(tag)
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] == "caption":
            self.caption += data
        else:
            assert self.open[-1] in ("th", "td")
            self.rows[-1][-1] += data


def table_of(made: Series[Any, Any]) -> Table:
    return Table(made._repr_html_())


def test_a_notebook_shows_a_table_with_units() -> None:
    query = MetricQuery("mrr", "2023-01-01", "2023-02-28", geo=["US"], plans=["Gold"])
    entries = (MRREntry(date(2023, 1, 31), 1000, 0.0, 1, 2, -3, -4, 5), MRREntry(date(2023, 2, 28), 1200))
    table = table_of(Series(entries, SUMMARY, query))
    assert table.caption == "mrr, 2023-01-01, 2023-02-28, month, US, Gold: 2 entries"
    assert table.rows == [
        [
            "date",
            "mrr (cents)",
            "percentage_change (percent)",
            "mrr_new_business (cents)",
            "mrr_expansion (cents)",
            "mrr_contraction (cents)",
            "mrr_churn (cents)",
            "mrr_reactivation (cents)",
        ],
        ["2023-01-31", "1000", "0.0", "1", "2", "-3", "-4", "5"],
        ["2023-02-28", "1200", "", "", "", "", "", ""],
    ]


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (1, 1), (12, 12), (13, 11), (365, 11)])
def test_a_notebook_shows_both_ends_of_a_long_series(count: int, shown: int) -> None:
    table = table_of(days(count))
    rows = table.rows[1:]
    assert len(rows) == shown
    if shown < count:
        assert rows[5] == ["…", "…", "…"]
        del rows[5]
        assert [row[0] for row in rows] == [str(entry.date) for entry in [*days(count)[:5], *days(count)[-5:]]]
    assert f"{count} entries" in table.caption


@settings(max_examples=30, deadline=None)
@given(series())
def test_nothing_in_a_query_becomes_markup(made: Series) -> None:
    table = table_of(made)
    assert set(table.tags) <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert table.tags.count("tr") == len(made) + 1


def test_markup_in_a_plan_is_shown_as_text() -> None:
    plan = "<script>alert(1)</script>&amp;\"'"
    made = Series((), SUMMARY, MetricQuery("arr", "2023-01-01", "2023-12-31", plans=[plan]))
    assert plan in table_of(made).caption
    assert not re.search("<script", made._repr_html_())
