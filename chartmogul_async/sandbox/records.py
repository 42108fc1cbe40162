"""The values a company is made of: its plans, its customers, and what each of them paid for from which day
on.

A customer's history is a row of steps, and a step is a *state* ("from this day on, this plan is worth so many
cents a month"), never a difference. So whatever is booked later, even into the past, leaves no figure that
disagrees with another: the movements are read off the states (see ``ledger``), they are not kept beside them.
"""

from __future__ import annotations

from datetime import date
from uuid import UUID, uuid5

from attrs import frozen

_IDS = UUID("5a9db0c2-0a3e-5c1c-9c6b-0d7c2f5e1b11")


def made_up_uuid(prefix: str, *parts: object) -> str:
    """Give the same made-up id for the same parts, e.g. ``cus_6c1f…`` for ``("cus_", seed, 17)``."""
    return prefix + str(uuid5(_IDS, "/".join([prefix, *map(str, parts)])))


@frozen
class Plan:
    """A price list's line: ``prices`` are cents for one seat and one billing period of ``months``, by
    currency.
    """

    name: str
    uuid: str
    external_id: str
    months: int
    prices: tuple[tuple[str, int], ...]

    def mrr(self, quantity: int, currency: str, rate: tuple[int, int]) -> int:
        """Cents of the account's currency a month, rounded half up once, for so many seats paid in
        ``currency``.

        ``rate`` is what one unit of ``currency`` is worth in the account's, as numerator and denominator.
        """
        above, below = dict(self.prices)[currency] * quantity * rate[0], self.months * rate[1]
        return (2 * above + below) // (2 * below)


@frozen
class Step:
    """From ``on`` the subscription to the plan with this UUID is worth ``mrr`` cents a month (0: it has
    ended).
    """

    on: date
    plan: str
    mrr: int


@frozen
class Customer:
    """Who pays. ``steps`` are sorted by day; ``currency`` is what they pay in, MRR is kept in the
    account's.
    """

    number: int
    uuid: str
    name: str
    email: str
    country: str
    city: str
    currency: str
    steps: tuple[Step, ...] = ()

    @property
    def external_id(self) -> str:
        """The id in the billing system."""
        return f"customer_{self.number:05}"

    @property
    def since(self) -> date | None:
        """The day of the first sale."""
        return next((step.on for step in self.steps if step.mrr), None)

    def mrr_on(self, day: date) -> int:
        """Cents a month at the end of ``day``, all plans together."""
        worth = {step.plan: step.mrr for step in self.steps if step.on <= day}
        return sum(worth.values())


BRONZE = Plan(
    "Bronze Monthly", "pl_0b1d6c1e-52a7-4d0b-8f5e-6a1c3e9d7a01", "bronze_monthly", 1, (("USD", 39_00), ("EUR", 35_00))
)
SILVER = Plan(
    "Silver Monthly", "pl_1c2e7d2f-63b8-4e1c-9a6f-7b2d4fae8b02", "silver_monthly", 1, (("USD", 99_00), ("EUR", 89_00))
)
GOLD = Plan(
    "Gold Monthly", "pl_2d3f8e30-74c9-4f2d-8b70-8c3e50bf9c03", "gold_monthly", 1, (("USD", 249_00), ("EUR", 229_00))
)
GOLD_YEARLY = Plan(
    "Gold, Yearly", "pl_3e409f41-85da-403e-9c81-9d4f61c0ad04", "gold_yearly", 12, (("USD", 2490_00), ("EUR", 2290_00))
)
SUPPORT = Plan(
    "Priority Support", "pl_4f51a052-96eb-414f-8d92-ae5072d1be05", "support", 1, (("USD", 79_00), ("EUR", 69_00))
)
PLANS = (BRONZE, SILVER, GOLD, GOLD_YEARLY, SUPPORT)

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
"""Code to full name, the currency its customers pay in, and a city. The order is the order of weight in
the story.
"""

RATES = {"USD": (1, 1), "EUR": (108, 100)}
"""What one unit of a currency is worth in the account's: fixed, so that MRR moves only when a customer
does.
"""
