"""Pages of web apps: a browser that hangs up ends its pull, a page has a deadline, and errors become responses.

::

    from chartmogul_async.integrations.asgi import ChartMogulMiddleware

    app.add_middleware(ChartMogulMiddleware, deadline=10)

It is plain ASGI, so it works in FastAPI, Starlette, Litestar and everything else that speaks it, on asyncio and trio.
"""

from __future__ import annotations

import json
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import anyio
import anyio.lowlevel
from attrs import field, frozen

from chartmogul_async.checks import positive_number
from chartmogul_async.errors import (
    ArgumentError,
    ChartMogulError,
    DecodeError,
    QueueTimeoutError,
    RateLimitError,
    StatusError,
    StoreError,
    ValidationError,
)
from chartmogul_async.events import logger

# Those of ASGI; each framework has its own types for the same dictionaries.
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
ASGIApp = Callable[[Any, Receive, Send], Awaitable[None]]

# Seconds after which a page may be asked for again, where nothing better is known.
_RETRY_AFTER = 5.0
# Messages of a request's body that are read ahead; servers make them of at most 64 KiB.
_MOST_AHEAD = 16
# What nginx calls it. No browser sees it, but a middleware around this one does.
_HUNG_UP = 499


@frozen
class ErrorResponse:
    """What a browser is given in place of a page.

    Attributes:
        status: The HTTP status.
        content: An object for JSON, ``{"error": "a sentence"}``.
        headers: ``Retry-After`` where the same page may be there later.
    """

    status: int
    content: Mapping[str, str]
    headers: Mapping[str, str] = field(factory=dict)


def error_response(error: ChartMogulError | ArgumentError) -> ErrorResponse:
    """Map an error to a response.

    ``ArgumentError`` and ``ValidationError`` become 422 with their reason, since arguments come from the browser.
    ``RateLimitError``, ``QueueTimeoutError`` and ``StoreError`` become 503 with ``Retry-After``, all other errors 502.
    Of these the browser is told the kind and the status, and nothing else.

    Args:
        error: What a call raised.

    Returns:
        The response.
    """
    if isinstance(error, ArgumentError):
        return _error(422, str(error))
    if isinstance(error, ValidationError):
        return _error(422, f"{error.message} (parameter {error.param})" if error.param else error.message)
    if isinstance(error, RateLimitError):
        return _try_later("ChartMogul receives too many requests", error.retry_after)
    if isinstance(error, QueueTimeoutError):
        return _try_later("Too many requests to ChartMogul are waiting")
    if isinstance(error, StoreError):
        return _try_later("No request can be sent to ChartMogul at present")
    if isinstance(error, StatusError):
        return _error(502, f"ChartMogul responded with an error ({error.status})")
    if isinstance(error, DecodeError):
        return _error(502, "The response of ChartMogul cannot be read")
    return _error(502, "ChartMogul did not respond")


class ChartMogulMiddleware:
    """ASGI middleware for pages that are made of ChartMogul's figures.

    * A browser that hangs up cancels its page, and with it the calls that no other page waits for.
    * A page whose response has not begun after ``deadline`` seconds is cancelled: 503 with ``Retry-After``.
    * A ``ChartMogulError`` or ``ArgumentError`` that a page raises becomes the response of ``error_response``, unless a
      response has begun. An exception group of nothing else becomes that of the error that matters most.

    What runs after the response is complete, as a background task of Starlette, is not cancelled. A request by POST is
    cancelled as well; shield what must not be left half done (``anyio.CancelScope(shield=True)``).

    Args:
        app: The application around which it stands.
        deadline: Seconds until the response must begin; None for any time.

    Raises:
        ArgumentError: ``deadline`` is not a positive number.
    """

    def __init__(self, app: ASGIApp, *, deadline: float | None = None) -> None:
        self._app = app
        self._deadline = (
            math.inf if deadline is None else positive_number("deadline", deadline, " of seconds", " or None")
        )

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one request.

        Args:
            scope: The ASGI scope; all but HTTP is left to the application.
            receive: Awaits the next message of the browser.
            send: Sends a message to the browser.

        Raises:
            Exception: What the application raised, if it is not mapped to a response.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        page = _Page(scope, receive, send, self._deadline)
        try:
            await page.serve(self._app)
        except Exception as error:
            response = None if page.has_begun else _response_to(error)
            if response is None:
                raise
            _report(response, str(error))
        else:
            response = self._response_to_cut(page)
        if response is not None:
            await _send(response, send)

    def _response_to_cut(self, page: _Page) -> ErrorResponse | None:
        if page.has_begun or page.has_returned:
            return None
        if page.has_hung_up:
            return _error(_HUNG_UP, "The browser hung up")
        response = _try_later(f"The page took longer than {self._deadline:g} s")
        _report(response, "its deadline passed")
        return response


class _Page:
    """One request: what was read ahead of the application, and how far its response is.

    Attributes:
        has_begun: The application has begun its response.
        has_returned: It came to its end by itself.
        has_hung_up: The browser left before the response was complete.
    """

    def __init__(self, scope: Any, receive: Receive, send: Send, deadline: float) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._deadline = anyio.current_time() + deadline
        self._tasks = anyio.create_task_group()
        self._ahead: deque[Any] = deque()
        self._changed = anyio.Event()
        self._reads_ahead = anyio.Event()
        self._has_ended = self._is_complete = False
        self.has_begun = self.has_returned = self.has_hung_up = False

    async def serve(self, app: ASGIApp) -> None:
        """Run the application until it returns, the browser hangs up or the deadline passes; raises what it raises."""
        failure = None
        async with self._tasks as tasks:
            tasks.cancel_scope.deadline = self._deadline
            tasks.start_soon(self._watch)
            try:
                await app(self._scope, self.receive, self.send)
            except Exception as error:  # noqa: BLE001 - the task group would make a group of it
                failure = error
            self.has_returned = True
            tasks.cancel_scope.cancel()
        self._end()
        if failure is not None:
            try:
                raise failure
            finally:
                # The traceback refers to this frame.
                del failure

    async def receive(self) -> Any:
        """The next message for the application; after the last one always ``http.disconnect``.

        A message that is there is given without a checkpoint, as Starlette's ``is_disconnected`` expects of servers.
        """
        self._reads_ahead.set()
        while not self._ahead and not self._has_ended:
            await self._changed.wait()
        if not self._ahead:
            return {"type": "http.disconnect"}
        message = self._ahead.popleft()
        self._notify()
        return message

    async def send(self, message: Any) -> None:
        """Pass on a message of the application."""
        kind = message["type"]
        if kind == "http.response.start":
            # If the page is cancelled by now, it has another response.
            await anyio.lowlevel.checkpoint_if_cancelled()
            self.has_begun = True
            self._tasks.cancel_scope.deadline = math.inf
        elif kind == "http.response.pathsend" or (kind == "http.response.body" and not message.get("more_body")):
            # From here on servers report a disconnect, whatever the browser does.
            self._is_complete = True
        await self._send(message)

    async def _watch(self) -> None:
        """Read ahead, so that a browser that hangs up is noticed whether or not the application listens."""
        if _expects_continue(self._scope):
            # Reading would invite a body that the application may refuse.
            await self._reads_ahead.wait()
        while (message := await self._receive())["type"] != "http.disconnect":
            self._ahead.append(message)
            self._notify()
            while len(self._ahead) >= _MOST_AHEAD:
                await self._changed.wait()
        if not self._is_complete:
            self.has_hung_up = True
            # First of all, so that an application that listens is cancelled, too, and need not handle it.
            self._tasks.cancel_scope.cancel()
        self._end()

    def _end(self) -> None:
        self._has_ended = True
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _expects_continue(scope: Any) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"])


def _response_to(error: Exception) -> ErrorResponse | None:
    """The response to what an application raised, None if there is an error in it that is not to be mapped."""
    responses = []
    for leaf in _leaves(error):
        if not isinstance(leaf, ChartMogulError | ArgumentError):
            return None
        responses.append(error_response(leaf))
    # What the browser can mend, then what another attempt would not.
    return min(responses, key=lambda response: response.status)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _error(status: int, sentence: str) -> ErrorResponse:
    return ErrorResponse(status, {"error": sentence})


def _try_later(reason: str, seconds: float | None = None) -> ErrorResponse:
    whole = max(1, math.ceil(_RETRY_AFTER if seconds is None else seconds))
    return ErrorResponse(503, {"error": f"{reason}; try again in {whole} s"}, {"Retry-After": str(whole)})


def _report(response: ErrorResponse, reason: str) -> None:
    # What was wrong with an argument is the browser's matter, and may quote what somebody typed.
    if response.status != 422:
        level = logging.WARNING if response.status == 502 else logging.INFO
        logger.log(level, "a page responds with %d: %s", response.status, reason)


async def _send(response: ErrorResponse, send: Send) -> None:
    body = json.dumps(response.content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
