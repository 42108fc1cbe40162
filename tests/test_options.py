"""``client.with_options``: views of one client, and whose turn it is between them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, get_args

import anyio
import httpx
import pytest

from chartmogul_async import AsyncClient, MetricQuery, Priority, ResponseInfo, RetryPolicy, Throttle, errors
from chartmogul_async.sandbox.limits import SlidingLog
from chartmogul_async.transport.permits import Claim
from tests.clients import KEY, client_of, in_turn, ok
from tests.shared_limits import LoopStore
from tests.test_reuse import step
from tests.worlds.servers import Server, between

RANGE = ("2023-07-01", "2023-07-31")


# --- the view ------------------------------------------------------------------------------------------------------


async def test_a_view_has_the_connections_and_the_throttle_of_its_client() -> None:
    async with client_of(in_turn(200)) as client:
        view = client.with_options(max_age=1)
        assert type(view) is AsyncClient
        assert repr(view) == repr(client)
        assert view.throttle is client.throttle
        assert view.metrics is not client.metrics
        await view.metrics.mrr(*RANGE)
        assert client.throttle.statistics().admitted == 1
    with pytest.raises(errors.StateError, match="closed"):
        await view.metrics.mrr(*RANGE)


async def test_closing_a_view_closes_its_client() -> None:
    client = client_of(in_turn(200))
    async with client.with_options(priority="batch") as view:
        await view.metrics.mrr(*RANGE)
    with pytest.raises(errors.StateError, match="closed"):
        await client.metrics.mrr(*RANGE)


async def test_options_add_up_and_do_not_reach_back() -> None:
    timeouts: list[float] = []

    def handler(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"]["read"])
        return httpx.Response(500)

    async with client_of(handler, retry=RetryPolicy(attempts=2), timeout=7) as client:
        quick = client.with_options(timeout=3)
        once = quick.with_options(retry=RetryPolicy(attempts=1))
        for view in (client, quick, once):
            with pytest.raises(errors.ServerError):
                await view.customers.search("a@b.c")
    assert timeouts == [7, 7, 3, 3, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"priority": "urgent"}, "priority must be one of interactive, batch, not 'urgent'"),
        ({"max_wait": 0}, "max_wait must be a positive number of seconds, not 0"),
        ({"max_wait": math.nan}, "max_wait must be a positive number of seconds, not nan"),
        ({"max_age": -1}, "max_age must be a non-negative number of seconds, not -1"),
        ({"timeout": 0}, "timeout must be a positive number of seconds or an httpx.Timeout, not 0"),
        ({"retry": 3}, "retry must be a RetryPolicy, such as RetryPolicy(attempts=3), not 3"),
        (
            {"on_response": 3},
            "on_response must be a plain function of one response, neither async nor a generator, not 3",
        ),
    ],
)
def test_an_option_that_cannot_be_right(options: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.ArgumentError) as caught:
        AsyncClient(KEY).with_options(**options)
    assert str(caught.value) == message


# --- responses -------------------------------------------------------------------------------------------------------


async def test_on_response_tells_what_a_result_was_made_of() -> None:
    responses: list[ResponseInfo] = []
    headers = {"X-Request-Id": f"id-{KEY}", "x-served-by": f"node of {KEY}"}

    async def handler(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.25)
        return httpx.Response(200, headers=headers, json=ok().json())

    async with client_of(handler) as client:
        view = client.with_options(on_response=responses.append)
        await view.metrics.mrr(*RANGE)
        await view.get("/plans")
    first, second = responses
    assert (first.method, first.path, first.status) == ("GET", "/v1/metrics/mrr", 200)
    assert first.elapsed == 0.25
    assert first.request_id == first.headers["x-request-id"] == "id-***"
    assert first.headers["x-served-by"] == "node of ***"
    assert second.path == "/v1/plans"


async def test_on_response_is_called_for_each_slice_and_for_what_is_used_again() -> None:
    statuses: list[int] = []
    async with client_of(in_turn(ok())) as client:
        view = client.with_options(on_response=lambda response: statuses.append(response.status), max_age=60)
        await view.metrics.mrr(*RANGE)
        await view.metrics.mrr(*RANGE)
    assert statuses == [200, 200]


async def test_what_on_response_raises_is_raised_by_the_call() -> None:
    def hook(_: ResponseInfo) -> None:
        raise KeyError("of the user")

    async with client_of(in_turn(200)) as client:
        with pytest.raises(KeyError):
            await client.with_options(on_response=hook).metrics.mrr(*RANGE)


# --- the time in the queue ---------------------------------------------------------------------------------------


def slow(seconds: float) -> Callable[[httpx.Request], Any]:
    async def handler(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(seconds)
        return ok()

    return handler


def throttle_of(kind: str) -> Throttle:
    return Throttle(parallel=1, store=LoopStore() if kind == "shared" else None)


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_max_wait_ends_the_time_in_the_queue(kind: str) -> None:
    throttle = throttle_of(kind)
    async with client_of(slow(30), throttle=throttle) as client, anyio.create_task_group() as group:
        group.start_soon(partial(client.metrics.mrr, *RANGE))
        await anyio.wait_all_tasks_blocked()
        started = anyio.current_time()
        with pytest.raises(errors.QueueTimeoutError) as caught:
            await client.with_options(max_wait=2.5).metrics.mrr(*RANGE, geo="US")
        assert anyio.current_time() - started == pytest.approx(2.5)
        assert str(caught.value) == (
            "GET https://api.chartmogul.com/v1/metrics/mrr: "
            "not sent: waited in the queue for 2.5 s, as long as max_wait allows"
        )
        assert caught.value.is_transient
        assert throttle.statistics().waiting == 0
        # The others are not disturbed.
        await client.metrics.mrr(*RANGE, geo="DE")
        assert anyio.current_time() - started == pytest.approx(60, abs=0.2)


@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_a_call_that_was_sent_may_take_longer_than_max_wait(kind: str) -> None:
    """An answer that takes longer does not count, nor does the time before it is sent again."""
    responses = [httpx.Response(503), ok()]

    async def handler(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(5)
        return responses.pop(0)

    async with client_of(handler, throttle=throttle_of(kind)) as client:
        await client.with_options(max_wait=1).metrics.mrr(*RANGE)
    assert responses == []


@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_a_call_that_is_admitted_in_time_is_sent(kind: str) -> None:
    async with client_of(slow(1), throttle=throttle_of(kind)) as client, anyio.create_task_group() as group:
        for geo in ("DE", "FR", "IT"):
            group.start_soon(partial(client.metrics.mrr, *RANGE, geo=geo))
        await anyio.wait_all_tasks_blocked()
        await client.with_options(max_wait=3.1).metrics.mrr(*RANGE, geo="US")


async def test_max_wait_of_a_call_that_waits_for_another() -> None:
    """It is over if the other one is still in the queue, and else does not count any more."""
    async with client_of(slow(10), throttle=Throttle(parallel=1)) as client, anyio.create_task_group() as group:
        group.start_soon(partial(client.metrics.mrr, *RANGE, geo="US"))
        await anyio.wait_all_tasks_blocked()
        group.start_soon(partial(client.metrics.mrr, *RANGE))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(errors.QueueTimeoutError) as caught:
            await client.with_options(max_wait=2).metrics.mrr(*RANGE)
        assert caught.value.path == "/v1/metrics/mrr"
        assert anyio.current_time() == pytest.approx(2, abs=0.3)
        await client.with_options(max_wait=9).metrics.mrr(*RANGE)
        assert anyio.current_time() == pytest.approx(20)


async def test_max_wait_is_over_for_those_whose_request_was_sent() -> None:
    """As found, a call that waited for one in flight was told that it had waited in the queue, when that one left."""
    async with client_of(slow(10)) as client, anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as first:
                first.start_soon(partial(client.metrics.mrr, *RANGE))
                await anyio.wait_all_tasks_blocked()
                group.start_soon(partial(client.with_options(max_wait=1).metrics.mrr, *RANGE))
                await anyio.sleep(5)
                scope.cancel()
    assert anyio.current_time() == pytest.approx(15, abs=0.5)


async def test_the_lookup_of_the_week_has_the_options_of_its_call() -> None:
    async def handler(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(30)
        return ok()

    async with client_of(handler, throttle=Throttle(parallel=1)) as client, anyio.create_task_group() as group:
        group.start_soon(partial(client.metrics.mrr, *RANGE))
        await anyio.wait_all_tasks_blocked()
        view = client.with_options(max_wait=2)
        with pytest.raises(errors.QueueTimeoutError) as caught:
            await view.metrics.mrr("2020-01-01", "2023-12-31", interval="week", slices=2)
        assert caught.value.path == "/v1/account"
        group.cancel_scope.cancel()


class Custom(AsyncClient):
    @cached_property
    def own(self) -> object:
        return self.metrics


def test_a_view_of_a_subclass_makes_its_parts_anew() -> None:
    client = Custom(KEY)
    client.label = "mine"  # type: ignore[attr-defined]
    assert client.own is client.metrics
    view = client.with_options(max_age=1)
    assert type(view) is Custom
    assert view.label == "mine"  # type: ignore[attr-defined]
    assert view.own is view.metrics is not client.metrics
    assert hash(ResponseInfo("GET", "/", 200, {}, None, 0.1)) == hash(ResponseInfo("GET", "/", 200, {}, None, 0.1))


async def test_max_wait_of_one_call_does_not_end_another() -> None:
    async with client_of(slow(10), throttle=Throttle(parallel=1)) as client, anyio.create_task_group() as group:
        group.start_soon(partial(client.metrics.mrr, *RANGE, geo="US"))
        await anyio.wait_all_tasks_blocked()

        async def impatient() -> None:
            with pytest.raises(errors.QueueTimeoutError):
                await client.with_options(max_wait=2).metrics.mrr(*RANGE)

        group.start_soon(impatient)
        await anyio.wait_all_tasks_blocked()
        await client.metrics.mrr(*RANGE)
        assert anyio.current_time() == pytest.approx(20)


# --- priorities ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_stream_and_fetch_all_are_batches_unless_told_otherwise(kind: str) -> None:
    async def order(view: Callable[[AsyncClient], AsyncClient]) -> list[str]:
        sent: list[str] = []

        async def handler(request: httpx.Request) -> httpx.Response:
            sent.append(request.url.params["geo"])
            await anyio.sleep(1.0)
            return ok()

        def queries(*countries: str) -> list[MetricQuery[Any, Any]]:
            return [MetricQuery("mrr", *RANGE, geo=geo) for geo in countries]

        throttle = throttle_of(kind)
        async with client_of(handler, throttle=throttle) as client, anyio.create_task_group() as group:
            many = view(client)
            # So many are in progress at once.
            throttle.resize(parallel=3)
            started = many.metrics.stream(queries("DE", "FR", "IT"))
            fetched = partial(many.metrics.fetch_all, queries("AT", "CH", "NL"))
            throttle.resize(parallel=1)
            async with started as outcomes:
                await step()
                group.start_soon(fetched)
                await step()
                await client.metrics.mrr(*RANGE, geo="US")
                async for _ in outcomes:
                    pass
        return sent

    assert (await order(lambda client: client)).index("US") == 1
    assert (await order(lambda client: client.with_options(priority="interactive"))).index("US") > 1


async def pages(client: AsyncClient, number: int, every: float, took: list[float]) -> None:
    """Page views, each of which awaits two responses at once."""
    chance = random.Random(0)
    for page in range(number):
        await anyio.sleep(chance.uniform(0, 2 * every))
        started = anyio.current_time()
        async with anyio.create_task_group() as group:
            for part in ("mrr", "arr"):
                group.start_soon(client.get, f"/page/{part}", {"page": page})
        took.append(anyio.current_time() - started)


def percentile(took: list[float], share: float) -> float:
    return sorted(took)[math.ceil(share * len(took)) - 1]


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_a_page_beside_a_batch_takes_one_exchange_more_at_most(kind: str) -> None:
    """As found, 124 s beside 5,000 calls that were gathered."""
    took: dict[str, list[float]] = {"alone": [], "beside": []}
    for name, calls in (("alone", 0), ("beside", 5000)):
        server = Server(SlidingLog(40), there=between(0, 0.02), work=between(0.2, 0.4), back=between(0, 0.02))
        throttle = Throttle(store=LoopStore() if kind == "shared" else None)
        async with AsyncClient(KEY, transport=server, throttle=throttle) as client:
            batch = client.with_options(priority="batch")
            async with anyio.create_task_group() as group:
                for number in range(calls):
                    group.start_soon(batch.get, "/plans", {"page": number})
                # The first page comes while the whole of the limits is the batch's.
                await anyio.sleep(5)
                await pages(client, 40, 1.0, took[name])
                group.cancel_scope.cancel()
        assert server.refusals == 0
    longest = 0.44
    assert percentile(took["beside"], 0.95) <= percentile(took["alone"], 0.95) + longest


@pytest.mark.no_cover
async def test_a_batch_alone_loses_nothing() -> None:
    seconds = {}
    for priority in get_args(Priority):
        server = Server(SlidingLog(40), work=between(0.02, 0.04))
        async with AsyncClient(KEY, transport=server) as client:
            view = client.with_options(priority=priority)
            started = anyio.current_time()
            async with anyio.create_task_group() as group:
                for number in range(400):
                    group.start_soon(view.get, "/plans", {"page": number})
            seconds[priority] = anyio.current_time() - started
    assert seconds["batch"] == pytest.approx(seconds["interactive"], rel=0.005)


@pytest.mark.no_cover
async def test_a_batch_gets_a_tenth_beside_many_interactive_calls() -> None:
    server = Server(SlidingLog(40), work=between(0.2, 0.4))
    done: dict[Priority, int] = {"interactive": 0, "batch": 0}

    async def work(client: AsyncClient, priority: Priority, number: int) -> None:
        while True:
            await client.get("/plans", {"page": number})
            done[priority] += 1

    async with AsyncClient(KEY, transport=server) as client:
        with anyio.move_on_after(60):
            async with anyio.create_task_group() as group:
                for priority in done:
                    view = client.with_options(priority=priority)
                    for number in range(100):
                        group.start_soon(work, view, priority, number)
    assert done["batch"] >= 0.1 * sum(done.values())


@pytest.mark.parametrize("kind", ["own", "shared"])
@pytest.mark.parametrize(("comes_after", "is_sent_as"), [(0.5, 8), (20.5, 28)])
async def test_a_batch_that_was_passed_over_seven_times_is_due(comes_after: float, is_sent_as: int, kind: str) -> None:
    """What was sent before it came has not passed it over."""
    sent: list[str] = []

    async def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.params["name"])
        await anyio.sleep(1.0)
        return ok()

    async with client_of(handler, throttle=throttle_of(kind)) as client, anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(client.get, "/plans", {"name": number})
            await step()
        await anyio.sleep(comes_after)
        group.start_soon(client.with_options(priority="batch").get, "/plans", {"name": "batch"})
    assert sent.index("batch") == is_sent_as


async def test_a_promoted_waiter_goes_behind_the_interactive_ones() -> None:
    throttle = Throttle(parallel=1)
    admitted: list[str] = []
    async with client_of(slow(1), throttle=throttle) as client:
        await client.get("/plans")
        claims = {name: Claim(is_batch=name != "page") for name in ("first", "second", "third", "page")}

        async def call(name: str) -> None:
            permit = await throttle._acquire(claim=claims[name])
            admitted.append(name)
            await anyio.sleep(1)
            throttle._release(permit, 200)

        async with anyio.create_task_group() as group:
            for name in claims:
                group.start_soon(call, name)
                await anyio.wait_all_tasks_blocked()
            waiter = claims["third"].waiter
            assert waiter is not None
            throttle._promote(waiter)
    assert admitted == ["first", "page", "third", "second"]
