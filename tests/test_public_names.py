"""The promise: the public names and how they are called. A change here is a change for every user."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import chartmogul_async
from chartmogul_async import (
    AsyncClient,
    Breakdown,
    Customers,
    Failure,
    MetricQuery,
    Metrics,
    Pages,
    PlanGroups,
    Plans,
    RetryPolicy,
    Success,
    Throttle,
    cfl,
    errors,
)

PUBLIC = [
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
METRICS = ["all", "mrr", "arr", "arpa", "asp", "customer_count", "customer_churn_rate", "mrr_churn_rate", "ltv"]


def test_the_public_names_are_exactly_these() -> None:
    assert chartmogul_async.__all__ == PUBLIC == sorted(PUBLIC)


def test_a_star_import_gives_every_public_name() -> None:
    namespace: dict[str, Any] = {}
    exec("from chartmogul_async import *", namespace)
    assert set(PUBLIC) <= set(namespace)


def test_public_modules_are_loaded_when_first_asked_for() -> None:
    # Whatever imports them before makes them attributes, so the hook is asked directly.
    load = vars(chartmogul_async)["__getattr__"]
    assert (load("cfl"), load("errors")) == (cfl, errors)


def test_the_version_is_valid() -> None:
    assert all(part.isdigit() for part in chartmogul_async.__version__.split(".")[:2])


# A text, three sets of texts and two unions, which have no docstrings.
WITHOUT_DOCSTRING = {"__version__", "Event", "Interval", "MetricName", "Outcome", "Priority", "WeekStart"}


def documented() -> list[Any]:
    """Every public name but the version, and every public method of the public classes."""
    names = [(name, getattr(chartmogul_async, name)) for name in PUBLIC if name not in WITHOUT_DOCSTRING]
    names += [(f"errors.{name}", getattr(errors, name)) for name in vars(errors) if name.endswith(("Error", "Detail"))]
    names += [("cfl.where", cfl.where), ("cfl.Field", cfl.Field)]
    methods = [
        (f"{owner}.{name}", method)
        for owner, cls in names
        if inspect.isclass(cls) and cls.__module__.startswith("chartmogul_async")
        for name, method in inspect.getmembers_static(cls)
        if not name.startswith("_") and (inspect.isfunction(method) or isinstance(method, property))
    ]
    return [pytest.param(value, id=name) for name, value in names + methods]


@pytest.mark.parametrize("value", documented())
def test_every_public_name_has_a_docstring(value: Any) -> None:
    docstring = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    assert docstring
    assert docstring.strip()


def test_methods_are_among_the_documented_names() -> None:
    names = {param.id for param in documented()}
    assert {f"Metrics.{name}" for name in METRICS} <= names
    assert {"AsyncClient.aclose", "Throttle.resize", "MetricQuery.params", "cfl.Field.any", "Customers.search"} <= names


def signature_of(callable_: Callable[..., Any]) -> str:
    """Names, kinds and defaults; what the types are is held by ``tests.typing``."""
    signature = inspect.signature(callable_)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(inspect.Signature(bare))


RANGE = "start_date, end_date=None, *, interval='month', geo=None, plans=None, filters=None"


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_called_in_the_same_way(name: str) -> None:
    assert signature_of(getattr(Metrics, name)) == f"(self, {RANGE}, slices=None)"


def test_the_metrics_have_no_other_public_method() -> None:
    public = [name for name in dir(Metrics) if not name.startswith("_")]
    assert public == sorted([*METRICS, "breakdown", "fetch", "fetch_all", "retry_failed", "stream"])


def test_a_throttle_shows_its_users_what_is_for_them() -> None:
    assert [name for name in dir(Throttle()) if not name.startswith("_")] == ["parallel", "resize", "statistics"]


OF_A_SOURCE = "data_source_uuid=None, system=None, external_id=None"
PAGES = "per_page=None, cursor=None"
TIMEOUT = httpx.Timeout(connect=5.0, read=30.0, write=30.0, pool=None)


@pytest.mark.parametrize(
    ("callable_", "signature"),
    [
        (MetricQuery, f"(metric, {RANGE})"),
        (RetryPolicy, "(attempts=6, base=1.0, cap=30.0, total=90.0)"),
        (Throttle, "(per_second=40, parallel=20, store=None)"),
        (Throttle.resize, "(self, *, per_second=None, parallel=None)"),
        (Throttle.statistics, "(self)"),
        (
            AsyncClient,
            "(api_key=None, *, base_url=None, "
            f"timeout={TIMEOUT!r}, retry={RetryPolicy()!r}, throttle=None, transport=None, on_event=None)",
        ),
        (AsyncClient.aclose, "(self)"),
        (AsyncClient.account, "(self, *, include=None)"),
        (AsyncClient.ping, "(self)"),
        (AsyncClient.get, "(self, path, params=None)"),
        (Metrics.fetch, "(self, query, *, slices=None)"),
        (Metrics.fetch_all, "(self, queries)"),
        (Metrics.stream, "(self, queries)"),
        (
            Metrics.breakdown,
            "(self, metric, start_date, end_date=None, *, by, interval='month', geo=None, plans=None, filters=None, "
            "on_error='raise', on_progress=None)",
        ),
        (Metrics.retry_failed, "(self, breakdown, *, on_progress=None)"),
        (Breakdown.to_dicts, "(self)"),
        (Customers.search, "(self, email, *, with_associated_emails=False)"),
        (Customers.list, f"(self, *, status=None, {OF_A_SOURCE}, {PAGES})"),
        (Plans.list, f"(self, *, {OF_A_SOURCE}, {PAGES})"),
        (PlanGroups.list, f"(self, *, {PAGES})"),
        (PlanGroups.plans, f"(self, plan_group, *, {PAGES})"),
        (Pages.first, "(self)"),
        (Success, "(query, series)"),
        (Success.result, "(self)"),
        (Failure, "(query, error)"),
        (Failure.result, "(self)"),
        (cfl.where, "(name)"),
        (
            errors.ChartMogulError,
            "(message, status=None, param=None, details=(), request_id=None, attempts=0, waited=0.0, "
            "method=None, url=None)",
        ),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_signatures_are_a_promise(callable_: Callable[..., Any], signature: str) -> None:
    assert signature_of(callable_) == signature


@pytest.mark.parametrize("name", [*METRICS, "fetch", "fetch_all", "retry_failed"])
def test_every_metric_is_awaited(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(Metrics, name))


@pytest.mark.parametrize("name", ["account", "ping", "get", "aclose"])
def test_every_call_of_the_client_is_awaited(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(AsyncClient, name))


def test_the_program_of_the_type_checkers_can_be_imported() -> None:
    from tests.typing import right, wrong

    assert inspect.iscoroutinefunction(right.each_metric_has_its_own_entry)
    assert inspect.iscoroutinefunction(wrong.a_misspelt_name)
