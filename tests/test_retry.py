"""What is tried again, how often, and how long, in virtual time."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import AsyncIterator
from datetime import date

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async import Attempt, Event, MRREntry, RetryPolicy, Series, Summary, Throttle, errors
from chartmogul_async.transport.bodies import CompleteResponse
from chartmogul_async.transport.retry import AttemptOutcome, Attempts
from tests.clients import MRR, AsyncHandler, Handler, another_mrr, attempts_in, client_of, in_turn, ok

RANGE = ("2023-07-01", "2023-07-31")
DEFAULT = RetryPolicy()


async def fetch(
    handler: Handler | AsyncHandler, policy: RetryPolicy = DEFAULT
) -> tuple[Series[MRREntry, Summary], list[Attempt], float]:
    """The result, the attempts, and the seconds it took; an error is raised as it is."""
    events: list[Event] = []
    async with client_of(handler, on_event=events.append, retry=policy) as client:
        start = anyio.current_time()
        series = await client.metrics.mrr(*RANGE)
        return series, attempts_in(events), anyio.current_time() - start


# --- what is retried --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 520, 524])
async def test_retryable_status_is_retried(status: int) -> None:
    _, attempts, _ = await fetch(in_turn(status, status, 200))
    assert [attempt.status for attempt in attempts] == [status, status, 200]
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    assert attempts[-1].retry_in is None


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.ReadTimeout("stalled"),
        httpx.WriteError("reset"),
        httpx.RemoteProtocolError("stale connection"),
        httpx.ProxyError("refused"),
        httpx.DecodingError("broken gzip"),
        OSError("no route"),
        UnicodeError("label too long"),
        anyio.BrokenResourceError(),
        anyio.ClosedResourceError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_failed_exchange_is_retried(failure: Exception) -> None:
    _, attempts, _ = await fetch(in_turn(failure, 200))
    assert [(attempt.status, attempt.error) for attempt in attempts] == [(None, type(failure).__name__), (200, None)]


async def test_interrupted_body_is_retried() -> None:
    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'{"entries":'
            raise httpx.ReadError("reset inside the body")

    responses = [httpx.Response(200, stream=Broken()), ok()]
    _, attempts, _ = await fetch(lambda _: responses.pop(0))
    assert [attempt.error for attempt in attempts] == ["ReadError", None]


async def test_corrupt_compressed_body_is_retried() -> None:
    class Compressed(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield gzip.compress(b"{}")[:-9] + b"nonsense!"

    responses = [httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Compressed()), ok()]
    _, attempts, _ = await fetch(lambda _: responses.pop(0))
    assert [attempt.error for attempt in attempts] == ["DecodingError", None]


@pytest.mark.parametrize("status", [301, 304, 400, 401, 402, 403, 404, 405, 422, 501])
async def test_other_status_is_not_retried(status: int) -> None:
    events: list[Event] = []
    async with client_of(in_turn(status), on_event=events.append) as client:
        with pytest.raises(errors.for_status(status)) as caught:
            await client.metrics.mrr(*RANGE)
    (attempt,) = attempts_in(events)
    assert (attempt.retry_in, attempt.gave_up) == (None, False)
    assert (caught.value.attempts, caught.value.waited) == (1, 0.0)


async def test_refused_certificate_is_not_retried() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("certificate has expired") from ssl.SSLCertVerificationError("expired")

    with pytest.raises(errors.NetworkError) as caught:
        await fetch(handler)
    assert caught.value.attempts == 1
    assert not caught.value.is_transient


async def test_callers_own_certificate_error_is_not_ours() -> None:
    """A call may be made where the caller handles the error of another one, which becomes the context of ours."""
    calls = 0

    def handler(_: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        raise httpx.ConnectError("")

    try:
        date.fromisoformat("expired")
    except ValueError as error:
        error.__cause__ = ssl.SSLCertVerificationError("expired")
        with pytest.raises(errors.NetworkError) as caught:
            await fetch(handler, RetryPolicy(attempts=3))
        assert caught.value.is_transient
        assert "expired" not in str(caught.value)
    assert calls == 3


@pytest.mark.parametrize("failure", [httpx.LocalProtocolError("illegal header"), httpx.UnsupportedProtocol("gopher")])
async def test_request_that_cannot_be_sent_is_not_retried(failure: Exception) -> None:
    with pytest.raises(errors.NetworkError) as caught:
        await fetch(in_turn(failure))
    assert caught.value.attempts == 1
    assert not caught.value.is_transient


async def test_too_large_body_is_not_retried() -> None:
    failure = errors.DecodeError("$: the body is larger than 10 bytes", 200, request_id="abc")
    with pytest.raises(errors.DecodeError) as caught:
        await fetch(in_turn(failure))
    assert caught.value is failure
    assert (failure.attempts, failure.status, failure.request_id) == (1, 200, "abc")


async def test_other_exceptions_of_a_transport_are_raised_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError):
        await fetch(in_turn(500, ZeroDivisionError()))


def with_status(status: int) -> CompleteResponse:
    return CompleteResponse(status, httpx.Headers(), b"")


async def retries(method: str, outcome: AttemptOutcome) -> bool:
    """Whether an outcome is followed by another attempt."""
    throttle, attempts = Throttle(), Attempts(DEFAULT, method, "/v1/plans", None)
    async for _ in attempts:
        if attempts.number:
            return True
        permit = await throttle._acquire()
        throttle._release(permit)
        attempts.end(permit, outcome)
    return False


@pytest.mark.parametrize(
    ("outcome", "is_retried"),
    [
        (with_status(429), True),
        (httpx.ConnectError("refused"), True),
        (httpx.ConnectTimeout("slow"), True),
        (httpx.ReadError("reset"), False),
        (httpx.ReadTimeout("stalled"), False),
        (with_status(500), False),
        (with_status(503), False),
        (with_status(200), False),
    ],
    ids=lambda value: repr(value),
)
async def test_unsafe_method_is_retried_only_if_it_never_arrived(outcome: AttemptOutcome, is_retried: bool) -> None:
    assert await retries("POST", outcome) is is_retried


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("outcome", [with_status(500), httpx.ReadError("reset")], ids=repr)
async def test_safe_methods_are_retried(method: str, outcome: AttemptOutcome) -> None:
    assert await retries(method, outcome)


# --- how often and how long -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 520, 524])
async def test_the_last_attempt_says_that_it_is_the_last(status: int) -> None:
    events: list[Event] = []
    async with client_of(in_turn(status), on_event=events.append, retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(errors.for_status(status)):
            await client.metrics.mrr(*RANGE)
    (attempt,) = attempts_in(events)
    assert (attempt.retry_in, attempt.gave_up) == (None, True)


async def test_giving_up_after_six_attempts() -> None:
    events: list[Event] = []
    async with client_of(in_turn(500), on_event=events.append) as client:
        start = anyio.current_time()
        with pytest.raises(errors.ServerError) as caught:
            await client.metrics.mrr(*RANGE)
        seconds = anyio.current_time() - start
    attempts, error = attempts_in(events), caught.value
    assert [attempt.gave_up for attempt in attempts] == [False] * 5 + [True]
    assert error.attempts == 6
    assert error.waited == pytest.approx(sum(attempt.retry_in or 0 for attempt in attempts)) == pytest.approx(seconds)
    assert f"6 attempts, waited {error.waited:.1f} s" in str(error)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [(httpx.ReadTimeout(""), errors.RequestTimeoutError), (httpx.ReadError("reset"), errors.NetworkError)],
)
async def test_last_failure_becomes_the_error(failure: Exception, kind: type[errors.TransportError]) -> None:
    with pytest.raises(kind, match=r"GET https://api\.chartmogul\.com/v1/metrics/mrr: Read") as caught:
        await fetch(in_turn(failure), RetryPolicy(attempts=3))
    assert caught.value.__cause__ is failure
    assert caught.value.attempts == 3
    assert caught.value.status is None


async def test_waits_have_full_jitter_doubled_up_to_the_cap() -> None:
    waits: list[list[float]] = []
    for _ in range(60):
        events: list[Event] = []
        policy = RetryPolicy(base=2, cap=10)
        async with client_of(in_turn(502), retry=policy, on_event=events.append) as client:
            with pytest.raises(errors.ServerError):
                await client.metrics.mrr(*RANGE)
        waits.append([attempt.retry_in for attempt in attempts_in(events) if attempt.retry_in is not None])
    for column, most in zip(zip(*waits, strict=True), [2, 4, 8, 10, 10], strict=True):
        assert max(column) <= most
        # That 60 even draws are all below this happens once in 10^13 runs.
        assert max(column) > most * 0.6
        assert min(column) < most * 0.4


async def test_defaults_outlast_a_used_up_compute_minute() -> None:
    until: list[float] = []

    def handler(_: httpx.Request) -> httpx.Response:
        until[:] = until or [anyio.current_time() + 60]
        return httpx.Response(429) if anyio.current_time() < until[0] else ok()

    _, attempts, seconds = await fetch(handler)
    assert 60 <= seconds <= 90
    *waits, last = [attempt.retry_in for attempt in attempts]
    assert last is None
    for wait, pause, jitter in zip(waits, [0.25, 1, 6, 30, 30], [1, 2, 4, 8, 16], strict=True):
        assert pause - 1e-9 <= (wait or 0.0) <= max(pause, jitter) + 1e-9


async def test_retry_after_is_honoured_to_the_second() -> None:
    response = httpx.Response(429, headers={"retry-after": "20"})
    _, attempts, seconds = await fetch(in_turn(response, 200))
    assert attempts[0].retry_in == seconds == 20


async def test_retry_after_of_a_503_is_honoured() -> None:
    _, attempts, _ = await fetch(in_turn(httpx.Response(503, headers={"retry-after": "12"}), 200))
    assert attempts[0].retry_in == 12


async def test_retry_after_date_is_compared_with_the_servers_clock() -> None:
    headers = {"date": "Wed, 21 Oct 2015 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}
    _, attempts, _ = await fetch(in_turn(httpx.Response(429, headers=headers), 200))
    assert attempts[0].retry_in == 30


@pytest.mark.parametrize("nonsense", ["nan", "-5", "1e12", "soon", ""])
async def test_malformed_retry_after_is_ignored(nonsense: str) -> None:
    _, attempts, _ = await fetch(in_turn(httpx.Response(429, headers={"retry-after": nonsense}), 200))
    # The pause of a 429 that names no duration, or full jitter beyond it.
    assert 0.25 <= (attempts[0].retry_in or 0.0) <= 1.0


async def test_retry_after_beyond_the_total_is_an_error_at_once() -> None:
    events: list[Event] = []
    response = httpx.Response(429, headers={"retry-after": "3600"})
    async with client_of(in_turn(response, 200), on_event=events.append) as client:
        start = anyio.current_time()
        with pytest.raises(errors.RateLimitError) as caught:
            await client.metrics.mrr(*RANGE)
        assert caught.value.retry_after == 3600
        # The next call is not even sent: the server has named the moment.
        with pytest.raises(errors.RateLimitError, match="not sent: rate limited for another 3600 s") as second:
            await client.metrics.mrr(*RANGE)
        assert (second.value.attempts, second.value.waited, second.value.retry_after) == (0, 0.0, 3600)
        assert anyio.current_time() == start
    assert len(attempts_in(events)) == 1


@pytest.mark.parametrize(("seconds", "attempts"), [("29", 2), ("30", 1), ("31", 1)])
async def test_retry_after_must_leave_time_for_the_exchange(seconds: str, attempts: int) -> None:
    with pytest.raises(errors.RateLimitError) as caught:
        await fetch(in_turn(httpx.Response(429, headers={"retry-after": seconds})), RetryPolicy(total=30))
    assert caught.value.attempts == attempts


async def test_waits_and_pauses_of_a_refused_call_add_up() -> None:
    """Five seconds between two attempts, then five of a pause in the queue, until that pause becomes too long."""
    requests = 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal requests
        requests += 1
        if request.url.path == "/v1/ping":
            return httpx.Response(503, headers={"retry-after": "5"})
        slow = request.url.path == "/v1/slow"
        await anyio.sleep(10 if slow else 4)
        return httpx.Response(429, headers={"retry-after": "600" if slow else "20"})

    async with client_of(handler, retry=RetryPolicy(total=40)) as client, anyio.create_task_group() as group:

        async def refused_by_the_server(path: str) -> None:
            with pytest.raises(errors.RateLimitError):
                await client.get(path)

        group.start_soon(refused_by_the_server, "/slow")
        group.start_soon(refused_by_the_server, "/fast")
        start = anyio.current_time()
        with pytest.raises(errors.RateLimitError, match="not sent") as caught:
            await client.ping()
        assert anyio.current_time() - start == pytest.approx(10)
        assert (caught.value.attempts, requests) == (1, 3)
        assert caught.value.waited == pytest.approx(10)


async def test_pause_that_grows_beyond_the_total_ends_a_call() -> None:
    """A call that waits for its second attempt is refused, and its error names the first attempt and its wait."""
    requests = 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal requests
        requests += 1
        if requests == 1:
            return httpx.Response(503, headers={"retry-after": "5", "x-request-id": "first"})
        await anyio.sleep(1)
        return httpx.Response(429, headers={"retry-after": "600"})

    async with client_of(handler) as client, anyio.create_task_group() as group:

        async def other() -> None:
            await anyio.sleep(1)
            with pytest.raises(errors.RateLimitError):
                await client.ping()

        group.start_soon(other)
        with pytest.raises(errors.RateLimitError, match="not sent: rate limited for another 597 s") as caught:
            await client.metrics.mrr(*RANGE)
        error = caught.value
        assert (error.attempts, error.waited, error.status, error.request_id) == (1, 5.0, 429, None)
        assert (error.path, requests) == ("/v1/metrics/mrr", 2)


async def test_pauses_in_the_queue_count_towards_the_total() -> None:
    """A call that was paused for 20 of its 30 seconds, with queueing before, has 10 left for its exchange."""
    requests = 0

    async def handler(_: httpx.Request) -> httpx.Response:
        nonlocal requests
        requests += 1
        await anyio.sleep(5 if requests == 1 else 1000)
        return httpx.Response(429, headers={"retry-after": "20"})

    options = {"throttle": Throttle(parallel=1), "retry": RetryPolicy(total=30, attempts=1)}
    async with client_of(handler, **options) as client, anyio.create_task_group() as group:

        async def first() -> None:
            with pytest.raises(errors.RateLimitError):
                await client.ping()

        group.start_soon(first)
        await anyio.wait_all_tasks_blocked()
        start = anyio.current_time()
        with pytest.raises(errors.RequestTimeoutError) as caught:
            await client.ping()
        assert anyio.current_time() - start == pytest.approx(5 + 30)
        assert caught.value.waited == pytest.approx(20)


async def test_call_is_refused_when_pauses_exceed_the_total() -> None:
    """A call in the queue, before its first attempt: its error has the request and the seconds it was paused."""
    requests = 0

    async def handler(_: httpx.Request) -> httpx.Response:
        nonlocal requests
        requests += 1
        await anyio.sleep(5)
        return httpx.Response(429, headers={"retry-after": "20" if requests == 1 else "600"})

    options = {"throttle": Throttle(parallel=1), "retry": RetryPolicy(total=30, attempts=1)}
    async with client_of(handler, **options) as client, anyio.create_task_group() as group:

        async def refused_by_the_server() -> None:
            with pytest.raises(errors.RateLimitError) as caught:
                await client.ping()
            assert caught.value.attempts == 1

        group.start_soon(refused_by_the_server)
        group.start_soon(refused_by_the_server)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(errors.RateLimitError, match="not sent: rate limited for 620 s in all") as caught:
            await client.account()
        error = caught.value
        assert (error.attempts, error.method, error.path, error.request_id) == (0, "GET", "/v1/account", None)
        assert error.waited == pytest.approx(20)
        assert requests == 2


async def test_slow_exchanges_count_towards_the_total() -> None:
    async def stall(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(30)
        raise httpx.ReadTimeout("stalled")

    events: list[Event] = []
    async with client_of(stall, on_event=events.append) as client:
        start = anyio.current_time()
        with pytest.raises(errors.RequestTimeoutError):
            await client.metrics.mrr(*RANGE)
        assert anyio.current_time() - start == pytest.approx(90)
    attempts = attempts_in(events)
    assert [attempt.error for attempt in attempts] == ["ReadTimeout", "ReadTimeout", "TimeoutError"]
    assert [attempt.elapsed for attempt in attempts[:2]] == pytest.approx([30, 30])
    assert [attempt.gave_up for attempt in attempts] == [False, False, True]


async def test_response_that_trickles_in_is_cut_off() -> None:
    class Trickle(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await anyio.sleep(29)
                yield b" "

    start = anyio.current_time()
    with pytest.raises(errors.RequestTimeoutError, match=r"TimeoutError: RetryPolicy\.total is used up"):
        await fetch(lambda _: httpx.Response(200, stream=Trickle()))
    assert anyio.current_time() - start == pytest.approx(90)


@pytest.mark.parametrize("calls", [1, 20, 100])
async def test_every_call_gives_up_within_the_total(calls: int) -> None:
    async def refuse(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.2)
        return httpx.Response(429)

    async with client_of(refuse) as client, anyio.create_task_group() as group:

        async def call() -> None:
            start = anyio.current_time()
            with pytest.raises(errors.RateLimitError) as caught:
                await client.metrics.mrr(*RANGE)
            assert anyio.current_time() - start <= 95
            assert caught.value.waited <= 90

        for _ in range(calls):
            group.start_soon(call)


async def test_queueing_does_not_count_towards_the_total() -> None:
    """With its slot taken for a hundred seconds, a request still gets all its attempts."""
    first = True

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal first
        if first:
            first = False
            await anyio.sleep(100)
            return ok()
        return httpx.Response(500)

    events: list[Event] = []
    options = {"throttle": Throttle(parallel=1), "on_event": events.append, "retry": RetryPolicy(total=100.5)}
    async with client_of(handler, **options) as client, anyio.create_task_group() as group:
        group.start_soon(another_mrr(client))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(errors.ServerError) as caught:
            await client.metrics.mrr(*RANGE)
        attempts = attempts_in(events)
        assert len(attempts) == 7
        assert attempts[1].queued == pytest.approx(100)
        assert caught.value.waited == pytest.approx(sum(attempt.retry_in or 0 for attempt in attempts))


async def test_call_between_attempts_holds_no_slot() -> None:
    throttle = Throttle(parallel=1)
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        name = request.url.params["start-date"]
        seen.append(name)
        return httpx.Response(500) if seen.count("2023-01-01") == 1 and name == "2023-01-01" else ok()

    async with client_of(handler, throttle=throttle) as client, anyio.create_task_group() as group:
        group.start_soon(client.metrics.mrr, "2023-01-01", "2023-01-31")
        await anyio.wait_all_tasks_blocked()
        await client.metrics.mrr("2023-02-01", "2023-02-28")
    assert seen == ["2023-01-01", "2023-02-01", "2023-01-01"]


async def test_a_result_is_as_old_as_its_last_attempt() -> None:
    requests: list[float] = []

    async def handler(_: httpx.Request) -> httpx.Response:
        requests.append(anyio.current_time())
        await anyio.sleep(1)
        return httpx.Response(503, headers={"retry-after": "5"}) if len(requests) == 1 else ok()

    async with client_of(handler) as client:
        view, start = client.with_options(max_age=10), anyio.current_time()
        for seconds in (0, 15.9, 16.1):
            await anyio.sleep(start + seconds - anyio.current_time())
            await view.metrics.mrr(*RANGE)
    assert [when - start for when in requests] == pytest.approx([0, 6, 16.1])


async def test_concurrent_calls_do_not_mix_up_their_results() -> None:
    tried: set[str] = set()

    def handler(request: httpx.Request) -> httpx.Response:
        day = request.url.params["start-date"]
        if day not in tried:
            tried.add(day)
            return httpx.Response(500)
        return httpx.Response(200, json={**MRR, "entries": [{"date": day, "mrr": int(day[-2:])}]})

    results: dict[int, int | float] = {}

    async with client_of(handler) as client, anyio.create_task_group() as group:

        async def one(day: int) -> None:
            date = f"2023-07-{day:02}"
            results[day] = (await client.metrics.mrr(date, date))[0].mrr

        for day in range(1, 32):
            group.start_soon(one, day)
    assert results == {day: day for day in range(1, 32)}


# --- the policy -------------------------------------------------------------------------------------------------


@given(st.sampled_from(["base", "cap", "total"]), st.sampled_from([0, -1, "3", None, True, float("nan")]))
def test_policy_requires_positive_seconds(field: str, value: object) -> None:
    with pytest.raises(errors.ArgumentError) as caught:
        RetryPolicy(**{field: value})  # type: ignore[arg-type]
    assert str(caught.value) == f"{field} must be a positive number of seconds, not {value!r}"


def test_the_default_policy_is_the_documented_one() -> None:
    assert RetryPolicy() == RetryPolicy(attempts=6, base=1.0, cap=30.0, total=90.0)


@given(st.sampled_from([0, -1, "3", None, True, 2.5]))
def test_policy_requires_a_positive_integer_of_attempts(value: object) -> None:
    with pytest.raises(errors.ArgumentError) as caught:
        RetryPolicy(attempts=value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == f"attempts must be a positive integer, not {value!r}"


@pytest.mark.no_cover
async def test_endless_policy_is_allowed() -> None:
    forever = RetryPolicy(attempts=10_000, total=float("inf"), base=0.001, cap=0.001)
    _, attempts, _ = await fetch(in_turn(*[500] * 2000, 200), forever)
    assert len(attempts) == 2001
