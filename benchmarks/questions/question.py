"""What a benchmark is: comparisons to run, the goals their results are held against, and a table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import field, frozen

from benchmarks.harness import Comparison, Result

Results = Mapping[str, Result]
"""By the name of the comparison, in the order in which they were made."""


@frozen
class Goal:
    """A figure and what it shall be: at most ``limit``, or at least."""

    what: str
    value: float
    limit: float
    unit: str = "x"
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@frozen
class Table:
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@frozen
class Question:
    """A benchmark. ``lanes`` of its comparisons run side by side, for some do little else than wait."""

    name: str
    title: str
    comparisons: Callable[[], Sequence[Comparison]] = field(repr=False)
    goals: Callable[[Results], Sequence[Goal]] = field(repr=False)
    table: Callable[[Results], Table] = field(repr=False)
    lanes: int = 1
