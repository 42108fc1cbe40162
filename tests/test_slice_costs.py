"""What a range in slices costs when slices are of no use: never more than 2.2 times its slices, and never the result.

Each world is a server that was found to make slices dear, fail or wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from chartmogul_async import AsyncClient, Event, RetryPolicy, Series, SlicesDisagreed, Throttle, errors
from tests.clients import client_of

pytestmark = pytest.mark.no_cover

DAY = timedelta(days=1)
TEN_YEARS = ("2016-07-01", "2026-06-30")

Entry = dict[str, Any]


class World:
    """A server of daily MRR. Its subclasses differ in one respect each."""

    first, last = date.min, date.max

    def __init__(self) -> None:
        self.requests = 0
        self.ranges: list[tuple[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        params = request.url.params
        self.ranges.append((params["start-date"], params["end-date"]))
        start, end = date.fromisoformat(params["start-date"]), date.fromisoformat(params["end-date"])
        return self.response(start, end)

    def response(self, start: date, end: date) -> httpx.Response:
        summary = {"current": self.current(), "previous": 0, "percentage-change": 0}
        return httpx.Response(200, json={"entries": list(self.entries(start, end)), "summary": summary})

    def current(self) -> int:
        return 1

    def entries(self, start: date, end: date) -> Iterator[Entry]:
        change = 0.0
        for number in range(max(start, self.first).toordinal(), min(end, self.last).toordinal() + 1):
            day = date.fromordinal(number)
            if self.has(day):
                yield {"date": day.isoformat(), "mrr": self.mrr(day, start, end), "percentage-change": change}
                change = 0.5

    def has(self, day: date) -> bool:
        return True

    def mrr(self, day: date, start: date, end: date) -> int:
        return day.toordinal()


class YoungAccount(World):
    """Without entries before the account's first day."""

    first = date(2021, 3, 10)


class WithoutFuture(World):
    """Without entries after today."""

    last = date(2023, 3, 10)


class WithGap(World):
    """Without entries in the middle of the range."""

    def has(self, day: date) -> bool:
        return not date(2019, 1, 1) <= day < date(2023, 1, 1)


class MovingSummary(World):
    """Something happens today with every request."""

    def current(self) -> int:
        return self.requests


class MovingLastEntry(MovingSummary):
    """The last entry is that of today, and moves with the summary."""

    def mrr(self, day: date, start: date, end: date) -> int:
        return self.requests if str(day) == TEN_YEARS[1] else 7


class DependingOnTheRange(World):
    """No two slices ever agree."""

    def mrr(self, day: date, start: date, end: date) -> int:
        return (end - start).days


class Refusing(World):
    """A 4xx for a range that ends before the account's first day."""

    status = 422
    first = date(2021, 3, 10)

    def response(self, start: date, end: date) -> httpx.Response:
        if end < self.first:
            return httpx.Response(self.status, json={"message": "too early"})
        return super().response(start, end)


class RefusingTheFuture(World):
    """A 4xx for a range that begins after today."""

    last = date(2023, 3, 10)

    def response(self, start: date, end: date) -> httpx.Response:
        return httpx.Response(404) if start > self.last else super().response(start, end)


class RefusingAgain(MovingSummary):
    """A 4xx for the last slice when it is fetched for the second time."""

    seen = 0

    def response(self, start: date, end: date) -> httpx.Response:
        if str(end) == TEN_YEARS[1] and str(start) != TEN_YEARS[0]:
            self.seen += 1
            if self.seen == 2:
                return httpx.Response(400)
        return super().response(start, end)


class RepeatingDates(World):
    """Gives the last day of a slice twice, which is no response that could be joined."""

    def entries(self, start: date, end: date) -> Iterator[Entry]:
        yield from super().entries(start, end)
        if str(start) != TEN_YEARS[0]:
            yield {"date": end.isoformat(), "mrr": self.mrr(end, start, end), "percentage-change": 0.0}


class WithoutWeekends(World):
    """Without entries for some days, as many times as there are weeks."""

    def has(self, day: date) -> bool:
        return day.weekday() < 5


# How many requests each world needs beyond the slices.
WORLDS: list[tuple[Callable[[], World], int]] = [
    (World, 0),
    (YoungAccount, 0),
    (WithoutFuture, 0),
    (MovingSummary, 1),
    (MovingLastEntry, 2),
    (RefusingAgain, 2),
    (DependingOnTheRange, 1),
    (RepeatingDates, 1),
]
every_world = pytest.mark.parametrize(("world", "beyond"), WORLDS, ids=[world.__name__ for world, _ in WORLDS])


async def pull(client: AsyncClient, slices: Any) -> Series[Any, Any]:
    return await client.metrics.mrr(*TEN_YEARS, interval="day", slices=slices)


@every_world
@pytest.mark.parametrize(("slices", "number"), [(None, 20), (2, 2), (3, 3)])
async def test_no_world_makes_slices_dear(world: Callable[[], World], beyond: int, slices: Any, number: int) -> None:
    server = world()
    async with client_of(server, throttle=Throttle(1000)) as client:
        series = await pull(client, slices)
        assert server.requests == number + beyond <= 2.2 * number
        # The newest summary of all that were fetched.
        assert series.summary.current == server.current()
        undivided = await pull(client, 1)
    changing = isinstance(server, MovingLastEntry)
    assert series.entries[: -1 if changing else None] == undivided.entries[: -1 if changing else None]


@pytest.mark.parametrize(("world", "beyond"), [(MovingLastEntry, 2), (DependingOnTheRange, 1)])
async def test_one_slice_for_each_day_of_ten_years_is_not_dear(world: Callable[[], World], beyond: int) -> None:
    """As found: 7,303 requests for 3,652 days."""
    server = world()
    async with client_of(server, throttle=Throttle(10**6)) as client:
        assert len(await pull(client, "interval")) == 3652
    assert server.requests == 3652 + beyond


@pytest.mark.parametrize("world", [WithGap, Refusing, RefusingTheFuture])
@pytest.mark.parametrize(("slices", "number"), [(None, 20), (2, 2), (5, 5)])
async def test_days_without_entries_never_fail_a_range(world: Callable[[], World], slices: Any, number: int) -> None:
    """Wherever the cut lies: between slices without entries, or within one."""
    server = world()
    async with client_of(server, throttle=Throttle(1000)) as client:
        series = await pull(client, slices)
        assert server.requests <= number + 1
        assert series == await pull(client, 1)


@pytest.mark.parametrize("world", [YoungAccount, WithoutFuture, WithoutWeekends, WithGap])
async def test_single_days_without_entries_equal_the_range(world: Callable[[], World]) -> None:
    server = world()
    async with client_of(server, throttle=Throttle(10**6)) as client:
        series = await client.metrics.mrr("2023-01-01", "2023-03-31", interval="day", slices="interval")
        assert server.requests <= 90 + 1
        assert series == await client.metrics.mrr("2023-01-01", "2023-03-31", interval="day", slices=1)


# --- what is learned --------------------------------------------------------------------------------------------


@every_world
async def test_only_slices_without_use_are_remembered(world: Callable[[], World], beyond: int) -> None:
    """A moving summary is none."""
    server = world()
    joins = world in (World, YoungAccount, WithoutFuture, MovingSummary)
    async with client_of(server, throttle=Throttle(1000)) as client:
        await pull(client, None)
        first = server.requests
        await pull(client, None)
        assert server.requests - first == (20 + beyond if joins else 1)


async def test_a_moving_summary_is_not_reported() -> None:
    events: list[Event] = []
    async with client_of(MovingSummary(), throttle=Throttle(1000), on_event=events.append) as client:
        await pull(client, None)
    assert not [event for event in events if isinstance(event, SlicesDisagreed)]


@pytest.mark.parametrize("world", [MovingLastEntry, DependingOnTheRange, RepeatingDates])
async def test_slices_that_do_not_join_are_reported_once(world: Callable[[], World]) -> None:
    events: list[Event] = []
    async with client_of(world(), throttle=Throttle(1000), on_event=events.append) as client:
        await pull(client, 5)
    assert [event for event in events if isinstance(event, SlicesDisagreed)] == [SlicesDisagreed("mrr", 5)]


# --- what one slice is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 402, 404, 410, 422])
async def test_a_refused_slice_does_not_fail_the_range(status: int) -> None:
    server = Refusing()
    server.status = status
    async with client_of(server, throttle=Throttle(1000)) as client:
        assert len(await pull(client, None)) == (date(2026, 6, 30) - date(2021, 3, 10)).days + 1
        assert server.requests <= 20 + 1
        # It would be refused again.
        before = server.requests
        await pull(client, None)
        assert server.requests == before + 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, errors.AuthenticationError),
        (403, errors.ForbiddenError),
        (429, errors.RateLimitError),
        (500, errors.ServerError),
        (302, errors.StatusError),
    ],
)
async def test_refusals_for_other_reasons_are_raised(status: int, error: type[errors.StatusError]) -> None:
    server = Refusing()
    server.status = status
    async with client_of(server, throttle=Throttle(1000), retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(error):
            await pull(client, 4)
    assert TEN_YEARS not in server.ranges


async def test_the_error_of_the_undivided_request_is_raised() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        days = f"{request.url.params['start-date']} to {request.url.params['end-date']}"
        return httpx.Response(422, json={"message": f"no such plan from {days}"})

    async with client_of(refuse) as client:
        with pytest.raises(errors.ValidationError, match="no such plan from 2016-07-01 to 2026-06-30") as caught:
            await pull(client, 3)
    assert caught.value.__context__ is None
