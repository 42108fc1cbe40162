"""A storm: requests that fill all slots, any of which may be cancelled or time out at any moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from random import Random
from urllib.parse import urlsplit

import anyio
import trio

from chartmogul_async import AsyncClient, RetryPolicy, Throttle
from chartmogul_async.errors import ChartMogulError, RequestTimeoutError
from chartmogul_async.sandbox import Fault, Faults
from tests.soak.witnesses import living_tasks, sockets_to

# Three times the slots, so that the queue is never empty.
WORKERS = 60
SLOTS = 20
LATENCY = 0.005
# Seconds; short, so that stalls end during the storm. On a busy machine it is as long as all slots take to connect.
TIMEOUT, LONGEST_TIMEOUT = 0.2, 2.0
FAULTS = Faults.random(
    {Fault.reset(): 0.01, Fault.reset_in_body(): 0.01, Fault.stall(): 0.003, Fault.status(502): 0.005}
)
# Seconds for each request on a busy machine; a storm that takes longer hangs.
SLOWEST = 0.1
# Seconds; for no longer does a throttle expect a server to be busy with what was given up.
LINGERING = 6.0
RETRY = RetryPolicy(attempts=3, base=0.02, total=5.0)


async def storm(url: str, api_key: str, requests: int, seed: int = 0) -> Counter[str]:
    """Run a storm, and check that the next request succeeds and that nothing is left.

    Args:
        url: The sandbox's.
        api_key: The sandbox's.
        requests: How many are sent.
        seed: Which storm.

    Returns:
        How many requests ended in which way.
    """
    random, ends = Random(seed), Counter[str]()
    pending, tasks, port = iter(range(requests)), living_tasks(), urlsplit(url).port or 0
    throttle = Throttle(per_second=10**6, parallel=SLOTS)
    timeout = min(max(TIMEOUT, SLOTS * await _seconds_of_one(url, api_key)), LONGEST_TIMEOUT)
    async with AsyncClient(api_key, base_url=url, throttle=throttle, timeout=timeout, retry=RETRY) as client:

        async def work() -> None:
            for _ in pending:
                ends[await _request(client, random)] += 1

        with anyio.fail_after(10 + requests * SLOWEST):
            async with anyio.create_task_group() as group:
                for _ in range(WORKERS):
                    group.start_soon(work)
            await _next_request(client)

        assert ends.total() == requests
        statistics = throttle.statistics()
        assert (statistics.in_flight, statistics.waiting) == (0, 0)
        assert statistics.max_in_flight == SLOTS
        # The server may be busy for as long as a response takes with what was given up.
        with anyio.fail_after(LINGERING):
            while throttle._free_slots() < SLOTS:  # noqa: ASYNC110 - no event tells of it
                await anyio.sleep(0.02)
        assert sockets_to(port) <= SLOTS
    assert sockets_to(port) == 0
    assert living_tasks() == tasks
    # A closed handle of uvloop is gone an iteration later.
    await anyio.sleep(0.02)
    return ends


async def _seconds_of_one(url: str, api_key: str) -> float:
    """How long a request takes over a new connection."""
    async with AsyncClient(api_key, base_url=url, timeout=10.0) as client:
        # What is done once in a process does not count.
        await client.ping()
    async with AsyncClient(api_key, base_url=url, timeout=10.0) as client:
        started = anyio.current_time()
        await client.ping()
        return anyio.current_time() - started


async def _next_request(client: AsyncClient) -> None:
    """Succeeds, if need be at another try: on a busy machine a handshake takes longer than the short timeout."""
    while True:
        with suppress(RequestTimeoutError):
            assert await client.ping() == "pong!"
            return


async def _request(client: AsyncClient, random: Random) -> str:
    cancel_after = random.choice([10.0, random.uniform(0.0, 0.06)])
    try:
        if trio.lowlevel.in_trio_run() or random.random() < 0.5:
            with anyio.fail_after(cancel_after):
                return await _call(client, random)
        # This cancels the task once; a scope of anyio would cancel it repeatedly.
        async with asyncio.timeout(cancel_after):
            return await _call(client, random)
    except TimeoutError:
        return "cancelled"
    except ChartMogulError as error:
        return type(error).__name__


async def _call(client: AsyncClient, random: Random) -> str:
    if random.random() < 0.5:
        await client.ping()
    else:
        await client.metrics.mrr("2025-01-01", "2025-03-31")
    return "succeeded"
