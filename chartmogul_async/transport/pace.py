"""The rate that the server turned out to allow, and the even spacing of starts, as a pure value.

Somebody else may be using the same account, and a server may allow no bursts: both show as refusals that the limits
do not explain. The first one spaces the starts evenly; each further one lowers the rate. Then the rate rises again,
quickly up to where it last failed, and beyond that the faster the longer there was no refusal.
"""

from __future__ import annotations

import math

from attrs import define, evolve

from chartmogul_async.events import Pacing

# The share of the limit that is used after a first refusal.
_FIRST = 0.95
# What a further refusal leaves of the rate; more of it if the rate held for a while.
_LOWERED = 0.8
_LOWERED_A_LITTLE = 0.9
_HELD = 2.0
# A refusal never takes more than half of the rate, nor is it lowered below this share of the limit.
_AT_MOST_HALF = 0.5
_LOWEST = 0.1
# The rate returns to this share of where it failed within about so many seconds.
_RETURN = 0.95
_RETURN_WITHIN = 3.0
# Each second the rate grows by this part of itself for each second since the latest refusal.
_GROWTH = 0.0008
_SECOND = 1.0
# Seconds for which starts are spaced evenly; doubled if a burst after that is refused within an hour.
_EVEN_FOR = 60.0
_LONGEST_EVEN = 3600.0


@define(eq=False)
class Pace:
    """How fast requests may start at present.

    Attributes:
        limit: Requests a second that are allowed in principle.
        rate: Requests a second that are used; the limit, until the server refuses some.
        failed_rate: The rate at the latest refusal.
        refused_at: When that was.
        accepted: Responses since then.
        grown_at: When the rate grew last, or was lowered.
        even_until: Until when starts are spaced evenly; also later, while the rate is below the limit.
        even_for: How long the latest period of even spacing was meant to last.
        next_start: When the next request may start according to the spacing.
    """

    limit: int
    rate: float
    failed_rate: float = 0.0
    refused_at: float = -math.inf
    accepted: int = 0
    grown_at: float = -math.inf
    even_until: float = -math.inf
    even_for: float = _EVEN_FOR
    next_start: float = -math.inf

    def is_even(self, now: float) -> bool:
        """Whether starts are spaced evenly."""
        return self.rate < self.limit or now < self.even_until

    def start(self, now: float) -> None:
        """A request starts."""
        step = 1 / self.rate
        # Late timers must not add up: the next start follows the schedule, not the clock.
        on_schedule = now < self.next_start + step
        self.next_start = (self.next_start if on_schedule else now) + step

    def accept(self, now: float) -> None:
        """A request was not refused while the rate is below the limit."""
        self.accepted += 1
        growth = _GROWTH * self.rate * (now - self.refused_at)
        growth += max(0.0, _RETURN * self.failed_rate - self.rate) / _RETURN_WITHIN
        # So much a second; of a longer time without requests nothing is known.
        self.rate = min(float(self.limit), self.rate + growth * min(now - self.grown_at, _SECOND))
        self.grown_at = now

    def refuse(self, now: float, requests: int) -> Pacing:
        """A request was refused; ``requests`` were sent in the second before it."""
        held = now - self.refused_at
        if not self.is_even(now):
            self.even_for = min(2 * self.even_for, _LONGEST_EVEN) if held < _LONGEST_EVEN else _EVEN_FOR
            self.failed_rate, self.rate = self.rate, _FIRST * self.rate
        elif self.accepted:
            # Refusals without any response between them are one: the rate was not tried.
            share = _LOWERED_A_LITTLE if held > _HELD else _LOWERED
            lowered = min(share * self.rate, max(_AT_MOST_HALF * self.rate, self.accepted / held))
            self.failed_rate, self.rate = self.rate, max(_LOWEST * self.limit, lowered)
        self.refused_at = self.grown_at = now
        self.accepted = 0
        self.even_until = now + self.even_for
        return Pacing(self.even_for, requests, self.rate)

    def shared_by(self, processes: int, limit: int) -> Pace:
        """The same for each of some processes, which may start ``limit`` requests a second."""
        rate, failed_rate = self.rate / processes, self.failed_rate / processes
        return evolve(self, limit=limit, rate=min(rate, float(limit)), failed_rate=failed_rate)

    def shift(self, by: float) -> None:
        """Go over to another clock, which shows so many seconds more."""
        self.refused_at += by
        self.grown_at += by
        self.even_until += by
        self.next_start += by
