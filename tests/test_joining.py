"""The responses to slices, joined: what makes them fit, and what does not."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from chartmogul_async.intervals import Slice
from chartmogul_async.metrics.joining import have_one_summary, joined
from chartmogul_async.metrics.records import ARREntry, MetricResponse, Summary

JANUARY, FEBRUARY, MARCH, APRIL = (date(2024, month, day) for month, day in ((1, 31), (2, 29), (3, 31), (4, 30)))
# January and February, then March and April with February as its overlap.
FIRST = Slice(start=date(2024, 1, 1), end=FEBRUARY, own_start=date(2024, 1, 1), own_end=FEBRUARY)
SECOND = Slice(start=date(2024, 2, 1), end=APRIL, own_start=date(2024, 3, 1), own_end=APRIL)


def entries(*days: date, arr: int = 12, change: float = 0.0) -> list[ARREntry]:
    return [ARREntry(day, arr, change) for day in days]


def response(*parts: list[ARREntry], summary: int = 1) -> MetricResponse[Any, Any]:
    return MetricResponse(tuple(entry for part in parts for entry in part), Summary(summary, 1, 0.0))


def dates_of(first: MetricResponse[Any, Any], second: MetricResponse[Any, Any]) -> list[date] | None:
    whole = joined([FIRST, SECOND], [first, second])
    return None if whole is None else [entry.date for entry in whole]


def test_an_overlap_that_agrees_is_dropped() -> None:
    first = response(entries(JANUARY), entries(FEBRUARY, change=5.0))
    second = response(entries(FEBRUARY, MARCH, APRIL))
    whole = joined([FIRST, SECOND], [first, second])
    assert whole is not None
    assert [entry.date for entry in whole] == [JANUARY, FEBRUARY, MARCH, APRIL]
    assert whole[1].percentage_change == 5.0, "that of the response which has its predecessor"


def test_days_at_the_edge_of_a_slice_belong_to_it() -> None:
    days = [date(2024, 1, day) for day in range(1, 5)]
    first = Slice(start=days[0], end=days[1], own_start=days[0], own_end=days[1])
    second = Slice(start=days[1], end=days[3], own_start=days[2], own_end=days[3])
    whole = joined([first, second], [response(entries(*days[:2])), response(entries(*days[1:]))])
    assert whole == tuple(entries(*days))
    assert joined([first, second], [response(entries(*days[:2])), response(entries(*days[2:]))]) is None


def test_only_the_last_entry_is_compared() -> None:
    second = Slice(start=date(2024, 1, 1), end=APRIL, own_start=date(2024, 3, 1), own_end=APRIL)
    changed = response(entries(JANUARY, arr=99), entries(FEBRUARY, MARCH, APRIL))
    whole = joined([FIRST, second], [response(entries(JANUARY, FEBRUARY)), changed])
    assert whole == tuple(entries(JANUARY, FEBRUARY, MARCH, APRIL))


def test_an_overlap_with_another_figure_does_not_fit() -> None:
    second = response(entries(FEBRUARY, arr=13), entries(MARCH, APRIL))
    assert dates_of(response(entries(JANUARY, FEBRUARY)), second) is None


def test_entries_without_the_overlap_do_not_fit() -> None:
    """The first of them would be without its predecessor."""
    assert dates_of(response(entries(JANUARY, FEBRUARY)), response(entries(MARCH, APRIL))) is None
    # Also where the entry before was not asked for again.
    assert dates_of(response(entries(JANUARY)), response(entries(MARCH, APRIL))) is None


def test_slices_without_entries_fit_where_nothing_overlaps() -> None:
    assert dates_of(response(), response(entries(MARCH, APRIL))) == [MARCH, APRIL]
    assert dates_of(response(entries(JANUARY)), response()) == [JANUARY]
    assert dates_of(response(), response()) == []
    assert dates_of(response(entries(FEBRUARY)), response()) is None, "the overlap is missing"


@pytest.mark.parametrize("days", [(FEBRUARY, JANUARY), (JANUARY, JANUARY)], ids=["descending", "twice"])
def test_dates_must_ascend(days: tuple[date, ...]) -> None:
    assert joined([FIRST], [response(entries(*days))]) is None


def test_at_the_ends_of_the_range_no_date_is_dropped() -> None:
    """A server may give any date to a part of an interval."""
    early, late = date(2023, 12, 31), date(2024, 5, 31)
    first = response(entries(early, JANUARY, FEBRUARY))
    second = response(entries(FEBRUARY, MARCH, late))
    assert dates_of(first, second) == [early, JANUARY, FEBRUARY, MARCH, late]


def test_beyond_its_own_days_a_slice_is_cut() -> None:
    first = Slice(start=date(2024, 1, 1), end=MARCH, own_start=date(2024, 1, 1), own_end=FEBRUARY)
    whole = joined([first], [response(entries(JANUARY, FEBRUARY, MARCH))])
    assert whole == tuple(entries(JANUARY, FEBRUARY))


def test_summaries_are_compared_with_each_other() -> None:
    assert have_one_summary([response()])
    assert have_one_summary([response(), response(), response()])
    assert not have_one_summary([response(), response(), response(summary=2)])
