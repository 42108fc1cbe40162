"""The lists of the sandbox: their shapes, which are the recorded ones, and what restricts them."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from chartmogul_async.sandbox import Sandbox
from chartmogul_async.sandbox.exchange import Request
from chartmogul_async.sandbox.records import PLAN_GROUPS, PLANS

from .helpers import TODAY, empty

KEY = "Basic " + b64encode(b"sandbox:").decode()
RECORDED = Path(__file__).parents[1] / "answers" / "lists"
GROUP = PLAN_GROUPS[0].uuid


@pytest.fixture
def sandbox() -> Sandbox:
    company = empty()
    for number, country in enumerate(("US", "DE", "FR")):
        company.add_customer(on=TODAY.replace(day=10 - number), plan="gold_monthly", mrr=100, country=country)
    company.book("customer_00001", on=TODAY, plan="gold_monthly", mrr=0)
    return Sandbox(company)


def get(sandbox: Sandbox, target: str, status: int = 200) -> Any:
    exchange = sandbox.exchange(Request("GET", target, KEY), 0.0)
    exchange.close()
    assert exchange.response.status == status, exchange.response.body
    return json.loads(exchange.response.body)


@pytest.mark.parametrize(
    ("name", "target", "root"),
    [
        ("customers", "/v1/customers?per_page=1", "entries"),
        ("plans", "/v1/plans?per_page=1", "plans"),
        ("plan-groups", "/v1/plan_groups?per_page=1", "plan_groups"),
        ("plan-groups-plg-plans", f"/v1/plan_groups/{GROUP}/plans?per_page=1", "plans"),
    ],
)
def test_pages_have_the_recorded_shape(sandbox: Sandbox, name: str, target: str, root: str) -> None:
    recorded = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    first = get(sandbox, target)
    # The real API gives these numbers on some lists only.
    assert first.keys() - {"per_page", "page"} == recorded[0].keys() - {"per_page", "page"}
    assert {key: type(value) for key, value in first.items()} == {
        **{key: type(value) for key, value in recorded[0].items()},
        "per_page": int,
        "page": int,
    }
    if root != "entries":
        second = get(sandbox, f"{target}&cursor={first['cursor']}")
        assert second.keys() == recorded[1].keys() == {root, "cursor", "has_more"}
        assert {key: type(value) for key, value in first[root][0].items()} == {
            key: type(value) for key, value in recorded[0][root][0].items()
        }


def test_pages_by_number(sandbox: Sandbox) -> None:
    pages = [get(sandbox, f"/v1/plans?per_page=2&page={number}") for number in (1, 2, 3, 4)]
    assert [len(page["plans"]) for page in pages] == [2, 2, 1, 0]
    assert [page["has_more"] for page in pages] == [True, True, False, False]
    assert {page["total_pages"] for page in pages} == {3}
    assert [plan["name"] for page in pages for plan in page["plans"]] == [plan.name for plan in reversed(PLANS)]
    assert pages[-1]["cursor"] is None
    assert get(sandbox, "/v1/plans?page=1234567890", 400)["param"] == "page"


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [3, 2, 1]),
        ("status=Active", [3, 2]),
        ("status=Cancelled", [1]),
        ("external_id=customer_00002", [2]),
        ("system=Import+API&status=", [3, 2, 1]),
        ("system=import+api", []),
        ("data_source_uuid=ds_other", []),
    ],
)
def test_customers_are_restricted(sandbox: Sandbox, query: str, numbers: list[int]) -> None:
    found = get(sandbox, f"/v1/customers?{query}")["entries"]
    assert [customer["external_id"] for customer in found] == [f"customer_{number:05}" for number in numbers]


def test_plans_are_restricted(sandbox: Sandbox) -> None:
    (plan,) = get(sandbox, "/v1/plans?external_id=gold_yearly")["plans"]
    assert (plan["interval_count"], plan["interval_unit"], plan["name"]) == (1, "year", "Gold, Yearly")
    source = plan["data_source_uuid"]
    assert len(get(sandbox, f"/v1/plans?data_source_uuid={source}&system=Import+API")["plans"]) == len(PLANS)
    assert get(sandbox, "/v1/plans?system=Stripe")["plans"] == []


def test_a_group_that_does_not_exist(sandbox: Sandbox) -> None:
    assert get(sandbox, "/v1/plan_groups/plg_0/plans", 404) == {"error": "Plan group not found"}


def test_metrics_of_a_group_are_those_of_its_plans(sandbox: Sandbox) -> None:
    customers = "/v1/metrics/customer-count?start-date=2023-08-01&end-date=2023-08-17"
    by_group = get(sandbox, f"{customers}&filters=plan_group~ANY~{GROUP}")
    by_plans = get(sandbox, f"{customers}&plans={','.join(PLAN_GROUPS[0].plans)}")
    assert by_group == by_plans
    assert by_group["entries"][0]["customers"] == 2


def test_lists_agree_with_the_metrics(sandbox: Sandbox) -> None:
    customers = get(sandbox, "/v1/customers?status=Active")["entries"]
    figures = get(sandbox, f"/v1/metrics/all?start-date={TODAY}&end-date={TODAY}")["entries"][-1]
    assert len(customers) == figures["customers"] == 2
    assert sum(customer["mrr"] for customer in customers) == figures["mrr"] == 200
