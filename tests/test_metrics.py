"""``client.metrics``: nine methods that are nine queries. Against the sandbox, in process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, get_args

import pytest
import respx

from chartmogul_async import MetricQuery, Series, errors
from chartmogul_async.metrics.query import MetricName
from tests.clients import KEY, client_of
from tests.test_slices import client_to, sandbox_of


@pytest.mark.parametrize("metric", get_args(MetricName))
async def test_every_method_equals_its_query(metric: MetricName) -> None:
    async with client_to(sandbox_of()) as client:
        method: Callable[..., Awaitable[Series[Any, Any]]] = getattr(client.metrics, metric)
        plan = client_plan()
        series = await method(
            "2025-01-01", "2025-12-31", interval="quarter", geo=["US"], plans=[plan], filters="region~ANY~'US'"
        )
        query = MetricQuery(
            metric, "2025-01-01", "2025-12-31", interval="quarter", geo="US", plans=plan, filters="region~ANY~'US'"
        )
        assert series == await client.metrics.fetch(query)
    assert series.query == query
    assert len(series) == (12 if metric == "ltv" else 4)
    assert query.path == f"/metrics/{metric.replace('_', '-')}"
    assert KEY not in repr(series)


def client_plan() -> str:
    return sandbox_of().company.plans[0].uuid


@pytest.mark.parametrize("metric", get_args(MetricName))
async def test_every_method_takes_slices(metric: MetricName) -> None:
    sandbox = sandbox_of()
    async with client_to(sandbox) as client:
        method: Callable[..., Awaitable[Series[Any, Any]]] = getattr(client.metrics, metric)
        assert len(await method("2025-01-01", "2025-12-31", slices=3)) == 12
    assert sandbox.counters.requests == 3


async def test_only_a_query_can_be_fetched(api: respx.Router) -> None:
    async with client_of(api) as client:
        with pytest.raises(errors.ArgumentError) as caught:
            await client.metrics.fetch("mrr")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    expected = "query must be a MetricQuery, such as MetricQuery('mrr', start_date, end_date), not 'mrr'"
    assert str(caught.value) == expected
    assert not api.calls
