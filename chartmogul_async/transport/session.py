"""One request, from the queue to its record: wait for a permit, build, attempt, read, record.

Whatever goes wrong on that path comes out as one error, and its context (method, URL, request id, attempts, seconds
waited) is added here and nowhere else.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode

import anyio
import anyio.lowlevel
import attrs
import httpx
from attrs import define

from chartmogul_async.errors import ArgumentError, ChartMogulError, DecodeError, StateError
from chartmogul_async.events import Event, OnEvent, ResponseInfo, report
from chartmogul_async.secret import Secret
from chartmogul_async.structuring.converter import decode, read
from chartmogul_async.structuring.error_bodies import error_in_success, one_line
from chartmogul_async.structuring.secrets import masked
from chartmogul_async.transport.failures import FAILURES, TIMEOUTS, failure_error, status_error
from chartmogul_async.transport.options import Options
from chartmogul_async.transport.permits import Admission, Claim, Permit
from chartmogul_async.transport.retry import AttemptOutcome, Attempts
from chartmogul_async.transport.retry_after import retry_after_of
from chartmogul_async.transport.reuse import Result, Reuse
from chartmogul_async.transport.throttle import Throttle

T = TypeVar("T")

# Characters; the API's own have 36.
_MAX_REQUEST_ID = 200


@define(eq=False)
class _State:
    """What changes while a client is used, the same for all its views.

    Attributes:
        loop: The event loop of the first request, to which everything belongs.
        admission: What admits requests there.
        is_closed: Whether the client is closed.
        reuse: The exchanges in progress and the recent responses.
    """

    loop: object = None
    admission: Admission | None = None
    is_closed: bool = False
    reuse: Reuse = attrs.Factory(Reuse)


class Session:
    """Everything that the requests of one client, or of one view of it, have in common.

    A resource is given this, and nothing else. It belongs to the event loop of its first request.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        options: Options,
        secrets: Sequence[str],
        throttle: Throttle,
        account: str,
        connections: httpx.AsyncBaseTransport,
        on_event: OnEvent | None,
    ) -> None:
        self._base_url = base_url
        self._base_path = httpx.URL(base_url).path.rstrip("/")
        self._headers = Secret(httpx.Headers(headers))
        self.options = options
        self._secrets = Secret(tuple(secrets))
        self.throttle = throttle
        self._account = account
        self._connections = connections
        self._on_event = on_event
        self._state = _State()

    @property
    def reuse(self) -> Reuse:
        """The exchanges in progress and the recent responses, of all views."""
        return self._state.reuse

    def with_options(self, **options: Any) -> Self:
        """The same session, whose requests are made with other options."""
        view = copy.copy(self)
        view.options = attrs.evolve(self.options, **options)
        return view

    async def fetch(self, path: str, params: Mapping[str, str], into: type[T], occasion: object = None) -> T:
        """Get a path below the base URL as a record of the class ``into``, which others may have been given, too.

        Args:
            path: The path.
            params: The query.
            into: The class.
            occasion: Requests on different occasions differ although they ask for the same, and no response to one is
                used again.

        Returns:
            The record.

        Raises:
            ChartMogulError: What the exchange met, with its context.
            StateError: The client is closed, or belongs to another event loop.
        """
        options = self.options
        self.check_usable()
        exchange = partial(self._fetched, path, params, partial(read, into=into))
        key: Hashable = path, frozenset(params.items()), into, occasion, options.policy, *options.timeout.values()
        max_age = options.max_age if occasion is None else 0.0
        result = await self._state.reuse.fetch(key, self._claim(), max_age, self._admission().promote, exchange)
        if options.on_response is not None:
            options.on_response(result.response())
        value: T = result.value
        return value

    async def fetch_json(self, path: str, params: Mapping[str, str]) -> Any:
        """Get a path below the base URL as parsed JSON, None for an empty body. Raises the same as ``fetch``.

        Each call makes a request of its own, since its caller may change what it is given.
        """
        self.check_usable()
        result = await self._fetched(path, params, _parsed, self._claim())
        if self.options.on_response is not None:
            self.options.on_response(result.response())
        return result.value

    def mismatch(self, path: str, problem: str) -> DecodeError:
        """The error for a response from this path whose records cannot be used, with the place and the reason."""
        error = DecodeError(problem, problems=(problem,))
        self._add_context(error, path, None)
        return error

    def free_slots(self, taken: int) -> int:
        """How many more requests could start immediately, apart from ``taken`` slots that are planned for others."""
        return self.throttle._free_slots(taken)

    def report(self, event: Event) -> None:
        """Log an event, and hand it to the user's function."""
        report(event, self._on_event)

    def check_usable(self) -> None:
        """Raise ``StateError`` if the client is closed or belongs to another event loop."""
        if self._state.is_closed:
            raise StateError("this client is closed; make a new AsyncClient, and close it after its last call")
        self._check_loop()

    async def aclose(self) -> None:
        """Close the connections. Closing twice does nothing."""
        if self._state.is_closed:
            return
        self._state.is_closed = True
        self._state.reuse.clear()
        if self._state.admission is not None:
            self.throttle._detach(self._state)
        await self._connections.aclose()
        self._check_loop()

    def _check_loop(self) -> None:
        loop = anyio.lowlevel.current_token()
        if self._state.loop is None:
            self._state.loop = loop
        elif loop != self._state.loop:
            raise StateError(
                "this client is in use in another event loop, where its connections live; "
                "make one AsyncClient for each event loop"
            )

    # --- one call ------------------------------------------------------------------------------------------

    def _claim(self) -> Claim:
        max_wait = self.options.max_wait
        leaves_at = math.inf if max_wait == math.inf else anyio.current_time() + max_wait
        return Claim(self.options.is_batch, leaves_at)

    def _admission(self) -> Admission:
        """The throttle belongs to the event loop of the first request."""
        if self._state.admission is None:
            self._state.admission = self.throttle._attach(self._state, self._account)
        return self._state.admission

    async def _fetched(
        self,
        path: str,
        params: Mapping[str, str],
        structure: Callable[[bytes], Any],
        claim: Claim,
        has_waited: bool = False,
    ) -> Result:
        response, attempts = await self._respond(path, params, claim, has_waited)
        try:
            value = structure(response.content)
        except DecodeError as error:
            self._add_context(error, path, attempts)
            # An error may be kept for long, and the frames of its traceback keep the body and the parsed value.
            del response, attempts
            raise error.with_traceback(None) from None
        return Result(value, len(response.content), attempts.sent_at, partial(self._info, path, response.status_code, response.headers, attempts.elapsed))

    async def _respond(
        self, path: str, params: Mapping[str, str], claim: Claim, has_waited: bool
    ) -> tuple[httpx.Response, Attempts]:
        """A complete response with the status of a success, after as many attempts as it takes."""
        policy, admission = self.options.policy, self._admission()
        attempts = None
        try:
            # Queue first, then build: a call that waits holds nothing that it needs later. One that has waited for
            # another call, which left, goes ahead as if it had been in the queue.
            permit: Permit | None = await admission.acquire(policy.total, is_retry=has_waited, claim=claim)
            claim.admit()
            attempts = Attempts(policy, "GET", self._base_path + path, self._on_event)
            async for _ in attempts:
                permit = permit or await admission.acquire(attempts.budget(), is_retry=True, claim=claim)
                outcome = await self._attempt(admission, permit, path, params, attempts.budget() - permit.paused)
                attempts.end(permit, outcome)
                permit = None
            if isinstance(attempts.outcome, httpx.Response) and attempts.outcome.is_success:
                return attempts.outcome, attempts
            raise self._error(attempts.outcome)
        except ChartMogulError as error:
            self._add_context(error, path, attempts)
            raise

    async def _attempt(
        self, admission: Admission, permit: Permit, path: str, params: Mapping[str, str], budget: float
    ) -> AttemptOutcome:
        try:
            request = self._request(path, params, permit)
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
                self.report(event)
        return response

    def _request(self, path: str, params: Mapping[str, str], permit: Permit) -> httpx.Request:
        if self._state.is_closed:
            # The call waited in the queue, or for another attempt.
            raise StateError("this client was closed while the call was in progress; close it after its last call")
        extensions = {"timeout": self.options.timeout, "trace": permit.trace}
        try:
            query = urlencode(params, quote_via=quote)
            url = f"{self._base_url}{path}?{query}" if query else f"{self._base_url}{path}"
            return httpx.Request("GET", url, headers=self._headers.revealed, extensions=extensions)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise ArgumentError(f"the arguments do not make a valid URL: {error}") from None

    async def _exchange(self, admission: Admission, request: httpx.Request, budget: float) -> httpx.Response:
        with anyio.move_on_after(budget):
            async with admission.alive():
                response = await self._connections.handle_async_request(request)
            if "x-request-id" in response.headers:
                self._mask_request_id(response)
            return response
        raise TimeoutError("RetryPolicy.total is used up")

    def _mask_request_id(self, response: httpx.Response) -> None:
        """Events and errors contain it, and a server may make it of what it was sent."""
        request_id = response.headers["x-request-id"]
        if (safe := self._safe_id(request_id)) != request_id:
            response.headers["x-request-id"] = safe

    def _safe_id(self, request_id: str) -> str:
        return one_line(masked(request_id, self._secrets.revealed), _MAX_REQUEST_ID)

    def _info(self, path: str, status: int, headers: httpx.Headers, elapsed: float) -> ResponseInfo:
        return ResponseInfo(
            method="GET",
            path=self._base_path + path,
            status=status,
            headers={name: masked(value, self._secrets.revealed) for name, value in headers.items()},
            request_id=headers.get("x-request-id"),
            elapsed=elapsed,
        )

    def _error(self, outcome: AttemptOutcome | None) -> ChartMogulError:
        if isinstance(outcome, httpx.Response):
            return status_error(outcome, self._secrets.revealed)
        # Tenacity always lets the first attempt happen.
        assert outcome is not None
        return failure_error(outcome)

    def _add_context(self, error: ChartMogulError, path: str, attempts: Attempts | None) -> None:
        error.method, error.url = "GET", self._base_url + path
        if error.request_id is not None:
            # The error of a body that is too large was made before the response came here.
            error.request_id = self._safe_id(error.request_id)
        if attempts is None:
            # Refused in the queue before the first attempt, or noticed after the last one.
            return
        error.attempts = attempts.number
        error.waited += attempts.waited
        response = attempts.outcome
        if error.status is None and isinstance(response, httpx.Response):
            error.status, error.request_id = response.status_code, response.headers.get("x-request-id")
            complaint = error_in_success(response.content, self._secrets.revealed) if response.is_success else None
            if complaint is not None:
                error.message = f"the response contains an error, {complaint!r}; {error.message}"


def _parsed(content: bytes) -> Any:
    return decode(content) if content.strip() else None
