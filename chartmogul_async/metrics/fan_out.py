"""Many requests side by side: a long range as slices whose answers are joined, and a stream of many queries.

An answer always opens with a change of 0.0, so each slice but the first starts one interval early. That first
entry, the *seam*, is no part of the result; it must equal the last entry of the slice before, and all slices
must tell the same summary. Where that is not so, the account has changed between two answers (or an entry of
this metric depends on the range asked for), and the range is asked again. A change in between that touches
neither a seam nor a current figure cannot be seen.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.abc
import attrs
from attrs import frozen

from chartmogul_async.errors import ChartMogulError, UsageError
from chartmogul_async.metrics.intervals import Slice
from chartmogul_async.metrics.query import MetricQuery

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from chartmogul_async.metrics.records import Answer, Series

E = TypeVar("E")
S = TypeVar("S")
T = TypeVar("T")

logger = logging.getLogger("chartmogul_async")

_WORTH_A_SLICE = 100  # entries; fewer take the server no longer than a round trip takes
_ROUNDS = 2  # how often slices are tried before the range is asked as one


def worth_slicing(entries: int) -> bool:
    """Whether a range is so long that the server needs more time for it than for a round trip or two."""
    return entries >= 2 * _WORTH_A_SLICE


def best_slices(entries: int, room: int) -> int:
    """How many slices are worth it: never more than would start at once."""
    return max(1, min(entries // _WORTH_A_SLICE, room))


async def pull_slices(
    slices: Sequence[Slice], pull: Callable[[Slice], Awaitable[Answer[E, S]]], width: int
) -> Answer[E, S] | None:
    """Pull all slices, ``width`` at a time, and join them; None if they do not fit together, twice."""
    for _ in range(_ROUNDS):
        answers = await side_by_side([partial(pull, part) for part in slices], width)
        if all(_fits(before, after) for before, after in pairwise(answers)):
            return _joined(answers)
        logger.info("%d slices of a range do not fit together: something changed in between", len(slices))
    return None


def _fits(before: Answer[Any, Any], after: Answer[Any, Any]) -> bool:
    if not before.entries or not after.entries or before.summary != after.summary:
        return False
    return _without_changes(before.entries[-1]) == _without_changes(after.entries[0])


def _without_changes(entry: Any) -> dict[str, Any]:
    """An entry without the fields that depend on its place in the answer."""
    return attrs.asdict(entry, filter=lambda field, _: not field.name.endswith("percentage_change"))


def _joined(answers: Sequence[Answer[E, S]]) -> Answer[E, S]:
    first, *later = answers
    entries = first.entries + tuple(entry for answer in later for entry in answer.entries[1:])
    return attrs.evolve(answers[-1], entries=entries)


async def side_by_side(calls: Sequence[Callable[[], Awaitable[T]]], width: int) -> list[T]:
    """Await all calls, ``width`` at a time; results in order. The first failure cancels the rest."""
    results: dict[int, T] = {}
    pending = iter(enumerate(calls))

    async def work() -> None:
        for index, call in pending:
            results[index] = await call()

    async with bare_task_group() as group:
        for _ in range(min(len(calls), width)):
            group.start_soon(work)
    return [results[index] for index in range(len(calls))]


@asynccontextmanager
async def bare_task_group() -> AsyncIterator[anyio.abc.TaskGroup]:
    """A task group whose first failure comes out by itself, as if there had been no group.

    A cancellation or Ctrl-C among the failures goes first.
    """
    failure: BaseException | None = None
    try:
        async with anyio.create_task_group() as group:
            yield group
    except BaseExceptionGroup as failures:
        grave = (each for each in failures.exceptions if not isinstance(each, Exception))
        failure = next(grave, failures.exceptions[0])
    if failure is not None:
        raise failure  # out here, so that the group does not become its context


@frozen
class Outcome:
    """What became of one query of a stream: its ``series``, or the ``error`` that it met."""

    query: MetricQuery
    series: Series[Any, Any] | None = None
    error: ChartMogulError | None = None

    def result(self) -> Series[Any, Any]:
        """The series; raises the error if there is one."""
        if self.error is not None:
            raise self.error
        assert self.series is not None  # an outcome has one of the two
        return self.series


@asynccontextmanager
async def stream_outcomes(
    queries: Iterable[MetricQuery], fetch: Callable[[MetricQuery], Awaitable[Series[Any, Any]]], width: int
) -> AsyncIterator[AsyncIterator[Outcome]]:
    """Fetch ``width`` queries at a time, and give each outcome as it comes.

    A query is taken from the iterable only when it can be sent, and an outcome waits until it is taken:
    memory does not grow with the number of queries. Leaving the block cancels what is under way.
    """
    pending = iter(queries)
    working = width
    send: MemoryObjectSendStream[Outcome]
    receive: MemoryObjectReceiveStream[Outcome]
    send, receive = anyio.create_memory_object_stream(0)

    async def work() -> None:
        nonlocal working
        for query in pending:
            try:
                outcome = Outcome(query, series=await fetch(query))
            except UsageError:  # a mistake in the program is no outcome of a query
                raise
            except ChartMogulError as error:
                outcome = Outcome(query, error=error)
            await send.send(outcome)
        working -= 1
        if not working:
            send.close()

    async with bare_task_group() as group:
        for _ in range(width):
            group.start_soon(work)
        try:
            yield receive
        finally:
            group.cancel_scope.cancel()
            send.close()
            receive.close()
