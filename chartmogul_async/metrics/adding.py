"""What of a breakdown adds up: which metrics do over which parts, what remains, and what movements do not explain.

MRR and ARR belong to subscriptions, each of which has one plan and a customer in one country, so they add up over both.
Customers add up over countries only: one who has two plans is counted with each of them. Averages and rates never add
up.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from fractions import Fraction
from itertools import pairwise
from operator import attrgetter
from typing import Any, Literal

import attrs
from attrs import frozen

from chartmogul_async.metrics.query import MetricName
from chartmogul_async.metrics.records import E, Money, S, Summary
from chartmogul_async.metrics.series import Series

Parts = Literal["subscriptions", "customers", "overlapping"]
"""What the segments divide without overlap: subscriptions, by plan; customers, by country; or neither for sure."""

# Each of the seven figures of an entry and its predecessor is rounded by up to half a cent.
_ROUNDING = 3.5
_GAINS = ("mrr_new_business", "mrr_expansion", "mrr_reactivation")
_LOSSES = ("mrr_contraction", "mrr_churn")
_MOVEMENTS = attrgetter(*_GAINS, *_LOSSES)


@frozen
class Discrepancy:
    """Where the movements of a breakdown do not explain its MRR.

    Attributes:
        segment: The name of the segment, ``"total"`` or ``"remainder"``.
        date: The entry.
        field: ``"mrr"``: the MRR changed by that much more than its movements explain, through customers who moved from
            or to another segment, exchange rates or edits of the past. A movement, in the remainder only: the segments
            have that much more of it than the account, through customers who moved between segments, and are new
            business or churn of one although the account neither gained nor lost them.
        cents: The amount.
    """

    __module__ = "chartmogul_async"

    segment: str
    date: date
    field: str
    cents: Money


def reason_against(metric: MetricName, parts: Parts) -> str | None:
    """Why the segments of a breakdown do not add up, in words; None if they do.

    Args:
        metric: The metric.
        parts: What the segments divide.

    Returns:
        A sentence without its full stop, or None.
    """
    if metric == "all":
        return "most of the key metrics are averages, rates or counts, which do not add up: ask for mrr and arr"
    if metric not in ("mrr", "arr", "customer_count"):
        return f"{metric} is an average or a rate, which does not add up: the total is the figure of the whole"
    if parts == "overlapping":
        return "the segments may overlap, so they are not added up"
    if metric == "customer_count" and parts == "subscriptions":
        return "customers do not add up over plans: one who has two plans is counted with each of them"
    return None


def remainder_of(total: Series[E, S], segments: Sequence[Series[E, S]]) -> Series[E, S] | None:
    """What of the whole is in no segment.

    Args:
        total: The whole.
        segments: Series of the same metric over the same days, which add up.

    Returns:
        A series with the query of the whole; None where the dates differ, as they do if the account's day changed
        between two responses.
    """
    dates = [entry.date for entry in total]
    if any([entry.date for entry in segment] != dates for segment in segments):
        return None
    if not total.entries:
        return Series((), _summary(total, segments), total.query)
    cls = type(total[0])
    names = [field.name for field in attrs.fields(cls) if field.metadata.get("unit") in ("cents", "count")]
    columns = {name: _differences(name, total, segments) for name in names}
    # The metric itself comes first, its movements after it.
    values = columns[names[0]]
    if total[0].percentage_change is None:  # type: ignore[attr-defined]  # all metrics that add up have it
        changes: list[float | None] = [None] * len(dates)
    else:
        changes = [0.0, *(_percentage_change(*pair) for pair in pairwise(values))]
    rows = zip(dates, changes, *columns.values(), strict=True)
    entries = tuple(
        cls(date=day, percentage_change=change, **dict(zip(names, figures, strict=True)))  # type: ignore[call-arg]  # names are not known
        for day, change, *figures in rows
    )
    return Series(entries, _summary(total, segments), total.query)


def discrepancies_of(
    named: Sequence[tuple[str, Series[Any, Any]]], remainder: Series[Any, Any] | None
) -> Iterator[Discrepancy]:
    """Find where movements do not explain the MRR.

    Args:
        named: The series of MRR of the segments and of the whole, by their names.
        remainder: What is in no segment.

    Returns:
        Each place, segment by segment. Responses of the closed beta have no movements, and no such places.
    """
    for name, series in named:
        for before, entry in pairwise(series):
            movements = _MOVEMENTS(entry)
            if None not in movements:
                unexplained = entry.mrr - before.mrr - sum(movements)
                if abs(unexplained) > _ROUNDING:
                    yield Discrepancy(name, entry.date, "mrr", unexplained)
    # Each segment and the whole are rounded by up to half a cent.
    rounding = len(named) / 2
    for entry in remainder or ():
        for sign, names in ((1, _GAINS), (-1, _LOSSES)):
            for field in names:
                cents = getattr(entry, field)
                if cents is not None and sign * cents < -rounding:
                    yield Discrepancy("remainder", entry.date, field, cents)


def _differences(name: str, total: Series[Any, Any], segments: Sequence[Series[Any, Any]]) -> list[Any]:
    get = attrgetter(name)
    wholes = list(map(get, total))
    parts = [list(map(get, segment)) for segment in segments]
    if None in wholes or any(None in part for part in parts):
        return [None] * len(wholes)
    return [_difference(whole, each) for whole, *each in zip(wholes, *parts, strict=True)]


def _difference(whole: Money, parts: Sequence[Money]) -> Money:
    difference = whole - sum(parts)
    if isinstance(difference, int):
        return difference
    # Of fractions of a cent, as old responses have them, binary sums would leave some dust.
    return float(Fraction(str(whole)) - sum(map(Fraction, map(str, parts))))


def _percentage_change(previous: Money, current: Money) -> float:
    # As the API computes it: 0.0 after a 0, and by the absolute value of what was before.
    return round((current - previous) / abs(previous) * 100, 2) if previous else 0.0


def _summary(total: Series[E, S], segments: Sequence[Series[E, S]]) -> S:
    whole: Any = total.summary
    parts: list[Any] = [segment.summary for segment in segments]
    current = _difference(whole.current, [part.current for part in parts])
    previous = _difference(whole.previous, [part.previous for part in parts])
    summary: Any = Summary(current, previous, _percentage_change(previous, current))
    its: S = summary
    return its
