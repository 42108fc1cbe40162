"""What sharing the limits by a file costs one request, where nobody else asks."""

from __future__ import annotations

from benchmarks.figures import spread
from benchmarks.harness import Comparison, Side
from benchmarks.questions.question import Goal, Question, Results, Table

# Seconds before each: at once, and so long that caches of the processor hold other things.
_PAUSES = {"one after the other": 0.0, "25 ms apart": 0.025}
LIMIT = 100  # µs
_SIDE = "FileStore"


def comparisons() -> list[Comparison]:
    return [
        Comparison(name, [Side(_SIDE, "admission.by_file", {"pause": pause})], warm_up=False)
        for name, pause in _PAUSES.items()
    ]


def goals(results: Results) -> list[Goal]:
    return [
        Goal(f"CPU of an admission, {name}", 1e6 * result.median(_SIDE, "cpu"), LIMIT, "µs")
        for name, result in results.items()
    ]


def table(results: Results) -> Table:
    rows = [
        [name, *(spread(result.values(_SIDE, key)) for key in ("cpu", "release"))] for name, result in results.items()
    ]
    return Table(["admissions", "CPU of an admission", "CPU of giving the slot back"], rows)


QUESTION = Question("admission", "a slot of limits that are shared by a file", comparisons, goals, table)
