"""A night of many accounts in virtual time, and what a call costs with one account and with a thousand.

The accounts are drawn from a seed: how fast ChartMogul responds for each, whose key was revoked, who does not get a
response at all. All but the figures of CPU and memory is the same on every machine.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import random
import tracemalloc
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from statistics import quantiles
from typing import get_args

import httpx
from attrs import Factory, define, frozen

from benchmarks.canned import Canned
from benchmarks.measure import Reading, Stopwatch
from benchmarks.sides.clients import MONTHS, PARALLEL
from chartmogul_async import AsyncClient, AsyncClients, MetricName, MetricQuery
from tests.virtual_time import VirtualTimeLoop

ClientOf = Callable[[str], AsyncClient]
QUERIES = [MetricQuery(metric, *MONTHS) for metric in get_args(MetricName)]
# Accounts in progress at once in each process; each asks for its nine metrics at the same time.
AT_ONCE = 400
# The share of accounts whose key was revoked, which get no response, which get it late, whose compute time is used up.
_REVOKED, _SILENT, _SLOW, _USED_UP = 0.01, 0.002, 0.01, 0.005
# Seconds: a usual response of a usual account, how much longer slow ones take, the timeout of a silent one, and until
# when compute time is used up.
_USUAL, _SLOWER, _TIMEOUT, _USED_UP_UNTIL = 0.25, 20, 30.0, 60.0
_PAGES_EVERY = 0.5


@frozen
class Account:
    """How ChartMogul responds for one account."""

    key: str
    usual: float
    kind: str


def population(seed: int, number: int) -> list[Account]:
    return [_drawn(random.Random(f"{seed} {index}"), f"key-{index:08}") for index in range(number)]


def _drawn(chance: random.Random, key: str) -> Account:
    usual, place = _USUAL * math.exp(chance.gauss(0, 0.4)), chance.random()
    for kind, share in (("revoked", _REVOKED), ("silent", _SILENT), ("slow", _SLOW), ("used up", _USED_UP)):
        if place < share:
            return Account(key, usual * (_SLOWER if kind == "slow" else 1), kind)
        place -= share
    return Account(key, usual, "usual")


@define(eq=False)
class Api(httpx.AsyncBaseTransport):
    """ChartMogul for all accounts."""

    accounts: dict[str, Account]
    chance: random.Random
    canned: Canned = Factory(Canned)
    requests: int = 0
    in_flight: int = 0
    most: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        key = b64decode(request.headers["authorization"].removeprefix("Basic ")).decode().rstrip(":")
        account = self.accounts[key]
        self.requests += 1
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            return await self._respond(account, request)
        finally:
            self.in_flight -= 1

    async def _respond(self, account: Account, request: httpx.Request) -> httpx.Response:
        now = asyncio.get_running_loop().time()
        if account.kind == "silent":
            await asyncio.sleep(_TIMEOUT)
            raise httpx.ReadTimeout("")
        if account.kind == "revoked" or (account.kind == "used up" and now < _USED_UP_UNTIL):
            await asyncio.sleep(_USUAL / 5)
            return httpx.Response(401 if account.kind == "revoked" else 429, json={"message": "no"})
        await asyncio.sleep(account.usual * math.exp(self.chance.gauss(0, 0.3)))
        content = self.canned.answer(request.url.raw_path).response.partition(b"\r\n\r\n")[2]
        return httpx.Response(200, content=content)


@define(eq=False)
class Night:
    """What is noted while one process works."""

    # When it was over; for each usual account, when it was ready and how long it took; and how much longer than its own
    # response each page took.
    seconds: float = 0.0
    ends: list[float] = Factory(list)
    accounts: list[float] = Factory(list)
    pages: list[float] = Factory(list)
    failed: int = 0


def nightly(accounts: int, processes: int, max_in_flight: int | None, seed: int = 1) -> Reading:
    """Nine metrics of each account, by so many processes that share the accounts out among them.

    ``max_in_flight`` None makes a client for each account, as it is without a cap.
    """
    # Some accounts are refused, which would be logged.
    logging.getLogger("chartmogul_async").setLevel(logging.ERROR)
    # The waits between attempts are drawn from it.
    random.seed(seed)
    everybody, nights, apis = population(seed, accounts), [], []
    with Stopwatch() as watch:
        for process in range(processes):
            part = everybody[process::processes]
            visitor = Account("key-of-pages", _USUAL, "usual")
            api = Api({account.key: account for account in (*part, visitor)}, random.Random(f"{seed} {process}"))
            with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
                nights.append(runner.run(_one_process(part, api, max_in_flight)))
            apis.append(api)
    took = [seconds for night in nights for seconds in night.accounts]
    pages = [seconds for night in nights for seconds in night.pages]
    return {
        "seconds": max(night.seconds for night in nights),
        # When nearly all accounts were ready: what is left are those that are slow or get no response.
        "busy": max(_spread(night.ends)["p99"] for night in nights),
        "cpu": watch.cpu / processes,
        "memory": watch.memory,
        "requests": sum(api.requests for api in apis),
        "most_in_flight": max(api.most for api in apis),
        "failed": sum(night.failed for night in nights),
        **{f"account_{name}": value for name, value in _spread(took).items()},
        **{f"page_{name}": value for name, value in _spread(pages).items()},
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    hundredths = quantiles(values, n=100, method="inclusive")
    return {"p50": hundredths[49], "p99": hundredths[98], "max": max(values)}


async def _one_process(part: Sequence[Account], api: Api, max_in_flight: int | None) -> Night:
    night, pending, loop = Night(), iter(part), asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        client_of: ClientOf
        if max_in_flight is None:
            client_of = partial(AsyncClient, transport=api)
        else:
            clients = AsyncClients(transport=api, max_in_flight=max_in_flight)
            client_of = (await stack.enter_async_context(clients)).for_account
        pages = asyncio.create_task(_pages(client_of("key-of-pages"), night))
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(_work(client_of, pending, night))
        night.seconds = loop.time()
        pages.cancel()
    return night


async def _work(client_of: ClientOf, pending: Iterator[Account], night: Night) -> None:
    loop = asyncio.get_running_loop()
    for account in pending:
        start = loop.time()
        outcomes = await client_of(account.key).metrics.fetch_all(QUERIES)
        failed = any(outcome.error is not None for outcome in outcomes)
        night.failed += failed
        if account.kind == "usual":
            assert not failed
            night.accounts.append(loop.time() - start)
            night.ends.append(loop.time())


async def _pages(client: AsyncClient, night: Night) -> None:
    """A page of another account, every half a second: how much longer than without the night it takes."""
    loop = asyncio.get_running_loop()
    responses: list[float] = []
    view = client.with_options(on_response=lambda response: responses.append(response.elapsed))
    while True:
        start = loop.time()
        await view.metrics.mrr(*MONTHS)
        night.pages.append(loop.time() - start - responses[-1])
        await asyncio.sleep(_PAGES_EVERY)


# --- what a call costs -----------------------------------------------------------------------------------------------


def calls(accounts: int, calls: int) -> Reading:
    """So many calls, twenty at a time, each of the next account; 0 accounts are a client of its own."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_calls(accounts, calls))


async def _calls(accounts: int, calls: int) -> Reading:
    body = Canned().answer(f"/v1/metrics/mrr?start-date={MONTHS[0]}&end-date={MONTHS[1]}&interval=month".encode())
    content = body.response.partition(b"\r\n\r\n")[2]

    async def respond(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.01)
        return httpx.Response(200, content=content)

    transport = httpx.MockTransport(respond)
    clients = AsyncClients(transport=transport)
    if accounts:
        each = [clients.for_account(f"key-{number:08}") for number in range(accounts)]
    else:
        each = [AsyncClient("key", transport=transport)]
    for client in each:
        client.throttle.resize(per_second=10**6)
    pending = iter(range(calls))

    async def work() -> None:
        for number in pending:
            # Equal calls of one account at the same time would be one request.
            await each[number % len(each)].metrics.mrr(*MONTHS, plans=str(number))

    await each[0].metrics.mrr(*MONTHS)
    with Stopwatch() as watch:
        async with asyncio.TaskGroup() as group:
            for _ in range(PARALLEL):
                group.create_task(work())
    return watch.reading(repeats=calls)


def idle(accounts: int, calls: int) -> Reading:
    """Bytes of an account that made so many calls and is not in use now, with its key and its client."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_idle(accounts, calls))


async def _idle(accounts: int, calls: int) -> Reading:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": "pong!"}))
    async with AsyncClients(transport=transport) as clients:
        await clients.for_account("key").ping()
        with Stopwatch() as watch:
            gc.collect()
            tracemalloc.start()
            for number in range(accounts):
                client = clients.for_account(f"key-{number:08}")
                for _ in range(calls):
                    await client.ping()
                client.metrics  # noqa: B018 - it is kept, too
                await asyncio.sleep(1)
            gc.collect()
            size, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    return watch.reading(bytes=size / accounts)
