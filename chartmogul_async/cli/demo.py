"""``chartmogul demo``: two years of a made-up company, pulled over real HTTP within the real limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import anyio
from attrs import frozen
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from chartmogul_async import Account, AsyncClient, Attempt, KeyMetricsEntry, MetricQuery, MRREntry, Series, Throttle
from chartmogul_async.cli import chart, tables, terminal
from chartmogul_async.sandbox import Counters, Sandbox

_METRICS = ("all", "mrr", "arr", "arpa", "asp", "customer_count", "customer_churn_rate", "mrr_churn_rate", "ltv")
_MONTHS = 24
_DAYS = 731
_DAY_SLICES = 24
_REQUESTS = 1 + len(_METRICS) * _MONTHS + _DAY_SLICES
_CHART_HEIGHT = 8
_WIDTH = 80


@frozen
class Pulled:
    """What came back, and what it took."""

    account: Account
    months: dict[str, Series[Any, Any]]
    days: Series[KeyMetricsEntry, Any]
    seconds: float


def demonstrate(sandbox: Sandbox, throttle: Throttle | None = None) -> None:
    """Serve a sandbox, pull everything from it, and show it."""
    with sandbox.serve() as url, _progress() as advance:
        pulled = anyio.run(_pull, sandbox, url, throttle, advance)
    _show(terminal.stdout(), pulled, url, sandbox.counters)


async def _pull(sandbox: Sandbox, url: str, throttle: Throttle | None, advance: Callable[[str], None]) -> Pulled:
    today = sandbox.company.today
    first = _months_before(today, _MONTHS - 1)
    doing = "account"

    def answered(_: Attempt) -> None:
        advance(doing)

    async with AsyncClient(sandbox.api_key, base_url=url, throttle=throttle, on_attempt=answered) as client:
        began = time.perf_counter()
        account = await client.account()
        months = {}
        for name in _METRICS:
            doing = f"{_MONTHS} months of {name.replace('_', '-')}"
            months[name] = await client.metrics.fetch(MetricQuery(name, first, today), slices="interval")
        doing = "two years of days"
        days = await client.metrics.all(today - timedelta(days=_DAYS - 1), today, interval="day", slices=_DAY_SLICES)
        return Pulled(account, months, days, time.perf_counter() - began)


def _months_before(day: date, months: int) -> date:
    """The first day of the month so many months ago."""
    month = day.year * 12 + day.month - 1 - months
    return date(month // 12, month % 12 + 1, 1)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A bar on stderr, gone when all is done; nothing where stderr is no terminal."""
    if not terminal.stderr_moves():
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("requests"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=terminal.stderr(), transient=True) as progress:
        task = progress.add_task("", total=_REQUESTS)
        yield lambda doing: progress.update(task, advance=1, description=f"{doing:<32}")


# --- what is shown -----------------------------------------------------------------------------------------


def _show(console: Console, pulled: Pulled, url: str, counters: Counters) -> None:
    console.width = max(console.width, _WIDTH)
    currency = pulled.account.currency
    movements = pulled.months["mrr"]
    console.print(f"{pulled.account.name}: {_MONTHS} months to {movements[-1].date}", style="bold")
    console.print(f"read over HTTP from {url}", style="dim")
    _head(console, "Key figures")
    terminal.show(console, tables.summary_table(pulled.months["all"], currency))
    console.print(tables.BEFORE, style="dim")
    _head(console, f"MRR by month, {currency}")
    for line in _trend(movements, console):
        console.print(line)
    _head(console, "What moved it")
    terminal.show(console, tables.series_table(movements, currency, console, leave_out=("percentage_change",)))
    console.print()
    for sentence in _days(pulled, currency):
        console.print(sentence)
    console.print(_truth(pulled.seconds, counters), style="bold" if counters.refusals == 0 else "bold red")


def _head(console: Console, text: str) -> None:
    console.print()
    console.print(text, style="bold cyan")


def _trend(movements: Series[MRREntry, Any], console: Console) -> Iterator[Text]:
    """The MRR at the end of each month as a bar, with the scale on the left and some dates below."""
    blocks = chart.BLOCKS if chart.writable(chart.BLOCKS, console.encoding) else chart.ASCII
    values = [entry.mrr for entry in movements]
    scale = tables.money(max(values), 0)
    step = max(2, min((console.width - len(scale) - 1) // len(values), 4))
    for row, line in enumerate(chart.bars(values, step, _CHART_HEIGHT, blocks)):
        yield Text.assemble(f"{scale if row == 0 else '':>{len(scale)}} ", (line, "green"))
    dates = "".join(f"{entry.date:%Y-%m}".ljust(6 * step) for entry in movements[::6])
    yield Text(f"{'0':>{len(scale)}} {dates.rstrip()}", style="dim")


def _days(pulled: Pulled, currency: str) -> Iterator[str]:
    """What only the days tell, and whether they and the months agree."""
    moved = [(after.mrr - before.mrr, after.date) for before, after in pairwise(pulled.days)]
    by_day = {entry.date: entry.mrr for entry in pulled.days}
    months = pulled.months["mrr"]
    agreeing = sum(by_day.get(entry.date) == entry.mrr for entry in months)
    (least, worst), (most, best) = min(moved), max(moved)
    up, down = f"{tables.money(most)} {currency}", f"{tables.money(least)} {currency}"
    yield f"{len(pulled.days)} days: best {best} (MRR +{up}), worst {worst} ({down})."
    yield f"{agreeing} of {len(months)} months end on the same MRR as their last day, to the cent."


def _truth(seconds: float, counters: Counters) -> str:
    return (
        f"{counters.requests} requests in {seconds:.1f} s, {counters.requests / seconds:.1f} requests a second, "
        f"refusals {counters.refusals}, peak parallel {counters.peak_parallel}"
    )
