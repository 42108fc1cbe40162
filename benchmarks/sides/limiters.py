"""Some hundred answers from an account with limits: by our own throttle, and by httpx behind a limiter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from benchmarks.measure import Reading, Stopwatch
from benchmarks.sides.clients import KEY, PARALLEL, Call, load
from chartmogul_async.events import Attempt, Event

_REFUSED = (429, 503)
# Seconds before a refused request is sent again.
_RETRY_AFTER = 1.0
PER_SECOND = 40

Admit = Callable[[], Awaitable[object]]


class Refusals:
    """Counts the refusals that a client meets."""

    def __init__(self) -> None:
        self.count = 0

    def note(self, status: int | None) -> None:
        self.count += status in _REFUSED

    def note_event(self, event: Event) -> None:
        if isinstance(event, Attempt):
            self.note(event.status)


async def ours(url: str, calls: int, again: bool) -> Reading:
    """The client with its own throttle, as it comes."""
    from chartmogul_async import AsyncClient

    await load(url, "ours")
    refusals = Refusals()
    async with AsyncClient(KEY, base_url=url, on_event=refusals.note_event) as client:
        return await answered(client.ping, calls, refusals, again)


async def aiolimiter(url: str, calls: int, again: bool) -> Reading:
    """A leaky bucket that holds a second's requests."""
    from aiolimiter import AsyncLimiter

    return await _behind(AsyncLimiter(PER_SECOND, 1).acquire, url, calls, again)


async def aiolimiter_even(url: str, calls: int, again: bool) -> Reading:
    """A leaky bucket that holds a single request, so that starts are evenly spread."""
    from aiolimiter import AsyncLimiter

    return await _behind(AsyncLimiter(1, 1 / PER_SECOND).acquire, url, calls, again)


async def pyrate_limiter(url: str, calls: int, again: bool) -> Reading:
    """A rolling log, with the margin of 50 ms that the library has by default."""
    from pyrate_limiter import Duration, Limiter, Rate

    limiter = Limiter(Rate(PER_SECOND, Duration.SECOND))
    return await _behind(lambda: limiter.try_acquire_async("chartmogul"), url, calls, again)


async def _behind(admit: Admit, url: str, calls: int, again: bool) -> Reading:
    """Stock httpx, a semaphore for the slots, and another try a second later for what is refused."""
    await load(url, "httpx")
    return await behind(admit, url, calls, again)


async def behind(admit: Admit, url: str, calls: int, again: bool = False, parallel: int = PARALLEL) -> Reading:
    """The same, once everything is loaded."""
    import httpx

    refusals, slots = Refusals(), asyncio.Semaphore(parallel)
    limits = httpx.Limits(max_connections=parallel, max_keepalive_connections=parallel)
    async with httpx.AsyncClient(auth=(KEY, ""), limits=limits, timeout=None, trust_env=False) as client:

        async def ask() -> None:
            while True:
                async with slots:
                    await admit()
                    response = await client.get(f"{url}/ping")
                refusals.note(response.status_code)
                if response.status_code not in _REFUSED:
                    return
                await asyncio.sleep(_RETRY_AFTER)

        return await answered(ask, calls, refusals, again)


async def answered(ask: Call, calls: int, refusals: Refusals, again: bool = False) -> Reading:
    """The time until all are answered, and the refusals until then; ``again``: also of as many more."""
    with Stopwatch() as watch:
        await _all_at_once(ask, calls)
    reading = watch.reading(refused=refusals.count)
    if again:
        await _all_at_once(ask, calls)
        reading["refused_again"] = refusals.count - reading["refused"]
    return reading


async def _all_at_once(ask: Call, calls: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(calls):
            group.create_task(ask())
