"""A relay in front of a server on loopback, which adds one layer: TLS, or the tunnel of a proxy."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
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
def relay(port: int, tls: ssl.SSLContext | None = None, *, tunnels: bool = False) -> Iterator[Relay]:
    """Pass on everything between clients and a port of loopback.

    Args:
        port: Where every connection leads.
        tls: The relay's side of TLS with the client; the port gets what was encrypted.
        tunnels: Whether it is a proxy, which connects every ``CONNECT`` to the port.

    Yields:
        The relay.
    """
    own = Relay()
    with start_blocking_portal() as portal:
        serving, own.port = portal.start_task(partial(_serve, own, port, tls, tunnels))
        try:
            yield own
        finally:
            serving.cancel()


async def _serve(
    own: Relay, port: int, tls: ssl.SSLContext | None, tunnels: bool, *, task_status: anyio.abc.TaskStatus[int]
) -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    own_port = listener.extra(anyio.abc.SocketAttribute.local_port)

    async def serve(client: anyio.abc.ByteStream) -> None:
        with own.counted():
            async with client:
                try:
                    await _connect(client, port, tunnels)
                except* LOST:
                    # The client or the port has disconnected.
                    pass

    async with listener:
        task_status.started(own_port)
        await (listener if tls is None else TLSListener(listener, tls, standard_compatible=False)).serve(serve)


async def _connect(client: anyio.abc.ByteStream, port: int, tunnels: bool) -> None:
    if tunnels:
        head = await BufferedByteReceiveStream(client).receive_until(b"\r\n\r\n", LONGEST_HEAD)
        assert head.startswith(b"CONNECT ")
        await client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    async with await anyio.connect_tcp("127.0.0.1", port) as server, anyio.create_task_group() as group:
        group.start_soon(_pass_on, client, server)
        await _pass_on(server, client)


async def _pass_on(source: anyio.abc.ByteReceiveStream, sink: anyio.abc.ByteSendStream) -> None:
    async for piece in source:
        await sink.send(piece)
    # The other direction ends, too.
    raise anyio.EndOfStream
