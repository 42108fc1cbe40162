"""How close to the limits several processes with one key come, and how politely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from benchmarks.figures import ratio
from benchmarks.harness import Comparison, Side
from benchmarks.ideal import earliest_finish
from benchmarks.questions.question import Goal, Question, Results, Table
from benchmarks.questions.throttle import refusals
from benchmarks.server import Serving
from chartmogul_async.sandbox import Limits
from chartmogul_async.sandbox.limits import Counting

CALLS = 2000
LATENCY = 0.03
FILE, REDIS = "ours, FileStore", "ours, RedisStore"
SIDES = {
    FILE: "shared.by_file",
    REDIS: "shared.by_redis",
    "ours, limits split by hand": "shared.by_hand",
    "pyrate-limiter, Redis": "shared.by_pyrate_limiter",
}
# Of the rate that the limits allow.
GOAL = 1 / 0.97
_COUNTING: dict[Counting, str] = {"fixed": "fixed window", "sliding": "sliding log", "bucket": "token bucket"}
_PUBLISHED = Limits(counting="sliding")
_LOADS = {
    "4 processes": [CALLS // 4] * 4,
    "16 processes": [CALLS // 16] * 16,
    "4, of which one is busy": [CALLS - 30, 10, 10, 10],
}


def comparisons() -> list[Comparison]:
    return [_comparison(counting, load) for load in _LOADS for counting in get_args(Counting)]


def _comparison(counting: Counting, load: str) -> Comparison:
    calls = _LOADS[load]
    return Comparison(
        f"{load}, {_COUNTING[counting]}",
        [Side(name, function, {"calls": calls}, once=True) for name, function in SIDES.items()],
        Serving(Limits(counting=counting), latency=LATENCY),
        ideal=earliest_finish(sum(calls), _PUBLISHED, latency=LATENCY),
        warm_up=False,
    )


def goals(results: Results) -> list[Goal]:
    found = []
    for side in (FILE, REDIS):
        slowest = max(results.values(), key=lambda result: result.over_ideal(side))
        refused = sum(refusals(result, side) for result in results.values())
        found += [
            Goal(f"{side}: slowest of {len(results)} ({slowest.name}), over the ideal", slowest.over_ideal(side), GOAL),
            Goal(f"{side}: refusals in all", refused, 0, ""),
        ]
    return found


def table(results: Results) -> Table:
    rows: list[Sequence[str]] = [
        [
            result.name,
            f"{result.ideal:.1f} s",
            *(f"**{ratio(result.over_ideal(side))}** · {refusals(result, side)}" for side in SIDES),
        ]
        for result in results.values()
    ]
    return Table(["processes, and how the server counts", "ideal", *SIDES], rows)


QUESTION = Question("shared", f"{CALLS:,} answers for several processes with one key", comparisons, goals, table)
