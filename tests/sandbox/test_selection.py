from __future__ import annotations

from datetime import date

import pytest

from chartmogul_async.sandbox.metrics import MetricsEndpoints
from chartmogul_async.sandbox.records import BRONZE, GOLD_YEARLY, PLAN_GROUPS, PLANS, SILVER, SUPPORT
from chartmogul_async.sandbox.selection import Clause, FilterError, Selection, select

from .helpers import empty, fetch

# US pays 100 for Silver and 20 for support, DE 200.50 for Gold yearly, FR 39 for Bronze.
US, DE, FR = 100 + 20, 200.5, 39


@pytest.fixture(scope="module")
def metrics() -> MetricsEndpoints:
    company = empty()
    day = date(2022, 3, 1)
    company.add_customer(on=day, plan="silver_monthly", mrr=100_00, email="us@x.example")
    company.book("us@x.example", on=day, plan="support", mrr=20_00)
    company.add_customer(on=day, plan="gold_yearly", mrr=200_50, country="DE")
    company.add_customer(on=day, plan="bronze_monthly", mrr=39_00, country="FR")
    return MetricsEndpoints(company)


def mrr(metrics: MetricsEndpoints, **selection: str) -> float:
    mrr: int = fetch(metrics, "mrr", "2022-03-01", "2022-03-31", **selection)["entries"][0]["mrr"]
    return mrr / 100


@pytest.mark.parametrize(
    ("geo", "expected"),
    [("", US + DE + FR), ("US", US), ("us, de", US + DE), ("XX", 0), ("XX,FR", FR), ("US,US", US)],
)
def test_geo(metrics: MetricsEndpoints, geo: str, expected: float) -> None:
    assert mrr(metrics, geo=geo) == expected


@pytest.mark.parametrize(
    ("plans", "expected"),
    [
        ("", US + DE + FR),
        ("Silver Monthly", 100),
        (SILVER.uuid, 100),
        (SILVER.uuid.removeprefix("pl_"), 100),
        ("silver_monthly", 100),
        (f"Silver Monthly,{BRONZE.uuid},support", 100 + FR + 20),
        ("silver monthly", 0),
        ("Platinum", 0),
        ("Platinum,Bronze Monthly", FR),
        ("Gold, Yearly", 0),
        (GOLD_YEARLY.uuid, DE),
        ("gold_yearly", DE),
    ],
)
def test_plans(metrics: MetricsEndpoints, plans: str, expected: float) -> None:
    assert mrr(metrics, plans=plans) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("region~ANY~'US','FR'", US + FR),
        ("region~ANY~US", US),
        ("region~NONE~'US'", DE + FR),
        ("region~EQ~'DE'", DE),
        ("region~NOT_EQ~'DE'", US + FR),
        ("region~ALL~'US'", US),
        ("region~ALL~'US','DE'", 0),
        ("region~CONTAINS~'R'", FR),
        ("region~NOT_CONTAINS~'R'", US + DE),
        ("region~IS~NULL", 0),
        ("region~IS_NOT~NULL", US + DE + FR),
        ("currency~ANY~'EUR'", DE + FR),
        (f"plan~ANY~{SILVER.uuid}", 100),
        (f"plan~EQ~{SILVER.uuid}", 100),
        (f"plan~ANY~{SILVER.uuid},{BRONZE.uuid}", 100 + FR),
        (f"plan~ALL~{SILVER.uuid},{SUPPORT.uuid}", US),
        (f"plan~ALL~{SILVER.uuid},pl_unknown", 0),
        (f"plan~NONE~{SUPPORT.uuid}", DE + FR),
        (f"plan~NOT_EQ~{SUPPORT.uuid}", DE + FR),
        ("plan~ANY~'Gold, Yearly'", DE),
        ("plan~CONTAINS~'Silver'", 100),
        ("plan~NOT_CONTAINS~'Silver','Gold'", FR),
        ("plan~IS_NOT~NULL", US + DE + FR),
        ("mrr~GT~120", DE),
        ("mrr~GTE~120", US + DE),
        ("mrr~LT~120", FR),
        ("mrr~LTE~120", US + FR),
        ("mrr~EQ~200.5", DE),
        ("mrr~NOT_EQ~200.50", US + FR),
        ("mrr~ANY~39,120", US + FR),
        ("mrr~BETWEEN~39,120", US + FR),
        ("mrr~GT~-1", US + DE + FR),
        ("mrr~IS_NOT~NULL", US + DE + FR),
        ("mrr~GT~100~AND~region~ANY~'US'", US),
        ("mrr~GT~100~AND~region~ANY~'FR'", 0),
        (f"plan~ANY~{SILVER.uuid},{BRONZE.uuid}~AND~plan~ANY~{SILVER.uuid}", 100),
        (f"plan~ANY~{SILVER.uuid}~AND~mrr~GT~110", 100),
        ("region~ANY~'a~AND~b','US'", US),
    ],
)
def test_filters(metrics: MetricsEndpoints, filters: str, expected: float) -> None:
    assert mrr(metrics, filters=filters) == expected


def test_parameters_are_combined(metrics: MetricsEndpoints) -> None:
    assert mrr(metrics, geo="US,DE", plans="support,gold_yearly", filters="mrr~LT~150") == 20
    assert mrr(metrics, geo="FR", plans="support") == 0
    assert mrr(metrics, plans="support", filters=f"plan~ANY~{SILVER.uuid}") == 0


def test_filters_on_mrr_apply_as_of_each_day() -> None:
    company = empty()
    company.add_customer(on=date(2022, 3, 1), plan="support", mrr=100_00, email="a@a.example")
    company.book("a@a.example", on=date(2022, 3, 3), plan="support", mrr=300_00)
    days = fetch(MetricsEndpoints(company), "mrr", "2022-03-01", "2022-03-04", interval="day", filters="mrr~GT~150")[
        "entries"
    ]
    assert [(day["mrr"], day["mrr-new-business"]) for day in days] == [(0, 0), (0, 0), (300_00, 300_00), (300_00, 0)]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ("mrr>100", "not of the form"),
        ("region~ANY~", "not of the form"),
        ("region~any~'US'", "not of the form"),
        ("region~ANY~'US'~AND~", "not of the form"),
        ("tags~ANY~'vip'", "not known"),
        ("region~LIKE~'US'", "does not go with 'region'"),
        ("region~GT~5", "does not go with 'region'"),
        ("mrr~CONTAINS~5", "does not go with 'mrr'"),
        ("mrr~GT~much", "needs 1 number"),
        ("mrr~GT~NaN", "needs 1 number"),
        ("mrr~BETWEEN~5", "needs 2 number"),
    ],
)
def test_invalid_filters(filters: str, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        select(PLANS, filters=filters)


def test_selections_written_differently_are_equal() -> None:
    first, second = (
        select(PLANS, geo=geo, plan_names=plans) for geo, plans in (("US,DE", "support"), ("de,us", SUPPORT.uuid))
    )
    assert first == second
    assert hash(first) == hash(second)
    assert select(PLANS) == Selection()


SILVER_AND_MORE, YEARLY, EMPTY = (group.uuid for group in PLAN_GROUPS)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (f"plan_group~ANY~{YEARLY}", Selection(plans=frozenset(PLAN_GROUPS[1].plans))),
        (f"plan_group~EQ~{EMPTY}", Selection(plans=frozenset())),
        (f"plan_group~ANY~{YEARLY},{SILVER_AND_MORE}", Selection(plans=frozenset(p.uuid for p in PLANS[:4]))),
        # In the real API this AND means or.
        (
            f"plan~ANY~{SUPPORT.uuid}~AND~plan_group~ANY~{YEARLY}",
            Selection(plans=frozenset({SUPPORT.uuid, PLANS[3].uuid})),
        ),
        (f"plan_group~NONE~{YEARLY}", Selection(clauses=(Clause("plan", "NONE", (PLANS[3].uuid,)),))),
    ],
)
def test_plan_groups_are_their_plans(filters: str, expected: Selection) -> None:
    assert select(PLANS, PLAN_GROUPS, filters=filters) == expected


def test_a_plan_group_has_two_operators_only() -> None:
    with pytest.raises(FilterError, match="does not go with 'plan_group'"):
        select(PLANS, PLAN_GROUPS, filters=f"plan_group~ALL~{YEARLY}")


def test_a_plan_group_and_plans_both_hold() -> None:
    selection = select(PLANS, PLAN_GROUPS, plan_names="support", filters=f"plan_group~ANY~{YEARLY}")
    assert selection.plans == frozenset()
