"""Whether something grows: samples, and a line fitted to their second half."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import linear_regression, mean

from attrs import Factory, define, frozen


@frozen
class Sample:
    """What is in use at one time."""

    at: float
    megabytes: float
    sockets: int
    tasks: int
    in_flight: int
    waiting: int
    admitted: int


@frozen
class Figure:
    """One figure over the second half, and its growth there according to the fitted line."""

    name: str
    lowest: float
    average: float
    highest: float
    grew: float


@define
class Samples:
    """All samples so far, oldest first."""

    taken: list[Sample] = Factory(list)

    def figure(self, name: str) -> Figure:
        """The figure of one attribute. The first half is left out: caches fill, and the heap reaches its size."""
        half = self.taken[len(self.taken) // 2 :]
        values: Sequence[float] = [getattr(sample, name) for sample in half]
        slope = linear_regression([sample.at for sample in half], values).slope
        return Figure(name, min(values), mean(values), max(values), slope * (half[-1].at - half[0].at))
