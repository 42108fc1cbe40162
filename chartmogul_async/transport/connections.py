"""One connection for each request in flight, reused for later requests.

httpx's own pool looks through all its connections and waiters at every event, which is slow with a long queue of
requests, and a cancellation at the wrong moment can make one of its slots unusable for good. Here each slot has
a single connection: taken for one exchange, put back after a complete response, and discarded alone
after anything else. The throttle decides how many there are.

With the extra ``fast`` that is a connection of our own (``direct``), which costs less; through a proxy, and without the
extra, it is httpx's.
"""

from __future__ import annotations

import math
import ssl
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Protocol
from urllib.request import getproxies, proxy_bypass

import anyio
import attrs
import httpx

from chartmogul_async.errors import ArgumentError
from chartmogul_async.transport.bodies import CompleteResponse, with_whole_body
from chartmogul_async.transport.network import close_socket, keep_socket
from chartmogul_async.transport.unsolicited import has_unsolicited_data

# Seconds that an idle connection is kept; if the server closes it earlier, that is noticed before it is used.
_KEEPALIVE = 30.0
# Seconds by which the wall clock may be set while the machine is awake.
_SLEEP = 10.0
# Seconds that closing a broken connection may take.
_CLOSING = 2.0
MAX_PORT = 65535
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Sender(Protocol):
    """What a request is given to, and a complete response taken from."""

    async def send(self, request: httpx.Request) -> CompleteResponse:
        """Send a request, and read the response to its end."""
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...


# A transport of httpx with a single connection, or one connection of our own.
Connection = httpx.AsyncBaseTransport | Sender


class Connections:
    """Sends each request over a connection of its own, the most recently used one.

    Args:
        make: Makes a connection when none is idle.
    """

    def __init__(self, make: Callable[[], Connection]) -> None:
        self._make = make
        # Each with the time of its last response, oldest first.
        self._idle: deque[tuple[float, Connection]] = deque()
        self._closed = False
        # By how much the wall clock was ahead of that of the event loop when the latest request began.
        self._ahead = math.inf

    async def send(self, request: httpx.Request) -> CompleteResponse:
        """Send a request, and read the response to its end."""
        ahead = time.time() - anyio.current_time()
        if ahead > self._ahead + _SLEEP:
            # While the machine slept the server closed them, and the clock of the event loop stood still.
            await self._close_idle_since(math.inf)
        self._ahead = ahead
        connection = self._idle.pop()[1] if self._idle else self._make()
        try:
            response, is_reusable = await _exchange(connection, request)
        except BaseException:
            await _close(connection)
            raise
        if self._closed or not is_reusable:
            await _close(connection)
        else:
            now = anyio.current_time()
            self._idle.append((now, connection))
            await self._close_idle_since(now - _KEEPALIVE)
        return response

    async def aclose(self) -> None:
        """Close the idle connections; those in use are closed after their responses."""
        self._closed = True
        await self._close_idle_since(math.inf)

    async def _close_idle_since(self, moment: float) -> None:
        cancelled: BaseException | None = None
        while self._idle and self._idle[0][0] <= moment:
            try:
                await _close(self._idle.popleft()[1])
            except anyio.get_cancelled_exc_class() as error:
                # A shield does not stop asyncio's own cancellation, and the others must be closed all the same.
                cancelled = error
        if cancelled is not None:
            raise cancelled


class Borrowed:
    """A transport that the user passed in: shared by all requests, and never discarded.

    Args:
        transport: The user's own transport.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def send(self, request: httpx.Request) -> CompleteResponse:
        """Send a request, and read the response to its end."""
        response = await with_whole_body(await self._transport.handle_async_request(request))
        # A transport may give the same headers again, or change them.
        return attrs.evolve(response, headers=response.headers.copy())

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()


async def _exchange(connection: Connection, request: httpx.Request) -> tuple[CompleteResponse, bool]:
    """The response, and whether the connection may be used again."""
    try:
        if not isinstance(connection, httpx.AsyncBaseTransport):
            # Our own notices by itself what was received behind a response.
            return await connection.send(request), True
        response = await connection.handle_async_request(request)
    except AttributeError as error:
        # On uvloop anyio looks up the name of a socket that is already gone.
        raise httpx.ConnectError("the connection was lost as soon as it was made") from error
    except Exception as error:
        # The library that httpcore uses for SOCKS, if it is installed, has errors of its own.
        if type(error).__module__.partition(".")[0] != "socksio":
            raise
        raise httpx.ProxyError(f"no valid reply from the SOCKS proxy: {error}") from error
    return await with_whole_body(response), not has_unsolicited_data(connection, response)


async def _close(connection: Connection) -> None:
    # Whatever goes wrong while closing, the connection is given up.
    with anyio.move_on_after(_CLOSING, shield=True), suppress(Exception):
        try:
            await connection.aclose()
        finally:
            await close_socket(connection)


def connections_to(base_url: httpx.URL) -> Connections:
    """Connections that honour the environment's proxy settings and share one TLS context.

    Args:
        base_url: Where all requests go.

    Returns:
        The connections. None is opened yet; an unusable proxy or certificate raises ``ArgumentError`` with the first.
    """
    proxy = _proxy_for(base_url)

    def make() -> Connection:
        tls = _tls_context() if base_url.scheme == "https" else _no_tls_context()
        if proxy is None and (direct := _direct_connection()):
            return direct(base_url, tls, _KEEPALIVE)
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEPALIVE)
        try:
            transport = httpx.AsyncHTTPTransport(verify=tls, limits=limits, proxy=_checked_proxy(proxy, tls))
        except httpx.InvalidURL:
            # The error's text may contain a part of the password.
            raise ArgumentError("HTTPS_PROXY/ALL_PROXY is not a valid URL") from None
        except (ValueError, ImportError) as error:
            raise ArgumentError(f"HTTPS_PROXY/ALL_PROXY cannot be used: {error}") from error
        keep_socket(transport)
        return transport

    return Connections(make)


@cache
def _direct_connection() -> Callable[[httpx.URL, ssl.SSLContext, float], Sender] | None:
    """The class, or None without the extra ``fast``; loaded with the first connection, as httpx loads its own."""
    try:
        from chartmogul_async.transport.direct import DirectConnection
    except ImportError:
        return None
    return DirectConnection


@cache
def _tls_context() -> ssl.SSLContext:
    """The context that all clients share, made with the first connection: making it takes as long as a request."""
    try:
        context = httpx.create_ssl_context()
    except OSError as error:
        raise ArgumentError(f"the TLS certificates cannot be read (SSL_CERT_FILE, SSL_CERT_DIR): {error}") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


@cache
def _no_tls_context() -> ssl.SSLContext:
    """A context for plain HTTP, which goes to loopback only: it saves the 20 ms of reading the certificates."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _checked_proxy(proxy: str | None, tls: ssl.SSLContext) -> httpx.Proxy | str | None:
    if proxy is None:
        return None
    url = httpx.URL(proxy)
    if url.port is not None and not 1 <= url.port <= MAX_PORT:
        # What stands there may be the beginning of a password with a slash in it.
        raise ValueError(f"the port must be from 1 to {MAX_PORT}")
    # A proxy that is itself reached over TLS shares the context: httpcore would make one for each connection.
    return httpx.Proxy(proxy, ssl_context=tls) if url.scheme == "https" else proxy


def _proxy_for(url: httpx.URL) -> str | None:
    if url.host in LOOPBACK or proxy_bypass(url.host):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"
