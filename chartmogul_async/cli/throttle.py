"""The command ``throttle``: the limits that processes share, as they change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import anyio
import click
from rich.live import Live

from chartmogul_async.cli import budgets, terminal
from chartmogul_async.cli.failures import NOTHING_FOUND, SERVER, CommandError
from chartmogul_async.cli.output import reported
from chartmogul_async.transport.budget import Unreadable
from chartmogul_async.transport.readers import Look, Reader, reader_of
from chartmogul_async.transport.store import StoreOutageError

_EVERY = 1.0

Show = Callable[[Look, str], None]


@click.command()
@click.argument("store", metavar="[PATH|URL]", required=False, envvar="CHARTMOGUL_STORE")
@click.option("--once", is_flag=True, help="Show the limits as they are now, and end.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "jsonl"]),
    help="By default a table on a terminal, and elsewhere jsonl: a line for each account, each second.",
)
def throttle(store: str | None, once: bool, format_: str | None) -> None:
    """Watch the limits that processes share, until Ctrl-C.

    PATH is the folder of a FileStore or one file in it, by default the folder that FileStore() chooses; URL is that of
    a RedisStore, such as redis://localhost. The variable CHARTMOGUL_STORE may contain either, so that a password need
    not stand in the list of processes.

    Nothing is locked or written, so the processes that use the limits do not notice. Accounts are known by a hash of
    their key. For each of them, and each process: requests admitted, waiting and in flight, pauses, and the rate that
    the server turned out to allow. The exit code is 4 if there is nothing, 6 if the server is away or the state
    damaged.
    """
    chosen = format_ or ("table" if sys.stdout.isatty() else "jsonl")
    with closing(reader_of(store)) as reader, reported():
        try:
            anyio.run(_watch, reader, chosen, once)
        except KeyboardInterrupt:
            # That is how one leaves it.
            return


async def _watch(reader: Reader, chosen: str, once: bool) -> None:
    look = await _first_look(reader)
    with _shown(chosen, once) as show:
        show(look, "")
        while not once:
            await anyio.sleep(_EVERY)
            try:
                look, away = await reader.look(), ""
            except StoreOutageError as outage:
                look, away = (), str(outage)
            show(look, away)
    _check_readable(look)


async def _first_look(reader: Reader) -> Look:
    try:
        look = await reader.look()
    except StoreOutageError as outage:
        raise CommandError(str(outage), SERVER) from None
    if not look:
        raise CommandError(
            f"nothing at {reader}: processes share limits by Throttle(store=…), from their first request on",
            NOTHING_FOUND,
        )
    return look


def _check_readable(look: Look) -> None:
    problems = [f"{each.account}: {each.problem}" for each in look if isinstance(each, Unreadable)]
    if problems:
        raise CommandError("; ".join(problems), SERVER)


@contextmanager
def _shown(chosen: str, once: bool) -> Iterator[Show]:
    """What shows a look: as lines of JSON, or as a table that takes the place of the one before, if it can."""
    if chosen == "jsonl":
        yield lambda look, outage: terminal.write(budgets.as_lines(look, outage))
        return
    console = terminal.stdout()
    if once or not console.is_interactive:
        yield lambda look, outage: terminal.show(console, budgets.as_table(look, outage))
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda look, outage: live.update(budgets.as_table(look, outage), refresh=True)
