"""The sandbox over real sockets: in the foreground or in a thread."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

try:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError:
    raise ImportError(
        "a server of the sandbox requires an extra; run: pip install 'chartmogul-async[sandbox]'", name="uvicorn"
    ) from None

from chartmogul_async.sandbox.app import RESET, App, Message, Receive, Send
from chartmogul_async.sandbox.exchange import Exchange
from chartmogul_async.sandbox.hosts import in_url, is_accepted
from chartmogul_async.sandbox.response import Response, to_json

# Seconds, a usual value for servers of such an API. Uvicorn's 5 would close connections that a slow client reuses.
_KEEP_ALIVE = 75

_MISDIRECTED = Response(421, to_json({"error": "This server does not respond for this host, see --host"}))


class Servable(Protocol):
    """The part of a sandbox that a server needs."""

    app: App

    def count_connection(self) -> None:
        """Count a connection."""
        ...


class Server(uvicorn.Server):
    """A server that listens from its construction on, and that can be stopped from any thread.

    Args:
        sandbox: The sandbox to serve.
        host: The address to listen on.
        port: The port; 0 is any free one.
        ready: Called with the URL as soon as the server accepts requests.

    Attributes:
        url: The URL of the API, ``/v1`` included.

    Raises:
        OSError: The port is in use.
    """

    def __init__(self, sandbox: Servable, host: str, port: int, ready: Callable[[str], object]) -> None:
        super().__init__(
            uvicorn.Config(
                _for_own_hosts(sandbox.app, host),
                http=_protocol(sandbox.count_connection),
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
        self._socket = _listening_socket(host, port)
        self.url: str = f"http://{in_url(host)}:{self._socket.getsockname()[1]}/v1"

    def listen(self) -> None:
        """Serve until stopped or, in the main thread, until a signal to end."""
        with self._socket, suppress(KeyboardInterrupt):
            self.run(sockets=[self._socket])

    def stop(self) -> None:
        """Make ``listen`` return soon."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept requests, and call ``ready``."""
        await super().startup(sockets)
        self._ready(self.url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Abort all connections first, because a stalled response would otherwise keep the server waiting."""
        for connection in self.server_state.connections:
            connection.transport.abort()
        await super().shutdown(sockets)


def _listening_socket(host: str, port: int) -> socket.socket:
    """A listening socket with an explicit protocol, TCP.

    Without one, as ``socket.create_server`` makes it, asyncio leaves Nagle's algorithm on, and every response is 40 ms
    late.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    # A name such as localhost may have addresses of both kinds, and clients try the older kind as well.
    family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A port that was just given up is free. On Windows it is so anyway, and SO_REUSEADDR would share it between two
        # servers.
        option = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        listening.setsockopt(socket.SOL_SOCKET, option, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    return listening


def _for_own_hosts(app: App, listening_on: str) -> Callable[[Message, Receive, Send], Awaitable[None]]:
    """The application for requests that are meant for this server; others reach neither the API nor its counters."""
    refusing = App(lambda _, __: Exchange(_MISDIRECTED))

    async def checked(scope: Message, receive: Receive, send: Send) -> None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        chosen = app if is_accepted(hosts, listening_on) else refusing
        await chosen(scope, receive, send)

    return checked


def _protocol(count_connection: Callable[[], None]) -> type[H11Protocol]:
    """A protocol that counts its connections and lets the application reset them."""

    class ResettableProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP only
            count_connection()
            super().connection_made(transport)
            app: Any = self.app

            async def resettable(scope: Message, receive: Receive, send: Send) -> None:
                scope["extensions"] = {RESET: lambda: _reset(transport)}
                await app(scope, receive, send)

            self.app = resettable

    return ResettableProtocol


def _reset(transport: asyncio.Transport) -> None:
    """Close without lingering, which makes the system send RST instead of FIN."""
    # The client may have disconnected already.
    with suppress(OSError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


@contextmanager
def serve_in_thread(sandbox: Servable, host: str, port: int) -> Iterator[str]:
    """Serve from a thread.

    Args:
        sandbox: The sandbox to serve.
        host: The address to listen on.
        port: The port; 0 is any free one.

    Returns:
        Gives the URL, as a context manager; it ends in ``/v1``.

    Raises:
        OSError: The port is in use.
        RuntimeError: The server did not start.
    """
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
            raise RuntimeError("the server of the sandbox did not start")
        yield server.url
    finally:
        server.stop()
        thread.join()


def run(sandbox: Servable, host: str, port: int, ready: Callable[[str], object]) -> None:
    """Serve in the foreground until interrupted.

    Args:
        sandbox: The sandbox to serve.
        host: The address to listen on.
        port: The port; 0 is any free one.
        ready: Called with the URL as soon as the server accepts requests.

    Raises:
        OSError: The port is in use.
    """
    Server(sandbox, host, port, ready).listen()
