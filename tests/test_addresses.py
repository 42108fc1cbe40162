"""Public classes have public addresses: what is pickled today can be read when a file has moved."""

from __future__ import annotations

import inspect
import pickle
import pickletools
import typing

import pytest

import chartmogul_async
from chartmogul_async import cfl, errors

CLASSES = [value for name in chartmogul_async.__all__ if inspect.isclass(value := getattr(chartmogul_async, name))]
ERRORS = [value for value in vars(errors).values() if inspect.isclass(value)]

every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def expected_module(cls: type) -> str:
    if issubclass(cls, BaseException):
        return "chartmogul_async.errors"
    # Both modules are public.
    return "chartmogul_async.cfl" if cls is cfl.Filter else "chartmogul_async"


def addresses_in(content: bytes) -> set[str]:
    """The names of modules in a pickle of protocol 0, which writes each as ``module name``."""
    return {
        str(argument).split(" ")[0] for opcode, argument, _ in pickletools.genops(content) if opcode.name == "GLOBAL"
    }


def test_classes_are_found() -> None:
    names = {cls.__name__ for cls in CLASSES}
    assert {"AsyncClient", "Attempt", "MRREntry", "RetryPolicy", "Series", "Throttle", "ThrottleStatistics"} <= names


@every_class
def test_class_has_its_public_address(cls: type) -> None:
    assert cls.__module__ == expected_module(cls)
    assert cls.__qualname__ == cls.__name__


@every_class
def test_pickle_names_the_public_address(cls: type) -> None:
    content = pickle.dumps(cls, protocol=0)
    assert addresses_in(content) == {expected_module(cls)}
    assert pickle.loads(content) is cls


@every_class
def test_type_hints_can_be_read(cls: type) -> None:
    hints = typing.get_type_hints(cls)
    assert not [hint for hint in hints.values() if isinstance(hint, str)]


@pytest.mark.parametrize("cls", ERRORS, ids=lambda cls: cls.__name__)
def test_errors_have_the_address_of_their_module(cls: type) -> None:
    if cls.__module__ != "builtins":
        assert addresses_in(pickle.dumps(cls, protocol=0)) == {"chartmogul_async.errors"}
    typing.get_type_hints(cls)


def test_pickled_values_name_public_addresses_only() -> None:
    """Also the classes of the fields: a pickled outcome may hold all of them."""
    from chartmogul_async import (
        Attempt,
        Failure,
        MetricQuery,
        MRREntry,
        Pause,
        RetryPolicy,
        Series,
        Success,
        Summary,
        Throttle,
    )

    query = MetricQuery("mrr", "2023-07-01", "2023-08-31")
    entries = (MRREntry(query.start_date, 12),)
    values = [
        Success(query, Series(entries, Summary(1, 2, 0.5), query)),
        Failure(query, errors.RateLimitError("too fast", 429, details=(errors.ErrorDetail("x"),))),
        Attempt("GET", "/v1/ping", 1, 200, None, 0.0, 0.1, None, None, gave_up=False),
        Pause(1.0),
        RetryPolicy(attempts=2),
        Throttle().statistics(),
    ]
    content = pickle.dumps(values, protocol=0)
    ours = {address for address in addresses_in(content) if address.startswith("chartmogul")}
    assert ours == {"chartmogul_async", "chartmogul_async.errors"}
    assert pickle.loads(content)[2:] == values[2:]
