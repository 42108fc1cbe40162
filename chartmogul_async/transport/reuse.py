"""The exchanges in progress that others may wait for, and the recent responses that may be used again."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from copy import copy
from typing import Any, Generic, TypeVar

import anyio
from attrs import define, field, frozen

from chartmogul_async.errors import ChartMogulError
from chartmogul_async.events import ResponseInfo
from chartmogul_async.transport.permits import Claim
from chartmogul_async.transport.refusals import waited_too_long

T = TypeVar("T")

# So many responses are kept, and bytes of their content, whichever is reached first.
_MOST_KEPT = 1_000
_MOST_BYTES = 32 * 2**20


@frozen
class Result(Generic[T]):
    """What an exchange gave.

    Attributes:
        value: Made of the content; several callers may have it.
        size: Bytes of the content.
        sent_at: When the request was sent.
        response: Tells of the response what is not content.
    """

    value: T
    size: int
    sent_at: float
    response: Callable[[], ResponseInfo]


@define(eq=False)
class InProgress:
    """An exchange in progress.

    Attributes:
        claim: What the call that makes it may claim of the queue.
        is_kept: Whether the result may be used again later.
        ended: Set when it is over, if anybody waits for that.
        result: What it gave.
        error: What it met, if that concerns everybody.
    """

    claim: Claim
    is_kept: bool
    ended: anyio.Event | None = field(default=None, init=False)
    result: Result[Any] | None = field(default=None, init=False)
    error: ChartMogulError | None = field(default=None, init=False)

    async def follow(self, claim: Claim) -> Result[Any] | None:
        """Wait for the end.

        Args:
            claim: What the call that waits may claim of the queue.

        Returns:
            The result; None if there is none that is for anybody but the call that made the exchange.

        Raises:
            QueueTimeoutError: It waited as long as it may, while the other call was still in the queue.
            ChartMogulError: What the exchange met.
        """
        since = anyio.current_time()
        self.ended = self.ended or anyio.Event()
        with anyio.CancelScope(deadline=math.inf if self.claim.is_admitted else claim.leaves_at) as scope:
            self.claim.followers.add(scope)
            try:
                await self.ended.wait()
            finally:
                self.claim.followers.discard(scope)
        if scope.cancelled_caught:
            raise waited_too_long(anyio.current_time() - since)
        if self.error is not None:
            raise for_another_task(self.error)
        return self.result


class Reuse:
    """The exchanges in progress and the recent responses of one client.

    Attributes:
        in_progress: The exchanges in progress, each under what makes it equal to others.
        made: Exchanges so far.
        shared: Calls that waited for the exchange of another one.
        reused: Calls that were given a recent response.
        kept_bytes: Bytes of the content of the responses that are kept.
    """

    def __init__(self) -> None:
        self.in_progress: dict[Hashable, InProgress] = {}
        self.made = self.shared = self.reused = self.kept_bytes = 0
        # The one that was not used for longest is the first.
        self._kept: OrderedDict[Hashable, Result[Any]] = OrderedDict()

    @property
    def kept(self) -> int:
        """How many responses are kept."""
        return len(self._kept)

    def recent(self, key: Hashable, max_age: float) -> Result[Any] | None:
        """The result of an exchange whose request was sent at most ``max_age`` seconds ago, if it is kept."""
        kept = self._kept.get(key)
        if kept is None or anyio.current_time() - kept.sent_at > max_age:
            return None
        self._kept.move_to_end(key)
        self.reused += 1
        return kept

    def keep(self, key: Hashable, result: Result[Any]) -> None:
        """Keep a result, in place of the one before."""
        self._forget(key)
        self._kept[key] = result
        self.kept_bytes += result.size
        while len(self._kept) > _MOST_KEPT or self.kept_bytes > _MOST_BYTES:
            self._forget(next(iter(self._kept)))

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()
        self.kept_bytes = 0

    def _forget(self, key: Hashable) -> None:
        known = self._kept.pop(key, None)
        if known is not None:
            self.kept_bytes -= known.size


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
