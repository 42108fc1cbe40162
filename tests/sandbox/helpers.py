"""Requests and companies that the tests of the sandbox share."""

from __future__ import annotations

import json
from datetime import date
from functools import lru_cache
from typing import Any

import httpx

from chartmogul_async.sandbox import Company, Sandbox
from chartmogul_async.sandbox.metrics import MetricsEndpoints

TODAY = date(2023, 8, 17)


@lru_cache
def small() -> MetricsEndpoints:
    """The metrics of a company small enough for thousands of requests. No test books into it."""
    return MetricsEndpoints(Company(customers=400, today=TODAY))


def fetch(metrics: MetricsEndpoints, endpoint: str, start: date | str, end: date | str, **more: str) -> Any:
    """The JSON of a response, which must be a 200."""
    response = metrics.respond(endpoint, {"start-date": str(start), "end-date": str(end), **more})
    assert response.status == 200, response.body
    return json.loads(response.body)


def empty(today: date = TODAY, founded: date = date(2022, 1, 1)) -> Company:
    """A company without customers, for tests that book each movement themselves."""
    return Company(customers=0, founded=founded, today=today)


def client(sandbox: Sandbox, timeout: float | None = 5.0, key: str = "sandbox") -> httpx.AsyncClient:
    """A plain httpx client of a sandbox in process."""
    return httpx.AsyncClient(
        transport=sandbox.transport(), base_url="https://api.chartmogul.com/v1/", auth=(key, ""), timeout=timeout
    )
