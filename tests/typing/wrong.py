"""What type checkers must find: an error in every line that ends in ``# wrong``, and in no other. Never run."""

from __future__ import annotations

from collections.abc import Sequence

from chartmogul_async import (
    ARREntry,
    AsyncClient,
    Attempt,
    ChartMogulError,
    MetricEntry,
    MetricName,
    MetricQuery,
    MRREntry,
    Outcome,
    Series,
    SeriesTable,
    Summary,
    analysis,
    cfl,
    errors,
    money,
    periods,
)
from chartmogul_async.files import write_csv


async def a_misspelt_name(client: AsyncClient, name: str, outcome: Outcome[MRREntry, Summary]) -> None:
    import chartmogul_async

    print(chartmogul_async.AsnycClient)  # wrong
    await client.metrics.gross_churn("2023-07-01", "2023-08-31")  # wrong
    print((await client.metrics.mrr("2023-07-01", "2023-08-31"))[0].nonsense)  # wrong
    query = MetricQuery("mrr", "2023-07-01", "2023-08-31")
    series = await client.metrics.fetch(query)
    print(series[0].nonsense)  # wrong
    print(series[0].arr)  # wrong
    print(series.summary.current_mrr)  # wrong
    print(outcome.result()[0].nonsense)  # wrong
    if outcome.error is None:
        print(outcome.series.entries[0].nonsense)  # wrong
    async with client.metrics.stream([query]) as outcomes:
        async for each in outcomes:
            print(each.result()[0].nonsense)  # wrong
    MetricQuery("mmr", "2023-07-01", "2023-08-31")  # wrong
    MetricQuery(name, "2023-07-01", "2023-08-31")  # wrong
    MetricQuery("mrr", "2023-07-01", "2023-08-31", intervall="day")  # wrong
    MetricQuery("mrr", "2023-07-01", "2023-08-31", interval="fortnight")  # wrong


def documents(series: Series[MRREntry, Summary], document: dict[str, object]) -> None:
    Series.from_dict(series)  # wrong
    MetricQuery.from_dict("{}")  # wrong
    print(Series.from_dict(document)[0].mrr)  # wrong
    entries: Sequence[MRREntry] = series  # wrong
    print(entries)


async def queries_of_several_metrics(client: AsyncClient, names: list[MetricName], anything: Series) -> None:
    queries = [MetricQuery("mrr", "2023-07-01", "2023-08-31"), MetricQuery("arr", "2023-07-01", "2023-08-31")]
    for outcome in await client.metrics.fetch_all(queries):
        entry = outcome.result()[0]
        print(entry.nonsense)  # wrong
        print(entry.mrr)  # wrong
    annotated: list[MetricQuery] = [*queries, MetricQuery("all", "2023-07-01", "2023-08-31")]
    print((await client.metrics.fetch(annotated[0]))[0].nonsense)  # wrong
    print((await client.metrics.fetch_all(annotated))[0].result()[0].nonsense)  # wrong
    for some in await client.metrics.fetch_all(MetricQuery(name, "2023-07-01", "2023-08-31") for name in names):
        print(some.result()[0].nonsense)  # wrong
        print(some.result().summary.current)  # wrong
    print(anything[0].mrr)  # wrong


def one_metric_is_not_another(
    series: Series[MRREntry, Summary], some: Series[MetricEntry, Summary], query: MetricQuery[MRREntry, Summary]
) -> None:
    other: Series[ARREntry, Summary] = series  # wrong
    narrower: Series[MRREntry, Summary] = some  # wrong
    another: MetricQuery[ARREntry, Summary] = query  # wrong
    print(other, narrower, another)


def an_outcome_may_be_a_failure(outcome: Outcome[MRREntry, Summary]) -> None:
    print(outcome.series.entries)  # wrong
    if outcome.error is not None:
        print(outcome.series.entries)  # wrong


def filters_are_joined_by_and() -> None:
    mrr = cfl.where("mrr")
    print(mrr.gt(50) & "mrr~LT~90")  # wrong
    print(mrr.gt(50) | mrr.lt(90))  # wrong
    print(mrr > None)  # wrong
    print(mrr & cfl.where("region"))  # wrong
    mrr.gt(None)  # wrong


async def the_summary_of_all_may_be_missing(client: AsyncClient) -> None:
    everything = await client.metrics.all("2023-07-01", "2023-08-31")
    print(everything.summary.current_mrr)  # wrong


async def a_stream_is_neither_a_list_nor_awaited(client: AsyncClient) -> None:
    for _ in client.metrics.stream([]):  # wrong
        pass
    await client.metrics.stream([])  # wrong


def an_event_may_be_any_of_them() -> None:
    def on_attempt_only(attempt: Attempt) -> None: ...

    AsyncClient("key", on_event=on_attempt_only)  # wrong
    AsyncClient("key", on_attempt=print)  # wrong


async def an_error_has_the_fields_of_its_class(client: AsyncClient) -> None:
    try:
        await client.ping()
    except errors.StatusError as error:
        print(error.retry_after)  # wrong
    except ChartMogulError as error:
        print(error.problems)  # wrong
    except errors.ArgumentError as error:
        print(error.attempts)  # wrong


async def calls_have_their_arguments(client: AsyncClient) -> None:
    metrics = client.metrics
    await metrics.mrr()  # wrong
    await metrics.mrr("2023-07-01", "2023-08-31", "month")  # wrong
    await metrics.mrr("2023-07-01", "2023-08-31", intervall="day")  # wrong
    await metrics.mrr("2023-07-01", 7)  # wrong
    await metrics.mrr("2023-07-01", "2023-08-31", geo=7)  # wrong
    await metrics.mrr("2023-07-01", "2023-08-31", plans=[7])  # wrong
    await metrics.mrr("2023-07-01", "2023-08-31", filters=["mrr~GT~0"])  # wrong
    await metrics.mrr("2023-07-01", "2023-08-31", slices="many")  # wrong
    await metrics.breakdown("mrr", "2023-07-01", "2023-08-31")  # wrong
    await metrics.breakdown("mrr", "2023-07-01", "2023-08-31", by="plans")  # wrong
    await metrics.breakdown("mmr", "2023-07-01", "2023-08-31", by="plan")  # wrong
    await metrics.breakdown("mrr", "2023-07-01", "2023-08-31", by="plan", on_error="ignore")  # wrong
    await metrics.retry_failed("mrr")  # wrong
    write_csv(metrics.mrr("2025"), "mrr.csv")  # wrong
    write_csv([await metrics.mrr("2025")], "mrr.csv")  # wrong
    SeriesTable([await metrics.mrr("2025")])  # wrong
    list(client.plans.list())  # wrong
    await metrics.fetch("mrr")  # wrong
    await metrics.fetch_all(["mrr"])  # wrong
    await client.customers.search(["anna@example.com"])  # wrong
    AsyncClient("key", "https://localhost")  # wrong
    AsyncClient("key", retry=3)  # wrong


async def records_are_frozen(client: AsyncClient, outcome: Outcome[MRREntry, Summary]) -> None:
    mrr = await client.metrics.mrr("2023-07-01", "2023-08-31")
    mrr[0].mrr = 5  # wrong
    mrr.summary = mrr.summary  # wrong
    mrr[0] = mrr[1]  # wrong
    outcome.error = None  # wrong


async def rates_are_of_the_right_entries(client: AsyncClient) -> None:
    arr, key_metrics = await client.metrics.arr("2024"), await client.metrics.all("2024")
    analysis.quick_ratio(arr)  # wrong
    analysis.net_mrr_retention(key_metrics)  # wrong
    analysis.customers_lost(arr, key_metrics)  # wrong
    analysis.is_partial(arr.entries, today="2024-03-15")  # wrong
    analysis.is_partial(arr)  # wrong
    periods.last(12, "months", today="2024-03-15")  # wrong
    periods.last(12, "month")  # wrong
    money.amount(arr[0], "arr")  # wrong
    print(arr[0.0])  # wrong
