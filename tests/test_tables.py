"""Metrics as tables of a warehouse, without one."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from chartmogul_async import AsyncClient, MetricName, MetricQuery
from chartmogul_async.integrations.tables import Calendar, Page, Table
from chartmogul_async.intervals import Interval
from chartmogul_async.metrics.breakdown import Dimension
from chartmogul_async.metrics.query import METRICS
from chartmogul_async.sandbox import Company, Limits, Sandbox

TODAY = date(2026, 1, 31)


def table(metric: MetricName = "mrr", interval: Interval = "month", by: Dimension | None = None) -> Table:
    return Table(MetricQuery(metric, TODAY, TODAY, interval=interval), by)


def page(interval: Interval = "month", since: date = date(2025, 10, 1), seen: date | None = None, **of: Any) -> Page:
    return Page(table(interval=interval, **of), "acc_1", Calendar(interval), since, TODAY, TODAY, seen)


def client() -> AsyncClient:
    sandbox = Sandbox(Company(customers=30, today=TODAY), limits=Limits(per_second=None))
    return AsyncClient("sandbox", transport=sandbox.transport())


def test_names_of_tables_are_no_words_of_sql() -> None:
    assert [table(metric).name for metric in METRICS] == ["key_metrics", *METRICS[1:]]
    assert table("all", by="plan_group").name == "key_metrics_by_plan_group"


def test_a_table_has_a_key_and_columns() -> None:
    assert table().key == ["account", "interval", "period_start"]
    assert table(by="plan").key == ["account", "interval", "period_start", "segment_id"]
    types = {name: column["data_type"] for name, column in table("customer_count", by="country").columns.items()}
    assert types == {
        "account": "text",
        "interval": "text",
        "period_start": "date",
        "date": "date",
        "is_partial": "bool",
        "segment_id": "text",
        "segment": "text",
        "customers": "bigint",
        "percentage_change": "double",
    }
    assert "segment" not in table().columns
    assert table().columns["mrr_churn"] == {"data_type": "double", "description": "cents, flow"}


@pytest.mark.parametrize("metric", METRICS)
async def test_each_row_has_the_columns(metric: MetricName) -> None:
    query: Any = MetricQuery(metric, "2025-10-01", TODAY)
    async with client() as its:
        whole = await its.metrics.fetch(query)
        divided = await its.metrics.breakdown(metric, "2025-10-01", TODAY, by="country")
    for by, found in ((None, whole), ("country", divided)):
        its_page: Any = page(metric=metric, by=by)
        rows = list(its_page.rows(found))
        assert all(list(row) == list(its_page.table.columns) for row in rows)
        keys = {tuple(row[name] for name in its_page.table.key) for row in rows}
        assert len(keys) == len(rows) >= 4


async def test_segments_are_named_for_good() -> None:
    async with client() as its:
        for by, ids in (("plan", "pl_"), ("country", "US"), ("plan_group", "Subscriptions, yearly")):
            kind: Any = by
            # The interval before is asked for as well, and is in no row.
            found = await its.metrics.breakdown("mrr", "2025-12-01", TODAY, by=kind)
            rows = list(page(since=date(2026, 1, 1), by=kind).rows(found))
            assert {row["date"] for row in rows} == {TODAY}
            assert any(row["segment_id"].startswith(ids) for row in rows)
            assert [(row["segment_id"], row["segment"]) for row in rows[-2:]] == [
                (it, it) for it in ("remainder", "total")
            ]


async def test_periods_that_are_not_over_are_marked() -> None:
    async with client() as its:
        cut = await its.metrics.mrr("2025-12-01", "2026-01-30")
        whole = await its.metrics.mrr("2025-12-01", TODAY)
    since = date(2025, 12, 1)
    for series in (cut, whole):
        assert [row["is_partial"] for row in page(since=since).rows(series)] == [False, True]
    # The entry of a part of a month is replaced by that of the month.
    assert [[row["period_start"] for row in page(since=since).rows(series)] for series in (cut, whole)] == [
        [date(2025, 12, 1), date(2026, 1, 1)]
    ] * 2
    assert [row["date"] for row in page(since=TODAY).rows(whole)] == [TODAY]


@pytest.mark.parametrize(
    ("metric", "interval", "asked_from"),
    [
        ("mrr", "day", date(2025, 9, 30)),
        ("all", "day", date(2025, 8, 30)),
        ("customer_churn_rate", "week", date(2025, 8, 18)),
        ("mrr", "week", date(2025, 9, 22)),
        ("all", "month", date(2025, 9, 1)),
        ("mrr", "quarter", date(2025, 7, 1)),
        ("mrr", "year", date(2024, 1, 1)),
    ],
)
def test_entries_are_asked_for_earlier(metric: MetricName, interval: Interval, asked_from: date) -> None:
    calendar = Calendar(interval)
    assert table(metric, interval).asked_from(calendar.start(date(2025, 10, 1)), calendar) == asked_from


@pytest.mark.parametrize("interval", ["day", "week", "month", "quarter", "year"])
def test_the_calendar_begins_somewhere(interval: Interval) -> None:
    calendar = Calendar(interval)
    assert calendar.before(date(1, 1, 3), 5) == date.min
    assert table("all", interval).asked_from(date(1, 1, 3), calendar) == date.min


def test_weeks_begin_where_those_of_the_account_do() -> None:
    sunday = Calendar("week", "sunday")
    assert (sunday.start(TODAY), sunday.end(TODAY)) == (date(2026, 1, 25), TODAY)


async def test_only_entries_of_the_page_are_rows() -> None:
    """A server that responds with another range must not leave periods that no later run would read again."""
    async with client() as its:
        found = await its.metrics.fetch(MetricQuery("mrr", "2025-08-01", TODAY))
        by_plan = await its.metrics.breakdown("mrr", "2025-08-01", TODAY, by="plan")
    of_two = page()
    of_two.until = date(2025, 11, 10)
    periods = [row["period_start"] for row in of_two.rows(found)]
    assert periods == [date(2025, 10, 1), date(2025, 11, 1)]
    assert {row["period_start"] for row in page(by="plan").rows(by_plan) if row["date"] <= date(2025, 11, 30)} == {
        *periods
    }


@pytest.mark.parametrize("interval", ["day", "week", "month", "quarter", "year"])
async def test_a_page_without_a_period_is_not_complete(interval: Interval) -> None:
    since = Calendar(interval).start(date(2025, 10, 1))
    async with client() as its:
        found = await its.metrics.fetch(MetricQuery("mrr", since, TODAY, interval=interval))
    its_page = page(interval, since)
    rows = list(its_page.rows(found))
    assert its_page.is_complete(rows)
    assert not any(its_page.is_complete(rows[:place] + rows[place + 1 :]) for place in (0, len(rows) // 2, -2))


MONTHS = date(2025, 10, 1), date(2025, 11, 1), date(2025, 12, 1)


def figures(**changed: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of three months, in which something is another one."""
    of = {"mrr": 100, "percentage_change": 1.0, "is_partial": False} | {
        name: 0 for name in table().compared if name != "mrr"
    }
    return [{"period_start": month, **of, **changed.get(f"{month:%b}", {})} for month in MONTHS]


def stored(rows: list[dict[str, Any]]) -> dict[Any, Any]:
    return {(row["period_start"], row.get("segment_id", "total")): row for row in rows}


def test_what_was_over_and_changed_was_restated() -> None:
    new = figures(Oct={"mrr": 90, "percentage_change": 5.0}, Nov={"mrr_churn": -10}, Dec={"mrr": 80})
    # December was not over.
    before = stored(figures(Dec={"is_partial": True}))
    found = list(page(seen=date(2025, 12, 30)).restated(new, before))
    assert found == [
        {
            "table": "mrr",
            "account": "acc_1",
            "interval": "month",
            "period_start": MONTHS[0],
            "segment_id": "total",
            "figure": "mrr",
            "before": 100,
            "after": 90,
        },
        found[0] | {"period_start": MONTHS[1], "figure": "mrr_churn", "before": 0, "after": -10},
    ]
    # It was over, and nothing after it was there.
    assert len(list(page(seen=date(2025, 12, 31)).restated(new, stored(figures())))) == 3
    assert not list(page(seen=date(2025, 12, 31)).restated(figures(), before))
    assert not list(page().restated(new, {}))


def test_a_segment_that_comes_or_goes_was_restated() -> None:
    def of(name: str, mrr: int) -> list[dict[str, Any]]:
        rows = figures(Nov={"is_partial": True}, Dec={"is_partial": True})
        return [{**row, "segment_id": name, "mrr": mrr} for row in rows]

    its = page(by="plan", seen=date(2025, 11, 2))
    before, after = [*of("a", 1), *of("b", 2), *of("c", 0)], [*of("a", 1), *of("d", 3), *of("e", 0)]
    found = [(row["segment_id"], row["before"], row["after"]) for row in its.restated(after, stored(before))]
    # Neither a segment of zeros nor a month that was not read again.
    assert found == [("b", 2, None), ("d", None, 3)]
    assert not list(its.restated([row for row in after if row["period_start"] != MONTHS[0]], stored(before)))


def test_monthly_figures_of_days_are_final_with_their_month() -> None:
    def rows(rate: float) -> list[dict[str, Any]]:
        return [{"period_start": date(2025, 11, 3), "customer_churn_rate": rate, "is_partial": False}]

    for seen, count in ((date(2025, 11, 30), 0), (date(2025, 12, 1), 1)):
        its = page("day", metric="customer_churn_rate", seen=seen)
        assert len(list(its.restated(rows(2.0), stored(rows(1.0))))) == count


def test_monthly_figures_of_a_week_are_those_of_the_month_in_which_it_ends() -> None:
    def rows(rate: float) -> list[dict[str, Any]]:
        return [{"period_start": date(2025, 10, 27), "customer_churn_rate": rate, "is_partial": False}]

    for seen, count in ((date(2025, 11, 10), 0), (date(2025, 11, 30), 0), (date(2025, 12, 1), 1)):
        its = page("week", metric="customer_churn_rate", seen=seen)
        assert len(list(its.restated(rows(2.0), stored(rows(1.0))))) == count


def test_a_year_that_is_not_over_is_not_restated() -> None:
    def rows(rate: float, is_partial: bool) -> list[dict[str, Any]]:
        return [{"period_start": date(2025, 1, 1), "customer_churn_rate": rate, "is_partial": is_partial}]

    its = page("year", metric="customer_churn_rate", seen=date(2025, 12, 31))
    assert not list(its.restated(rows(2.0, False), stored(rows(1.0, True))))
    assert len(list(its.restated(rows(2.0, False), stored(rows(1.0, False))))) == 1
