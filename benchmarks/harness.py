"""Runs the sides of a comparison in turn (A B A B …), each time in a fresh process, and keeps what they tell."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median
from typing import Any

from attrs import field, frozen

from benchmarks.counters import read_counters
from benchmarks.measure import Reading
from benchmarks.server import Serving, serve

Tell = Callable[[str], object]


@frozen
class Side:
    """One way of doing the work: a function in ``benchmarks.sides`` and its arguments.

    ``once``: it takes so long that it is measured a single time, without a warm-up.
    """

    name: str
    function: str
    arguments: Mapping[str, Any] = field(factory=dict)
    once: bool = False


@frozen
class Comparison:
    """Sides that do the same work, and the server they all talk to.

    ``facts`` are figures that the tables need. ``ideal`` are the seconds that all sides are held against; None where
    they are held against one another.
    """

    name: str
    sides: Sequence[Side]
    serving: Serving | None = None
    ideal: float | None = None
    facts: Mapping[str, Any] = field(factory=dict)
    warm_up: bool = True


@frozen
class Result:
    """All readings of a comparison, by side."""

    name: str
    ideal: float | None
    facts: Mapping[str, Any]
    readings: Mapping[str, Sequence[Reading]]

    def values(self, side: str, key: str = "seconds") -> list[float]:
        return [reading[key] for reading in self.readings[side]]

    def median(self, side: str, key: str = "seconds") -> float:
        return median(self.values(side, key))

    def worst(self, side: str, key: str) -> float:
        return max(self.values(side, key))

    def ratio(self, side: str, to: str, key: str = "seconds") -> float:
        """The ratio of the medians."""
        return self.median(side, key) / self.median(to, key)

    def over_ideal(self, side: str) -> float:
        assert self.ideal is not None, f"{self.name} has no ideal"
        return self.median(side) / self.ideal


def run_all(comparisons: Sequence[Comparison], *, rounds: int, lanes: int, tell: Tell) -> list[Result]:
    """Run comparisons, ``lanes`` of them side by side, each with a server of its own.

    The last one begins, for the longest stand last, and should not be waited for alone.
    """
    with ThreadPoolExecutor(lanes) as pool:
        results = list(pool.map(lambda comparison: _run(comparison, rounds, tell), reversed(comparisons)))
    return results[::-1]


def _run(comparison: Comparison, rounds: int, tell: Tell) -> Result:
    readings: dict[str, list[Reading]] = {side.name: [] for side in comparison.sides}
    with _served(comparison.serving) as url:
        for number in range(0 if comparison.warm_up else 1, rounds + 1):
            for side in comparison.sides:
                if side.once and number != 1:
                    continue
                reading = _reading(side, url)
                if number:  # the round before the first warms caches up
                    readings[side.name].append(reading)
                    tell(f"{comparison.name}, {side.name}, round {number} of {rounds}: {reading['seconds']:.4g} s")
    return Result(comparison.name, comparison.ideal, comparison.facts, readings)


@contextmanager
def _served(serving: Serving | None) -> Iterator[str | None]:
    if serving is None:
        yield None
    else:
        with serve(serving) as url:
            yield url


def _reading(side: Side, url: str | None) -> Reading:
    """One run of a side, with what the server counted of it."""
    if url is not None:
        read_counters(url, reset=True)
    arguments = json.dumps({**side.arguments, **({"url": url} if url else {})})
    command = [sys.executable, "-m", "benchmarks.sides", side.function, arguments]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    reading: Reading = json.loads(told)
    if url is not None:
        reading |= {f"server_{name}": value for name, value in read_counters(url).items()}
    return reading
