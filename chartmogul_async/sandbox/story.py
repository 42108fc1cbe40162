"""The default company's history: a small software house that grows, told from a seed.

Each customer has a random generator of their own and lives forward in time until the last day, and sign-ups
are drawn day by day. So nothing that happens on a day depends on how long the story goes on: a longer story
only has more of it.
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
    Customer,
    Plan,
    Step,
)

_LADDER = (BRONZE, SILVER, GOLD)
_FIRST_PLANS = ((BRONZE, SILVER, GOLD, GOLD_YEARLY), (46, 78, 92, 100))  # and their weights, added up
_FIRST_SEATS = ((1, 2, 3, 5), (60, 84, 95, 100))
_CODES = tuple(COUNTRIES)
_CODE_WEIGHTS = tuple(accumulate(range(14, 14 - len(_CODES), -1)))
_LEAVES = {BRONZE.uuid: 0.034, SILVER.uuid: 0.022, GOLD.uuid: 0.014, GOLD_YEARLY.uuid: 0.009}
_COMES_BACK = 0.28

_FIRST = ("Amber", "Birch", "Cedar", "Delta", "Ember", "Fjord", "Harbor", "Juniper", "Lumen", "Maple")
_SECOND = ("Analytics", "Bakery", "Clinics", "Design", "Energy", "Foods", "Games", "Labs", "Media", "Networks")

_SIX_YEARS = 2192
_WEEKDAYS = (1.2, 1.3, 1.25, 1.2, 1.05, 0.5, 0.5)  # people buy on working days


def tell(seed: int, customers: int, founded: date, today: date) -> tuple[Customer, ...]:
    """Give everyone who signed up from ``founded`` to ``today``, about ``customers`` of them in the first
    six years.
    """
    return tuple(
        _live(seed, number, day, today) for number, day in enumerate(_sign_ups(seed, customers, founded, today), 1)
    )


def _sign_ups(seed: int, customers: int, founded: date, today: date) -> Iterator[date]:
    chance = Random(f"{seed}/sign-ups")  # noqa: S311  a story, not a secret
    for number in range((today - founded).days + 1):
        day = founded + timedelta(number)
        growth = 0.45 + 1.1 * number / _SIX_YEARS  # averages 1.0 over six years
        season = 1 + 0.18 * sin(2 * pi * (day.timetuple().tm_yday - 20) / 365)  # spring is busy, autumn is quiet
        for _ in range(_poisson(chance, customers / _SIX_YEARS * growth * season * _WEEKDAYS[day.weekday()])):
            yield day


def _poisson(chance: Random, mean: float) -> int:
    limit, product, count = exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count


def _live(seed: int, number: int, signed_up: date, today: date) -> Customer:
    chance = Random(f"{seed}/customer/{number}")  # noqa: S311  a story, not a secret
    country = chance.choices(_CODES, cum_weights=_CODE_WEIGHTS)[0]
    _, currency, city = COUNTRIES[country]
    name = f"{chance.choice(_FIRST)} {chance.choice(_SECOND)} {number}"
    uuid = _uuid(chance)  # drawn before the years, whose number of draws depends on today
    life = _Life(chance, currency)
    life.run(signed_up.toordinal(), today.toordinal())
    return Customer(
        number=number,
        uuid=uuid,
        name=name,
        email=f"billing@{name.lower().replace(' ', '-')}.example",
        country=country,
        city=city,
        currency=currency,
        steps=tuple(life.steps),
    )


def _uuid(chance: Random) -> str:
    digits = f"{chance.getrandbits(128):032x}"
    return f"cus_{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@frozen
class _Life:
    """One customer's years: each month at most one thing happens, on one of its days (all days are
    ordinals here).
    """

    chance: Random
    currency: str
    steps: list[Step] = field(factory=list)

    def run(self, month: int, today: int) -> None:
        # Every draw is made in the same order however far off today is; the last day only ends the telling.
        random = self.chance.random
        plan = self.chance.choices(_FIRST_PLANS[0], cum_weights=_FIRST_PLANS[1])[0]
        seats = self.chance.choices(_FIRST_SEATS[0], cum_weights=_FIRST_SEATS[1])[0]
        support, age = False, 0
        self._pay(month, plan, seats)
        while month < today:
            luck, age = random(), age + 1
            leaves = _LEAVES[plan.uuid] * (1.5 if age < 6 else 0.8)
            month += 30
            if luck >= leaves + 0.09:
                continue
            day = month - int(30 * random())
            if day > today:
                return
            if luck < leaves:
                self._pay(day, plan, 0)
                if support:
                    self._pay(day, SUPPORT, 0)
                month = day + 20 + int(220 * random())
                if random() > _COMES_BACK or month > today:
                    return
                seats, support, age = max(1, seats - 1), False, 0
                self._pay(month, plan, seats)
            elif luck < leaves + 0.04:
                seats += 1
                self._pay(day, plan, seats)
            elif luck < leaves + 0.06 and seats > 1:
                seats -= 1
                self._pay(day, plan, seats)
            elif luck < leaves + 0.083:
                plan = self._move(day, plan, seats, up=luck < leaves + 0.075)
            else:
                support = not support
                self._pay(day, SUPPORT, int(support))

    def _pay(self, day: int, plan: Plan, seats: int) -> None:
        self.steps.append(Step(date.fromordinal(day), plan.uuid, plan.mrr(seats, self.currency, RATES[self.currency])))

    def _move(self, day: int, plan: Plan, seats: int, *, up: bool) -> Plan:
        """Go one plan up or down, where there is one; the old plan ends on the day the new one begins."""
        rung = _LADDER.index(plan) + (1 if up else -1) if plan in _LADDER else -1
        if not 0 <= rung < len(_LADDER):
            return plan
        self._pay(day, plan, 0)
        self._pay(day, _LADDER[rung], seats)
        return _LADDER[rung]
