"""The commands that read an account: each parses its arguments, and calls the library once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, cast

import attrs
import click

from chartmogul_async import (
    Account,
    AsyncClient,
    Customer,
    Interval,
    MetricName,
    MetricQuery,
    Series,
    __version__,
    errors,
)
from chartmogul_async.cli import formats, ranges, tables, terminal
from chartmogul_async.cli.export import export
from chartmogul_async.cli.failures import MEANINGS, NOTHING_FOUND, USAGE, CommandError, print_note
from chartmogul_async.cli.formats import FORMATS, Format
from chartmogul_async.cli.output import Program
from chartmogul_async.cli.parameters import METRIC, slices_of
from chartmogul_async.cli.ranges import Recent
from chartmogul_async.cli.report import report
from chartmogul_async.cli.sandbox import demo, sandbox
from chartmogul_async.cli.session import call
from chartmogul_async.cli.throttle import throttle
from chartmogul_async.intervals import INTERVALS
from chartmogul_async.periods import Period
from chartmogul_async.resources.account import SETTINGS

_EPILOG = """\b
Environment:
  CHARTMOGUL_API_KEY   the API key; a read-only one is enough
  CHARTMOGUL_BASE_URL  another server, such as that of `chartmogul sandbox`
  CHARTMOGUL_STORE     the limits that `chartmogul throttle` shows

\b
Completion of commands, metrics and options, for this shell:
  eval "$(_CHARTMOGUL_COMPLETE=bash_source chartmogul)"   or zsh_source
  _CHARTMOGUL_COMPLETE=fish_source chartmogul | source

\b
Exit codes:
""" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in MEANINGS.items())

_ANY_TODAY = date(2020, 1, 1)

_format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="By default a table on a terminal and csv elsewhere. Tables show units of the currency, rounded if the "
    "terminal is narrow; csv, json and jsonl contain exact cents, with field names in snake_case.",
)
_escape_option = click.option(
    "--escape-formulas",
    is_flag=True,
    help="For a spreadsheet, with csv: put an apostrophe before text that begins with = + - @ or a tab, which it "
    "would take for a formula. Without this option csv contains the exact text; numbers are never changed.",
)


@click.group(
    cls=Program, epilog=_EPILOG, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def program(context: click.Context) -> None:
    """Read the metrics of a ChartMogul account.

    Data goes to stdout; progress, notes and errors go to stderr. Try `chartmogul demo`, which requires no
    account.
    """
    if context.invoked_subcommand is None:
        print_note(context.get_help())
        context.exit(USAGE)


# --- metrics -----------------------------------------------------------------------------------------------


@program.command()
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
@_format_option
def metrics(
    name: str,
    start: date | Period | None,
    end: date | Period | None,
    last: Recent | None,
    this: Recent | None,
    interval: str,
    geo: tuple[str, ...],
    plan: tuple[str, ...],
    filters: str | None,
    slices: int | Literal["interval"] | None,
    format_: Format | None,
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

    json contains the entries and the summary, which compares now with 30 days ago (churn rates and LTV: the
    last two whole months). csv and jsonl have one line per entry. A table requires a second request, for the
    account's currency and time zone, and omits the changes of `all`.
    """  # noqa: D301 - \b makes click keep the lines of a paragraph
    span = ranges.chosen(start, end, last, this)

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
    if query.interval != interval:
        print_note(f"note: {name} is always by {query.interval}; --interval {interval} is ignored")
    chosen = formats.chosen(format_)

    async def operation(client: AsyncClient) -> tuple[Series[Any, Any], Account | None]:
        if isinstance(span, Recent):
            account = await client.account()
            return await client.metrics.fetch(query_over(span.of(account)), slices=slices), account
        series = await client.metrics.fetch(query, slices=slices)
        return series, await _account(client) if chosen == "table" else None

    series, its_account = call(operation)
    if not series:
        raise CommandError("the response contains no entries", NOTHING_FOUND)
    if chosen == "table":
        _show_series(series, its_account.currency if its_account else "units", ranges.parts(series, its_account))
    else:
        _write(chosen, series, series.entries, type(series[0]))


async def _account(client: AsyncClient) -> Account | None:
    try:
        return await client.account()
    # A key without access to the account can still read its figures.
    except (errors.ForbiddenError, errors.NotFoundError):
        return None


def _show_series(series: Series[Any, Any], currency: str, parts: Sequence[date] = ()) -> None:
    console = terminal.stdout()
    terminal.show(console, tables.series_table(series, currency, console))
    if parts:
        days = " and ".join(map(str, parts))
        console.print(f"Only a part of the {series.query.interval}, so far or as asked for: {days}.", style="dim")
    if series.summary is not None:
        console.print()
        terminal.show(console, tables.summary_table(series, currency))
        console.print(tables.BEFORE, style="dim")


def _write(
    chosen: Format, whole: Any, records: Sequence[Any], kind: type[attrs.AttrsInstance], escape_formulas: bool = False
) -> None:
    if chosen == "csv":
        text = formats.as_csv(records, kind, escape_formulas)
    elif chosen == "jsonl":
        text = formats.as_jsonl(records)
    else:
        text = formats.as_json(whole)
    terminal.write(text)


# --- the account and its customers -------------------------------------------------------------------------


@program.command()
def ping() -> None:
    """Check the API key; prints "pong!"."""
    terminal.write(call(AsyncClient.ping) + "\n")


@program.command(short_help="Show the account that the key belongs to.")
@click.option(
    "--include",
    multiple=True,
    type=click.Choice(SETTINGS),
    metavar="SETTING",
    help=f"A setting that decides what churn and MRR mean: {', '.join(SETTINGS)}. May be repeated.",
)
@_format_option
@_escape_option
def account(include: tuple[str, ...], format_: Format | None, escape_formulas: bool) -> None:
    """Show the account's name, currency, time zone and first day of the week."""
    chosen = _chosen(format_, escape_formulas)
    found = call(lambda client: client.account(include=include or None))
    if chosen == "table":
        terminal.show(terminal.stdout(), tables.card(found, None))
    else:
        _write(chosen, found, [found], Account, escape_formulas)


def _chosen(format_: Format | None, escape_formulas: bool) -> Format:
    chosen = formats.chosen(format_)
    if escape_formulas and chosen != "csv":
        raise click.UsageError("--escape-formulas requires --format csv", click.get_current_context())
    return chosen


@program.group(invoke_without_command=True)
@click.pass_context
def customers(context: click.Context) -> None:
    """Find customers."""
    if context.invoked_subcommand is None:
        raise click.UsageError("Missing command, such as 'search'", context)


@customers.command()
@click.argument("email")
@click.option(
    "--with-associated-emails", "associated", is_flag=True, help="Also search the addresses of the customers' contacts."
)
@_format_option
@_escape_option
def search(email: str, associated: bool, format_: Format | None, escape_formulas: bool) -> None:
    """Find the customers with an e-mail address. The exit code is 4 if there is none."""
    chosen = _chosen(format_, escape_formulas)
    found = call(lambda client: client.customers.search(email, with_associated_emails=associated))
    if chosen == "table":
        console = terminal.stdout()
        for number, customer in enumerate(found):
            if number:
                console.print()
            terminal.show(console, tables.card(customer, customer.currency))
    else:
        _write(chosen, found, found, Customer, escape_formulas)
    if not found:
        raise CommandError(f"no customer has the e-mail address {email}", NOTHING_FOUND)


# --- what has a module of its own ---------------------------------------------------------------------------

program.add_command(sandbox)
program.add_command(demo)
program.add_command(throttle)
program.add_command(report)
program.add_command(export)
