"""Records as columns of Apache Arrow, which data frames, DuckDB and warehouses read without an adapter.

Dates are dates, counts and whole amounts are integers, rates are floats, and what is missing is null. The metadata of
each column contains its unit and kind, as the records have them. Amounts are 64-bit integers of cents; a column in
which any amount is a float, as fractions of a cent in old responses are, is one of floats.

The extra ``arrow`` (arro3) is imported when columns are made, and not before.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    from arro3.core import Array, Table

# Not ``date`` itself, in whose place tests that freeze the day put another class.
_DAYS = (date,)
_NEVER_NULL = (date, int, float, int | float)
_INTEGERS = (int, int | float, int | float | None)
# Arrow counts days from here.
_EPOCH = date(1970, 1, 1).toordinal()


class ArrowTable(Protocol):
    """A table that whatever speaks the Arrow C stream interface reads, as ``polars.DataFrame(table)`` does."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Give a capsule with the stream of the table."""
        ...


def table_of(
    cls: Any, records: Sequence[Any], metadata: Mapping[str, str], names: tuple[str, Sequence[str]] | None = None
) -> "Table":
    """Make a table with one column for each field.

    Args:
        cls: The class of the records, whose fields are dates and numbers.
        records: The records.
        metadata: What the schema says about the whole.
        names: The first column, with a name for each record: how it is called, and the names.

    Returns:
        A table of arro3.

    Raises:
        ImportError: The extra ``arrow`` is not installed.
    """
    core = _core()
    fields = attrs.fields(cls)
    columns = _taken_apart(cls)(records)
    arrays = [_array(core, field.type, column) for field, column in zip(fields, columns, strict=True)]
    described = [_described(core, field, array) for field, array in zip(fields, arrays, strict=True)]
    if names is not None:
        column, texts = names
        arrays.insert(0, core.Array(list(texts), type=core.DataType.string()))
        described.insert(0, core.Field(column, core.DataType.string(), nullable=False))
    table: Table = core.Table.from_arrays(arrays, schema=core.Schema(described, metadata=dict(metadata)))
    return table


def _core() -> Any:
    try:
        from arro3 import core
    except ImportError:
        raise ImportError(
            "columns of Arrow require an extra; run: pip install 'chartmogul-async[arrow]'", name="arro3"
        ) from None
    return core


@cache
def _taken_apart(cls: Any) -> Callable[[Sequence[Any]], list[list[Any]]]:
    """A function that makes one list of each field, compiled for the class: ``attrgetter`` takes twice as long."""
    columns = ", ".join(f"[record.{field.name} for record in records]" for field in attrs.fields(cls))
    function: Callable[[Sequence[Any]], list[list[Any]]] = eval(f"lambda records: [{columns}]")  # noqa: S307 - names of fields
    return function


def _array(core: Any, kind: Any, column: list[Any]) -> "Array":
    array: Array
    if kind in _DAYS:
        # arro3 makes no dates of Python's, but casts numbers of days to them.
        days = [day.toordinal() - _EPOCH for day in column]
        array = core.Array(days, type=core.DataType.int32()).cast(core.DataType.date32())
        return array
    if kind in _INTEGERS:
        # A float among them is found faster by arro3 than by a look at each.
        with suppress(TypeError):
            array = core.Array(column, type=core.DataType.int64())
            return array
    array = core.Array(column, type=core.DataType.float64())
    return array


def _described(core: Any, field: "attrs.Attribute[Any]", array: "Array") -> Any:
    metadata = {name: field.metadata[name] for name in ("unit", "kind") if name in field.metadata}
    is_nullable = field.type not in _NEVER_NULL
    return core.Field(field.name, array.type, nullable=is_nullable, metadata=metadata)
