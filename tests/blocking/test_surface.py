"""The blocking client has the names, signatures and docstrings of the async one."""

from __future__ import annotations

import inspect
import pydoc
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, get_overloads

import pytest

from chartmogul_async import AsyncClient, Breakdown, MetricName, Plan, blocking
from chartmogul_async import Pages as AsyncPages
from chartmogul_async import PlanGroups as AsyncPlanGroups
from chartmogul_async import Plans as AsyncPlans
from chartmogul_async import Throttle as AsyncThrottle
from chartmogul_async.blocking.breakdown_calls import BreakdownCalls
from chartmogul_async.metrics.breakdown_calls import BreakdownCalls as AsyncBreakdownCalls
from chartmogul_async.metrics.resource import Metrics as AsyncMetrics
from chartmogul_async.metrics.stream import Outcomes as AsyncOutcomes
from chartmogul_async.resources.customers import Customers as AsyncCustomers
from tests.test_docstrings import names_in, sections_of

# Each async class, its blocking one, and the names that differ on purpose.
PAIRS: list[tuple[type, type, dict[str, str]]] = [
    (AsyncClient, blocking.Client, {"aclose": "close"}),
    (AsyncMetrics, blocking.Metrics, {}),
    (AsyncBreakdownCalls, BreakdownCalls, {}),
    (AsyncCustomers, blocking.Customers, {}),
    (AsyncOutcomes, blocking.Outcomes, {}),
    (AsyncPages, blocking.Pages, {}),
    (AsyncPlanGroups, blocking.PlanGroups, {}),
    (AsyncPlans, blocking.Plans, {}),
]
# What clients and slices call on a throttle, and nobody else.
INTERNAL = {"acquire", "attach", "detach", "free_slots", "mark_sent", "release", "withdraw"}
WRAPPED = [
    (name, getattr(one, name), getattr(other, name))
    for one, other in [*((one, other) for one, other, _ in PAIRS), (AsyncThrottle, blocking.Throttle)]
    for name, method in vars(one).items()
    if not name.startswith("_") and inspect.isfunction(method) and hasattr(other, name)
]
OVERLOADED = [
    (one, other, name)
    for one, other, _ in PAIRS
    for name, method in vars(one).items()
    if inspect.isfunction(method) and get_overloads(method)
]
every_method = pytest.mark.parametrize(("name", "one", "other"), WRAPPED, ids=[name for name, _, _ in WRAPPED])


def public(cls: type) -> set[str]:
    return {name for name in vars(cls) if not name.startswith("_")}


@pytest.mark.parametrize(("one", "other", "renamed"), PAIRS, ids=lambda value: getattr(value, "__qualname__", ""))
def test_the_names_are_the_same(one: type, other: type, renamed: dict[str, str]) -> None:
    assert public(other) == {renamed.get(name, name) for name in public(one)}


def test_the_throttle_has_what_a_program_may_call() -> None:
    assert public(blocking.Throttle) == public(AsyncThrottle) - INTERNAL


@every_method
def test_the_signatures_are_the_same(name: str, one: Callable[..., Any], other: Callable[..., Any]) -> None:
    assert inspect.signature(other).parameters.keys() == inspect.signature(one).parameters.keys()
    if name in ("stream", "first"):
        # Written by hand: it says something else, or returns another class.
        return
    if name not in ("list", "plans", "breakdown"):
        assert inspect.signature(other) == inspect.signature(one)
    assert inspect.signature(other).parameters == inspect.signature(one).parameters
    assert sections_of(other).keys() == sections_of(one).keys()
    assert {**sections_of(other), "Returns": "", "Raises": ""} == {**sections_of(one), "Returns": "", "Raises": ""}
    assert names_in(sections_of(other).get("Raises", "")) == names_in(sections_of(one).get("Raises", ""))
    assert not inspect.iscoroutinefunction(other)


def test_breakdown_has_overloads() -> None:
    assert (AsyncBreakdownCalls, BreakdownCalls, "breakdown") in OVERLOADED


@pytest.mark.parametrize(("one", "other", "name"), OVERLOADED, ids=lambda value: getattr(value, "__qualname__", value))
def test_the_overloads_take_the_same_arguments(one: type, other: type, name: str) -> None:
    def parameters(overloads: Any) -> list[list[inspect.Parameter]]:
        signatures = [inspect.signature(overload, eval_str=True) for overload in overloads]
        return [list(signature.parameters.values()) for signature in signatures]

    # A blocking method has the module and the name of the async one, under which its own overloads are not found.
    place: Any = SimpleNamespace(__module__=other.__module__, __qualname__=f"{other.__qualname__}.{name}")
    assert parameters(get_overloads(place)) == parameters(get_overloads(getattr(one, name)))


def test_the_arguments_of_the_client_are_the_same() -> None:
    assert inspect.signature(blocking.Client) == inspect.signature(AsyncClient)


def test_help_shows_every_parameter() -> None:
    shown = pydoc.plain(pydoc.render_doc(blocking.Metrics.mrr))
    for name in ("start_date", "end_date", "interval", "geo", "plans", "filters", "slices"):
        assert f"    {name}: " in shown


@pytest.mark.parametrize("name", blocking.__all__)
def test_every_public_class_is_documented(name: str) -> None:
    cls = getattr(blocking, name)
    assert cls.__module__ == "chartmogul_async.blocking"
    assert vars(cls)["__doc__"]
    assert all(inspect.getdoc(getattr(cls, method)) for method in public(cls))


@pytest.mark.parametrize("name", blocking.__all__)
def test_help_speaks_of_no_await(name: str) -> None:
    """The class itself may say what it is without."""
    cls = getattr(blocking, name)
    for method in public(cls):
        shown = inspect.getdoc(getattr(cls, method)) or ""
        assert not re.search(r"\bawait|\basync\b|another event loop", shown), f"{method}: {shown}"


def test_help_says_what_a_list_and_a_breakdown_are() -> None:
    assert inspect.signature(blocking.Plans.list).return_annotation == blocking.Pages[Plan]
    breakdown = inspect.signature(blocking.Metrics.breakdown)
    assert breakdown.return_annotation == Breakdown | dict[MetricName, Breakdown]
    assert "``first()`` is the first page" in " ".join((blocking.Plans.list.__doc__ or "").split())
    assert "\n    The ``Breakdown``, or a dict of them" in (blocking.Metrics.breakdown.__doc__ or "")


def test_the_public_names_are_exactly_these() -> None:
    assert blocking.__all__ == [
        "Client",
        "Customers",
        "Metrics",
        "Outcomes",
        "Pages",
        "PlanGroups",
        "Plans",
        "Throttle",
    ]
