"""Records as tables for people: money in units of the account's currency, which the head of the column names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chartmogul_async import Breakdown, KeyMetricsSummary, Series, Summary
from chartmogul_async.cli.formats import as_jsonl
from chartmogul_async.cli.terminal import needed_width
from chartmogul_async.cli.text import one_line
from chartmogul_async.metrics.series import entry_class
from chartmogul_async.money import decimals as decimals_of
from chartmogul_async.money import units

BEFORE = "Before is 30 days ago; churn rates and LTV compare the last two whole months."

_LABELS = {
    "mrr": "MRR",
    "arr": "ARR",
    "arpa": "ARPA",
    "asp": "ASP",
    "ltv": "LTV",
    "customer_churn_rate": "Customer churn",
    "mrr_churn_rate": "Net MRR churn",
    "percentage_change": "Change",
    "mrr_new_business": "New business",
    "mrr_expansion": "Expansion",
    "mrr_contraction": "Contraction",
    "mrr_churn": "Churn",
    "mrr_reactivation": "Reactivation",
}
_WORDS = {
    "chartmogul": "ChartMogul",
    "id": "ID",
    "ids": "IDs",
    "uuid": "UUID",
    "uuids": "UUIDs",
    "url": "URL",
    "zip": "ZIP",
    "mrr": "MRR",
}

# Decimals of money and spaces between columns; the widest first.
_SHAPES = ((2, 2), (0, 2), (0, 1))

_BETTER_WHEN_LOWER = frozenset({"customer_churn_rate", "mrr_churn_rate"})


def money(cents: int | float, decimals: int = 2) -> str:
    """Write an amount in units of the currency, exactly, with separators of thousands.

    Args:
        cents: The amount in cents.
        decimals: How many are written.
    """
    return f"{units(cents):z,.{decimals}f}"


def rows_table(
    table: Series[Any, Any] | Breakdown[Any, Any], currency: str, console: Console, leave_out: Collection[str] = ()
) -> Table:
    """Make a table with a line for each entry; without cents if the terminal is too narrow for them.

    The changes of the eight key metrics are omitted, because seventeen columns fit on no terminal.

    Args:
        table: The series or breakdown, with at least one entry.
        currency: The account's currency.
        console: Where the table will be printed.
        leave_out: Names of fields that get no column.
    """
    fields = [
        field
        for field in attrs.fields(entry_class(table.query.metric))
        if field.name not in leave_out and not field.name.endswith("_percentage_change")
    ]
    most = _decimals(currency)
    shapes = [_rows_table(table.to_dicts(), fields, currency, min(decimals, most), gap) for decimals, gap in _SHAPES]
    return next((shape for shape in shapes if needed_width(console, shape) <= console.width), shapes[-1])


def _rows_table(
    rows: Iterable[dict[str, Any]], fields: Iterable[attrs.Attribute[Any]], currency: str, decimals: int, gap: int
) -> Table:
    table = _plain_table(gap)
    named = "segment" in next(iter(rows))
    if named:
        table.add_column("Segment", no_wrap=True)
    for field in fields:
        head = f"{label(field.name)} {unit(field, currency)}".replace(" ", "\n")
        table.add_column(head, justify="left" if field.name == "date" else "right", no_wrap=True)
    for row in rows:
        name = [one_line(row["segment"])] if named else []
        table.add_row(*name, *(_figure(row[field.name], field, decimals) for field in fields))
    return table


def summary_table(series: Series[Any, Any], currency: str) -> Table:
    """Make a table with a line for each figure of the summary: now, before, and the change.

    Args:
        series: The series, with at least one entry.
        currency: The account's currency.
    """
    table = _plain_table(gap=3)
    table.add_column("", no_wrap=True)
    table.add_column("", no_wrap=True)
    for head in ("Now", "Before", "Change %"):
        table.add_column(head, justify="right", no_wrap=True)
    for field, summary in _summaries(series):
        change = Text(_signed(summary.percentage_change), style=_colour(field.name, summary.percentage_change))
        now, before = (_figure(value, field, _decimals(currency)) for value in (summary.current, summary.previous))
        table.add_row(label(field.name), unit(field, currency), now, before, change)
    return table


def card(record: attrs.AttrsInstance, currency: str | None) -> Table:
    """Make a table of one record, with a line for each field that is not empty.

    Args:
        record: The record.
        currency: The currency of its amounts, if it is known.
    """
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    # A URL that is folded cannot be copied.
    table.add_column(no_wrap=True)
    for field in attrs.fields(type(record)):
        text = _text(getattr(record, field.name), field, currency)
        if text:
            table.add_row(label(field.name), text)
    return table


def _decimals(currency: str) -> int:
    """How many decimals an amount of hundredths needs: none in yen, and no third one in dinars."""
    return min(2, decimals_of(currency))


def _plain_table(gap: int) -> Table:
    return Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")


def label(name: str) -> str:
    """Write the name of a field for people.

    Args:
        name: The name.
    """
    if name in _LABELS:
        return _LABELS[name]
    text = " ".join(_WORDS.get(word, word) for word in name.split("_"))
    return text[0].upper() + text[1:]


def unit(field: attrs.Attribute[Any], currency: str) -> str:
    """Write the unit of a field for people.

    Args:
        field: The field.
        currency: The account's currency.

    Returns:
        The currency, ``%``, or nothing for a count.
    """
    return {"cents": one_line(currency), "percent": "%"}.get(field.metadata.get("unit", ""), "")


def _figure(value: Any, field: attrs.Attribute[Any], decimals: int) -> str:
    # Responses of the closed beta lack some figures.
    if value is None:
        return ""
    match field.metadata.get("unit"):
        case "cents":
            return money(value, decimals)
        case "percent":
            return _signed(value) if field.name == "percentage_change" else f"{value:z,.2f}"
        case "count":
            return f"{value:,}"
    return str(value)


def _signed(change: float) -> str:
    return f"{change:+z,.2f}"


def _colour(name: str, change: float) -> str:
    if not change:
        return ""
    return "green" if (change > 0) != (name in _BETTER_WHEN_LOWER) else "red"


def _summaries(series: Series[Any, Any]) -> Iterator[tuple[attrs.Attribute[Any], Summary]]:
    """Yield the figures of a summary of either kind, each with the field of the entries that it belongs to."""
    figures = [field for field in attrs.fields(type(series[0])) if field.name not in ("date", "percentage_change")]
    if isinstance(series.summary, Summary):
        yield figures[0], series.summary
    elif isinstance(series.summary, KeyMetricsSummary):
        values = attrs.asdict(series.summary)
        for field in figures:
            if f"current_{field.name}" in values:
                yield (
                    field,
                    Summary(
                        values[f"current_{field.name}"],
                        values[f"previous_{field.name}"],
                        values[f"{field.name}_percentage_change"],
                    ),
                )


def _text(value: Any, field: attrs.Attribute[Any], currency: str | None) -> str:
    """Write any value on one line; an empty value is an empty string."""
    if value is None or value == () or value == {}:
        return ""
    if field.metadata.get("unit") == "cents":
        return f"{money(value, _decimals(currency or ''))} {one_line(currency or '')}".rstrip()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return ", ".join(_text(item, field, currency) for item in value)
    if attrs.has(type(value)):
        parts = {part.name: _text(getattr(value, part.name), part, currency) for part in attrs.fields(type(value))}
        return ", ".join(f"{label(name).lower()} {text}" for name, text in parts.items() if text)
    return one_line(as_jsonl([value]) if isinstance(value, dict) else str(value))
