"""Many queries, a few at a time, failures included: each outcome as it comes, or all of them in order."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Literal, NoReturn, Self

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from chartmogul_async.checks import instance_of, is_iterable, shown
from chartmogul_async.errors import ArgumentError, ChartMogulError, StateError
from chartmogul_async.metrics.outcome import Failure, Outcome, Success
from chartmogul_async.metrics.query import MetricQuery
from chartmogul_async.metrics.records import E, S
from chartmogul_async.metrics.series import Series
from chartmogul_async.metrics.tasks import bare_task_group, is_held_by_a_generator, run_all

Fetch = Callable[[MetricQuery[E, S]], Awaitable[Series[E, S]]]

_OPEN_IT = 'open the stream with "async with client.metrics.stream(queries) as outcomes:"'
_READ_IT = f'{_OPEN_IT} and read "async for outcome in outcomes:" inside the block'


class Outcomes(Generic[E, S]):
    """The outcomes of many queries, each as it comes: what ``client.metrics.stream(queries)`` returns.

    It is an async context manager, and inside its block the async iterator of the outcomes::

        async with client.metrics.stream(queries) as outcomes:
            async for outcome in outcomes:
                ...

    Requests are in progress only inside the block, which is entered once.
    """

    __module__ = "chartmogul_async"

    def __init__(self, queries: Iterable[MetricQuery[E, S]], fetch: Fetch[E, S], limit: int) -> None:
        # All workers share this iterator.
        self._pending = iter(queries)
        self._fetch = fetch
        self._limit = self._working = limit
        self._state: Literal["new", "open", "left"] = "new"
        self._block = self._work_in_progress()
        self._send: MemoryObjectSendStream[Outcome[E, S]]
        self._receive: MemoryObjectReceiveStream[Outcome[E, S]]

    # A mutated function is called through others, whose frames are not those of its caller.
    async def __aenter__(self) -> Self:  # pragma: no mutate block
        if self._state != "new":
            raise StateError("a stream can be entered only once: call client.metrics.stream(queries) again")
        if is_held_by_a_generator(sys._getframe(1)):  # noqa: SLF001 - the documented name of this function
            raise StateError(
                "a stream must not be opened in an async generator, which would cancel its caller if it is left by "
                'break: use "await client.metrics.fetch_all(queries)" there, for a part of the queries at a time'
            )
        self._state = "open"
        await self._block.__aenter__()
        return self

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        self._state = "left"
        return await self._block.__aexit__(cls, error, traceback)

    def __aiter__(self) -> Self:
        self._check_open()
        return self

    async def __anext__(self) -> Outcome[E, S]:
        self._check_open()
        try:
            return await self._receive.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            # Another task may have left the block in the meantime.
            self._check_open()
        raise StopAsyncIteration

    def _check_open(self) -> None:
        if self._state == "new":
            raise StateError(f"the stream is not open: {_READ_IT}")
        if self._state == "left":
            raise StateError(
                "the block of the stream was left, which ended its requests: "
                'read "async for outcome in outcomes:" inside the block'
            )

    # A type checker that saw these would accept what they refuse.
    if not TYPE_CHECKING:

        def __iter__(self) -> NoReturn:
            raise StateError(f'a stream cannot be read by a plain "for": {_READ_IT}')

        def __await__(self) -> NoReturn:
            raise StateError(
                f"a stream cannot be awaited: {_OPEN_IT}, "
                'or use "await client.metrics.fetch_all(queries)" for all outcomes at once'
            )

    # --- the work ------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _work_in_progress(self) -> AsyncIterator[None]:
        self._send, self._receive = anyio.create_memory_object_stream[Outcome[E, S]](0)
        async with bare_task_group() as group:
            for _ in range(self._limit):
                group.start_soon(self._work)
            try:
                yield
            finally:
                group.cancel_scope.cancel()
                self._send.close()
                self._receive.close()

    async def _work(self) -> None:
        for query in self._pending:
            instance_of("query", query, MetricQuery, "MetricQuery('mrr', start_date, end_date)")
            await self._send.send(await outcome_of(query, self._fetch))
        self._working -= 1
        if not self._working:
            # A worker that is cancelled does not come here: its outcome is missing, so the stream has no end.
            self._send.close()


async def fetch_outcomes(
    queries: Iterable[MetricQuery[E, S]], fetch: Fetch[E, S], limit: int
) -> tuple[Outcome[E, S], ...]:
    """Fetch ``limit`` queries at a time, and give all outcomes at once.

    Args:
        queries: The queries.
        fetch: Fetches one query.
        limit: How many queries are in progress at once.

    Returns:
        The outcomes in the order of the queries.

    Raises:
        ArgumentError: One of the queries is something else; nothing was sent.
    """
    asked = list(queries)
    for index, query in enumerate(asked):
        instance_of(f"queries[{index}]", query, MetricQuery, "MetricQuery('mrr', start_date, end_date)")

    return tuple(await run_all([partial(outcome_of, query, fetch) for query in asked], limit))


async def outcome_of(query: MetricQuery[E, S], fetch: Fetch[E, S]) -> Outcome[E, S]:
    """Fetch one query among many.

    Args:
        query: The query.
        fetch: Fetches it.

    Returns:
        Its outcome, which may be a failure.

    Raises:
        StateError: The client is closed, or belongs to another event loop.
    """
    # An ArgumentError is about this query, the only argument; a StateError concerns every query and is raised.
    try:
        return Success(query, await fetch(query))
    except (ChartMogulError, ArgumentError) as error:
        return Failure(query, error)


def many_queries(queries: Iterable[MetricQuery[E, S]]) -> Iterable[MetricQuery[E, S]]:
    """Check that an argument can be many queries, without taking one.

    Args:
        queries: What was given.

    Returns:
        The same.

    Raises:
        ArgumentError: It is one query, or cannot be iterated over.
    """
    if isinstance(queries, (MetricQuery, str, bytes)) or not is_iterable(queries):
        raise ArgumentError(f"queries must be an iterable of MetricQuery, such as a list, not {shown(queries)}")
    return queries
