"""A small table of the entries of a series, as a notebook shows it."""

from __future__ import annotations

from html import escape
from typing import Any

import attrs

from chartmogul_async.metrics.query import MetricQuery

# Of more rows than a year of months the first and the last ones are shown.
_MOST_ROWS = 12
_ROWS_AT_EACH_END = 5


def as_html(query: MetricQuery, entries: tuple[Any, ...]) -> str:
    """Make a table.

    Args:
        query: The query, for the caption.
        entries: The entries, all of one class.

    Returns:
        A ``<table>`` with the units in its header, and the first and the last rows of a long series.
    """
    columns = attrs.fields(type(entries[0])) if entries else ()
    is_long = len(entries) > _MOST_ROWS
    shown = entries[:_ROWS_AT_EACH_END] + entries[-_ROWS_AT_EACH_END:] if is_long else entries
    rows = [_row("td", [getattr(entry, column.name) for column in columns]) for entry in shown]
    if is_long:
        rows.insert(_ROWS_AT_EACH_END, _row("td", ["…"] * len(columns)))
    caption = escape(f"{query.metric}, {', '.join(query.params.values())}: {len(entries)} entries")
    header = _row("th", [_heading(column) for column in columns])
    return f"<table><caption>{caption}</caption><thead>{header}</thead><tbody>{''.join(rows)}</tbody></table>"


def _heading(column: attrs.Attribute[Any]) -> str:
    unit = column.metadata.get("unit")
    return f"{column.name} ({unit})" if unit in ("cents", "percent") else column.name


def _row(tag: str, cells: list[Any]) -> str:
    texts = ("" if cell is None else escape(str(cell)) for cell in cells)
    return f"<tr>{''.join(f'<{tag}>{text}</{tag}>' for text in texts)}</tr>"
