"""The addresses of a host, looked up in a thread that keeps no process from ending.

The event loop's own lookup uses its default executor, which asyncio shuts down by one more thread; from Python 3.12 on
no thread can be started at the exit of the interpreter, where a blocking client may still be used, and is closed. Nor
does an address need a thread: a process that has some should not fork.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
from anyio import to_thread

# Family, kind, protocol, canonical name, and the address itself.
AddressInfo = tuple[Any, Any, int, str, Any]


async def addresses_of(host: str, port: int) -> list[AddressInfo]:
    """Find where to connect to.

    Args:
        host: A name, or an address.
        port: The port.

    Returns:
        What ``socket.getaddrinfo`` returns, the preferred address first.

    Raises:
        OSError: The name has no address.
    """
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        return look_up(flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        # A lookup that is given up goes on for a while, and others need not wait for it: each has its own limit.
        return await _in_thread(look_up)


async def _in_thread(look_up: Callable[[], list[AddressInfo]]) -> list[AddressInfo]:
    try:
        return await to_thread.run_sync(look_up, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
    except RuntimeError as error:
        if threading.main_thread().is_alive():
            # The process has as many threads as it may.
            raise OSError(errno.EAGAIN, str(error)) from error
        # At the exit of the interpreter there can be no thread any more, and little else that would have to wait.
        return look_up()
