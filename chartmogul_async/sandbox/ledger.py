"""The daily ledger of a selection: what was gained and lost on each day, as running totals.

Totals run from the founding, so any range of days is one subtraction, and ten years of days cost no more than
their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from itertools import accumulate, groupby

from attrs import field, frozen

from chartmogul_async.sandbox.records import Customer, Plan
from chartmogul_async.sandbox.selection import Selection


@frozen(eq=False)
class Life:
    """A customer, and what their plans are worth (cents by plan UUID, none of them 0) from each day of a change on."""

    customer: Customer
    states: tuple[tuple[int, Mapping[str, int]], ...]

    @classmethod
    def of(cls, customer: Customer) -> Life:
        """Put the steps of each day together; days are ordinals."""
        states: list[tuple[int, Mapping[str, int]]] = []
        worth: Mapping[str, int] = {}
        for day, steps in groupby(customer.steps, key=lambda step: step.on):
            changed = {**worth, **{step.plan: step.mrr for step in steps}}
            worth = {plan: mrr for plan, mrr in changed.items() if mrr}
            states.append((day.toordinal(), worth))
        return cls(customer, tuple(states))


@frozen
class Flows:
    """What happened within some days: MRR in cents (contraction and churn are 0 or less), customers and
    sales counted.
    """

    new_business: int
    expansion: int
    contraction: int
    churn: int
    reactivation: int
    customers_gained: int
    customers_churned: int
    sales: int
    sales_amount: int

    @property
    def mrr(self) -> int:
        """The net change of MRR, in cents."""
        return self.new_business + self.expansion + self.contraction + self.churn + self.reactivation


_NEW, _EXPANSION, _CONTRACTION, _CHURN, _REACTIVATION, _GAINED, _CHURNED, _SALES, _SALES_AMOUNT = range(9)


@frozen(eq=False)
class Ledger:
    """Running totals for each day from the founding to today; before it all is 0, after it all stays as it is
    today.

    A customer's movement on a day is the difference between what counted of their MRR the day before and now:
    from nothing to something is new business the first time and reactivation later, down to nothing is churn.
    So a customer who moves from one plan to another is churn to whoever asks for the first plan alone, and
    the totals of every selection agree with its movements. A sale is the first invoice of a customer new to
    the selection: the full billing period of each plan that counts that day.
    """

    first: int
    totals: tuple[tuple[int, ...], ...] = field(repr=False)
    mrr_levels: tuple[int, ...] = field(repr=False)
    customer_levels: tuple[int, ...] = field(repr=False)

    @classmethod
    def of(cls, lives: Iterable[Life], plans: Iterable[Plan], selection: Selection, first: date, today: date) -> Ledger:
        """Add up the selected customers' movements."""
        start = first.toordinal()
        days = today.toordinal() - start + 1
        flows = [[0] * (days + 1) for _ in range(9)]
        months = {plan.uuid: plan.months for plan in plans}
        for life in lives:
            if selection.wants(life.customer):
                _add(flows, life, selection, months, start - 1)
        totals = tuple(tuple(accumulate(flow)) for flow in flows)
        mrr = tuple(map(sum, zip(*totals[_NEW : _REACTIVATION + 1], strict=True)))
        active = tuple(gained - churned for gained, churned in zip(totals[_GAINED], totals[_CHURNED], strict=True))
        return cls(start, totals, mrr, active)

    def mrr(self, day: int) -> int:
        """Cents a month at the end of a day (an ordinal)."""
        return self.mrr_levels[self._at(day)]

    def customers(self, day: int) -> int:
        """Paying customers at the end of a day."""
        return self.customer_levels[self._at(day)]

    def flows(self, first: int, last: int) -> Flows:
        """What happened from the day ``first`` to the day ``last``, both included."""
        eve, end = self._at(first - 1), self._at(last)
        return Flows(*(total[end] - total[eve] for total in self.totals))

    def _at(self, day: int) -> int:
        return min(max(day - self.first + 1, 0), len(self.mrr_levels) - 1)


def _add(flows: list[list[int]], life: Life, selection: Selection, months: dict[str, int], eve: int) -> None:
    before, known = 0, False
    for day, worth in life.states:
        counted = selection.counted(life.customer, worth)
        now, at = sum(counted.values()), day - eve
        if now and not before:
            flows[_REACTIVATION if known else _NEW][at] += now
            flows[_GAINED][at] += 1
            if not known:
                flows[_SALES][at] += 1
                flows[_SALES_AMOUNT][at] += sum(mrr * months[plan] for plan, mrr in counted.items())
            known = True
        elif before and not now:
            flows[_CHURN][at] -= before
            flows[_CHURNED][at] += 1
        else:
            flows[_EXPANSION if now > before else _CONTRACTION][at] += now - before
        before = now
