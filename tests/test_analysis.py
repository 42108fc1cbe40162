"""Named rates: the recorded account of May 2022, and what is undefined, infinite or refused.

Recorded: MRR 68604881 -> 68954549 cents; new business 977000, expansion 1559209, contraction -770875, churn -1730666,
reactivation 315000; customers 1097 -> 1102, of whom 2.92 % were lost.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async import (
    ARREntry,
    AsyncClient,
    CustomerChurnRateEntry,
    CustomerCountEntry,
    KeyMetricsEntry,
    MetricName,
    MetricQuery,
    MRREntry,
    Series,
    analysis,
)
from chartmogul_async.analysis.entries import MOVEMENTS as MOVEMENT_NAMES
from chartmogul_async.errors import ArgumentError
from chartmogul_async.intervals import Interval, interval_end, months_later
from chartmogul_async.metrics.series import RESPONSES
from chartmogul_async.sandbox import Company, Limits, Sandbox
from chartmogul_async.structuring import converter

# Whatever is compared with it.
approx: Any = pytest.approx
ANSWERS = Path(__file__).parent / "answers"
TODAY = date(2026, 1, 15)


def recorded(name: str, metric: MetricName, start: str = "2022-04", end: str = "2022-05") -> Series[Any, Any]:
    document = json.loads((ANSWERS / f"{name}.json").read_text("utf-8"))
    response = converter.structure(document, RESPONSES[metric])
    return Series(response.entries, response.summary, MetricQuery(metric, start, end))


MRR = recorded("2022-b-mrr", "mrr")
ALL = recorded("2022-a-all", "all")


def month_ends(count: int, first: date = date(2024, 1, 31)) -> list[date]:
    return [interval_end(months_later(first, number), "month") for number in range(count)]


def mrr(*figures: tuple[int, ...], dates: list[date] | None = None) -> list[MRREntry]:
    """Entries of MRR, new business, expansion, contraction, churn and reactivation, by month."""
    days = dates or month_ends(len(figures))
    return [
        MRREntry(day, figure[0], 0.0, *(*figure[1:], 0, 0, 0, 0, 0)[:5])
        for day, figure in zip(days, figures, strict=True)
    ]


def arr(*values: float, dates: list[date] | None = None) -> list[ARREntry]:
    return [ARREntry(day, value, 0.0) for day, value in zip(dates or month_ends(len(values)), values, strict=True)]


def in_series(entries: list[Any], interval: Interval, metric: MetricName = "mrr") -> Series[Any, Any]:
    query = MetricQuery(metric, entries[0].date, entries[-1].date, interval=interval)
    return Series(tuple(entries), None, query)


def refusal(call: Callable[..., Any], *arguments: Any, **named: Any) -> str:
    with pytest.raises(ArgumentError) as raised:
        call(*arguments, **named)
    return str(raised.value)


# --- the recorded account ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "april", "may"),
    [
        (analysis.net_new_mrr, 1313978, 349668),
        (analysis.gross_mrr_churn_rate, 3.22, 3.65),
        (analysis.gross_mrr_retention, 96.78, 96.35),
        (analysis.net_mrr_retention, 100.32, 98.63),
        (analysis.quick_ratio, 1.5, 1.01),
        (lambda entries: analysis.quick_ratio(entries, reactivation=True), 1.61, 1.14),
        (analysis.growth_rate, None, 0.51),
        (analysis.cmgr, None, 0.51),
        (analysis.year_over_year, None, None),
    ],
)
def test_recorded_mrr(rate: Callable[[Any], tuple[Any, ...]], april: float | None, may: float | None) -> None:
    """April has no entry before it, so its start is its own MRR less its movements."""
    assert tuple(value if value is None else round(value, 2) for value in rate(MRR)) == (april, may)


def test_recorded_customers() -> None:
    assert analysis.customers_lost(ALL, ALL) == (None, 32)
    assert analysis.customers_gained(ALL, ALL) == (None, 37)


def test_another_recorded_account_has_whole_customers() -> None:
    counts = recorded("2022-c-customer-count", "customer_count")
    rates = recorded("2022-c-customer-churn-rate", "customer_churn_rate")
    assert analysis.customers_lost(counts, rates) == (None, 10)
    assert analysis.customers_gained(counts, rates) == (None, 27)


def test_the_api_gives_the_same_growth_and_net_churn() -> None:
    assert round(analysis.growth_rate(MRR)[1] or 0, 2) == MRR[1].percentage_change == ALL[1].mrr_percentage_change
    for name in ("customers", "ltv", "mrr_churn_rate"):
        assert round(analysis.growth_rate(ALL, name)[1] or 0, 2) == getattr(ALL[1], f"{name}_percentage_change")
    # Net churn counts reactivation, and so is not what is missing from retention to 100 %.
    (_, retention), (_, entry), (april, _) = analysis.net_mrr_retention(MRR), MRR, MRR
    assert retention is not None
    net_churn = 100 - retention - entry.mrr_reactivation / april.mrr * 100
    assert round(net_churn, 2) == ALL[1].mrr_churn_rate == 0.91
    assert round(100 - retention, 2) == 1.37


def test_a_start_is_the_same_from_the_entry_before_and_from_movements() -> None:
    for rate in (analysis.gross_mrr_churn_rate, analysis.net_mrr_retention):
        assert rate(MRR)[1:] == rate(MRR[1:])


# --- rates of movements --------------------------------------------------------------------------------------


def test_undefined_and_infinite_are_told_apart_from_zero() -> None:
    # The first month has no MRR at its start, the second no movements, the third only gains, the fourth only losses.
    entries = mrr((100, 100), (100,), (150, 0, 50), (50, 0, 0, -60, -40))
    assert analysis.net_new_mrr(entries) == (100, 0, 50, -100)
    assert analysis.gross_mrr_churn_rate(entries) == (None, 0.0, 0.0, approx(100 / 150 * 100))
    assert analysis.gross_mrr_retention(entries) == (None, 100.0, 100.0, approx(50 / 150 * 100))
    assert analysis.net_mrr_retention(entries) == (None, 100.0, 150.0, approx(50 / 150 * 100))
    assert analysis.quick_ratio(entries) == (math.inf, None, math.inf, 0.0)


def test_a_share_of_nothing_is_undefined_whatever_was_lost() -> None:
    entries = mrr((0,), (0, 10, 0, 0, -10))
    for rate in (analysis.gross_mrr_churn_rate, analysis.gross_mrr_retention, analysis.net_mrr_retention):
        assert rate(entries) == (None, None)
    assert analysis.quick_ratio(entries) == (None, 1.0)


def test_the_start_is_the_mrr_of_the_entry_before() -> None:
    """What exchange rates did to the MRR is not among the movements."""
    entries = mrr((100,), (100, 10, 0, 0, -20), (50, 0, 0, -10))
    assert analysis.gross_mrr_churn_rate(in_series(entries, "month")) == (0.0, 20.0, 10.0)
    assert analysis.net_new_mrr(entries) == (0, -10, -10)


@pytest.mark.parametrize("chosen", [slice(2, None, 3), slice(2, 5, 2), slice(None, None, 2), slice(11, None, 12)])
def test_chosen_months_have_the_rates_of_these_months(chosen: slice) -> None:
    """Every third month has the dates of quarters, but an MRR of three months before is not its start."""
    entries = mrr(*[(1000 + 100 * month, 150, 0, -20, -30) for month in range(24)])
    assert len(entries[chosen]) >= 2
    for rate in (analysis.gross_mrr_churn_rate, analysis.quick_ratio, analysis.net_new_mrr):
        months: tuple[Any, ...] = rate(entries)
        assert rate(entries[chosen]) == rate(in_series(entries[chosen], "month")) == months[chosen]
    for retention in (analysis.gross_mrr_retention, analysis.net_mrr_retention):
        assert retention(in_series(entries[chosen], "month")) == retention(entries)[chosen]


def test_quarters_of_a_series_start_with_the_quarter_before() -> None:
    quarters = mrr((100,), (200, 0, 0, 0, -10), (150, 0, 0, 0, -20), dates=month_ends(9)[2::3])
    cut = [*quarters[:2], attrs.evolve(quarters[2], date=date(2024, 7, 1))]
    for entries in (quarters, cut):
        assert analysis.gross_mrr_churn_rate(in_series(entries, "quarter")) == (0.0, 10.0, 10.0)
        assert analysis.gross_mrr_churn_rate(entries) == (0.0, 10 / 210 * 100, 20 / 170 * 100)


def test_reactivation_counts_only_where_it_is_asked_for() -> None:
    entries = mrr((100, 0, 0, 0, -10, 20))
    assert analysis.quick_ratio(entries) == (0.0,)
    assert analysis.quick_ratio(entries, reactivation=True) == (2.0,)
    assert analysis.net_mrr_retention(entries) == (approx(80 / 90 * 100),)


MOVEMENTS = [
    analysis.net_new_mrr,
    analysis.gross_mrr_churn_rate,
    analysis.gross_mrr_retention,
    analysis.net_mrr_retention,
    analysis.quick_ratio,
]


@pytest.mark.parametrize("rate", MOVEMENTS)
def test_no_entries_have_no_rates(rate: Any) -> None:
    assert rate([]) == rate(iter(())) == ()


@pytest.mark.parametrize("rate", MOVEMENTS)
def test_entries_without_movements_are_refused(rate: Any) -> None:
    beta = MRREntry(date(2024, 1, 31), 100)
    message = "entries must be those of client.metrics.mrr with movements, which the closed beta lacks, not "
    assert refusal(rate, [beta]) == f"{message}{beta!r}"
    assert refusal(rate, ALL).startswith(f"{message}KeyMetricsEntry(")
    assert refusal(rate, arr(1)).startswith(f"{message}ARREntry(")
    without_mrr = SimpleNamespace(**dict.fromkeys(MOVEMENT_NAMES, 0), date=date(2024, 1, 31))
    assert refusal(rate, [without_mrr]).startswith(f"{message}namespace(")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (5, "entries must be a series or some of its entries in order, not 5"),
        ("mrr", "entries must be a series or some of its entries in order, not 'mrr'"),
        (MRR[0], f"entries must be a series or some of its entries in order, not {MRR[0]!r}"),
        ([None], "entries must be entries with a date, not None"),
        (MRR[::-1], "entries must be in the order of their dates: 2022-04-30 follows 2022-05-31"),
        ([MRR[0], MRR[0]], "entries must be in the order of their dates: 2022-04-30 follows 2022-04-30"),
    ],
)
def test_what_is_not_entries_in_order_is_refused(entries: Any, message: str) -> None:
    assert refusal(analysis.net_new_mrr, entries) == message
    for of in (analysis.growth_rate, analysis.cmgr, analysis.year_over_year):
        assert refusal(of, entries) == message
    assert refusal(analysis.total, entries, "mrr_churn") == refusal(analysis.restated, entries, None) == message
    in_series = message.replace("entries", "series", 1)
    assert refusal(analysis.is_partial, entries, today=TODAY) == in_series


@pytest.mark.parametrize("chosen", [slice(0, None, 2), slice(0, None, 3), slice(2, None, 3), slice(2, 5, 2)])
def test_entries_that_skip_an_interval_are_refused(chosen: slice) -> None:
    """The change would be that from an earlier interval."""
    entries = mrr(*[(100,)] * 12)[chosen]
    message = (
        f"entries must be all entries of a range: some between {entries[0].date} and {entries[-1].date} are missing"
    )
    assert refusal(analysis.growth_rate, in_series(entries, "month")) == message
    assert refusal(analysis.growth_rate, entries) == (
        f"{message}; if they are by quarter or year, pass the series itself, whose query says so"
    )


@pytest.mark.parametrize(("interval", "every"), [("quarter", 3), ("year", 12)])
def test_growth_by_quarter_and_year_is_that_of_a_series(interval: Interval, every: int) -> None:
    entries = arr(*range(100, 136), dates=month_ends(36))[every - 1 :: every]
    expected = (None, *(every / before.arr * 100 for before in entries[:-1]))
    assert analysis.growth_rate(in_series(entries, interval, "arr")) == approx(expected)
    assert "pass the series itself" in refusal(analysis.growth_rate, entries)


@pytest.mark.parametrize(
    ("dates", "is_whole"),
    [
        ([date(2024, 1, 1) + timedelta(day) for day in range(5)], True),
        ([date(2024, 1, 7) + timedelta(7 * week) for week in range(5)], True),
        ([date(2024, 1, 7), date(2024, 1, 14), date(2024, 1, 16)], True),
        (month_ends(14), True),
        ([*month_ends(3), date(2024, 4, 2)], True),
        ([date(2024, 1, 31), date(2024, 2, 1)], True),
        ([date(2024, 1, 6), date(2024, 1, 13), date(2024, 1, 20)], True),
        ([date(2024, 1, 6), date(2024, 1, 14), date(2024, 1, 20)], False),
        ([date(2024, 3, 31), date(2024, 5, 1)], False),
        ([date(2023, 12, 31), date(2024, 3, 31), date(2024, 4, 1)], False),
        ([date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 4)], False),
        ([*month_ends(3), date(2024, 5, 2)], False),
        ([date(2022, 12, 31), date(2024, 12, 31)], False),
        # As long as quarters, but the second one does not end where quarters end.
        ([date(2023, 12, 31), date(2024, 4, 1), date(2024, 6, 30)], False),
        ([date(2024, 1, 31), date(2024, 2, 29), date(2024, 4, 30), date(2024, 5, 31)], False),
    ],
)
def test_the_last_entry_alone_may_be_short(dates: list[date], is_whole: bool) -> None:
    entries = mrr(*[(100,)] * len(dates), dates=dates)
    if is_whole:
        assert analysis.growth_rate(entries) == (None, *[0.0] * (len(dates) - 1))
    else:
        assert "are missing" in refusal(analysis.growth_rate, entries)


def test_retention_over_a_year_says_which_data_would_do() -> None:
    years = [date(2023, 12, 31), date(2024, 12, 31)]
    by_year = mrr((100,), (120, 20), dates=years)
    one = Series((by_year[0],), None, MetricQuery("mrr", "2023", interval="year"))
    for name in ("net_mrr_retention", "gross_mrr_retention"):
        message = (
            f"entries must be by quarter or shorter for {name}, not by year: the movements of a year contain those of "
            "customers who joined within it. For exact figures over twelve months, use the activities "
            "(client.get('/activities')) of those who were customers at its start"
        )
        assert refusal(getattr(analysis, name), by_year) == message
        assert refusal(getattr(analysis, name), one) == message
    # A churn rate by year is what its formula says, and so is the rest.
    assert analysis.gross_mrr_churn_rate(by_year) == (0.0, 0.0)
    assert analysis.net_new_mrr(one) == (0,)
    quarters = mrr((100,), (100,), dates=[date(2023, 9, 30), date(2023, 12, 31)])
    assert analysis.net_mrr_retention(quarters) == (100.0, 100.0)


# --- growth --------------------------------------------------------------------------------------------------


def test_growth_is_the_change_from_the_entry_before() -> None:
    assert analysis.growth_rate(arr(100, 150, 0, 0, 50)) == (None, 50.0, -100.0, None, math.inf)
    rates = [CustomerChurnRateEntry(day, rate) for day, rate in zip(month_ends(3), (-0.5, 0.5, 0.0), strict=True)]
    assert analysis.growth_rate(rates) == (None, 200.0, -100.0)
    falling = [CustomerChurnRateEntry(day, rate) for day, rate in zip(month_ends(2), (0.0, -0.5), strict=True)]
    assert analysis.growth_rate(falling) == (None, -math.inf)
    assert analysis.growth_rate(()) == analysis.cmgr(()) == analysis.year_over_year(()) == ()


def test_growth_of_a_figure_that_is_missing_is_undefined() -> None:
    entries = [MRREntry(month_ends(2)[0], 5), MRREntry(month_ends(2)[1], 6, mrr_churn=-1)]
    assert analysis.growth_rate(entries, "mrr_churn") == (None, None)
    assert analysis.cmgr(entries, "mrr_churn") == (None, None)
    assert analysis.growth_rate(entries) == (None, 20.0)


@pytest.mark.parametrize("rate", [analysis.growth_rate, analysis.cmgr, analysis.year_over_year])
def test_another_figure_is_chosen_by_name(rate: Any) -> None:
    assert len(rate(ALL, "customers")) == 2
    assert refusal(rate, arr(1, 2), "mrr") == "figure must be one of arr, percentage_change, not 'mrr'"
    entry = type("Plain", (), {"date": date(2024, 1, 31)})()
    assert refusal(rate, [entry]).startswith("entries must be those of a series, not <")


def test_compound_growth_is_by_month_whatever_the_interval() -> None:
    doubling = (100, 200, 400, 800)
    assert analysis.cmgr(arr(*doubling)) == (None, *[approx(100.0)] * 3)
    by_quarter = [date(2023, 12, 31), date(2024, 3, 31), date(2024, 6, 30)]
    assert analysis.cmgr(arr(100, 800, 6400, dates=by_quarter)) == (None, *[approx(100.0)] * 2)
    by_year = [date(2023, 12, 31), date(2024, 12, 31)]
    assert analysis.cmgr(arr(100, 100 * 2**12, dates=by_year)) == (None, approx(100.0))


def test_compound_growth_depends_on_both_ends_only() -> None:
    assert analysis.cmgr(arr(100, 7, 121))[-1] == approx(10.0)
    assert analysis.cmgr(arr(0, 5, 0)) == (None, math.inf, None)
    assert analysis.cmgr(arr(100, 0)) == (None, -100.0)
    assert analysis.cmgr(arr(-1, 5)) == analysis.cmgr(arr(5, -1)) == (None, None)
    # A part of a month is not a number of months.
    assert analysis.cmgr(arr(100, 200, 300, dates=[*month_ends(2), date(2024, 3, 5)])) == (
        None,
        approx(100),
        None,
    )


@pytest.mark.parametrize("days", [1, 7])
def test_compound_growth_by_day_or_week_is_refused(days: int) -> None:
    entries = arr(1, 2, 3, dates=[date(2024, 1, 7) + timedelta(days * number) for number in range(3)])
    assert refusal(analysis.cmgr, entries) == (
        "entries must be by month, quarter or year for a monthly rate, not by day or week"
    )


def test_compound_growth_needs_ends_of_months_throughout() -> None:
    entries = arr(1, 2, 3, dates=[date(2024, 1, 31), date(2024, 2, 15), date(2024, 3, 31)])
    assert refusal(analysis.cmgr, entries).startswith("entries must be by month, quarter or year")


def test_a_year_before_is_the_entry_of_the_same_date() -> None:
    entries = arr(*range(100, 114), dates=month_ends(14, date(2023, 2, 28)))
    # February of a leap year is compared with February.
    assert analysis.year_over_year(entries) == (*[None] * 12, 12.0, approx(12 / 101 * 100))
    days = [date(2023, 3, 1) + timedelta(day) for day in range(368)]
    changes = analysis.year_over_year(arr(*range(100, 468), dates=days))
    # The 29th of February is compared with the end of February, which comes before the first day.
    assert changes[:366] == (None,) * 366
    assert changes[366:] == (approx(366.0), approx(366 / 101 * 100))


def test_a_year_of_weeks_has_52() -> None:
    weeks = [date(2024, 1, 7) + timedelta(weeks=week) for week in range(54)]
    changes = analysis.year_over_year(arr(*range(100, 154), dates=weeks))
    assert changes == (*[None] * 52, 52.0, approx(52 / 101 * 100))


def test_the_calendar_begins_with_the_year_1() -> None:
    assert analysis.year_over_year(arr(1, 2, dates=[date(1, 1, 31), date(1, 2, 28)])) == (None, None)


# --- the first change ----------------------------------------------------------------------------------------


def test_the_first_change_is_restated_from_the_interval_before() -> None:
    april, may = MRR
    assert analysis.restated([attrs.evolve(may, percentage_change=0.0)], before=april) == (may,)
    april, may = ALL
    names = [field.name for field in attrs.fields(KeyMetricsEntry) if field.name.endswith("percentage_change")]
    unstated = attrs.evolve(may, **dict.fromkeys(names, 0.0))
    assert unstated != may
    # All eight, as the API rounds them.
    june = attrs.evolve(may, date=date(2022, 6, 30))
    assert analysis.restated([unstated, june], before=april) == (may, june)
    assert analysis.restated([], before=april) == ()


def test_a_change_from_nothing_is_zero_as_in_the_api() -> None:
    before, first = arr(0, 7)
    assert analysis.restated([first], before)[0].percentage_change == 0.0
    before, first = arr(1, 1)
    assert str(analysis.restated([first], before)[0].percentage_change) == "0.0"
    before, first = arr(10**9, 10**9 - 1)
    assert str(analysis.restated([first], before)[0].percentage_change) == "0.0"


def test_a_change_that_the_api_did_not_give_stays_so() -> None:
    before, first = (MRREntry(day, 7) for day in month_ends(2))
    assert analysis.restated([first], before) == (first,)


@pytest.mark.parametrize("before", [MRR[0], MRR[1], ALL[0], None])
def test_only_an_earlier_entry_of_the_metric_comes_before(before: Any) -> None:
    assert refusal(analysis.restated, MRR, before) == "before must be the MRREntry of the interval before 2022-04-30"


@pytest.mark.parametrize("month", [0, 3, 6])
def test_an_entry_of_months_ago_is_not_the_one_before(month: int) -> None:
    entries = arr(*range(100, 120), dates=month_ends(20))
    message = f"before must be the ARREntry of the interval before {entries[8].date}"
    for rest in (in_series(entries[8:], "month", "arr"), in_series(entries[8:9], "month", "arr"), entries[8:]):
        assert analysis.restated(rest, before=entries[7])[0].percentage_change == 0.93
        assert refusal(analysis.restated, rest, before=entries[month]) == message


def test_one_entry_alone_is_one_interval_later() -> None:
    march, april, may, june = arr(100, 110, 120, 150, dates=month_ends(6)[2:])
    # As a quarter; its query would say if it were a month.
    assert analysis.restated([june], before=march)[0].percentage_change == 50.0
    assert analysis.restated([april], before=march)[0].percentage_change == 10.0
    assert "before must be" in refusal(analysis.restated, [may], before=march)
    # A series says by its query that the range cuts the quarter.
    assert analysis.restated(in_series([may], "quarter", "arr"), before=march)[0].percentage_change == 20.0
    cut = attrs.evolve(april, date=date(2024, 4, 10))
    assert analysis.restated([cut], before=march)[0].percentage_change == 10.0


# --- customers -----------------------------------------------------------------------------------------------


def counted(*customers: int, dates: list[date] | None = None) -> list[CustomerCountEntry]:
    days = dates or month_ends(len(customers))
    return [CustomerCountEntry(day, count) for day, count in zip(days, customers, strict=True)]


def rated(*rates: float, dates: list[date] | None = None) -> list[CustomerChurnRateEntry]:
    days = dates or month_ends(len(rates))
    return [CustomerChurnRateEntry(day, rate) for day, rate in zip(days, rates, strict=True)]


@given(st.integers(1, 9999), st.data())
def test_fewer_than_ten_thousand_customers_are_exact(start: int, data: st.DataObject) -> None:
    lost, end = data.draw(st.integers(0, start)), data.draw(st.integers(0, 20_000))
    counts, rates = counted(start, end), rated(0.0, round(lost / start * 100, 2))
    assert analysis.customers_lost(counts, rates) == (None, lost)
    assert analysis.customers_gained(counts, rates) == (None, end - start + lost)


def test_nobody_is_lost_where_nobody_was() -> None:
    assert analysis.customers_lost(counted(0, 5), rated(0.0, 0.0)) == (None, 0)
    assert analysis.customers_gained(counted(0, 5), rated(0.0, 0.0)) == (None, 5)
    assert analysis.customers_lost([], []) == analysis.customers_gained([], []) == ()


@pytest.mark.parametrize(("start", "rate"), [(10_000, 1.0), (100, 1.5), (1097, 2.9)])
def test_a_rate_without_a_whole_number_of_customers_is_refused(start: int, rate: float) -> None:
    for of in (analysis.customers_lost, analysis.customers_gained):
        assert refusal(of, counted(start, 5), rated(0.0, rate)) == (
            f"churn_rates must give a whole number of customers, but {rate} % of {start} customers up to 2024-02-29 "
            "do not: two decimals suffice for fewer than 10000 customers, under the standard churn rate. Exact in any "
            "case are the account's activities (client.get('/activities'))"
        )


def test_customers_need_both_series_over_one_range() -> None:
    of = analysis.customers_lost
    message = "churn_rates must have the same dates as counts: fetch both over the same range"
    assert refusal(of, counted(1, 2), rated(0.0)) == message
    assert refusal(of, counted(1, 2), rated(0.0, 0.0, dates=month_ends(2, date(2023, 1, 31)))) == message
    days = [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)]
    assert refusal(of, counted(1, 2, 3, dates=days), rated(0.0, 0.0, 0.0, dates=days)) == (
        "counts must be by month, quarter or year, not by day or week: the churn rate of a day is that of its month"
    )
    assert refusal(of, rated(0.0), counted(1)).startswith(
        "counts must be entries of client.metrics.customer_count or all, not Cust"
    )
    assert refusal(of, counted(1), counted(1)).startswith(
        "churn_rates must be entries of client.metrics.customer_churn_rate or all, not CustomerCount"
    )
    assert "some between" in refusal(of, counted(1, 2, 3, 4, 5)[::2], [])
    quarters = month_ends(6)[2::3]
    counts, rates = counted(100, 90, dates=quarters), rated(0.0, 20.0, dates=quarters)
    by_quarter = in_series(counts, "quarter", "customer_count")
    assert of(by_quarter, in_series(rates, "quarter", "customer_churn_rate")) == (None, 20)
    assert refusal(of, counts, rates).startswith("counts must be all entries of a range: some between 2024-03-31 and ")
    assert refusal(of, by_quarter, rates).startswith("churn_rates must be all entries of a range: some between 2024-03")


# --- sums ----------------------------------------------------------------------------------------------------


def test_a_flow_is_summed() -> None:
    assert analysis.total(MRR, "mrr_churn") == -1730666 - 1660000
    assert analysis.total(iter(MRR), "mrr_new_business") == 1842500
    assert analysis.total(MRR[1:], "mrr_churn") == -1730666
    assert analysis.total([], "mrr_churn") == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mrr", "is a stock, as at the end of each interval, so its sum counts the same money or customers again for"),
        (
            "customers",
            "is a stock, as at the end of each interval, so its sum counts the same money or customers again",
        ),
        ("asp", "is an average, and averages do not add up; divide the sum of what it was made of, or show each value"),
        ("arpa", "is an average, and averages do not add up"),
        ("ltv", "is an average, and averages do not add up"),
        ("mrr_churn_rate", "is a rate, and rates do not add up; work it out again over the whole range, or show each"),
        ("mrr_percentage_change", "is a rate, and rates do not add up"),
    ],
)
def test_what_is_not_a_flow_is_not_summed(name: str, kind: str) -> None:
    assert refusal(analysis.total, ALL, name).startswith(f"{name} must not be summed: it {kind}")


def test_a_flow_that_is_missing_is_not_taken_for_zero() -> None:
    entries = [*MRR, MRREntry(date(2022, 6, 30), 5)]
    assert refusal(analysis.total, entries, "mrr_churn").startswith(
        "entries must be those of client.metrics.mrr with movements, "
    )
    assert refusal(analysis.total, MRR, "churn").startswith("figure must be one of mrr, percentage_change, mrr_new_b")


# --- intervals that are not over -----------------------------------------------------------------------------


def series_of(interval: Interval, start: str, end: str, *days: str) -> Series[Any, Any]:
    entries = tuple(ARREntry(date.fromisoformat(day), 7) for day in days)
    return Series(entries, None, MetricQuery("arr", start, end, interval=interval))


@pytest.mark.parametrize(
    ("series", "today", "expected"),
    [
        (series_of("month", "2025-11-01", "2025-12-31", "2025-11-30", "2025-12-31"), "2026-01-01", (False, False)),
        # The last day of an interval must be over, too.
        (series_of("month", "2025-11-01", "2025-12-31", "2025-11-30", "2025-12-31"), "2025-12-31", (False, True)),
        (series_of("month", "2025-11-02", "2025-12-30", "2025-11-30", "2025-12-30"), "2026-01-01", (True, True)),
        (series_of("quarter", "2025-10-01", "2025-12-31", "2025-12-31"), "2026-01-01", (False,)),
        (series_of("year", "2025-02-01", "2025-12-31", "2025-12-31"), "2026-01-01", (True,)),
        (series_of("day", "2025-12-30", "2025-12-31", "2025-12-30", "2025-12-31"), "2025-12-31", (False, True)),
        (
            series_of("month", "2025-12-01", "2026-02-28", "2025-12-31", "2026-01-31", "2026-02-28"),
            TODAY,
            (False, True, True),
        ),
        # Weeks end on a Sunday, or on a Saturday.
        (series_of("week", "2025-12-01", "2025-12-14", "2025-12-07", "2025-12-14"), TODAY, (False, False)),
        (series_of("week", "2025-11-30", "2025-12-13", "2025-12-06", "2025-12-13"), TODAY, (False, False)),
        (series_of("week", "2025-12-02", "2025-12-13", "2025-12-07", "2025-12-13"), TODAY, (True, True)),
        (series_of("week", "2025-12-08", "2025-12-20", "2025-12-13", "2025-12-20"), TODAY, (True, False)),
        # One week alone: from Sunday to Saturday, from Monday to Sunday, and parts of either.
        (series_of("week", "2025-12-07", "2025-12-13", "2025-12-13"), TODAY, (False,)),
        (series_of("week", "2025-12-08", "2025-12-14", "2025-12-14"), TODAY, (False,)),
        (series_of("week", "2025-12-07", "2025-12-13", "2025-12-13"), "2025-12-13", (True,)),
        (series_of("week", "2025-12-08", "2025-12-13", "2025-12-13"), TODAY, (True,)),
        (series_of("week", "2025-12-07", "2025-12-12", "2025-12-12"), TODAY, (True,)),
        (series_of("week", "2025-12-09", "2025-12-14", "2025-12-14"), TODAY, (True,)),
        (series_of("week", "2025-12-07", "2025-12-13"), TODAY, ()),
        (series_of("month", "2025-11-01", "2025-12-31"), TODAY, ()),
    ],
)
def test_parts_of_intervals_are_marked(series: Any, today: Any, expected: tuple[bool, ...]) -> None:
    assert analysis.is_partial(series, today=today) == expected


def test_the_first_day_of_the_week_can_be_given() -> None:
    week = series_of("week", "2025-12-07", "2025-12-13", "2025-12-13")
    assert analysis.is_partial(week, today=TODAY, week_start="sunday") == (False,)
    assert analysis.is_partial(week, today=TODAY, week_start="monday") == (True,)
    assert refusal(analysis.is_partial, week, today=TODAY, week_start="friday").startswith("week_start must be one of ")
    assert refusal(analysis.is_partial, week, today="now").startswith("today must be a date, a datetime or an ISO")
    assert refusal(analysis.is_partial, week.entries, today=TODAY) == (
        "series must be a series, whose query says what was asked for, not a part of one"
    )


# --- against the sandbox -------------------------------------------------------------------------------------


async def test_the_rates_agree_with_those_of_the_sandbox() -> None:
    company = Company(seed=3, customers=200, today=TODAY)
    sandbox = Sandbox(company, limits=Limits(per_second=None))
    async with AsyncClient(sandbox.api_key, transport=sandbox.transport()) as client:
        movements, figures = await client.metrics.mrr("2024"), await client.metrics.all("2024")
        restated = await client.metrics.all("2023-12", "2024")
    starts = [movements[0].mrr - analysis.net_new_mrr(movements)[0], *movements.column("mrr")[:-1]]
    kept = analysis.net_mrr_retention(movements)
    for entry, figure, start, share in zip(movements, figures, starts, kept, strict=True):
        assert share is not None
        returned = (entry.mrr_reactivation or 0) / start * 100
        assert figure.mrr_churn_rate == approx(100 - share - returned, abs=0.006)
    assert tuple(analysis.restated(figures, before=restated[0])) == restated[1:]
    lost, gained = analysis.customers_lost(restated, restated), analysis.customers_gained(restated, restated)
    changes = [after.customers - before.customers for before, after in pairwise(restated)]
    assert [one - other for one, other in zip(gained[1:], lost[1:], strict=True)] == changes  # type: ignore[operator]
    assert sum(lost[1:]) > 0  # type: ignore[arg-type]
