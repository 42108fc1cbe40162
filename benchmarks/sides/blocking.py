"""Many calls by the blocking client: one after the other, or by twenty threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from benchmarks.counters import read_counters
from benchmarks.measure import Reading, Stopwatch
from benchmarks.sides.clients import KEY, MONTHS, PARALLEL
from chartmogul_async import Throttle
from chartmogul_async.blocking import Client


def in_turn(url: str, calls: int) -> Reading:
    """One after the other."""
    with _open_client(url) as client:
        client.metrics.mrr(*MONTHS)  # connects
        with Stopwatch() as watch:
            for _ in range(calls):
                client.metrics.mrr(*MONTHS)
    return watch.reading(repeats=calls)


def in_flight(url: str, calls: int) -> Reading:
    """Twenty threads, each of which makes one call after the other."""
    with _open_client(url) as client, ThreadPoolExecutor(PARALLEL) as pool:

        def work(number: int) -> None:
            for _ in range(number):
                client.metrics.mrr(*MONTHS)

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
