"""The door keeps calls outside that would only wait in line, and never forgets one."""

from __future__ import annotations

import asyncio
from functools import partial

import anyio
import httpx
import pytest

from chartmogul_async import AsyncClient, RetryPolicy, Throttle, errors
from chartmogul_async.transport.door import Door
from tests.clients import KEY, ok
from tests.conftest import VirtualTimeLoop

RANGE = ("2023-07-01", "2023-08-31")


def answering_after(seconds: float) -> httpx.MockTransport:
    async def handler(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(seconds)
        return ok()

    return httpx.MockTransport(handler)


class House:
    """Room for some calls behind a door, which stay until they are told to go."""

    def __init__(self, room: int) -> None:
        self.inside = 0
        self.came: list[int] = []
        self.go = anyio.Event()
        self.door = Door(lambda: None, lambda coming: self.inside + coming >= room)

    async def call(self, number: int) -> None:
        async with self.door:
            self.came.append(number)
            self.inside += 1
            try:
                await self.go.wait()
            finally:
                self.inside -= 1


async def test_calls_come_in_while_there_is_room_and_then_in_their_order() -> None:
    house = House(room=3)
    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(house.call, number)
            await anyio.wait_all_tasks_blocked()
        assert house.came == [0, 1, 2]
        for number in range(3, 10):
            house.inside -= 1
            house.door.let_in()
            await anyio.wait_all_tasks_blocked()
            assert house.came == list(range(number + 1))
        house.inside += 7
        house.go.set()


async def test_who_comes_later_does_not_pass_who_waits() -> None:
    crowded = True
    door, came = Door(lambda: None, lambda _: crowded), []

    async def enter(number: int) -> None:
        async with door:
            came.append(number)

    async with anyio.create_task_group() as group:
        group.start_soon(enter, 1)
        await anyio.wait_all_tasks_blocked()
        crowded = False
        group.start_soon(enter, 2)
        await anyio.wait_all_tasks_blocked()
        assert came == []
        door.let_in()
    assert came == [1, 2]


async def test_who_gives_up_outside_is_forgotten() -> None:
    house = House(room=1)
    async with anyio.create_task_group() as group:
        group.start_soon(house.call, 0)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(1):
            await house.call(1)
        group.start_soon(house.call, 2)
        await anyio.wait_all_tasks_blocked()
        house.go.set()
    assert house.came == [0, 2]


def test_who_is_cancelled_at_the_moment_of_being_let_in_lets_in_the_next() -> None:
    """Only asyncio's own cancellation comes through then; anyio lets a task that was woken go on."""

    async def main() -> None:
        house = House(room=1)
        tasks = [asyncio.create_task(house.call(number)) for number in range(3)]
        await asyncio.sleep(1)
        house.inside -= 1
        house.door.let_in()
        tasks[1].cancel()
        await asyncio.sleep(1)
        assert house.came == [0, 2]
        house.inside += 1
        house.go.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    anyio.run(main, backend_options={"loop_factory": VirtualTimeLoop})


async def test_of_a_thousand_calls_at_once_only_those_whose_turn_is_near_stand_in_line() -> None:
    throttle, most = Throttle(per_second=10**6), 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal most
        await anyio.sleep(0.02)
        most = max(most, throttle.statistics().waiting - throttle.door.waiting)
        return ok()

    transport = httpx.MockTransport(handler)
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client, anyio.create_task_group() as group:
        for _ in range(1000):
            group.start_soon(client.metrics.mrr, *RANGE)
    assert throttle.statistics().admitted == 1000
    assert 0 < most <= 40  # as many again as there are places, and those on their way to the line


@pytest.mark.parametrize("parallel", [1, 3])
async def test_calls_that_fail_before_they_are_sent_do_not_keep_the_others_outside(parallel: int) -> None:
    throttle = Throttle(per_second=10**6, parallel=parallel)
    done: list[str] = []

    async def call(slices: int) -> None:
        try:
            await client.metrics.mrr(*RANGE, slices=slices)
            done.append("answer")
        except errors.UsageError:
            done.append("refusal")

    transport = answering_after(0.001)
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client, anyio.create_task_group() as group:
        for number in range(300):
            group.start_soon(call, 1 if number % 10 == 0 else 0)
    assert (done.count("answer"), done.count("refusal")) == (30, 270)


async def test_calls_that_sleep_between_attempts_do_not_keep_the_others_outside() -> None:
    """Sixty calls meet a 500 and sleep for a minute or so; those behind them are answered meanwhile."""
    sent = 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        sent += 1
        await anyio.sleep(0.001)
        return httpx.Response(500) if sent <= 60 else ok()

    answered: list[float] = []
    start = anyio.current_time()

    async def call() -> None:
        await client.metrics.mrr(*RANGE)
        answered.append(anyio.current_time() - start)

    policy = RetryPolicy(attempts=2, base=10_000, cap=10_000, total=100_000)
    throttle = Throttle(per_second=10**6, parallel=2)
    async with (
        AsyncClient(KEY, transport=httpx.MockTransport(handler), throttle=throttle, retry=policy) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(200):
            group.start_soon(call)
    assert len(answered) == 200
    assert sum(when < 1 for when in answered) >= 140


async def test_a_pause_counts_for_those_outside_as_well() -> None:
    """With a server that refuses for ever, five hundred calls give up when one would."""
    throttle = Throttle(parallel=2)

    async def refuse(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.2)
        return httpx.Response(429)

    async def call() -> None:
        with pytest.raises(errors.RateLimitError):
            await client.metrics.mrr(*RANGE)

    start = anyio.current_time()
    async with (
        AsyncClient(KEY, transport=httpx.MockTransport(refuse), throttle=throttle) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(500):
            group.start_soon(call)
        await anyio.sleep(0.1)
        assert throttle.door.waiting > 400
    assert anyio.current_time() - start <= 95


async def test_more_places_are_soon_filled_from_outside() -> None:
    throttle, in_flight = Throttle(per_second=10**6, parallel=1), 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal in_flight
        in_flight += 1
        await anyio.sleep(1)
        in_flight -= 1
        return ok()

    transport = httpx.MockTransport(handler)
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client, anyio.create_task_group() as group:
        for _ in range(500):
            group.start_soon(client.metrics.mrr, *RANGE)
        await anyio.sleep(3.5)
        assert in_flight == 1
        throttle.resize(parallel=20)
        await anyio.sleep(0.1)
        assert in_flight == 20
        await anyio.sleep(5)
        assert in_flight == 20


async def test_a_line_that_goes_away_together_is_followed_by_those_outside() -> None:
    """Twenty slices stand in line when their call is cancelled; the calls outside fill all places all the same."""
    throttle = Throttle(per_second=10**6)
    in_flight, peak, start = 0, 0, 0.0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal in_flight, peak
        in_flight += 1
        peak = max(peak, in_flight)
        try:
            await anyio.sleep(2)
        finally:
            in_flight -= 1
        return ok()

    transport = httpx.MockTransport(handler)
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client, anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(client.metrics.mrr, *RANGE)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(1):
            async with anyio.create_task_group() as sliced:
                sliced.start_soon(partial(client.metrics.mrr, "2023-01-01", "2023-12-31", interval="day", slices=20))
                await anyio.wait_all_tasks_blocked()
                for _ in range(400):
                    group.start_soon(client.metrics.mrr, *RANGE)
                await anyio.sleep_forever()
        peak, start = 0, anyio.current_time()
    assert peak == 20
    assert anyio.current_time() - start == pytest.approx(400 / 20 * 2, rel=0.1)


@pytest.mark.parametrize("shared", [False, True], ids=["the client itself", "another client with its throttle"])
async def test_a_second_event_loop_gets_the_sentence_also_when_it_is_crowded(shared: bool) -> None:
    throttle = Throttle(parallel=1)

    transport = answering_after(1)
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(client.metrics.mrr, *RANGE)
        await anyio.wait_all_tasks_blocked()
        assert throttle.door.waiting
        other = AsyncClient(KEY, transport=transport, throttle=throttle) if shared else client

        async def call() -> None:
            with pytest.raises(errors.UsageError, match="in another event loop"):
                await other.metrics.mrr(*RANGE)
            with pytest.raises(errors.UsageError, match="in another event loop"):
                await other.ping()

        await anyio.to_thread.run_sync(anyio.run, call)
    assert throttle.statistics().admitted == 5


async def test_a_closed_client_says_so_also_when_it_is_crowded() -> None:
    throttle = Throttle(parallel=1)

    transport = answering_after(1)
    closed = AsyncClient(KEY, transport=transport, throttle=throttle)
    await closed.aclose()
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(client.metrics.mrr, *RANGE)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(0.1), pytest.raises(errors.UsageError, match="this client is closed"):
            await closed.ping()


async def test_who_comes_in_the_moment_in_which_a_pause_begins_is_not_left_outside() -> None:
    throttle = Throttle(parallel=1)

    async def refuse(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(1)
        for _ in range(50):
            group.start_soon(call)
        return httpx.Response(429, headers={"retry-after": "50"})

    async def call() -> None:
        await client.metrics.mrr(*RANGE)

    async with (
        AsyncClient(KEY, transport=httpx.MockTransport(refuse), throttle=throttle) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(5):
            group.start_soon(call)
        await anyio.sleep(20)
        assert (throttle.door.waiting, throttle.statistics().waiting) == (0, 54)  # and one sleeps before it tries again
        group.cancel_scope.cancel()
