"""The throttle in virtual time, against servers that count as ChartMogul may count."""

from __future__ import annotations

import asyncio
import math
import re
import sys
import time
from collections.abc import Callable
from itertools import count
from random import Random
from types import SimpleNamespace
from typing import Any

import anyio
import httpcore
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chartmogul_async import Throttle
from chartmogul_async.errors import ArgumentError, RateLimitError
from chartmogul_async.events import ConcurrencyLowered, Pacing, Pause
from chartmogul_async.transport.permits import Claim
from tests.conftest import VirtualTimeLoop
from tests.shared_limits import LoopStore

SENT: tuple[str, dict[str, Any]] = ("http11.send_request_headers.complete", {"return_value": None})

Count = Callable[[float], bool]


def sliding_log(limit: int = 40) -> Count:
    arrivals: list[float] = []

    def admit(now: float) -> bool:
        arrivals[:] = [at for at in arrivals if at > now - 1]
        if len(arrivals) >= limit:
            return False
        arrivals.append(now)
        return True

    return admit


def fixed_window(limit: int = 40, phase: float = 0.3) -> Count:
    counts: dict[int, int] = {}

    def admit(now: float) -> bool:
        second = math.floor(now + phase)
        counts[second] = counts.get(second, 0) + 1
        return counts[second] <= limit

    return admit


def token_bucket(limit: int = 40, burst: int = 40) -> Count:
    tokens, last = float(burst), -math.inf

    def admit(now: float) -> bool:
        nonlocal tokens, last
        tokens = min(burst, tokens + (now - last) * limit) if last > -math.inf else tokens
        last = now
        if tokens < 1:
            return False
        tokens -= 1
        return True

    return admit


class Server:
    """Counts a request on arrival, up to ``jitter`` seconds after sending, and responds ``latency`` seconds later."""

    def __init__(self, admit: Count, latency: float = 0.03, jitter: float = 0.0, seed: int = 0) -> None:
        self.admit, self.latency, self.jitter = admit, latency, jitter
        self.random = Random(seed)
        self.refused = self.accepted = self.in_flight = self.peak = 0

    async def exchange(self, throttle: Throttle) -> bool:
        permit = await throttle._acquire()
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        status = None
        try:
            await permit.trace(*SENT)
            await anyio.sleep(self.random.uniform(0, self.jitter))
            status = 200 if self.admit(anyio.current_time()) else 429
            await anyio.sleep(self.latency)
        finally:
            self.in_flight -= 1
            throttle._release(permit, status)
        self.accepted += status == 200
        self.refused += status == 429
        return status == 200

    async def accept_all(self, throttle: Throttle, number: int) -> float:
        async def until_accepted() -> None:
            while not await self.exchange(throttle):
                pass

        start = anyio.current_time()
        async with anyio.create_task_group() as group:
            for _ in range(number):
                group.start_soon(until_accepted)
        return anyio.current_time() - start


@pytest.mark.no_cover
@pytest.mark.parametrize("latency", [0.0, 0.03, 0.3])
@pytest.mark.parametrize("jitter", [0.0, 0.03])
@pytest.mark.parametrize("admit", [sliding_log, fixed_window, token_bucket])
async def test_no_counting_sees_a_41st_request_in_a_second(
    admit: Callable[[], Count], jitter: float, latency: float
) -> None:
    server = Server(admit(), latency, jitter)
    seconds = await server.accept_all(Throttle(), 400)
    assert (server.refused, server.accepted) == (0, 400)
    assert server.peak <= 20
    if latency <= 0.03:
        # The ideal: 40 at once, then 40 in each of nine more seconds.
        assert seconds <= 1.08 * 9.03


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has them from Python 3.12 on")
def test_tasks_that_start_at_once_stay_within_the_limits() -> None:
    """Each runs until it has to wait before the task that makes it goes on."""
    server = Server(sliding_log())

    async def calls() -> float:
        asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009
        return await server.accept_all(Throttle(), 400)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(calls()) <= 1.08 * 9.03
    assert (server.refused, server.accepted) == (0, 400)
    assert server.peak <= 20


async def test_a_slow_first_connection_does_not_shift_the_window() -> None:
    """A request is counted when it arrives, which may be long after its admission."""
    throttle, admit = Throttle(), sliding_log()
    refused = 0

    async def connect_slowly(first: float) -> None:
        nonlocal refused
        permit = await throttle._acquire()
        await anyio.sleep(first)
        await permit.trace(*SENT)
        refused += not admit(anyio.current_time())
        await anyio.sleep(0.03)
        throttle._release(permit, 200)

    async with anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(connect_slowly, 0.4 if number < 20 else 0.0)
    assert refused == 0


async def test_a_delayed_request_counts_when_it_can_have_arrived() -> None:
    """A packet was lost, for example, or the server was busy."""
    throttle, admit, sent = Throttle(), sliding_log(), count()
    refused = 0

    async def call() -> None:
        nonlocal refused
        permit = await throttle._acquire()
        await permit.trace(*SENT)
        await anyio.sleep(0.25 if next(sent) % 37 == 0 else 0.0)
        refused += not admit(anyio.current_time())
        await anyio.sleep(0.06)
        throttle._release(permit, 200)

    async with anyio.create_task_group() as group:
        for _ in range(400):
            group.start_soon(call)
    assert refused == 0


async def test_nine_calls_of_a_dashboard_start_at_once() -> None:
    server = Server(sliding_log())
    assert await server.accept_all(Throttle(), 9) == pytest.approx(0.03)


async def test_a_server_with_a_small_bucket_is_paced_evenly() -> None:
    server = Server(token_bucket(burst=5))
    throttle = Throttle()
    await server.accept_all(throttle, 400)
    assert 0 < server.refused <= 20
    before = server.refused
    await server.accept_all(throttle, 400)
    assert server.refused == before
    assert throttle.statistics().paced_for > 0


async def test_pacing_ends_and_lasts_longer_each_time() -> None:
    throttle = Throttle()

    async def refuse_one() -> float:
        throttle._release(await throttle._acquire(), 429)
        return throttle.statistics().paced_for

    assert await refuse_one() == pytest.approx(60)
    lasts = []
    for seconds in (60, 120, 240, 480):
        await anyio.sleep(seconds)
        # Each response raises the rate, by the more the longer there was no refusal.
        for _ in range(50):
            throttle._release(await throttle._acquire(), 200)
        assert throttle.statistics().per_second == 40
        await anyio.sleep(1.1)
        # Bursts are allowed again.
        assert await Server(sliding_log()).accept_all(throttle, 9) == pytest.approx(0.03)
        lasts.append(await refuse_one())
    assert lasts == pytest.approx([120, 240, 480, 960])


async def test_late_timers_do_not_add_up_while_pacing() -> None:
    throttle = Throttle()
    throttle._release(await throttle._acquire(), 429)
    await anyio.sleep(5)
    # The response to the probe raises the rate a little.
    throttle._release(await throttle._acquire(), 500)
    start = anyio.current_time()
    for _ in range(38):
        # Without a response the rate does not rise.
        throttle._release(await throttle._acquire())
        # As if each timer had fired late.
        await anyio.sleep(0.004)
    rate = throttle.statistics().per_second
    assert 38 < rate < 38.2
    assert anyio.current_time() - start == pytest.approx(38 / rate + 0.004, abs=0.0005)


async def test_one_429_pauses_all_for_as_long_as_it_asks() -> None:
    throttle = Throttle()
    start = anyio.current_time()
    first, second, third = [await throttle._acquire() for _ in range(3)]
    assert throttle._release(first, 429, retry_after=7.0) == (Pacing(60.0, 3, 38.0), Pause(7.0))
    assert first.pause_left == 7.0
    assert throttle.statistics().paused_for == 7.0
    # The longest duration counts.
    assert throttle._release(second, 429, retry_after=9.0) == (Pause(9.0),)
    assert throttle._release(third, 429, retry_after=2.0) == ()
    assert (second.pause_left, third.pause_left) == (9.0, 9.0)
    throttle._release(await throttle._acquire(), 200)
    assert anyio.current_time() - start == pytest.approx(9.0)


async def test_pauses_without_a_duration_grow_until_a_success() -> None:
    throttle = Throttle()

    async def pause_after(status: int) -> float:
        permit = await throttle._acquire()
        throttle._release(permit, status)
        return permit.pause_left

    assert [await pause_after(429) for _ in range(600)] == [0.25, 1, 6] + [30] * 597
    assert [await pause_after(status) for status in (200, 429)] == [0, 0.25]


async def test_refusals_of_requests_under_way_are_one_event() -> None:
    throttle = Throttle()
    permits = [await throttle._acquire() for _ in range(20)]
    for permit in permits:
        throttle._release(permit, 429)
    assert [permit.pause_left for permit in permits] == [0.25] * 20


async def test_after_a_pause_one_goes_ahead_until_one_succeeds() -> None:
    throttle, sent = Throttle(), []
    throttle._release(await throttle._acquire(), 429)
    statuses = iter([None, 429, 500, *[200] * 7])

    async def call() -> None:
        permit = await throttle._acquire()
        sent.append((anyio.current_time() - start, throttle.statistics().in_flight))
        await anyio.sleep(0.1)
        throttle._release(permit, next(statuses))

    start = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(call)
    assert [when for when, _ in sent[:4]] == pytest.approx([0.25, 0.35, 1.45, 1.55])
    assert [together for _, together in sent[:4]] == [1] * 4
    # A 500 is not a refusal: the limit has let the request through.
    assert max(together for _, together in sent) > 1


async def test_pauses_in_the_queue_count_and_queueing_does_not() -> None:
    throttle = Throttle(parallel=1)
    refused_after: list[float] = []

    async def refuse_everything(calls: int) -> None:
        for _ in range(calls):
            permit = await throttle._acquire()
            await anyio.sleep(10)
            throttle._release(permit, 429)

    async def wait(max_pause: float) -> None:
        start = anyio.current_time()
        with pytest.raises(RateLimitError):
            await throttle._acquire(max_pause)
        refused_after.append(anyio.current_time() - start)

    async with anyio.create_task_group() as group:
        group.start_soon(refuse_everything, 1)
        await anyio.wait_all_tasks_blocked()
        for _ in range(5):
            group.start_soon(refuse_everything, 1)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(wait, 76)
        group.start_soon(wait, 40)
    # Exchanges of 10 s; pauses of 0.25, 1, 6, 30 and 30 s. After the fourth exchange 37 s and a response are too much
    # for 40 s in all; after the fifth, 67 s and a response are for 76 s.
    four = 10 + 0.25 + 10 + 1 + 10 + 6 + 10
    assert refused_after == pytest.approx([four, four + 30 + 10])


async def test_a_pause_too_long_for_all_is_tested_once_a_minute() -> None:
    throttle = Throttle()
    throttle._release(await throttle._acquire(), 429, retry_after=86_400)
    for _ in range(3):
        with pytest.raises(RateLimitError):
            await throttle._acquire(max_pause=90)
        await anyio.sleep(61)
        probe = await throttle._acquire(max_pause=90)
        assert (probe.admitted, probe.was_queued) == (anyio.current_time(), False)
        with pytest.raises(RateLimitError):
            await throttle._acquire(max_pause=90)
        throttle._release(probe, 429, retry_after=86_400)


async def test_the_head_moves_up_when_a_start_is_known_to_be_sent() -> None:
    """It has been usual for responses to take three seconds, so what is sent arrives within 0.3 s."""
    throttle = Throttle(per_second=5, parallel=20)

    async def slow(connecting: float = 0.0) -> None:
        permit = await throttle._acquire()
        await permit.trace("connection.connect_tcp.started", {})
        await anyio.sleep(connecting)
        await permit.trace(*SENT)
        await anyio.sleep(3)
        throttle._release(permit, 200)

    await slow()
    await anyio.sleep(2)
    start = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(slow, 0.25)
    # Four starts of five, 0.25 + 0.3 + 1.001 s apart, and the last response.
    assert anyio.current_time() - start == pytest.approx(3 * 1.551 + 3.25, abs=0.01)


async def test_each_further_429_lowers_the_rate() -> None:
    throttle, rates = Throttle(), []
    assert throttle.statistics().per_second == 40
    for _ in range(3):
        throttle._release(await throttle._acquire(), 429)
        rates.append(throttle.statistics().per_second)
        await anyio.sleep(1)
        for _ in range(40):
            throttle._release(await throttle._acquire(), 200)
    assert rates[0] == 38
    assert 38 > rates[1] >= 19
    assert rates[1] > rates[2] >= rates[1] / 2


async def test_a_pause_beyond_max_pause_is_refused_at_once() -> None:
    throttle = Throttle(parallel=1)
    permit = await throttle._acquire()
    refused: list[float | None] = []

    async def wait_in_queue() -> None:
        with pytest.raises(RateLimitError, match="rate limited for 3600 s in all") as caught:
            await throttle._acquire(max_pause=90)
        refused.append(caught.value.retry_after)

    start = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(wait_in_queue)
        group.start_soon(wait_in_queue)
        await anyio.wait_all_tasks_blocked()
        throttle._release(permit, 429, retry_after=3600)
    assert refused == [3600, 3600]
    with pytest.raises(RateLimitError, match="rate limited for another 3600 s") as caught:
        await throttle._acquire(max_pause=90)
    assert caught.value.retry_after == 3600
    assert anyio.current_time() == start
    assert throttle.statistics().waiting == 0
    # Callers without a limit wait until it ends.
    throttle._release(await throttle._acquire(), 200)
    assert anyio.current_time() - start == pytest.approx(3600)


async def test_a_pause_as_long_as_max_pause_leaves_no_time_for_a_response() -> None:
    throttle = Throttle(parallel=1)
    permit, start = await throttle._acquire(), anyio.current_time()

    async def wait_in_queue() -> None:
        with pytest.raises(RateLimitError, match="rate limited for 90 s in all"):
            await throttle._acquire(max_pause=90)
        assert anyio.current_time() == start

    async with anyio.create_task_group() as group:
        group.start_soon(wait_in_queue)
        await anyio.wait_all_tasks_blocked()
        throttle._release(permit, 429, retry_after=90)
    with pytest.raises(RateLimitError, match="rate limited for another 90 s"):
        await throttle._acquire(max_pause=90)
    assert anyio.current_time() == start


async def test_a_503_lowers_concurrency_and_successes_restore_it() -> None:
    throttle = Throttle(parallel=8)
    permits = [await throttle._acquire() for _ in range(8)]
    await anyio.sleep(0.01)
    # All of them were under way already: concurrency is lowered once.
    events = [throttle._release(permit, 503) for permit in permits]
    assert events == [(ConcurrencyLowered(4),)] + [()] * 7
    assert throttle.statistics().max_in_flight == 4
    assert throttle.parallel == 8
    await anyio.sleep(1)
    for slots in (4, 4, 4, 5, 5, 5, 5, 5, 6):
        throttle._release(await throttle._acquire(), 200)
        assert throttle.statistics().max_in_flight == slots
    for _ in range(100):
        throttle._release(await throttle._acquire(), 200)
    assert throttle.statistics().max_in_flight == 8


async def test_a_503_of_a_lonely_request_changes_nothing() -> None:
    throttle = Throttle()
    throttle._release(await throttle._acquire(), 503)
    assert throttle.statistics().max_in_flight == 20


async def test_first_come_first_served() -> None:
    throttle, order = Throttle(parallel=1), []
    permit = await throttle._acquire()

    async def come(number: int) -> None:
        mine = await throttle._acquire()
        order.append(number)
        throttle._release(mine, 200)

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(come, number)
            await anyio.wait_all_tasks_blocked()
        throttle._release(permit, 200)
    assert order == list(range(10))
    assert (throttle.statistics().admitted, throttle.statistics().delayed) == (11, 10)


async def test_a_cancelled_waiter_does_not_block_the_next() -> None:
    throttle, admitted = Throttle(parallel=1), []
    permit = await throttle._acquire()

    async def come(name: str) -> None:
        mine = await throttle._acquire()
        admitted.append(name)
        throttle._release(mine, 200)

    leaving = anyio.CancelScope()

    async def leave() -> None:
        with leaving:
            await come("leaving")

    async with anyio.create_task_group() as group:
        group.start_soon(leave)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(come, "next")
        await anyio.wait_all_tasks_blocked()
        leaving.cancel()
        await anyio.wait_all_tasks_blocked()
        assert throttle.statistics().waiting == 1
        throttle._release(permit, 200)
    assert admitted == ["next"]
    assert throttle.statistics().in_flight == 0


async def test_a_waiter_cancelled_at_admission_loses_nothing() -> None:
    throttle = Throttle(parallel=1)
    permit = await throttle._acquire()
    scope = anyio.CancelScope()

    async def leave() -> None:
        with scope:
            throttle._release(await throttle._acquire(), 200)

    async with anyio.create_task_group() as group:
        group.start_soon(leave)
        await anyio.wait_all_tasks_blocked()
        # This admits the head of the queue, which has not run yet.
        throttle._release(permit, 200)
        scope.cancel()
    statistics = throttle.statistics()
    assert (statistics.in_flight, statistics.waiting) == (0, 0)


def test_a_native_cancellation_at_admission_loses_nothing() -> None:
    admitted = []

    async def main() -> None:
        throttle = Throttle(parallel=1)
        permit = await throttle._acquire()

        async def come(name: str) -> None:
            mine = await throttle._acquire()
            admitted.append(name)
            throttle._release(mine, 200)

        leaving = asyncio.create_task(come("leaving"))
        staying = asyncio.create_task(come("staying"))
        await anyio.wait_all_tasks_blocked()
        # This admits the one that is leaving, which has not run yet.
        throttle._release(permit, 200)
        leaving.cancel()
        await asyncio.wait([leaving, staying])
        statistics = throttle.statistics()
        assert (statistics.admitted, statistics.delayed) == (2, 1)
        assert (statistics.in_flight, statistics.waiting) == (0, 0)

    asyncio.run(main())
    assert admitted == ["staying"]


def test_a_probe_cancelled_at_admission_is_replaced() -> None:
    async def main() -> None:
        throttle = Throttle(parallel=1)
        throttle._release(await throttle._acquire(), 429)
        # Neither the pause nor the pacing holds any more.
        await anyio.sleep(61)
        permit = await throttle._acquire()

        async def come() -> None:
            throttle._release(await throttle._acquire(), 200)

        leaving, staying = asyncio.create_task(come()), asyncio.create_task(come())
        await anyio.wait_all_tasks_blocked()
        throttle._release(permit)
        leaving.cancel()
        await asyncio.wait([leaving, staying])
        assert not staying.cancelled()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())


async def test_statistics_are_the_figures_of_the_moment() -> None:
    throttle = Throttle(parallel=2)
    permits = [await throttle._acquire(), await throttle._acquire()]
    async with anyio.create_task_group() as group:
        group.start_soon(throttle._acquire)
        await anyio.wait_all_tasks_blocked()
        statistics = throttle.statistics()
        assert (statistics.admitted, statistics.delayed, statistics.waiting) == (2, 0, 1)
        assert (statistics.in_flight, statistics.max_in_flight) == (2, 2)
        assert (statistics.paused_for, statistics.paced_for) == (0, 0)
        throttle._release(permits[0], 200)
    assert throttle.statistics().delayed == 1
    throttle._release(permits[1], 429, retry_after=90)
    assert (throttle.statistics().paused_for, throttle.statistics().paced_for) == (90, 60)
    await anyio.sleep(20)
    assert (throttle.statistics().paused_for, throttle.statistics().paced_for) == pytest.approx((70, 40))
    await anyio.sleep(80)
    assert (throttle.statistics().paused_for, throttle.statistics().paced_for) == (0, 0)


def test_statistics_can_be_asked_for_without_an_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    throttle = Throttle()
    assert (throttle.statistics().paused_for, throttle.statistics().paced_for) == (0, 0)
    moment = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: moment)

    async def refuse_one() -> None:
        throttle._attach(object())
        throttle._release(await throttle._acquire(), 429, retry_after=30)
        assert throttle.statistics().paused_for == 30

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(refuse_one())
    moment = 1010.0
    assert (throttle.statistics().paused_for, throttle.statistics().paced_for) == pytest.approx((20, 50))


@pytest.mark.parametrize("store", [None, LoopStore()], ids=["own", "shared"])
def test_free_slots_are_those_of_the_loop_before_until_the_first_request(
    monkeypatch: pytest.MonkeyPatch, store: LoopStore | None
) -> None:
    """Another loop's clock may be far ahead, as trio's are, and would forget all starts of the last second."""
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    throttle = Throttle(per_second=10, store=store)

    async def send() -> None:
        user = object()
        admission = throttle._attach(user, "account")
        for _ in range(10):
            await admission.end(await admission.acquire(), 200)
        throttle._detach(user)

    async def plan() -> float:
        await anyio.sleep(80_000.0)
        assert throttle._free_slots() == 0
        began = anyio.current_time()
        await throttle._attach(object(), "account").acquire()
        return anyio.current_time() - began

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(send())
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        waited = runner.run(plan())
    if store is None:
        # That of the store did not go on.
        assert waited == pytest.approx(1.0, abs=0.01)


async def test_free_slots_are_what_could_start_immediately() -> None:
    throttle = Throttle(per_second=5, parallel=3)
    assert throttle._free_slots() == 3
    assert throttle._free_slots(taken=2) == 1
    permits = [await throttle._acquire()]
    # What is in flight may be among what the caller planned.
    assert (throttle._free_slots(taken=1), throttle._free_slots(taken=2)) == (2, 1)
    permits += [await throttle._acquire() for _ in range(2)]
    assert throttle._free_slots() == 0
    for permit in permits:
        throttle._release(permit, 200)
    # Three of the five starts of this second are used.
    assert throttle._free_slots() == 2
    await anyio.sleep(1.01)
    assert throttle._free_slots() == 3


async def test_resizing_admits_waiters_at_once() -> None:
    throttle = Throttle(per_second=1, parallel=1)
    first = await throttle._acquire()
    async with anyio.create_task_group() as group:
        group.start_soon(throttle._acquire)
        await anyio.wait_all_tasks_blocked()
        throttle.resize(parallel=2)
        # The only start of this second is used.
        assert throttle.statistics().in_flight == 1
        throttle.resize(per_second=2)
        assert throttle.statistics().in_flight == 2
    throttle._release(first, 200)
    throttle.resize(per_second=1)
    assert throttle._free_slots() == 0


def test_resizing_changes_only_what_it_is_given() -> None:
    throttle = Throttle(30, 10)
    throttle.resize(parallel=5)
    assert repr(throttle) == "Throttle(per_second=30, parallel=5)"
    throttle.resize(per_second=7)
    assert repr(throttle) == "Throttle(per_second=7, parallel=5)"
    statistics = throttle.statistics()
    assert (statistics.per_second, statistics.max_in_flight, throttle.parallel) == (7, 5, 5)


async def test_a_lower_rate_holds_for_starts_already_counted() -> None:
    throttle = Throttle(per_second=10)
    for _ in range(10):
        throttle._release(await throttle._acquire(), 200)
    throttle.resize(per_second=5)
    start = anyio.current_time()
    await throttle._acquire()
    assert anyio.current_time() - start == pytest.approx(1.0, abs=0.01)


async def test_an_exchange_without_a_response_stays_counted() -> None:
    throttle = Throttle(per_second=1)
    start = anyio.current_time()
    throttle._release(await throttle._acquire())
    await throttle._acquire()
    assert anyio.current_time() - start == pytest.approx(1.051, abs=0.0001)


async def test_only_the_sending_of_the_request_is_marked() -> None:
    throttle = Throttle()
    permit = await throttle._acquire()
    start = throttle._limits.in_flight[permit.number]
    await permit.trace("connection.connect_tcp.started", {})
    for method in (b"CONNECT", b"GET"):
        assert start.sent == permit.sent == math.inf
        await permit.trace("http11.send_request_headers.started", {"request": httpcore.Request(method, "https://x.y")})
        await permit.trace(*SENT)
    await permit.trace("http11.receive_response_headers.started", {})
    assert start.sent == permit.sent == anyio.current_time()


async def test_requests_may_have_methods_of_text() -> None:
    """``python -bb`` raises where bytes are compared with a text."""

    class Text(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            raise BytesWarning("Comparison between bytes and string")

        __hash__ = str.__hash__

    permit = await Throttle()._acquire()
    await permit.trace("http11.send_request_headers.started", {"request": SimpleNamespace(method=Text("GET"))})
    await permit.trace(*SENT)
    assert permit.sent == anyio.current_time()


async def test_the_http_library_logs_a_failure_by_name() -> None:
    """Its text may quote what was received."""
    info: dict[str, Any] = {"exception": ValueError("a customer")}
    permit = await Throttle()._acquire()
    await permit.trace("http11.receive_response_body.failed", info)
    assert info == {"exception": "ValueError"}


async def test_the_http_library_logs_no_password() -> None:
    """It is logged after this, and then used."""
    info: dict[str, Any] = {"host": b"host", "auth": (b"user", b"password")}
    permit = await Throttle()._acquire()
    await permit.trace("socks.setup_socks5_connection.started", info)
    assert info["auth"] == (b"user", b"password")
    assert repr(info) == "{'host': b'host', 'auth': '[secure]'}"


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "40"])
def test_a_limit_must_be_a_positive_integer(limit: object) -> None:
    throttle = Throttle()
    for name in ("per_second", "parallel"):
        message = re.escape(f"{name} must be a positive integer, not {limit!r}")
        with pytest.raises(ArgumentError, match=f"^{message}$"):
            Throttle(**{name: limit})  # type: ignore[arg-type]
        with pytest.raises(ArgumentError, match=f"^{message}$"):
            throttle.resize(**{name: limit})  # type: ignore[arg-type]
    assert repr(throttle) == "Throttle(per_second=40, parallel=20)"


def test_its_repr_names_the_limits() -> None:
    assert repr(Throttle(30, 10)) == "Throttle(per_second=30, parallel=10)"


# --- any sequence of events -------------------------------------------------------------------------------------

STATUSES = st.sampled_from([200, 200, 200, 200, 200, 429, 503, 500, None])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.tuples(
            # Seconds until it comes, of its exchange, its status, and seconds until it is cancelled.
            st.floats(0, 3),
            st.floats(0, 2),
            STATUSES,
            st.none() | st.floats(0, 1),
        ),
        min_size=1,
        max_size=120,
    ),
    per_second=st.integers(1, 40),
    parallel=st.integers(1, 20),
)
async def test_in_any_order_limits_hold_and_nothing_is_lost(
    calls: list[tuple[float, float, int | None, float | None]], per_second: int, parallel: int
) -> None:
    throttle = Throttle(per_second, parallel)
    starts: list[float] = []
    in_flight = peak = 0

    async def call(at: float, takes: float, status: int | None, cancelled_after: float | None) -> None:
        nonlocal in_flight, peak
        await anyio.sleep(at)
        with anyio.move_on_after(math.inf if cancelled_after is None else cancelled_after):
            permit = await throttle._acquire()
            starts.append(anyio.current_time())
            in_flight += 1
            peak = max(peak, in_flight)
            response = None
            try:
                await permit.trace(*SENT)
                await anyio.sleep(takes)
                response = status
            finally:
                in_flight -= 1
                throttle._release(permit, response)

    async with anyio.create_task_group() as group:
        for one in calls:
            group.start_soon(call, *one)

    assert peak <= parallel
    for earlier, later in zip(starts, starts[per_second:], strict=False):
        assert later - earlier > 1
    statistics = throttle.statistics()
    assert (statistics.in_flight, statistics.waiting, statistics.admitted) == (0, 0, len(starts))
    # Another request still gets through.
    await throttle._acquire()


# --- pauses that end early, or late ---------------------------------------------------------------------------


async def test_a_throttle_keeps_its_times_from_client_to_client() -> None:
    throttle = Throttle()
    first, second = object(), object()
    throttle._attach(first)
    throttle._release(await throttle._acquire(), 429, retry_after=30)
    throttle._detach(first)
    await anyio.sleep(100)
    throttle._attach(second)
    start = anyio.current_time()
    await throttle._acquire()
    assert anyio.current_time() == start


async def test_the_latest_response_to_a_test_counts() -> None:
    throttle = Throttle()
    throttle._release(await throttle._acquire(), 429, retry_after=3600)
    await anyio.sleep(61)
    start = anyio.current_time()
    throttle._release(await throttle._acquire(max_pause=1), 429, retry_after=5)
    assert throttle.statistics().paused_for == pytest.approx(5)
    throttle._release(await throttle._acquire(max_pause=90), 200)
    assert anyio.current_time() - start == pytest.approx(5)


async def test_a_success_under_way_does_not_end_a_pause() -> None:
    throttle = Throttle()
    old, older = await throttle._acquire(), await throttle._acquire()
    throttle._release(await throttle._acquire(), 429)
    probe = await throttle._acquire()
    throttle._release(probe, 200)
    sent_before = await throttle._acquire()
    throttle._release(old, 429, retry_after=120)
    start = anyio.current_time()
    throttle._release(sent_before, 200)
    throttle._release(older, 200)
    await throttle._acquire()
    assert anyio.current_time() - start == pytest.approx(120)


async def test_no_slots_are_free_while_nothing_would_start() -> None:
    throttle = Throttle()
    assert throttle._free_slots() == 20
    throttle._release(await throttle._acquire(), 429)
    assert throttle._free_slots() == 0, "while paused"
    await anyio.sleep(1.1)
    probe = await throttle._acquire()
    assert throttle._free_slots() == 0, "while one goes ahead"
    throttle._release(probe, 200)
    assert throttle._free_slots() == 19, "half a second of evenly spaced starts"


async def test_a_batch_looks_again_when_nothing_is_left_to_others() -> None:
    throttle = Throttle()
    throttle._release(await throttle._acquire(), 200)
    start = anyio.current_time()
    admitted: list[float] = []

    async def send() -> None:
        permit = await throttle._acquire(claim=Claim(is_batch=True))
        admitted.append(permit.admitted - start)
        await anyio.sleep(60.0)
        throttle._release(permit, 200)

    async with anyio.create_task_group() as group:
        for _ in range(16):
            group.start_soon(send)
    assert admitted[:15] == pytest.approx([0.0] * 15)
    assert admitted[15] == pytest.approx(10.0)
