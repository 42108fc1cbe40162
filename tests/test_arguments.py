"""Every public callable, given values of every wrong kind: an ``ArgumentError``, before anything is sent."""

from __future__ import annotations

import datetime as dt
import decimal
import pickle
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest

from chartmogul_async import AsyncClient, AsyncClients, FileStore, MetricQuery, RetryPolicy, Throttle, cfl
from chartmogul_async.errors import ArgumentError
from chartmogul_async.metrics.query import METRICS
from chartmogul_async.sandbox import Company, Fault, Faults, Limits, Sandbox, serve_in_subprocess
from chartmogul_async.sandbox.figures import KEYS
from tests.clients import client_of


class Unprintable:
    """Its repr fails."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Array:
    """Like an array of numpy, whose comparison has no truth value."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")

    __hash__ = object.__hash__


VALUES: dict[str, Any] = {
    "five": 5,
    "zero": 0,
    "negative": -1,
    "huge": 10**5000,
    "fraction": 1.5,
    "nan": float("nan"),
    "infinite": float("inf"),
    "decimal": decimal.Decimal(1),
    "true": True,
    "false": False,
    "none": None,
    "text": "x",
    "empty": "",
    "surrogate": "a\ud800",
    "bytes": b"x",
    "pairs": [("a", "b")],
    "list": ["x"],
    "empty list": [],
    "dict": {5: 5},
    "class": int,
    "object": object(),
    "array": Array(),
    "unprintable": Unprintable(),
}
INTEGERS = {"five"}
SECONDS = {"five", "fraction", "infinite"}
AMOUNTS = {"five", "zero", "fraction", "huge", "negative"}
TEXTS = {"text", "empty"}
DAYS = ("2025-01-01", "2025-03-31")
ON = dt.date(2022, 1, 5)


async def read_stream(client: AsyncClient, queries: Any) -> None:
    async with client.metrics.stream(queries) as outcomes:
        async for _ in outcomes:
            raise AssertionError("there is an outcome")


def made(**given: Any) -> AsyncClient:
    return AsyncClient(**{"api_key": "key", **given})


COMPANY = Company(customers=0)


def added(**given: Any) -> object:
    return Company(customers=0).add_customer(**{"on": ON, "plan": "support", "mrr": 5, **given})


def compare(operator: str, value: Any) -> object:
    return getattr(cfl.where("mrr"), operator)(value)


async def by_country(metric: str, client: AsyncClient, value: Any) -> None:
    await getattr(client.metrics, metric)(*DAYS, geo=value)


# What is called with a value in place of one argument, and the values that are right there.
CALLS: dict[str, tuple[Callable[[Any], object], set[str]]] = {
    "AsyncClient api_key": (lambda value: made(api_key=value), {"text"}),
    "AsyncClient base_url": (lambda value: made(base_url=value), {"none"}),
    "AsyncClient timeout": (lambda value: made(timeout=value), SECONDS),
    "AsyncClient retry": (lambda value: made(retry=value), set()),
    "AsyncClient throttle": (lambda value: made(throttle=value), {"none"}),
    "AsyncClient transport": (lambda value: made(transport=value), {"none"}),
    "AsyncClient on_event": (lambda value: made(on_event=value), {"none", "class"}),
    "RetryPolicy attempts": (lambda value: RetryPolicy(attempts=value), INTEGERS),
    "RetryPolicy base": (lambda value: RetryPolicy(base=value), SECONDS),
    "RetryPolicy cap": (lambda value: RetryPolicy(cap=value), SECONDS),
    "RetryPolicy total": (lambda value: RetryPolicy(total=value), SECONDS),
    "Throttle per_second": (lambda value: Throttle(per_second=value), INTEGERS),
    "Throttle parallel": (lambda value: Throttle(parallel=value), INTEGERS),
    "Throttle store": (lambda value: Throttle(store=value), {"none"}),
    "AsyncClients store": (lambda value: AsyncClients(store=value), {"none"}),
    "resize per_second": (lambda value: Throttle().resize(per_second=value), INTEGERS | {"none"}),
    "resize parallel": (lambda value: Throttle().resize(parallel=value), INTEGERS | {"none"}),
    "MetricQuery metric": (lambda value: MetricQuery(value, *DAYS), set()),
    "MetricQuery start_date": (lambda value: MetricQuery("mrr", value, DAYS[1]), set()),
    "MetricQuery end_date": (lambda value: MetricQuery("mrr", DAYS[0], value), set()),
    "MetricQuery interval": (lambda value: MetricQuery("mrr", *DAYS, interval=value), set()),
    "MetricQuery geo": (lambda value: MetricQuery("mrr", *DAYS, geo=value), {"none"}),
    "MetricQuery plans": (lambda value: MetricQuery("mrr", *DAYS, plans=value), {"none", "text", "list"}),
    "MetricQuery filters": (lambda value: MetricQuery("mrr", *DAYS, filters=value), {"none"}),
    "cfl.where": (cfl.where, {"text"}),
    "cfl.Field": (cfl.Field, {"text"}),
    "cfl.Filter": (cfl.Filter, TEXTS),
    "contains": (lambda value: cfl.where("plan").contains(value), TEXTS),
    "not_contains": (lambda value: cfl.where("plan").not_contains(value), TEXTS),
    "between low": (lambda value: cfl.where("mrr").between(value, 1), TEXTS | AMOUNTS),
    "between high": (lambda value: cfl.where("mrr").between(1, value), TEXTS | AMOUNTS),
    **{
        name: (partial(compare, name), TEXTS | AMOUNTS)
        for name in ("any", "all", "none", "eq", "not_eq", "gt", "gte", "lt", "lte")
    },
    "filter & x": (lambda value: cfl.where("mrr").gt(5) & value, set()),
    "x & filter": (lambda value: value & cfl.where("mrr").gt(5), set()),
    "filter | x": (lambda value: cfl.where("mrr").gt(5) | value, set()),
    "x | filter": (lambda value: value | cfl.where("mrr").gt(5), set()),
    "field & x": (lambda value: cfl.where("mrr") & value, set()),
    "x & field": (lambda value: value & cfl.where("mrr"), set()),
    "Company seed": (lambda value: Company(customers=1, seed=value), {"five", "zero", "negative"}),
    "Company customers": (lambda value: Company(customers=value), {"five", "zero"}),
    "Company founded": (lambda value: Company(customers=1, founded=value), set()),
    "Company today": (lambda value: Company(customers=1, today=value), {"none"}),
    "Company week_start_on": (lambda value: Company(customers=1, week_start_on=value), set()),
    "Company.plan": (lambda value: Company(customers=0).plan(value), set()),
    "Company.customer": (lambda value: Company(customers=0).customer(value), set()),
    "add_customer on": (lambda value: added(on=value), set()),
    "add_customer plan": (lambda value: added(plan=value), set()),
    "add_customer mrr": (lambda value: added(mrr=value), {"five", "zero"}),
    "add_customer country": (lambda value: added(country=value), set()),
    "add_customer email": (lambda value: added(email=value), {"none"} | TEXTS),
    "add_customer name": (lambda value: added(name=value), {"none"} | TEXTS),
    "book customer": (lambda value: Company(customers=0).book(value, on=ON, plan="support", mrr=5), set()),
    "Limits per_second": (lambda value: Limits(per_second=value), INTEGERS | {"none"}),
    "Limits parallel": (lambda value: Limits(parallel=value), INTEGERS | {"none"}),
    "Limits counting": (lambda value: Limits(counting=value), set()),
    "Limits bucket": (lambda value: Limits(bucket=value), INTEGERS | {"none"}),
    "Limits work_per_minute": (lambda value: Limits(work_per_minute=value), INTEGERS | {"none"}),
    "Limits retry_after": (lambda value: Limits(retry_after=value), {"true", "false"}),
    "Fault.status code": (Fault.status, set()),
    "Fault.status body": (lambda value: Fault.status(500, value), {"none", "text", "empty", "dict"}),
    "Fault.slow": (Fault.slow, {"five", "zero", "fraction", "infinite"}),
    "Fault.stall": (Fault.stall, {"five", "zero", "none"}),
    "Fault.reset_in_body": (Fault.reset_in_body, {"five", "zero", "none"}),
    "Faults.sequence": (Faults.sequence, {"none"}),
    "Faults.sequence where": (lambda value: Faults.sequence(Fault.reset(), where=value), TEXTS | {"surrogate"}),
    "Faults.random": (Faults.random, set()),
    "Faults.random chance": (lambda value: Faults.random({Fault.reset(): value}), {"zero"}),
    "Faults.random seed": (lambda value: Faults.random({}, seed=value), {"five", "zero", "negative"}),
    "Faults.random where": (lambda value: Faults.random({}, where=value), TEXTS | {"surrogate"}),
    "Faults +": (lambda value: Faults() + value, set()),
    "Sandbox company": (lambda value: Sandbox(value), {"none"}),
    "Sandbox api_key": (lambda value: Sandbox(COMPANY, api_key=value), TEXTS | {"surrogate"}),
    "Sandbox limits": (lambda value: Sandbox(COMPANY, limits=value), set()),
    "Sandbox faults": (lambda value: Sandbox(COMPANY, faults=value), set()),
    "Sandbox latency": (lambda value: Sandbox(COMPANY, latency=value), SECONDS | {"zero"}),
    "Sandbox latency_per_entry": (lambda value: Sandbox(COMPANY, latency_per_entry=value), SECONDS | {"zero"}),
    "serve host": (lambda value: Sandbox(COMPANY).serve(value), {"text"}),
    "run host": (lambda value: Sandbox(COMPANY).run(value, port=-1), set()),
    "serve port": (lambda value: Sandbox(COMPANY).serve(port=value), {"five", "zero"}),
    "subprocess host": (lambda value: serve_in_subprocess(host=value, port=-1).__enter__(), set()),
    "subprocess latency": (lambda value: serve_in_subprocess(latency=value, port=-1).__enter__(), set()),
}

AWAITED: dict[str, tuple[Callable[[AsyncClient, Any], Awaitable[object]], set[str]]] = {
    "get path": (lambda client, value: client.get(value), {"text"}),
    "get params": (lambda client, value: client.get("/x", value), {"none"}),
    "get name": (lambda client, value: client.get("/x", {value: "a"}), {"text"}),
    "get value": (
        lambda client, value: client.get("/x", {"a": value}),
        {"five", "zero", "negative", "fraction", "true", "false", "none", "text", "empty"},
    ),
    "account include": (lambda client, value: client.account(include=value), {"none"}),
    "search email": (lambda client, value: client.customers.search(value), set()),
    "search with_associated_emails": (
        lambda client, value: client.customers.search("a@b.example", with_associated_emails=value),
        {"true", "false"},
    ),
    "fetch query": (lambda client, value: client.metrics.fetch(value), set()),
    "fetch slices": (
        lambda client, value: client.metrics.fetch(MetricQuery("mrr", *DAYS), slices=value),
        {"five", "none"},
    ),
    "fetch_all": (lambda client, value: client.metrics.fetch_all(value), {"empty list"}),
    "stream": (read_stream, {"empty list"}),
    **{f"metrics.{name}": (partial(by_country, name), {"none"}) for name in METRICS},
}
# One response that every endpoint can be read from.
ANYTHING = {
    "entries": [],
    "summary": {"current": 1, "previous": 1, "percentage-change": 0.0}
    | {f"{when}-{key}": 1 for when in ("current", "previous") for key in KEYS}
    | {f"{key}-percentage-change": 0.0 for key in KEYS},
    "has_more": False,
    "name": "x",
    "currency": "USD",
    "time_zone": "UTC",
    "week_start_on": "monday",
}


def hashable(value: Any) -> bool:
    return type(value).__hash__ is not None


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_argument_is_an_argument_error(call: str) -> None:
    function, right = CALLS[call]
    for name in VALUES.keys() - right:
        with pytest.raises(ArgumentError) as raised:
            function(VALUES[name])
        assert len(str(raised.value)) < 400, name
        assert raised.value.__cause__ is None, name
        assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value), name


@pytest.mark.parametrize("call", CALLS)
def test_a_right_argument_is_accepted_and_can_be_shown(call: str) -> None:
    function, right = CALLS[call]
    for name in right:
        # Python itself refuses to print an integer of 5,000 digits, as a CFL amount has them.
        assert repr(function(VALUES[name])), name


@pytest.mark.parametrize("call", AWAITED)
async def test_a_wrong_argument_is_noticed_before_a_request(call: str) -> None:
    function, right = AWAITED[call]

    def handler(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"{request.url} was sent")

    async with client_of(handler) as client:
        for name in VALUES.keys() - right:
            if call == "get name" and not hashable(VALUES[name]):
                continue
            with pytest.raises(ArgumentError) as raised:
                await function(client, VALUES[name])
            assert len(str(raised.value)) < 400, name
        assert client.throttle.statistics().admitted == 0


@pytest.mark.parametrize("call", AWAITED)
async def test_a_right_argument_is_sent(call: str) -> None:
    function, right = AWAITED[call]
    async with client_of(lambda _: httpx.Response(200, json=ANYTHING)) as client:
        for name in right:
            admitted = client.throttle.statistics().admitted
            await function(client, VALUES[name])
            # No queries are no requests.
            assert (client.throttle.statistics().admitted > admitted) == (name != "empty list"), name


async def test_parameters_that_are_too_long_are_not_sent() -> None:
    async with client_of(lambda _: httpx.Response(200, json=ANYTHING)) as client:
        with pytest.raises(ArgumentError, match=r"^ids must be shorter"):
            await client.get("/x", {"ids": "x" * 70_000})
        assert client.throttle.statistics().admitted == 0


def test_the_environment_is_used_only_where_nothing_was_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "key")
    monkeypatch.setenv("CHARTMOGUL_BASE_URL", "")
    assert repr(AsyncClient()) == "AsyncClient(base_url='https://api.chartmogul.com/v1')"
    with pytest.raises(ArgumentError, match=r"^base_url must be a URL"):
        AsyncClient(base_url="")
    with pytest.raises(ArgumentError, match=r"^no API key"):
        AsyncClient("")


def test_a_store_is_made_before_it_is_passed() -> None:
    with pytest.raises(ArgumentError, match=r"^store must be a store such as FileStore\(\) .* not <class"):
        Throttle(store=FileStore)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_the_largest_numbers_do_no_harm() -> None:
    largest = 2**63 - 1
    assert repr(Throttle(largest, largest))
    assert repr(RetryPolicy(attempts=largest, base=1e308, total=sys.float_info.max))
