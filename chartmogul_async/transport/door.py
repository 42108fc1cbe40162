"""Where calls wait that would only wait in line with a request in hand.

Thousands of calls that are started at once would each prepare a request before the first one is sent, and keep it in
memory until the last. So a call comes in only when the line is short; waiting outside costs it almost nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import anyio


class Door:
    """Lets calls in, first come first served, while it is not crowded inside: ``async with door``.

    Who was let in lets the next one in when it goes; so does each start of a request, and each that joins the line.
    Whether calls sleep before another attempt, fail early or are cancelled, somebody inside lets in who is outside.
    ``check`` raises for who may not come in at all; ``is_crowded`` is asked with the number of those that were let in
    and have not moved yet.
    """

    def __init__(self, check: Callable[[], None], is_crowded: Callable[[int], bool]) -> None:
        self._check = check
        self._is_crowded = is_crowded
        self._outside: OrderedDict[anyio.Event, None] = OrderedDict()
        self._coming = 0

    @property
    def waiting(self) -> int:
        """How many are outside."""
        return len(self._outside)

    async def __aenter__(self) -> None:
        self._check()
        if self._outside or self._coming or self._is_crowded(0):
            await self._wait()

    async def __aexit__(self, *_: object) -> None:
        self.let_in()

    async def _wait(self) -> None:
        event = anyio.Event()
        self._outside[event] = None
        try:
            await event.wait()
        except BaseException:
            if self._outside.pop(event, self) is self:  # let in at the moment of the cancellation
                self._coming -= 1
                self.let_in()
            raise
        self._coming -= 1

    def let_in(self) -> None:
        """Let the first one in, if there is room for it."""
        if self._outside and not self._is_crowded(self._coming):
            self._open_for_first()

    def let_all_in(self) -> None:
        """Let everybody in at once: the pauses inside shall count for all."""
        while self._outside:
            self._open_for_first()

    def _open_for_first(self) -> None:
        self._coming += 1
        self._outside.popitem(last=False)[0].set()
