"""Records as text for other programs: CSV, JSON and JSON lines. Amounts are cents, as in the records."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Literal, get_args

import attrs

from chartmogul_async import Series

Format = Literal["table", "csv", "json", "jsonl"]
FORMATS: tuple[Format, ...] = get_args(Format)


def chosen(given: Format | None) -> Format:
    """Choose the format.

    Args:
        given: The format that was requested, if any.

    Returns:
        The requested format; by default a table on a terminal, and CSV elsewhere.
    """
    if given is not None:
        return given
    return "table" if sys.stdout.isatty() else "csv"


# With one of these a cell begins that a spreadsheet takes for a formula; the last four are their full-width forms.
# Source: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


class _Lines(list[str]):
    def write(self, line: str) -> None:
        """Take a line from the writer of CSV, which quotes all line breaks only where its own is this one."""
        self.append(line.removesuffix("\r\n") + "\n")


def as_csv(records: Iterable[Any], kind: type[attrs.AttrsInstance], escape_formulas: bool = False) -> str:
    """Write records as CSV, with a header.

    Args:
        records: The records, all of one class.
        kind: Their class, which names the columns.
        escape_formulas: Whether a text that a spreadsheet would take for a formula gets an apostrophe before it.

    Returns:
        The text. None is an empty cell; nested values are JSON.
    """
    names = [field.name for field in attrs.fields(kind)]
    lines = _Lines()
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerow(names)
    for record in records:
        cells = [_cell(getattr(record, name)) for name in names]
        writer.writerow(map(_as_text, cells) if escape_formulas else cells)
    return "".join(lines)


def as_json(value: Any) -> str:
    """Write a value as JSON.

    Args:
        value: A record, which becomes an object; several, which become a list; or a series, which becomes an object
            with entries and summary.

    Returns:
        The text.
    """
    if isinstance(value, Series):
        value = {"entries": value.entries, "summary": value.summary}
    return json.dumps(value, default=_jsonable, indent=2, ensure_ascii=not _writes_unicode()) + "\n"


def as_jsonl(records: Sequence[Any]) -> str:
    """Write records as JSON lines.

    Args:
        records: The records.

    Returns:
        The text, one line per record.
    """
    return "".join(_compact(record) + "\n" for record in records)


def _as_text(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | date):
        return value.isoformat() if isinstance(value, date) else value
    return _compact(value) if value else ""


def _compact(value: Any) -> str:
    return json.dumps(value, default=_jsonable, ensure_ascii=not _writes_unicode())


def _jsonable(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else attrs.asdict(value, recurse=False)


def _writes_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
