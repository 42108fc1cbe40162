"""What mypy and pyright know about the blocking client. Never run.

Each ``ignore`` stands where a checker must complain: a superfluous one is an error in its turn. ty and pyrefly do not
bind a callable that is made in the body of a class, so they know the names only.
"""

from __future__ import annotations

from datetime import date
from typing import assert_type

from chartmogul_async import (
    Account,
    Breakdown,
    Customer,
    KeyMetricsEntry,
    KeyMetricsSummary,
    MetricQuery,
    MRREntry,
    Outcome,
    Page,
    PlanGroup,
    Series,
    Summary,
    Throttle,
    ThrottleStatistics,
    blocking,
)


def the_blocking_client_has_the_same_types(client: blocking.Client) -> None:
    first, last = "2023-07-01", date(2023, 8, 31)
    assert_type(client.metrics.mrr(first, last, interval="week", geo=["US"]), Series[MRREntry, Summary])
    assert_type(client.metrics.all(first, last), Series[KeyMetricsEntry, KeyMetricsSummary | None])
    assert_type(client.metrics.mrr(first, last)[0].mrr, int | float)
    assert_type(client.customers.search("anna@example.com"), tuple[Customer, ...])
    assert_type([plan.name for plan in client.plans.list()], list[str | None])
    assert_type(client.plan_groups.list().first(), Page[PlanGroup])
    assert_type(client.metrics.breakdown("mrr", first, last, by="plan"), Breakdown[MRREntry, Summary])
    assert_type(client.metrics.breakdown(["mrr"], first, last, by="plan")["mrr"], Breakdown)
    assert_type(client.metrics.breakdown("mrr", "2024-Q1", by="plan"), Breakdown[MRREntry, Summary])
    assert_type(client.metrics.breakdown(["mrr"], "2024-Q1", by="plan")["mrr"], Breakdown)
    assert_type(client.account(), Account)
    assert_type(client.ping(), str)
    assert_type(client.throttle.statistics(), ThrottleStatistics)
    client.throttle.resize(parallel=10)
    client.metrics.mrr()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.metrics.mrr(first, last, "week")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.metrics.mrr(first, last, interval="weekly")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.throttle.resize(rate=10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def the_blocking_client_takes_the_arguments_of_the_async_one() -> None:
    assert_type(blocking.Client("key", timeout=5, throttle=Throttle()), blocking.Client)
    with blocking.Client() as client:
        assert_type(client, blocking.Client)
    blocking.Client(key="key")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    blocking.Client(timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def the_blocking_client_streams_by_a_plain_for(
    client: blocking.Client, queries: list[MetricQuery[MRREntry, Summary]]
) -> None:
    assert_type(client.metrics.fetch(queries[0]), Series[MRREntry, Summary])
    assert_type(client.metrics.fetch_all(queries), tuple[Outcome[MRREntry, Summary], ...])
    with client.metrics.stream(queries) as outcomes:
        for outcome in outcomes:
            assert_type(outcome, Outcome[MRREntry, Summary])
    client.metrics.stream(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
