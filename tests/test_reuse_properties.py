"""Properties of equal calls in virtual time: whoever comes and leaves, they share one exchange, and none hangs."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import anyio
import anyio.abc
import httpx
import pytest
import trio
from attrs import Factory, define, field, frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chartmogul_async import AsyncClient, MRREntry, RetryPolicy, Series, Summary, Throttle, errors
from chartmogul_async.transport.reuse import InProgress
from tests.clients import MRR, client_of
from tests.test_throttle_properties import ROUNDING, Leave, Pass, Stall, any_scenario, come_to_rest, stall, which

RANGE = ("2023-07-01", "2023-07-31")

# --- operations ----------------------------------------------------------------------------------------------------


@frozen
class Come:
    """A viewer wants what others may want, too."""

    key: int = 0
    is_batch: bool = False
    max_wait: float = math.inf
    # Seconds until its caller gives up.
    gives_up: float = math.inf


@frozen
class Respond:
    """The server responds to one of the requests that are out, or (None) breaks the connection."""

    which: int = 0
    status: int | None = 200


Operation = Come | Respond | Leave | Pass | Stall

coming = st.builds(
    Come,
    st.sampled_from([0, 0, 0, 1, 2]) | st.integers(3, 30),
    st.booleans(),
    st.sampled_from([math.inf, math.inf, math.inf, 0.001, 0.2, 2.0]),
    st.sampled_from([math.inf, math.inf, math.inf, 0.3, 1.5]),
)
operations = st.lists(
    st.tuples(
        st.one_of(
            coming,
            coming,
            st.builds(Respond, which, st.sampled_from([200, 200, 200, 404, 500, 429, 503, None])),
            st.builds(Leave, which, st.booleans()),
            st.builds(Pass, st.sampled_from([0.001, 0.05, 0.3, 1.1, 5.0])),
            st.builds(Stall, st.sampled_from([0.05, 1.1])),
        ),
        # Whether everything comes to rest before the next one.
        st.booleans(),
        # How often the first kinds are repeated.
        st.integers(1, 5),
    ),
    max_size=40,
)


# --- the model -----------------------------------------------------------------------------------------------------


@define(eq=False)
class Request:
    """A request that the server received; its number is in the response."""

    key: int
    sent: float
    number: int
    ended: float = math.inf
    status: int | None = None
    over: anyio.Event = Factory(anyio.Event)


@define(eq=False)
class Viewer:
    """One call, as the model knows it."""

    come: Come
    came: float
    scope: anyio.CancelScope = Factory(anyio.CancelScope)
    task: asyncio.Task[Any] | None = None
    series: Series[MRREntry, Summary] | None = None
    error: errors.ChartMogulError | None = None
    has_left: bool = False
    gone: bool = False


@define(eq=False)
class World:
    """A client with its callers and its server, and beside it what the documentation promises."""

    per_second: int
    parallel: int
    group: anyio.abc.TaskGroup = Factory(anyio.create_task_group)
    client: AsyncClient = field(init=False)
    requests: list[Request] = Factory(list)
    viewers: list[Viewer] = Factory(list)
    # Seconds by which anything may be late.
    stalled: float = ROUNDING

    def __attrs_post_init__(self) -> None:
        throttle, retry = Throttle(self.per_second, self.parallel), RetryPolicy(attempts=3, base=0.2, total=20.0)
        self.client = client_of(self._receive, throttle=throttle, retry=retry)

    @property
    def out(self) -> list[Request]:
        return [request for request in self.requests if request.ended == math.inf]

    @property
    def alive(self) -> list[Viewer]:
        return [viewer for viewer in self.viewers if not viewer.gone]

    # --- what happens ------------------------------------------------------------------------------------------

    async def do(self, operation: Operation) -> None:
        match operation:
            case Come():
                self.group.start_soon(self._view, operation)
            case Respond(which, status):
                waiting = [request for request in self.out if not request.over.is_set()]
                if waiting:
                    self.respond(waiting[which % len(waiting)], status)
            case Leave(which, natively):
                self._cancel_one(which, natively)
            case Pass(seconds):
                await anyio.sleep(seconds)
            case Stall(seconds):
                self.stalled += seconds
                stall(seconds)

    def respond(self, request: Request, status: int | None) -> None:
        request.status = status
        request.over.set()

    def _cancel_one(self, which: int, natively: bool) -> None:
        alive = [viewer for viewer in self.alive if not viewer.has_left]
        if not alive:
            return
        viewer = alive[which % len(alive)]
        viewer.has_left = True
        if natively and viewer.task is not None:
            viewer.task.cancel()
        else:
            viewer.scope.cancel()

    async def _receive(self, asked: httpx.Request) -> httpx.Response:
        request = Request(int(asked.url.params["plans"]), anyio.current_time(), len(self.requests))
        assert request.key not in [other.key for other in self.out], "equal requests at the same time"
        self.requests.append(request)
        assert len(self.out) <= self.parallel
        try:
            await request.over.wait()
        finally:
            request.ended = anyio.current_time()
        if request.status is None:
            raise httpx.ReadError("the connection broke")
        summary = {"current": request.number, "previous": 0, "percentage-change": 0.0}
        return httpx.Response(request.status, json={**MRR, "summary": summary})

    async def _view(self, come: Come) -> None:
        viewer = Viewer(come, anyio.current_time())
        self.viewers.append(viewer)
        if not trio.lowlevel.in_trio_run():
            viewer.task = asyncio.current_task()
        view = self.client.with_options(priority="batch" if come.is_batch else "interactive", max_wait=come.max_wait)
        try:
            with anyio.CancelScope(deadline=viewer.came + come.gives_up), viewer.scope:
                viewer.series = await view.metrics.mrr(*RANGE, plans=str(come.key))
        except errors.ChartMogulError as error:
            viewer.error = error
        except asyncio.CancelledError:
            if not viewer.has_left:
                raise
            # The cancellation was the test's own, and ends here.
        viewer.gone = True
        self._check_outcome(viewer)

    # --- what is promised --------------------------------------------------------------------------------------

    def _check_outcome(self, viewer: Viewer) -> None:
        now, come = anyio.current_time(), viewer.come
        assert now <= viewer.came + come.gives_up + self.stalled
        if viewer.series is not None:
            request = self.requests[int(viewer.series.summary.current)]
            assert request.key == come.key, "the response to another call"
            assert request.ended >= viewer.came, "a response from before the call"
        elif isinstance(viewer.error, errors.QueueTimeoutError):
            assert come.max_wait - ROUNDING <= now - viewer.came <= come.max_wait + self.stalled
            # After a stall the request may start at the moment at which its time is up.
            sent = [each for each in self.requests if each.sent < viewer.came + come.max_wait - ROUNDING]
            assert come.key not in [each.key for each in sent if each.ended > viewer.came], "its request was sent"
        else:
            assert viewer.error is not None or viewer.has_left or come.gives_up < math.inf

    def check(self) -> None:
        """Look at the exchanges, at a moment when nothing moves."""
        keys = {viewer.come.key for viewer in self.alive}
        exchanges = self._exchanges()
        assert exchanges.keys() == keys
        waiters = self.client.throttle._queue.waiters
        assert len(waiters) + len(self.out) <= len(keys)
        for viewer in self.alive:
            claim = exchanges[viewer.come.key].claim
            assert viewer.come.is_batch or not claim.is_batch, "an interactive call waits for one of a batch"
            assert claim.waiter not in waiters or claim.waiter.is_batch == claim.is_batch
            if anyio.current_time() > viewer.came + viewer.come.max_wait + self.stalled:
                # The place of a call that goes on with what was sent.
                assert claim.is_admitted or claim.place == 0, "it waits for too long"

    def _exchanges(self) -> dict[int, InProgress]:
        found = {}
        for key, exchange in self.client._session.reuse.in_progress.items():
            assert isinstance(key, tuple)
            found[int(dict(key[2])["plans"])] = exchange
        return found

    async def let_everything_end(self) -> None:
        with anyio.fail_after(300):
            while self.alive:
                for request in self.out:
                    self.respond(request, 200)
                await anyio.sleep(0.05)
        await come_to_rest()
        assert self.client._session.reuse.in_progress == {}
        seen = self.client.throttle.statistics()
        assert (seen.in_flight, seen.waiting) == (0, 0)
        raised = [id(viewer.error) for viewer in self.viewers if viewer.error is not None]
        assert len(raised) == len(set(raised)), "two calls raise the same error"


WHO_FOLLOWS_WHAT_WAS_SENT_CARRIES_ON: list[tuple[Operation, bool, int]] = [
    (Come(), True, 1),
    (Come(max_wait=0.001), True, 2),
    (Pass(0.3), True, 1),
    (Leave(), True, 1),
]


@pytest.mark.no_cover
@settings(any_scenario, max_examples=150)
@given(operations, st.sampled_from([40, 5, 2, 1]), st.sampled_from([20, 3, 1]))
@example(WHO_FOLLOWS_WHAT_WAS_SENT_CARRIES_ON, 1, 20)
async def test_equal_calls_share_one_exchange_whoever_leaves(
    steps: list[tuple[Operation, bool, int]], per_second: int, parallel: int
) -> None:
    world = World(per_second, parallel)
    async with world.client, world.group:
        for operation, rests, times in steps:
            for _ in range(times if isinstance(operation, Come | Respond | Leave) else 1):
                await world.do(operation)
            if rests:
                await come_to_rest()
                world.check()
        await come_to_rest()
        world.check()
        await world.let_everything_end()
