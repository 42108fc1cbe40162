"""A server that misbehaves on demand. It is made of raw sockets, so that it sends exactly the bytes of a test.

Each request gets the next one of the given behaviours; after the last one, every request gets the normal response.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Self

from attrs import frozen

from tests.clients import MRR

# Part of every body, under a key that no error message quotes.
MARKER = "a-customer-that-no-message-may-quote"

# Seconds; a client that is silent for longer hangs, and its test has failed by then.
_TIMEOUT = 10.0


def response(body: object = None, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """One complete HTTP/1.1 response. A body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(NORMAL_BODY if body is None else body).encode()
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(content) if length is None else length}", *headers)
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + content


NORMAL_BODY: dict[str, Any] = {"marker": MARKER, **MRR}
NORMAL_RESPONSE = response()
# What a proxy responds to ``CONNECT``.
TUNNEL = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Peer:
    """The server's end of one connection."""

    def __init__(self, wire: socket.socket, number: int, stopping: threading.Event) -> None:
        wire.settimeout(_TIMEOUT)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wire = wire
        self._stopping = stopping
        self._received = b""
        self.number = number
        self.closed = False

    def read_head(self) -> bytes:
        """The next request, which has no body; empty if the client has disconnected."""
        while b"\r\n\r\n" not in self._received:
            piece = self._wire.recv(65536)
            if not piece:
                return b""
            self._received += piece
        head, end, self._received = self._received.partition(b"\r\n\r\n")
        return head + end

    def read_some(self) -> None:
        self._wire.recv(65536)

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._wire.sendall(piece)

    def send_together(self, *pieces: bytes) -> None:
        """Send all in one packet, where the system can; over TLS each is a record of its own."""
        cork = getattr(socket, "TCP_CORK", None)
        if cork is not None:
            self._wire.setsockopt(socket.IPPROTO_TCP, cork, 1)
        self.send(*pieces)
        if cork is not None:
            self._wire.setsockopt(socket.IPPROTO_TCP, cork, 0)

    def trickle(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._wire.sendall(piece)
            self._stopping.wait(0.01)

    def close(self) -> None:
        self.closed = True
        self._wire.close()

    def reset(self) -> None:
        """Close with an RST in place of a FIN."""
        self._wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def wait_for_disconnect(self) -> None:
        while self._wire.recv(65536):
            pass
        self.close()

    def wait_without_reading(self) -> None:
        self._stopping.wait(_TIMEOUT)
        self.close()

    def secure(self, context: ssl.SSLContext) -> None:
        self._wire = context.wrap_socket(self._wire, server_side=True, do_handshake_on_connect=False)
        self._wire.do_handshake()

    def hang_up(self) -> None:
        """Wake the thread that serves this connection, from another thread."""
        with suppress(OSError):
            # SSLSocket's own method would send a close_notify first.
            socket.socket.shutdown(self._wire, socket.SHUT_RDWR)


@frozen
class Behaviour:
    """What the server does with one request.

    Attributes:
        run: What it does.
        before_reading: It is done with a connection, before a request is read.
        in_tunnel: It is done with a request through a proxy's tunnel, and not with the ``CONNECT`` for it.
    """

    run: Callable[[Peer], None]
    before_reading: bool = False
    in_tunnel: bool = False


def sends(*pieces: bytes) -> Behaviour:
    return Behaviour(lambda peer: peer.send(*pieces))


def closes_after(*pieces: bytes) -> Behaviour:
    def run(peer: Peer) -> None:
        peer.send(*pieces)
        peer.close()

    return Behaviour(run)


def resets_after(*pieces: bytes) -> Behaviour:
    def run(peer: Peer) -> None:
        peer.send(*pieces)
        peer.reset()

    return Behaviour(run)


def stalls_after(*pieces: bytes) -> Behaviour:
    def run(peer: Peer) -> None:
        peer.send(*pieces)
        peer.wait_for_disconnect()

    return Behaviour(run)


NORMAL = sends(NORMAL_RESPONSE)


class FaultServer:
    """A server on a port of loopback, bound from the beginning; connections are refused until ``start``.

    Args:
        behaviours: One for each request, in order.
        tls: The server's side of HTTPS; None for plain HTTP.
        tunnels: Whether it is a proxy, which connects every ``CONNECT`` to itself.

    Attributes:
        exchanges: Requests, and connections that got their behaviour, or failed in TLS, before a request was read.
        heads: Each request with the number of its connection.
    """

    def __init__(
        self, behaviours: Iterable[Behaviour] = (), *, tls: ssl.SSLContext | None = None, tunnels: bool = False
    ) -> None:
        self._behaviours = deque(behaviours)
        self._tls = tls
        self._tunnels = tunnels
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._peers: list[Peer] = []
        self._in_progress = 0
        self.exchanges = 0
        self.heads: list[tuple[int, bytes]] = []

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    @property
    def connections(self) -> int:
        return len(self._peers)

    @property
    def open_connections(self) -> int:
        return sum(not peer.closed for peer in self._peers)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        self._listener.listen(128)
        self._start_thread(self._accept)
        return self

    def stop(self) -> None:
        """Close everything, and return when no thread is left."""
        self._stopping.set()
        if self._threads:
            # The first thread waits for a connection.
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                self._threads[0].join()
        self._listener.close()
        for peer in self._peers:
            peer.hang_up()
        for thread in self._threads:
            thread.join()

    def fill_backlog(self) -> socket.socket:
        """Listen without accepting, with a full backlog: the kernel lets further connections wait."""
        self._listener.listen(0)
        return socket.create_connection(("127.0.0.1", self.port))

    def wait_until_idle(self) -> None:
        """Wait until no behaviour is in progress: all is sent or closed that should be."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._in_progress, _TIMEOUT)

    def recover(self) -> None:
        """Forget the behaviours that are left, and wait until none is in progress."""
        with self._changed:
            self._behaviours.clear()
        self.wait_until_idle()

    def wait_for_connections(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.connections >= count, _TIMEOUT)

    def wait_for_exchanges(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.exchanges >= count, _TIMEOUT)

    def _accept(self) -> None:
        while True:
            wire, _ = self._listener.accept()
            if self._stopping.is_set():
                wire.close()
                return
            with self._changed:
                peer = Peer(wire, self.connections, self._stopping)
                self._peers.append(peer)
                self._changed.notify_all()
            self._start_thread(self._serve, peer)

    def _start_thread(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self, peer: Peer) -> None:
        try:
            if behaviour := self._next_behaviour(lambda due: due.before_reading):
                self._run(behaviour, peer)
            elif self._tls and not self._tunnels:
                self._secure(peer)
            while not peer.closed and (head := peer.read_head()):
                self._respond(head, peer)
        except OSError:
            # The client has disconnected.
            pass
        finally:
            peer.close()

    def _secure(self, peer: Peer) -> None:
        assert self._tls is not None
        try:
            peer.secure(self._tls)
        except OSError:
            with self._changed:
                self.exchanges += 1
            raise

    def _respond(self, head: bytes, peer: Peer) -> None:
        self.heads.append((peer.number, head))
        connects = head.startswith(b"CONNECT ")
        behaviour = self._next_behaviour(lambda due: not due.before_reading and not (connects and due.in_tunnel))
        if behaviour is None and connects:
            peer.send(TUNNEL)
            self._secure(peer)
        else:
            self._run(behaviour or NORMAL, peer)

    def _next_behaviour(self, is_due: Callable[[Behaviour], bool]) -> Behaviour | None:
        with self._changed:
            return self._behaviours.popleft() if self._behaviours and is_due(self._behaviours[0]) else None

    def _run(self, behaviour: Behaviour, peer: Peer) -> None:
        with self._changed:
            self.exchanges += 1
            self._in_progress += 1
            self._changed.notify_all()
        try:
            behaviour.run(peer)
        finally:
            with self._changed:
                self._in_progress -= 1
                self._changed.notify_all()
