"""Amounts in units of the currency: exact, converted once."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async import CustomerCountEntry, KeyMetricsEntry, MetricQuery, MRREntry, Series, Summary, money
from chartmogul_async.errors import ArgumentError
from tests.documents import INTEGERS, records

DAY = date(2024, 1, 31)


@pytest.mark.parametrize(
    ("cents", "currency", "text"),
    [
        (523387, "USD", "5233.87"),
        (523300, "USD", "5233.00"),
        (0, "eur", "0.00"),
        (-5, "USD", "-0.05"),
        # The API sends hundredths of every currency, those of yen included.
        (523300, "JPY", "5233"),
        (523387, "JPY", "5233.87"),
        (523387, "KWD", "5233.870"),
        (100, "CLF", "1.0000"),
        # Old responses have fractions of a cent.
        (10908.61093020998, "USD", "109.0861093020998"),
        (100.0, "JPY", "1"),
        (2**62, "USD", "46116860184273879.04"),
    ],
)
def test_an_amount_is_exact_and_has_the_decimals_of_its_currency(cents: Any, currency: str, text: str) -> None:
    found = money.amount(MRREntry(DAY, cents), "mrr", currency)
    assert str(found) == text


def test_what_is_missing_stays_so() -> None:
    assert money.amount(MRREntry(DAY, 1), "mrr_churn", "USD") is None


@given(records(KeyMetricsEntry), st.sampled_from(["USD", "JPY", "KWD"]))
def test_nothing_is_lost(entry: KeyMetricsEntry, currency: str) -> None:
    for name in ("mrr", "arr", "arpa", "asp", "ltv"):
        found = money.amount(entry, name, currency)
        assert found is not None
        assert found * 100 == Decimal(str(getattr(entry, name)))


@given(INTEGERS, INTEGERS)
def test_sums_of_amounts_are_amounts_of_sums(one: int, other: int) -> None:
    assert money.units(one) + money.units(other) == money.units(one + other)


@pytest.mark.parametrize(
    ("record", "name", "message"),
    [
        (
            CustomerCountEntry(DAY, 7),
            "customers",
            "name must be that of a field in cents, not 'customers', which is a count",
        ),
        (
            MRREntry(DAY, 7),
            "percentage_change",
            "name must be that of a field in cents, not 'percentage_change', which is in percent",
        ),
        (MRREntry(DAY, 7), "date", "name must be that of a field in cents, not 'date', which is not an amount"),
        (CustomerCountEntry(DAY, 7), "mrr", "name must be one of date, customers, percentage_change, not 'mrr'"),
        (Summary(7, 7, 0.0), "current", "name must be that of a field in cents, not 'current', which is not an amount"),
        (7, "mrr", "record must be one with figures, such as series[0], not 7"),
    ],
)
def test_only_money_is_converted(record: Any, name: str, message: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        money.amount(record, name, "USD")
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("cents", "message"),
    [
        (
            Decimal("5.23"),
            "cents must be an int or a float, not Decimal('5.23'): a Decimal is in units of the currency",
        ),
        (float("nan"), "cents must be a finite number, not nan"),
        ("523", "cents must be a finite number, not '523'"),
        (None, "cents must be a finite number, not None"),
    ],
)
def test_nothing_is_converted_twice(cents: Any, message: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        money.units(cents)
    assert str(raised.value) == message


def test_a_series_is_not_a_record() -> None:
    series = Series((MRREntry(DAY, 7),), Summary(7, 7, 0.0), MetricQuery("mrr", DAY, DAY))
    with pytest.raises(ArgumentError, match=r"^record must be one with figures, such as series\[0\], not Series\("):
        money.amount(series, "mrr", "USD")


@pytest.mark.parametrize("currency", ["dollars", "US", "", " USD", "U5D", "\u20acUR", "\u00dcSD", None, b"USD"])
@pytest.mark.parametrize("cents", [7, None])
def test_what_is_no_code_of_a_currency_is_refused(currency: Any, cents: Any) -> None:
    with pytest.raises(ArgumentError) as raised:
        money.amount(MRREntry(DAY, 7, mrr_churn=cents), "mrr_churn", currency)
    assert str(raised.value) == f"currency must be a code of three letters such as 'USD', not {currency!r}"


@pytest.mark.parametrize("currency", ["ABC", "BTC", "usd"])
def test_a_new_currency_of_an_account_has_two_decimals(currency: str) -> None:
    """An account may have one that no list has yet."""
    assert money.decimals(currency) == 2
    assert str(money.amount(MRREntry(DAY, 700), "mrr", currency)) == "7.00"


def test_a_currency_is_a_string() -> None:
    with pytest.raises(ArgumentError, match="currency must be a str, such as 'USD', not None"):
        money.decimals(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
