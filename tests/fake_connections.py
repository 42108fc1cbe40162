"""Connections without sockets, and the layers of a stream."""

from __future__ import annotations

from typing import Any

import anyio
import httpx

from chartmogul_async.transport.connections import Connections

REQUEST = httpx.Request("GET", "https://x.example")


class Fake(httpx.AsyncBaseTransport):
    """A connection whose responses wait for its gate."""

    def __init__(self) -> None:
        self.closed = False
        self.gate = anyio.Event()
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        await self.gate.wait()
        return httpx.Response(200)

    async def aclose(self) -> None:
        self.closed = True


class Fakes:
    """Makes fake connections and keeps them."""

    def __init__(self, kind: type[Fake] = Fake) -> None:
        self.made: list[Fake] = []
        self.kind = kind

    def __call__(self) -> Fake:
        self.made.append(self.kind())
        return self.made[-1]

    @property
    def closed(self) -> list[bool]:
        return [fake.closed for fake in self.made]

    async def serve(self, connections: Connections, number: int) -> None:
        """So many exchanges at the same time, each on its own connection."""
        async with anyio.create_task_group() as group:
            for _ in range(number):
                group.start_soon(connections.send, REQUEST)
            await anyio.wait_all_tasks_blocked()
            for fake in self.made:
                fake.gate.set()


class Layer:
    """A layer of a stream, with the attributes that anyio or trio gives it."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)
