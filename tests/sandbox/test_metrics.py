from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from math import floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartmogul_async.sandbox.figures import KEYS, percentage_change
from chartmogul_async.sandbox.metrics import ENDPOINTS, MetricsEndpoints
from chartmogul_async.sandbox.records import COUNTRIES, PLANS

from .helpers import TODAY, empty, fetch, small

# A deadline would be an assertion about the wall clock.
PROPERTY = settings(max_examples=30)
FOUNDED = date(2020, 1, 1)
# Some days lie before the founding and some after today.
DAYS = st.dates(date(2019, 11, 1), date(2023, 10, 31))
RANGES = st.builds(lambda start, days: (start, start + timedelta(days)), DAYS, st.integers(0, 500))
INTERVALS = st.sampled_from(["day", "week", "month", "quarter", "year"])
CLAUSES = st.sampled_from(
    [
        "region~ANY~'US','DE'",
        "region~NONE~'US'",
        f"plan~ANY~{PLANS[0].uuid},{PLANS[4].uuid}",
        f"plan~NONE~{PLANS[4].uuid}",
        f"plan~ALL~{PLANS[1].uuid},{PLANS[4].uuid}",
        "currency~EQ~'EUR'",
        "mrr~GT~150",
        "mrr~BETWEEN~50,200.5",
        "mrr~LTE~99",
    ]
)
SELECTIONS = st.fixed_dictionaries(
    {},
    optional={
        "geo": st.lists(st.sampled_from([*COUNTRIES, "XX"]), min_size=1, max_size=4).map(",".join),
        "plans": st.lists(st.sampled_from(["Bronze Monthly", "gold_yearly", PLANS[2].uuid, "?"]), min_size=1).map(
            ",".join
        ),
        "filters": st.lists(CLAUSES, min_size=1, max_size=2).map("~AND~".join),
    },
)
MOVEMENTS = ("mrr-new-business", "mrr-expansion", "mrr-contraction", "mrr-churn", "mrr-reactivation")


@PROPERTY
@given(RANGES, INTERVALS, SELECTIONS)
def test_identities_of_mrr(between: tuple[date, date], interval: str, selection: dict[str, str]) -> None:
    start, end = between
    entries = fetch(small(), "mrr", start, end, interval=interval, **selection)["entries"]
    day_before = fetch(small(), "mrr", start - timedelta(1), start - timedelta(1), interval="day", **selection)[
        "entries"
    ][0]
    for before, after in pairwise([day_before, *entries]):
        assert after["mrr"] == before["mrr"] + sum(after[movement] for movement in MOVEMENTS)
        assert after["mrr"] >= 0
        assert after["mrr-contraction"] <= 0
        assert after["mrr-churn"] <= 0
        assert min(after["mrr-new-business"], after["mrr-expansion"], after["mrr-reactivation"]) >= 0


@PROPERTY
@given(RANGES, INTERVALS, SELECTIONS)
def test_identities_of_all(between: tuple[date, date], interval: str, selection: dict[str, str]) -> None:
    start, end = between
    response = fetch(small(), "all", start, end, interval=interval, **selection)
    moved = fetch(small(), "mrr", start, end, interval=interval, **selection)["entries"]
    day_before = fetch(small(), "mrr", start - timedelta(1), start - timedelta(1), interval="day", **selection)[
        "entries"
    ][0]
    for before, entry, movements in zip([day_before, *moved], response["entries"], moved, strict=False):
        assert entry["mrr"] == movements["mrr"]
        assert entry["arr"] == 12 * entry["mrr"]
        assert entry["arpa"] == (entry["mrr"] // entry["customers"] if entry["customers"] else 0)
        assert (entry["mrr"] == 0) == (entry["customers"] == 0)
        if interval == "month":
            rate = round(entry["customer-churn-rate"] * 100)
            assert entry["ltv"] == (floor(entry["arpa"] * 10_000 / rate) if rate else 0)
        if interval in ("month", "quarter", "year"):
            lost = movements["mrr-new-business"] - sum(movements[movement] for movement in MOVEMENTS)
            assert entry["mrr-churn-rate"] == (round(lost / before["mrr"] * 100, 2) if before["mrr"] else 0.0)
    for key in KEYS:
        assert response["entries"][0][f"{key}-percentage-change"] == 0.0
        for before, entry in pairwise(response["entries"]):
            assert entry[f"{key}-percentage-change"] == percentage_change(before[key], entry[key])


@PROPERTY
@given(RANGES, INTERVALS, SELECTIONS, st.sampled_from([name for name in ENDPOINTS if name != "all"]))
def test_each_endpoint_agrees_with_all(
    between: tuple[date, date], interval: str, selection: dict[str, str], endpoint: str
) -> None:
    monthly = endpoint == "ltv" or (endpoint == "asp" and interval in ("day", "week"))
    interval = "month" if monthly else interval
    key = "customers" if endpoint == "customer-count" else endpoint
    one = fetch(small(), endpoint, *between, interval=interval, **selection)
    everything = fetch(small(), "all", *between, interval=interval, **selection)
    assert [entry["date"] for entry in one["entries"]] == [entry["date"] for entry in everything["entries"]]
    for mine, theirs in zip(one["entries"], everything["entries"], strict=True):
        assert mine[key] == theirs[key]
        assert mine["percentage-change"] == theirs[f"{key}-percentage-change"]
    assert one["summary"] == {
        "current": everything["summary"][f"current-{key}"],
        "previous": everything["summary"][f"previous-{key}"],
        "percentage-change": everything["summary"][f"{key}-percentage-change"],
    }


@PROPERTY
@given(RANGES, st.sampled_from(["day", "week"]), SELECTIONS, st.integers(0, 500))
def test_a_divided_range_has_the_same_figures(
    between: tuple[date, date], interval: str, selection: dict[str, str], at: int
) -> None:
    whole = fetch(small(), "all", *between, interval=interval, **selection)["entries"]
    cut = at % len(whole) or len(whole)
    boundary = date.fromisoformat(whole[cut - 1]["date"])
    parts = [(between[0], boundary), (min(boundary + timedelta(1), between[1]), between[1])][: 1 + (cut < len(whole))]
    joined = [
        entry for part in parts for entry in fetch(small(), "all", *part, interval=interval, **selection)["entries"]
    ]
    assert [{key: entry[key] for key in ("date", *KEYS)} for entry in joined] == [
        {key: entry[key] for key in ("date", *KEYS)} for entry in whole
    ]


# Each example sends fifty requests.
@settings(PROPERTY, max_examples=10)
@given(RANGES, INTERVALS)
def test_countries_and_plans_add_up(between: tuple[date, date], interval: str) -> None:
    def column(endpoint: str, key: str, **selection: str) -> list[int]:
        return [entry[key] for entry in fetch(small(), endpoint, *between, interval=interval, **selection)["entries"]]

    for endpoint, key in (("mrr", "mrr"), ("customer-count", "customers"), ("mrr", "mrr-churn")):
        by_country = [column(endpoint, key, geo=country) for country in COUNTRIES]
        assert [sum(values) for values in zip(*by_country, strict=True)] == column(endpoint, key)
    by_plan = [column("mrr", "mrr", plans=plan.external_id) for plan in PLANS]
    assert [sum(values) for values in zip(*by_plan, strict=True)] == column("mrr", "mrr")


@PROPERTY
@given(st.dates(FOUNDED, TODAY))
def test_totals_equal_the_sum_over_customers(day: date) -> None:
    paying = [mrr for customer in small().company.customers if (mrr := customer.mrr_on(day))]
    entry = fetch(small(), "all", day, day, interval="day")["entries"][0]
    assert (entry["mrr"], entry["customers"]) == (sum(paying), len(paying))


def test_nothing_moves_after_today() -> None:
    entries = fetch(small(), "mrr", TODAY, TODAY + timedelta(90), interval="day")["entries"]
    assert {entry["mrr"] for entry in entries} == {entries[0]["mrr"]}
    assert all(entry[movement] == 0 for entry in entries[1:] for movement in MOVEMENTS)
    rates = fetch(small(), "customer-churn-rate", date(2023, 9, 1), date(2023, 10, 31))["entries"]
    assert [entry["customer-churn-rate"] for entry in rates] == [0.0, 0.0]


def example() -> MetricsEndpoints:
    """Ten customers pay 100.00 from January on, movements follow in February and March 2023; today is 2023-04-10."""
    company = empty(today=date(2023, 4, 10))
    for number in range(10):
        company.add_customer(on=date(2023, 1, 5), plan="silver_monthly", mrr=100_00, email=f"{number}@x.example")
    company.book("0@x.example", on=date(2023, 2, 3), plan="silver_monthly", mrr=0)
    company.book("1@x.example", on=date(2023, 2, 10), plan="silver_monthly", mrr=140_00)
    company.book("2@x.example", on=date(2023, 2, 11), plan="silver_monthly", mrr=70_00)
    company.book("0@x.example", on=date(2023, 3, 1), plan="silver_monthly", mrr=50_00)
    company.book("3@x.example", on=date(2023, 3, 2), plan="silver_monthly", mrr=0)
    company.add_customer(on=date(2023, 3, 15), plan="gold_yearly", mrr=200_00, country="DE")
    company.add_customer(on=date(2023, 3, 31), plan="bronze_monthly", mrr=39_00)
    return MetricsEndpoints(company)


def test_a_worked_example_by_month() -> None:
    assert fetch(example(), "mrr", "2023-01-01", "2023-03-31")["entries"] == [
        {
            "date": "2023-01-31",
            "mrr": 1000_00,
            "percentage-change": 0.0,
            "mrr-new-business": 1000_00,
            "mrr-expansion": 0,
            "mrr-contraction": 0,
            "mrr-churn": 0,
            "mrr-reactivation": 0,
        },
        {
            "date": "2023-02-28",
            "mrr": 910_00,
            "percentage-change": -9.0,
            "mrr-new-business": 0,
            "mrr-expansion": 40_00,
            "mrr-contraction": -30_00,
            "mrr-churn": -100_00,
            "mrr-reactivation": 0,
        },
        {
            "date": "2023-03-31",
            "mrr": 1099_00,
            "percentage-change": 20.77,
            "mrr-new-business": 239_00,
            "mrr-expansion": 0,
            "mrr-contraction": 0,
            "mrr-churn": -100_00,
            "mrr-reactivation": 50_00,
        },
    ]
    response = fetch(example(), "all", "2023-02-01", "2023-03-31")
    assert response["entries"] == [
        {
            "date": "2023-02-28",
            "mrr": 910_00,
            "mrr-percentage-change": 0.0,
            "arr": 10920_00,
            "arr-percentage-change": 0.0,
            "customer-churn-rate": 10.0,
            "customer-churn-rate-percentage-change": 0.0,
            "mrr-churn-rate": 9.0,
            "mrr-churn-rate-percentage-change": 0.0,
            "ltv": 1011_10,
            "ltv-percentage-change": 0.0,
            "customers": 9,
            "customers-percentage-change": 0.0,
            "asp": 0,
            "asp-percentage-change": 0.0,
            "arpa": 101_11,
            "arpa-percentage-change": 0.0,
        },
        {
            "date": "2023-03-31",
            "mrr": 1099_00,
            "mrr-percentage-change": 20.77,
            "arr": 13188_00,
            "arr-percentage-change": 20.77,
            "customer-churn-rate": 11.11,
            "customer-churn-rate-percentage-change": 11.1,
            "mrr-churn-rate": 5.49,
            "mrr-churn-rate-percentage-change": -39.0,
            "ltv": 899_18,
            "ltv-percentage-change": -11.07,
            "customers": 11,
            "customers-percentage-change": 22.22,
            # One sale was a year at 200.00 a month, the other one a month at 39.00.
            "asp": 1219_50,
            "asp-percentage-change": 0.0,
            "arpa": 99_90,
            "arpa-percentage-change": -1.2,
        },
    ]


def test_the_summary_is_about_now() -> None:
    responses = [
        fetch(example(), "all", *days)["summary"]
        for days in (("2022-01-01", "2022-02-01"), ("2023-02-01", "2023-03-31"))
    ]
    assert responses[0] == responses[1]
    assert responses[0] == {
        # Stocks are those of today and of 30 days ago, 2023-03-11.
        "current-mrr": 1099_00,
        "previous-mrr": 860_00,
        "mrr-percentage-change": 27.79,
        "current-arr": 13188_00,
        "previous-arr": 10320_00,
        "arr-percentage-change": 27.79,
        # Rates are those of March and February.
        "current-customer-churn-rate": 11.11,
        "previous-customer-churn-rate": 10.0,
        "customer-churn-rate-percentage-change": 11.1,
        "current-mrr-churn-rate": 5.49,
        "previous-mrr-churn-rate": 9.0,
        "mrr-churn-rate-percentage-change": -39.0,
        "current-ltv": 899_18,
        "previous-ltv": 1011_10,
        "ltv-percentage-change": -11.07,
        "current-customers": 11,
        "previous-customers": 9,
        "customers-percentage-change": 22.22,
        # Sales are those of the last 30 days.
        "current-asp": 1219_50,
        "previous-asp": 0,
        "asp-percentage-change": 0.0,
        "current-arpa": 99_90,
        "previous-arpa": 95_55,
        "arpa-percentage-change": 4.55,
    }


def test_keys_are_in_the_recorded_order() -> None:
    response = fetch(example(), "all", "2023-02-01", "2023-03-31")
    keys = ["mrr", "arr", "customer-churn-rate", "mrr-churn-rate", "ltv", "customers", "asp", "arpa"]
    assert list(response) == ["entries", "summary"]
    assert list(response["entries"][1]) == [
        "date",
        *(name for key in keys for name in (key, f"{key}-percentage-change")),
    ]
    assert list(response["summary"]) == [
        name for key in keys for name in (f"current-{key}", f"previous-{key}", f"{key}-percentage-change")
    ]
    mrr = fetch(example(), "mrr", "2023-02-01", "2023-03-31")
    assert list(mrr["entries"][0]) == ["date", "mrr", "percentage-change", *MOVEMENTS]
    count = fetch(example(), "customer-count", "2023-02-01", "2023-03-31")
    assert list(count["entries"][0]) == ["date", "customers", "percentage-change"]
    assert list(count["summary"]) == ["current", "previous", "percentage-change"]


def test_money_and_counts_are_integers_and_rates_are_floats() -> None:
    def kinds(value: dict[str, Any]) -> dict[str, type]:
        return {key: type(figure) for key, figure in value.items() if key != "date"}

    # Everything is zero in the first entry of 2019.
    for start in ("2019-01-01", "2023-01-01"):
        response = fetch(example(), "all", start, "2023-03-31")
        for value in (response["entries"][0], response["summary"]):
            for key, kind in kinds(value).items():
                assert kind is (float if "rate" in key or "percentage" in key else int), key


def test_daily_entries_have_the_rates_of_their_month() -> None:
    days = fetch(example(), "all", "2023-02-27", "2023-03-02", interval="day")["entries"]
    assert [(day["customer-churn-rate"], day["asp"], day["ltv"]) for day in days] == [
        (10.0, 0, 1011_10),
        (10.0, 0, 1011_10),
        (11.11, 1219_50, 899_18),
        (11.11, 1219_50, 899_18),
    ]
    assert [day["mrr"] for day in days] == [910_00, 910_00, 960_00, 860_00]


def test_quarterly_entries() -> None:
    """Rates are measured over the quarter, lifetime value over the last month."""
    quarter = fetch(example(), "all", "2023-01-01", "2023-06-30", interval="quarter")["entries"][0]
    # There were no customers at the start of the quarter.
    assert quarter["customer-churn-rate"] == 0.0
    assert quarter["asp"] == (10 * 100_00 + 2400_00 + 39_00) // 12
    assert quarter["ltv"] == 899_18


def test_lifetime_value_is_given_by_month_only() -> None:
    responses = [fetch(example(), "ltv", "2023-01-01", "2023-03-31", **more) for more in ({}, {"interval": "day"})]
    assert responses[0] == responses[1]
    assert len(responses[0]["entries"]) == 3


def test_a_change_of_plan_in_a_selection_of_one_plan() -> None:
    """It is churn in a selection of the old plan and new business in one of the new plan."""
    company = empty()
    company.add_customer(on=date(2022, 5, 1), plan="silver_monthly", mrr=99_00, email="a@a.example")
    company.book("a@a.example", on=date(2022, 6, 1), plan="silver_monthly", mrr=0)
    company.book("a@a.example", on=date(2022, 6, 1), plan="gold_monthly", mrr=249_00)
    metrics = MetricsEndpoints(company)

    def june(**selection: str) -> list[int]:
        entry = fetch(metrics, "mrr", "2022-06-01", "2022-06-30", **selection)["entries"][0]
        return [entry[movement] for movement in MOVEMENTS]

    assert june() == [0, 150_00, 0, 0, 0]
    assert june(plans="Silver Monthly") == [0, 0, 0, -99_00, 0]
    assert june(plans="Gold Monthly") == [249_00, 0, 0, 0, 0]
    assert june(plans="Gold Monthly,Silver Monthly") == [0, 150_00, 0, 0, 0]


@pytest.mark.parametrize(
    ("previous", "current", "expected"),
    [(68604881, 68954549, 0.51), (-0.67, 0.91, 235.82), (-0.17, -74.52, -43735.29), (0, 5, 0.0), (100, 100, 0.0)],
)
def test_percentage_change_as_recorded(previous: float, current: float, expected: float) -> None:
    assert percentage_change(previous, current) == expected


def test_zero_has_no_sign() -> None:
    assert str(percentage_change(1_000_000, 999_999)) == "0.0"


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chartmogul_async.sandbox.metrics._MAX_CACHED_BYTES", 1000)
    monkeypatch.setattr("chartmogul_async.sandbox.metrics._MAX_CACHED_SELECTIONS", 2)
    metrics = example()
    first = fetch(metrics, "mrr", "2023-01-01", "2023-03-31")
    for country in COUNTRIES:
        fetch(metrics, "mrr", "2023-01-01", "2023-03-31", geo=country)
    assert len(metrics._figures) <= 2
    assert sum(len(response.body) for response in metrics._responses.values()) < 3000
    assert fetch(metrics, "mrr", "2023-01-01", "2023-03-31") == first
    query = {"start-date": "2023-01-01", "end-date": "2023-03-31"}
    assert metrics.respond("mrr", query) is metrics.respond("mrr", query)
