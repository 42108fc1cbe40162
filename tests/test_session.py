"""One request from the queue to its record: slots, closing, and the context of every error."""

from __future__ import annotations

import gc
import pickle
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
import respx

from chartmogul_async import RetryPolicy, Throttle, errors
from chartmogul_async.events import OnEvent
from chartmogul_async.transport.connections import Borrowed
from chartmogul_async.transport.exchanges import Endpoint, Exchanges, account_of
from chartmogul_async.transport.options import Options
from chartmogul_async.transport.permits import Permit
from chartmogul_async.transport.reuse import Reuse
from chartmogul_async.transport.session import Session
from tests.clients import MRR, AsyncHandler, Handler, another_mrr, client_of, in_turn, ok
from tests.kept import longest_kept_by
from tests.shared_limits import LoopStore

RANGE = ("2023-07-01", "2023-07-31")
ONCE = RetryPolicy(attempts=1)
PREFIX = "GET https://api.chartmogul.com/v1/metrics/mrr: "


def never(_: httpx.Request) -> httpx.Response:
    raise AssertionError("something was sent")


async def stall(_: httpx.Request) -> httpx.Response:
    await anyio.sleep_forever()
    raise AssertionError


# --- waiting ----------------------------------------------------------------------------------------------------


def count_of(kind: type) -> int:
    """How many instances are alive, the dead ones that wait for the garbage collector included."""
    return sum(type(thing) is kind for thing in gc.get_objects())


async def test_waiting_calls_hold_no_request() -> None:
    """A thousand calls wait, and only the twenty in flight have a request."""
    gc.collect()
    before = count_of(httpx.Request)
    async with client_of(stall) as client, anyio.create_task_group() as group:
        for _ in range(1_000):
            group.start_soon(client.ping)
        await anyio.wait_all_tasks_blocked()
        assert client.throttle.statistics().waiting == 980
        gc.collect()
        assert count_of(httpx.Request) - before == 20
        group.cancel_scope.cancel()


@pytest.mark.parametrize("responses", [(200,), (503, 200), (404,), (500, 500)], ids=repr)
async def test_responses_do_not_wait_for_the_garbage_collector(responses: tuple[int, ...]) -> None:
    """A response of many megabytes that is part of a cycle would live on after its call."""
    gc.collect()
    gc.disable()
    try:
        before = count_of(httpx.Response)
        for _ in range(10):
            async with client_of(in_turn(*responses), retry=RetryPolicy(attempts=2)) as client:
                with suppress(errors.ChartMogulError):
                    await client.get("/plans")
        # A frame of the event loop may still know the latest.
        await anyio.lowlevel.checkpoint()
        assert count_of(httpx.Response) <= before
    finally:
        gc.enable()


async def test_request_is_built_after_the_wait_for_each_attempt() -> None:
    permits: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        permits.append(repr(request.extensions["trace"].__self__))
        return httpx.Response(500) if len(permits) < 3 else ok()

    async with client_of(handler) as client:
        await client.metrics.mrr(*RANGE)
    assert len(set(permits)) == 3


async def test_calls_that_wait_when_the_client_closes_end_at_once() -> None:
    """They were never sent, so they take nothing from another client of the account either."""
    throttle, raised = Throttle(parallel=1), 0

    async def slow(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(1)
        return ok()

    async with client_of(in_turn(200), throttle=throttle) as other:
        closed = client_of(slow, throttle=throttle)
        start = anyio.current_time()

        async def call() -> None:
            nonlocal raised
            message = "^this client was closed while the call was in progress; close it after its last call$"
            with pytest.raises(errors.StateError, match=message):
                await closed.ping()
            raised += 1

        async with anyio.create_task_group() as group:
            group.start_soon(another_mrr(closed))
            await anyio.wait_all_tasks_blocked()
            for _ in range(1_000):
                group.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            await closed.aclose()
        assert raised == 1_000
        assert anyio.current_time() - start == pytest.approx(1, abs=0.1)
        await other.metrics.mrr(*RANGE)
        assert anyio.current_time() - start == pytest.approx(1, abs=0.1)
    statistics = throttle.statistics()
    assert (statistics.admitted, statistics.delayed, statistics.in_flight, statistics.waiting) == (2, 0, 0, 0)


async def test_a_retry_goes_ahead_of_calls_that_were_never_sent() -> None:
    sent: list[str] = []

    async def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path.removeprefix("/v1/plans/"))
        await anyio.sleep(1)
        return httpx.Response(500 if len(sent) == 1 else 200, json={})

    options: dict[str, Any] = {"throttle": Throttle(parallel=1), "retry": RetryPolicy(base=1e-6)}
    async with client_of(handler, **options) as client, anyio.create_task_group() as group:
        for number in range(9):
            group.start_soon(client.get, f"/plans/{number}")
            await anyio.wait_all_tasks_blocked()
    # The second one takes the slot while the first one waits to be sent again.
    assert sent == ["0", "1", "0", "2", "3", "4", "5", "6", "7", "8"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("p" * 70_000, "URL too long"), ("ppp\ud800", "'utf-8' codec can't encode character")],
    ids=["too long", "half of a surrogate pair"],
)
@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_arguments_without_a_valid_url_give_the_slot_back(text: str, reason: str, kind: str) -> None:
    """Should they get past the checks of the arguments."""
    throttle = Throttle(per_second=1, parallel=1, store=LoopStore() if kind == "shared" else None)
    async with client_of(in_turn(200), throttle=throttle) as client:
        for _ in range(3):
            with pytest.raises(
                errors.ArgumentError, match=f"the arguments do not make a valid URL: {reason}"
            ) as caught:
                await client._session.fetch_json("/plans", {"name": text})
            assert caught.value.__cause__ is None
            assert "ppp" not in str(caught.value)
        start = anyio.current_time()
        await client.metrics.mrr(*RANGE)
        # Nothing was sent before, so this start need not wait for a second to pass.
        assert anyio.current_time() == start
    statistics = throttle.statistics()
    assert (statistics.admitted, statistics.in_flight) == (1, 0)


async def test_any_error_in_building_gives_the_slot_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object, **__: object) -> None:
        raise MemoryError

    async with client_of(never) as client:
        with monkeypatch.context() as patch:
            patch.setattr(httpx, "Request", out_of_memory)
            with pytest.raises(MemoryError):
                await client.ping()
        assert client.throttle.statistics().in_flight == 0


# --- cancellation -----------------------------------------------------------------------------------------------


async def test_cancellation_at_any_step_gives_the_slot_back() -> None:
    """In the queue, in the exchange, between two attempts, and in the moment between any two of them."""

    async def handler(request: httpx.Request) -> httpx.Response:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        return httpx.Response(500)

    async def call() -> None:
        with pytest.raises(errors.ServerError):
            await client.ping()

    for steps in range(40):
        throttle = Throttle(parallel=1)
        async with client_of(handler, throttle=throttle, retry=RetryPolicy(attempts=3, base=1e-6)) as client:
            async with anyio.create_task_group() as group:
                group.start_soon(call)
                group.start_soon(call)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            statistics = throttle.statistics()
            assert (statistics.in_flight, statistics.waiting) == (0, 0)
            with anyio.fail_after(100):
                await call()


@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5])
async def test_cancelled_call_lets_the_next_one_start(seconds: float) -> None:
    throttle = Throttle(parallel=1)
    ended: list[float] = []

    async def handler(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(1)
        return ok()

    async def call() -> None:
        await another_mrr(client)()
        ended.append(anyio.current_time() - start)

    async with client_of(handler, throttle=throttle) as client:
        start = anyio.current_time()
        async with anyio.create_task_group() as group:
            with anyio.move_on_after(seconds):
                async with anyio.create_task_group() as cancelled:
                    for _ in range(10):
                        cancelled.start_soon(call)
                    await anyio.wait_all_tasks_blocked()
                    group.start_soon(call)
    # As soon as it is known that a response takes a second, none of the calls that will be cancelled before is sent.
    assert ended[-1] == pytest.approx(seconds + 1 if seconds < 1 else int(seconds) + 1)
    assert throttle.statistics().in_flight == 0


# --- the context of an error ------------------------------------------------------------------------------------


async def error_of(
    handler: Handler | AsyncHandler | respx.Router, policy: RetryPolicy = ONCE
) -> errors.ChartMogulError:
    """The error of one call, also after pickling, with what every error has in common."""
    async with client_of(handler, retry=policy) as client:
        with pytest.raises(errors.ChartMogulError) as caught:
            await client.metrics.mrr(*RANGE, plans=["A Secret Plan"])
    error = caught.value
    assert (error.method, error.url) == ("GET", "https://api.chartmogul.com/v1/metrics/mrr")
    assert error.path == "/v1/metrics/mrr"
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert str(one).startswith(PREFIX)
        assert str(one).count("GET") == str(one).count("/metrics/mrr") == 1
        assert "Secret" not in repr(one)
        assert vars(one) == vars(error)
        assert one.is_transient is error.is_transient
    return error


IDENTIFIED = {"x-request-id": "abc"}


@pytest.mark.parametrize(
    ("status", "kind", "is_transient"),
    [
        (302, errors.StatusError, False),
        (400, errors.BadRequestError, False),
        (401, errors.AuthenticationError, False),
        (402, errors.RequestFailedError, False),
        (403, errors.ForbiddenError, False),
        (404, errors.NotFoundError, False),
        (418, errors.StatusError, False),
        (422, errors.ValidationError, False),
        (429, errors.RateLimitError, True),
        (500, errors.ServerError, True),
        (503, errors.ServerError, True),
        (524, errors.ServerError, True),
    ],
)
async def test_context_of_a_status_error(
    api: respx.Router, status: int, kind: type[errors.StatusError], is_transient: bool
) -> None:
    api.get("/metrics/mrr").respond(status, json={"message": "No."}, headers=IDENTIFIED)
    error = await error_of(api)
    assert type(error) is kind
    assert (error.status, error.request_id, error.attempts, error.waited) == (status, "abc", 1, 0.0)
    assert str(error) == f"{PREFIX}{status}: No. (request id abc)"
    assert error.is_transient is is_transient


NO_TLS = "ConnectError: wrong; the server does not use TLS: on localhost base_url may begin with http://"


def not_tls(reason: str) -> httpx.ConnectError:
    """As httpx raises it where the server replied with something else than TLS."""
    failure, cause = httpx.ConnectError("wrong"), ssl.SSLError(1, "wrong")
    cause.reason = reason
    failure.__cause__ = cause
    return failure


@pytest.mark.parametrize(
    ("failure", "kind", "is_transient", "message"),
    [
        (httpx.ConnectError("refused"), errors.NetworkError, True, "ConnectError: refused"),
        (httpx.ReadTimeout(""), errors.RequestTimeoutError, True, "ReadTimeout"),
        (OSError("no route"), errors.NetworkError, True, "OSError: no route"),
        (TimeoutError("slow"), errors.RequestTimeoutError, True, "TimeoutError: slow"),
        (httpx.LocalProtocolError("illegal header"), errors.NetworkError, False, "LocalProtocolError: illegal header"),
        (httpx.UnsupportedProtocol("gopher"), errors.NetworkError, False, "UnsupportedProtocol: gopher"),
        (not_tls("WRONG_VERSION_NUMBER"), errors.NetworkError, False, NO_TLS),
        (not_tls("RECORD_LAYER_FAILURE"), errors.NetworkError, False, NO_TLS),
        (not_tls("OTHER"), errors.NetworkError, True, "ConnectError: wrong"),
        (
            ssl.SSLCertVerificationError("expired"),
            errors.NetworkError,
            False,
            "SSLCertVerificationError: ('expired',)",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_context_of_a_transport_error(
    failure: Exception, kind: type[errors.TransportError], is_transient: bool, message: str
) -> None:
    error = await error_of(in_turn(failure))
    assert type(error) is kind
    assert (error.status, error.request_id, error.attempts, error.waited) == (None, None, 1, 0.0)
    assert str(error) == PREFIX + message
    assert error.is_transient is is_transient
    assert error.__cause__ is failure


async def test_context_of_a_response_that_does_not_match(api: respx.Router) -> None:
    api.get("/metrics/mrr").respond(json={**MRR, "summary": None}, headers=IDENTIFIED)
    error = await error_of(api)
    assert type(error) is errors.DecodeError
    assert (error.status, error.request_id, error.attempts, error.waited) == (200, "abc", 1, 0.0)
    assert str(error) == f"{PREFIX}$.summary: expected object, got null (request id abc)"
    assert not error.is_transient
    assert error.__cause__ is error.__context__ is None


async def test_context_of_a_body_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chartmogul_async.transport.bodies.LARGEST_BODY", 10)

    class Large(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"12345678901"

    error = await error_of(lambda _: httpx.Response(200, stream=Large(), headers=IDENTIFIED))
    assert type(error) is errors.DecodeError
    assert (error.status, error.request_id, error.attempts, error.is_transient) == (200, "abc", 1, False)


async def test_context_of_an_error_in_a_success(api: respx.Router) -> None:
    api.get("/metrics/mrr").respond(json={"error": "Off."}, headers=IDENTIFIED)
    error = await error_of(api)
    assert error.message.startswith("the response contains an error, 'Off.'; $.entries: missing")
    assert (error.status, error.request_id) == (200, "abc")


async def test_context_after_several_attempts() -> None:
    responses = [httpx.Response(503, headers={"retry-after": "3", "x-request-id": "first"})]
    responses.append(httpx.Response(503, headers={"retry-after": "4", "x-request-id": "second"}))
    responses.append(httpx.Response(404, headers={"x-request-id": "third"}))
    error = await error_of(in_turn(*responses), RetryPolicy())
    assert (error.status, error.request_id, error.attempts, error.waited) == (404, "third", 3, 7.0)
    assert str(error).endswith("(3 attempts, waited 7.0 s; request id third)")


async def test_context_of_a_failure_after_a_response() -> None:
    """The error is about the last attempt, which got no response: no status and no request id of an earlier one."""
    first = httpx.Response(503, headers={"retry-after": "3", "x-request-id": "first"})
    error = await error_of(in_turn(first, httpx.ReadError("reset")), RetryPolicy(attempts=2))
    assert (error.status, error.request_id, error.attempts, error.waited) == (None, None, 2, 3.0)


async def test_context_of_a_mismatch_after_several_attempts() -> None:
    first = httpx.Response(503, headers={"retry-after": "3", "x-request-id": "first"})
    error = await error_of(in_turn(first, httpx.Response(200, json=[], headers=IDENTIFIED)), RetryPolicy())
    assert (error.status, error.request_id, error.attempts, error.waited) == (200, "abc", 2, 3.0)


async def test_context_of_a_call_that_was_not_sent() -> None:
    async with client_of(in_turn(httpx.Response(429, headers={"retry-after": "600"}))) as client:
        with pytest.raises(errors.RateLimitError):
            await client.ping()
        with pytest.raises(errors.RateLimitError) as caught:
            await client.metrics.mrr(*RANGE)
    error = caught.value
    assert (error.method, error.url) == ("GET", "https://api.chartmogul.com/v1/metrics/mrr")
    assert (error.status, error.request_id, error.attempts, error.waited) == (429, None, 0, 0.0)
    assert str(error).startswith(f"{PREFIX}429: not sent: rate limited for another 600 s")
    assert error.is_transient


async def test_context_of_get(api: respx.Router) -> None:
    api.get("/plans/pl_1").respond(text="<html>", headers=IDENTIFIED)
    async with client_of(api) as client:
        with pytest.raises(errors.DecodeError) as caught:
            await client.get("plans/pl_1", {"a": "secret"})
    error = caught.value
    assert (error.url, error.path) == ("https://api.chartmogul.com/v1/plans/pl_1", "/v1/plans/pl_1")
    assert (error.status, error.request_id, error.attempts) == (200, "abc", 1)
    assert str(error).startswith("GET https://api.chartmogul.com/v1/plans/pl_1: $: the body of 6 bytes is not JSON")


async def test_context_with_another_base_url() -> None:
    events: list[Any] = []
    router = respx.Router()
    router.get("http://127.0.0.1/sub/v1/ping").respond(404)
    async with client_of(router, base_url="http://127.0.0.1:80/sub/v1/", on_event=events.append) as client:
        with pytest.raises(errors.NotFoundError) as caught:
            await client.ping()
    assert caught.value.path == events[0].path == "/sub/v1/ping"
    assert str(caught.value).startswith("GET http://127.0.0.1/sub/v1/ping: 404")


async def test_concurrent_errors_have_their_own_context() -> None:
    """Also where a transport raises one and the same exception in several calls."""
    shared = httpx.ReadError("reset")
    found: dict[str, errors.ChartMogulError] = {}

    async def handler(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(1)
        raise shared

    async def call(path: str) -> None:
        with pytest.raises(errors.NetworkError) as caught:
            await client.get(path)
        found[path] = caught.value

    async with client_of(handler, retry=RetryPolicy(attempts=2)) as client, anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(call, f"/plans/{number}")
    assert len(set(found.values())) == 20
    for path, error in found.items():
        assert (error.path, error.attempts, error.__cause__) == (f"/v1{path}", 2, shared)


async def test_details_of_an_error_response(api: respx.Router) -> None:
    details = [{"param": "geo", "code": "invalid", "message": "no such country"}, {"message": "and more"}]
    api.get("/metrics/mrr").respond(422, json={"message": "Invalid.", "error_details": details})
    error = await error_of(api)
    assert error.details == (
        errors.ErrorDetail("no such country", "geo", "invalid"),
        errors.ErrorDetail("and more"),
    )
    assert error.param == "geo"


async def test_error_page_is_described_by_its_type(api: respx.Router) -> None:
    api.get("/metrics/mrr").respond(502, html="<html>Bad gateway</html>")
    error = await error_of(api)
    assert "text/html" in str(error)
    error = await error_of(in_turn(httpx.Response(502, content=b"<html>")))
    assert error.message == "Bad Gateway (a body of 6 characters, no content type, that is not JSON)"


async def test_a_redirect_says_where_to_look(api: respx.Router) -> None:
    api.get("/metrics/mrr").respond(302, headers={"location": "https://evil.example/"})
    error = await error_of(api)
    assert error.message == "the server redirects elsewhere, where the API key must not be sent; check base_url"


# --- what errors do not quote -----------------------------------------------------------------------------------


async def test_error_without_text_is_named_by_its_class() -> None:
    error = await error_of(in_turn(httpx.ReadError("")))
    assert str(error) == f"{PREFIX}ReadError"


async def test_error_without_text_has_the_text_of_the_systems_error() -> None:
    failure = httpx.ConnectError("")
    failure.__cause__ = ValueError("not this one")
    failure.__cause__.__context__ = OSError("")
    failure.__cause__.__context__.__cause__ = OSError("certificate has expired")
    error = await error_of(in_turn(failure))
    assert str(error) == f"{PREFIX}ConnectError: certificate has expired"


async def test_refused_certificate_is_found_wherever_it_is() -> None:
    """The layers below chain their errors in several ways."""
    for chained in ("__cause__", "__context__"):
        for failure in (httpx.ConnectError(""), OSError(""), httpx.ReadError("")):
            below = httpx.NetworkError("")
            setattr(failure, chained, below)
            setattr(below, chained, ssl.SSLCertVerificationError(1, "certificate has expired"))
            error = await error_of(in_turn(failure))
            assert not error.is_transient
            assert str(error) == f"{PREFIX}{type(failure).__name__}: {below.__cause__ or below.__context__}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "Hostname mismatch, certificate is not valid for 'api.example.club'. (_ssl.c:1006)",
            "Hostname mismatch, certificate is not valid for 'api.example.club'. (_ssl.c:1006)",
        ),
        ("illegal status line: bytearray(b'secret')", "illegal status line"),
        ("illegal header line: b'secret'\nmore secrets", "illegal header line"),
        ('illegal: b"secret"', "illegal"),
    ],
)
async def test_quoted_bytes_are_cut_off(text: str, shown: str) -> None:
    error = await error_of(in_turn(httpx.ConnectError(text)))
    assert error.message == f"ConnectError: {shown}"


async def test_protocol_error_is_not_chained() -> None:
    """Its text and its causes quote what was received, which may hold customers."""
    failure = httpx.RemoteProtocolError("illegal status line: bytearray(b'secret')")
    failure.__cause__ = ValueError("secret")
    error = await error_of(in_turn(failure))
    assert error.__cause__ is error.__context__ is None
    assert str(error) == f"{PREFIX}RemoteProtocolError: illegal status line"


# --- one event loop, one throttle -------------------------------------------------------------------------------


def session_of(handler: Handler, throttle: Throttle, on_event: OnEvent | None = None) -> Session:
    endpoint = Endpoint("https://x.example", Borrowed(httpx.MockTransport(handler)))
    options = Options({}, RetryPolicy(), on_event=on_event)
    return Session(Exchanges(endpoint, "key", "account", throttle), options, Reuse())


async def test_session_leaves_its_throttle_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    throttle = Throttle()
    admission = throttle._attach(object(), "account")
    monkeypatch.setattr(throttle, "_attach", lambda *_: calls.append("attach") or admission)  # type: ignore[func-returns-value]
    monkeypatch.setattr(throttle, "_detach", lambda _: calls.append("detach"))
    unused = session_of(never, throttle)
    await unused.aclose()
    assert calls == []
    session = session_of(in_turn(httpx.Response(200, json=[])), throttle)
    assert await session.fetch_json("/plans", {}) == await session.fetch_json("/plans", {}) == []
    await session.aclose()
    await session.aclose()
    # It may have been at rest between two requests.
    assert calls == ["attach", "attach", "detach"]


async def test_session_works_at_the_root_of_a_host() -> None:
    router = respx.Router()
    route = router.get("https://x.example/plans").respond(json={"a": 1})
    events: list[Any] = []
    session = session_of(router.handler, Throttle(), events.append)
    assert await session.fetch_json("/plans", {"q": "a b~c&d"}) == {"a": 1}
    assert [call.request.url.raw_path for call in route.calls] == [b"/plans?q=a%20b~c%26d"]
    assert [event.path for event in events] == ["/plans"]


async def test_permit_is_released_before_the_next_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each permit is given back exactly once, with the status of its response."""
    released: list[tuple[Any, ...]] = []
    release = Throttle._release

    def noted(self: Throttle, permit: Permit, *news: Any) -> Any:
        released.append((permit.number, *news))
        return release(self, permit, *news)

    monkeypatch.setattr(Throttle, "_release", noted)
    limited = httpx.Response(429, headers={"retry-after": "2"})
    odd = httpx.Response(200, json=MRR, headers={"retry-after": "50"})
    async with client_of(in_turn(limited, httpx.ReadError("reset"), odd)) as client:
        await client.metrics.mrr(*RANGE)
    assert released == [(1, 429, 2.0, False), (2, None, None, False), (3, 200, None, False)]


# --- what errors contain, and what they keep -------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"[" + b"1," * 9_000, b'{"data": [' + b"1," * 9_000 + b"1]}"], ids=range(2))
@pytest.mark.parametrize("call", ["ping", "get"])
async def test_an_error_keeps_neither_body_nor_parsed_value(content: bytes, call: str) -> None:
    content = content if call == "ping" else content[:-1]
    async with client_of(in_turn(httpx.Response(200, content=content))) as client:
        with pytest.raises(errors.DecodeError) as caught:
            await (client.ping() if call == "ping" else client.get("/x"))
    assert caught.value.status == 200
    assert longest_kept_by(caught.value, "chartmogul_async") < 100


async def test_the_reason_of_a_failure_is_one_short_line() -> None:
    reason = f"403 {' ' * 100}b'{'x' * 20_000}'"
    for failure, expected in [
        (httpx.ProxyError("403 No\tway" + " " * 20_000 + "!"), "ProxyError: 403 No way"),
        (httpx.ProxyError(reason), "ProxyError: 403"),
        (httpx.ReadTimeout("x" * 20_000), f"ReadTimeout: {'x' * 500}"),
        (httpx.ConnectError("x" * 20_000), f"ConnectError: {'x' * 500}"),
    ]:
        async with client_of(in_turn(failure), retry=RetryPolicy(attempts=1)) as client:
            with pytest.raises(errors.TransportError) as caught:
                await client.ping()
        assert caught.value.message == expected


async def test_only_short_texts_are_searched_for_quotations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern may need a time that grows with the square of the length."""
    lengths: list[int] = []
    search = re.search

    def measured(pattern: str, text: str) -> Any:
        lengths.append(len(text))
        return search(pattern, text)

    monkeypatch.setattr("chartmogul_async.transport.failures.re.search", measured)
    async with client_of(in_turn(httpx.ProxyError(" " * 20_000)), retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(errors.NetworkError):
            await client.ping()
    assert lengths
    assert max(lengths) <= 500


async def test_a_request_id_is_cut() -> None:
    answer = httpx.Response(422, headers={"x-request-id": "a\tb" + "c" * 90_000})
    async with client_of(in_turn(answer)) as client:
        with pytest.raises(errors.ValidationError) as caught:
            await client.ping()
    assert caught.value.request_id == "a b" + "c" * 197


# --- what the throttle is told ----------------------------------------------------------------------------------


async def test_a_retry_claims_what_its_call_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    claims: list[Any] = []
    acquire = Throttle._acquire

    async def note(self: Throttle, *arguments: Any, **options: Any) -> Permit:
        claims.append(options["claim"])
        return await acquire(self, *arguments, **options)

    monkeypatch.setattr(Throttle, "_acquire", note)
    async with client_of(in_turn(500, 200), retry=RetryPolicy(base=0.001)) as client:
        await client.with_options(priority="batch").metrics.mrr(*RANGE)
    assert [claim.is_batch for claim in claims] == [True, True]
    assert claims[0] is claims[1]


@pytest.mark.parametrize(
    ("outcome", "given_up"),
    [
        (200, False),
        (404, False),
        (httpx.ConnectError("refused"), False),
        (httpx.ReadTimeout("slow"), True),
        ("cancelled", True),
    ],
    ids=str,
)
async def test_a_slot_lingers_after_what_was_given_up(
    outcome: Any, given_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may still be busy with it."""
    told: list[bool] = []
    end = Throttle._end

    async def note(self: Throttle, permit: Permit, status: Any, retry_after: Any, given_up: bool) -> Any:
        told.append(given_up)
        return await end(self, permit, status, retry_after, given_up)

    monkeypatch.setattr(Throttle, "_end", note)
    async with client_of(stall if outcome == "cancelled" else in_turn(outcome), retry=ONCE) as client:
        with anyio.move_on_after(1), suppress(errors.ChartMogulError):
            await client.metrics.mrr(*RANGE)
    assert told == [given_up]


@pytest.mark.parametrize("is_shared", [True, False])
async def test_only_a_throttle_of_one_process_says_how_to_share(
    is_shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Throttle, "_is_shared", is_shared)
    async with client_of(in_turn(429), retry=ONCE) as client:
        with pytest.raises(errors.RateLimitError) as caught:
            await client.metrics.mrr(*RANGE)
    assert ("FileStore" in "".join(getattr(caught.value, "__notes__", []))) == (not is_shared)


def test_an_account_has_the_same_name_in_every_version() -> None:
    """What processes share is found by it."""
    assert account_of("https://api.chartmogul.com/v1", "key") == "b98c10c1613f874100f27d36a9478d54"
