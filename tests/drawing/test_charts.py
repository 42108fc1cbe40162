"""Charts: where bars and lines lie, and how large a drawing becomes."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async.drawing import charts
from chartmogul_async.drawing.charts import Bars


def test_bars_are_stacked_from_zero_outwards() -> None:
    chart = charts.stacked("t", "d", ["a"], [Bars("x", "new", [3]), Bars("y", "new", [1]), Bars("z", "churn", [-2])])
    tops = [
        (float(top), float(height))
        for top, height in re.findall(r' y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', chart)
    ]
    (x_top, x_height), (y_top, y_height), (z_top, z_height) = tops
    assert y_top + y_height == pytest.approx(x_top, abs=0.2)
    assert z_top == pytest.approx(x_top + x_height, abs=0.2)
    assert x_height / 3 == pytest.approx(y_height, abs=0.2) == pytest.approx(z_height / 2, abs=0.2)


def test_a_line_begins_at_zero_where_that_is_near() -> None:
    assert ">0</text>" in charts.line("t", "d", ["a", "b"], [10, 20])
    assert ">0</text>" not in charts.line("t", "d", ["a", "b"], [1000, 1001])
    assert charts.share(2) == charts.share(1)
    assert 'width="0.0"' in charts.share(-1)


def points_of(chart: str, kind: str = "a") -> list[tuple[float, float]]:
    (points,) = re.findall(rf'<polyline class="{kind}" points="([^"]*)"/>', chart)
    return [(float(x), float(y)) for x, y in (point.split(",") for point in points.split())]


def test_a_curve_of_few_values_goes_through_all() -> None:
    chart = charts.curves("t", "d", ["x"] * 80, {"a": [float(n % 7) for n in range(80)], "b": [3.0] * 80})
    assert len(points_of(chart)) == len(points_of(chart, "b")) == 80
    assert len({y for _, y in points_of(chart)}) == 7


@pytest.mark.no_cover
@given(st.lists(st.floats(-1e9, 1e9), min_size=81, max_size=400))
def test_a_curve_of_many_values_keeps_what_stands_out(values: list[float]) -> None:
    whole = charts.line("t", "d", ["x"] * len(values), values)
    points = points_of(charts.curves("t", "d", ["x"] * len(values), {"a": values}))
    all_points = points_of(whole, "line")
    assert len(points) <= 82
    assert points[0] == all_points[0]
    assert points[-1] == all_points[-1]
    assert set(points) <= set(all_points)
    for find in (min, max):
        assert find(y for _, y in points) == find(y for _, y in all_points)


def test_a_long_curve_is_as_large_as_a_short_one() -> None:
    sizes = [
        len(charts.curves("t", "d", ["2020-01-01"] * count, {"a": [math.sin(n / 50) for n in range(count)]}))
        for count in (100, 10_000)
    ]
    assert max(sizes) < 3_000


@pytest.mark.parametrize(("values", "lines"), [([-1.0, 1.0], 1), ([0.0, 1.0], 0), ([-2.0, -1.0], 0)])
def test_zero_is_drawn_between_gains_and_losses(values: list[float], lines: int) -> None:
    assert charts.curves("t", "d", ["a", "b"], {"a": values}).count('class="zero"') == lines
