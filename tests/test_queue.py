"""The queue: first come first served, one deadline at its head, and no waiter is ever forgotten."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import sys
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
import trio
import trio.testing

from chartmogul_async import AsyncClient, RetryPolicy, Throttle, errors
from chartmogul_async.errors import QueueTimeoutError, RateLimitError, StateError
from chartmogul_async.events import HOW_TO_SHARE, Pause
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.permits import Claim, Permit, Waiter
from chartmogul_async.transport.queue import Queue
from tests.clients import KEY, another_mrr, ok
from tests.conftest import VirtualTimeLoop
from tests.shared_limits import LoopStore
from tests.test_throttle_properties import SENT, come_to_rest, stall

RANGE = ("2023-07-01", "2023-08-31")
# Starts a second that no test reaches: what holds requests back is something else.
UNLIMITED = 10**6


def responding_after(seconds: float) -> httpx.MockTransport:
    async def handler(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(seconds)
        return ok()

    return httpx.MockTransport(handler)


class Callers:
    """Calls that note when they were admitted, and hold their slot for some seconds."""

    def __init__(self, throttle: Throttle, takes: float = 0.0) -> None:
        self.throttle = throttle
        self.takes = takes
        self.start = anyio.current_time()
        self.admitted: list[tuple[Any, Any]] = []
        self.refused: list[tuple[Any, Any, RateLimitError]] = []
        self.permits: list[Permit] = []

    async def call(
        self,
        name: object,
        max_pause: float = math.inf,
        scope: anyio.CancelScope | None = None,
        is_retry: bool = False,
    ) -> None:
        with scope or anyio.CancelScope():
            try:
                permit = await self.throttle._acquire(max_pause, is_retry)
            except RateLimitError as error:
                self.refused.append((name, anyio.current_time() - self.start, error))
                return
            self.admitted.append((name, anyio.current_time() - self.start))
            self.permits.append(permit)
            try:
                await anyio.sleep(self.takes)
            finally:
                self.throttle._release(permit, 200)

    @property
    def names(self) -> list[Any]:
        return [name for name, _ in self.admitted]


def in_use(throttle: Throttle) -> tuple[int, int]:
    statistics = throttle.statistics()
    return statistics.in_flight, statistics.waiting


# --- the order -----------------------------------------------------------------------------------------------------


async def test_slots_are_taken_at_once_and_then_in_order() -> None:
    throttle = Throttle(UNLIMITED, parallel=3)
    callers = Callers(throttle, takes=1.0)
    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(callers.call, number)
            await come_to_rest()
        assert callers.names == [0, 1, 2]
        assert in_use(throttle) == (3, 7)
    # Trio lets those that are admitted at the same moment run in any order.
    assert [sorted(callers.names[at : at + 3]) for at in (0, 3, 6, 9)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert [when for _, when in callers.admitted] == pytest.approx([0, 0, 0, 1, 1, 1, 2, 2, 2, 3])


async def test_a_later_call_does_not_pass_a_waiting_one() -> None:
    """The window is open again, but the timer of the head has not fired yet."""
    throttle = Throttle(per_second=2)
    for _ in range(2):
        throttle._release(await throttle._acquire(), 200)
    callers = Callers(throttle)
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "first")
        await come_to_rest()
        stall(5.0)
        await callers.call("second")
    assert callers.names == ["first", "second"]


async def test_free_slots_are_left_for_those_that_wait() -> None:
    throttle = Throttle(per_second=1, parallel=1)
    throttle._release(await throttle._acquire(), 200)
    callers = Callers(throttle)
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "waiting")
        await come_to_rest()
        stall(5.0)
        assert throttle._free_slots() == 0
    assert callers.names == ["waiting"]


async def test_the_permit_reports_the_time_in_the_queue_and_in_pauses() -> None:
    throttle = Throttle(parallel=2)
    first, second = await throttle._acquire(), await throttle._acquire()
    assert (first.queued, first.paused) == (0.0, 0.0)

    async def release() -> None:
        await anyio.sleep(1)
        throttle._release(first, 429, retry_after=3.0)
        await anyio.sleep(5)
        throttle._release(second, 200)

    async with anyio.create_task_group() as group:
        group.start_soon(release)
        waited = await throttle._acquire()
        assert (waited.queued, waited.paused) == pytest.approx((4, 3))
        throttle._release(waited, 200)
        assert waited.pause_left == 0.0
    assert throttle.statistics().delayed == 1


async def test_retries_go_first_in_their_own_order() -> None:
    """They wait for less already; among themselves, first come first served."""
    throttle = Throttle(UNLIMITED, parallel=1)
    permit, callers = await throttle._acquire(), Callers(throttle)
    async with anyio.create_task_group() as group:
        for name in ("new 1", "again 1", "new 2", "again 2", "again 3"):
            group.start_soon(callers.call, name, math.inf, None, name.startswith("again"))
            await come_to_rest()
        throttle._release(permit, 200)
    assert callers.names == ["again 1", "again 2", "again 3", "new 1", "new 2"]


async def test_a_retry_takes_over_the_deadline_of_the_head() -> None:
    throttle = Throttle(per_second=1)
    throttle._release(await throttle._acquire(), 200)
    callers = Callers(throttle)
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "head")
        await anyio.sleep(0.5)
        group.start_soon(callers.call, "again", math.inf, None, True)
    assert callers.admitted == [("again", pytest.approx(1.001)), ("head", pytest.approx(2.002))]


async def test_retries_do_not_keep_others_waiting_forever() -> None:
    """The server is down; each call is sent six times, and those that came later are sent too."""
    throttle, first_sent = Throttle(per_second=10, parallel=5), set[str]()

    def handler(request: httpx.Request) -> httpx.Response:
        first_sent.add(request.url.params["number"])
        return httpx.Response(500)

    async def call(number: int) -> None:
        with pytest.raises(errors.ServerError):
            await client.get("/ping", {"number": number})

    start = anyio.current_time()
    transport = httpx.MockTransport(handler)
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client, anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(call, number)
    assert len(first_sent) == 100
    # 600 requests, ten a second, and the waits after the last ones.
    assert anyio.current_time() - start < 60 + 40


# --- deadlines -----------------------------------------------------------------------------------------------------


async def paused_throttle(seconds: float, parallel: int = 20) -> Throttle:
    throttle = Throttle(parallel=parallel)
    throttle._release(await throttle._acquire(), 429, retry_after=seconds)
    return throttle


def deadlines(throttle: Throttle) -> list[float]:
    return [waiter._scope.deadline for waiter in throttle._queue.waiters if waiter._scope is not None]


async def test_only_the_head_has_a_deadline() -> None:
    throttle = await paused_throttle(30.0)
    end = anyio.current_time() + 30
    callers, scope = Callers(throttle, takes=0.3), anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "head", math.inf, scope)
        await come_to_rest()
        for number in range(50):
            group.start_soon(callers.call, number)
        await come_to_rest()
        assert deadlines(throttle) == [end]
        scope.cancel()
        await come_to_rest()
        assert (throttle.statistics().waiting, deadlines(throttle)) == (50, [end])
        await anyio.sleep(30.1)
        # The probe is in flight; unless it ends before, the next moment is when it is late.
        assert (in_use(throttle), deadlines(throttle)) == ((1, 49), [end + 1])
        await anyio.sleep(1)
        assert len(deadlines(throttle)) == 1
    assert sorted(name for name in callers.names if isinstance(name, int)) == list(range(50))


def test_thousands_of_waiters_take_one_timer_of_the_loop() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        throttle = await paused_throttle(30.0)
        tasks = [asyncio.create_task(throttle._acquire()) for _ in range(2000)]
        await come_to_rest()
        assert throttle.statistics().waiting == 2000
        assert sum(not timer.cancelled() for timer in loop._scheduled) == 1  # type: ignore[attr-defined]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert in_use(throttle) == (0, 0)
        assert not [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())


@pytest.mark.parametrize("waiters", [1, 100])
async def test_waiting_does_not_ask_again_and_again(waiters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = count_looks(monkeypatch)
    throttle = await paused_throttle(3600.0)
    callers = Callers(throttle)
    async with anyio.create_task_group() as group:
        for number in range(waiters):
            group.start_soon(callers.call, number)
        await anyio.sleep(3599)
        # One look for each that joins, and two for the head.
        assert len(looks) <= waiters + 4
    assert len(callers.admitted) == waiters
    # Each looks once more when it becomes the head, and once when the one before it ends.
    assert len(looks) <= 6 * waiters + 8


async def test_the_head_is_not_woken_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """All slots are taken; that a request is sent changes nothing for those that wait."""
    throttle = Throttle(parallel=2)
    permits = [await throttle._acquire(), await throttle._acquire()]
    callers, looks = Callers(throttle), count_looks(monkeypatch)
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "head")
        await come_to_rest()
        before = len(looks)
        for permit in permits:
            await permit.trace(*SENT)
            await come_to_rest()
        assert len(looks) == before + 2
        for permit in permits:
            throttle._release(permit, 200)


async def test_a_deadline_moves_forward_when_a_pause_ends_early() -> None:
    throttle = Throttle(per_second=1)
    throttle._release(await throttle._acquire(), 429, retry_after=3600.0)
    callers = Callers(throttle)
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "head")
        await anyio.sleep(60)
        test = await throttle._acquire(max_pause=1.0)
        await test.trace(*SENT)
        throttle._release(test, 200)
    assert callers.admitted == [("head", pytest.approx(60 + 1 / 0.95))]


async def test_the_head_waits_for_the_test_of_a_pause() -> None:
    """It wakes at the end of a pause while a test of that pause is in flight, which is then refused."""
    throttle = await paused_throttle(100.0)
    callers = Callers(throttle)
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "head")
        await anyio.sleep(99.5)
        test = await throttle._acquire(max_pause=0.5)
        await anyio.sleep(0.7)
        # The test would be late then.
        assert deadlines(throttle) == [pytest.approx(callers.start + 100.5)]
        throttle._release(test, 429, retry_after=5.0)
        await come_to_rest()
        assert deadlines(throttle) == [pytest.approx(callers.start + 105.2)]
    assert callers.admitted == [("head", pytest.approx(105.2))]


async def test_a_timer_that_fires_early_only_looks_again() -> None:
    throttle = Throttle(per_second=1)
    throttle._release(await throttle._acquire(), 200)
    callers = Callers(throttle)
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "head")
        await come_to_rest()
        (head,) = throttle._queue.waiters
        head.wake_at(anyio.current_time() + 0.5)
    assert callers.admitted == [("head", pytest.approx(1.001))]


def count_looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times at which the queue has asked whether a request may start, as a list that grows."""
    looks: list[float] = []
    admit = AccountLimits.admit

    def noting(limits: AccountLimits, now: float, *args: Any, **options: Any) -> int | None:
        looks.append(now)
        return admit(limits, now, *args, **options)

    monkeypatch.setattr(AccountLimits, "admit", noting)
    return looks


async def test_the_head_looks_again_when_the_probe_is_late() -> None:
    throttle = await paused_throttle(10.0)
    callers = Callers(throttle, takes=5.0)
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(callers.call, number)
            await come_to_rest()
    assert [when for _, when in callers.admitted] == pytest.approx([10, 11, 11 + 1 / 38], abs=0.001)


async def test_the_head_looks_again_when_a_slot_has_lingered() -> None:
    throttle = Throttle(parallel=1)
    permit = await throttle._acquire()
    await anyio.sleep(3)
    throttle._release(permit, 200)
    permit = await throttle._acquire()
    callers = Callers(throttle)
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "head")
        await anyio.sleep(1)
        throttle._release(permit, given_up=True)
    assert callers.admitted == [("head", pytest.approx(3.05))]


async def test_the_head_looks_again_when_the_last_unanswered_request_ends() -> None:
    throttle = Throttle(per_second=1)
    permit = await throttle._acquire()
    callers = Callers(throttle)
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "head")
        await permit.trace(*SENT)
        await anyio.sleep(100)
        assert deadlines(throttle) == []
        throttle._release(permit)
    assert callers.admitted == [("head", pytest.approx(101.001))]


# --- callers that give up ------------------------------------------------------------------------------------------


async def throttle_of_slow_responses(parallel: int = 1) -> Throttle:
    """Each response takes two seconds."""
    throttle = Throttle(UNLIMITED, parallel)
    permit = await throttle._acquire()
    await anyio.sleep(2)
    throttle._release(permit, 200)
    return throttle


async def test_a_waiter_without_time_for_a_response_is_passed_over() -> None:
    throttle = await throttle_of_slow_responses()
    permit, callers = await throttle._acquire(), Callers(throttle, takes=2.0)
    async with anyio.create_task_group() as group:
        for name, seconds in (("hurried", 2.9), ("patient", 3.0), ("free", math.inf)):
            scope = anyio.CancelScope(deadline=callers.start + seconds)
            group.start_soon(callers.call, name, math.inf, scope)
            await come_to_rest()
        await anyio.sleep(1)
        throttle._release(permit)
    assert callers.admitted == [("patient", pytest.approx(1)), ("free", pytest.approx(3))]
    assert in_use(throttle) == (0, 0)


async def test_a_waiter_is_passed_over_that_comes_too_late() -> None:
    throttle = await throttle_of_slow_responses()
    permit, callers = await throttle._acquire(), Callers(throttle)
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "late", math.inf, anyio.CancelScope(deadline=callers.start + 1))
        await come_to_rest()
        group.start_soon(callers.call, "next")
        await anyio.sleep(0.5)
        assert in_use(throttle) == (1, 2)
        throttle._release(permit)
    # The slot is not wasted as long as anybody else can use it.
    assert callers.names == ["next", "late"]


async def test_a_waiter_with_too_little_time_is_better_than_none() -> None:
    """Nothing is in flight, and its response may show that they are faster by now."""
    throttle = await throttle_of_slow_responses()
    permit, callers = await throttle._acquire(), Callers(throttle, takes=0.1)
    async with anyio.create_task_group() as group:
        for name in ("first", "second"):
            group.start_soon(callers.call, name, math.inf, anyio.CancelScope(deadline=callers.start + 1.5))
            await come_to_rest()
        await anyio.sleep(0.5)
        throttle._release(permit)
    assert callers.admitted == [("first", pytest.approx(0.5)), ("second", pytest.approx(0.6))]


async def test_a_deadline_that_is_extended_counts() -> None:
    """A caller that was passed over returns to the front when its first deadline comes."""
    throttle = await throttle_of_slow_responses()
    callers, scope = Callers(throttle, takes=2.0), anyio.CancelScope(deadline=anyio.current_time() + 3.5)
    permit = await throttle._acquire()
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "extended", math.inf, scope)
        await come_to_rest()
        for number in range(3):
            group.start_soon(callers.call, number)
            await come_to_rest()
        await anyio.sleep(1.8)
        throttle._release(permit, 200)
        await come_to_rest()
        assert callers.names == [0]
        scope.deadline = math.inf
    assert callers.names == [0, "extended", 1, 2]


async def test_looking_again_changes_no_place() -> None:
    queue, first, second = Queue(), *(Waiter(0.0, math.inf, 0.0, is_retry=False) for _ in range(2))
    queue.join(first)
    queue.join(second)
    queue.extend(second, math.inf)
    assert queue.head(0.0, is_batch=False) is first
    queue.leave(first)
    assert queue.head(0.0, is_batch=False) is second
    queue.leave(second)
    queue.leave(second)
    assert (queue.head(0.0, is_batch=False), queue.any(), queue.waiters) == (None, None, {})


async def test_a_call_that_carries_on_has_the_place_of_one_that_left() -> None:
    queue, first, left, last, heir = Queue(), *(Waiter(0.0, math.inf, 0.0, is_retry=False) for _ in range(4))
    for waiter in (first, left, last):
        queue.join(waiter)
    queue.leave(left)
    heir.claim.place = left.claim.place
    queue.join(heir)
    assert queue.first(0.0, is_batch=False, most=3) == [first, heir, last]


async def test_those_whose_predecessors_were_admitted_go_first_in_order() -> None:
    queue, first, waiting, second = Queue(), *(Waiter(0.0, math.inf, 0.0, is_retry=False) for _ in range(3))
    first.claim.place = second.claim.place = 0
    for waiter in (first, waiting, second):
        queue.join(waiter)
    assert queue.first(0.0, is_batch=False, most=3) == [first, second, waiting]


async def test_a_retry_has_no_place_of_its_first_attempt() -> None:
    queue, early, late = Queue(), *(Waiter(0.0, math.inf, 0.0, is_retry=True) for _ in range(2))
    early.claim.place, late.claim.place = 1, 2
    queue.join(late)
    queue.join(early)
    assert queue.first(0.0, is_batch=False, most=2) == [late, early]


async def test_a_promoted_waiter_leaves_those_of_the_batch() -> None:
    queue, interactive = Queue(), Waiter(0.0, math.inf, 0.0, is_retry=False)
    batch = [Waiter(0.0, math.inf, 0.0, is_retry=False, claim=Claim(is_batch=True)) for _ in range(3)]
    for waiter in (*batch, interactive):
        queue.join(waiter)
    queue.promote(batch[1])
    assert queue.first(0.0, is_batch=False, most=4) == [interactive, batch[1]]
    assert queue.first(0.0, is_batch=True, most=4) == [batch[0], batch[2]]


async def test_a_claim_leads_to_what_waits_for_it() -> None:
    """An interactive call that wants the same promotes it."""
    claim = Claim(is_batch=True)
    waiter = Waiter(0.0, math.inf, 0.0, is_retry=False, claim=claim)
    assert claim.waiter is waiter


async def test_no_more_of_the_first_are_given_than_asked_for() -> None:
    queue, *waiters = Queue(), *(Waiter(0.0, math.inf, 0.0, is_retry=False) for _ in range(3))
    for waiter in waiters:
        queue.join(waiter)
    assert queue.first(0.0, is_batch=False, most=2) == waiters[:2]


async def test_a_waiter_that_is_passed_over_is_promoted_when_it_returns() -> None:
    queue = Queue()
    waiter = Waiter(0.0, math.inf, 0.0, is_retry=False, claim=Claim(is_batch=True))
    waiter.deadline = 1.0
    queue.join(waiter)
    assert queue.head(2.0, is_batch=True) is None
    queue.promote(waiter)
    assert queue.head(2.0, is_batch=False) is None
    queue.extend(waiter, math.inf)
    assert (queue.head(2.0, is_batch=True), queue.head(2.0, is_batch=False)) == (None, waiter)


async def test_those_passed_over_return_when_responses_are_faster() -> None:
    throttle = await throttle_of_slow_responses(parallel=2)
    first, second, callers = await throttle._acquire(), await throttle._acquire(), Callers(throttle, takes=1.0)
    async with anyio.create_task_group() as group:
        for name, seconds in (("in time", 1.2), ("still late", 0.15), ("in time, too", 1.4), ("free", math.inf)):
            scope = anyio.CancelScope(deadline=callers.start + seconds)
            group.start_soon(callers.call, name, math.inf, scope)
            await come_to_rest()
        await anyio.sleep(0.1)
        throttle._release(first, 200)
        await anyio.sleep(0.2)
        throttle._release(second)
    assert callers.admitted == [("in time", pytest.approx(0.1)), ("in time, too", pytest.approx(0.3)), ("free", 1.1)]


async def test_whoever_was_the_head_looks_in_time_for_those_behind_it() -> None:
    """It is passed over when the last one comes, and its caller gives up after the next request may start."""
    throttle = Throttle(per_second=2)
    throttle._release(await throttle._acquire(), 200)
    await anyio.sleep(3)
    slow, failed = await throttle._acquire(), await throttle._acquire()
    await anyio.sleep(2)
    throttle._limits.window.fastest = 2.0
    throttle._release(failed)
    callers = Callers(throttle)
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "head", math.inf, anyio.CancelScope(deadline=callers.start + 2.5))
        await come_to_rest()
        group.start_soon(callers.call, "next")
        await anyio.sleep(0.8)
        group.start_soon(callers.call, "last")
        await anyio.sleep(0.8)
        throttle._release(slow, 200)
    assert callers.admitted[0] == ("next", pytest.approx(1.001))


async def test_those_still_passed_over_return_later() -> None:
    queue = Queue()
    waiters = [Waiter(0.0, math.inf, 0.0, is_retry=False) for _ in range(3)]
    for waiter, deadline in zip(waiters, (1.0, 3.0, 2.0), strict=True):
        waiter.deadline = deadline
        queue.join(waiter)
    assert queue.head(4.0, is_batch=False) is None
    assert queue.first(2.5, is_batch=False, most=3) == waiters[1:2]
    assert queue.first(1.5, is_batch=False, most=3) == [waiters[2], waiters[1]]
    assert queue.first(1.0, is_batch=False, most=3) == [waiters[0], waiters[2], waiters[1]]


async def test_those_still_passed_over_are_not_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be thousands of them."""
    queue, late, in_time = Queue(), *(Waiter(0.0, math.inf, 0.0, is_retry=False) for _ in range(2))
    late.deadline, in_time.deadline = 1.0, 3.0
    looks, take_back = list[float](), queue._take_back

    def noting(earliest_response: float) -> None:
        looks.append(earliest_response)
        take_back(earliest_response)

    monkeypatch.setattr(queue, "_take_back", noting)
    for waiter in (late, in_time):
        queue.join(waiter)
    heads = [queue.head(moment, is_batch=False) for moment in (4.0, 2.0, 1.9, 1.8)]
    assert (heads, looks) == ([None, in_time, in_time, in_time], [2.0])


async def test_those_passed_over_return_in_the_order_of_their_places() -> None:
    """One has the place of a call that came before the other, and left."""
    queue, claim = Queue(), Claim()
    claim.place = 0
    later, earlier = (Waiter(0.0, math.inf, 0.0, False, claim) for claim in (Claim(), claim))
    for waiter in (later, earlier):
        waiter.deadline = 3.0
        queue.join(waiter)
    assert queue.head(4.0, is_batch=False) is None
    assert queue.first(2.0, is_batch=False, most=2) == [earlier, later]


async def test_a_retry_that_is_passed_over_stays_a_retry() -> None:
    throttle = await throttle_of_slow_responses()
    callers, scope = Callers(throttle, takes=2.0), anyio.CancelScope(deadline=anyio.current_time() + 3.5)
    permit = await throttle._acquire()
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "extended", math.inf, scope, True)
        group.start_soon(callers.call, "new")
        await anyio.sleep(1.8)
        throttle._release(permit, 200)
        await come_to_rest()
        scope.deadline = math.inf
        await anyio.sleep(0.1)
        group.start_soon(callers.call, "again", math.inf, None, True)
    assert callers.names == ["new", "extended", "again"]


async def test_those_passed_over_are_refused_too() -> None:
    throttle = await throttle_of_slow_responses()
    callers, scope = Callers(throttle), anyio.CancelScope(deadline=anyio.current_time() + 3)
    permit = await throttle._acquire()
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "passed over", 90.0, scope)
        await anyio.sleep(1.5)
        throttle._release(permit, 429, retry_after=100)
    assert [name for name, _, _ in callers.refused] == ["passed over"]


async def test_a_waiter_has_waited_too_long_unless_it_is_served() -> None:
    claim = Claim(max_wait=2.0, leaves_at=anyio.current_time() + 2)
    waiter = Waiter(anyio.current_time(), math.inf, 0.0, is_retry=False, claim=claim)
    await anyio.sleep(1.9)
    waiter.check_patience()
    claim.leaves_at = anyio.current_time()
    with pytest.raises(QueueTimeoutError, match=r"in the queue for 2 s, as long as max_wait allows$"):
        waiter.check_patience()
    waiter.refusal = RateLimitError("paused", 429)
    waiter.check_patience()


async def test_a_waiter_that_is_given_a_timer_wakes_to_set_it() -> None:
    """Only then it is time to look again. Whoever never slept was not delayed."""
    waiter, woken = Waiter(anyio.current_time(), math.inf, 0.0, is_retry=False), list[tuple[bool, Any]]()
    start = anyio.current_time()

    async def wait() -> None:
        while len(woken) < 2:
            woken.append((await waiter.wait(), anyio.current_time() - start))

    assert waiter.has_slept is False
    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.sleep(1)
        waiter.wake_at(start + 3)
    assert woken == [(False, pytest.approx(1)), (True, pytest.approx(3))]
    assert waiter.has_slept is True


def test_a_native_timeout_is_not_known_and_does_no_harm() -> None:
    async def main() -> None:
        throttle = await throttle_of_slow_responses()
        permit, callers = await throttle._acquire(), Callers(throttle)
        native = asyncio.create_task(asyncio.wait_for(callers.call("native"), 1.5))
        await come_to_rest()
        following = asyncio.create_task(callers.call("next"))
        await asyncio.sleep(1.4)
        throttle._release(permit, 200)
        await asyncio.wait([native, following])
        assert callers.names == ["native", "next"]
        permit = await throttle._acquire()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(callers.call("gone"), 1.5)
        throttle._release(permit, 200)
        assert in_use(throttle) == (0, 0)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())


async def test_thousands_that_give_up_together_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    throttle = await throttle_of_slow_responses(parallel=20)
    callers, passed = Callers(throttle, takes=2.0), count_wakes(monkeypatch)
    with anyio.move_on_after(10):
        async with anyio.create_task_group() as group:
            for number in range(2000):
                group.start_soon(callers.call, number)
    assert len(callers.admitted) == 5 * 20
    assert in_use(throttle) == (0, 0)
    # Each is woken once to be given a deadline, and passed over once more at it.
    assert len(passed) <= 4 * 2000


def count_wakes(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The moments for which waiters were told to look again, as a list that grows."""
    wakes: list[float] = []
    wake_at = Waiter.wake_at

    def noting(waiter: Waiter, moment: float) -> None:
        wakes.append(moment)
        wake_at(waiter, moment)

    monkeypatch.setattr(Waiter, "wake_at", noting)
    return wakes


# --- cancellation --------------------------------------------------------------------------------------------------


async def test_a_cancelled_waiter_is_forgotten() -> None:
    throttle = Throttle(UNLIMITED, parallel=1)
    callers = Callers(throttle, takes=5.0)
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, 0)
        await come_to_rest()
        with anyio.move_on_after(1):
            await callers.call(1)
        assert in_use(throttle) == (1, 0)
        group.start_soon(callers.call, 2)
    assert callers.names == [0, 2]
    assert throttle.statistics().delayed == 1


async def test_the_next_takes_over_the_deadline_of_a_cancelled_head() -> None:
    throttle = Throttle(per_second=1)
    throttle._release(await throttle._acquire(), 200)
    callers, scope = Callers(throttle), anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "head", math.inf, scope)
        await come_to_rest()
        group.start_soon(callers.call, "next")
        await anyio.sleep(0.5)
        scope.cancel()
    assert callers.admitted == [("next", pytest.approx(1.001))]


@pytest.mark.parametrize("moment", ["before its timer", "after its timer", "after it was admitted"])
def test_a_native_cancellation_at_the_deadline_is_not_lost(moment: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        throttle = Throttle(per_second=1)
        throttle._release(await throttle._acquire(), 200)
        callers = Callers(throttle)
        deadline = throttle._limits.next_start(loop.time())

        def cancel() -> None:
            head.cancel()

        if moment == "before its timer":
            loop.call_at(deadline, cancel)
        head = asyncio.create_task(callers.call("head"))
        await asyncio.sleep(0.1)
        following = asyncio.create_task(callers.call("next"))
        await asyncio.sleep(0.1)
        if moment == "after its timer":
            loop.call_at(deadline, cancel)
        elif moment == "after it was admitted":
            loop.call_at(deadline, loop.call_soon, cancel)
        await asyncio.wait([head, following])
        assert head.cancelled()
        assert callers.names == (["head", "next"] if moment == "after it was admitted" else ["next"])
        assert in_use(throttle) == (0, 0)
        assert throttle.statistics().admitted == 1 + len(callers.names)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())


@pytest.mark.parametrize("natively", [False, True])
async def test_a_whole_queue_is_cancelled_as_a_slot_is_freed(natively: bool) -> None:
    throttle = Throttle(UNLIMITED, parallel=1)
    permit = await throttle._acquire()
    callers, scopes, tasks = Callers(throttle), [anyio.CancelScope() for _ in range(200)], set[object]()

    async def call(number: int) -> None:
        try:
            with scopes[number]:
                tasks.add(current_task())
                await callers.call(number)
        except asyncio.CancelledError:
            uncancel()

    async with anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(call, number)
        await come_to_rest()
        throttle._release(permit, 200)
        for scope in scopes:
            scope.cancel()
        for task in tasks if natively else ():
            if isinstance(task, asyncio.Task):
                task.cancel()
    # On trio and with scopes, the one that was admitted at this moment has its permit, and gives it back.
    assert len(callers.admitted) <= 1
    statistics = throttle.statistics()
    assert (statistics.admitted, statistics.delayed) == (1 + len(callers.admitted), len(callers.admitted))
    assert in_use(throttle) == (0, 0)
    with anyio.fail_after(0.1):
        throttle._release(await throttle._acquire(), 200)


def current_task() -> object:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def uncancel() -> None:
    task = current_task()
    assert isinstance(task, asyncio.Task)
    while task.uncancel():
        pass


async def test_a_refusal_at_the_moment_of_cancellation() -> None:
    throttle = Throttle(parallel=1)
    permit = await throttle._acquire()
    callers, scope = Callers(throttle), anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "refused", 90.0, scope)
        await come_to_rest()
        group.start_soon(callers.call, "staying")
        await come_to_rest()
        throttle._release(permit, 429, retry_after=100.0)
        scope.cancel()
        await come_to_rest()
        assert in_use(throttle) == (0, 1)
    assert callers.admitted == [("staying", pytest.approx(100))]
    assert [name for name, _, _ in callers.refused] == ["refused"]
    assert throttle.statistics().delayed == 1


@pytest.mark.parametrize("order", ["refused, then cancelled", "cancelled, then refused"])
def test_a_refusal_at_the_moment_of_a_native_cancellation(order: str) -> None:
    async def main() -> None:
        throttle = Throttle(parallel=1)
        permit = await throttle._acquire()
        callers = Callers(throttle)
        leaving = asyncio.create_task(callers.call("leaving", 90.0))
        staying = asyncio.create_task(callers.call("staying"))
        await asyncio.sleep(0.1)
        if order == "cancelled, then refused":
            leaving.cancel()
        throttle._release(permit, 429, retry_after=100.0)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert leaving.cancelled()
        assert in_use(throttle) == (0, 1)
        await staying
        assert (callers.admitted, callers.refused) == ([("staying", pytest.approx(100.1))], [])
        assert throttle.statistics().delayed == 1

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())


# --- pauses --------------------------------------------------------------------------------------------------------


async def test_a_waiter_whose_pauses_exceed_its_limit_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "chartmogul_async")
    throttle = Throttle(parallel=1)
    permit = await throttle._acquire()
    callers = Callers(throttle)
    async with anyio.create_task_group() as group:
        group.start_soon(release_probe, throttle)
        await come_to_rest()
        group.start_soon(callers.call, "no longer", 90.0)
        await come_to_rest()
        group.start_soon(callers.call, "just", 98.1)
        await anyio.sleep(5)
        assert throttle._release(permit, 429, retry_after=3.0)[-1] == Pause(3.0)
    ((_, when, error),) = callers.refused
    assert when == pytest.approx(8)
    exceeds = "which exceeds RetryPolicy.total; the key may be in use elsewhere"
    said = f"not sent: rate limited for 93 s in all, {exceeds}: {HOW_TO_SHARE}"
    assert (error.message, error.status) == (said, 429)
    assert (error.waited, error.retry_after) == pytest.approx((3, 90))
    assert [record.message for record in caplog.records] == [said]
    assert callers.admitted == [("just", pytest.approx(98))]


async def release_probe(throttle: Throttle) -> None:
    probe = await throttle._acquire()
    throttle._release(probe, 429, retry_after=90.0)
    assert probe.pause_left == 90.0


async def test_pauses_before_a_call_came_do_not_count_for_it() -> None:
    throttle = await paused_throttle(100.0, parallel=1)
    await anyio.sleep(100)
    throttle._release(await throttle._acquire(), 200)
    permit = await throttle._acquire()
    callers = Callers(throttle)
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "waiting", 5.0)
        await come_to_rest()
        throttle._release(permit, 429, retry_after=4.0)
    assert callers.admitted == [("waiting", pytest.approx(4))]
    assert callers.permits[0].paused == pytest.approx(4)


async def test_a_caller_that_meets_a_long_pause_is_refused_at_once() -> None:
    throttle = await paused_throttle(100.0)
    await anyio.sleep(4)
    with pytest.raises(RateLimitError, match=r"^429: not sent: rate limited for another 96 s, which") as caught:
        await throttle._acquire(95.0)
    assert (caught.value.retry_after, caught.value.waited) == pytest.approx((96, 0))
    permit = await throttle._acquire(96.1)
    assert (permit.queued, permit.paused) == pytest.approx((96, 96))
    throttle._release(permit, 200)
    assert anyio.current_time() == pytest.approx(throttle._limits.paused_until)


async def test_a_caller_whose_pause_leaves_no_time_for_a_response_is_refused() -> None:
    throttle = await throttle_of_slow_responses()
    permit = await throttle._acquire()
    await anyio.sleep(2)
    throttle._release(permit, 429, retry_after=10)
    with pytest.raises(RateLimitError, match="rate limited for another 10 s"):
        await throttle._acquire(12.0)
    permit = await throttle._acquire(12.1)
    assert permit.paused == pytest.approx(10)


async def test_the_next_takes_over_the_deadline_of_a_refused_head() -> None:
    throttle = Throttle(parallel=1)
    permit = await throttle._acquire()
    callers = Callers(throttle)
    async with anyio.create_task_group() as group:
        group.start_soon(callers.call, "refused", 5.0)
        await come_to_rest()
        group.start_soon(callers.call, "staying")
        await come_to_rest()
        throttle._release(permit, 429, retry_after=10.0)
    assert callers.admitted == [("staying", pytest.approx(10))]
    assert [(name, when) for name, when, _ in callers.refused] == [("refused", 0)]


async def test_a_refused_call_has_its_context() -> None:
    async def refuse(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(1)
        return httpx.Response(429, headers={"retry-after": "50"})

    raised: list[errors.RateLimitError] = []

    async def call() -> None:
        with pytest.raises(errors.RateLimitError) as caught:
            await client.ping()
        raised.append(caught.value)

    throttle, policy = Throttle(parallel=1), RetryPolicy(attempts=2, total=40)
    transport = httpx.MockTransport(refuse)
    async with (
        AsyncClient(KEY, transport=transport, throttle=throttle, retry=policy) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(3):
            group.start_soon(call)
            await come_to_rest()
    sent = [error for error in raised if error.attempts]
    not_sent = [error for error in raised if not error.attempts]
    assert (len(sent), len(not_sent)) == (1, 2)
    for error in not_sent:
        assert str(error).startswith("GET https://api.chartmogul.com/v1/ping: 429: not sent: rate limited for 50 s in")
        assert (error.waited, error.retry_after) == (0.0, 50.0)


@pytest.mark.parametrize("pause", [88.5, 89.0, 89.4, 89.9, 90.0])
async def test_nobody_is_sent_with_less_time_than_a_response_takes(pause: float) -> None:
    """The pause takes almost all of the 90 s; a response takes half a second."""
    refused, left = 0, list[float]()
    started = anyio.current_time()

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal refused
        left.append(anyio.current_effective_deadline() - anyio.current_time())
        await anyio.sleep(0.5)
        if started + 2 <= anyio.current_time() < started + 3:
            refused += 1
            return httpx.Response(429, headers={"retry-after": str(pause)})
        return ok()

    async def call() -> None:
        try:
            await another_mrr(client)()
        except errors.ChartMogulError as error:
            failed.append(type(error))

    failed: list[type] = []
    throttle = Throttle(parallel=2)
    transport = httpx.MockTransport(handler)
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client, anyio.create_task_group() as group:
        for _ in range(101):
            group.start_soon(call)
    assert refused == 2
    assert min(left) > 0.5
    # Those that are not sent are told so at once; nothing ends in a timeout.
    assert set(failed) <= {RateLimitError}


async def test_a_pause_counts_for_all_that_wait() -> None:
    """With a server that refuses forever, five hundred calls give up when one would."""
    throttle = Throttle(parallel=2)

    async def refuse(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.2)
        return httpx.Response(429)

    async def call() -> None:
        with pytest.raises(errors.RateLimitError):
            await another_mrr(client)()

    start = anyio.current_time()
    async with (
        AsyncClient(KEY, transport=httpx.MockTransport(refuse), throttle=throttle) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(500):
            group.start_soon(call)
        await anyio.sleep(0.1)
        assert throttle.statistics().waiting == 498
    assert anyio.current_time() - start <= 95


async def test_calls_that_come_as_a_pause_begins_wait_in_the_queue() -> None:
    throttle = Throttle(parallel=1)

    async def refuse(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(1)
        for _ in range(50):
            group.start_soon(call)
        return httpx.Response(429, headers={"retry-after": "50"})

    async def call() -> None:
        await another_mrr(client)()

    async with (
        AsyncClient(KEY, transport=httpx.MockTransport(refuse), throttle=throttle) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(5):
            group.start_soon(call)
        await anyio.sleep(20)
        # The refused one sleeps until its next attempt.
        assert in_use(throttle) == (0, 54)
        group.cancel_scope.cancel()
    assert in_use(throttle) == (0, 0)


# --- calls of clients ----------------------------------------------------------------------------------------------


@pytest.mark.no_cover
async def test_five_thousand_calls_are_sent_in_order_and_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    came: list[str] = []
    sent: list[str] = []

    async def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.params["number"])
        await anyio.sleep(0.1)
        return ok()

    async def call(number: str) -> None:
        came.append(number)
        await client.get("/ping", {"number": number})

    throttle, start, looks = Throttle(), anyio.current_time(), count_looks(monkeypatch)
    transport = httpx.MockTransport(handler)
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client, anyio.create_task_group() as group:
        for number in range(5000):
            group.start_soon(call, str(number))
    assert anyio.current_time() - start == pytest.approx(5000 / 40, rel=0.03)
    assert in_use(throttle) == (0, 0)
    # Those that are admitted at the same moment may be sent in any order, and they are as many as there are slots.
    position = {number: at for at, number in enumerate(came)}
    assert max(abs(position[number] - at) for at, number in enumerate(sent)) < 20
    assert len(looks) <= 5 * 5000


@pytest.mark.no_cover
async def test_five_thousand_calls_are_cancelled_together() -> None:
    throttle = Throttle()
    transport = responding_after(0.1)
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client:
        async with anyio.create_task_group() as group:
            for _ in range(5000):
                group.start_soon(another_mrr(client))
            await anyio.sleep(0.75)
            # The window opens for others at this moment or soon after.
            assert in_use(throttle)[1] == 5000 - 40
            await anyio.sleep(0.4)
            group.cancel_scope.cancel()
        assert in_use(throttle) == (0, 0)
        await anyio.sleep(1.2)
        assert throttle._free_slots() == 20
        assert await client.metrics.mrr(*RANGE)


@pytest.mark.parametrize("parallel", [1, 3])
async def test_calls_that_fail_unsent_do_not_block_the_queue(parallel: int) -> None:
    throttle = Throttle(UNLIMITED, parallel=parallel)
    done: list[str] = []

    async def call(slices: int) -> None:
        try:
            await client.metrics.mrr(*RANGE, slices=slices)
            done.append("response")
        except errors.UsageError:
            done.append("refusal")

    transport = responding_after(0.001)
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client, anyio.create_task_group() as group:
        for number in range(300):
            group.start_soon(call, 1 if number % 10 == 0 else 0)
    assert (done.count("response"), done.count("refusal")) == (30, 270)


async def test_calls_that_sleep_between_attempts_hold_no_slot() -> None:
    """Sixty calls meet a 500 and sleep for a minute or so; those behind them are sent meanwhile."""
    sent = 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        sent += 1
        await anyio.sleep(0.001)
        return httpx.Response(500) if sent <= 60 else ok()

    succeeded: list[float] = []
    start = anyio.current_time()

    async def call() -> None:
        await another_mrr(client)()
        succeeded.append(anyio.current_time() - start)

    policy = RetryPolicy(attempts=2, base=10_000, cap=10_000, total=100_000)
    throttle = Throttle(UNLIMITED, parallel=2)
    async with (
        AsyncClient(KEY, transport=httpx.MockTransport(handler), throttle=throttle, retry=policy) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(200):
            group.start_soon(call)
    assert len(succeeded) == 200
    assert sum(when < 1 for when in succeeded) >= 140


async def test_more_slots_are_filled_at_once() -> None:
    throttle, in_flight = Throttle(UNLIMITED, parallel=1), 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal in_flight
        in_flight += 1
        await anyio.sleep(1)
        in_flight -= 1
        return ok()

    transport = httpx.MockTransport(handler)
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client, anyio.create_task_group() as group:
        for _ in range(500):
            group.start_soon(another_mrr(client))
        await anyio.sleep(3.5)
        assert in_flight == 1
        throttle.resize(parallel=20)
        await anyio.sleep(0.1)
        assert in_flight == 20
        await anyio.sleep(5)
        assert in_flight == 20


async def test_slices_that_leave_the_queue_together_block_none() -> None:
    """Twenty slices wait when their call is cancelled; the calls behind them fill all slots all the same."""
    throttle = Throttle(UNLIMITED)
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
            group.start_soon(another_mrr(client))
        await come_to_rest()
        with anyio.move_on_after(1):
            async with anyio.create_task_group() as sliced:
                sliced.start_soon(partial(client.metrics.mrr, "2023-01-01", "2023-12-31", interval="day", slices=20))
                await come_to_rest()
                for _ in range(400):
                    group.start_soon(another_mrr(client))
                await anyio.sleep_forever()
        peak, start = 0, anyio.current_time()
        assert in_use(throttle) == (20, 400)
    assert peak == 20
    assert anyio.current_time() - start == pytest.approx(1 + 400 / 20 * 2)


async def test_two_clients_share_one_queue() -> None:
    sent: list[str] = []

    async def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.params["client"])
        await anyio.sleep(1)
        return ok()

    throttle, transport = Throttle(UNLIMITED, parallel=1), httpx.MockTransport(handler)
    first, second = (AsyncClient(KEY, transport=transport, throttle=throttle) for _ in range(2))
    async with first, second, anyio.create_task_group() as group:
        for number in range(10):
            client = (first, second)[number % 2]
            group.start_soon(client.get, "/ping", {"client": number % 2})
            await come_to_rest()
    assert sent == ["0", "1"] * 5


# --- closed clients and other event loops --------------------------------------------------------------------------


async def test_a_closed_client_raises_at_once_also_with_a_queue() -> None:
    throttle = Throttle(parallel=1)
    transport = responding_after(1)
    closed = AsyncClient(KEY, transport=transport, throttle=throttle)
    await closed.aclose()
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(another_mrr(client))
        await come_to_rest()
        with anyio.fail_after(0.1), pytest.raises(StateError, match="this client is closed"):
            await closed.ping()


async def test_calls_that_wait_when_their_client_closes_are_not_sent() -> None:
    sent, raised, other_done = 0, 0, 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        sent += 1
        await anyio.sleep(1)
        return ok()

    async def call() -> None:
        nonlocal raised
        with pytest.raises(StateError, match="this client was closed while the call was in progress"):
            await another_mrr(closing)()
        raised += 1

    async def call_other() -> None:
        nonlocal other_done
        await another_mrr(staying)()
        other_done += 1

    throttle, transport = Throttle(UNLIMITED, parallel=2), httpx.MockTransport(handler)
    closing, staying = (AsyncClient(KEY, transport=transport, throttle=throttle) for _ in range(2))
    async with staying, anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(another_mrr(closing))
        await come_to_rest()
        for _ in range(10):
            group.start_soon(call)
            group.start_soon(call_other)
        await come_to_rest()
        await closing.aclose()
    assert (sent, raised, other_done) == (12, 10, 10)
    assert in_use(throttle) == (0, 0)


@pytest.mark.parametrize("shared", [False, True], ids=["the client itself", "another client with its throttle"])
async def test_a_second_event_loop_is_refused_also_with_a_queue(shared: bool) -> None:
    throttle = Throttle(parallel=1)
    transport = responding_after(1)
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(another_mrr(client))
        await come_to_rest()
        assert in_use(throttle) == (1, 4)
        other = AsyncClient(KEY, transport=transport, throttle=throttle) if shared else client

        async def call() -> None:
            with pytest.raises(StateError, match="in another event loop"):
                await other.metrics.mrr(*RANGE)
            with pytest.raises(StateError, match="in another event loop"):
                await other.ping()

        await anyio.to_thread.run_sync(anyio.run, call)
    assert throttle.statistics().admitted == 5


IN_ANOTHER_LOOP = (
    "this Throttle serves a client in another event loop; make one Throttle for each event loop, "
    "or close the other client first"
)


@pytest.mark.parametrize("first", [0, 1])
def test_a_throttle_belongs_to_its_loop_until_the_last_client_closes(first: int) -> None:
    throttle, users = Throttle(), [object(), object()]

    async def attach(user: object) -> None:
        # What admits the requests is made once.
        assert throttle._attach(user, "account") is throttle._attach(user, "account")

    with (
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
        asyncio.Runner(loop_factory=VirtualTimeLoop) as other,
    ):
        for user in users:
            runner.run(attach(user))
        for user in (users[first], users[1 - first]):
            with pytest.raises(StateError) as caught:
                other.run(attach(object()))
            assert str(caught.value) == IN_ANOTHER_LOOP
            throttle._detach(user)
        other.run(attach(object()))


def test_asking_whether_a_trio_run_has_ended_does_not_end_it() -> None:
    throttle = Throttle()

    async def attach() -> None:
        throttle._attach(object())

    async def main() -> str:
        await attach()
        with pytest.raises(StateError, match="in another event loop"):
            await trio.to_thread.run_sync(asyncio.run, attach())
        await trio.sleep(1)
        return "it goes on"

    assert trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) == "it goes on"


@pytest.mark.parametrize("waits", [False, True], ids=["in flight", "in the queue"])
def test_a_throttle_belongs_to_its_loop_while_a_call_is_in_progress(waits: bool) -> None:
    """Its client was closed meanwhile."""
    throttle, user = Throttle(), object()

    async def call() -> object:
        throttle._attach(user)
        permit = await throttle._acquire()
        if waits:
            throttle._release(permit, 429, retry_after=30)
        waiting = asyncio.create_task(throttle._acquire()) if waits else None
        await asyncio.sleep(0)
        throttle._detach(user)
        assert in_use(throttle) == ((0, 1) if waits else (1, 0))
        return waiting

    async def attach() -> None:
        throttle._attach(object())

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as other:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            in_progress = runner.run(call())
            with pytest.raises(StateError) as caught:
                other.run(attach())
            assert str(caught.value) == IN_ANOTHER_LOOP
            del in_progress
        other.run(attach())
        assert in_use(throttle) == (0, 0)


def test_what_is_known_is_carried_over_to_another_event_loop() -> None:
    throttle, user = Throttle(), object()

    async def be_refused() -> None:
        throttle._attach(user)
        await anyio.sleep(50)
        throttle._release(await throttle._acquire(), 429, retry_after=30)
        await anyio.sleep(10)
        throttle._detach(user)

    async def look() -> None:
        throttle._attach(user)
        # On a clock that all loops share, no time has passed between the loops or in them.
        assert throttle.statistics().paused_for == pytest.approx(30, abs=5)
        assert throttle.statistics().paced_for == pytest.approx(60, abs=5)
        await throttle._acquire()
        throttle._detach(user)

    for run, clock in ((be_refused, 0.0), (look, 1e6), (look, 5.0)):
        with asyncio.Runner(loop_factory=partial(loop_at, clock)) as runner:
            runner.run(run())
        assert throttle.statistics().waiting == 0


def test_time_between_two_event_loops_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    throttle, user, shared_clock = Throttle(), object(), SimpleNamespace()
    monkeypatch.setattr("chartmogul_async.transport.throttle.time", shared_clock)

    async def be_refused() -> None:
        throttle._attach(user)
        throttle._release(await throttle._acquire(), 429, retry_after=30)
        throttle._detach(user)

    async def look() -> None:
        throttle._attach(user)
        assert throttle.statistics().paused_for == pytest.approx(18)

    for run, moment in ((be_refused, 100.0), (look, 112.0)):
        shared_clock.monotonic = partial(float, moment)
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(run())


@pytest.mark.parametrize("is_kept", [False, True], ids=["tasks are collected", "tasks are kept"])
@pytest.mark.parametrize("is_closed", [False, True], ids=["client open", "client closed"])
def test_a_loop_closed_with_calls_pending_does_not_hang_the_next(is_closed: bool, is_kept: bool) -> None:
    """What was pending never ends; it is collected as garbage, before the next loop or while it runs."""
    throttle, kept = Throttle(parallel=2), list[asyncio.Task[Any]]()

    async def leave_pending() -> None:
        client = AsyncClient(KEY, transport=responding_after(5), throttle=throttle)
        kept.extend(asyncio.create_task(another_mrr(client)()) for _ in range(4))
        await asyncio.sleep(1)
        assert in_use(throttle) == (2, 2)
        if is_closed:
            await client.aclose()

    async def call_again() -> None:
        async with AsyncClient(KEY, transport=responding_after(0.1), throttle=throttle) as client:
            with anyio.fail_after(10):
                assert await client.metrics.mrr(*RANGE)
                let_go(kept)
                assert in_use(throttle) == (0, 0)
                assert await client.metrics.mrr(*RANGE)
        assert throttle._free_slots() == 2

    loop = VirtualTimeLoop()
    loop.run_until_complete(leave_pending())
    loop.close()
    if not is_kept:
        let_go(kept)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(call_again())
    assert throttle.statistics().in_flight == 0


def let_go(tasks: list[asyncio.Task[Any]]) -> None:
    """Have tasks collected that are pending in a loop that is closed, without the warnings of asyncio."""
    while tasks:
        tasks.pop()._log_destroy_pending = False  # type: ignore[attr-defined]
    gc.collect()


@pytest.mark.parametrize("moment", ["waiting", "admitted", "in flight"])
@pytest.mark.parametrize("during", ["before the next loop", "in the next loop"])
def test_what_a_closed_loop_left_does_no_harm_when_collected(moment: str, during: str) -> None:
    throttle, kept = Throttle(parallel=1), list[asyncio.Task[Any]]()
    ended: list[str] = []

    async def call() -> None:
        try:
            permit = await throttle._acquire()
            try:
                await asyncio.Event().wait()
            finally:
                throttle._release(permit, 200)
        finally:
            ended.append(moment)

    async def leave_pending() -> Permit:
        throttle._attach(object())
        permit = await throttle._acquire()
        kept.append(asyncio.create_task(call()))
        await asyncio.sleep(1)
        return permit

    async def release_and_stop(permit: Permit) -> None:
        throttle._release(permit, 200)
        if moment == "in flight":
            await asyncio.sleep(1)
        loop.stop()

    async def go_on() -> None:
        throttle._attach(object())
        first = await throttle._acquire()
        let_go(kept)
        assert ended == [moment]
        assert in_use(throttle) == (1, 0)
        throttle._release(first, 200)
        # One from each loop, and the one that was pending if it was admitted.
        assert throttle.statistics().admitted == 2 + (moment != "waiting")

    loop = VirtualTimeLoop()
    permit = loop.run_until_complete(leave_pending())
    if moment != "waiting":
        stopping = loop.create_task(release_and_stop(permit))
        loop.run_forever()
        assert stopping.done()
    loop.close()
    if during == "before the next loop":
        let_go(kept)
        # The queue holds a waiting one until that loop begins.
        assert ended == ([] if moment == "waiting" else [moment])
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(go_on())


def test_a_throttle_is_collected_with_what_waits_for_it() -> None:
    """Without any event loop there is no clock to look at; pytest reports what is raised meanwhile."""
    kept, ended = list[asyncio.Task[Any]](), list[str]()

    async def call(throttle: Throttle) -> None:
        try:
            await throttle._acquire()
        finally:
            ended.append("waiting")

    async def leave_pending() -> None:
        throttle = Throttle(parallel=1)
        throttle._attach(object())
        await throttle._acquire()
        kept.extend(asyncio.create_task(call(throttle)) for _ in range(2))
        await asyncio.sleep(1)

    raised: list[object] = []
    loop = VirtualTimeLoop()
    loop.run_until_complete(leave_pending())
    loop.close()
    before, sys.unraisablehook = sys.unraisablehook, raised.append
    try:
        let_go(kept)
    finally:
        sys.unraisablehook = before
    assert (ended, raised) == (["waiting"] * 2, [])


@pytest.mark.parametrize("is_shared", [False, True])
def test_limits_may_change_where_no_loop_runs(is_shared: bool) -> None:
    """As in the child of a fork, where calls wait that never return."""
    throttle, kept = Throttle(parallel=1, store=LoopStore() if is_shared else None), list[asyncio.Task[Any]]()

    async def leave_pending() -> None:
        admission = throttle._attach(object(), "account")
        await admission.acquire()
        kept.append(asyncio.ensure_future(admission.acquire()))
        await asyncio.sleep(1)

    loop = VirtualTimeLoop()
    loop.run_until_complete(leave_pending())
    throttle.resize(parallel=7)
    assert throttle.parallel == 7
    loop.close()
    let_go(kept)


def test_a_withdrawal_from_before_another_loop_is_ignored() -> None:
    throttle = Throttle()

    async def leave_pending() -> Permit:
        throttle._attach(object())
        return await throttle._acquire()

    async def go_on(old: Permit) -> None:
        throttle._attach(object())
        throttle._withdraw(old)
        assert throttle._release(old, 429) == ()
        statistics = throttle.statistics()
        assert (statistics.admitted, statistics.in_flight, statistics.paused_for) == (1, 0, 0)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        old = runner.run(leave_pending())
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(go_on(old))


def test_a_cancelled_run_leaves_nothing_behind() -> None:
    """As after Ctrl-C: asyncio.run cancels what is pending, and the client was never closed."""
    throttle = Throttle(parallel=2)

    async def be_interrupted() -> None:
        client = AsyncClient(KEY, transport=responding_after(5), throttle=throttle)
        for _ in range(4):
            tasks.append(asyncio.create_task(another_mrr(client)()))
        await asyncio.sleep(1)
        raise KeyboardInterrupt

    async def call_again() -> None:
        async with AsyncClient(KEY, transport=responding_after(0.1), throttle=throttle) as client:
            with anyio.fail_after(10):
                assert await client.metrics.mrr(*RANGE)

    tasks: list[asyncio.Task[Any]] = []
    with pytest.raises(KeyboardInterrupt), asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(be_interrupted())
    assert in_use(throttle) == (0, 0)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(call_again())


def test_a_trio_run_that_ended_does_not_hang_the_next() -> None:
    throttle = Throttle(parallel=2)

    async def be_interrupted() -> None:
        client = AsyncClient(KEY, transport=responding_after(5), throttle=throttle)
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(another_mrr(client))
            await anyio.sleep(1)
            raise KeyboardInterrupt

    async def call_again() -> None:
        async with AsyncClient(KEY, transport=responding_after(0.1), throttle=throttle) as client:
            with anyio.fail_after(10):
                assert await client.metrics.mrr(*RANGE)

    with pytest.raises(BaseExceptionGroup):
        trio.run(be_interrupted, clock=trio.testing.MockClock(autojump_threshold=0))
    trio.run(call_again, clock=trio.testing.MockClock(autojump_threshold=0))
    assert in_use(throttle) == (0, 0)


def test_starts_of_a_closed_loop_stay_in_the_window() -> None:
    """They may have arrived as the loop ended."""
    throttle, kept = Throttle(per_second=2), list[asyncio.Task[Any]]()

    async def leave_pending() -> None:
        client = AsyncClient(KEY, transport=responding_after(5), throttle=throttle)
        kept.append(asyncio.create_task(another_mrr(client)()))
        await asyncio.sleep(1)

    async def call_again() -> None:
        start = anyio.current_time()
        async with AsyncClient(KEY, transport=responding_after(0.1), throttle=throttle) as client:
            for _ in range(2):
                await client.metrics.mrr(*RANGE)
        assert anyio.current_time() - start > 1

    loop = VirtualTimeLoop()
    loop.run_until_complete(leave_pending())
    loop.close()
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(call_again())
    let_go(kept)


def loop_at(clock: float) -> VirtualTimeLoop:
    loop = VirtualTimeLoop()
    loop._jumping.clock = clock
    return loop
