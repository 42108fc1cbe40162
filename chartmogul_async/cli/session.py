"""One call of the library from a command: the client by the environment's settings, opened and closed."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from chartmogul_async import AsyncClient, errors
from chartmogul_async.cli.terminal import waiting

T = TypeVar("T")


def ask(question: Callable[[AsyncClient], Awaitable[T]]) -> T:
    """Answer a question with a client of its own. Raises what the library raises."""
    if not os.environ.get("CHARTMOGUL_API_KEY"):
        raise errors.UsageError("no API key; set the environment variable CHARTMOGUL_API_KEY")

    async def answer() -> T:
        with waiting() as on_attempt:
            async with AsyncClient(on_attempt=on_attempt) as client:
                return await question(client)

    return anyio.run(answer)
