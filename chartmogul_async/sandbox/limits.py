"""The account's limits: requests per second, requests in parallel, and compute budget per minute."""

from __future__ import annotations

from collections import deque
from math import ceil, floor
from typing import Literal, Protocol, get_args

from attrs import frozen

from chartmogul_async.checks import instance_of, one_of, positive_integer

Counting = Literal["fixed", "sliding", "bucket"]


@frozen
class Limits:
    """The limits that the sandbox enforces. None turns a limit off.

    Args:
        per_second: How many requests are admitted per second; the next one gets 429. Refused requests do not count.
        parallel: How many requests may be in flight; one more gets 503.
        counting: How requests per second are counted: ``fixed`` (a new count with each second of the server's
            clock), ``sliding`` (a log of the last second) or ``bucket`` (a token bucket, refilled evenly).
        bucket: The capacity of the token bucket; ``per_second`` by default.
        work_per_minute: Stands for the unpublished budget of compute time: each request costs 1, and 1 more for each
            entry in its response. Once the budget of a minute is used up, the rest of the minute gets 429.
        retry_after: Whether refusals carry that header, in whole seconds. The real API was never seen to send it.

    Raises:
        ArgumentError: A limit is not a positive integer, or ``counting`` is not one of the three.
    """

    per_second: int | None = 40
    parallel: int | None = 20
    counting: Counting = "sliding"
    bucket: int | None = None
    work_per_minute: int | None = None
    retry_after: bool = False

    def __attrs_post_init__(self) -> None:
        for name in ("per_second", "parallel", "bucket", "work_per_minute"):
            value = getattr(self, name)
            if value is not None:
                positive_integer(name, value, or_else=" or None")
        one_of("counting", self.counting, get_args(Counting))
        instance_of("retry_after", self.retry_after, bool)


@frozen
class Refusal:
    """The reason why a request was refused, and the seconds after which it would be admitted."""

    status: Literal[429, 503]
    message: str
    seconds: float

    @property
    def retry_after(self) -> str:
        """Whole seconds, rounded up, at least 1, as the header writes them."""
        return str(max(1, ceil(self.seconds)))


class RateCounter(Protocol):
    """One way of counting requests per second."""

    def acquire(self, now: float) -> float | None:
        """Count a request, or return the seconds after which one would be admitted."""
        ...


class FixedWindow:
    """Starts a new count with each second of the clock."""

    def __init__(self, size: int) -> None:
        self._size, self._second, self._count = size, 0, 0

    def acquire(self, now: float) -> float | None:
        """Count a request, or return the seconds after which one would be admitted."""
        if floor(now) != self._second:
            self._second, self._count = floor(now), 0
        if self._count >= self._size:
            return self._second + 1 - now
        self._count += 1
        return None


class SlidingLog:
    """Counts the requests of the last second."""

    def __init__(self, size: int) -> None:
        self._size, self._times = size, deque[float]()

    def acquire(self, now: float) -> float | None:
        """Count a request, or return the seconds after which one would be admitted."""
        # A time in the future comes from another event loop, whose clock was ahead.
        while self._times and not now - 1 < self._times[0] <= now:
            self._times.popleft()
        if len(self._times) >= self._size:
            return self._times[0] + 1 - now
        self._times.append(now)
        return None


class TokenBucket:
    """Takes one token for each request, and refills evenly."""

    def __init__(self, rate: int, capacity: int) -> None:
        self._rate, self._capacity, self._tokens, self._updated = rate, capacity, float(capacity), 0.0

    def acquire(self, now: float) -> float | None:
        """Count a request, or return the seconds after which one would be admitted."""
        self._tokens = min(self._capacity, self._tokens + max(0.0, now - self._updated) * self._rate)
        self._updated = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return None


class Limiter:
    """Admits requests within the limits. All times are seconds of the event loop's clock.

    Args:
        limits: The limits to enforce.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.in_flight: int = 0
        self._work, self._minute = 0, 0.0
        self._counter = _counter_for(limits)

    def acquire(self, now: float) -> Refusal | None:
        """Admit a request or refuse it.

        Args:
            now: The current time.

        Returns:
            None if the request was admitted (``release`` must follow), otherwise the refusal.
        """
        if self.limits.parallel is not None and self.in_flight >= self.limits.parallel:
            return Refusal(503, "Too many parallel requests.", 1.0)
        if self.limits.work_per_minute is not None:
            if not 0 <= now - self._minute < 60:
                self._work, self._minute = 0, now
            if self._work >= self.limits.work_per_minute:
                return Refusal(429, "Your request rate has exceeded our rate limit.", self._minute + 60 - now)
        if self._counter is not None and (wait := self._counter.acquire(now)) is not None:
            return Refusal(429, "Your request rate has exceeded our rate limit.", wait)
        self.in_flight += 1
        return None

    def charge(self, entries: int) -> None:
        """Charge the work for a response with so many entries."""
        self._work += 1 + entries

    def release(self) -> None:
        """Release the slot of an admitted request."""
        self.in_flight -= 1


def _counter_for(limits: Limits) -> RateCounter | None:
    if limits.per_second is None:
        return None
    if limits.counting == "fixed":
        return FixedWindow(limits.per_second)
    if limits.counting == "sliding":
        return SlidingLog(limits.per_second)
    return TokenBucket(limits.per_second, limits.bucket or limits.per_second)
