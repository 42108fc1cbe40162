"""How a series shows itself: short where it is long, and as a table in a notebook."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartmogul_async import (
    ARREntry,
    Breakdown,
    CustomerCountEntry,
    Failure,
    MetricQuery,
    MRRChurnRateEntry,
    MRREntry,
    Series,
    Success,
    Summary,
)
from chartmogul_async.errors import RateLimitError
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
    """The text above, the cells of each row of the table, and the chart: lines by their class, and its texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.caption = ""
        self.lines: dict[str, str] = {}
        self.keys: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        assert given.keys() <= ATTRIBUTES
        self.tags.append(tag)
        if not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
        if tag == "polyline":
            self.lines[given["class"]] = given["points"]
        if tag == "line" and given.get("class", "").startswith("l"):
            self.keys.append(given["class"])

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        where = self.open[-1]
        if where == "p":
            self.caption += data
        elif where in ("th", "td"):
            self.rows[-1][-1] += data
        else:
            assert where in ("title", "desc", "text", "div", "style"), where
            self.texts.append(data)


ATTRIBUTES = {"class", "viewBox".lower(), "role", "x1", "x2", "y1", "y2", "x", "y", "text-anchor", "points"}
ATTRIBUTES |= {"aria-hidden"}
TAGS = {"div", "p", "style", "table", "thead", "tbody", "tr", "th", "td"}
TAGS |= {"svg", "title", "desc", "g", "line", "text", "polyline"}


def table_of(made: Series[Any, Any] | Breakdown[Any, Any]) -> Table:
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


@settings(max_examples=30)
@given(series())
def test_nothing_in_a_query_becomes_markup(made: Series) -> None:
    table = table_of(made)
    assert set(table.tags) <= TAGS
    assert table.tags.count("tr") == len(made) + 1


def test_markup_in_a_plan_is_shown_as_text() -> None:
    plan = "<script>alert(1)</script>&amp;\"'"
    made = Series((), SUMMARY, MetricQuery("arr", "2023-01-01", "2023-12-31", plans=[plan]))
    assert plan in table_of(made).caption
    assert not re.search("<script", made._repr_html_())


MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("metric", "entry", "values", "ticks", "shown"),
    [
        ("arr", ARREntry, [0, 1010], ["0", "2.5", "5", "7.5", "10", "12.5"], "arr {}, in units of the currency"),
        ("customer_count", CustomerCountEntry, [1, 7], ["0", "2", "4", "6", "8"], "customers {}"),
        ("mrr_churn_rate", MRRChurnRateEntry, [-3.0, 3.0], [f"{MINUS}4", f"{MINUS}2", "0", "2", "4"], "{}, in percent"),
        ("mrr_churn_rate", MRRChurnRateEntry, [0.1, 0.4], ["0", "0.1", "0.2", "0.3", "0.4"], "{}, in percent"),
        # What nobody sees is not drawn.
        ("mrr_churn_rate", MRRChurnRateEntry, [0.0, 4e-7], ["0", "0.2", "0.4", "0.6", "0.8", "1"], "{}, in percent"),
    ],
)
def test_a_chart_has_the_first_figure(metric: Any, entry: Any, values: list[Any], ticks: list[str], shown: str) -> None:
    days = ("2023-01-01", "2023-01-02", "2023-01-03")
    entries = tuple(
        entry(date.fromisoformat(day), value) for day, value in zip(days, [*values, values[0]], strict=True)
    )
    table = table_of(Series(entries, SUMMARY, MetricQuery(metric, days[0], days[-1])))
    style, title, description, *scale, caption = table.texts
    assert style.startswith(".cmogul svg{")
    assert title == metric
    assert scale == [*ticks, *days]
    assert caption == description
    assert caption.endswith(shown.format("from 2023-01-01 to 2023-01-03"))
    assert len(table.lines["l0"].split()) == 3


@pytest.mark.parametrize("values", [[], [5], [0, 2**62], [0, math.inf], [0, math.nan], [-(10**400), 0]])
def test_without_a_chart_there_is_a_table(values: list[Any]) -> None:
    entries = tuple(ARREntry(date(2023, 1, day), value) for day, value in enumerate(values, 1))
    table = table_of(Series(entries, SUMMARY, QUERY))
    assert "svg" not in table.tags
    assert len(table.texts) == 1
    assert len(table.rows) == len(values) + 1


@pytest.mark.parametrize("values", [[7, 7], [0, 0], [1e15, 1e-320], [0.0, 5e-324], [-1, 1], [10**15, 10**15 - 1]])
def test_odd_values_are_drawn(values: list[Any]) -> None:
    entries = tuple(ARREntry(date(2023, 1, day), value) for day, value in enumerate(values, 1))
    assert list(table_of(Series(entries, SUMMARY, QUERY)).lines) == ["l0"]


@given(st.lists(st.floats(-1e15, 1e15) | st.integers(-(10**15), 10**15), min_size=2, max_size=100))
def test_whatever_is_drawn_lies_in_the_chart(values: list[Any]) -> None:
    entries = tuple(ARREntry(date(2023, 1, 1) + timedelta(day), value) for day, value in enumerate(values))
    points = table_of(Series(entries, SUMMARY, QUERY)).lines["l0"].split()
    for x, y in (point.split(",") for point in points):
        assert 0 <= float(x) <= 360
        assert 0 <= float(y) <= 180


def test_ten_years_of_days_are_a_few_kilobytes() -> None:
    made = days(3_650)
    table = table_of(made)
    assert len(table.html) < 4_000
    assert 60 <= len(table.lines["l0"].split()) <= 82
    long = MetricQuery("arr", "2023-01-01", "2023-12-31", plans=[f"Plan {number}" for number in range(2_000)])
    assert len(Series((), SUMMARY, long)._repr_html_()) < 2_000


def part(last: int, first: int = 0, count: int = 12) -> Series[ARREntry, Summary]:
    step = (last - first) / max(count - 1, 1)
    entries = (ARREntry(date(2023, 1, 1) + timedelta(day), round(first + day * step)) for day in range(count))
    return Series(tuple(entries), SUMMARY, QUERY)


def broken_down(parts: Mapping[str, Series[ARREntry, Summary] | None], parts_are: Any = "overlapping") -> Any:
    error = RateLimitError("Rate limit exceeded", 429)
    outcomes = tuple(
        (name, Failure(QUERY, error) if its is None else Success(QUERY, its)) for name, its in parts.items()
    )
    return Breakdown("plan", QUERY, parts_are, outcomes, Success(QUERY, part(10_000)))


def test_a_breakdown_shows_the_largest_segments_first() -> None:
    parts = {f"Plan {number}": part(number * 100, 50) for number in (3, 7, 1, 5, 2, 6)}
    made = broken_down(parts, "subscriptions")
    table = table_of(made)
    assert table.rows[0] == ["segment", "arr (cents)\n2023-01-01", "arr (cents)\n2023-01-12"]
    assert [row[0] for row in table.rows[1:]] == [*(f"Plan {n}" for n in (7, 6, 5, 3, 2, 1)), "remainder", "total"]
    assert table.rows[1] == ["Plan 7", "50", "700"]
    assert table.rows[-2] == ["remainder", "-300", "7600"]
    assert table.rows[-1] == ["total", "0", "10000"]
    # Five have a line, and a key in the table.
    assert list(table.lines) == table.keys == ["l0", "l1", "l2", "l3", "l4"]
    assert table.caption == f"arr, 2023-01-01, 2023-12-31, day, by plan: 6 segments; {made.note}"
    assert "arr by plan" in table.texts


def test_a_breakdown_shows_what_failed_and_how_many_more_there_are() -> None:
    parts: dict[str, Any] = {f"Plan {number}": part(number) for number in range(15)}
    table = table_of(broken_down({**parts, "<b>": None}))
    names = [row[0] for row in table.rows[1:]]
    assert names == [*(f"Plan {number}" for number in range(14, 2, -1)), "… and 3 more", "<b>", "total"]
    assert table.rows[-3:-1] == [["… and 3 more", "", ""], ["<b>", "failed", "RateLimitError"]]
    assert len(table_of(broken_down(dict.fromkeys(map(str, range(2_000))))).html) < 4_000


@pytest.mark.parametrize(("count", "rows"), [(12, 12), (13, 13), (14, 13)])
def test_twelve_segments_have_rows(count: int, rows: int) -> None:
    table = table_of(broken_down({str(number): part(number) for number in range(count)}))
    # The headings and the total come on top.
    assert len(table.rows) == rows + 2
    assert (table.rows[-2][0] == f"… and {count - 12} more") is (count > 12)


def test_long_names_are_cut_and_empty_segments_come_last() -> None:
    parts = {"empty": part(1, count=0), "a" * 80: part(3), "b" * 81: part(2), "c": part(-1)}
    assert [row[0] for row in table_of(broken_down(parts)).rows[1:-1]] == ["a" * 80, f"{'b' * 79}…", "c", "empty"]


@pytest.mark.parametrize(
    "parts",
    [{}, {"A": None}, {"A": part(1, count=0)}, {"A": part(1, count=1)}, {"A": part(9), "B": part(5, count=11)}],
    ids=["none", "failed", "empty", "one entry", "other dates"],
)
def test_a_breakdown_without_a_chart_has_no_keys(parts: dict[str, Any]) -> None:
    table = table_of(broken_down(parts))
    assert table.lines == {}
    assert table.keys == []
    assert [row[0] for row in table.rows[1:]] == [*parts, "total"]


def test_a_breakdown_of_which_all_failed_has_a_table() -> None:
    failure = Failure(QUERY, RateLimitError("Rate limit exceeded", 429))
    table = table_of(Breakdown("plan", QUERY, "overlapping", (("A", failure),), failure))
    assert table.rows == [
        ["segment"],
        ["A", "failed", "RateLimitError"],
        ["total", "failed", "RateLimitError"],
    ]


def test_forty_segments_of_ten_years_are_a_few_kilobytes() -> None:
    parts = {f"Plan {number}": part(number * 997, count=3_650) for number in range(40)}
    assert len(broken_down(parts)._repr_html_()) < 9_000
