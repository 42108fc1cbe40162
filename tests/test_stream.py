"""Many queries at once: every outcome is given, the memory stays small, and nothing is left in progress."""

from __future__ import annotations

import pickle
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import date
from typing import Any, Self

import anyio
import httpx
import pytest
import trio

from chartmogul_async import AsyncClient, Failure, MetricQuery, Outcome, Outcomes, Series, Success, Throttle, errors
from tests.clients import KEY, client_of, in_turn, ok

QUERY = MetricQuery("mrr", "2023-07-01", "2023-07-31")

# In a pattern.
SUCH_AS = r"MetricQuery, such as MetricQuery\('mrr', start_date, end_date\)"

SlowHandler = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


def months(number: int) -> list[MetricQuery]:
    return [
        MetricQuery("mrr", date(2000 + n // 12, n % 12 + 1, 1), date(2000 + n // 12, n % 12 + 1, 28))
        for n in range(number)
    ]


def slow_client_of(handler: SlowHandler, **options: Any) -> AsyncClient:
    """A client whose responses are made by a coroutine."""
    return AsyncClient(KEY, transport=httpx.MockTransport(handler), **options)


async def stall(_: httpx.Request) -> httpx.Response:
    await anyio.sleep_forever()
    raise AssertionError


async def test_every_outcome_is_given_failures_included() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404) if "-02-01" in request.url.params["start-date"] else ok()

    async with client_of(handler) as client, client.metrics.stream(months(60)) as outcomes:
        got = [outcome async for outcome in outcomes]
    assert sorted(outcome.query.start_date for outcome in got) == [query.start_date for query in months(60)]
    failed = [outcome for outcome in got if outcome.error]
    assert [outcome.query.start_date.month for outcome in failed] == [2] * 5
    assert [outcome.series for outcome in failed] == [None] * 5
    with pytest.raises(errors.NotFoundError) as caught:
        failed[0].result()
    assert caught.value is failed[0].error
    series = next(outcome for outcome in got if not outcome.error).result()
    assert isinstance(series, Series)


async def test_outcomes_are_given_in_the_order_of_completion() -> None:
    async def handler(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(13 - int(request.url.params["start-date"][5:7]))
        return ok()

    async with slow_client_of(handler) as client, client.metrics.stream(months(12)) as outcomes:
        order = [outcome.query.start_date.month async for outcome in outcomes]
    assert order == list(range(12, 0, -1))


async def test_queries_are_taken_only_as_fast_as_outcomes() -> None:
    taken = 0

    def endless() -> Iterator[MetricQuery]:
        nonlocal taken
        while True:
            taken += 1
            yield QUERY

    async with client_of(in_turn(200)) as client:
        async with client.metrics.stream(endless()) as outcomes:
            received = 0
            async for _ in outcomes:
                received += 1
                await anyio.wait_all_tasks_blocked()
                assert taken <= received + 20
                if received == 100:
                    break
        assert await client.metrics.fetch(QUERY)


async def test_leaving_a_stream_cancels_what_is_in_progress() -> None:
    throttle = Throttle()
    async with slow_client_of(stall, throttle=throttle) as client:
        with anyio.move_on_after(1):
            async with client.metrics.stream(months(30)) as outcomes:
                async for _ in outcomes:
                    raise AssertionError("nothing can come")
        assert throttle.statistics().in_flight == throttle.statistics().waiting == 0
        with pytest.raises(ZeroDivisionError):
            async with client.metrics.stream(months(30)):
                await anyio.wait_all_tasks_blocked()
                assert throttle.statistics().in_flight == 20
                raise ZeroDivisionError
        assert throttle.statistics().in_flight == 0
        async with client.metrics.stream(months(30)):
            await anyio.wait_all_tasks_blocked()
        assert throttle.statistics().in_flight == 0


async def test_an_error_of_the_iterable_is_raised_bare() -> None:
    def broken() -> Iterator[MetricQuery]:
        yield from months(3)
        raise LookupError("no more")

    async with client_of(in_turn(200)) as client:
        with pytest.raises(LookupError, match="no more"):
            async with client.metrics.stream(broken()) as outcomes:
                async for _ in outcomes:
                    pass


async def test_only_queries_can_be_streamed() -> None:
    wrong: Any = [QUERY, "mrr"]
    async with client_of(in_turn(200)) as client:
        with pytest.raises(errors.ArgumentError, match=rf"^query must be a {SUCH_AS}, not 'mrr'$"):
            async with client.metrics.stream(wrong) as outcomes:
                async for _ in outcomes:
                    pass


async def test_a_usage_error_ends_a_stream_and_cancels_the_rest() -> None:
    """It is a mistake of the program, and not the outcome of a query."""
    throttle = Throttle(parallel=2)
    wrong: Any = iter(["mrr"])

    def queries() -> Iterator[MetricQuery]:
        yield QUERY
        yield from wrong
        raise AssertionError("another query was taken")

    async with slow_client_of(stall, throttle=throttle) as client:
        start = anyio.current_time()
        with pytest.raises(errors.ArgumentError):
            async with client.metrics.stream(queries()) as outcomes:
                async for _ in outcomes:
                    raise AssertionError("nothing can come")
        assert anyio.current_time() == start
        assert throttle.statistics().in_flight == 0


async def test_closing_the_client_ends_a_stream() -> None:
    async with client_of(in_turn(200)) as client:
        received = 0
        with pytest.raises(errors.StateError, match="closed"):
            async with client.metrics.stream(months(100)) as outcomes:
                async for _ in outcomes:
                    received += 1
                    await client.aclose()
    assert 0 < received < 100


@pytest.mark.parametrize("queries", [None, 5, QUERY])
async def test_a_stream_needs_an_iterable(queries: Any) -> None:
    async with client_of(in_turn(200)) as client:
        with pytest.raises(errors.ArgumentError) as caught:
            client.metrics.stream(queries)
    assert str(caught.value) == f"queries must be an iterable of MetricQuery, such as a list, not {queries!r}"


async def test_as_many_queries_are_in_progress_as_there_are_slots() -> None:
    throttle = Throttle(per_second=1000, parallel=50)
    async with slow_client_of(stall, throttle=throttle) as client, client.metrics.stream(months(60)):
        await anyio.wait_all_tasks_blocked()
        assert throttle.statistics().in_flight == 50
        assert throttle.statistics().waiting == 0


async def test_an_empty_stream_ends_immediately() -> None:
    async with client_of(in_turn(200)) as client, client.metrics.stream([]) as outcomes:
        assert [outcome async for outcome in outcomes] == []


async def test_outcomes_can_be_pickled() -> None:
    async with client_of(in_turn(200, 404)) as client, client.metrics.stream(months(2)) as outcomes:
        got = [outcome async for outcome in outcomes]
    succeeded, failed = sorted(got, key=lambda outcome: outcome.series is None)
    assert pickle.loads(pickle.dumps(succeeded)) == succeeded
    copy = pickle.loads(pickle.dumps(failed))
    assert (copy.query, str(copy.error)) == (failed.query, str(failed.error))
    assert (type(succeeded), type(failed)) == (Success, Failure)


# --- all outcomes at once -----------------------------------------------------------------------------------------


async def test_fetch_all_gives_outcomes_in_the_order_of_queries() -> None:
    async def handler(request: httpx.Request) -> httpx.Response:
        month = int(request.url.params["start-date"][5:7])
        await anyio.sleep(13 - month)
        return httpx.Response(404) if month == 2 else ok()

    queries = months(60)
    async with slow_client_of(handler) as client:
        outcomes = await client.metrics.fetch_all(query for query in queries)
    assert isinstance(outcomes, tuple)
    assert [outcome.query for outcome in outcomes] == queries
    failed = [outcome for outcome in outcomes if outcome.error]
    assert [outcome.query.start_date.month for outcome in failed] == [2] * 5
    assert all(isinstance(outcome.error, errors.NotFoundError) for outcome in failed)
    assert len(outcomes[0].result()) == 1


async def test_fetch_all_of_no_queries_is_empty() -> None:
    async with client_of(in_turn(200)) as client:
        assert await client.metrics.fetch_all([]) == ()


async def test_fetch_all_uses_as_many_slots_as_there_are() -> None:
    throttle = Throttle(per_second=1000, parallel=50)
    async with slow_client_of(stall, throttle=throttle) as client, anyio.create_task_group() as group:
        group.start_soon(client.metrics.fetch_all, months(60))
        await anyio.wait_all_tasks_blocked()
        assert throttle.statistics().in_flight == 50
        assert throttle.statistics().waiting == 0
        group.cancel_scope.cancel()


async def test_cancelling_fetch_all_leaves_nothing_in_progress() -> None:
    throttle = Throttle()
    async with slow_client_of(stall, throttle=throttle) as client:
        with anyio.move_on_after(1) as scope:
            await client.metrics.fetch_all(months(60))
        assert scope.cancelled_caught
        assert throttle.statistics().in_flight == throttle.statistics().waiting == 0


@pytest.mark.parametrize("queries", [None, 5, QUERY])
async def test_fetch_all_needs_an_iterable(queries: Any) -> None:
    async with client_of(in_turn(200)) as client:
        with pytest.raises(errors.ArgumentError) as caught:
            await client.metrics.fetch_all(queries)
    assert str(caught.value) == f"queries must be an iterable of MetricQuery, such as a list, not {queries!r}"


async def test_fetch_all_checks_every_query_before_sending() -> None:
    wrong: Any = [QUERY, QUERY, "mrr"]
    async with client_of(in_turn(200)) as client:
        with pytest.raises(errors.ArgumentError, match=rf"^queries\[2\] must be a {SUCH_AS}, not 'mrr'$"):
            await client.metrics.fetch_all(wrong)
        assert client.throttle.statistics().admitted == 0


async def test_fetch_all_of_a_closed_client_is_refused() -> None:
    async with client_of(in_turn(200)) as client:
        pass
    with pytest.raises(errors.StateError, match="this client is closed"):
        await client.metrics.fetch_all(months(3))


async def test_closing_the_client_ends_fetch_all() -> None:
    """One that stands in the queue finds the client closed, and the failure is raised by itself."""

    async def handler(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(1)
        await client.aclose()
        return ok()

    async with slow_client_of(handler) as client:
        with pytest.raises(errors.StateError, match="closed"):
            await client.metrics.fetch_all(months(60))


# --- one query that cannot be sent --------------------------------------------------------------------------------


def beyond_any_url() -> MetricQuery:
    """A query that passed no check, as one may that was pickled by another release."""
    query = MetricQuery("mrr", "2023-07-01", "2023-07-31", filters="region~ANY~'US'")
    object.__setattr__(query, "filters", "~" * 100_000)
    return query


@pytest.mark.no_cover
async def test_a_query_without_a_valid_url_fails_alone() -> None:
    queries = [QUERY] * 82 + [beyond_any_url()] + [QUERY] * 917
    async with client_of(in_turn(200), throttle=Throttle(per_second=1000)) as client:
        async with client.metrics.stream(queries) as stream:
            streamed = [outcome async for outcome in stream]
        at_once = await client.metrics.fetch_all(queries)
    for outcomes in (streamed, at_once):
        assert len(outcomes) == 1000
        (failed,) = [outcome for outcome in outcomes if outcome.error]
        assert isinstance(failed.error, errors.ArgumentError)
        with pytest.raises(errors.ArgumentError, match="URL"):
            failed.result()
        assert len(pickle.loads(pickle.dumps(failed)).query.filters) == 100_000


# --- reading a stream in the wrong place --------------------------------------------------------------------------


OPEN_IT = 'open the stream with "async with client.metrics.stream(queries) as outcomes:"'
READ_IT = 'read "async for outcome in outcomes:" inside the block'


async def test_async_for_without_async_with_is_refused() -> None:
    async with client_of(in_turn(200)) as client:
        with pytest.raises(errors.StateError) as caught:
            async for _ in client.metrics.stream(months(3)):
                raise AssertionError
        assert str(caught.value) == f"the stream is not open: {OPEN_IT} and {READ_IT}"
        with pytest.raises(errors.StateError, match="the stream is not open"):
            await anext(client.metrics.stream(months(3)))


async def test_a_plain_for_is_refused() -> None:
    async with client_of(in_turn(200)) as client:
        stream: Any = client.metrics.stream(months(3))
        for read in (iter, list, client.metrics.stream):
            with pytest.raises(errors.StateError) as caught:
                read(stream)
            assert str(caught.value) == f'a stream cannot be read by a plain "for": {OPEN_IT} and {READ_IT}'
        async with stream as outcomes:
            with pytest.raises(errors.StateError, match="plain"):
                list(outcomes)


async def test_awaiting_a_stream_is_refused() -> None:
    async with client_of(in_turn(200)) as client:
        stream: Any = client.metrics.stream(months(3))
        with pytest.raises(errors.StateError) as caught:
            await stream
    at_once = 'or use "await client.metrics.fetch_all(queries)" for all outcomes at once'
    assert str(caught.value) == f"a stream cannot be awaited: {OPEN_IT}, {at_once}"


async def test_reading_after_the_block_is_refused() -> None:
    async with client_of(in_turn(200)) as client:
        async with client.metrics.stream(months(3)) as outcomes:
            async for _ in outcomes:
                pass
            # At its end, it stays at its end.
            assert [outcome async for outcome in outcomes] == []
        with pytest.raises(errors.StateError) as caught:
            await anext(outcomes)
        assert str(caught.value) == f"the block of the stream was left, which ended its requests: {READ_IT}"
        with pytest.raises(errors.StateError, match="was left"):
            async for _ in outcomes:
                raise AssertionError


async def test_a_reader_in_another_task_learns_that_the_block_was_left() -> None:
    refusals: list[errors.StateError] = []

    async def read(outcomes: AsyncIterator[Outcome]) -> None:
        with pytest.raises(errors.StateError, match="was left") as caught:
            await anext(outcomes)
        refusals.append(caught.value)

    async with (
        slow_client_of(stall) as client,
        anyio.create_task_group() as readers,
        client.metrics.stream(months(3)) as outcomes,
    ):
        for _ in range(2):
            readers.start_soon(read, outcomes)
        await anyio.wait_all_tasks_blocked()
    assert len(refusals) == 2


async def test_several_tasks_can_read_one_stream() -> None:
    got: list[Outcome] = []

    async def read(outcomes: AsyncIterator[Outcome]) -> None:
        async for outcome in outcomes:
            got.append(outcome)

    async with (
        client_of(in_turn(200)) as client,
        client.metrics.stream(months(30)) as outcomes,
        anyio.create_task_group() as readers,
    ):
        for _ in range(3):
            readers.start_soon(read, outcomes)
    assert len({outcome.query for outcome in got}) == len(got) == 30


async def test_a_stream_is_entered_only_once() -> None:
    again = "a stream can be entered only once: call client.metrics.stream(queries) again"
    async with client_of(in_turn(200)) as client:
        stream = client.metrics.stream(months(3))
        async with stream as outcomes:
            with pytest.raises(errors.StateError) as caught:
                await stream.__aenter__()
            assert str(caught.value) == again
            # The one that is open goes on.
            assert len([outcome async for outcome in outcomes]) == 3
        with pytest.raises(errors.StateError, match=again.partition(":")[0]):
            async with stream:
                raise AssertionError


# --- async generators ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def opened(client: AsyncClient) -> AsyncIterator[Outcomes]:
    async with client.metrics.stream(months(30)) as outcomes:
        yield outcomes


@asynccontextmanager
async def opened_twice_removed(client: AsyncClient) -> AsyncIterator[Outcomes]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(opened(client))


class Report:
    """A context manager of a user that holds a stream."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.outcomes = await self._stack.enter_async_context(self._client.metrics.stream(months(30)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


async def directly(client: AsyncClient) -> AsyncGenerator[Outcome, None]:
    async with client.metrics.stream(months(30)) as outcomes:
        async for outcome in outcomes:
            yield outcome


async def by_an_exit_stack(client: AsyncClient) -> AsyncIterator[Outcome]:
    async with AsyncExitStack() as stack:
        async for outcome in await stack.enter_async_context(client.metrics.stream(months(30))):
            yield outcome


async def by_a_context_manager(client: AsyncClient) -> AsyncIterator[Outcome]:
    async with opened_twice_removed(client) as outcomes:
        async for outcome in outcomes:
            yield outcome


async def by_a_class(client: AsyncClient) -> AsyncIterator[Outcome]:
    async with Report(client) as report:
        async for outcome in report.outcomes:
            yield outcome


@pytest.mark.parametrize("generator", [directly, by_an_exit_stack, by_a_context_manager, by_a_class])
async def test_a_stream_cannot_be_opened_in_a_generator(
    generator: Callable[[AsyncClient], AsyncIterator[Outcome]],
) -> None:
    """Leaving such a generator by ``break`` cancelled every later await of the task that had iterated over it."""
    async with client_of(in_turn(200)) as client:
        with pytest.raises(errors.StateError) as caught:
            async for _ in generator(client):
                break
        assert str(caught.value) == (
            "a stream must not be opened in an async generator, which would cancel its caller if it is left by "
            'break: use "await client.metrics.fetch_all(queries)" there, for a part of the queries at a time'
        )
        await anyio.sleep(1)
        assert await client.metrics.fetch(QUERY)
        assert client.throttle.statistics().admitted == 1


async def test_a_stream_refused_by_a_generator_can_be_opened_elsewhere() -> None:
    async def generator(stream: Outcomes) -> AsyncIterator[Outcome]:
        async with stream as outcomes:
            async for outcome in outcomes:
                yield outcome

    async with client_of(in_turn(200)) as client:
        stream = client.metrics.stream(months(3))
        with pytest.raises(errors.StateError):
            await anext(generator(stream))
        async with stream as outcomes:
            assert len([outcome async for outcome in outcomes]) == 3


async def test_fetch_all_in_a_generator_can_be_left_by_break() -> None:
    throttle = Throttle()

    async def generator(client: AsyncClient) -> AsyncGenerator[Outcome, None]:
        for start in range(0, 60, 10):
            for outcome in await client.metrics.fetch_all(months(60)[start : start + 10]):
                yield outcome

    async with client_of(in_turn(200), throttle=throttle) as client:
        outcomes = generator(client)
        async for _ in outcomes:
            break
        await anyio.sleep(1)
        assert throttle.statistics().admitted == 10
        await outcomes.aclose()
        assert len([outcome async for outcome in generator(client)]) == 60


@pytest.fixture
async def outcomes_of_a_fixture() -> AsyncIterator[Outcomes]:
    async with client_of(in_turn(200)) as client, client.metrics.stream(months(3)) as outcomes:
        yield outcomes


async def test_a_fixture_can_hold_a_stream(outcomes_of_a_fixture: Outcomes) -> None:
    assert len([outcome async for outcome in outcomes_of_a_fixture]) == 3


async def test_a_context_manager_can_hold_a_stream() -> None:
    async with client_of(in_turn(200)) as client:
        async with opened_twice_removed(client) as outcomes:
            assert len([outcome async for outcome in outcomes]) == 30
        async with AsyncExitStack() as stack:
            outcomes = await stack.enter_async_context(opened(client))
            assert len((await anext(outcomes)).result()) == 1
        async with Report(client) as report:
            assert len((await anext(report.outcomes)).result()) == 1


async def test_a_generator_may_call_what_opens_a_stream() -> None:
    """The block is left before the generator yields, also where a context manager opens it as it is left."""

    async def count(client: AsyncClient) -> int:
        async with client.metrics.stream(months(3)) as outcomes:
            return len([outcome async for outcome in outcomes])

    counts: list[int] = []

    @asynccontextmanager
    async def counted_in_the_end(client: AsyncClient) -> AsyncIterator[None]:
        yield
        async with client.metrics.stream(months(5)) as outcomes:
            counts.append(len([outcome async for outcome in outcomes]))

    async def generator(client: AsyncClient) -> AsyncGenerator[int, None]:
        async with counted_in_the_end(client):
            yield await count(client)

    async with client_of(in_turn(200)) as client, aclosing(generator(client)) as numbers:
        assert [number async for number in numbers] == [3]
    assert counts == [5]


async def test_a_generator_may_read_a_stream_that_is_open() -> None:
    async def dates(outcomes: Outcomes) -> AsyncGenerator[date, None]:
        async for outcome in outcomes:
            yield outcome.query.start_date

    async with client_of(in_turn(200)) as client, client.metrics.stream(months(30)) as outcomes:
        days = dates(outcomes)
        async for _ in days:
            break
        await anyio.sleep(1)
        await days.aclose()
        assert len([day async for day in dates(outcomes)]) == 29


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_safe_channel_of_trio_can_hold_a_stream() -> None:
    """Trio runs such a generator in a task of its own."""
    async with client_of(in_turn(200)) as client:
        async with trio.as_safe_channel(directly)(client) as channel:
            async for _ in channel:
                break
        await anyio.sleep(1)
        assert client.throttle.statistics().in_flight == 0
