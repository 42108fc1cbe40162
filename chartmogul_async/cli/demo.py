"""``chartmogul demo``: two years of a fictional company, fetched over real HTTP within the real limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import anyio
import attrs
from attrs import frozen
from rich.console import Console

from chartmogul_async import Account, AsyncClient, KeyMetricsEntry, MetricQuery, MRREntry, Series, Throttle
from chartmogul_async.cli import plot, tables, terminal
from chartmogul_async.cli.text import one_line
from chartmogul_async.events import Attempt
from chartmogul_async.intervals import months_later
from chartmogul_async.metrics.query import METRICS
from chartmogul_async.sandbox import Counters, Sandbox

_MONTHS = 24
_DAYS = 731
_DAY_SLICES = 24
_REQUESTS = 1 + len(METRICS) * _MONTHS + _DAY_SLICES
_WIDTH = 80


@frozen
class Fetched:
    """The records that were fetched, and how long it took.

    Attributes:
        account: The account.
        months: Each metric by month.
        days: The key metrics by day.
        seconds: The time for all of them.
    """

    account: Account
    months: dict[str, Series[Any, Any]]
    days: Series[KeyMetricsEntry, Any]
    seconds: float


def demonstrate(sandbox: Sandbox, throttle: Throttle | None = None) -> None:
    """Serve a sandbox, fetch two years of all metrics from it, and print them.

    Args:
        sandbox: The sandbox.
        throttle: The client's throttle; by default one with the real limits.
    """
    with sandbox.serve() as url, _progress() as advance:
        fetched = anyio.run(_fetch, sandbox, url, throttle, advance)
    _show(terminal.stdout(), fetched, url, sandbox.counters)


async def _fetch(sandbox: Sandbox, url: str, throttle: Throttle | None, advance: Callable[[str], None]) -> Fetched:
    today = sandbox.company.today
    first = months_later(today, 1 - _MONTHS)
    step = "account"

    def count(_: Attempt) -> None:
        advance(step)

    on_event = terminal.only_attempts(count)
    async with AsyncClient(sandbox.api_key, base_url=url, throttle=throttle, on_event=on_event) as client:
        started = time.perf_counter()
        account = await client.account()
        months: dict[str, Series[Any, Any]] = {}
        for name in METRICS:
            step = f"{_MONTHS} months of {name.replace('_', '-')}"
            months[name] = await client.metrics.fetch(MetricQuery(name, first, today), slices="interval")
        step = "two years of days"
        days = await client.metrics.all(today - timedelta(days=_DAYS - 1), today, interval="day", slices=_DAY_SLICES)
        return Fetched(account, months, days, time.perf_counter() - started)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show a bar on stderr that disappears at the end; nothing if stderr is not a terminal."""
    if not terminal.stderr_is_interactive():
        yield lambda _: None
        return
    with terminal.bar("requests") as progress:
        task = progress.add_task("", total=_REQUESTS)
        yield lambda step: progress.update(task, advance=1, description=f"{step:<32}")


# --- output ------------------------------------------------------------------------------------------------


def _show(console: Console, fetched: Fetched, url: str, counters: Counters) -> None:
    console.width = max(console.width, _WIDTH)
    currency = fetched.account.currency
    movements = fetched.months["mrr"]
    console.print(f"{one_line(fetched.account.name)}: {_MONTHS} months to {movements[-1].date}", style="bold")
    console.print(f"read over HTTP from {url}", style="dim")
    _head(console, "Key figures")
    terminal.show(console, tables.summary_table(fetched.months["all"], currency))
    console.print(tables.BEFORE, style="dim")
    _head(console, f"MRR by month, {currency}")
    for line in plot.lines(movements, attrs.fields(MRREntry).mrr, console):
        console.print(line)
    _head(console, "Movements")
    terminal.show(console, tables.rows_table(movements, currency, console, leave_out=("percentage_change",)))
    console.print()
    for sentence in _days(fetched, currency):
        console.print(sentence)
    console.print(_statistics(fetched.seconds, counters), style="bold" if counters.refusals == 0 else "bold red")


def _head(console: Console, text: str) -> None:
    console.print()
    console.print(text, style="bold cyan")


def _days(fetched: Fetched, currency: str) -> Iterator[str]:
    """Report the best and the worst day, and whether days and months agree."""
    movements = [(after.mrr - before.mrr, after.date) for before, after in pairwise(fetched.days)]
    by_day = {entry.date: entry.mrr for entry in fetched.days}
    months = fetched.months["mrr"]
    agreeing = sum(by_day.get(entry.date) == entry.mrr for entry in months)
    (least, worst), (most, best) = min(movements), max(movements)
    up, down = f"{tables.money(most)} {currency}", f"{tables.money(least)} {currency}"
    yield f"{len(fetched.days)} days: best {best} (MRR +{up}), worst {worst} ({down})."
    yield f"{agreeing} of {len(months)} months end on the same MRR as their last day, to the cent."


def _statistics(seconds: float, counters: Counters) -> str:
    return (
        f"{counters.requests} requests in {seconds:.1f} s, {counters.requests / seconds:.1f} requests a second, "
        f"refusals {counters.refusals}, peak parallel {counters.peak_parallel}"
    )
