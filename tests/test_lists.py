"""Lists: the first page, every page, the guards, and what is refused before any request."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import respx

from chartmogul_async import AsyncClient, Customer, Page, Pages, Plan, PlanGroup, RetryPolicy
from chartmogul_async.errors import ArgumentError, BadRequestError, DecodeError, NotFoundError, ServerError, StateError
from chartmogul_async.resources import pages
from chartmogul_async.resources.customers import CustomersEnvelope, Status
from chartmogul_async.resources.plan_groups import PlanGroupsEnvelope
from chartmogul_async.resources.plans import PlansEnvelope
from chartmogul_async.sandbox import Company, Limits, Sandbox
from chartmogul_async.sandbox.records import PLAN_GROUPS, PLANS
from chartmogul_async.structuring.converter import structure
from tests.clients import client_of
from tests.test_structuring import assert_same_content

STATUS = (
    "status must be one of Active, Past_Due, Cancelled, New_Lead, Working_Lead, Qualified_Lead, Unqualified_Lead, not"
)
RECORDED = Path(__file__).parent / "answers" / "lists"
INTO: dict[str, Any] = {
    "customers": CustomersEnvelope,
    "plans": PlansEnvelope,
    "plan-groups": PlanGroupsEnvelope,
    "plan-groups-plg-plans": PlansEnvelope,
}


def page(*uuids: str, **more: Any) -> dict[str, Any]:
    return {"plans": [{"uuid": uuid} for uuid in uuids], **more}


def route(api: respx.Router, *responses: dict[str, Any] | int) -> respx.Route:
    """Responds to each request for plans with the next page or status."""
    return api.get("/plans").mock(
        side_effect=[
            httpx.Response(each) if isinstance(each, int) else httpx.Response(200, json=each) for each in responses
        ]
    )


def queries(of: respx.Route) -> list[dict[str, str]]:
    return [dict(call.request.url.params) for call in of.calls]


async def uuids(api: respx.Router, **arguments: Any) -> list[str]:
    async with client_of(api, retry=RetryPolicy(attempts=1)) as client:
        return [plan.uuid async for plan in client.plans.list(**arguments)]


# --- responses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INTO)
def test_recorded_pages_are_kept_to_the_last_value(name: str) -> None:
    for raw in json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8")):
        envelope = structure(deepcopy(raw), INTO[name])
        sent = raw.get("entries") or raw.get("plans") or raw["plan_groups"]
        assert len(sent) == len(envelope.entries) >= 1
        for one, record in zip(sent, envelope.entries, strict=True):
            # The API lists attributes of a service that it no longer has.
            one.get("attributes", {}).pop("clearbit", None)
            assert_same_content(one, record)
        assert (envelope.has_more, envelope.cursor) == (raw["has_more"], raw.get("cursor"))


async def test_a_list_is_awaited_for_its_first_page(api: respx.Router) -> None:
    its = route(api, page("pl_1", "pl_2", has_more=True, cursor="one"))
    async with client_of(api) as client:
        first = await client.plans.list()
    assert first == Page((Plan("pl_1"), Plan("pl_2")), has_more=True, cursor="one")
    assert (len(first), list(first), first[1].uuid) == (2, [Plan("pl_1"), Plan("pl_2")], "pl_2")
    assert pickle.loads(pickle.dumps(first)) == first
    assert queries(its) == [{}]


async def test_every_item_on_every_page(api: respx.Router) -> None:
    its = route(
        api,
        page("pl_1", "pl_2", has_more=True, cursor="one", current_page=1, total_pages=3),
        page("pl_3", has_more=True, cursor="two"),
        page("pl_4", has_more=False, cursor="three"),
    )
    assert await uuids(api, system="Stripe", per_page=2) == ["pl_1", "pl_2", "pl_3", "pl_4"]
    filters = {"system": "Stripe", "per_page": "2"}
    assert queries(its) == [filters, {**filters, "cursor": "one"}, {**filters, "cursor": "two"}]


async def test_an_empty_list_has_one_page(api: respx.Router) -> None:
    route(api, page(has_more=False, cursor=None))
    assert await uuids(api) == []


async def test_without_cursors_pages_are_counted(api: respx.Router) -> None:
    its = route(
        api,
        page("pl_1", current_page=1, total_pages=2),
        page("pl_2", current_page=2, total_pages=2),
    )
    assert await uuids(api) == ["pl_1", "pl_2"]
    assert queries(its) == [{}, {"page": "2"}]


async def test_an_iteration_goes_on_after_a_cursor(api: respx.Router) -> None:
    its = route(api, page("pl_2", has_more=True, cursor="two"), page("pl_3", has_more=False))
    assert await uuids(api, cursor="one") == ["pl_2", "pl_3"]
    assert queries(its) == [{"cursor": "one"}, {"cursor": "two"}]


async def test_each_iteration_begins_anew(api: respx.Router) -> None:
    route(api, page("pl_1"), page("pl_1"))
    async with client_of(api) as client:
        plans = client.plans.list()
        assert [plan.uuid async for plan in plans] == [plan.uuid async for plan in plans] == ["pl_1"]


async def test_no_page_is_read_that_nobody_wants(api: respx.Router) -> None:
    its = route(api, page("pl_1", "pl_2", has_more=True, cursor="one"))
    async with client_of(api) as client:
        async for plan in client.plans.list():
            assert plan.uuid == "pl_1"
            break
    assert its.call_count == 1


async def test_after_an_error_the_same_page_is_read(api: respx.Router) -> None:
    route(api, page("pl_1", has_more=True, cursor="one"), 500, page("pl_2"))
    async with client_of(api, retry=RetryPolicy(attempts=1)) as client:
        items = aiter(client.plans.list())
        assert aiter(items) is items
        assert (await anext(items)).uuid == "pl_1"
        with pytest.raises(ServerError):
            await anext(items)
        assert (await anext(items)).uuid == "pl_2"


# --- guards ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("responses", "problem"),
    [
        ([page("pl_1", has_more=True, cursor="")], r"the cursor is missing or repeats"),
        ([page("pl_1", has_more=True, cursor="c" * 70_000)], r"\$\.cursor: cannot be sent"),
        ([page("pl_1", has_more=True)], r"\$\.cursor: has_more is true, but the cursor is missing or repeats"),
        (
            [page("pl_1", has_more=True, cursor="one"), page("pl_2", has_more=True, cursor="one")],
            r"\$\.cursor: has_more is true, but the cursor is missing or repeats",
        ),
        (
            [page("pl_1", has_more=True, current_page=1), page("pl_1", has_more=True, current_page=1)],
            r"\$\.cursor: has_more is true, but the cursor is missing or repeats",
        ),
        ([page(has_more=True, cursor="one")], r"\$\.has_more: true, but the page is empty"),
    ],
    ids=["blank", "too long", "missing", "repeats", "repeats its number", "empty"],
)
async def test_what_leads_nowhere_is_an_error(api: respx.Router, responses: list[Any], problem: str) -> None:
    """All that came is given before."""
    route(api, *responses)
    came = []
    async with client_of(api) as client:
        with pytest.raises(DecodeError, match=problem):
            async for plan in client.plans.list():
                came.append(plan.uuid)
    assert came == [plan["uuid"] for response in responses for plan in response["plans"]]


async def test_a_cursor_that_is_no_unicode_is_an_error(api: respx.Router) -> None:
    content = rb'{"plans": [{"uuid": "pl_1", "name": "Gold"}], "has_more": true, "cursor": "\ud800"}'
    api.get("/plans").respond(content=content)
    with pytest.raises(DecodeError, match=r"\$\.cursor: cannot be sent"):
        await uuids(api)


async def test_the_cursor_that_was_given_may_not_come_back(api: respx.Router) -> None:
    route(api, page("pl_1", has_more=True, cursor="one"))
    with pytest.raises(DecodeError, match="the cursor is missing or repeats") as caught:
        await uuids(api, cursor="one")
    assert caught.value.problems == ("$.cursor: has_more is true, but the cursor is missing or repeats",)


async def test_a_list_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_MOST_PAGES", 3)
    sent: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=page("pl_1", has_more=True, cursor=f"cursor {len(sent)}"))

    async with client_of(respond) as client:
        with pytest.raises(DecodeError, match="still true after 3 pages"):
            [plan async for plan in client.plans.list()]
    assert len(sent) == 4


# --- arguments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "problem"),
    [
        (lambda client: client.plans.list(per_page=0), "per_page must be an integer from 1 to 200, not 0"),
        (lambda client: client.plan_groups.list(per_page=201), "per_page must be an integer from 1 to 200, not 201"),
        (lambda client: client.customers.list(cursor=5), "cursor must be a str, not 5"),
        (lambda client: client.customers.list(system=" "), "system must not be blank: omit it for all"),
        (lambda client: client.customers.list(status=" "), f"{STATUS} ' '"),
        (lambda client: client.customers.list(status="active"), f"{STATUS} 'active'"),
        # The word of a record, and those of earlier records.
        (lambda client: client.customers.list(status="Past Due"), f"{STATUS} 'Past Due'"),
        (lambda client: client.customers.list(status="Lead"), f"{STATUS} 'Lead'"),
        (lambda client: client.plans.list(system="\ud800"), "system must be valid Unicode"),
        (lambda client: client.plan_groups.plans("a/b"), "plan_group must be a UUID such as 'plg_…', not 'a/b'"),
        (lambda client: client.plan_groups.plans(None), "plan_group must be a UUID such as 'plg_…', not None"),
        (lambda client: client.plans.list(external_id="x" * 60_001), "external_id must be shorter"),
    ],
)
async def test_arguments_are_refused_at_once(ask: Callable[[AsyncClient], Pages[Any]], problem: str) -> None:
    async with AsyncClient("key") as client:
        with pytest.raises(ArgumentError) as refused:
            ask(client)
    assert str(refused.value).startswith(problem)


async def test_a_plain_for_is_refused_with_a_remedy() -> None:
    async with AsyncClient("key") as client:
        with pytest.raises(StateError, match='use "async for item in'):
            list(client.plans.list())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
        assert repr(client.plans.list()) == "<Pages of /plans>"


# --- against the sandbox -----------------------------------------------------------------------------------


async def test_lists_of_the_sandbox() -> None:
    company = Company(customers=40)
    sandbox = Sandbox(company, limits=Limits(per_second=None))
    async with AsyncClient("sandbox", transport=sandbox.transport()) as client:
        plans = [plan async for plan in client.plans.list(per_page=2)]
        assert [plan.uuid for plan in plans] == [plan.uuid for plan in reversed(PLANS)]
        groups = [group async for group in client.plan_groups.list(per_page=1)]
        assert [(group.name, group.plans_count) for group in groups] == [
            (group.name, len(group.plans)) for group in reversed(PLAN_GROUPS)
        ]
        its = {group.name: {plan.uuid async for plan in client.plan_groups.plans(group.uuid)} for group in groups}
        assert its == {group.name: set(group.plans) for group in PLAN_GROUPS}
        customers = [customer async for customer in client.customers.list(per_page=7)]
        assert {customer.uuid for customer in customers} == {each.uuid for each in company.customers}
        with pytest.raises(NotFoundError, match="Plan group not found"):
            await client.plan_groups.plans("plg_0")


async def test_a_damaged_cursor_is_refused_and_starts_no_list_again() -> None:
    sandbox = Sandbox(Company(customers=5), limits=Limits(per_second=None))
    async with AsyncClient("sandbox", transport=sandbox.transport()) as client:
        first = await client.customers.list(per_page=2)
        assert first.cursor
        for damaged in (first.cursor[:-4], first.cursor.swapcase(), "nonsense"):
            with pytest.raises(BadRequestError, match='Parameter "cursor" is invalid') as refused:
                await client.customers.list(cursor=damaged)
            assert refused.value.param == "cursor"
        assert (await client.customers.list(cursor=first.cursor))[0] == (await client.customers.list())[2]


@pytest.mark.parametrize("status", get_args(Status))
async def test_every_status_is_sent_as_it_is(api: respx.Router, status: Status) -> None:
    its = api.get("/customers").respond(200, json={"entries": [], "has_more": False})
    async with client_of(api) as client:
        await client.customers.list(status=status)
    assert queries(its) == [{"status": status}]


async def test_pages_have_types() -> None:
    sandbox = Sandbox(Company(customers=5), limits=Limits(per_second=None))
    async with AsyncClient("sandbox", transport=sandbox.transport()) as client:
        assert isinstance((await client.plans.list())[0], Plan)
        assert isinstance((await client.plan_groups.list())[0], PlanGroup)
        assert isinstance((await client.customers.list())[0], Customer)
        assert (await client.plans.list(per_page=1)).has_more
