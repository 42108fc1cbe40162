"""What is tried again, how often, and how long, in virtual time."""

from __future__ import annotations

import gzip
import logging
import ssl
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async import Attempt, RetryPolicy, Series, Throttle, errors
from chartmogul_async.transport import build_transport
from tests.clients import KEY, MRR, Handler, client_of, in_turn, ok

RANGE = ("2023-07-01", "2023-07-31")
DEFAULT = RetryPolicy()


async def ask(handler: Handler, policy: RetryPolicy = DEFAULT) -> tuple[Series | None, list[Attempt], float]:  # type: ignore[type-arg]
    """The result, the attempts, and the seconds it took; an error of the tree is raised as it is."""
    attempts: list[Attempt] = []
    async with client_of(handler, on_attempt=attempts.append, retry=policy) as client:
        start = anyio.current_time()
        series = await client.metrics.mrr(*RANGE)
        return series, attempts, anyio.current_time() - start


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 520, 524])
async def test_a_status_that_may_pass_is_tried_again(status: int) -> None:
    _, attempts, _ = await ask(in_turn(status, status, 200))
    assert [attempt.status for attempt in attempts] == [status, status, 200]
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    assert attempts[-1].retry_in is None


@pytest.mark.parametrize(
    "trouble",
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
        anyio.BrokenResourceError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_trouble_on_the_way_is_tried_again(trouble: Exception) -> None:
    _, attempts, _ = await ask(in_turn(trouble, 200))
    assert [(attempt.status, attempt.error) for attempt in attempts] == [(None, type(trouble).__name__), (200, None)]


async def test_a_body_that_breaks_off_is_tried_again() -> None:
    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'{"entries":'
            raise httpx.ReadError("reset inside the body")

    answers = [httpx.Response(200, stream=Broken()), ok()]
    _, attempts, _ = await ask(lambda _: answers.pop(0))
    assert [attempt.error for attempt in attempts] == ["ReadError", None]


async def test_a_body_that_cannot_be_unpacked_is_tried_again() -> None:
    class Packed(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield gzip.compress(b"{}")[:-9] + b"nonsense!"

    answers = [httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Packed()), ok()]
    _, attempts, _ = await ask(lambda _: answers.pop(0))
    assert [attempt.error for attempt in attempts] == ["DecodingError", None]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 422, 501])
async def test_other_statuses_are_never_tried_again(status: int) -> None:
    attempts: list[Attempt] = []
    async with client_of(in_turn(status), on_attempt=attempts.append) as client:
        with pytest.raises(errors.for_status(status)) as caught:
            await client.metrics.mrr(*RANGE)
    assert len(attempts) == 1
    assert (caught.value.attempts, caught.value.waited) == (1, 0.0)


async def test_giving_up_after_six_attempts_tells_how_hard_it_was_tried() -> None:
    attempts: list[Attempt] = []
    async with client_of(in_turn(500), on_attempt=attempts.append) as client:
        with pytest.raises(errors.ServerError) as caught:
            await client.metrics.mrr(*RANGE)
    assert len(attempts) == 6
    assert caught.value.attempts == 6
    assert caught.value.waited == pytest.approx(sum(attempt.retry_in or 0 for attempt in attempts))
    assert f"6 attempts, {caught.value.waited:.1f} s waited" in str(caught.value)


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [(httpx.ReadTimeout(""), errors.RequestTimeoutError), (httpx.ReadError("reset"), errors.NetworkError)],
)
async def test_trouble_to_the_end_becomes_an_error_of_the_tree(
    trouble: Exception, kind: type[errors.TransportError]
) -> None:
    with pytest.raises(kind, match=r"GET https://api\.chartmogul\.com/v1/metrics/mrr: Read") as caught:
        await ask(in_turn(trouble), RetryPolicy(attempts=3))
    assert caught.value.__cause__ is trouble
    assert caught.value.attempts == 3
    assert caught.value.status is None


async def test_the_waits_are_fully_jittered_and_doubled_up_to_the_cap() -> None:
    waits: list[list[float]] = []
    for _ in range(60):
        attempts: list[Attempt] = []
        policy = RetryPolicy(base=2, cap=10)
        async with client_of(in_turn(502), retry=policy, on_attempt=attempts.append) as client:
            with pytest.raises(errors.ServerError):
                await client.metrics.mrr(*RANGE)
        waits.append([attempt.retry_in for attempt in attempts if attempt.retry_in is not None])
    for column, most in zip(zip(*waits, strict=True), [2, 4, 8, 10, 10], strict=True):
        assert max(column) <= most
        assert max(column) > most * 0.6  # 60 even draws all below that: one in 10^13
        assert min(column) < most * 0.4


async def test_a_used_up_compute_minute_passes_with_the_defaults() -> None:
    until: list[float] = []

    def handler(_: httpx.Request) -> httpx.Response:
        until[:] = until or [anyio.current_time() + 60]
        return httpx.Response(429) if anyio.current_time() < until[0] else ok()

    _, attempts, seconds = await ask(handler)
    assert 60 <= seconds <= 90
    assert [attempt.retry_in for attempt in attempts] == [1, 4, 16, 30, 30, None]


async def test_retry_after_is_sat_out_to_the_second() -> None:
    answer = httpx.Response(429, headers={"retry-after": "20"})
    _, attempts, seconds = await ask(in_turn(answer, 200))
    assert attempts[0].retry_in == seconds == 20


async def test_retry_after_counts_for_a_503_too() -> None:
    _, attempts, _ = await ask(in_turn(httpx.Response(503, headers={"retry-after": "12"}), 200))
    assert attempts[0].retry_in == 12


async def test_retry_after_as_a_date_is_held_against_the_servers_clock() -> None:
    headers = {"date": "Wed, 21 Oct 2015 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}
    _, attempts, _ = await ask(in_turn(httpx.Response(429, headers=headers), 200))
    assert attempts[0].retry_in == 30


@pytest.mark.parametrize("nonsense", ["nan", "-5", "1e12", "soon", ""])
async def test_a_retry_after_that_is_nonsense_is_not_heeded(nonsense: str) -> None:
    _, attempts, _ = await ask(in_turn(httpx.Response(429, headers={"retry-after": nonsense}), 200))
    assert attempts[0].retry_in == 1.0


async def test_a_wait_that_is_too_long_is_not_sat_out() -> None:
    attempts: list[Attempt] = []
    answer = httpx.Response(429, headers={"retry-after": "3600"})
    async with client_of(in_turn(answer, 200), on_attempt=attempts.append) as client:
        start = anyio.current_time()
        with pytest.raises(errors.RateLimitError) as caught:
            await client.metrics.mrr(*RANGE)
        assert caught.value.retry_after == 3600
        with pytest.raises(errors.RateLimitError, match="requests are paused for 3600 s") as second:
            await client.metrics.mrr(*RANGE)  # not even sent: the server has said when
        assert second.value.attempts == 0
        assert anyio.current_time() == start
        assert len(attempts) == 1


async def test_the_budget_counts_slow_exchanges() -> None:
    async def stall(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(30)
        raise httpx.ReadTimeout("stalled")

    attempts: list[Attempt] = []
    async with client_of(stall, on_attempt=attempts.append) as client:  # type: ignore[arg-type]
        start = anyio.current_time()
        with pytest.raises(errors.RequestTimeoutError):
            await client.metrics.mrr(*RANGE)
        assert anyio.current_time() - start == pytest.approx(90)
    assert [attempt.error for attempt in attempts] == ["ReadTimeout", "ReadTimeout", "TimeoutError"]
    assert [attempt.elapsed for attempt in attempts[:2]] == pytest.approx([30, 30])


async def test_an_answer_that_trickles_in_for_ever_is_cut_off() -> None:
    class Trickle(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await anyio.sleep(29)
                yield b" "

    start = anyio.current_time()
    with pytest.raises(errors.RequestTimeoutError, match="the retry policy's total time is used up"):
        await ask(lambda _: httpx.Response(200, stream=Trickle()))
    assert anyio.current_time() - start == pytest.approx(90)


@pytest.mark.parametrize("calls", [1, 20, 100])
async def test_a_server_that_refuses_for_ever_is_given_up_in_time_by_every_one_of_many_calls(calls: int) -> None:
    async def refuse(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.2)
        return httpx.Response(429)

    async with client_of(refuse) as client, anyio.create_task_group() as group:  # type: ignore[arg-type]

        async def call() -> None:
            start = anyio.current_time()
            with pytest.raises(errors.RateLimitError) as caught:
                await client.metrics.mrr(*RANGE)
            assert anyio.current_time() - start <= 95
            assert caught.value.waited <= 90

        for _ in range(calls):
            group.start_soon(call)


async def test_the_budget_does_not_count_our_own_line() -> None:
    """With a place that is taken for a hundred seconds, a request still gets all its attempts."""
    first = True

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal first
        if first:
            first = False
            await anyio.sleep(100)
            return ok()
        return httpx.Response(500)

    attempts: list[Attempt] = []
    options = {"throttle": Throttle(parallel=1), "on_attempt": attempts.append, "retry": RetryPolicy(total=100.5)}
    async with (
        client_of(handler, **options) as client,  # type: ignore[arg-type]
        anyio.create_task_group() as group,
    ):
        group.start_soon(client.metrics.mrr, *RANGE)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(errors.ServerError):
            await client.metrics.mrr(*RANGE)
    assert len(attempts) == 7
    assert attempts[1].queued == pytest.approx(100)


async def test_a_waiting_request_holds_no_place() -> None:
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


async def test_a_refused_certificate_is_not_tried_again() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("certificate has expired") from ssl.SSLCertVerificationError("expired")

    with pytest.raises(errors.NetworkError) as caught:
        await ask(handler)
    assert caught.value.attempts == 1


async def test_what_a_transport_of_the_user_raises_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        await ask(in_turn(500, ZeroDivisionError()))


@pytest.mark.parametrize(
    ("answer", "sends"),
    [(429, 2), (httpx.ConnectError("refused"), 2), (httpx.ReadError("reset"), 1), (500, 1), (503, 1)],
    ids=str,
)
async def test_what_may_have_changed_something_is_repeated_only_if_it_never_arrived(
    answer: int | Exception, sends: int
) -> None:
    sent: list[httpx.Request] = []
    answers = in_turn(answer, 200)

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return answers(request)

    url = httpx.URL("https://api.example.com/v1/plans")
    transport = build_transport(url, policy=RetryPolicy(), throttle=Throttle(), innermost=httpx.MockTransport(handler))
    try:
        await transport.handle_async_request(httpx.Request("POST", url))
    except errors.NetworkError:
        assert isinstance(answer, Exception)
    assert len(sent) == sends
    await transport.aclose()


async def test_a_request_that_we_built_wrong_is_not_repeated() -> None:
    with pytest.raises(errors.NetworkError) as caught:
        await ask(in_turn(httpx.LocalProtocolError("illegal header")))
    assert caught.value.attempts == 1


async def test_what_the_hook_raises_comes_out_and_the_place_is_given_back() -> None:
    def hook(_: Attempt) -> None:
        raise KeyError("a bug in the hook")

    throttle = Throttle()
    async with client_of(in_turn(200), throttle=throttle, on_attempt=hook) as client:
        with pytest.raises(KeyError):
            await client.metrics.mrr(*RANGE)
    assert throttle.statistics().in_flight == 0


async def test_what_the_hook_raises_is_not_taken_for_trouble_on_the_way() -> None:
    calls = 0

    def hook(_: Attempt) -> None:
        nonlocal calls
        calls += 1
        raise BrokenPipeError("the log file is gone")

    async with client_of(in_turn(500), on_attempt=hook) as client:
        with pytest.raises(BrokenPipeError):
            await client.metrics.mrr(*RANGE)
    assert calls == 1


async def test_the_log_tells_attempts_and_give_ups_and_shows_nothing_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "chartmogul_async")
    async with client_of(in_turn(500, 200)) as client:
        await client.metrics.mrr(*RANGE, plans=["A Secret Plan"])
    async with client_of(in_turn(500), retry=RetryPolicy(attempts=2)) as client:
        with pytest.raises(errors.ServerError):
            await client.customers.search("anna@example.com")
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in told] == ["DEBUG", "DEBUG", "DEBUG", "INFO"]
    assert told[0][1].startswith("GET /v1/metrics/mrr attempt 1: 500 after 0.000 s in line")
    assert told[1][1].endswith("; done")
    assert told[3][1].endswith("; giving up")
    for secret in (KEY, "anna", "Secret", "363819722"):
        assert secret not in caplog.text


async def test_an_attempt_tells_the_request_id() -> None:
    _, attempts, _ = await ask(in_turn(httpx.Response(200, json=MRR, headers={"x-request-id": "abc"})))
    assert attempts == [
        Attempt(
            method="GET",
            path="/v1/metrics/mrr",
            number=1,
            status=200,
            error=None,
            queued=0.0,
            elapsed=0.0,
            retry_in=None,
            request_id="abc",
        )
    ]


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


@given(
    st.sampled_from(["attempts", "base", "cap", "total"]),
    st.sampled_from([0, -1, "3", None]),
)
def test_a_policy_of_nonsense_is_refused(field: str, value: object) -> None:
    with pytest.raises(errors.UsageError, match=f"{field} is"):
        RetryPolicy(**{field: value})  # type: ignore[arg-type]


async def test_an_error_without_words_is_told_by_its_name() -> None:
    async with client_of(in_turn(httpx.ReadError("")), retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(errors.NetworkError) as caught:
            await client.ping()
    assert str(caught.value) == "GET https://api.chartmogul.com/v1/ping: ReadError"


async def test_an_error_without_words_is_told_by_the_words_of_its_cause() -> None:
    error = httpx.ConnectError("")
    error.__cause__ = OSError("certificate has expired")
    async with client_of(in_turn(error), retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(errors.NetworkError, match="ConnectError: certificate has expired"):
            await client.ping()


async def test_a_quotation_is_cut_and_an_honest_sentence_is_not() -> None:
    honest = "Hostname mismatch, certificate is not valid for 'api.example.club'. (_ssl.c:1006)"
    for said, told in [(honest, honest), ("illegal status line: bytearray(b'secret')", "illegal status line")]:
        async with client_of(in_turn(httpx.ConnectError(said)), retry=RetryPolicy(attempts=1)) as client:
            with pytest.raises(errors.NetworkError) as caught:
                await client.ping()
        assert caught.value.message.endswith(f"ConnectError: {told}")
