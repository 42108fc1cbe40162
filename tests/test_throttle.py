"""The throttle in virtual time, held against servers that count as ChartMogul may count."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from random import Random
from typing import Any

import anyio
import httpcore
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chartmogul_async import Throttle
from chartmogul_async.errors import RateLimitError, UsageError
from tests.conftest import VirtualTimeLoop

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
    """Counts what reaches it, ``uplink`` seconds after the sending, and answers ``latency`` seconds later."""

    def __init__(self, admit: Count, latency: float = 0.03, jitter: float = 0.0, seed: int = 0) -> None:
        self.admit, self.latency, self.jitter = admit, latency, jitter
        self.random = Random(seed)
        self.refused = self.answered = self.in_flight = self.peak = 0

    async def exchange(self, throttle: Throttle) -> bool:
        grant = await throttle.acquire()
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        status = None
        try:
            await grant.trace(*SENT)
            await anyio.sleep(self.random.uniform(0, self.jitter))
            status = 200 if self.admit(anyio.current_time()) else 429
            await anyio.sleep(self.latency)
        finally:
            self.in_flight -= 1
            throttle.release(grant, status)
        self.answered += status == 200
        self.refused += status == 429
        return status == 200

    async def answer_all(self, throttle: Throttle, number: int) -> float:
        async def until_answered() -> None:
            while not await self.exchange(throttle):
                pass

        start = anyio.current_time()
        async with anyio.create_task_group() as group:
            for _ in range(number):
                group.start_soon(until_answered)
        return anyio.current_time() - start


@pytest.mark.parametrize("latency", [0.0, 0.03, 0.3])
@pytest.mark.parametrize("jitter", [0.0, 0.03])
@pytest.mark.parametrize("admit", [sliding_log, fixed_window, token_bucket])
async def test_no_way_of_counting_sees_a_41st_request_in_a_second(
    admit: Callable[[], Count], jitter: float, latency: float
) -> None:
    server = Server(admit(), latency, jitter)
    seconds = await server.answer_all(Throttle(), 400)
    assert (server.refused, server.answered) == (0, 400)
    assert server.peak <= 20
    if latency <= 0.03:
        assert seconds <= 1.08 * 9.03  # 40 at once, then 40 at each of nine more seconds, is the ideal


async def test_a_slow_first_connection_does_not_shift_the_window() -> None:
    """A request is counted when it arrives, which may be long after its place was given."""
    throttle, admit = Throttle(), sliding_log()
    refused = 0

    async def connect_slowly(first: float) -> None:
        nonlocal refused
        grant = await throttle.acquire()
        await anyio.sleep(first)
        await grant.trace(*SENT)
        refused += not admit(anyio.current_time())
        await anyio.sleep(0.03)
        throttle.release(grant, 200)

    async with anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(connect_slowly, 0.4 if number < 20 else 0.0)
    assert refused == 0


async def test_a_request_that_is_held_up_on_its_way_is_counted_when_it_can_have_arrived() -> None:
    """As by a lost packet, or by a server that was busy."""
    throttle, admit = Throttle(), sliding_log()
    refused = 0

    async def call(held_up: float) -> None:
        nonlocal refused
        grant = await throttle.acquire()
        await grant.trace(*SENT)
        await anyio.sleep(held_up)
        refused += not admit(anyio.current_time())
        await anyio.sleep(0.06)
        throttle.release(grant, 200)

    async with anyio.create_task_group() as group:
        for number in range(400):
            group.start_soon(call, 0.25 if number % 37 == 0 else 0.0)
    assert refused == 0


async def test_a_dashboards_nine_calls_go_out_at_once() -> None:
    server = Server(sliding_log())
    assert await server.answer_all(Throttle(), 9) == pytest.approx(0.03)


async def test_a_server_with_a_small_bucket_is_paced_evenly_after_its_first_refusals() -> None:
    server = Server(token_bucket(burst=5))
    throttle = Throttle()
    await server.answer_all(throttle, 400)
    assert 0 < server.refused <= 20
    before = server.refused
    await server.answer_all(throttle, 400)
    assert server.refused == before
    assert throttle.statistics().paced_until is not None


async def test_pacing_ends_and_lasts_longer_each_time_it_was_needed() -> None:
    throttle = Throttle()

    async def refuse_one() -> float:
        throttle.release(await throttle.acquire(), 429)
        paced_until = throttle.statistics().paced_until
        assert paced_until is not None
        return paced_until - anyio.current_time()

    assert await refuse_one() == pytest.approx(60)
    await anyio.sleep(61)
    throttle.release(await throttle.acquire(), 200)
    assert await Server(sliding_log()).answer_all(throttle, 9) == pytest.approx(0.03)  # bursts are back
    lasts = [await refuse_one() for _ in range(7)]
    assert lasts == pytest.approx([120, 240, 480, 960, 1920, 3600, 3600])
    await anyio.sleep(3 * 3600)
    assert await refuse_one() == pytest.approx(60)  # an hour without trouble, and it is forgotten


async def test_late_timers_do_not_add_up_while_pacing() -> None:
    throttle = Throttle()
    throttle.release(await throttle.acquire(), 429)
    await anyio.sleep(5)
    start = anyio.current_time()
    for _ in range(38):
        throttle.release(await throttle.acquire(), 200)
        await anyio.sleep(0.004)  # as if each timer had fired late
    assert anyio.current_time() - start == pytest.approx(37 / 38 + 0.004)


async def test_one_429_pauses_everyone_for_as_long_as_the_server_says() -> None:
    throttle = Throttle()
    start = anyio.current_time()
    first, second, third = [await throttle.acquire() for _ in range(3)]
    throttle.release(first, 429, retry_after=7.0)
    assert first.pause_left == 7.0
    assert throttle.statistics().paused_until == start + 7.0
    throttle.release(second, 429, retry_after=9.0)  # the longer word counts
    throttle.release(third, 429, retry_after=2.0)
    assert (second.pause_left, third.pause_left) == (9.0, 9.0)
    throttle.release(await throttle.acquire(), 200)
    assert anyio.current_time() - start == pytest.approx(9.0)


async def test_without_a_word_the_pauses_grow_and_a_success_ends_that() -> None:
    throttle = Throttle()

    async def pause_after(status: int) -> float:
        grant = await throttle.acquire()
        throttle.release(grant, status)
        return grant.pause_left

    assert [await pause_after(429) for _ in range(600)] == [1, 4, 16] + [30] * 597
    assert [await pause_after(status) for status in (200, 429)] == [0, 1]


async def test_refusals_of_requests_that_were_under_way_are_one_piece_of_news() -> None:
    throttle = Throttle()
    grants = [await throttle.acquire() for _ in range(20)]
    for grant in grants:
        throttle.release(grant, 429)
    assert [grant.pause_left for grant in grants] == [1.0] * 20


async def test_after_a_pause_one_request_goes_ahead_until_one_succeeds() -> None:
    throttle, sent = Throttle(), []
    throttle.release(await throttle.acquire(), 429)
    answers = iter([None, 429, 500, *[200] * 7])

    async def call() -> None:
        grant = await throttle.acquire()
        sent.append((anyio.current_time() - start, throttle.statistics().in_flight))
        await anyio.sleep(0.1)
        throttle.release(grant, next(answers))

    start = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(call)
    assert [when for when, _ in sent[:4]] == pytest.approx([1.0, 1.1, 5.2, 5.3])
    assert [together for _, together in sent[:4]] == [1] * 4
    assert max(together for _, together in sent) > 1  # a 500 is no refusal: the limit has let it through


async def test_pauses_in_line_count_towards_a_callers_patience_and_the_line_itself_does_not() -> None:
    throttle = Throttle(parallel=1)
    refused_after: list[float] = []

    async def refuse_everything(calls: int) -> None:
        for _ in range(calls):
            grant = await throttle.acquire()
            await anyio.sleep(10)
            throttle.release(grant, 429)

    async def wait(patience: float) -> None:
        start = anyio.current_time()
        with pytest.raises(RateLimitError):
            await throttle.acquire(patience)
        refused_after.append(anyio.current_time() - start)

    async with anyio.create_task_group() as group:
        group.start_soon(refuse_everything, 1)
        await anyio.wait_all_tasks_blocked()
        for _ in range(5):
            group.start_soon(refuse_everything, 1)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(wait, 60)
        group.start_soon(wait, 20.5)
    # exchanges of 10 s; pauses of 1, 4, 16, 30 s: the 30 s after the fourth exchange are too much for 60 s in all
    assert refused_after == pytest.approx([10 + 1 + 10 + 4 + 10, 10 + 1 + 10 + 4 + 10 + 16 + 10 + 30 + 10])


async def test_a_pause_that_is_too_long_for_anybody_is_put_to_the_test_once_a_minute() -> None:
    throttle = Throttle()
    throttle.release(await throttle.acquire(), 429, retry_after=86_400)
    for _ in range(3):
        with pytest.raises(RateLimitError):
            await throttle.acquire(patience=90)
        await anyio.sleep(61)
        probe = await throttle.acquire(patience=90)
        with pytest.raises(RateLimitError):
            await throttle.acquire(patience=90)
        throttle.release(probe, 429, retry_after=86_400)


async def test_the_head_of_the_line_moves_up_as_soon_as_a_start_is_known_to_be_sent() -> None:
    throttle = Throttle(per_second=5, parallel=20)

    async def slow() -> None:
        grant = await throttle.acquire()
        await grant.trace(*SENT)
        await anyio.sleep(3)
        throttle.release(grant, 200)

    start = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(slow)
    assert anyio.current_time() - start == pytest.approx(6, abs=0.2)  # four starts of five, and the last answer


async def test_a_429_that_a_full_window_explains_leaves_bursts_alone() -> None:
    throttle = Throttle()
    for _ in range(39):
        throttle.release(await throttle.acquire(), 200)
    throttle.release(await throttle.acquire(), 429)
    assert throttle.statistics().paced_until is None
    assert throttle.statistics().paused_until is not None


async def test_a_pause_longer_than_a_callers_patience_comes_back_at_once() -> None:
    throttle = Throttle(parallel=1)
    grant = await throttle.acquire()
    refused: list[float | None] = []

    async def wait_in_line() -> None:
        with pytest.raises(RateLimitError, match="requests are paused for 3600 s") as caught:
            await throttle.acquire(patience=90)
        refused.append(caught.value.retry_after)

    start = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(wait_in_line)
        group.start_soon(wait_in_line)
        await anyio.wait_all_tasks_blocked()
        throttle.release(grant, 429, retry_after=3600)
    assert refused == [3600, 3600]
    with pytest.raises(RateLimitError):
        await throttle.acquire(patience=90)
    assert anyio.current_time() == start
    assert throttle.statistics().waiting == 0
    throttle.release(await throttle.acquire(), 200)  # the patient wait it out
    assert anyio.current_time() - start == pytest.approx(3600)


async def test_a_503_lowers_the_places_and_successes_bring_them_back() -> None:
    throttle = Throttle(parallel=8)
    grants = [await throttle.acquire() for _ in range(8)]
    await anyio.sleep(0.01)
    for grant in grants:  # the others were under way already: one lowering for all of them
        throttle.release(grant, 503)
    assert throttle.statistics().places == 4
    await anyio.sleep(1)
    for places in (4, 4, 4, 5, 5, 5, 5, 5, 6):
        throttle.release(await throttle.acquire(), 200)
        assert throttle.statistics().places == places
    for _ in range(100):
        throttle.release(await throttle.acquire(), 200)
    assert throttle.statistics().places == 8


async def test_a_503_of_a_lonely_request_is_no_word_about_parallel_ones() -> None:
    throttle = Throttle()
    throttle.release(await throttle.acquire(), 503)
    assert throttle.statistics().places == 20


async def test_first_come_first_served() -> None:
    throttle, order = Throttle(parallel=1), []
    grant = await throttle.acquire()

    async def come(number: int) -> None:
        mine = await throttle.acquire()
        order.append(number)
        throttle.release(mine, 200)

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(come, number)
            await anyio.wait_all_tasks_blocked()
        throttle.release(grant, 200)
    assert order == list(range(10))


async def test_a_cancelled_waiter_lets_the_next_one_through() -> None:
    throttle, admitted = Throttle(parallel=1), []
    grant = await throttle.acquire()

    async def come(name: str) -> None:
        mine = await throttle.acquire()
        admitted.append(name)
        throttle.release(mine, 200)

    impatient = anyio.CancelScope()

    async def leave() -> None:
        with impatient:
            await come("impatient")

    async with anyio.create_task_group() as group:
        group.start_soon(leave)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(come, "next")
        await anyio.wait_all_tasks_blocked()
        impatient.cancel()
        await anyio.wait_all_tasks_blocked()
        assert throttle.statistics().waiting == 1
        throttle.release(grant, 200)
    assert admitted == ["next"]
    assert throttle.statistics().in_flight == 0


async def test_a_waiter_cancelled_in_the_moment_of_its_admission_loses_nothing() -> None:
    throttle = Throttle(parallel=1)
    grant = await throttle.acquire()
    scope = anyio.CancelScope()

    async def leave() -> None:
        with scope:
            throttle.release(await throttle.acquire(), 200)

    async with anyio.create_task_group() as group:
        group.start_soon(leave)
        await anyio.wait_all_tasks_blocked()
        throttle.release(grant, 200)  # admits the first in line, which has not run yet
        scope.cancel()
    statistics = throttle.statistics()
    assert (statistics.in_flight, statistics.waiting) == (0, 0)


def test_a_task_cancelled_by_asyncio_in_the_moment_of_its_admission_gives_everything_back() -> None:
    admitted = []

    async def main() -> None:
        throttle = Throttle(parallel=1)
        grant = await throttle.acquire()

        async def come(name: str) -> None:
            mine = await throttle.acquire()
            admitted.append(name)
            throttle.release(mine, 200)

        impatient = asyncio.create_task(come("impatient"))
        patient = asyncio.create_task(come("patient"))
        await anyio.wait_all_tasks_blocked()
        throttle.release(grant, 200)  # admits the impatient one, which has not run yet
        impatient.cancel()
        await asyncio.wait([impatient, patient])
        statistics = throttle.statistics()
        assert (statistics.admitted, statistics.waited) == (2, 1)
        assert (statistics.in_flight, statistics.waiting) == (0, 0)

    asyncio.run(main())
    assert admitted == ["patient"]


def test_a_probe_cancelled_in_the_moment_of_its_admission_leaves_its_part_to_the_next() -> None:
    async def main() -> None:
        throttle = Throttle(parallel=1)
        throttle.release(await throttle.acquire(), 429)
        await anyio.sleep(61)  # until neither a pause nor the pacing is in the way
        grant = await throttle.acquire()

        async def come() -> None:
            throttle.release(await throttle.acquire(), 200)

        impatient, patient = asyncio.create_task(come()), asyncio.create_task(come())
        await anyio.wait_all_tasks_blocked()
        throttle.release(grant)
        impatient.cancel()
        await asyncio.wait([impatient, patient])
        assert not patient.cancelled()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())


async def test_statistics_tell_who_is_where() -> None:
    throttle = Throttle(parallel=2)
    grants = [await throttle.acquire(), await throttle.acquire()]
    async with anyio.create_task_group() as group:
        group.start_soon(throttle.acquire)
        await anyio.wait_all_tasks_blocked()
        statistics = throttle.statistics()
        assert (statistics.admitted, statistics.waited, statistics.waiting) == (2, 0, 1)
        assert (statistics.in_flight, statistics.places) == (2, 2)
        assert (statistics.paused_until, statistics.paced_until) == (None, None)
        throttle.release(grants[0], 200)
    assert throttle.statistics().waited == 1


async def test_room_is_what_would_start_at_once() -> None:
    throttle = Throttle(per_second=5, parallel=3)
    assert throttle.room() == 3
    assert throttle.room(under_way=2) == 1
    grants = [await throttle.acquire() for _ in range(3)]
    assert throttle.room() == 0
    for grant in grants:
        throttle.release(grant, 200)
    assert throttle.room() == 2  # of the second's five, three are used
    await anyio.sleep(1.01)
    assert throttle.room() == 3


async def test_resizing_lets_waiters_in_at_once() -> None:
    throttle = Throttle(per_second=1, parallel=1)
    first = await throttle.acquire()
    async with anyio.create_task_group() as group:
        group.start_soon(throttle.acquire)
        await anyio.wait_all_tasks_blocked()
        throttle.resize(parallel=2)
        assert throttle.statistics().in_flight == 1  # the second's only start is used
        throttle.resize(per_second=2)
        assert throttle.statistics().in_flight == 2
    throttle.release(first, 200)
    throttle.resize(per_second=1)
    assert throttle.room() == 0


async def test_fewer_a_second_holds_for_those_already_counted() -> None:
    throttle = Throttle(per_second=10)
    for _ in range(10):
        throttle.release(await throttle.acquire(), 200)
    throttle.resize(per_second=5)
    start = anyio.current_time()
    await throttle.acquire()
    assert anyio.current_time() - start == pytest.approx(1.0, abs=0.01)


async def test_an_exchange_without_an_answer_stays_counted() -> None:
    throttle = Throttle(per_second=1)
    start = anyio.current_time()
    throttle.release(await throttle.acquire())
    await throttle.acquire()
    assert anyio.current_time() - start == pytest.approx(1.05, abs=0.01)


async def test_an_event_that_is_not_the_sending_changes_nothing() -> None:
    grant = await Throttle().acquire()
    await grant.trace("connection.connect_tcp.started", {})
    for method in (b"CONNECT", b"GET"):
        assert grant.sent == math.inf
        await grant.trace("http11.send_request_headers.started", {"request": httpcore.Request(method, "https://x.y")})
        await grant.trace(*SENT)
    assert grant.sent == anyio.current_time()


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "40"])
def test_a_limit_is_a_whole_number_of_one_or_more(limit: object) -> None:
    with pytest.raises(UsageError, match="per_second is"):
        Throttle(per_second=limit)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="parallel is"):
        Throttle(parallel=limit)  # type: ignore[arg-type]


def test_its_repr_tells_the_limits() -> None:
    assert repr(Throttle(30, 10)) == "Throttle(per_second=30, parallel=10)"


# --- any sequence of events -------------------------------------------------------------------------------------

ANSWERS = st.sampled_from([200, 200, 200, 200, 200, 429, 503, 500, None])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.tuples(
            st.floats(0, 3),  # comes when
            st.floats(0, 2),  # takes how long
            ANSWERS,
            st.none() | st.floats(0, 1),  # is cancelled how long after coming
        ),
        min_size=1,
        max_size=120,
    ),
    per_second=st.integers(1, 40),
    parallel=st.integers(1, 20),
)
async def test_whatever_happens_the_limits_hold_and_nothing_is_lost(
    calls: list[tuple[float, float, int | None, float | None]], per_second: int, parallel: int
) -> None:
    throttle = Throttle(per_second, parallel)
    starts: list[float] = []
    in_flight = peak = 0

    async def call(at: float, takes: float, status: int | None, cancelled_after: float | None) -> None:
        nonlocal in_flight, peak
        await anyio.sleep(at)
        with anyio.move_on_after(math.inf if cancelled_after is None else cancelled_after):
            grant = await throttle.acquire()
            starts.append(anyio.current_time())
            in_flight += 1
            peak = max(peak, in_flight)
            answer = None
            try:
                await grant.trace(*SENT)
                await anyio.sleep(takes)
                answer = status
            finally:
                in_flight -= 1
                throttle.release(grant, answer)

    async with anyio.create_task_group() as group:
        for one in calls:
            group.start_soon(call, *one)

    assert peak <= parallel
    for earlier, later in zip(starts, starts[per_second:], strict=False):
        assert later - earlier > 1
    statistics = throttle.statistics()
    assert (statistics.in_flight, statistics.waiting, statistics.admitted) == (0, 0, len(starts))
    await throttle.acquire()  # a calm request still gets through


# --- pauses that are not what they seem ---------------------------------------------------------------------


async def test_a_throttle_that_goes_from_client_to_client_in_one_loop_keeps_its_times() -> None:
    throttle = Throttle()
    throttle.attach()
    throttle.release(await throttle.acquire(), 429, retry_after=30)
    throttle.detach()
    await anyio.sleep(100)
    throttle.attach()
    start = anyio.current_time()
    await throttle.acquire()
    assert anyio.current_time() == start


async def test_the_newest_word_of_a_test_counts() -> None:
    throttle = Throttle()
    throttle.release(await throttle.acquire(), 429, retry_after=3600)
    await anyio.sleep(61)
    start = anyio.current_time()
    throttle.release(await throttle.acquire(patience=1), 429, retry_after=5)
    assert throttle.statistics().paused_until == pytest.approx(start + 5)
    throttle.release(await throttle.acquire(patience=90), 200)
    assert anyio.current_time() - start == pytest.approx(5)


async def test_a_success_that_was_under_way_does_not_end_a_pause() -> None:
    throttle = Throttle()
    old, older = await throttle.acquire(), await throttle.acquire()
    throttle.release(await throttle.acquire(), 429)
    probe = await throttle.acquire()
    throttle.release(probe, 200)
    sent_before = await throttle.acquire()
    throttle.release(old, 429, retry_after=120)
    start = anyio.current_time()
    throttle.release(sent_before, 200)
    throttle.release(older, 200)
    await throttle.acquire()
    assert anyio.current_time() - start == pytest.approx(120)


async def test_there_is_no_room_while_nothing_would_start_at_once() -> None:
    throttle = Throttle()
    assert throttle.room() == 20
    throttle.release(await throttle.acquire(), 429)
    assert throttle.room() == 0  # paused
    await anyio.sleep(1.1)
    probe = await throttle.acquire()
    assert throttle.room() == 0  # one goes ahead
    throttle.release(probe, 200)
    assert throttle.room() == 0  # starts are spread evenly
    await anyio.sleep(60)
    assert throttle.room() == 20
