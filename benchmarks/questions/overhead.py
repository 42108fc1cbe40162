"""What a whole call costs beside a bare GET of the same bytes, on a server that answers at once."""

from __future__ import annotations

from benchmarks.figures import ratio, spread
from benchmarks.harness import Comparison, Side
from benchmarks.questions.question import Goal, Question, Results, Table
from benchmarks.server import Serving

CALLS = 1_000
OURS = "ours, bytes to records"
FAST = "ours, with httptools"
HTTPX = "httpx, bytes"
SIDES = {OURS: "ours-over-httpx", FAST: "ours", HTTPX: "httpx", "httpx2, bytes": "httpx2", "aiohttp, bytes": "aiohttp"}
IN_TURN, IN_FLIGHT = "one after the other", "20 in flight"
GOALS = {IN_TURN: 1.25, IN_FLIGHT: 0.5}
FAST_GOAL = 0.65
_FUNCTIONS = {IN_TURN: "calls.in_turn", IN_FLIGHT: "calls.in_flight"}


def comparisons() -> list[Comparison]:
    return [
        Comparison(
            name,
            [Side(side, function, {"client": client, "calls": CALLS}) for side, client in SIDES.items()],
            Serving(),
        )
        for name, function in _FUNCTIONS.items()
    ]


def goals(results: Results) -> list[Goal]:
    return [
        Goal(f"{name}, {measured} time over bare httpx", result.ratio(OURS, HTTPX, key), GOALS[name])
        for name, result in results.items()
        for key, measured in (("cpu", "CPU"), ("seconds", "wall"))
    ] + [
        Goal(f"{name}, CPU time with httptools over ours without", result.ratio(FAST, OURS, "cpu"), FAST_GOAL)
        for name, result in results.items()
    ]


def table(results: Results) -> Table:
    rows = [
        [
            name,
            side,
            spread(result.values(side, "cpu")),
            f"**{ratio(result.ratio(side, HTTPX, 'cpu'))}**",
            spread(result.values(side)),
            f"**{ratio(result.ratio(side, HTTPX))}**",
        ]
        for name, result in results.items()
        for side in SIDES
    ]
    return Table(["calls", "side", "CPU a call", "x httpx", "wall a call", "x httpx"], rows)


QUESTION = Question("overhead", f"{CALLS:,} calls for the MRR of 24 months, no latency", comparisons, goals, table)
