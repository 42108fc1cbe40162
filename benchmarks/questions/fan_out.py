"""Ten years of days, in slices and undivided; two months of days, which are better left whole."""

from __future__ import annotations

from benchmarks.figures import ratio, seconds, spread
from benchmarks.harness import Comparison, Side
from benchmarks.questions.question import Goal, Question, Results, Table
from benchmarks.server import Serving
from chartmogul_async.sandbox import Limits

SLICED, UNDIVIDED = "`slices=None`", "`slices=1`"
LONG, SHORT = "ten years", "two months"
DAYS = {LONG: 3_652, SHORT: 61}
GOAL = 0.10
_SERVING = Serving(Limits(), latency=0.05, latency_per_entry=0.0005)


def comparisons() -> list[Comparison]:
    return [
        Comparison(
            name,
            [
                Side(SLICED, "ranges.sliced", {"days": days, "compare": True}),
                Side(UNDIVIDED, "ranges.undivided", {"days": days}),
            ],
            _SERVING,
        )
        for name, days in DAYS.items()
    ]


def goals(results: Results) -> list[Goal]:
    return [
        Goal(f"{LONG} of days, in slices over undivided", results[LONG].ratio(SLICED, UNDIVIDED), GOAL),
        Goal(f"{SHORT} of days, requests", results[SHORT].worst(SLICED, "requests"), 1, ""),
    ]


def table(results: Results) -> Table:
    rows = [
        [
            f"{name} ({DAYS[name]:,} days)",
            side,
            spread(result.values(side)),
            f"**{ratio(result.ratio(side, UNDIVIDED))}**",
            f"{result.median(side, 'requests'):.0f}",
            seconds(result.median(side, "cpu")),
        ]
        for name, result in results.items()
        for side in (SLICED, UNDIVIDED)
    ]
    return Table(["range", "side", "time", "x undivided", "requests", "CPU"], rows)


QUESTION = Question(
    "fan-out", "days of `metrics.all`, 50 ms + 0.5 ms an entry, default throttle", comparisons, goals, table
)
