"""The earliest finish that the limits allow: what somebody could reach who knew when the server counts."""

from __future__ import annotations

import heapq
import random
import statistics

from chartmogul_async.sandbox import Limits
from chartmogul_async.sandbox.limits import Gate

_ROUNDING = 1e-9  # seconds; a request at the very moment of permission is let through
_DRAWS = 25  # of the jitter


def earliest_finish(calls: int, limits: Limits, *, latency: float, jitter: float = 0.0) -> float:
    """Seconds until the last of ``calls`` answers, all wanted at once: the median over many draws of the jitter.

    A fixed window is taken to begin with the first request. Who happens to start late in one finishes up to a
    second earlier, which nobody can plan.
    """
    draws = _DRAWS if jitter else 1
    return statistics.median(_finish(calls, limits, latency, jitter, random.Random(seed)) for seed in range(draws))


def _finish(calls: int, limits: Limits, latency: float, jitter: float, chance: random.Random) -> float:
    """Each place sends again as soon as it has its answer, or so much later that it is not refused."""
    gate = Gate(limits)
    places = min(calls, limits.parallel or calls)
    arrivals = [chance.random() * jitter for _ in range(places)]  # when each place's next request can be counted
    heapq.heapify(arrivals)
    answers: list[float] = []
    now = 0.0
    for call in range(calls):
        now = max(now, heapq.heappop(arrivals))
        while refusal := gate.enter(now):
            now += refusal.seconds + _ROUNDING
        gate.leave()  # the places are kept here, for the gate knows nothing of time
        answers.append(now + latency)
        if call + places < calls:
            heapq.heappush(arrivals, now + latency + chance.random() * jitter)
    return max(answers)
