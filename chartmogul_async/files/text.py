"""Rows as text: CSV and JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

# With one of these a cell begins that a spreadsheet takes for a formula; the last four are their full-width forms.
# Source: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


class _Lines(list[str]):
    def write(self, line: str) -> None:
        """Take a line from the writer of CSV, which quotes all line breaks, since it ends its own with both."""
        self.append(line.removesuffix("\r\n") + "\n")


def as_csv(names: Sequence[str], rows: Iterable[Iterable[Any]], escape_formulas: bool) -> str:
    """Write rows as CSV, with a header.

    Args:
        names: The names of the columns.
        rows: The cells of each row: texts, numbers, dates and None, which is an empty cell.
        escape_formulas: Whether a text that a spreadsheet would take for a formula gets an apostrophe before it.

    Returns:
        The text.
    """
    lines = _Lines()
    writer = csv.writer(lines)
    escape = _escaped if escape_formulas else _exact
    writer.writerow(map(escape, names))
    writer.writerows(map(escape, row) for row in rows)
    return "".join(lines)


def as_json_lines(rows: Iterable[Any]) -> str:
    """Write rows as JSON lines.

    Args:
        rows: The rows.

    Returns:
        The text, one line for each row.
    """
    encoder = json.JSONEncoder(default=_iso, ensure_ascii=False)
    return "".join(encoder.encode(row) + "\n" for row in rows)


def _exact(cell: Any) -> Any:
    return cell


def _escaped(cell: Any) -> Any:
    return "'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _iso(value: date) -> str:
    return value.isoformat()
