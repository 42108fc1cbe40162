"""How the API cuts a range of days into entries.

Written apart from the client's own calendar, on purpose: the sandbox is the client's referee, and two that
share their arithmetic would share its mistakes.
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
"""The words the API takes for ``interval``."""

INTERVALS: tuple[Interval, ...] = get_args(Interval)
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@frozen
class Period:
    """The days of one entry, both ends included, as ordinals (``date.toordinal``), for they are looked up
    in tables.
    """

    first: int
    last: int


def periods(start: date, end: date, interval: Interval, week_start_on: WeekStart) -> Iterator[Period]:
    """Cut ``start`` to ``end`` along the calendar.

    The first period begins at ``start`` even in mid-interval, the last one ends at ``end`` even before its
    interval does, and between them nothing is left out. Weeks end on the day before ``week_start_on``.
    """
    first, end_at = start.toordinal(), end.toordinal()
    while first <= end_at:
        last = min(_interval_end(first, interval, week_start_on), end_at)
        yield Period(first, last)
        first = last + 1


@lru_cache(maxsize=8192)  # asked four times for each day of a long answer
def month_of(day: int) -> Period:
    """The whole calendar month in which the day lies."""
    when = date.fromordinal(day)
    return Period(day - when.day + 1, _interval_end(day, "month", "monday"))


def month_before(month: Period) -> Period:
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
