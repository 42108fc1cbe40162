"""A relay in front of a server on loopback, which adds one layer: TLS, or what a proxy is asked before it passes on."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import anyio
import anyio.abc
from anyio.from_thread import start_blocking_portal
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener

LOST = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, anyio.IncompleteRead, OSError)
LONGEST_HEAD = 10_000
_TIMEOUT = 10.0
# How a proxy is asked to connect.
Asked = Callable[[anyio.abc.ByteStream], Awaitable[None]]


class Relay:
    """A relay that runs in a thread of its own."""

    def __init__(self) -> None:
        self.port = 0
        self._connections = 0
        self._changed = threading.Condition()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """A connection, from the moment in which it is accepted until both its ends are closed."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        with self._changed:
            self._connections += more
            self._changed.notify_all()

    def wait_for_connections(self, most: int) -> None:
        """Wait until at most so many are open: an end that was closed has closed the other one."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._connections <= most, _TIMEOUT)


@contextmanager
def relay(port: int, tls: ssl.SSLContext | None = None, *, through: Asked | None = None) -> Iterator[Relay]:
    """Pass on everything between clients and a port of loopback.

    Args:
        port: Where every connection leads.
        tls: The relay's side of TLS with the client; the port gets what was encrypted.
        through: If it is a proxy, how it is asked; every connection leads to the port all the same.

    Yields:
        The relay.
    """
    own = Relay()
    with start_blocking_portal() as portal:
        serving, own.port = portal.start_task(partial(_serve, own, port, tls, through))
        try:
            yield own
        finally:
            serving.cancel()


async def _serve(
    own: Relay, port: int, tls: ssl.SSLContext | None, through: Asked | None, *, task_status: anyio.abc.TaskStatus[int]
) -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    own_port = listener.extra(anyio.abc.SocketAttribute.local_port)

    async def serve(client: anyio.abc.ByteStream) -> None:
        with own.counted():
            async with client:
                try:
                    await _connect(client, port, through)
                except* LOST:
                    # The client or the port has disconnected.
                    pass

    async with listener:
        task_status.started(own_port)
        await (listener if tls is None else TLSListener(listener, tls, standard_compatible=False)).serve(serve)


async def tunnel(client: anyio.abc.ByteStream) -> None:
    """A proxy for HTTP, which is asked to connect."""
    head = await BufferedByteReceiveStream(client).receive_until(b"\r\n\r\n", LONGEST_HEAD)
    assert head.startswith(b"CONNECT ")
    await client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")


async def socks(client: anyio.abc.ByteStream, password: bytes = b"") -> None:
    """A proxy for SOCKS 5 (RFC 1928, with the login of RFC 1929 if there is a password)."""
    received = BufferedByteReceiveStream(client)

    async def text() -> bytes:
        return await received.receive_exactly((await received.receive_exactly(1))[0])

    assert await received.receive_exactly(1) == b"\x05"
    method = b"\x02" if password else b"\x00"
    assert method in await text()
    await client.send(b"\x05" + method)
    if password:
        assert await received.receive_exactly(1) == b"\x01"
        _, given = await text(), await text()
        await client.send(b"\x01" + (b"\x00" if given == password else b"\x01"))
        if given != password:
            raise anyio.EndOfStream
    # Connect to a name.
    assert await received.receive_exactly(4) == b"\x05\x01\x00\x03"
    await text()
    await received.receive_exactly(2)
    await client.send(b"\x05\x00\x00\x01" + bytes(6))


async def _connect(client: anyio.abc.ByteStream, port: int, through: Asked | None) -> None:
    if through is not None:
        await through(client)
    async with await anyio.connect_tcp("127.0.0.1", port) as server, anyio.create_task_group() as group:
        group.start_soon(_pass_on, client, server)
        await _pass_on(server, client)


async def _pass_on(source: anyio.abc.ByteReceiveStream, sink: anyio.abc.ByteSendStream) -> None:
    async for piece in source:
        await sink.send(piece)
    # The other direction ends, too.
    raise anyio.EndOfStream
