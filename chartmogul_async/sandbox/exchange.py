"""What passes between the API and those who serve it: a request as the API sees it, and the answer being
given.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field, frozen

from chartmogul_async.sandbox.reply import Reply


@frozen
class Asked:
    """A request. ``target`` is path and query as sent, ``authorization`` that header or an empty string."""

    method: str
    target: str
    authorization: str = field(default="", repr=False)


@define(eq=False)
class Exchange:
    """A reply under way. It holds its place among the parallel requests until it is closed, once."""

    reply: Reply
    _leave: Callable[[], None] | None = None

    def close(self) -> None:
        """Give the place back; closing again does nothing."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


Handle = Callable[[Asked, float], Exchange]
"""Asked at that time (seconds of the event loop's clock), gives the reply to play out."""
