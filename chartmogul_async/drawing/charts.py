"""Charts as SVG, drawn by classes that the page's style sheet colours, each with a title and a description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import accumulate

from attrs import frozen

from chartmogul_async.drawing.numbers import short, ticks

# What is left free for the scale and the labels.
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 12, 28
# The share of its place that a bar takes.
_FILLED = 0.72
# A curve of more values has the least and the greatest one of each of half as many parts.
_MOST_POINTS = 80


@frozen
class Size:
    """Units of a drawing, and how many labels fit below it."""

    width: int
    height: int
    labels: int


_WIDE, _SMALL = Size(720, 260, 12), Size(360, 180, 4)


@frozen
class Bars:
    """One kind of what bars are stacked of: its name, its class and a value for each bar."""

    name: str
    kind: str
    values: Sequence[float]


def stacked(title: str, description: str, labels: Sequence[str], kinds: Sequence[Bars]) -> str:
    """Bars of what was gained above zero, and of what was lost below.

    Args:
        title: What the chart shows, in a few words.
        description: The same in a sentence or two, for those who do not see it.
        labels: One for each bar.
        kinds: What the bars are stacked of, from zero outwards.
    """
    columns = list(zip(*(kind.values for kind in kinds), strict=True))
    axis = _Axis(
        min(sum(min(value, 0) for value in column) for column in columns),
        max(sum(max(value, 0) for value in column) for column in columns),
        len(labels),
        _WIDE,
    )
    rectangles = []
    for place, column in enumerate(columns):
        above = below = 0.0
        for kind, value in zip(kinds, column, strict=True):
            base = above if value > 0 else below
            rectangles.append(axis.bar(place, base, base + value, kind.kind, f"{labels[place]}: {kind.name}"))
            above, below = above + max(value, 0), below + min(value, 0)
    return axis.chart(title, description, labels, "".join(rectangles) + axis.zero())


def waterfall(title: str, description: str, steps: Sequence[tuple[str, str, float]]) -> str:
    """Bars that each begin where the one before ends, between the first and the last, which begin at zero.

    Args:
        title: What the chart shows.
        description: The same in a sentence.
        steps: The label, the class and the value of each; the last one is where the others lead to.
    """
    values = [value for _, _, value in steps]
    ends = [*accumulate(values[:-1]), values[-1]]
    starts = [0.0, *ends[:-2], 0.0]
    axis = _Axis(min(0.0, *ends), max(0.0, *ends), len(steps), _WIDE)
    rectangles = "".join(
        axis.bar(place, start, end, kind, label)
        for place, ((label, kind, _), start, end) in enumerate(zip(steps, starts, ends, strict=True))
    )
    return axis.chart(title, description, [label for label, _, _ in steps], rectangles + axis.zero())


def line(title: str, description: str, labels: Sequence[str], values: Sequence[float]) -> str:
    """A line of values, from zero where that is near.

    Args:
        title: What the chart shows.
        description: The same in a sentence.
        labels: One for each value.
        values: The values.
    """
    axis = _Axis(*_bounds(values), len(values), _SMALL)
    dots = "".join(
        f'<circle cx="{axis.middle(place):.1f}" cy="{axis.y(value):.1f}" r="3"><title>{escape(labels[place])}: '
        f"{short(value)}</title></circle>"
        for place, value in enumerate(values)
    )
    drawn = f'{axis.polyline("line", values, range(len(values)))}<g class="dots">{dots}</g>'
    return axis.chart(title, description, labels, drawn)


def curves(title: str, description: str, labels: Sequence[str], kinds: Mapping[str, Sequence[float]]) -> str:
    """Lines without dots, of however many values; the drawing grows no more from 80 values on.

    Args:
        title: What the chart shows.
        description: The same in a sentence.
        labels: One for each value of a line.
        kinds: The values of each line by its class.
    """
    low, high = _bounds([value for values in kinds.values() for value in values])
    axis = _Axis(low, high, len(labels), _SMALL)
    lines = "".join(axis.polyline(kind, values, _kept(values)) for kind, values in kinds.items())
    return axis.chart(title, description, labels, f"{axis.zero() if low < 0 < high else ''}{lines}")


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return 0.0 if 0 <= low < 2 * (high - low) else low, high


def _kept(values: Sequence[float]) -> list[int]:
    """The places that a line is drawn through: all, or those of the least and the greatest value of each part."""
    count = len(values)
    if count <= _MOST_POINTS:
        return list(range(count))
    step = -(-count // (_MOST_POINTS // 2))
    parts = [range(start, min(start + step, count)) for start in range(0, count, step)]
    ends = {find(part, key=values.__getitem__) for part in parts for find in (min, max)}
    return sorted(ends | {0, count - 1})


def share(part: float) -> str:
    """A bar of a table: what part of the row's cell is filled."""
    width = 100 * min(max(part, 0.0), 1.0)
    return (
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="8"/><rect width="{width:.1f}" height="8"/></svg>'
    )


class _Axis:
    """Where values and places lie in a chart."""

    def __init__(self, low: float, high: float, places: int, size: Size) -> None:
        self._ticks = ticks(low, high)
        self._low, self._high = self._ticks[0], self._ticks[-1]
        self._size = size
        self._right = size.width - _RIGHT
        self._step = (self._right - _LEFT) / places

    def y(self, value: float) -> float:
        part = (value - self._low) / (self._high - self._low)
        return _TOP + (1 - part) * (self._size.height - _TOP - _BOTTOM)

    def middle(self, place: int) -> float:
        return _LEFT + (place + 0.5) * self._step

    def bar(self, place: int, start: float, end: float, kind: str, label: str) -> str:
        top, bottom = self.y(max(start, end)), self.y(min(start, end))
        width = self._step * _FILLED
        return (
            f'<rect class="{kind}" x="{self.middle(place) - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" '
            f'height="{bottom - top:.1f}"><title>{escape(label)}: {short(round(end - start))}</title></rect>'
        )

    def polyline(self, kind: str, values: Sequence[float], places: Iterable[int]) -> str:
        points = " ".join(f"{self.middle(place):.1f},{self.y(values[place]):.1f}" for place in places)
        return f'<polyline class="{kind}" points="{points}"/>'

    def zero(self) -> str:
        return f'<line class="zero" {self._across(self.y(0))}/>'

    def chart(self, title: str, description: str, labels: Sequence[str], drawn: str) -> str:
        return (
            f'<svg viewBox="0 0 {self._size.width} {self._size.height}" role="img"><title>{escape(title)}</title>'
            f"<desc>{escape(description)}</desc>{self._scale()}{self._labels(labels)}{drawn}</svg>"
        )

    def _scale(self) -> str:
        lines = (
            f"<line {self._across(self.y(tick))}/>"
            f'<text x="{_LEFT - 6}" y="{self.y(tick) + 4:.1f}" text-anchor="end">{short(tick)}</text>'
            for tick in self._ticks
        )
        return f'<g class="scale">{"".join(lines)}</g>'

    def _labels(self, labels: Sequence[str]) -> str:
        every = -(-len(labels) // self._size.labels)
        y = self._size.height - 8
        texts = (
            f'<text x="{self.middle(place):.1f}" y="{y}" text-anchor="middle">{escape(labels[place])}</text>'
            for place in range(0, len(labels), every)
        )
        return "".join(texts)

    def _across(self, y: float) -> str:
        return f'x1="{_LEFT}" x2="{self._right}" y1="{y:.1f}" y2="{y:.1f}"'
