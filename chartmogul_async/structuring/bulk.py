"""Many JSON objects into records of one flat class, by a loop that is compiled for the class.

A general structurer calls a function for every value. The loop has the checks of all fields written out instead;
attrs and cattrs compile their methods in the same way. It accepts only the usual form of each value: an object with
any other value is passed to an ``exact`` structurer, which decides.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from textwrap import dedent, indent
from typing import Any

import attrs

EXACT_BELOW = 2**53
"""Floats of this size and beyond cannot represent every integer; some JSON parsers make them of long integers."""

_NOT_INTEGER = "value.__class__ is not int"
# The range also excludes infinity and NaN.
_NOT_FLOAT = f"value.__class__ is not float or not -{EXACT_BELOW}.0 < value < {EXACT_BELOW}.0"
# The second hyphen excludes all else that ``date.fromisoformat`` accepts: weeks (2023-W31-1), eight digits and, in
# Python 3.11 to 3.13, ten.
_NOT_DATE = "value[7] != '-'"

_UNUSUAL: Mapping[Any, str] = {
    int: _NOT_INTEGER,
    int | float: _NOT_INTEGER,
    int | float | None: _NOT_INTEGER,
    float: _NOT_FLOAT,
    float | None: _NOT_FLOAT,
    date: _NOT_DATE,
}
"""For the type of a field, the condition under which the loop does not accept ``value``."""

# Tests that freeze the day put another class in the place of ``date``, but not in that of a method.
parse_date: Callable[[str], date] = date.fromisoformat

_LOOP = dedent("""\
    def structure(objects, exact):
        for index, each in enumerate(objects):
            try:
                record = writable()
    {fields}
                record.__class__ = cls
            except Exception:
                record = exact(each, index)
            objects[index] = record
    """)

_FIELD = dedent("""\
    value = each[{key!r}]
    if {unusual}:
        raise TypeError
    record.{name} = {converted}
    """)

_FIELD_INDENT = " " * 12


Exact = Callable[[Any, int], Any]
"""Given an object with an unusual value and its index, it returns the record or raises."""

Structurer = Callable[[list[Any], Exact], None]
"""Puts records in the place of the objects in a list, with the function for those that have unusual values.

So the memory of an object can be used again as soon as its record is made, which saves a twentieth of the time.
"""


def bulk_structurer(cls: type[Any], keys: Sequence[str]) -> Structurer | None:
    """Compile a function that turns the JSON objects of a list into records.

    Args:
        cls: A frozen attrs class whose annotations are resolved.
        keys: The key of each field in the JSON object, in the order of the fields.

    Returns:
        The function, which is given the list and an ``exact`` structurer; None if the class has fields other than
        numbers and dates, or if making an instance does more than to assign its fields.
    """
    fields = attrs.fields(cls)
    if hasattr(cls, "__attrs_post_init__") or not all(_is_plain(field) for field in fields):
        return None
    lines = "".join(_field_lines(field, key) for field, key in zip(fields, keys, strict=True))
    source = _LOOP.format(fields=indent(lines, _FIELD_INDENT).rstrip())
    names = {"cls": cls, "writable": _writable(cls), "parse_date": parse_date}
    return _compiled(source, f"<chartmogul_async bulk structurer of {cls.__name__}>", names)


def _is_plain(field: attrs.Attribute[Any]) -> bool:
    return field.type in _UNUSUAL and field.init and field.converter is None and field.validator is None


def _field_lines(field: attrs.Attribute[Any], key: str) -> str:
    converted = "parse_date(value)" if _UNUSUAL[field.type] is _NOT_DATE else "value"
    return _FIELD.format(key=key, unusual=_UNUSUAL[field.type], name=field.name, converted=converted)


def _writable(cls: type[Any]) -> type[Any]:
    """A subclass of the same layout whose instances are not frozen.

    The loop fills such an instance and then assigns ``cls`` to its ``__class__``. Without the subclass it would have
    to fill frozen records through their slots (``cls.mrr.__set__(record, value)``), which makes it twice as slow.
    Calling ``cls`` is slower still.
    """
    namespace = {
        "__slots__": (),
        "__init__": object.__init__,
        "__setattr__": object.__setattr__,
        # Nothing is deleted; but CPython has one slot for both, and takes the slow way unless both are the plain ones.
        "__delattr__": object.__delattr__,
    }
    return type(f"Writable{cls.__name__}", (cls,), namespace)


def _compiled(source: str, file_name: str, names: dict[str, Any]) -> Structurer:
    exec(compile(source, file_name, "exec"), names)  # noqa: S102 - attrs and cattrs make their functions the same way
    # Tracebacks and debuggers look up source lines here.
    linecache.cache[file_name] = (len(source), None, source.splitlines(keepends=True), file_name)
    structure: Structurer = names["structure"]
    return structure
