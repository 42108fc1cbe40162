"""A server in virtual time: it counts a request on arrival, works on it, and does not notice a client that gives up."""

from __future__ import annotations

import math
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Protocol

import anyio
import httpx
from attrs import Factory, define, field

from chartmogul_async.sandbox.limits import FixedWindow, SlidingLog, TokenBucket

Delay = Callable[[random.Random], float]


class Counts(Protocol):
    """One way of counting requests: None admits one, a number refuses it."""

    def acquire(self, now: float) -> float | None: ...


def constant(seconds: float) -> Delay:
    return lambda _: seconds


def between(low: float, high: float) -> Delay:
    return lambda chance: chance.uniform(low, high)


def sometimes(share: float, rare: Delay, usual: Delay) -> Delay:
    return lambda chance: (rare if chance.random() < share else usual)(chance)


def lognormal(median: float) -> Delay:
    return lambda chance: median * math.exp(chance.gauss(0, 0.5))


COUNTERS: dict[str, Callable[[int], Counts]] = {
    "fixed": FixedWindow,
    "sliding": SlidingLog,
    "bucket": lambda size: TokenBucket(size, size),
}


class ApproximatedWindow:
    """Weighs the count of the previous second by how much of it a sliding second would still cover."""

    def __init__(self, size: int) -> None:
        self._size, self._second, self._before, self._count = size, -1, 0, 0

    def acquire(self, now: float) -> float | None:
        second = math.floor(now)
        if second != self._second:
            self._before = self._count if second == self._second + 1 else 0
            self._second, self._count = second, 0
        if self._before * (1 - (now - second)) + self._count + 1 > self._size:
            return 0.1
        self._count += 1
        return None


class TenthsOfASecond:
    """Counts in buckets of 100 ms, of which the last ``buckets`` are added up."""

    def __init__(self, size: int, buckets: int = 10) -> None:
        self._size, self._buckets, self._counts = size, buckets, Counter[int]()

    def acquire(self, now: float) -> float | None:
        tenth = math.floor(now * 10)
        for old in [each for each in self._counts if each <= tenth - self._buckets]:
            del self._counts[old]
        if self._counts.total() >= self._size:
            return 0.1
        self._counts[tenth] += 1
        return None


class EveryTenth:
    """Refuses each tenth request, however slowly they come."""

    def __init__(self) -> None:
        self._requests = 0

    def acquire(self, now: float) -> float | None:
        self._requests += 1
        return 1.0 if self._requests % 10 == 0 else None


class Budget:
    """Allows so many requests in each minute that begins with one."""

    def __init__(self, size: int) -> None:
        self._size, self._since, self._count = size, -math.inf, 0

    def acquire(self, now: float) -> float | None:
        if now - self._since >= 60:
            self._since, self._count = now, 0
        if self._count >= self._size:
            return self._since + 60 - now
        self._count += 1
        return None


@define(eq=False)
class SharedWith:
    """A counter that another program uses too, evenly, until it stops."""

    counter: Counts
    per_second: float
    until: float = math.inf
    _next: float = -math.inf

    def acquire(self, now: float) -> float | None:
        self._next = max(self._next, now - 60)
        while self._next <= now:
            if self._next < self.until:
                self.counter.acquire(self._next)
            self._next += 1 / self.per_second
        return self.counter.acquire(now)


@define(eq=False)
class Server(httpx.AsyncBaseTransport):
    """Counts a request on arrival, ``there`` after it was sent, and responds after ``work`` and the way ``back``."""

    counter: Counts
    there: Delay = Factory(lambda: constant(0.005))
    work: Delay = Factory(lambda: constant(0.03))
    back: Delay = Factory(lambda: constant(0.005))
    parallel: int = 20
    seed: int = 0
    # Whether the transport reports when it has written a request, as httpcore does.
    reports: bool = True
    statuses: Counter[int] = Factory(Counter)
    starts: deque[float] = Factory(deque)
    busy_until: list[float] = Factory(list)
    _chance: random.Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.starts.append(anyio.current_time())
        if self.reports:
            trace = request.extensions["trace"]
            await trace("http11.send_request_headers.started", {"request": httpx.Request("GET", "http://localhost")})
            await trace("http11.send_request_headers.complete", {"return_value": None})
        there, work, back = (delay(self._chance) for delay in (self.there, self.work, self.back))
        await anyio.sleep(there)
        status = self._count(anyio.current_time(), work)
        self.statuses[status] += 1
        await anyio.sleep(back if status != 200 else work + back)
        return httpx.Response(status, json={"data": "pong!"})

    def _count(self, now: float, work: float) -> int:
        self.busy_until = [end for end in self.busy_until if end > now]
        if len(self.busy_until) >= self.parallel:
            return 503
        if self.counter.acquire(now) is not None:
            return 429
        self.busy_until.append(now + work)
        return 200

    @property
    def refusals(self) -> int:
        return self.statuses[429] + self.statuses[503]


@define(eq=False)
class Oracle:
    """The throttle of somebody who knows that requests arrive as they were sent: the least time that is possible."""

    per_second: int = 40
    parallel: int = 20
    _starts: deque[float] = Factory(deque)

    def finish(self, delays: Iterator[float]) -> float:
        """Seconds until the last of these exchanges is over, all wanted at once."""
        slots = [0.0] * self.parallel
        for delay in delays:
            now = min(slots)
            if len(self._starts) == self.per_second:
                now = max(now, self._starts.popleft() + 1.001)
            self._starts.append(now)
            slots.remove(min(slots))
            slots.append(now + delay)
        return max(slots)
