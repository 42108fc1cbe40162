"""A breakdown by a blocking client: one call, and another for what failed."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from chartmogul_async import MetricName
from chartmogul_async.blocking import Client
from chartmogul_async.errors import ArgumentError, NotFoundError
from chartmogul_async.sandbox import Company, Fault, Faults, Limits, Sandbox

YEAR = ("2023-01-01", "2023-08-17")


def sandbox(**options: Any) -> Sandbox:
    return Sandbox(Company(customers=20, today=date(2023, 8, 17)), limits=Limits(per_second=None), **options)


def test_a_breakdown_is_one_call() -> None:
    steps: list[tuple[int, int]] = []
    with Client("sandbox", transport=sandbox().transport()) as client:
        breakdown = client.metrics.breakdown(
            "mrr", *YEAR, by="plan", on_progress=lambda done, total: steps.append((done, total))
        )
        assert breakdown.total == client.metrics.mrr(*YEAR)
        names: tuple[MetricName, ...] = ("mrr", "arr")
        several = client.metrics.breakdown(iter(names), *YEAR, by="plan")
    assert several["mrr"] == breakdown
    assert steps == [(number, 6) for number in range(7)]


def test_what_failed_is_another_call() -> None:
    faults = Faults.sequence(Fault.status(404), where="geo=DE")
    with Client("sandbox", transport=sandbox(faults=faults).transport()) as client:
        first = client.metrics.breakdown("mrr", *YEAR, by="country", geo=["US", "DE"], on_error="collect")
        assert isinstance(first.failures["DE"].error, NotFoundError)
        assert client.metrics.retry_failed(first).failures == {}


def test_wrong_arguments_are_refused() -> None:
    wrong: Any = "plans"
    with (
        Client("sandbox", transport=sandbox().transport()) as client,
        pytest.raises(ArgumentError, match="by must be"),
    ):
        client.metrics.breakdown("mrr", *YEAR, by=wrong)
