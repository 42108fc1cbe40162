"""Small ways of asking that the sandbox's tests share."""

from __future__ import annotations

import json
from datetime import date
from functools import lru_cache
from typing import Any

import httpx

from chartmogul_async.sandbox import Company, Sandbox
from chartmogul_async.sandbox.metrics import Metrics

TODAY = date(2023, 8, 17)


@lru_cache
def small() -> Metrics:
    """The metrics of a company that is small enough to be asked thousands of times. Nobody books into it."""
    return Metrics(Company(customers=400, today=TODAY))


def ask(metrics: Metrics, endpoint: str, start: date | str, end: date | str, **more: str) -> Any:
    """The JSON of an answer that must be a 200."""
    reply = metrics.answer(endpoint, {"start-date": str(start), "end-date": str(end), **more})
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def empty(today: date = TODAY, founded: date = date(2022, 1, 1)) -> Company:
    """A company without customers, to book by hand."""
    return Company(customers=0, founded=founded, today=today)


def client(sandbox: Sandbox, timeout: float | None = 5.0, key: str = "sandbox") -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=sandbox.transport(), base_url="https://api.chartmogul.com/v1/", auth=(key, ""), timeout=timeout
    )
