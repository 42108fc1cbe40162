"""Ranges of days in words."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async import Account, MetricQuery, intervals, periods
from chartmogul_async.errors import ArgumentError
from chartmogul_async.intervals import INTERVALS, WEEK_STARTS, Interval, WeekStart
from chartmogul_async.periods import Period, last, period, this, today_in

# Far from both ends of the calendar.
DAYS = st.dates(date(1000, 1, 1), date(3000, 1, 1))
ONE_DAY = timedelta(days=1)


def days(start: str, end: str) -> Period:
    return Period(date.fromisoformat(start), date.fromisoformat(end))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("2024-02", days("2024-02-01", "2024-02-29")),
        ("2023-12", days("2023-12-01", "2023-12-31")),
        ("2024-Q1", days("2024-01-01", "2024-03-31")),
        ("2024-q4", days("2024-10-01", "2024-12-31")),
        ("2024", days("2024-01-01", "2024-12-31")),
        ("0001", days("0001-01-01", "0001-12-31")),
        ("9999-Q4", days("9999-10-01", "9999-12-31")),
    ],
)
def test_words_name_all_days_of_a_period(words: str, expected: Period) -> None:
    assert period(words) == expected


@pytest.mark.parametrize(
    "words", ["", "Q1", "2024-13", "2024-00", "2024-Q5", "2024-1", "24-01", "0000", "\uff12024", 2024]
)
def test_other_words_are_refused(words: Any) -> None:
    with pytest.raises(ArgumentError) as raised:
        period(words)
    assert str(raised.value) == (
        f"words must be a month, a quarter or a year such as '2024-03', '2024-Q1' or '2024', not {words!r}"
    )


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("12m", 'the last 12 months are last(12, "month", today=account.today())'),
        ("1Y", 'the last year is last(1, "year", today=account.today())'),
        ("30 d", 'the last 30 days are last(30, "day", today=account.today())'),
        ("8w", 'the last 8 weeks are last(8, "week", today=account.today())'),
        ("4q", 'the last 4 quarters are last(4, "quarter", today=account.today())'),
    ],
)
def test_what_the_command_line_takes_gets_a_hint(words: str, hint: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        period(words)
    assert str(raised.value).endswith(f", not '{words}': {hint}")
    with pytest.raises(ArgumentError, match=re.escape(f"or a period such as '2023-Q3', not '{words}': {hint}")):
        MetricQuery("mrr", words)
    with pytest.raises(ArgumentError, match=re.escape(f"or a period such as '2023-Q3', not '{words}': {hint}")):
        MetricQuery("mrr", "2024-01-01", words)


@pytest.mark.parametrize("value", ["12", "m", "12x", "123456m", "12m3", "\uff12m", 12, None, b"12m"])
def test_other_values_get_no_hint(value: object) -> None:
    assert periods.hint_for(value) == ""


@pytest.mark.parametrize(
    ("count", "interval", "week_start", "expected"),
    [
        (1, "day", "monday", days("2024-03-14", "2024-03-14")),
        (30, "day", "monday", days("2024-02-14", "2024-03-14")),
        (1, "week", "monday", days("2024-03-04", "2024-03-10")),
        (2, "week", "sunday", days("2024-02-25", "2024-03-09")),
        (1, "month", "monday", days("2024-02-01", "2024-02-29")),
        (12, "month", "monday", days("2023-03-01", "2024-02-29")),
        (1, "quarter", "monday", days("2023-10-01", "2023-12-31")),
        (3, "year", "monday", days("2021-01-01", "2023-12-31")),
    ],
)
def test_last_is_whole_intervals_that_are_over(
    count: int, interval: Interval, week_start: WeekStart, expected: Period
) -> None:
    # A Thursday.
    assert last(count, interval, today="2024-03-15", week_start=week_start) == expected


@pytest.mark.parametrize(
    ("interval", "week_start", "start"),
    [
        ("day", "monday", "2024-03-15"),
        ("week", "monday", "2024-03-11"),
        ("week", "sunday", "2024-03-10"),
        ("month", "monday", "2024-03-01"),
        ("quarter", "monday", "2024-01-01"),
        ("year", "monday", "2024-01-01"),
    ],
)
def test_this_is_the_interval_up_to_today(interval: Interval, week_start: WeekStart, start: str) -> None:
    assert this(interval, today=date(2024, 3, 15), week_start=week_start) == days(start, "2024-03-15")


@given(st.integers(1, 40), st.sampled_from(INTERVALS), DAYS, st.sampled_from(WEEK_STARTS))
def test_last_ends_where_this_begins(count: int, interval: Interval, today: date, week_start: WeekStart) -> None:
    before = last(count, interval, today=today, week_start=week_start)
    current = this(interval, today=today, week_start=week_start)
    assert before.end + ONE_DAY == current.start
    assert len(list(intervals.spans(*before, interval, week_start))) == count
    assert intervals.interval_end(before.end, interval, week_start) == before.end
    assert intervals.interval_end(before.start - ONE_DAY, interval, week_start) == before.start - ONE_DAY


@given(st.sampled_from(INTERVALS), st.dates(), st.sampled_from(WEEK_STARTS))
def test_an_interval_contains_its_days(interval: Interval, day: date, week_start: WeekStart) -> None:
    start, end = (of(day, interval, week_start) for of in (intervals.interval_start, intervals.interval_end))
    assert start <= day <= end
    assert intervals.interval_end(start, interval, week_start) == end
    assert intervals.intervals_before(day, 0, interval, week_start) == start


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count must be a positive integer, not 0"),
        ({"interval": "fortnight"}, "interval must be one of day, week, month, quarter, year, not 'fortnight'"),
        ({"today": "now"}, "today must be a date, a datetime or an ISO string such as '2023-07-01', not 'now'"),
        ({"week_start": "friday"}, "week_start must be one of monday, sunday, not 'friday'"),
        ({"count": 30_000}, "count must be smaller: the calendar does not reach back 30000 months"),
        (
            {"count": 10**15, "interval": "day"},
            f"count must be smaller: the calendar does not reach back {10**15} days",
        ),
    ],
)
def test_an_argument_that_cannot_be_right_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        last(**{"count": 1, "interval": "month", "today": "2024-03-15", **arguments})
    assert str(raised.value) == message


def test_today_is_asked_for() -> None:
    """It is never the clock's, unseen."""
    with pytest.raises(TypeError, match="'today'"):
        this("month")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("time_zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_today_is_that_of_a_time_zone(time_zone: str) -> None:
    before = datetime.now(ZoneInfo(time_zone)).date()
    found = Account("Acme", "USD", time_zone, "monday").today()
    # Midnight may pass meanwhile.
    assert before <= found <= before + ONE_DAY


def test_two_time_zones_never_have_the_same_day() -> None:
    """They are 25 hours apart."""
    assert today_in("Pacific/Kiritimati") > today_in("Pacific/Pago_Pago")


@pytest.mark.parametrize("time_zone", ["Mars/Olympus", "", "../etc/passwd", "Europe", 5, None])
def test_an_unknown_time_zone_is_named(time_zone: Any) -> None:
    with pytest.raises(ArgumentError) as raised:
        today_in(time_zone)
    assert str(raised.value) == (
        "time_zone must be one that this machine knows, such as 'Europe/Berlin' (the package tzdata has them all), "
        f"not {time_zone!r}"
    )


def test_the_public_names_of_the_module() -> None:
    assert periods.Period._fields == ("start", "end")
