"""Amounts in units of the currency, as exact decimals.

The API sends every amount of a metric in hundredths of the account's currency, those of currencies without cents
included: an MRR of 523387 is 5,233.87 dollars, or 5,233.87 yen. So the conversion is the same for all currencies and
stands here once; what differs is with how many decimals a currency is written.

Source: recorded responses, among them one of an account in JPY; ISO 4217 for the decimals
"""

from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any

import attrs

from chartmogul_async import checks
from chartmogul_async.errors import ArgumentError

# The digits of any number that is accepted; by default 28 are kept.
_EXACTLY = Context(prec=400)
# All other currencies are written with two.
_CODES: Mapping[int, str] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_LETTERS = 3
_DECIMALS = {code: places for places, codes in _CODES.items() for code in codes.split()}


def amount(record: attrs.AttrsInstance, name: str, currency: str) -> Decimal | None:
    """Convert one field of a record from cents into units of the currency.

    Args:
        record: An entry of a series, a customer, or any other record.
        name: The name of a field that contains money, such as ``"mrr"``.
        currency: The currency of the account, ``account.currency``, or that of the record.

    Returns:
        The exact amount, with as many decimals as the currency has, ``Decimal("5233.87")`` dollars or
        ``Decimal("5233")`` yen. What is finer, as an average of whole yen can be, keeps its decimals and is not
        rounded. None where the field is None.

    Raises:
        ArgumentError: The record has no such field, or it does not contain money:
            ``name must be that of a field in cents, not 'customers', which is a count``. The currency is not a code of
            three letters; which codes exist is not checked, since an account may have any.
    """
    field = _field_of(record, name)
    unit = field.metadata.get("unit")
    if unit != "cents":
        raise ArgumentError(f"name must be that of a field in cents, not {name!r}, which is {_described(unit)}")
    places, cents = decimals(_currency(currency)), getattr(record, name)
    return None if cents is None else _written(units(cents), places)


def units(cents: int | float) -> Decimal:
    """Convert a number of cents into units of its currency, whatever currency that is.

    Prefer ``amount``, which knows from the record whether a number is one of cents. This is for numbers without a
    record: sums, differences, and the figures of a ``Summary``, whose unit is that of its metric.

    Args:
        cents: An amount as the records have it, or a sum or difference of such amounts.

    Returns:
        The exact amount; fractions of a cent stay.

    Raises:
        ArgumentError: The number is not finite, or it is a ``Decimal``, which was converted before.
    """
    if isinstance(cents, Decimal):
        raise ArgumentError(f"cents must be an int or a float, not {cents!r}: a Decimal is in units of the currency")
    return Decimal(str(checks.finite_number("cents", cents))).scaleb(-2, _EXACTLY)


def decimals(currency: str) -> int:
    """Find with how many decimals amounts in a currency are written.

    Args:
        currency: A code such as ``"USD"``.

    Returns:
        0 for yen, 3 for Kuwaiti dinars, 2 for most others and for unknown ones.

    Raises:
        ArgumentError: The currency is not a string.
    """
    return _DECIMALS.get(checks.instance_of("currency", currency, str, "'USD'").upper(), 2)


def _field_of(record: attrs.AttrsInstance, name: str) -> "attrs.Attribute[Any]":
    fields = attrs.fields_dict(type(record)) if attrs.has(type(record)) else {}
    # A series has fields as well, but its figures are those of its entries.
    if not any("unit" in field.metadata for field in fields.values()):
        raise ArgumentError(f"record must be one with figures, such as series[0], not {checks.shown(record)}")
    return fields[checks.one_of("name", name, tuple(fields))]


def _currency(code: str) -> str:
    if not (isinstance(code, str) and len(code) == _LETTERS and code.isascii() and code.isalpha()):
        raise ArgumentError(f"currency must be a code of three letters such as 'USD', not {checks.shown(code)}")
    return code


def _described(unit: str | None) -> str:
    return {"count": "a count", "percent": "in percent"}.get(unit or "", "not an amount")


def _written(exact: Decimal, places: int) -> Decimal:
    """The same amount with the decimals of its currency, or with more where it needs them."""
    shortest = exact.quantize(Decimal(1).scaleb(-places), context=_EXACTLY)
    return shortest if shortest == exact else exact
