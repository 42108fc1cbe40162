"""Many calls by the blocking client: one after the other beside the async client, or by twenty threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from statistics import median

from benchmarks.counters import read_counters
from benchmarks.measure import Reading, Stopwatch
from benchmarks.sides.clients import KEY, MONTHS, PARALLEL
from chartmogul_async import AsyncClient, Throttle
from chartmogul_async.blocking import Client

_RUN = 10  # calls


def alternating(url: str, calls: int) -> Reading:
    """Ten calls by the async client and ten by the blocking one in turn, one after the other; medians of the calls.

    Both are in one process, since the difference is smaller than that between two runs.
    """
    with asyncio.Runner() as runner, _open_client(url) as client:
        other = AsyncClient(KEY, base_url=url, throttle=Throttle(10**6, PARALLEL))
        times: dict[str, list[tuple[float, float]]] = {"async": [], "blocking": []}

        async def async_calls() -> None:
            for _ in range(_RUN):
                with _timed(times["async"]):
                    await other.metrics.mrr(*MONTHS, plans="1")

        def blocking_calls() -> None:
            for _ in range(_RUN):
                with _timed(times["blocking"]):
                    client.metrics.mrr(*MONTHS, plans="1")

        for number in range(calls // _RUN + 1):
            runner.run(async_calls())
            blocking_calls()
            if not number:
                # The first ones connect.
                times["async"].clear()
                times["blocking"].clear()
        runner.run(other.aclose())
    (async_seconds, async_cpu), (seconds, cpu) = (map(median, zip(*found, strict=True)) for found in times.values())
    return {"seconds": seconds, "cpu": cpu, "async_seconds": async_seconds, "async_cpu": async_cpu}


@contextmanager
def _timed(times: list[tuple[float, float]]) -> Iterator[None]:
    cpu, start = time.process_time(), time.perf_counter()
    yield
    times.append((time.perf_counter() - start, time.process_time() - cpu))


def in_flight(url: str, calls: int) -> Reading:
    """Twenty threads, each of which makes one call after the other."""
    with _open_client(url) as client, ThreadPoolExecutor(PARALLEL) as pool:

        def work(number: int) -> None:
            for _ in range(number):
                # Equal calls at the same time would be one request.
                client.metrics.mrr(*MONTHS, plans=str(next(numbers)))

        numbers = count()
        list(pool.map(work, [1] * PARALLEL))  # connects
        with Stopwatch() as watch:
            list(pool.map(work, [calls // PARALLEL] * PARALLEL))
    return watch.reading(repeats=calls)


@contextmanager
def _open_client(url: str) -> Iterator[Client]:
    """A new client, after one that loaded what is loaded at the first request."""
    for is_first in (True, False):
        with Client(KEY, base_url=url, throttle=Throttle(10**6, PARALLEL)) as client:
            if not is_first:
                yield client
            else:
                client.metrics.mrr(*MONTHS)
                read_counters(url, reset=True)
