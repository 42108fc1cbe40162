"""Rates of the MRR and its movements: churn, retention, quick ratio."""

from collections.abc import Iterable
from typing import NamedTuple

from chartmogul_async import checks
from chartmogul_async.analysis.entries import (
    MOVEMENTS,
    Movements,
    Number,
    are_by_year,
    follow_each_other,
    in_order,
    interval_of,
    percent,
    ratio,
)
from chartmogul_async.errors import ArgumentError


class _Interval(NamedTuple):
    """The movements of one entry, and the MRR at its start; losses are negative."""

    start: Number
    new_business: Number
    expansion: Number
    contraction: Number
    churn: Number
    reactivation: Number

    @property
    def lost(self) -> Number:
        return -(self.contraction + self.churn)


def net_new_mrr(entries: Iterable[Movements]) -> tuple[Number, ...]:
    """What the MRR gained: ``new business + expansion + contraction + churn + reactivation``.

    It is the sum of the waterfall in ChartMogul's chart of MRR movements. It is not always the difference between
    two MRRs, which exchange rates and edits of old data move as well.

    Args:
        entries: A series of ``client.metrics.mrr``, or some of its entries in order.

    Returns:
        Cents, one number for each entry; losses are negative.

    Raises:
        ArgumentError: The entries have no movements, as those of the closed beta, or are not in order.

    Source: https://dev.chartmogul.com/reference/metrics/mrr
    """
    return tuple(sum(each[1:]) for each in _intervals(entries))


def gross_mrr_churn_rate(entries: Iterable[Movements]) -> tuple[float | None, ...]:
    """The share of the MRR that was lost in each interval: ``(|churn| + |contraction|) / start``.

    The start is the MRR of the entry before in a series. For the first entry, and for entries without their series,
    whose dates do not tell whether some were left out, it is the entry's own MRR less its movements, which are the same
    unless exchange rates or edits of old data moved the MRR.

    It is not the *net* MRR churn rate of ``client.metrics.mrr_churn_rate``, from which expansion and reactivation are
    subtracted. ChartMogul has announced a change of its own calculation of the
    gross rate, so name the formula where you show it.

    Args:
        entries: A series of ``client.metrics.mrr``, or some of its entries in order.

    Returns:
        Percent, not rounded, one number for each entry; None where there was no MRR at the start.

    Raises:
        ArgumentError: The entries have no movements, as those of the closed beta, or are not in order.

    Source: ChartMogul's chart "Gross MRR Churn Rate"
    """
    return tuple(percent(each.lost, each.start) if each.start else None for each in _intervals(entries))


def gross_mrr_retention(entries: Iterable[Movements]) -> tuple[float | None, ...]:
    """The share of the MRR that was kept in each interval: ``1 - gross MRR churn rate``.

    It is that of the interval, a month, say. It is not that of twelve months, which neither entries by year give, since
    their losses contain those of customers who joined within the year, nor a product of monthly rates.

    Args:
        entries: A series of ``client.metrics.mrr`` by quarter or shorter, or some of its entries in order.

    Returns:
        Percent, not rounded, one number for each entry; None where there was no MRR at the start.

    Raises:
        ArgumentError: The entries are by year, have no movements, or are not in order.

    Source: ChartMogul's chart "Gross MRR Retention"
    """
    return tuple(
        percent(each.start - each.lost, each.start) if each.start else None
        for each in _intervals(entries, retention="gross_mrr_retention")
    )


def net_mrr_retention(entries: Iterable[Movements]) -> tuple[float | None, ...]:
    """What became of the MRR at the start: ``(start + expansion - |contraction| - |churn|) / start``.

    It is not 100 - the net MRR churn rate: that one counts reactivation as well, which retention leaves out, as it
    leaves out new business. It is that of the interval, a month, say, and not that of twelve months, which entries
    by year do not give: their movements contain those of customers who joined within the year. With a filter on
    plans, ChartMogul's chart caps what a change of plan adds at 100 %; the movements do not show which ones to cap.

    Args:
        entries: A series of ``client.metrics.mrr`` by quarter or shorter, or some of its entries in order.

    Returns:
        Percent, not rounded, one number for each entry; above 100 where expansion exceeds the losses; None where there
        was no MRR at the start.

    Raises:
        ArgumentError: The entries are by year, have no movements, or are not in order.

    Source: ChartMogul's help, article 6886664393500: "Excludes New Business and Reactivation"
    """
    return tuple(
        percent(each.start + each.expansion - each.lost, each.start) if each.start else None
        for each in _intervals(entries, retention="net_mrr_retention")
    )


def quick_ratio(entries: Iterable[Movements], *, reactivation: bool = False) -> tuple[float | None, ...]:
    """How often gains cover losses: ``(new business + expansion) / (|contraction| + |churn|)``.

    There are two schools: with and without reactivation among the gains. Name yours where you show it.

    Args:
        entries: A series of ``client.metrics.mrr``, or some of its entries in order.
        reactivation: Whether what returning customers pay counts as a gain.

    Returns:
        Ratios, not percent, not rounded, one number for each entry; infinity (``math.inf``) where nothing was lost,
        None where nothing was gained either.

    Raises:
        ArgumentError: The entries have no movements, as those of the closed beta, or are not in order; ``reactivation``
            is not a bool.

    Source: ChartMogul's chart "Quick Ratio"
    """
    checks.instance_of("reactivation", reactivation, bool)
    return tuple(
        ratio(each.new_business + each.expansion + (each.reactivation if reactivation else 0), each.lost)
        for each in _intervals(entries)
    )


def _intervals(entries: Iterable[Movements], retention: str | None = None) -> list[_Interval]:
    """The movements of each entry; the name is that of a function which years have no answer for."""
    given = in_order("entries", entries, "mrr", *MOVEMENTS)
    if retention and are_by_year(entries, given):
        raise ArgumentError(
            f"entries must be by quarter or shorter for {retention}, not by year: the movements of a year contain "
            "those of customers who joined within it. For exact figures over twelve months, use the activities "
            "(client.get('/activities')) of those who were customers at its start"
        )
    interval = interval_of(entries)
    is_whole_series = interval is not None and follow_each_other(given, interval)
    found: list[_Interval] = []
    start: Number | None = None
    for entry in given:
        movements = [getattr(entry, name) for name in MOVEMENTS]
        found.append(_Interval(entry.mrr - sum(movements) if start is None else start, *movements))
        start = entry.mrr if is_whole_series else None
    return found
