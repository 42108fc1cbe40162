"""A local API that costs as little as it can, in a process of its own, so that a ratio is about its clients.

``with serve(Serving(...)) as url`` starts ``python -m benchmarks.server``. It counts as the sandbox counts
(``sandbox.limits``) and answers canned bytes. Beside the API it has ``/counters``, and ``/reset``, which tells the
counters and begins anew with fresh limits.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httptools
import uvloop
from attrs import asdict, define, frozen

from benchmarks.canned import Canned, response
from chartmogul_async.sandbox import Limits
from chartmogul_async.sandbox.limits import Limiter, Refusal
from chartmogul_async.sandbox.response import error_response

UNLIMITED = Limits(per_second=None, parallel=None)


@frozen
class Serving:
    """A server's manners: its limits, and seconds. A request is under way for up to ``jitter`` before it is counted;
    its answer leaves ``latency`` after that, and ``latency_per_entry`` more for each entry.
    """

    limits: Limits = UNLIMITED
    latency: float = 0.0
    latency_per_entry: float = 0.0
    jitter: float = 0.0


@define
class Counters:
    """What came since the last reset. ``late`` are the seconds by which answers left later than told, in all."""

    requests: int = 0
    refused_429: int = 0
    refused_503: int = 0
    peak: int = 0
    connections: int = 0
    late: float = 0.0


class Api:
    """What all connections share."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.canned = Canned()
        self.random = random.Random(1)
        self.reset()

    def reset(self) -> None:
        self.gate = Limiter(self.serving.limits)
        self.counters = Counters()

    def count(self) -> Refusal | None:
        counters = self.counters
        counters.requests += 1
        refusal = self.gate.acquire(time.monotonic())
        if refusal is None:
            counters.peak = max(counters.peak, self.gate.in_flight)
        elif refusal.status == 429:
            counters.refused_429 += 1
        else:
            counters.refused_503 += 1
        return refusal


class Connection(asyncio.Protocol):
    """One kept-alive connection, which has one request under way at a time."""

    def __init__(self, api: Api, loop: asyncio.AbstractEventLoop) -> None:
        self._api, self._loop = api, loop
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._gate: Limiter | None = None  # of the request that is inside
        self._timer: asyncio.Handle | None = None
        self._is_known = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # only TCP comes here
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._timer is not None:
            self._timer.cancel()
        self._leave()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    # --- called by the parser ------------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        self._target = url

    def on_message_complete(self) -> None:
        api = self._api
        if self._target in (b"/counters", b"/reset"):
            self._transport.write(response(200, json.dumps(asdict(api.counters)).encode()))
            if self._target == b"/reset":
                api.reset()
            return
        if not self._is_known:
            self._is_known = True
            api.counters.connections += 1
        if api.serving.jitter:
            self._timer = self._loop.call_later(api.random.random() * api.serving.jitter, self._count)
        else:
            self._count()

    # --- one request ---------------------------------------------------------------------------------------

    def _count(self) -> None:
        api, serving = self._api, self._api.serving
        refusal = api.count()
        if refusal is not None:
            reply = error_response(refusal.status, refusal.message)
            self._transport.write(response(reply.status, reply.body))
            return
        self._gate = api.gate
        answer = api.canned.answer(self._target)
        delay = serving.latency + serving.latency_per_entry * answer.entries
        if delay:
            self._timer = self._loop.call_later(delay, self._answer_late, answer.response, time.monotonic() + delay)
        else:
            self._answer(answer.response)

    def _answer_late(self, whole: bytes, due: float) -> None:
        self._api.counters.late += time.monotonic() - due
        self._answer(whole)

    def _answer(self, whole: bytes) -> None:
        self._leave()  # before the client can know that it has everything, and ask again
        self._transport.write(whole)
        if not self._parser.should_keep_alive():
            self._transport.close()

    def _leave(self) -> None:
        if self._gate is not None:
            self._gate.release()
            self._gate = None


@contextmanager
def serve(serving: Serving) -> Iterator[str]:
    """Serve from a subprocess and give the URL of the API, which ends in ``/v1``."""
    command = [sys.executable, "-m", "benchmarks.server", json.dumps(asdict(serving))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"the server's process ended with status {process.wait()}")
            yield url
        finally:
            process.stdin.close()  # which ends it


async def _main(told: str) -> None:
    options = json.loads(told)
    api = Api(Serving(**{**options, "limits": Limits(**options["limits"])}))
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    listening = await loop.create_server(lambda: Connection(api, loop), "127.0.0.1", backlog=2048)
    print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1", flush=True)
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1]))
