"""A long range of days: in slices, undivided, and a range too short to be cut."""

from __future__ import annotations

from datetime import date, timedelta

from benchmarks.measure import Reading, Stopwatch
from benchmarks.sides.clients import KEY, load

_LAST_DAY = date(2025, 12, 31)


async def sliced(url: str, days: int, compare: bool = False) -> Reading:
    """Cut as the client chooses; with ``compare`` it is held against the undivided answer, entry for entry."""
    return await _pulled(url, days, None, compare)


async def undivided(url: str, days: int) -> Reading:
    """As one request."""
    return await _pulled(url, days, 1, compare=False)


async def _pulled(url: str, days: int, slices: int | None, compare: bool) -> Reading:
    from chartmogul_async import AsyncClient, Throttle

    await load(url, "ours")
    throttle, start = Throttle(), _LAST_DAY - timedelta(days - 1)
    async with AsyncClient(KEY, base_url=url, throttle=throttle) as client:
        with Stopwatch() as watch:
            series = await client.metrics.all(start, _LAST_DAY, interval="day", slices=slices)
        requests = throttle.statistics().admitted
        if len(series) != days:
            raise AssertionError(f"{len(series)} entries instead of {days}")
        if compare and series != await client.metrics.all(start, _LAST_DAY, interval="day", slices=1):
            raise AssertionError("the slices do not add up to the undivided range")
    return watch.reading(requests=requests)
