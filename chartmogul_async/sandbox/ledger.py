"""The daily ledger of a selection: what was gained and lost on each day, as running totals.

Totals run from the founding, so the flows of any range of days are one subtraction, and the cost of ten years of days
is proportional to their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from itertools import accumulate, groupby

from attrs import field, frozen

from chartmogul_async.sandbox.records import PricingPlan, Subscriber
from chartmogul_async.sandbox.selection import Selection


@frozen(eq=False)
class Timeline:
    """A subscriber with the MRR of their plans after each day of a change.

    Attributes:
        subscriber: The subscriber.
        states: The day (an ordinal) of each change, with cents by plan UUID from then on, none of them 0.
    """

    subscriber: Subscriber
    states: tuple[tuple[int, Mapping[str, int]], ...]

    @classmethod
    def of(cls, subscriber: Subscriber) -> Timeline:
        """Combine the bookings of each day into one state."""
        states: list[tuple[int, Mapping[str, int]]] = []
        mrr_by_plan: Mapping[str, int] = {}
        for day, bookings in groupby(subscriber.bookings, key=lambda booking: booking.on):
            changed = {**mrr_by_plan, **{booking.plan: booking.mrr for booking in bookings}}
            mrr_by_plan = {plan: mrr for plan, mrr in changed.items() if mrr}
            states.append((day.toordinal(), mrr_by_plan))
        return cls(subscriber, tuple(states))


@frozen
class Flows:
    """The movements within some days: MRR in cents (contraction and churn are 0 or less), counts of customers and
    sales.
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
    """Running totals for each day from the founding to today. Before the founding all figures are 0, after today they
    stay as they are today.

    A subscriber's movement on a day is the difference between the selected part of their MRR on the day before and on
    that day: from nothing to something is new business the first time and reactivation later, down to nothing is
    churn. So a subscriber who moves from one plan to another churns in a selection of the first plan alone, and the
    totals of every selection agree with its movements. A sale is the first invoice of a subscriber new to the
    selection: the full billing period of each plan selected on that day.
    """

    first: int
    totals: tuple[tuple[int, ...], ...] = field(repr=False)
    mrr_levels: tuple[int, ...] = field(repr=False)
    customer_levels: tuple[int, ...] = field(repr=False)

    @classmethod
    def of(
        cls,
        timelines: Iterable[Timeline],
        plans: Iterable[PricingPlan],
        selection: Selection,
        first: date,
        today: date,
    ) -> Ledger:
        """Add up the movements of the selected subscribers.

        Args:
            timelines: All subscribers with their states.
            plans: All plans.
            selection: Which subscribers and subscriptions count.
            first: The day of the founding.
            today: The last day.

        Returns:
            The ledger.
        """
        start = first.toordinal()
        days = today.toordinal() - start + 1
        flows = [[0] * (days + 1) for _ in range(9)]
        months = {plan.uuid: plan.months for plan in plans}
        for timeline in timelines:
            if selection.includes(timeline.subscriber):
                _add_movements(flows, timeline, selection, months, start - 1)
        totals = tuple(tuple(accumulate(flow)) for flow in flows)
        mrr = tuple(map(sum, zip(*totals[_NEW : _REACTIVATION + 1], strict=True)))
        active = tuple(gained - churned for gained, churned in zip(totals[_GAINED], totals[_CHURNED], strict=True))
        return cls(start, totals, mrr, active)

    def mrr(self, day: int) -> int:
        """Cents a month at the end of a day (an ordinal)."""
        return self.mrr_levels[self._index(day)]

    def customers(self, day: int) -> int:
        """Paying customers at the end of a day (an ordinal)."""
        return self.customer_levels[self._index(day)]

    def flows(self, first: int, last: int) -> Flows:
        """The movements from the day ``first`` to the day ``last`` (ordinals), both included."""
        before, end = self._index(first - 1), self._index(last)
        return Flows(*(total[end] - total[before] for total in self.totals))

    def _index(self, day: int) -> int:
        return min(max(day - self.first + 1, 0), len(self.mrr_levels) - 1)


def _add_movements(
    flows: list[list[int]], timeline: Timeline, selection: Selection, months: dict[str, int], day_zero: int
) -> None:
    before, has_paid = 0, False
    for day, mrr_by_plan in timeline.states:
        selected = selection.selected_mrr(timeline.subscriber, mrr_by_plan)
        now, index = sum(selected.values()), day - day_zero
        if now and not before:
            flows[_REACTIVATION if has_paid else _NEW][index] += now
            flows[_GAINED][index] += 1
            if not has_paid:
                flows[_SALES][index] += 1
                flows[_SALES_AMOUNT][index] += sum(mrr * months[plan] for plan, mrr in selected.items())
            has_paid = True
        elif before and not now:
            flows[_CHURN][index] -= before
            flows[_CHURNED][index] += 1
        else:
            flows[_EXPANSION if now > before else _CONTRACTION][index] += now - before
        before = now
