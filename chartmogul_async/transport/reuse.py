"""Equal requests share one exchange while it is in progress, and a recent response is used again by whoever allows it.

There is no task for it: the first caller makes the exchange, and the others wait for its end. Whoever is cancelled
leaves alone; if that is the first caller, one of the others makes the exchange again.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from copy import copy
from typing import Any

import anyio
from attrs import Factory, define, field, frozen

from chartmogul_async.errors import ChartMogulError, QueueTimeoutError
from chartmogul_async.events import ResponseInfo
from chartmogul_async.transport.permits import Claim, Waiter
from chartmogul_async.transport.refusals import waited_too_long

# So many responses are kept, and bytes of their content, whichever is reached first.
_MOST_KEPT = 1_000
_MOST_BYTES = 32 * 2**20


@frozen
class Result:
    """What an exchange gave.

    Attributes:
        value: Made of the content; never changed.
        size: Bytes of the content.
        sent_at: When the request was sent.
        response: Tells of the response what is not content.
    """

    value: Any
    size: int
    sent_at: float
    response: Callable[[], ResponseInfo]


Exchange = Callable[[Claim, bool], Awaitable[Result]]


@define(eq=False)
class _InProgress:
    """An exchange in progress, and those who wait for it beside its first caller.

    Attributes:
        claim: That of the first caller.
        is_kept: Whether the result may be used again later.
        is_admitted: Whether it has left the queue.
        result: What it gave.
        error: What it met, if that concerns everybody.
    """

    claim: Claim
    is_kept: bool
    is_admitted: bool = field(default=False, init=False)
    result: Result | None = field(default=None, init=False)
    error: ChartMogulError | None = field(default=None, init=False)
    _ended: anyio.Event | None = field(default=None, init=False)
    _in_queue: set[anyio.CancelScope] = field(default=Factory(set), init=False)

    def admit(self) -> None:
        """Whoever waits for it does not wait in the queue any more."""
        self.is_admitted = True
        for scope in self._in_queue:
            scope.deadline = math.inf

    def end(self) -> None:
        """Wake those who wait."""
        if self._ended is not None:
            self._ended.set()

    async def follow(self, claim: Claim) -> Result | None:
        """Wait for the end; None if there is no result that would be for anybody but the first caller."""
        since = anyio.current_time()
        self._ended = self._ended or anyio.Event()
        with anyio.CancelScope(deadline=math.inf if self.is_admitted else claim.leaves_at) as scope:
            self._in_queue.add(scope)
            try:
                await self._ended.wait()
            finally:
                self._in_queue.discard(scope)
        if scope.cancelled_caught:
            raise waited_too_long(anyio.current_time() - since)
        if self.error is not None:
            raise for_another_task(self.error)
        return self.result


class Reuse:
    """The exchanges in progress and the recent responses of one client.

    Attributes:
        made: Exchanges so far.
        shared: Calls that waited for the exchange of another one.
        reused: Calls that were given a recent response.
        kept_bytes: Bytes of the content of the responses that are kept.
    """

    def __init__(self) -> None:
        self.made = self.shared = self.reused = self.kept_bytes = 0
        self._in_progress: dict[Hashable, _InProgress] = {}
        # The one that was not used for longest is the first.
        self._kept: OrderedDict[Hashable, Result] = OrderedDict()

    @property
    def kept(self) -> int:
        """How many responses are kept."""
        return len(self._kept)

    async def fetch(
        self, key: Hashable, claim: Claim, max_age: float, promote: Callable[[Waiter], None], exchange: Exchange
    ) -> Result:
        """Make an exchange, or have the result of one that is equal.

        Args:
            key: What makes exchanges equal.
            claim: What this call may claim of the queue.
            max_age: How many seconds ago the request of a result may have been sent; 0 for a new one.
            promote: Makes a waiter interactive.
            exchange: Makes the exchange, given the claim and whether this call has waited for another one before.

        Returns:
            The result, which several callers may have.

        Raises:
            QueueTimeoutError: It waited as long as it may.
            ChartMogulError: What the exchange met.
        """
        recent = self._recent(key, max_age)
        if recent is not None:
            self.reused += 1
            return recent
        has_waited = False
        while (current := self._in_progress.get(key)) is not None:
            current.is_kept = current.is_kept or max_age > 0
            if current.claim.is_batch and not claim.is_batch:
                _promote(current.claim, promote)
            result = await current.follow(claim)
            if result is not None:
                self.shared += 1
                return result
            has_waited = True
        return await self._make(key, _InProgress(claim, is_kept=max_age > 0), exchange, has_waited)

    async def _make(self, key: Hashable, current: _InProgress, exchange: Exchange, has_waited: bool) -> Result:
        self.made += 1
        self._in_progress[key] = current
        current.claim.on_admitted = current.admit
        try:
            current.result = await exchange(current.claim, has_waited)
        except QueueTimeoutError:
            # Others may wait for longer.
            raise
        except ChartMogulError as error:
            # A copy: its traceback would refer to this frame, and so to itself.
            current.error = for_another_task(error)
            raise
        finally:
            del self._in_progress[key]
            current.end()
        if current.is_kept:
            self._keep(key, current.result)
        return current.result

    def _recent(self, key: Hashable, max_age: float) -> Result | None:
        kept = self._kept.get(key) if max_age > 0 else None
        if kept is None or anyio.current_time() - kept.sent_at > max_age:
            return None
        self._kept.move_to_end(key)
        return kept

    def _keep(self, key: Hashable, result: Result) -> None:
        self._forget(key)
        self._kept[key] = result
        self.kept_bytes += result.size
        while len(self._kept) > _MOST_KEPT or self.kept_bytes > _MOST_BYTES:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: Hashable) -> None:
        known = self._kept.pop(key, None)
        if known is not None:
            self.kept_bytes -= known.size

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()
        self.kept_bytes = 0


def for_another_task(error: ChartMogulError) -> ChartMogulError:
    """The same error without its traceback, which belongs to the task that raised it.

    Args:
        error: The error.

    Returns:
        A copy.
    """
    other = copy(error)
    other.__cause__ = error.__cause__
    return other


def _promote(claim: Claim, promote: Callable[[Waiter], None]) -> None:
    claim.is_batch = False
    if claim.waiter is not None and not claim.waiter.is_served:
        promote(claim.waiter)
