"""The event loop of all blocking clients of a process, in a thread of its own."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractContextManager
from contextvars import copy_context
from threading import RLock, Thread, get_ident
from typing import Any, Protocol, TypeVar

import anyio
from attrs import frozen

T = TypeVar("T")


class User(Protocol):
    """Whoever uses the event loop until it is closed."""

    def close(self) -> None:
        """Stop using it."""
        ...

    def abandon(self) -> object:
        """Give up everything that belongs to it, in a forked child, and return that."""
        ...


@frozen(eq=False)
class Loop:
    """A loop that runs, and the event that ends it."""

    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event

    def start(self, call: Coroutine[Any, Any, T]) -> Future[T]:
        """Make a call in the loop, in the context of the caller.

        Anyio's portal would wait until the call has begun, which takes as long as to wait for its result.

        Args:
            call: The call.

        Returns:
            The call in progress; to cancel it cancels the call.
        """
        context = copy_context()
        # Trio brings it; there anyio notes in the context which library's event loop the caller is in.
        if sniffio := sys.modules.get("sniffio"):
            context.run(sniffio.current_async_library_cvar.set, "asyncio")
        return context.run(asyncio.run_coroutine_threadsafe, call, self.loop)


class LoopThread:
    """Starts with the first call of the first client, and ends when the last client that made one is closed.

    All clients share it, so that they can share a throttle, and so that a client costs no thread.

    Attributes:
        lock: Held to start, to end and to hand over a call: no call is handed to a loop that ends in that moment.
            Reentrant, since a signal handler may close a client in the middle of a call.
        running: Where calls are handed over; None while no client uses it.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.lock: AbstractContextManager[bool] = RLock()
        self.running: Loop | None = None
        self._thread: Thread | None = None
        self._users: set[User] = set()
        # The frame of the thread has it, too, and in a forked child such a frame is never cleared.
        self._kept: list[object] = []

    def forget(self) -> None:
        """Begin anew in a forked child, where the thread does not run, and another one may have held the lock.

        Connections and tasks of the parent must be neither closed in the child nor collected, which Python reports.
        """
        self._kept += [self.running, *(user.abandon() for user in self._users)]
        self._begin()

    def is_current(self) -> bool:
        """Whether the caller is in the loop's own thread, where waiting for a call would never end."""
        return self._thread is not None and self._thread.ident == get_ident()

    def join(self, user: User) -> Loop:
        """Use the loop from now on, and start it if it does not run. The lock must be held.

        Args:
            user: The calls of one client.

        Returns:
            The loop.
        """
        if self.running is None:
            self.running = self._started()
        self._users.add(user)
        return self.running

    def leave(self, user: User) -> None:
        """Use the loop no longer; the last one ends it. The lock must be held.

        Args:
            user: What ``join`` was given.
        """
        self._users.discard(user)
        running, thread = self.running, self._thread
        if not self._users and running and thread:
            self.running = self._thread = None
            running.loop.call_soon_threadsafe(running.stop.set)
            thread.join()

    def run(self, function: Callable[[], T]) -> T:
        """Call a function that waits for nothing, between two steps of the loop if that runs.

        Args:
            function: The function.

        Returns:
            Its result.
        """

        async def call() -> T:
            return function()

        if self.is_current():
            return function()
        with self.lock:
            return function() if self.running is None else self.running.start(call()).result()

    def close(self) -> None:
        """Close all users, as at the exit of the interpreter."""
        for user in list(self._users):
            user.close()

    def _started(self) -> Loop:
        started: Future[Loop] = Future()
        self._thread = Thread(target=_run, args=(started, self._kept), name="chartmogul_async", daemon=True)
        self._thread.start()
        return started.result()


def _run(started: Future[Loop], kept: list[object]) -> None:  # noqa: ARG001 - see LoopThread
    async def serve() -> None:
        running = Loop(asyncio.get_running_loop(), asyncio.Event())
        started.set_result(running)
        await running.stop.wait()

    try:
        anyio.run(serve)
    except Exception as error:  # noqa: BLE001 - such as the OSError of a process that has no file descriptors left
        started.set_exception(error)


LOOP = LoopThread()

# Daemon threads, such as this one, still run when the functions of ``atexit`` are called.
atexit.register(LOOP.close)
# Windows cannot fork.
if sys.platform != "win32":  # pragma: no branch
    os.register_at_fork(after_in_child=LOOP.forget)
