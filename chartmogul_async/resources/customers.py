"""``client.customers``: find customers by e-mail address."""

from datetime import datetime
from typing import Any

from attrs import field, frozen

from chartmogul_async.checks import encodable, instance_of, short_enough, shown
from chartmogul_async.errors import ArgumentError, NotFoundError
from chartmogul_async.structuring.record import Record
from chartmogul_async.transport.session import Session

Amount = int | float | None


@frozen
class Address(Record):
    """A postal address, with the full names of country and state."""

    __module__ = "chartmogul_async"

    country: str | None = None
    state: str | None = None
    city: str | None = None
    address_zip: str | None = field(default=None, metadata={"key": "address_zip"})


@frozen
class CustomerAttributes(Record):
    """Tags, custom attributes by their key, and attributes from the billing system."""

    __module__ = "chartmogul_async"

    tags: tuple[str, ...] = ()
    custom: dict[str, Any] = field(factory=dict, hash=False)
    stripe: dict[str, Any] = field(factory=dict, hash=False)


@frozen
class BetaSubscription(Record):
    """A subscription, as part of a customer in responses of the closed beta."""

    __module__ = "chartmogul_async"

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
class BetaActivity(Record):
    """An activity, as part of a customer in responses of the closed beta."""

    __module__ = "chartmogul_async"

    description: str | None = None
    activity_mrr: Amount = field(default=None, metadata={"text": True})
    activity_arr: Amount = field(default=None, metadata={"text": True})
    date: datetime | None = None
    type: str | None = None


@frozen
class Customer(Record):
    """A customer, in the current shape or that of the closed beta; fields that the response lacks are None.

    ``mrr`` and ``arr`` are cents of the account's currency. The closed beta wrote them as strings without documenting
    the unit; they are kept as the same number. ``name``, ``email`` and ``company`` are empty strings when unset.
    ``status`` is an open set of words, such as "Active" or "Past Due".

    Five fields appeared in September 2026, and older responses lack them: ``lead_status`` ("New Lead" …),
    ``free_subscriber_status`` ("Never a Free Subscriber" …), ``trial_subscriber_status`` ("Never had Trial" …) and
    ``paid_subscriber_status`` ("Never a Paid Subscriber" …), which are open sets of words as well, and ``last_seen``.

    Source: https://dev.chartmogul.com/reference/customers; the five fields as recorded by the official client libraries
    """

    __module__ = "chartmogul_async"

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
    lead_status: str | None = field(default=None, metadata={"key": "lead_status"})
    free_subscriber_status: str | None = field(default=None, metadata={"key": "free_subscriber_status"})
    trial_subscriber_status: str | None = field(default=None, metadata={"key": "trial_subscriber_status"})
    paid_subscriber_status: str | None = field(default=None, metadata={"key": "paid_subscriber_status"})
    mrr: Amount = field(default=None, metadata={"text": True, "unit": "cents", "kind": "stock"})
    arr: Amount = field(default=None, metadata={"text": True, "unit": "cents", "kind": "stock"})
    currency: str | None = None
    currency_sign: str | None = None
    customer_since: datetime | None = None
    lead_created_at: datetime | None = field(default=None, metadata={"key": "lead_created_at"})
    free_trial_started_at: datetime | None = field(default=None, metadata={"key": "free_trial_started_at"})
    last_seen: datetime | None = field(default=None, metadata={"key": "last_seen"})
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
    # The fields below occur in the closed beta only.
    owner_email: str | None = None
    location: str | None = None
    percentage_of_world_mrr: Amount = field(default=None, metadata={"text": True, "unit": "percent", "kind": "rate"})
    subscriptions: tuple[BetaSubscription, ...] = ()
    activities: tuple[BetaActivity, ...] = ()


@frozen
class _Page:
    """One page of customers. The last page has a cursor as well, so ``has_more`` decides whether there is another."""

    entries: tuple[Customer, ...]
    has_more: bool = field(default=False, metadata={"key": "has_more"})
    cursor: str | None = None


class Customers:
    """The customers of the account."""

    __module__ = "chartmogul_async"

    def __init__(self, session: Session) -> None:
        self._session = session

    async def search(self, email: str, *, with_associated_emails: bool = False) -> tuple[Customer, ...]:
        """Find the customers with an e-mail address, on all pages.

        Args:
            email: The address; spaces around it are removed.
            with_associated_emails: Also find customers of whom a contact has the address.

        Returns:
            The customers; empty if there is none.

        Raises:
            ArgumentError: ``email`` cannot be an address, or the other argument is not a bool. Nothing was sent.
            ChartMogulError: The request failed.

        Source: https://dev.chartmogul.com/reference/customers/search; ``with_associated_emails`` as in ChartMogul's
        node for n8n
        """
        if not isinstance(email, str) or "@" not in email.strip("@ "):
            raise ArgumentError(f"email must be an address such as 'anna@example.com', not {shown(email)}")
        params = {"email": encodable("email", email.strip())}
        short_enough(params)
        if instance_of("with_associated_emails", with_associated_emails, bool):
            params["with_associated_emails"] = "true"
        found: list[Customer] = []
        seen: set[str] = set()
        while True:
            try:
                page = await self._session.fetch("/customers/search", params, _Page)
            except NotFoundError as error:
                # On the first page this is how the API reports that there is no such customer.
                if not seen and _is_about_the_email(error):
                    return ()
                raise
            found += page.entries
            if not page.has_more:
                return tuple(found)
            if page.cursor is None or page.cursor in seen:
                raise self._session.mismatch(
                    "/customers/search", "$.cursor: has_more is true, but the cursor is missing or repeats"
                )
            seen.add(page.cursor)
            params = params | {"cursor": page.cursor}


def _is_about_the_email(error: NotFoundError) -> bool:
    """Whether a 404 means that there is no such customer, and not that another server is behind ``base_url``.

    The recorded message is "Can't find any customers with email: …", its parameter ``email``.
    """
    return error.param == "email" or "email" in error.message.lower()
