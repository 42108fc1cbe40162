"""Neither the client nor its errors, events and log show the key, even if the server puts it into a header."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import pickle
import traceback
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import respx

from chartmogul_async import AsyncClient, Attempt, Event, MetricQuery, ResponseInfo, RetryPolicy, errors
from chartmogul_async.transport.bodies import LARGEST_BODY
from tests.clients import KEY, MRR, client_of, in_turn

CREDENTIALS = base64.b64encode(f"{KEY}:".encode()).decode()


@pytest.mark.parametrize("form", [KEY, CREDENTIALS, CREDENTIALS.rstrip("="), quote(CREDENTIALS, safe="")], ids=range(4))
@pytest.mark.parametrize(
    ("status", "content"),
    [(503, b"{}"), (422, b"<html>"), (200, b"not JSON"), (200, b'{"data": 5}'), (200, b" " * (LARGEST_BODY + 1))],
    ids=["retried", "page", "not JSON", "another shape", "too large"],
)
async def test_a_key_in_a_header_is_masked(
    api: respx.Router, caplog: pytest.LogCaptureFixture, status: int, content: bytes, form: str
) -> None:
    caplog.set_level("DEBUG", "chartmogul_async")
    events: list[Event] = []
    headers = {"x-request-id": f"for {form}", "content-type": f"text/{form}"}
    api.get("/ping").respond(status, headers=headers, content=content)
    async with client_of(api, retry=RetryPolicy(attempts=2), on_event=events.append) as client:
        with pytest.raises(errors.ChartMogulError) as caught:
            await client.ping()
    error = caught.value
    assert error.request_id == "for ***"
    assert {event.request_id for event in events if isinstance(event, Attempt)} <= {"for ***", None}
    records = [str(vars(record)) for record in caplog.records if record.name == "chartmogul_async"]
    shown = "".join([*traceback.format_exception(error), repr(error), *map(repr, events), *records])
    assert records
    assert form not in shown


async def test_the_request_id_of_a_success_is_masked(api: respx.Router) -> None:
    events: list[Event] = []
    api.get("/ping").respond(headers={"x-request-id": KEY}, json={"data": "pong!"})
    async with client_of(api, on_event=events.append) as client:
        await client.ping()
    (attempt,) = events
    assert isinstance(attempt, Attempt)
    assert attempt.request_id == "***"


class Stream(httpx.AsyncByteStream):
    """A body that httpx does not decompress when the response is made."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield gzip.compress(b"{}")[:9]


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("status", [200, 301, 404, 429, 500])
async def test_a_traceback_with_its_variables_shows_no_header(status: int, encoding: str) -> None:
    """As tools for errors print them. A server may repeat the key in whatever header it likes."""
    headers = {"set-cookie": f"session={CREDENTIALS}", "location": f"/?key={KEY}", "content-encoding": encoding}
    respond = partial(httpx.Response, status, headers=headers, stream=Stream())
    async with client_of(lambda _: respond(), retry=RetryPolicy(attempts=2, base=0.001)) as client:
        with pytest.raises(errors.ChartMogulError) as caught:
            await client.ping()
    # The first frame is that of this test.
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    trace.stack.pop(0)
    shown = "".join(trace.format())
    assert "self = " in shown
    assert CREDENTIALS not in shown
    assert KEY not in shown


async def test_what_is_known_of_a_kept_response_does_not_change() -> None:
    """A transport may give the same response again, and change its headers."""
    response, infos = httpx.Response(200, headers={"x-request-id": "1"}, json=MRR), list[ResponseInfo]()
    async with client_of(lambda _: response) as client:
        minute = client.with_options(max_age=60, on_response=infos.append)
        await minute.metrics.mrr("2023-07-01", "2023-07-31")
        response.headers["x-request-id"] = KEY
        await minute.metrics.mrr("2023-07-01", "2023-07-31")
    assert [(info.request_id, info.headers["x-request-id"]) for info in infos] == [("1", "1")] * 2


async def test_a_response_that_a_transport_keeps_is_not_changed() -> None:
    response = httpx.Response(200, headers={"x-request-id": KEY}, json={"data": "pong!"})
    async with client_of(lambda _: response) as client:
        await client.ping()
    assert response.headers["x-request-id"] == KEY


@pytest.mark.parametrize("form", [KEY, CREDENTIALS], ids=["key", "credentials"])
async def test_the_document_of_a_failure_shows_no_key(api: respx.Router, form: str) -> None:
    body = {"errors": {"plans": f"is unknown to {form}"}, "message": f"{form} may not do this"}
    api.get("/metrics/mrr").respond(422, headers={"x-request-id": form}, json=body)
    async with client_of(api) as client:
        (outcome,) = await client.metrics.fetch_all([MetricQuery("mrr", "2025-01-01", "2025-01-31")])
    document = json.dumps(outcome.to_dict())
    assert "***" in document
    assert form not in document


# --- the client itself --------------------------------------------------------------------------------------------


def shown_by(value: object, depth: int) -> str:
    """What a debugger or an error tracker shows: the repr, and that of all attributes, some levels deep."""
    attributes = getattr(value, "__dict__", {}).values() if depth else ()
    return repr(value) + "".join(shown_by(attribute, depth - 1) for attribute in attributes)


def a_client() -> AsyncClient:
    """One whose resources have been used."""
    client = AsyncClient(KEY, transport=httpx.MockTransport(in_turn()))
    assert all([client.metrics, client.customers, client.throttle])
    return client


@pytest.mark.parametrize("depth", range(4))
def test_no_attribute_of_the_client_shows_the_key(depth: int) -> None:
    shown = shown_by(a_client(), depth)
    assert KEY not in shown
    assert CREDENTIALS.rstrip("=") not in shown


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_the_key_is_not_pickled(duplicate: Any) -> None:
    secret = vars(vars(vars(a_client())["_session"])["_exchanges"])["_key"]
    with pytest.raises(TypeError, match="an API key cannot be copied or pickled"):
        duplicate(secret)
    assert secret.revealed == KEY


def test_a_client_cannot_be_pickled() -> None:
    """With the client's own connections their TLS context prevents it; others may well be picklable."""
    transport = httpx.AsyncBaseTransport()
    with pytest.raises(TypeError, match="an API key cannot be copied or pickled"):
        pickle.dumps(AsyncClient(KEY, transport=transport))
