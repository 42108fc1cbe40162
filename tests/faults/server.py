"""A server that misbehaves on demand. It is made of raw sockets, so that what it sends is exactly what a test says.

Each request meets the next act of the script; after the script every request gets the calm answer.
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

MARKER = "a-customer-of-whom-nobody-shall-read"  # in every body, where no message of an error looks for words

_PATIENCE = 10.0  # seconds; a client that is silent for longer has hung, and its test has failed by then


def answer(body: object = None, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """One whole HTTP/1.1 answer. A body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(CALM_BODY if body is None else body).encode()
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(content) if length is None else length}", *headers)
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + content


CALM_BODY: dict[str, Any] = {"marker": MARKER, **MRR}
CALM_ANSWER = answer()


class Peer:
    """The server's end of one connection."""

    def __init__(self, wire: socket.socket, number: int, stopping: threading.Event) -> None:
        wire.settimeout(_PATIENCE)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wire = wire
        self._stopping = stopping
        self._received = b""
        self.number = number
        self.closed = False

    def read_head(self) -> bytes:
        """The next request, which has no body; nothing if the client has left."""
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
        """One packet for all of them, where the system can; over TLS each is a record of its own."""
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

    def wait_until_left(self) -> None:
        while self._wire.recv(65536):
            pass
        self.close()

    def wait_without_reading(self) -> None:
        self._stopping.wait(_PATIENCE)
        self.close()

    def secure(self, context: ssl.SSLContext) -> None:
        self._wire = context.wrap_socket(self._wire, server_side=True, do_handshake_on_connect=False)
        self._wire.do_handshake()

    def hang_up(self) -> None:
        """Wake the thread that serves this connection, from another thread."""
        with suppress(OSError):
            socket.socket.shutdown(self._wire, socket.SHUT_RDWR)  # SSLSocket's own would say goodbye first


@frozen
class Act:
    """What the server does with one request, or (``at_once``) with a connection before it reads the request."""

    play: Callable[[Peer], None]
    at_once: bool = False


def sends(*pieces: bytes) -> Act:
    return Act(lambda peer: peer.send(*pieces))


def closes_after(*pieces: bytes) -> Act:
    def play(peer: Peer) -> None:
        peer.send(*pieces)
        peer.close()

    return Act(play)


def resets_after(*pieces: bytes) -> Act:
    def play(peer: Peer) -> None:
        peer.send(*pieces)
        peer.reset()

    return Act(play)


def stalls_after(*pieces: bytes) -> Act:
    def play(peer: Peer) -> None:
        peer.send(*pieces)
        peer.wait_until_left()

    return Act(play)


CALM = sends(CALM_ANSWER)


class FaultServer:
    """Bound to a port of loopback from the beginning; connections are refused until ``start``.

    With ``tls`` it speaks HTTPS; with ``tunnels`` it is a proxy that leads every ``CONNECT`` to itself.
    """

    def __init__(self, script: Iterable[Act] = (), *, tls: ssl.SSLContext | None = None, tunnels: bool = False) -> None:
        self._script = deque(script)
        self._tls = tls
        self._tunnels = tunnels
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._peers: list[Peer] = []
        self._under_way = 0
        self.met = 0  # requests, and connections that met their act (or failed in TLS) before a request was read
        self.heads: list[tuple[int, bytes]] = []  # with the number of their connection

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    @property
    def connections(self) -> int:
        return len(self._peers)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        self._listener.listen(128)
        self._start_thread(self._accept)
        return self

    def stop(self) -> None:
        """Close everything, and come back when no thread is left."""
        self._stopping.set()
        if self._threads:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                self._threads[0].join()  # it was waiting for a connection
        self._listener.close()
        for peer in self._peers:
            peer.hang_up()
        for thread in self._threads:
            thread.join()

    def clog(self) -> socket.socket:
        """Listen without accepting, with a line that is full: the kernel lets further connections wait."""
        self._listener.listen(0)
        return socket.create_connection(("127.0.0.1", self.port))

    def wait_until_calm(self) -> None:
        """Wait until nothing is being played: what was to be sent or closed is sent or closed."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._under_way, _PATIENCE)

    def wait_for_connections(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.connections >= count, _PATIENCE)

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
            if act := self._next_act(at_once=True):
                self._play(act, peer)
            elif self._tls and not self._tunnels:
                self._secure(peer)
            while not peer.closed and (head := peer.read_head()):
                self._answer(head, peer)
        except OSError:
            pass  # the client has left
        finally:
            peer.close()

    def _secure(self, peer: Peer) -> None:
        assert self._tls is not None
        try:
            peer.secure(self._tls)
        except OSError:
            with self._changed:
                self.met += 1
            raise

    def _answer(self, head: bytes, peer: Peer) -> None:
        self.heads.append((peer.number, head))
        act = self._next_act(at_once=False)
        if act is None and head.startswith(b"CONNECT "):
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._secure(peer)
        else:
            self._play(act or CALM, peer)

    def _next_act(self, *, at_once: bool) -> Act | None:
        with self._changed:
            return self._script.popleft() if self._script and self._script[0].at_once == at_once else None

    def _play(self, act: Act, peer: Peer) -> None:
        with self._changed:
            self.met += 1
            self._under_way += 1
        try:
            act.play(peer)
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()
