"""Cancellation at every single await point, and storms of it over real sockets: nothing is lost.

An await point is a moment at which any task of a call is suspended. A sweep cancels a call at its first await point,
in a fresh world at its second, and so on, until the call ends before it is cancelled.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
import trio
from attrs import Factory, define, field

from chartmogul_async import AsyncClient, MetricQuery, Throttle
from chartmogul_async.sandbox import Company, Fault, Faults, Limits, Sandbox
from chartmogul_async.sandbox.transport import SandboxTransport
from chartmogul_async.transport import connections
from tests.conftest import virtual_backend
from tests.faults.checks import nothing_left_behind
from tests.faults.kinds import KINDS, connections_of
from tests.faults.loops import LOOPS
from tests.faults.routes import ROUTES, port_of
from tests.soak.storm import FAULTS, LATENCY, storm
from tests.soak.witnesses import living_tasks, sockets_to

pytestmark = pytest.mark.no_cover

COMPANY = Company(customers=20)
# Nothing is ever sent there.
BASE_URL = "http://localhost/v1"
YEAR = ("2025-01-01", "2025-12-31")
# Seconds after which the window counts no start any more.
WINDOW_EMPTY = 2.0
# Virtual seconds; a call that waits longer waits for good.
LONG = 600.0


@pytest.fixture(params=["asyncio", "asyncio-once", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param.removesuffix("-once"))


@pytest.fixture
def once(request: pytest.FixtureRequest) -> bool:
    """Whether the task is cancelled once, as ``asyncio.timeout`` does, and not a scope, which cancels repeatedly."""
    return str(request.node.callspec.params["anyio_backend"]).endswith("-once")


# --- await points --------------------------------------------------------------------------------------------------


@define(eq=False)
class AwaitPoints(trio.abc.Instrument):
    """Counts how often any task is suspended, and cancels at one of these moments."""

    cancel_at: int
    # ``int`` does nothing.
    cancel: Callable[[], object] = int
    passed: int = 0

    def pass_one(self) -> None:
        self.passed += 1
        if self.passed == self.cancel_at:
            self.cancel()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.pass_one()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count from here on, in the tasks that are started from here on."""
        if trio.lowlevel.in_trio_run():
            trio.lowlevel.add_instrument(self)
            yield
            trio.lowlevel.remove_instrument(self)
        else:
            loop = asyncio.get_running_loop()
            loop.set_task_factory(lambda loop, call, **more: asyncio.Task(self._watch(call), loop=loop, **more))
            yield
            loop.set_task_factory(None)

    async def _watch(self, call: Any) -> Any:
        return await Watched(call, self.pass_one)


@define(eq=False)
class Watched:
    """Awaits something in the same task, and reports each suspension just before it."""

    awaited: Awaitable[Any]
    suspended: Callable[[], None]

    def __await__(self) -> Generator[Any, Any, Any]:
        inner: Any = self.awaited.__await__()
        step, value = inner.send, None
        while True:
            try:
                waits_for = step(value)
            except StopIteration as end:
                return end.value
            self.suspended()
            try:
                step, value = inner.send, (yield waits_for)
            except BaseException as error:  # noqa: BLE001 - each one is passed on
                step, value = inner.throw, error


# --- a client without sockets --------------------------------------------------------------------------------------


class Connection(httpx.AsyncBaseTransport):
    """A connection to the sandbox that can be suspended wherever a real one can, and notices misuse."""

    def __init__(self, sandbox: SandboxTransport) -> None:
        self._sandbox = sandbox
        self.is_open = self.is_busy = self.is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert not self.is_busy, "used for two exchanges at once"
        assert not self.is_closed, "used after it was closed"
        self.is_busy = True
        if not self.is_open:
            await anyio.sleep(0.01)
            self.is_open = True
        await request.extensions["trace"]("http11.send_request_headers.complete", {"return_value": None})
        response = await self._sandbox.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return httpx.Response(response.status_code, headers=response.headers, stream=Body(self, response.stream))

    async def aclose(self) -> None:
        self.is_closed = True
        await anyio.sleep(0.001)


class Body(httpx.AsyncByteStream):
    """A body in two chunks. The connection is free again when the body is complete and closed."""

    def __init__(self, connection: Connection, inner: httpx.AsyncByteStream) -> None:
        self._connection, self._inner = connection, inner
        self._is_complete = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = b"".join([chunk async for chunk in self._inner])
        half = len(content) // 2
        for part in (content[:half], content[half:]):
            await anyio.sleep(0.005)
            yield part
        self._is_complete = True

    async def aclose(self) -> None:
        await self._inner.aclose()
        await anyio.lowlevel.checkpoint()
        self._connection.is_busy = not self._is_complete


@define(eq=False)
class World:
    """A client whose connections lead to a sandbox in this process, and everything that it uses."""

    faults: Faults
    parallel: int
    connections: list[Connection] = Factory(list)
    sandbox: Sandbox = field(init=False)
    throttle: Throttle = field(init=False)
    client: AsyncClient = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.sandbox = Sandbox(COMPANY, faults=self.faults, latency=0.05)
        self.throttle = Throttle(parallel=self.parallel)
        self.client = AsyncClient(self.sandbox.api_key, base_url=BASE_URL, throttle=self.throttle, timeout=3.0)

    def connect(self, *arguments: object) -> Connection:
        self.connections.append(Connection(self.sandbox.transport()))
        return self.connections[-1]

    def connection_class(self) -> Callable[..., Connection]:
        return self.connect

    async def cancel(self, call: Call, points: AwaitPoints, neighbours: int, once: bool) -> None:
        """Run a call among others, and cancel it at the await point that is due, if it gets that far."""
        results: list[object] = []

        async def be_a_neighbour() -> None:
            results.append(await self.client.metrics.mrr(*YEAR))

        with points.counted():
            async with anyio.create_task_group() as group:
                for _ in range(0, neighbours, 2):
                    group.start_soon(be_a_neighbour)
                await anyio.sleep(0.001)
                group.start_soon(cancelled, call, self.client, points, once)
                await anyio.sleep(0.001)
                for _ in range(1, neighbours, 2):
                    group.start_soon(be_a_neighbour)
        assert len(results) == neighbours

    def check_that_nothing_is_in_progress(self) -> None:
        statistics, counters = self.throttle.statistics(), self.sandbox.counters
        assert (statistics.in_flight, statistics.waiting) == (0, 0)
        assert counters.in_progress == 0
        assert counters.peak_parallel <= self.parallel
        assert counters.refusals == 0
        assert not [each for each in self.connections if each.is_busy and not each.is_closed]
        assert sum(not each.is_closed for each in self.connections) <= self.parallel

    async def check_that_the_next_call_succeeds(self) -> None:
        self.sandbox.faults = Faults()
        assert len(await self.client.metrics.mrr(*YEAR)) == 12
        while self.throttle.statistics().max_in_flight < self.parallel:
            await self.client.ping()
        await anyio.sleep(self.throttle.statistics().paced_for + WINDOW_EMPTY)
        # While the rate is below the limit, starts of half a second are planned at once.
        planned = self.throttle.statistics().per_second / 2
        assert self.throttle._free_slots() == min(self.parallel, int(planned)) or planned >= self.parallel
        assert self.throttle.statistics().in_flight == 0
        self.check_that_nothing_is_in_progress()
        await self.client.aclose()
        assert all(each.is_closed for each in self.connections)


Call = Callable[[AsyncClient], Awaitable[object]]


async def cancelled(call: Call, client: AsyncClient, points: AwaitPoints, once: bool) -> None:
    """Run a call, and cancel it at the await point that is due, if it gets that far."""
    scope = anyio.CancelScope()
    task = None if trio.lowlevel.in_trio_run() else asyncio.current_task()
    points.cancel = task.cancel if once and task is not None else scope.cancel
    try:
        with scope:
            await call(client)
    except asyncio.CancelledError:
        assert task is not None
        assert task.uncancel() == 0, "the task was cancelled more than once"
    else:
        assert task is None or task.cancelling() == 0, "the call went on although it was cancelled"
    # The call has ended, so it is too late.
    points.cancel = int


async def one_call(client: AsyncClient) -> None:
    await client.metrics.mrr(*YEAR)


async def slices_of_days(client: AsyncClient) -> None:
    assert len(await client.metrics.all("2025-01-01", "2025-03-31", interval="day", slices=5)) == 90


async def slices_of_weeks(client: AsyncClient) -> None:
    """The account is fetched first, for the first day of its weeks."""
    assert await client.metrics.mrr("2025-01-06", "2025-03-30", interval="week", slices=3)


async def a_stream(client: AsyncClient) -> None:
    queries = [MetricQuery("arr", *YEAR, geo=[country]) for country in ("US", "DE", "FR", "GB", "NL")]
    async with client.metrics.stream(queries) as outcomes:
        assert len([outcome.result() async for outcome in outcomes]) == 5


async def a_stream_that_is_left_early(client: AsyncClient) -> None:
    async with client.metrics.stream(MetricQuery("arpa", *YEAR) for _ in range(5)) as outcomes:
        async for _ in outcomes:
            break


async def all_outcomes_at_once(client: AsyncClient) -> None:
    queries = [MetricQuery("arr", *YEAR, geo=[country]) for country in ("US", "DE", "FR")]
    assert len([outcome.result() for outcome in await client.metrics.fetch_all(queries)]) == 3


async def three_calls_at_once(client: AsyncClient) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(client.ping)


NO_FAULTS = Faults()
A_FAULT_EACH = Faults.sequence(
    Fault.status(502), Fault.reset(), Fault.status(429, retry_after=1), Fault.stall(), Fault.reset_in_body()
)


def trial(call: Call, *, parallel: int = 20, faults: Faults = NO_FAULTS, neighbours: int = 0) -> Any:
    among = [f"among-{neighbours}"] * (neighbours > 0)
    name = "-".join([call.__name__, *among, *["with-retries"] * (faults != NO_FAULTS)])
    return pytest.param(call, parallel, faults, neighbours, id=name)


@pytest.mark.parametrize(
    ("call", "parallel", "faults", "neighbours"),
    [
        trial(one_call),
        trial(one_call, faults=A_FAULT_EACH),
        trial(one_call, parallel=1, neighbours=3),
        trial(three_calls_at_once, parallel=1, neighbours=2),
        trial(three_calls_at_once, parallel=4, neighbours=9),
        trial(slices_of_days, parallel=3),
        trial(slices_of_days, parallel=2, faults=A_FAULT_EACH, neighbours=1),
        trial(slices_of_weeks, parallel=2),
        trial(a_stream, parallel=2),
        trial(a_stream, parallel=2, faults=A_FAULT_EACH),
        trial(a_stream_that_is_left_early, parallel=2),
        trial(all_outcomes_at_once, parallel=2),
        trial(all_outcomes_at_once, parallel=2, faults=A_FAULT_EACH),
    ],
)
async def test_a_call_can_be_cancelled_at_every_await_point(
    call: Call, parallel: int, faults: Faults, neighbours: int, once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = living_tasks()
    points = AwaitPoints(cancel_at=0)
    while points.passed >= points.cancel_at:
        points = AwaitPoints(points.cancel_at + 1)
        world = World(faults, parallel)
        monkeypatch.setattr(connections, "_direct_connection", world.connection_class)
        with anyio.fail_after(LONG):
            await world.cancel(call, points, neighbours, once)
            world.check_that_nothing_is_in_progress()
            assert living_tasks() == tasks
            await world.check_that_the_next_call_succeeds()
    assert points.passed >= 5


async def test_closing_can_be_cancelled_at_every_await_point(once: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    points = AwaitPoints(cancel_at=0)
    while points.passed >= points.cancel_at:
        points = AwaitPoints(points.cancel_at + 1)
        world = World(NO_FAULTS, parallel=3)
        monkeypatch.setattr(connections, "_direct_connection", world.connection_class)
        await three_calls_at_once(world.client)
        await world.cancel(AsyncClient.aclose, points, 0, once)
        await world.client.aclose()
        assert len(world.connections) == 3
        assert all(each.is_closed for each in world.connections)
    assert points.passed >= 3


# --- over real sockets: directly, over TLS, through a proxy ----------------------------------------------------------

# ``python -m tests.soak`` sends ten thousand, which take a while.
STORM_REQUESTS = 500

on_every_loop = pytest.mark.parametrize(
    ("anyio_backend", "once"),
    [
        pytest.param(LOOPS[loop], once, id=f"{loop}-once" if once else loop)
        for loop in LOOPS
        for once in (False, True)
        if (loop, once) != ("trio", True)
    ],
)
# A proxy is reached by httpx's connections only.
on_every_route = pytest.mark.parametrize(
    ("route", "kind"),
    [(route, kind) for route in ROUTES for kind in (KINDS if "proxy" not in route else ["httpx"])],
)


@pytest.fixture
def sockets_are_closed(anyio_backend: object) -> Iterator[None]:
    """A socket that was not closed emits a warning when it is collected, which fails the test."""
    if anyio_backend is LOOPS["uvloop"]:
        # It does not exist for Windows.
        pytest.importorskip("uvloop")
    yield
    gc.collect()


@pytest.mark.sockets
@pytest.mark.usefixtures("sockets_are_closed")
@on_every_loop
@on_every_route
@pytest.mark.parametrize("call", [one_call, three_calls_at_once], ids=lambda call: call.__name__)
async def test_a_call_over_sockets_is_cancelled_at_every_await_point(
    call: Call, route: str, kind: str, once: bool
) -> None:
    points = AwaitPoints(cancel_at=0)
    sandbox = Sandbox(COMPANY, limits=Limits(per_second=None, parallel=None))
    async with nothing_left_behind():
        with connections_of(kind), sandbox.serve() as own_url, ROUTES[route](own_url) as url:
            while points.passed >= points.cancel_at:
                points = AwaitPoints(points.cancel_at + 1)
                async with AsyncClient(sandbox.api_key, base_url=url) as client:
                    with anyio.fail_after(10):
                        await cancel_over_sockets(call, client, points, once)
                    assert await client.ping() == "pong!"
                    assert sockets_to(port_of(url)) <= 3
                await anyio.wait_all_tasks_blocked()
                assert sockets_to(port_of(url)) == 0
    # Without TLS or a proxy: connecting, the stream around the socket, sending, receiving. An address needs no lookup.
    assert points.passed >= (4 if route == "directly" else 5)


async def cancel_over_sockets(call: Call, client: AsyncClient, points: AwaitPoints, once: bool) -> None:
    with points.counted():
        async with anyio.create_task_group() as group:
            group.start_soon(cancelled, call, client, points, once)
    statistics = client.throttle.statistics()
    assert (statistics.in_flight, statistics.waiting) == (0, 0)


@pytest.mark.sockets
@pytest.mark.usefixtures("sockets_are_closed")
@pytest.mark.parametrize("anyio_backend", [pytest.param(LOOPS[loop], id=loop) for loop in LOOPS])
@on_every_route
async def test_a_storm_of_cancellations_leaves_nothing_behind(route: str, kind: str) -> None:
    sandbox = Sandbox(COMPANY, limits=Limits(per_second=None, parallel=None), faults=FAULTS, latency=LATENCY)
    async with nothing_left_behind():
        with connections_of(kind), sandbox.serve() as own_url, ROUTES[route](own_url) as url:
            ends = await storm(url, sandbox.api_key, STORM_REQUESTS)
    assert ends["succeeded"] > STORM_REQUESTS / 4
    assert ends["cancelled"] > STORM_REQUESTS / 10
