"""``GET /v1/plans``, ``GET /v1/plan_groups`` and ``GET /v1/plan_groups/{uuid}/plans``, in their current shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from chartmogul_async.sandbox.company import Company
from chartmogul_async.sandbox.customers import SYSTEM, source_uuid
from chartmogul_async.sandbox.pages import cursor, page_of
from chartmogul_async.sandbox.records import PricingGroup, PricingPlan
from chartmogul_async.sandbox.response import Response, to_json


def plans(company: Company, query: Mapping[str, str]) -> Response:
    """Respond to a request for the list of plans.

    Args:
        company: The company.
        query: The parameters of the request: ``data_source_uuid``, ``system`` and ``external_id`` restrict the list;
            an empty one does not.

    Returns:
        A 200 with one page of plans, the newest first; a 400 with too long a ``per_page`` or ``page``.
    """
    wanted = {name: query[name] for name in ("data_source_uuid", "system", "external_id") if query.get(name)}
    found = [
        plan for plan in company.plans if wanted.items() <= (_plan_json(company, plan) | {"system": SYSTEM}).items()
    ]
    return _plans(company, found, query)


def plan_groups(company: Company, query: Mapping[str, str]) -> Response:
    """Respond to a request for the list of plan groups.

    Args:
        company: The company.
        query: The parameters of the request.

    Returns:
        A 200 with one page of groups, the newest first; a 400 with too long a ``per_page`` or ``page``.
    """
    documents = [_group_json(group) for group in company.plan_groups]
    return _page(company, documents, query, "plan_groups")


def plans_of_group(company: Company, uuid: str, query: Mapping[str, str]) -> Response:
    """Respond to a request for the plans of a group.

    Args:
        company: The company.
        uuid: The UUID of the group.
        query: The parameters of the request.

    Returns:
        A 200 with one page of plans, the newest first; a 400 with too long a ``per_page`` or ``page``; a 404 if there
        is no such group.
    """
    for group in company.plan_groups:
        if group.uuid == uuid:
            return _plans(company, [plan for plan in company.plans if plan.uuid in group.plans], query)
    return Response(404, to_json({"error": "Plan group not found"}))


def _plans(company: Company, found: Sequence[PricingPlan], query: Mapping[str, str]) -> Response:
    documents = [_plan_json(company, plan) for plan in found]
    return _page(company, documents, query, "plans")


def _page(company: Company, documents: Sequence[dict[str, Any]], query: Mapping[str, str], root: str) -> Response:
    # One was made each day before the founding, the first one first.
    uuids = [plan.uuid for plan in company.plans] + [group.uuid for group in company.plan_groups]
    numbers = {uuid: number for number, uuid in enumerate(uuids, 1)}

    def cursor_of(document: dict[str, Any]) -> str:
        number = numbers[document["uuid"]]
        made_on = company.founded - timedelta(days=100) + timedelta(days=number)
        return cursor(f"{made_on}T00:00:00.000000000Z", number)

    return page_of(documents[::-1], query, root=root, cursor_of=cursor_of, to_json=dict, counts_pages=True)


def _plan_json(company: Company, plan: PricingPlan) -> dict[str, Any]:
    is_yearly = plan.months % 12 == 0
    return {
        "external_id": plan.external_id,
        "name": plan.name,
        "interval_count": plan.months // 12 if is_yearly else plan.months,
        "uuid": plan.uuid,
        "interval_unit": "year" if is_yearly else "month",
        "data_source_uuid": source_uuid(company),
    }


def _group_json(group: PricingGroup) -> dict[str, Any]:
    return {"name": group.name, "uuid": group.uuid, "plans_count": len(group.plans)}
