"""Numbers as people read them, with separators of thousands and the sign of a minus."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal

from chartmogul_async.money import decimals, units

_NONE = "\N{EN DASH}"
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
# A difference of so much, of one unit or of the number itself, is none that anybody sees.
_NOTHING = 1e-9
_SHORT = ((1e9, "bn"), (1e6, "m"), (1e3, "k"))


def amount(cents: int | float | None, currency: str) -> str:
    """An amount in units of the currency, with the decimals that it has."""
    return _NONE if cents is None else _with_minus(f"{units(cents):z,.{decimals(currency)}f}")


def rounded(cents: int | float | None) -> str:
    """An amount in whole units of the currency."""
    return _NONE if cents is None else _with_minus(f"{units(cents):z,.0f}")


def percent(value: float | None) -> str:
    """A rate with two decimals."""
    return _NONE if value is None else "\N{INFINITY}" if value == math.inf else _with_minus(f"{value:z,.2f} %")


def change(value: float | None) -> str:
    """A change in percent, with its sign."""
    return _NONE if value is None else _with_minus(f"{value:+z,.2f} %")


def ratio(value: float | None) -> str:
    """A number without a unit, with two decimals."""
    return _NONE if value is None else "\N{INFINITY}" if value == math.inf else f"{value:,.2f}"


def count(value: int) -> str:
    """A number of things."""
    return f"{value:,}"


def short(value: float) -> str:
    """A number on an axis: 1.5m, 20k, 300."""
    for size, suffix in _SHORT:
        if abs(value) >= size:
            return _with_minus(f"{value / size:g}{suffix}")
    return _with_minus(f"{value:g}")


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers on an axis that begin at or below ``low`` and end at or above ``high``.

    Args:
        low: The least value.
        high: The greatest one.
        most: About how many steps there may be.
    """
    if high - low <= _NOTHING * max(1.0, abs(low), abs(high)):
        high = low + (abs(low) if abs(low) > _NOTHING else 1.0)
    step = _round_step((high - low) / most)
    first, end = math.floor(low / step), math.ceil(high / step)
    return list(_multiples(first, end, step))


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return power * next(step for step in _STEPS if step * power >= least * (1 - 1e-9))


def _multiples(first: int, end: int, step: float) -> Iterator[float]:
    for number in range(first, end + 1):
        # Of 0.1 + 0.2 only the digits that count.
        yield float(Decimal(repr(step)) * number)


def _with_minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
