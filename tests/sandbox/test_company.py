from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

import pytest

from chartmogul_async.sandbox import Company
from chartmogul_async.sandbox.metrics import Metrics
from chartmogul_async.sandbox.records import BRONZE, COUNTRIES, GOLD_YEARLY

from .helpers import ask, empty

SIX_YEARS = date(2025, 12, 31)


@lru_cache
def default() -> Company:
    """The default company after six years. Nobody books into it."""
    return Company(today=SIX_YEARS)


def test_the_default_company_is_as_large_as_promised() -> None:
    company = default()
    assert 1400 <= len(company.customers) <= 1600
    assert len(company.plans) == 5
    assert [plan.name for plan in company.plans if "," in plan.name] == ["Gold, Yearly"]
    assert {customer.country for customer in company.customers} == set(COUNTRIES)
    assert len(COUNTRIES) == 12
    assert {customer.currency for customer in company.customers} == {"USD", "EUR"}
    assert len({customer.email for customer in company.customers}) == len(company.customers)
    assert len({customer.uuid for customer in company.customers}) == len(company.customers)


def test_the_default_company_grows_plausibly() -> None:
    metrics = Metrics(default())
    years = ask(metrics, "all", "2020-01-01", SIX_YEARS, interval="year")["entries"]
    assert all(earlier["mrr"] < later["mrr"] for earlier, later in pairwise(years))
    assert 100_000_00 <= years[-1]["mrr"] <= 400_000_00
    months = ask(metrics, "all", "2021-01-01", SIX_YEARS)["entries"]
    average = sum(month["customer-churn-rate"] for month in months) / len(months)
    assert 1 <= average <= 4
    movements = ask(metrics, "mrr", "2020-01-01", SIX_YEARS, interval="year")["entries"][-1]
    assert min(movements["mrr-new-business"], movements["mrr-expansion"], movements["mrr-reactivation"]) > 0
    assert max(movements["mrr-contraction"], movements["mrr-churn"]) < 0


def test_sales_have_a_season() -> None:
    company = default()
    sales = [customer.since for customer in company.customers if customer.since]
    spring, autumn = (sum(day.month in months for day in sales) for months in ((3, 4, 5), (9, 10, 11)))
    assert spring > 1.1 * autumn
    assert sum(day.weekday() >= 5 for day in sales) < len(sales) / 5


@pytest.mark.parametrize("today", [date(2020, 1, 1), date(2021, 6, 30), date(2023, 8, 17)])
def test_a_date_has_the_same_figures_whatever_today_is(today: date) -> None:
    short, long = Company(today=today), default()
    told = [
        (customer.uuid, customer.email, [step for step in customer.steps if step.on <= today])
        for customer in long.customers
        if customer.since and customer.since <= today
    ]
    assert told == [(customer.uuid, customer.email, list(customer.steps)) for customer in short.customers]
    for endpoint in ("mrr", "customer-count"):
        answers = [ask(Metrics(company), endpoint, "2020-01-01", today, interval="day") for company in (short, long)]
        assert answers[0]["entries"] == answers[1]["entries"]


def test_the_seed_makes_the_company() -> None:
    one, same, other = (Company(seed=seed, customers=50, today=date(2020, 12, 31)) for seed in (1, 1, 2))
    assert one.customers == same.customers
    assert one.customers != other.customers


def test_today_is_the_current_day_by_default() -> None:
    before = datetime.now(UTC).date()
    assert before <= Company(customers=0).today <= datetime.now(UTC).date()


def test_a_company_is_not_founded_in_the_future() -> None:
    with pytest.raises(ValueError, match="after today"):
        Company(founded=date(2023, 1, 2), today=date(2023, 1, 1))


def test_prices_become_the_accounts_currency_at_a_fixed_rate() -> None:
    assert BRONZE.mrr(2, "USD", (1, 1)) == 2 * 39_00
    assert BRONZE.mrr(1, "EUR", (108, 100)) == 37_80
    assert GOLD_YEARLY.mrr(1, "EUR", (108, 100)) == 206_10  # 2290.00 EUR are 2473.20 USD a year
    assert BRONZE.mrr(1, "EUR", (1, 8000)) == 0
    assert BRONZE.mrr(1, "EUR", (1, 7000)) == 1  # half a cent goes up


def test_booking_into_the_past_changes_the_answers_at_once() -> None:
    company = empty()
    metrics = Metrics(company)
    assert ask(metrics, "mrr", "2022-03-01", "2022-03-31")["entries"][0]["mrr"] == 0
    customer = company.add_customer(on=date(2022, 3, 10), plan="silver_monthly", mrr=100_00)
    assert ask(metrics, "mrr", "2022-03-01", "2022-03-31")["entries"][0]["mrr"] == 100_00
    company.book(customer.uuid, on=date(2022, 3, 20), plan="Silver Monthly", mrr=150_00)
    assert ask(metrics, "mrr", "2022-03-01", "2022-03-31")["entries"][0] == {
        "date": "2022-03-31",
        "mrr": 150_00,
        "percentage-change": 0.0,
        "mrr-new-business": 100_00,
        "mrr-expansion": 50_00,
        "mrr-contraction": 0,
        "mrr-churn": 0,
        "mrr-reactivation": 0,
    }


def test_booking_between_two_steps_and_over_one() -> None:
    company = empty()
    company.add_customer(on=date(2022, 2, 1), plan="gold_monthly", mrr=100, email="a@a.example", name="A")
    company.add_customer(on=date(2022, 2, 1), plan="gold_monthly", mrr=7)
    company.book("a@a.example", on=date(2022, 4, 1), plan="gold_monthly", mrr=300)
    company.book("customer_00001", on=date(2022, 3, 1), plan="gold_monthly", mrr=200)
    company.book("customer_00001", on=date(2022, 3, 1), plan="gold_monthly", mrr=0)
    company.book("customer_00001", on=date(2022, 3, 1), plan="support", mrr=9)
    customer = company.customer("a@a.example")
    assert [(step.on.month, step.mrr) for step in customer.steps] == [(2, 100), (3, 0), (3, 9), (4, 300)]
    assert [customer.mrr_on(date(2022, month, 15)) for month in (1, 2, 3, 4)] == [0, 100, 9, 309]
    assert customer.since == date(2022, 2, 1)
    assert company.customers[1].mrr_on(date(2022, 4, 1)) == 7


def test_a_customer_who_never_paid_has_no_first_day() -> None:
    assert empty().add_customer(on=date(2022, 2, 1), plan="support", mrr=0).since is None


def test_a_plan_has_four_names() -> None:
    company = empty()
    uuid = company.plans[3].uuid
    for name in ("Gold, Yearly", uuid, uuid.removeprefix("pl_"), "gold_yearly"):
        assert company.plan(name) is company.plans[3]


def test_what_cannot_be_booked() -> None:
    company = empty()
    day = date(2022, 2, 1)
    company.add_customer(on=day, plan="support", mrr=1)
    before = company.state
    with pytest.raises(LookupError, match="Platinum"):
        company.add_customer(on=day, plan="Platinum", mrr=1)
    with pytest.raises(LookupError, match="XX"):
        company.add_customer(on=day, plan="support", mrr=1, country="XX")
    with pytest.raises(LookupError, match="nobody"):
        company.book("nobody", on=day, plan="support", mrr=1)
    with pytest.raises(ValueError, match="negative"):
        company.book("customer_00001", on=day, plan="support", mrr=-1)
    for wrong in (company.founded - timedelta(1), company.today + timedelta(1)):
        with pytest.raises(ValueError, match="not between"):
            company.book("customer_00001", on=wrong, plan="support", mrr=1)
    assert company.state is before


def test_a_company_can_be_sent_to_another_process() -> None:
    company = Company(customers=20, today=date(2021, 1, 1))
    company.add_customer(on=date(2020, 2, 1), plan="support", mrr=1)
    copy = pickle.loads(pickle.dumps(company))
    assert copy.state == company.state
    assert copy.today == company.today
