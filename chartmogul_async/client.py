"""The client: it holds the key, the sockets and the limits, and nothing runs in it between two calls."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from functools import cached_property
from inspect import iscoroutinefunction
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote, urlencode

import anyio.lowlevel
import httpx

from chartmogul_async._version import __version__
from chartmogul_async.error_bodies import ErrorBody, complaint_in_success, read_error_body
from chartmogul_async.errors import DecodeError, RateLimitError, StatusError, UsageError, for_status
from chartmogul_async.metrics.intervals import WeekStart
from chartmogul_async.metrics.resource import Metrics
from chartmogul_async.structuring import decode, read
from chartmogul_async.transport import build_transport
from chartmogul_async.transport.connections import LOOPBACK
from chartmogul_async.transport.retry import OnAttempt, RetryPolicy
from chartmogul_async.transport.retry_after import retry_after_of
from chartmogul_async.transport.throttle import Throttle

if TYPE_CHECKING:
    from chartmogul_async.account import Account
    from chartmogul_async.customers import Customers

T = TypeVar("T")

Param = str | int | float | date | None

BASE_URL = "https://api.chartmogul.com/v1"
TIMEOUT = httpx.Timeout(connect=5.0, read=30.0, write=30.0, pool=None)  # no pool limit: the line is ours

_KEY = r"[!-9;-~]+"  # printable ASCII without space and colon, which ends the user name in basic auth
_SECRET = 16  # characters; shorter keys are those of sandboxes, and words that may stand in any message
_PATH = r"/?[A-Za-z0-9_.~@:-]+(/[A-Za-z0-9_.~@:-]+)*"


class AsyncClient:
    """Reads one ChartMogul account.

    ::

        async with AsyncClient("api-key") as client:
            mrr = await client.metrics.mrr("2023-07-01", "2023-08-31")

    ``api_key``: by default the environment variable ``CHARTMOGUL_API_KEY``. ``base_url``: by default
    ``CHARTMOGUL_BASE_URL``, else ChartMogul itself. ``timeout``: seconds for each
    phase of an exchange, or an ``httpx.Timeout``; by default 5 s to connect and 30 s for each read. ``retry``:
    how often and how long to try. ``throttle``: one to share between several clients of the same account, or
    with other limits. ``transport``: what sends in place of the client's own connections; retry and throttle
    stand around it all the same. ``on_attempt``: called with an ``Attempt`` after each try; what it raises
    comes out of the call.

    One client is for one event loop and any number of tasks; it owns sockets but no tasks, so it needs no
    ``async with`` as long as ``aclose()`` is called in the end. Nothing is sent when it is made. Redirects are
    not followed, and plain HTTP is refused for all but loopback hosts: both would show the key to others.

    Source: https://dev.chartmogul.com/docs/authentication
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float | httpx.Timeout = TIMEOUT,
        retry: RetryPolicy = RetryPolicy(),
        throttle: Throttle | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        on_attempt: OnAttempt | None = None,
    ) -> None:
        self._base_url = _checked_base_url(_from_environment("CHARTMOGUL_BASE_URL", base_url) or BASE_URL)
        self._timeout = _checked_timeout(timeout).as_dict()
        key = _checked_key(_from_environment("CHARTMOGUL_API_KEY", api_key))
        authorization = b64encode(f"{key}:".encode()).decode()
        self._secrets = (key, authorization) if len(key) >= _SECRET else ()
        self._headers = httpx.Headers(
            {
                "accept": "application/json",
                "accept-encoding": "gzip",
                "authorization": f"Basic {authorization}",
                "user-agent": f"chartmogul_async/{__version__}",
            }
        )
        throttle = Throttle() if throttle is None else throttle
        if not isinstance(throttle, Throttle):
            raise UsageError(f"throttle is {throttle!r}; it is a Throttle, such as Throttle(parallel=10)")
        if not isinstance(retry, RetryPolicy):
            raise UsageError(f"retry is {retry!r}; it is a RetryPolicy, such as RetryPolicy(attempts=3)")
        if transport is not None and not isinstance(transport, httpx.AsyncBaseTransport):
            raise UsageError(f"transport is {transport!r}; it is an httpx.AsyncBaseTransport")
        if on_attempt is not None and (not callable(on_attempt) or iscoroutinefunction(on_attempt)):
            raise UsageError(
                f"on_attempt is {on_attempt!r}; it is a function that is not async, called with an Attempt"
            )
        self._transport = build_transport(
            httpx.URL(self._base_url),
            policy=retry,
            throttle=throttle,
            innermost=transport,
            on_attempt=on_attempt,
        )
        self._door = throttle.door
        self._loop: object = None
        self._entered = self._closed = False
        self.metrics = Metrics(self._turn, self._fetch_inside, self._week_start, throttle)

    @cached_property
    def customers(self) -> Customers:
        """Find customers by e-mail address."""
        from chartmogul_async.customers import Customers

        return Customers(self._fetch)

    def __repr__(self) -> str:
        return f"AsyncClient(base_url={self._base_url!r})"

    async def __aenter__(self) -> Self:
        if self._entered:
            raise UsageError("this client was entered before; make a new AsyncClient for each `async with`")
        self._check_usable()
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. Closing twice does nothing.

        Raises ``UsageError`` in another event loop than that of the calls: connections end with their loop.
        """
        if not self._closed:
            self._closed = True
            await self._transport.aclose()
            self._check_loop()

    async def account(self) -> Account:
        """The account's name, currency, time zone and first day of the week."""
        from chartmogul_async.account import Account  # made when first asked for, as all records are

        return await self._fetch("/account", {}, Account)

    async def ping(self) -> str:
        """Check the key: ``"pong!"``, or ``AuthenticationError``."""
        from chartmogul_async.account import Pong

        return (await self._fetch("/ping", {}, Pong)).data

    async def get(self, path: str, params: Mapping[str, Param] | None = None) -> Any:
        """Read whatever has no method yet: the parsed JSON as it came, None for an empty answer.

        ``path`` is below the base URL, such as ``/plans``; a parameter that is None is left out. Lists come page
        by page: ask again with the answer's ``cursor`` while ``has_more`` is true.
        """
        if not re.fullmatch(_PATH, path) or ".." in path:
            raise UsageError(f"path is {path!r}; it is one below the base URL, such as '/plans', without a query")
        texts = {name: _text(name, value) for name, value in (params or {}).items() if value is not None}
        async with self._turn():
            response = await self._send("/" + path.lstrip("/"), texts)
        if not response.content.strip():
            return None
        try:
            return decode(response.content)
        except DecodeError as error:
            raise _in_context(error, path, response) from None

    async def _fetch(self, path: str, params: Mapping[str, str], into: type[T]) -> T:
        async with self._turn():
            return await self._fetch_inside(path, params, into)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Every call waits its turn at the throttle's door, before it prepares anything."""
        self._check_usable()
        async with self._door:
            yield

    async def _fetch_inside(self, path: str, params: Mapping[str, str], into: type[T]) -> T:
        """For a call whose turn it is, as ``metrics`` sees to by itself."""
        response = await self._send(path, params)
        try:
            return read(response.content, into)
        except DecodeError as error:
            said = complaint_in_success(response.content, self._secrets)
            if said is not None:
                error.message = f"the answer says {said!r}; {error.message}"
            raise _in_context(error, path, response) from None

    async def _send(self, path: str, params: Mapping[str, str]) -> httpx.Response:
        """Every request of the client goes this way; a status that is no success is raised."""
        self._check_usable()
        request = httpx.Request(
            "GET", self._url(path, params), headers=self._headers, extensions={"timeout": self._timeout}
        )
        response = await self._transport.handle_async_request(request)
        if response.is_success:
            return response
        raise _status_error(response, self._secrets)

    def _url(self, path: str, params: Mapping[str, str]) -> httpx.URL:
        query = urlencode(params, quote_via=quote, safe="~")
        try:
            return httpx.URL(f"{self._base_url}{path}?{query}" if query else f"{self._base_url}{path}")
        except httpx.InvalidURL as error:
            raise UsageError(f"the arguments make no URL that can be sent: {error}") from None

    async def _week_start(self) -> WeekStart:
        from chartmogul_async.account import Account

        match (await self._fetch_inside("/account", {}, Account)).week_start_on:
            case "monday":
                return "monday"
            case "sunday":
                return "sunday"
        problem = "$.week_start_on: expected monday or sunday, got another str"
        raise DecodeError(f"GET /account: {problem}", problems=(problem,))

    def _check_usable(self) -> None:
        if self._closed:
            raise UsageError("this client is closed; make a new AsyncClient, and close it after its last call")
        self._check_loop()

    def _check_loop(self) -> None:
        loop = anyio.lowlevel.current_token()
        if self._loop is None:
            self._loop = loop
        elif loop != self._loop:
            raise UsageError(
                "this client is in use in another event loop, where its connections live; "
                "make one AsyncClient for each event loop"
            )


def _from_environment(name: str, given: str | None) -> str | None:
    return os.environ.get(name) if given is None else given


def _checked_key(key: str | None) -> str:
    if not key:
        raise UsageError("no API key: pass api_key or set the environment variable CHARTMOGUL_API_KEY")
    if not isinstance(key, str) or not re.fullmatch(_KEY, key):
        raise UsageError("api_key is not an API key: it is a text without spaces, line ends and colons")
    return key


def _checked_base_url(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except (TypeError, httpx.InvalidURL):
        url = httpx.URL()
    if not url.host:
        raise UsageError(f"base_url is not a URL; it is one such as {BASE_URL!r}")
    if url.userinfo or "?" in base_url or "#" in base_url:
        raise UsageError("base_url has a user, a query or a fragment; pass the key as api_key and the rest nowhere")
    if not (url.scheme == "https" or (url.scheme == "http" and url.host in LOOPBACK)):
        raise UsageError(
            f"base_url begins with {url.scheme}://{url.host}; the API is read over https, for the key travels in "
            "every request, and plain http is allowed on localhost only"
        )
    return str(url).rstrip("/")


def _checked_timeout(timeout: float | httpx.Timeout) -> httpx.Timeout:
    if isinstance(timeout, httpx.Timeout):
        return timeout
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise UsageError(f"timeout is {timeout!r}; it is a number of seconds above 0, or an httpx.Timeout")
    return httpx.Timeout(timeout)


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (str, int, float, date)):
        raise UsageError(f"parameter {name} is {value!r}; it is a text, a number, a date or a truth value")
    return str(value)


def _status_error(response: httpx.Response, secrets: Sequence[str]) -> StatusError:
    status = response.status_code
    if response.has_redirect_location:
        message = "the server redirects elsewhere, and the key does not go there; check base_url"
        said = ErrorBody(message)
    else:
        said = read_error_body(status, response.content, response.headers.get("content-type", ""), secrets)
    error = for_status(status)(
        said.message,
        status,
        said.param,
        said.details,
        response.headers.get("x-request-id"),
        response.extensions["attempts"],
        response.extensions["waited"],
    )
    if isinstance(error, RateLimitError):
        error.retry_after = retry_after_of(response.headers)
    return error


def _in_context(error: DecodeError, path: str, response: httpx.Response) -> DecodeError:
    return DecodeError(
        f"GET {path}: {error.message}",
        response.status_code,
        request_id=response.headers.get("x-request-id"),
        attempts=response.extensions["attempts"],
        waited=response.extensions["waited"],
        problems=error.problems,
    )
