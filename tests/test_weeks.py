"""Weekly ranges while ``/account``, which knows where weeks begin, cannot be reached and the metrics can.

As found, ten weekly queries took 8.6 to 179 s, up to 842 s with 429 and 900 s with a server that stalls: each made its
own lookup, with all its attempts, one after the other.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import httpx
import pytest

from chartmogul_async import AsyncClient, MetricQuery, RetryPolicy, Series, Throttle, errors
from chartmogul_async.sandbox import Company, Limits, Sandbox
from tests.clients import ACCOUNT, MRR, client_of

WEEKLY = MetricQuery("mrr", "2015-01-01", "2024-12-31", interval="week")
LATENCY = 0.1


class Server:
    """Metrics are there, the account is not: a status, an exception, or None for a server that stalls."""

    def __init__(self, account: int | Exception | dict[str, Any] | None) -> None:
        self.account = account
        self.asked: list[str] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1")
        self.asked.append(path)
        await anyio.sleep(LATENCY)
        if path != "/account":
            return httpx.Response(200, json=MRR)
        if self.account is None:
            await anyio.sleep_forever()
        if isinstance(self.account, Exception):
            raise self.account
        if isinstance(self.account, dict):
            return httpx.Response(200, json=self.account)
        assert self.account is not None
        return httpx.Response(self.account)

    @property
    def lookups(self) -> int:
        return self.asked.count("/account")


async def ten_at_once(client: AsyncClient) -> float:
    """The seconds that ten weekly queries take."""
    start = anyio.current_time()
    async with anyio.create_task_group() as group:
        for plan in range(10):
            # Equal queries would be one request.
            query = MetricQuery("mrr", "2015-01-01", "2024-12-31", interval="week", plans=str(plan))
            group.start_soon(client.metrics.fetch, query)
    return anyio.current_time() - start


async def ten_in_turn(client: AsyncClient) -> float:
    start = anyio.current_time()
    for _ in range(10):
        await client.metrics.fetch(WEEKLY)
    return anyio.current_time() - start


# The lookup, the pause after a 429 or the time until it is given up, and the queries themselves.
FAILURES = [(500, 0.2), (503, 0.2), (429, 2.0), (403, 0.2), (httpx.ReadError("reset"), 0.2), (None, 6.0), ({}, 0.2)]
every_failure = pytest.mark.parametrize(("account", "seconds"), FAILURES, ids=lambda value: repr(value))


@every_failure
async def test_concurrent_weekly_queries_share_one_lookup(account: Any, seconds: float) -> None:
    server = Server(account)
    async with client_of(server) as client:
        assert await ten_at_once(client) <= seconds + LATENCY
    assert server.lookups == 1
    assert server.asked.count("/metrics/mrr") == 10


@every_failure
async def test_successive_weekly_queries_remember_the_failure(account: Any, seconds: float) -> None:
    server = Server(account)
    async with client_of(server) as client:
        assert await ten_in_turn(client) <= seconds + 10 * LATENCY
    assert server.lookups == 1
    assert server.asked.count("/metrics/mrr") == 10


@pytest.mark.parametrize("account", [500, 429, httpx.ReadError("reset"), None])
async def test_a_transient_failure_is_remembered_for_a_minute(account: Any) -> None:
    server = Server(account)
    async with client_of(server) as client:
        await client.metrics.fetch(WEEKLY)
        failed = anyio.current_time()
        server.account = ACCOUNT
        await anyio.sleep(50)
        await client.metrics.fetch(WEEKLY)
        assert server.lookups == 1
        await anyio.sleep(failed + 60 - anyio.current_time())
        await client.metrics.fetch(WEEKLY)
        assert server.lookups == 2
        await client.metrics.fetch(WEEKLY)
        assert server.lookups == 2


@pytest.mark.parametrize("account", [401, 403, 404, {}, {**ACCOUNT, "week_start_on": "friday"}])
async def test_a_permanent_failure_is_remembered_for_minutes(account: Any) -> None:
    server = Server(account)
    async with client_of(server) as client:
        await client.metrics.fetch(WEEKLY)
        server.account = ACCOUNT
        await anyio.sleep(590)
        await client.metrics.fetch(WEEKLY)
        assert server.lookups == 1
        await anyio.sleep(20)
        await client.metrics.fetch(WEEKLY)
    assert server.lookups == 2


async def test_a_cancelled_lookup_is_repeated_by_the_next_call() -> None:
    """It is no failure, and takes nobody down who waits for it."""
    server = Server(None)
    results: list[Series[Any, Any]] = []

    async def fetch() -> None:
        results.append(await client.metrics.fetch(WEEKLY))

    async with client_of(server) as client, anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as leading:
                leading.start_soon(fetch)
                await anyio.wait_all_tasks_blocked()
                for _ in range(3):
                    group.start_soon(fetch)
                await anyio.wait_all_tasks_blocked()
                server.account = ACCOUNT
                scope.cancel()
    assert len(results) == 3
    assert server.lookups == 2


async def test_no_lookup_while_nothing_could_start() -> None:
    """The range is fetched undivided then, wherever its weeks begin."""
    server, throttle = Server(ACCOUNT), Throttle(parallel=1)
    async with client_of(server, throttle=throttle) as client:
        await client.metrics.fetch(WEEKLY)
    assert server.asked == ["/metrics/mrr"]


async def test_slots_taken_during_a_lookup_are_left_alone() -> None:
    sandbox = Sandbox(Company(customers=5), limits=Limits(), latency=1.0)
    throttle = Throttle()
    client = AsyncClient(sandbox.api_key, transport=sandbox.transport(), throttle=throttle)
    async with client, anyio.create_task_group() as group:
        group.start_soon(client.metrics.fetch, WEEKLY)
        await anyio.sleep(0.5)
        for _ in range(19):
            group.start_soon(client.ping)
        await anyio.sleep(0.2)
        assert throttle.statistics().in_flight == 20
    assert sandbox.counters.requests == 1 + 19 + 1


# --- explicit slices --------------------------------------------------------------------------------------------


async def test_explicit_slices_look_up_with_all_attempts() -> None:
    server = Server(500)
    async with client_of(server, retry=RetryPolicy(attempts=3)) as client:
        await client.metrics.fetch(WEEKLY)
        assert server.lookups == 1
        # What was remembered does not concern them.
        with pytest.raises(errors.ServerError) as caught:
            await client.metrics.fetch(WEEKLY, slices=2)
        assert (server.lookups, caught.value.attempts) == (4, 3)
        server.account = ACCOUNT
        await client.metrics.fetch(WEEKLY, slices=2)
        assert server.lookups == 5
        # Both kinds of calls know it now.
        await client.metrics.fetch(WEEKLY)
    assert server.lookups == 5


async def test_concurrent_explicit_slices_share_a_failure() -> None:
    server = Server(httpx.ReadError("reset"))
    raised: list[errors.ChartMogulError] = []

    async def fetch() -> None:
        with pytest.raises(errors.NetworkError) as caught:
            await client.metrics.fetch(WEEKLY, slices=2)
        raised.append(caught.value)

    async with client_of(server, retry=RetryPolicy(attempts=2)) as client:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(fetch)
        assert server.lookups == 2
    # An exception is raised in one task only.
    assert len({id(error) for error in raised}) == 5
    assert {str(error) for error in raised} == {str(raised[0])}
    assert {repr(error.__cause__) for error in raised} == {repr(raised[0].__cause__)}
    assert raised[0].__cause__ is not None


async def test_a_long_lookup_does_not_delay_other_queries() -> None:
    """Explicit slices look up with all their attempts, and the others do not wait for that."""
    server = Server(None)
    async with client_of(server) as client, anyio.create_task_group() as group:
        group.start_soon(partial(client.metrics.fetch, WEEKLY, slices=2))
        await anyio.wait_all_tasks_blocked()
        assert await ten_at_once(client) <= 6.0
        group.cancel_scope.cancel()


async def test_concurrent_explicit_slices_share_a_success() -> None:
    server = Server(ACCOUNT)
    async with client_of(server) as client, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(partial(client.metrics.fetch, WEEKLY, slices=2))
    assert server.lookups == 1
