"""What the functions of ``analysis`` ask of entries, and the checks and divisions that they share.

The entries of every metric have what is asked for here, and so has whatever else has the same attributes.
"""

import math
from collections.abc import Iterable
from datetime import date
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import attrs

from chartmogul_async import checks, intervals
from chartmogul_async.errors import ArgumentError
from chartmogul_async.intervals import Interval

Number = int | float

MOVEMENTS = ("mrr_new_business", "mrr_expansion", "mrr_contraction", "mrr_churn", "mrr_reactivation")
"""The names of the five movements of the MRR."""

# Where the numbers that a formula needs come from.
_MOVEMENTS = "entries of client.metrics.mrr with movements, which those of the closed beta lack"
_SOURCES = {
    **dict.fromkeys(("mrr", *MOVEMENTS), _MOVEMENTS),
    "customers": "entries of client.metrics.customer_count or all",
    "customer_churn_rate": "entries of client.metrics.customer_churn_rate or all",
}
# The days of each interval, at least and at most, and what divides the month that it ends with.
_LENGTHS = ((1, 1, 1), (7, 7, 1), (28, 31, 1), (90, 92, 3), (365, 366, 12))
_LONGEST_QUARTER = 92


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
    if not isinstance(entries, Iterable) or isinstance(entries, (str, bytes)):
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
        ArgumentError: One of them lacks a number, the dates do not strictly ascend, or some are missing in between.
    """
    ordered = in_order(name, entries, *needed)
    if len(ordered) > 1 and not _are_of_one_length(ordered):
        raise ArgumentError(
            f"{name} must be all entries of a range: some between {ordered[0].date} and {ordered[-1].date} are missing"
        )
    return ordered


def _days_between(ordered: tuple[Entry, ...]) -> list[int]:
    return [(after.date - before.date).days for before, after in pairwise(ordered)]


def _are_of_one_length(ordered: tuple[Entry, ...]) -> bool:
    """Whether all entries but the last, which may be cut, can be of one interval."""
    *whole, last = _days_between(ordered)
    months = [entry.date.month for entry in ordered[:-1]]
    return any(
        all(least <= days <= most for days in whole) and last <= most and not any(month % divisor for month in months)
        for least, most, divisor in _LENGTHS
    )


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
    return all(intervals.is_month_end(entry.date) for entry in entries[:-1])


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
        Whether any of them is longer than a quarter.
    """
    interval = getattr(getattr(entries, "query", None), "interval", None)
    return interval == "year" or any(days > _LONGEST_QUARTER for days in _days_between(ordered))


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
