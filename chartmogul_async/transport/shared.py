"""The queue of one event loop around limits that other processes use, too.

Only one update of the store is under way at a time, and it carries everything that has come up: what was sent, what
ended, what waits. So a busy process asks the store about twice for each request, one that waits for a slot some times a
second, and an idle one never.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.lowlevel
import attrs

from chartmogul_async.errors import StoreError
from chartmogul_async.events import logger
from chartmogul_async.transport.cap import Slots
from chartmogul_async.transport.limits import AccountLimits, LimitEvent
from chartmogul_async.transport.outage import Outage
from chartmogul_async.transport.permits import Claim, Permit, Waiter
from chartmogul_async.transport.queue import Queue
from chartmogul_async.transport.store import Store, StoreOutageError
from chartmogul_async.transport.updates import Ended, Report, Update

# A process tells the store that it is alive this many times in each lease.
_RENEWALS = 3
# At most so many requests are admitted by one update.
_AT_ONCE = 40


class SharedQueue:
    """Admits the requests of one event loop, in turn with those of other processes.

    Args:
        store: Where the limits are.
        account: Which account they belong to.
        per_second: Requests that may start in any second, in all processes.
        parallel: Requests that may be in flight at once, in all processes.
        replaces: What was this process before, in an event loop that has ended or before a rest.
        slots: What it has of the slots that all accounts of this process share, if they do.
    """

    def __init__(
        self,
        store: Store,
        account: str,
        per_second: int,
        parallel: int,
        replaces: int | None = None,
        slots: Slots | None = None,
    ) -> None:
        self._store = store
        self._account = account
        self._slots = slots
        # Slots that are taken for requests which the next update may admit.
        self._reserved = 0
        self._size = per_second, parallel
        # What the store was told of it.
        self._told_size: tuple[int, int] | None = None
        # As the latest update left them, and the store's clock minus that of the event loop.
        self.limits: AccountLimits = AccountLimits(per_second, parallel)
        self.offset: float = 0.0
        self.queue: Queue = Queue()
        self.admitted: int = 0
        self.delayed: int = 0
        # Drawn by lot, since processes on several machines must not have the same one.
        self.member: int = secrets.randbits(31) + 1
        self._replaces = replaces
        self._in_flight: dict[Permit, None] = {}
        self._ended: list[Ended] = []
        self._lock = anyio.Lock(fast_acquire=True)
        self._asked = self._carried = 0
        self._updated_at = -math.inf
        # Seconds that the latest update took to take place.
        self._delay = 0.0
        # While the store is away.
        self._outage: Outage | None = None
        # Whether the limits are those of this process alone.
        self._is_alone = False
        # Whether its clients are closed. What is in progress then still ends here.
        self.is_left: bool = False

    # --- requests ------------------------------------------------------------------------------------------

    async def acquire(self, max_pause: float = math.inf, is_retry: bool = False, claim: Claim | None = None) -> Permit:
        """Wait for a slot, and then for the window. The slot is taken until ``end``.

        Args:
            max_pause: Seconds that the pauses which the server asks for may last.
            is_retry: The request was sent before, so it goes ahead of those that were not.
            claim: How urgent it is, and how long it may wait.

        Returns:
            A permit for one exchange.

        Raises:
            RateLimitError: The pauses last longer.
            QueueTimeoutError: It waited as long as it may.
            StoreError: The store is away, and nothing else is to be used then.
        """
        now = anyio.current_time()
        waiter = Waiter(now, max_pause, math.inf, is_retry, claim)
        self.queue.join(waiter)
        try:
            if waiter in self._heads(now):
                await self._update(waiter)
                # The update itself is not cut off.
                await anyio.lowlevel.checkpoint_if_cancelled()
            while not waiter.is_served:
                is_due = await waiter.wait()
                if is_due and not waiter.is_served:
                    self.queue.extend(waiter, anyio.current_effective_deadline())
                    await self._update(waiter)
                    waiter.check_patience()
        except BaseException:
            await self._leave(waiter)
            raise
        return waiter.result()

    async def _leave(self, waiter: Waiter) -> None:
        self.queue.leave(waiter)
        if waiter.permit is not None:
            # Cancelled in the moment of its admission: nothing was sent.
            await self.give_back(waiter.permit)
        elif not self.queue.waiters:
            # Its turn is another process's.
            await self._update()
        else:
            self.look_again()

    def promote(self, waiter: Waiter) -> None:
        """Let a waiter of a batch wait among the interactive ones.

        Args:
            waiter: One that is not served yet.
        """
        self.queue.promote(waiter)
        self.look_again()

    def take_turn(self) -> None:
        """A slot is free for the next request that waits, if one does."""
        heads = self._heads(anyio.current_time())
        if self._slots is not None and heads and self._slots.take(heads[0].is_batch):
            self._reserved += 1
            self.look_again()

    def look_again(self) -> None:
        """The heads of the queue have changed, or the limits."""
        now = anyio.current_time()
        for head in self._heads(now):
            head.wake_at(now)

    async def give_back(self, permit: Permit) -> None:
        """Give back a permit whose request was never sent, so that it counts nowhere."""
        self.admitted -= 1
        self.delayed -= permit.was_queued
        await self._report(Ended(permit, anyio.current_time(), withdrawn=True))

    async def end(
        self, permit: Permit, status: int | None = None, retry_after: float | None = None, given_up: bool = False
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
        ended = Ended(permit, anyio.current_time(), status, retry_after, given_up)
        await self._report(ended)
        permit.response_time = self.limits.window.fastest
        if status == 429:
            permit.pause_left = self.limits.pause_left(anyio.current_time() + self.offset)
        return ended.events

    async def _report(self, ended: Ended) -> None:
        if ended.permit not in self._in_flight:
            return
        del self._in_flight[ended.permit]
        self._ended.append(ended)
        try:
            await self._update(is_urgent=False)
        except anyio.get_cancelled_exc_class():
            # It was cut off by asyncio's own cancellation, and perhaps nobody else comes to report it.
            await self._update()
            raise
        finally:
            self._give_slots_back(1)

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Keep the slots of this process while the block runs, however long it takes."""
        if self._store.lease == math.inf:
            yield
            return
        failed: Exception | None = None
        # To cancel the renewal would cost more: anyio then writes down the current task, and with it what waits for it.
        # In a worker of taskiq those are all of its tasks, which takes 20 ms.
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(self._renew, done)
            try:
                yield
            except Exception as error:  # noqa: BLE001 - it is raised below, where no group wraps it
                failed = error
            done.set()
        if failed is not None:
            raise failed

    async def _renew(self, done: anyio.Event) -> None:
        every = self._store.lease / _RENEWALS
        while not done.is_set():
            now = anyio.current_time()
            if now < self._updated_at + every:
                with anyio.move_on_after(self._updated_at + every - now):
                    await done.wait()
            else:
                # Another exchange need not do the same.
                self._updated_at = now
                await self._update()

    # --- updates -------------------------------------------------------------------------------------------

    async def _update(self, waiter: Waiter | None = None, is_urgent: bool = True) -> None:
        """Bring the store up to date, or wait for the update that carries what has come up here.

        Args:
            waiter: What asks for it. Once it is served it need not ask.
            is_urgent: Nothing else that comes up in this step of the event loop need go with it.
        """
        self._asked += 1
        ticket = self._asked
        # An update that was cut off would leave it open whether it took place. The store bounds its time.
        with anyio.CancelScope(shield=True):
            try:
                if not is_urgent:
                    # What else comes up in this step of the event loop goes with it: under load it is half as many.
                    await anyio.lowlevel.checkpoint()
            finally:
                # The shield does not stop asyncio's own cancellation.
                await self._carry_once(ticket, waiter)

    async def _carry_once(self, ticket: int, waiter: Waiter | None) -> None:
        async with self._lock:
            if self._carried >= ticket or (waiter is not None and waiter.is_served):
                return
            asked = self._asked
            try:
                await self._carry()
            finally:
                if self.is_left:
                    self._store.release(self._account)
            self._carried = asked

    async def _carry(self) -> None:
        ended, self._ended = self._ended, []
        reserved = self._take_slots()
        report, began = self._report_of(ended, reserved), anyio.current_time()
        try:
            update = await self._reach(report)
        except StoreOutageError as error:
            self._ended = ended + self._ended
            self._give_slots_back(reserved + self._late_slots())
            for waiter in list(self.queue.waiters):
                self.queue.refuse(waiter, StoreError(f"not sent: the store of the limits is away: {error}"))
            return
        except BaseException:
            # Whether the update took place is open; what ended is reported again, and what was admitted is given up.
            self._ended = ended + self._ended
            self._give_slots_back(reserved + self._late_slots())
            raise
        now = self._updated_at = anyio.current_time()
        self._adopt_limits(update)
        self.offset = update.offset
        self._delay = update.now - update.offset - began
        if not self._is_alone:
            self._told_size, self._replaces = report.size or self._told_size, None
        for permit, number in update.adopted:
            permit.number = number
        in_flight = len(self._in_flight)
        for waiter, number in update.numbers:
            self._serve(waiter, number, now)
        self.queue.refuse_hopeless(self.limits, now + self.offset, is_shared=True)
        is_full = len(update.numbers) == reserved and self._waits_for_slot(now)
        # What others are given now may come back at once.
        self._give_slots_back(reserved + self._late_slots() - (len(self._in_flight) - in_flight))
        # Whether the limits have changed since this update was asked for.
        is_resized = self._told_size != self._size and not self._is_alone
        for head in self._heads(now) if not is_full else ():
            looks_again = update.looks_again.get(head.is_batch, update.now) - self.offset
            head.wake_at(now if is_resized else looks_again)

    def _report_of(self, ended: list[Ended], most: int) -> Report:
        now = anyio.current_time()
        return Report(
            member=self.member,
            pid=self._store.pid,
            lease=self._store.lease,
            poll=self._store.poll,
            delay=self._delay,
            ended=ended,
            in_flight=list(self._in_flight),
            waiters={is_batch: self._candidates(is_batch, now) for is_batch in (False, True)},
            waiting=len(self.queue.waiters),
            most=most,
            size=None if self._told_size == self._size else self._size,
            replaces=self._replaces,
        )

    async def _reach(self, report: Report) -> Update:
        """Update the store; while it is away, limits of the own share."""
        outage = self._outage
        if outage is None or anyio.current_time() >= outage.retry_at:
            try:
                update = await self._store.update(self._account, self._fresh, partial(_tell, report, outage))
            except StoreOutageError as error:
                if self._store.on_outage == "raise":
                    raise
                if outage is None:
                    outage = self._outage = Outage.begin(error, report, self._size, self.limits, self.offset)
                else:
                    outage.try_later()
            else:
                if outage is not None:
                    logger.warning("the store of the limits is back")
                    self._outage = None
                return update
        # The own share follows from the size that the store knows, and has the clock of the event loop.
        return attrs.evolve(report, size=None).apply(outage.limits, anyio.current_time(), offset=0.0)

    def _fresh(self) -> AccountLimits:
        return AccountLimits(*self._size)

    def _take_slots(self) -> int:
        """How many requests the next update may admit; as many slots are taken for them."""
        if self._slots is None:
            return _AT_ONCE
        reserved, self._reserved = self._reserved, 0
        now = anyio.current_time()
        waiters = [waiter for is_batch in (False, True) for waiter in self._candidates(is_batch, now)]
        while reserved < len(waiters) and self._slots.take(waiters[reserved].is_batch):
            reserved += 1
        return reserved

    def _late_slots(self) -> int:
        """How many were taken during an update, which could not admit a request for them any more."""
        late, self._reserved = self._reserved, 0
        return late

    def _give_slots_back(self, number: int) -> None:
        if self._slots is not None:
            for _ in range(number):
                self._slots.give_back()

    def _waits_for_slot(self, now: float) -> bool:
        """Whether the next request can only start when the process has a slot for it; then it waits for one."""
        heads = self._heads(now)
        return self._slots is not None and bool(heads) and self._slots.wait(heads[0].is_batch)

    def _adopt_limits(self, update: Update) -> None:
        """Pauses count for a call from the first update on that knows it, and those of other limits do not."""
        was_alone, self._is_alone = self._is_alone, self._outage is not None
        self.limits, paused = update.limits, update.limits.seconds_paused(update.now)
        for waiter in self.queue.waiters:
            if was_alone != self._is_alone or waiter.paused_before == math.inf:
                waiter.paused_before = paused

    def _serve(self, waiter: Waiter, number: int, now: float) -> None:
        paused = max(0.0, self.limits.fruitless_pauses(now + self.offset, waiter.paused_before))
        queued = now - waiter.since
        permit = Permit(_nothing, number, now, queued, paused, was_queued=waiter.has_slept)
        if waiter not in self.queue.waiters:
            # Its caller left during the update.
            self._ended.append(Ended(permit, now, withdrawn=True))
            return
        self._in_flight[permit] = None
        self.admitted += 1
        self.delayed += permit.was_queued
        self.queue.serve(waiter, permit)

    # --- the own queue -------------------------------------------------------------------------------------

    def resize(self, per_second: int, parallel: int) -> None:
        """The next update changes the limits for all processes; while the store is away, the own share changes."""
        self._size = per_second, parallel
        # Another process may have told it something else since.
        self._told_size = None
        if self._outage is not None:
            self._outage.resize(self._size)

    @property
    def is_in_use(self) -> bool:
        """Whether any call waits or is in flight, or the store is being asked."""
        return bool(self.queue.waiters or self._in_flight or self._lock.locked())

    def free_slots(self, taken: int) -> int:
        """How many more requests could start immediately, as far as this process knows."""
        waiting = len(self.limits.in_flight) + len(self.queue.waiters)
        return self.limits.free_slots(anyio.current_time() + self.offset, max(waiting, taken))

    def _candidates(self, is_batch: bool, now: float, most: int = _AT_ONCE) -> list[Waiter]:
        """Those of a priority that may be admitted next, in order."""
        candidates = self.queue.first(now + self.limits.window.fastest, is_batch, most)
        if candidates or self._in_flight:
            return candidates
        # Nothing is in flight, so that a call whose time is short is as good as any.
        last = self.queue.any()
        return [last] if last is not None and last.is_batch == is_batch else []

    def _heads(self, now: float) -> list[Waiter]:
        return [head for is_batch in (False, True) for head in self._candidates(is_batch, now, most=1)]


def _tell(report: Report, outage: Outage | None, limits: AccountLimits, now: float) -> Update:
    """What an update of the store does, perhaps several times."""
    # The clocks are compared at each try, for others may have been first for some time.
    offset = now - anyio.current_time()
    if outage is not None:
        outage.end(report, limits, now, offset)
    return report.apply(limits, now, offset)


def _nothing(_number: int, _moment: float) -> None:
    """The next update reports when the request was written to its socket."""
