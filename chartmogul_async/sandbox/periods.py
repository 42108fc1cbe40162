"""How the API divides a range of days into entries.

Written independently of the client's own calendar on purpose: the tests check the client against the sandbox, and
shared arithmetic would share its mistakes.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import Literal, get_args

from attrs import frozen

from chartmogul_async.sandbox.company import WeekStart

Interval = Literal["day", "week", "month", "quarter", "year"]
"""The values that the API accepts for ``interval``."""

INTERVALS: tuple[Interval, ...] = get_args(Interval)
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@frozen
class DayRange:
    """The days of one entry, both ends included.

    Days are ordinals (``date.toordinal``), because they index tables.
    """

    first: int
    last: int


def periods(start: date, end: date, interval: Interval, week_start_on: WeekStart) -> Iterator[DayRange]:
    """Divide the days from ``start`` to ``end`` along the calendar.

    The first period begins at ``start`` even in mid-interval, the last one ends at ``end`` even before its interval
    does, and no day between them is left out.

    Args:
        start: The first day.
        end: The last day.
        interval: The length of a whole period.
        week_start_on: The account's first day of the week; weeks end on the day before it.

    Returns:
        The periods in order.
    """
    first, end_ordinal = start.toordinal(), end.toordinal()
    while first <= end_ordinal:
        last = min(_interval_end(first, interval, week_start_on), end_ordinal)
        yield DayRange(first, last)
        first = last + 1


# Four figures look up the month of each day, so a long daily range asks for each month thousands of times.
@lru_cache(maxsize=8192)
def month_of(day: int) -> DayRange:
    """The whole calendar month that contains the day."""
    when = date.fromordinal(day)
    return DayRange(day - when.day + 1, _interval_end(day, "month", "monday"))


def month_before(month: DayRange) -> DayRange:
    """The whole calendar month before this one."""
    return month_of(month.first - 1)


def _interval_end(day: int, interval: Interval, week_start_on: WeekStart) -> int:
    if interval == "day":
        return day
    if interval == "week":
        # Ordinal 1 was a Monday, so a Sunday is divisible by seven and a Saturday is one less.
        return day + -(day + (week_start_on == "sunday")) % 7
    when, months = date.fromordinal(day), _MONTHS[interval]
    month = (when.month - 1) // months * months + months
    return date(when.year, month, calendar.monthrange(when.year, month)[1]).toordinal()
