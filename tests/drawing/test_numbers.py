from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async.drawing import numbers

MINUS, NONE = "\N{MINUS SIGN}", "\N{EN DASH}"


def test_amounts_have_the_decimals_of_their_currency() -> None:
    assert numbers.amount(123456789, "USD") == "1,234,567.89"
    assert numbers.amount(-123450, "JPY") == f"{MINUS}1,234"
    assert numbers.amount(-1, "JPY") == "0"
    assert numbers.amount(None, "USD") == NONE
    assert [numbers.rounded(cents) for cents in (150, -12345678, None)] == ["2", f"{MINUS}123,457", NONE]


def test_rates_tell_undefined_and_infinite_apart_from_zero() -> None:
    assert [numbers.percent(value) for value in (None, math.inf, 0.0, -0.001, -2.5)] == [
        NONE,
        "∞",
        "0.00 %",
        "0.00 %",
        f"{MINUS}2.50 %",
    ]
    assert [numbers.change(value) for value in (None, 3.14159, -1234.5)] == [NONE, "+3.14 %", f"{MINUS}1,234.50 %"]
    assert [numbers.ratio(value) for value in (None, math.inf, 1.005)] == [NONE, "∞", "1.00"]
    assert numbers.count(1234567) == "1,234,567"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-250, f"{MINUS}250"), (1500, "1.5k"), (2.5e6, "2.5m"), (-3e9, f"{MINUS}3bn"), (0.25, "0.25")],
)
def test_numbers_on_an_axis_are_short(value: float, text: str) -> None:
    assert numbers.short(value) == text


@given(st.integers(-(10**14), 10**14), st.integers(-(10**14), 10**14))
def test_ticks_enclose_the_values_in_few_even_steps(one: int, other: int) -> None:
    """Of amounts in cents, or of rates with two decimals."""
    low, high = min(one, other) / 100, max(one, other) / 100
    ticks = numbers.ticks(low, high)
    assert ticks[0] <= low + abs(low) * 1e-9
    assert ticks[-1] >= high - abs(high) * 1e-9
    assert 2 <= len(ticks) <= 8
    steps = [after - before for before, after in pairwise(ticks)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-6, abs=4 * math.ulp(max(map(abs, ticks))))
    assert all(math.isfinite(tick) for tick in ticks)


def test_ticks_are_round() -> None:
    assert numbers.ticks(0, 431_084) == [0, 100_000, 200_000, 300_000, 400_000, 500_000]
    assert numbers.ticks(0.1, 0.3) == [0.1, 0.15, 0.2, 0.25, 0.3]
    assert numbers.ticks(7, 7) == [6, 8, 10, 12, 14]
    assert numbers.ticks(0, 0) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
