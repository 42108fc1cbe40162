"""Several series of one metric as one table, in which a column says which of them a row belongs to."""

from collections.abc import Mapping
from typing import Any, Generic

from attrs import field, frozen

from chartmogul_async.checks import encodable, instance_of, shown
from chartmogul_async.errors import ArgumentError
from chartmogul_async.metrics.arrow import ArrowTable, table_of
from chartmogul_async.metrics.query import MetricName
from chartmogul_async.metrics.records import E, S
from chartmogul_async.metrics.series import Series, column_names_of, entry_class, schema_of


def rows_of(named: Mapping[str, Series[Any, Any]], column: str) -> list[dict[str, Any]]:
    """Make rows of several series.

    Args:
        named: The series by their names.
        column: What the column of the names is called.

    Returns:
        One flat dict for each entry, with the name first.
    """
    return [{column: name, **row} for name, series in named.items() for row in series.to_dicts()]


def arrow_of(
    named: Mapping[str, Series[Any, Any]], column: str, metric: MetricName, metadata: Mapping[str, str]
) -> ArrowTable:
    """Make a table of several series.

    Args:
        named: The series by their names.
        column: What the column of the names is called.
        metric: Their metric.
        metadata: What the schema says about the whole.

    Returns:
        A table of arro3, with the column of the names first.
    """
    entries = [entry for series in named.values() for entry in series]
    names = [name for name, series in named.items() for _ in series]
    return table_of(entry_class(metric), entries, metadata, (column, names))


def _checked_series(value: Mapping[str, Series[E, S]]) -> dict[str, Series[E, S]]:
    wanted = "series must be a mapping of names to series, such as {'Acme': series}"
    if not isinstance(value, Mapping):
        raise ArgumentError(f"{wanted}, not {shown(value)}")
    if not value:
        raise ArgumentError(f"{wanted}, not an empty one")
    for name, series in value.items():
        if not isinstance(name, str) or not isinstance(series, Series):
            raise ArgumentError(f"{wanted}, not one of {shown(name)} to {shown(series)}")
        encodable("the names of series", name)
    metrics = sorted({series.query.metric for series in value.values()})
    if len(metrics) > 1:
        raise ArgumentError(f"series must be of one metric, not {' and '.join(metrics)}: make a table of each")
    return dict(value)


def _checked_column(table: "SeriesTable[Any, Any]", _: object, column: str) -> None:
    _, *names = table.column_names
    if instance_of("column", column, str, "'account'") in names:
        raise ArgumentError(f"column must differ from the fields {', '.join(names)}, not {column!r}")
    # With it, arro3 panics instead of raising an error.
    if "\0" in encodable("column", column):
        raise ArgumentError(f"column must have no zero byte, not {column!r}")


@frozen(repr=False)
class SeriesTable(Generic[E, S]):
    """Several series of one metric as one table, such as those of many accounts; a breakdown is one by itself.

    ::

        polars.DataFrame(SeriesTable({"Acme": acme, "Globex": globex}, column="account"))

    Whatever reads a series or a breakdown takes it: data frames, DuckDB, and the functions of ``files``.

    Args:
        series: The series by their names, at least one.
        column: What the column of the names is called.

    Raises:
        ArgumentError: The series are of several metrics, or there is none.
    """

    __module__ = "chartmogul_async"

    series: dict[str, Series[E, S]] = field(converter=_checked_series)
    column: str = field(default="segment", validator=_checked_column)

    @property
    def _metric(self) -> MetricName:
        return next(iter(self.series.values())).query.metric

    @property
    def column_names(self) -> tuple[str, ...]:
        """The column of the names, ``date`` and the other fields of the metric."""
        return (self.column, *column_names_of(self._metric))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Make rows, for data frames and tables.

        Returns:
            One flat dict for each name and entry, in the order of the series.
        """
        return rows_of(self.series, self.column)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Give a capsule with the columns of the rows; see ``to_arrow``."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_arrow(self, *, currency: str | None = None) -> ArrowTable:
        """Make a table of the rows of ``to_dicts``. Needs the extra ``arrow``.

        Args:
            currency: What the schema's metadata says about the amounts, which are in cents: ``account.currency``.

        Returns:
            A table of arro3, as that of a series with the column of the names before the others. The schema's metadata
            has those parameters of the queries that all of them share.

        Raises:
            ArgumentError: The currency is not a string.
        """
        described = [schema_of(series.query, currency).items() for series in self.series.values()]
        shared = {key: value for key, value in described[0] if all((key, value) in other for other in described)}
        return arrow_of(self.series, self.column, self._metric, shared)

    def __repr__(self) -> str:
        rows = sum(map(len, self.series.values()))
        return f"<SeriesTable of {self._metric}: {len(self.series)} series, {rows} rows>"
