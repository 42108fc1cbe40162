"""Repeats what is worth repeating, with full jitter, within a budget.

A request is tried again after 429, 500, 502, 503, 504, 520, 524, a timeout, a broken connection or a broken
body. What may have changed something (anything but GET and HEAD) is tried again only where it surely did not
arrive: after 429, or when no connection was made.

Source of the statuses: the official client libraries retry the same.
"""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Callable

import anyio
import httpx
import tenacity
from attrs import frozen

from chartmogul_async.errors import (
    ChartMogulError,
    DecodeError,
    NetworkError,
    RateLimitError,
    RequestTimeoutError,
    UsageError,
)
from chartmogul_async.transport.retry_after import retry_after_of

logger = logging.getLogger("chartmogul_async")

_WORTH_REPEATING = frozenset({429, 500, 502, 503, 504, 520, 524})
_CHANGES_NOTHING = frozenset({"GET", "HEAD"})
_NEVER_ARRIVED = (httpx.ConnectError, httpx.ConnectTimeout)
# Beside httpx's own errors, what the socket layers below it are known to let through.
_TROUBLE = (
    httpx.TransportError,
    httpx.DecodingError,
    OSError,
    UnicodeError,  # a host whose name cannot be looked up
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
)
_QUOTING = (DecodeError, httpx.RemoteProtocolError)  # their causes show what was received, which may hold customers
_QUOTATION = r"(?s):?\s*(bytearray\()?(?<!\w)b['\"].*"
_HOPELESS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, DecodeError)  # the same would happen again


@frozen
class RetryPolicy:
    """How often and how long to try.

    ``attempts``: sends of one request at most, the first included. ``total``: seconds at most that its
    attempts, the waits between them and the throttle's pauses may take; waiting for other requests in the
    throttle's line does not count. A wait is
    random between 0 and ``base`` seconds, doubled each time, ``cap`` at most; a ``Retry-After`` is honoured
    beyond that, and where it does not fit into ``total`` the error comes back at once.

    The default lets a used-up minute of compute time pass. ``RetryPolicy(attempts=1)`` never retries.
    """

    attempts: int = 6
    base: float = 1.0
    cap: float = 30.0
    total: float = 90.0

    def __attrs_post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or self.attempts < 1:
            raise UsageError(f"attempts is {self.attempts!r}; it is a whole number of 1 or more")
        for name in ("base", "cap", "total"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise UsageError(f"{name} is {value!r}; it is a number of seconds above 0")


@frozen
class Attempt:
    """One try of one request, as ``on_attempt`` receives it. Holds neither the key nor the query.

    ``number`` counts from 1. ``status`` is None if no answer came; then ``error`` names what happened.
    ``queued`` are the seconds in the throttle's line (outside the throttle's door nothing is counted yet), ``elapsed``
    those of the exchange, ``retry_in`` those until the next attempt (None: this was the last one). What the throttle
    refuses to send, because of a pause that is too long, is no attempt.
    """

    method: str
    path: str
    number: int
    status: int | None
    error: str | None
    queued: float
    elapsed: float
    retry_in: float | None
    request_id: str | None


OnAttempt = Callable[[Attempt], None]
Outcome = httpx.Response | Exception


class RetryTransport(httpx.AsyncBaseTransport):
    """Sends a request until an answer is worth having, or the policy says enough.

    Returns the last answer, whatever its status, with ``attempts`` and ``waited`` in its extensions. Where
    no whole answer came, raises ``NetworkError`` or ``RequestTimeoutError``, and ``DecodeError`` for one that is too
    large.
    """

    def __init__(
        self, inner: httpx.AsyncBaseTransport, policy: RetryPolicy, on_attempt: OnAttempt | None = None
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._on_attempt = on_attempt

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = _Call(self._inner, self._policy, self._on_attempt, request)
        return await call.run()

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Call:
    """One request on its way through its attempts."""

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        policy: RetryPolicy,
        on_attempt: OnAttempt | None,
        request: httpx.Request,
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._on_attempt = on_attempt
        self._request = request
        self._number = 0
        self._waited = 0.0  # between the attempts, and while the throttle was paused
        self._exchanging = 0.0  # in the attempts; waiting for others in the throttle's line counts nowhere
        self._queued = self._elapsed = 0.0  # of the latest attempt

    async def run(self) -> httpx.Response:
        try:
            outcome = await self._send_until_enough()
        except RateLimitError as error:  # the throttle's own word: the pauses are too long, nothing was sent
            error.attempts, error.waited = self._number - 1, self._waited
            raise
        self._report(outcome, retry_in=None)
        if isinstance(outcome, Exception):
            raise self._failure(outcome) from (None if isinstance(outcome, _QUOTING) else outcome)
        outcome.extensions["attempts"] = self._number
        outcome.extensions["waited"] = self._waited
        return outcome

    async def _send_until_enough(self) -> Outcome:
        first = await self._send()
        if isinstance(first, httpx.Response) and first.status_code not in _WORTH_REPEATING:
            return first
        # Most requests end here, and are spared the machine. The others go to tenacity, which is handed the
        # first outcome as its first attempt; one for each call, since a shared one mixes up concurrent results.
        happened = [first]

        async def attempt() -> Outcome:
            return happened.pop() if happened else await self._send()

        machine = tenacity.AsyncRetrying(
            sleep=anyio.sleep,
            retry=tenacity.retry_if_result(self._is_worth_repeating),
            wait=self._wait,
            stop=self._is_enough,
            before_sleep=self._before_sleep,
            retry_error_callback=_outcome_of,
        )
        return await machine(attempt)

    async def _send(self) -> Outcome:
        """One attempt. Trouble on the way is its outcome; anything else that is raised is not ours to handle."""
        self._number += 1
        asked = anyio.current_time()
        extensions = self._request.extensions
        extensions["budget"] = self._policy.total - self._spent()
        extensions.pop("grant", None)
        try:
            return await self._inner.handle_async_request(self._request)
        except (*_TROUBLE, DecodeError) as error:
            return error
        finally:
            grant = extensions.get("grant")
            if grant is not None:
                self._queued, self._elapsed = grant.admitted - asked, anyio.current_time() - grant.admitted
                self._exchanging += self._elapsed
                self._waited += grant.paused

    def _spent(self) -> float:
        return self._exchanging + self._waited

    def _is_worth_repeating(self, outcome: Outcome) -> bool:
        harmless = self._request.method in _CHANGES_NOTHING
        if isinstance(outcome, httpx.Response):
            return outcome.status_code == 429 or (harmless and outcome.status_code in _WORTH_REPEATING)
        if isinstance(outcome, _HOPELESS) or _is_bad_certificate(outcome):
            return False
        return harmless or isinstance(outcome, _NEVER_ARRIVED)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Full jitter, but never less than what the server asked for or the throttle is paused for."""
        backoff = tenacity.wait_random_exponential(multiplier=self._policy.base, max=self._policy.cap)(state)
        outcome = _outcome_of(state)
        if not isinstance(outcome, httpx.Response):
            return backoff
        pause = self._request.extensions["grant"].pause_left if outcome.status_code == 429 else 0.0
        return max(backoff, pause, retry_after_of(outcome.headers) or 0.0)

    def _is_enough(self, state: tenacity.RetryCallState) -> bool:
        return self._number >= self._policy.attempts or self._spent() + state.upcoming_sleep >= self._policy.total

    def _before_sleep(self, state: tenacity.RetryCallState) -> None:
        self._report(_outcome_of(state), retry_in=state.upcoming_sleep)
        self._waited += state.upcoming_sleep

    def _report(self, outcome: Outcome, retry_in: float | None) -> None:
        if self._on_attempt is None and not logger.isEnabledFor(logging.INFO):
            return
        response = outcome if isinstance(outcome, httpx.Response) else None
        attempt = Attempt(
            method=self._request.method,
            path=self._request.url.path,
            number=self._number,
            status=response.status_code if response else None,
            error=None if response else type(outcome).__name__,
            queued=self._queued,
            elapsed=self._elapsed,
            retry_in=retry_in,
            request_id=response.headers.get("x-request-id") if response else None,
        )
        _log(attempt)
        if self._on_attempt is not None:
            self._on_attempt(attempt)

    def _failure(self, error: Exception) -> ChartMogulError:
        url = self._request.url
        if isinstance(error, DecodeError):
            error.message = f"{self._request.method} {url.path}: {error.message}"
            error.attempts, error.waited = self._number, self._waited
            return error
        timed_out = isinstance(error, (httpx.TimeoutException, TimeoutError))
        kind = RequestTimeoutError if timed_out else NetworkError
        what = f"{self._request.method} {url.scheme}://{url.netloc.decode()}{url.path}: {type(error).__name__}"
        reason = str(error).strip() if timed_out else _reason_of(error)
        return kind(f"{what}: {reason}" if reason else what, attempts=self._number, waited=self._waited)


def _reason_of(error: BaseException | None) -> str:
    """What an error says, or else the system's error below it, without the bytes that h11 quotes at the end."""
    said = re.sub(_QUOTATION, "", str(error)).strip()
    while not said and error is not None:
        error = error.__cause__ or error.__context__
        said = str(error).strip() if isinstance(error, OSError) else ""
    return said


def _outcome_of(state: tenacity.RetryCallState) -> Outcome:
    assert state.outcome is not None  # tenacity asks only after an attempt
    outcome: Outcome = state.outcome.result()
    return outcome


def _is_bad_certificate(error: BaseException | None) -> bool:
    """Whether a certificate was refused, which no repetition will change."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _log(attempt: Attempt) -> None:
    failed = attempt.status is None or attempt.status in _WORTH_REPEATING
    level = logging.INFO if failed and attempt.retry_in is None else logging.DEBUG
    if not logger.isEnabledFor(level):
        return
    then = f"again in {attempt.retry_in:.1f} s" if attempt.retry_in is not None else "giving up" if failed else "done"
    logger.log(
        level,
        "%s %s attempt %d: %s after %.3f s in line and %.3f s of exchange; %s",
        attempt.method,
        attempt.path,
        attempt.number,
        attempt.status or attempt.error,
        attempt.queued,
        attempt.elapsed,
        then,
    )
