"""How cost grows with size: the exponent of CPU time, which is 1 where twice as much takes twice as long."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from statistics import linear_regression

from benchmarks.figures import megabytes, seconds
from benchmarks.harness import Comparison, Result, Side
from benchmarks.questions.question import Goal, Question, Results, Table
from benchmarks.server import Serving

SIZES = (100, 1_000, 10_000, 100_000)
TASKS, STREAM, DECODE, SLICES = "calls, a task for each", "calls, stream", "entries decoded", "entries in slices"
KINDS = (TASKS, STREAM, DECODE, SLICES)
GOAL = 1.1
_FITTED_FROM = 1_000  # below that, what does not grow is most of the cost
_SIDE = "ours"


def comparisons() -> list[Comparison]:
    return [
        Comparison(
            f"{kind}, {size:,}", [_side(kind, size)], Serving(), facts={"kind": kind, "size": size}, warm_up=False
        )
        for kind in KINDS
        for size in SIZES
    ]


def _side(kind: str, size: int) -> Side:
    if kind == TASKS:
        return Side(_SIDE, "calls.at_once", {"client": "ours", "calls": size}, once=True)
    if kind == STREAM:
        return Side(_SIDE, "calls.stream", {"calls": size}, once=True)
    if kind == DECODE:
        repeats = max(1, 10_000 // size)
        arguments = {"endpoint": "all", "entries": size, "repeats": repeats, "parser": "json"}
        return Side(_SIDE, "decoding.records", arguments)
    return Side(_SIDE, "ranges.sliced", {"days": size})


def of_kind(results: Results, kind: str) -> list[Result]:
    return [result for result in results.values() if result.facts["kind"] == kind]


def cpu(result: Result) -> float:
    return result.median(_SIDE, "cpu")


def exponent(results: Sequence[Result]) -> float:
    """The slope of CPU time over size, both as logarithms."""
    large = [result for result in results if result.facts["size"] >= _FITTED_FROM]
    return linear_regression(
        [log(result.facts["size"]) for result in large], [log(cpu(result)) for result in large]
    ).slope


def goals(results: Results) -> list[Goal]:
    return [Goal(f"{kind}, exponent", exponent(of_kind(results, kind)), GOAL, "") for kind in KINDS]


def table(results: Results) -> Table:
    rows = [
        [kind, *map(_cell, of_kind(results, kind)), f"**{exponent(of_kind(results, kind)):.2f}**"] for kind in KINDS
    ]
    return Table(["CPU time, memory", *(f"{size:,}" for size in SIZES), "exponent"], rows)


def _cell(result: Result) -> str:
    return f"{seconds(cpu(result))}, {megabytes(result.median(_SIDE, 'memory'))}"


QUESTION = Question("growth", "how cost grows with the number of calls and entries", comparisons, goals, table)
