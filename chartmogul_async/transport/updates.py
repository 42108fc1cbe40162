"""What a process tells the limits that others use, too, and whom they admit then: one update, without any I/O.

A store may try an update several times, of which the last one counts. So it changes nothing but the limits that it is
given, and the events of what ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from attrs import Factory, define, frozen

from chartmogul_async.transport.limits import AccountLimits, LimitEvent
from chartmogul_async.transport.permits import Permit, Waiter


@define(eq=False)
class Ended:
    """An exchange that has ended, which the next update reports; ``events`` are what that changed for all requests."""

    permit: Permit
    moment: float
    status: int | None = None
    retry_after: float | None = None
    given_up: bool = False
    withdrawn: bool = False
    events: tuple[LimitEvent, ...] = ()


@define(eq=False)
class Update:
    """What an update brought.

    Attributes:
        limits: As it left them.
        now: The time on their clock.
        offset: Their clock minus that of the event loop.
        adopted: What is in flight and was not known to them, each with its new number.
        numbers: Those that were admitted, each with its number.
        looks_again: When to come again for the next one of a priority (batch or not), if it has to wait.
    """

    limits: AccountLimits
    now: float
    offset: float
    adopted: list[tuple[Permit, int]]
    numbers: list[tuple[Waiter, int]] = Factory(list)
    looks_again: dict[bool, float] = Factory(dict)


@frozen(eq=False)
class Report:
    """What one process has to tell.

    Attributes:
        member: The number of the process, among those that share the limits.
        pid: Its number on this machine, 0 if nobody can ask for it.
        lease: Seconds after which a process that was not seen is gone.
        poll: Seconds after which to look again for what has no time of its own, such as a slot.
        delay: Seconds that the latest update took to take place.
        ended: What ended since the latest update.
        in_flight: What is in flight.
        waiters: The next of each priority (batch or not), in order.
        waiting: How many wait in all.
        most: How many may be admitted.
        size: The limits a second and in parallel, if they are to be changed.
        replaces: The number that the process had before.
    """

    member: int
    pid: int
    lease: float
    poll: float
    delay: float
    ended: Sequence[Ended]
    in_flight: Sequence[Permit]
    waiters: Mapping[bool, Sequence[Waiter]]
    waiting: int
    most: int
    size: tuple[int, int] | None = None
    replaces: int | None = None

    def apply(self, limits: AccountLimits, now: float, offset: float) -> Update:
        """Update the limits.

        Args:
            limits: The limits, which are changed.
            now: The time on their clock.
            offset: Their clock minus that of the event loop.

        Returns:
            Whom they admit, and what else the process must know.
        """
        if self.pid and self.member not in limits.turns.members:
            limits.forget_idle(self.pid)
        limits.turns.see(self.member, self.pid, now, self.waiting)
        for owner in limits.turns.unseen_since(now - self.lease):
            limits.remove_member(owner, now)
        if self.size is not None:
            limits.resize(*self.size)
        if self.replaces is not None:
            limits.remove_member(self.replaces, now)
        for ended in self.ended:
            self._end(ended, limits, min(now, ended.moment + offset))
        update = Update(limits, now, offset, self._reconcile(limits, now))
        left = {is_batch: deque(self.waiters[is_batch]) for is_batch in self.waiters}
        # Which of them goes first is asked before each.
        while any(self._admit_next(update, left, is_batch) for is_batch in _priorities(limits)):
            pass
        limits.turns.members[self.member].waiting -= len(update.numbers)
        return update

    def _end(self, ended: Ended, limits: AccountLimits, now: float) -> None:
        number, permit = ended.permit.number, ended.permit
        start = limits.in_flight.get(number)
        # An earlier try may have changed something else.
        ended.events = ()
        if start is None or start.owner != self.member:
            # They have lost it, or took this process to be gone, or are others since an outage began or ended.
            if ended.status != 429:
                return
            # A refusal concerns all requests, whoever knows of this one.
            number = self._adopt(limits, now, now - (ended.moment - permit.admitted))
        if ended.withdrawn:
            limits.withdraw(number)
            return
        if permit.sent is not None:
            limits.mark_sent(number, permit.sent + now - ended.moment)
        ended.events = limits.release(number, now, ended.status, ended.retry_after, ended.given_up)

    def _reconcile(self, limits: AccountLimits, now: float) -> list[tuple[Permit, int]]:
        """After an outage the limits may know other requests of this process than those that are in flight."""
        known = {number for number, start in limits.in_flight.items() if start.owner == self.member}
        for number in known.difference(permit.number for permit in self.in_flight):
            limits.release(number, now, given_up=True)
        return [(permit, self._adopt(limits, now, now)) for permit in self.in_flight if permit.number not in known]

    def _adopt(self, limits: AccountLimits, now: float, admitted: float) -> int:
        number = limits.adopt(self.member, admitted)
        if limits.pauses_in_a_row and limits.pause_left(now):
            # It may have been sent before the pause began, so that its response says nothing about that.
            limits.paused_number = number
        return number

    def _admit_next(self, update: Update, left: dict[bool, deque[Waiter]], is_batch: bool) -> bool:
        """Admit the first of a priority that is left, if it may start and no more than ``most`` are admitted."""
        limits, now = update.limits, update.now
        if not left[is_batch] or len(update.numbers) >= self.most:
            limits.turns.end(self.member, is_batch)
            return False
        waiter = left[is_batch][0]
        taken = sum(other.is_batch == is_batch for other, _ in update.numbers)
        number = limits.admit_in_turn(self.member, now, is_batch, bool(left[True]), taken)
        if number is None and _exceeds(waiter, limits, now):
            number = limits.admit(now, as_test=True, owner=self.member)
        if number is None:
            update.looks_again[is_batch] = limits.wait_for_turn(
                self.member, now, is_batch, self.poll, taken, self.delay
            )
            return False
        update.numbers.append((left[is_batch].popleft(), number))
        return True


def _priorities(limits: AccountLimits) -> tuple[bool, bool]:
    return (True, False) if limits.batch_is_due else (False, True)


def _exceeds(waiter: Waiter, limits: AccountLimits, now: float) -> bool:
    """Whether the pause leaves no time for a response."""
    pause = limits.pause_left(now)
    return pause > 0 and pause + limits.window.fastest >= waiter.max_pause
