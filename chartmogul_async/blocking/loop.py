"""The event loop of all blocking clients of a process, in a thread of its own."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from queue import SimpleQueue
from threading import RLock, Thread, get_ident, main_thread
from typing import Any, Protocol, TypeVar

import anyio
from attrs import frozen

from chartmogul_async.blocking.call import Call, Raised
from chartmogul_async.blocking.tasks import task_of
from chartmogul_async.errors import StateError

T = TypeVar("T")

_CANNOT_START = "the event loop of blocking clients cannot start"


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
    """An event loop that runs in the thread, and the event that ends it."""

    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event

    def start(self, call: Call[Any]) -> None:
        """Begin a call.

        Args:
            call: The call.
        """
        try:
            call.hand_over(self.loop)
        except RuntimeError:
            # A signal handler closed the last client in the meantime, and with it the loop.
            call.give_up()

    def end(self) -> None:
        """End the loop, if it has not ended."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.stop.set)


class LoopThread:
    """Starts with the first call of the first client, and ends when the last client that made one is closed.

    All clients share it, so that they can share a throttle, and so that a client costs no thread.

    Attributes:
        running: Where calls are handed over; None while no client uses it.
    """

    def __init__(self) -> None:
        # One for each process, so that none is held by a thread of the parent.
        self._renewals: dict[int, AbstractContextManager[bool]] = {}
        self._begin()

    def _begin(self) -> None:
        self._lock: AbstractContextManager[bool] = RLock()
        self.running: Loop | None = None
        self._thread: Thread | None = None
        self._users: set[User] = set()
        # The frame of the thread has it, too, and in a forked child such a frame is never cleared.
        self._kept: list[object] = []
        self._process = os.getpid()

    @property
    def lock(self) -> AbstractContextManager[bool]:
        """Held to start, to end and to hand over a call: no call is handed to a loop that ends in that moment.

        Reentrant, since a signal handler may close a client in the middle of a call.
        """
        process = os.getpid()
        if self._process != process:
            # Python was not told of the fork, as by uWSGI.
            with self._renewals.setdefault(process, RLock()):
                if self._process != process:
                    self.forget()
        return self._lock

    def forget(self) -> None:
        """Begin anew in a forked child, where the thread does not run, and another one may have held the lock.

        Connections and tasks of the parent must be neither closed in the child nor collected, which Python reports.
        """
        parent = self._process
        self._kept += [self.running, *(user.abandon() for user in self._users)]
        # A signal handler may have used a client in the meantime.
        if self._process == parent:
            self._begin()

    def is_current(self) -> bool:
        """Whether the caller is in the loop's own thread, where waiting for a call would never end."""
        # In a forked child, another thread may have its number.
        is_of_this_process = self._process == os.getpid()
        return is_of_this_process and self._thread is not None and self._thread.ident == get_ident()

    def join(self, user: User) -> Loop:
        """Use the loop from now on, and start it if it does not run. The lock must be held.

        Args:
            user: The calls of one client.

        Returns:
            The loop.
        """
        if self.running is None:
            start = _Start()
            try:
                self.running = self._started(start)
            except BaseException:
                # A signal handler may raise when the thread runs already.
                start.abandon()
                # Another thread may have its number next.
                self._thread = None
                raise
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
            running.end()
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
            if self.running is None:
                return function()
            waiting = Call(call)
            self.running.start(waiting)
            return waiting.result()

    def close(self) -> None:
        """Close all users, as at the exit of the interpreter."""
        for user in list(self._users):
            user.close()

    def _started(self, start: _Start) -> Loop:
        _check_threads()
        try:
            self._thread = Thread(target=_run, args=(start, self._kept), name="chartmogul_async", daemon=True)
        except RuntimeError as error:
            # Such a thread could go on when its interpreter ends, which an isolated one forbids.
            raise StateError(f"{_CANNOT_START}: {error}; in an isolated interpreter use AsyncClient") from error
        try:
            self._thread.start()
        except RuntimeError as error:
            if main_thread().is_alive():
                raise
            # From Python 3.12 on no thread can be started any more.
            raise StateError(
                f"{_CANNOT_START}: {error}; where calls are made at the exit of the interpreter, a client that made "
                "one before must still be open"
            ) from error
        outcome = start.outcomes.get()
        if isinstance(outcome, Loop):
            return outcome
        # The thread ended with that.
        assert outcome.error is not None
        raise outcome.error


def _check_threads() -> None:
    """Raise ``StateError`` if the thread would be none: it would never run while this one waits for it."""
    # It is not complete while another thread imports it.
    is_patched = getattr(sys.modules.get("gevent.monkey"), "is_module_patched", None)
    if is_patched is not None and is_patched("threading") and SimpleQueue.__module__ == "_queue":
        raise StateError(f"{_CANNOT_START}: gevent has replaced threads since it was imported; patch before the import")


class _Start:
    """The start of the thread, and what comes of it."""

    def __init__(self) -> None:
        self.outcomes: SimpleQueue[Loop | Raised] = SimpleQueue()
        self._loop: Loop | None = None
        self._is_abandoned = False

    def abandon(self) -> None:
        """End the thread, as soon as it runs."""
        self._is_abandoned = True
        if self._loop is not None:
            self._loop.end()

    def succeed(self, loop: Loop) -> None:
        """The thread runs this loop."""
        self._loop = loop
        self.outcomes.put(loop)
        if self._is_abandoned:
            loop.end()


def _run(start: _Start, kept: list[object]) -> None:  # noqa: ARG001 - see LoopThread
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(task_of)
        running = Loop(loop, asyncio.Event())
        start.succeed(running)
        await running.stop.wait()

    try:
        anyio.run(serve)
    except Exception as error:  # noqa: BLE001 - such as the OSError of a process that has no file descriptors left
        start.outcomes.put(Raised(error))


LOOP = LoopThread()

# Daemon threads, such as this one, still run when the functions of ``atexit`` are called.
atexit.register(LOOP.close)
# Windows cannot fork.
if sys.platform != "win32":  # pragma: no branch - the suite is not measured on Windows
    os.register_at_fork(after_in_child=LOOP.forget)
