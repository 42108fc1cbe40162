"""The official client from PyPI and ours send one sandbox the same queries, and every number is the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import attrs
import chartmogul as untyped
import pytest

from chartmogul_async import AsyncClient, MetricQuery
from chartmogul_async.metrics.query import METRICS, MetricName
from chartmogul_async.sandbox import Company, Limits, Sandbox

pytestmark = pytest.mark.sockets

# Its methods are made at run time, so no type checker sees them.
chartmogul: Any = untyped

START, END = "2022-11-15", "2024-10-31"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[tuple[Sandbox, str]]:
    sandbox = Sandbox(Company(customers=300, today=date(2024, 8, 17)), limits=Limits(per_second=None))
    with sandbox.serve() as url:
        yield sandbox, url


def numbers_of(record: Any, like: Any) -> dict[str, Any]:
    """The fields of an official record that ours has, by our names."""
    return {field.name: getattr(record, field.name) for field in attrs.fields(type(like))}


@pytest.mark.parametrize("metric", METRICS)
async def test_every_number_of_every_metric_is_the_same(sandbox: tuple[Sandbox, str], metric: MetricName) -> None:
    _, url = sandbox
    config = chartmogul.Config("sandbox")
    config.uri = url
    theirs = getattr(chartmogul.Metrics, metric)(config, start_date=START, end_date=END, interval="month").get()
    async with AsyncClient("sandbox", base_url=url) as client:
        ours = await client.metrics.fetch(MetricQuery(metric, START, END), slices=5)
    assert len(ours) == len(theirs.entries) == 24
    for our_entry, their_entry in zip(ours, theirs.entries, strict=True):
        assert attrs.asdict(our_entry) == numbers_of(their_entry, our_entry)
    assert ours.summary is not None
    assert attrs.asdict(ours.summary) == numbers_of(theirs.summary, ours.summary)


async def test_both_find_the_same_customer(sandbox: tuple[Sandbox, str]) -> None:
    served, url = sandbox
    email = served.company.customers[7].email
    config = chartmogul.Config("sandbox")
    config.uri = url
    (theirs,) = chartmogul.Customer.search(config, email=email).get().entries
    async with AsyncClient("sandbox", base_url=url) as client:
        (ours,) = await client.customers.search(email)
    for name in ("id", "uuid", "external_id", "name", "email", "status", "mrr", "arr", "currency", "customer_since"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.address is not None
    assert ours.address.country == theirs.address.country
