"""What type checkers know about the package: four of them find nothing wrong here. Never run.

See ``wrong`` for what they must find.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, assert_never, assert_type

from chartmogul_async import (
    Account,
    Address,
    ARPAEntry,
    ARREntry,
    ASPEntry,
    AsyncClient,
    AsyncClients,
    Attempt,
    BetaActivity,
    BetaSubscription,
    Breakdown,
    ChartMogulError,
    ClientsStatistics,
    ConcurrencyLowered,
    Customer,
    CustomerAttributes,
    CustomerChurnRateEntry,
    CustomerCountEntry,
    Customers,
    Discrepancy,
    Event,
    Failure,
    Filter,
    KeyMetricsEntry,
    KeyMetricsSummary,
    LTVEntry,
    MetricEntry,
    MetricName,
    MetricQuery,
    Metrics,
    MRRChurnRateEntry,
    MRREntry,
    Outcome,
    Outcomes,
    Pacing,
    Page,
    Pages,
    Pause,
    PendingBreakdown,
    Plan,
    PlanGroup,
    RetryPolicy,
    Series,
    SeriesTable,
    SlicesDisagreed,
    Success,
    Summary,
    Throttle,
    ThrottleStatistics,
    WeekStart,
    analysis,
    cfl,
    errors,
    money,
    periods,
)
from chartmogul_async.files import write_arrow, write_csv, write_json_lines, write_parquet


def comparisons_make_filters() -> None:
    mrr = cfl.where("mrr")
    assert_type(mrr > 50, cfl.Filter)
    assert_type(mrr <= 50.5, cfl.Filter)
    assert_type(mrr == 50, cfl.Filter)
    assert_type(cfl.where("currency") != "USD", cfl.Filter)
    assert_type((mrr > 50) & mrr.lt(90), cfl.Filter)


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


async def each_breakdown_has_the_entries_of_its_metric(client: AsyncClient, names: list[MetricName]) -> None:
    metrics = client.metrics
    first, last = "2023-07-01", date(2023, 8, 31)
    mrr = await metrics.breakdown("mrr", first, last, by="plan", on_error="collect")
    assert_type(mrr, Breakdown[MRREntry, Summary])
    assert_type(mrr.total[-1].mrr_churn, int | float | None)
    assert_type(mrr.segments["Gold"], Series[MRREntry, Summary])
    assert_type(mrr.remainder, Series[MRREntry, Summary] | None)
    assert_type(mrr.failures["total"], Failure[MRREntry, Summary])
    assert_type(mrr.to_dicts(), list[dict[str, Any]])
    assert_type(mrr.discrepancies, tuple[Discrepancy, ...])
    assert_type(await metrics.retry_failed(mrr, on_progress=print), Breakdown[MRREntry, Summary])
    by = {"big": cfl.where("mrr") > 1000, "small": cfl.where("mrr") <= 1000}
    counts = await metrics.breakdown("customer-count", first, last, by=by, interval="week")
    assert_type(counts.total[0].customers, int)
    all_metrics = await metrics.breakdown("all", first, last, by="country", geo=["US"])
    assert_type(all_metrics, Breakdown[KeyMetricsEntry, KeyMetricsSummary | None])
    several = await metrics.breakdown(names, first, last, by="plan_group")
    assert_type(several["mrr"].query.metric, MetricName)
    async with metrics.breakdown("arr", first, last, by="plan", filters=cfl.where("mrr") > 5) as parts:
        assert_type(parts, PendingBreakdown[ARREntry, Summary])
        async for segment, outcome in parts:
            assert_type(segment, str)
            assert_type(outcome, Outcome[ARREntry, Summary])
            assert_type(parts.done, int)


async def tables_are_written_as_files(client: AsyncClient) -> None:
    mrr = await client.metrics.mrr("2025")
    key_metrics = await client.metrics.all("2025")
    several = SeriesTable({"Acme": mrr}, column="account")
    assert_type(several, SeriesTable[MRREntry, Summary])
    assert_type(several.series["Acme"], Series[MRREntry, Summary])
    assert_type(mrr.column_names, tuple[str, ...])
    write_csv(mrr, "mrr.csv")
    write_csv(several, BytesIO(), escape_formulas=False)
    write_json_lines(key_metrics, Path("all.jsonl"))
    write_parquet(await client.metrics.breakdown("mrr", "2025", by="plan"), "mrr.parquet", currency="USD")
    for metric, table in (await client.metrics.breakdown(["mrr", "arr"], "2025", by="plan")).items():
        write_arrow(table, f"{metric}.arrow")


async def lists_contain_their_items(client: AsyncClient) -> None:
    assert_type(client.plans.list(system="Stripe"), Pages[Plan])
    assert_type(await client.plan_groups.list(per_page=5), Page[PlanGroup])
    assert_type((await client.plan_groups.plans("plg_1"))[0], Plan)
    assert_type([customer.country async for customer in client.customers.list()], list[str | None])


async def a_series_contains_its_entries(client: AsyncClient) -> None:
    mrr = await client.metrics.mrr("2023-07-01", "2023-08-31")
    assert_type(mrr[0], MRREntry)
    assert_type(mrr[1:], tuple[MRREntry, ...])
    assert_type([entry.mrr for entry in mrr], list[int | float])
    assert_type(mrr.entries, tuple[MRREntry, ...])
    assert_type(mrr.query, MetricQuery[MRREntry, Summary])
    assert_type(len(mrr), int)
    assert_type(list(reversed(mrr)), list[MRREntry])
    assert_type(mrr[0] in mrr, bool)
    sequence: Sequence[MRREntry] = mrr.entries
    assert_type(sequence[0].date, date)


async def results_become_documents(client: AsyncClient, outcome: Outcome[MRREntry, Summary]) -> None:
    mrr = await client.metrics.mrr("2023-07-01", "2023-08-31")
    assert_type(mrr.to_dict(), dict[str, Any])
    assert_type(mrr.to_dicts(), list[dict[str, Any]])
    assert_type(mrr.format, Literal["chartmogul_async.Series/1"])
    assert_type(mrr.query.to_dict(), dict[str, Any])
    assert_type(mrr.query.key(), str)
    assert_type(outcome.to_dict(), dict[str, Any])


def documents_are_read_as_those_of_any_metric(document: dict[str, Any]) -> None:
    series = Series.from_dict(document)
    assert_type(series, Series[MetricEntry, Summary | KeyMetricsSummary | None])
    assert_type(MetricQuery.from_dict(document["query"]), MetricQuery[MetricEntry, Summary | KeyMetricsSummary | None])
    entry = series[0]
    if isinstance(entry, MRREntry):
        assert_type(entry.mrr, int | float)


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


async def a_query_knows_its_entry(client: AsyncClient) -> None:
    query = MetricQuery("mrr", "2023-07-01", date(2023, 8, 31), interval="day", geo=["US"], filters=None)
    assert_type(query, MetricQuery[MRREntry, Summary])
    assert_type(query.metric, MetricName)
    assert_type(query.start_date, date)
    assert_type(query.geo, tuple[str, ...] | None)
    assert_type(query.plans, tuple[str, ...] | None)
    assert_type(query.filters, str | None)
    assert_type(query.path, str)
    assert_type(query.params, dict[str, str])
    series = await client.metrics.fetch(query, slices=2)
    assert_type(series, Series[MRREntry, Summary])
    assert_type(series.query, MetricQuery[MRREntry, Summary])
    assert_type(series[0].mrr_churn, int | float | None)
    assert_type(series.summary.current, int | float)


def each_metric_has_its_own_query() -> None:
    first, last = "2023-07-01", date(2023, 8, 31)
    assert_type(MetricQuery("all", first, last), MetricQuery[KeyMetricsEntry, KeyMetricsSummary | None])
    assert_type(MetricQuery("mrr", first, last), MetricQuery[MRREntry, Summary])
    assert_type(MetricQuery("arr", first, last), MetricQuery[ARREntry, Summary])
    assert_type(MetricQuery("arpa", first, last), MetricQuery[ARPAEntry, Summary])
    assert_type(MetricQuery("asp", first, last), MetricQuery[ASPEntry, Summary])
    assert_type(MetricQuery("customer_count", first, last), MetricQuery[CustomerCountEntry, Summary])
    assert_type(MetricQuery("customer-count", first, last), MetricQuery[CustomerCountEntry, Summary])
    assert_type(MetricQuery("customer_churn_rate", first, last), MetricQuery[CustomerChurnRateEntry, Summary])
    assert_type(MetricQuery("customer-churn-rate", first, last), MetricQuery[CustomerChurnRateEntry, Summary])
    assert_type(MetricQuery("mrr_churn_rate", first, last), MetricQuery[MRRChurnRateEntry, Summary])
    assert_type(MetricQuery("mrr-churn-rate", first, last), MetricQuery[MRRChurnRateEntry, Summary])
    assert_type(MetricQuery("ltv", first, last), MetricQuery[LTVEntry, Summary])


async def a_stream_gives_outcomes(client: AsyncClient) -> None:
    queries = (MetricQuery("mrr", "2023-07-01", "2023-08-31", geo=[code]) for code in ["US", "DE"])
    stream = client.metrics.stream(queries)
    assert_type(stream, Outcomes[MRREntry, Summary])
    _: AbstractAsyncContextManager[AsyncIterator[Outcome[MRREntry, Summary]]] = stream
    async with stream as outcomes:
        assert_type(outcomes, Outcomes[MRREntry, Summary])
        async for outcome in outcomes:
            assert_type(outcome, Success[MRREntry, Summary] | Failure[MRREntry, Summary])
            assert_type(outcome.query, MetricQuery[MRREntry, Summary])
            assert_type(outcome.error, ChartMogulError | errors.ArgumentError | None)
            assert_type(outcome.result(), Series[MRREntry, Summary])


async def all_outcomes_can_be_had_at_once(client: AsyncClient) -> None:
    queries = [MetricQuery("ltv", "2023-07-01", "2023-08-31", geo=[code]) for code in ["US", "DE"]]
    outcomes = await client.metrics.fetch_all(queries)
    assert_type([outcome.query for outcome in outcomes], list[MetricQuery[LTVEntry, Summary]])
    assert_type(outcomes[0].result()[0].ltv, int | float)


def an_outcome_is_a_success_or_a_failure(outcome: Outcome[MRREntry, Summary]) -> None:
    if outcome.error is None:
        assert_type(outcome, Success[MRREntry, Summary])
        assert_type(outcome.series.entries[0].mrr, int | float)
    else:
        assert_type(outcome, Failure[MRREntry, Summary])
        assert_type(outcome.error, ChartMogulError | errors.ArgumentError)
    if outcome.series is not None:
        assert_type(outcome.series.summary, Summary)
    if outcome.error:
        raise outcome.error
    match outcome:
        case Success(query, series):
            assert_type(query, MetricQuery[MRREntry, Summary])
            assert_type(series[0].mrr, int | float)
        case Failure(_, error):
            assert_type(error, ChartMogulError | errors.ArgumentError)


async def queries_of_several_metrics(client: AsyncClient) -> None:
    """What the metrics have in common is known; the entries of one of them are found by ``isinstance``."""
    queries = [MetricQuery("mrr", "2023-07-01", "2023-08-31"), MetricQuery("arr", "2023-07-01", "2023-08-31")]
    for outcome in await client.metrics.fetch_all(queries):
        entry = outcome.result()[0]
        assert_type(entry.date, date)
        assert_type(outcome.result().summary.previous, int | float)
        if isinstance(entry, MRREntry):
            assert_type(entry.mrr, int | float)
    names: list[MetricName] = ["mrr", "all"]
    async with client.metrics.stream(MetricQuery(name, "2023-07-01", "2023-08-31") for name in names) as outcomes:
        async for each in outcomes:
            if each.error is None:
                assert_type(each.series[0].date, date)
    for name in ("mrr", "customer_count"):
        series: Series = await client.metrics.fetch(MetricQuery(name, "2023-07-01", "2023-08-31"))
        assert_type(series[0].date, date)


def bare_names_are_those_of_any_metric(
    series: Series, query: MetricQuery, outcome: Outcome, outcomes: Outcomes
) -> None:
    assert_type(series[0].date, date)
    assert_type(series.entries, tuple[MetricEntry, ...])
    assert_type(series.summary, Summary | KeyMetricsSummary | None)
    assert_type(query, MetricQuery[MetricEntry, Summary | KeyMetricsSummary | None])
    assert_type(outcome.query, MetricQuery[MetricEntry, Summary | KeyMetricsSummary | None])
    assert_type(outcomes, Outcomes[MetricEntry, Summary | KeyMetricsSummary | None])


def what_holds_one_metric_is_also_that_of_any(
    series: Series[MRREntry, Summary], query: MetricQuery[KeyMetricsEntry, KeyMetricsSummary | None]
) -> None:
    a_series: Series = series
    entries_of_any: Series[MetricEntry, Summary] = series
    summary_of_any: Series[MRREntry] = series
    a_query: MetricQuery = query
    several: list[Series] = [series, entries_of_any, summary_of_any]
    print(a_series, a_query, several)


async def each_of_many_accounts_has_a_client(clients: AsyncClients) -> None:
    client = clients.for_account("key").with_options(on_event=print)
    assert_type(client, AsyncClient)
    assert_type(await client.metrics.mrr("2023-07-01", "2023-08-31"), Series[MRREntry, Summary])
    statistics: ClientsStatistics = clients.statistics()
    print(statistics.in_flight)


class Report:
    """Everything that a user annotates can be imported from the top."""

    def __init__(self, metrics: Metrics, customers: Customers, only: Filter) -> None:
        self.metrics = metrics
        self.customers = customers
        self.only = only

    async def of(self, names: Sequence[MetricName]) -> dict[str, Series]:
        queries = [MetricQuery(name, "2023-07-01", "2023-08-31", filters=self.only) for name in names]
        return {outcome.query.metric: outcome.result() for outcome in await self.metrics.fetch_all(queries)}

    async def find(self, email: str) -> tuple[Address | None, CustomerAttributes | None]:
        (customer,) = await self.customers.search(email)
        subscriptions: tuple[BetaSubscription, ...] = customer.subscriptions
        activities: tuple[BetaActivity, ...] = customer.activities
        print(subscriptions, activities)
        return customer.address, customer.attributes


def make_report(client: AsyncClient) -> Report:
    return Report(client.metrics, client.customers, cfl.where("region").any("US"))


async def everything_else_of_the_client(client: AsyncClient) -> None:
    assert_type(await client.customers.search("anna@example.com"), tuple[Customer, ...])
    assert_type(await client.account(), Account)
    assert_type((await client.account()).week_start_on, WeekStart)
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

    throttle = Throttle(per_second=10, parallel=5)
    assert_type(throttle.statistics(), ThrottleStatistics)
    AsyncClient()
    AsyncClient("key", timeout=10, retry=RetryPolicy(attempts=1), throttle=throttle, on_event=on_event)
    assert_type(AsyncClient().throttle, Throttle)


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


async def periods_are_ranges(client: AsyncClient, account: Account) -> None:
    year = periods.last(12, "month", today=account.today())
    assert_type(year, periods.Period)
    assert_type(await client.metrics.mrr(year), Series[MRREntry, Summary])
    assert_type(await client.metrics.all("2024-Q1"), Series[KeyMetricsEntry, KeyMetricsSummary | None])
    assert_type(await client.metrics.arr("2024", periods.this("week", today="2024-03-15")), Series[ARREntry, Summary])
    assert_type(MetricQuery("mrr", year), MetricQuery[MRREntry, Summary])


async def rates_have_a_value_for_each_entry(client: AsyncClient) -> None:
    mrr, key_metrics = await client.metrics.mrr("2024"), await client.metrics.all("2024")
    assert_type(mrr["2024-01-31"], MRREntry)
    assert_type(mrr[date(2024, 1, 31)].mrr, int | float)
    assert_type(analysis.net_new_mrr(mrr), tuple[int | float, ...])
    assert_type(analysis.net_mrr_retention(mrr[1:]), tuple[float | None, ...])
    assert_type(analysis.quick_ratio(mrr, reactivation=True), tuple[float | None, ...])
    assert_type(analysis.growth_rate(key_metrics, "customers"), tuple[float | None, ...])
    counts, rates = await client.metrics.customer_count("2024"), await client.metrics.customer_churn_rate("2024")
    assert_type(analysis.customers_lost(counts, rates), tuple[int | None, ...])
    assert_type(analysis.customers_gained(key_metrics, key_metrics), tuple[int | None, ...])
    assert_type(analysis.is_partial(mrr, today=date(2024, 3, 15)), tuple[bool, ...])
    assert_type(analysis.restated(mrr[1:], before=mrr[0]), tuple[MRREntry, ...])
    assert_type(analysis.total(mrr, "mrr_churn"), int | float)
    assert_type(money.amount(mrr[0], "mrr", "USD"), Decimal | None)
