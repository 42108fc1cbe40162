"""A range in slices equals the range as one, and a stream of queries loses nothing. Against the sandbox, in process."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from functools import partial
from typing import Any, get_args

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chartmogul_async import AsyncClient, Interval, MetricQuery, RetryPolicy, Series, Throttle, errors
from chartmogul_async.metrics.fan_out import bare_task_group, best_slices
from chartmogul_async.metrics.query import METRICS, MetricName
from chartmogul_async.sandbox import Company, Limits, Sandbox
from tests.clients import ACCOUNT, KEY, MRR, client_of, in_turn, ok

TODAY = date(2026, 6, 30)
NO_LIMITS = Limits(per_second=10**6, parallel=10**6)
COMPANIES = {week: Company(today=TODAY, customers=150, week_start_on=week) for week in ("monday", "sunday")}


@asynccontextmanager
async def client_to(sandbox: Sandbox, **options: Any) -> AsyncIterator[AsyncClient]:
    """A client of a sandbox in process; unless told otherwise in no hurry to keep limits."""
    options.setdefault("throttle", Throttle(per_second=10**6))
    async with AsyncClient(sandbox.api_key, transport=sandbox.transport(), **options) as client:
        yield client


def recording(sandbox: Sandbox, seen: list[str]) -> httpx.AsyncBaseTransport:
    inner = sandbox.transport()

    class Recorder(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            params = request.url.params
            seen.append(f"{params['start-date']}..{params['end-date']}" if "start-date" in params else request.url.path)
            return await inner.handle_async_request(request)

    return Recorder()


# --- equality with the undivided request ------------------------------------------------------------------------

RANGES = st.tuples(st.dates(date(2019, 11, 1), date(2026, 12, 31)), st.integers(0, 800)).map(
    lambda given: (given[0], given[0] + timedelta(days=given[1]))
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metric=st.sampled_from(METRICS),
    dates=RANGES,
    interval=st.sampled_from(["day", "week", "month", "quarter", "year"]),
    slices=st.sampled_from([2, 3, 7, 20, "interval"]),
    week=st.sampled_from(["monday", "sunday"]),
    plans=st.sampled_from([None, ["Basic"]]),
)
async def test_slices_give_the_same_as_the_undivided_request(
    metric: MetricName, dates: tuple[date, date], interval: Interval, slices: Any, week: str, plans: Any
) -> None:
    if metric == "asp" and interval in ("day", "week"):
        interval = "month"
    if plans:
        plans = [COMPANIES[week].plans[0].external_id]
    query = MetricQuery(metric, *dates, interval=interval, plans=plans)
    async with client_to(Sandbox(COMPANIES[week], limits=NO_LIMITS)) as client:
        whole = await client.metrics.fetch(query, slices=1)
        assert await client.metrics.fetch(query, slices=slices) == whole
    assert len(whole) >= 1


async def test_the_account_that_changes_in_the_middle_of_a_pull_gives_one_consistent_series() -> None:
    company = Company(today=TODAY, customers=150)
    sandbox = Sandbox(company, limits=NO_LIMITS)
    pulls = 0

    class Changing(httpx.AsyncBaseTransport):
        """Books new business of long ago between the first and the second slice."""

        inner = sandbox.transport()

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal pulls
            pulls += 1
            if pulls == 2:
                company.add_customer(on=date(2021, 3, 3), plan=company.plans[0].uuid, mrr=123400)
            return await self.inner.handle_async_request(request)

    async with AsyncClient(sandbox.api_key, transport=Changing(), throttle=Throttle(parallel=1)) as client:
        before = await client.metrics.mrr("2024-01-01", "2024-12-31", slices=1)
        pulls = 0
        after = await client.metrics.mrr("2024-01-01", "2024-12-31", slices=3)
        assert pulls == 6  # three that did not fit together, and three that do
        assert after == await client.metrics.mrr("2024-01-01", "2024-12-31", slices=1)
    assert [new.mrr - old.mrr for new, old in zip(after, before, strict=True)] == [123400] * 12


async def test_an_account_that_never_stands_still_is_asked_as_one_in_the_end() -> None:
    company = Company(today=TODAY, customers=150)
    sandbox = Sandbox(company, limits=NO_LIMITS)
    asked: list[str] = []

    class Changing(httpx.AsyncBaseTransport):
        inner = recording(sandbox, asked)

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            company.add_customer(on=date(2021, 3, 3), plan=company.plans[0].uuid, mrr=100)
            return await self.inner.handle_async_request(request)

    async with AsyncClient(sandbox.api_key, transport=Changing(), throttle=Throttle(parallel=1)) as client:
        series = await client.metrics.mrr("2024-01-01", "2024-12-31", slices=2)
    halves = ["2024-01-01..2024-06-30", "2024-06-01..2024-12-31"]
    assert asked == [*halves, *halves, "2024-01-01..2024-12-31"]
    assert len(series) == 12


async def test_answers_without_entries_fit_nowhere_and_are_asked_as_one() -> None:
    asked = 0

    def handler(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return httpx.Response(200, json={**MRR, "entries": []})

    async with client_of(handler) as client:
        assert len(await client.metrics.mrr("2023-07-01", "2023-08-31", slices=2)) == 0
    assert asked == 5


async def test_slices_that_tell_different_summaries_are_asked_again() -> None:
    asked = 0

    def handler(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return httpx.Response(200, json={**MRR, "summary": {"current": asked, "previous": 0, "percentage-change": 0}})

    async with client_of(handler) as client:
        assert (await client.metrics.mrr("2023-07-01", "2023-08-31", slices=2)).summary.current == asked == 5


async def test_what_does_not_fit_in_slices_is_left_whole_from_then_on() -> None:
    """As a server would answer that cuts monthly figures at the range asked for."""
    asked = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        entry = {"date": "2023-07-31", "mrr": int(request.url.params["end-date"].replace("-", ""))}
        return httpx.Response(200, json={**MRR, "entries": [entry]})

    async with client_of(handler, throttle=Throttle(per_second=1000)) as client:
        for requests in (20 + 20 + 1, 1, 1):
            asked = 0
            await client.metrics.mrr("2013-07-01", "2023-08-31", interval="day")
            assert asked == requests


async def test_the_summary_is_that_of_the_last_slice() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        params = request.url.params
        body = {
            "entries": [{"date": day, "mrr": 1} for day in ("2023-07-31", "2023-08-31") if day <= params["end-date"]],
            "summary": {"current": 8, "previous": 0, "percentage-change": 0},
        }
        return httpx.Response(200, json=body)

    async with client_of(handler) as client:
        series = await client.metrics.mrr("2023-07-01", "2023-08-31", slices=2)
    assert series.summary.current == 8
    assert [entry.date for entry in series] == [date(2023, 7, 31), date(2023, 8, 31)]


# --- what is asked ----------------------------------------------------------------------------------------------


async def slices_asked(start: str, end: str, week: str = "monday", **options: Any) -> list[str]:
    seen: list[str] = []
    sandbox = Sandbox(COMPANIES[week], limits=NO_LIMITS)
    async with AsyncClient(sandbox.api_key, transport=recording(sandbox, seen)) as client:
        await client.metrics.all(start, end, **options)
    return sorted(seen)


async def test_short_ranges_are_one_request() -> None:
    assert await slices_asked("2024-01-01", "2024-02-29", interval="day") == ["2024-01-01..2024-02-29"]
    assert len(await slices_asked("2021-01-01", "2024-12-31")) == 1


async def test_ten_years_of_days_fill_the_places_and_no_more() -> None:
    assert len(await slices_asked("2016-07-01", "2026-06-30", interval="day")) == 20


async def test_each_interval_can_be_a_request_of_its_own() -> None:
    assert await slices_asked("2024-01-15", "2024-03-10", slices="interval") == [
        "2024-01-15..2024-01-31",
        "2024-01-15..2024-02-29",
        "2024-02-01..2024-03-10",
    ]


@pytest.mark.parametrize(
    ("week", "asked"),
    [
        ("monday", ["/v1/account", "2024-01-01..2024-01-07", "2024-01-01..2024-01-14"]),
        ("sunday", ["/v1/account", "2024-01-01..2024-01-06", "2024-01-01..2024-01-13", "2024-01-07..2024-01-14"]),
    ],
)
async def test_weeks_are_cut_where_the_accounts_weeks_begin(week: str, asked: list[str]) -> None:
    seen = await slices_asked("2024-01-01", "2024-01-14", week, interval="week", slices="interval")
    assert sorted(seen) == sorted(asked)


async def test_the_account_is_asked_once_for_its_weeks() -> None:
    seen: list[str] = []
    sandbox = Sandbox(COMPANIES["sunday"], limits=NO_LIMITS)
    async with (
        AsyncClient(sandbox.api_key, transport=recording(sandbox, seen)) as client,
        anyio.create_task_group() as group,
    ):
        query = MetricQuery("mrr", "2024-01-01", "2024-03-31", interval="week")
        for _ in range(3):
            group.start_soon(partial(client.metrics.fetch, query, slices=2))
    assert seen.count("/v1/account") == 1


async def test_a_key_that_may_not_read_the_account_gets_its_weeks_in_one_request() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403) if request.url.path.endswith("/account") else ok()

    async with client_of(handler) as client:
        assert len(await client.metrics.mrr("2015-01-01", "2024-12-31", interval="week")) == 1
        with pytest.raises(errors.ForbiddenError):
            await client.metrics.mrr("2015-01-01", "2024-12-31", interval="week", slices=2)


async def test_an_account_that_cannot_be_read_is_not_asked_again_for_every_query() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={}) if request.url.path.endswith("/account") else ok()

    async with client_of(handler) as client:
        for metric in ("mrr", "mrr", "mrr"):
            await client.metrics.fetch(MetricQuery(metric, "2015-01-01", "2024-12-31", interval="week"))
    assert asked == ["/v1/account", *["/v1/metrics/mrr"] * 3]


async def test_an_account_that_cannot_be_read_for_the_moment_is_asked_again() -> None:
    asked: list[str] = []
    accounts = iter([httpx.Response(500), httpx.Response(200, json=ACCOUNT)])

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return next(accounts) if request.url.path.endswith("/account") else ok()

    async with client_of(handler, retry=RetryPolicy(attempts=1)) as client:
        for _ in range(2):
            await client.metrics.mrr("2015-01-01", "2024-12-31", interval="week")
    assert asked.count("/v1/account") == 2


async def test_many_weekly_ranges_at_once_are_not_cut_into_more_than_would_start() -> None:
    sandbox = Sandbox(COMPANIES["monday"], limits=NO_LIMITS, latency=1.0)
    throttle, most = Throttle(), 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, throttle.statistics().waiting)
            await anyio.sleep(0.1)

    async with client_to(sandbox, throttle=throttle) as client, anyio.create_task_group() as group:
        group.start_soon(watch)
        async with anyio.create_task_group() as calls:
            for _ in range(10):
                calls.start_soon(partial(client.metrics.mrr, "2010-01-01", "2024-12-31", interval="week"))
        group.cancel_scope.cancel()
    assert most <= 10


async def test_an_account_with_a_strange_week_is_told() -> None:
    account = httpx.Response(200, json={**ACCOUNT, "week_start_on": "friday"})
    async with client_of(in_turn(account)) as client:
        with pytest.raises(errors.DecodeError, match=r"\$\.week_start_on: expected monday or sunday"):
            await client.metrics.mrr("2023-01-01", "2024-12-31", interval="week", slices=2)


@pytest.mark.parametrize("slices", [0, -1, True, 1.5, "month", "2"])
async def test_slices_of_nonsense_are_refused(slices: Any) -> None:
    async with client_of(in_turn(ValueError("something was sent"))) as client:
        with pytest.raises(errors.UsageError, match=r"slices is .*; it is None, a whole number"):
            await client.metrics.mrr("2023-01-01", "2024-12-31", slices=slices)


async def test_what_is_no_query_is_refused() -> None:
    async with client_of(in_turn(200)) as client:
        with pytest.raises(errors.UsageError, match="'mrr' is not a MetricQuery"):
            await client.metrics.fetch("mrr")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_slices_pay_off_from_two_hundred_entries_on() -> None:
    assert [best_slices(entries, room=20) for entries in (1, 99, 199, 200, 731, 3650)] == [1, 1, 1, 2, 7, 20]
    assert [best_slices(3650, room) for room in (0, 1, 5)] == [1, 1, 5]


async def test_side_by_side_pulls_share_the_places() -> None:
    sandbox = Sandbox(COMPANIES["monday"], limits=NO_LIMITS, latency=0.05)
    async with client_to(sandbox, throttle=Throttle()) as client, anyio.create_task_group() as group:
        for metric in ("all", "mrr", "arr", "arpa", "customer_count"):
            query = MetricQuery(metric, "2024-07-01", "2026-06-30", interval="day")
            group.start_soon(client.metrics.fetch, query)
    assert sandbox.counters.requests == 7 + 7 + 6 + 1 + 1


# --- failures ---------------------------------------------------------------------------------------------------


async def test_the_first_failure_of_a_slice_comes_out_bare_and_cancels_the_rest() -> None:
    under_way = 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal under_way
        if request.url.params["start-date"] == "2023-03-01":
            return httpx.Response(404, json={"message": "gone"})
        under_way += 1
        try:
            await anyio.sleep(10)
        finally:
            under_way -= 1
        return ok()

    async with client_of(handler) as client:  # type: ignore[arg-type]
        start = anyio.current_time()
        with pytest.raises(errors.NotFoundError, match="gone"):
            await client.metrics.mrr("2023-01-01", "2023-12-31", slices="interval")
        assert anyio.current_time() == start
    assert under_way == 0


async def test_a_bare_failure_keeps_its_cause_and_has_no_group_about_it() -> None:
    cause = KeyError("cause")

    async def fail() -> None:
        raise ValueError("failure") from cause

    with pytest.raises(ValueError, match="failure") as caught:
        async with bare_task_group() as outer:

            async def nested() -> None:
                async with bare_task_group() as inner:
                    inner.start_soon(fail)

            outer.start_soon(nested)
    assert caught.value.__cause__ is cause
    assert not isinstance(caught.value.__context__, BaseExceptionGroup)


async def test_a_group_that_the_user_raises_is_left_whole() -> None:
    mine = ExceptionGroup("mine", [ValueError(), KeyError()])
    with pytest.raises(ExceptionGroup) as caught:
        async with bare_task_group():
            raise mine
    assert (caught.value.message, caught.value.exceptions) == (mine.message, mine.exceptions)


async def test_ctrl_c_goes_before_a_failure() -> None:
    async def fail() -> None:
        raise ValueError

    with pytest.raises(KeyboardInterrupt):
        async with bare_task_group() as group:
            group.start_soon(fail)
            try:
                await anyio.sleep(1)
            finally:
                raise KeyboardInterrupt


# --- streams ----------------------------------------------------------------------------------------------------


def months(number: int) -> list[MetricQuery]:
    return [
        MetricQuery("mrr", date(2000 + n // 12, n % 12 + 1, 1), date(2000 + n // 12, n % 12 + 1, 28))
        for n in range(number)
    ]


async def test_a_stream_gives_every_outcome_failures_included() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404) if "-02-01" in request.url.params["start-date"] else ok()

    async with client_of(handler) as client, client.metrics.stream(months(60)) as outcomes:
        got = [outcome async for outcome in outcomes]
    assert {outcome.query for outcome in got} == set(months(60))
    failed = [outcome for outcome in got if outcome.error]
    assert [outcome.query.start_date.month for outcome in failed] == [2] * 5
    with pytest.raises(errors.NotFoundError):
        failed[0].result()
    assert isinstance(next(outcome for outcome in got if not outcome.error).result(), Series)


async def test_outcomes_come_in_the_order_of_completion() -> None:
    async def handler(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(13 - int(request.url.params["start-date"][5:7]))
        return ok()

    async with client_of(handler) as client, client.metrics.stream(months(12)) as outcomes:  # type: ignore[arg-type]
        order = [outcome.query.start_date.month async for outcome in outcomes]
    assert order == list(range(12, 0, -1))


async def test_a_stream_takes_queries_only_as_fast_as_outcomes_are_taken() -> None:
    taken = 0

    def endless() -> Iterator[MetricQuery]:
        nonlocal taken
        while True:
            taken += 1
            yield MetricQuery("mrr", "2023-07-01", "2023-07-31")

    async with client_of(in_turn(200)) as client:
        async with client.metrics.stream(endless()) as outcomes:
            received = 0
            async for _ in outcomes:
                received += 1
                await anyio.wait_all_tasks_blocked()
                assert taken <= received + 20
                if received == 100:
                    break
        assert await client.metrics.mrr("2023-07-01", "2023-07-31")


async def test_leaving_a_stream_cancels_what_is_under_way() -> None:
    throttle = Throttle()

    async def stall(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    async with client_of(stall, throttle=throttle) as client:  # type: ignore[arg-type]
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


async def test_what_the_iterable_raises_comes_out_bare() -> None:
    def broken() -> Iterator[MetricQuery]:
        yield from months(3)
        raise LookupError("no more")

    async with client_of(in_turn(200)) as client:
        with pytest.raises(LookupError, match="no more"):
            async with client.metrics.stream(broken()) as outcomes:
                async for _ in outcomes:
                    pass


async def test_what_is_no_query_in_a_stream_is_refused() -> None:
    wrong: Any = [MetricQuery("mrr", "2023-07-01", "2023-07-31"), "mrr"]
    async with client_of(in_turn(200)) as client:
        with pytest.raises(errors.UsageError, match="'mrr' is not a MetricQuery"):
            async with client.metrics.stream(wrong) as outcomes:
                async for _ in outcomes:
                    pass


@pytest.mark.parametrize("queries", [None, MetricQuery("mrr", "2023-01-01", "2023-01-31")])
async def test_a_stream_wants_an_iterable(queries: Any) -> None:
    async with client_of(in_turn(200)) as client:
        with pytest.raises(errors.UsageError, match="queries is"):
            client.metrics.stream(queries)


async def test_more_places_make_a_stream_wider() -> None:
    throttle = Throttle(per_second=1000, parallel=50)

    async def stall(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    async with client_of(stall, throttle=throttle) as client, client.metrics.stream(months(60)):  # type: ignore[arg-type]
        await anyio.wait_all_tasks_blocked()
        assert throttle.statistics().in_flight == 50


async def test_an_empty_stream_ends_at_once() -> None:
    async with client_of(in_turn(200)) as client, client.metrics.stream([]) as outcomes:
        assert [outcome async for outcome in outcomes] == []


# --- every method -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", get_args(MetricName))
async def test_every_method_answers_as_its_query_does(metric: MetricName) -> None:
    async with client_to(Sandbox(COMPANIES["monday"], limits=NO_LIMITS)) as client:
        method: Callable[..., Awaitable[Series[Any, Any]]] = getattr(client.metrics, metric)
        series = await method("2025-01-01", "2025-12-31", geo=["US"])
        assert series == await client.metrics.fetch(MetricQuery(metric, "2025-01-01", "2025-12-31", geo="US"))
        assert len(series) == 12
        assert re.fullmatch(metric.replace("_", "-"), series.query.path.removeprefix("/metrics/"))
    assert KEY not in repr(series)
