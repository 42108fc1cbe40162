"""One call in the event loop, for which another thread waits."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from attrs import define

from chartmogul_async.blocking.tasks import Carried
from chartmogul_async.errors import StateError

T = TypeVar("T")

# Seconds.
_CTRL_C_EVERY = 0.1
_CLOSED_MEANWHILE = "this client was closed while the call was in progress; close it after its last call"


@define
class Raised:
    """What a call raised, carried to the thread that waits for it, and forgotten when it is there."""

    error: BaseException | None


def waited_for(queue: SimpleQueue[T]) -> T:
    """The next item of a queue, once there is one."""
    while sys.platform == "win32":
        # Ctrl-C ends no wait there, but is noticed after each.
        with suppress(Empty):
            return queue.get(timeout=_CTRL_C_EVERY)
    return queue.get()


class Call(Generic[T]):
    """Work for the event loop.

    A thread waits for the result in a queue that is written in C. What a signal handler raises there, as for Ctrl-C,
    leaves nothing locked; in ``concurrent.futures.Future`` it may, and the event loop would then wait for ever.

    Args:
        work: What is awaited in the event loop.
        then: Functions that are called there with the call when it has ended.
    """

    def __init__(self, work: Callable[[], Awaitable[T]], *then: Callable[[Call[T]], object]) -> None:
        self._work: Callable[[], Awaitable[T]] | None = work
        self._then = list(then)
        self._outcomes: SimpleQueue[T | Raised] = SimpleQueue()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_cancelled = self._has_ended = False

    def then(self, function: Callable[[Call[T]], object]) -> None:
        """Call a function in the event loop when the call has ended. It is not handed over yet.

        Args:
            function: The function, which is given the call.
        """
        self._then.append(function)

    def hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin in an event loop, in the context of the caller.

        Anyio's portal would wait until the call has begun, which takes as long as to wait for its result.

        Args:
            loop: The event loop.

        Raises:
            RuntimeError: It has ended.
        """
        self._loop = loop
        context = copy_context()
        # Trio brings it; there anyio notes in the context which library's event loop the caller is in.
        if sniffio := sys.modules.get("sniffio"):
            context.run(sniffio.current_async_library_cvar.set, "asyncio")
        loop.call_soon_threadsafe(self._begin, context=context)

    def cancel(self) -> None:
        """Cancel the call, whether it was handed over or not. Nothing happens if it has ended."""
        self._is_cancelled = True
        if self._loop is not None and not self._has_ended:
            # The loop may have ended.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._cancel_task)

    def result(self) -> T:
        """Wait for the call, once.

        Returns:
            Its result.

        Raises:
            StateError: The client was closed meanwhile.
        """
        outcome = waited_for(self._outcomes)
        if not isinstance(outcome, Raised):
            return outcome
        # The event loop may know the outcome for longer.
        error, outcome.error = outcome.error, None
        assert error is not None
        try:
            # The first frame is the one that handed the error over.
            raise error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
        finally:
            del outcome, error

    def give_up(self) -> None:
        """End the call without a result, if it has not ended."""
        self._end(Raised(StateError(_CLOSED_MEANWHILE)))

    # --- in the event loop ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._is_cancelled:
            self.give_up()
            return
        # The coroutine is made here, where nothing can come between that and its task. Nothing is raised out of it.
        self._task = asyncio.Task(self._attempt())
        self._task.add_done_callback(self._note_end)

    async def _attempt(self) -> None:
        # A call begins once.
        assert self._work is not None
        outcome: T | Raised
        try:
            outcome = await self._work()
        except asyncio.CancelledError:
            raise
        except Carried as carried:
            outcome = Raised(carried.error)
        except BaseException as error:  # noqa: BLE001 - what on_event raised, for example, is raised by the call
            outcome = Raised(error)
        # Whoever waits need not wait for the callback, too.
        self._end(outcome)
        # The traceback of an error knows this frame.
        del outcome

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _note_end(self, task: asyncio.Task[None]) -> None:
        # Otherwise they would keep one another.
        self._task = self._work = None
        if task.cancelled():
            self.give_up()

    def _end(self, outcome: T | Raised) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        for function in self._then:
            function(self)
        # Whoever waits goes on now, and finds nothing of it in progress.
        self._outcomes.put(outcome)
