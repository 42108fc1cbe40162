"""The socket of each connection, so that it is closed whatever happened to the connection.

httpcore closes a socket whose TLS handshake failed, but forgets one whose handshake was cancelled, and one that a SOCKS
proxy refused; anyio before 4.16 forgets one that is cancelled just after it was connected. Here httpx's pool is given a
network backend that closes what it opened: the bare stream below TLS and proxies is kept, and closed together with
the pool. httpx has no public way to hand in a backend.
"""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import httpx
from anyio.abc import SocketStream

from chartmogul_async.transport.lookup import addresses_of

# Seconds after which the next address of a host is tried too, as RFC 8305 recommends.
_NEXT_ADDRESS = 0.25


class SocketKeepingBackend:
    """A network backend that opens one connection at a time, and can close it.

    Args:
        backend: The one that opens the connections on trio, httpcore's own.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._stream: Any = None

    # Httpcore hands the timeout over as an argument.
    async def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> Any:  # noqa: ASYNC109 - httpcore's name
        # A pool of one connection closed the one before, which expired.
        await self.aclose()
        if is_asyncio():
            self._stream = await connect_on_asyncio(host, port, timeout)
        else:
            self._stream = await connect_on_trio(self._backend, host, port, timeout, **options)
        return self._stream

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)

    async def aclose(self) -> None:
        """Close the connection, if it is still open; closing a closed one does nothing."""
        if self._stream is not None:
            await self._stream.aclose()
            self._stream = None


def is_asyncio() -> bool:
    """Whether the event loop that runs is one of asyncio."""
    return anyio.get_cancelled_exc_class() is asyncio.CancelledError


# The timeout is the one that httpcore hands over.
async def connect_on_asyncio(host: str, port: int, timeout: float | None) -> Any:  # noqa: ASYNC109 - httpcore's name
    """Connect to whichever address of a host answers, and close every other socket, also if this is cancelled.

    Args:
        host: Its name, or an address.
        port: The port.
        timeout: Seconds; None means that they do not matter.

    Returns:
        The stream, as httpcore's own backend gives it.

    Raises:
        httpcore.ConnectTimeout: It took longer.
        httpcore.ConnectError: It failed.
    """
    # Loaded with the first connection, since they load much.
    import httpcore
    from aiohappyeyeballs import start_connection
    from httpcore._backends.anyio import AnyIOStream

    try:
        with anyio.fail_after(timeout):
            addresses = await addresses_of(host, port)
            connected = await start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS)
            try:
                return AnyIOStream(await SocketStream.from_socket(connected))
            except BaseException:
                connected.close()
                raise
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(str(error)) from error
    except (OSError, RuntimeError, ValueError) as error:
        # uvloop raises RuntimeError, and anyio ValueError for a connection that is already lost.
        raise httpcore.ConnectError(str(error)) from error


async def connect_on_trio(backend: Any, host: str, port: int, timeout: float | None, **options: Any) -> Any:  # noqa: ASYNC109 - httpcore's name
    """Connect as httpcore does, and say so in its words where the lookup of a name cannot have a thread.

    Args:
        backend: That of httpcore.
        host: Its name, or an address.
        port: The port.
        timeout: Seconds; None means that they do not matter.
        options: What else httpcore hands over.

    Returns:
        The stream.

    Raises:
        httpcore.ConnectTimeout: It took longer.
        httpcore.ConnectError: It failed.
    """
    import httpcore

    try:
        return await backend.connect_tcp(host, port, timeout, **options)
    except RuntimeError as error:
        # The process has as many threads as it may, or is an isolated interpreter.
        raise httpcore.ConnectError(str(error)) from error


def keep_socket(transport: httpx.AsyncBaseTransport) -> None:
    """Let the pool of a transport with a single connection keep its socket for ``close_socket``."""
    pool: Any = getattr(transport, "_pool", None)
    if hasattr(pool, "_network_backend"):
        pool._network_backend = SocketKeepingBackend(pool._network_backend)  # noqa: SLF001 - see above


async def close_socket(connection: object) -> None:
    """Close the socket that a transport with a single connection kept; where there is none, nothing happens."""
    backend = getattr(getattr(connection, "_pool", None), "_network_backend", None)
    if isinstance(backend, SocketKeepingBackend):
        await backend.aclose()
