"""Await any ChartMogul metric: an async, typed client that keeps the account's limits before they are broken."""

from chartmogul_async import cfl, errors
from chartmogul_async._version import __version__
from chartmogul_async.account import Account
from chartmogul_async.client import AsyncClient
from chartmogul_async.customers import Customer
from chartmogul_async.errors import ChartMogulError
from chartmogul_async.metrics.fan_out import Outcome
from chartmogul_async.metrics.intervals import Interval
from chartmogul_async.metrics.query import MetricName, MetricQuery
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
    Series,
    Summary,
)
from chartmogul_async.transport.retry import Attempt, RetryPolicy
from chartmogul_async.transport.throttle import Throttle, ThrottleStatistics

__all__ = [
    "ARPAEntry",
    "ARREntry",
    "ASPEntry",
    "Account",
    "AsyncClient",
    "Attempt",
    "ChartMogulError",
    "Customer",
    "CustomerChurnRateEntry",
    "CustomerCountEntry",
    "Interval",
    "KeyMetricsEntry",
    "KeyMetricsSummary",
    "LTVEntry",
    "MRRChurnRateEntry",
    "MRREntry",
    "MetricName",
    "MetricQuery",
    "Outcome",
    "RetryPolicy",
    "Series",
    "Summary",
    "Throttle",
    "ThrottleStatistics",
    "__version__",
    "cfl",
    "errors",
]
