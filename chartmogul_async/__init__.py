"""Await any ChartMogul metric: an async, typed client that keeps the account's limits before they are broken.

The names of the surface are loaded when they are first used (PEP 562), so the import itself costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "_version": ("__version__",),
    "account": ("Account",),
    "client": ("AsyncClient",),
    "customers": ("Customer",),
    "errors": ("ChartMogulError",),
    "metrics.fan_out": ("Outcome",),
    "metrics.intervals": ("Interval",),
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
    "transport.retry": ("Attempt", "RetryPolicy"),
    "transport.throttle": ("Throttle", "ThrottleStatistics"),
}


if not TYPE_CHECKING:  # which would take any name for a good one

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
