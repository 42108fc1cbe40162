"""What is known about an account's limits, as a pure value: no clock, no event loop, no I/O.

Every method that depends on the time is given it as ``now``. ``snapshots`` writes the value to bytes and
reads it back, so that it may live anywhere: in this process, in a file, on a server.

Source of the limits: https://dev.chartmogul.com/docs/rate-limits
"""

from __future__ import annotations

import math

from attrs import Factory, define, evolve, field

from chartmogul_async.events import ConcurrencyLowered, Pacing, Pause
from chartmogul_async.transport.pace import Pace
from chartmogul_async.transport.turns import Turns
from chartmogul_async.transport.window import Start, Window

LimitEvent = Pause | Pacing | ConcurrencyLowered

# Seconds of the pauses for which the server names no duration; the last one is repeated. Five of them outlast a minute.
_BACKOFFS = (0.25, 1.0, 6.0, 30.0)
# How often a pause that is too long for every call is put to the test.
_TEST_EVERY = 60.0
# A probe that is out for so many seconds, and for several times as long as a refusal took, was not refused.
_PROBE_OUT = 1.0
_PROBE_FACTOR = 3.0
# Starts of so many seconds may be planned at once while starts are spaced evenly.
_PLANNED = 0.5
# While interactive requests come, this share of each second and of the slots is left to them by those of a batch.
_RESERVED = 0.25
# Seconds after an interactive request in which others are expected.
_INTERACTIVE_FOR = 10.0
# Of so many requests at least one is of a batch, if any of a batch waits.
_BATCH_SHARE = 8
# Seconds after which a process looks again for what a response to another one may change.
_LOOKS_AGAIN = 0.25
# Seconds; a process that comes as soon as it may might be early by less.
_ROUNDING = 0.0002
# Whoever has so many turns ahead of its own looks half as often whether a slot is free.
_POLLED_LESS = 4
# Seconds for which a server may still be busy with a request that was given up, beyond what a response usually takes.
_LINGERING = 0.05
_LONGEST_LINGERING = 5.0


@define(eq=False)
class AccountLimits:
    """Which request may start when, and what the responses so far have shown about it.

    Attributes:
        per_second: Starts a second, at most.
        parallel: Requests in flight, at most.
        max_in_flight: How many of the parallel ones are used; fewer after a 503.
        admitted: Requests admitted so far.
        last_number: The number of the request that was admitted last.
        window: The requests that the server may still be counting.
        pace: The rate that the server turned out to allow, None while it refused nothing.
        in_flight: The requests that were admitted and are not released, by number.
        lingering: Until when the server may be busy with requests that were given up; they occupy a slot until then.
        probe: The number of the one request that goes ahead after a pause.
        paused_at: When the latest pause was asked for.
        paused_number: The number of the latest request that had been admitted by then.
        paused_until: The end of the latest pause.
        tested_at: When a pause that is too long for every call was last put to the test.
        pauses_in_all: Seconds of all pauses, the current one to its end.
        pauses_before_success: Seconds of all pauses before the latest response that was not a refusal.
        pauses_in_a_row: Pauses without such a response between them.
        refusal_trip: Seconds that the latest refusal took to arrive.
        interactive_at: When the latest interactive request was admitted.
        passed_over: Interactive requests admitted since one of a batch had to wait.
        turns: The processes that use the limits, if there are several, and whose turn it is.
        lowered_number: The number of the latest request that had been admitted when concurrency was last lowered.
        successes: Responses since concurrency was last changed.
    """

    per_second: int
    parallel: int
    max_in_flight: int = field(default=Factory(lambda limits: limits.parallel, takes_self=True))
    admitted: int = 0
    last_number: int = 0
    window: Window = Factory(Window)
    pace: Pace | None = None
    in_flight: dict[int, Start] = Factory(dict)
    lingering: list[float] = Factory(list)

    probe: int | None = None
    paused_at: float = -math.inf
    paused_number: int = 0
    paused_until: float = -math.inf
    tested_at: float = -math.inf
    pauses_in_all: float = 0.0
    pauses_before_success: float = 0.0
    pauses_in_a_row: int = 0
    refusal_trip: float = 0.0

    interactive_at: float = -math.inf
    passed_over: int = 0
    turns: Turns = Factory(Turns)

    lowered_number: int = 0
    successes: int = 0

    def resize(self, per_second: int, parallel: int) -> None:
        """Change the limits from now on; what is in flight stays in flight.

        With a limit that differs everything is forgotten that the server has shown about it.
        """
        if per_second != self.per_second:
            self.per_second, self.pace = per_second, None
        if parallel != self.parallel:
            self.parallel = self.max_in_flight = parallel

    # --- admission -----------------------------------------------------------------------------------------

    def next_start(self, now: float, is_batch: bool = False, ahead: int = 0) -> float:
        """When the next request may start: now, later, or (infinity) when something else has changed.

        Args:
            now: The time.
            is_batch: Leave something of the limits to interactive requests while such come.
            ahead: How many requests come first.
        """
        if self.probe is not None:
            return max(now, self._probe_is_late_at())
        leaves = is_batch and now < self.leaves_until
        start = max(self._slot_is_free_at(now, leaves, ahead), self.paused_until)
        if self.pace is not None and self.pace.is_even(now):
            start = max(start, self.pace.next_start + ahead / self.pace.rate)
        limit = max(1, (_left_of(self.per_second) if leaves else self.per_second) - ahead)
        return start if start == math.inf else max(start, self.window.opens_at(now, limit))

    def _slot_is_free_at(self, now: float, leaves: bool = False, ahead: int = 0) -> float:
        if self.lingering:
            self._forget_lingering(now)
        slots = _left_of(self.max_in_flight) if leaves else self.max_in_flight
        surplus = len(self.in_flight) + len(self.lingering) + ahead - slots
        if surplus < 0:
            return now
        return sorted(self.lingering)[surplus] if surplus < len(self.lingering) else math.inf

    def _forget_lingering(self, now: float) -> None:
        self.lingering = [end for end in self.lingering if end > now]

    def _probe_is_late_at(self) -> float:
        """When the probe is out longer than a refusal takes."""
        assert self.probe is not None
        return self.in_flight[self.probe].admitted + max(_PROBE_OUT, _PROBE_FACTOR * self.refusal_trip)

    @property
    def leaves_until(self) -> float:
        """Until when a batch leaves something of the limits to interactive requests."""
        return self.interactive_at + _INTERACTIVE_FOR

    @property
    def batch_is_due(self) -> bool:
        """Whether requests of a batch have been passed over for so long that one of them goes first."""
        return self.passed_over >= _BATCH_SHARE - 1

    def admit(
        self, now: float, as_test: bool = False, is_batch: bool = False, batch_waits: bool = False, owner: int = 0
    ) -> int | None:
        """Let a request start if one may, and return its number. It is in flight until ``release`` or ``withdraw``.

        Args:
            now: The time.
            as_test: Start in spite of a long pause, once a minute, to learn whether the server still means it.
            is_batch: The request is one of a batch, and not interactive.
            batch_waits: One of a batch waits while this one starts.
            owner: The process that sends it, where there are several.
        """
        if self.probe is not None and now >= self._probe_is_late_at():
            self.probe = None
            if now >= self.paused_until:
                # It did not go ahead during a long pause, to test it.
                self.pauses_in_a_row = 0
        leaves = is_batch and not self.batch_is_due
        may_start = self._may_test_pause(now) if as_test else self.next_start(now, leaves) <= now
        if not may_start:
            return None
        if is_batch:
            self.passed_over = 0
        else:
            self.interactive_at = now
            self.passed_over += batch_waits or (bool(self.turns.order) and self.turns.batch_waits())
        if as_test:
            self.tested_at = now
        self.admitted += 1
        if owner:
            self.turns.count(owner, 1)
        number = self.last_number = self.last_number + 1
        # A transport that reports nothing is taken to send at once.
        start = self.in_flight[number] = Start(number, now, sent=now, owner=owner)
        self.window.starts.append(start)
        if self.pauses_in_a_row:
            self.probe = number
        if self.pace is not None and self.pace.is_even(now):
            self.pace.start(now)
        return number

    def admit_in_turn(
        self, owner: int, now: float, is_batch: bool = False, batch_waits: bool = False, taken: int = 0
    ) -> int | None:
        """The same for one of several processes, if it is its turn.

        Args:
            owner: The process.
            now: The time.
            is_batch: The request is one of a batch.
            batch_waits: One of a batch waits while this one starts.
            taken: How many requests it was admitted just before; as many are left to each of the others that wait.
        """
        ahead = self.turns.ahead_of(owner, is_batch, now, self.batch_is_due) * (taken + 1)
        if (
            ahead
            and not self._may_keep_its_slots(owner, ahead)
            and self.next_start(now, is_batch and not self.batch_is_due, ahead) > now
        ):
            return None
        number = self.admit(now, is_batch=is_batch, batch_waits=batch_waits, owner=owner)
        if number is not None:
            self.turns.end(owner, is_batch)
        return number

    def _may_keep_its_slots(self, owner: int, ahead: int) -> bool:
        """Where slots are scarce, a process that has no more than its share need not wait until others come."""
        slots_suffice = len(self.in_flight) + len(self.lingering) + ahead < self.max_in_flight
        if slots_suffice or not self.turns.is_of_one_priority():
            return False
        own = sum(start.owner == owner for start in self.in_flight.values())
        # What is left over is taken in turn: if some kept a part more than their shares, others would never get any.
        return own + 1 <= self.max_in_flight / self.turns.waiting_processes(owner)

    def adopt(self, owner: int, now: float) -> int:
        """Take over a request that was sent while these limits could not be asked."""
        number = self.last_number = self.last_number + 1
        start = self.in_flight[number] = Start(number, now, sent=now, owner=owner)
        self.window.starts.append(start)
        return number

    def count_sent(self, owner: int, sent: float, counted_by: float) -> None:
        """Take over the start of a request that was sent, and ended, while these limits could not be asked.

        Args:
            owner: The process that sent it.
            sent: When.
            counted_by: The latest moment at which the server can have counted it.
        """
        self.release(self.adopt(owner, sent), counted_by)

    def wait_for_turn(
        self, owner: int, now: float, is_batch: bool, poll: float, taken: int = 0, delay: float = 0.0
    ) -> float:
        """Keep a turn for one of several processes, and return when it should be here again.

        Args:
            owner: The process.
            now: The time.
            is_batch: What waits there.
            poll: Seconds after which to look again for what has no time, such as a slot.
            taken: How many requests it was admitted just before.
            delay: Seconds that it takes to be here.
        """
        ahead = self.turns.ahead_of(owner, is_batch, now, self.batch_is_due)
        start = self.next_start(now, is_batch and not self.batch_is_due, ahead)
        opens_at = self.window.opens_at(now, max(1, self.per_second - ahead))
        if start == math.inf:
            # A response may also come sooner, or the call be given up.
            expected = min(max(self._response_expected_at(ahead), opens_at), now + _LOOKS_AGAIN)
            start = max(now + poll * (1 + ahead / _POLLED_LESS), expected)
        elif start > opens_at:
            # A response to another process may end what it waits for.
            start = min(start, now + _LOOKS_AGAIN)
        # Others come first before it takes more than its part of what is free; and times are rounded when written.
        comes_at = max(start, now + (poll if taken else _ROUNDING))
        self.turns.keep(owner, is_batch, comes_at + delay)
        return comes_at

    def _response_expected_at(self, ahead: int) -> float:
        """When so many requests and one more may have responses, at the earliest."""
        admitted = sorted(start.admitted for start in self.in_flight.values())
        return admitted[min(ahead, len(admitted) - 1)] + self.window.fastest if admitted else -math.inf

    def remove_member(self, owner: int, now: float) -> None:
        """A process is gone: its slots are free when the server has responded to what it left."""
        for number in [number for number, start in self.in_flight.items() if start.owner == owner]:
            self.release(number, now, given_up=True)
        self.turns.remove(owner)

    def forget_idle(self, pid: int) -> None:
        """A process comes with another throttle: those that it had before and that have nothing to do are gone."""
        busy = {start.owner for start in self.in_flight.values()}
        for owner, member in list(self.turns.members.items()):
            if member.pid == pid and not member.waiting and owner not in busy:
                self.turns.remove(owner)

    def _may_test_pause(self, now: float) -> bool:
        due = max(self.paused_at, self.tested_at) + _TEST_EVERY
        # A pause that no refusal began is none of the server's.
        return self.pauses_in_a_row > 0 and now >= due and self.probe is None and self._slot_is_free_at(now) <= now

    def withdraw(self, number: int) -> None:
        """Undo an admission whose request was never sent."""
        # It may have been one that other limits admitted.
        self.admitted = max(0, self.admitted - 1)
        start = self.in_flight.pop(number)
        if start.owner:
            self.turns.count(start.owner, -1)
        self.window.remove(start)
        if self.probe == number:
            self.probe = None

    def abandon(self, now: float) -> None:
        """Forget what is in flight: nobody will release it."""
        for number in list(self.in_flight):
            self.release(number, now)

    def mark_sent(self, number: int, now: float) -> None:
        """A request was written to its socket, or (infinity) will be."""
        self.in_flight[number].sent = now

    def free_slots(self, now: float, taken: int) -> int:
        """How many more requests could start soon, if so many slots are taken."""
        if self.probe is not None or now < self.paused_until:
            return 0
        self._forget_lingering(now)
        free = self.max_in_flight - taken - len(self.lingering)
        if self.pace is not None and self.pace.is_even(now):
            return max(0, min(free, int(self.pace.rate * _PLANNED)))
        # What is planned and not sent yet will take starts, too.
        planned = max(0, taken - len(self.in_flight))
        return max(0, min(free, self.per_second - self.window.count(now) - planned))

    def pause_left(self, now: float) -> float:
        """Seconds until the pause ends."""
        return max(0.0, self.paused_until - now)

    def seconds_paused(self, now: float) -> float:
        """Seconds of all pauses up to now."""
        return self.pauses_in_all - self.pause_left(now)

    def fruitless_pauses(self, now: float, before: float) -> float:
        """Seconds of pauses since there were so many and since the latest success, up to now."""
        return self.seconds_paused(now) - max(before, self.pauses_before_success)

    # --- what responses report -----------------------------------------------------------------------------

    def release(
        self,
        number: int,
        now: float,
        status: int | None = None,
        retry_after: float | None = None,
        given_up: bool = False,
    ) -> tuple[LimitEvent, ...]:
        """End an exchange and learn from its response.

        Args:
            number: That of the admission.
            now: The time.
            status: The status of the response, None if there was none.
            retry_after: The seconds that it asked to wait, if it did.
            given_up: There was no response because the client did not wait for it.

        Returns:
            What changed for all requests, if anything did.
        """
        start = self.in_flight.pop(number)
        if self.probe == number:
            self.probe = None
        if given_up and start.sent < math.inf:
            self._linger(start, now)
        self.window.learn(start, now, status is not None, self.per_second)
        if status == 429:
            return self._rate_limited(start, now, retry_after)
        if status == 503:
            return self._overloaded(start, now)
        if status is not None and (self.paused_at > -math.inf or self.max_in_flight < self.parallel):
            self._recover(start, now)
        return ()

    def _linger(self, start: Start, now: float) -> None:
        """A server may not notice that a request was given up: its slot is free when the response would have come."""
        end = start.sent + min(self.window.usual, _LONGEST_LINGERING) + _LINGERING
        if end > now:
            self.lingering.append(end)

    def _rate_limited(self, start: Start, now: float, retry_after: float | None) -> tuple[LimitEvent, ...]:
        if start.number <= self.paused_number:
            # It was under way when the pause began: only a duration that the server names is new.
            return self.pause(now, retry_after or 0.0)
        self.refusal_trip = now - start.sent
        self.pace = self.pace or Pace(self.per_second, self.per_second)
        pacing = self.pace.refuse(now, self.window.count_at(start.admitted))
        if self.turns.members:
            pacing = evolve(pacing, is_shared=True)
        seconds = backoff = _BACKOFFS[min(self.pauses_in_a_row, len(_BACKOFFS) - 1)]
        if retry_after is not None:
            # Where a duration that the server named did not help, it is not believed to be enough.
            seconds = max(retry_after, backoff) if self.pauses_in_a_row else retry_after
        if self.pauses_in_a_row:
            # This may have been the test of a long pause: the latest response counts.
            self._end_pause(now)
        self.pauses_in_a_row += 1
        self.paused_at, self.paused_number = now, self.last_number
        return pacing, *self.pause(now, seconds)

    def pause(self, now: float, seconds: float) -> tuple[LimitEvent, ...]:
        """Send nothing for so many seconds, unless the pause in progress lasts longer."""
        longer = now + seconds - max(self.paused_until, now)
        if longer <= 0:
            return ()
        self.pauses_in_all += longer
        self.paused_at, self.paused_number, self.paused_until = now, self.last_number, now + seconds
        self.pauses_in_a_row = max(1, self.pauses_in_a_row)
        return (Pause(seconds),)

    def hold(self, now: float, seconds: float) -> None:
        """Send nothing for so many seconds, whatever responses say: others may have sent what is not known here."""
        if not self.pause_left(now):
            # A refusal before says nothing any more, and the response to what was sent since then ends nothing.
            self.pauses_in_a_row = 0
        self.paused_until = max(self.paused_until, now + seconds)

    def _end_pause(self, now: float) -> None:
        self.pauses_in_all -= self.pause_left(now)
        self.paused_until = min(self.paused_until, now)

    def _overloaded(self, start: Start, now: float) -> tuple[LimitEvent, ...]:
        self._forget_lingering(now)
        # The server was busy with this request, too, and perhaps with those that were given up.
        in_flight = 1 + len(self.in_flight) + len(self.lingering)
        if in_flight <= 1 or start.number <= self.lowered_number:
            return ()
        self.lowered_number = self.last_number
        self.max_in_flight = max(1, min(self.max_in_flight, in_flight) // 2)
        self.successes = 0
        return (ConcurrencyLowered(self.max_in_flight),)

    def _recover(self, start: Start, now: float) -> None:
        """A response that is not a refusal ends the pause, gives slots back and raises the rate."""
        if start.number > self.paused_number:
            if self.pauses_in_a_row:
                # The probe succeeded: the rest of the pause no longer applies. One that no refusal began goes on.
                self._end_pause(now)
            self.pauses_in_a_row = 0
            self.pauses_before_success = self.pauses_in_all
        if self.max_in_flight < self.parallel:
            self.successes += 1
            if self.successes >= self.max_in_flight:
                self.max_in_flight += 1
                self.successes = 0
        if self.pace is not None and self.pace.is_even(now):
            self.pace.accept(now)

    def shift(self, by: float) -> None:
        """Go over to another clock, which shows so many seconds more."""
        for start in {start.number: start for start in (*self.window.starts, *self.in_flight.values())}.values():
            start.admitted += by
            start.sent += by
            start.counted_by += by
        self.lingering = [end + by for end in self.lingering]
        self.turns.shift(by)
        for name in ("paused_at", "paused_until", "tested_at", "interactive_at"):
            setattr(self, name, getattr(self, name) + by)
        if self.pace is not None:
            self.pace.shift(by)


def _left_of(limit: int) -> int:
    """What a batch uses of a limit while interactive requests come."""
    return max(1, limit - math.ceil(limit * _RESERVED))
