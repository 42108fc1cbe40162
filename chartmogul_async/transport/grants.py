"""What a throttle hands out and keeps in its line: the permission for one exchange, and one task that waits for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import anyio


class Grant:
    """The permission for one exchange, and what is known of when the server counted it.

    ``sent`` is when it was written to the socket, ``answered`` when its whole answer had come, infinity while that is
    unknown. ``paused`` are the seconds for which the throttle was paused while the request waited in line,
    ``pause_left`` those for which it is paused after the answer.
    """

    __slots__ = ("_is_tunnel", "_when_sent", "admitted", "answered", "pause_left", "paused", "sent")

    def __init__(self, admitted: float, paused: float, when_sent: Callable[[], None]) -> None:
        self.admitted = admitted
        self.sent = self.answered = math.inf
        self.paused = paused
        self.pause_left = 0.0
        self._is_tunnel = False
        self._when_sent = when_sent

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Called by the HTTP library; connecting may take long, so what counts is the writing."""
        if "exception" in info:
            info["exception"] = type(info["exception"]).__name__  # httpcore logs it next, and it may hold the body
        if event == "http11.send_request_headers.started":
            self._is_tunnel = info["request"].method == b"CONNECT"  # what a proxy is asked first
        elif event == "http11.send_request_headers.complete" and not self._is_tunnel:
            self.sent = anyio.current_time()
            self._when_sent()


class Waiter:
    """One task in line. Its scope's deadline is the moment at which it should look again."""

    __slots__ = ("event", "grant", "look_again_at", "patience", "pauses_before", "refused_for", "scope")

    def __init__(self, patience: float, pauses_before: float) -> None:
        self.event = anyio.Event()
        self.patience = patience
        self.pauses_before = pauses_before
        self.grant: Grant | None = None
        self.refused_for: float | None = None
        self.look_again_at = math.inf
        self.scope: anyio.CancelScope | None = None

    def look_again(self, at: float) -> None:
        self.look_again_at = at
        if self.scope is not None:
            self.scope.deadline = at

    async def wait(self) -> None:
        with anyio.CancelScope(deadline=self.look_again_at) as self.scope:
            await self.event.wait()
        self.scope = None
