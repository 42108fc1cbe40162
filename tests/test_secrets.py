"""A key that the server puts into a header is masked in errors, events and the log."""

from __future__ import annotations

import base64
import traceback
from urllib.parse import quote

import pytest
import respx

from chartmogul_async import Attempt, Event, RetryPolicy, errors
from chartmogul_async.transport.bodies import LARGEST_BODY
from tests.clients import KEY, client_of

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
