"""How far worker processes of a task queue go beyond a single one."""

from __future__ import annotations

import os

from benchmarks.figures import seconds
from benchmarks.harness import Comparison, Result, Side
from benchmarks.questions.question import Goal, Question, Results, Table
from benchmarks.server import Serving

ACCOUNTS = 200
# Requests between which the time is taken: all processes are at work, and none is idle yet.
FIRST, LAST = 1_500, 20_000
ONE, FOUR = "one process", "four processes"
STORES = {"without a store": "none", "RedisStore": "redis"}
# Of the cores, times one process.
GOAL = 0.8


def comparisons() -> list[Comparison]:
    return [
        Comparison(
            name,
            [
                Side(
                    side,
                    "engines.taskiq",
                    {"processes": processes, "accounts": ACCOUNTS, "store": store, "first": FIRST, "last": LAST},
                )
                for side, processes in ((ONE, 1), (FOUR, 4))
            ],
            Serving(),
            facts={"cores": os.cpu_count()},
            warm_up=False,
        )
        for name, store in STORES.items()
    ]


def goals(results: Results) -> list[Goal]:
    return [
        Goal(f"taskiq, {name}, four processes over one, by the cores", _share_of_cores(result), GOAL, at_least=True)
        for name, result in results.items()
    ]


def table(results: Results) -> Table:
    rows = [
        [
            name,
            *(seconds(_cpu(result, side)) for side in (ONE, FOUR)),
            *(seconds(result.median(side, "redis_cpu")) for side in (ONE, FOUR)),
            f"**{_share_of_cores(result) * result.facts['cores']:.2f}**",
            f"**{_share_of_cores(result):.2f}**",
        ]
        for name, result in results.items()
    ]
    head = (
        "taskiq",
        "CPU a pull, one process",
        "four",
        "of it Redis, one process",
        "four",
        "so many times one process",
        "x cores",
    )
    return Table(head, rows)


def _cpu(result: Result, side: str) -> float:
    return result.median(side, "cpu") + result.median(side, "redis_cpu")


def _share_of_cores(result: Result) -> float:
    """What four processes do on cores that nobody else uses, over what one does, whose Redis has another core."""
    return result.median(ONE, "cpu") / _cpu(result, FOUR)


QUESTION = Question(
    "engines", f"{LAST - FIRST:,} pulls of {ACCOUNTS} accounts, a task for each, no latency", comparisons, goals, table
)
