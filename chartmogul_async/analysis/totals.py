"""What can be summed over intervals, and what cannot; which entries are of part of an interval."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Protocol

from chartmogul_async import checks
from chartmogul_async.analysis.entries import Entry, Number, Query, fields_of, figure_of, in_order
from chartmogul_async.errors import ArgumentError
from chartmogul_async.intervals import WEEK_STARTS, WeekStart, interval_end, interval_start

_WHY_NOT = {
    "stock": "is a stock, as at the end of each interval, so its sum counts the same money or customers again for each "
    "interval; take the value of the last entry",
    "average": "is an average, and averages do not add up; divide the sum of what it was made of, or show each value",
    "rate": "is a rate, and rates do not add up; work it out again over the whole range, or show each value",
}
_SATURDAY = 5
_SUNDAY_TO_SATURDAY = timedelta(days=6)


class QueriedEntries(Protocol):
    """A series: entries in order, and what was asked for."""

    @property
    def query(self) -> Query:
        """What was asked for."""
        ...

    def __iter__(self) -> Iterator[Entry]:
        """The entries in order."""
        ...


def total(entries: Iterable[Entry], figure: str) -> Number:
    """Sum a flow over all intervals: one of the movements of the MRR.

    Nothing else can be summed. An MRR of twelve months is not a yearly revenue, and a mean of rates is not the rate of
    the whole.

    Args:
        entries: A series, or some of its entries in order.
        figure: The name of a field, such as ``"mrr_new_business"``.

    Returns:
        The sum in the unit of the figure, which is cents for all flows; 0 if there are no entries.

    Raises:
        ArgumentError: ``mrr must not be summed: it is a stock, as at the end of each interval, ...``; or the entries
            have no such figure, or a value of it is None, as in the closed beta.
    """
    given = in_order("entries", entries)
    if not given:
        return 0
    name = figure_of(given, figure)
    (field,) = (each for each in fields_of(given[0]) if each.name == name)
    kind = field.metadata.get("kind")
    if kind in _WHY_NOT:
        raise ArgumentError(f"{name} must not be summed: it {_WHY_NOT[kind]}")
    values: list[Number] = [getattr(entry, name) for entry in in_order("entries", given, name)]
    return sum(values)


def is_partial(series: QueriedEntries, *, today: date | str, week_start: WeekStart | None = None) -> tuple[bool, ...]:
    """Mark the entries of intervals that are not over, or that the range cuts.

    Their flows and rates are those of a part of the interval. A stock is right as it is, but not that of the
    interval's end.

    Args:
        series: A series of any metric.
        today: The current day where the account is: ``account.today()``. An interval is over when its last day is.
        week_start: The first day of the account's weeks, ``account.week_start_on``. By default it is read off the dates
            of the entries, and of the range if there is one entry.

    Returns:
        One bool for each entry.

    Raises:
        ArgumentError: An argument cannot be right.
    """
    entries = in_order("series", series)
    query = getattr(series, "query", None)
    if query is None:
        raise ArgumentError("series must be a series, whose query says what was asked for, not a part of one")
    over = min(query.end_date, checks.calendar_day("today", today) - timedelta(days=1))
    starts: WeekStart = (
        _week_start(entries, query) if week_start is None else checks.one_of("week_start", week_start, WEEK_STARTS)
    )
    return tuple(
        interval_start(entry.date, query.interval, starts) < query.start_date
        or interval_end(entry.date, query.interval, starts) > over
        for entry in entries
    )


def _week_start(entries: tuple[Entry, ...], query: Query) -> WeekStart:
    """The first entry ends with its week, if it is not the last one, or if it is the only one of seven days.

    The only entry of fewer days is of a part of a week, whatever day that begins with.
    """
    ends_with_week = len(entries) > 1 or query.end_date - query.start_date == _SUNDAY_TO_SATURDAY
    return "sunday" if ends_with_week and entries and entries[0].date.weekday() == _SATURDAY else "monday"
