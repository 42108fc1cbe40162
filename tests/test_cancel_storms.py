"""Cancellation at every single await point, and storms of it over real sockets: nothing is lost.

An await point is a moment at which any task of a call is suspended. A sweep cancels a call at its first await point,
in a fresh world at its second, and so on, until the call ends before its turn comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
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
from tests.conftest import virtual_backend
from tests.soak.storm import LATENCY, TROUBLES, storm
from tests.soak.witnesses import living_tasks

COMPANY = Company(customers=20)
BASE_URL = "http://localhost/v1"  # nothing is ever sent there
YEAR = ("2025-01-01", "2025-12-31")
ROOMY = 2.0  # seconds after which no start is counted any more
LONG = 600.0  # seconds, virtual ones: whoever still waits then waits for good


@pytest.fixture(params=["asyncio", "asyncio-bluntly", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param.removesuffix("-bluntly"))


@pytest.fixture
def bluntly(request: pytest.FixtureRequest) -> bool:
    """Whether asyncio cancels the task once, as ``asyncio.timeout`` does, and not a scope, which goes on cancelling."""
    return str(request.node.callspec.params["anyio_backend"]).endswith("-bluntly")


# --- await points --------------------------------------------------------------------------------------------------


@define(eq=False)
class AwaitPoints(trio.abc.Instrument):
    """Counts how often any task is suspended, and strikes at one of these moments."""

    strike_at: int
    strike: Callable[[], object] = int
    passed: int = 0

    def pass_one(self) -> None:
        self.passed += 1
        if self.passed == self.strike_at:
            self.strike()

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
    """Awaits something in the same task, and tells of each suspension just before it."""

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
            except BaseException as error:  # noqa: BLE001 - passed on, whatever it is
                step, value = inner.throw, error


# --- a world without sockets ---------------------------------------------------------------------------------------


class Connection(httpx.AsyncBaseTransport):
    """One connection to the sandbox, which can be suspended wherever a real one can, and notices misuse."""

    def __init__(self, sandbox: SandboxTransport) -> None:
        self._sandbox = sandbox
        self.is_open = self.is_busy = self.is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert not self.is_busy, "used for two exchanges at a time"
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
    """A body in two chunks. The connection is free again when it has come whole and is closed."""

    def __init__(self, connection: Connection, inner: httpx.AsyncByteStream) -> None:
        self._connection, self._inner = connection, inner
        self._is_whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = b"".join([chunk async for chunk in self._inner])
        half = len(content) // 2
        for part in (content[:half], content[half:]):
            await anyio.sleep(0.005)
            yield part
        self._is_whole = True

    async def aclose(self) -> None:
        await self._inner.aclose()
        await anyio.lowlevel.checkpoint()
        self._connection.is_busy = not self._is_whole


@define(eq=False)
class World:
    """A client whose connections lead to a sandbox in this process."""

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

    def connect(self, **options: object) -> Connection:
        self.connections.append(Connection(self.sandbox.transport()))
        return self.connections[-1]

    async def strike(self, call: Call, points: AwaitPoints, neighbours: int, bluntly: bool) -> None:
        """Run a call among others, and cancel it at the await point that is due, if it comes so far."""
        calm = [self.client.metrics.mrr(*YEAR) for _ in range(neighbours)]
        answers: list[object] = []

        async def be_calm(neighbour: Awaitable[object]) -> None:
            answers.append(await neighbour)

        with points.counted():
            async with anyio.create_task_group() as group:
                for neighbour in calm[::2]:
                    group.start_soon(be_calm, neighbour)
                await anyio.sleep(0.001)
                group.start_soon(self._struck, call, points, bluntly)
                await anyio.sleep(0.001)
                for neighbour in calm[1::2]:
                    group.start_soon(be_calm, neighbour)
        assert len(answers) == neighbours

    async def _struck(self, call: Call, points: AwaitPoints, bluntly: bool) -> None:
        scope = anyio.CancelScope()
        task = None if trio.lowlevel.in_trio_run() else asyncio.current_task()
        points.strike = task.cancel if bluntly and task is not None else scope.cancel
        try:
            with scope:
                await call(self.client)
        except asyncio.CancelledError:
            assert task is not None
            assert task.uncancel() == 0, "cancelled once more than it was"
        else:
            assert task is None or task.cancelling() == 0, "the call went on although it was cancelled"
        points.strike = int  # too late

    def check_that_nothing_is_under_way(self) -> None:
        told, counters = self.throttle.statistics(), self.sandbox.counters
        assert (told.in_flight, told.waiting) == (0, 0)
        assert counters.in_progress == 0
        assert counters.peak_parallel <= self.parallel
        assert counters.refusals == 0
        assert not [each for each in self.connections if each.is_busy and not each.is_closed]
        assert sum(not each.is_closed for each in self.connections) <= self.parallel

    async def check_that_a_calm_call_answers(self) -> None:
        self.sandbox.faults = Faults()
        assert len(await self.client.metrics.mrr(*YEAR)) == 12
        while self.throttle.statistics().places < self.parallel:
            await self.client.ping()
        paced_until = self.throttle.statistics().paced_until or 0.0
        await anyio.sleep_until(max(anyio.current_time(), paced_until) + ROOMY)
        assert self.throttle.room() == self.parallel
        self.check_that_nothing_is_under_way()
        await self.client.aclose()
        assert all(each.is_closed for each in self.connections)


Call = Callable[[AsyncClient], Awaitable[object]]


async def one_call(client: AsyncClient) -> None:
    await client.metrics.mrr(*YEAR)


async def slices_of_days(client: AsyncClient) -> None:
    assert len(await client.metrics.all("2025-01-01", "2025-03-31", interval="day", slices=5)) == 90


async def slices_of_weeks(client: AsyncClient) -> None:
    """Which asks for the account first."""
    assert await client.metrics.mrr("2025-01-06", "2025-03-30", interval="week", slices=3)


async def a_stream(client: AsyncClient) -> None:
    queries = [MetricQuery("arr", *YEAR, geo=[country]) for country in ("US", "DE", "FR", "GB", "NL")]
    async with client.metrics.stream(queries) as outcomes:
        assert len([outcome.result() async for outcome in outcomes]) == 5


async def a_stream_that_is_left_early(client: AsyncClient) -> None:
    async with client.metrics.stream(MetricQuery("arpa", *YEAR) for _ in range(5)) as outcomes:
        async for _ in outcomes:
            break


async def three_calls_at_once(client: AsyncClient) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(client.ping)


NO_TROUBLES = Faults()
A_TROUBLE_EACH = Faults.sequence(
    Fault.status(502), Fault.reset(), Fault.status(429, retry_after=1), Fault.stall(), Fault.reset_in_body()
)


def trial(call: Call, *, parallel: int = 20, faults: Faults = NO_TROUBLES, neighbours: int = 0) -> Any:
    among = [f"among-{neighbours}"] * (neighbours > 0)
    name = "-".join([call.__name__, *among, *["with-retries"] * (faults != NO_TROUBLES)])
    return pytest.param(call, parallel, faults, neighbours, id=name)


@pytest.mark.parametrize(
    ("call", "parallel", "faults", "neighbours"),
    [
        trial(one_call),
        trial(one_call, faults=A_TROUBLE_EACH),
        trial(one_call, parallel=1, neighbours=3),
        trial(three_calls_at_once, parallel=1, neighbours=2),
        trial(three_calls_at_once, parallel=4, neighbours=9),
        trial(slices_of_days, parallel=3),
        trial(slices_of_days, parallel=2, faults=A_TROUBLE_EACH, neighbours=1),
        trial(slices_of_weeks, parallel=2),
        trial(a_stream, parallel=2),
        trial(a_stream, parallel=2, faults=A_TROUBLE_EACH),
        trial(a_stream_that_is_left_early, parallel=2),
    ],
)
async def test_a_call_may_be_cancelled_at_every_await_point(
    call: Call, parallel: int, faults: Faults, neighbours: int, bluntly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = living_tasks()
    points = AwaitPoints(strike_at=0)
    while points.passed >= points.strike_at:
        points = AwaitPoints(points.strike_at + 1)
        world = World(faults, parallel)
        monkeypatch.setattr(httpx, "AsyncHTTPTransport", world.connect)
        with anyio.fail_after(LONG):
            await world.strike(call, points, neighbours, bluntly)
            world.check_that_nothing_is_under_way()
            assert living_tasks() == tasks
            await world.check_that_a_calm_call_answers()
    assert points.passed >= 5


async def test_closing_may_be_cancelled_at_every_await_point(bluntly: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    points = AwaitPoints(strike_at=0)
    while points.passed >= points.strike_at:
        points = AwaitPoints(points.strike_at + 1)
        world = World(NO_TROUBLES, parallel=3)
        monkeypatch.setattr(httpx, "AsyncHTTPTransport", world.connect)
        await three_calls_at_once(world.client)
        await world.strike(AsyncClient.aclose, points, 0, bluntly)
        await world.client.aclose()  # does the rest, if there is one
        assert len(world.connections) == 3
        assert all(each.is_closed for each in world.connections)
    assert points.passed >= 3


# --- storms over real sockets --------------------------------------------------------------------------------------

STORM_REQUESTS = 500  # the ten thousand of ``python -m tests.soak`` take their time

with_uvloop = pytest.param(
    ("asyncio", {"use_uvloop": True}),
    id="uvloop",
    marks=pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed"),
)


@pytest.mark.sockets
@pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("asyncio", {}), id="asyncio"), with_uvloop, pytest.param(("trio", {}), id="trio")]
)
async def test_after_a_storm_of_cancellations_everything_is_back() -> None:
    sandbox = Sandbox(COMPANY, limits=Limits(per_second=None, parallel=None), faults=TROUBLES, latency=LATENCY)
    with sandbox.serve() as url:
        ends = await storm(url, sandbox.api_key, STORM_REQUESTS)
    assert ends["answered"] > STORM_REQUESTS / 4
    assert ends["cancelled"] > STORM_REQUESTS / 10
