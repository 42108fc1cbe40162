"""A company with subscribers, into which more can be booked from any thread."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from typing import Literal, get_args

from attrs import evolve, frozen

from chartmogul_async.checks import calendar_day, encodable, instance_of, integer, non_negative_integer, one_of
from chartmogul_async.errors import ArgumentError
from chartmogul_async.sandbox.records import (
    COUNTRIES,
    PLAN_GROUPS,
    PLANS,
    Booking,
    PricingGroup,
    PricingPlan,
    Subscriber,
    deterministic_uuid,
)
from chartmogul_async.sandbox.simulation import simulate

WeekStart = Literal["monday", "sunday"]
"""The day on which the account's weeks begin."""

# All companies share this lock, so that a company can be pickled; it is held for microseconds.
_BOOKING = threading.Lock()


@frozen
class Profile:
    """The fields of ``GET /v1/account``, except the id."""

    name: str = "Sandbox Software Ltd"
    currency: str = "USD"
    currency_sign: str = "$"
    time_zone: str = "Etc/UTC"
    week_start_on: WeekStart = "monday"


@frozen
class State:
    """All subscribers at one moment. A booking replaces the whole value, so a reader in another thread never sees a
    partial change.
    """

    customers: tuple[Subscriber, ...]
    version: int = 0


class Company:
    """A company whose history is a function of its seed, and into which more can be booked at any time.

    The history is simulated day by day, so the figures of a date are the same whatever ``today`` is.

    Args:
        seed: Determines the simulated history.
        customers: About how many customers sign up within the first six years. With 0 the company starts empty, for
            tests that book each movement themselves.
        founded: The first day of the history.
        today: The last day of the history; the current UTC date by default.
        week_start_on: The day on which the account's weeks begin.

    Raises:
        ArgumentError: An argument is invalid, or ``founded`` is after ``today``.
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
        self.seed: int = integer("seed", seed)
        self.founded: date = _day("founded", founded)
        self.today: date = datetime.now(UTC).date() if today is None else _day("today", today)
        if self.founded > self.today:
            raise ArgumentError(f"founded must be on or before today ({self.today}), not {self.founded}")
        self.profile: Profile = Profile(week_start_on=one_of("week_start_on", week_start_on, get_args(WeekStart)))
        self.plans: tuple[PricingPlan, ...] = PLANS
        self.plan_groups: tuple[PricingGroup, ...] = PLAN_GROUPS
        self.state: State = State(
            simulate(self.seed, non_negative_integer("customers", customers), self.founded, self.today)
        )

    @property
    def customers(self) -> tuple[Subscriber, ...]:
        """Everyone who ever signed up, in the order of signing up; those added with ``add_customer`` come last."""
        return self.state.customers

    def plan(self, name: str) -> PricingPlan:
        """Find a plan.

        Args:
            name: The name of the plan, its UUID (with or without ``pl_``) or its external id.

        Returns:
            The plan.

        Raises:
            ArgumentError: There is no such plan.
        """
        instance_of("plan", name, str)
        for plan in self.plans:
            if name in names_of(plan):
                return plan
        known = ", ".join(repr(plan.name) for plan in self.plans)
        raise ArgumentError(f"plan must be the name, UUID or external id of one of {known}, not {name!r}")

    def customer(self, identifier: str) -> Subscriber:
        """Find a customer.

        Args:
            identifier: A UUID, an external id or an e-mail address.

        Returns:
            The first customer with that identifier.

        Raises:
            ArgumentError: There is no such customer.
        """
        instance_of("customer", identifier, str)
        for customer in self.customers:
            if identifier in (customer.uuid, customer.external_id, customer.email):
                return customer
        raise ArgumentError(f"customer must be the UUID, external id or e-mail of a customer, not {identifier!r}")

    def add_customer(
        self, *, on: date, plan: str, mrr: int, country: str = "US", email: str | None = None, name: str | None = None
    ) -> Subscriber:
        """Book a new customer. Responses change at once.

        Args:
            on: The day of the first sale.
            plan: The name, UUID or external id of a plan.
            mrr: Cents a month in the account's currency.
            country: A two-letter code from ``records.COUNTRIES``.
            email: The e-mail address; made up by default.
            name: The name; made up by default.

        Returns:
            The new customer.

        Raises:
            ArgumentError: The plan or the country is unknown, the amount is not a non-negative integer, or the day is
                before the founding or after today.
        """
        code = one_of("country", country, tuple(COUNTRIES))
        for argument, text in {"email": email, "name": name}.items():
            if text is not None:
                encodable(argument, instance_of(argument, text, str))
        _, currency, city = COUNTRIES[code]
        booking = self._booking(on, plan, mrr)
        with _BOOKING:
            number = len(self.customers) + 1
            customer = Subscriber(
                number=number,
                uuid=deterministic_uuid("cus_", self.seed, number),
                name=name or f"Late Arrival {number}",
                email=email or f"billing@late-arrival-{number}.example",
                country=code,
                city=city,
                currency=currency,
                bookings=(booking,),
            )
            self.state = State((*self.customers, customer), self.state.version + 1)
        return customer

    def book(self, customer: str, *, on: date, plan: str, mrr: int) -> Subscriber:
        """Book a movement: from ``on``, the customer's subscription to ``plan`` is worth ``mrr`` cents a month.

        The booking holds until the next day on which one exists for the same customer and plan; one for the same day
        is replaced. Whether the change is new business, expansion, contraction, churn or reactivation follows from
        what the customer paid the day before. Responses change at once, including those about the past.

        Args:
            customer: A UUID, an external id or an e-mail address.
            on: The first day.
            plan: The name, UUID or external id of a plan.
            mrr: Cents a month in the account's currency; 0 ends the subscription.

        Returns:
            The customer with the booking.

        Raises:
            ArgumentError: The customer or the plan is unknown, the amount is not a non-negative integer, or the day is
                before the founding or after today.
        """
        booking = self._booking(on, plan, mrr)
        with _BOOKING:
            before = self.customer(customer)
            kept = [old for old in before.bookings if (old.on, old.plan) != (booking.on, booking.plan)]
            bookings = sorted([*kept, booking], key=lambda booking: booking.on)
            after = evolve(before, bookings=tuple(bookings))
            customers = tuple(after if each is before else each for each in self.customers)
            self.state = State(customers, self.state.version + 1)
        return after

    def _booking(self, on: date, plan: str, mrr: int) -> Booking:
        non_negative_integer("mrr", mrr)
        day = _day("on", on)
        if not self.founded <= day <= self.today:
            raise ArgumentError(f"on must be from {self.founded} (founded) to {self.today} (today), not {day}")
        return Booking(day, self.plan(plan).uuid, mrr)


def _day(name: str, value: object) -> date:
    # A datetime is a date that cannot be compared with one.
    return calendar_day(name, instance_of(name, value, date))


def names_of(plan: PricingPlan) -> tuple[str, ...]:
    """Every name by which a request may refer to a plan: the name, the UUID with and without its prefix, the external
    id.
    """
    return plan.name, plan.uuid, plan.uuid.removeprefix("pl_"), plan.external_id
