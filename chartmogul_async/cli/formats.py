"""Records as text for other programs: CSV, JSON and JSON lines. Amounts are cents, as in the records."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Literal, get_args

import attrs

from chartmogul_async.files import text

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


def as_csv(records: Iterable[Any], kind: type[attrs.AttrsInstance], escape_formulas: bool) -> str:
    """Write records as CSV, with a header.

    Args:
        records: The records, all of one class.
        kind: Their class, which names the columns.
        escape_formulas: Whether a text that a spreadsheet would take for a formula gets an apostrophe before it.

    Returns:
        The text. None is an empty cell; nested values are JSON.
    """
    names = [field.name for field in attrs.fields(kind)]
    return text.as_csv(names, ([_cell(getattr(record, name)) for name in names] for record in records), escape_formulas)


def as_json(value: Any, in_file: bool = False) -> str:
    """Write a value as JSON.

    Args:
        value: A record, which becomes an object; or several, in a list or as the values of a dict.
        in_file: Whether it is for a file, which is in UTF-8, and not for stdout, which may be in less.

    Returns:
        The text.
    """
    return json.dumps(value, default=_jsonable, indent=2, ensure_ascii=not (in_file or _writes_unicode())) + "\n"


def as_jsonl(records: Sequence[Any], in_file: bool = False) -> str:
    """Write records as JSON lines.

    Args:
        records: The records, or rows.
        in_file: Whether it is for a file, which is in UTF-8, and not for stdout, which may be in less.

    Returns:
        The text, one line per record.
    """
    return "".join(_compact(record, in_file) + "\n" for record in records)


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | date):
        return value.isoformat() if isinstance(value, date) else value
    return _compact(value) if value else ""


def _compact(value: Any, in_file: bool = False) -> str:
    return json.dumps(value, default=_jsonable, ensure_ascii=not (in_file or _writes_unicode()))


def _jsonable(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else attrs.asdict(value, recurse=False)


def _writes_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
