"""Callers, clocks and servers that once made the throttle hang, burn CPU or flood a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
import httpx
import pytest

from chartmogul_async import AsyncClient, Throttle
from chartmogul_async.errors import RateLimitError, StateError
from chartmogul_async.sandbox.limits import SlidingLog
from chartmogul_async.transport.queue import Queue
from tests.conftest import VirtualTimeLoop
from tests.worlds.servers import Server, SharedWith, constant

KEY = "sandbox"


class Responds(httpx.AsyncBaseTransport):
    """Responds as ``after`` and ``respond`` say."""

    def __init__(self, after: Callable[[], float], respond: Callable[[], httpx.Response]) -> None:
        self._after, self._respond = after, respond
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        response = self._respond()
        await anyio.sleep(self._after())
        return response


def ok() -> httpx.Response:
    return httpx.Response(200, json={"data": "pong!"})


async def test_callers_without_time_are_served_once_nothing_is_in_flight() -> None:
    """A slow first response must not keep callers with short deadlines out for good."""
    seconds, succeeded = 1.0, 0
    client = AsyncClient(KEY, transport=Responds(lambda: seconds, ok))
    await client.ping()

    async def call() -> None:
        nonlocal succeeded
        with anyio.move_on_after(0.8):
            await client.ping()
            succeeded += 1

    async with anyio.create_task_group() as group:
        for _ in range(25):
            group.start_soon(call)
        await anyio.sleep(0.5)
        seconds = 0.03
        for _ in range(20):
            group.start_soon(call)
            await anyio.sleep(0.5)
    assert succeeded >= 19
    await client.aclose()


@pytest.mark.no_cover
async def test_thousands_with_one_deadline_are_looked_at_a_few_times_each(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, head = 0, Queue.head

    def counting(queue: Queue, earliest_response: float, is_idle: bool) -> object:
        nonlocal looks
        looks += 1
        return head(queue, earliest_response, is_idle)

    monkeypatch.setattr(Queue, "head", counting)
    client = AsyncClient(KEY, transport=Responds(lambda: 0.05, ok))
    await client.ping()

    async def call() -> None:
        with anyio.move_on_after(2):
            await client.ping()

    async with anyio.create_task_group() as group:
        for _ in range(2_000):
            group.start_soon(call)
    assert looks <= 5 * 2_000
    await client.aclose()


async def test_a_slow_response_to_the_test_of_a_long_pause_counts() -> None:
    responses = iter([httpx.Response(429, headers={"retry-after": "3600"})])
    client = AsyncClient(KEY, transport=Responds(lambda: 1.5, lambda: next(responses, ok())))
    outcomes: list[bool] = []

    async def call() -> None:
        try:
            await client.ping()
        except RateLimitError:
            outcomes.append(False)
        else:
            outcomes.append(True)

    async with anyio.create_task_group() as group:
        for _ in range(300):
            group.start_soon(call)
            await anyio.sleep(0.5)
    assert outcomes.count(True) >= 150
    await client.aclose()


async def test_a_server_that_always_says_0_is_not_flooded() -> None:
    transport = Responds(lambda: 0.03, lambda: httpx.Response(429, headers={"retry-after": "0"}))
    client = AsyncClient(KEY, transport=transport)

    async def call() -> None:
        with pytest.raises(RateLimitError):
            await client.ping()

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(call)
    assert transport.requests < 50
    await client.aclose()


@pytest.mark.no_cover
async def test_little_demand_finds_the_full_rate_again() -> None:
    started = anyio.current_time()
    server = Server(SharedWith(SlidingLog(40), 30, until=started + 60))
    async with AsyncClient(KEY, transport=server) as client:
        async with anyio.create_task_group() as group:
            for _ in range(600):
                group.start_soon(client.ping)
        await anyio.sleep_until(started + 120)
        for _ in range(120):
            await client.ping()
            await anyio.sleep(1)
        assert client.throttle.statistics().per_second == 40


async def test_a_blocked_loop_does_not_make_slots_linger_for_long() -> None:
    seconds = 10.0
    async with AsyncClient(KEY, transport=Responds(lambda: seconds, ok)) as client:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(client.ping)
        seconds = 0.03
        with anyio.move_on_after(0.01):
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(client.ping)
        started = anyio.current_time()
        await client.ping()
        assert anyio.current_time() - started <= 5.1


async def test_a_window_that_is_never_full_does_not_grow() -> None:
    throttle = Throttle(per_second=10**9)
    async with AsyncClient(KEY, transport=Responds(lambda: 0.1, ok), throttle=throttle) as client:
        for _ in range(200):
            await client.ping()
        assert len(throttle._limits.window.starts) < 50


def test_a_client_closed_elsewhere_with_calls_in_progress() -> None:
    """Its throttle stays with the loop of those calls, and starts afresh when that loop is closed."""
    throttle = Throttle()
    old = AsyncClient(KEY, transport=Server(SlidingLog(40), work=constant(1e6)), throttle=throttle)
    first = VirtualTimeLoop()
    calls: list[asyncio.Future[str]] = []

    async def start_calls() -> None:
        calls.extend(asyncio.ensure_future(old.ping()) for _ in range(20))
        await asyncio.sleep(0.1)

    async def in_another_loop() -> None:
        with pytest.raises(StateError, match="another event loop"):
            await old.aclose()
        new = AsyncClient(KEY, transport=Responds(lambda: 0.01, ok), throttle=throttle)
        with pytest.raises(StateError, match="serves a client in another event loop"):
            await new.ping()
        for call in calls:
            call.cancel()
        first.close()
        assert await new.ping() == "pong!"
        await new.aclose()

    first.run_until_complete(start_calls())
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(in_another_loop())
