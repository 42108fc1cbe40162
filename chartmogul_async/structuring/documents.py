"""Records as documents, which any JSON library can write, and back.

A document contains what the record's fields contain, by their names. A series and a query also have a mark, ``format``:
the class and the version of its form, such as ``chartmogul_async.Series/1``. The version changes where an older reader
would misunderstand the new form. A new field of a record is not such a change: readers ignore what they do not
know, and take the default of a field, None, where it is missing.
"""

from __future__ import annotations

from typing import Any, TypeVar

from chartmogul_async.checks import instance_of
from chartmogul_async.errors import ArgumentError, DecodeError
from chartmogul_async.structuring import converter

T = TypeVar("T")


MARK = {"mark": True}
"""The metadata of the field that marks documents. It is a field, so that whatever writes all fields writes it too."""


def to_document(record: Any) -> dict[str, Any]:
    """Turn a record into a document.

    Args:
        record: An object of an attrs class.

    Returns:
        Dicts, lists and scalars, dates as ISO strings.
    """
    return converter.unstructure(record)


def from_document(document: object, into: type[T]) -> T:
    """Turn a document into a record.

    What is wrong with a document is an ``ArgumentError``, not a ``DecodeError``: a document is an argument, which comes
    from a file, a queue or a browser, and no exchange with ChartMogul can have damaged it. An ``ArgumentError`` is
    also a ``ValueError``, which pydantic and msgspec report as their own validation errors.

    Args:
        document: A dict as ``to_document`` returns it, also after it was written and read by a JSON library.
        into: The class of the record.

    Returns:
        The record.

    Raises:
        ArgumentError: ``document must be what to_dict() returns: $.entries[1].mrr: expected int or float, got str``.
    """
    instance_of("document", document, dict)
    try:
        return converter.structure(document, into, kebab=False)
    except DecodeError as error:
        problems = error.message
    raise ArgumentError(f"document must be what to_dict() returns: {problems}")
