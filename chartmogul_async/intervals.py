"""Calendar arithmetic: how a range of days divides into intervals, and into slices of whole intervals.

Every function is pure. An entry is dated by the last day of its interval, the last entry by the end of the range.

Source: https://dev.chartmogul.com/reference/metrics/all, and recorded responses
"""

import calendar
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple

from attrs import frozen

Interval = Literal["day", "week", "month", "quarter", "year"]
INTERVALS: tuple[Interval, ...] = ("day", "week", "month", "quarter", "year")

WeekStart = Literal["monday", "sunday"]
WEEK_STARTS: tuple[WeekStart, ...] = ("monday", "sunday")

_MONTHS: dict[Interval, int] = {"month": 1, "quarter": 3, "year": 12}
_DAY = timedelta(days=1)
# The overlap ends on the day before the slice's own first day, and 30 days more come before that.
_LOOKBACK = timedelta(days=31)

# As ``date.weekday()`` counts them.
_MONDAY, _SATURDAY, _SUNDAY = 0, 5, 6


class Span(NamedTuple):
    """The days of one interval that lie in the range.

    Attributes:
        start: The first of them.
        end: The last of them.
    """

    start: date
    end: date


@frozen
class Slice:
    """A part of a range that is fetched with one request.

    Every slice but the first asks for days of the slice before it, too. The last entry of those days is the *overlap*:
    the two responses can be compared there, and every entry that is kept has its predecessor in the same response.

    Attributes:
        start: The first day that is asked for.
        end: The last day that is asked for.
        own_start: The first day of which entries are kept.
        own_end: The last day of which entries are kept.
    """

    start: date
    end: date
    own_start: date
    own_end: date


def interval_end(day: date, interval: Interval, week_start: WeekStart = "monday") -> date:
    """Find the end of the interval that contains a day.

    Args:
        day: The day.
        interval: The kind of interval.
        week_start: The first day of the account's weeks.

    Returns:
        The last day of the interval; ``date.max`` where the calendar ends first.
    """
    if interval == "day":
        return day
    if interval == "week":
        last_weekday = _SUNDAY if week_start == "monday" else _SATURDAY
        days_left = (last_weekday - day.weekday()) % 7
        return day + timedelta(days=min(days_left, (date.max - day).days))
    months = _MONTHS[interval]
    month = (day.month + months - 1) // months * months
    return date(day.year, month, calendar.monthrange(day.year, month)[1])


def interval_start(day: date, interval: Interval, week_start: WeekStart = "monday") -> date:
    """Find the beginning of the interval that contains a day.

    Args:
        day: The day.
        interval: The kind of interval.
        week_start: The first day of the account's weeks.

    Returns:
        The first day of the interval; ``date.min`` where the calendar begins later.
    """
    if interval == "day":
        return day
    if interval == "week":
        first_weekday = _MONDAY if week_start == "monday" else _SUNDAY
        days_gone = (day.weekday() - first_weekday) % 7
        return day - timedelta(days=min(days_gone, (day - date.min).days))
    return months_later(day, -((day.month - 1) % _MONTHS[interval]))


def months_later(day: date, months: int) -> date:
    """Find the first day of the month that lies some months after that of a day.

    Args:
        day: The day.
        months: How many; a negative number for months before.

    Returns:
        The first day of that month.

    Raises:
        ValueError: The calendar has no such month.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, 1)


def intervals_before(day: date, count: int, interval: Interval, week_start: WeekStart = "monday") -> date:
    """Find the beginning of the interval that lies some intervals before the one that contains a day.

    Args:
        day: The day.
        count: How many intervals.
        interval: The kind of interval.
        week_start: The first day of the account's weeks.

    Returns:
        The first day of that interval.

    Raises:
        ValueError: The calendar has no such day.
        OverflowError: The same.
    """
    start = interval_start(day, interval, week_start)
    if interval in ("day", "week"):
        return start - count * timedelta(days=7 if interval == "week" else 1)
    return months_later(start, -count * _MONTHS[interval])


def is_month_end(day: date) -> bool:
    """Whether a day is the last one of its month, as the dates of whole months, quarters and years are.

    Args:
        day: The day.

    Returns:
        Whether it is.
    """
    return day == interval_end(day, "month")


def spans(start: date, end: date, interval: Interval, week_start: WeekStart = "monday") -> Iterator[Span]:
    """Divide a range into intervals.

    Args:
        start: The first day of the range.
        end: The last day of the range.
        interval: The kind of interval.
        week_start: The first day of the account's weeks.

    Returns:
        The intervals in order; the first and the last are cut to the range.
    """
    while True:
        last = min(interval_end(start, interval, week_start), end)
        yield Span(start, last)
        if last == end:
            return
        start = last + _DAY


def count(start: date, end: date, interval: Interval) -> int:
    """Count the entries of a range without generating its intervals.

    Args:
        start: The first day of the range.
        end: The last day of the range.
        interval: The kind of interval.

    Returns:
        The number of entries. For weeks it may be one too low, because the first day of the week is not considered.
    """
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
    """Cut a range along interval boundaries into slices of about equal length, each of which starts one interval early.

    Args:
        start: The first day of the range.
        end: The last day of the range.
        interval: The kind of interval.
        parts: The number of slices; there are fewer if the range has fewer intervals.
        week_start: The first day of the account's weeks.

    Returns:
        The slices in order, each but the first with its overlap.
    """
    whole = tuple(spans(start, end, interval, week_start))
    return tuple(
        Slice(whole[max(first - 1, 0)].start, whole[after - 1].end, whole[first].start, whole[after - 1].end)
        for first, after in _cuts(len(whole), parts)
    )


def slices_of_monthly_figures(
    start: date, end: date, interval: Interval, parts: int, week_start: WeekStart = "monday"
) -> tuple[Slice, ...]:
    """Cut a range into slices that ask for every day on which a monthly figure of theirs may depend.

    They reach from 30 days before the overlap, which includes the days of its month up to there, to the end of the last
    month, as far as these days lie in the range. So it makes no difference whether the server takes the part of the
    month that lies in the range, counts the month up to the entry, or looks back 30 days.

    Args:
        start: The first day of the range.
        end: The last day of the range.
        interval: The kind of interval. Days are cut at the ends of months, unless slices would be shorter than that.
        parts: The number of slices; there are fewer if the range has fewer intervals.
        week_start: The first day of the account's weeks.

    Returns:
        The slices in order, each but the first with its overlap.
    """
    whole = tuple(spans(start, end, interval, week_start))
    ends = [whole[after - 1].end for _, after in _cuts(len(whole), parts)]
    if interval == "day":
        ends_of_months = [min(end, interval_end(day, "month")) for day in ends]
        # Slices that are shorter than a month may end in the same one.
        ends = ends_of_months if len(set(ends_of_months)) == len(ends) else ends
    starts = [start, *(day + _DAY for day in ends[:-1])]
    return tuple(_with_months(*own, Span(start, end)) for own in zip(starts, ends, strict=True))


def _cuts(length: int, parts: int) -> Iterator[tuple[int, int]]:
    """Where each part of a sequence begins and ends."""
    parts = max(1, min(parts, length))
    return pairwise(length * part // parts for part in range(parts + 1))


def _with_months(own_start: date, own_end: date, whole: Span) -> Slice:
    # The calendar has no days before the year 1.
    start = own_start - min(_LOOKBACK, own_start - whole.start)
    end = min(whole.end, interval_end(own_end, "month"))
    return Slice(start, end, own_start, own_end)
