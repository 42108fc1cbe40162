"""A connection for each request in flight, handed out in turn.

httpx's own pool looks through all its connections and waiters at every event, which is slow behind a line of
requests, and a cancellation at the wrong moment can leave one of its slots dead for good. Here each slot is
an httpx transport with a single connection: taken for one exchange, put back after a whole answer, and thrown
away alone after anything else. How many there are is decided by the throttle's places.
"""

from __future__ import annotations

import math
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx

from chartmogul_async.errors import UsageError
from chartmogul_async.transport.bodies import with_whole_body
from chartmogul_async.transport.leftovers import has_more

_KEEPALIVE = 30.0  # seconds; a connection that the server closed meanwhile is noticed before it is used
_CLOSING = 2.0  # seconds that saying goodbye to a broken connection may take
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Connections(httpx.AsyncBaseTransport):
    """Hands each request a transport with one connection, the one used last first."""

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._make = make
        self._idle: deque[tuple[float, httpx.AsyncBaseTransport]] = deque()  # with the time of their last answer
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        connection = self._idle.pop()[1] if self._idle else self._make()
        try:
            response = await with_whole_body(await _send(connection, request))
        except BaseException:
            await _close(connection)
            raise
        if self._closed or has_more(connection, response):
            await _close(connection)
        else:
            now = anyio.current_time()
            self._idle.append((now, connection))
            await self._close_idle_since(now - _KEEPALIVE)
        return response

    async def aclose(self) -> None:
        self._closed = True
        await self._close_idle_since(math.inf)

    async def _close_idle_since(self, moment: float) -> None:
        cancelled: BaseException | None = None
        while self._idle and self._idle[0][0] <= moment:
            try:
                await _close(self._idle.popleft()[1])
            except anyio.get_cancelled_exc_class() as error:
                cancelled = error  # asyncio's own gets through the shield, and the others are to be closed all the same
        if cancelled is not None:
            raise cancelled


class Borrowed(httpx.AsyncBaseTransport):
    """A transport that the user handed in: shared by all requests, and never thrown away."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await with_whole_body(await self._transport.handle_async_request(request))

    async def aclose(self) -> None:
        await self._transport.aclose()


async def _send(connection: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
    try:
        return await connection.handle_async_request(request)
    except AttributeError as error:  # on uvloop, when anyio asks a socket that is gone already for its name
        raise httpx.ConnectError("the connection was lost as soon as it was made") from error


async def _close(connection: httpx.AsyncBaseTransport) -> None:
    with anyio.move_on_after(_CLOSING, shield=True), suppress(Exception):  # it is given up in any case
        await connection.aclose()


def connections_to(base_url: httpx.URL) -> Connections:
    """Connections that honour the environment's proxy settings and share one TLS context."""
    proxy = _proxy_for(base_url)

    def make() -> httpx.AsyncBaseTransport:
        tls = _tls_context() if base_url.scheme == "https" else _no_tls_context()
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEPALIVE)
        try:
            return httpx.AsyncHTTPTransport(verify=tls, limits=limits, proxy=proxy)
        except httpx.InvalidURL:
            # Its words may hold a part of the password.
            raise UsageError("the proxy of the environment (HTTPS_PROXY, ALL_PROXY) is no URL") from None
        except (ValueError, ImportError) as error:
            raise UsageError(
                f"the proxy of the environment (HTTPS_PROXY, ALL_PROXY) cannot be used: {error}"
            ) from error

    return Connections(make)


@cache
def _tls_context() -> ssl.SSLContext:
    """Built at the first connection, then shared by all clients: it takes as long as an answer."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise UsageError(f"the TLS certificates cannot be read (SSL_CERT_FILE, SSL_CERT_DIR): {error}") from error


@cache
def _no_tls_context() -> ssl.SSLContext:
    """For plain HTTP, which goes to loopback only: reading the certificates would take 20 ms for nothing."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _proxy_for(url: httpx.URL) -> str | None:
    if url.host in LOOPBACK or proxy_bypass(url.host):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"
