"""``typing.get_type_hints`` works on whatever is public: beartype, typer and pydantic call it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import chartmogul_async
from chartmogul_async import (
    Account,
    AsyncClient,
    Filter,
    MetricQuery,
    Metrics,
    MRREntry,
    Series,
    Success,
    Summary,
    analysis,
    cfl,
    errors,
    money,
    periods,
    sandbox,
)

FOLDER = Path(chartmogul_async.__file__).parent


def names_of(module: ModuleType) -> list[str]:
    """What ``__all__`` contains, or whatever was made in a module without one."""
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    return getattr(module, "__all__", [name for name in own if not name.startswith("_")])


def is_written(value: object) -> bool:
    """Whether a function was written in the package, and not made by attrs or, as annotations are, by Python 3.14."""
    if not inspect.isfunction(value) or value.__name__.startswith("__annotate"):
        return False
    return Path(value.__code__.co_filename).is_relative_to(FOLDER)


def functions_of(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Each public method, the special ones included, and the functions of its properties."""
    for base in cls.__mro__:
        # A base class that is not public has public methods all the same.
        if base.__module__.partition(".")[0] != "chartmogul_async":
            continue
        for name, value in vars(base).items():
            if name.startswith("_") and not (name.startswith("__") and name.endswith("__")):
                continue
            if name.startswith("__") and name != "__init__" and not is_written(value):
                continue
            bare = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
            bare = bare.func if isinstance(bare, cached_property) else bare
            bare = bare.fget if isinstance(bare, property) else bare
            if inspect.isfunction(bare):
                yield f"{base.__name__}.{name}", bare


def public() -> Iterator[Any]:
    for module in (chartmogul_async, errors, cfl, sandbox, analysis, money, periods):
        for name in names_of(module):
            value = getattr(module, name)
            if inspect.isclass(value):
                yield pytest.param(value, id=f"{module.__name__}.{name}")
                yield from (pytest.param(each, id=f"{module.__name__}.{path}") for path, each in functions_of(value))
            elif inspect.isfunction(value):
                yield pytest.param(value, id=f"{module.__name__}.{name}")


PUBLIC = list(public())


@pytest.mark.parametrize("value", PUBLIC)
def test_type_hints_can_be_read(value: Any) -> None:
    hints = typing.get_type_hints(value)
    assert not [hint for hint in hints.values() if isinstance(hint, (str, typing.ForwardRef))]


@pytest.mark.parametrize("value", [each for each in PUBLIC if is_written(each.values[0])])
def test_every_parameter_has_a_type_hint(value: Any) -> None:
    assert {*inspect.signature(value).parameters} - {"self", "cls"} <= {*typing.get_type_hints(value)}


def test_public_callables_are_found() -> None:
    names = {param.id.removeprefix("chartmogul_async.") for param in PUBLIC}
    assert {"AsyncClient.__init__", "AsyncClient.metrics", "Metrics.mrr", "Metrics.stream", "Customers.search"} <= names
    assert {"MetricQuery.__init__", "MetricQuery.params", "Series.__init__", "Outcomes.__anext__"} <= names
    assert {"cfl.where", "cfl.Field.any", "cfl.Filter.__and__", "errors.DecodeError.__init__"} <= names
    assert {"Attempt.__init__", "sandbox.Sandbox.transport", "sandbox.Fault.status"} <= names


def test_type_hints_by_hand() -> None:
    assert typing.get_type_hints(Metrics.mrr)["return"] == Series[MRREntry, Summary]
    assert typing.get_type_hints(MetricQuery.__init__)["filters"] == str | Filter | None
    assert typing.get_type_hints(AsyncClient.account)["return"] is Account
    assert typing.get_type_hints(Success.__init__)["return"] is type(None)
