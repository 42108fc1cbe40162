"""The commands that read an account: each parses its arguments, and calls the library once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import click

from chartmogul_async import Account, AsyncClient, Customer, __version__
from chartmogul_async.cli import formats, tables, terminal
from chartmogul_async.cli.export import export
from chartmogul_async.cli.failures import MEANINGS, NOTHING_FOUND, USAGE, CommandError, print_note
from chartmogul_async.cli.formats import FORMATS, Format
from chartmogul_async.cli.metrics import metrics
from chartmogul_async.cli.output import Program
from chartmogul_async.cli.parameters import escape_option
from chartmogul_async.cli.report import report
from chartmogul_async.cli.sandbox import demo, sandbox
from chartmogul_async.cli.session import call
from chartmogul_async.cli.throttle import throttle
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

_format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="By default a table on a terminal and csv elsewhere. Tables show units of the currency; csv, json and jsonl "
    "contain exact cents, with field names in snake_case.",
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
@escape_option
def account(include: tuple[str, ...], format_: Format | None, exact_text: bool) -> None:
    """Show the account's name, currency, time zone and first day of the week."""
    chosen = _chosen(format_, exact_text)
    found = call(lambda client: client.account(include=include or None))
    if chosen == "table":
        terminal.show(terminal.stdout(), tables.card(found, None))
    else:
        _write(chosen, found, [found], Account, exact_text)


def _chosen(format_: Format | None, exact_text: bool) -> Format:
    chosen = formats.chosen(format_)
    if exact_text and chosen != "csv":
        raise click.UsageError("--exact-text requires --format csv", click.get_current_context())
    return chosen


def _write(
    chosen: Format, whole: Any, records: Sequence[Any], kind: type[attrs.AttrsInstance], exact_text: bool
) -> None:
    if chosen == "csv":
        text = formats.as_csv(records, kind, escape_formulas=not exact_text)
    elif chosen == "jsonl":
        text = formats.as_jsonl(records)
    else:
        text = formats.as_json(whole)
    terminal.write(text)


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
@escape_option
def search(email: str, associated: bool, format_: Format | None, exact_text: bool) -> None:
    """Find the customers with an e-mail address. The exit code is 4 if there is none."""
    chosen = _chosen(format_, exact_text)
    found = call(lambda client: client.customers.search(email, with_associated_emails=associated))
    if chosen == "table":
        console = terminal.stdout()
        for number, customer in enumerate(found):
            if number:
                console.print()
            terminal.show(console, tables.card(customer, customer.currency))
    else:
        _write(chosen, found, found, Customer, exact_text)
    if not found:
        raise CommandError(f"no customer has the e-mail address {email}", NOTHING_FOUND)


# --- what has a module of its own ---------------------------------------------------------------------------

program.add_command(metrics)
program.add_command(sandbox)
program.add_command(demo)
program.add_command(throttle)
program.add_command(report)
program.add_command(export)
