"""Pulls of many accounts by worker processes of taskiq, whose tasks wait in a queue when they begin."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.counters import read_counters
from benchmarks.measure import Reading

_SENDER = "import asyncio, sys; from benchmarks.sides.pulls import send; asyncio.run(send(int(sys.argv[1])))"
_WORKER = [sys.executable, "-m", "taskiq", "worker", "benchmarks.sides.pulls:broker", "--max-async-tasks", "20"]
# Seconds between two looks at what the server has counted.
_GLANCE = 0.02
# Seconds without a request after which something is wrong.
_PATIENCE = 60.0


def taskiq(url: str, processes: int, accounts: int, store: str, first: int, last: int) -> Reading:
    """The time of all processes for the requests from the first one that counts to the last one."""
    with tempfile.TemporaryDirectory() as folder, _redis(Path(folder)) as (server, redis):
        settings = {"REDIS_URL": server, "CHARTMOGUL_BASE_URL": url, "STORE": store}
        environment = os.environ | settings
        subprocess.run([sys.executable, "-c", _SENDER, str(accounts)], env=environment, check=True)
        command = [*_WORKER, "--workers", str(processes), "--log-level", "WARNING"]
        manager = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
        try:
            _wait_for(url, first)
            workers = psutil.Process(manager.pid).children()
            started, before = time.perf_counter(), (_cpu(workers), _cpu([redis]))
            _wait_for(url, last)
            seconds = time.perf_counter() - started
            cpu, cpu_of_redis = (now - then for now, then in zip((_cpu(workers), _cpu([redis])), before, strict=True))
        finally:
            os.killpg(manager.pid, signal.SIGKILL)
            manager.wait()
    pulls = last - first
    return {"seconds": seconds / pulls, "cpu": cpu / pulls, "redis_cpu": cpu_of_redis / pulls}


def _wait_for(url: str, requests: int) -> None:
    counted, since = 0.0, time.monotonic()
    while counted < requests:
        time.sleep(_GLANCE)
        now = read_counters(url)["requests"]
        if now == counted and time.monotonic() - since > _PATIENCE:
            raise RuntimeError("the workers ask for nothing; they log why if --log-level is INFO")
        counted, since = now, time.monotonic() if now > counted else since


def _cpu(processes: list[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


@contextmanager
def _redis(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    from tests.redis_server import RedisServer

    server = RedisServer(folder)
    server.start()
    try:
        (process,) = psutil.Process().children()
        yield server.url, process
    finally:
        server.kill()
