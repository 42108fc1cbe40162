"""One queue for all requests of an account: at most 40 in a second, at most 20 at once.

ChartMogul allows 40 requests a second (beyond: 429) and 20 in parallel (beyond: 503), and of neither it is documented
how it is counted. ``Throttle`` stays within both limits for every way of counting that lets 40 start at once, and
applies a refusal that comes all the same to every task of the account. What it knows is in ``limits``; here is the
queue around it.

Source of the limits: https://dev.chartmogul.com/docs/rate-limits
"""

from __future__ import annotations

import math
import os
import time

import anyio
import anyio.lowlevel
from attrs import frozen

from chartmogul_async.checks import positive_integer
from chartmogul_async.errors import StateError
from chartmogul_async.transport.cap import Cap, Slots
from chartmogul_async.transport.event_loop import has_ended
from chartmogul_async.transport.limits import AccountLimits, LimitEvent
from chartmogul_async.transport.permits import Admission, Claim, Permit, Waiter
from chartmogul_async.transport.queue import Queue
from chartmogul_async.transport.refusals import rate_limited
from chartmogul_async.transport.shared import SharedQueue
from chartmogul_async.transport.snapshots import dumps, loads
from chartmogul_async.transport.store import Store, store_like

# One for thousands of throttles: Python makes a new one each time.
_NOBODY: frozenset[object] = frozenset()


@frozen
class ThrottleStatistics:
    """A throttle at one moment.

    Attributes:
        admitted: Requests admitted so far.
        delayed: How many of them had to wait in the queue.
        waiting: How many wait now.
        in_flight: How many are in flight now.
        max_in_flight: How many may be; fewer than ``parallel`` after a 503.
        per_second: How many requests may start in a second at present; fewer than allowed after refusals.
        paused_for: Seconds for which no request is sent after a 429, 0 if requests are not paused.
        paced_for: Seconds for which requests are still spaced evenly, at least; 0 if they need not be.
    """

    __module__ = "chartmogul_async"

    admitted: int
    delayed: int
    waiting: int
    in_flight: int
    max_in_flight: int
    per_second: float
    paused_for: float
    paced_for: float


class Throttle:
    """Admits requests first come first served: ``per_second`` starts a second, ``parallel`` in flight.

    Requests that are sent again go ahead of those that were not sent yet, and a call whose caller gives up before a
    response can come does not take a slot.

    One throttle may serve several clients of the same account, within one event loop. A burst that fits is sent
    at once. A 429 pauses everyone, for as long as the server says or 0.25, 1, 6, 30, 30 … seconds; then one request
    goes ahead as a probe, and when it is not refused the others follow. From then on they are spaced evenly, since the
    server may allow no bursts; each further 429 lowers the rate, which rises again while there is none. A 503 halves
    the concurrency, and every round of successes gives one slot back.

    Args:
        per_second: Requests that may start in any second.
        parallel: Requests that may be in flight at once.
        store: Where the limits of the account live, if several processes use its key: ``FileStore()`` for those of one
            machine, ``RedisStore(url)`` for several. Without one, each process takes the whole of the limits to be its
            own.

    Raises:
        ArgumentError: A limit is not a positive integer, or ``store`` is no store.
    """

    __module__ = "chartmogul_async"

    def __init__(self, per_second: int = 40, parallel: int = 20, store: Store | None = None) -> None:
        self._size = positive_integer("per_second", per_second), positive_integer("parallel", parallel)
        # What is known, as a value while it is in use; at rest as bytes, or None if there is nothing to know.
        self._known: AccountLimits | bytes | None = None
        self._store = None if store is None else store_like(store)
        self._account = ""
        self._shared: SharedQueue | None = None
        # What this process was in the store before, in another event loop.
        self._member: int | None = None
        self._waiters: Queue | None = None
        self._delayed = 0
        # What all accounts of several clients share, if this is the throttle of one of them.
        self._cap: Cap | None = None
        self._admission: Admission | None = None

        self._users: frozenset[object] = _NOBODY
        self._loop: object = None
        self._process = os.getpid()
        # One moment on the clock of that loop, and on one that all loops share.
        self._last_seen = self._last_seen_anywhere = 0.0

    def __repr__(self) -> str:
        per_second, parallel = self._size
        return f"Throttle(per_second={per_second}, parallel={parallel})"

    @property
    def _limits(self) -> AccountLimits:
        if not isinstance(self._known, AccountLimits):
            self._known = self._look()
        return self._known

    @property
    def _queue(self) -> Queue:
        if self._waiters is None:
            self._waiters = Queue()
        return self._waiters

    def _look(self) -> AccountLimits:
        """What is known, without an end to the rest."""
        known = self._known
        if known is None:
            return AccountLimits(*self._size)
        return loads(known) if isinstance(known, bytes) else known

    def _number_waiting(self) -> int:
        return 0 if self._waiters is None else len(self._waiters.waiters)

    def _share_slots(self, cap: Cap) -> Throttle:
        """Be the throttle of one account among many that share slots."""
        self._cap = cap
        return self

    def _rest(self) -> None:
        """Take little memory until the next request, unless calls wait."""
        if self._number_waiting() or self._shares_now():
            return
        if self._shared is not None and self._store is not None:
            self._limits.admitted += self._shared.admitted
            self._delayed += self._shared.delayed
            self._member, self._shared = self._shared.member, None
            self._store.release(self._account)
        # What the server does not count any more is not kept.
        self._limits.window.count(self._now())
        self._known, self._waiters = dumps(self._limits), None
        self._users, self._admission = _NOBODY, None

    def statistics(self) -> ThrottleStatistics:
        """Report what was admitted, what waits, and what is known about the server.

        Returns:
            The figures of this moment.
        """
        shared, own, now = self._shared, self._look(), self._now()
        limits = own if shared is None else shared.limits
        now += 0.0 if shared is None else shared.offset
        return ThrottleStatistics(
            admitted=own.admitted + (0 if shared is None else shared.admitted),
            delayed=self._delayed + (0 if shared is None else shared.delayed),
            waiting=self._number_waiting() if shared is None else len(shared.queue.waiters),
            in_flight=len(limits.in_flight),
            max_in_flight=limits.max_in_flight,
            per_second=limits.per_second if limits.pace is None else limits.pace.rate,
            paused_for=limits.pause_left(now),
            paced_for=0.0 if limits.pace is None else max(0.0, limits.pace.even_until - now),
        )

    @property
    def parallel(self) -> int:
        """How many requests may be in flight."""
        return self._size[1]

    def resize(self, *, per_second: int | None = None, parallel: int | None = None) -> None:
        """Change the limits from now on; what is in flight stays in flight.

        With a limit that differs everything is forgotten that the server has shown about it.

        Args:
            per_second: Requests that may start in any second; None leaves it as it is.
            parallel: Requests that may be in flight at once; None leaves it as it is.

        Raises:
            ArgumentError: A limit is not a positive integer.
        """
        per_second = None if per_second is None else positive_integer("per_second", per_second)
        parallel = None if parallel is None else positive_integer("parallel", parallel)
        self._size = per_second or self._size[0], parallel or self._size[1]
        is_awake, limits = isinstance(self._known, AccountLimits), self._look()
        limits.resize(*self._size)
        self._known = limits if is_awake else dumps(limits)
        if self._shared is not None:
            self._shared.resize(*self._size)
        if self._is_elsewhere():
            # Those that wait look again by themselves.
            return
        if self._shared is not None:
            self._shared.look_again()
        elif self._number_waiting():
            self._admit_waiting()

    def _free_slots(self, taken: int = 0) -> int:
        """How many more requests could start immediately.

        Args:
            taken: Slots that the caller has already planned to use.

        Returns:
            The number, 0 while requests are paused.
        """
        if self._shared is not None:
            return 0 if self._is_elsewhere() else self._shared.free_slots(taken)
        limits = self._limits
        # It may be asked in a new event loop before the first request there.
        return limits.free_slots(self._now(), max(len(limits.in_flight) + len(self._queue.waiters), taken))

    # --- event loops ---------------------------------------------------------------------------------------

    def _attach(self, user: object, account: str = "") -> Admission:
        """Called by a client at its first request: from then on the throttle belongs to that event loop.

        Args:
            user: The client's session.
            account: What the store knows the account by.

        Returns:
            What admits the client's requests.

        Raises:
            StateError: It serves a client in another event loop, or its store one of another account.
        """
        loop = _current_loop()
        if loop == self._loop and self._admission is not None and account == self._account:
            if user not in self._users:
                self._users |= {user}
                self._tell_whether_left()
            return self._admission
        if loop != self._loop:
            is_fork = self._process != os.getpid()
            is_over = self._loop is not None and self._has_ended()
            # A client may have been closed with calls in progress.
            is_in_use = self._users or self._queue.waiters or self._limits.in_flight or self._shares_now()
            if is_in_use and not is_over:
                raise StateError(
                    "this Throttle serves a client in another event loop; make one Throttle for each event loop, "
                    "or close the other client first"
                )
            self._move_to(loop)
            if is_over:
                self._start_afresh()
            if self._shared is not None:
                self._member, self._shared = self._shared.member, None
            if is_fork:
                # That is the parent, which goes on.
                self._member = None
        self._users |= {user}
        if self._store is None:
            self._account = account
            self._admission = Admission(self._acquire, self._end, self._give_back, self._promote)
        else:
            shared = self._share(self._store, account)
            self._admission = Admission(shared.acquire, shared.end, shared.give_back, shared.promote, shared.alive)
        return self._admission

    @property
    def _is_shared(self) -> bool:
        """Whether other processes share these limits."""
        return self._store is not None

    def _shares_now(self) -> bool:
        return self._shared is not None and self._shared.is_in_use

    def _share(self, store: Store, account: str) -> SharedQueue:
        if self._shared is not None:
            # Whoever comes for the same account has the same admission.
            raise StateError(
                "this Throttle's store keeps the limits of another account; make one Throttle for each account"
            )
        self._account = account
        slots = None if self._cap is None else Slots(self._cap, self)
        self._shared = SharedQueue(store, account, *self._size, replaces=self._member, slots=slots)
        return self._shared

    def _detach(self, user: object) -> None:
        """Called by a client when it closes, perhaps in another event loop.

        Args:
            user: The client's session.
        """
        self._users -= {user}
        self._tell_whether_left()
        if self._store is not None and not self._users:
            self._store.release(self._account)

    def _tell_whether_left(self) -> None:
        if self._shared is not None:
            self._shared.is_left = not self._users

    def _move_to(self, loop: object) -> None:
        """The clocks of two event loops have nothing in common, so what is known is carried over."""
        self._loop, self._process = loop, os.getpid()
        passed = time.monotonic() - self._last_seen_anywhere
        self._limits.shift(anyio.current_time() - passed - self._last_seen)
        self._look_at_clocks()

    def _has_ended(self) -> bool:
        """Whether the event loop before runs no more; that of the parent does not run in a forked child."""
        return self._process != os.getpid() or has_ended(self._loop)

    def _start_afresh(self) -> None:
        """The event loop before ended, perhaps with calls pending, which never return."""
        self._users = _NOBODY
        self._waiters = None
        self._limits.abandon(self._last_seen)

    def _is_pending(self, permit: Permit) -> bool:
        """Whether an exchange is still known; if not, the throttle has started afresh since."""
        return permit.number in self._limits.in_flight and not self._is_elsewhere()

    def _is_elsewhere(self) -> bool:
        """Whether this is not the throttle's event loop, as when a call of one that ended is collected as garbage."""
        try:
            return self._loop not in (None, _current_loop())
        except RuntimeError:
            return True

    def _now(self) -> float:
        """The time on the clock of the throttle's event loop, also where that is not running."""
        if self._is_elsewhere():
            return self._last_seen + time.monotonic() - self._last_seen_anywhere
        return anyio.current_time()

    def _look_at_clocks(self) -> float:
        self._last_seen, self._last_seen_anywhere = anyio.current_time(), time.monotonic()
        return self._last_seen

    # --- the queue -----------------------------------------------------------------------------------------

    async def _acquire(self, max_pause: float = math.inf, is_retry: bool = False, claim: Claim | None = None) -> Permit:
        """Wait for a slot, and then for the window. The slot is taken until ``release``.

        Args:
            max_pause: Seconds that the pauses which the server asks for may last; time spent queueing behind other
                requests does not count.
            is_retry: The request was sent before, so it goes ahead of those that were not.
            claim: How urgent it is, and how long it may wait.

        Returns:
            A permit for one exchange.

        Raises:
            RateLimitError: The pauses last longer.
            QueueTimeoutError: It waited as long as it may.
        """
        claim = claim or Claim()
        now = anyio.current_time()
        if not self._queue.waiters and (number := self._admit(now, is_batch=claim.is_batch)):
            return Permit(self._mark_sent, number, now)
        pause = self._limits.pause_left(now)
        if pause and pause + self._limits.window.fastest >= max_pause:
            if number := self._admit(now, as_test=True):
                return Permit(self._mark_sent, number, now)
            raise rate_limited(f"another {pause:.0f} s", pause)
        waiter = Waiter(now, max_pause, self._limits.seconds_paused(now), is_retry, claim)
        self._queue.join(waiter)
        try:
            if self._head(now) is waiter:
                self._admit_waiting()
            while not waiter.is_served:
                await waiter.wait()
                if not waiter.is_served:
                    self._queue.extend(waiter, anyio.current_effective_deadline())
                    self._admit_waiting()
                    waiter.check_patience()
        except BaseException:
            self._leave(waiter)
            raise
        return waiter.result()

    def _admit(
        self, now: float, as_test: bool = False, is_batch: bool = False, batch_waits: bool = False
    ) -> int | None:
        """Let a request start if the limits of the account allow it, and the cap for all accounts does."""
        if self._cap is not None and not self._cap.has_room(self):
            return None
        number = self._limits.admit(now, as_test, is_batch, batch_waits)
        if number is not None and self._cap is not None:
            self._cap.take(self, is_batch)
        return number

    def _promote(self, waiter: Waiter) -> None:
        """Let a waiter of a batch wait among the interactive ones.

        Args:
            waiter: One that is not served yet.
        """
        self._queue.promote(waiter)
        self._admit_waiting()

    def _admit_waiting(self) -> None:
        """Admit from the head of the queue while requests may start; then only the head has a deadline."""
        if self._shared is not None:
            # It is called when there is a slot.
            self._shared.take_turn()
            return
        now = anyio.current_time()
        limits = self._limits
        while (head := self._head(now)) is not None:
            batch_waits = not head.is_batch and self._queue.has(is_batch=True)
            number = self._admit(now, is_batch=head.is_batch, batch_waits=batch_waits)
            if number is None:
                self._wait_for_start(head, now)
                return
            self._delayed += 1
            paused = limits.fruitless_pauses(now, head.paused_before)
            self._queue.serve(head, Permit(self._mark_sent, number, now, now - head.since, paused, was_queued=True))
        if self._cap is not None:
            self._cap.leave(self)

    def _wait_for_start(self, head: Waiter, now: float) -> None:
        leaves = head.is_batch and not self._limits.batch_is_due
        start = self._limits.next_start(now, leaves)
        if leaves and now < self._limits.leaves_until:
            # From then on it leaves nothing.
            start = min(start, self._limits.leaves_until)
        if self._cap is not None and start <= now:
            # It is called when there is a slot.
            self._cap.wait(self, head.is_batch)
            start = math.inf
        head.wake_at(start)

    def _head(self, now: float) -> Waiter | None:
        earliest_response, first = now + self._limits.window.fastest, self._limits.batch_is_due
        head = self._queue.head(earliest_response, first) or self._queue.head(earliest_response, not first)
        return self._queue.any() if head is None and not self._limits.in_flight else head

    def _leave(self, waiter: Waiter) -> None:
        if self._is_elsewhere():
            return
        self._queue.leave(waiter)
        if waiter.permit is not None:
            # Cancelled in the moment of its admission: nothing was sent.
            self._withdraw(waiter.permit)
        else:
            self._admit_waiting()

    def _withdraw(self, permit: Permit) -> None:
        """Give back a permit whose request was never sent, so that it counts nowhere.

        Args:
            permit: What ``acquire`` returned.
        """
        if self._is_pending(permit):
            self._limits.withdraw(permit.number)
            self._delayed -= permit.was_queued
            if self._cap is not None:
                self._cap.give_back(self, anyio.current_time())
            self._admit_waiting()

    def _mark_sent(self, number: int, moment: float) -> None:
        """A request was written to its socket, or (at infinity) will be.

        Args:
            number: That of the permit.
            moment: When.
        """
        self._limits.mark_sent(number, moment)
        if self._queue.waiters and moment < math.inf:
            # The head may know now when the window opens.
            self._admit_waiting()

    def _release(
        self,
        permit: Permit,
        status: int | None = None,
        retry_after: float | None = None,
        given_up: bool = False,
    ) -> tuple[LimitEvent, ...]:
        """Give the slot back and learn from the response.

        Args:
            permit: What ``acquire`` returned.
            status: The status of the response, None if there was none.
            retry_after: The seconds that it asked to wait, if it did.
            given_up: There was no response because the client did not wait for it.

        Returns:
            What changed for all requests, if anything did.
        """
        if not self._is_pending(permit):
            return ()
        limits, queue, now = self._limits, self._queue, self._look_at_clocks()
        events = limits.release(permit.number, now, status, retry_after, given_up)
        permit.response_time = limits.window.fastest
        if status == 429:
            permit.pause_left = limits.pause_left(now)
            queue.refuse_hopeless(limits, now)
        if self._cap is not None:
            self._cap.give_back(self, now)
        if queue.waiters:
            self._admit_waiting()
        return events

    async def _end(
        self, permit: Permit, status: int | None = None, retry_after: float | None = None, given_up: bool = False
    ) -> tuple[LimitEvent, ...]:
        # Where limits are shared, this takes a while.
        return self._release(permit, status, retry_after, given_up)

    async def _give_back(self, permit: Permit) -> None:
        self._withdraw(permit)


def _current_loop() -> object:
    """The event loop, or trio's token of it. Anyio makes a token of its own at each call, which would be kept."""
    return anyio.lowlevel.current_token().native_token
