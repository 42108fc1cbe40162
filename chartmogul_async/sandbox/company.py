"""A company that can be asked for its customers and booked into, from any thread."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from typing import Literal

from attrs import evolve, frozen

from chartmogul_async.sandbox.records import COUNTRIES, PLANS, Customer, Plan, Step, made_up_uuid
from chartmogul_async.sandbox.story import tell

WeekStart = Literal["monday", "sunday"]
"""The day on which the account's weeks begin."""

_BOOKING = threading.Lock()  # shared by all companies, so that a company can be pickled; held for microseconds


@frozen
class Profile:
    """What ``GET /v1/account`` tells about the company, beside its id."""

    name: str = "Sandbox Software Ltd"
    currency: str = "USD"
    currency_sign: str = "$"
    time_zone: str = "Etc/UTC"
    week_start_on: WeekStart = "monday"


@frozen
class State:
    """All customers at one moment of booking. It is replaced whole, so a reader in another thread never
    sees half of one.
    """

    customers: tuple[Customer, ...]
    version: int = 0


class Company:
    """A company whose past is a function of its seed, and into which more can be booked at any time.

    The history is told day by day from ``founded`` to ``today`` (the current UTC date unless given), so the
    figures of a date are the same whatever ``today`` is. ``customers`` is about how many sign up within the
    first six years; with 0 the company starts empty, for tests that book each movement by hand.

    Raises ``ValueError`` if the company would be founded after today.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        customers: int = 1500,
        founded: date = date(2020, 1, 1),
        today: date | None = None,
        week_start_on: WeekStart = "monday",
    ) -> None:
        self.seed = seed
        self.founded = founded
        self.today = today or datetime.now(UTC).date()
        if founded > self.today:
            raise ValueError(f"founded on {founded}, which is after today ({self.today})")
        self.profile = Profile(week_start_on=week_start_on)
        self.plans = PLANS
        self.state = State(tell(seed, customers, founded, self.today))

    @property
    def customers(self) -> tuple[Customer, ...]:
        """Everyone who ever signed up, in the order of signing up; those added by hand come last."""
        return self.state.customers

    def plan(self, name: str) -> Plan:
        """Find a plan by its name, its UUID (with or without ``pl_``) or its external id.

        Raises ``LookupError`` if there is none.
        """
        for plan in self.plans:
            if name in names_of(plan):
                return plan
        raise LookupError(f"no plan is called {name!r}; there are {', '.join(repr(plan.name) for plan in self.plans)}")

    def customer(self, who: str) -> Customer:
        """Find a customer by UUID, external id or e-mail (the first one with it). Raises ``LookupError``
        if there is none.
        """
        for customer in self.customers:
            if who in (customer.uuid, customer.external_id, customer.email):
                return customer
        raise LookupError(f"no customer is called {who!r}")

    def add_customer(
        self, *, on: date, plan: str, mrr: int, country: str = "US", email: str | None = None, name: str | None = None
    ) -> Customer:
        """Book a new customer: from ``on`` they pay ``mrr`` cents a month (account's currency) for ``plan``.

        Answers change at once. Raises ``LookupError`` for an unknown plan or country, ``ValueError`` as in
        ``book``.
        """
        _, currency, city = COUNTRIES[country]
        step = self._step(on, plan, mrr)
        with _BOOKING:
            number = len(self.customers) + 1
            customer = Customer(
                number=number,
                uuid=made_up_uuid("cus_", self.seed, number),
                name=name or f"Late Arrival {number}",
                email=email or f"billing@late-arrival-{number}.example",
                country=country,
                city=city,
                currency=currency,
                steps=(step,),
            )
            self.state = State((*self.customers, customer), self.state.version + 1)
        return customer

    def book(self, customer: str, *, on: date, plan: str, mrr: int) -> Customer:
        """Book a movement: from ``on`` the customer's subscription to ``plan`` is worth ``mrr`` cents a
        month.

        That holds until the next day on which something is already booked for the same customer and plan;
        what is booked for the same day is replaced. 0 ends the subscription. Whether the change is new
        business, expansion, contraction, churn or reactivation follows from what the customer paid the day
        before. Answers change at once, also those about the past. ``customer`` is a UUID, an external id or
        an e-mail, ``plan`` a name, UUID or external id.

        Raises ``LookupError`` for an unknown customer or plan, ``ValueError`` for a negative amount or a day
        before the founding or after today.
        """
        step = self._step(on, plan, mrr)
        with _BOOKING:
            before = self.customer(customer)
            kept = [old for old in before.steps if (old.on, old.plan) != (step.on, step.plan)]
            after = evolve(before, steps=tuple(sorted([*kept, step], key=lambda step: step.on)))
            customers = tuple(after if each is before else each for each in self.customers)
            self.state = State(customers, self.state.version + 1)
        return after

    def _step(self, on: date, plan: str, mrr: int) -> Step:
        if mrr < 0:
            raise ValueError(f"MRR cannot be negative: {mrr}")
        if not self.founded <= on <= self.today:
            raise ValueError(f"{on} is not between the founding ({self.founded}) and today ({self.today})")
        return Step(on, self.plan(plan).uuid, mrr)


def names_of(plan: Plan) -> tuple[str, ...]:
    """All that a request may call a plan: the name, the UUID with and without its prefix, the external id."""
    return plan.name, plan.uuid, plan.uuid.removeprefix("pl_"), plan.external_id
