"""What the functions of ``analysis`` ask of entries, and the checks and divisions that they share.

The entries of every metric have what is asked for here, and so has whatever else has the same attributes.
"""

import math
from collections.abc import Iterable
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import attrs

from chartmogul_async import checks
from chartmogul_async.errors import ArgumentError
from chartmogul_async.intervals import INTERVALS, WEEK_STARTS, Interval, WeekStart, interval_end, is_month_end

Number = int | float

MOVEMENTS = ("mrr_new_business", "mrr_expansion", "mrr_contraction", "mrr_churn", "mrr_reactivation")
"""The names of the five movements of the MRR."""

# Where the numbers that a formula needs come from.
_MOVEMENTS = "those of client.metrics.mrr with movements, which the closed beta lacks"
_SOURCES = {
    **dict.fromkeys(("mrr", *MOVEMENTS), _MOVEMENTS),
    "customers": "entries of client.metrics.customer_count or all",
    "customer_churn_rate": "entries of client.metrics.customer_churn_rate or all",
}
_LONGEST_QUARTER = 92
_DAY = timedelta(days=1)
# Every third entry of months has the dates of quarters, and every twelfth one those of years.
_LIKE_MONTHS: tuple[Interval, ...] = ("quarter", "year")
_UP_TO_A_MONTH: tuple[Interval, ...] = ("day", "week", "month")


class Entry(Protocol):
    """The entry of any metric."""

    @property
    def date(self) -> date:
        """The last day of the interval, or of the part of it that was asked for."""
        ...


class Movements(Entry, Protocol):
    """An entry of ``client.metrics.mrr``: the MRR and its movements, in cents; losses are negative."""

    @property
    def mrr(self) -> Number:
        """At the end of the interval."""
        ...

    @property
    def mrr_new_business(self) -> Number | None:
        """Of new customers."""
        ...

    @property
    def mrr_expansion(self) -> Number | None:
        """What customers pay more than before."""
        ...

    @property
    def mrr_contraction(self) -> Number | None:
        """What customers pay less than before."""
        ...

    @property
    def mrr_churn(self) -> Number | None:
        """Of customers who left."""
        ...

    @property
    def mrr_reactivation(self) -> Number | None:
        """Of customers who came back."""
        ...


class Customers(Entry, Protocol):
    """An entry of ``client.metrics.customer_count`` or ``all``."""

    @property
    def customers(self) -> int:
        """At the end of the interval."""
        ...


class CustomerChurn(Entry, Protocol):
    """An entry of ``client.metrics.customer_churn_rate`` or ``all``."""

    @property
    def customer_churn_rate(self) -> float:
        """Of the interval, in percent."""
        ...


class Query(Protocol):
    """What was asked for."""

    @property
    def start_date(self) -> date:
        """The first day."""
        ...

    @property
    def end_date(self) -> date:
        """The last day."""
        ...

    @property
    def interval(self) -> Interval:
        """The length of an entry."""
        ...


E = TypeVar("E", bound=Entry)


def in_order(name: str, entries: Iterable[E], *needed: str) -> tuple[E, ...]:
    """Check that entries ascend and have what a formula needs.

    Args:
        name: The argument, as the caller wrote it.
        entries: What was given.
        needed: The names of the numbers that every entry must have.

    Returns:
        The entries.

    Raises:
        ArgumentError: One of them lacks a number, or the dates do not strictly ascend.
    """
    if not checks.is_iterable(entries) or isinstance(entries, (str, bytes)):
        raise ArgumentError(f"{name} must be a series or some of its entries in order, not {checks.shown(entries)}")
    ordered = tuple(entries)
    for entry in ordered:
        for each in ("date", *needed):
            if getattr(entry, each, None) is None:
                raise ArgumentError(
                    f"{name} must be {_SOURCES.get(each, 'entries with a date')}, not {checks.shown(entry)}"
                )
    for before, after in pairwise(ordered):
        if before.date >= after.date:
            raise ArgumentError(f"{name} must be in the order of their dates: {after.date} follows {before.date}")
    return ordered


def in_a_row(name: str, entries: Iterable[E], *needed: str) -> tuple[E, ...]:
    """The same for a formula that compares each entry with the one before, so that none may be left out.

    Args:
        name: The argument, as the caller wrote it.
        entries: What was given.
        needed: The names of the numbers that every entry must have.

    Returns:
        The entries.

    Raises:
        ArgumentError: One of them lacks a number, the dates do not strictly ascend, or some are missing in between, as
            they may be where entries by quarter or year are given without their series.
    """
    ordered = in_order(name, entries, *needed)
    interval = interval_of(entries)
    if not follow_each_other(ordered, interval, _UP_TO_A_MONTH):
        unless = "" if interval else "; if they are by quarter or year, pass the series itself, whose query says so"
        raise ArgumentError(
            f"{name} must be all entries of a range: some between {ordered[0].date} and {ordered[-1].date} are "
            f"missing{unless}"
        )
    return ordered


def interval_of(entries: object) -> Interval | None:
    """The interval that the query of a series says.

    Args:
        entries: What was given.

    Returns:
        The interval; None if it is not a series.
    """
    interval: Interval | None = getattr(getattr(entries, "query", None), "interval", None)
    return interval


def follow_each_other(
    ordered: tuple[Entry, ...], interval: Interval | None, guesses: tuple[Interval, ...] = INTERVALS
) -> bool:
    """Whether each entry is one interval later than the one before; the last one may be cut.

    Args:
        ordered: The entries in order.
        interval: Their interval, None if it is not known.
        guesses: Which ones it may be then.

    Returns:
        Whether they are; also if there are fewer than two of them.
    """
    return any(
        all(_follows(after.date, before.date, each, starts) for before, after in pairwise(ordered))
        # Of two dates alone, a quarter or year that is cut cannot be told from months of which some were left out.
        and (len(ordered) != 2 or each == interval or each not in _LIKE_MONTHS or _is_end(ordered[-1].date, each))
        for each in (guesses if interval is None else (interval,))
        for starts in WEEK_STARTS
    )


def _follows(day: date, before: date, interval: Interval, week_start: WeekStart) -> bool:
    return _is_end(before, interval, week_start) and day <= interval_end(before + _DAY, interval, week_start)


def _is_end(day: date, interval: Interval, week_start: WeekStart = "monday") -> bool:
    return day == interval_end(day, interval, week_start)


def _days_between(ordered: tuple[Entry, ...]) -> list[int]:
    return [(after.date - before.date).days for before, after in pairwise(ordered)]


def figure_of(entries: tuple[Entry, ...], figure: str | None) -> str:
    """Find the name of a figure of entries.

    Args:
        entries: The entries, at least one.
        figure: The name, or None for the first figure of the entries.

    Returns:
        The name.

    Raises:
        ArgumentError: The entries have no such figure: ``figure must be one of arr, percentage_change, not 'mrr'``.
    """
    names = tuple(field.name for field in fields_of(entries[0]) if field.name != "date")
    return names[0] if figure is None else checks.one_of("figure", figure, names)


def fields_of(entry: Any) -> tuple["attrs.Attribute[Any]", ...]:
    """The fields of an entry, with their metadata.

    Args:
        entry: The entry of a series.

    Returns:
        Its fields.

    Raises:
        ArgumentError: It is not the entry of a series.
    """
    if not attrs.has(type(entry)):
        raise ArgumentError(f"entries must be those of a series, not {checks.shown(entry)}")
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(type(entry))
    return fields


def dated_values(entries: tuple[Entry, ...], figure: str | None) -> list[tuple[date, Number | None]]:
    """The values of one figure.

    Args:
        entries: The entries.
        figure: The name, or None for the first figure of the entries.

    Returns:
        The date and the value of each entry; None where it has none.
    """
    if not entries:
        return []
    name = figure_of(entries, figure)
    return [(entry.date, getattr(entry, name)) for entry in entries]


def are_whole_months(entries: tuple[Entry, ...]) -> bool:
    """Whether entries are by month, quarter or year; the last one may be cut.

    Args:
        entries: The entries in order.

    Returns:
        Whether every one but the last is dated by the end of a month.
    """
    return all(is_month_end(entry.date) for entry in entries[:-1])


def are_by_week(entries: tuple[Entry, ...]) -> bool:
    """Whether entries are by week.

    Args:
        entries: The entries in order.

    Returns:
        Whether the first three, of which none is cut at its end but the last, are a week apart.
    """
    return _days_between(entries[:3]) == [7, 7]


def are_by_year(entries: object, ordered: tuple[Entry, ...]) -> bool:
    """Whether entries are by year: as their query says, if they are a series, and otherwise as their dates show.

    Args:
        entries: What was given.
        ordered: The same in order.

    Returns:
        Whether they are; without a series, whether any two of them are further apart than a quarter.
    """
    interval = interval_of(entries)
    return interval == "year" if interval else any(days > _LONGEST_QUARTER for days in _days_between(ordered))


def ratio(part: Number, whole: Number) -> float | None:
    """Divide, and tell infinite and undefined apart from zero.

    Args:
        part: The dividend.
        whole: The divisor.

    Returns:
        The ratio; infinity, with the sign of the part, where the whole is 0; None where both are 0.
    """
    if whole:
        return part / whole
    return math.copysign(math.inf, part) if part else None


def percent(part: Number, whole: Number) -> float | None:
    """The same in percent.

    Args:
        part: The dividend.
        whole: The divisor.

    Returns:
        The ratio times 100.
    """
    share = ratio(part, whole)
    return None if share is None else share * 100
