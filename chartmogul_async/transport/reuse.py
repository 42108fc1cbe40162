"""The exchanges in progress that others may wait for, and the recent results that may be used again."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from copy import copy
from typing import Any, Generic, TypeVar

import anyio
from attrs import Factory, define, field, frozen

from chartmogul_async.errors import ChartMogulError, QueueTimeoutError
from chartmogul_async.events import ResponseInfo
from chartmogul_async.transport.permits import Claim
from chartmogul_async.transport.refusals import waited_too_long

T = TypeVar("T")

# So many results are kept, and bytes of their content, whichever is reached first.
_MOST_KEPT = 1_000
_MOST_BYTES = 32 * 2**20
# Seconds by which the wall clock may be set while the machine is awake.
_SLEEP = 10.0


@frozen
class Result(Generic[T]):
    """What one exchange gave, or several.

    Attributes:
        value: Made of the content.
        size: Bytes of the content.
        sent_at: When the first request was sent.
        responses: Each tells of a response what is not content.
    """

    value: T
    size: int
    sent_at: float
    responses: tuple[Callable[[], ResponseInfo], ...]


@define(eq=False)
class _Follower:
    """A call that waits for the exchange of another one.

    Attributes:
        claim: What it may claim of the queue.
        deadline: When its caller gives up, as far as the event loop knows.
        woken: Set when the exchange is over, or this call is to make it.
        scope: Ends the wait after the time that the call may spend in the queue.
        is_heir: Whether this call is to make the exchange.
    """

    claim: Claim
    deadline: float
    scope: anyio.CancelScope
    woken: anyio.Event = Factory(anyio.Event)
    is_heir: bool = False


@define(eq=False)
class InProgress:
    """An exchange in progress.

    If the call that makes it is cancelled, another one makes it again: the one whose caller waits for longest, since
    each beginning takes the whole time of an exchange.

    Attributes:
        claim: What the call that makes it may claim of the queue.
        has_followers: Whether other calls wait for it, or did.
        is_shared: Whether it is there for others, too.
        result: What it gave.
        is_abandoned: Whether the call that was to make it left, and was the last one.
    """

    claim: Claim
    has_followers: bool = field(default=False, init=False)
    is_shared: bool = field(default=True, init=False)
    is_abandoned: bool = field(default=False, init=False)
    _followers: dict[_Follower, None] = field(factory=dict, init=False)
    result: Result[Any] | None = field(default=None, init=False)
    _error: ChartMogulError | None = field(default=None, init=False)

    async def follow(self, claim: Claim) -> Result[Any] | None:
        """Wait for the end.

        Args:
            claim: What the call that waits may claim of the queue.

        Returns:
            The result; None if this call is to make an exchange, shared or not.

        Raises:
            QueueTimeoutError: It waited as long as it may, while the exchange was still in the queue.
            ChartMogulError: What the exchange met.
        """
        self.has_followers = True
        deadline = anyio.current_effective_deadline()
        if self.claim.is_admitted:
            # This holds even if this call is to make it again.
            claim.leaves_at = math.inf
        with anyio.CancelScope(deadline=claim.leaves_at) as scope:
            follower = _Follower(claim, deadline, scope)
            self._followers[follower] = None
            try:
                await follower.woken.wait()
            except BaseException:
                if follower.is_heir:
                    self.is_abandoned = not self.pass_on()
                raise
            finally:
                self._followers.pop(follower, None)
        if scope.cancelled_caught:
            raise waited_too_long(claim.max_wait)
        if self._error is not None:
            raise for_another_task(self._error)
        return self.result

    def admit(self) -> None:
        """The exchange has left the queue: what is sent once is there to be finished, also for those who wait."""
        for follower in self._followers:
            follower.claim.leaves_at = follower.scope.deadline = math.inf

    def fail(self, error: ChartMogulError) -> None:
        """It is over with an error, which concerns all, unless others may wait for longer."""
        if self._followers and not isinstance(error, QueueTimeoutError):
            # A copy: the traceback of the error refers to this object, and so to itself.
            self._error = for_another_task(error)

    def pass_on(self) -> bool:
        """Wake those who wait.

        Returns:
            Whether one of them goes on with the exchange.
        """
        if self.result is None and self._error is None and self.is_shared and self._followers:
            heir = max(self._followers, key=lambda follower: follower.deadline)
            del self._followers[heir]
            # It has the place in the queue that the exchange had, and is as urgent as the most urgent call.
            heir.claim.place = 0 if self.claim.is_admitted else self.claim.place
            heir.claim.is_admitted = self.claim.is_admitted
            heir.claim.is_batch = heir.claim.is_batch and all(each.claim.is_batch for each in self._followers)
            heir.is_heir, self.claim = True, heir.claim
            heir.woken.set()
            return True
        for follower in self._followers:
            follower.woken.set()
        return False


@define(eq=False, weakref_slot=False)
class Counts:
    """What the calls of one account had in common so far.

    Attributes:
        made: Exchanges.
        shared: Calls that waited for the exchange of another one.
        reused: Calls that were given a recent result.
    """

    made: int = 0
    shared: int = 0
    reused: int = 0


class Reuse:
    """The exchanges in progress and the recent results of one client, or of those of several accounts.

    Attributes:
        in_progress: The exchanges in progress, each under what makes it equal to others.
        kept_bytes: Bytes of the content of which the kept results are made.
    """

    def __init__(self) -> None:
        self.in_progress: dict[Hashable, InProgress] = {}
        self.kept_bytes: int = 0
        # By whose they are and what they answer. The one that was not used for longest is the first.
        self._kept: OrderedDict[tuple[object, Hashable], Result[Any]] = OrderedDict()
        # By how much the wall clock was ahead of that of the event loop when this was last asked, and when it had
        # become so by the sleep of the machine.
        self._ahead = math.inf
        self._slept_at = -math.inf

    @property
    def kept(self) -> int:
        """How many results are kept."""
        return len(self._kept)

    def sizes_of(self, account: object) -> list[int]:
        """The bytes of each result that is kept for an account."""
        return [result.size for (owner, _), result in self._kept.items() if owner is account]

    def recent(self, key: tuple[object, Hashable], max_age: float) -> Result[Any] | None:
        """The result whose first request was sent at most ``max_age`` seconds ago, if it is kept."""
        self._forget_after_sleep()
        kept = self._kept.get(key)
        if kept is None or anyio.current_time() - kept.sent_at > max_age:
            return None
        self._kept.move_to_end(key)
        return kept

    def keep(self, key: tuple[object, Hashable], result: Result[Any]) -> None:
        """Keep a result, in place of the one before, unless it is larger than all that may be kept."""
        self._forget(key)
        self._forget_after_sleep()
        if result.sent_at < self._slept_at or result.size > _MOST_BYTES:
            return
        self._kept[key] = result
        self.kept_bytes += result.size
        while len(self._kept) > _MOST_KEPT or self.kept_bytes > _MOST_BYTES:
            self._forget(next(iter(self._kept)))

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()
        self.kept_bytes = 0

    def _forget_after_sleep(self) -> None:
        """While the machine slept the clock of the event loop stood still: the age of all is unknown."""
        now = anyio.current_time()
        ahead = time.time() - now
        if ahead > self._ahead + _SLEEP:
            self._slept_at = now
            self.clear()
        self._ahead = ahead

    def _forget(self, key: tuple[object, Hashable]) -> None:
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
