"""The sandbox over real sockets: in the foreground or in a thread."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from chartmogul_async.sandbox.app import RESET, App, Message, Receive, Send

# Seconds, as web servers in front of such an API have it; uvicorn's 5 would close on a client that thinks.
_KEEP_ALIVE = 75


class Served(Protocol):
    """What a server needs of a sandbox."""

    app: App

    def connected(self) -> None:
        """Count a connection."""
        ...


class Server(uvicorn.Server):
    """A server that already listens when it is made, and that can be stopped from any thread.

    ``url`` is where the API is, ``/v1`` included; ``ready`` is called with it when requests are answered.
    """

    def __init__(self, sandbox: Served, host: str, port: int, ready: Callable[[str], object]) -> None:
        super().__init__(
            uvicorn.Config(
                sandbox.app,
                http=_protocol(sandbox.connected),
                loop="asyncio",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
            )
        )
        self._ready = ready
        self._socket = _listening(host, port)
        self.url = f"http://{host}:{self._socket.getsockname()[1]}/v1"

    def listen(self) -> None:
        """Serve until stopped or, in the main thread, until a signal to end."""
        with self._socket, suppress(KeyboardInterrupt):
            self.run(sockets=[self._socket])

    def stop(self) -> None:
        """Make ``listen`` return, soon."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        self._ready(self.url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Hang up on everybody first: an answer that was told to stall would otherwise keep the server
        waiting.
        """
        for connection in self.server_state.connections:
            connection.transport.abort()
        await super().shutdown(sockets)


def _listening(host: str, port: int) -> socket.socket:
    """A listening socket that says it speaks TCP. Of one that does not, as ``socket.create_server`` makes it, asyncio
    leaves Nagle's algorithm on, and every answer comes 40 ms late.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    return listening


def _protocol(connected: Callable[[], None]) -> type[H11Protocol]:
    """Make a protocol that counts its connections and lets the application reset them."""

    class Resettable(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # only TCP comes here
            connected()
            super().connection_made(transport)
            app: Any = self.app

            async def resettable(scope: Message, receive: Receive, send: Send) -> None:
                scope["extensions"] = {RESET: lambda: _reset(transport)}
                await app(scope, receive, send)

            self.app = resettable

    return Resettable


def _reset(transport: asyncio.Transport) -> None:
    """Close without lingering, which makes the system send RST where it would send FIN."""
    with suppress(OSError):  # the client may have hung up before
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


@contextmanager
def serve_in_thread(sandbox: Served, host: str, port: int) -> Iterator[str]:
    """Serve from a thread and give the URL."""
    started = threading.Event()
    server = Server(sandbox, host, port, lambda _: started.set())

    def listen() -> None:
        try:
            server.listen()
        finally:
            started.set()

    thread = threading.Thread(target=listen, name="chartmogul sandbox", daemon=True)
    thread.start()
    try:
        started.wait()
        if not server.started:
            raise RuntimeError("the sandbox's server ended before it began")
        yield server.url
    finally:
        server.stop()
        thread.join()


def run(sandbox: Served, host: str, port: int, ready: Callable[[str], object]) -> None:
    """Serve in the foreground until interrupted."""
    Server(sandbox, host, port, ready).listen()
