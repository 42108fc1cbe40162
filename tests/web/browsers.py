"""A browser as an ASGI application sees it: what it sends, what it receives, and when it hangs up."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import anyio


class Browser:
    """One request, and the server's end of its connection, which behaves as uvicorn's does.

    Args:
        path: The path, with its query.
        body: The parts of the request's body.
        method: The HTTP method.
        headers: Those of the request.
        stays: Whether its body goes on after the parts.

    Attributes:
        messages: What the application sent.
        asked: How often the application's side asked for a message.
    """

    def __init__(self, path: str = "/", *body: bytes, method: str = "GET", stays: bool = False, **headers: str) -> None:
        parts = body or (b"",)
        self.messages: list[Any] = []
        self.asked = 0
        self._parts = deque(
            {"type": "http.request", "body": part, "more_body": stays or number < len(parts)}
            for number, part in enumerate(parts, 1)
        )
        self._over = anyio.Event()
        path, _, query = path.partition("?")
        named = {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
        }

    async def receive(self) -> Any:
        self.asked += 1
        if self._parts:
            return self._parts.popleft()
        # Also when the response is complete: so does uvicorn.
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await anyio.lowlevel.checkpoint()
        self.messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._over.set()

    def hang_up(self) -> None:
        self._over.set()

    async def open(self, app: Any) -> Browser:
        """Let an application serve the request."""
        await app(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int | None:
        return self.messages[0]["status"] if self.messages else None

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def content(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.content)
