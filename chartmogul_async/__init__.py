"""Await any ChartMogul metric: an async, typed client that stays within the account's rate limits.

The names of the surface are loaded when they are first used (PEP 562), so the import itself costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chartmogul_async import cfl, errors
    from chartmogul_async._version import __version__
    from chartmogul_async.client import AsyncClient
    from chartmogul_async.errors import ChartMogulError
    from chartmogul_async.events import Attempt, ConcurrencyLowered, Event, Pacing, Pause, SlicesDisagreed
    from chartmogul_async.intervals import Interval
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
    from chartmogul_async.metrics.stream import Outcome, Outcomes
    from chartmogul_async.resources.account import Account
    from chartmogul_async.resources.customers import Customer
    from chartmogul_async.transport.file_store import FileStore
    from chartmogul_async.transport.retry import RetryPolicy
    from chartmogul_async.transport.throttle import Throttle, ThrottleStatistics

__all__ = [
    "ARPAEntry",
    "ARREntry",
    "ASPEntry",
    "Account",
    "AsyncClient",
    "Attempt",
    "ChartMogulError",
    "ConcurrencyLowered",
    "Customer",
    "CustomerChurnRateEntry",
    "CustomerCountEntry",
    "Event",
    "FileStore",
    "Interval",
    "KeyMetricsEntry",
    "KeyMetricsSummary",
    "LTVEntry",
    "MRRChurnRateEntry",
    "MRREntry",
    "MetricName",
    "MetricQuery",
    "Outcome",
    "Outcomes",
    "Pacing",
    "Pause",
    "RetryPolicy",
    "Series",
    "SlicesDisagreed",
    "Summary",
    "Throttle",
    "ThrottleStatistics",
    "__version__",
    "cfl",
    "errors",
]

# Where each name lives.
_HOMES = {
    "_version": ("__version__",),
    "client": ("AsyncClient",),
    "errors": ("ChartMogulError",),
    "events": ("Attempt", "ConcurrencyLowered", "Event", "Pacing", "Pause", "SlicesDisagreed"),
    "intervals": ("Interval",),
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
        "Series",
        "Summary",
    ),
    "metrics.stream": ("Outcome", "Outcomes"),
    "resources.account": ("Account",),
    "resources.customers": ("Customer",),
    "transport.retry": ("RetryPolicy",),
    "transport.file_store": ("FileStore",),
    "transport.throttle": ("Throttle", "ThrottleStatistics"),
}


# A type checker that saw this would accept any name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in ("cfl", "errors"):
            return import_module(f"{__name__}.{name}")
        for module, names in _HOMES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return __all__
