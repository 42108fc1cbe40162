"""Properties of the throttle in virtual time: whatever happens, the limits hold, in order, and nothing is lost.

Two kinds of scenario. In the first one, any operations follow one another, and the throttle is held against a model at
every step. In the second one, a server counts each request somewhere on its way and really refuses what is too much.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from itertools import cycle, pairwise
from typing import Any, Literal

import anyio
import anyio.abc
import anyio.lowlevel
import httpx
import trio
import trio.testing
from attrs import Factory, define, evolve, field, frozen
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chartmogul_async import AsyncClient, Throttle
from chartmogul_async.errors import RateLimitError
from chartmogul_async.sandbox import Company, Sandbox
from chartmogul_async.sandbox.limits import Counter, FixedWindow, SlidingLog, TokenBucket
from chartmogul_async.transport.grants import Grant
from chartmogul_async.transport.window import UNDER_WAY
from tests.conftest import VirtualTimeLoop

SENT: tuple[str, dict[str, Any]] = ("http11.send_request_headers.complete", {"return_value": None})
SECOND = 1.0
ROUNDING = 1e-9  # seconds; sums of floats
UNDOUBTED = 1.1  # seconds; the window and a margin for rounding and slack

# pytest's fixtures are the same for all examples, which the backend's event loop may be.
any_scenario = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# --- operations ----------------------------------------------------------------------------------------------------


@frozen
class Come:
    """A call asks to be admitted, and writes its request to a connection that takes some time to open."""

    patience: float = math.inf
    connecting: float = 0.0


@frozen
class End:
    """One of the exchanges ends, with an answer or (None) without."""

    which: int
    status: int | None
    retry_after: float | None = None


@frozen
class Leave:
    """One of the calls is cancelled, wherever it is; ``bluntly`` by asyncio itself, which tells no scope."""

    which: int
    bluntly: bool = False


@frozen
class Resize:
    per_second: int | None = None
    parallel: int | None = None


@frozen
class Pass:
    seconds: float


@frozen
class Stall:
    """Time passes while no task can run, as when somebody blocks the event loop; timers are late then."""

    seconds: float


Operation = Come | End | Leave | Resize | Pass | Stall

which = st.just(0) | st.integers(0, 30)
coming = st.builds(
    Come,
    st.sampled_from([math.inf, math.inf, math.inf, 90.0, 3.0, 0.0]),
    st.sampled_from([0.0, 0.0, 0.0, 0.02, 0.7]),
)
ending = st.builds(
    End,
    which,
    st.sampled_from([200, 200, 200, 200, 404, 500, 429, 503, None]),
    st.sampled_from([None, None, 0.0, 0.5, 7.0, 120.0]),
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
        st.booleans(),  # whether everything comes to rest before the next one
        st.integers(1, 30),  # how often the first kind is repeated: without bursts, no limit is ever met
    ),
    max_size=60,
)


# --- the model -----------------------------------------------------------------------------------------------------


@define(eq=False)
class Call:
    """One caller, as the model knows it."""

    patience: float
    connecting: float
    came: float
    per_second: int = 0  # the limit in force when it was admitted
    admitted: float | None = None
    sent: float | None = None
    ended: float | None = None
    grant: Grant | None = None
    is_test: bool = False  # admitted during a pause, to see whether the server still means it
    refused: bool = False
    gone: bool = False
    scope: anyio.CancelScope = Factory(anyio.CancelScope)
    over: anyio.Event = Factory(anyio.Event)
    task: asyncio.Task[Any] | None = None

    @property
    def waits(self) -> bool:
        return self.admitted is None and not self.refused and not self.gone

    @property
    def may_be_counted_until(self) -> float:
        """When its start cannot be in the window any more."""
        if self.ended is not None:
            return self.ended + UNDOUBTED
        return math.inf if self.sent is None else self.sent + UNDER_WAY + UNDOUBTED

    @property
    def is_in_flight(self) -> bool:
        return self.admitted is not None and self.ended is None


@define(eq=False)
class World:
    """A throttle with its callers, and beside it what its documents promise of it."""

    per_second: int
    parallel: int
    group: anyio.abc.TaskGroup = Factory(anyio.create_task_group)
    throttle: Throttle = field(init=False)
    places: int = field(init=False)
    calls: list[Call] = Factory(list)
    refused_at: float = -math.inf  # when a 429 began the latest pause
    is_trusted: bool = True  # no 429 since the latest success
    lowered_at: float = -math.inf
    successes: int = 0

    def __attrs_post_init__(self) -> None:
        self.throttle = Throttle(self.per_second, self.parallel)
        self.places = self.parallel

    @property
    def in_flight(self) -> list[Call]:
        return [call for call in self.calls if call.is_in_flight]

    @property
    def waiting(self) -> list[Call]:
        return [call for call in self.calls if call.waits]

    # --- what happens ------------------------------------------------------------------------------------------

    async def do(self, operation: Operation) -> None:
        match operation:
            case Come(patience, connecting):
                self.group.start_soon(self._call, patience, connecting)
            case End(which, status, retry_after):
                await self._end_one(which, status, retry_after)
            case Leave(which, bluntly):
                self._cancel_one(which, bluntly)
            case Resize(per_second, parallel):
                await self._resize(per_second, parallel)
            case Pass(seconds):
                await anyio.sleep(seconds)
            case Stall(seconds):
                stall(seconds)

    async def _call(self, patience: float, connecting: float) -> None:
        call = Call(patience, connecting, anyio.current_time())
        self.calls.append(call)  # here, since trio starts tasks in any order
        if not trio.lowlevel.in_trio_run():
            call.task = asyncio.current_task()
        try:
            with call.scope:
                await self._exchange(call)
        except asyncio.CancelledError:
            assert call.task is not None
            call.task.uncancel()  # the test's own cancellation ends here
        call.gone = True

    async def _exchange(self, call: Call) -> None:
        try:
            call.grant = await self.throttle.acquire(call.patience)
        except RateLimitError:
            self._note_refusal(call)
            return
        try:
            self._note_admission(call)
            with anyio.move_on_after(call.connecting):
                await call.over.wait()
            if call.ended is None:
                await call.grant.trace(*SENT)
                call.sent = anyio.current_time()
                await call.over.wait()
        finally:
            if call.ended is None:
                self.end(call, None)

    async def _end_one(self, which: int, status: int | None, retry_after: float | None) -> None:
        if status in (429, 503):
            await come_to_rest()  # so that all who are admitted know it, before there is a pause or fewer places
        if self.in_flight:
            call = self.in_flight[which % len(self.in_flight)]
            self.end(call, None if call.sent is None else status, retry_after)

    def end(self, call: Call, status: int | None, retry_after: float | None = None) -> None:
        """The exchange is over, and everybody learns from its answer."""
        assert call.grant is not None
        assert call.admitted is not None
        self._learn(call.admitted, status)
        call.ended = anyio.current_time()
        call.over.set()
        pause = self.throttle.statistics().paused_until
        self.throttle.release(call.grant, status, retry_after)
        if self.throttle.statistics().paused_until != pause and status == 429:
            self.refused_at = anyio.current_time()  # also where an old request has only made the pause longer

    def _cancel_one(self, which: int, bluntly: bool) -> None:
        alive = self.waiting + self.in_flight
        if not alive:
            return
        call = alive[which % len(alive)]
        if bluntly and call.task is not None:
            call.task.cancel()
        else:
            call.scope.cancel()

    async def _resize(self, per_second: int | None, parallel: int | None) -> None:
        await come_to_rest()  # so that all who are admitted know it, before the limits are others
        self.per_second = per_second or self.per_second
        if parallel is not None:
            self.parallel = self.places = parallel
        self.throttle.resize(per_second=per_second, parallel=parallel)

    # --- what is promised --------------------------------------------------------------------------------------

    def _note_admission(self, call: Call) -> None:
        call.admitted = anyio.current_time()
        call.is_test = call.admitted < (self.throttle.statistics().paused_until or -math.inf)
        call.per_second = self.per_second
        assert len(self.in_flight) <= self.places, f"{len(self.in_flight)} in flight in {self.places} places"
        if call.is_test:
            assert call.patience < math.inf, "admitted during a pause that it would have sat out"
            assert call.admitted > self.refused_at + 60 - ROUNDING, "admitted during a pause that has only just begun"
        if not self.is_trusted:
            ahead = [other for other in self.in_flight if other is not call and (other.admitted or 0) > self.refused_at]
            assert not ahead, "after a pause another one has gone ahead and is not back"

    def _note_refusal(self, call: Call) -> None:
        call.refused = True
        paused_until = self.throttle.statistics().paused_until
        assert paused_until is not None, "refused without any pause"
        assert paused_until - call.came > call.patience - ROUNDING, "refused although the caller's patience lasts"

    def _learn(self, admitted: float, status: int | None) -> None:
        now = anyio.current_time()
        if status == 429:
            self.is_trusted = False
            if admitted > self.refused_at:
                self.refused_at = now
        elif status == 503:
            if len(self.in_flight) > 1 and admitted > self.lowered_at:
                self.lowered_at = now
                self.places = max(1, min(self.places, len(self.in_flight)) // 2)
                self.successes = 0
        elif status is not None:
            self.is_trusted = self.is_trusted or admitted > self.refused_at
            self.successes += self.places < self.parallel
            if self.successes >= self.places:
                self.places, self.successes = self.places + 1, 0

    def check(self) -> None:
        """Hold the throttle against the model, at a moment when nothing moves."""
        told = self.throttle.statistics()
        admitted = sum(call.admitted is not None for call in self.calls)
        assert (told.in_flight, told.waiting) == (len(self.in_flight), len(self.waiting))
        assert (told.admitted, told.places) == (admitted, self.places)
        assert told.waited <= told.admitted
        if self.waiting:
            assert self._reasons_to_wait(), "somebody waits, and nothing is in the way"
        pause = (told.paused_until or -math.inf) - anyio.current_time()
        assert not [call for call in self.waiting if call.patience < pause - ROUNDING], "waits beyond its patience"

    def _reasons_to_wait(self) -> list[str]:
        now, told = anyio.current_time(), self.throttle.statistics()
        in_window = sum(call.may_be_counted_until > now for call in self.calls if call.admitted is not None)
        reasons = {
            "all places are taken": len(self.in_flight) >= self.places,
            "the second is full": in_window >= self.per_second,
            "the server asked for a pause": now < (told.paused_until or -math.inf),
            "the starts are spread evenly": now < (told.paced_until or -math.inf),
            "one goes ahead after a pause": not self.is_trusted and bool(self.in_flight),
        }
        return [reason for reason, holds in reasons.items() if holds]

    def check_order(self) -> None:
        """Calls are admitted in the order in which they came."""
        moments = [call.admitted for call in self.calls if call.admitted is not None and not call.is_test]
        assert all(earlier <= later for earlier, later in pairwise(moments))

    def check_window(self) -> None:
        """No second holds more than were allowed when the last of them was admitted; a sliding log would refuse it.

        The other ways of counting follow: a fixed window is one of those seconds, and a bucket is filled as fast.
        """
        counted = [call for call in self.calls if call.sent is not None]
        for at, call in enumerate(counted):
            assert call.sent is not None
            earlier = sorted(other.sent for other in counted[:at] if other.sent is not None)
            begins = [begin for begin in (*earlier, call.sent) if begin <= call.sent < begin + SECOND - ROUNDING]
            most = max(sum(begin <= one < begin + SECOND - ROUNDING for one in earlier) for begin in begins)
            assert most < call.per_second, f"request {most + 1} in a second that allows {call.per_second}"

    # --- the end -----------------------------------------------------------------------------------------------

    async def let_everything_end(self) -> None:
        """From now on all is well: whoever still waits is admitted in finite time."""
        with anyio.fail_after(3600):
            while self.in_flight or self.waiting:
                for call in [call for call in self.in_flight if call.sent is not None]:
                    self.end(call, 200)
                await anyio.sleep(0.05)
                await come_to_rest()
        self.check()

    async def check_that_nothing_is_lost(self) -> None:
        """After the pauses, all places and the whole second can be taken at the same moment."""
        told = self.throttle.statistics()
        quiet = max(told.paused_until or 0.0, told.paced_until or 0.0)
        await anyio.sleep(max(0.0, quiet - anyio.current_time()))
        while self.throttle.statistics().places < self.parallel or not self.is_trusted:
            await self.do(Come())
            await come_to_rest()
            await self.let_everything_end()
        await anyio.sleep(UNDOUBTED)
        now, most = anyio.current_time(), max(self.parallel, self.per_second)
        self.throttle.resize(per_second=most, parallel=most)  # so that neither limit hides what the other has lost
        for _ in range(most):
            await self.throttle.acquire()
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
    else:  # there it would sleep between its looks
        for _ in range(10):
            await anyio.lowlevel.checkpoint()


A_PROBE_IS_CANCELLED_IN_THE_MOMENT_OF_ITS_ADMISSION: list[tuple[Operation, bool, int]] = [
    (Come(), True, 4),
    (End(0, 429), True, 1),
    (Pass(1.1), True, 1),
    (End(0, None), True, 1),
    (Pass(0.05), True, 1),
    (End(0, None), False, 1),
    (Leave(0, bluntly=True), True, 1),
]
A_PAUSE_THAT_IS_TOO_LONG_FOR_ANYBODY_IS_NOT_MEANT_ANY_MORE: list[tuple[Operation, bool, int]] = [
    (Come(), True, 1),
    (End(0, 429, retry_after=120.0), True, 1),
    (Pass(61.0), True, 1),
    (Come(patience=3.0), True, 1),
    (End(0, 200), True, 1),
    (Come(patience=3.0), True, 30),
]
AN_OLD_REQUEST_IS_TOLD_OF_A_LONGER_PAUSE: list[tuple[Operation, bool, int]] = [
    (Come(), True, 2),
    (End(0, 429, None), True, 1),
    (Pass(5.0), True, 1),
    (Come(), True, 1),
    (End(1, 200), True, 1),
    (End(0, 429, retry_after=7.0), True, 1),
    (Come(), True, 3),
    (Pass(61.0), True, 1),
]
A_TEST_OF_A_PAUSE_GOES_AHEAD_OF_THE_LINE: list[tuple[Operation, bool, int]] = [
    (Come(), True, 3),
    (End(0, 429, retry_after=120.0), True, 1),
    (Resize(parallel=1), True, 1),
    (Come(), True, 3),
    (Pass(61.0), True, 1),
    (Come(patience=3.0), True, 5),
]


@settings(any_scenario, max_examples=200)
@given(operations, st.integers(1, 5) | st.integers(1, 40), st.integers(1, 20))
@example(A_PROBE_IS_CANCELLED_IN_THE_MOMENT_OF_ITS_ADMISSION, 40, 1)
@example(A_PAUSE_THAT_IS_TOO_LONG_FOR_ANYBODY_IS_NOT_MEANT_ANY_MORE, 40, 20)
@example(A_TEST_OF_A_PAUSE_GOES_AHEAD_OF_THE_LINE, 40, 20)
@example(AN_OLD_REQUEST_IS_TOLD_OF_A_LONGER_PAUSE, 40, 20)
async def test_whatever_happens_the_throttle_does_what_the_model_says(
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


# --- a server that counts somewhere on the way -----------------------------------------------------------------------

Counting = Literal["fixed", "sliding", "bucket"]


@frozen
class Way:
    """How one call travels: seconds to connect, to the server, and until its caller gives up."""

    connecting: float = 0.0
    there: float = 0.0
    patience: float = math.inf


@define(eq=False)
class Server:
    """Counts a request after its way there, whether somebody still waits or not, and answers after a constant time."""

    counting: Counting
    phase: float
    answers_after: float
    group: anyio.abc.TaskGroup = Factory(anyio.create_task_group)
    counter: Counter = field(init=False)
    in_flight: int = 0
    peak: int = 0
    refused: list[float] = Factory(list)

    def __attrs_post_init__(self) -> None:
        kinds: dict[Counting, Counter] = {
            "fixed": FixedWindow(40),
            "sliding": SlidingLog(40),
            "bucket": TokenBucket(40, 40),
        }
        self.counter = kinds[self.counting]

    async def exchange(self, throttle: Throttle, way: Way) -> None:
        grant = await throttle.acquire()
        answer = Answer()
        status = None
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            with anyio.move_on_after(way.patience):
                await anyio.sleep(way.connecting)
                await grant.trace(*SENT)
                self.group.start_soon(self._answer, way.there, answer)
                await answer.came.wait()
                status = answer.status
        finally:
            self.in_flight -= 1
            throttle.release(grant, status)

    async def _answer(self, way_there: float, answer: Answer) -> None:
        await anyio.sleep(way_there)
        now = anyio.current_time()
        if self.counter.wait(now + self.phase) is not None:
            self.refused.append(now)
        await anyio.sleep(self.answers_after)
        answer.status = 429 if now in self.refused else 200
        answer.came.set()


@define(eq=False)
class Answer:
    came: anyio.Event = Factory(anyio.Event)
    status: int | None = None


async def check_that_nothing_is_refused(
    counting: Counting, phase: float, answers_after: float, bursts: Sequence[tuple[float, int]], ways: Sequence[Way]
) -> None:
    """Let calls come in bursts after pauses; the ways to the server repeat themselves."""
    server, throttle, way = Server(counting, phase, answers_after), Throttle(), cycle(ways)
    async with server.group:
        for pause, calls in bursts:
            await anyio.sleep(pause)
            for _ in range(calls):
                server.group.start_soon(server.exchange, throttle, next(way))
    assert server.refused == []
    assert server.peak <= 20
    told = throttle.statistics()
    assert (told.in_flight, told.waiting, told.admitted) == (0, 0, sum(calls for _, calls in bursts))
    assert (told.paused_until, told.paced_until, told.places) == (None, None, 20)


any_counting: st.SearchStrategy[Counting] = st.sampled_from(["sliding", "fixed", "bucket"])
any_bursts = st.lists(
    st.tuples(st.sampled_from([0.0, 0.001, 0.1, 0.5, 0.95, 1.0, 1.5, 3.0]), st.integers(1, 90)), min_size=1, max_size=5
)
any_phase = st.floats(0.0, 1.0)
some_connect_slowly = st.sampled_from([0.0, 0.0, 0.05, 0.4])


def ways(there: st.SearchStrategy[float], patience: st.SearchStrategy[float]) -> st.SearchStrategy[list[Way]]:
    """Any ways, an undisturbed one among them.

    Of ways that never are undisturbed nobody can know how long they take undisturbed.
    """
    disturbed = st.lists(st.builds(Way, some_connect_slowly, there, patience), max_size=7)
    base = st.sampled_from([0.0, 0.02, 0.15])
    return st.builds(
        lambda base, disturbed: [Way(there=base), *(evolve(way, there=base + way.there) for way in disturbed)],
        base,
        disturbed,
    )


@settings(any_scenario, max_examples=40)
@given(
    any_counting,
    any_phase,
    st.sampled_from([0.0, 0.005, 0.03, 0.1, 0.4]),
    any_bursts,
    ways(there=st.floats(0.0, 0.1), patience=st.just(math.inf)),
)
async def test_no_request_is_refused_however_long_some_are_held_up_on_their_way(
    counting: Counting, phase: float, answers_after: float, bursts: list[tuple[float, int]], ways: list[Way]
) -> None:
    await check_that_nothing_is_refused(counting, phase, answers_after, bursts, ways)


@settings(any_scenario, max_examples=40)
@given(
    any_counting,
    any_phase,
    st.sampled_from([0.0, 0.03, 0.4, 1.0, 3.0]),
    any_bursts,
    ways(there=st.floats(0.0, UNDER_WAY), patience=st.sampled_from([math.inf, 0.0, 0.001, 0.06, 0.5])),
)
async def test_no_request_is_refused_although_answers_are_slow_and_callers_give_up(
    counting: Counting, phase: float, answers_after: float, bursts: list[tuple[float, int]], ways: list[Way]
) -> None:
    """Of a request without an answer nobody knows when it arrives; the throttle takes 50 ms for enough."""
    await check_that_nothing_is_refused(counting, phase, answers_after, bursts, ways)


# --- calls of all kinds ----------------------------------------------------------------------------------------------

KINDS: dict[str, Callable[[AsyncClient], Coroutine[Any, Any, object]]] = {
    "/v1/ping": lambda client: client.ping(),
    "/v1/account": lambda client: client.account(),
    "/v1/metrics/mrr": lambda client: client.metrics.mrr("2025-01-01", "2025-12-31"),
    "/v1/metrics/arr": lambda client: client.metrics.arr("2025-01-01", "2025-12-31"),
    "/v1/customers/search": lambda client: client.customers.search("nobody@example.com"),
}
COMPANY = Company(customers=3)


@settings(any_scenario, max_examples=25)
@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=20))
@example(["/v1/ping", "/v1/ping", "/v1/metrics/mrr", "/v1/ping"])
async def test_calls_are_sent_in_the_order_in_which_they_came_whatever_they_ask_for(kinds: list[str]) -> None:
    sandbox = Sandbox(COMPANY, latency=0.1)
    sent: list[str] = []

    class Noting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            sent.append(request.url.path)
            return await sandbox.transport().handle_async_request(request)

    client = AsyncClient("sandbox", transport=Noting(), throttle=Throttle(parallel=1))
    async with client, anyio.create_task_group() as group:
        for kind in kinds:
            group.start_soon(KINDS[kind], client)
            await come_to_rest()
    assert sent == kinds
