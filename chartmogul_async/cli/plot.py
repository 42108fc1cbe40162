"""Charts of series on a terminal: upright bars with a scale on the left and dates below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import attrs
from rich.console import Console
from rich.text import Text

from chartmogul_async import Breakdown, Series
from chartmogul_async.cli import chart, tables
from chartmogul_async.cli.text import one_line
from chartmogul_async.metrics.series import entry_class

_HEIGHT = 8
# Of several charts each is lower.
_LOW = 4
_WIDEST_STEP = 4
_STROKE = "\u2500"
_SHORT_DATES = ("month", "quarter")
# Dates are written below each, or every second, third … bar, where these are round numbers of months.
_EVERY = (1, 2, 3, 4, 6, 12)


def show(console: Console, table: Series[Any, Any] | Breakdown[Any, Any], currency: str) -> None:
    """Print a chart of each figure that is no flow: of the series, or of each series of a breakdown.

    Args:
        console: Where they are printed.
        table: The series or breakdown.
        currency: The account's currency.
    """
    named = table.series.items() if isinstance(table, Breakdown) else [("", table)]
    fields = [field for field in attrs.fields(entry_class(table.query.metric)) if _is_drawn(field)]
    is_one = len(named) == len(fields) == 1
    for number, (name, series, field) in enumerate((name, series, field) for name, series in named for field in fields):
        if number:
            console.print()
        head = f"{tables.label(field.name)} by {series.query.interval}"
        unit = tables.unit(field, currency)
        title = ", ".join(filter(None, [f"{one_line(name)}: {head}" if name else head, unit]))
        console.print(title, style="bold")
        for line in lines(series, field, console, _HEIGHT if is_one else _LOW):
            console.print(line)


def lines(
    series: Series[Any, Any], field: attrs.Attribute[Any], console: Console, height: int = _HEIGHT
) -> Iterator[Text]:
    """Draw one figure of a series.

    Args:
        series: The series.
        field: The field with the figure.
        console: Where it will be printed.
        height: How many lines the bars have.

    Returns:
        The lines: bars above zero, zero and the bars below it if there are any, dates, and which entries have a bar
        if there are too many. Where every figure is zero, one line that says so.
    """
    blocks = chart.BLOCKS if chart.writable(chart.BLOCKS, console.encoding) else chart.ASCII
    # Some figures are missing in responses of the closed beta.
    values = [getattr(entry, field.name) or 0 for entry in series]
    if not values:
        yield Text("no entries", style="dim")
        return
    most, least = max(0, *values), min(0, *values)
    if most == least:
        yield Text("0 throughout", style="dim")
        return
    above = _lines_above(most, least, height)
    top, bottom = (_scale(value, field) for value in (most, least))
    margin = max(len(top), len(bottom))
    # Lines longer than a very narrow terminal are folded by it.
    room = max(console.width - margin - 1, 1)
    # The last entry always has a bar.
    every = -(-len(values) // room)
    chosen = range(len(values) - 1, -1, -every)[::-1]
    figures = [values[place] for place in chosen]
    step = min(room // len(figures), _WIDEST_STEP)
    for row, line in enumerate(chart.bars(figures, step, above, blocks)):
        yield Text.assemble(f"{'' if row else top:>{margin}} ", (line, "green"))
    if least:
        # Without it nobody sees which bars stand on it, and which hang from it.
        stroke = _STROKE if blocks is chart.BLOCKS else "-"
        yield Text(f"{'0':>{margin}} {stroke * ((len(figures) - 1) * step + max(step - 1, 1))}", style="dim")
    for row, line in enumerate(chart.hanging(figures, step, height - above, blocks), above + 1):
        yield Text.assemble(f"{bottom if row == height else '':>{margin}} ", (line, "red"))
    interval = series.query.interval
    dates = _dates([series[place].date for place in chosen], interval, step, room)
    yield Text(f"{'' if least else '0':>{margin}} {dates}", style="dim")
    if every > 1:
        yield Text(f"One bar for every {every} {interval}s.", style="dim")


def _lines_above(most: float, least: float, height: int) -> int:
    """How many lines stand above zero: at least one on each side that has a bar."""
    if not least:
        return height
    return min(max(round(height * most / (most - least)), 1 if most else 0), height - 1)


def _is_drawn(field: attrs.Attribute[Any]) -> bool:
    return field.metadata.get("kind", "flow") != "flow" and not field.name.endswith("percentage_change")


def _scale(value: float, field: attrs.Attribute[Any]) -> str:
    match field.metadata["unit"]:
        case "cents":
            return tables.money(value, 0)
        case "percent":
            return f"{value:z,.2f}"
    return f"{value:,}"


def _dates(days: Sequence[date], interval: str, step: int, room: int) -> str:
    """The dates of as many bars as have room for them, each below its bar."""
    texts = [f"{day:%Y-%m}" if interval in _SHORT_DATES else f"{day:%Y-%m-%d}" for day in days]
    size = len(texts[0])
    least = -(-(size + 2) // step)
    every = next((count for count in _EVERY if count >= least), least)
    shown = [text for place, text in enumerate(texts[::every]) if place * every * step + size <= room]
    return "".join(text.ljust(every * step) for text in shown).rstrip()
