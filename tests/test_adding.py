"""What of a breakdown adds up, what remains, and which movements explain the MRR: pure functions."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async import ARREntry, CustomerCountEntry, Discrepancy, MetricQuery, MRREntry, Series, Summary
from chartmogul_async.metrics.adding import Parts, discrepancies_of, reason_against, remainder_of
from chartmogul_async.metrics.query import METRICS, MetricName

FIRST = date(2025, 1, 1)
QUERY = MetricQuery("mrr", "2025-01-01", "2025-12-31", interval="day")
FLOWS = ("mrr_new_business", "mrr_expansion", "mrr_contraction", "mrr_churn", "mrr_reactivation")


def mrr(*rows: tuple[Any, ...], change: float | None = 0.0, now: tuple[float, float] = (0, 0)) -> Series[Any, Any]:
    """A series of MRR with some of the five movements."""
    entries = [
        MRREntry(FIRST + timedelta(days=day), row[0], change, *(*row[1:], *[0] * (6 - len(row))))
        for day, row in enumerate(rows)
    ]
    return Series(tuple(entries), Summary(*now, 0.0), QUERY)


def test_the_remainder_is_what_is_in_no_segment() -> None:
    total = mrr((100, 50, 0, -3), (130, 40, 2, 0, -12), (0,), now=(300, 200))
    one, other = mrr((30, 20, 0, -1), (40, 5), (0,), now=(100, 50)), mrr((50,), (45, 0, 0, 0, -5), (0,), now=(50, 50))
    remainder = remainder_of(total, [one, other])
    assert remainder is not None
    assert [(entry.mrr, *(getattr(entry, flow) for flow in FLOWS)) for entry in remainder] == [
        (20, 30, 0, -2, 0, 0),
        (45, 35, 2, 0, -7, 0),
        (0, 0, 0, 0, 0, 0),
    ]
    assert [entry.date for entry in remainder] == [entry.date for entry in total]
    # As the API computes changes: 0.0 at first, and after a 0.
    assert [entry.percentage_change for entry in remainder] == [0.0, 125.0, -100.0]
    assert remainder.summary == Summary(150, 100, 50.0)
    assert remainder.query == QUERY


def test_a_change_is_relative_to_an_absolute_value() -> None:
    remainder = remainder_of(mrr((-30,), (60,), (0,), (5,)), [])
    assert remainder is not None
    assert [entry.percentage_change for entry in remainder] == [0.0, 300.0, -100.0, 0.0]


def test_fractions_of_a_cent_leave_no_dust() -> None:
    """Old responses have them, and 0.3 - (0.1 + 0.2) is not 0 in binary."""
    total, segments = mrr((0.3,), (0.75,), now=(0.3, 3)), [mrr((0.1,), (0.3,), now=(0.1, 1)), mrr((0.2,), (0.4,))]
    remainder = remainder_of(total, segments)
    assert remainder is not None
    assert [(entry.mrr, entry.percentage_change) for entry in remainder] == [(0.0, 0.0), (0.05, 0.0)]
    assert (remainder.summary.current, remainder.summary.previous) == (0.2, 2)
    with localcontext(prec=2):
        exact = remainder_of(mrr((1234.5,)), [mrr((0.125,))])
    assert exact is not None
    assert exact[0].mrr == 1234.375


def test_without_segments_all_remains() -> None:
    total = mrr((7, 7), (9, 2), now=(9, 7))
    remainder = remainder_of(total, [])
    assert remainder is not None
    assert [entry.mrr for entry in remainder] == [7, 9]
    assert [entry.mrr_new_business for entry in remainder] == [7, 2]


@pytest.mark.parametrize("segment", [mrr((1,)), mrr((1,), (1,), (1,))], ids=["shorter", "longer"])
def test_other_dates_have_no_remainder(segment: Series[Any, Any]) -> None:
    assert remainder_of(mrr((5,), (5,)), [mrr((1,), (1,)), segment]) is None


def test_an_empty_series_has_an_empty_remainder() -> None:
    remainder = remainder_of(mrr(now=(5, 4)), [mrr(now=(1, 1))])
    assert remainder == Series((), Summary(4, 3, 33.33), QUERY)


def test_responses_of_the_closed_beta_have_no_movements() -> None:
    total, part = mrr((5, *[None] * 5), (6, *[None] * 5), change=None), mrr((2, *[None] * 5), (2, 1), change=None)
    remainder = remainder_of(total, [part])
    assert remainder is not None
    assert [(entry.mrr, entry.mrr_churn, entry.percentage_change) for entry in remainder] == [
        (3, None, None),
        (4, None, None),
    ]
    assert list(discrepancies_of([("a", part), ("total", total)], remainder)) == []


def test_a_segment_alone_may_lack_movements() -> None:
    remainder = remainder_of(mrr((5, 1)), [mrr((2, *[None] * 5))])
    assert remainder is not None
    assert (remainder[0].mrr, remainder[0].mrr_new_business) == (3, None)


@pytest.mark.parametrize(("cls", "field"), [(ARREntry, "arr"), (CustomerCountEntry, "customers")])
def test_other_metrics_have_a_remainder_of_their_class(cls: Any, field: str) -> None:
    def series(*values: int) -> Series[Any, Any]:
        entries = [cls(FIRST + timedelta(days=day), value, 0.0) for day, value in enumerate(values)]
        return Series(tuple(entries), Summary(0, 0, 0.0), QUERY)

    assert remainder_of(series(10, 20), [series(1, 2), series(4, 4)]) == Series(
        (cls(FIRST, 5, 0.0), cls(FIRST + timedelta(days=1), 14, 180.0)), Summary(0, 0, 0.0), QUERY
    )


rows = st.lists(st.tuples(*[st.integers(-(10**9), 10**9)] * 6), min_size=3, max_size=3)


@given(st.lists(rows, min_size=1, max_size=4))
def test_segments_and_remainder_are_the_total(parts: list[list[tuple[int, ...]]]) -> None:
    total, *segments = (mrr(*part) for part in parts)
    remainder = remainder_of(total, segments)
    assert remainder is not None
    for index, whole in enumerate(total):
        for name in ("mrr", *FLOWS):
            assert sum(getattr(part[index], name) for part in [*segments, remainder]) == getattr(whole, name)


# --- what adds up ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_what_adds_up_over_which_parts(metric: MetricName) -> None:
    over: tuple[Parts, ...] = ("subscriptions", "customers", "overlapping")
    adds_up = {parts for parts in over if reason_against(metric, parts) is None}
    expected = {"mrr": {"subscriptions", "customers"}, "arr": {"subscriptions", "customers"}}
    assert adds_up == {**expected, "customer_count": {"customers"}}.get(metric, set())


def test_reasons_are_in_words() -> None:
    assert reason_against("arpa", "customers") == (
        "arpa is an average or a rate, which does not add up: the total is the figure of the whole"
    )
    assert reason_against("all", "customers") == (
        "most of the key metrics are averages, rates or counts, which do not add up: ask for mrr and arr"
    )
    assert reason_against("customer_count", "subscriptions") == (
        "customers do not add up over plans: one who has two plans is counted with each of them"
    )
    assert reason_against("mrr", "overlapping") == "the segments may overlap, so they are not added up"


# --- discrepancies -----------------------------------------------------------------------------------------


def test_mrr_that_no_movement_explains_is_named() -> None:
    """A customer moved from one segment to the other, and neither says so."""
    one, other = mrr((100,), (60, 10)), mrr((100,), (150,))
    total = mrr((200,), (210, 10))
    found = list(
        discrepancies_of([("one", one), ("other", other), ("total", total)], remainder_of(total, [one, other]))
    )
    day = date(2025, 1, 2)
    assert found == [Discrepancy("one", day, "mrr", -50), Discrepancy("other", day, "mrr", 50)]


def test_a_move_that_is_churn_and_new_business_is_named() -> None:
    """Each segment explains itself, and the account knows nothing of it."""
    one, other = mrr((100,), (50, 0, 0, 0, -50)), mrr((100,), (150, 50))
    total = mrr((200,), (200,))
    found = list(
        discrepancies_of([("one", one), ("other", other), ("total", total)], remainder_of(total, [one, other]))
    )
    day = date(2025, 1, 2)
    assert found == [
        Discrepancy("remainder", day, "mrr_new_business", -50),
        Discrepancy("remainder", day, "mrr_churn", 50),
    ]


@pytest.mark.parametrize(("cents", "number"), [(-4, 1), (-3.5, 0), (3, 0), (3.5, 0), (4, 1)])
def test_rounding_of_seven_figures_is_no_discrepancy(cents: float, number: int) -> None:
    found = list(discrepancies_of([("one", mrr((100,), (110 + cents, 10)))], None))
    assert len(found) == number


@pytest.mark.parametrize(("cents", "number"), [(-2, 1), (-1, 0), (1, 0)])
def test_rounding_of_each_segment_is_no_discrepancy(cents: int, number: int) -> None:
    named = [("one", mrr((100,))), ("total", mrr((100,)))]
    assert len(list(discrepancies_of(named, mrr((0, cents))))) == number
    assert len(list(discrepancies_of(named, mrr((0, 0, 0, -cents))))) == number


def test_figures_that_reconcile_have_no_discrepancies() -> None:
    total, part = mrr((200, 0, 1), (210, 10, 3, -3, -3, 3)), mrr((100, 0, 1), (105, 5, 0, 0, -3, 3))
    assert list(discrepancies_of([("part", part), ("total", total)], remainder_of(total, [part]))) == []
