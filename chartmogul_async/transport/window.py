"""The starts that the server may still be counting.

A start leaves the window one second after the latest moment at which the server can have counted it. Its answer tells
that moment: a server counts a request when it arrives, and what follows (its work and the way back) takes together with
another request's way there at least as long as the fastest answers of late took. While there is no answer, 50 ms after
it was written to the socket are taken for enough.
"""

from __future__ import annotations

import math
from collections import deque

from chartmogul_async.transport.grants import Grant

_SECOND = 1.001  # the server's second, and a millisecond for the rounding of clocks
UNDER_WAY = 0.05  # seconds; while no answer proves more, a request is taken to have arrived after so long
_SLACK = 0.01  # how much faster the ways may be than the fastest answers of late have shown
_OF_LATE = 80  # answers; a server that became slower is known by then


class Window:
    """A rolling second, as the server counts it."""

    def __init__(self) -> None:
        self._starts: deque[Grant] = deque()
        self._took: deque[float] = deque(maxlen=_OF_LATE)  # seconds from sending to answer

    def add(self, grant: Grant, now: float) -> None:
        """Count a start. What has surely left goes, so that a window that is never full does not grow."""
        while self._starts and _counted_by(self._starts[0], 0.0) + _SECOND <= now:
            self._starts.popleft()
        self._starts.append(grant)

    def remove(self, grant: Grant) -> None:
        """Forget a start that did not take place."""
        self._starts.remove(grant)

    def learn(self, grant: Grant, now: float, answered: bool) -> None:
        """An exchange is over, with an answer or without."""
        if grant.sent == math.inf:  # the layer below does not tell, or broke before
            grant.sent = grant.admitted if answered else now
        if answered:
            grant.answered = now
            self._took.append(now - grant.sent)

    def opens_at(self, now: float, limit: int) -> float:
        """When the next start fits into a limit: now, or later."""
        if len(self._starts) < limit or (surplus := self.count(now) - limit) < 0:
            return now
        return sorted(self._all_counted_by())[surplus] + _SECOND

    def count(self, now: float) -> int:
        """How many starts the server may be counting."""
        pairs = zip(self._starts, self._all_counted_by(), strict=True)
        self._starts = deque(grant for grant, counted_by in pairs if counted_by + _SECOND > now)
        return len(self._starts)

    def count_at(self, moment: float) -> int:
        """How many of the starts that are still known the server may have been counting at an earlier moment."""
        return sum(counted_by + _SECOND > moment for counted_by in self._all_counted_by())

    def shift(self, by: float) -> None:
        """Go over to another clock."""
        for grant in self._starts:
            grant.sent += by
            grant.answered += by

    def _all_counted_by(self) -> list[float]:
        fastest = max(0.0, min(self._took, default=0.0) - _SLACK)
        return [_counted_by(grant, fastest) for grant in self._starts]


def _counted_by(grant: Grant, fastest: float) -> float:
    """The latest moment at which the server can have counted it, where the fastest answers take so long."""
    return grant.sent + UNDER_WAY if grant.answered == math.inf else grant.answered - fastest
