"""ChartMogul Filter Language: build the string for ``filters=`` without minding its quotes and tildes.

::

    cfl.where("region").any("US", "DE") & cfl.where("mrr").gt(150)
    # region~ANY~'US','DE'~AND~mrr~GT~150

The builder knows the grammar, not the list of filter names: whatever ChartMogul offers can be written. A
filter made in the web app can be copied from the ``filters=`` of its address, decoded with
``urllib.parse.unquote`` and passed as a plain string.
Only AND exists; a plan filter and a plan-group filter side by side count as *or*. Texts are quoted, numbers
and UUIDs with a prefix (``pl_…``, ``plg_…``, ``ds_…``) stay bare.

The null tests ``IS`` and ``IS_NOT`` have no method here, as it is not documented how their value is written.

Source: https://dev.chartmogul.com/docs/cfl
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

from attrs import frozen

from chartmogul_async.errors import UsageError

Value = str | int | float

_NAME = r"[a-z_]+(\.[^~]+)?"
_UUID = r"(pl|plg|ds)_[0-9A-Za-z-]+"


def where(name: str) -> Field:
    """Begin a condition on a filter name: ``mrr``, ``region``, ``plan``, ``custom.channel`` …"""
    if not isinstance(name, str) or not re.fullmatch(_NAME, name):
        raise UsageError(f"{name!r} is not a filter name; one looks like 'region' or 'custom.channel'")
    return Field(name)


@frozen
class Filter:
    """A finished filter. ``str()`` gives the CFL string; ``&`` joins two."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __and__(self, other: Filter) -> Filter:
        return Filter(f"{self.text}~AND~{other.text}")


@frozen
class Field:
    """A filter name that waits for its operator; every method gives a finished ``Filter``."""

    name: str

    def any(self, *values: Value) -> Filter:
        """One of the values."""
        return self._filter("ANY", values)

    def all(self, *values: Value) -> Filter:
        """All of the values."""
        return self._filter("ALL", values)

    def none(self, *values: Value) -> Filter:
        """None of the values."""
        return self._filter("NONE", values)

    def eq(self, value: Value) -> Filter:
        """Equal."""
        return self._filter("EQ", (value,))

    def not_eq(self, value: Value) -> Filter:
        """Not equal."""
        return self._filter("NOT_EQ", (value,))

    def gt(self, value: Value) -> Filter:
        """Greater than."""
        return self._filter("GT", (value,))

    def gte(self, value: Value) -> Filter:
        """Greater than or equal."""
        return self._filter("GTE", (value,))

    def lt(self, value: Value) -> Filter:
        """Less than."""
        return self._filter("LT", (value,))

    def lte(self, value: Value) -> Filter:
        """Less than or equal."""
        return self._filter("LTE", (value,))

    def between(self, low: Value, high: Value) -> Filter:
        """From ``low`` to ``high``."""
        return self._filter("BETWEEN", (low, high))

    def contains(self, text: str) -> Filter:
        """Has the text in it."""
        return self._filter("CONTAINS", (text,))

    def not_contains(self, text: str) -> Filter:
        """Does not have the text in it."""
        return self._filter("NOT_CONTAINS", (text,))

    def _filter(self, operator: str, values: tuple[Value, ...]) -> Filter:
        if not values:
            raise UsageError(f"{self.name} {operator} needs at least one value")
        return Filter(f"{self.name}~{operator}~{','.join(map(_written, values))}")


def _written(value: Value) -> str:
    if isinstance(value, bool) or not isinstance(value, Value):
        raise UsageError(f"{value!r} cannot be written in CFL; a value is a string or a number")
    if not isinstance(value, str):
        if not math.isfinite(value):
            raise UsageError(f"{value!r} cannot be written in CFL; a number is finite")
        return format(Decimal(str(value)), "f")  # without an exponent
    if "~" in value or "'" in value:
        raise UsageError(f"{value!r} cannot be written in CFL, which keeps ~ and ' to itself")
    text = str.__str__(value)  # the text itself, also of an enum's member
    return text if re.fullmatch(_UUID, text) else f"'{text}'"
