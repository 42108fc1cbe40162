"""What the client reports while it works: to ``on_event``, and to the log."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any, get_args

import anyio
import attrs
import httpx
import pytest

import chartmogul_async
from chartmogul_async import (
    Attempt,
    ConcurrencyLowered,
    Event,
    Pacing,
    Pause,
    RetryPolicy,
    SlicesDisagreed,
    Throttle,
    errors,
)
from chartmogul_async.events import HOW_TO_SHARE, report
from tests.clients import KEY, MRR, AsyncHandler, Handler, another_mrr, attempts_in, client_of, in_turn, ok

RANGE = ("2023-07-01", "2023-07-31")


def attempt(**changes: Any) -> Attempt:
    usual = Attempt(
        method="GET",
        path="/v1/metrics/mrr",
        number=1,
        status=200,
        error=None,
        queued=0.0,
        elapsed=0.25,
        retry_in=None,
        request_id="abc",
        gave_up=False,
        server="https://api.chartmogul.com",
    )
    return attrs.evolve(usual, **changes)


SENTENCES: list[tuple[Event, str, str]] = [
    (
        attempt(),
        "DEBUG",
        "GET /v1/metrics/mrr attempt 1: 200 after 0.000 s in the queue and 0.250 s of exchange; done",
    ),
    (
        attempt(status=404, number=2, queued=1.5),
        "DEBUG",
        "GET /v1/metrics/mrr attempt 2: 404 after 1.500 s in the queue and 0.250 s of exchange; done",
    ),
    (
        attempt(status=503, retry_in=1.04),
        "DEBUG",
        "GET /v1/metrics/mrr attempt 1: 503 after 0.000 s in the queue and 0.250 s of exchange; again in 1.0 s",
    ),
    (
        attempt(status=503, number=6, gave_up=True),
        "INFO",
        "GET /v1/metrics/mrr attempt 6: 503 after 0.000 s in the queue and 0.250 s of exchange; giving up",
    ),
    (
        attempt(status=None, error="ReadError", gave_up=True),
        "INFO",
        "GET /v1/metrics/mrr attempt 1: ReadError after 0.000 s in the queue and 0.250 s of exchange; giving up",
    ),
    (Pause(16.0), "WARNING", "rate limited: pausing all requests for 16 s"),
    (
        Pacing(60.0, 12, 38.0),
        "WARNING",
        f"rate limited after 12 requests in one second (the key may be in use elsewhere; {HOW_TO_SHARE}); "
        "sending 38.0 a second, evenly spaced, for at least 60 s",
    ),
    (
        Pacing(60.0, 1, 38.0),
        "WARNING",
        f"rate limited after 1 request in one second (the key may be in use elsewhere; {HOW_TO_SHARE}); "
        "sending 38.0 a second, evenly spaced, for at least 60 s",
    ),
    (ConcurrencyLowered(10), "WARNING", "received 503: concurrency reduced to 10"),
    (
        SlicesDisagreed("mrr", 3),
        "INFO",
        "the 3 slices of mrr disagree: fetching the range as one request",
    ),
]
every_sentence = pytest.mark.parametrize(
    ("event", "level", "sentence"), SENTENCES, ids=lambda value: type(value).__name__
)
EVENTS = [event for event, _, _ in SENTENCES]
every_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)


def test_every_class_of_event_is_among_the_examples() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))


# --- the values -------------------------------------------------------------------------------------------------


@every_sentence
def test_event_is_a_sentence(event: Event, level: str, sentence: str) -> None:
    assert str(event) == sentence


@every_sentence
def test_log_record_has_level_sentence_and_fields(
    event: Event, level: str, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "chartmogul_async")
    report(event, None)
    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == ("chartmogul_async", level, sentence)
    extra = {name: value for name, value in vars(record).items() if name.startswith("chartmogul.")}
    fields = {f"chartmogul.{name}": value for name, value in attrs.asdict(event).items()}
    assert extra == fields | {"chartmogul.event": type(event).__name__}


@every_sentence
def test_nothing_is_logged_above_the_level(
    event: Event, level: str, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.getLevelName(level) + 1, "chartmogul_async")
    report(event, None)
    assert not caplog.records


@every_event
def test_event_is_delivered_once(event: Event) -> None:
    received: list[Event] = []
    report(event, received.append)
    assert received == [event]


@every_event
def test_event_is_frozen(event: Event) -> None:
    for field in attrs.fields(type(event)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(event, field.name, None)
    assert hash(event) == hash(attrs.evolve(event))


@every_event
def test_event_is_pickled_by_its_public_address(event: Event) -> None:
    assert getattr(chartmogul_async, type(event).__name__) is type(event)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        content = pickle.dumps(event, protocol)
        assert b"chartmogul_async" in content
        assert b"chartmogul_async.events" not in content
        assert pickle.loads(content) == event


# --- from the exchanges -----------------------------------------------------------------------------------------


async def events_of(handler: Handler | AsyncHandler, calls: int = 1, **options: Any) -> list[Event]:
    """The events of a few calls at once, whatever they meet."""
    events: list[Event] = []

    async def call() -> None:
        with suppress(errors.ChartMogulError):
            await another_mrr(client)()

    async with client_of(handler, on_event=events.append, **options) as client, anyio.create_task_group() as group:
        for _ in range(calls):
            group.start_soon(call)
    return events


async def test_attempt_has_the_request_id() -> None:
    events = await events_of(in_turn(httpx.Response(200, json=MRR, headers={"x-request-id": "abc"})))
    assert events == [attempt(elapsed=0.0)]


async def test_attempt_has_its_queueing_and_its_exchange() -> None:
    async def handler(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(2)
        return ok()

    events = await events_of(handler, calls=3, throttle=Throttle(parallel=1))
    attempts = attempts_in(events)
    assert [one.queued for one in attempts] == pytest.approx([0, 2, 4])
    assert [one.elapsed for one in attempts] == pytest.approx([2, 2, 2])


async def test_rate_limit_is_a_pause_then_pacing_then_an_attempt() -> None:
    events = await events_of(in_turn(httpx.Response(429, headers={"retry-after": "7"}), 200))
    pacing, pause, *attempts = events
    assert (pacing, pause) == (Pacing(60.0, 1, 38.0), Pause(7.0))
    assert [(one.status, one.retry_in) for one in attempts_in(attempts)] == [(429, 7.0), (200, None)]


async def test_overload_lowers_the_concurrency() -> None:
    async def handler(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(1)
        return httpx.Response(503)

    events = await events_of(handler, calls=8, retry=RetryPolicy(attempts=1))
    assert [event for event in events if not isinstance(event, Attempt)] == [ConcurrencyLowered(4)]
    assert [one.gave_up for one in attempts_in(events)] == [True] * 8


def disagreeing(request: httpx.Request) -> httpx.Response:
    """Responses whose entries depend on the range: slices never agree."""
    first, last = request.url.params["start-date"], request.url.params["end-date"]
    year, month = int(first[:4]), int(first[5:7])
    entries = []
    while f"{year}-{month:02}" <= last[:7]:
        day = {2: 28, 4: 30, 6: 30, 9: 30, 11: 30}.get(month, 31)
        entries.append(MRR["entries"][0] | {"date": f"{year}-{month:02}-{day}", "mrr": int(first.replace("-", ""))})  # type: ignore[index]
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return httpx.Response(200, json={**MRR, "entries": entries})


async def test_slices_that_disagree_are_reported() -> None:
    events: list[Event] = []
    async with client_of(disagreeing, on_event=events.append) as client:
        await client.metrics.mrr("2023-01-01", "2023-12-31", slices=3)
    disagreed = [event for event in events if isinstance(event, SlicesDisagreed)]
    assert disagreed == [SlicesDisagreed("mrr", 3)]


# --- what the user's function raises ----------------------------------------------------------------------------


def raises_on(kind: type[Any], error: Exception) -> Callable[[Event], None]:
    def on_event(event: Event) -> None:
        if isinstance(event, kind):
            raise error

    return on_event


async def first_error(handler: Handler | AsyncHandler, calls: int = 1, **options: Any) -> tuple[list[Exception], Any]:
    """What the calls raise, and the throttle's statistics when all are over."""
    raised: list[Exception] = []

    async def call(plan: int) -> None:
        try:
            # Equal calls would be one request.
            await client.metrics.mrr("2023-01-01", "2023-12-31", plans=str(plan), slices=options_of_call)
        except Exception as error:  # noqa: BLE001 - whatever it is
            raised.append(error)

    options_of_call = options.pop("slices", 1)
    async with client_of(handler, **options) as client:
        async with anyio.create_task_group() as group:
            for plan in range(calls):
                group.start_soon(call, plan)
        return raised, client.throttle.statistics()


@pytest.mark.parametrize(
    ("kind", "response", "calls", "slices"),
    [
        (Attempt, httpx.Response(200, json=MRR), 1, 1),
        (Attempt, httpx.Response(404), 1, 1),
        (Attempt, httpx.Response(500), 1, 1),
        (Attempt, httpx.ReadError("reset"), 1, 1),
        (Pause, httpx.Response(429), 1, 1),
        (Pacing, httpx.Response(429), 1, 1),
        (ConcurrencyLowered, httpx.Response(503), 2, 1),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
@pytest.mark.parametrize("error", [KeyError("a bug"), BrokenPipeError("the log file is gone")], ids=repr)
async def test_error_of_on_event_is_raised_and_the_slot_given_back(
    kind: type[Any], response: httpx.Response | Exception, calls: int, slices: int, error: Exception
) -> None:
    """Also an ``OSError``, which an exchange may meet as well, is not retried."""
    requests = 0
    respond = in_turn(response)

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal requests
        requests += 1
        await anyio.sleep(1)
        return respond(request)

    policy = RetryPolicy(attempts=2) if calls == 1 else RetryPolicy(attempts=1)
    raised, statistics = await first_error(handler, calls, on_event=raises_on(kind, error), retry=policy)
    assert error in raised
    assert requests == calls
    assert statistics.in_flight == 0
    assert statistics.waiting == 0


async def test_error_of_on_event_about_slices_is_raised() -> None:
    error = KeyError("a bug")
    raised, statistics = await first_error(disagreeing, on_event=raises_on(SlicesDisagreed, error), slices=3)
    assert raised == [error]
    assert statistics.in_flight == 0


async def test_error_of_on_event_does_not_replace_a_cancellation() -> None:
    async def stall(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    async with client_of(stall, on_event=raises_on(object, KeyError())) as client:
        with anyio.move_on_after(1) as scope:
            await client.ping()
        assert scope.cancelled_caught
        assert client.throttle.statistics().in_flight == 0


# --- secrets ----------------------------------------------------------------------------------------------------


async def test_events_and_log_contain_no_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "chartmogul_async")
    events: list[Event] = []
    async with client_of(in_turn(429, 500, 200), on_event=events.append) as client:
        await client.metrics.mrr(*RANGE, plans=["A Secret Plan"])
    async with client_of(in_turn(500), on_event=events.append, retry=RetryPolicy(attempts=2)) as client:
        with pytest.raises(errors.ServerError):
            await client.customers.search("anna@example.com")
    async with client_of(in_turn(httpx.ReadError(f"b'{KEY}'")), on_event=events.append) as client:
        with pytest.raises(errors.NetworkError):
            await client.ping()
    levels = [record.levelname for record in caplog.records]
    assert levels[:5] == ["WARNING", "WARNING", "DEBUG", "DEBUG", "DEBUG"]
    assert levels[5:7] == ["DEBUG", "INFO"]
    shown = caplog.text + repr(events) + repr([vars(record) for record in caplog.records])
    for secret in (KEY, "anna", "Secret", "363819722", "start-date"):
        assert secret not in shown


async def test_log_and_on_event_receive_the_same(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "chartmogul_async")
    events = await events_of(in_turn(429, httpx.ReadError("reset"), 503, 200))
    assert [record.getMessage() for record in caplog.records] == [str(event) for event in events]


async def test_nothing_is_built_where_nobody_listens(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("WARNING", "chartmogul_async")
    monkeypatch.delattr("chartmogul_async.transport.retry.Attempt")
    async with client_of(in_turn(500, 200)) as client:
        await client.metrics.mrr(*RANGE)


async def test_log_without_on_event(caplog: pytest.LogCaptureFixture) -> None:
    """The logger's own level decides, also where nobody else listens."""
    for level, expected in [("DEBUG", 2), ("INFO", 1), ("WARNING", 0)]:
        caplog.clear()
        caplog.set_level(level, "chartmogul_async")
        async with client_of(in_turn(500), retry=RetryPolicy(attempts=2)) as client:
            with pytest.raises(errors.ServerError):
                await client.ping()
        assert len(caplog.records) == expected
