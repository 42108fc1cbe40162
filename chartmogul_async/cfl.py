"""ChartMogul Filter Language: builds the string for ``filters=`` with its quotes and tildes.

::

    cfl.where("region").any("US", "DE") & cfl.where("mrr").gt(150)
    # region~ANY~'US','DE'~AND~mrr~GT~150

Python's comparisons do the same; each one needs its parentheses, since ``&`` binds more tightly::

    (cfl.where("currency") == "USD") & (cfl.where("mrr") > 150)
    # currency~EQ~'USD'~AND~mrr~GT~150

The builder knows the grammar, not the list of filter names, so every filter that ChartMogul offers can be written. A
filter made in the web app can be copied from the ``filters=`` of its URL, decoded with ``urllib.parse.unquote`` and
passed as a plain string.

AND is the only conjunction; a plan filter combined with a plan-group filter counts as *or*. ``and``, ``or``, ``not``,
``|`` and ``~`` raise ``ArgumentError``: Python would keep one of two filters and drop the other.

Strings are quoted; numbers and UUIDs with a prefix (``pl_…``, ``plg_…``, ``ds_…``) are not. A text that merely begins
with such a prefix, as ``pl_basic`` does, is quoted.

The null tests ``IS`` and ``IS_NOT`` have no method here, because it is not documented how their value is written.

Source: https://dev.chartmogul.com/docs/cfl
"""

import math
import re
from decimal import Decimal
from typing import Never, NoReturn

from attrs import field, frozen

from chartmogul_async.checks import encodable, instance_of, shown
from chartmogul_async.errors import ArgumentError

Value = str | int | float

_NAME = r"[a-z_]+(\.[^~]+)?"
_UUID = r"(pl|plg|ds)_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

_NO_TRUTH_VALUE = (
    "a filter has no truth value: join conditions with &, because `and`, `or`, `not`, `if` and chained comparisons "
    "would drop one of them"
)
_NO_OR = "filters must be joined with &: CFL has no OR; pass several values to any(), or make one query for each filter"
_NO_NOT = "a filter must not be negated: CFL has no NOT; use none(), not_eq() or not_contains()"


def where(name: str) -> "Field":
    """Begin a condition on a filter.

    Args:
        name: The filter's name: ``mrr``, ``region``, ``plan``, ``custom.channel`` …

    Returns:
        The field; each of its methods gives a ``Filter``.

    Raises:
        ArgumentError: The name cannot be that of a filter.
    """
    return Field(name)


def _filter_name(name: str) -> str:
    if not isinstance(name, str) or not re.fullmatch(_NAME, name):
        raise ArgumentError(f"name must be a filter name such as 'region' or 'custom.channel', not {shown(name)}")
    return encodable("name", name)


def _text(text: str) -> str:
    return encodable("text", instance_of("text", text, str))


class _OnlyAnd:
    """What filters and fields have in common: the operators of Python that CFL does not have are refused.

    Their operands are of the type ``Never``, so that a type checker refuses them as well.
    """

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        raise ArgumentError(_NO_TRUTH_VALUE)

    def __or__(self, other: Never) -> NoReturn:
        raise ArgumentError(_NO_OR)

    __ror__ = __or__

    def __invert__(self) -> NoReturn:
        raise ArgumentError(_NO_NOT)


@frozen
class Filter(_OnlyAnd):
    """A complete filter: ``str()`` gives the CFL string, ``&`` joins two.

    ``and``, ``or``, ``not``, ``|`` and ``~`` raise ``ArgumentError``. Filters are equal if their strings are.

    Attributes:
        text: The CFL string.
    """

    text: str = field(converter=_text)

    def __str__(self) -> str:
        return self.text

    def __and__(self, other: "Filter") -> "Filter":
        """Join two filters: both conditions must hold.

        Args:
            other: The second filter.

        Returns:
            Both as one filter, in this order.

        Raises:
            ArgumentError: ``other`` is not a filter, as in ``filter & "mrr~GT~5"``.
        """
        if not isinstance(other, Filter):
            raise ArgumentError(
                f'& must join two filters such as cfl.where("mrr").gt(50), not a filter and {shown(other)}'
            )
        return Filter(f"{self.text}~AND~{other.text}")

    def __rand__(self, other: Never) -> NoReturn:
        raise ArgumentError(f'& must join two filters such as cfl.where("mrr").gt(50), not {shown(other)} and a filter')


# Comparisons make filters, so two fields cannot be compared with each other, and a field is hashed by its identity.
@frozen(eq=False)
class Field(_OnlyAnd):
    """A filter name that needs an operator; every method gives a complete ``Filter``.

    ``==``, ``!=``, ``>``, ``>=``, ``<`` and ``<=`` do the same as ``eq``, ``not_eq``, ``gt``, ``gte``, ``lt`` and
    ``lte``.

    A value is a string or a finite number. A string must not contain ``~`` or ``'``, which CFL reserves; every method
    raises ``ArgumentError`` for a value that cannot be written.

    Attributes:
        name: The filter's name.
    """

    name: str = field(converter=_filter_name)

    # Python and its type checkers expect a bool of == and !=.
    def __eq__(self, value: Value) -> Filter:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.eq(value)

    def __ne__(self, value: Value) -> Filter:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.not_eq(value)

    def __gt__(self, value: Value) -> Filter:
        return self.gt(value)

    def __ge__(self, value: Value) -> Filter:
        return self.gte(value)

    def __lt__(self, value: Value) -> Filter:
        return self.lt(value)

    def __le__(self, value: Value) -> Filter:
        return self.lte(value)

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __and__(self, other: Never) -> NoReturn:
        raise ArgumentError(
            f"{self.name} must be compared before it is joined, and each comparison needs parentheses: "
            f'(cfl.where("{self.name}") > 50) & (...)'
        )

    __rand__ = __and__

    def any(self, *values: Value) -> Filter:
        """Match one of the values."""
        return self._filter("ANY", values)

    def all(self, *values: Value) -> Filter:
        """Match all of the values."""
        return self._filter("ALL", values)

    def none(self, *values: Value) -> Filter:
        """Match none of the values."""
        return self._filter("NONE", values)

    def eq(self, value: Value) -> Filter:
        """Match the value."""
        return self._filter("EQ", (value,))

    def not_eq(self, value: Value) -> Filter:
        """Match everything but the value."""
        return self._filter("NOT_EQ", (value,))

    def gt(self, value: Value) -> Filter:
        """Match what is greater than the value."""
        return self._filter("GT", (value,))

    def gte(self, value: Value) -> Filter:
        """Match what is greater than the value or equal to it."""
        return self._filter("GTE", (value,))

    def lt(self, value: Value) -> Filter:
        """Match what is less than the value."""
        return self._filter("LT", (value,))

    def lte(self, value: Value) -> Filter:
        """Match what is less than the value or equal to it."""
        return self._filter("LTE", (value,))

    def between(self, low: Value, high: Value) -> Filter:
        """Match what lies between ``low`` and ``high``."""
        return self._filter("BETWEEN", (low, high))

    def contains(self, text: str) -> Filter:
        """Match texts that contain this one."""
        return self._filter("CONTAINS", (instance_of("text", text, str),))

    def not_contains(self, text: str) -> Filter:
        """Match texts that do not contain this one."""
        return self._filter("NOT_CONTAINS", (instance_of("text", text, str),))

    def _filter(self, operator: str, values: tuple[Value, ...]) -> Filter:
        if not values:
            raise ArgumentError(f"values of {self.name} {operator} must not be empty")
        return Filter(f"{self.name}~{operator}~{','.join(map(_written, values))}")


def _written(value: Value) -> str:
    if isinstance(value, bool) or not isinstance(value, Value):
        raise ArgumentError(f"value must be a string or a number, not {shown(value)}")
    return _quoted(value) if isinstance(value, str) else _digits(value)


def _digits(number: int | float) -> str:
    if isinstance(number, int):
        exact = Decimal(number)
    elif math.isfinite(number):
        # The repr of float itself: a subclass, such as that of numpy, may have another one.
        exact = Decimal(float.__repr__(number))
    else:
        raise ArgumentError(f"value must be a finite number, not {shown(number)}")
    # Digits without an exponent, which CFL does not have.
    return format(exact, "f")


def _quoted(value: str) -> str:
    if "~" in value or "'" in value:
        raise ArgumentError(f"value must not contain ~ or ', which CFL reserves, but {shown(value)} does")
    # The plain string, also of an enum's member.
    text = encodable("value", str.__str__(value))
    return text if re.fullmatch(_UUID, text, re.IGNORECASE) else f"'{text}'"
