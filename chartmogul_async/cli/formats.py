"""Records as text for other programs: CSV, JSON and JSON lines. Amounts stay what they are, in cents."""

from __future__ import annotations

import csv
import io
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
    """The format that was asked for; else a table for eyes, and CSV for everything behind a pipe."""
    if given is not None:
        return given
    return "table" if sys.stdout.isatty() else "csv"


def as_csv(records: Iterable[Any], kind: type[attrs.AttrsInstance]) -> str:
    """A header and a line for each record; None is an empty cell, what has parts of its own is JSON."""
    names = [field.name for field in attrs.fields(kind)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(getattr(record, name)) for name in names] for record in records)
    return text.getvalue()


def as_json(value: Any) -> str:
    """A record as an object, several as a list; a series as its entries and its summary."""
    if isinstance(value, Series):
        value = {"entries": value.entries, "summary": value.summary}
    return json.dumps(value, default=_jsonable, indent=2, ensure_ascii=not _writes_unicode()) + "\n"


def as_jsonl(records: Sequence[Any]) -> str:
    """A line for each record."""
    return "".join(_compact(record) + "\n" for record in records)


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
