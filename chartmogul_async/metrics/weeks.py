"""The first day of the account's weeks, looked up once for all calls of a client."""

from __future__ import annotations

import math
from copy import copy
from typing import get_args

import anyio

from chartmogul_async.errors import ChartMogulError
from chartmogul_async.intervals import WeekStart
from chartmogul_async.resources.account import Account
from chartmogul_async.transport.retry import RetryPolicy
from chartmogul_async.transport.session import Session

_WEEK_STARTS: tuple[WeekStart, ...] = get_args(WeekStart)

# Slices are faster by a second or two, so a lookup that takes longer is of no use.
_ONE_ATTEMPT = RetryPolicy(attempts=1, total=5.0)
# Seconds before a lookup that failed is repeated: for an error that may pass, and for one that stays.
_AFTER_TRANSIENT, _AFTER_PERMANENT = 60.0, 600.0


class WeekLookup:
    """Finds the first day of the account's weeks. Concurrent calls share one request."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._found: WeekStart | None = None
        # How many lookups with all attempts failed, and how the last one did.
        self._failures = 0
        self._failure: ChartMogulError | None = None
        # When a lookup with one attempt may be repeated, on the clock of the event loop.
        self._again_at = -math.inf
        # Each is made in the event loop in which it is used.
        self._brief_lock: anyio.Lock | None = None
        self._full_lock: anyio.Lock | None = None

    async def find(self) -> WeekStart | None:
        """Look it up with one attempt, which is not repeated for a while after a failure.

        Returns:
            The first day of the week, None if it could not be looked up.

        Raises:
            StateError: The client is closed, or belongs to another event loop.
        """
        # A lock belongs to the client's event loop, so a call from another one must not reach it.
        self._session.check_usable()
        self._brief_lock = self._brief_lock or anyio.Lock()
        async with self._brief_lock:
            if self._found is None and anyio.current_time() >= self._again_at:
                try:
                    await self._look_up(_ONE_ATTEMPT)
                except ChartMogulError as error:
                    pause = _AFTER_TRANSIENT if error.is_transient else _AFTER_PERMANENT
                    self._again_at = anyio.current_time() + pause
        return self._found

    async def require(self) -> WeekStart:
        """Look it up with all attempts of the client's own policy.

        Returns:
            The first day of the week.

        Raises:
            StateError: The client is closed, or belongs to another event loop.
            ChartMogulError: The lookup failed, perhaps that of a concurrent call.
        """
        self._session.check_usable()
        self._full_lock = self._full_lock or anyio.Lock()
        failures_before = self._failures
        async with self._full_lock:
            if self._found is not None:
                return self._found
            if self._failure is not None and self._failures > failures_before:
                # It failed while this call waited.
                raise _for_another_task(self._failure)
            try:
                return await self._look_up()
            except ChartMogulError as error:
                self._failures, self._failure = self._failures + 1, _for_another_task(error)
                raise

    async def _look_up(self, policy: RetryPolicy | None = None) -> WeekStart:
        account = await self._session.fetch("/account", {}, Account, policy)
        for known in _WEEK_STARTS:
            if account.week_start_on == known:
                self._found = known
                return known
        raise self._session.mismatch("/account", "$.week_start_on: expected monday or sunday, got another str")


def _for_another_task(error: ChartMogulError) -> ChartMogulError:
    """The same error without its traceback, which belongs to the task that raised it."""
    other = copy(error)
    other.__cause__ = error.__cause__
    return other
