"""The first day of the account's weeks, looked up once for all calls of a client."""

from __future__ import annotations

import math

import anyio

from chartmogul_async.errors import ChartMogulError
from chartmogul_async.intervals import WEEK_STARTS, WeekStart
from chartmogul_async.resources.account import Account
from chartmogul_async.transport.retry import RetryPolicy
from chartmogul_async.transport.session import Session

# Slices are faster by a second or two, so a lookup that takes longer is of no use.
_ONE_ATTEMPT = RetryPolicy(attempts=1, total=5.0)
# Seconds before a lookup that failed is repeated: for an error that may pass, and for one that stays.
_AFTER_TRANSIENT, _AFTER_PERMANENT = 60.0, 600.0


class WeekLookup:
    """Finds the first day of the account's weeks."""

    __slots__ = ("_again_at", "_found")

    def __init__(self) -> None:
        self._found: WeekStart | None = None
        # When a lookup with one attempt may be repeated, on the clock of the event loop.
        self._again_at = -math.inf

    async def find(self, session: Session) -> WeekStart | None:
        """Look it up with one attempt, which is not repeated for a while after a failure.

        Args:
            session: Makes the request.

        Returns:
            The first day of the week, None if it could not be looked up.

        Raises:
            StateError: The client is closed, or belongs to another event loop.
        """
        session.check_usable()
        if self._found is None and anyio.current_time() >= self._again_at:
            try:
                await self._look_up(session.with_options(policy=_ONE_ATTEMPT))
            except ChartMogulError as error:
                pause = _AFTER_TRANSIENT if error.is_transient else _AFTER_PERMANENT
                self._again_at = anyio.current_time() + pause
        return self._found

    async def require(self, session: Session) -> WeekStart:
        """Look it up with all attempts of the session's policy.

        Args:
            session: Makes the request.

        Returns:
            The first day of the week.

        Raises:
            StateError: The client is closed, or belongs to another event loop.
            ChartMogulError: The lookup failed.
        """
        session.check_usable()
        return self._found or await self._look_up(session)

    async def _look_up(self, session: Session) -> WeekStart:
        # Concurrent lookups are one request.
        account = await session.fetch("/account", {}, Account)
        for known in WEEK_STARTS:
            if account.week_start_on == known:
                self._found = known
                return known
        raise session.mismatch("/account", "$.week_start_on: expected monday or sunday, got another str")
