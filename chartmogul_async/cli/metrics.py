"""The command ``metrics``: one metric, as a whole or segment by segment, as data in a format or as a chart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Literal, cast

import click
from attrs import frozen

from chartmogul_async import Account, AsyncClient, Breakdown, Interval, MetricName, MetricQuery, errors
from chartmogul_async.cli import files, plot, ranges, results, terminal
from chartmogul_async.cli.failures import NOTHING_FOUND, USAGE, CommandError, code_of, print_error, print_note
from chartmogul_async.cli.parameters import DIMENSION, METRIC, escape_option, slices_of
from chartmogul_async.cli.ranges import Recent
from chartmogul_async.cli.results import FORMATS, Format, Table
from chartmogul_async.cli.session import call
from chartmogul_async.cli.terminal import OnProgress
from chartmogul_async.intervals import INTERVALS
from chartmogul_async.metrics.breakdown import Dimension
from chartmogul_async.periods import Period

_ANY_TODAY = date(2020, 1, 1)


@click.command()
@click.argument("name", type=METRIC)
@click.option(
    "--start",
    callback=ranges.day_or_period,
    metavar="YYYY-MM-DD",
    help="The first day, or a period such as 2026-01, 2026-Q1 or 2026, which needs no --end.",
)
@click.option("--end", callback=ranges.day_or_period, metavar="YYYY-MM-DD", help="The last day, or period, included.")
@click.option(
    "--last",
    callback=ranges.last_intervals,
    metavar="12m",
    help="Instead of --start and --end: so many days (d), weeks (w), months (m), quarters (q) or years (y), all of "
    "which are over.",
)
@click.option(
    "--this",
    callback=ranges.this_interval,
    type=click.Choice(INTERVALS),
    help="Instead of --start and --end: the current month, say, up to today. Both require a second request, for the "
    "account's time zone, which decides what day it is.",
)
@click.option("--interval", type=click.Choice(INTERVALS), default="month", show_default=True)
@click.option(
    "--by",
    type=DIMENSION,
    help="Segment by segment, with the total and, where segments add up, the remainder. Segments are the plans of "
    "--plan, the countries of --geo, or else all. What fails is named on stderr, and what came is written, with --out "
    "to FILE.incomplete; the exit code is then that of the first failure.",
)
@click.option("--geo", multiple=True, metavar="COUNTRY", help="An ISO 3166-1 code such as US. May be repeated.")
@click.option("--plan", multiple=True, help="A plan's name, UUID or external id. May be repeated.")
@click.option("--filter", "filters", metavar="CFL", help="A filter such as \"region~ANY~'US','DE'~AND~mrr~GT~150\".")
@click.option(
    "--slices",
    callback=slices_of,
    metavar="N|interval",
    help="How many concurrent requests the range is divided into, within the rate limits; by default only long "
    "ranges are divided. The result is the same, unless the account changes meanwhile where no slices overlap.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="By default what the ending of --out says; without it, a table on a terminal and csv elsewhere. Tables show "
    "units of the currency, rounded if the terminal is narrow; all others contain exact cents, with field names in "
    "snake_case. parquet and arrow require the extra `parquet`.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this file instead of stdout. One that exists is replaced when the new one is complete.",
)
@click.option(
    "--plot",
    "as_plot",
    is_flag=True,
    help="Draw a chart on stdout instead of a table, with a bar for each interval, or for every second, third … one if "
    "there are too many. Together with --out both are made.",
)
@escape_option
def metrics(
    name: str,
    start: date | Period | None,
    end: date | Period | None,
    last: Recent | None,
    this: Recent | None,
    interval: str,
    by: Dimension | None,
    geo: tuple[str, ...],
    plan: tuple[str, ...],
    filters: str | None,
    slices: int | Literal["interval"] | None,
    format_: Format | None,
    out: Path | None,
    as_plot: bool,
    exact_text: bool,
) -> None:
    """Read one metric over a range of days.

    NAME is one of the following, with dashes or underscores:

    \b
      all                  the eight key metrics at once
      mrr                  monthly recurring revenue and its movements
      arr                  annual run rate
      arpa                 average revenue per account
      asp                  average sale price (month, quarter, year)
      customer-count       active customers
      customer-churn-rate  share of the customers lost
      mrr-churn-rate       net share of the MRR lost
      ltv                  customer lifetime value (always monthly)

    csv, jsonl, parquet and arrow have one row per entry; json contains the entries and the summary, which compares
    now with 30 days ago (churn rates and LTV: the last two whole months). With --by there is one row per segment and
    entry, with the column `segment`, and no summary. Tables, charts, parquet and arrow require a second request, for
    the account's currency and time zone; a table omits the changes of `all`.

    \b
      chartmogul metrics mrr --last 12m --by plan --out mrr.csv
      chartmogul metrics customer-count --last 30d --interval day --plot
    """  # noqa: D301 - \b makes click keep the lines of a paragraph
    context, span = click.get_current_context(), ranges.chosen(start, end, last, this)

    def query_over(days: Period) -> MetricQuery:
        return MetricQuery(
            cast("MetricName", name),
            days,
            interval=cast("Interval", interval),
            geo=",".join(geo) if geo else None,
            plans=plan or None,
            filters=filters,
        )

    # Nothing is sent if any option is wrong, so the others are checked with the days of any today.
    query = query_over(span.before(_ANY_TODAY) if isinstance(span, Recent) else span)
    if by and slices is not None:
        raise click.UsageError("--slices excludes --by, which makes a request for each segment", context)
    if by == "plan_group" and plan:
        raise click.UsageError("--plan excludes --by plan-group, whose segments are plans, too", context)
    chosen = _format_of_data(format_, out, as_plot, exact_text)
    if query.interval != interval:
        print_note(f"note: {name} is always by {query.interval}; --interval {interval} is ignored")
    asked = _Asked(query_over, span, by, slices, needs_account=as_plot or chosen in results.WITH_ACCOUNT)
    table, account = _fetched(asked)
    has_entries = any(table.series.values()) if isinstance(table, Breakdown) else bool(table)
    if has_entries:
        currency, parts = account.currency if account else None, ranges.parts(table, account)
        if chosen:
            results.put(table, chosen, _place(out, table), currency, parts, exact_text)
        if as_plot:
            console = terminal.stdout()
            plot.show(console, table, currency or "units")
            results.print_parts(console, table, parts)
    if isinstance(table, Breakdown) and table.failures:
        _report(table)
    if not has_entries:
        raise CommandError("the response contains no entries", NOTHING_FOUND)


def _format_of_data(format_: Format | None, out: Path | None, as_plot: bool, exact_text: bool) -> Format | None:
    """The format, or none if only a chart is drawn."""
    context = click.get_current_context()
    if as_plot and format_ and not out:
        raise click.UsageError("--plot excludes --format, unless --out names a file for the data", context)
    if out:
        files.check_place(out, "--out")
    chosen = None if as_plot and not out else results.chosen(format_, out)
    if exact_text and chosen != "csv":
        raise click.UsageError("--exact-text requires --format csv", context)
    return chosen


def _place(out: Path | None, table: Table) -> Path | None:
    """A file that is there is not replaced by one in which something is missing."""
    is_whole = not (isinstance(table, Breakdown) and table.failures)
    return out if out is None or is_whole else out.with_name(f"{out.name}.incomplete")


@frozen
class _Asked:
    """What is fetched: the query, and in what way."""

    query_over: Callable[[Period], MetricQuery]
    span: Period | Recent
    by: Dimension | None
    slices: int | Literal["interval"] | None
    needs_account: bool

    async def fetch(self, client: AsyncClient, on_progress: OnProgress | None) -> tuple[Table, Account | None]:
        if isinstance(self.span, Recent):
            account = await client.account()
            return await self._table(client, self.query_over(self.span.of(account)), on_progress), account
        table = await self._table(client, self.query_over(self.span), on_progress)
        return table, await _account(client) if self.needs_account else None

    async def _table(self, client: AsyncClient, query: MetricQuery, on_progress: OnProgress | None) -> Table:
        if self.by is None:
            return await client.metrics.fetch(query, slices=self.slices)
        return await client.metrics.breakdown(
            query.metric,
            query.start_date,
            query.end_date,
            by=self.by,
            interval=query.interval,
            geo=query.geo,
            plans=query.plans,
            filters=query.filters,
            on_error="collect",
            on_progress=on_progress,
        )


async def _account(client: AsyncClient) -> Account | None:
    try:
        return await client.account()
    # A key without access to the account can still read its figures.
    except (errors.ForbiddenError, errors.NotFoundError):
        return None


def _fetched(asked: _Asked) -> tuple[Table, Account | None]:
    if asked.by is None:
        return call(lambda client: asked.fetch(client, None))
    with terminal.progress_of_series() as (on_event, on_progress):
        return call(lambda client: asked.fetch(client, on_progress), on_event)


def _report(breakdown: Breakdown) -> None:
    """Name what failed, after what came was written."""
    for name, failure in breakdown.failures.items():
        print_error(f"{name}: {failure.error}")
    first = next(iter(breakdown.failures.values())).error
    code = code_of(first) if isinstance(first, errors.ChartMogulError) else USAGE
    raise CommandError(f"{len(breakdown.failures)} of {len(breakdown.outcomes) + 1} series failed", code)
