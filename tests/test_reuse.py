"""Equal requests share one exchange, and recent responses are used again."""

from __future__ import annotations

import json
import math
import pickle
import time
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from chartmogul_async import (
    Account,
    AsyncClient,
    ClientStatistics,
    MetricQuery,
    Priority,
    RetryPolicy,
    SlicesDisagreed,
    Throttle,
    errors,
    intervals,
)
from chartmogul_async.metrics.query import METRICS
from chartmogul_async.sandbox import Company, Limits, Sandbox
from chartmogul_async.transport import reuse, session
from tests.clients import ACCOUNT, MRR, another_mrr, client_of, ok
from tests.shared_limits import LoopStore

RANGE = ("2023-07-01", "2023-07-31")
LONG = ("2016-07-01", "2026-06-30")


class Server:
    """Responds after 0.1 s, with the responses given, the last one again and again."""

    def __init__(self, *responses: httpx.Response | Exception) -> None:
        self.requests: list[httpx.Request] = []
        self.cancelled = 0
        self._responses = list(responses) or [ok()]

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        try:
            await anyio.sleep(0.1)
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        response = self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]
        if isinstance(response, Exception):
            raise response
        return httpx.Response(response.status_code, headers=response.headers, content=response.content)


async def step() -> None:
    """Let every task go on to where it waits, in no time."""
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


async def outcome_of(call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await call()
    except errors.ChartMogulError as error:
        return error


async def at_once(number: int, call: Callable[[], Awaitable[Any]]) -> list[Any]:
    """The outcomes of equal calls that begin at the same time."""
    outcomes: list[Any] = []

    async def one() -> None:
        outcomes.append(await outcome_of(call))

    async with anyio.create_task_group() as group:
        for _ in range(number):
            group.start_soon(one)
    return outcomes


# --- one exchange ----------------------------------------------------------------------------------------------------


async def test_equal_calls_share_one_exchange() -> None:
    server = Server()
    async with client_of(server) as client:
        series = await at_once(100, lambda: client.metrics.mrr(*RANGE))
        assert client.statistics() == ClientStatistics(exchanges=1, shared=99, reused=0, kept=0, kept_bytes=0)
        # Nothing is kept: a call that comes later makes an exchange.
        series += [await client.metrics.mrr(*RANGE)]
    assert len(server.requests) == 2
    assert all(each == series[0] for each in series)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda client: client.metrics.mrr(*RANGE), lambda client: client.metrics.arr(*RANGE)),
        (lambda client: client.metrics.mrr(*RANGE), lambda client: client.metrics.mrr(*RANGE, geo="US")),
        (lambda client: client.metrics.mrr(*RANGE), lambda client: client.metrics.mrr(*RANGE, interval="day")),
        (lambda client: client.ping(), lambda client: client.ping()),
        (lambda client: client.get("/plans"), lambda client: client.get("/plans")),
    ],
    ids=["metric", "filter", "interval", "ping", "get"],
)
async def test_other_calls_do_not(
    one: Callable[[AsyncClient], Awaitable[Any]], other: Callable[[AsyncClient], Awaitable[Any]]
) -> None:
    """What ``get`` returns may be changed by its caller, and ``ping`` asks whether the key is valid now."""
    server = Server(httpx.Response(200, json={"data": "pong!"}))
    async with client_of(server) as client, anyio.create_task_group() as group:
        for call in (one, other):
            group.start_soon(outcome_of, partial(call, client))
    assert len(server.requests) == 2


async def test_views_share_unless_they_try_otherwise() -> None:
    server = Server()
    async with client_of(server) as client:
        alike = client.with_options(priority="batch", max_wait=10, max_age=10, on_response=lambda _: None)
        others = [client.with_options(retry=RetryPolicy(attempts=1)), client.with_options(timeout=3)]
        async with anyio.create_task_group() as group:
            for each in (client, alike, *others):
                group.start_soon(partial(each.metrics.mrr, *RANGE))
    assert len(server.requests) == 3


@pytest.mark.parametrize("resource", ["customers", "account"])
async def test_customers_and_the_account_are_shared_too(resource: str) -> None:
    server = Server(httpx.Response(200, json={"entries": [], "has_more": False} | ACCOUNT))
    async with client_of(server) as client:
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "customers": lambda: client.customers.search("anna@example.com"),
            "account": client.account,
        }
        await at_once(5, calls[resource])
    assert len(server.requests) == 1


async def test_nine_metrics_for_two_hundred_viewers_are_nine_requests() -> None:
    """As found, 1,800 requests and 45 s; a single viewer takes 0.045 s."""
    sandbox = sandbox_of(latency=0.03)

    async def viewer(client: AsyncClient) -> None:
        async with anyio.create_task_group() as group:
            for metric in METRICS:
                group.start_soon(client.metrics.fetch, MetricQuery(metric, "2025-01-01", "2025-12-31"))

    async with AsyncClient("sandbox", transport=sandbox.transport()) as client:
        started = anyio.current_time()
        async with anyio.create_task_group() as group:
            for _ in range(200):
                group.start_soon(viewer, client)
        assert anyio.current_time() - started <= 0.05
    assert sandbox.counters.requests == 9


@pytest.mark.parametrize(("number", "max_age"), [(1, 60), (3, 60), (3, 0)])
async def test_what_a_caller_changes_is_its_own(number: int, max_age: float) -> None:
    """Entries are frozen, but customers and accounts have fields that are dicts."""
    found = {"entries": [{"uuid": "cus_1", "attributes": {"custom": {"a": 1}}}], "has_more": False}
    async with client_of(Server(httpx.Response(200, json=found))) as client:
        view = client.with_options(max_age=max_age)

        async def changed() -> Any:
            (customer,) = await view.customers.search("anna@example.com")
            attributes: Any = customer.attributes
            assert attributes.custom == {"a": 1}
            # The others have not looked at theirs yet.
            attributes.custom["a"] = 2
            return attributes

        found_by = [*await at_once(number, changed), await changed(), await changed()]
    assert len({id(attributes.custom) for attributes in found_by}) == number + 2


async def test_what_is_for_one_caller_alone_is_neither_kept_nor_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of customers is large."""
    copied: list[object] = []
    monkeypatch.setattr(session, "deepcopy", copied.append)
    async with client_of(Server(httpx.Response(200, json=ACCOUNT))) as client:
        assert (await client.account()).name == ACCOUNT["name"]
        assert client.statistics().kept == 0
    assert copied == []


# --- whoever leaves ----------------------------------------------------------------------------------------------


async def test_who_is_cancelled_leaves_alone() -> None:
    server, done = Server(), []

    async def viewer(client: AsyncClient, patience: float) -> None:
        with anyio.move_on_after(patience):
            done.append(await client.metrics.mrr(*RANGE))

    async with client_of(server) as client, anyio.create_task_group() as group:
        for patience in (1.0, 0.05, 1.0):
            group.start_soon(viewer, client, patience)
            await step()
    assert len(server.requests) == 1
    assert len(done) == 2


async def test_another_call_carries_on_when_the_first_one_is_cancelled() -> None:
    server, throttle = Server(), Throttle()
    outcomes: list[Any] = []
    async with client_of(server, throttle=throttle) as client, anyio.create_task_group() as group:
        first = anyio.CancelScope()

        async def cancelled() -> None:
            with first:
                await client.metrics.mrr(*RANGE)

        group.start_soon(cancelled)
        await anyio.wait_all_tasks_blocked()

        async def other() -> None:
            outcomes.append(await client.metrics.mrr(*RANGE))

        for _ in range(3):
            group.start_soon(other)
        await anyio.sleep(0.05)
        first.cancel()
    assert (len(server.requests), server.cancelled, len(outcomes)) == (2, 1, 3)
    statistics = throttle.statistics()
    assert (statistics.waiting, statistics.in_flight) == (0, 0)


async def test_who_waits_for_longest_carries_on() -> None:
    """As found, 92 of 100 failed: each that carried on was the one with the least time left."""
    done: list[int] = []

    async def slow(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(6)
        return ok()

    async def viewer(client: AsyncClient, number: int) -> None:
        with anyio.move_on_after(5.9 if number == 0 else 10):
            await client.metrics.mrr(*RANGE)
            done.append(number)

    async with client_of(slow) as client, anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(viewer, client, number)
            await anyio.sleep(1)
    # One began too early to wait for another exchange.
    assert sorted({*range(1, 100)}.difference(done)) == [1]


async def test_one_call_is_woken_when_another_leaves() -> None:
    """As found, all were, which took 36 s of work for two thousand that left one after the other."""
    server = Server()
    async with client_of(server, throttle=Throttle(parallel=1)) as client, anyio.create_task_group() as group:
        group.start_soon(partial(client.metrics.mrr, *RANGE, geo="US"))
        await step()
        scopes = [anyio.CancelScope() for _ in range(50)]

        async def viewer(scope: anyio.CancelScope) -> None:
            with scope:
                await client.metrics.mrr(*RANGE)

        for scope in scopes:
            group.start_soon(viewer, scope)
            await step()
        (current,) = [each for each in client._session.reuse.in_progress.values() if each.has_followers]
        assert len(current._followers) == 49
        scopes[0].cancel()
        await step()
        assert len(current._followers) == 48
    assert client._session.reuse.in_progress == {}


async def test_a_call_that_is_cancelled_as_it_carries_on_passes_it_on() -> None:
    server, scopes, done = Server(), [anyio.CancelScope() for _ in range(3)], 0

    async def viewer(scope: anyio.CancelScope, seconds: float) -> None:
        nonlocal done
        with scope, anyio.move_on_after(seconds):
            await client.metrics.mrr(*RANGE)
            done += 1

    async with client_of(server) as client, anyio.create_task_group() as group:
        for scope, seconds in zip(scopes, (1, 3, 2), strict=True):
            group.start_soon(viewer, scope, seconds)
            await step()
        # The second one is to carry on, and is cancelled in the same moment.
        scopes[0].cancel()
        scopes[1].cancel()
    assert (done, len(server.requests)) == (1, 2)


async def test_nobody_is_left_to_carry_on() -> None:
    server, scopes = Server(), [anyio.CancelScope() for _ in range(2)]

    async def viewer(scope: anyio.CancelScope) -> None:
        with scope:
            await client.metrics.mrr(*RANGE)

    async with client_of(server) as client:
        async with anyio.create_task_group() as group:
            for scope in scopes:
                group.start_soon(viewer, scope)
                await step()
            for scope in scopes:
                scope.cancel()
        assert client._session.reuse.in_progress == {}
        await client.metrics.mrr(*RANGE)
    assert len(server.requests) == 2


async def test_a_call_that_carries_on_has_the_place_of_the_first_one() -> None:
    """As found, it overtook calls that were there before either of them."""
    server = Server()
    order: list[str] = []

    async def call(client: AsyncClient, name: str, geo: str) -> None:
        await client.metrics.mrr(*RANGE, geo=geo)
        order.append(name)

    throttle = Throttle(parallel=1)
    async with client_of(server, throttle=throttle) as client, anyio.create_task_group() as group:
        first = anyio.CancelScope()

        async def cancelled() -> None:
            with first:
                await call(client, "cancelled", "US")

        group.start_soon(call, client, "in flight", "DE")
        await step()
        group.start_soon(call, client, "earlier", "GB")
        await step()
        group.start_soon(cancelled)
        await step()
        group.start_soon(call, client, "carries on", "US")
        await step()
        group.start_soon(call, client, "later", "FR")
        await step()
        first.cancel()
    assert order == ["in flight", "earlier", "carries on", "later"]


async def test_a_call_that_carries_on_what_was_sent_goes_ahead_of_all() -> None:
    """The request that it makes again had left the queue before any of them came."""
    order: list[str] = []

    async def call(client: AsyncClient, name: str, geo: str) -> None:
        await client.metrics.mrr(*RANGE, geo=geo)
        order.append(name)

    async with client_of(Server(), throttle=Throttle(per_second=1)) as client, anyio.create_task_group() as group:
        with anyio.CancelScope() as first:
            async with anyio.create_task_group() as cancelled:
                cancelled.start_soon(call, client, "cancelled", "US")
                await step()
                for name, geo in (("waits", "DE"), ("carries on", "US")):
                    group.start_soon(call, client, name, geo)
                    await step()
                first.cancel()
    assert order == ["carries on", "waits"]


async def test_a_call_that_carries_on_what_was_sent_is_not_bound_by_max_wait() -> None:
    """It came when the request was out, and waits for a start as long as it takes."""
    outcomes: list[Any] = []

    async def call(client: AsyncClient) -> None:
        outcomes.append(await outcome_of(partial(client.metrics.mrr, *RANGE)))

    async with client_of(Server(), throttle=Throttle(per_second=1)) as client, anyio.create_task_group() as group:
        with anyio.move_on_after(0.05):
            async with anyio.create_task_group() as cancelled:
                cancelled.start_soon(call, client)
                await step()
                group.start_soon(call, client.with_options(max_wait=0.01))
    (series,) = outcomes
    assert series.summary.current == 354026144


async def test_a_call_that_joins_what_was_sent_once_is_not_bound_by_max_wait() -> None:
    """Another one carries it on, and waits for a start meanwhile."""
    outcomes: list[Any] = []

    async def call(client: AsyncClient) -> None:
        outcomes.append(await outcome_of(partial(client.metrics.mrr, *RANGE)))

    async with client_of(Server(), throttle=Throttle(per_second=1)) as client, anyio.create_task_group() as group:
        hurried = client.with_options(max_wait=0.2)
        with anyio.move_on_after(0.05):
            async with anyio.create_task_group() as cancelled:
                cancelled.start_soon(call, client)
                await step()
                group.start_soon(call, hurried)
        group.start_soon(call, hurried)
    assert [series.summary.current for series in outcomes] == [354026144] * 2


async def test_a_call_that_carries_on_is_as_urgent_as_any_that_waits() -> None:
    """The interactive call waits for one of a batch that has more time, and not for the rest of the batch."""
    order: list[str] = []

    async def call(client: AsyncClient, name: str, geo: str) -> None:
        await client.metrics.mrr(*RANGE, geo=geo)
        order.append(name)

    async def page(client: AsyncClient) -> None:
        with anyio.fail_after(60):
            await call(client, "page", "US")

    throttle = Throttle(parallel=1)
    async with client_of(Server(), throttle=throttle) as client, anyio.create_task_group() as group:
        batch, first = client.with_options(priority="batch"), anyio.CancelScope()

        async def cancelled() -> None:
            with first:
                await call(batch, "cancelled", "US")

        for name, geo in (("in flight", "DE"), ("batch 1", "FR"), ("batch 2", "GB")):
            group.start_soon(call, batch, name, geo)
            await step()
        group.start_soon(cancelled)
        await step()
        group.start_soon(call, batch, "the same of the batch", "US")
        await step()
        group.start_soon(page, client)
        await step()
        first.cancel()
    assert order[0] == "in flight"
    assert set(order[1:3]) == {"the same of the batch", "page"}


async def test_an_error_goes_to_all() -> None:
    """Each has one of its own, without the traceback of another task."""
    async with client_of(Server(httpx.Response(422, json={"message": "no"}))) as client:
        found = await at_once(3, lambda: client.metrics.mrr(*RANGE))
    assert [type(error) for error in found] == [errors.ValidationError] * 3
    assert len({id(error) for error in found}) == 3
    assert {str(error) for error in found} == {str(found[0])}
    frames = [error.__traceback__.tb_frame.f_code.co_name for error in found]
    assert frames == ["outcome_of"] * 3
    assert ["follow" in _functions(error) for error in found] == [False, True, True]
    assert ["_respond" in _functions(error) for error in found] == [True, False, False]
    assert str(pickle.loads(pickle.dumps(found[2]))) == str(found[0])


def _functions(error: BaseException) -> str:
    return " ".join(frame.name for frame in traceback.extract_tb(error.__traceback__))


async def test_the_cause_of_an_error_goes_to_all() -> None:
    async with client_of(Server(httpx.ConnectError("refused")), retry=RetryPolicy(attempts=1)) as client:
        found = await at_once(3, lambda: client.metrics.mrr(*RANGE))
    assert {type(error) for error in found} == {errors.NetworkError}
    assert {type(error.__cause__) for error in found} == {httpx.ConnectError}


async def test_what_a_hook_raises_concerns_its_call_alone() -> None:
    events = 0

    def hook(_: object) -> None:
        nonlocal events
        events += 1
        if events == 1:
            raise KeyError("of the user")

    server, failed = Server(), 0
    async with client_of(server, on_event=hook) as client, anyio.create_task_group() as group:

        async def call() -> None:
            nonlocal failed
            try:
                await client.metrics.mrr(*RANGE)
            except KeyError:
                failed += 1

        for _ in range(3):
            group.start_soon(call)
    # The others do not wait for one another, since each of them may meet the same.
    assert (failed, len(server.requests), client.statistics().exchanges) == (1, 3, 3)


async def test_closing_ends_the_calls_that_wait_for_another() -> None:
    found: list[BaseException] = []
    client = client_of(Server())

    async def call() -> None:
        try:
            await client.metrics.mrr(*RANGE)
        except errors.StateError as error:
            found.append(error)

    async with anyio.create_task_group() as group:
        throttle = client.throttle
        throttle.resize(parallel=1)
        group.start_soon(partial(client.metrics.mrr, *RANGE, geo="US"))
        await anyio.wait_all_tasks_blocked()
        for _ in range(3):
            group.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        await client.aclose()
    assert len(found) == 3


# --- priorities ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_an_interactive_call_promotes_the_batch_call_that_it_waits_for(kind: str) -> None:
    server, order = Server(), []
    throttle = Throttle(parallel=1, store=LoopStore() if kind == "shared" else None)

    async def call(client: AsyncClient, name: str, geo: str) -> None:
        await client.metrics.mrr(*RANGE, geo=geo)
        order.append(name)

    async with client_of(server, throttle=throttle) as client, anyio.create_task_group() as group:
        batch = client.with_options(priority="batch")
        for number, geo in enumerate(("DE", "FR", "IT", "US")):
            group.start_soon(call, batch, f"batch {number}", geo)
            await step()
        group.start_soon(call, client, "page", "US")
    assert len(server.requests) == 4
    assert order[0] == "batch 0"
    assert set(order[1:3]) == {"batch 3", "page"}


async def test_a_call_that_is_sent_again_is_promoted_too() -> None:
    """It waits between two attempts, when an interactive call comes."""
    server = Server(httpx.Response(500), ok())
    async with client_of(server) as client, anyio.create_task_group() as group:
        batch = client.with_options(priority="batch")
        group.start_soon(partial(batch.metrics.mrr, *RANGE))
        await anyio.sleep(0.11)
        await client.metrics.mrr(*RANGE)
    assert len(server.requests) == 2


async def test_a_call_that_is_promoted_between_two_attempts_goes_ahead() -> None:
    """It is sent again before those interactive calls that wait, as any interactive one is."""
    server = Server(httpx.Response(500, headers={"retry-after": "1"}), ok())
    options = {"throttle": Throttle(parallel=1), "retry": RetryPolicy(base=0.001)}
    async with client_of(server, **options) as client, anyio.create_task_group() as group:
        group.start_soon(partial(client.with_options(priority="batch").metrics.mrr, *RANGE))
        await anyio.sleep(0.15)
        for number in range(30):
            group.start_soon(partial(client.metrics.mrr, *RANGE, plans=str(number)))
        await step()
        group.start_soon(partial(client.metrics.mrr, *RANGE))
    # Ten that take 0.1 s each are sent before it may be.
    assert [number for number, request in enumerate(server.requests) if "plans" not in request.url.params] == [0, 11]


@pytest.mark.parametrize("priority", ["interactive", "batch"])
async def test_a_call_that_is_joined_by_its_like_keeps_its_place(priority: Priority) -> None:
    server = Server()
    async with client_of(server, throttle=Throttle(parallel=1)) as client, anyio.create_task_group() as group:
        view = client.with_options(priority=priority)
        for geo in ("DE", "FR", "US", "GB", "US"):
            group.start_soon(partial(view.metrics.mrr, *RANGE, geo=geo))
            await step()
    assert [request.url.params["geo"] for request in server.requests] == ["DE", "FR", "US", "GB"]


# --- recent responses --------------------------------------------------------------------------------------------


async def test_a_recent_response_is_used_again() -> None:
    server = Server()
    async with client_of(server) as client:
        minute = client.with_options(max_age=60)
        first = await minute.metrics.mrr(*RANGE)
        await anyio.sleep(59.8)
        assert await minute.metrics.mrr(*RANGE) == first
        assert len(server.requests) == 1
        assert minute.statistics() == client.statistics()
        assert client.statistics() == ClientStatistics(1, 0, 1, 1, len(ok().content))
        # The age counts from when the request was sent.
        await anyio.sleep(0.2)
        await minute.metrics.mrr(*RANGE)
        assert len(server.requests) == 2
        await client.metrics.mrr(*RANGE)
        await client.with_options(max_age=0.05).metrics.mrr(*RANGE)
        assert len(server.requests) == 4
        await client.with_options(max_age=0.5).metrics.mrr(*RANGE)
        assert len(server.requests) == 4
    assert client.statistics().kept == client.statistics().kept_bytes == 0


async def test_a_response_from_before_the_machine_slept_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the event loop stood still meanwhile."""
    server, wall = Server(), time.time()
    monkeypatch.setattr(time, "time", lambda: wall)
    async with client_of(server) as client:
        minute = client.with_options(max_age=60)
        await minute.metrics.mrr(*RANGE)
        wall += 9
        await minute.metrics.mrr(*RANGE)
        assert len(server.requests) == 1
        wall += 3600
        # Whoever comes first notices it for all.
        await another_mrr(minute)()
        assert client.statistics().kept == 1
        await minute.metrics.mrr(*RANGE)
        await minute.metrics.mrr(*RANGE)
    assert len(server.requests) == 3


async def test_a_response_of_a_request_from_before_the_sleep_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    server, wall = Server(), time.time()
    monkeypatch.setattr(time, "time", lambda: wall)
    async with client_of(server) as client:
        minute = client.with_options(max_age=60)
        before = another_mrr(minute)
        async with anyio.create_task_group() as group:
            group.start_soon(before)
            await anyio.sleep(0.01)
            wall += 3600
            # It notices it first.
            group.start_soon(another_mrr(minute))
            await anyio.wait_all_tasks_blocked()
        assert client.statistics().kept == 1
        await before()
        assert (len(server.requests), client.statistics().kept) == (3, 2)


async def test_a_shared_response_is_kept_for_whoever_allows_it() -> None:
    server = Server()
    async with client_of(server) as client:
        minute = client.with_options(max_age=60)
        async with anyio.create_task_group() as group:
            group.start_soon(partial(client.metrics.mrr, *RANGE))
            await anyio.wait_all_tasks_blocked()
            group.start_soon(partial(minute.metrics.mrr, *RANGE))
        await minute.metrics.mrr(*RANGE)
    assert len(server.requests) == 1


async def test_recent_customers_and_accounts_are_used_again() -> None:
    """Each for those who ask for the same."""
    found = httpx.Response(200, json={"entries": [], "has_more": False} | ACCOUNT)
    server = Server(found)
    async with client_of(server) as client:
        minute = client.with_options(max_age=60)
        for _ in range(3):
            await minute.account()
            await minute.account(include="refund_handling")
            await minute.customers.search("anna@example.com")
            await minute.customers.search("bob@example.com")
        assert client.statistics() == ClientStatistics(4, 0, 8, 4, 4 * len(found.content))
        await client.account()
        assert len(server.requests) == 5
        # On an occasion of its own a request differs from all before.
        await minute._session.fetch("/account", {}, Account, occasion=object())
        assert len(server.requests) == 6


async def test_errors_are_not_kept() -> None:
    server = Server(httpx.Response(422), ok())
    async with client_of(server) as client:
        minute = client.with_options(max_age=60)
        assert isinstance(await outcome_of(lambda: minute.metrics.mrr(*RANGE)), errors.ValidationError)
        assert len(await minute.metrics.mrr(*RANGE)) == 1


async def test_get_and_ping_always_ask() -> None:
    server = Server(httpx.Response(200, json={"data": "pong!"}))
    async with client_of(server) as client:
        minute = client.with_options(max_age=60)
        for _ in range(2):
            await minute.ping()
            await minute.get("/plans")
        assert client.statistics().kept == 0
    assert len(server.requests) == 4


@pytest.mark.parametrize(("limit", "most"), [("_MOST_KEPT", 3), ("_MOST_BYTES", 3 * len(ok().content))])
async def test_what_is_kept_is_bounded(limit: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, limit, most)
    server = Server()
    async with client_of(server) as client:
        hour = client.with_options(max_age=3600)

        async def fetch(*countries: str) -> int:
            before = len(server.requests)
            for geo in countries:
                await hour.metrics.mrr(*RANGE, geo=geo)
            return len(server.requests) - before

        assert await fetch("DE", "FR", "IT") == 3
        assert await fetch("DE") == 0
        # The one that was not used for longest goes.
        assert await fetch("US") == 1
        assert client.statistics().kept == 3
        assert client.statistics().kept_bytes == 3 * len(ok().content)
        assert await fetch("DE", "IT", "US") == 0
        assert await fetch("FR") == 1


# --- ranges in slices --------------------------------------------------------------------------------------------


def sandbox_of(latency: float = 0.05) -> Sandbox:
    return Sandbox(Company(customers=10), latency=latency, limits=Limits(1000, 20))


async def test_equal_ranges_share_their_slices() -> None:
    sandbox = sandbox_of()
    async with AsyncClient("sandbox", transport=sandbox.transport(), throttle=Throttle(1000)) as client:
        series = await at_once(10, lambda: client.metrics.mrr(*LONG, interval="day"))
    assert sandbox.counters.requests == 20
    assert all(each == series[0] for each in series)


async def test_equal_ranges_are_cut_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To cut ten years of days takes milliseconds, for which every other task waits."""
    cuts: list[object] = []

    def counted(*arguments: Any) -> tuple[intervals.Slice, ...]:
        cuts.append(arguments)
        return cut(*arguments)

    cut = intervals.slices
    monkeypatch.setattr(intervals, "slices", counted)
    async with AsyncClient("sandbox", transport=sandbox_of().transport()) as client:
        await at_once(10, lambda: client.metrics.mrr(*LONG, interval="day", slices=20))
    assert len(cuts) == 1


async def test_a_range_in_progress_is_joined_slice_by_slice() -> None:
    """The later call asks for none of the slices that came before it did."""
    sandbox = sandbox_of()
    async with AsyncClient("sandbox", transport=sandbox.transport(), throttle=Throttle(1000, 5)) as client:
        later: list[object] = []

        async def call() -> None:
            later.append(await client.metrics.mrr(*LONG, interval="day", slices=20))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await anyio.sleep(0.12)
            group.start_soon(call)
        assert sandbox.counters.requests == 20
        assert later[0] == later[1] == await client.metrics.mrr(*LONG, interval="day", slices=1)


async def test_the_slices_of_a_cancelled_range_are_not_lost() -> None:
    sandbox = sandbox_of()
    async with AsyncClient("sandbox", transport=sandbox.transport(), throttle=Throttle(1000, 5)) as client:
        async with anyio.create_task_group() as group:
            first = anyio.CancelScope()

            async def cancelled() -> None:
                with first:
                    await client.metrics.mrr(*LONG, interval="day", slices=20)

            group.start_soon(cancelled)
            await anyio.sleep(0.12)
            group.start_soon(partial(client.metrics.mrr, *LONG, interval="day", slices=20))
            await anyio.sleep(0.01)
            first.cancel()
        # Those that were in flight are asked for again.
        assert sandbox.counters.requests == 25


async def test_a_slice_is_no_older_than_the_call_that_it_is_shared_with() -> None:
    """As found, pages that came one after the other got a slice that was an hour old, while another one hung."""
    asked: list[tuple[str, float]] = []

    async def half_hanging(request: httpx.Request) -> httpx.Response:
        start = request.url.params["start-date"]
        asked.append((start, anyio.current_time()))
        if start != "2024-01-01":
            await anyio.sleep_forever()
        return httpx.Response(200, json=MRR)

    async def page(client: AsyncClient) -> None:
        with anyio.move_on_after(10):
            await client.metrics.mrr("2024-01-01", "2024-12-31", slices=2)

    async with client_of(half_hanging, throttle=Throttle(1000, 100)) as client, anyio.create_task_group() as group:
        for _ in range(60):
            group.start_soon(page, client)
            await anyio.sleep(5)
    times = [moment for start, moment in asked if start == "2024-01-01"]
    assert max(later - earlier for earlier, later in pairwise(times)) <= 15


async def test_a_range_that_was_given_up_is_not_tried_again_in_slices() -> None:
    refused: list[str] = []
    events: list[object] = []

    async def handler(request: httpx.Request) -> httpx.Response:
        is_whole = request.url.params["start-date"] == "2024-01-01" and request.url.params["end-date"] == "2024-12-31"
        await anyio.sleep(1.0)
        if not is_whole:
            refused.append(request.url.params["start-date"])
            return httpx.Response(422)
        return ok()

    async with client_of(handler, on_event=events.append) as client, anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(partial(client.metrics.mrr, "2024-01-01", "2024-12-31", slices=2))
            await anyio.sleep(0.15)
    # The first answer to a slice cancels the other slice.
    assert len(refused) <= 2


async def test_a_range_that_disagrees_is_reported_once() -> None:
    events: list[object] = []

    async def changing(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(1.0)
        (entry,) = json.loads(ok().content)["entries"]
        entries = [{**entry, "mrr": len(events), "date": day} for day in _ends(request)]
        events.append(request)
        return httpx.Response(200, json={**MRR, "entries": entries})

    reported: list[object] = []
    async with client_of(changing, on_event=reported.append) as client, anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(partial(client.metrics.mrr, "2024-01-01", "2024-12-31", slices=4))
    assert len(events) == 5
    assert [type(event) for event in reported].count(SlicesDisagreed) == 1


async def test_a_call_that_comes_later_is_told_of_all_responses() -> None:
    sandbox, statuses = sandbox_of(), []
    async with AsyncClient("sandbox", transport=sandbox.transport(), throttle=Throttle(1000, 5)) as client:
        view = client.with_options(on_response=lambda response: statuses.append(response.status))
        async with anyio.create_task_group() as group:
            group.start_soon(partial(client.metrics.mrr, *LONG, interval="day", slices=20))
            await anyio.sleep(0.12)
            group.start_soon(partial(view.metrics.mrr, *LONG, interval="day", slices=20))
    assert statuses == [200] * 20


async def test_whoever_uses_a_range_again_is_told_of_all_its_responses() -> None:
    sandbox, statuses = sandbox_of(), []
    async with AsyncClient("sandbox", transport=sandbox.transport()) as client:
        await client.with_options(max_age=60).metrics.mrr(*LONG, slices=4)
        view = client.with_options(max_age=60, on_response=lambda response: statuses.append(response.status))
        await view.metrics.mrr(*LONG, slices=4)
    assert (statuses, sandbox.counters.requests) == ([200] * 4, 4)


async def test_calls_that_share_a_range_ask_once_more_for_the_summary() -> None:
    """One of them makes requests of its own, and is there later."""
    moving = _MovingSummary(lambda number: 1.0 if number <= 8 else 0.1)
    found: list[int | float] = []

    async def call(client: AsyncClient) -> None:
        series = await client.metrics.mrr("2024-01-01", "2024-12-31", slices=4)
        found.append(series.summary.current)

    async with client_of(moving) as client, anyio.create_task_group() as group:
        group.start_soon(call, client)
        await anyio.sleep(0.5)
        group.start_soon(call, client.with_options(timeout=3))
    assert (moving.asked, found) == (9, [9, 9])


async def test_the_latest_summary_is_of_no_request_that_began_before() -> None:
    """Another call has asked for the same days as the last slice, while the first slice was still under way."""
    moving = _MovingSummary(lambda number: 2.0 if number == 1 else 1.0)

    async with client_of(moving) as client, anyio.create_task_group() as group:

        async def another() -> None:
            await anyio.sleep(1.5)
            series = await client.metrics.mrr("2024-06-01", "2024-12-31", slices=1)
            assert series.summary.current == 3

        group.start_soon(another)
        series = await client.metrics.mrr("2024-01-01", "2024-12-31", slices=2)
        assert series.summary.current == 4
    assert moving.asked == 4


@pytest.mark.parametrize("slices", [[4], True, 2.0, "weeks", 0])
async def test_slices_are_checked_although_the_range_is_kept(slices: Any) -> None:
    server = Server()
    async with client_of(server) as client:
        minute = client.with_options(max_age=60)
        for kept in (1, 2):
            await minute.metrics.mrr(*RANGE, slices=kept)
        with pytest.raises(errors.ArgumentError, match=r"^slices must be a positive integer"):
            await minute.metrics.mrr(*RANGE, slices=slices)


async def test_a_recent_range_whose_summary_moved_needs_no_request() -> None:
    moving = _MovingSummary()

    async with client_of(moving) as client:
        minute = client.with_options(max_age=60)
        for _ in range(5):
            await minute.metrics.mrr("2024-01-01", "2024-12-31", slices=4)
        assert moving.asked == 5
        forever = client.with_options(max_age=math.inf)
        await anyio.sleep(10_000)
        await forever.metrics.mrr("2024-01-01", "2024-12-31", slices=4)
        assert moving.asked == 5


async def test_a_recent_range_is_used_again_however_it_would_be_cut_now() -> None:
    sandbox = sandbox_of()
    async with AsyncClient("sandbox", transport=sandbox.transport(), throttle=Throttle(1000)) as client:
        minute = client.with_options(max_age=60)
        first = await minute.metrics.mrr(*LONG, interval="day")
        assert sandbox.counters.requests == 20
        client.throttle.resize(parallel=7)
        assert await minute.metrics.mrr(*LONG, interval="day") == first
        assert sandbox.counters.requests == 20
        await anyio.sleep(61)
        await minute.metrics.mrr(*LONG, interval="day")
        assert sandbox.counters.requests == 27


async def test_a_recent_range_that_disagreed_is_used_again() -> None:
    """It was fetched undivided in the end, and so it stays."""
    asked: list[httpx.Request] = []

    async def changing(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        (entry,) = json.loads(ok().content)["entries"]
        entries = [{**entry, "mrr": len(asked), "date": day} for day in _ends(request)]
        return httpx.Response(200, json={**MRR, "entries": entries})

    async with client_of(changing) as client:
        minute = client.with_options(max_age=60)
        first = await minute.metrics.mrr("2024-01-01", "2024-12-31", slices=4)
        requests = len(asked)
        assert requests == 5
        assert await minute.metrics.mrr("2024-01-01", "2024-12-31", slices=4) == first
        assert len(asked) == requests


class _MovingSummary:
    """Responds with another summary each time: the number of the request, which takes so many seconds."""

    def __init__(self, takes: Callable[[int], float] = lambda number: 0.0) -> None:
        self.asked = 0
        self._takes = takes

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        number = self.asked
        await anyio.sleep(self._takes(number))
        (entry,) = json.loads(ok().content)["entries"]
        summary = {"current": number, "previous": 1, "percentage-change": 0.0}
        entries = [{**entry, "date": day} for day in _ends(request)]
        return httpx.Response(200, json={"entries": entries, "summary": summary})


def _ends(request: httpx.Request) -> list[str]:
    first, last = (int(request.url.params[name][5:7]) for name in ("start-date", "end-date"))
    days = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}
    return [f"2024-{month:02}-{days[month]}" for month in range(first, last + 1)]


def result_of(size: int, sent_at: float = 0.0) -> reuse.Result[str]:
    return reuse.Result("value", size, sent_at, ())


async def test_a_result_is_as_old_as_its_first_request() -> None:
    """Also long after the clock of the event loop began."""
    await anyio.sleep(100)
    kept, now = reuse.Reuse(), anyio.current_time()
    kept.keep(("account", "key"), result_of(1, sent_at=now))
    for age in (0.0, 59.0, 1.0):
        await anyio.sleep(age)
        assert kept.recent(("account", "key"), max_age=60) is not None
    await anyio.sleep(0.001)
    assert kept.recent(("account", "key"), max_age=60) is None


async def test_the_bytes_of_what_is_kept_are_counted() -> None:
    kept = reuse.Reuse()
    for size in (10, 30, 20):
        kept.keep(("account", "one"), result_of(size))
        assert kept.kept_bytes == size
    kept.keep(("account", "two"), result_of(5))
    assert (kept.kept, kept.kept_bytes) == (2, 25)
    kept.clear()
    assert (kept.kept, kept.kept_bytes) == (0, 0)
    kept.keep(("account", "two"), result_of(7))
    assert kept.kept_bytes == 7


async def test_a_result_that_is_too_large_replaces_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "_MOST_BYTES", len(ok().content))
    server = Server(ok(), httpx.Response(200, json={**MRR, "more": "x" * 100}))
    async with client_of(server) as client:
        hour = client.with_options(max_age=3600)
        await hour.metrics.mrr(*RANGE)
        await hour.metrics.mrr(*RANGE, geo="US")
        assert client.statistics().kept == 1


async def test_nothing_is_kept_after_the_client_is_closed() -> None:
    client = client_of(Server())
    async with anyio.create_task_group() as group:
        group.start_soon(partial(client.with_options(max_age=60).metrics.mrr, *RANGE))
        await step()
        await client.aclose()
    assert client.statistics().kept == 0
