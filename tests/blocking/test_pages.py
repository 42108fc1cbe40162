"""Lists by a blocking client: the first page, and every page in a plain ``for``."""

from __future__ import annotations

import httpx
import pytest

from chartmogul_async import Page, Plan
from chartmogul_async.blocking import Client
from chartmogul_async.errors import ArgumentError, StateError
from chartmogul_async.sandbox import Company, Limits, Sandbox
from chartmogul_async.sandbox.records import PLAN_GROUPS, PLANS
from tests.blocking.clients import blocking_client


def respond(request: httpx.Request) -> httpx.Response:
    cursor = request.url.params.get("cursor", "")
    return httpx.Response(
        200, json={"plans": [{"uuid": f"pl_{cursor}"}], "has_more": len(cursor) < 2, "cursor": cursor + "a"}
    )


def test_every_item_on_every_page_in_a_plain_for() -> None:
    with blocking_client(respond) as client:
        plans = client.plans.list()
        assert [plan.uuid for plan in plans] == ["pl_", "pl_a", "pl_aa"]
        assert [plan.uuid for plan in plans] == ["pl_", "pl_a", "pl_aa"]
        assert plans.first() == Page((Plan("pl_"),), has_more=True, cursor="a")


def test_wrong_arguments_are_refused_at_once() -> None:
    with blocking_client(respond) as client, pytest.raises(ArgumentError, match="per_page must be"):
        client.plans.list(per_page=0)


def test_a_closed_client_reads_no_further_page() -> None:
    with blocking_client(respond) as client:
        plans = iter(client.plans.list())
        assert next(plans).uuid == "pl_"
    with pytest.raises(StateError, match="closed"):
        next(plans)


def test_all_lists_of_the_sandbox() -> None:
    sandbox = Sandbox(Company(customers=5), limits=Limits(per_second=None))
    with Client("sandbox", transport=sandbox.transport()) as client:
        assert [plan.uuid for plan in client.plans.list()] == [plan.uuid for plan in reversed(PLANS)]
        assert [group.uuid for group in client.plan_groups.list()] == [group.uuid for group in reversed(PLAN_GROUPS)]
        assert len(list(client.plan_groups.plans(PLAN_GROUPS[0].uuid))) == 3
        assert len(list(client.customers.list())) == len(sandbox.company.customers)
