"""One request for the MRR of 24 months, by each client: ours down to records, the others down to bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib import import_module
from itertools import count
from typing import Any

from benchmarks.counters import read_counters

Call = Callable[[], Coroutine[Any, Any, object]]

KEY = "sandbox"
PARALLEL = 20
MONTHS = ("2024-01-01", "2025-12-31")
_PARAMS = {"start-date": MONTHS[0], "end-date": MONTHS[1], "interval": "month"}


async def load(url: str, client: str) -> None:
    """Libraries load parts of themselves at their first request, so one is made by a client that is thrown away, and
    the server forgets it: imports are no part of the work.
    """
    async with _CLIENTS[client](url) as call:
        await call()
    read_counters(url, reset=True)


def open_client(url: str, client: str) -> AbstractAsyncContextManager[Call]:
    """A new client, and how it makes its call."""
    return _CLIENTS[client](url)


@asynccontextmanager
async def _ours(url: str) -> AsyncIterator[Call]:
    """A whole call: query, throttle (which never has to wait for the rate here), retry, exchange, records."""
    from chartmogul_async import AsyncClient, Throttle

    async with AsyncClient(KEY, base_url=url, throttle=Throttle(10**6, PARALLEL)) as client:
        # Equal calls at the same time would be one request.
        numbers = count()
        yield lambda: client.metrics.mrr(*MONTHS, plans=str(next(numbers)))


@asynccontextmanager
async def _ours_over_httpx(url: str) -> AsyncIterator[Call]:
    """The same without httptools: over httpx's connections."""
    from chartmogul_async.transport import connections

    connections._direct_connection = lambda: None  # type: ignore[assignment]
    async with _ours(url) as call:
        yield call


@asynccontextmanager
async def _httpx(url: str) -> AsyncIterator[Call]:
    async with _httpx_client("httpx") as client:
        yield lambda: client.get(f"{url}/metrics/mrr", params=_PARAMS)


@asynccontextmanager
async def _one_connection_each(url: str) -> AsyncIterator[Call]:
    """httpx at its best: a client with one connection for each of twenty workers, handed out in turn."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(_httpx_client("httpx", 1)) for _ in range(PARALLEL)]

        async def get() -> None:
            client = clients.pop()
            await client.get(f"{url}/metrics/mrr", params=_PARAMS)
            clients.append(client)

        yield get


@asynccontextmanager
async def _httpx2(url: str) -> AsyncIterator[Call]:
    async with _httpx_client("httpx2") as client:
        yield lambda: client.get(f"{url}/metrics/mrr", params=_PARAMS)


def _httpx_client(library: str, connections: int = PARALLEL) -> Any:
    """httpx, or its fork, which has the same names."""
    module = import_module(library)
    limits = module.Limits(max_connections=connections, max_keepalive_connections=connections)
    return module.AsyncClient(auth=(KEY, ""), limits=limits, timeout=None, trust_env=False)


@asynccontextmanager
async def _aiohttp(url: str) -> AsyncIterator[Call]:
    from aiohttp import BasicAuth, ClientSession, ClientTimeout, TCPConnector

    connector = TCPConnector(limit=PARALLEL)
    async with ClientSession(connector=connector, auth=BasicAuth(KEY), timeout=ClientTimeout(total=None)) as session:

        async def get() -> bytes:
            async with session.get(f"{url}/metrics/mrr", params=_PARAMS) as response:
                return await response.read()

        yield get


_CLIENTS: dict[str, Callable[[str], AbstractAsyncContextManager[Call]]] = {
    "ours": _ours,
    "ours-over-httpx": _ours_over_httpx,
    "httpx": _httpx,
    "httpx-one-each": _one_connection_each,
    "httpx2": _httpx2,
    "aiohttp": _aiohttp,
}
