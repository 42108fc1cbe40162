"""What the type checkers know about the package. Checked by mypy and pyright, never run.

Each ``ignore`` stands where a checker must complain: a superfluous one is an error in its turn.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from typing import Any, assert_never, assert_type

from chartmogul_async import (
    Account,
    ARPAEntry,
    ARREntry,
    ASPEntry,
    AsyncClient,
    Attempt,
    ChartMogulError,
    ConcurrencyLowered,
    Customer,
    CustomerChurnRateEntry,
    CustomerCountEntry,
    Event,
    KeyMetricsEntry,
    KeyMetricsSummary,
    LTVEntry,
    MetricQuery,
    MRRChurnRateEntry,
    MRREntry,
    Outcome,
    Outcomes,
    Pacing,
    Pause,
    RetryPolicy,
    Series,
    SlicesDisagreed,
    Summary,
    Throttle,
    ThrottleStatistics,
    blocking,
    cfl,
    errors,
)


def comparisons_make_filters() -> None:
    mrr = cfl.where("mrr")
    assert_type(mrr > 50, cfl.Filter)
    assert_type(mrr <= 50.5, cfl.Filter)
    assert_type(mrr == 50, cfl.Filter)
    assert_type(cfl.where("currency") != "USD", cfl.Filter)
    assert_type((mrr > 50) & mrr.lt(90), cfl.Filter)
    _ = mrr.gt(50) & "mrr~LT~90"  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    _ = mrr.gt(50) | mrr.lt(90)  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
    _ = mrr > None  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]


async def customers_and_the_account(client: AsyncClient) -> None:
    customers = await client.customers.search("anna@example.com", with_associated_emails=True)
    assert_type(customers[0].lead_status, str | None)
    assert_type(customers[0].last_seen, datetime | None)
    account = await client.account(include=["refund_handling", "churn_recognition"])
    assert_type(account.refund_handling, bool | str | dict[str, Any] | None)


async def each_metric_has_its_own_entry(client: AsyncClient) -> None:
    metrics = client.metrics
    first, last = "2023-07-01", date(2023, 8, 31)
    assert_type(await metrics.mrr(first, last), Series[MRREntry, Summary])
    assert_type(await metrics.arr(first, last), Series[ARREntry, Summary])
    assert_type(await metrics.arpa(first, last), Series[ARPAEntry, Summary])
    assert_type(await metrics.asp(first, last), Series[ASPEntry, Summary])
    assert_type(await metrics.customer_count(first, last), Series[CustomerCountEntry, Summary])
    assert_type(await metrics.customer_churn_rate(first, last), Series[CustomerChurnRateEntry, Summary])
    assert_type(await metrics.mrr_churn_rate(first, last), Series[MRRChurnRateEntry, Summary])
    assert_type(await metrics.ltv(first, last), Series[LTVEntry, Summary])
    assert_type(await metrics.all(first, last), Series[KeyMetricsEntry, KeyMetricsSummary | None])


async def a_series_is_a_sequence_of_its_entries(client: AsyncClient) -> None:
    mrr = await client.metrics.mrr("2023-07-01", "2023-08-31")
    assert_type(mrr[0], MRREntry)
    assert_type(mrr[1:], tuple[MRREntry, ...])
    assert_type([entry.mrr for entry in mrr], list[int | float])
    assert_type(mrr.entries, tuple[MRREntry, ...])
    assert_type(mrr.query, MetricQuery)
    assert_type(len(mrr), int)
    sequence: Sequence[MRREntry] = mrr
    assert_type(sequence[0].date, date)


async def entries_and_summaries_have_typed_figures(client: AsyncClient) -> None:
    mrr = await client.metrics.mrr("2023-07-01", "2023-08-31")
    assert_type(mrr[0].date, date)
    assert_type(mrr[0].mrr, int | float)
    assert_type(mrr[0].percentage_change, float | None)
    assert_type(mrr[0].mrr_new_business, int | float | None)
    assert_type(mrr.summary.current, int | float)
    assert_type(mrr.summary.percentage_change, float)
    assert_type((await client.metrics.customer_count("2023-07-01", "2023-08-31"))[0].customers, int)
    assert_type((await client.metrics.mrr_churn_rate("2023-07-01", "2023-08-31"))[0].mrr_churn_rate, float)


async def the_summary_of_all_may_be_missing(client: AsyncClient) -> None:
    everything = await client.metrics.all("2023-07-01", "2023-08-31")
    assert_type(everything[0].ltv, int | float)
    everything.summary.current_mrr  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]  # noqa: B018
    if everything.summary is not None:
        assert_type(everything.summary.current_mrr, int | float)
        assert_type(everything.summary.current_customers, int)


async def arguments_come_in_many_forms(client: AsyncClient) -> None:
    built = cfl.where("region").any("US", "DE") & cfl.where("mrr").gt(150)
    assert_type(built, cfl.Filter)
    await client.metrics.mrr(
        datetime(2023, 7, 1),
        "2023-08-31",
        interval="week",
        geo={"US", "DE"},
        plans=(name for name in ["Gold"]),
        filters=built,
        slices="interval",
    )
    await client.metrics.mrr("2023-07-01", "2023-08-31", geo="US,DE", plans="Gold", filters="mrr~GT~0", slices=4)


async def queries_can_be_made_before(client: AsyncClient) -> None:
    query = MetricQuery("mrr", "2023-07-01", date(2023, 8, 31), interval="day", geo=["US"], filters=None)
    assert_type(query.start_date, date)
    assert_type(query.geo, tuple[str, ...] | None)
    assert_type(query.plans, tuple[str, ...] | None)
    assert_type(query.filters, str | None)
    assert_type(query.path, str)
    assert_type(query.params, dict[str, str])
    assert_type(await client.metrics.fetch(query, slices=2), Series[Any, Any])


async def a_stream_gives_outcomes(client: AsyncClient) -> None:
    queries = (MetricQuery("mrr", "2023-07-01", "2023-08-31", geo=[code]) for code in ["US", "DE"])
    stream = client.metrics.stream(queries)
    assert_type(stream, Outcomes)
    _: AbstractAsyncContextManager[AsyncIterator[Outcome]] = stream
    async with stream as outcomes:
        assert_type(outcomes, Outcomes)
        async for outcome in outcomes:
            assert_type(outcome, Outcome)
            assert_type(outcome.query, MetricQuery)
            assert_type(outcome.series, Series[Any, Any] | None)
            assert_type(outcome.error, ChartMogulError | errors.ArgumentError | None)
            assert_type(outcome.result(), Series[Any, Any])


async def all_outcomes_can_be_had_at_once(client: AsyncClient) -> None:
    queries = (MetricQuery("mrr", "2023-07-01", "2023-08-31", geo=[code]) for code in ["US", "DE"])
    outcomes = await client.metrics.fetch_all(queries)
    assert_type(outcomes, tuple[Outcome, ...])
    assert_type([outcome.query for outcome in outcomes], list[MetricQuery])


async def a_stream_is_neither_a_list_nor_awaited(client: AsyncClient) -> None:
    for _ in client.metrics.stream([]):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    await client.metrics.stream([])  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]


async def everything_else_of_the_client(client: AsyncClient) -> None:
    assert_type(await client.customers.search("anna@example.com"), tuple[Customer, ...])
    assert_type(await client.account(), Account)
    assert_type((await client.account()).week_start_on, str)
    assert_type(await client.ping(), str)
    assert_type(await client.get("/plans", {"per_page": 200, "created": date(2023, 7, 1)}), Any)
    async with client as entered:
        assert_type(entered, AsyncClient)


async def customers_have_typed_fields(client: AsyncClient) -> None:
    for customer in await client.customers.search("anna@example.com"):
        assert_type(customer.uuid, str | None)
        assert_type(customer.mrr, int | float | None)
        assert_type(customer.customer_since, datetime | None)
        assert_type(customer.external_ids, tuple[str, ...])


def a_client_is_made_in_many_ways() -> None:
    def on_event(event: Event) -> None:
        assert_type(str(event), str)
        match event:
            case Attempt():
                assert_type(event.status, int | None)
                assert_type(event.retry_in, float | None)
                assert_type(event.gave_up, bool)
            case Pause():
                assert_type(event.seconds, float)
            case Pacing():
                assert_type(event.requests, int)
            case ConcurrencyLowered():
                assert_type(event.max_in_flight, int)
            case SlicesDisagreed():
                assert_type(event.metric, str)
            case _:
                # The checkers know that these are all.
                assert_never(event)

    def on_attempt_only(attempt: Attempt) -> None: ...

    throttle = Throttle(per_second=10, parallel=5)
    assert_type(throttle.statistics(), ThrottleStatistics)
    AsyncClient()
    AsyncClient("key", timeout=10, retry=RetryPolicy(attempts=1), throttle=throttle, on_event=on_event)
    assert_type(AsyncClient().throttle, Throttle)
    AsyncClient("key", on_event=on_attempt_only)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncClient("key", on_attempt=on_event)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def errors_have_typed_fields(client: AsyncClient) -> None:
    try:
        await client.ping()
    except errors.RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except errors.DecodeError as error:
        assert_type(error.problems, tuple[str, ...])
    except errors.StatusError as error:
        assert_type(error.status, int | None)
        assert_type(error.details, tuple[errors.ErrorDetail, ...])
        error.retry_after  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # noqa: B018
    except ChartMogulError as error:
        assert_type(error.message, str)
        assert_type(error.param, str | None)
        assert_type(error.request_id, str | None)
        assert_type(error.attempts, int)
        assert_type(error.waited, float)
        assert_type(error.method, str | None)
        assert_type(error.url, str | None)
        assert_type(error.path, str | None)
        assert_type(error.is_transient, bool)
    except errors.ArgumentError as error:
        # A mistake of the program has none of these: it is outside of the tree.
        error.attempts  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # noqa: B018


async def wrong_calls_are_refused(client: AsyncClient) -> None:
    metrics = client.metrics
    await metrics.mrr("2023-07-01")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await metrics.mrr("2023-07-01", "2023-08-31", "month")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await metrics.mrr("2023-07-01", "2023-08-31", intervall="day")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await metrics.mrr("2023-07-01", None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await metrics.mrr("2023-07-01", "2023-08-31", geo=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await metrics.mrr("2023-07-01", "2023-08-31", plans=[7])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await metrics.mrr("2023-07-01", "2023-08-31", filters=["mrr~GT~0"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await metrics.mrr("2023-07-01", "2023-08-31", slices="many")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await metrics.fetch("mrr")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await metrics.gross_churn("2023-07-01", "2023-08-31")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    await client.customers.search(["anna@example.com"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncClient("key", "https://localhost")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncClient("key", retry=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cfl.where("mrr").gt(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cfl.where("mrr") & cfl.where("region")  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]


async def records_are_frozen_for_the_checkers_too(client: AsyncClient) -> None:
    mrr = await client.metrics.mrr("2023-07-01", "2023-08-31")
    mrr[0].mrr = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    mrr.summary = mrr.summary  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    mrr[0] = mrr[1]  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


def a_name_that_does_not_exist_is_noticed() -> None:
    import chartmogul_async

    chartmogul_async.AsnycClient  # type: ignore[attr-defined]  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def the_blocking_client_has_the_same_types(client: blocking.Client) -> None:
    first, last = "2023-07-01", date(2023, 8, 31)
    assert_type(client.metrics.mrr(first, last, interval="week", geo=["US"]), Series[MRREntry, Summary])
    assert_type(client.metrics.all(first, last), Series[KeyMetricsEntry, KeyMetricsSummary | None])
    assert_type(client.metrics.mrr(first, last)[0].mrr, int | float)
    assert_type(client.customers.search("anna@example.com"), tuple[Customer, ...])
    assert_type(client.account(), Account)
    assert_type(client.ping(), str)
    assert_type(client.throttle.statistics(), ThrottleStatistics)
    client.throttle.resize(parallel=10)
    client.metrics.mrr(first)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.metrics.mrr(first, last, "week")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.metrics.mrr(first, last, interval="weekly")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.throttle.resize(rate=10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def the_blocking_client_takes_the_arguments_of_the_async_one() -> None:
    assert_type(blocking.Client("key", timeout=5, throttle=Throttle()), blocking.Client)
    with blocking.Client() as client:
        assert_type(client, blocking.Client)
    blocking.Client(key="key")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    blocking.Client(timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def the_blocking_client_streams_by_a_plain_for(client: blocking.Client, queries: list[MetricQuery]) -> None:
    assert_type(client.metrics.fetch_all(queries), tuple[Outcome, ...])
    with client.metrics.stream(queries) as outcomes:
        for outcome in outcomes:
            assert_type(outcome, Outcome)
    client.metrics.stream(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
