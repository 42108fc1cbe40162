"""What a report shows: a few series of one account, all of the same months."""

from __future__ import annotations

from datetime import date
from typing import Literal

from attrs import evolve, frozen

from chartmogul_async import (
    Account,
    AsyncClient,
    Breakdown,
    KeyMetricsEntry,
    KeyMetricsSummary,
    MetricQuery,
    MRREntry,
    Series,
    Summary,
    errors,
    periods,
)
from chartmogul_async.checks import calendar_day, instance_of, integer_between

# A hundred years.
_MOST_MONTHS = 1200


@frozen
class Report:
    """The figures of some whole months.

    Attributes:
        account: The account.
        made_on: The day on which they were fetched, where the account is.
        months: The key metrics of each month.
        movements: The MRR of each month and what moved it.
        plans: The MRR by plan, None if the account has no plans, or the key may not list them.
        countries: The MRR by country, None if no customer has one, or the key may not list them.
    """

    account: Account
    made_on: date
    months: Series[KeyMetricsEntry, KeyMetricsSummary | None]
    movements: Series[MRREntry, Summary]
    plans: Breakdown[MRREntry, Summary] | None
    countries: Breakdown[MRREntry, Summary] | None


async def fetch_report(client: AsyncClient, *, months: int = 12, today: date | str | None = None) -> Report:
    """Fetch what a report shows.

    Args:
        client: The client of the account.
        months: How many months, all of which are over; 1,200 at most.
        today: The current day; None means that of the account's time zone, by the clock of this machine.

    Returns:
        The figures, which ``render`` makes a page of.

    Raises:
        ArgumentError: ``client``, ``months`` or ``today`` cannot be right.
        StateError: The client is closed, or belongs to another event loop.
        ChartMogulError: A request failed, apart from a refusal to list plans or customers.
    """
    instance_of("client", client, AsyncClient)
    integer_between("months", months, 1, _MOST_MONTHS)
    given = None if today is None else calendar_day("today", today)
    account = await client.account()
    made_on = given or account.today()
    period = periods.last(months, "month", today=made_on)
    key_metrics = await _key_metrics(client, period, periods.last(months + 1, "month", today=made_on))
    movements = await client.metrics.mrr(*period, interval="month")
    if not key_metrics or not movements:
        problem = f"$.entries: expected an entry for each month from {period.start} to {period.end}, got none"
        raise errors.DecodeError(problem, problems=(problem,))
    plans = await _breakdown(client, "plan", *period)
    countries = await _breakdown(client, "country", *period)
    return Report(account, made_on, key_metrics, movements, plans, countries)


async def _key_metrics(
    client: AsyncClient, period: periods.Period, longer: periods.Period
) -> Series[KeyMetricsEntry, KeyMetricsSummary | None]:
    """The months with their changes; the API gives that of the first entry of a response as 0."""
    series = await client.metrics.all(longer, interval="month")
    entries = tuple(entry for entry in series if entry.date >= period.start)
    return evolve(series, entries=entries, query=MetricQuery("all", period))


async def _breakdown(
    client: AsyncClient, by: Literal["plan", "country"], start: date, end: date
) -> Breakdown[MRREntry, Summary] | None:
    try:
        breakdown = await client.metrics.breakdown("mrr", start, end, by=by)
    # A key that may read figures need not be allowed to read customers.
    except (errors.ForbiddenError, errors.NotFoundError):
        return None
    return breakdown if breakdown.segments and breakdown.total else None
