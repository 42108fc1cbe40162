"""One call of the library by a command: with a client that is configured by the environment, opened and closed."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TypeVar

import anyio

from chartmogul_async import AsyncClient
from chartmogul_async.cli.failures import USAGE, CommandError
from chartmogul_async.cli.terminal import status_of_requests
from chartmogul_async.events import OnEvent

T = TypeVar("T")


def call(operation: Callable[[AsyncClient], Awaitable[T]], on_event: OnEvent | None = None) -> T:
    """Await one operation of a new client, in a new event loop.

    Args:
        operation: Is given the client.
        on_event: What is told of each event; by default the status of the requests is shown on a terminal.

    Returns:
        The result of the operation.

    Raises:
        CommandError: The environment has no API key.
        UsageError: The client cannot be made, or an argument of the operation is wrong.
        ChartMogulError: An exchange failed.
    """
    check_key()

    async def run() -> T:
        with nullcontext(on_event) if on_event else status_of_requests() as observer:
            async with AsyncClient(on_event=observer) as client:
                return await operation(client)

    return anyio.run(run)


def check_key() -> None:
    """Check that there is a key, which is not necessarily the right one.

    Raises:
        CommandError: The environment has no API key.
    """
    if not os.environ.get("CHARTMOGUL_API_KEY"):
        raise CommandError("no API key: set the environment variable CHARTMOGUL_API_KEY", USAGE)
