"""Processes that share the limits of their key over a real store, against a sandbox that enforces them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from chartmogul_async.sandbox import Company, Limits, Sandbox
from tests.redis_server import RedisServer, running

pytestmark = pytest.mark.sockets
WORKER = """
import json, sys, anyio
from chartmogul_async import AsyncClient, FileStore, RedisStore, Throttle

async def main(url, place, calls):
    store = RedisStore(place) if place.startswith("redis:") else FileStore(place)
    throttle = Throttle(per_second=400, store=store)
    async with AsyncClient("sandbox", base_url=url, throttle=throttle) as client:
        await client.ping()
        print("started", flush=True)
        sys.stdin.readline()
        async with anyio.create_task_group() as group:
            for _ in range(calls):
                group.start_soon(client.ping)
        print(json.dumps(throttle.statistics().admitted), flush=True)

anyio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]), backend=sys.argv[4])
"""


@contextmanager
def workers(url: str, place: str, calls: int, backends: Sequence[str]) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that wait for a line, and then make so many calls."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, place, str(calls), backend],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for backend in backends
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def admitted_by(process: subprocess.Popen[str]) -> int:
    admitted: int = json.loads(process.communicate()[0])
    return admitted


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(Company(seed=1, customers=3), limits=Limits(per_second=400, parallel=20), latency=0.01)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    yield from running(tmp_path)


@pytest.fixture(params=["file", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        if sys.platform == "win32":
            pytest.skip("Windows has no FileStore")
        return str(tmp_path / "limits")
    server: RedisServer = request.getfixturevalue("redis")
    return server.url


def test_never_more_in_parallel_than_one_account_allows(sandbox: Sandbox, place: str) -> None:
    backends = ["asyncio", "trio", "asyncio"]
    with sandbox.serve() as url, workers(url, place, 100, backends) as processes:
        for process in processes:
            go(process)
        # One more each for the first call.
        assert list(map(admitted_by, processes)) == [101] * 3
    counters = sandbox.counters
    assert (counters.requests, counters.refused_503) == (303, 0)
    assert counters.peak_parallel <= 20


def test_the_others_go_on_when_one_is_killed(sandbox: Sandbox, place: str) -> None:
    sandbox.latency = 0.5
    with sandbox.serve() as url, workers(url, place, 40, ["asyncio"] * 3) as processes:
        for process in processes:
            go(process)
        wait_for(sandbox, 3 + 30, processes)
        processes[0].send_signal(signal.SIGKILL)
        assert list(map(admitted_by, processes[1:])) == [41] * 2
    assert sandbox.counters.peak_parallel <= 20


@pytest.mark.parametrize("outage", ["killed", "stopped"])
def test_all_go_on_when_their_server_is_away(sandbox: Sandbox, redis: RedisServer, outage: str) -> None:
    """And when it is back, in one case without what it knew; each of them says so."""
    sandbox.latency = 0.1
    with sandbox.serve() as url, workers(url, redis.url, 120, ["asyncio", "trio", "asyncio"]) as processes:
        for process in processes:
            go(process)
        wait_for(sandbox, 100, processes)
        redis.kill() if outage == "killed" else redis.pause()
        wait_for(sandbox, 160, processes)
        redis.start() if outage == "killed" else redis.resume()
        said = []
        for process in processes:
            output, errors = process.communicate()
            assert json.loads(output) == 121
            said.append(errors)
    # On a machine that is very busy, it may seem to be away once more.
    assert all("the store of the limits is away: " in text for text in said)
    assert all("the store of the limits is back" in text for text in said)
    assert sandbox.counters.peak_parallel <= 20
    assert (sandbox.counters.refused_429, sandbox.counters.refused_503) == (0, 0)


def wait_for(sandbox: Sandbox, requests: int, processes: Sequence[subprocess.Popen[str]]) -> None:
    while sandbox.counters.requests < requests:
        assert all(process.poll() is None for process in processes)
        # The sandbox runs in a thread of this process.
        time.sleep(0.001)
