"""Metrics that the worker processes of taskiq fetch, with one client for each account in each of them.

::

    from chartmogul_async.integrations.taskiq import TaskiqMetrics

    metrics = TaskiqMetrics(broker, new_client)
    outcomes = await metrics.fetch_all(queries)

It needs the extra ``taskiq``, and runs on asyncio, as taskiq does.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any
from uuid import uuid4

from attrs import astuple

try:
    from taskiq import (
        AsyncBroker,
        AsyncTaskiqDecoratedTask,
        AsyncTaskiqTask,
        TaskiqEvents,
        TaskiqResult,
        TaskiqResultTimeoutError,
    )
    from taskiq.result_backends.dummy import DummyResultBackend
except ImportError:
    raise ImportError(
        "TaskiqMetrics requires an extra; run: pip install 'chartmogul-async[taskiq]'", name="taskiq"
    ) from None

from chartmogul_async import AsyncClient, Failure, MetricQuery, Outcome, Series, Success
from chartmogul_async.checks import instance_of, positive_number
from chartmogul_async.errors import ArgumentError, ChartMogulError, DecodeError, ErrorDetail, StateError
from chartmogul_async.events import logger
from chartmogul_async.metrics.records import E, S
from chartmogul_async.metrics.stream import many_queries

NewClient = Callable[[str], AsyncClient]

# Seconds between two looks whether a result is there; a look is a round trip to the result backend.
_POLL = 0.1


class _QueryArgumentError(ArgumentError):
    """No request can be made of a query; any other ``ArgumentError`` of a worker is about something else."""


class TaskiqMetrics:
    """Has metrics fetched by the worker processes of a broker.

    It is made in a module that is imported by the workers and by whoever sends queries to them, once for each broker.

    A query, a series and an error travel as JSON, whichever serializer taskiq uses.

    Args:
        broker: The broker. It needs a result backend, for whoever waits for results.
        new_client: A function that makes the client of an account, given the name of the account, ``""`` where none is
            named. It is called in a worker process, at the account's first query, so no key travels; the client is
            closed when the worker ends. An ``AsyncClients`` whose clients it gives is to be closed by a handler of
            ``WORKER_SHUTDOWN``.
        resend_after: Seconds without a result after which ``fetch`` and ``fetch_all`` send a query again, since the
            worker that had taken it may have died. What is fetched twice by that has one result.

    Attributes:
        task: The task as taskiq knows it, for its schedules and labels. Its arguments are a query and the name of an
            account.

    Raises:
        ArgumentError: An argument cannot be right.
    """

    def __init__(self, broker: AsyncBroker, new_client: NewClient, *, resend_after: float = 60.0) -> None:
        self._broker = instance_of("broker", broker, AsyncBroker)  # type: ignore[type-abstract]  # nothing is made of it
        if not callable(new_client):
            raise ArgumentError("new_client must be a function that makes the client of the account that it is given")
        self._new_client = new_client
        self._resend_after = positive_number("resend_after", resend_after, " of seconds")
        # Those of a worker process, by the names of their accounts.
        self._clients: dict[str, AsyncClient] = {}

        async def fetch(query: MetricQuery, account: str = "") -> Series:
            client = self.client(account)
            try:
                return await client.metrics.fetch(query)
            except ChartMogulError as error:
                # All that taskiq writes of an error.
                error.args = astuple(error)
                raise
            except ArgumentError as error:
                raise _QueryArgumentError(*error.args) from None

        task: Any = broker.register_task(fetch, "chartmogul_async.fetch")
        self.task: AsyncTaskiqDecoratedTask[[MetricQuery, str], Coroutine[Any, Any, Series]] = task
        broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, self._close)

    def client(self, account: str = "") -> AsyncClient:
        """Get the client of an account, in a worker process: for tasks of your own.

        Args:
            account: The name that ``new_client`` is given.

        Returns:
            The same client each time.
        """
        if account not in self._clients:
            self._clients[account] = self._new_client(account)
        return self._clients[account]

    async def kiq(self, query: MetricQuery[E, S], *, account: str = "") -> AsyncTaskiqTask[Series[E, S]]:
        """Send a query to the workers, and do not wait for its result.

        Args:
            query: The query.
            account: The name that ``new_client`` is given.

        Returns:
            The task, whose ``wait_result()`` gives the series as ``return_value``.

        Raises:
            ArgumentError: ``query`` is something else; nothing was sent.
        """
        return await self._send(_checked(query), account, None)

    async def fetch(self, query: MetricQuery[E, S], *, account: str = "") -> Series[E, S]:
        """Have a query fetched, and wait for its result.

        Args:
            query: The query.
            account: The name that ``new_client`` is given.

        Returns:
            The series.

        Raises:
            ArgumentError: ``query`` cannot be right.
            StateError: The broker has no result backend.
            ChartMogulError: What the request met.
            Exception: What a worker raised that is not an error of the query, as ``new_client`` may.
        """
        (outcome,) = await self.fetch_all([query], account=account)
        return outcome.result()

    async def fetch_all(self, queries: Iterable[MetricQuery[E, S]], *, account: str = "") -> tuple[Outcome[E, S], ...]:
        """Have many queries fetched, and wait for all outcomes, failures included.

        It waits for as long as no worker runs; ``asyncio.timeout`` bounds that.

        Args:
            queries: The queries; equal ones are sent once.
            account: The name that ``new_client`` is given.

        Returns:
            One ``Outcome`` for each query, in the order of the queries.

        Raises:
            ArgumentError: ``queries`` or one of them is something else.
            StateError: The broker has no result backend.
            Exception: What a worker raised that is not an error of the query, as ``new_client`` may.
        """
        if isinstance(self._broker.result_backend, DummyResultBackend):
            raise StateError("the broker has no result backend: give it one, with broker.with_result_backend(...)")
        batch = uuid4().hex
        sent: dict[str, tuple[MetricQuery[E, S], AsyncTaskiqTask[Series[E, S]]]] = {}
        order = []
        for query in many_queries(queries):
            task_id = f"{batch}:{_checked(query).key()}"
            order.append(task_id)
            if task_id not in sent:
                sent[task_id] = query, await self._send(query, account, task_id)
        outcomes = {task_id: await self._outcome(query, account, task) for task_id, (query, task) in sent.items()}
        return tuple(outcomes[task_id] for task_id in order)

    async def _send(self, query: MetricQuery[E, S], account: str, task_id: str | None) -> AsyncTaskiqTask[Series[E, S]]:
        task: Any = await self.task.kicker().with_task_id(task_id).kiq(query, account)
        sent: AsyncTaskiqTask[Series[E, S]] = task
        return sent

    async def _outcome(
        self, query: MetricQuery[E, S], account: str, task: AsyncTaskiqTask[Series[E, S]]
    ) -> Outcome[E, S]:
        result = await self._result(query, account, task)
        error = result.error
        if error is None:
            return Success(query, _series(result.return_value))
        if isinstance(error, ChartMogulError):
            return Failure(query, _restored(error))
        if isinstance(error, _QueryArgumentError):
            return Failure(query, ArgumentError(*error.args))
        raise error

    async def _result(
        self, query: MetricQuery[E, S], account: str, task: AsyncTaskiqTask[Series[E, S]]
    ) -> TaskiqResult[Series[E, S]]:
        while True:
            try:
                return await task.wait_result(check_interval=_POLL, timeout=self._resend_after)
            except TaskiqResultTimeoutError:
                logger.info("a query had no result after %g s, and was sent again", self._resend_after)
                await self._send(query, account, task.task_id)

    async def _close(self, _: object) -> None:
        while self._clients:
            _, client = self._clients.popitem()
            await client.aclose()


def _checked(query: MetricQuery[E, S]) -> MetricQuery[E, S]:
    instance_of("query", query, MetricQuery, "MetricQuery('mrr', start_date, end_date)")
    return query


def _series(value: Any) -> Any:
    """What taskiq could not read as a series, and only logged, is an error that says why."""
    return value if isinstance(value, Series) else Series.from_dict(value)


def _restored(error: ChartMogulError) -> ChartMogulError:
    """An error that was written as JSON, which has neither tuples nor records."""
    details: Any = error.details
    error.details = tuple(ErrorDetail(*detail) for detail in details)
    if isinstance(error, DecodeError):
        error.problems = tuple(error.problems)
    return error
