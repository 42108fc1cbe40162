"""``client.metrics.breakdown``: its arguments, and what type checkers know of its result."""

# A name of a metric is an iterable of strings, too, so one overload comprises the others.
# mypy: disable-error-code="overload-overlap"

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Literal, Required, TypedDict, Unpack, overload

from chartmogul_async.checks import has_order, instance_of, is_iterable, one_of, plain_function, shown
from chartmogul_async.errors import ArgumentError
from chartmogul_async.intervals import Interval
from chartmogul_async.metrics.breakdown import Breakdown
from chartmogul_async.metrics.pending import (
    OnError,
    OnProgress,
    PendingBreakdown,
    PendingBreakdowns,
    Progress,
    fetch_all_parts,
)
from chartmogul_async.metrics.query import DashedName, Day, Filters, MetricName, MetricQuery, Texts
from chartmogul_async.metrics.records import (
    ARPAEntry,
    ARREntry,
    ASPEntry,
    CustomerChurnRateEntry,
    CustomerCountEntry,
    E,
    KeyMetricsEntry,
    KeyMetricsSummary,
    LTVEntry,
    MRRChurnRateEntry,
    MRREntry,
    S,
    Summary,
)
from chartmogul_async.metrics.segments import ByArgument, checked_by
from chartmogul_async.metrics.slices import RangeFetcher


class Options(TypedDict, total=False):
    """The arguments of ``breakdown`` that are named, for its signatures."""

    by: Required[ByArgument]
    interval: Interval
    geo: Texts
    plans: Texts
    filters: Filters
    on_error: OnError
    on_progress: OnProgress | None


class BreakdownCalls(ABC):
    """The metrics, segment by segment: the part of ``client.metrics`` that is about them."""

    @abstractmethod
    def _for_many(self) -> RangeFetcher:
        """What lists and many queries are fetched with."""

    @overload
    def breakdown(
        self, metric: Literal["mrr"], start_date: Day, end_date: Day | None = None, **options: Unpack[Options]
    ) -> PendingBreakdown[MRREntry, Summary]: ...
    @overload
    def breakdown(
        self, metric: Literal["arr"], start_date: Day, end_date: Day | None = None, **options: Unpack[Options]
    ) -> PendingBreakdown[ARREntry, Summary]: ...
    @overload
    def breakdown(
        self, metric: Literal["arpa"], start_date: Day, end_date: Day | None = None, **options: Unpack[Options]
    ) -> PendingBreakdown[ARPAEntry, Summary]: ...
    @overload
    def breakdown(
        self, metric: Literal["asp"], start_date: Day, end_date: Day | None = None, **options: Unpack[Options]
    ) -> PendingBreakdown[ASPEntry, Summary]: ...
    @overload
    def breakdown(
        self,
        metric: Literal["customer_count", "customer-count"],
        start_date: Day,
        end_date: Day | None = None,
        **options: Unpack[Options],
    ) -> PendingBreakdown[CustomerCountEntry, Summary]: ...
    @overload
    def breakdown(
        self,
        metric: Literal["customer_churn_rate", "customer-churn-rate"],
        start_date: Day,
        end_date: Day | None = None,
        **options: Unpack[Options],
    ) -> PendingBreakdown[CustomerChurnRateEntry, Summary]: ...
    @overload
    def breakdown(
        self,
        metric: Literal["mrr_churn_rate", "mrr-churn-rate"],
        start_date: Day,
        end_date: Day | None = None,
        **options: Unpack[Options],
    ) -> PendingBreakdown[MRRChurnRateEntry, Summary]: ...
    @overload
    def breakdown(
        self, metric: Literal["ltv"], start_date: Day, end_date: Day | None = None, **options: Unpack[Options]
    ) -> PendingBreakdown[LTVEntry, Summary]: ...
    @overload
    def breakdown(
        self, metric: Literal["all"], start_date: Day, end_date: Day | None = None, **options: Unpack[Options]
    ) -> PendingBreakdown[KeyMetricsEntry, KeyMetricsSummary | None]: ...
    @overload
    def breakdown(
        self, metric: MetricName | DashedName, start_date: Day, end_date: Day | None = None, **options: Unpack[Options]
    ) -> PendingBreakdown: ...
    @overload
    def breakdown(
        self,
        metric: Iterable[MetricName | DashedName],
        start_date: Day,
        end_date: Day | None = None,
        **options: Unpack[Options],
    ) -> PendingBreakdowns: ...
    def breakdown(
        self,
        metric: MetricName | DashedName | Iterable[MetricName | DashedName],
        start_date: Day,
        end_date: Day | None = None,
        *,
        by: ByArgument,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
        on_error: OnError = "raise",
        on_progress: OnProgress | None = None,
    ) -> PendingBreakdown | PendingBreakdowns:
        """Fetch a metric segment by segment: by plan, plan group, country, or filters of your own.

        Plans are asked for by their UUIDs, so any name works. Each segment is a query, a few at a time, and so is the
        whole. Other calls go first, unless the client's options give these the priority ``"interactive"``.

        Args:
            metric: The name of a method of ``client.metrics``, or several names.
            start_date: The first day: a ``date``, a ``datetime`` or an ISO string; or a period such as ``"2024-Q1"``.
            end_date: The last day, included; it may lie in the future. None is the end of the period.
            by: ``"plan"``, ``"plan_group"``, ``"country"`` (those of the account's customers), or a mapping of names to
                filters, each built with ``cfl`` or a string in ChartMogul Filter Language.
            interval: The length of an entry: "day", "week", "month", "quarter" or "year".
            geo: ISO 3166-1 country codes, None for all countries. With ``by="country"`` these are the segments, and
                customers need not be listed.
            plans: Plan names, UUIDs or external ids, None for all plans. With ``by="plan"`` these are the segments,
                which are added up only if all are UUIDs.
            filters: A filter built with ``cfl``, or a string in ChartMogul Filter Language, for all segments.
            on_error: ``"raise"`` ends all requests at the first failure, and raises it; ``"collect"`` keeps what came
                and lists what failed, for ``retry_failed``.
            on_progress: A function called with the number of series that came, or failed, and their total; first with
                0. What it raises is raised by the call.

        Returns:
            What is awaited for a ``Breakdown``, or for a dict of them by metric if several names were given. To read
            each outcome as it comes: ``async with`` it, and inside the block ``async for segment, outcome in`` it,
            failures included.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.
            ChartMogulError: A list of segments failed, or one of the metrics with ``on_error="raise"``.

        Source: https://dev.chartmogul.com/reference/metrics/all, and ``/plans``, ``/plan_groups`` and ``/customers``
        """
        names = (metric,) if isinstance(metric, str) else _metric_names(metric)
        first = MetricQuery(names[0], start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters)
        # An iterator of countries or plans can be read once.
        days, geo, plans = (first.start_date, first.end_date), first.geo, first.plans
        others = (
            MetricQuery(name, *days, interval=interval, geo=geo, plans=plans, filters=filters) for name in names[1:]
        )
        wholes = tuple(dict.fromkeys([first, *others]))
        checked = checked_by(by, first)
        one_of("on_error", on_error, ("raise", "collect"))
        if on_progress is not None:
            plain_function("on_progress", on_progress, "two numbers")
        pending = PendingBreakdown if isinstance(metric, str) else PendingBreakdowns
        return pending(self._for_many(), wholes, checked, on_error, on_progress)

    async def retry_failed(
        self, breakdown: Breakdown[E, S], *, on_progress: OnProgress | None = None
    ) -> Breakdown[E, S]:
        """Fetch what failed in a breakdown, and nothing else.

        Args:
            breakdown: A breakdown that was fetched with ``on_error="collect"``.
            on_progress: A function called with the number of series that came, or failed again, and their total; first
                with 0.

        Returns:
            The breakdown with what came now; what failed again is in its ``failures``.

        Raises:
            ArgumentError: An argument is something else; nothing was sent.
            StateError: The client is closed, or belongs to another event loop.
        """
        instance_of("breakdown", breakdown, Breakdown)
        if on_progress is not None:
            plain_function("on_progress", on_progress, "two numbers")
        failed = {name: failure.query for name, failure in breakdown.failures.items()}
        ranges = self._for_many()
        limit = ranges.session.throttle.parallel
        outcomes = await fetch_all_parts(list(failed.values()), ranges.fetch, limit, "collect", Progress(on_progress))
        return breakdown.with_outcomes(dict(zip(failed, outcomes, strict=True)))


def _metric_names(metric: object) -> tuple[Any, ...]:
    if not is_iterable(metric) or isinstance(metric, bytes):
        raise ArgumentError(
            f"metric must be the name of a metric such as 'mrr' or a list of names, not {shown(metric)}"
        )
    names = tuple(metric) if has_order(metric) else tuple(sorted(metric, key=str))
    if not names:
        raise ArgumentError("metric must not be an empty list: pass the name of a metric, or several")
    return names
