"""Mixed load of one client: every kind of call, some of them cancelled, with a server that makes errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

import anyio
from attrs import define, field

from chartmogul_async import AsyncClient, MetricQuery, RetryPolicy, Throttle
from chartmogul_async.errors import ChartMogulError
from chartmogul_async.metrics.query import METRICS
from chartmogul_async.sandbox import Company, Fault, Faults, Limits

API_KEY = "soak"
COMPANY = Company(customers=60)
SLOTS = 20
# More than ChartMogul allows, so that a minute of the soak stands for several.
PER_SECOND = 100
LIMITS = Limits(per_second=PER_SECOND, parallel=SLOTS, counting="sliding")
LATENCY = 0.15
FAULTS = Faults.random(
    {
        Fault.reset(): 0.01,
        Fault.reset_in_body(): 0.01,
        Fault.stall(): 0.005,
        Fault.slow(0.5): 0.01,
        Fault.truncated(): 0.005,
        Fault.garbage(): 0.005,
        Fault.html(): 0.005,
        Fault.empty(): 0.005,
        Fault.status(500): 0.01,
        Fault.status(502): 0.01,
        Fault.status(503): 0.002,
        Fault.status(429, retry_after=1): 0.0001,
        Fault.status(422): 0.005,
    },
    seed=1,
)
RETRY = RetryPolicy(attempts=3, base=0.1, total=20.0)
TIMEOUT = 2.0
# More than there are slots, so that there is a queue.
TASKS = 30
# The share of calls that are cancelled at some point.
CANCELLED = 0.1
YEAR = ("2025-01-01", "2025-12-31")


@define(eq=False)
class Load:
    """What the tasks do until the time is up, and the results.

    Attributes:
        url: The sandbox's.
        seed: Which load.
        ends: How many calls ended in which way.
        wrong: Errors that are not ``ChartMogulError``; there should be none.
    """

    url: str
    seed: int = 0
    throttle: Throttle = field(init=False)
    client: AsyncClient = field(init=False)
    ends: Counter[str] = field(factory=Counter)
    wrong: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.throttle = Throttle(PER_SECOND, SLOTS)
        self.client = self.new_client()

    def new_client(self) -> AsyncClient:
        return AsyncClient(API_KEY, base_url=self.url, throttle=self.throttle, timeout=TIMEOUT, retry=RETRY)

    async def run(self, until: float) -> None:
        async with anyio.create_task_group() as group:
            for number in range(TASKS):
                group.start_soon(self._work, Random(f"{self.seed} {number}"), until)

    async def _work(self, random: Random, until: float) -> None:
        while anyio.current_time() < until:
            call = random.choice(_CALLS)
            self.ends[await self._outcome(call, random)] += 1

    async def _outcome(self, call: Call, random: Random) -> str:
        cancel_after = random.uniform(0.0, 1.0) if random.random() < CANCELLED else 60.0
        try:
            with anyio.move_on_after(cancel_after):
                await call(self, random)
                return "succeeded"
        except ChartMogulError as error:
            return type(error).__name__
        except Exception as error:  # noqa: BLE001 - reported at the end
            self.wrong.append(f"{call.__name__}: {error!r}")
            return "wrong"
        return "cancelled"


Call = Callable[[Load, Random], Awaitable[None]]


async def _metric(load: Load, random: Random) -> None:
    assert await load.client.metrics.fetch(MetricQuery(random.choice(METRICS), *YEAR, geo=_countries(random)))


async def _slices(load: Load, random: Random) -> None:
    series = await load.client.metrics.all(
        *YEAR, interval="day", geo=_countries(random), slices=random.choice([None, 3])
    )
    assert len(series) == 365


async def _weeks(load: Load, random: Random) -> None:
    assert await load.client.metrics.mrr(*YEAR, interval="week", geo=_countries(random), slices=2)


async def _stream(load: Load, random: Random) -> None:
    queries = [MetricQuery(random.choice(METRICS), *YEAR, geo=_countries(random)) for _ in range(6)]
    leave_after = random.randint(1, 6)
    async with load.client.metrics.stream(queries) as outcomes:
        async for _ in outcomes:
            leave_after -= 1
            if leave_after == 0:
                break


async def _search(load: Load, random: Random) -> None:
    await load.client.customers.search(random.choice(_EMAILS))


async def _get(load: Load, random: Random) -> None:
    await load.client.get(random.choice(["/account", "/ping"]))


async def _client_of_its_own(load: Load, random: Random) -> None:
    async with load.new_client() as client:
        assert await client.ping() == "pong!"


def _countries(random: Random) -> list[str] | None:
    return random.choice([None, ["US"], ["DE", "FR"]])


_EMAILS = [*(customer.email for customer in COMPANY.customers[:20]), "nobody@example.com"]
_CALLS: list[Call] = [_metric, _metric, _metric, _metric, _slices, _weeks, _stream, _search, _get, _client_of_its_own]
