"""Very many calls started at once, of which twenty may be in flight."""

from __future__ import annotations

from benchmarks.figures import megabytes, ratio, seconds, spread
from benchmarks.harness import Comparison, Side
from benchmarks.questions.question import Goal, Question, Results, Table
from benchmarks.server import Serving
from benchmarks.sides.clients import PARALLEL

TASKS = "ours, a task for each call"
STREAM = "ours, `metrics.stream`"
HTTPX = "httpx, pool of 20"
FLOOR = "20 httpx clients, 20 workers"
OTHERS = {"httpx2, pool of 20": "httpx2", "aiohttp, limit of 20": "aiohttp"}
LATENCY = 0.02
SIZES = (1_000, 5_000)
_TOO_LONG = 5_000  # calls, for which stock httpx takes more than a minute
OVER_IDEAL = 1.10
STALL_OF_TASKS, STALL_OF_STREAM = 50, 15  # ms


def comparisons() -> list[Comparison]:
    return [_comparison(calls) for calls in SIZES]


def _comparison(calls: int) -> Comparison:
    return Comparison(
        f"{calls:,} calls",
        [
            Side(TASKS, "calls.at_once", {"client": "ours", "calls": calls}),
            Side(STREAM, "calls.stream", {"calls": calls}),
            Side(FLOOR, "calls.by_workers", {"client": "httpx-one-each", "calls": calls}),
            Side(HTTPX, "calls.at_once", {"client": "httpx", "calls": calls}, once=calls >= _TOO_LONG),
            *(Side(name, "calls.at_once", {"client": client, "calls": calls}) for name, client in OTHERS.items()),
        ],
        Serving(latency=LATENCY),
        ideal=calls / PARALLEL * LATENCY,
    )


def goals(results: Results) -> list[Goal]:
    return [
        goal
        for name, result in results.items()
        for goal in (
            Goal(f"{name}, a task for each, over the ideal", result.over_ideal(TASKS), OVER_IDEAL),
            Goal(f"{name}, stream, over the ideal", result.over_ideal(STREAM), OVER_IDEAL),
            Goal(f"{name}, a task for each, longest stall", result.median(TASKS, "stall") * 1e3, STALL_OF_TASKS, "ms"),
            Goal(f"{name}, stream, longest stall", result.median(STREAM, "stall") * 1e3, STALL_OF_STREAM, "ms"),
        )
    ]


def table(results: Results) -> Table:
    rows = [
        [
            name,
            side,
            spread(result.values(side)),
            f"**{ratio(result.over_ideal(side))}**",
            seconds(result.median(side, "cpu")),
            seconds(result.median(side, "stall")),
            megabytes(result.median(side, "memory")),
        ]
        for name, result in results.items()
        for side in result.readings
    ]
    return Table(["", "side", "time", "over the ideal", "CPU", "longest stall of the loop", "memory"], rows)


QUESTION = Question("queue", "very many calls at once, 20 in flight, 20 ms a response", comparisons, goals, table)
