"""The simulation of the default company: the history of a small, growing software house, computed from a seed.

Each subscriber has their own random generator and is simulated forward in time until the last day; sign-ups are drawn
day by day. So the events of a day do not depend on how long the simulation goes on: a longer one only adds more days.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import accumulate
from math import exp, pi, sin
from random import Random

from attrs import field, frozen

from chartmogul_async.sandbox.records import (
    BRONZE,
    COUNTRIES,
    GOLD,
    GOLD_YEARLY,
    RATES,
    SILVER,
    SUPPORT,
    Booking,
    PricingPlan,
    Subscriber,
)

_UPGRADE_PATH = (BRONZE, SILVER, GOLD)
# Choices with their cumulative weights, in percent.
_INITIAL_PLANS = ((BRONZE, SILVER, GOLD, GOLD_YEARLY), (46, 78, 92, 100))
_INITIAL_SEATS = ((1, 2, 3, 5), (60, 84, 95, 100))
_COUNTRY_CODES = tuple(COUNTRIES)
_COUNTRY_WEIGHTS = tuple(accumulate(range(14, 14 - len(_COUNTRY_CODES), -1)))
_MONTHLY_CHURN = {BRONZE.uuid: 0.034, SILVER.uuid: 0.022, GOLD.uuid: 0.014, GOLD_YEARLY.uuid: 0.009}
_REACTIVATION_PROBABILITY = 0.28

_FIRST_WORDS = ("Amber", "Birch", "Cedar", "Delta", "Ember", "Fjord", "Harbor", "Juniper", "Lumen", "Maple")
_SECOND_WORDS = ("Analytics", "Bakery", "Clinics", "Design", "Energy", "Foods", "Games", "Labs", "Media", "Networks")

_SIX_YEARS = 2192
# Most sign-ups happen on working days. The factors run from Monday to Sunday and average 1.0.
_WEEKDAY_FACTORS = (1.2, 1.3, 1.25, 1.2, 1.05, 0.5, 0.5)


def simulate(seed: int, customers: int, founded: date, today: date) -> tuple[Subscriber, ...]:
    """Simulate every subscriber who signs up from ``founded`` to ``today``.

    Args:
        seed: Determines all random draws.
        customers: About how many subscribers sign up in the first six years.
        founded: The first day.
        today: The last day.

    Returns:
        The subscribers in the order of signing up.
    """
    return tuple(
        _simulate_subscriber(seed, number, day, today)
        for number, day in enumerate(_sign_ups(seed, customers, founded, today), 1)
    )


def _sign_ups(seed: int, customers: int, founded: date, today: date) -> Iterator[date]:
    rng = Random(f"{seed}/sign-ups")  # noqa: S311 - simulation, not cryptography
    for number in range((today - founded).days + 1):
        day = founded + timedelta(number)
        # Growth averages 1.0 over six years.
        growth = 0.45 + 1.1 * number / _SIX_YEARS
        # Spring has the most sign-ups, autumn the fewest.
        season = 1 + 0.18 * sin(2 * pi * (day.timetuple().tm_yday - 20) / 365)
        for _ in range(_poisson(rng, customers / _SIX_YEARS * growth * season * _WEEKDAY_FACTORS[day.weekday()])):
            yield day


def _poisson(rng: Random, mean: float) -> int:
    threshold, product, count = exp(-mean), rng.random(), 0
    while product > threshold:
        product *= rng.random()
        count += 1
    return count


def _simulate_subscriber(seed: int, number: int, signed_up: date, today: date) -> Subscriber:
    rng = Random(f"{seed}/customer/{number}")  # noqa: S311 - simulation, not cryptography
    country = rng.choices(_COUNTRY_CODES, cum_weights=_COUNTRY_WEIGHTS)[0]
    _, currency, city = COUNTRIES[country]
    name = f"{rng.choice(_FIRST_WORDS)} {rng.choice(_SECOND_WORDS)} {number}"
    # The UUID is drawn before the bookings, because the number of their draws depends on today.
    uuid = _uuid(rng)
    history = _History(rng, currency)
    history.run(signed_up.toordinal(), today.toordinal())
    return Subscriber(
        number=number,
        uuid=uuid,
        name=name,
        email=f"billing@{name.lower().replace(' ', '-')}.example",
        country=country,
        city=city,
        currency=currency,
        bookings=tuple(history.bookings),
    )


def _uuid(rng: Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"cus_{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@frozen
class _History:
    """The simulated history of one subscriber: at most one event a month, on one of its days. Days are ordinals."""

    rng: Random
    currency: str
    bookings: list[Booking] = field(factory=list)

    def run(self, month: int, today: int) -> None:
        # The order of the draws does not depend on today; the last day only ends the loop.
        random = self.rng.random
        plan = self.rng.choices(_INITIAL_PLANS[0], cum_weights=_INITIAL_PLANS[1])[0]
        seats = self.rng.choices(_INITIAL_SEATS[0], cum_weights=_INITIAL_SEATS[1])[0]
        support, age = False, 0
        self._book(month, plan, seats)
        while month < today:
            draw, age = random(), age + 1
            churn = _MONTHLY_CHURN[plan.uuid] * (1.5 if age < 6 else 0.8)
            month += 30
            if draw >= churn + 0.09:
                continue
            day = month - int(30 * random())
            if day > today:
                return
            if draw < churn:
                self._book(day, plan, 0)
                if support:
                    self._book(day, SUPPORT, 0)
                month = day + 20 + int(220 * random())
                if random() > _REACTIVATION_PROBABILITY or month > today:
                    return
                seats, support, age = max(1, seats - 1), False, 0
                self._book(month, plan, seats)
            elif draw < churn + 0.04:
                seats += 1
                self._book(day, plan, seats)
            elif draw < churn + 0.06 and seats > 1:
                seats -= 1
                self._book(day, plan, seats)
            elif draw < churn + 0.083:
                plan = self._change_plan(day, plan, seats, upgrade=draw < churn + 0.075)
            else:
                support = not support
                self._book(day, SUPPORT, int(support))

    def _book(self, day: int, plan: PricingPlan, seats: int) -> None:
        mrr = plan.mrr(seats, self.currency, RATES[self.currency])
        self.bookings.append(Booking(date.fromordinal(day), plan.uuid, mrr))

    def _change_plan(self, day: int, plan: PricingPlan, seats: int, *, upgrade: bool) -> PricingPlan:
        """Move one plan up or down, if there is one; the old plan ends on the day on which the new one begins."""
        index = _UPGRADE_PATH.index(plan) + (1 if upgrade else -1) if plan in _UPGRADE_PATH else -1
        if not 0 <= index < len(_UPGRADE_PATH):
            return plan
        self._book(day, plan, 0)
        self._book(day, _UPGRADE_PATH[index], seats)
        return _UPGRADE_PATH[index]
