from __future__ import annotations

import calendar
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async.sandbox.company import WeekStart
from chartmogul_async.sandbox.periods import INTERVALS, DayRange, Interval, month_before, month_of, periods

DAYS = st.dates(date(1999, 1, 1), date(2031, 12, 31))


def end_dates(start: str, end: str, interval: Interval, week: WeekStart = "monday") -> list[str]:
    divided = periods(date.fromisoformat(start), date.fromisoformat(end), interval, week)
    return [date.fromordinal(period.last).isoformat() for period in divided]


def test_the_recorded_months_of_2016() -> None:
    assert end_dates("2015-01-01", "2015-02-01", "month") == ["2015-01-31", "2015-02-01"]


def test_the_recorded_days_of_2016() -> None:
    days = end_dates("2015-01-01", "2015-02-01", "day")
    assert len(days) == 32
    assert (days[0], days[-1]) == ("2015-01-01", "2015-02-01")


def test_weeks_end_on_the_day_before_week_start_on() -> None:
    # The first range is the documentation's example: from a Thursday, weeks that start on Sunday.
    assert end_dates("2015-01-01", "2015-01-12", "week", "sunday") == ["2015-01-03", "2015-01-10", "2015-01-12"]
    assert end_dates("2015-01-01", "2015-01-12", "week", "monday") == ["2015-01-04", "2015-01-11", "2015-01-12"]


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ("quarter", ["2023-09-30", "2023-12-31", "2024-03-31", "2024-05-02"]),
        ("year", ["2023-12-31", "2024-05-02"]),
    ],
)
def test_a_range_may_start_in_mid_interval(interval: Interval, expected: list[str]) -> None:
    assert end_dates("2023-08-15", "2024-05-02", interval) == expected


def test_february() -> None:
    assert end_dates("2024-02-10", "2024-02-29", "month") == ["2024-02-29"]
    assert end_dates("2023-02-10", "2023-03-01", "month") == ["2023-02-28", "2023-03-01"]


def test_the_last_day_of_the_calendar() -> None:
    for interval in INTERVALS:
        assert end_dates("9999-12-31", "9999-12-31", interval) == ["9999-12-31"]


@given(DAYS, st.integers(0, 900), st.sampled_from(INTERVALS), st.sampled_from(["monday", "sunday"]))
def test_periods_are_whole_intervals_without_gaps(start: date, days: int, interval: Interval, week: WeekStart) -> None:
    end = start + timedelta(days)
    divided = list(periods(start, end, interval, week))
    assert divided[0].first == start.toordinal()
    assert divided[-1].last == end.toordinal()
    assert all(before.last + 1 == after.first for before, after in pairwise(divided))
    for period in divided:
        first, last = date.fromordinal(period.first), date.fromordinal(period.last)
        if last < end:
            assert ends_interval(last, interval, week)
        within = [date.fromordinal(day) for day in range(period.first, period.last)]
        assert not any(ends_interval(day, interval, week) for day in within), (first, last)


def ends_interval(day: date, interval: Interval, week: WeekStart) -> bool:
    after = day + timedelta(1)
    return {
        "day": True,
        "week": after.strftime("%A").lower() == week,
        "month": after.day == 1,
        "quarter": after.day == 1 and after.month in (1, 4, 7, 10),
        "year": (after.day, after.month) == (1, 1),
    }[interval]


@given(DAYS)
def test_months(day: date) -> None:
    month = month_of(day.toordinal())
    assert date.fromordinal(month.first) == day.replace(day=1)
    assert month.last - month.first + 1 == calendar.monthrange(day.year, day.month)[1]
    assert month_before(month).last == month.first - 1
    assert date.fromordinal(month_before(month).first).day == 1
    assert month == DayRange(month.first, month.last)
