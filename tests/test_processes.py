"""Processes that share the limits of their key over a real file, against a sandbox that enforces them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from chartmogul_async.sandbox import Company, Limits, Sandbox

pytestmark = pytest.mark.sockets
WORKER = """
import json, sys, anyio
from chartmogul_async import AsyncClient, FileStore, Throttle

async def main(url, folder, calls):
    throttle = Throttle(store=FileStore(folder))
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
def workers(url: str, folder: Path, calls: int, backends: Sequence[str]) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that wait for a line, and then make so many calls."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, str(folder), str(calls), backend],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
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


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(Company(seed=1, customers=3), limits=Limits(per_second=400, parallel=20), latency=0.01)


def test_never_more_in_parallel_than_one_account_allows(sandbox: Sandbox, tmp_path: Path) -> None:
    backends = ["asyncio", "trio", "asyncio"]
    with sandbox.serve() as url, workers(url, tmp_path / "limits", 100, backends) as processes:
        for process in processes:
            go(process)
        # One more each for the first call.
        assert [json.loads(process.communicate()[0]) for process in processes] == [101] * 3
    counters = sandbox.counters
    assert (counters.requests, counters.refused_503) == (303, 0)
    assert counters.peak_parallel <= 20


def test_the_others_go_on_when_one_is_killed(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.latency = 0.5
    with sandbox.serve() as url, workers(url, tmp_path / "limits", 40, ["asyncio"] * 3) as processes:
        for process in processes:
            go(process)
        while sandbox.counters.requests < 3 + 30:
            assert processes[0].poll() is None
        processes[0].send_signal(signal.SIGKILL)
        assert [json.loads(process.communicate()[0]) for process in processes[1:]] == [41] * 2
    assert sandbox.counters.peak_parallel <= 20
