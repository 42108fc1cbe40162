"""Properties of limits that processes share, in virtual time: they hold, in order, and nothing is lost."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise
from typing import Any

import anyio
import anyio.abc
import pytest
import trio
from attrs import Factory, define, field, frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chartmogul_async.errors import RateLimitError
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.permits import Claim, Permit
from chartmogul_async.transport.shared import SharedQueue
from tests.shared_limits import LoopStore
from tests.test_throttle_properties import (
    ROUNDING,
    SECOND,
    SENT,
    Leave,
    Pass,
    Stall,
    any_scenario,
    come_to_rest,
    stall,
    which,
)

# Seconds after which a process has looked for what a response to another one changed, and for a turn that is lost.
LOOKS_AGAIN = 0.6
# Seconds after which a process that was not seen is taken to be gone, as one that waits for nothing after an outage.
LEASE = 5.0
# Seconds after an outage in which limits may not hold: another try, the pause, and what was admitted before it.
DOUBTFUL = 3.5

# --- operations ----------------------------------------------------------------------------------------------------


@frozen
class Come:
    """A call of a process waits for a permit, and is sent."""

    process: int = 0
    is_batch: bool = False
    max_pause: float = math.inf
    # Seconds until its caller gives up.
    gives_up: float = math.inf


@frozen
class End:
    """One of the exchanges ends, with a response or (None) without."""

    which: int = 0
    status: int | None = 200


@frozen
class Away:
    """The store is away for so many seconds."""

    seconds: float


Operation = Come | End | Leave | Away | Pass | Stall

coming = st.builds(
    Come,
    st.integers(0, 2),
    st.sampled_from([False, False, True]),
    st.sampled_from([math.inf, math.inf, 3.0]),
    st.sampled_from([math.inf, math.inf, math.inf, 0.3, 1.5]),
)
operations = st.lists(
    st.tuples(
        st.one_of(
            coming,
            coming,
            st.builds(End, which, st.sampled_from([200, 200, 200, 404, 429, 503, None])),
            st.builds(Leave, which, st.booleans()),
            st.builds(Pass, st.sampled_from([0.001, 0.003, 0.05, 0.3, 1.1])),
            st.builds(Away, st.sampled_from([0.05, 1.5])) | st.builds(Stall, st.sampled_from([0.05, 1.1])),
        ),
        # Whether it is looked at who waits before the next one.
        st.booleans(),
        # How often the first kinds are repeated.
        st.integers(1, 12),
    ),
    max_size=25,
)


# --- the model -----------------------------------------------------------------------------------------------------


@define(eq=False)
class Call:
    """One caller, as the model knows it."""

    come: Come
    came: float
    scope: anyio.CancelScope = Factory(anyio.CancelScope)
    task: asyncio.Task[Any] | None = None
    permit: Permit | None = None
    sent: float = math.inf
    ended: float = math.inf
    status: int | None = None
    has_left: bool = False
    gone: bool = False
    over: anyio.Event = Factory(anyio.Event)


@define(eq=False)
class World:
    """Three processes with their callers, and beside them what is promised."""

    per_second: int
    parallel: int
    latency: float
    group: anyio.abc.TaskGroup = Factory(anyio.create_task_group)
    store: LoopStore = field(init=False)
    queues: list[SharedQueue] = field(init=False)
    calls: list[Call] = Factory(list)
    doubtful_until: float = -math.inf

    def __attrs_post_init__(self) -> None:
        self.store = LoopStore(self.latency, LEASE)
        self.queues = [SharedQueue(self.store, "account", self.per_second, self.parallel) for _ in range(3)]

    @property
    def in_flight(self) -> list[Call]:
        return [call for call in self.calls if call.sent < math.inf and call.ended == math.inf]

    @property
    def waiting(self) -> list[Call]:
        return [call for call in self.calls if call.permit is None and not call.gone]

    @property
    def limits(self) -> AccountLimits:
        return self.store.limits("account") if self.store.accounts else AccountLimits(self.per_second, self.parallel)

    # --- what happens ------------------------------------------------------------------------------------------

    async def do(self, operation: Operation) -> None:
        match operation:
            case Come():
                self.group.start_soon(self._call, operation)
            case End(which, status):
                running = [call for call in self.in_flight if not call.over.is_set()]
                if running:
                    self.end(running[which % len(running)], status)
            case Leave(which, natively):
                self._cancel_one(which, natively)
            case Away(seconds):
                self.store.is_away = True
                await anyio.sleep(seconds)
                self.store.is_away = False
                self.doubtful_until = anyio.current_time() + DOUBTFUL
            case Pass(seconds):
                await anyio.sleep(seconds)
            case Stall(seconds):
                stall(seconds)

    def end(self, call: Call, status: int | None) -> None:
        call.status = status
        call.over.set()

    def _cancel_one(self, which: int, natively: bool) -> None:
        alive = [call for call in self.calls if not call.gone and not call.has_left]
        if not alive:
            return
        call = alive[which % len(alive)]
        call.has_left = True
        if natively and call.task is not None:
            call.task.cancel()
        else:
            call.scope.cancel()

    async def _call(self, come: Come) -> None:
        call = Call(come, anyio.current_time())
        self.calls.append(call)
        if not trio.lowlevel.in_trio_run():
            call.task = asyncio.current_task()
        try:
            with anyio.CancelScope(deadline=call.came + come.gives_up), call.scope:
                await self._exchange(call)
        except asyncio.CancelledError:
            if not call.has_left:
                raise
            # The cancellation was the test's own, and ends here.
        call.gone = True

    async def _exchange(self, call: Call) -> None:
        queue, max_pause = self.queues[call.come.process], call.come.max_pause
        try:
            call.permit = await queue.acquire(max_pause, claim=Claim(call.come.is_batch))
        except RateLimitError:
            assert max_pause < math.inf, "refused although it would have waited"
            return
        call.sent = anyio.current_time()
        self._check_slots()
        await call.permit.trace(*SENT)
        try:
            async with queue.alive():
                await call.over.wait()
        finally:
            call.ended = anyio.current_time()
            await queue.end(call.permit, call.status, given_up=not call.over.is_set())

    # --- what is promised --------------------------------------------------------------------------------------

    def _check_slots(self) -> None:
        if not self.store.is_away and min(call.sent for call in self.in_flight) > self.doubtful_until:
            assert len(self.in_flight) <= self.parallel

    async def check(self) -> None:
        """Nobody waits while a request may start, but for the time until the processes have looked."""
        begun, before = anyio.current_time(), self._moved()
        while self.waiting and self._may_start() and self._moved() == before:
            assert anyio.current_time() < begun + LOOKS_AGAIN, "a call waits without a reason"
            await anyio.sleep(0.05)

    def _moved(self) -> int:
        return sum(call.permit is not None or call.gone for call in self.calls)

    def _may_start(self) -> bool:
        limits, now, is_batch = self.limits, self.store.now(), all(call.come.is_batch for call in self.waiting)
        # One that gives up before a response can come is passed over.
        patient = [call for call in self.waiting if call.came + call.come.gives_up == math.inf]
        is_certain = bool(patient) and anyio.current_time() > self.doubtful_until
        return is_certain and limits.pace is None and limits.next_start(now, is_batch) <= now

    def check_order(self) -> None:
        """Calls of one kind and one process are admitted in the order in which they came."""
        for process in range(3):
            for is_batch in (False, True):
                kind = Come(process, is_batch)
                admitted = [
                    call.permit.admitted for call in self.calls if call.come == kind and call.permit is not None
                ]
                assert all(earlier <= later for earlier, later in pairwise(admitted))

    def check_window(self) -> None:
        """No second holds more than are allowed."""
        if self.doubtful_until == -math.inf:
            sent = sorted(call.sent for call in self.calls if call.sent < math.inf)
            for earlier, later in zip(sent, sent[self.per_second :], strict=False):
                assert later >= earlier + SECOND - ROUNDING

    async def let_everything_end(self) -> None:
        with anyio.fail_after(200):
            while not all(call.gone for call in self.calls):
                for call in self.in_flight:
                    self.end(call, 200)
                await anyio.sleep(0.05)

    async def check_that_nothing_is_lost(self) -> None:
        """After a while, all slots and the whole second can be taken."""
        await anyio.sleep(LEASE + self.limits.pause_left(self.store.now()))
        for queue in self.queues:
            await queue.end(await queue.acquire(), 200)
            assert not queue.is_in_use
        assert self.limits.in_flight == {}
        # Limits that differ begin anew.
        most = 1 + max(self.per_second, self.parallel)
        self.store.change(lambda limits: limits.resize(most, most))
        await anyio.sleep(6.0)
        for _ in range(most):
            await self.queues[0].acquire()
        assert len(self.limits.in_flight) == most


RESPONSES_ARE_FASTER_THAN_THEY_WERE: list[tuple[Operation, bool, int]] = [
    (Come(0), True, 1),
    (Pass(5.0), True, 1),
    (End(), True, 1),
    (Come(0), True, 1),
    (Come(1), True, 1),
    (End(), True, 1),
]


@pytest.mark.no_cover
@settings(any_scenario, max_examples=100)
@given(operations, st.sampled_from([40, 10, 5]), st.sampled_from([20, 5, 1]), st.sampled_from([0.0, 0.003]))
@example(RESPONSES_ARE_FASTER_THAN_THEY_WERE, 40, 1, 0.0)
async def test_in_any_order_processes_share_their_limits(
    steps: list[tuple[Operation, bool, int]], per_second: int, parallel: int, latency: float
) -> None:
    world = World(per_second, parallel, latency)
    async with world.group:
        for operation, is_checked, times in steps:
            for _ in range(times if isinstance(operation, Come | End | Leave) else 1):
                await world.do(operation)
            if is_checked:
                await come_to_rest()
                await world.check()
        await come_to_rest()
        await world.let_everything_end()
        await world.check_that_nothing_is_lost()
    world.check_order()
    world.check_window()
