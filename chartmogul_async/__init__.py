"""Await any ChartMogul metric: an async, typed client that stays within the account's rate limits.

The names of the surface are loaded when they are first used (PEP 562), so the import itself costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chartmogul_async import analysis, cfl, errors, money, periods
    from chartmogul_async._version import __version__
    from chartmogul_async.cfl import Filter
    from chartmogul_async.client import AsyncClient, ClientStatistics
    from chartmogul_async.clients import AsyncClients, ClientsStatistics
    from chartmogul_async.errors import ChartMogulError
    from chartmogul_async.events import (
        Attempt,
        ConcurrencyLowered,
        Event,
        Pacing,
        Pause,
        ResponseInfo,
        SlicesDisagreed,
    )
    from chartmogul_async.intervals import Interval, WeekStart
    from chartmogul_async.metrics.adding import Discrepancy
    from chartmogul_async.metrics.breakdown import Breakdown
    from chartmogul_async.metrics.outcome import Failure, Outcome, Success
    from chartmogul_async.metrics.pending import PendingBreakdown, PendingBreakdowns
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
        MetricEntry,
        MRRChurnRateEntry,
        MRREntry,
        Summary,
    )
    from chartmogul_async.metrics.resource import Metrics
    from chartmogul_async.metrics.series import Series
    from chartmogul_async.metrics.stacked import SeriesTable
    from chartmogul_async.metrics.stream import Outcomes
    from chartmogul_async.resources.account import Account
    from chartmogul_async.resources.customers import (
        Address,
        BetaActivity,
        BetaSubscription,
        Customer,
        CustomerAttributes,
        Customers,
    )
    from chartmogul_async.resources.pages import Page, Pages
    from chartmogul_async.resources.plan_groups import PlanGroup, PlanGroups
    from chartmogul_async.resources.plans import Plan, Plans
    from chartmogul_async.transport.file_store import FileStore
    from chartmogul_async.transport.options import Priority
    from chartmogul_async.transport.redis_store import RedisStore
    from chartmogul_async.transport.retry import RetryPolicy
    from chartmogul_async.transport.throttle import Throttle, ThrottleStatistics

__all__ = [
    "ARPAEntry",
    "ARREntry",
    "ASPEntry",
    "Account",
    "Address",
    "AsyncClient",
    "AsyncClients",
    "Attempt",
    "BetaActivity",
    "BetaSubscription",
    "Breakdown",
    "ChartMogulError",
    "ClientStatistics",
    "ClientsStatistics",
    "ConcurrencyLowered",
    "Customer",
    "CustomerAttributes",
    "CustomerChurnRateEntry",
    "CustomerCountEntry",
    "Customers",
    "Discrepancy",
    "Event",
    "Failure",
    "FileStore",
    "Filter",
    "Interval",
    "KeyMetricsEntry",
    "KeyMetricsSummary",
    "LTVEntry",
    "MRRChurnRateEntry",
    "MRREntry",
    "MetricEntry",
    "MetricName",
    "MetricQuery",
    "Metrics",
    "Outcome",
    "Outcomes",
    "Pacing",
    "Page",
    "Pages",
    "Pause",
    "PendingBreakdown",
    "PendingBreakdowns",
    "Plan",
    "PlanGroup",
    "PlanGroups",
    "Plans",
    "Priority",
    "RedisStore",
    "ResponseInfo",
    "RetryPolicy",
    "Series",
    "SeriesTable",
    "SlicesDisagreed",
    "Success",
    "Summary",
    "Throttle",
    "ThrottleStatistics",
    "WeekStart",
    "__version__",
    "analysis",
    "cfl",
    "errors",
    "money",
    "periods",
]

# Where each name lives.
_HOMES = {
    "_version": ("__version__",),
    "cfl": ("Filter",),
    "client": ("AsyncClient", "ClientStatistics"),
    "clients": ("AsyncClients", "ClientsStatistics"),
    "errors": ("ChartMogulError",),
    "events": ("Attempt", "ConcurrencyLowered", "Event", "Pacing", "Pause", "ResponseInfo", "SlicesDisagreed"),
    "intervals": ("Interval", "WeekStart"),
    "metrics.adding": ("Discrepancy",),
    "metrics.breakdown": ("Breakdown",),
    "metrics.outcome": ("Failure", "Outcome", "Success"),
    "metrics.pending": ("PendingBreakdown", "PendingBreakdowns"),
    "metrics.query": ("MetricName", "MetricQuery"),
    "metrics.records": (
        "ARPAEntry",
        "ARREntry",
        "ASPEntry",
        "CustomerChurnRateEntry",
        "CustomerCountEntry",
        "KeyMetricsEntry",
        "KeyMetricsSummary",
        "LTVEntry",
        "MRRChurnRateEntry",
        "MRREntry",
        "MetricEntry",
        "Summary",
    ),
    "metrics.resource": ("Metrics",),
    "metrics.series": ("Series",),
    "metrics.stacked": ("SeriesTable",),
    "metrics.stream": ("Outcomes",),
    "resources.account": ("Account",),
    "resources.customers": (
        "Address",
        "BetaActivity",
        "BetaSubscription",
        "Customer",
        "CustomerAttributes",
        "Customers",
    ),
    "resources.pages": ("Page", "Pages"),
    "resources.plan_groups": ("PlanGroup", "PlanGroups"),
    "resources.plans": ("Plan", "Plans"),
    "transport.options": ("Priority",),
    "transport.retry": ("RetryPolicy",),
    "transport.file_store": ("FileStore",),
    "transport.redis_store": ("RedisStore",),
    "transport.throttle": ("Throttle", "ThrottleStatistics"),
}


# A type checker that saw this would accept any name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in ("analysis", "cfl", "errors", "money", "periods"):
            return import_module(f"{__name__}.{name}")
        for module, names in _HOMES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return __all__
