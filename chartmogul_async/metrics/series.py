"""The result of a query, and the response that each metric has."""

from collections.abc import Iterator
from datetime import date
from operator import attrgetter
from typing import Any, Generic, Literal, get_args, overload

import attrs
from attrs import asdict, field, frozen

from chartmogul_async.checks import calendar_day, encodable, instance_of, one_of
from chartmogul_async.metrics.arrow import ArrowTable, table_of
from chartmogul_async.metrics.html import series_html
from chartmogul_async.metrics.query import MetricName, MetricQuery
from chartmogul_async.metrics.records import (
    ARPAEntry,
    ARREntry,
    ASPEntry,
    CustomerChurnRateEntry,
    CustomerCountEntry,
    E,
    KeyMetricsEntry,
    KeyMetricsResponse,
    LTVEntry,
    MetricEntry,
    MetricResponse,
    MRRChurnRateEntry,
    MRREntry,
    S,
    Summary,
)
from chartmogul_async.structuring.documents import MARK, from_document
from chartmogul_async.structuring.record import Record

# A repr shows this many entries at most, and the first and the last one of more.
_SHOWN = 6
_DATED = "an entry is dated by the last day of its interval"


@frozen(repr=False)
class Series(Record, Generic[E, S]):
    """The entries of one query, oldest first, with the summary.

    It has a length, is iterated over, indexed and sliced as the tuple of its entries is, but it is not a
    ``collections.abc.Sequence``; where one is wanted, ``series.entries`` is one. ``series["2025-01-31"]`` is the entry
    of that date, which is the last day of its interval.

    ``to_dict`` and ``from_dict`` write and read it. FastAPI, pydantic, msgspec and Litestar write the same document by
    themselves, so that a handler can return a series.

    Attributes:
        entries: One record for each interval.
        summary: The figures *now*; None for ``/metrics/all`` of the closed beta.
        query: The query that this is the result of.
        format: What marks its documents.
    """

    __module__ = "chartmogul_async"

    format: Literal["chartmogul_async.Series/1"] = field(
        default="chartmogul_async.Series/1", init=False, repr=False, eq=False, metadata=MARK
    )
    entries: tuple[E, ...]
    summary: S
    query: MetricQuery[E, S]

    # Otherwise ``dict(series)`` of an empty one would be ``{}``, and FastAPI would return that.
    keys = None

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[E]:
        return iter(self.entries)

    def __reversed__(self) -> Iterator[E]:
        return reversed(self.entries)

    def __contains__(self, entry: object) -> bool:
        return entry in self.entries

    @overload
    def __getitem__(self, index: int) -> E: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[E, ...]: ...
    @overload
    def __getitem__(self, index: str | date) -> E: ...
    def __getitem__(self, index: int | slice | str | date) -> E | tuple[E, ...]:
        if isinstance(index, (str, date)):
            return self._dated(calendar_day("the date", index, hint=f"; {_DATED}"))
        return self.entries[index]

    def _dated(self, day: date) -> E:
        for entry in self.entries:
            if entry.date == day:
                return entry
        ends = f", but there are some from {self[0].date} to {self[-1].date}" if self.entries else ""
        raise KeyError(f"no entry is dated {day}{ends}; {_DATED}")

    def __repr__(self) -> str:
        if len(self) <= _SHOWN:
            return f"Series(entries={self.entries!r}, summary={self.summary!r}, query={self.query!r})"
        return f"<Series of {len(self)} entries: {self[0]!r} ... {self[-1]!r}, query={self.query!r}>"

    def _repr_html_(self) -> str:
        """The chart and the table that a notebook shows."""
        return series_html(self.query, self.entries)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> "Series":
        """Read a document that ``to_dict`` or a web framework made.

        Type checkers know it as a series of any metric; ``isinstance(series[0], MRREntry)`` finds out more.

        Args:
            document: The document, also after it was written as JSON and read.

        Returns:
            A series that equals the one that the document was made of, with values of the same types.

        Raises:
            ArgumentError: The document is damaged, was not made of a series, or was made by a newer version of the
                package in a form that this one does not know. The message names each place:
                ``document must be what to_dict() returns: $.entries[1].mrr: expected int or float, got str``. It is
                not a ``DecodeError``, since nothing was exchanged with ChartMogul.
        """
        outline = from_document(document, _Outline)
        response = from_document(document, RESPONSES[outline.query.metric])
        return Series(response.entries, response.summary, outline.query)

    _read = from_dict

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the fields of the entries, ``date`` first; also of a series without any."""
        return column_names_of(self.query.metric)

    def column(self, name: str) -> tuple[Any, ...]:
        """Take one field of all entries.

        Args:
            name: The name of a field, such as ``"date"`` or ``"mrr"``.

        Returns:
            Its values, oldest first.

        Raises:
            ArgumentError: The entries have no such field:
                ``name must be one of date, arr, percentage_change, not 'mrr'``.
        """
        return tuple(map(attrgetter(one_of("name", name, self.column_names)), self.entries))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Make rows of the entries, for data frames and tables.

        Returns:
            One flat dict for each entry, by the names of its fields; ``date`` is a ``date``. For
            ``pandas.DataFrame(rows)`` or ``polars.DataFrame(rows)``.
        """
        return [asdict(entry, recurse=False) for entry in self.entries]

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Give a capsule with the columns of the entries; see ``to_arrow``."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_arrow(self, *, currency: str | None = None) -> ArrowTable:
        """Make a table of the entries, with a column for each of their fields. Needs the extra ``arrow``.

        Whatever reads Arrow takes the series itself, too: ``polars.DataFrame(series)``, ``pyarrow.table(series)``,
        ``pandas.DataFrame.from_arrow(series)``, and DuckDB in ``FROM series``.

        Args:
            currency: What the schema's metadata says about the amounts, which are in cents: ``account.currency``.

        Returns:
            A table of arro3. Dates are dates, counts and amounts integers, rates floats, and what is missing is null.
            The schema's metadata has the metric, the parameters of the query and the currency; that of each column its
            unit and kind.

        Raises:
            ArgumentError: The currency is not a string.
        """
        return table_of(entry_class(self.query.metric), self.entries, schema_of(self.query, currency))


@frozen
class _Outline:
    """What a document of any series contains; the class of its entries depends on the query."""

    format: str = field(default=attrs.fields(Series).format.default, init=False, metadata=MARK)
    query: MetricQuery[Any, Any]
    summary: Any


RESPONSES: dict[MetricName, type[MetricResponse[Any, Any]]] = {
    "all": KeyMetricsResponse,
    "mrr": MetricResponse[MRREntry, Summary],
    "arr": MetricResponse[ARREntry, Summary],
    "arpa": MetricResponse[ARPAEntry, Summary],
    "asp": MetricResponse[ASPEntry, Summary],
    "customer_count": MetricResponse[CustomerCountEntry, Summary],
    "customer_churn_rate": MetricResponse[CustomerChurnRateEntry, Summary],
    "mrr_churn_rate": MetricResponse[MRRChurnRateEntry, Summary],
    "ltv": MetricResponse[LTVEntry, Summary],
}
"""The class of each endpoint's response."""


def entry_class(metric: MetricName) -> type[MetricEntry]:
    """Find the class of a metric's entries.

    Args:
        metric: The name of the metric.

    Returns:
        The class.
    """
    (entry, *_) = get_args(RESPONSES[metric]) or (KeyMetricsEntry,)
    found: type[MetricEntry] = entry
    return found


def column_names_of(metric: MetricName) -> tuple[str, ...]:
    """Find the names of the fields of a metric's entries.

    Args:
        metric: The name of the metric.

    Returns:
        The names, ``date`` first.
    """
    return tuple(field.name for field in attrs.fields(entry_class(metric)))


def schema_of(query: MetricQuery[Any, Any], currency: str | None) -> dict[str, str]:
    """What the schema of a table says about the whole.

    Args:
        query: The query.
        currency: The currency of the amounts, if it is known.

    Returns:
        The metric, the parameters of the query, and the currency.

    Raises:
        ArgumentError: The currency is not a string, or not valid Unicode.
    """
    metadata = {"metric": query.metric, **query.params}
    if currency is not None:
        metadata["currency"] = encodable("currency", instance_of("currency", currency, str, "'USD'"))
    return metadata
