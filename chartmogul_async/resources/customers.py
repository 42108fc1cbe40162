"""``client.customers``: list all customers, or find some by their e-mail address."""

from datetime import datetime
from typing import Any, Literal, get_args

from attrs import field, frozen

from chartmogul_async.checks import encodable, instance_of, one_of, short_enough, shown
from chartmogul_async.errors import ArgumentError, NotFoundError
from chartmogul_async.resources.pages import Envelope, Pages, Walk, list_params
from chartmogul_async.structuring.record import Record
from chartmogul_async.transport.session import Session

Amount = int | float | None
Status = Literal["Active", "Past_Due", "Cancelled", "New_Lead", "Working_Lead", "Qualified_Lead", "Unqualified_Lead"]
_STATUSES: tuple[Status, ...] = get_args(Status)


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


@frozen(kw_only=True)
class CustomersEnvelope(Envelope[Customer]):
    """One page of customers."""

    entries: tuple[Customer, ...]


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
        walk = Walk(self._session, "/customers/search", params, CustomersEnvelope)
        try:
            page = await walk.page()
        except NotFoundError as error:
            # On the first page this is how the API reports that there is no such customer.
            if _is_about_the_email(error):
                return ()
            raise
        found: list[Customer] = []
        while page is not None:
            found += page
            page = await walk.page()
        return tuple(found)

    def list(
        self,
        *,
        status: Status | None = None,
        data_source_uuid: str | None = None,
        system: str | None = None,
        external_id: str | None = None,
        per_page: int | None = None,
        cursor: str | None = None,
    ) -> Pages[Customer]:
        """List the customers, leads included, by the day since which they are customers.

        Args:
            status: Only those with one status: ``"Active"``, ``"Past_Due"``, ``"Cancelled"``, ``"New_Lead"``,
                ``"Working_Lead"``, ``"Qualified_Lead"`` or ``"Unqualified_Lead"``. For any other word the API responds
                with an empty list. A record has a space in place of the underscore: ``"Past Due"``.
            data_source_uuid: Only those of one data source, ``"ds_…"``.
            system: Only those of one kind of source, such as ``"Stripe"``; case-sensitive.
            external_id: Only those with this id in the billing system.
            per_page: Items on a page, from 1 to 200, which is also what the API takes by default.
            cursor: Go on after the page that had this ``cursor``.

        Returns:
            The list, to ``await`` for the first page, or to ``async for`` for every customer on every page. What
            requests meet is raised there.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.

        Source: https://dev.chartmogul.com/reference/customers/list, and for the seven words of ``status`` ChartMogul's
        node for n8n, which offers no others
        """
        filters = {
            "status": None if status is None else one_of("status", status, _STATUSES),
            "data_source_uuid": data_source_uuid,
            "system": system,
            "external_id": external_id,
        }
        return Pages(self._session, "/customers", list_params(filters, per_page, cursor), CustomersEnvelope)


def _is_about_the_email(error: NotFoundError) -> bool:
    """Whether a 404 means that there is no such customer, and not that another server is behind ``base_url``.

    The recorded message is "Can't find any customers with email: …", its parameter ``email``.
    """
    return error.param == "email" or "email" in error.message.lower()
