"""Tasks that do not end the event loop, whatever is raised in them.

Out of a task asyncio raises ``SystemExit`` and ``KeyboardInterrupt`` in the event loop itself, which then ends for all
clients. A function of the user may raise them: ``on_event``, called in a task of one slice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Carried(Exception):  # noqa: N818 - it carries an error
    """``SystemExit`` or ``KeyboardInterrupt``, on the way from a task to the call that it belongs to."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error: BaseException = error


class _Carrying(Coroutine[Any, Any, T]):
    """A coroutine, but for these two errors."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine

    def send(self, value: Any) -> Any:
        return self._step(self._coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._coroutine.throw, *error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        return self._coroutine.__await__()

    def __getattr__(self, name: str) -> Any:
        # Anyio asks whether it has begun.
        return getattr(self._coroutine, name)

    def _step(self, step: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return step(*arguments)
        except (SystemExit, KeyboardInterrupt) as error:
            raise Carried(error) from None


def task_of(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """Make a task, for ``loop.set_task_factory``."""
    return asyncio.Task(_Carrying(coroutine), loop=loop, **options)
