"""``GET /v1/customers``, ``GET /v1/customers/search`` and ``GET /v1/account``, in their current shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chartmogul_async.sandbox.company import Company
from chartmogul_async.sandbox.pages import cursor, page_of
from chartmogul_async.sandbox.records import COUNTRIES, Subscriber, deterministic_uuid
from chartmogul_async.sandbox.response import Response, error_response, json_response, to_json

SYSTEM = "Import API"
"""The kind of the only data source."""

SETTINGS: Mapping[str, object] = {
    "churn_recognition": "churn_at_time_of_cancelation",
    "churn_when_zero_mrr": True,
    "auto_churn_subscription": False,
    "refund_handling": "refund_ignore",
    "proximate_movement_reclassification": "reclassification_off",
}
"""The account's settings that ``include`` may request, with their values."""


def account(company: Company, query: Mapping[str, str]) -> Response:
    """Respond to a request for the account.

    Args:
        company: The company.
        query: The parameters of the request.

    Returns:
        A 200 with the account's id, name, currency, time zone and first day of the week, and the settings named in
        ``include``; a 400 for an unknown setting.
    """
    profile = company.profile
    body: dict[str, object] = {
        "id": deterministic_uuid("acc_", company.seed),
        "name": profile.name,
        "currency": profile.currency,
        "time_zone": profile.time_zone,
        "week_start_on": profile.week_start_on,
    }
    for name in filter(None, query.get("include", "").split(",")):
        if name not in SETTINGS:
            return Response(400, to_json({"message": f"Invalid include parameter: {name}"}))
        body[name] = SETTINGS[name]
    return json_response(body)


def search(company: Company, query: Mapping[str, str]) -> Response:
    """Respond to a search for customers by e-mail address (compared without case), in pages.

    With ``with_associated_emails=true`` the address of a contact is found as well.

    Args:
        company: The company.
        query: The parameters of the request.

    Returns:
        A 200 with one page of customers, the longest-standing first; a 400 without ``email`` or with too long a
        ``per_page``; a 404 if no customer has that address.
    """
    email = query.get("email")
    if not email:
        return error_response(400, 'Parameter "email" is missing', "email")
    with_contacts = query.get("with_associated_emails") == "true"
    wanted = email.casefold()
    found = [customer for customer in company.customers if wanted in _emails(customer, with_contacts)]
    if not found:
        return error_response(404, f'Can\'t find any customers with email: "{email}"', "email")
    # The real API gives no total of a search.
    return _listed(company, found, query, counts_pages=False)


def customers(company: Company, query: Mapping[str, str]) -> Response:
    """Respond to a request for the list of customers.

    Args:
        company: The company.
        query: The parameters of the request: ``status`` (with underscores), ``data_source_uuid``, ``system`` and
            ``external_id`` restrict the list; an empty one does not.

    Returns:
        A 200 with one page of customers, the longest-standing first; a 400 with too long a ``per_page`` or ``page``.
    """
    wanted = {name: query[name] for name in ("status", "data_source_uuid", "system", "external_id") if query.get(name)}
    found = [customer for customer in company.customers if wanted.items() <= _listed_by(company, customer).items()]
    return _listed(company, found, query, counts_pages=True)


def source_uuid(company: Company) -> str:
    """The UUID of the only data source, from which all customers and plans come."""
    return deterministic_uuid("ds_", company.seed)


def _listed_by(company: Company, customer: Subscriber) -> dict[str, str]:
    return {
        "status": _status(company, customer),
        "data_source_uuid": source_uuid(company),
        "system": SYSTEM,
        "external_id": customer.external_id,
    }


def _listed(company: Company, found: list[Subscriber], query: Mapping[str, str], *, counts_pages: bool) -> Response:
    found.sort(key=lambda customer: (customer.since or company.today, customer.number))
    return page_of(
        found,
        query,
        root="entries",
        cursor_of=_cursor,
        to_json=lambda customer: _customer_json(company, customer),
        counts_pages=counts_pages,
    )


def _status(company: Company, customer: Subscriber) -> str:
    return "Active" if customer.mrr_on(company.today) else "Cancelled"


def _emails(customer: Subscriber, with_contacts: bool) -> set[str]:
    emails = {customer.email, customer.contact_email} if with_contacts else {customer.email}
    return {email.casefold() for email in emails}


def _cursor(customer: Subscriber) -> str:
    since = f"{customer.since}T00:00:00.000000000Z" if customer.since else ""
    return cursor(since, customer.number)


def _customer_json(company: Company, customer: Subscriber) -> dict[str, Any]:
    source = source_uuid(company)
    mrr = customer.mrr_on(company.today)
    number = 100_000 + customer.number
    status = _status(company, customer)
    return {
        "id": number,
        "uuid": customer.uuid,
        "external_id": customer.external_id,
        "name": customer.name,
        "email": customer.email,
        "status": status,
        "lead_status": "New Lead",
        "free_subscriber_status": "Never a Free Subscriber",
        "trial_subscriber_status": "Never had Trial",
        # The words of the real API for a customer who paid are not known.
        "paid_subscriber_status": status if customer.since else "Never a Paid Subscriber",
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
        "last_seen": None,
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
        "billing-system-type": SYSTEM,
        "currency": company.profile.currency,
        "currency-sign": company.profile.currency_sign,
        "owner": None,
        "website_url": None,
    }
