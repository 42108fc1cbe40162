"""Many calls by one client: one after the other, twenty in flight, all started at once, or by our own stream."""

from __future__ import annotations

import asyncio

from benchmarks.measure import Reading, StallWatch, Stopwatch
from benchmarks.sides.clients import KEY, MONTHS, PARALLEL, Call, load, open_client


async def in_turn(url: str, client: str, calls: int) -> Reading:
    """One after the other."""
    await load(url, client)
    async with open_client(url, client) as call:
        await call()  # connects
        with Stopwatch() as watch:
            for _ in range(calls):
                await call()
    return watch.reading(repeats=calls)


async def in_flight(url: str, client: str, calls: int) -> Reading:
    """Twenty workers, each of which makes one call after the other."""
    await load(url, client)
    async with open_client(url, client) as call:
        await _by_workers(call, PARALLEL)  # connects
        with Stopwatch() as watch:
            await _by_workers(call, calls)
    return watch.reading(repeats=calls)


async def _by_workers(call: Call, calls: int) -> None:
    pending = iter(range(calls))

    async def work() -> None:
        for _ in pending:
            await call()

    async with asyncio.TaskGroup() as group:
        for _ in range(PARALLEL):
            group.create_task(work())


async def by_workers(url: str, client: str, calls: int) -> Reading:
    """The same without connections made before, and with a look at the event loop."""
    await load(url, client)
    async with open_client(url, client) as call, StallWatch() as stall:
        with Stopwatch() as watch:
            await _by_workers(call, calls)
    return watch.reading(stall=stall.longest)


async def at_once(url: str, client: str, calls: int) -> Reading:
    """A task for every call, all started at the same moment."""
    await load(url, client)
    async with open_client(url, client) as call, StallWatch() as stall:
        with Stopwatch() as watch:
            async with asyncio.TaskGroup() as group:
                for _ in range(calls):
                    group.create_task(call())
    return watch.reading(stall=stall.longest)


async def stream(url: str, calls: int) -> Reading:
    """The same queries through ``metrics.stream``, which takes them as they can be sent."""
    from chartmogul_async import AsyncClient, MetricQuery, Throttle

    await load(url, "ours")
    # Equal queries at the same time would be one request.
    queries = (MetricQuery("mrr", *MONTHS, plans=str(number)) for number in range(calls))
    async with AsyncClient(KEY, base_url=url, throttle=Throttle(10**6, PARALLEL)) as client, StallWatch() as stall:
        with Stopwatch() as watch:
            async with client.metrics.stream(queries) as outcomes:
                async for outcome in outcomes:
                    outcome.result()
    return watch.reading(stall=stall.longest)
