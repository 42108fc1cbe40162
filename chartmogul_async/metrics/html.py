"""What a notebook shows of a series and of a breakdown: a small table, and a chart of a few kilobytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import attrs

from chartmogul_async.metrics.query import MetricQuery

# Of more rows than a year of months the first and the last ones are shown.
_MOST_ROWS = 12
_ROWS_AT_EACH_END = 5
_FEWEST_POINTS = 2
_MOST_CHARACTERS = 80
# A chart with larger numbers would show nothing but them.
_LARGEST = 1e15
# The classes of the lines, in the order of their segments.
_LINES: tuple[str, ...] = ("l0", "l1", "l2", "l3", "l4")
# A notebook has a theme of its own, whatever the system prefers, so text has the colour of the text around it, and the
# others are seen on white and on black.
_STYLE = (
    ".cmogul svg{display:block;width:100%;max-width:30rem;height:auto}"
    ".cmogul svg text{fill:currentColor;font:11px sans-serif}"
    ".cmogul .scale line,.cmogul .zero{stroke:currentColor;opacity:.25}"
    ".cmogul polyline{fill:none;stroke-width:2;stroke-linejoin:round}"
    ".cmogul .l0{stroke:#2f7ed8}.cmogul .l1{stroke:#c2571a}.cmogul .l2{stroke:#1a8a5a}"
    ".cmogul .l3{stroke:#b0489f}.cmogul .l4{stroke:#8a7a00}"
    ".cmogul svg.key{display:inline-block;width:1em;margin-right:.4em}.cmogul .key line{stroke-width:3}"
    ".cmogul .scroll{overflow-x:auto}.cmogul td,.cmogul th{text-align:right;padding:.1em .6em}"
    ".cmogul th{white-space:pre-line}.cmogul td{white-space:nowrap;font-variant-numeric:tabular-nums}"
    ".cmogul tr>:first-child{text-align:left}"
)


def series_html(query: MetricQuery[Any, Any], entries: Sequence[Any]) -> str:
    """Show the entries of a series.

    Args:
        query: The query, for the caption.
        entries: The entries, all of one class.

    Returns:
        A chart of their first figure, and a table with the units in its header, and the first and the last rows of a
        long series.
    """
    columns = attrs.fields(type(entries[0])) if entries else ()
    rows = [_row([getattr(entry, column.name) for column in columns]) for entry in _both_ends(entries)]
    if len(entries) > _MOST_ROWS:
        rows.insert(_ROWS_AT_EACH_END, _row(["…"] * len(columns)))
    caption = f"{_titled(query)}: {len(entries)} entries"
    chart = _chart(query.metric, {"l0": entries})
    return _whole(caption, chart, [_heading(column) for column in columns], rows)


def breakdown_html(
    query: MetricQuery[Any, Any],
    by: str,
    series: Mapping[str, Sequence[Any]],
    failures: Mapping[str, BaseException],
    note: str,
    others: Mapping[str, Sequence[Any]],
) -> str:
    """Show the segments of a breakdown.

    Args:
        query: The query of the whole, for the caption.
        by: What it is broken down by.
        series: The entries of each segment.
        failures: What failed, by the name of the segment.
        note: How segments and total belong together.
        others: The entries of the remainder and of the total.

    Returns:
        A chart of the largest segments, and a table with the first figure of each segment at both ends of the range;
        the largest segments come first.
    """
    ordered = dict(sorted(series.items(), key=lambda item: -_size(item[1])))
    lines = dict(zip(_LINES, ordered.values(), strict=False))
    chart = _chart(f"{query.metric} by {by}", lines) if _have_equal_dates(lines.values()) else ""
    # What is not drawn needs no key.
    keys = dict(zip(ordered, lines, strict=False)) if chart else {}
    rows = [
        *_first([_segment_row(name, entries, keys.get(name)) for name, entries in ordered.items()]),
        *_first([_row([name, "failed", type(error).__name__]) for name, error in failures.items()]),
        *(_segment_row(name, entries) for name, entries in others.items()),
    ]
    caption = f"{_titled(query)}, by {by}: {len(series)} segments; {note}"
    return _whole(caption, chart, ["segment", *_ends_of((*series.values(), *others.values()))], rows)


# --- charts --------------------------------------------------------------------------------------------------


def _chart(title: str, lines: Mapping[str, Sequence[Any]]) -> str:
    """A chart of the first figure of entries of the same dates; none where there is nothing to see."""
    # Loaded only by notebooks.
    from chartmogul_async.drawing import charts

    entries = next(iter(lines.values()))
    if len(entries) < _FEWEST_POINTS:
        return ""
    column = _first_figure(entries[0])
    kinds = {kind: _plotted(its, column) for kind, its in lines.items()}
    if not all(math.isfinite(value) for values in kinds.values() for value in values):
        return ""
    unit = {"cents": ", in units of the currency", "percent": ", in percent"}.get(column.metadata["unit"], "")
    labels = [str(entry.date) for entry in entries]
    description = f"{column.name} from {labels[0]} to {labels[-1]}{unit}"
    return f"{charts.curves(title, description, labels, kinds)}<div>{escape(description)}</div>"


def _first_figure(entry: Any) -> attrs.Attribute[Any]:
    _, figure, *_ = attrs.fields(type(entry))
    its: attrs.Attribute[Any] = figure
    return its


def _plotted(entries: Sequence[Any], column: attrs.Attribute[Any]) -> list[float]:
    divisor = 100 if column.metadata["unit"] == "cents" else 1
    values = (getattr(entry, column.name) for entry in entries)
    # Digits that nobody sees would make the scale finer than a float is.
    return [round(value / divisor, 6) if abs(value) <= _LARGEST else math.inf for value in values]


# --- tables --------------------------------------------------------------------------------------------------


def _both_ends(entries: Sequence[Any]) -> Iterable[Any]:
    if len(entries) <= _MOST_ROWS:
        return entries
    return (*entries[:_ROWS_AT_EACH_END], *entries[-_ROWS_AT_EACH_END:])


def _first(rows: list[str]) -> list[str]:
    more = len(rows) - _MOST_ROWS
    return rows if more <= 0 else [*rows[:_MOST_ROWS], _row([f"… and {more} more", "", ""])]


def _titled(query: MetricQuery[Any, Any]) -> str:
    return f"{query.metric}, {', '.join(map(_short, query.params.values()))}"


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


def _heading(column: attrs.Attribute[Any]) -> str:
    unit = column.metadata.get("unit")
    return f"{column.name} ({unit})" if unit in ("cents", "percent") else column.name


def _size(entries: Sequence[Any]) -> float:
    """By what segments are ordered: the last figure."""
    return getattr(entries[-1], _first_figure(entries[-1]).name) if entries else -math.inf


def _have_equal_dates(all_entries: Iterable[Sequence[Any]]) -> bool:
    return len({tuple(entry.date for entry in entries) for entries in all_entries}) == 1


def _ends_of(all_entries: Iterable[Sequence[Any]]) -> list[str]:
    """The headings of the first and the last figure: the field, its unit and the date."""
    for entries in all_entries:
        if entries:
            heading = _heading(_first_figure(entries[0]))
            return [f"{heading}\n{entry.date}" for entry in (entries[0], entries[-1])]
    return []


def _segment_row(name: str, entries: Sequence[Any], key: str | None = None) -> str:
    figures = [getattr(entry, _first_figure(entry).name) for entry in (*entries[:1], *entries[-1:])]
    return _row([name, *figures], key)


def _row(cells: Sequence[Any], key: str | None = None) -> str:
    texts = "".join(f"<td>{'' if cell is None else escape(_short(str(cell)))}</td>" for cell in cells)
    return f"<tr>{texts if key is None else texts.replace('<td>', f'<td>{_key(key)}', 1)}</tr>"


def _key(kind: str) -> str:
    line = f'<line class="{kind}" x2="10" y1="3" y2="3"/>'
    return f'<svg class="key" viewBox="0 0 10 6" aria-hidden="true">{line}</svg>'


def _whole(caption: str, chart: str, headings: Sequence[str], rows: Sequence[str]) -> str:
    heads = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    return (
        f'<div class="cmogul"><style>{_STYLE}</style><p>{escape(caption)}</p>{chart}'
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div></div>'
    )
