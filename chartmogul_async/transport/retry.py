"""Repeats what may succeed the next time, with full jitter, within a budget.

A request is tried again after 429, 500, 502, 503, 504, 520, 524, a timeout, a broken connection or a broken
body. What is not a safe method (anything but GET and HEAD) is tried again only if it surely did not
arrive: after 429, or when no connection was made.

Source of the statuses: the official client libraries retry the same.
"""

import logging
from collections.abc import Iterator
from typing import Self

import anyio
import httpx
import tenacity
from attrs import define, field, frozen

from chartmogul_async.checks import positive_integer, positive_number
from chartmogul_async.events import Attempt, OnEvent, logger, report
from chartmogul_async.transport.bodies import CompleteResponse
from chartmogul_async.transport.failures import is_permanent
from chartmogul_async.transport.permits import Permit
from chartmogul_async.transport.retry_after import retry_after_of

RETRYABLE = frozenset({429, 500, 502, 503, 504, 520, 524})
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_NEVER_ARRIVED = (httpx.ConnectError, httpx.ConnectTimeout)

AttemptOutcome = CompleteResponse | Exception


@frozen(cache_hash=True)
class RetryPolicy:
    """How often and how long to try.

    A wait is random between 0 and ``base`` seconds, doubled each time, ``cap`` at most; a ``Retry-After`` is honoured
    beyond that, and where it does not fit into ``total`` the error is raised at once.

    The default outlasts a used-up minute of compute time. ``RetryPolicy(attempts=1)`` never retries.

    Args:
        attempts: How often one request is sent at most, the first time included.
        base: The longest wait after the first attempt, in seconds.
        cap: The longest wait of all, in seconds.
        total: Seconds at most that the attempts, the waits between them and the pauses of the throttle may take; time
            spent queueing behind other requests does not count.

    Raises:
        ArgumentError: A number is not positive.
    """

    __module__ = "chartmogul_async"

    attempts: int = 6
    base: float = 1.0
    cap: float = 30.0
    total: float = 90.0

    def __attrs_post_init__(self) -> None:
        positive_integer("attempts", self.attempts)
        for name in ("base", "cap", "total"):
            positive_number(name, getattr(self, name), of=" of seconds")


@define(eq=False)
class Attempts:
    """The attempts of one call: ``async for _ in attempts`` until tenacity says enough.

    The body of the loop makes an attempt and calls ``end`` with its outcome.
    """

    _policy: RetryPolicy
    _method: str
    _path: str
    _on_event: OnEvent | None
    _server: str = ""
    number: int = 0
    # Seconds between the attempts, and in which the throttle was paused.
    waited: float = 0.0
    # Seconds in the attempts themselves; queueing behind other requests counts nowhere.
    _exchanging: float = 0.0

    # The latest attempt.
    outcome: AttemptOutcome | None = None
    _queued: float = 0.0
    sent_at: float = 0.0
    elapsed: float = 0.0
    _pause_left: float = 0.0
    # Less time than a response takes is not worth another attempt.
    _response_time: float = 0.0

    _retrying: tenacity.Retrying = field(init=False)
    _machine: Iterator[tenacity.AttemptManager] = field(init=False)
    _attempt: tenacity.AttemptManager | None = field(default=None, init=False)
    _retry_in: float = field(default=0.0, init=False)

    def __aiter__(self) -> Self:
        # One machine for each call, since a shared one mixes up concurrent outcomes. It decides and never sleeps, so
        # the one without async machinery does, at half the cost.
        self._retrying = tenacity.Retrying(
            sleep=self._retry_after,
            retry=self._is_retryable,
            wait=self._wait,
            stop=self._is_enough,
            retry_error_callback=_nothing,
        )
        self._machine = iter(self._retrying)
        return self

    async def __anext__(self) -> None:
        self._attempt = next(self._machine, None)
        if self._attempt is None:
            # A machine that is done refers to itself and to this object, and so would keep the response alive.
            self._retrying.iter_state.reset()
            del self._retrying
            self._report(retry_in=None)
            raise StopAsyncIteration
        if self._retry_in:
            await anyio.sleep(self._retry_in)

    def budget(self) -> float:
        """Seconds that are left for pauses and exchanges."""
        return self._policy.total - self.waited - self._exchanging

    def end(self, permit: Permit, outcome: AttemptOutcome) -> None:
        """An attempt is over."""
        self.number += 1
        self.waited += permit.paused
        self.outcome = outcome
        self._queued = permit.queued
        self.sent_at = permit.admitted
        self.elapsed = anyio.current_time() - permit.admitted
        self._exchanging += self.elapsed
        self._pause_left = permit.pause_left
        self._response_time = permit.response_time
        # An attempt ends inside of the loop, where there is one.
        assert self._attempt is not None
        self._attempt.retry_state.set_result(outcome)

    # --- what tenacity asks --------------------------------------------------------------------------------

    def _is_retryable(self, _: tenacity.RetryCallState) -> bool:
        is_safe = self._method in _SAFE_METHODS
        if isinstance(self.outcome, CompleteResponse):
            status = self.outcome.status_code
            return status == 429 or (is_safe and status in RETRYABLE)
        # Tenacity asks only after an attempt.
        assert self.outcome is not None
        return not is_permanent(self.outcome) and (is_safe or isinstance(self.outcome, _NEVER_ARRIVED))

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Full jitter, but never less than what the server asked for or the throttle is paused for."""
        backoff = tenacity.wait_random_exponential(multiplier=self._policy.base, max=self._policy.cap)(state)
        if not isinstance(self.outcome, CompleteResponse):
            return backoff
        return max(backoff, self._pause_left, retry_after_of(self.outcome.headers) or 0.0)

    def _is_enough(self, state: tenacity.RetryCallState) -> bool:
        return self.number >= self._policy.attempts or state.upcoming_sleep + self._response_time >= self.budget()

    def _retry_after(self, seconds: float) -> None:
        self._report(retry_in=seconds)
        self._retry_in = seconds
        self.waited += seconds

    def _report(self, retry_in: float | None) -> None:
        if self._on_event is None and not logger.isEnabledFor(logging.INFO):
            return
        response = self.outcome if isinstance(self.outcome, CompleteResponse) else None
        failed = response is None or response.status_code in RETRYABLE
        attempt = Attempt(
            method=self._method,
            path=self._path,
            number=self.number,
            status=None if response is None else response.status_code,
            error=type(self.outcome).__name__ if response is None else None,
            queued=self._queued,
            elapsed=self.elapsed,
            retry_in=retry_in,
            request_id=None if response is None else response.headers.get("x-request-id"),
            gave_up=failed and retry_in is None,
            server=self._server,
        )
        report(attempt, self._on_event)


def _nothing(_: tenacity.RetryCallState) -> None:
    """Tenacity's last action when it gives up; the outcome is kept elsewhere."""
