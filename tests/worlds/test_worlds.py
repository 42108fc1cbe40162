"""A thousand calls in the worlds in which a throttle fails: how many are refused, how many fail, how long it takes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from chartmogul_async import AsyncClient, Throttle
from chartmogul_async.errors import ChartMogulError
from chartmogul_async.sandbox.limits import SlidingLog, TokenBucket
from tests.worlds.servers import (
    COUNTERS,
    ApproximatedWindow,
    Budget,
    Counts,
    EveryTenth,
    Oracle,
    Server,
    SharedWith,
    TenthsOfASecond,
    between,
    constant,
    lognormal,
    sometimes,
)

pytestmark = pytest.mark.no_cover

KEY = "sandbox"
# Of sums of seconds.
ROUNDING = 1e-6

# For the worlds with thousands of requests: what they count is arithmetic in virtual time, the same on both event
# loops, and the lighter worlds run on both.
on_asyncio_only = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)


async def calls_at_once(
    server: Server, calls: int, throttle: Throttle | None = None, client: AsyncClient | None = None
) -> tuple[float, int]:
    """Seconds until all calls are over, and how many of them failed."""
    failed = 0

    async def call(client: AsyncClient) -> None:
        nonlocal failed
        try:
            await client.ping()
        except ChartMogulError:
            failed += 1

    started = anyio.current_time()
    own = client or AsyncClient(KEY, transport=server, throttle=throttle)
    async with anyio.create_task_group() as group:
        for _ in range(calls):
            group.start_soon(call, own)
    ended = anyio.current_time()
    if client is None:
        await own.aclose()
    return ended - started, failed


def oracle(server: Server, calls: int) -> float:
    chance = random.Random(server.seed)
    return Oracle().finish(
        sum(delay(chance) for delay in (server.there, server.work, server.back)) for _ in range(calls)
    )


LATENCIES: dict[str, dict[str, Any]] = {
    "30 ms": {"work": constant(0.03)},
    "30 ms, jitter": {"there": between(0, 0.03), "work": constant(0.03)},
    "300 ms": {"work": constant(0.3)},
    "300 ms, jitter": {"there": between(0, 0.03), "work": constant(0.3)},
    "100 to 800 ms": {"work": between(0.1, 0.8)},
    "half 50, half 800 ms": {"work": sometimes(0.5, constant(0.8), constant(0.05))},
    "40 % a second": {"work": sometimes(0.4, constant(1.0), constant(0.05))},
}


@pytest.mark.parametrize("counting", COUNTERS)
@pytest.mark.parametrize("latency", LATENCIES)
async def test_no_refusal_and_little_time_lost(counting: str, latency: str) -> None:
    server = Server(COUNTERS[counting](40), **LATENCIES[latency], seed=1)
    seconds, failed = await calls_at_once(server, 400)
    assert (server.refusals, failed) == (0, 0)
    least = oracle(server, 400)
    assert least - ROUNDING <= seconds <= 1.05 * least


@pytest.mark.parametrize("calls", [20, 40, 41, 81, 400])
@pytest.mark.parametrize("latency", ["30 ms", "300 ms"])
async def test_total_time_is_the_least_and_its_margin(calls: int, latency: str) -> None:
    """Neither slower than needed nor faster than allowed: the margin is 10 ms for each second that has to pass."""
    server = Server(COUNTERS["sliding"](40), **LATENCIES[latency])
    seconds, failed = await calls_at_once(server, calls)
    assert (server.refusals, failed) == (0, 0)
    least = oracle(server, calls)
    assert least - ROUNDING <= seconds <= least + 0.01 * ((calls - 1) // 40) + ROUNDING


SLOW: dict[str, dict[str, Any]] = {
    "1 % of the requests are delayed for 2 s": {
        "there": sometimes(0.01, constant(2.0), constant(0.015)),
        "back": constant(0.015),
    },
    "10 % of the handlers take 1 to 4 s": {
        "there": lognormal(0.02),
        "work": sometimes(0.1, between(1, 4), constant(0.03)),
        "back": lognormal(0.02),
    },
}


@on_asyncio_only
@pytest.mark.parametrize("counting", COUNTERS)
@pytest.mark.parametrize("latency", SLOW)
@pytest.mark.parametrize("reports", [True, False], ids=["traced", "untraced"])
async def test_late_requests_are_not_counted_twice(counting: str, latency: str, reports: bool) -> None:
    refusals, lost = [], []
    for seed in range(6):
        server = Server(COUNTERS[counting](40), **SLOW[latency], seed=seed, reports=reports)
        seconds, failed = await calls_at_once(server, 400)
        assert failed == 0
        refusals.append(server.refusals)
        lost.append(seconds / oracle(server, 400))
    assert max(refusals) <= 1
    assert sum(refusals) <= 1
    assert sorted(lost)[len(lost) // 2] <= 1.15


@on_asyncio_only
@pytest.mark.parametrize("left", [30, 20, 10])
@pytest.mark.parametrize("burst", [40, 5])
async def test_the_rate_that_is_left_is_learned(left: int, burst: int) -> None:
    server = Server(TokenBucket(left, burst))
    seconds, failed = await calls_at_once(server, 1_000)
    assert failed == 0
    assert server.refusals <= 30
    assert seconds <= 1.2 * (1_000 - burst) / left


@on_asyncio_only
@pytest.mark.parametrize("left", [30, 20, 10])
@pytest.mark.parametrize("counter", [lambda: SlidingLog(40), lambda: TokenBucket(40, 5)], ids=["sliding", "burst 5"])
async def test_another_program_on_the_key(left: int, counter: Callable[[], Counts]) -> None:
    server = Server(SharedWith(counter(), 40 - left), there=between(0, 0.03))
    seconds, failed = await calls_at_once(server, 1_000)
    assert failed == 0
    assert server.refusals <= 30
    assert seconds <= 1.2 * 1_000 / left


@on_asyncio_only
@pytest.mark.parametrize("left", [30, 10])
async def test_the_full_rate_returns(left: int) -> None:
    """80 s after the other program stopped, all of the limit is used again; two minutes are promised."""
    started = anyio.current_time()
    server = Server(SharedWith(SlidingLog(40), 40 - left, until=started + 30))
    # So many that they are still going on then, if the limit was used all the time.
    _, failed = await calls_at_once(server, 30 * left + 87 * 40)
    assert failed == 0
    after = [start for start in server.starts if 110 <= start - started < 115]
    assert len(after) / 5 >= 39


@pytest.mark.parametrize(
    "counter",
    [lambda: ApproximatedWindow(40), lambda: TenthsOfASecond(40), lambda: TenthsOfASecond(40, 11)],
    ids=["approximated", "ten tenths", "eleven tenths"],
)
async def test_windows_of_other_shapes(counter: Callable[[], Counts]) -> None:
    """One flight is refused at first contact, and hardly any request after that."""
    server = Server(counter(), there=between(0, 0.03))
    async with AsyncClient(KEY, transport=server) as client:
        _, failed = await calls_at_once(server, 400, client=client)
        first = server.refusals
        seconds, failed_again = await calls_at_once(server, 400, client=client)
    assert (failed, failed_again) == (0, 0)
    assert first <= 22
    assert server.refusals - first <= 2
    assert seconds <= 1.3 * 10


async def test_a_server_that_allows_no_bursts() -> None:
    server = Server(TokenBucket(40, 5))
    async with AsyncClient(KEY, transport=server) as client:
        await calls_at_once(server, 400, client=client)
        first = server.refusals
        await calls_at_once(server, 400, client=client)
    assert first <= 20
    assert server.refusals == first


@pytest.mark.parametrize(
    ("counter", "longest"), [(EveryTenth, 400.0), (lambda: Budget(300), 1.3 * 187.5)], ids=["every tenth", "budget"]
)
async def test_refusals_that_pass_fail_no_call(counter: Callable[[], Counts], longest: float) -> None:
    server = Server(counter())
    seconds, failed = await calls_at_once(server, 1_000)
    assert failed == 0
    assert seconds <= longest


@pytest.mark.parametrize("counting", COUNTERS)
@pytest.mark.parametrize("ways", [(0.005, 0.035), (0.0, 0.3)], ids=str)
async def test_two_requests_a_second(counting: str, ways: tuple[float, float]) -> None:
    for seed in range(10):
        server = Server(COUNTERS[counting](2), there=between(*ways), back=between(*ways), parallel=2, seed=seed)
        _, failed = await calls_at_once(server, 30, throttle=Throttle(2, 2))
        assert (server.refusals, failed) == (0, 0)


async def test_users_who_give_up() -> None:
    """The server does not notice that, so the slots of requests that were given up are not free at once."""
    server = Server(SlidingLog(40), work=constant(3.0))
    responses = 0

    async def user(client: AsyncClient) -> None:
        nonlocal responses
        while True:
            with anyio.move_on_after(5):
                await client.ping()
                responses += 1

    async with AsyncClient(KEY, transport=server) as client, anyio.create_task_group() as group:
        for _ in range(22):
            group.start_soon(user, client)
        await anyio.sleep(60)
        group.cancel_scope.cancel()
    assert server.statuses[503] == 0
    assert responses >= 350


async def test_a_probe_that_stalls_holds_nobody_up() -> None:
    """A probe that is out longer than a refusal takes was not refused."""
    chance: list[float] = []

    class Refusing:
        def acquire(self, now: float) -> float | None:
            chance.append(now)
            return 1.0 if len(chance) == 1 else None

    stalls = iter([0.0, *[25.0] * 5])
    server = Server(Refusing(), work=lambda _: next(stalls, 0.03))
    async with AsyncClient(KEY, transport=server) as client, anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(client.ping)
        await anyio.sleep(1)
        started = anyio.current_time()
        await client.ping()
        assert anyio.current_time() - started < 5
        group.cancel_scope.cancel()
