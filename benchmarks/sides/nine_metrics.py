"""Nine metrics of 24 months: at once with ours, and one after the other with the official client."""

from __future__ import annotations

import asyncio
from typing import get_args

from benchmarks.measure import Reading, Stopwatch
from benchmarks.sides.clients import KEY, MONTHS, load


async def ours(url: str) -> Reading:
    from chartmogul_async import AsyncClient, MetricName, MetricQuery

    await load(url, "ours")
    queries = [MetricQuery(name, *MONTHS) for name in get_args(MetricName)]
    with Stopwatch() as watch:
        async with AsyncClient(KEY, base_url=url) as client, asyncio.TaskGroup() as group:
            for query in queries:
                group.create_task(client.metrics.fetch(query))
    return watch.reading()


def official(url: str) -> Reading:
    """The official client cannot do otherwise than one after the other."""
    import chartmogul

    from chartmogul_async import MetricName

    config = chartmogul.Config(KEY)
    config.uri = url
    with Stopwatch() as watch:
        for name in get_args(MetricName):
            call = getattr(chartmogul.Metrics, name)
            call(config, start_date=MONTHS[0], end_date=MONTHS[1], interval="month").get()
    return watch.reading()
