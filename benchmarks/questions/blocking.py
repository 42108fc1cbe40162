"""What a call of the blocking client costs beside the same call of the async one."""

from __future__ import annotations

from benchmarks.figures import spread
from benchmarks.harness import Comparison, Side
from benchmarks.questions.question import Goal, Question, Results, Table
from benchmarks.server import Serving

CALLS = 1_000
ASYNC, BLOCKING = "async client", "blocking client"
IN_TURN, IN_FLIGHT = "one after the other", "20 in flight"
_FUNCTIONS = {IN_TURN: "in_turn", IN_FLIGHT: "in_flight"}


def comparisons() -> list[Comparison]:
    return [
        Comparison(
            name,
            [
                Side(ASYNC, f"calls.{function}", {"client": "ours", "calls": CALLS}),
                Side(BLOCKING, f"blocking.{function}", {"calls": CALLS}),
            ],
            Serving(),
        )
        for name, function in _FUNCTIONS.items()
    ]


def goals(results: Results) -> list[Goal]:
    return [
        Goal(f"{name}, {measured} time beyond the async call", 1e6 * _beyond(results, name, key), 250, "µs")
        for name in results
        for key, measured in (("cpu", "CPU"), ("seconds", "wall"))
    ]


def table(results: Results) -> Table:
    rows = [
        [
            name,
            side,
            *(
                cell
                for key in ("cpu", "seconds")
                for cell in (
                    spread(result.values(side, key)),
                    f"**{1e6 * _beyond(results, name, key):.0f} µs**" if side == BLOCKING else "",
                )
            ),
        ]
        for name, result in results.items()
        for side in (ASYNC, BLOCKING)
    ]
    return Table(["calls", "side", "CPU a call", "beyond async", "wall a call", "beyond async"], rows)


def _beyond(results: Results, name: str, key: str) -> float:
    return results[name].median(BLOCKING, key) - results[name].median(ASYNC, key)


QUESTION = Question("blocking", f"{CALLS:,} calls for the MRR of 24 months, no latency", comparisons, goals, table)
