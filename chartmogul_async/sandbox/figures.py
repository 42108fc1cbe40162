"""The eight key figures of a period, by the arithmetic that the recordings of the real API obey."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from attrs import field, frozen

from chartmogul_async.sandbox.ledger import Flows, Ledger
from chartmogul_async.sandbox.periods import DayRange, Interval, month_before, month_of

Number = int | float

KEYS = ("mrr", "arr", "customer-churn-rate", "mrr-churn-rate", "ltv", "customers", "asp", "arpa")
"""The key figures in the order in which ``/metrics/all`` writes them."""


def percentage_change(previous: Number, current: Number) -> float:
    """Percent from one figure to the next, two decimals; 0.0 if the previous one is 0."""
    return _percent(current - previous, abs(previous))


def _percent(part: Number, whole: Number) -> float:
    # Adding 0.0 turns -0.0 into 0.0.
    return round(part / whole * 100, 2) + 0.0 if whole else 0.0


def _arpa(ledger: Ledger, day: int) -> int:
    customers = ledger.customers(day)
    return ledger.mrr(day) // customers if customers else 0


def _asp(flows: Flows) -> int:
    return flows.sales_amount // flows.sales if flows.sales else 0


@frozen(eq=False)
class Figures:
    """A selection's figures. Money is whole cents, rates are percent with two decimals.

    Average sale price, churn rates and lifetime value are measured over a whole period. On entries shorter than a month
    they are those of the calendar month that contains the entry's last day, all of it (as far as it has come), so they
    depend on the date alone and not on the requested range. Lifetime value exists by month only: on quarters and years,
    too, it is that of the last day's calendar month.
    """

    ledger: Ledger
    _months: dict[tuple[str, int], Number] = field(factory=dict, init=False, repr=False)

    def of(self, key: str, periods: Sequence[DayRange], interval: Interval) -> list[Number]:
        """One figure for each period.

        Args:
            key: One of ``KEYS``.
            periods: The periods, each an ``interval`` or part of one.
            interval: The length of a whole period.

        Returns:
            The figure of each period, in order.
        """
        figure, ledger = _FIGURES[key], self.ledger
        if key in _MONTHLY and (interval in ("day", "week") or (key == "ltv" and interval != "month")):
            return [self._of_month(key, month_of(period.last)) for period in periods]
        return [figure(ledger, period) for period in periods]

    def _of_month(self, key: str, month: DayRange) -> Number:
        known = self._months.get((key, month.first))
        if known is None:
            known = self._months[key, month.first] = _FIGURES[key](self.ledger, month)
        return known

    def flows(self, period: DayRange) -> Flows:
        """The movements within a period."""
        return self.ledger.flows(period.first, period.last)

    def current_and_previous(self, key: str, today: date) -> tuple[Number, Number]:
        """The two figures that a summary compares.

        They are those of today and of 30 days ago (for the average sale price, of the 30 days up to each); for both
        churn rates and lifetime value, of the last complete calendar month and the one before it.
        """
        figure, day = _FIGURES[key], today.toordinal()
        if key in _MONTHLY and key != "asp":
            month = month_before(month_of(day))
            return figure(self.ledger, month), figure(self.ledger, month_before(month))
        current, previous = DayRange(day - 29, day), DayRange(day - 59, day - 30)
        return figure(self.ledger, current), figure(self.ledger, previous)


def _customer_churn_rate(ledger: Ledger, period: DayRange) -> float:
    churned = ledger.flows(period.first, period.last).customers_churned
    return _percent(churned, ledger.customers(period.first - 1))


def _mrr_churn_rate(ledger: Ledger, period: DayRange) -> float:
    """Net: losses less gains from customers who already paid before the period, so without new business."""
    flows = ledger.flows(period.first, period.last)
    return _percent(flows.new_business - flows.mrr, ledger.mrr(period.first - 1))


def _ltv(ledger: Ledger, period: DayRange) -> int:
    """Average revenue per account at the end, divided by the churn rate as written (rounded); 0 without churn."""
    hundredths = round(_customer_churn_rate(ledger, period) * 100)
    return _arpa(ledger, period.last) * 10_000 // hundredths if hundredths else 0


_FIGURES: Mapping[str, Callable[[Ledger, DayRange], Number]] = {
    "mrr": lambda ledger, period: ledger.mrr(period.last),
    "arr": lambda ledger, period: 12 * ledger.mrr(period.last),
    "customer-churn-rate": _customer_churn_rate,
    "mrr-churn-rate": _mrr_churn_rate,
    "ltv": _ltv,
    "customers": lambda ledger, period: ledger.customers(period.last),
    "asp": lambda ledger, period: _asp(ledger.flows(period.first, period.last)),
    "arpa": lambda ledger, period: _arpa(ledger, period.last),
}
_MONTHLY = frozenset({"asp", "customer-churn-rate", "mrr-churn-rate", "ltv"})
