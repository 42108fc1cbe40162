"""``client.customers``: find customers by e-mail address."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import field, frozen

from chartmogul_async.errors import DecodeError, NotFoundError, UsageError
from chartmogul_async.fetch import Fetch

Amount = int | float | None


@frozen
class Address:
    """A postal address; country and state by their full names."""

    country: str | None = None
    state: str | None = None
    city: str | None = None
    address_zip: str | None = field(default=None, metadata={"key": "address_zip"})


@frozen
class CustomerAttributes:
    """Tags, custom attributes by their key, and what the billing system knows."""

    tags: tuple[str, ...] = ()
    custom: dict[str, Any] = field(factory=dict, hash=False)
    stripe: dict[str, Any] = field(factory=dict, hash=False)


@frozen
class BetaSubscription:
    """A subscription as the closed beta put it into the customer."""

    plan: str | None = None
    quantity: int | None = None
    mrr: Amount = field(default=None, metadata={"text": True})
    billing_cycle: str | None = None
    next_payment: datetime | None = None
    start_date: datetime | None = None
    currency: str | None = None
    discount: Amount = field(default=None, metadata={"text": True})
    status: str | None = None


@frozen
class BetaActivity:
    """An activity as the closed beta put it into the customer."""

    description: str | None = None
    activity_mrr: Amount = field(default=None, metadata={"text": True})
    activity_arr: Amount = field(default=None, metadata={"text": True})
    date: datetime | None = None
    type: str | None = None


@frozen
class Customer:
    """A customer, in the shape of today or of the closed beta; what an answer lacks is None.

    ``mrr`` and ``arr`` are cents of the account's currency. The closed beta wrote them as text and does not
    say in which unit: there they are the number as it stands. ``name``, ``email`` and ``company`` are empty
    strings when unset. ``status`` is an open set of words, such as "Active" or "Past Due".

    Source: https://dev.chartmogul.com/reference/customers
    """

    id: int | None = None
    uuid: str | None = None
    external_id: str | None = field(default=None, metadata={"key": "external_id"})
    external_ids: tuple[str, ...] = field(default=(), metadata={"key": "external_ids"})
    data_source_uuid: str | None = field(default=None, metadata={"key": "data_source_uuid"})
    data_source_uuids: tuple[str, ...] = field(default=(), metadata={"key": "data_source_uuids"})
    name: str | None = None
    company: str | None = None
    email: str | None = None
    status: str | None = None
    mrr: Amount = field(default=None, metadata={"text": True, "unit": "cents", "kind": "stock"})
    arr: Amount = field(default=None, metadata={"text": True, "unit": "cents", "kind": "stock"})
    currency: str | None = None
    currency_sign: str | None = None
    customer_since: datetime | None = None
    lead_created_at: datetime | None = field(default=None, metadata={"key": "lead_created_at"})
    free_trial_started_at: datetime | None = field(default=None, metadata={"key": "free_trial_started_at"})
    country: str | None = None
    state: str | None = None
    city: str | None = None
    zip: str | None = None
    address: Address | None = None
    attributes: CustomerAttributes | None = None
    owner: str | None = None
    website_url: str | None = field(default=None, metadata={"key": "website_url"})
    billing_system_type: str | None = None
    billing_system_url: str | None = None
    chartmogul_url: str | None = None
    # of the closed beta only
    owner_email: str | None = None
    location: str | None = None
    percentage_of_world_mrr: Amount = field(default=None, metadata={"text": True, "unit": "percent", "kind": "rate"})
    subscriptions: tuple[BetaSubscription, ...] = ()
    activities: tuple[BetaActivity, ...] = ()


@frozen
class _Page:
    """One page of customers. The last page has a cursor as well; only ``has_more`` tells."""

    entries: tuple[Customer, ...]
    has_more: bool = field(default=False, metadata={"key": "has_more"})
    cursor: str | None = None


class Customers:
    """The customers of the account."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    async def search(self, email: str) -> tuple[Customer, ...]:
        """Find the customers with an e-mail address, on however many pages; empty if there is none.

        Raises ``UsageError`` if ``email`` cannot be an address. Source:
        https://dev.chartmogul.com/reference/customers/search
        """
        if not isinstance(email, str) or "@" not in email.strip("@ "):
            raise UsageError(f"email is {email!r}; it is an address such as 'anna@example.com'")
        found: list[Customer] = []
        params = {"email": email.strip()}
        seen: set[str] = set()
        while True:
            try:
                page = await self._fetch("/customers/search", params, _Page)
            except NotFoundError:
                if not seen:  # on the first page this is how the API says that there is none
                    return ()
                raise
            found += page.entries
            if not page.has_more:
                return tuple(found)
            if page.cursor is None or page.cursor in seen:
                raise DecodeError("GET /customers/search: there is more, but the answer's cursor does not lead to it")
            seen.add(page.cursor)
            params = params | {"cursor": page.cursor}
