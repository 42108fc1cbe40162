"""A storm: requests at saturated places, of which any may be cancelled or time out at any moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from urllib.parse import urlsplit

import anyio
import trio

from chartmogul_async import AsyncClient, RetryPolicy, Throttle
from chartmogul_async.errors import ChartMogulError
from chartmogul_async.sandbox import Fault, Faults
from tests.soak.witnesses import living_tasks, sockets_to

WORKERS = 60  # three times the places, so that a line is always there
PLACES = 20
LATENCY = 0.005
TIMEOUT = 0.2  # seconds; short, for the stalls to end in the same storm
TROUBLES = Faults.random(
    {Fault.reset(): 0.01, Fault.reset_in_body(): 0.01, Fault.stall(): 0.003, Fault.status(502): 0.005}
)
SLOWEST = 0.1  # seconds a request, on a machine that has much else to do; whoever needs more waits for good
UNHURRIED = RetryPolicy(attempts=3, base=0.02, total=5.0)


async def storm(url: str, api_key: str, requests: int, seed: int = 0) -> Counter[str]:
    """Weather it, and tell how the requests ended. Afterwards a calm request must answer, and nothing be left."""
    random, ends = Random(seed), Counter[str]()
    left, tasks, port = iter(range(requests)), living_tasks(), urlsplit(url).port or 0
    throttle = Throttle(per_second=10**6, parallel=PLACES)
    client = AsyncClient(api_key, base_url=url, throttle=throttle, timeout=TIMEOUT, retry=UNHURRIED)

    async def work() -> None:
        for _ in left:
            ends[await _request(client, random)] += 1

    with anyio.fail_after(10 + requests * SLOWEST):
        async with anyio.create_task_group() as group:
            for _ in range(WORKERS):
                group.start_soon(work)
        assert await client.ping() == "pong!"

    assert ends.total() == requests
    told = throttle.statistics()
    assert (told.in_flight, told.waiting, told.places, throttle.room()) == (0, 0, PLACES, PLACES)
    assert sockets_to(port) <= PLACES
    await client.aclose()
    assert sockets_to(port) == 0
    assert living_tasks() == tasks
    return ends


async def _request(client: AsyncClient, random: Random) -> str:
    patience = random.choice([10.0, random.uniform(0.0, 0.06)])
    try:
        if trio.lowlevel.in_trio_run() or random.random() < 0.5:
            with anyio.fail_after(patience):
                return await _call(client, random)
        async with asyncio.timeout(patience):  # which cancels the task once, and not its scope for good
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
    return "answered"
