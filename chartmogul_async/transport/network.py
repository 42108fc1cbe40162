"""The socket of each connection, so that it is closed whatever happened to the connection.

httpcore closes a socket whose TLS handshake failed, but forgets one whose handshake was cancelled, and one that a SOCKS
proxy refused. Here the network backend that httpx's pool already has is wrapped: the wrapper keeps the bare stream
below TLS and proxies, and closes it together with the pool. httpcore has no public name for that backend.
"""

from __future__ import annotations

from typing import Any

import httpx


class SocketKeepingBackend:
    """A network backend that opens one connection at a time, and can close it.

    Args:
        backend: The one that opens the connections, httpcore's own.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._stream: Any = None

    async def connect_tcp(self, *args: Any, **options: Any) -> Any:
        return await self._keep(self._backend.connect_tcp, *args, **options)

    async def connect_unix_socket(self, *args: Any, **options: Any) -> Any:
        return await self._keep(self._backend.connect_unix_socket, *args, **options)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)

    async def aclose(self) -> None:
        """Close the connection, if it is still open; closing a closed one does nothing."""
        if self._stream is not None:
            await self._stream.aclose()
            self._stream = None

    async def _keep(self, connect: Any, *args: Any, **options: Any) -> Any:
        # A pool of one connection closed the one before, which expired.
        await self.aclose()
        self._stream = await connect(*args, **options)
        return self._stream


def keep_socket(transport: httpx.AsyncBaseTransport) -> None:
    """Let the pool of a transport with a single connection keep its socket for ``close_socket``."""
    pool: Any = getattr(transport, "_pool", None)
    if hasattr(pool, "_network_backend"):
        pool._network_backend = SocketKeepingBackend(pool._network_backend)  # noqa: SLF001 - see above


async def close_socket(transport: httpx.AsyncBaseTransport) -> None:
    """Close the socket of a transport's connection; where none was kept, nothing happens."""
    backend = getattr(getattr(transport, "_pool", None), "_network_backend", None)
    if isinstance(backend, SocketKeepingBackend):
        await backend.aclose()
