"""The requests that the server may still be counting, as a pure value.

A start leaves the window one second after the latest moment at which the server can have counted it. Two requests that
are sent a second apart may arrive less than a second apart, so that moment is not when a request was sent:

* While there is no response, the server may still count the request, and the start stays. Only while it is no older
  than a usual response, the request is taken to have arrived within 0.3 s.
* A response that took no longer than usual bounds it twice. The request arrived within 50 ms, since what took long was
  the work on it and not its travel; and it arrived before its response, by at least a fastest round trip (the work on
  it and the response's travel take, together with another request's travel, as long as that).
* A response that took unusually long is bounded the second way only: the request itself may have been delayed.
* Where only a few requests are allowed in a second, nothing averages out: the response alone counts.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable

from attrs import Factory, define, field

# The server's second, and what clocks round: a millisecond, or on Windows before Python 3.13 a step of 16 ms.
_SECOND = 1.0 + max(0.001, time.get_clock_info("monotonic").resolution)
# Seconds within which a request arrives whose response took no longer than usual, or which ended without a response;
# and one whose response is not overdue.
_TRAVEL = 0.05
_TRAVEL_UNANSWERED = 0.3
# Margin: latency may drop by this much below the fastest recent round trip.
_MARGIN = 0.01
# A response takes longer than usual if it takes longer than this share of the recent ones, and a fifth more.
_USUAL_SHARE = 0.9
_USUAL_FACTOR = 1.2
# How many round trips are recent: after so many responses a server that became slower is known.
RECENT = 80
# Up to so many requests a second are few.
_FEW = 8


@define(eq=False)
class Start:
    """The start of one request.

    ``sent`` is when it was written to the socket, ``counted_by`` the latest moment at which the server can have counted
    it; both are infinity while that is unknown. ``owner`` is the process that sends it, where there are several.
    """

    number: int
    admitted: float
    sent: float = math.inf
    counted_by: float = math.inf
    owner: int = 0


@define(eq=False)
class Window:
    """A rolling second, as the server counts it."""

    starts: deque[Start] = Factory(deque)
    # Seconds from sending a request to receiving its response, the latest last.
    round_trips: list[float] = field(factory=list, init=False)
    # The same in the order of size. To sort them after each response takes four times as long as to keep them so.
    _in_order: list[float] = field(factory=list, init=False)
    # Of the recent round trips, the fastest, and the one that most do not exceed; 0 while there are none.
    fastest: float = 0.0
    usual: float = 0.0

    def remove(self, start: Start) -> None:
        """Forget a start that did not take place, if it is still known."""
        if start in self.starts:
            self.starts.remove(start)

    def learn(self, start: Start, now: float, responded: bool, limit: int) -> None:
        """An exchange ended, with a response or without."""
        if start.sent == math.inf:
            # The connection does not report what it writes, or broke before it wrote.
            start.sent = start.admitted if responded else now
        if not responded:
            # It may still be on its travel.
            start.counted_by = max(now, start.sent + _TRAVEL)
            return
        start.counted_by = now
        trip = now - start.sent
        self._learn_trip(trip)
        if limit <= _FEW:
            return
        start.counted_by = now - max(0.0, self.fastest - _MARGIN)
        if self._is_usual(trip):
            start.counted_by = min(start.counted_by, start.sent + _TRAVEL)

    def learn_trips(self, trips: Iterable[float]) -> None:
        """Round trips took so many seconds."""
        self.round_trips = [*self.round_trips, *trips][-RECENT:]
        self._in_order = sorted(self.round_trips)
        self._look_at_trips()

    def _learn_trip(self, trip: float) -> None:
        if len(self.round_trips) == RECENT:
            del self._in_order[bisect_left(self._in_order, self.round_trips.pop(0))]
        self.round_trips.append(trip)
        insort(self._in_order, trip)
        self._look_at_trips()

    def _look_at_trips(self) -> None:
        if self._in_order:
            self.fastest = self._in_order[0]
            self.usual = self._in_order[int((len(self._in_order) - 1) * _USUAL_SHARE)]

    def opens_at(self, now: float, limit: int) -> float:
        """When the next start fits into a limit: now, later, or (infinity) only after a response."""
        while self.starts and self.starts[0].counted_by + _SECOND <= now:
            # A window that is never full must not grow.
            self.starts.popleft()
        if len(self.starts) < limit:
            return now
        surplus = self.count(now) - limit
        if surplus < 0:
            return now
        return sorted(self._all_counted_by(now))[surplus] + _SECOND

    def count(self, now: float) -> int:
        """How many starts the server may be counting."""
        pairs = zip(self.starts, self._all_counted_by(now), strict=True)
        self.starts = deque(start for start, counted_by in pairs if counted_by + _SECOND > now)
        return len(self.starts)

    def count_at(self, moment: float) -> int:
        """How many of the known starts the server may have been counting at an earlier moment."""
        return sum(start.counted_by + _SECOND > moment for start in self.starts)

    def _all_counted_by(self, now: float) -> list[float]:
        return [
            start.sent + _TRAVEL_UNANSWERED
            if start.counted_by == math.inf and self._is_usual(now - start.sent)
            else start.counted_by
            for start in self.starts
        ]

    def _is_usual(self, trip: float) -> bool:
        return self.usual > 0 and trip <= _USUAL_FACTOR * self.usual + _TRAVEL
