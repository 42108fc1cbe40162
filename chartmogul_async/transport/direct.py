"""A connection straight to the server: httptools over httpcore's network backends, at a fraction of httpx's cost.

It needs the extra ``fast``, and takes the place of an httpx transport with a single connection wherever no proxy
applies. Its errors are httpx's. Everything that it asks of httpcore has a public name, but for the stream around a
socket.
"""

from __future__ import annotations

import select
import ssl
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import httpcore
import httpx

from chartmogul_async.transport.bodies import CompleteResponse, complete_response, limit_for, reason_to_stop, unread
from chartmogul_async.transport.http1 import ResponseParser, request_bytes
from chartmogul_async.transport.network import connect_on_asyncio, connect_on_trio, is_asyncio

_PIECE = 2**16
# Bytes of a response up to which nothing behind it can be out of sight. On asyncio at most a piece is taken of what the
# event loop received at once; the rest shows only in the next read. Where the piece was encrypted, and no more than
# this of it was used, what is left of it includes a complete record, which shows.
_NOTHING_HIDDEN = 2**15
# How often other tasks run until a read has returned what it can without waiting.
_STEPS = 4
_PORTS = {"http": 80, "https": 443}

_ERRORS: Mapping[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadError: httpx.ReadError,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteError: httpx.WriteError,
    httpcore.WriteTimeout: httpx.WriteTimeout,
}


class DirectConnection:
    """One connection, for one exchange at a time. It is opened by a request, and again if it cannot be used any more.

    Whoever uses it closes it after an exchange that failed.

    Args:
        url: The server's; all requests go there.
        tls: The context for HTTPS.
        keepalive: Seconds after which an idle connection is not used any more.
    """

    def __init__(self, url: httpx.URL, tls: ssl.SSLContext, keepalive: float) -> None:
        self._url = url
        self._tls = tls
        self._keepalive = keepalive
        # What is connected, and what is read and written: the same without TLS.
        self._connected: httpcore.AsyncNetworkStream | None = None
        self._stream: httpcore.AsyncNetworkStream | None = None
        # Where it shows that something was received; the second one is None without TLS.
        self._socket: Any = None
        self._decrypted: ssl.SSLObject | None = None
        # When it gets too old; None unless it is idle.
        self._usable_until: float | None = None

    async def send(self, request: httpx.Request) -> CompleteResponse:
        """Send a request, and read the response to its end.

        Args:
            request: The request, with its body, if any, in memory.

        Returns:
            The response.

        Raises:
            DecodeError: The body is too large.
            httpx.DecodingError: The body cannot be decompressed.
            httpx.TransportError: The response did not arrive, or not completely.
        """
        timeouts: Mapping[str, float | None] = request.extensions.get("timeout", {})
        response = ResponseParser(request.method)
        try:
            stream = await self._open(request, timeouts.get("connect"))
            await _send(request, stream, timeouts.get("write"))
            await _receive(response, stream, timeouts.get("read"))
        except tuple(_ERRORS) as error:
            # The caller may keep the error, and with its traceback what was received.
            response.body.clear()
            raise _ERRORS[type(error)](str(error)) from error
        await self._end_exchange(stream, response)
        return complete_response(response.status, httpx.Headers(response.headers), response.taken_body())

    async def aclose(self) -> None:
        """Close the connection, if it is open."""
        connected, self._connected, self._stream, self._usable_until = self._connected, None, None, None
        if connected is not None:
            # There is no need to end TLS, and no other way to close a socket whose handshake was cancelled.
            await connected.aclose()

    async def _open(self, request: httpx.Request, limit: float | None) -> httpcore.AsyncNetworkStream:
        """The idle connection, or a new one, made in ``limit`` seconds for TCP and for TLS."""
        if self._stream is not None and self._is_usable():
            self._usable_until = None
            # On Windows asyncio reads ahead while a connection is idle, which its socket does not show.
            if sys.platform != "win32" or not await _holds_more(self._stream):
                return self._stream
        await self.aclose()
        await _report(request, "connection.connect_tcp.started")
        host = self._url.raw_host.decode("ascii")
        port = self._url.port or _PORTS[self._url.scheme]
        stream: httpcore.AsyncNetworkStream = await _connect(host, port, limit)
        self._connected = stream
        if self._url.scheme == "https":
            stream = await stream.start_tls(self._tls, host, limit)
        self._socket = stream.get_extra_info("socket")
        self._decrypted = stream.get_extra_info("ssl_object")
        self._stream = stream
        return stream

    def _is_usable(self) -> bool:
        """Whether the connection is idle, for not too long, and nothing was received, not even that it was closed."""
        if self._usable_until is None or anyio.current_time() > self._usable_until or _is_readable(self._socket):
            return False
        if self._decrypted is None:
            return True
        try:
            self._decrypted.read(1)
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLError:
            # It was closed, or broken.
            return False
        return False

    async def _end_exchange(self, stream: httpcore.AsyncNetworkStream, response: ResponseParser) -> None:
        """Keep the connection for the next request if it can be used again; else close it."""
        if response.is_reusable and (response.size <= _NOTHING_HIDDEN or not await _holds_more(stream)):
            self._usable_until = anyio.current_time() + self._keepalive
        else:
            await self.aclose()


async def _connect(host: str, port: int, limit: float | None) -> httpcore.AsyncNetworkStream:
    """Connect as httpx does where it is given a backend that closes its sockets."""
    stream: httpcore.AsyncNetworkStream
    if is_asyncio():
        stream = await connect_on_asyncio(host, port, limit)
    else:
        # Where trio is not installed, httpcore has another class of this name.
        stream = await connect_on_trio(httpcore.TrioBackend(), host, port, limit)
    return stream


def _is_readable(wire: Any) -> bool:
    """Whether a socket has received data, or their end. The streams' own ``is_readable`` costs 30 times as much."""
    try:
        if not hasattr(select, "poll"):
            # Windows, where select() has no largest descriptor.
            return bool(select.select([wire], [], [], 0)[0])
        poll = select.poll()
        poll.register(wire, select.POLLIN)
        return bool(poll.poll(0))
    except ValueError:
        # On Windows the event loop closes a connection that is reset while it is idle.
        return True


async def _holds_more(stream: httpcore.AsyncNetworkStream) -> bool:
    """Whether a read would return immediately, with what is held by the event loop or any other layer."""
    returned = False

    async def read() -> None:
        nonlocal returned
        with suppress(Exception):
            await stream.read(1)
        returned = True

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        for _ in range(_STEPS):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    return returned


async def _send(request: httpx.Request, stream: httpcore.AsyncNetworkStream, limit: float | None) -> None:
    await _report(request, "http11.send_request_headers.started")
    try:
        await stream.write(request_bytes(request), limit)
    except httpcore.WriteError:
        # A server may respond and disconnect before it has read the request.
        return
    await _report(request, "http11.send_request_headers.complete")


async def _receive(response: ResponseParser, stream: httpcore.AsyncNetworkStream, limit: float | None) -> None:
    """Receive a response to its end, or as much of an error response as is read at all."""
    while not response.is_complete:
        response.feed(await stream.read(_PIECE, limit))
        largest = limit_for(response.status)
        reason = reason_to_stop(len(response.body), response.chunks, largest)
        if reason is None:
            continue
        if httpx.codes.is_success(response.status) or len(response.body) <= largest:
            response.body.clear()
            raise unread(response.status, httpx.Headers(response.headers), reason)
        # What is beyond the limit is cut off by `complete_response`.
        return


async def _report(request: httpx.Request, event: str) -> None:
    """Tell the request's extension ``trace``, by httpcore's names, what the throttle needs to know."""
    trace = request.extensions.get("trace")
    if trace is not None:
        await trace(event, {"request": request})
