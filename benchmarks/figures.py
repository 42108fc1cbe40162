"""Figures as text: a median with its spread, a ratio, an amount of memory."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median


def seconds(value: float) -> str:
    """Three digits in the unit that suits."""
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.0f} µs"


def middle(values: Sequence[float]) -> float:
    return median(values)


def spread(values: Sequence[float]) -> str:
    """The median, and half the distance between the smallest and the largest round."""
    center, half = middle(values), (max(values) - min(values)) / 2
    if len(values) == 1:
        return f"{seconds(center)} (once)"
    if center >= 1:
        return f"{center:.2f} ± {half:.2f} s"
    scale, unit = (1e3, "ms") if center >= 1e-3 else (1e6, "µs")
    digits = 0 if center * scale >= 100 else 1
    return f"{center * scale:.{digits}f} ± {half * scale:.{digits}f} {unit}"


def ratio(value: float) -> str:
    """Two digits at least."""
    return f"{value:.3f}" if value < 0.2 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def megabytes(value: float) -> str:
    return f"{value / 1e6:.1f} MB"


def amount(value: float, unit: str) -> str:
    """A goal's figure: ratios end in x, and nothing else has a fixed number of decimals."""
    if unit == "x":
        return f"{ratio(value)} x"
    return f"{value:{'.0f' if value >= 100 else '.3g'}} {unit}".rstrip()
