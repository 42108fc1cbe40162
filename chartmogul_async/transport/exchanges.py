"""One exchange, from the queue to its record: wait for a permit, build, attempt, read, record.

Whatever goes wrong on that path comes out as one error, and its context (method, URL, request id, attempts, seconds
waited) is added here and nowhere else.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from typing import TypeVar
from urllib.parse import quote, urlencode

import anyio
import anyio.lowlevel
import httpx

from chartmogul_async._version import __version__
from chartmogul_async.errors import ArgumentError, ChartMogulError, DecodeError, RateLimitError, StateError
from chartmogul_async.events import HOW_TO_SHARE, ResponseInfo, report
from chartmogul_async.secret import Secret
from chartmogul_async.structuring.error_bodies import error_in_success, one_line
from chartmogul_async.structuring.secrets import forms_of, masked
from chartmogul_async.transport.bodies import CompleteResponse
from chartmogul_async.transport.connections import Sender
from chartmogul_async.transport.event_loop import has_ended
from chartmogul_async.transport.failures import FAILURES, TIMEOUTS, failure_error, status_error
from chartmogul_async.transport.options import Options
from chartmogul_async.transport.permits import Admission, Permit
from chartmogul_async.transport.retry import AttemptOutcome, Attempts
from chartmogul_async.transport.retry_after import retry_after_of
from chartmogul_async.transport.reuse import Counts, InProgress, Result
from chartmogul_async.transport.throttle import Throttle

T = TypeVar("T")

# Characters; the API's own have 36.
_MAX_REQUEST_ID = 200
_HEADERS = (
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip"),
    (b"user-agent", f"chartmogul_async/{__version__}".encode()),
)
# With a stream httpx leaves the headers as they are given. Without one it would make them twice, to add the host.
_NO_BODY = httpx.ByteStream(b"")


def account_of(base_url: str, key: str) -> str:
    """What an account is known by where its key must not be: a hash."""
    return sha256(f"{base_url} {key}".encode()).hexdigest()[:32]


class Endpoint:
    """Where requests go and over what, for one account or for any number of them.

    It belongs to the event loop of the first request.

    Args:
        base_url: The URL of the API, without a slash at its end.
        connections: What sends requests.
        owner: The class whose objects have such connections, for messages.

    Attributes:
        base_url: The URL.
        base_path: The path of the URL.
        server: The URL without its path.
        host: The host and the port of the URL, as the header says it.
        connections: What sends requests.
        is_closed: Whether the connections are closed.
    """

    def __init__(self, base_url: str, connections: Sender, owner: str = "AsyncClient") -> None:
        self.base_url: str = base_url
        self.base_path: str = httpx.URL(base_url).path.rstrip("/")
        self.server: str = str(httpx.URL(base_url).join("/")).rstrip("/")
        self.host: bytes = httpx.URL(base_url).netloc
        self.connections: Sender = connections
        self.is_closed: bool = False
        self._owner = owner
        self._loop: object = None

    def check_usable(self) -> None:
        """Raise ``StateError`` if it is closed or belongs to another event loop."""
        if self.is_closed:
            raise StateError(f"this client is closed; make a new {self._owner}, and close it after its last call")
        self._check_loop()

    def check_closable(self) -> None:
        """Raise ``StateError`` if it belongs to another event loop that is not closed: nothing of it may be touched."""
        if not self.is_closed and self._loop is not None and not has_ended(self._loop):
            self._check_loop()

    async def aclose(self) -> None:
        """Close the connections. Closing twice does nothing.

        Raises:
            StateError: They belong to an event loop that has ended, and with it they did.
        """
        if self.is_closed:
            return
        self.is_closed = True
        await self.connections.aclose()
        self._check_loop()

    def _check_loop(self) -> None:
        loop = anyio.lowlevel.current_token().native_token
        if self._loop is None:
            self._loop = loop
        elif loop is not self._loop:
            raise StateError(
                "this client is in use in another event loop, where its connections live; "
                f"make one {self._owner} for each event loop"
            )


class Exchanges:
    """Everything that the exchanges of one account have in common.

    It holds the key and nothing that is made of it, since there may be thousands.

    Args:
        endpoint: Where the requests go, perhaps those of other accounts, too.
        key: The API key.
        account: What the account is known by where its key must not be.
        throttle: The account's.

    Attributes:
        throttle: The same.
        counts: What the account's calls had in common so far.
    """

    def __init__(self, endpoint: Endpoint, key: str, account: str, throttle: Throttle) -> None:
        self._endpoint = endpoint
        self._key = Secret(key)
        self._account = account
        self.throttle = throttle
        self.counts: Counts = Counts()
        self._is_attached = False

    def mismatch(self, path: str, problem: str) -> DecodeError:
        """The error for a response from this path whose records cannot be used, with the place and the reason."""
        error = DecodeError(problem, problems=(problem,))
        self.add_context(error, path)
        return error

    @property
    def base_url(self) -> str:
        """Where the requests go."""
        return self._endpoint.base_url

    @property
    def is_closed(self) -> bool:
        """Whether the client is closed."""
        return self._endpoint.is_closed

    def check_usable(self) -> None:
        """Raise ``StateError`` if the client is closed or belongs to another event loop."""
        self._endpoint.check_usable()

    def check_closable(self) -> None:
        """Raise ``StateError`` if the client belongs to another event loop that goes on."""
        self._endpoint.check_closable()

    async def aclose(self) -> None:
        """Close the connections, also those of other accounts. Closing twice does nothing."""
        self.detach()
        await self._endpoint.aclose()

    def detach(self) -> None:
        """Use the throttle no more."""
        if self._is_attached:
            self._is_attached = False
            self.throttle._detach(self)

    # --- one call ------------------------------------------------------------------------------------------

    async def make(
        self,
        path: str,
        params: Mapping[str, str],
        structure: Callable[[bytes], T],
        options: Options,
        current: InProgress,
    ) -> Result[T]:
        """Get a path below the base URL.

        Args:
            path: The path.
            params: The query.
            structure: Makes the value of the content.
            options: How the call is made.
            current: What it may claim of the queue, and who waits for it.

        Returns:
            What ``structure`` made, and what else is known of the response.

        Raises:
            ChartMogulError: What the exchange met, with its context.
            StateError: The client is closed, or belongs to another event loop.
        """
        self.check_usable()
        response, attempts = await self._respond(path, params, options, current)
        try:
            value = structure(response.content)
        except DecodeError as error:
            self.add_context(error, path, attempts)
            # An error may be kept for long, and the frames of its traceback keep the body and the parsed value.
            del response, attempts
            raise error.with_traceback(None) from None
        info = partial(self._info, path, response.status_code, response.headers, attempts.elapsed)
        return Result(value, len(response.content), attempts.sent_at, (info,))

    async def _respond(
        self, path: str, params: Mapping[str, str], options: Options, current: InProgress
    ) -> tuple[CompleteResponse, Attempts]:
        """A complete response with the status of a success, after as many attempts as it takes."""
        admission, claim = self.admission(), current.claim
        attempts = None
        try:
            # Queue first, then build: a call that waits holds nothing that it needs later.
            permit: Permit | None = await admission.acquire(options.policy.total, claim=claim)
            claim.is_admitted, claim.leaves_at = True, math.inf
            if current.has_followers:
                current.admit()
            attempts = Attempts(
                options.policy, "GET", self._endpoint.base_path + path, options.on_event, self._endpoint.server
            )
            async for _ in attempts:
                if permit is None:
                    # An account that rested since the last attempt has another queue. A closed client needs none.
                    self._check_still_open()
                    admission = self.admission()
                    permit = await admission.acquire(attempts.budget(), is_retry=True, claim=claim)
                budget = attempts.budget() - permit.paused
                outcome = await self._attempt(admission, permit, path, params, options, budget)
                attempts.end(permit, outcome)
                permit = None
            if isinstance(attempts.outcome, CompleteResponse) and attempts.outcome.is_success:
                return attempts.outcome, attempts
            raise self._error(attempts.outcome)
        except ChartMogulError as error:
            self.add_context(error, path, attempts)
            raise

    async def _attempt(
        self,
        admission: Admission,
        permit: Permit,
        path: str,
        params: Mapping[str, str],
        options: Options,
        budget: float,
    ) -> AttemptOutcome:
        try:
            request = self._request(path, params, options, permit)
        except BaseException:
            await admission.give_back(permit)
            raise
        status = retry_after = None
        given_up = True
        try:
            response = await self._exchange(admission, request, budget)
            status = response.status_code
            retry_after = None if response.is_success else retry_after_of(response.headers)
        except FAILURES as failure:
            given_up = isinstance(failure, TIMEOUTS)
            return failure
        finally:
            for event in await admission.end(permit, status, retry_after, given_up and status is None):
                report(event, options.on_event)
        return response

    def admission(self) -> Admission:
        """What admits the requests. The throttle belongs to the event loop of the first one."""
        admission = self.throttle._attach(self, self._account)
        self._is_attached = True
        return admission

    def _check_still_open(self) -> None:
        """For a call that waited in the queue, or for another attempt."""
        if self._endpoint.is_closed:
            raise StateError("this client was closed while the call was in progress; close it after its last call")

    def _request(self, path: str, params: Mapping[str, str], options: Options, permit: Permit) -> httpx.Request:
        self._check_still_open()
        extensions = {"timeout": options.timeout, "trace": permit.trace}
        try:
            query = urlencode(params, quote_via=quote)
            url = f"{self._endpoint.base_url}{path}?{query}" if query else f"{self._endpoint.base_url}{path}"
            headers = [(b"Host", self._endpoint.host), *_HEADERS, self._authorization()]
            request = httpx.Request("GET", url, headers=headers, stream=_NO_BODY, extensions=extensions)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise ArgumentError(f"the arguments do not make a valid URL: {error}") from None
        # Whatever sends it may look at the content.
        request.read()
        return request

    def _authorization(self) -> tuple[bytes, bytes]:
        return b"authorization", b"Basic " + b64encode(f"{self._key.revealed}:".encode())

    async def _exchange(self, admission: Admission, request: httpx.Request, budget: float) -> CompleteResponse:
        with anyio.move_on_after(budget):
            async with admission.alive():
                response = await self._endpoint.connections.send(request)
            if "x-request-id" in response.headers:
                self._mask_request_id(response)
            return response
        raise TimeoutError("RetryPolicy.total is used up")

    def _mask_request_id(self, response: CompleteResponse) -> None:
        """Events and errors contain it, and a server may make it of what it was sent."""
        request_id = response.headers["x-request-id"]
        if (safe := self._safe_id(request_id)) != request_id:
            response.headers["x-request-id"] = safe

    def _safe_id(self, request_id: str) -> str:
        return one_line(masked(request_id, self._secrets()), _MAX_REQUEST_ID)

    def _secrets(self) -> tuple[str, ...]:
        return forms_of(self._key.revealed)

    def _info(self, path: str, status: int, headers: httpx.Headers, elapsed: float) -> ResponseInfo:
        secrets = self._secrets()
        return ResponseInfo(
            method="GET",
            path=self._endpoint.base_path + path,
            status=status,
            headers={name: masked(value, secrets) for name, value in headers.items()},
            request_id=headers.get("x-request-id"),
            elapsed=elapsed,
        )

    def _error(self, outcome: AttemptOutcome | None) -> ChartMogulError:
        if isinstance(outcome, CompleteResponse):
            error = status_error(outcome, self._secrets())
            if isinstance(error, RateLimitError) and not self.throttle._is_shared:
                error.add_note(f"if other processes use this key: {HOW_TO_SHARE}")
            return error
        # Tenacity always lets the first attempt happen.
        assert outcome is not None
        return failure_error(outcome)

    def add_context(self, error: ChartMogulError, path: str, attempts: Attempts | None = None) -> None:
        """Say which request an error is about."""
        error.method, error.url = "GET", self._endpoint.base_url + path
        if error.request_id is not None:
            # The error of a body that is too large was made before the response came here.
            error.request_id = self._safe_id(error.request_id)
        if attempts is None:
            # Refused in the queue before the first attempt, or noticed after the last one.
            return
        error.attempts = attempts.number
        error.waited += attempts.waited
        response = attempts.outcome
        if error.status is None and isinstance(response, CompleteResponse):
            error.status, error.request_id = response.status_code, response.headers.get("x-request-id")
            complaint = error_in_success(response.content, self._secrets()) if response.is_success else None
            if complaint is not None:
                error.message = f"the response contains an error, {complaint!r}; {error.message}"
