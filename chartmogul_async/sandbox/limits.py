"""The account's limits: requests a second, requests at once, and work a minute."""

from __future__ import annotations

from collections import deque
from math import ceil, floor
from typing import Literal, Protocol

from attrs import frozen

Counting = Literal["fixed", "sliding", "bucket"]


@frozen
class Limits:
    """What the server lets through; ``None`` turns a limit off.

    ``per_second`` requests are let through and the next is refused with 429, counted in one of three ways:
    ``fixed`` (a new count with each second of the server's clock), ``sliding`` (a log of the last second) or
    ``bucket`` (holding ``bucket`` tokens when full, ``per_second`` unless given, filled evenly). A refused
    request takes nothing from any of them. ``parallel`` requests are answered at a time, one more gets 503.
    ``work_per_minute`` stands for the unpublished allowance of compute time: each request costs 1 and 1 more
    for each entry in its answer, and when a minute's allowance is used up the rest of the minute gets 429.
    With ``retry_after`` refusals carry that header in whole seconds; the real API was never seen to send it.
    """

    per_second: int | None = 40
    parallel: int | None = 20
    counting: Counting = "sliding"
    bucket: int | None = None
    work_per_minute: int | None = None
    retry_after: bool = False


@frozen
class Refusal:
    """Why a request was refused, and after how many seconds it would not have been."""

    status: Literal[429, 503]
    message: str
    seconds: float

    @property
    def retry_after(self) -> str:
        """Whole seconds, rounded up, at least 1, as the header writes them."""
        return str(max(1, ceil(self.seconds)))


class Counter(Protocol):
    """One way of counting: 0.0 lets a request through and counts it, anything else is the time until one
    would be.
    """

    def wait(self, now: float) -> float | None: ...


class FixedWindow:
    def __init__(self, size: int) -> None:
        self._size, self._second, self._count = size, 0, 0

    def wait(self, now: float) -> float | None:
        if floor(now) != self._second:
            self._second, self._count = floor(now), 0
        if self._count >= self._size:
            return self._second + 1 - now
        self._count += 1
        return None


class SlidingLog:
    def __init__(self, size: int) -> None:
        self._size, self._stamps = size, deque[float]()

    def wait(self, now: float) -> float | None:
        while self._stamps and not now - 1 < self._stamps[0] <= now:
            self._stamps.popleft()  # a second old, or from another event loop whose clock was further on
        if len(self._stamps) >= self._size:
            return self._stamps[0] + 1 - now
        self._stamps.append(now)
        return None


class TokenBucket:
    def __init__(self, rate: int, capacity: int) -> None:
        self._rate, self._capacity, self._tokens, self._at = rate, capacity, float(capacity), 0.0

    def wait(self, now: float) -> float | None:
        self._tokens = min(self._capacity, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return None


class Gate:
    """Lets requests in by the limits, or says why not. All times are seconds of the event loop's clock."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.inside = 0
        self._work, self._minute = 0, 0.0
        self._counter: Counter | None = None
        if limits.per_second is not None:
            if limits.counting == "fixed":
                self._counter = FixedWindow(limits.per_second)
            elif limits.counting == "sliding":
                self._counter = SlidingLog(limits.per_second)
            else:
                self._counter = TokenBucket(limits.per_second, limits.bucket or limits.per_second)

    def enter(self, now: float) -> Refusal | None:
        """Let a request in (it must ``leave`` again), or give the refusal."""
        if self.limits.parallel is not None and self.inside >= self.limits.parallel:
            return Refusal(503, "Too many parallel requests.", 1.0)
        if self.limits.work_per_minute is not None:
            if not 0 <= now - self._minute < 60:
                self._work, self._minute = 0, now
            if self._work >= self.limits.work_per_minute:
                return Refusal(429, "Your request rate has exceeded our rate limit.", self._minute + 60 - now)
        if self._counter is not None and (wait := self._counter.wait(now)) is not None:
            return Refusal(429, "Your request rate has exceeded our rate limit.", wait)
        self.inside += 1
        return None

    def work(self, entries: int) -> None:
        """Charge the work of an answer."""
        self._work += 1 + entries

    def leave(self) -> None:
        """Give a place back."""
        self.inside -= 1
