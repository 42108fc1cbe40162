"""Some hundred answers for several processes with one key. A side starts them and lets them go at the same moment."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Reading
from benchmarks.sides.clients import PARALLEL, load
from benchmarks.sides.limiters import PER_SECOND, Admit, Refusals, answered, behind

if TYPE_CHECKING:
    from chartmogul_async import Throttle

# Seconds after which neither the server nor a client counts a request any more.
_FORGOTTEN = 1.5
_COMMAND = [sys.executable, "-m", "benchmarks.sides", "shared.process"]


def by_file(url: str, calls: Sequence[int]) -> Reading:
    """The processes share a ``FileStore``."""
    with tempfile.TemporaryDirectory() as folder:
        return _all(url, calls, "file", folder)


def by_redis(url: str, calls: Sequence[int]) -> Reading:
    """They share a ``RedisStore``."""
    with _redis() as server:
        return _all(url, calls, "redis", server)


def by_hand(url: str, calls: Sequence[int]) -> Reading:
    """Each process has an equal part of the limits."""
    return _all(url, calls, "hand", "")


def by_pyrate_limiter(url: str, calls: Sequence[int]) -> Reading:
    """Stock httpx behind pyrate-limiter's Redis bucket; it has no limit of what is in flight, so that is split."""
    with _redis() as server:
        return _all(url, calls, "pyrate", server)


@contextmanager
def _redis() -> Iterator[str]:
    from tests.redis_server import RedisServer

    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server.url
        finally:
            server.kill()


def _all(url: str, calls: Sequence[int], how: str, where: str) -> Reading:
    """The seconds of the process that took longest, and what all of them cost and met."""
    arguments = [
        json.dumps({"url": url, "calls": each, "how": how, "where": where, "processes": len(calls)}) for each in calls
    ]
    started = [
        subprocess.Popen([*_COMMAND, each], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for each in arguments
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    # Otherwise the first requests of all would share a second with those that made them ready, and the last ones, a
    # few only, would take a second of their own.
    time.sleep(_FORGOTTEN)
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    readings: list[Reading] = [json.loads(process.communicate()[0]) for process in started]
    assert not any(process.returncode for process in started)
    return {
        "seconds": max(reading["seconds"] for reading in readings),
        **{name: sum(reading[name] for reading in readings) for name in ("cpu", "memory", "refused")},
    }


async def process(url: str, calls: int, how: str, where: str, processes: int) -> Reading:
    """One of them."""
    if how == "pyrate":
        await load(url, "httpx")
        admit = await _pyrate_limiter(where)
        _wait()
        return await behind(admit, url, calls, parallel=max(1, PARALLEL // processes))
    from chartmogul_async import AsyncClient

    refusals = Refusals()
    throttle = _throttle(how, where, processes)
    async with AsyncClient("sandbox", base_url=url, throttle=throttle, on_event=refusals.note_event) as client:
        # What it loads at its first call would delay the first requests of all.
        await client.ping()
        _wait()
        return await answered(client.ping, calls, refusals)


def _throttle(how: str, where: str, processes: int) -> Throttle:
    from chartmogul_async import FileStore, RedisStore, Throttle

    if how == "hand":
        return Throttle(max(1, PER_SECOND // processes), max(1, PARALLEL // processes))
    return Throttle(store=RedisStore(where) if how == "redis" else FileStore(where))


async def _pyrate_limiter(where: str) -> Admit:
    from pyrate_limiter import Duration, Limiter, Rate, RedisBucket
    from redis.asyncio import Redis

    # It is awaitable for a server that is.
    bucket: Any = RedisBucket.init([Rate(PER_SECOND, Duration.SECOND)], Redis.from_url(where), "chartmogul")
    limiter = Limiter(await bucket)
    return lambda: limiter.try_acquire_async("chartmogul")


def _wait() -> None:
    """Until all are ready."""
    print("ready", flush=True)
    sys.stdin.readline()
