"""One side of a comparison, run in a fresh process: ``python -m benchmarks.sides SIDE URL`` prints its seconds.

What a side has to do is under its name below; only that is timed, neither imports nor the start of the process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable

import anyio
import httpcore  # noqa: F401 - httpx loads it at the first request, which is no part of the work

METRICS = ("all", "mrr", "arr", "arpa", "asp", "customer_count", "customer_churn_rate", "mrr_churn_rate", "ltv")
MONTHS = ("2024-01-01", "2025-12-31")
KEY = "sandbox"
CALLS = 400


def timed(work: Callable[[], Awaitable[object]]) -> float:
    async def main() -> float:
        start = time.perf_counter()
        await work()
        return time.perf_counter() - start

    return anyio.run(main)


def nine_metrics_ours(url: str) -> float:
    """Nine metrics of 24 months, asked for at once."""
    from chartmogul_async import AsyncClient, MetricQuery
    from chartmogul_async.metrics.query import METRICS as NAMES

    async def work() -> None:
        async with AsyncClient(KEY, base_url=url) as client, anyio.create_task_group() as group:
            for name in NAMES:
                group.start_soon(client.metrics.fetch, MetricQuery(name, *MONTHS))

    return timed(work)


def nine_metrics_official(url: str) -> float:
    """The same, one after the other: the official client cannot do otherwise."""
    import chartmogul

    config = chartmogul.Config(KEY)
    config.uri = url
    start = time.perf_counter()
    for name in METRICS:
        getattr(chartmogul.Metrics, name)(config, start_date=MONTHS[0], end_date=MONTHS[1], interval="month").get()
    return time.perf_counter() - start


def calls_one_by_one_ours(url: str) -> float:
    """One whole call after the other: query, throttle, retry, exchange, records."""
    from chartmogul_async import AsyncClient, Throttle

    async def work() -> None:
        async with AsyncClient(KEY, base_url=url, throttle=Throttle(10**6)) as client:
            for _ in range(CALLS):
                await client.metrics.mrr(*MONTHS)

    return timed(work)


def calls_one_by_one_httpx(url: str) -> float:
    """The same answers as bytes, from a bare httpx client."""
    import httpx

    async def work() -> None:
        async with httpx.AsyncClient(auth=(KEY, ""), trust_env=False) as client:
            for _ in range(CALLS):
                await client.get(f"{url}/metrics/mrr", params={"start-date": MONTHS[0], "end-date": MONTHS[1]})

    return timed(work)


def calls_at_once_ours(url: str) -> float:
    """All calls started at once, twenty in flight."""
    from chartmogul_async import AsyncClient, Throttle

    async def work() -> None:
        async with (
            AsyncClient(KEY, base_url=url, throttle=Throttle(10**6)) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(CALLS):
                group.start_soon(client.metrics.mrr, *MONTHS)

    return timed(work)


def calls_at_once_httpx(url: str) -> float:
    """The same answers as bytes, started at once, httpx's own pool keeping twenty in flight."""
    import httpx

    async def work() -> None:
        limits = httpx.Limits(max_connections=20, max_keepalive_connections=20)
        async with (
            httpx.AsyncClient(auth=(KEY, ""), limits=limits, timeout=60, trust_env=False) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(CALLS):
                group.start_soon(
                    lambda: client.get(f"{url}/metrics/mrr", params={"start-date": MONTHS[0], "end-date": MONTHS[1]})
                )

    return timed(work)


def ten_years_of_days_sliced(url: str) -> float:
    """Ten years of days of all metrics, cut as the client chooses."""
    return _ten_years_of_days(url, slices=None)


def ten_years_of_days_undivided(url: str) -> float:
    """The same as one request."""
    return _ten_years_of_days(url, slices=1)


def _ten_years_of_days(url: str, slices: int | None) -> float:
    from chartmogul_async import AsyncClient

    async def work() -> None:
        async with AsyncClient(KEY, base_url=url) as client:
            await client.ping()  # connections are made before the clock of a nightly pull matters
            await client.metrics.all("2016-01-01", "2025-12-31", interval="day", slices=slices)

    return timed(work)


def throttled_ours(url: str) -> float:
    """400 answers from a server that refuses the 41st request of any rolling second."""
    from chartmogul_async import AsyncClient

    async def work() -> None:
        async with AsyncClient(KEY, base_url=url) as client, anyio.create_task_group() as group:
            for _ in range(CALLS):
                group.start_soon(client.ping)

    return timed(work)


if __name__ == "__main__":
    side, address = sys.argv[1:]
    print(globals()[side](address))
