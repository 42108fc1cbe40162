"""Ranges of days in words: "2024-03", "2024-Q1", "2024", the last twelve months, this quarter.

::

    await client.metrics.mrr("2024-Q1")
    await client.metrics.mrr("2024-Q1", "2025-02")
    await client.metrics.mrr(last(12, "month", today=account.today()))

What "last" and "this" mean depends on today, and where a day begins depends on the account's time zone. So today is an
argument, and nothing here looks at the clock but ``today_in``, which is given the time zone.
"""

import re
from datetime import date, datetime
from typing import NamedTuple

from chartmogul_async import checks
from chartmogul_async.errors import ArgumentError
from chartmogul_async.intervals import (
    INTERVALS,
    WEEK_STARTS,
    Interval,
    WeekStart,
    interval_end,
    interval_start,
    intervals_before,
)

# How the command line writes the last intervals: "12m".
_SHORT = re.compile("([0-9]{1,5}) ?([dwmqy])", re.ASCII | re.IGNORECASE)
_WORDS = re.compile("([0-9]{4})(?:-(?:(0[1-9]|1[0-2])|[Qq]([1-4])))?")


class Period(NamedTuple):
    """A range of days, both ends included, that every metric takes in place of its two dates.

    Attributes:
        start: The first day.
        end: The last day.
    """

    start: date
    end: date


def period(words: str) -> Period:
    """Read the name of a month, a quarter or a year.

    Args:
        words: ``"2024-03"``, ``"2024-Q1"`` or ``"2024"``.

    Returns:
        All its days.

    Raises:
        ArgumentError: ``words must be a month, a quarter or a year such as '2024-03', '2024-Q1' or '2024', not 'Q1'``.
    """
    found = named(words)
    if found is None:
        raise ArgumentError(
            "words must be a month, a quarter or a year such as '2024-03', '2024-Q1' or '2024', "
            f"not {checks.shown(words)}{hint_for(words)}"
        )
    return found


def named(value: object) -> Period | None:
    """Find the period that a value names.

    Args:
        value: Anything.

    Returns:
        The period; None for whatever is not the name of a month, a quarter or a year.
    """
    words = _WORDS.fullmatch(value) if isinstance(value, str) else None
    # The calendar begins with the year 1.
    if words is None or words[1] == "0000":
        return None
    year, month, quarter = words.groups()
    if month:
        return _whole(date(int(year), int(month), 1), "month")
    if quarter:
        return _whole(date(int(year), int(quarter) * 3 - 2, 1), "quarter")
    return _whole(date(int(year), 1, 1), "year")


def hint_for(value: object) -> str:
    """Say how the last intervals are written, where a value abbreviates them.

    Args:
        value: Anything.

    Returns:
        The end of a message about the value, such as ``: the last 12 months are last(12, "month", ...)``. It is empty
        for whatever is not such an abbreviation.
    """
    short = _SHORT.fullmatch(value) if isinstance(value, str) else None
    if short is None:
        return ""
    number = int(short[1])
    (interval,) = (interval for interval in INTERVALS if interval[0] == short[2].lower())
    whole = interval if number == 1 else f"{number} {interval}s"
    return f': the last {whole} {"is" if number == 1 else "are"} last({number}, "{interval}", today=account.today())'


def last(count: int, interval: Interval, *, today: date | str, week_start: WeekStart = "monday") -> Period:
    """Find the last whole intervals: those that are over, so the one that contains today is not among them.

    Args:
        count: How many.
        interval: ``"day"``, ``"week"``, ``"month"``, ``"quarter"`` or ``"year"``.
        today: The current day where the account is: ``account.today()``.
        week_start: The first day of the account's weeks: ``account.week_start_on``.

    Returns:
        Their days; ``last(2, "month", today="2024-03-15")`` are those of January and February.

    Raises:
        ArgumentError: An argument cannot be right, or the calendar has no such day.
    """
    number, day, kind, starts = checks.positive_integer("count", count), *_checked(today, interval, week_start)
    try:
        start = intervals_before(day, number, kind, starts)
        end = interval_end(intervals_before(day, 1, kind, starts), kind, starts)
    except (ValueError, OverflowError):
        raise ArgumentError(f"count must be smaller: the calendar does not reach back {number} {kind}s") from None
    return Period(start, end)


def this(interval: Interval, *, today: date | str, week_start: WeekStart = "monday") -> Period:
    """Find the days of the interval that contains today, as far as it has come.

    Args:
        interval: ``"day"``, ``"week"``, ``"month"``, ``"quarter"`` or ``"year"``.
        today: The current day where the account is: ``account.today()``.
        week_start: The first day of the account's weeks: ``account.week_start_on``.

    Returns:
        The days from its first one to today. Figures of today are those so far.

    Raises:
        ArgumentError: An argument cannot be right.
    """
    day, kind, starts = _checked(today, interval, week_start)
    return Period(interval_start(day, kind, starts), day)


def today_in(time_zone: str) -> date:
    """Look at the clock of this machine for the current day in a time zone.

    Args:
        time_zone: A name of the IANA database, such as ``"Europe/Berlin"``.

    Returns:
        The current day there.

    Raises:
        ArgumentError: This machine does not know the time zone.
    """
    # Queries know periods, and hardly any of them needs the database.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return datetime.now(ZoneInfo(time_zone)).date()
    # The others are those of names that are not strings, or that are paths.
    except (ZoneInfoNotFoundError, ValueError, TypeError, AttributeError, OSError):
        raise ArgumentError(
            "time_zone must be one that this machine knows, such as 'Europe/Berlin' (the package tzdata has them all), "
            f"not {checks.shown(time_zone)}"
        ) from None


def _whole(day: date, interval: Interval) -> Period:
    return Period(interval_start(day, interval), interval_end(day, interval))


def _checked(today: date | str, interval: Interval, week_start: WeekStart) -> tuple[date, Interval, WeekStart]:
    return (
        checks.calendar_day("today", today),
        checks.one_of("interval", interval, INTERVALS),
        checks.one_of("week_start", week_start, WEEK_STARTS),
    )
