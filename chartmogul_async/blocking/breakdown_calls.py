"""``client.metrics.breakdown`` of a blocking client, and what type checkers know of its result."""

# A name of a metric is an iterable of strings, too, so one overload comprises the others.
# mypy: disable-error-code="overload-overlap"

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, Unpack, cast, overload

from chartmogul_async.blocking.calls import Blocking, blocking
from chartmogul_async.metrics.breakdown import Breakdown
from chartmogul_async.metrics.breakdown_calls import BreakdownCalls as AsyncBreakdownCalls
from chartmogul_async.metrics.breakdown_calls import Options
from chartmogul_async.metrics.query import DashedName, Day, MetricName
from chartmogul_async.metrics.records import (
    ARPAEntry,
    ARREntry,
    ASPEntry,
    CustomerChurnRateEntry,
    CustomerCountEntry,
    KeyMetricsEntry,
    KeyMetricsSummary,
    LTVEntry,
    MRRChurnRateEntry,
    MRREntry,
    Summary,
)
from chartmogul_async.metrics.resource import Metrics as AsyncMetrics

# A decorator would take the first of its signatures for all.
_blocking = cast("Callable[[Any, Any], Callable[[Callable[..., None]], Any]]", blocking)


class BreakdownCalls(Blocking[AsyncMetrics]):
    """The metrics, segment by segment. A breakdown is fetched by the call; it is not read part by part."""

    @overload
    def breakdown(
        self, metric: Literal["mrr"], start_date: Day, end_date: Day | None = None, **options: Unpack[Options]
    ) -> Breakdown[MRREntry, Summary]: ...
    @overload
    def breakdown(
        self, metric: Literal["arr"], start_date: Day, end_date: Day | None = None, **options: Unpack[Options]
    ) -> Breakdown[ARREntry, Summary]: ...
    @overload
    def breakdown(
        self, metric: Literal["arpa"], start_date: Day, end_date: Day | None = None, **options: Unpack[Options]
    ) -> Breakdown[ARPAEntry, Summary]: ...
    @overload
    def breakdown(
        self, metric: Literal["asp"], start_date: Day, end_date: Day | None = None, **options: Unpack[Options]
    ) -> Breakdown[ASPEntry, Summary]: ...
    @overload
    def breakdown(
        self,
        metric: Literal["customer_count", "customer-count"],
        start_date: Day,
        end_date: Day | None = None,
        **options: Unpack[Options],
    ) -> Breakdown[CustomerCountEntry, Summary]: ...
    @overload
    def breakdown(
        self,
        metric: Literal["customer_churn_rate", "customer-churn-rate"],
        start_date: Day,
        end_date: Day | None = None,
        **options: Unpack[Options],
    ) -> Breakdown[CustomerChurnRateEntry, Summary]: ...
    @overload
    def breakdown(
        self,
        metric: Literal["mrr_churn_rate", "mrr-churn-rate"],
        start_date: Day,
        end_date: Day | None = None,
        **options: Unpack[Options],
    ) -> Breakdown[MRRChurnRateEntry, Summary]: ...
    @overload
    def breakdown(
        self, metric: Literal["ltv"], start_date: Day, end_date: Day | None = None, **options: Unpack[Options]
    ) -> Breakdown[LTVEntry, Summary]: ...
    @overload
    def breakdown(
        self, metric: Literal["all"], start_date: Day, end_date: Day | None = None, **options: Unpack[Options]
    ) -> Breakdown[KeyMetricsEntry, KeyMetricsSummary | None]: ...
    @overload
    def breakdown(
        self, metric: MetricName | DashedName, start_date: Day, end_date: Day | None = None, **options: Unpack[Options]
    ) -> Breakdown: ...
    @overload
    def breakdown(
        self,
        metric: Iterable[MetricName | DashedName],
        start_date: Day,
        end_date: Day | None = None,
        **options: Unpack[Options],
    ) -> dict[MetricName, Breakdown]: ...
    @_blocking(AsyncBreakdownCalls.breakdown, Breakdown | dict[MetricName, Breakdown])
    def breakdown(self) -> None:
        """The ``Breakdown``, or a dict of them by metric if several names were given."""

    @blocking(AsyncBreakdownCalls.retry_failed)
    def retry_failed(self) -> None: ...
