"""How many customers were lost and gained: whole numbers, worked out from counts and churn rates."""

from collections.abc import Iterable

from chartmogul_async.analysis.entries import CustomerChurn, Customers, are_whole_months, in_a_row
from chartmogul_async.errors import ArgumentError

# From here on two decimals of a rate do not determine a number of customers.
_TOO_MANY = 10_000
# Half of the last decimal of a rate, as a share, with a little for the arithmetic of floats.
_HALF_A_DECIMAL = 0.00005 + 1e-9


def customers_lost(counts: Iterable[Customers], churn_rates: Iterable[CustomerChurn]) -> tuple[int | None, ...]:
    """How many customers were lost: ``customer churn rate x customers at the start``, a whole number.

    It is exact as long as fewer than 10,000 customers were there at the start, since the rate has two decimals, and as
    long as the account's churn rate is the standard one (one of its settings is the sum of daily rates, of which no
    whole number of customers follows). Anything else raises an error. Customers who joined and left within one
    interval are not told apart from those who were there before.

    Args:
        counts: A series of ``client.metrics.customer_count`` or ``all``, by month, quarter or year.
        churn_rates: A series of ``client.metrics.customer_churn_rate`` over the same range, or that of ``all`` again.

    Returns:
        One number for each entry; None for the first one, whose start is not known. Fetch an interval more than you
        show.

    Raises:
        ArgumentError: The two series have different dates, or are by day or week, where the rate is that of a month;
            or some entries are missing in between, which the dates of quarters and years without their series do not
            tell; or the rate does not give a whole number of customers. The account's activities do in any case.

    Source: ChartMogul's definition of the customer churn rate; checked on recorded responses
    """
    return tuple(lost for _, lost in _intervals(counts, churn_rates))


def customers_gained(counts: Iterable[Customers], churn_rates: Iterable[CustomerChurn]) -> tuple[int | None, ...]:
    """How many customers were gained: ``customers at the end - customers at the start + lost``.

    Those who returned are among them. It is not the number of new customers.

    Args:
        counts: A series of ``client.metrics.customer_count`` or ``all``, by month, quarter or year.
        churn_rates: A series of ``client.metrics.customer_churn_rate`` over the same range, or that of ``all`` again.

    Returns:
        One number for each entry; None where ``customers_lost`` is None.

    Raises:
        ArgumentError: As ``customers_lost``.

    Source: ChartMogul's definition of the customer churn rate; checked on recorded responses
    """
    return tuple(None if lost is None else change + lost for change, lost in _intervals(counts, churn_rates))


def _intervals(counts: Iterable[Customers], churn_rates: Iterable[CustomerChurn]) -> list[tuple[int, int | None]]:
    """By how much the customers changed, and how many were lost."""
    counted = in_a_row("counts", counts, "customers")
    rates = in_a_row("churn_rates", churn_rates, "customer_churn_rate")
    if [entry.date for entry in counted] != [entry.date for entry in rates]:
        raise ArgumentError("churn_rates must have the same dates as counts: fetch both over the same range")
    if not are_whole_months(counted):
        raise ArgumentError(
            "counts must be by month, quarter or year, not by day or week: the churn rate of a day is that of its month"
        )
    found: list[tuple[int, int | None]] = []
    start: int | None = None
    for count, rate in zip(counted, rates, strict=True):
        lost = None if start is None else _lost(rate, start)
        found.append((count.customers - (start or 0), lost))
        start = count.customers
    return found


def _lost(entry: CustomerChurn, start: int) -> int:
    exact = entry.customer_churn_rate * start / 100
    lost = round(exact)
    if start >= _TOO_MANY or abs(exact - lost) > _HALF_A_DECIMAL * start:
        raise ArgumentError(
            f"churn_rates must give a whole number of customers, but {entry.customer_churn_rate} % of {start} "
            f"customers up to {entry.date} do not: two decimals suffice for fewer than {_TOO_MANY} customers, under "
            "the standard churn rate. Exact in any case are the account's activities (client.get('/activities'))"
        )
    return lost
