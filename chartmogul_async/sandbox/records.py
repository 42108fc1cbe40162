"""The values that make up a company: its pricing plans, its subscribers, and their bookings.

A subscriber's history is a sequence of bookings, and a booking is a *state* ("from this day on, this plan is worth so
many cents a month"), never a difference. Movements are derived from the states (see ``ledger``) and never stored
beside them, so figures stay consistent with each other whatever is booked later, even into the past.
"""

from __future__ import annotations

from datetime import date
from uuid import UUID, uuid5

from attrs import frozen

_NAMESPACE = UUID("5a9db0c2-0a3e-5c1c-9c6b-0d7c2f5e1b11")


def deterministic_uuid(prefix: str, *parts: object) -> str:
    """A made-up id, always the same one for the same parts: ``cus_6c1f…`` for ``("cus_", seed, 17)``."""
    return prefix + str(uuid5(_NAMESPACE, "/".join([prefix, *map(str, parts)])))


@frozen
class PricingPlan:
    """A plan with its prices.

    Attributes:
        name: The name shown to customers.
        uuid: ChartMogul's id, with the prefix ``pl_``.
        external_id: The id in the billing system.
        months: The length of a billing period.
        prices: Cents for one seat and one billing period, by currency.
    """

    name: str
    uuid: str
    external_id: str
    months: int
    prices: tuple[tuple[str, int], ...]

    def mrr(self, quantity: int, currency: str, rate: tuple[int, int]) -> int:
        """The MRR of some seats.

        Args:
            quantity: How many seats.
            currency: The currency of payment.
            rate: The value of one unit of ``currency`` in the account's currency, as numerator and denominator.

        Returns:
            Cents a month in the account's currency, rounded half up once.
        """
        numerator, denominator = dict(self.prices)[currency] * quantity * rate[0], self.months * rate[1]
        return (2 * numerator + denominator) // (2 * denominator)


@frozen
class PricingGroup:
    """A group of plans.

    Attributes:
        name: The name.
        uuid: ChartMogul's id, with the prefix ``plg_``.
        plans: The UUIDs of its plans; it may be empty.
    """

    name: str
    uuid: str
    plans: tuple[str, ...]


@frozen
class Booking:
    """From the day ``on``, the subscription to one plan has this MRR.

    Attributes:
        on: The first day.
        plan: The UUID of the plan.
        mrr: Cents a month in the account's currency; 0 ends the subscription.
    """

    on: date
    plan: str
    mrr: int


@frozen
class Subscriber:
    """A customer of the company.

    Attributes:
        number: The position in the order of signing up, from 1.
        uuid: ChartMogul's id, with the prefix ``cus_``.
        name: The name.
        email: The e-mail address.
        country: A two-letter code, a key of ``COUNTRIES``.
        city: The city.
        currency: The currency of payment; MRR is kept in the account's currency.
        bookings: The subscriber's history, sorted by day.
    """

    number: int
    uuid: str
    name: str
    email: str
    country: str
    city: str
    currency: str
    bookings: tuple[Booking, ...] = ()

    @property
    def external_id(self) -> str:
        """The id in the billing system."""
        return f"customer_{self.number:05}"

    @property
    def since(self) -> date | None:
        """The day of the first sale, None if there was none."""
        return next((booking.on for booking in self.bookings if booking.mrr), None)

    @property
    def contact_email(self) -> str:
        """The e-mail address of the only contact of the customer, ``finance@`` at the customer's own domain."""
        return f"finance@{self.email.rpartition('@')[2]}"

    def mrr_on(self, day: date) -> int:
        """Cents a month at the end of ``day``, all plans together."""
        mrr_by_plan = {booking.plan: booking.mrr for booking in self.bookings if booking.on <= day}
        return sum(mrr_by_plan.values())


BRONZE = PricingPlan(
    "Bronze Monthly", "pl_0b1d6c1e-52a7-4d0b-8f5e-6a1c3e9d7a01", "bronze_monthly", 1, (("USD", 39_00), ("EUR", 35_00))
)
SILVER = PricingPlan(
    "Silver Monthly", "pl_1c2e7d2f-63b8-4e1c-9a6f-7b2d4fae8b02", "silver_monthly", 1, (("USD", 99_00), ("EUR", 89_00))
)
GOLD = PricingPlan(
    "Gold Monthly", "pl_2d3f8e30-74c9-4f2d-8b70-8c3e50bf9c03", "gold_monthly", 1, (("USD", 249_00), ("EUR", 229_00))
)
GOLD_YEARLY = PricingPlan(
    "Gold, Yearly", "pl_3e409f41-85da-403e-9c81-9d4f61c0ad04", "gold_yearly", 12, (("USD", 2490_00), ("EUR", 2290_00))
)
SUPPORT = PricingPlan(
    "Priority Support", "pl_4f51a052-96eb-414f-8d92-ae5072d1be05", "support", 1, (("USD", 79_00), ("EUR", 69_00))
)
PLANS = (BRONZE, SILVER, GOLD, GOLD_YEARLY, SUPPORT)

PLAN_GROUPS = (
    PricingGroup(
        "Subscriptions, monthly",
        "plg_6a1b3c5d-07f1-4b6e-9c2d-1e2f3a4b5c01",
        (BRONZE.uuid, SILVER.uuid, GOLD.uuid),
    ),
    PricingGroup("Subscriptions, yearly", "plg_7b2c4d6e-18a2-4c7f-8d3e-2f3a4b5c6d02", (GOLD_YEARLY.uuid,)),
    PricingGroup("Retired plans", "plg_8c3d5e7f-29b3-4d80-9e4f-3a4b5c6d7e03", ()),
)
"""The plan of support is in no group."""

COUNTRIES = {
    "US": ("United States", "USD", "Denver"),
    "GB": ("United Kingdom", "USD", "Leeds"),
    "DE": ("Germany", "EUR", "Bremen"),
    "FR": ("France", "EUR", "Nantes"),
    "NL": ("Netherlands", "EUR", "Utrecht"),
    "ES": ("Spain", "EUR", "Bilbao"),
    "IT": ("Italy", "EUR", "Torino"),
    "CA": ("Canada", "USD", "Calgary"),
    "AU": ("Australia", "USD", "Perth"),
    "BR": ("Brazil", "USD", "Recife"),
    "IN": ("India", "USD", "Pune"),
    "JP": ("Japan", "USD", "Osaka"),
}
"""Code to full name, the currency in which its customers pay, and a city. In the simulation, earlier countries have
more customers.
"""

RATES = {"USD": (1, 1), "EUR": (108, 100)}
"""The value of one unit of a currency in the account's currency. Rates are fixed, so MRR moves only when a subscriber
does.
"""
