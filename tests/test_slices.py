"""A range in slices equals the undivided range. Against the sandbox, in process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from functools import partial
from typing import Any, Literal

import anyio
import anyio.to_thread
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chartmogul_async import AsyncClient, Interval, MetricQuery, RetryPolicy, Throttle, errors
from chartmogul_async.events import Attempt, Event, SlicesDisagreed
from chartmogul_async.metrics.query import METRICS, MetricName
from chartmogul_async.sandbox import Company, Limits, Sandbox
from tests.clients import ACCOUNT, KEY, MRR, client_of, in_turn, ok

TODAY = date(2026, 6, 30)
NO_LIMITS = Limits(per_second=10**6, parallel=10**6)
COMPANIES: dict[str, Company] = {}
WEEK_STARTS: tuple[Literal["monday", "sunday"], ...] = ("monday", "sunday")
for week_start in WEEK_STARTS:
    COMPANIES[week_start] = Company(today=TODAY, customers=150, week_start_on=week_start)
TEN_YEARS = ("2016-07-01", "2026-06-30")
EMPTY = {**MRR, "entries": []}

Handle = Callable[[httpx.Request], Any]


class Intercepted(httpx.AsyncBaseTransport):
    """A sandbox's transport, with a function that gets each request first and may respond itself."""

    def __init__(self, sandbox: Sandbox, before: Handle) -> None:
        self._inner = sandbox.transport()
        self._before = before

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = self._before(request)
        return response if isinstance(response, httpx.Response) else await self._inner.handle_async_request(request)


@asynccontextmanager
async def client_to(sandbox: Sandbox, before: Handle = id, **options: Any) -> AsyncIterator[AsyncClient]:
    """A client of a sandbox in process, by default with a throttle that admits any rate."""
    options.setdefault("throttle", Throttle(per_second=10**6))
    async with AsyncClient(sandbox.api_key, transport=Intercepted(sandbox, before), **options) as client:
        yield client


def sandbox_of(week: str = "monday", **options: Any) -> Sandbox:
    return Sandbox(COMPANIES[week], limits=NO_LIMITS, **options)


def described(request: httpx.Request) -> str:
    """The range that a request is for, or else its path."""
    params = request.url.params
    return f"{params['start-date']}..{params['end-date']}" if "start-date" in params else request.url.path


# --- equality with the undivided request ------------------------------------------------------------------------

RANGES = st.tuples(st.dates(date(2019, 11, 1), date(2026, 12, 31)), st.integers(0, 800)).map(
    lambda given: (given[0], given[0] + timedelta(days=given[1]))
)


@pytest.mark.no_cover
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metric=st.sampled_from(METRICS),
    dates=RANGES,
    interval=st.sampled_from(["day", "week", "month", "quarter", "year"]),
    slices=st.sampled_from([2, 3, 7, 20, "interval"]),
    week=st.sampled_from(WEEK_STARTS),
    plans=st.sampled_from([None, ["Basic"]]),
)
async def test_slices_equal_the_undivided_request(
    metric: MetricName, dates: tuple[date, date], interval: Interval, slices: Any, week: str, plans: Any
) -> None:
    if metric == "asp" and interval in ("day", "week"):
        interval = "month"
    if plans:
        plans = [COMPANIES[week].plans[0].external_id]
    query = MetricQuery(metric, *dates, interval=interval, plans=plans)
    events: list[Event] = []
    async with client_to(sandbox_of(week), on_event=events.append) as client:
        undivided = await client.metrics.fetch(query, slices=1)
        assert await client.metrics.fetch(query, slices=slices) == undivided
    assert len(undivided) >= 1
    assert not [event for event in events if isinstance(event, SlicesDisagreed)]


async def test_the_summary_is_that_of_every_slice() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        end = request.url.params["end-date"]
        days = [day for day in ("2023-07-31", "2023-08-31") if day <= end]
        body = {
            "entries": [{"date": day, "mrr": 1} for day in days],
            "summary": {"current": 8, "previous": 0, "percentage-change": 0},
        }
        return httpx.Response(200, json=body)

    async with client_of(handler) as client:
        series = await client.metrics.mrr("2023-07-01", "2023-08-31", slices=2)
    assert series.query == MetricQuery("mrr", "2023-07-01", "2023-08-31")
    assert series.summary.current == 8
    assert [entry.date for entry in series] == [date(2023, 7, 31), date(2023, 8, 31)]


async def test_a_slice_keeps_the_other_parameters() -> None:
    asked: list[dict[str, str]] = []
    async with client_to(sandbox_of(), lambda request: asked.append(dict(request.url.params))) as client:
        await client.metrics.mrr("2025-01-01", "2025-12-31", interval="quarter", geo="DE,US", slices=2)
    ranges = [("2025-01-01", "2025-06-30"), ("2025-04-01", "2025-12-31")]
    assert asked == [
        {"start-date": start, "end-date": end, "interval": "quarter", "geo": "DE,US"} for start, end in ranges
    ]


# --- slices that disagree ---------------------------------------------------------------------------------------


async def test_a_change_between_two_slices_is_noticed() -> None:
    """The second slice sees new business that was booked for long ago; the first was fetched before."""
    company = Company(today=TODAY, customers=150)
    requests = 0

    def book(_: httpx.Request) -> None:
        nonlocal requests
        requests += 1
        if requests == 2:
            company.add_customer(on=date(2021, 3, 3), plan=company.plans[0].uuid, mrr=123400)

    events: list[Event] = []
    sandbox, throttle = Sandbox(company, limits=NO_LIMITS), Throttle(parallel=1)
    async with client_to(sandbox, book, throttle=throttle, on_event=events.append) as client:
        before = await client.metrics.mrr("2024-01-01", "2024-12-31", slices=1)
        requests = 0
        after = await client.metrics.mrr("2024-01-01", "2024-12-31", slices=3)
        # Three that disagreed, and the whole range.
        assert requests == 4
        assert after == await client.metrics.mrr("2024-01-01", "2024-12-31", slices=1)
    assert [new.mrr - old.mrr for new, old in zip(after, before, strict=True)] == [123400] * 12
    assert disagreements(events) == [SlicesDisagreed("mrr", 3)]


def disagreements(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Attempt)]


async def test_a_change_of_the_last_slice_comes_with_its_summary() -> None:
    """The summaries differ, and so the last slice is asked for again; by then its entry has changed, too."""
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(described(request))
        months = [day for day in ("2023-07-31", "2023-08-31") if day <= request.url.params["end-date"]]
        months = months if request.url.params["start-date"] <= "2023-07-31" else months[1:]
        entries = [{"date": day, "mrr": 2 if day == "2023-08-31" and len(asked) >= 3 else 1} for day in months]
        summary = {"current": len(asked), "previous": 0, "percentage-change": 0}
        return httpx.Response(200, json={"entries": entries, "summary": summary})

    events: list[Event] = []
    async with client_of(handler, throttle=Throttle(parallel=1), on_event=events.append) as client:
        series = await client.metrics.mrr("2023-07-01", "2023-08-31", slices=2)
    whole = "2023-07-01..2023-08-31"
    assert asked == ["2023-07-01..2023-07-31", whole, whole, whole]
    assert ([entry.mrr for entry in series], series.summary.current) == ([1, 2], 4)
    assert disagreements(events) == [SlicesDisagreed("mrr", 2)]


async def test_an_account_that_keeps_changing_is_fetched_undivided() -> None:
    company = Company(today=TODAY, customers=150)
    asked: list[str] = []
    events: list[Event] = []

    def book(request: httpx.Request) -> None:
        asked.append(described(request))
        company.add_customer(on=date(2021, 3, 3), plan=company.plans[0].uuid, mrr=100)

    sandbox, throttle = Sandbox(company, limits=NO_LIMITS), Throttle(parallel=1)
    async with client_to(sandbox, book, throttle=throttle, on_event=events.append) as client:
        series = await client.metrics.mrr("2024-01-01", "2024-12-31", slices=2)
    halves = ["2024-01-01..2024-06-30", "2024-06-01..2024-12-31"]
    assert asked == [*halves, "2024-01-01..2024-12-31"]
    assert len(series) == 12
    assert disagreements(events) == [SlicesDisagreed("mrr", 2)]


@pytest.mark.parametrize("without_entries", ["2023-07-31", "2023-09-30"])
async def test_an_empty_slice_beside_an_overlap_disagrees(without_entries: str) -> None:
    requests = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal requests
        requests += 1
        return httpx.Response(200, json=EMPTY) if without_entries == request.url.params["end-date"] else ok()

    async with client_of(handler) as client:
        series = await client.metrics.mrr("2023-07-01", "2023-09-30", slices=2)
    assert requests == 3
    assert len(series) == (without_entries == "2023-07-31")


async def test_every_pair_of_neighbours_must_agree() -> None:
    requests = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal requests
        requests += 1
        months = [f"2023-{month:02}" for month in range(1, 5)]
        asked = [month for month in months if request.url.params["start-date"] <= f"{month}-28"]
        asked = [month for month in asked if f"{month}-01" <= request.url.params["end-date"]]
        # The entry of March is smaller when the range begins with it, as it does in the last of four slices.
        entries = [{"date": f"{month}-28", "mrr": 1 if month == asked[0] == "2023-03" else 2} for month in asked]
        return httpx.Response(200, json={**MRR, "entries": entries})

    async with client_of(handler) as client:
        series = await client.metrics.mrr("2023-01-01", "2023-04-30", slices=4)
    assert requests == 4 + 1
    assert [entry.mrr for entry in series] == [2, 2, 2, 2]


class Differing:
    """A server whose MRR depends on the range; it counts its requests."""

    def __init__(self) -> None:
        self.requests = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if request.url.path.endswith("/account"):
            return httpx.Response(200, json=ACCOUNT)
        metric = request.url.path.removeprefix("/v1/metrics/")
        entry = {"date": "2023-07-31", metric: int(request.url.params["end-date"].replace("-", ""))}
        return httpx.Response(200, json={**MRR, "entries": [entry]})

    async def requests_of(
        self, client: AsyncClient, metric: MetricName = "mrr", slices: int | None = None, **options: Any
    ) -> int:
        """Fetch ten years, and count the requests."""
        before = self.requests
        query = MetricQuery(metric, "2013-07-01", "2023-08-31", **{"interval": "day", **options})
        await client.metrics.fetch(query, slices=slices)
        return self.requests - before


async def test_similar_ranges_that_disagreed_stay_undivided() -> None:
    """Other metrics, intervals, plans, countries and filters are sliced."""
    server = Differing()
    async with client_of(server, throttle=Throttle(per_second=1000)) as client:
        assert await server.requests_of(client) == 20 + 1
        assert await server.requests_of(client) == 1
        assert await server.requests_of(client, "arr") == 20 + 1
        # The account first.
        assert await server.requests_of(client, interval="week") == 1 + 5 + 1
        others: list[dict[str, Any]] = [{"geo": "US"}, {"plans": "Basic"}, {"filters": "region~ANY~'US'"}]
        for selection in others:
            assert await server.requests_of(client, **selection) == 20 + 1
            assert await server.requests_of(client, **selection) == 1
        # An explicit number of slices is still honoured.
        assert await server.requests_of(client, slices=2) == 2 + 1


async def test_what_disagreed_is_sliced_again_after_ten_minutes() -> None:
    server = Differing()
    async with client_of(server, throttle=Throttle(per_second=1000)) as client:
        assert await server.requests_of(client) == 20 + 1
        await anyio.sleep(599)
        assert await server.requests_of(client) == 1
        assert await server.requests_of(client, geo="US") == 20 + 1
        await anyio.sleep(2)
        assert await server.requests_of(client) == 20 + 1
        # Each is forgotten in its own time.
        assert await server.requests_of(client, geo="US") == 1


# --- how many slices --------------------------------------------------------------------------------------------


async def ranges_asked(
    start: str,
    end: str,
    week: str = "monday",
    *,
    metric: MetricName = "mrr",
    interval: Interval = "month",
    slices: Any = None,
    throttle: Throttle | None = None,
) -> list[str]:
    asked: list[str] = []
    throttle = throttle or Throttle()
    async with client_to(sandbox_of(week), lambda request: asked.append(described(request)), throttle=throttle) as it:
        await it.metrics.fetch(MetricQuery(metric, start, end, interval=interval), slices=slices)
    return sorted(asked)


async def test_short_ranges_are_one_request() -> None:
    assert await ranges_asked("2024-01-01", "2024-02-29", interval="day") == ["2024-01-01..2024-02-29"]
    # Enough days, but few entries.
    assert len(await ranges_asked("2021-01-01", "2024-12-31")) == 1


@pytest.mark.parametrize(
    ("metric", "days", "parallel", "expected"),
    [
        ("mrr", 1, 20, 1),
        ("mrr", 199, 20, 1),
        ("mrr", 200, 20, 2),
        ("mrr", 299, 20, 2),
        ("mrr", 731, 20, 7),
        ("mrr", 3650, 20, 20),
        ("mrr", 3650, 5, 5),
        ("mrr", 3650, 1, 1),
        # Cut at the ends of months, they need some more.
        ("all", 261, 20, 1),
        ("all", 262, 20, 2),
        ("all", 731, 20, 5),
        ("all", 3650, 20, 20),
    ],
)
async def test_a_slice_has_at_least_100_entries(metric: MetricName, days: int, parallel: int, expected: int) -> None:
    start = date(2026, 6, 30) - timedelta(days=days - 1)
    throttle = Throttle(parallel=parallel)
    asked = await ranges_asked(str(start), "2026-06-30", metric=metric, interval="day", throttle=throttle)
    assert len(asked) == expected


async def test_a_paused_throttle_means_one_request() -> None:
    throttle = Throttle()
    async with client_to(sandbox_of(), throttle=throttle) as client:
        await client.ping()
        throttle._release(await throttle._acquire(), 429, retry_after=10.0)
        start = anyio.current_time()
        await client.metrics.mrr(*TEN_YEARS, interval="day")
        assert anyio.current_time() >= start + 10
        # The two before, and one.
        assert throttle.statistics().admitted == 3


async def test_each_interval_can_be_a_request_of_its_own() -> None:
    assert await ranges_asked("2024-01-15", "2024-03-10", slices="interval") == [
        "2024-01-15..2024-01-31",
        "2024-01-15..2024-02-29",
        "2024-02-01..2024-03-10",
    ]


async def test_more_slices_than_intervals_are_one_for_each() -> None:
    assert len(await ranges_asked("2024-01-15", "2024-03-10", slices=50)) == 3
    assert await ranges_asked("2024-01-15", "2024-01-20", slices=50) == ["2024-01-15..2024-01-20"]


@pytest.mark.parametrize("slices", [0, -1, True, 1.5, "month", "2"])
async def test_invalid_slices_are_refused(slices: Any) -> None:
    async with client_of(in_turn(ValueError("something was sent"))) as client:
        with pytest.raises(errors.ArgumentError) as caught:
            await client.metrics.mrr("2023-01-01", "2024-12-31", slices=slices)
    assert str(caught.value) == f'slices must be a positive integer, None or "interval", not {slices!r}'


# --- slots ------------------------------------------------------------------------------------------------------


async def test_concurrent_ranges_share_the_slots() -> None:
    sandbox = sandbox_of(latency=0.05)
    async with client_to(sandbox, throttle=Throttle()) as client, anyio.create_task_group() as group:
        for geo in ("US", "DE", "FR", "GB", "IT"):
            group.start_soon(partial(client.metrics.mrr, "2024-07-01", "2026-06-30", interval="day", geo=geo))
    assert sandbox.counters.requests == 7 + 7 + 6 + 1 + 1


async def test_slots_of_undivided_ranges_are_not_planned_again() -> None:
    """Ten ranges are in flight, and ten slices of an eleventh have not started yet when the twelfth is planned."""
    sandbox = sandbox_of(latency=1.0)
    async with client_to(sandbox, throttle=Throttle(per_second=1000)) as client, anyio.create_task_group() as group:
        for plan in range(10):
            group.start_soon(partial(client.metrics.mrr, "2025-01-01", "2025-12-31", plans=str(plan)))
        await anyio.wait_all_tasks_blocked()
        for metric in ("mrr", "arr"):
            group.start_soon(client.metrics.fetch, MetricQuery(metric, *TEN_YEARS, interval="day"))
    assert sandbox.counters.requests == 10 + 10 + 1


@pytest.mark.parametrize("slices", [1, 5])
async def test_a_call_that_failed_or_was_cancelled_plans_nothing(slices: int) -> None:
    sandbox = sandbox_of()
    responses = [httpx.Response(403)]
    async with client_to(sandbox, lambda _: responses.pop() if responses else None, throttle=Throttle(1000)) as client:
        with pytest.raises(errors.ForbiddenError):
            await client.metrics.mrr("2025-01-01", "2025-12-31", slices=slices)
        sandbox.latency = 10
        with anyio.move_on_after(1):
            await client.metrics.mrr("2025-01-01", "2025-12-31", slices=slices)
        sandbox.latency = 0
        before = sandbox.counters.requests
        async with anyio.create_task_group() as group:
            for metric in ("mrr", "arr"):
                group.start_soon(client.metrics.fetch, MetricQuery(metric, *TEN_YEARS, interval="day"))
    # All slots for the first, and none that could start immediately for the second.
    assert sandbox.counters.requests == before + 20 + 1


async def test_a_range_is_planned_until_the_last_of_its_calls_ends() -> None:
    query = MetricQuery("mrr", "2025-01-01", "2025-12-31")
    async with client_to(sandbox_of(latency=1.0)) as client:
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as first:
                    first.start_soon(partial(client.metrics.fetch, query, slices=5))
                    group.start_soon(partial(client.metrics.fetch, query, slices=5))
                    await anyio.sleep(0.5)
                    scope.cancel()
            # The other one is under way, and asks again for what was in flight.
            assert client._memory.planned == 5
        assert client._memory.planned == 0


async def test_concurrent_weekly_ranges_share_the_slots() -> None:
    """They all wait for the first day of the week, and are planned one after the other."""
    throttle, most = Throttle(), 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, throttle.statistics().waiting)
            await anyio.sleep(0.1)

    sandbox = sandbox_of(latency=1.0)
    async with client_to(sandbox, throttle=throttle) as client, anyio.create_task_group() as group:
        group.start_soon(watch)
        async with anyio.create_task_group() as calls:
            for _ in range(10):
                calls.start_soon(partial(client.metrics.mrr, "2010-01-01", "2024-12-31", interval="week"))
        group.cancel_scope.cancel()
    assert most <= 10


async def test_slices_never_take_more_slots_than_there_are() -> None:
    sandbox = sandbox_of(latency=1.0)
    throttle, most = Throttle(per_second=1000, parallel=3), 0

    def watch(_: httpx.Request) -> None:
        nonlocal most
        most = max(most, throttle.statistics().waiting)

    async with client_to(sandbox, watch, throttle=throttle) as client:
        await client.metrics.mrr("2024-01-01", "2024-12-31", slices=12)
    assert sandbox.counters.requests == 12
    # A slice that cannot start yet is not even in the queue.
    assert most == 0


# --- weeks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("week", "asked"),
    [
        ("monday", ["/v1/account", "2024-01-01..2024-01-07", "2024-01-01..2024-01-14"]),
        ("sunday", ["/v1/account", "2024-01-01..2024-01-06", "2024-01-01..2024-01-13", "2024-01-07..2024-01-14"]),
    ],
)
async def test_weeks_are_cut_where_the_accounts_weeks_begin(week: str, asked: list[str]) -> None:
    assert await ranges_asked("2024-01-01", "2024-01-14", week, interval="week", slices="interval") == sorted(asked)


async def test_monthly_figures_of_weeks_are_cut_with_their_months() -> None:
    """Between Sunday, March 17 and Monday, March 18: one asks for March as a whole, the other for 31 days before."""
    assert await ranges_asked("2024-01-01", "2024-06-02", metric="customer_churn_rate", interval="week", slices=2) == [
        "/v1/account",
        "2024-01-01..2024-03-31",
        "2024-02-16..2024-06-02",
    ]


async def test_an_undivided_range_of_weeks_needs_no_account() -> None:
    assert await ranges_asked("2024-01-01", "2024-01-14", interval="week", slices=1) == ["2024-01-01..2024-01-14"]
    assert await ranges_asked("2021-01-01", "2024-01-14", interval="week") == ["2021-01-01..2024-01-14"]


async def test_the_account_is_fetched_once_for_its_weeks() -> None:
    asked: list[str] = []
    sandbox = sandbox_of("sunday", latency=1.0)
    async with client_to(sandbox, lambda request: asked.append(described(request))) as client:
        query = MetricQuery("mrr", "2024-01-01", "2024-03-31", interval="week")
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(partial(client.metrics.fetch, query, slices=2))
        await client.metrics.fetch(query, slices=2)
    assert asked.count("/v1/account") == 1


async def test_without_access_to_the_account_weeks_are_undivided() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403) if request.url.path.endswith("/account") else ok()

    async with client_of(handler) as client:
        assert len(await client.metrics.mrr("2015-01-01", "2024-12-31", interval="week")) == 1
        with pytest.raises(errors.ForbiddenError):
            await client.metrics.mrr("2015-01-01", "2024-12-31", interval="week", slices=2)


@pytest.mark.parametrize("account", [httpx.Response(403), httpx.Response(200, json={})])
async def test_a_lookup_that_cannot_succeed_is_not_repeated(account: httpx.Response) -> None:
    asked: list[str] = []

    def before(request: httpx.Request) -> httpx.Response | None:
        asked.append(request.url.path.removeprefix("/v1"))
        return httpx.Response(account.status_code, content=account.content) if asked[-1] == "/account" else None

    async with client_to(sandbox_of(), before) as client:
        for metric in ("mrr", "arr", "mrr"):
            await client.metrics.fetch(MetricQuery(metric, "2015-01-01", "2024-12-31", interval="week"))
        assert asked == ["/account", "/metrics/mrr", "/metrics/arr", "/metrics/mrr"]
        # Only weeks are concerned.
        await client.metrics.mrr(*TEN_YEARS, interval="day")
    assert len(asked) == 4 + 20


@pytest.mark.parametrize("failure", [500, 429, httpx.ReadError("reset")])
async def test_a_lookup_that_may_succeed_later_is_repeated(failure: int | Exception) -> None:
    asked: list[str] = []
    first = in_turn(failure, httpx.Response(200, json=ACCOUNT))

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return first(request) if request.url.path.endswith("/account") else ok()

    async with client_of(handler, retry=RetryPolicy(attempts=1)) as client:
        for _ in range(2):
            await client.metrics.mrr("2015-01-01", "2024-12-31", interval="week")
            await anyio.sleep(100)
    assert asked.count("/v1/account") == 2
    # Undivided at first, then in as many slices as hundreds of weeks.
    assert asked.index("/v1/account", 1) == 2
    assert len(asked) > 4


async def test_an_unknown_first_day_of_the_week_is_reported() -> None:
    account = httpx.Response(200, json={**ACCOUNT, "week_start_on": "friday"})
    async with client_of(in_turn(account)) as client:
        with pytest.raises(errors.DecodeError) as caught:
            await client.metrics.mrr("2023-01-01", "2024-12-31", interval="week", slices=2)
    error = caught.value
    assert error.message == "$.week_start_on: expected monday or sunday, got another str"
    assert error.problems == (error.message,)
    assert str(error) == f"GET https://api.chartmogul.com/v1/account: {error.message}"


async def test_a_cancelled_lookup_leaves_the_lock_free() -> None:
    sandbox = sandbox_of(latency=10.0)
    query = MetricQuery("mrr", "2024-01-01", "2024-03-31", interval="week")
    async with client_to(sandbox) as client:
        with anyio.move_on_after(1):
            await client.metrics.fetch(query, slices=2)
        sandbox.latency = 0.0
        with anyio.fail_after(1):
            assert len(await client.metrics.fetch(query, slices=2)) == 13


# --- failures ---------------------------------------------------------------------------------------------------


async def test_the_first_failure_is_raised_bare_and_cancels_the_rest() -> None:
    in_progress = 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal in_progress
        if request.url.params["start-date"] == "2023-03-01":
            return httpx.Response(403, json={"message": "gone"})
        in_progress += 1
        try:
            await anyio.sleep(10)
        finally:
            in_progress -= 1
        return ok()

    async with AsyncClient(KEY, transport=httpx.MockTransport(handler)) as client:
        start = anyio.current_time()
        with pytest.raises(errors.ForbiddenError, match="gone"):
            await client.metrics.mrr("2023-01-01", "2023-12-31", slices="interval")
        assert anyio.current_time() == start
    assert in_progress == 0


@pytest.mark.parametrize("status", [400, 404, 422, 499])
async def test_a_slice_that_is_refused_may_be_about_its_days(status: int) -> None:
    """Such as those before the account's first one; the range as a whole is asked for."""
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(described(request))
        return ok() if asked[-1] == "2023-01-01..2023-12-31" else httpx.Response(status)

    async with client_of(handler, throttle=Throttle(parallel=1)) as client:
        assert len(await client.metrics.mrr("2023-01-01", "2023-12-31", slices=2)) == 1
    assert asked == ["2023-01-01..2023-06-30", "2023-01-01..2023-12-31"]


async def test_a_range_of_one_slice_that_is_refused_is_not_repeated() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(described(request))
        return httpx.Response(422)

    async with client_of(handler) as client:
        with pytest.raises(errors.ValidationError):
            await client.metrics.mrr("2024-01-15", "2024-01-20", slices=50)
    assert asked == ["2024-01-15..2024-01-20"]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502])
async def test_an_error_that_is_not_about_the_days_is_raised(status: int) -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(described(request))
        return httpx.Response(status)

    throttle, once = Throttle(parallel=1), RetryPolicy(attempts=1)
    async with client_of(handler, throttle=throttle, retry=once) as client:
        with pytest.raises(errors.StatusError) as caught:
            await client.metrics.mrr("2023-01-01", "2023-12-31", slices=2)
    assert (caught.value.status, asked) == (status, ["2023-01-01..2023-06-30"])


async def test_an_error_of_on_event_is_raised_by_the_call() -> None:
    def refuse(event: Event) -> None:
        if event == SlicesDisagreed("mrr", 2):
            raise LookupError("a mistake of the user")

    async with client_of(Differing(), on_event=refuse) as client:
        with pytest.raises(LookupError, match="a mistake of the user"):
            await client.metrics.mrr("2023-07-01", "2023-08-31", slices=2)


@pytest.mark.parametrize("other", ["asyncio", "trio"])
async def test_a_second_event_loop_is_reported_before_any_lock(other: str) -> None:
    """A lock belongs to the event loop that it was made in."""
    query = MetricQuery("mrr", "2024-01-01", "2024-03-31", interval="week")

    async def elsewhere(client: AsyncClient) -> str:
        with pytest.raises(errors.StateError) as caught:
            await client.metrics.fetch(query, slices=2)
        return str(caught.value)

    async with client_to(sandbox_of()) as client:
        await client.metrics.fetch(query, slices=2)
        message = await anyio.to_thread.run_sync(lambda: anyio.run(elsewhere, client, backend=other))
    assert message.startswith("this client is in use in another event loop")


@pytest.mark.parametrize("interval", ["day", "week"])
@pytest.mark.parametrize("slices", [None, 2])
async def test_a_closed_client_is_reported_bare(interval: Interval, slices: int | None) -> None:
    client = AsyncClient("key")
    await client.aclose()
    with pytest.raises(errors.StateError, match="this client is closed"):
        await client.metrics.mrr("2015-01-01", "2024-12-31", interval=interval, slices=slices)
