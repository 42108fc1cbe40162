"""The earliest finish that the limits allow: what somebody could reach who knew when the server counts."""

from __future__ import annotations

import heapq
import random
import statistics

from chartmogul_async.sandbox import Limits
from chartmogul_async.sandbox.limits import Limiter

# Seconds; a request at the very moment of permission is admitted.
_ROUNDING = 1e-9
# Draws of the jitter.
_DRAWS = 25


def earliest_finish(calls: int, limits: Limits, *, latency: float, jitter: float = 0.0) -> float:
    """Seconds until the last of ``calls`` responses, all wanted at once: the median over many draws of the jitter.

    A fixed window is taken to begin with the first request. Who happens to start late in one finishes up to a
    second earlier, which nobody can plan.
    """
    draws = _DRAWS if jitter else 1
    return statistics.median(_finish(calls, limits, latency, jitter, random.Random(seed)) for seed in range(draws))


def _finish(calls: int, limits: Limits, latency: float, jitter: float, chance: random.Random) -> float:
    """Each slot sends again as soon as it has its response, or so much later that it is not refused."""
    limiter = Limiter(limits)
    slots = min(calls, limits.parallel or calls)
    # When each slot's next request can be counted.
    arrivals = [chance.random() * jitter for _ in range(slots)]
    heapq.heapify(arrivals)
    responses: list[float] = []
    now = 0.0
    for call in range(calls):
        now = max(now, heapq.heappop(arrivals))
        while refusal := limiter.acquire(now):
            now += refusal.seconds + _ROUNDING
        # The slots are kept here, since the limiter knows nothing about time.
        limiter.release()
        responses.append(now + latency)
        if call + slots < calls:
            heapq.heappush(arrivals, now + latency + chance.random() * jitter)
    return max(responses)
