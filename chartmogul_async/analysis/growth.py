"""Growth of any figure: from one interval to the next, a month on average, over a year."""

import math
from collections.abc import Iterable
from datetime import MINYEAR, date, timedelta
from itertools import pairwise
from typing import Any, TypeVar

import attrs

from chartmogul_async.analysis.entries import (
    Entry,
    Number,
    are_by_week,
    are_whole_months,
    dated_values,
    fields_of,
    follow_each_other,
    in_a_row,
    in_order,
    interval_of,
    percent,
    ratio,
)
from chartmogul_async.errors import ArgumentError
from chartmogul_async.intervals import interval_end, is_month_end, months_later

A = TypeVar("A", bound=Entry)

_CHANGE = "percentage_change"


def growth_rate(entries: Iterable[Entry], figure: str | None = None) -> tuple[float | None, ...]:
    """The change of a figure from the interval before: ``(this - previous) / |previous|``.

    It is the API's ``percentage_change`` without rounding, and with None where that one is 0.0 for want of a previous
    value. It is not a growth over a year, and not a difference of percentage points where the figure is a rate.

    Args:
        entries: A series of any metric; or its entries of a part of the range, if they are by month or shorter.
        figure: The name of a field; by default that of the metric, and ``mrr`` of ``all``.

    Returns:
        Percent, not rounded, one number for each entry; None for the first one and from 0 to 0; infinity
        (``math.inf``, or minus that) from 0 to anything else.

    Raises:
        ArgumentError: The entries have no such figure, are not in order, or some are missing in between, which the
            dates of quarters and years without their series do not tell.

    Source: recorded responses, as the API works out ``percentage-change``
    """
    dated = dated_values(in_a_row("entries", entries), figure)
    return (None, *(_change(before, value) for (_, before), (_, value) in pairwise(dated))) if dated else ()


def cmgr(entries: Iterable[Entry], figure: str | None = None) -> tuple[float | None, ...]:
    """The compound monthly growth rate since the first entry: ``(this / first) ** (1 / months) - 1``.

    The last value is that of the whole series. It depends on the first and the last value only: what lies between,
    and how evenly, makes no difference. It is not the mean of the monthly growth rates.

    Args:
        entries: A series by month, quarter or year, or some of its entries in order.
        figure: The name of a field; by default that of the metric, and ``mrr`` of ``all``.

    Returns:
        Percent a month, not rounded, one number for each entry. None for the first one, for a last one that is not
        a whole number of months after it, and where a value is negative or both are 0; infinity where only the first
        one is 0.

    Raises:
        ArgumentError: The entries are by day or week, have no such figure, or are not in order.

    Source: the usual definition of a compound growth rate
    """
    given = in_order("entries", entries)
    if not are_whole_months(given):
        raise ArgumentError("entries must be by month, quarter or year for a monthly rate, not by day or week")
    dated = dated_values(given, figure)
    if not dated:
        return ()
    (first_day, first), *rest = dated
    return (None, *(_compound(first, value, _months(first_day, day)) for day, value in rest))


def year_over_year(entries: Iterable[Entry], figure: str | None = None) -> tuple[float | None, ...]:
    """The change of a figure from a year before: ``(this - then) / |then|``.

    The value of a year before is that of the entry with the same date, from the end of a month to the end of a month,
    and 52 weeks before where entries are by week. So fetch a year more than you show. It is not an annual growth rate
    that is worked out from shorter ranges.

    Args:
        entries: A series of any metric over more than a year, or some of its entries in order.
        figure: The name of a field; by default that of the metric, and ``mrr`` of ``all``.

    Returns:
        Percent, not rounded, one number for each entry; None where there is no entry of a year before, or where both
        are 0; infinity (``math.inf``, or minus that) from 0 to anything else.

    Raises:
        ArgumentError: The entries have no such figure, or are not in order.

    Source: the usual definition
    """
    given = in_order("entries", entries)
    dated = dated_values(given, figure)
    by_date: dict[date | None, Number | None] = dict(dated)
    is_by_week = are_by_week(given)
    return tuple(_change(by_date.get(_year_before(day, is_by_week)), value) for day, value in dated)


def restated(entries: Iterable[A], before: A) -> tuple[A, ...]:
    """Give the first entry its changes, which the API leaves at 0.0 because it does not look before the range.

    Args:
        entries: A series of any metric, or its entries from the first one on.
        before: The entry of the interval before, fetched by itself. One interval is what the query of the series says;
            without a series, what the dates of the entries show, which those of one quarter or year that its range cuts
            do not.

    Returns:
        The entries; each ``percentage_change`` of the first one compares with ``before``, with two decimals and 0.0
        from 0, as the API does it. It stays None where it is None.

    Raises:
        ArgumentError: ``before`` is not of the same metric, or not one interval earlier.

    Source: recorded responses, as the API works out ``percentage-change``
    """
    given = in_order("entries", entries)
    if not given:
        return ()
    first, *rest = given
    if (
        type(before) is not type(first)
        or before.date >= first.date
        or not follow_each_other((before, *given), interval_of(entries))
    ):
        raise ArgumentError(f"before must be the {type(first).__name__} of the interval before {first.date}")
    changes = {
        field.name: _rounded(before, first, field.name)
        for field in fields_of(first)
        if field.name.endswith(_CHANGE) and getattr(first, field.name) is not None
    }
    return (attrs.evolve(first, **changes), *rest)  # type: ignore[misc]  # fields_of has found it to be of attrs


def _rounded(before: Any, first: Any, name: str) -> float:
    figure = name.removesuffix(f"_{_CHANGE}")
    if name == _CHANGE:
        figure = next(field.name for field in fields_of(first) if field.name != "date")
    change = _change(getattr(before, figure), getattr(first, figure))
    # Adding 0.0 turns -0.0 into 0.0.
    return 0.0 if change is None or math.isinf(change) else round(change, 2) + 0.0


def _change(previous: Number | None, value: Number | None) -> float | None:
    if previous is None or value is None:
        return None
    return percent(value - previous, abs(previous))


def _compound(first: Number | None, value: Number | None, months: int | None) -> float | None:
    if first is None or value is None or months is None or first < 0 or value < 0:
        return None
    growth = ratio(value, first)
    return None if growth is None else (growth ** (1 / months) - 1) * 100


def _months(first: date, last: date) -> int | None:
    """The months between two ends of months; None if the later day is not one."""
    return (last.year - first.year) * 12 + last.month - first.month if is_month_end(last) else None


def _year_before(day: date, is_by_week: bool) -> date | None:
    if day.year == MINYEAR:
        return None
    if is_by_week:
        return day - timedelta(weeks=52)
    if is_month_end(day):
        return interval_end(months_later(day, -12), "month")
    return day.replace(year=day.year - 1)
