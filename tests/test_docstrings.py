"""The docstrings of public callables: ``help(client.metrics.mrr)`` shows each parameter, the result and the errors."""

from __future__ import annotations

import inspect
import pydoc
import re
from collections.abc import Callable
from typing import Any

import pytest

from chartmogul_async import (
    Account,
    AsyncClient,
    Breakdown,
    Customers,
    Metrics,
    Pages,
    PlanGroups,
    Plans,
    RetryPolicy,
    Series,
    Throttle,
    analysis,
    blocking,
    cfl,
    errors,
    money,
    periods,
)
from chartmogul_async.integrations.asgi import ChartMogulMiddleware, error_response
from chartmogul_async.metrics.breakdown_calls import BreakdownCalls

OWNERS = [AsyncClient, Breakdown, BreakdownCalls, Metrics, Customers, Pages, PlanGroups, Plans, Throttle]


def public_methods(cls: type) -> list[Callable[..., Any]]:
    return [value for name, value in vars(cls).items() if not name.startswith("_") and inspect.isfunction(value)]


# The operators of ``cfl.Field`` are described together, in the docstring of the class.
CALLABLES: list[Callable[..., Any]] = [
    AsyncClient,
    RetryPolicy,
    Throttle,
    cfl.where,
    *(method for cls in OWNERS for method in public_methods(cls)),
    # The others of the blocking client have those of the async one.
    blocking.Client.close,
    ChartMogulMiddleware,
    error_response,
    blocking.Metrics.stream,
    Account.today,
    Series.column,
    *(getattr(analysis, name) for name in analysis.__all__),
    *(money.amount, money.units, money.decimals),
    *(periods.period, periods.last, periods.this, periods.today_in),
]
SENDING = [method for cls in OWNERS for method in public_methods(cls) if inspect.iscoroutinefunction(method)]

every_callable = pytest.mark.parametrize("function", CALLABLES, ids=lambda function: function.__qualname__)


def sections_of(function: Callable[..., Any]) -> dict[str, str]:
    """The sections of a Google-style docstring; what stands before them is the section without a name."""
    found, name = {"": ""}, ""
    for line in inspect.cleandoc(function.__doc__ or "").splitlines():
        header = re.fullmatch(r"(Args|Returns|Raises|Yields|Attributes):", line)
        if header:
            name = header[1]
        elif line and not line.startswith(" "):
            name = ""
        found[name] = found.get(name, "") + ("" if header else f"{line}\n")
    return found


def names_in(section: str) -> list[str]:
    """What a section describes: names before a colon, not further in than the first."""
    return re.findall(r"^ {4}(\*{0,2}\w+): \S", section, re.MULTILINE)


def parameters_of(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


@every_callable
def test_args_are_exactly_the_parameters(function: Callable[..., Any]) -> None:
    assert names_in(sections_of(function).get("Args", "")) == parameters_of(function)


@every_callable
def test_first_line_is_a_sentence(function: Callable[..., Any]) -> None:
    first = sections_of(function)[""].splitlines()[0]
    assert re.match(r"[A-Z`]", first)
    assert len(first) <= 120


@every_callable
def test_returns_is_there_if_something_is_returned(function: Callable[..., Any]) -> None:
    returns_nothing = inspect.isclass(function) or inspect.signature(function).return_annotation in ("None", None)
    assert ("Returns" in sections_of(function)) is not returns_nothing


@every_callable
def test_raises_names_public_errors(function: Callable[..., Any]) -> None:
    for name in names_in(sections_of(function).get("Raises", "")):
        assert issubclass(getattr(errors, name), Exception)


@pytest.mark.parametrize("function", SENDING, ids=lambda function: function.__qualname__)
def test_whatever_is_awaited_has_raises(function: Callable[..., Any]) -> None:
    raised = set(names_in(sections_of(function).get("Raises", "")))
    assert raised
    assert raised & {"ChartMogulError", "RateLimitError", "StateError"}


def test_parameters_of_a_metric_are_shown_by_help() -> None:
    shown = pydoc.plain(pydoc.render_doc(Metrics.mrr))
    for name in ("start_date", "end_date", "interval", "geo", "plans", "filters", "slices"):
        assert f"    {name}: " in shown
    assert "cents" in shown
