"""``GET /v1/customers/search`` and ``GET /v1/account``, in today's shapes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from chartmogul_async.sandbox.company import Company
from chartmogul_async.sandbox.records import COUNTRIES, Customer, made_up_uuid
from chartmogul_async.sandbox.reply import Reply, answer, refuse, to_json

_PAGE = 200  # both the default and the most; a larger wish is silently cut down

SETTINGS: Mapping[str, object] = {
    "churn_recognition": "churn_at_time_of_cancelation",
    "churn_when_zero_mrr": True,
    "auto_churn_subscription": False,
    "refund_handling": "refund_ignore",
    "proximate_movement_reclassification": "reclassification_off",
}
"""What ``include`` may ask of the account, and the answers."""


def account(company: Company, query: Mapping[str, str]) -> Reply:
    """Give the account's name, currency, time zone, first day of the week and id, and the settings named in
    ``include``.

    400 for a setting that does not exist.
    """
    profile = company.profile
    told: dict[str, object] = {
        "id": made_up_uuid("acc_", company.seed),
        "name": profile.name,
        "currency": profile.currency,
        "time_zone": profile.time_zone,
        "week_start_on": profile.week_start_on,
    }
    for name in filter(None, query.get("include", "").split(",")):
        if name not in SETTINGS:
            return Reply(400, to_json({"message": f"Invalid include parameter: {name}"}))
        told[name] = SETTINGS[name]
    return answer(told)


def search(company: Company, query: Mapping[str, str]) -> Reply:
    """Give the customers with this e-mail (compared without case), the longest-standing first, in pages.

    400 without ``email``, 404 when nobody has it. A ``per_page`` that is no positive number counts as 200; a
    cursor that was not given out starts anew. The page numbers of old vanish once a cursor is sent, as they
    do in the real API.
    """
    email = query.get("email")
    if not email:
        return refuse(400, 'Parameter "email" is missing', "email")
    found = [customer for customer in company.customers if customer.email.casefold() == email.casefold()]
    if not found:
        return refuse(404, f'Can\'t find any customers with email: "{email}"', "email")
    found.sort(key=lambda customer: (customer.since or company.today, customer.number))
    cursors = [_cursor(customer) for customer in found]
    asked = query.get("cursor", "")
    start = cursors.index(asked) + 1 if asked in cursors else 0
    text = query.get("per_page", "")
    size = min(int(text), _PAGE) if text.isdecimal() and int(text) else _PAGE
    page = found[start : start + size]
    entries = [_object(company, customer) for customer in page]
    more = start + size < len(found)
    cursor = _cursor(page[-1]) if page else None
    old: dict[str, object] = {} if asked else {"current_page": 1, "total_pages": None}
    old_too: dict[str, object] = {} if asked else {"per_page": size, "page": 1}
    return answer({"entries": entries, **old, "has_more": more, **old_too, "cursor": cursor}, entries=len(entries))


def _cursor(customer: Customer) -> str:
    since = f"{customer.since}T00:00:00.000000000Z" if customer.since else ""
    return base64.b64encode(f"{since}&{customer.number}".encode()).decode()


def _object(company: Company, customer: Customer) -> dict[str, Any]:
    source = made_up_uuid("ds_", company.seed)
    mrr = customer.mrr_on(company.today)
    number = 100_000 + customer.number
    return {
        "id": number,
        "uuid": customer.uuid,
        "external_id": customer.external_id,
        "name": customer.name,
        "email": customer.email,
        "status": "Active" if mrr else "Cancelled",
        "customer-since": f"{customer.since}T00:00:00+00:00" if customer.since else None,
        "attributes": {"tags": [], "stripe": {}, "custom": {}},
        "data_source_uuid": source,
        "data_source_uuids": [source],
        "external_ids": [customer.external_id],
        "company": customer.name,
        "country": customer.country,
        "state": None,
        "city": customer.city,
        "zip": None,
        "lead_created_at": None,
        "free_trial_started_at": None,
        "address": {
            "country": COUNTRIES[customer.country][0],
            "state": None,
            "city": customer.city,
            "address_zip": None,
        },
        "mrr": mrr,
        "arr": 12 * mrr,
        "billing-system-url": None,
        "chartmogul-url": f"https://app.chartmogul.com/#/customers/{number}-{customer.name.replace(' ', '_')}",
        "billing-system-type": "Import API",
        "currency": company.profile.currency,
        "currency-sign": company.profile.currency_sign,
        "owner": None,
        "website_url": None,
    }
