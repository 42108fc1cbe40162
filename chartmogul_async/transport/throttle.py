"""One line for all requests of an account: never the 41st in a second, never the 21st at once.

ChartMogul allows 40 requests a second (beyond: 429) and 20 in parallel (beyond: 503), and says of neither how
it counts. ``Throttle`` keeps both limits in advance, for every way of counting, and turns a refusal that
comes all the same into news for every task of the account.

Source of the limits: https://dev.chartmogul.com/docs/rate-limits
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict

import anyio
import anyio.lowlevel
from attrs import frozen

from chartmogul_async.errors import RateLimitError, UsageError
from chartmogul_async.transport.door import Door
from chartmogul_async.transport.grants import Grant, Waiter
from chartmogul_async.transport.window import Window

logger = logging.getLogger("chartmogul_async")

_PACE = 0.95  # the share of the rate that is kept while pacing evenly
_PACE_FOR = 60.0  # how long pacing lasts before a burst is tried again; doubled each time that fails
_LONGEST_PACE = 3600.0
_BACKOFFS = (1.0, 4.0, 16.0, 30.0)  # seconds; the pauses without Retry-After, the last one repeated
_PROBE_EVERY = 60.0  # how often a pause that is too long for anybody is put to the test


@frozen
class ThrottleStatistics:
    """A throttle at one moment.

    ``admitted`` requests so far, ``waited`` of them had to wait in line; ``waiting`` and ``in_flight`` now, of
    ``places``; ``paused_until`` and ``paced_until`` are the ends of the latest pause and of the latest even
    pacing on the event loop's clock, None if there was none.
    """

    admitted: int
    waited: int
    waiting: int
    in_flight: int
    places: int
    paused_until: float | None
    paced_until: float | None


class Throttle:
    """Admits requests first come first served: ``per_second`` starts a second, ``parallel`` in flight.

    One throttle may serve several clients of the same account, within one event loop. A burst that fits goes
    out at once. A 429 pauses everyone, for as long as the server says or 1, 4, 16, 30, 30 … seconds; then one
    request goes ahead, and when it is not refused the others follow. A 429 that the own requests of the last second
    cannot explain also spreads the starts evenly for a minute or longer, for the server may allow no bursts. A
    503 halves the places, and every round of successes gives one back.
    """

    def __init__(self, per_second: int = 40, parallel: int = 20) -> None:
        self._per_second, self._parallel = _checked(per_second, "per_second"), _checked(parallel, "parallel")
        self._places = parallel  # of the parallel ones, how many are in use after a 503
        self._line: OrderedDict[Waiter, None] = OrderedDict()
        self.door = Door(self._check_loop, self._is_crowded)
        self._window = Window()
        self._in_flight = self._admitted = self._waited = 0

        self._paused_at = self._paused_until = self._tested_at = -math.inf
        self._pauses = 0.0  # seconds of all pauses, the running one to its end
        self._pauses_in_a_row = 0
        self._probe: Grant | None = None  # the one request that goes ahead after a pause
        self._paced_until = self._next_start = -math.inf
        self._pace_for = _PACE_FOR
        self._lowered_at = -math.inf
        self._successes = 0

        self._users = 0
        self._loop: object = None
        self._last_seen = self._last_seen_really = 0.0  # on the clock of that loop, and on one that all loops share

    def __repr__(self) -> str:
        return f"Throttle(per_second={self._per_second}, parallel={self._parallel})"

    def statistics(self) -> ThrottleStatistics:
        """Tell what was admitted, what waits, and what the throttle knows of the server."""
        return ThrottleStatistics(
            admitted=self._admitted,
            waited=self._waited,
            waiting=self.door.waiting + len(self._line),
            in_flight=self._in_flight,
            places=self._places,
            paused_until=_or_none(self._paused_until),
            paced_until=_or_none(self._paced_until),
        )

    @property
    def parallel(self) -> int:
        """How many exchanges may be in flight."""
        return self._parallel

    def resize(self, *, per_second: int | None = None, parallel: int | None = None) -> None:
        """Change the limits from now on; what is in flight stays in flight."""
        if per_second is not None:
            self._per_second = _checked(per_second, "per_second")
        if parallel is not None:
            self._parallel = self._places = _checked(parallel, "parallel")
        if self._line:
            self._admit_from_line()

    def room(self, under_way: int = 0) -> int:
        """How many requests would start at once, were they to come now; ``under_way`` are known to the caller."""
        now = anyio.current_time()
        if self._probe is not None or now < max(self._paused_until, self._paced_until):
            return 0
        busy = max(self._in_flight + len(self._line), under_way)
        return max(0, min(self._places - busy, self._per_second - self._window.count(now)))

    # --- who uses it ---------------------------------------------------------------------------------------

    def attach(self) -> None:
        """Called by a client at its first request: from then on the throttle lives in that event loop."""
        self._check_loop()
        loop = anyio.lowlevel.current_token()
        if loop != self._loop:
            self._loop = loop
            passed = time.monotonic() - self._last_seen_really
            self._shift_times(anyio.current_time() - passed - self._last_seen)
        self._users += 1

    def _check_loop(self) -> None:
        if self._users and anyio.lowlevel.current_token() != self._loop:
            raise UsageError(
                "this Throttle serves a client in another event loop; make one Throttle for each event loop, "
                "or close the other client first"
            )

    def detach(self) -> None:
        """Called by a client when it closes, perhaps in another event loop."""
        self._users -= 1

    def _shift_times(self, by: float) -> None:
        """The clocks of two event loops have nothing in common; what was known is carried over."""
        self._window.shift(by)
        self._paused_at += by
        self._paused_until += by
        self._tested_at += by
        self._paced_until += by
        self._next_start += by
        self._lowered_at += by

    # --- admission -----------------------------------------------------------------------------------------

    async def acquire(self, patience: float = math.inf) -> Grant:
        """Wait for a place and then for the window. The place is kept until ``release``.

        Raises ``RateLimitError`` when the pauses that the server asked for take longer than ``patience``
        seconds; waiting for the others in the line does not count.
        """
        now = anyio.current_time()
        if not self._line and self._next_chance(now) <= now:
            return self._admit(now, 0.0)
        pause = self._paused_until - now
        if pause > patience:
            if self._may_test_pause(now):
                self._tested_at = now
                return self._admit(now, 0.0)
            raise _too_long(pause)
        waiter = Waiter(patience, self._pauses_until(now))
        self._line[waiter] = None
        self.door.let_in()  # whose room this one did not take
        try:
            while waiter.grant is None and waiter.refused_for is None:
                self._admit_from_line()
                await waiter.wait()
        except BaseException:
            if waiter.grant is not None:
                self._take_back(waiter.grant)
            self._line.pop(waiter, None)
            self._admit_from_line()
            raise
        if waiter.grant is None:
            raise _too_long(waiter.refused_for or 0.0)
        return waiter.grant

    def _may_test_pause(self, now: float) -> bool:
        """Whether to ask, once a minute, if the server still means a pause that is too long for anybody."""
        due = max(self._paused_at, self._tested_at) + _PROBE_EVERY
        return now >= due and self._probe is None and self._in_flight < self._places

    def _admit_from_line(self) -> None:
        now = anyio.current_time()
        while self._line:
            head = next(iter(self._line))
            chance = self._next_chance(now)
            if chance > now:
                head.look_again(chance)
                return
            del self._line[head]
            head.grant = self._admit(now, self._pauses_until(now) - head.pauses_before)
            self._waited += 1
            head.event.set()

    def _is_crowded(self, coming: int) -> bool:
        """Whether calls wait outside: not during the pauses, which shall count for all."""
        return not self._pauses_in_a_row and len(self._line) + coming >= self._parallel

    def _take_back(self, grant: Grant) -> None:
        """A waiter was cancelled in the moment of its admission: nothing was sent."""
        self._in_flight -= 1
        self._admitted -= 1
        self._waited -= 1
        self._window.remove(grant)
        if self._probe is grant:
            self._probe = None

    def _next_chance(self, now: float) -> float:
        """When the next request may start: now, later, or (infinity) when something else has changed."""
        if self._in_flight >= self._places or self._probe is not None:
            return math.inf
        chance = self._paused_until
        if now < self._paced_until:
            chance = max(chance, self._next_start)
        return max(chance, self._window.opens_at(now, self._per_second))

    def _pauses_until(self, now: float) -> float:
        return self._pauses - max(0.0, self._paused_until - now)

    def _admit(self, now: float, paused: float) -> Grant:
        grant = Grant(now, paused, self._when_sent)
        if self._pauses_in_a_row:
            self._probe = grant
        self._window.add(grant, now)
        self.door.let_in()
        self._in_flight += 1
        self._admitted += 1
        step = 1 / (self._per_second * _PACE)
        on_schedule = now < min(self._paced_until, self._next_start + step)
        # From the schedule while pacing, so that late timers do not add up; else from now.
        self._next_start = (self._next_start if on_schedule else now) + step
        return grant

    def _when_sent(self) -> None:
        """A start's place in the window is known, for which the head of the line may have waited."""
        if self._line:
            self._admit_from_line()

    # --- news from the server ------------------------------------------------------------------------------

    def release(self, grant: Grant, status: int | None = None, retry_after: float | None = None) -> None:
        """Give the place back and learn from the answer (None: there was none)."""
        now = self._last_seen = anyio.current_time()
        self._last_seen_really = time.monotonic()
        in_flight, self._in_flight = self._in_flight, self._in_flight - 1
        if self._probe is grant:
            self._probe = None
        self._window.learn(grant, now, answered=status is not None)
        if status == 429:
            self._refused(grant, now, retry_after)
        elif status == 503:
            self._overloaded(grant, now, in_flight)
        elif status is not None:
            self._succeeded(grant, now)
        grant.pause_left = max(0.0, self._paused_until - now)
        if self._line:
            self._admit_from_line()

    def _refused(self, grant: Grant, now: float, retry_after: float | None) -> None:
        if grant.admitted > self._paused_at:  # not one of those that were under way when the pause began
            self._spread_if_unexplained(grant, now)
            backoff = _BACKOFFS[min(self._pauses_in_a_row, len(_BACKOFFS) - 1)]
            self._pauses_in_a_row += 1
            self._paused_at = now
            self._lift_pause(now)  # where this was the test of a long one, the newest word counts
            self._pause(now, retry_after if retry_after is not None else backoff)
        elif retry_after is not None:
            self._pause(now, retry_after)

    def _pause(self, now: float, seconds: float) -> None:
        longer = now + seconds - max(self._paused_until, now)
        if longer <= 0:
            return
        self._pauses += longer
        self._paused_at, self._paused_until = now, now + seconds
        self._pauses_in_a_row = max(1, self._pauses_in_a_row)
        self.door.let_all_in()
        logger.info("paused for %.1f s after a 429", seconds)
        for waiter in [waiter for waiter in self._line if self._pauses - waiter.pauses_before > waiter.patience]:
            waiter.refused_for = seconds
            del self._line[waiter]
            waiter.event.set()

    def _lift_pause(self, now: float) -> None:
        self._pauses -= max(0.0, self._paused_until - now)
        self._paused_until = min(self._paused_until, now)

    def _spread_if_unexplained(self, grant: Grant, now: float) -> None:
        recent = self._window.count_at(grant.admitted)
        if recent < self._per_second:
            again = now < self._paced_until + _LONGEST_PACE
            self._pace_for = min(self._pace_for * 2, _LONGEST_PACE) if again else _PACE_FOR
            self._paced_until = now + self._pace_for
            logger.info("pacing evenly for %.0f s: %d requests in a second met a 429", self._pace_for, recent)

    def _overloaded(self, grant: Grant, now: float, in_flight: int) -> None:
        if in_flight > 1 and grant.admitted > self._lowered_at:
            self._lowered_at = now
            self._places = max(1, min(self._places, in_flight) // 2)
            self._successes = 0
            logger.info("only %d requests at once after a 503", self._places)

    def _succeeded(self, grant: Grant, now: float) -> None:
        if grant.admitted > self._paused_at:
            self._pauses_in_a_row = 0
            self._lift_pause(now)  # where a test has shown that the rest is not meant
        if self._places < self._parallel:
            self._successes += 1
            if self._successes >= self._places:
                self._places += 1
                self._successes = 0


def _too_long(seconds: float) -> RateLimitError:
    said = f"not sent: after a 429 requests are paused for {seconds:.0f} s, longer than the retry policy allows"
    logger.info(said)
    error = RateLimitError(said, 429)
    error.retry_after = seconds
    return error


def _or_none(moment: float) -> float | None:
    return None if moment == -math.inf else moment


def _checked(limit: int, name: str) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise UsageError(f"{name} is {limit!r}; it is a whole number of 1 or more")
    return limit
