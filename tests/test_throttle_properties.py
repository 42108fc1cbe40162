"""Properties of the throttle in virtual time: whatever happens, the limits hold, in order, and nothing is lost.

Two kinds of scenario. In the first one, any operations follow one another, and the throttle is compared with a model at
every step. In the second one, a server counts each request somewhere in transit and refuses what is too much.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import cycle, pairwise
from typing import Any, Literal

import anyio
import anyio.abc
import anyio.lowlevel
import httpx
import pytest
import trio
import trio.testing
from attrs import Factory, define, evolve, field, frozen
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chartmogul_async import AsyncClient, Throttle
from chartmogul_async.errors import RateLimitError
from chartmogul_async.resources.account import SETTINGS
from chartmogul_async.sandbox import Company, Sandbox
from chartmogul_async.sandbox.limits import FixedWindow, RateCounter, SlidingLog, TokenBucket
from chartmogul_async.transport.permits import Permit
from tests.conftest import VirtualTimeLoop

pytestmark = pytest.mark.no_cover

SENT: tuple[str, dict[str, Any]] = ("http11.send_request_headers.complete", {"return_value": None})
SECOND = 1.0
# Seconds that travels may differ by.
JITTER = 0.05
# Seconds by which sums of floats may differ.
ROUNDING = 1e-9
# Seconds of the window, with a margin for rounding and latency.
UNDOUBTED = 1.1

# The fixtures of pytest are the same for all examples, and so may be the event loop of the backend.
any_scenario = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


# --- operations ----------------------------------------------------------------------------------------------------


@frozen
class Come:
    """A call waits for a permit, and writes its request to a connection that takes some time to open."""

    max_pause: float = math.inf
    connecting: float = 0.0
    is_retry: bool = False
    # Seconds until its caller gives up.
    gives_up: float = math.inf


@frozen
class End:
    """One of the exchanges ends, with a response or (None) without."""

    which: int
    status: int | None
    retry_after: float | None = None


@frozen
class Leave:
    """One of the calls is cancelled, wherever it is; ``natively`` by asyncio itself, without a scope."""

    which: int = 0
    natively: bool = False


@frozen
class Resize:
    per_second: int | None = None
    parallel: int | None = None


@frozen
class Pass:
    seconds: float


@frozen
class Stall:
    """Time passes while no task can run, as when code blocks the event loop; timers are late then."""

    seconds: float


Operation = Come | End | Leave | Resize | Pass | Stall

which = st.just(0) | st.integers(0, 30)
coming = st.builds(
    Come,
    st.sampled_from([math.inf, math.inf, math.inf, 90.0, 3.0, 0.0]),
    st.sampled_from([0.0, 0.0, 0.0, 0.02, 0.7]),
    st.sampled_from([False, False, True]),
    st.sampled_from([math.inf, math.inf, math.inf, 0.3, 1.5, 10.0]),
)
ending = st.builds(
    End,
    which,
    st.sampled_from([200, 200, 200, 200, 404, 500, 429, 503, None]),
    st.sampled_from([None, None, 0.0, 0.001, 0.5, 7.0, 120.0]),
)
operations = st.lists(
    st.tuples(
        st.one_of(
            coming,
            coming,
            ending,
            ending,
            st.builds(Leave, which, st.booleans()),
            st.builds(Resize, st.none() | st.integers(1, 45), st.none() | st.integers(1, 25)),
            st.builds(Pass, st.sampled_from([0.001, 0.05, 0.3, 1.0, 1.1, 5.0, 61.0])),
            st.builds(Stall, st.sampled_from([0.05, 1.1])),
        ),
        # Whether everything comes to rest before the next one.
        st.booleans(),
        # How often the first kinds are repeated: without bursts, no limit is ever met.
        st.integers(1, 30),
    ),
    max_size=60,
)


# --- the model -----------------------------------------------------------------------------------------------------


@define(eq=False)
class Call:
    """One caller, as the model knows it."""

    max_pause: float
    connecting: float
    is_retry: bool
    came: float
    gives_up: float
    # The limit in force when it was admitted.
    per_second: int = 0
    admitted: float | None = None
    sent: float | None = None
    ended: float | None = None
    permit: Permit | None = None
    # Admitted during a pause, to learn whether it still applies.
    is_test: bool = False
    refused: bool = False
    gone: bool = False
    scope: anyio.CancelScope = Factory(anyio.CancelScope)
    # When a slot that it was given up in is free.
    lingers_until: float = -math.inf
    over: anyio.Event = Factory(anyio.Event)
    task: asyncio.Task[Any] | None = None

    @property
    def waits(self) -> bool:
        return self.admitted is None and not self.refused and not self.gone

    @property
    def may_be_counted_until(self) -> float:
        """When its start cannot be in the window any more."""
        if self.ended is not None:
            return self.ended + JITTER + UNDOUBTED
        return math.inf

    @property
    def is_in_flight(self) -> bool:
        return self.admitted is not None and self.ended is None


@define(eq=False)
class World:
    """A throttle with its callers, and beside it what its documentation promises."""

    per_second: int
    parallel: int
    group: anyio.abc.TaskGroup = Factory(anyio.create_task_group)
    throttle: Throttle = field(init=False)
    slots: int = field(init=False)
    calls: list[Call] = Factory(list)
    # When a 429 began the latest pause.
    refused_at: float = -math.inf
    # The latest request that had been admitted by then.
    refused_number: int = 0
    # No 429 since the latest success, or since a probe that was out longer than a refusal takes.
    is_trusted: bool = True
    refusal_trip: float = 0.0
    succeeded_at: float = -math.inf
    # The latest request that had been admitted when concurrency was lowered.
    lowered_number: int = 0
    successes: int = 0

    def __attrs_post_init__(self) -> None:
        self.throttle = Throttle(self.per_second, self.parallel)
        self.slots = self.parallel

    @property
    def in_flight(self) -> list[Call]:
        return [call for call in self.calls if call.is_in_flight]

    @property
    def waiting(self) -> list[Call]:
        return [call for call in self.calls if call.waits]

    # --- what happens ------------------------------------------------------------------------------------------

    async def do(self, operation: Operation) -> None:
        match operation:
            case Come():
                self.group.start_soon(self._call, operation)
            case End(which, status, retry_after):
                await self._end_one(which, status, retry_after)
            case Leave(which, natively):
                self._cancel_one(which, natively)
            case Resize(per_second, parallel):
                await self._resize(per_second, parallel)
            case Pass(seconds):
                await anyio.sleep(seconds)
            case Stall(seconds):
                stall(seconds)

    async def _call(self, come: Come) -> None:
        now = anyio.current_time()
        call = Call(come.max_pause, come.connecting, come.is_retry, now, now + come.gives_up)
        # Noted here, since trio starts tasks in any order.
        self.calls.append(call)
        if not trio.lowlevel.in_trio_run():
            call.task = asyncio.current_task()
        try:
            with anyio.CancelScope(deadline=call.gives_up), call.scope:
                await self._exchange(call)
        except asyncio.CancelledError:
            assert call.task is not None
            # The cancellation was the test's own, and ends here.
            call.task.uncancel()
        call.gone = True

    async def _exchange(self, call: Call) -> None:
        try:
            call.permit = await self.throttle._acquire(call.max_pause, call.is_retry)
        except RateLimitError:
            self._note_refusal(call)
            return
        try:
            self._note_admission(call)
            await call.permit.trace("connection.connect_tcp.started", {})
            with anyio.move_on_after(call.connecting):
                await call.over.wait()
            if call.ended is None:
                await call.permit.trace(*SENT)
                call.sent = anyio.current_time()
                await call.over.wait()
        finally:
            if call.ended is None:
                self.end(call, None, given_up=True)

    async def _end_one(self, which: int, status: int | None, retry_after: float | None) -> None:
        if status in (429, 503):
            # All that are admitted note it before a pause begins or concurrency is lowered.
            await come_to_rest()
        if self.in_flight:
            call = self.in_flight[which % len(self.in_flight)]
            self.end(call, None if call.sent is None else status, retry_after)

    def end(self, call: Call, status: int | None, retry_after: float | None = None, given_up: bool = False) -> None:
        """The exchange is over, and all requests learn from its response."""
        assert call.permit is not None
        assert call.admitted is not None
        self._learn(call.permit.number, call.sent or call.admitted, status)
        call.ended = anyio.current_time()
        call.over.set()
        pause, latest = self.throttle._limits.paused_until, self.throttle._limits.last_number
        if given_up and call.sent is not None:
            call.lingers_until = call.sent + min(self.throttle._limits.window.usual, 5.0) + 0.05
        self.throttle._release(call.permit, status, retry_after, given_up)
        if self.throttle._limits.paused_until != pause and status == 429:
            # This holds also where an old request has only made the pause longer.
            self.refused_at, self.is_trusted = anyio.current_time(), False
            self.refused_number = latest

    def _cancel_one(self, which: int, natively: bool) -> None:
        alive = self.waiting + self.in_flight
        if not alive:
            return
        call = alive[which % len(alive)]
        if natively and call.task is not None:
            call.task.cancel()
        else:
            call.scope.cancel()

    async def _resize(self, per_second: int | None, parallel: int | None) -> None:
        # All that are admitted note it before the limits change.
        await come_to_rest()
        self.per_second = per_second or self.per_second
        if parallel is not None:
            self.parallel = self.slots = parallel
        self.throttle.resize(per_second=per_second, parallel=parallel)

    # --- what is promised --------------------------------------------------------------------------------------

    def _note_admission(self, call: Call) -> None:
        call.admitted = anyio.current_time()
        call.is_test = call.admitted < self.throttle._limits.paused_until
        call.per_second = self.per_second
        taken = self._slots_taken()
        assert taken <= self.slots, f"{taken} of {self.slots} slots are taken"
        if call.is_test:
            assert call.max_pause < math.inf, "admitted during a pause that it would have waited out"
            assert call.admitted > self.refused_at + 60 - ROUNDING, "admitted during a pause that has only just begun"
        if not self.is_trusted:
            others = [other for other in self._ahead() if other is not call]
            assert all(self._is_late(other) for other in others), "another one has gone ahead and is not back"
            # It was not refused; but a test of a long pause says nothing about its end.
            self.is_trusted = bool(others) and not call.is_test

    def _slots_taken(self) -> int:
        lingering = [call for call in self.calls if call.lingers_until > anyio.current_time()]
        return len(self.in_flight) + len(lingering)

    def _ahead(self) -> list[Call]:
        """Those that were admitted after the latest pause began."""
        return [call for call in self.in_flight if call.permit and call.permit.number > self.refused_number]

    def _is_late(self, probe: Call) -> bool:
        """Whether it is out longer than a refusal takes."""
        out = anyio.current_time() - (probe.admitted or 0)
        return out >= max(1.0, 3 * self.refusal_trip) - ROUNDING

    def _note_refusal(self, call: Call) -> None:
        call.refused = True
        paused_until = self.throttle._limits.paused_until
        assert paused_until > -math.inf, "refused without any pause"
        in_vain = paused_until - max(call.came, self.succeeded_at)
        needed = in_vain + self.throttle._limits.window.fastest
        assert needed >= call.max_pause - ROUNDING, "refused although max_pause is not exceeded"

    def _learn(self, number: int, sent: float, status: int | None) -> None:
        now = anyio.current_time()
        if status == 429:
            if number > self.refused_number:
                self.refused_at, self.is_trusted = now, False
                self.refused_number = self.throttle._limits.last_number
                self.refusal_trip = now - sent
        elif status == 503:
            if self._slots_taken() > 1 and number > self.lowered_number:
                self.lowered_number = self.throttle._limits.last_number
                self.slots = max(1, min(self.slots, self._slots_taken()) // 2)
                self.successes = 0
        elif status is not None:
            if number > self.refused_number:
                self.is_trusted, self.succeeded_at = True, now
            self.successes += self.slots < self.parallel
            if self.successes >= self.slots and self.slots < self.parallel:
                self.slots, self.successes = self.slots + 1, 0

    def check(self) -> None:
        """Compare the throttle with the model, at a moment when nothing moves."""
        seen = self.throttle.statistics()
        admitted = sum(call.admitted is not None for call in self.calls)
        assert (seen.in_flight, seen.waiting) == (len(self.in_flight), len(self.waiting))
        assert (seen.admitted, seen.max_in_flight) == (admitted, self.slots)
        assert seen.delayed <= seen.admitted
        self._check_deadlines()
        fastest = self.throttle._limits.window.fastest
        if [call for call in self.waiting if call.gives_up >= anyio.current_time() + fastest]:
            assert self._reasons_to_wait(), "a call waits without a reason"
        assert not [call for call in self.waiting if call.max_pause < seen.paused_for - ROUNDING], (
            "waits beyond its max_pause"
        )

    def _check_deadlines(self) -> None:
        """A waiter wakes in time for the next start, and nobody is to have woken before."""
        now, waiters = anyio.current_time(), self.throttle._queue.waiters
        for waiter in waiters:
            assert waiter._scope is None or waiter._scope.deadline > now, "a busy loop"
        # The one that looks may have become too late for a response since it was at the head.
        looks = min((waiter.looks_again_at for waiter in waiters), default=math.inf)
        if self.throttle._head(now) is not None:
            # It is earlier where the test of a long pause has gone ahead since.
            assert looks <= self.throttle._limits.next_start(now)

    def _reasons_to_wait(self) -> list[str]:
        now, seen = anyio.current_time(), self.throttle.statistics()
        in_window = sum(call.may_be_counted_until > now for call in self.calls if call.admitted is not None)
        pace = self.throttle._limits.pace
        reasons = {
            "all slots are taken": self._slots_taken() >= self.slots,
            "the second is full": in_window >= self.per_second,
            "requests are paused": seen.paused_for > 0,
            "the starts are spaced evenly": pace is not None and pace.is_even(now) and now < pace.next_start,
            "one goes ahead after a pause": self.throttle._limits.probe is not None,
        }
        return [reason for reason, holds in reasons.items() if holds]

    def check_order(self) -> None:
        """Calls of one kind are admitted in the order in which they came, unless they were about to give up."""
        regular = [call for call in self.calls if not call.is_test and call.gives_up == math.inf]
        for is_retry in (False, True):
            moments = [call.admitted for call in regular if call.admitted is not None and call.is_retry == is_retry]
            assert all(earlier <= later for earlier, later in pairwise(moments))

    def check_window(self) -> None:
        """No second holds more than were allowed when the last of them was admitted; a sliding log would refuse it.

        The other counters follow: a fixed window is one of those seconds, and a bucket is filled as fast.
        """
        # In the order of admission: a retry goes ahead of those that came before it.
        counted = [call for call in self.calls if call.sent is not None]
        counted.sort(key=lambda call: 0 if call.permit is None else call.permit.number)
        for at, call in enumerate(counted):
            assert call.sent is not None
            earlier = sorted(other.sent for other in counted[:at] if other.sent is not None)
            begins = [begin for begin in (*earlier, call.sent) if begin <= call.sent < begin + SECOND - ROUNDING]
            most = max(sum(begin <= one < begin + SECOND - ROUNDING for one in earlier) for begin in begins)
            assert most < call.per_second, f"request {most + 1} in a second that allows {call.per_second}"

    # --- the end -----------------------------------------------------------------------------------------------

    async def let_everything_end(self) -> None:
        """From now on all requests succeed: each that still waits is admitted in finite time."""
        with anyio.fail_after(3600):
            while self.in_flight or self.waiting:
                for call in [call for call in self.in_flight if call.sent is not None]:
                    self.end(call, 200)
                await anyio.sleep(0.05)
                await come_to_rest()
        self.check()

    async def check_that_nothing_is_lost(self) -> None:
        """After the pauses, all slots and the whole second can be taken at the same moment."""
        await anyio.sleep(self.throttle.statistics().paused_for)
        while self.throttle.statistics().max_in_flight < self.parallel or not self.is_trusted:
            await self.do(Come())
            await come_to_rest()
            await self.let_everything_end()
        await anyio.sleep(UNDOUBTED + self.throttle._limits.window.usual)
        # What was given up while responses were slow occupies its slot longer than a response takes now.
        await anyio.sleep_until(max([anyio.current_time(), *self.throttle._limits.lingering]))
        now, most = anyio.current_time(), 1 + max(self.parallel, self.per_second)
        # Neither limit should hide what the other has lost, nor the rate that was learned.
        self.throttle.resize(per_second=most, parallel=most)
        for _ in range(most):
            await self.throttle._acquire()
        assert anyio.current_time() == now
        assert self.throttle.statistics().in_flight == most


def stall(seconds: float) -> None:
    if trio.lowlevel.in_trio_run():
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        clock.jump(seconds)
    else:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop._jumping.clock += seconds


async def come_to_rest() -> None:
    """Let everything run that can, without time passing."""
    if trio.lowlevel.in_trio_run():
        await anyio.wait_all_tasks_blocked()
    else:
        # On asyncio that function would sleep between its looks.
        for _ in range(10):
            await anyio.lowlevel.checkpoint()


A_PROBE_IS_CANCELLED_AT_ITS_ADMISSION: list[tuple[Operation, bool, int]] = [
    (Come(), True, 4),
    (End(0, 429), True, 1),
    (Pass(1.1), True, 1),
    (End(0, None), True, 1),
    (Pass(0.05), True, 1),
    (End(0, None), False, 1),
    (Leave(0, natively=True), True, 1),
]
A_TEST_OF_A_LONG_PAUSE_SUCCEEDS: list[tuple[Operation, bool, int]] = [
    (Come(), True, 1),
    (End(0, 429, retry_after=120.0), True, 1),
    (Pass(61.0), True, 1),
    (Come(max_pause=3.0), True, 1),
    (End(0, 200), True, 1),
    (Come(max_pause=3.0), True, 30),
]
AN_OLD_REQUEST_MAKES_THE_PAUSE_LONGER: list[tuple[Operation, bool, int]] = [
    (Come(), True, 2),
    (End(0, 429, None), True, 1),
    (Pass(5.0), True, 1),
    (Come(), True, 1),
    (End(1, 200), True, 1),
    (End(0, 429, retry_after=7.0), True, 1),
    (Come(), True, 3),
    (Pass(61.0), True, 1),
]
LIMITS_GROW_BEHIND_RETRIES: list[tuple[Operation, bool, int]] = [
    (Come(gives_up=1.5), True, 11),
    (End(0, 200), True, 9),
    (Come(max_pause=90.0, is_retry=True), True, 9),
    (Stall(1.1), True, 1),
    (Resize(17, 2), True, 1),
]
A_TEST_OF_A_PAUSE_GOES_AHEAD_OF_THE_QUEUE: list[tuple[Operation, bool, int]] = [
    (Come(), True, 3),
    (End(0, 429, retry_after=120.0), True, 1),
    (Resize(parallel=1), True, 1),
    (Come(), True, 3),
    (Pass(61.0), True, 1),
    (Come(max_pause=3.0), True, 5),
]


A_SLOT_LINGERS_AFTER_SLOW_RESPONSES = [
    (Come(), False, 1),
    (Come(gives_up=0.3), False, 1),
    (Pass(5.0), False, 1),
    (End(0, 200), False, 3),
    (Come(), False, 1),
    (Come(gives_up=0.3), False, 1),
    (Pass(0.3), False, 1),
]
THE_HEAD_BECOMES_TOO_LATE_FOR_A_RESPONSE: list[tuple[Operation, bool, int]] = [
    (Come(), False, 8),
    (Pass(0.3), True, 1),
    (End(0, 200), False, 8),
    (Come(connecting=0.7), False, 13),
    (Leave(0), True, 1),
    (End(0, 200), False, 4),
    (Come(gives_up=1.5), False, 30),
    (Pass(1.1), False, 1),
    (End(0, 200), False, 7),
    (Stall(0.05), False, 1),
    (Resize(16, 20), False, 1),
    (Come(), True, 25),
    (Stall(0.05), True, 1),
]
RESPONSES_ARE_FASTER_THAN_THEY_WERE: list[tuple[Operation, bool, int]] = [
    (Come(), False, 8),
    (Pass(5.0), True, 1),
    (End(0, 200), True, 8),
    (Come(), True, 10),
    (Come(gives_up=1.5), True, 30),
    (Pass(0.001), False, 1),
    (End(8, 200), True, 3),
]


# No slot comes back beyond the new limit, although successes were counted before it.
LIMITS_ARE_LOWERED_AMONG_SUCCESSES: list[tuple[Operation, bool, int]] = [
    (Come(), True, 18),
    (End(0, 503), True, 1),
    (End(0, 200), True, 8),
    (Resize(parallel=5), True, 1),
    (End(0, 200), True, 1),
]


@settings(any_scenario, max_examples=200)
@given(operations, st.integers(1, 5) | st.integers(1, 40), st.integers(1, 20))
@example(A_PROBE_IS_CANCELLED_AT_ITS_ADMISSION, 40, 1)
@example(A_TEST_OF_A_LONG_PAUSE_SUCCEEDS, 40, 20)
@example(A_TEST_OF_A_PAUSE_GOES_AHEAD_OF_THE_QUEUE, 40, 20)
@example(AN_OLD_REQUEST_MAKES_THE_PAUSE_LONGER, 40, 20)
@example(LIMITS_GROW_BEHIND_RETRIES, 4, 11)
@example(A_SLOT_LINGERS_AFTER_SLOW_RESPONSES, 3, 2)
@example(THE_HEAD_BECOMES_TOO_LATE_FOR_A_RESPONSE, 25, 10)
@example(RESPONSES_ARE_FASTER_THAN_THEY_WERE, 25, 10)
@example(LIMITS_ARE_LOWERED_AMONG_SUCCESSES, 40, 18)
async def test_in_any_order_the_throttle_agrees_with_the_model(
    steps: list[tuple[Operation, bool, int]], per_second: int, parallel: int
) -> None:
    world = World(per_second, parallel)
    async with world.group:
        for operation, rests, times in steps:
            for _ in range(times if isinstance(operation, Come | End) else 1):
                await world.do(operation)
            if rests:
                await come_to_rest()
                world.check()
        await come_to_rest()
        world.check()
        await world.let_everything_end()
        await world.check_that_nothing_is_lost()
    world.check_order()
    world.check_window()


# --- a server that counts somewhere in transit -----------------------------------------------------------------------

Counting = Literal["fixed", "sliding", "bucket"]


@frozen
class Travel:
    """How one call travels: seconds to connect, to the server, and until its caller gives up."""

    connecting: float = 0.0
    there: float = 0.0
    gives_up_after: float = math.inf


@define(eq=False)
class Server:
    """Counts a request when it arrives, awaited or not, and responds after a constant time."""

    counting: Counting
    phase: float
    responds_after: float
    group: anyio.abc.TaskGroup = Factory(anyio.create_task_group)
    counter: RateCounter = field(init=False)
    in_flight: int = 0
    peak: int = 0
    refused: list[float] = Factory(list)

    def __attrs_post_init__(self) -> None:
        kinds: dict[Counting, RateCounter] = {
            "fixed": FixedWindow(40),
            "sliding": SlidingLog(40),
            "bucket": TokenBucket(40, 40),
        }
        self.counter = kinds[self.counting]

    async def exchange(self, throttle: Throttle, travels: Iterator[Travel]) -> None:
        permit = await throttle._acquire()
        # In the order of admission, since trio starts tasks in any order.
        travel = next(travels)
        response = Response()
        status = None
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            with anyio.move_on_after(travel.gives_up_after):
                await anyio.sleep(travel.connecting)
                await permit.trace(*SENT)
                self.group.start_soon(self._respond, travel.there, response)
                await response.received.wait()
                status = response.status
        finally:
            self.in_flight -= 1
            throttle._release(permit, status, given_up=status is None)

    async def _respond(self, there: float, response: Response) -> None:
        await anyio.sleep(there)
        now = anyio.current_time()
        if self.counter.acquire(now + self.phase) is not None:
            self.refused.append(now)
        await anyio.sleep(self.responds_after)
        response.status = 429 if now in self.refused else 200
        response.received.set()


@define(eq=False)
class Response:
    received: anyio.Event = Factory(anyio.Event)
    status: int | None = None


async def check_that_nothing_is_refused(
    counting: Counting,
    phase: float,
    responds_after: float,
    bursts: Sequence[tuple[float, int]],
    travels: Sequence[Travel],
) -> None:
    """Let calls come in bursts after pauses; their travels repeat themselves."""
    server, throttle, endless = Server(counting, phase, responds_after), Throttle(), cycle(travels)
    async with server.group:
        for pause, calls in bursts:
            await anyio.sleep(pause)
            for _ in range(calls):
                server.group.start_soon(server.exchange, throttle, endless)
    assert server.refused == []
    assert server.peak <= 20
    seen = throttle.statistics()
    assert (seen.in_flight, seen.waiting, seen.admitted) == (0, 0, sum(calls for _, calls in bursts))
    assert (seen.paused_for, seen.paced_for, seen.max_in_flight) == (0, 0, 20)


any_counting: st.SearchStrategy[Counting] = st.sampled_from(["sliding", "fixed", "bucket"])
any_bursts = st.lists(
    st.tuples(st.sampled_from([0.0, 0.001, 0.1, 0.5, 0.95, 1.0, 1.5, 3.0]), st.integers(1, 90)), min_size=1, max_size=5
)
any_phase = st.floats(0.0, 1.0)
some_connect_slowly = st.sampled_from([0.0, 0.0, 0.05, 0.4])


def travels(
    there: st.SearchStrategy[float], gives_up_after: st.SearchStrategy[float]
) -> st.SearchStrategy[list[Travel]]:
    """Any travels, an undisturbed one among them.

    Without an undisturbed one, nothing shows how long a request travels undisturbed.
    """
    disturbed = st.lists(st.builds(Travel, some_connect_slowly, there, gives_up_after), max_size=7)
    base = st.sampled_from([0.0, 0.02, 0.15])
    return st.builds(
        lambda base, disturbed: [
            Travel(there=base),
            *(evolve(travel, there=base + travel.there) for travel in disturbed),
        ],
        base,
        disturbed,
    )


@settings(any_scenario, max_examples=40)
@given(
    any_counting,
    any_phase,
    st.sampled_from([0.0, 0.005, 0.03, 0.1, 0.4]),
    any_bursts,
    travels(there=st.floats(0.0, JITTER), gives_up_after=st.just(math.inf)),
)
async def test_no_request_is_refused_however_long_they_travel(
    counting: Counting, phase: float, responds_after: float, bursts: list[tuple[float, int]], travels: list[Travel]
) -> None:
    """As long as their travels differ by 50 ms at most."""
    await check_that_nothing_is_refused(counting, phase, responds_after, bursts, travels)


@settings(any_scenario, max_examples=40)
@given(
    any_counting,
    any_phase,
    st.sampled_from([0.0, 0.005, 0.03, 0.1, 0.4]),
    any_bursts,
    st.sampled_from([0.0, 0.15]),
    st.lists(st.floats(0.0, JITTER), min_size=24, max_size=30),
    st.sampled_from([0.3, 0.7, 2.0]),
)
async def test_no_request_is_refused_however_long_a_few_are_delayed(
    counting: Counting,
    phase: float,
    responds_after: float,
    bursts: list[tuple[float, int]],
    base: float,
    jitter: list[float],
    delay: float,
) -> None:
    """A packet is lost, for example; what took unusually long is not taken to have arrived soon."""
    travels = [Travel(there=base + more) for more in (0.0, *jitter, delay)]
    await check_that_nothing_is_refused(counting, phase, responds_after, bursts, travels)


@settings(any_scenario, max_examples=40)
@given(
    any_counting,
    any_phase,
    st.sampled_from([0.0, 0.03, 0.4, 1.0, 3.0]),
    any_bursts,
    travels(there=st.floats(0.0, JITTER), gives_up_after=st.sampled_from([math.inf, 0.0, 0.001, 0.06, 0.5])),
)
async def test_none_is_refused_although_slow_calls_are_given_up(
    counting: Counting, phase: float, responds_after: float, bursts: list[tuple[float, int]], travels: list[Travel]
) -> None:
    """Without a response it is unknown when a request arrived; the throttle assumes 50 ms at most."""
    await check_that_nothing_is_refused(counting, phase, responds_after, bursts, travels)


# --- calls of all kinds ----------------------------------------------------------------------------------------------

# Each with a number, since equal calls would be one request.
KINDS: dict[str, Callable[[AsyncClient, int], Coroutine[Any, Any, object]]] = {
    "/v1/ping": lambda client, _: client.ping(),
    "/v1/account": lambda client, number: client.account(
        include=[setting for bit, setting in enumerate(SETTINGS) if number + 1 & 1 << bit]
    ),
    "/v1/metrics/mrr": lambda client, number: client.metrics.mrr("2025-01-01", "2025-12-31", plans=str(number)),
    "/v1/metrics/arr": lambda client, number: client.metrics.arr("2025-01-01", "2025-12-31", plans=str(number)),
    "/v1/customers/search": lambda client, number: client.customers.search(f"nobody-{number}@example.com"),
}
COMPANY = Company(customers=3)


@settings(any_scenario, max_examples=25)
@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=20))
@example(["/v1/ping", "/v1/ping", "/v1/metrics/mrr", "/v1/ping"])
async def test_calls_of_all_kinds_are_sent_in_their_order(kinds: list[str]) -> None:
    sandbox = Sandbox(COMPANY, latency=0.1)
    sent: list[str] = []

    class Noting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            sent.append(request.url.path)
            return await sandbox.transport().handle_async_request(request)

    client = AsyncClient("sandbox", transport=Noting(), throttle=Throttle(parallel=1))
    async with client, anyio.create_task_group() as group:
        for number, kind in enumerate(kinds):
            group.start_soon(KINDS[kind], client, number)
            await come_to_rest()
    assert sent == kinds
