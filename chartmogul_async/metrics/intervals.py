"""Calendar arithmetic: how a range of days falls into intervals, and into slices of whole intervals.

Every function here is pure. Source of the rules: an entry is dated by the last day of its interval, the last
one by the end of the range (https://dev.chartmogul.com/reference/metrics/all, and recorded answers).
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple

from attrs import frozen

Interval = Literal["day", "week", "month", "quarter", "year"]
INTERVALS: tuple[Interval, ...] = ("day", "week", "month", "quarter", "year")

WeekStart = Literal["monday", "sunday"]

_MONTHS: dict[Interval, int] = {"month": 1, "quarter": 3, "year": 12}
_DAY = timedelta(days=1)


class Span(NamedTuple):
    """The days of one interval that lie in the range, both ends included."""

    start: date
    end: date


@frozen
class Slice:
    """A part of a range that one request asks for.

    Every slice but the first starts one interval early: that interval, the *seam*, is the last one of the
    slice before, so the two answers can be held against each other and no entry is left without its
    predecessor.
    """

    start: date
    end: date
    has_seam: bool


def interval_end(day: date, interval: Interval, week_start: WeekStart = "monday") -> date:
    """The last day of the interval that ``day`` lies in; ``date.max`` where the calendar ends before it."""
    if interval == "day":
        return day
    if interval == "week":
        last = 6 if week_start == "monday" else 5  # the number of Sunday, or of Saturday
        days_left = (last - day.weekday()) % 7
        return day + timedelta(days=min(days_left, (date.max - day).days))
    months = _MONTHS[interval]
    month = (day.month + months - 1) // months * months
    return date(day.year, month, calendar.monthrange(day.year, month)[1])


def spans(start: date, end: date, interval: Interval, week_start: WeekStart = "monday") -> Iterator[Span]:
    """The intervals that a range touches, in order; the first and the last are cut to the range."""
    while True:
        last = min(interval_end(start, interval, week_start), end)
        yield Span(start, last)
        if last == end:
            return
        start = last + _DAY


def count(start: date, end: date, interval: Interval) -> int:
    """How many entries a range gives; for weeks it may be one short, as the start of the week is not asked."""
    days = (end - start).days + 1
    if interval == "day":
        return days
    if interval == "week":
        return -(-days // 7)
    months = _MONTHS[interval]
    return (end.year * 12 + end.month - 1) // months - (start.year * 12 + start.month - 1) // months + 1


def slices(
    start: date, end: date, interval: Interval, parts: int, week_start: WeekStart = "monday"
) -> tuple[Slice, ...]:
    """Cut a range along interval boundaries into at most ``parts`` slices of about equal length."""
    whole = tuple(spans(start, end, interval, week_start))
    parts = max(1, min(parts, len(whole)))
    cuts = [len(whole) * part // parts for part in range(parts + 1)]
    return tuple(
        Slice(whole[first - 1 if first else 0].start, whole[after - 1].end, has_seam=first > 0)
        for first, after in pairwise(cuts)
    )
