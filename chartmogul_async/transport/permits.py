"""What the queue is asked for, what it hands out and what waits in it: a claim, a permit, one waiting task."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Protocol

import anyio
from attrs import define, field, frozen

from chartmogul_async.errors import ChartMogulError
from chartmogul_async.transport.limits import LimitEvent
from chartmogul_async.transport.refusals import waited_too_long


class Acquire(Protocol):
    """Waits for a permit."""

    async def __call__(self, max_pause: float = math.inf, is_retry: bool = False, claim: Claim | None = None) -> Permit:
        """Wait for a permit; see ``Throttle``."""
        ...


class End(Protocol):
    """Gives a slot back, learns from the response, and returns what changed for all requests."""

    async def __call__(
        self, permit: Permit, status: int | None = None, retry_after: float | None = None, given_up: bool = False
    ) -> tuple[LimitEvent, ...]:
        """End an exchange; see ``Throttle``."""
        ...


@frozen
class Admission:
    """What a session needs of the queue, be it that of one process or one that shares its limits.

    Attributes:
        acquire: Waits for a permit.
        end: Ends the exchange of a permit.
        give_back: Gives back a permit whose request was never sent.
        promote: Makes a waiter interactive that waited as one of a batch.
        alive: Keeps the slots of this process while a block runs.
    """

    acquire: Acquire
    end: End
    give_back: Callable[[Permit], Awaitable[None]]
    promote: Callable[[Waiter], None]
    alive: Callable[[], AbstractAsyncContextManager[None]] = nullcontext


@define(eq=False)
class Claim:
    """What one call may claim of the queue. An interactive call that wants the same changes one of a batch.

    Attributes:
        is_batch: Interactive requests go first.
        max_wait: Seconds that it may wait before it is first sent.
        leaves_at: When it has waited that long.
        place: Its place in the queue: the smaller, the earlier it came. None if it was in no queue yet.
        is_admitted: Whether it was admitted once.
        waiter: What waits for it, if it had to wait.
    """

    is_batch: bool = False
    max_wait: float = math.inf
    leaves_at: float = math.inf
    place: int | None = field(default=None, init=False)
    is_admitted: bool = field(default=False, init=False)
    waiter: Waiter | None = field(default=None, init=False)


class _Hidden(tuple[bytes, ...]):
    """What is not shown, not even in a debug log."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[secure]'"


@define(eq=False)
class Permit:
    """A permit for one exchange.

    ``queued`` are the seconds in the queue, if it had to wait at all (``was_queued``), ``paused`` those of them in
    which requests were paused in vain, and ``pause_left`` those for which they are still paused after a 429.
    ``response_time`` is how long a response takes at least, and ``sent`` when the request was written to its socket:
    infinity while it was not, None where the transport does not report it.
    """

    _mark_sent: Callable[[int, float], None] = field(repr=False)
    number: int
    admitted: float
    queued: float = 0.0
    paused: float = 0.0
    pause_left: float = 0.0
    response_time: float = 0.0
    was_queued: bool = False
    sent: float | None = None
    _is_traced: bool = field(default=False, init=False, repr=False)
    _is_tunnel: bool = field(default=False, init=False, repr=False)

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Called by the HTTP library; connecting may take long, so what counts is the writing."""
        if not self._is_traced:
            self._is_traced = True
            self._note_sent(math.inf)
        if info.get("auth") is not None:
            # That of a SOCKS proxy, which the HTTP library logs next, and then uses.
            info["auth"] = _Hidden(info["auth"])
        if "exception" in info:
            # The HTTP library logs it next, and it may hold the body.
            info["exception"] = type(info["exception"]).__name__
        if event.endswith(".send_request_headers.started"):
            # A proxy is asked for a tunnel first, which is not the request. Only httpcore's requests have bytes, and
            # `python -bb` forbids to compare them with a text.
            method = info["request"].method
            self._is_tunnel = isinstance(method, bytes) and method == b"CONNECT"
        elif event.endswith(".send_request_headers.complete") and not self._is_tunnel:
            self._note_sent(anyio.current_time())

    def _note_sent(self, moment: float) -> None:
        self.sent = moment
        self._mark_sent(self.number, moment)


class Waiter:
    """One task in the queue. The head of the queue has a timer, at which it should look again, and few others do.

    ``deadline`` is when its caller gives up, as far as the event loop knows, and ``looks_again_at`` what its timer is
    set to: infinity if it has none.
    """

    __slots__ = (
        "_scope",
        "_sleeps",
        "claim",
        "deadline",
        "event",
        "has_slept",
        "is_batch",
        "is_retry",
        "looks_again_at",
        "max_pause",
        "paused_before",
        "permit",
        "refusal",
        "since",
    )

    def __init__(
        self, since: float, max_pause: float, paused_before: float, is_retry: bool, claim: Claim | None = None
    ) -> None:
        self.claim: Claim = claim or Claim()
        self.claim.waiter = self
        self.event: anyio.Event = anyio.Event()
        self.deadline: float = anyio.current_effective_deadline()
        self.since: float = since
        self.has_slept: bool = False
        self.max_pause: float = max_pause
        self.paused_before: float = paused_before
        self.is_retry: bool = is_retry
        # As it was when it joined the queue or was promoted there.
        self.is_batch: bool = self.claim.is_batch
        self.permit: Permit | None = None
        self.refusal: ChartMogulError | None = None
        self.looks_again_at: float = math.inf
        self._sleeps = False
        self._scope: anyio.CancelScope | None = None

    def wake_at(self, moment: float) -> None:
        """Look again then: it is the head of the queue and the next request may start, or its caller gives up."""
        self.looks_again_at = moment
        if self._scope is not None:
            self._scope.deadline = min(moment, self.claim.leaves_at)
        elif self._sleeps and moment < math.inf:
            # It sleeps without a deadline, as all behind the head do, and has to wake to set one.
            self.event.set()

    async def wait(self) -> bool:
        """Sleep until something has changed, and return whether it is time to look again."""
        self.has_slept = True
        wakes_at = min(self.looks_again_at, self.claim.leaves_at)
        if wakes_at == math.inf:
            self._sleeps = True
            await self.event.wait()
            self._sleeps = False
            if not self.is_served:
                self.event = anyio.Event()
            return False
        with anyio.CancelScope(deadline=wakes_at) as self._scope:
            await self.event.wait()
        self._scope = None
        # Another one may be at the head by now; only the head looks again.
        self.looks_again_at = math.inf
        return True

    def check_patience(self) -> None:
        """Raise ``QueueTimeoutError`` if it has waited in vain for as long as it may."""
        if anyio.current_time() >= self.claim.leaves_at and not self.is_served:
            raise waited_too_long(self.claim.max_wait)

    @property
    def is_served(self) -> bool:
        return self.permit is not None or self.refusal is not None

    def result(self) -> Permit:
        """What it was served: its permit, or the error with which it was refused."""
        if self.refusal is not None:
            raise self.refusal
        # Nobody asks before.
        assert self.permit is not None
        return self.permit
