"""Many JSON objects into records of one flat class, as fast as Python goes.

A general structurer asks again for each value what it should be. Here a loop is compiled for the class, once, with
the checks written out, and it fills a twin of the class that is not frozen: to fill a frozen record costs four times as
much. It knows only the usual form of each value; an object with anything else in it goes to the ``exact`` structurer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import attrs

EXACT_BELOW = 2**53
"""From here on a float has no digits left for single units; some JSON parsers turn long integers into such floats."""

_NO_INTEGER = "value.__class__ is not int"
_NO_FLOAT = f"value.__class__ is not float or not -{EXACT_BELOW}.0 < value < {EXACT_BELOW}.0"  # nor infinity, nor NaN
_NO_DATE = "len(value) != 10 or 'W' in value"  # no other ISO 8601 form; the rest is seen in parsing

_UNUSUAL: Mapping[Any, str] = {
    int: _NO_INTEGER,
    int | float: _NO_INTEGER,
    int | float | None: _NO_INTEGER,
    float: _NO_FLOAT,
    float | None: _NO_FLOAT,
    date: _NO_DATE,
}


def bulk_structurer(
    cls: type[Any], keys: Sequence[str], exact: Callable[[Any, Any], Any]
) -> Callable[[list[Any]], list[Any]] | None:
    """A function that turns a list of objects into records; ``keys`` are those of the fields, in their order.

    None for a class that has other fields than numbers and dates, or whose instances cannot be filled this way.
    """
    fields = attrs.fields(cls)
    twin = type(cls.__name__, (), {"__slots__": [field.name for field in fields]})
    alike = twin.__basicsize__ == cls.__basicsize__ and attrs.fields_dict(cls).keys() == set(
        cls.__dict__.get("__slots__", ())
    )
    if not alike or any(field.type not in _UNUSUAL for field in fields):
        return None
    lines = ["def structure(objects):", "  records = []", "  for each in objects:", "    try:", "      record = twin()"]
    for field, key in zip(fields, keys, strict=True):
        lines += [f"      value = each[{key!r}]", f"      if {_UNUSUAL[field.type]}:", "        raise TypeError"]
        lines += [f"      record.{field.name} = {'parse_date(value)' if field.type is date else 'value'}"]
    lines += ["      record.__class__ = cls", "    except Exception:", "      record = exact(each, cls)"]
    lines += ["    records.append(record)", "  return records"]
    names: dict[str, Any] = {"twin": twin, "cls": cls, "exact": exact, "parse_date": date.fromisoformat}
    exec("\n".join(lines), names)  # noqa: S102 - attrs and cattrs make their functions the same way
    structure: Callable[[list[Any]], list[Any]] = names["structure"]
    return structure
