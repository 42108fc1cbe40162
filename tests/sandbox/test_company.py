from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any

import pytest

from chartmogul_async.errors import ArgumentError
from chartmogul_async.sandbox import Company
from chartmogul_async.sandbox.metrics import MetricsEndpoints
from chartmogul_async.sandbox.records import BRONZE, COUNTRIES, GOLD_YEARLY

from .helpers import empty, fetch

SIX_YEARS = date(2025, 12, 31)


@lru_cache
def default() -> Company:
    """The default company after six years. No test books into it."""
    return Company(today=SIX_YEARS)


def test_the_size_of_the_default_company() -> None:
    company = default()
    assert 1400 <= len(company.customers) <= 1600
    assert len(company.plans) == 5
    assert [plan.name for plan in company.plans if "," in plan.name] == ["Gold, Yearly"]
    assert {customer.country for customer in company.customers} == set(COUNTRIES)
    assert len(COUNTRIES) == 12
    assert {customer.currency for customer in company.customers} == {"USD", "EUR"}
    assert len({customer.email for customer in company.customers}) == len(company.customers)
    assert len({customer.uuid for customer in company.customers}) == len(company.customers)


def test_the_default_company_grows() -> None:
    metrics = MetricsEndpoints(default())
    years = fetch(metrics, "all", "2020-01-01", SIX_YEARS, interval="year")["entries"]
    assert all(earlier["mrr"] < later["mrr"] for earlier, later in pairwise(years))
    assert 100_000_00 <= years[-1]["mrr"] <= 400_000_00
    months = fetch(metrics, "all", "2021-01-01", SIX_YEARS)["entries"]
    average = sum(month["customer-churn-rate"] for month in months) / len(months)
    assert 1 <= average <= 4
    movements = fetch(metrics, "mrr", "2020-01-01", SIX_YEARS, interval="year")["entries"][-1]
    assert min(movements["mrr-new-business"], movements["mrr-expansion"], movements["mrr-reactivation"]) > 0
    assert max(movements["mrr-contraction"], movements["mrr-churn"]) < 0


def test_sales_are_seasonal() -> None:
    company = default()
    sales = [customer.since for customer in company.customers if customer.since]
    spring, autumn = (sum(day.month in months for day in sales) for months in ((3, 4, 5), (9, 10, 11)))
    assert spring > 1.1 * autumn
    assert sum(day.weekday() >= 5 for day in sales) < len(sales) / 5


@pytest.mark.parametrize("today", [date(2020, 1, 1), date(2021, 6, 30), date(2023, 8, 17)])
def test_figures_of_a_date_do_not_depend_on_today(today: date) -> None:
    short, long = Company(today=today), default()
    until_today = [
        (customer.uuid, customer.email, [booking for booking in customer.bookings if booking.on <= today])
        for customer in long.customers
        if customer.since and customer.since <= today
    ]
    assert until_today == [(customer.uuid, customer.email, list(customer.bookings)) for customer in short.customers]
    for endpoint in ("mrr", "customer-count"):
        responses = [
            fetch(MetricsEndpoints(company), endpoint, "2020-01-01", today, interval="day") for company in (short, long)
        ]
        assert responses[0]["entries"] == responses[1]["entries"]


def test_the_seed_determines_the_company() -> None:
    one, same, other = (Company(seed=seed, customers=50, today=date(2020, 12, 31)) for seed in (1, 1, 2))
    assert one.customers == same.customers
    assert one.customers != other.customers


def test_today_is_the_current_date_by_default() -> None:
    before = datetime.now(UTC).date()
    assert before <= Company(customers=0).today <= datetime.now(UTC).date()


def test_a_company_cannot_be_founded_after_today() -> None:
    with pytest.raises(ArgumentError, match=r"founded must be on or before today \(2023-01-01\), not 2023-01-02"):
        Company(founded=date(2023, 1, 2), today=date(2023, 1, 1))


def test_a_datetime_is_its_day() -> None:
    company = Company(customers=0, founded=datetime(2022, 1, 1, 23), today=datetime(2022, 1, 31, 5))
    assert (company.founded, company.today) == (date(2022, 1, 1), date(2022, 1, 31))
    customer = company.add_customer(on=datetime(2022, 1, 31, 23), plan="support", mrr=5)
    assert customer.bookings[0].on == date(2022, 1, 31)


def test_prices_are_converted_at_a_fixed_rate() -> None:
    assert BRONZE.mrr(2, "USD", (1, 1)) == 2 * 39_00
    assert BRONZE.mrr(1, "EUR", (108, 100)) == 37_80
    # 2290.00 EUR are 2473.20 USD a year.
    assert GOLD_YEARLY.mrr(1, "EUR", (108, 100)) == 206_10
    assert BRONZE.mrr(1, "EUR", (1, 8000)) == 0
    # Half a cent is rounded up.
    assert BRONZE.mrr(1, "EUR", (1, 7000)) == 1


def test_bookings_into_the_past_change_responses_at_once() -> None:
    company = empty()
    metrics = MetricsEndpoints(company)
    assert fetch(metrics, "mrr", "2022-03-01", "2022-03-31")["entries"][0]["mrr"] == 0
    customer = company.add_customer(on=date(2022, 3, 10), plan="silver_monthly", mrr=100_00)
    assert fetch(metrics, "mrr", "2022-03-01", "2022-03-31")["entries"][0]["mrr"] == 100_00
    company.book(customer.uuid, on=date(2022, 3, 20), plan="Silver Monthly", mrr=150_00)
    assert fetch(metrics, "mrr", "2022-03-01", "2022-03-31")["entries"][0] == {
        "date": "2022-03-31",
        "mrr": 150_00,
        "percentage-change": 0.0,
        "mrr-new-business": 100_00,
        "mrr-expansion": 50_00,
        "mrr-contraction": 0,
        "mrr-churn": 0,
        "mrr-reactivation": 0,
    }


def test_booking_between_two_bookings_and_over_one() -> None:
    company = empty()
    company.add_customer(on=date(2022, 2, 1), plan="gold_monthly", mrr=100, email="a@a.example", name="A")
    company.add_customer(on=date(2022, 2, 1), plan="gold_monthly", mrr=7)
    company.book("a@a.example", on=date(2022, 4, 1), plan="gold_monthly", mrr=300)
    company.book("customer_00001", on=date(2022, 3, 1), plan="gold_monthly", mrr=200)
    company.book("customer_00001", on=date(2022, 3, 1), plan="gold_monthly", mrr=0)
    company.book("customer_00001", on=date(2022, 3, 1), plan="support", mrr=9)
    customer = company.customer("a@a.example")
    assert [(booking.on.month, booking.mrr) for booking in customer.bookings] == [(2, 100), (3, 0), (3, 9), (4, 300)]
    assert [customer.mrr_on(date(2022, month, 15)) for month in (1, 2, 3, 4)] == [0, 100, 9, 309]
    assert customer.since == date(2022, 2, 1)
    assert company.customers[1].mrr_on(date(2022, 4, 1)) == 7


def test_a_customer_without_a_sale_has_no_first_day() -> None:
    assert empty().add_customer(on=date(2022, 2, 1), plan="support", mrr=0).since is None


def test_a_plan_has_four_names() -> None:
    company = empty()
    uuid = company.plans[3].uuid
    for name in ("Gold, Yearly", uuid, uuid.removeprefix("pl_"), "gold_yearly"):
        assert company.plan(name) is company.plans[3]


def test_invalid_bookings() -> None:
    company = empty()
    day = date(2022, 2, 1)
    company.add_customer(on=day, plan="support", mrr=1)
    before = company.state
    with pytest.raises(ArgumentError, match=r"plan must be the name, UUID or external id of one of .*, not 'Platinum'"):
        company.add_customer(on=day, plan="Platinum", mrr=1)
    with pytest.raises(ArgumentError, match=r"country must be one of US, .*, not 'XX'"):
        company.add_customer(on=day, plan="support", mrr=1, country="XX")
    with pytest.raises(ArgumentError, match=r"customer must be the UUID, external id or e-mail .*, not 'nobody'"):
        company.book("nobody", on=day, plan="support", mrr=1)
    with pytest.raises(ArgumentError, match="mrr must be a non-negative integer, not -1"):
        company.book("customer_00001", on=day, plan="support", mrr=-1)
    for wrong in (company.founded - timedelta(1), company.today + timedelta(1)):
        with pytest.raises(ArgumentError, match=f"on must be from .* to .*, not {wrong}"):
            company.book("customer_00001", on=wrong, plan="support", mrr=1)
    assert company.state is before


def test_a_company_can_be_pickled() -> None:
    company = Company(customers=20, today=date(2021, 1, 1))
    company.add_customer(on=date(2020, 2, 1), plan="support", mrr=1)
    copy = pickle.loads(pickle.dumps(company))
    assert copy.state == company.state
    assert copy.today == company.today


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"customers": -1}, "customers must be a non-negative integer, not -1"),
        ({"customers": True}, "customers must be a non-negative integer, not True"),
        ({"founded": "2020-01-01"}, "founded must be a date, not '2020-01-01'"),
        ({"today": 2023}, "today must be a date, not 2023"),
        ({"week_start_on": "friday"}, "week_start_on must be one of monday, sunday, not 'friday'"),
    ],
)
def test_invalid_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Company(**arguments)
