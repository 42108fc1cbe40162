"""Many queries, each outcome as it comes, in a plain ``for``."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from itertools import islice
from queue import SimpleQueue
from threading import Lock
from types import TracebackType
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Self, TypeVar

from chartmogul_async.blocking.call import Call, waited_for
from chartmogul_async.blocking.calls import Blocking
from chartmogul_async.errors import StateError

A = TypeVar("A")
P = ParamSpec("P")
T = TypeVar("T")

_READ_IT = (
    'open the stream with "with client.metrics.stream(queries) as outcomes:" '
    'and read "for outcome in outcomes:" inside the block'
)


class Outcomes(Generic[T]):
    """The outcomes of many queries, each as it comes: what ``client.metrics.stream(queries)`` returns.

    It is a context manager, and inside its block the iterator of the outcomes::

        with client.metrics.stream(queries) as outcomes:
            for outcome in outcomes:
                ...

    Queries are taken from the iterable in the thread that reads the outcomes, so a generator may use what belongs to
    that thread, such as a connection to a database. Several threads may read the same stream.

    Args:
        queries: The queries.
        call_for: Makes the call that fetches one query.
        start: Begins a call.
        limit: How many queries are in progress at once.
    """

    __module__ = "chartmogul_async.blocking"

    def __init__(
        self,
        queries: Iterable[Any],
        call_for: Callable[[Any], Call[T]],
        start: Callable[[Call[T]], object],
        limit: int,
    ) -> None:
        self._pending = iter(queries)
        self._call_for = call_for
        self._start = start
        self._limit = limit
        self._state: Literal["new", "open", "left"] = "new"
        self._process = os.getpid()
        self._reading = Lock()
        self._in_progress: set[Call[T]] = set()
        self._complete: SimpleQueue[Call[T]] = SimpleQueue()

    def __enter__(self) -> Self:
        if self._state != "new":
            raise StateError("a stream can be entered only once: call client.metrics.stream(queries) again")
        self._state = "open"
        self._process = os.getpid()
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._state = "left"
        for call in list(self._in_progress):
            call.cancel()

    def __iter__(self) -> Self:
        self._check_open()
        return self

    def __next__(self) -> T:
        # In a forked child the lock may be held by a thread that does not run there.
        self._check_open()
        with self._reading:
            self._check_open()
            self._fill()
            if not self._in_progress:
                raise StopIteration
            call = waited_for(self._complete)
            # Another thread may have left the block in the meantime.
            self._check_open()
            self._in_progress.remove(call)
        try:
            return call.result()
        finally:
            del call

    def _fill(self) -> None:
        for query in islice(self._pending, self._limit - len(self._in_progress)):
            call = self._call_for(query)
            call.then(self._note_end)
            self._in_progress.add(call)
            try:
                self._start(call)
                # Another thread may have left the block in that moment, without seeing this one.
                self._check_open()
            except BaseException:
                self._in_progress.discard(call)
                call.cancel()
                raise

    def _note_end(self, call: Call[T]) -> None:
        if call in self._in_progress:
            self._complete.put(call)

    def _check_open(self) -> None:
        if self._state == "new":
            raise StateError(f"the stream is not open: {_READ_IT}")
        if self._state == "left":
            raise StateError(
                "the block of the stream was left, which ended its requests: "
                'read "for outcome in outcomes:" inside the block'
            )
        if self._process != os.getpid():
            # What is in progress is the parent's, and would never be complete here.
            raise StateError(
                "the stream is in use in another process, of which this one is a fork: "
                "call client.metrics.stream(queries) again"
            )


def streaming(
    method: Callable[Concatenate[A, P], AbstractAsyncContextManager[AsyncIterator[T]]],  # noqa: ARG001 - its type
) -> Callable[[Callable[..., Outcomes[Any]]], Callable[Concatenate[Blocking[A], P], Outcomes[T]]]:
    """Declare that a method takes the arguments of one that makes an async stream, and makes the same stream.

    Args:
        method: The method that makes the async stream.

    Returns:
        A decorator.
    """

    def declare(function: Callable[..., Outcomes[Any]]) -> Callable[Concatenate[Blocking[A], P], Outcomes[T]]:
        return function

    return declare
