"""The middleware for pages, around plain ASGI applications."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from chartmogul_async import AsyncClient, errors
from chartmogul_async.integrations.asgi import ChartMogulMiddleware, error_response
from chartmogul_async.sandbox import Company, Sandbox
from tests.web.browsers import Browser

App = Callable[[Any, Any, Any], Awaitable[None]]
RANGE = "2024-01-01", "2024-12-31"


async def respond(send: Any, body: bytes = b"done", status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


def raising(error: BaseException) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.lowlevel.checkpoint()
        raise error

    return app


def page(app: App, deadline: float | None = None) -> ChartMogulMiddleware:
    return ChartMogulMiddleware(app, deadline=deadline)


# --- browsers that hang up -----------------------------------------------------------------------------------


async def test_a_browser_that_hangs_up_cancels_its_pull() -> None:
    sandbox = Sandbox(Company(customers=10), latency=60)
    async with AsyncClient("sandbox", transport=sandbox.transport()) as client:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            # It never calls receive.
            await client.get(scope["path"])

        browsers = [Browser(f"/{number}") for number in range(100)]
        async with anyio.create_task_group() as tasks:
            for browser in browsers:
                tasks.start_soon(browser.open, page(app))
            await anyio.sleep(1)
            assert client.throttle.statistics().waiting == 80
            for browser in browsers:
                browser.hang_up()
            await anyio.sleep(1)
            assert (client.throttle.statistics().waiting, sandbox.counters.in_progress) == (0, 0)
        # For whatever stands around it.
        assert {browser.status for browser in browsers} == {499}
        assert browsers[0].json == {"error": "The browser hung up"}


async def test_the_other_viewers_of_a_page_keep_their_pull() -> None:
    sandbox = Sandbox(Company(customers=10), latency=5)
    async with AsyncClient("sandbox", transport=sandbox.transport()) as client:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            series = await client.metrics.mrr(*RANGE)
            await respond(send, str(len(series)).encode())

        first, second = Browser(), Browser()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.open, page(app))
            await anyio.sleep(1)
            tasks.start_soon(second.open, page(app))
            await anyio.sleep(1)
            first.hang_up()
        assert (first.status, second.content) == (499, b"12")


async def test_an_application_that_listens_is_cancelled_too() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            seen.append((await receive())["type"])

    browser = Browser("/", b"part", stays=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(browser.open, page(app))
        await anyio.sleep(1)
        browser.hang_up()
    assert (seen, browser.status) == (["http.request"], 499)


async def test_a_stream_ends_when_its_browser_hangs_up() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"more", "more_body": True})
            await anyio.sleep(1)

    browser = Browser()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(browser.open, page(app))
        await anyio.sleep(2.5)
        browser.hang_up()
    assert browser.content == b"more" * 3
    assert all(message.get("more_body", True) for message in browser.messages)


@pytest.mark.parametrize("last", ["http.response.body", "http.response.pathsend"])
async def test_work_after_the_response_goes_on(last: str) -> None:
    done: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": last, "path": "/a/file"})
        browser.hang_up()
        await anyio.sleep(60)
        done.extend([(await receive())["type"] for _ in range(2)])

    browser = Browser()
    await browser.open(page(app, deadline=5))
    assert done == ["http.request", "http.disconnect"]
    assert browser.status == 200


async def test_what_is_shielded_is_not_left_half_done() -> None:
    done = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(5)
            done.append(scope["path"])
        await anyio.sleep(5)
        done.append("not this")

    browser = Browser("/write")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(browser.open, page(app))
        await anyio.sleep(1)
        browser.hang_up()
    assert (done, browser.status) == (["/write"], 499)


async def test_a_server_that_ends_cancels_its_pages() -> None:
    browser = Browser()
    with anyio.move_on_after(1) as scope:
        await browser.open(page(raising_after(60)))
    assert scope.cancelled_caught
    assert browser.messages == []


def raising_after(seconds: float, error: Exception | None = None) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep(seconds)
        raise error or AssertionError

    return app


# --- what is received ----------------------------------------------------------------------------------------


async def body_of(receive: Any) -> bytes:
    body, is_more = b"", True
    while is_more:
        message = await receive()
        body, is_more = body + message["body"], message["more_body"]
    return body


async def test_the_body_of_a_request_is_handed_on() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep(1)
        await respond(send, await body_of(receive))

    parts = [bytes([number]) for number in range(100)]
    browser = await Browser("/", *parts, method="POST").open(page(app))
    assert browser.content == b"".join(parts)


async def test_a_body_is_not_read_far_ahead() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep(1)
        asked.append(browser.asked)
        await respond(send, await body_of(receive))

    asked: list[int] = []
    browser = Browser("/", *[b"part"] * 100, method="POST")
    await browser.open(page(app))
    assert asked == [16]
    assert browser.content == b"part" * 100


async def test_a_body_is_not_invited_before_the_application_wants_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep(1)
        asked.append(browser.asked)
        await respond(send, await body_of(receive))

    asked: list[int] = []
    browser = Browser("/", b"large", method="POST", expect="100-Continue")
    await browser.open(page(app))
    assert asked == [0]
    assert browser.content == b"large"


@pytest.mark.parametrize("headers", [{"expect": "something"}, {"x_wanted": "100-continue"}])
async def test_other_expectations_are_not_ours(headers: dict[str, Any]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep(1)
        asked.append(browser.asked)

    asked: list[int] = []
    browser = Browser("/", b"small", method="POST", **headers)
    await browser.open(page(app))
    assert asked == [2]


async def test_a_look_for_a_disconnect_does_not_wait() -> None:
    """Starlette's ``Request.is_disconnected`` asks in a cancelled scope."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep(1)
        for _ in range(2):
            with anyio.CancelScope() as look:
                look.cancel()
                seen.append(await receive())
        await respond(send)
        await anyio.sleep(1)
        seen.append(await receive())

    await Browser().open(page(app))
    assert [message["type"] for message in seen] == ["http.request", "http.disconnect"]


async def test_a_request_that_is_kept_is_disconnected() -> None:
    kept = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await body_of(receive)
        kept.append(receive)
        await respond(send)

    await Browser().open(page(app))
    assert await kept[0]() == {"type": "http.disconnect"}


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_all_but_http_is_left_to_the_application(kind: str) -> None:
    seen = []

    async def app(*arguments: Any) -> None:
        seen.append(arguments)

    browser = Browser()
    await page(app)({"type": kind}, browser.receive, browser.send)
    assert seen == [({"type": kind}, browser.receive, browser.send)]


# --- deadlines -----------------------------------------------------------------------------------------------


async def test_a_page_that_takes_too_long_is_503() -> None:
    browser = Browser()
    before = anyio.current_time()
    await browser.open(page(raising_after(60), deadline=2.5))
    assert anyio.current_time() - before == pytest.approx(2.5)
    assert (browser.status, browser.headers["retry-after"]) == (503, "5")
    assert browser.json == {"error": "The page took longer than 2.5 s; try again in 5 s"}


async def test_a_response_that_has_begun_has_no_deadline() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await anyio.sleep(5)
            await send({"type": "http.response.body", "body": b"slow ", "more_body": True})
        await send({"type": "http.response.body"})

    assert (await Browser().open(page(app, deadline=2))).content == b"slow slow slow "


async def test_a_response_that_begins_too_late_is_not_sent() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await anyio.sleep(60)
        finally:
            await respond(send, b"late")

    browser = await Browser().open(page(app, deadline=2))
    assert [message["type"] for message in browser.messages] == ["http.response.start", "http.response.body"]
    assert browser.status == 503


async def test_an_application_without_a_response_is_left_to_the_server() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    assert (await Browser().open(page(app, deadline=2))).messages == []


@pytest.mark.parametrize("deadline", [0, -1, True, "10"])
def test_a_deadline_is_a_positive_number(deadline: Any) -> None:
    with pytest.raises(errors.ArgumentError, match=r"^deadline must be a positive number of seconds or None, not "):
        ChartMogulMiddleware(raising_after(1), deadline=deadline)


# --- errors --------------------------------------------------------------------------------------------------

URL = "https://api.chartmogul.com/v1/metrics/mrr"
DETAILS: dict[str, Any] = {"request_id": "5f3c", "url": URL, "method": "GET"}
UNREADABLE = "The response of ChartMogul cannot be read"
MAPPED = [
    (errors.ArgumentError("geo must contain …, not 'UK'"), 422, "geo must contain …, not 'UK'"),
    (errors.ValidationError("is invalid", 422, **DETAILS), 422, "is invalid"),
    (errors.ValidationError("is invalid", 422, "plans", **DETAILS), 422, "is invalid (parameter plans)"),
    (
        errors.RateLimitError("slow", 429, retry_after=7.2),
        503,
        "ChartMogul receives too many requests; try again in 8 s",
    ),
    (errors.RateLimitError("slow", 429), 503, "ChartMogul receives too many requests; try again in 5 s"),
    (errors.RateLimitError("slow", 429, retry_after=0), 503, "ChartMogul receives too many requests; try again in 1 s"),
    (errors.QueueTimeoutError("busy"), 503, "Too many requests to ChartMogul are waiting; try again in 5 s"),
    (errors.StoreError("full disk"), 503, "No request can be sent to ChartMogul at present; try again in 5 s"),
    (errors.AuthenticationError("secret", 401, **DETAILS), 502, "ChartMogul responded with an error (401)"),
    (errors.ServerError("secret", 503, **DETAILS), 502, "ChartMogul responded with an error (503)"),
    (errors.BadRequestError("secret", 400, **DETAILS), 502, "ChartMogul responded with an error (400)"),
    (errors.DecodeError("secret", 200, **DETAILS), 502, UNREADABLE),
    (errors.RequestTimeoutError("secret", **DETAILS), 502, "ChartMogul did not respond"),
    (errors.NetworkError("secret", **DETAILS), 502, "ChartMogul did not respond"),
]


@pytest.mark.parametrize(("error", "status", "sentence"), MAPPED, ids=lambda value: type(value).__name__)
async def test_errors_become_responses(error: Any, status: int, sentence: str) -> None:
    browser = await Browser().open(page(raising(error)))
    assert (browser.status, browser.json) == (status, {"error": sentence})
    assert browser.headers["content-type"] == "application/json"
    assert browser.headers["content-length"] == str(len(browser.content))
    assert ("retry-after" in browser.headers) == (status == 503)
    assert error_response(error).content == {"error": sentence}


async def test_a_retry_after_is_whole_seconds() -> None:
    error = errors.RateLimitError("slow", 429, retry_after=7.2)
    assert (await Browser().open(page(raising(error)))).headers["retry-after"] == "8"
    assert error_response(error).headers == {"Retry-After": "8"}


async def test_every_error_of_an_exchange_is_mapped() -> None:
    known = [value for value in vars(errors).values() if isinstance(value, type)]
    for error in known:
        if issubclass(error, errors.ChartMogulError):
            assert error_response(error("secret", 418)).status in (422, 502, 503)


async def test_a_key_that_is_refused_is_not_shown() -> None:
    sandbox = Sandbox(Company(customers=10), api_key="another")
    async with AsyncClient("a-secret-key", transport=sandbox.transport()) as client:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await client.metrics.mrr(*RANGE)

        browser = await Browser().open(page(app))
    assert browser.json == {"error": "ChartMogul responded with an error (401)"}


@pytest.mark.parametrize(
    ("leaves", "status"),
    [
        ([errors.NetworkError("reset")], 502),
        ([errors.QueueTimeoutError("busy"), errors.NetworkError("reset")], 502),
        ([errors.QueueTimeoutError("busy"), errors.ArgumentError("wrong"), errors.NetworkError("reset")], 422),
        ([ExceptionGroup("inner", [errors.QueueTimeoutError("busy")])], 503),
    ],
)
async def test_a_group_of_errors_becomes_one_response(leaves: list[Exception], status: int) -> None:
    assert (await Browser().open(page(raising(ExceptionGroup("outer", leaves))))).status == status


OTHERS = [
    ValueError("a bug"),
    errors.StateError("closed"),
    ExceptionGroup("outer", [errors.NetworkError("reset"), ValueError("a bug")]),
]


@pytest.mark.parametrize("error", OTHERS)
async def test_other_errors_are_raised_as_they_are(error: Exception) -> None:
    browser = Browser()
    with pytest.raises(type(error)) as raised:
        await browser.open(page(raising(error)))
    assert raised.value is error
    assert browser.messages == []


async def test_an_error_in_a_response_is_raised() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise errors.NetworkError("reset")

    browser = Browser()
    with pytest.raises(errors.NetworkError):
        await browser.open(page(app))
    assert len(browser.messages) == 1


async def test_the_log_has_what_the_browser_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "chartmogul_async")
    await Browser().open(page(raising(errors.AuthenticationError("No such key", 401, **DETAILS))))
    await Browser().open(page(raising(errors.ArgumentError("geo must be …"))))
    await Browser().open(page(raising_after(60), deadline=2))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"a page responds with 502: GET {URL}: 401: No such key (request id 5f3c)"),
        ("INFO", "a page responds with 503: its deadline passed"),
    ]
