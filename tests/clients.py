"""Responses as the API gives them, and clients that receive them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from itertools import count
from typing import Any

import httpx
import respx

from chartmogul_async import AsyncClient, Attempt, Event, MRREntry, Series, Summary

KEY = "0123456789abcdef-secret"

MRR = {
    "entries": [
        {
            "date": "2023-07-31",
            "mrr": 363819722,
            "percentage-change": 0.0,
            "mrr-new-business": 288938,
            "mrr-expansion": 108684,
            "mrr-contraction": -147909,
            "mrr-churn": -600866,
            "mrr-reactivation": 0,
        }
    ],
    "summary": {"current": 354026144, "previous": 353715871, "percentage-change": 0.09},
}

ACCOUNT = {"name": "Acme", "currency": "USD", "time_zone": "Europe/Berlin", "week_start_on": "monday"}

Handler = Callable[[httpx.Request], httpx.Response]
AsyncHandler = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


def client_of(handler: Handler | AsyncHandler | respx.Router, **options: Any) -> AsyncClient:
    """A client whose own connections are replaced by a function or by routes; retry and throttle are the real ones."""
    if isinstance(handler, respx.Router):
        handler = handler.async_handler
    return AsyncClient(KEY, transport=httpx.MockTransport(handler), **options)


def in_turn(*responses: httpx.Response | Exception | int) -> Handler:
    """Gives one response after the other, the last one forever. A number is a status without a body."""
    left = list(responses)

    def handler(request: httpx.Request) -> httpx.Response:
        response = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(response, Exception):
            raise response
        if isinstance(response, int):
            return ok() if response == 200 else httpx.Response(response)
        return httpx.Response(response.status_code, headers=response.headers, content=response.content)

    return handler


def ok() -> httpx.Response:
    return httpx.Response(200, json=MRR)


def attempts_in(events: Iterable[Event]) -> list[Attempt]:
    """The attempts among what ``on_event`` received."""
    return [event for event in events if isinstance(event, Attempt)]


_PLANS = count()


def another_mrr(client: AsyncClient) -> Callable[[], Coroutine[None, None, Series[MRREntry, Summary]]]:
    """A call that is equal to no other one, which would be the same request."""
    return partial(client.metrics.mrr, "2023-07-01", "2023-07-31", plans=f"plan {next(_PLANS)}")
