"""The program of the worker processes in ``benchmarks.sides.engines``: a task for each account."""

from __future__ import annotations

import os
from typing import get_args

from taskiq_redis import RedisStreamBroker

from chartmogul_async import AsyncClient, MetricName, MetricQuery, RedisStore, Throttle
from chartmogul_async.integrations.taskiq import TaskiqMetrics

REDIS = os.environ["REDIS_URL"]
# The API is CHARTMOGUL_BASE_URL, without limits of its own.
STORE = RedisStore(REDIS) if os.environ["STORE"] == "redis" else None
QUERIES = [
    MetricQuery(name, "2025-01-01", f"2025-{month:02}-28") for name in get_args(MetricName) for month in range(1, 13)
]

broker = RedisStreamBroker(REDIS, xread_count=10)


def new_client(account: str) -> AsyncClient:
    """Make the client of an account, whose limits are the published ones."""
    return AsyncClient(account, throttle=Throttle(store=STORE))


metrics = TaskiqMetrics(broker, new_client)


@broker.task
async def pull(account: str) -> None:
    """Fetch all queries of an account."""
    for outcome in await metrics.client(account).metrics.fetch_all(QUERIES):
        outcome.result()


async def send(accounts: int) -> None:
    """Have so many accounts pulled."""
    await broker.startup()
    for number in range(accounts):
        await pull.kiq(f"account{number}")
    await broker.shutdown()
