"""Task queues and clusters run the programs of docs/workers.md, with real processes and a real Redis server."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import pytest

from chartmogul_async.sandbox import Company, Limits, Sandbox
from tests.engines.programs import (
    BLOCKS,
    FOUR_COUNTRIES,
    PAGE,
    SHOW_TASKS,
    Place,
    block_with,
    until,
)
from tests.redis_server import RedisServer, running

pytestmark = [
    pytest.mark.sockets,
    # A busy machine starts their processes slowly.
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform == "win32", reason="they need groups of processes"),
]


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed: `nox -s engines` has it")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    yield from running(tmp_path)


@pytest.fixture
def sandbox() -> Sandbox:
    # Workers allow themselves 40 requests a second; on a busy machine they may take the server for away.
    return Sandbox(Company(seed=1, customers=50, today=date(2026, 1, 31)), limits=Limits(per_second=80))


# Until Python 3.12 asyncio.wait_for, by which redis sends with a timeout, may lose the cancellation that ends a worker,
# as the page says.
WITHOUT_WAIT_FOR = ", socket_timeout=None" if sys.version_info < (3, 12) else ""


def taskiq_place(folder: Path, url: str, redis: RedisServer) -> Place:
    place = Place(folder, url, redis.url)
    worker = block_with("RedisStreamBroker(")
    for printed, quick in (
        ("idle_timeout=60_000", f"idle_timeout=4_000, consumer_name=str(os.getpid()){WITHOUT_WAIT_FOR}"),
        ("TaskiqMetrics(broker, new_client)", "TaskiqMetrics(broker, new_client, resend_after=5)"),
    ):
        assert printed in worker
        worker = worker.replace(printed, quick)
    # It is looked at if they do not end.
    place.write("pulls.py", worker + SHOW_TASKS)
    place.write("nightly.py", block_with("async def nightly"))
    place.write("figures.py", block_with("asyncio.timeout"))
    place.write("many.py", MANY)
    return place


CONSUMERS = ("XINFO", "CONSUMERS", "taskiq", "taskiq")
MANY = """
import asyncio
import json
from datetime import date, timedelta

from chartmogul_async import MetricQuery
from nightly import nightly
from pulls import broker, metrics

async def main():
    await broker.startup()
    days = [date(2024, 1, 1) + timedelta(number) for number in range(120)]
    queries = [MetricQuery("mrr", day, "2025-12-31") for day in days]
    outcomes = await metrics.fetch_all(queries)
    stored = await (await nightly.kiq("")).wait_result(timeout=60)
    print(json.dumps({
        "sent": [query.key() for query in queries],
        "landed": [outcome.result().query.key() for outcome in outcomes],
        "stored": stored.return_value,
    }))
    await broker.shutdown()

asyncio.run(main())
"""


@needs("taskiq_redis")
def test_taskiq_loses_nothing_when_a_worker_is_killed(tmp_path: Path, redis: RedisServer, sandbox: Sandbox) -> None:
    command = ("-m", "taskiq", "worker", "pulls:broker", "nightly", "--workers", "4", "--max-async-tasks", "20")
    with sandbox.serve() as url:
        place = taskiq_place(tmp_path, url, redis)
        with place.running(*command) as manager:
            # From Python 3.14 on the workers log nothing, as they are not forked.
            until(lambda: redis.call("CLIENT", "LIST").count(b"cmd=xreadgroup") == 4, manager)
            assert FOUR_COUNTRIES.fullmatch(place.run("figures.py"))
            sandbox.latency = 0.5
            with place.started("many.py") as sender:
                until(lambda: sandbox.counters.requests > 30 and max(taken(redis).values()) > 4, manager, sender)
                busiest = max(taken(redis).items(), key=lambda item: item[1])[0]
                os.kill(busiest, signal.SIGKILL)
                output, errors = sender.communicate(timeout=100)
    assert sender.returncode == 0, errors
    report = json.loads(output)
    assert report["landed"] == report["sent"]
    assert len(set(report["stored"])) == 3
    counters = sandbox.counters
    assert (counters.refused_429, counters.refused_503) == (0, 0)
    assert counters.peak_parallel <= 20
    assert counters.requests >= 4 + 120 + 3


def taken(redis: RedisServer) -> dict[int, int]:
    """How many messages each worker has taken and not finished, by the number of its process."""
    each = [dict(zip(fields[::2], fields[1::2], strict=True)) for fields in redis.call(*CONSUMERS)]
    return {int(fields[b"name"]): fields[b"pending"] for fields in each}


@needs("distributed")
def test_dask(tmp_path: Path, sandbox: Sandbox) -> None:
    with sandbox.serve() as url:
        place = Place(tmp_path, url)
        place.write("cluster.py", block_with("WorkerPlugin"))
        assert FOUR_COUNTRIES.fullmatch(place.run("cluster.py"))
    assert sandbox.counters.requests == 4


@needs("arq")
def test_arq(tmp_path: Path, redis: RedisServer, sandbox: Sandbox) -> None:
    with sandbox.serve() as url:
        place = Place(tmp_path, url, redis.url)
        place.write("arq_pulls.py", block_with("arq.connections"))
        with place.running("-c", "from arq.cli import cli; cli()", "arq_pulls.WorkerSettings"):
            # The second time results are there.
            for _ in range(2):
                assert FOUR_COUNTRIES.fullmatch(place.run("arq_pulls.py"))
    assert sandbox.counters.requests == 4


@needs("saq")
def test_saq(tmp_path: Path, redis: RedisServer, sandbox: Sandbox) -> None:
    with sandbox.serve() as url:
        place = Place(tmp_path, url, redis.url)
        place.write("saq_pulls.py", block_with("from saq"))
        with place.running("-m", "saq", "saq_pulls.settings", "--workers", "2"):
            for _ in range(2):
                assert FOUR_COUNTRIES.fullmatch(place.run("saq_pulls.py"))
    # SAQ may do a job twice.
    assert sandbox.counters.requests >= 4


def test_the_commands_are_those_of_the_page() -> None:
    for command in (
        "taskiq worker pulls:broker --workers 4 --max-async-tasks 20",
        "arq arq_pulls.WorkerSettings",
        "saq saq_pulls.settings --workers 4",
    ):
        assert command in PAGE


def test_every_program_is_tested() -> None:
    """The one that closes an ``AsyncClients`` needs no server: tests/test_taskiq.py."""
    assert len(BLOCKS) == 7
