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
    key = os.environ.get("CHARTMOGUL_API_KEY")
    if not key:
        raise errors.UsageError("no API key; set the environment variable CHARTMOGUL_API_KEY")
    base_url = os.environ.get("CHARTMOGUL_BASE_URL")

    async def answer() -> T:
        with waiting() as on_attempt:
            if base_url:
                client = AsyncClient(key, base_url=base_url, on_attempt=on_attempt)
            else:
                client = AsyncClient(key, on_attempt=on_attempt)
            async with client:
                return await question(client)

    return anyio.run(answer)
