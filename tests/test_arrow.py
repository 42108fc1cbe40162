"""A series as columns of Arrow, and the four libraries that read it without an adapter.

The readers are in the dependency group ``frames``, which ``nox -s frames`` installs.
"""

from __future__ import annotations

import sys
from datetime import date
from typing import Any

import attrs
import pytest
from hypothesis import given, settings

from chartmogul_async import (
    Breakdown,
    ChartMogulError,
    Failure,
    KeyMetricsEntry,
    KeyMetricsSummary,
    MetricQuery,
    MRREntry,
    Series,
    SeriesTable,
    Success,
    Summary,
)
from chartmogul_async.errors import ArgumentError
from chartmogul_async.metrics import arrow
from chartmogul_async.metrics.query import METRICS, MetricName
from chartmogul_async.metrics.series import entry_class
from tests.documents import series as any_series

core: Any = pytest.importorskip("arro3.core", reason="the extra `arrow` is not installed")

NOW = Summary(700, 600, 16.67)
SERIES = Series(
    (
        MRREntry(date(2025, 1, 31), 2**53 + 1, 0.0, 5, 4, -3, -2, 0),
        # The closed beta has no movements.
        MRREntry(date(2025, 2, 28), -7),
    ),
    NOW,
    MetricQuery("mrr", "2025-01", "2025-02", geo=["US", "DE"]),
)
EMPTY: Series[KeyMetricsEntry, KeyMetricsSummary | None] = Series((), None, MetricQuery("all", "2025"))


def table_of(series: Series[Any, Any] | Breakdown[Any, Any], **options: Any) -> Any:
    return core.Table.from_arrow(series.to_arrow(**options))


def rows_of(table: Any) -> list[dict[str, Any]]:
    names = table.schema.names
    columns = [table.column(name).to_pylist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def test_dates_are_dates_counts_integers_and_missing_is_null() -> None:
    table = table_of(SERIES)
    assert rows_of(table) == SERIES.to_dicts()
    types = {field.name: str(field.type).removeprefix("arro3.core.DataType").strip("<>\n") for field in table.schema}
    amounts = [name for name in types if name.startswith("mrr")]
    assert types == {"date": "Date32", "percentage_change": "Float64"} | dict.fromkeys(amounts, "Int64")
    nullable = {field.name for field in table.schema if field.nullable}
    assert nullable == set(types) - {"date", "mrr"}


def test_the_schema_has_unit_kind_query_and_currency() -> None:
    schema = table_of(SERIES, currency="EUR").schema
    assert schema.metadata_str == {
        "metric": "mrr",
        "start-date": "2025-01-01",
        "end-date": "2025-02-28",
        "interval": "month",
        "geo": "US,DE",
        "currency": "EUR",
    }
    described = {field.name: field.metadata_str for field in schema}
    assert described["date"] == {}
    assert described["mrr"] == {"unit": "cents", "kind": "stock"}
    assert described["mrr_churn"] == {"unit": "cents", "kind": "flow"}
    assert described["percentage_change"] == {"unit": "percent", "kind": "rate"}
    assert "currency" not in table_of(SERIES).schema.metadata_str
    with pytest.raises(ArgumentError, match="currency must be a str, such as 'USD', not 5"):
        SERIES.to_arrow(currency=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_fractions_of_a_cent_make_a_column_of_floats() -> None:
    entries = (MRREntry(date(2018, 1, 31), 10908), MRREntry(date(2018, 2, 28), 10908.61093020998))
    table = table_of(attrs.evolve(SERIES, entries=entries))
    assert table.column("mrr").to_pylist() == [10908.0, 10908.61093020998]
    assert all(type(value) is float for value in table.column("mrr").to_pylist())


@settings(max_examples=30)
@given(any_series())
def test_every_series_is_exact(made: Series) -> None:
    """But for integers beyond 2**53 beside a float in one column, which no column of floats has."""
    rows = rows_of(table_of(made))
    for row, entry in zip(rows, made.to_dicts(), strict=True):
        for name, value in entry.items():
            assert row[name] == (float(value) if type(row[name]) is float else value)


@pytest.mark.parametrize("metric", METRICS)
def test_an_empty_series_has_its_columns(metric: MetricName) -> None:
    table = table_of(Series((), None, MetricQuery(metric, "2025")))
    assert table.schema.names == [field.name for field in attrs.fields(entry_class(metric))]
    assert rows_of(table) == []


def test_without_the_extra_an_import_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arro3", None)
    message = r"^columns of Arrow require an extra; run: pip install 'chartmogul-async\[arrow\]'$"
    with pytest.raises(ImportError, match=message) as raised:
        SERIES.to_arrow()
    assert raised.value.name == "arro3"
    with pytest.raises(ImportError, match=message):
        SERIES.__arrow_c_stream__()


@pytest.fixture
def breakdown() -> Breakdown[MRREntry, Summary]:
    """Two countries, one of which failed, so that there is no remainder."""
    us, de = (MetricQuery("mrr", "2025-01", "2025-02", geo=[country]) for country in ("US", "DE"))
    outcomes = (
        ("US", Success(us, attrs.evolve(SERIES, query=us))),
        ("DE", Failure(de, ChartMogulError("away"))),
    )
    query = MetricQuery("mrr", "2025-01", "2025-02")
    return Breakdown("country", query, "customers", outcomes, Success(query, attrs.evolve(SERIES, query=query)))


def test_a_breakdown_has_its_rows_and_their_segment(breakdown: Breakdown[MRREntry, Summary]) -> None:
    table = table_of(breakdown, currency="EUR")
    assert rows_of(table) == breakdown.to_dicts()
    assert table.column("segment").to_pylist() == ["US", "US", "total", "total"]
    assert table.schema.metadata_str["by"] == "country"
    assert table.schema.metadata_str["currency"] == "EUR"
    assert not table.schema.field("segment").nullable
    assert core.Table.from_arrow(breakdown).num_rows == 4


def test_a_reader_gets_the_types_that_it_asks_for(breakdown: Breakdown[MRREntry, Summary]) -> None:
    for table in (SERIES, breakdown, SeriesTable({"Acme": SERIES})):
        fields = core.Table.from_arrow(table).schema
        wanted = core.Schema([f.with_type(core.DataType.float64()) if f.name == "mrr" else f for f in fields])

        class Reader:
            def __arrow_c_stream__(self, _: object = None, asked: Any = table, schema: Any = wanted) -> object:
                return asked.__arrow_c_stream__(schema.__arrow_c_schema__())

        assert core.Table.from_arrow(Reader()).schema.field("mrr").type == core.DataType.float64()


# --- the four readers ----------------------------------------------------------------------------------------


def reader(name: str) -> Any:
    return pytest.importorskip(name, reason="the group `frames` is not installed: nox -s frames")


def test_polars_reads_a_series() -> None:
    polars = reader("polars")
    frame = polars.DataFrame(SERIES)
    assert frame.to_dicts() == SERIES.to_dicts()
    assert frame.schema["date"] == polars.Date
    assert frame.schema["mrr"] == polars.Int64
    assert polars.DataFrame(EMPTY).columns == EMPTY_NAMES
    assert polars.LazyFrame(SERIES).select("mrr").sum().collect().item() == 2**53 - 6


def test_polars_reads_a_breakdown(breakdown: Breakdown[MRREntry, Summary]) -> None:
    assert reader("polars").DataFrame(breakdown).to_dicts() == breakdown.to_dicts()


def test_pyarrow_reads_a_series_with_its_metadata() -> None:
    pyarrow = reader("pyarrow")
    table = pyarrow.table(SERIES)
    assert table.to_pylist() == SERIES.to_dicts()
    assert table.schema.field("date").type == pyarrow.date32()
    assert table.schema.metadata[b"metric"] == b"mrr"
    assert table.schema.field("mrr").metadata == {b"unit": b"cents", b"kind": b"stock"}
    assert pyarrow.table(SERIES.to_arrow(currency="EUR")).schema.metadata[b"currency"] == b"EUR"
    assert pyarrow.table(EMPTY).schema.names == EMPTY_NAMES


def test_a_frozen_day_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that freeze it put another class in the place of ``date``."""
    expected: Any = SERIES.to_arrow()
    monkeypatch.setattr(arrow, "date", type("AnotherDate", (date,), {}))
    made: Any = SERIES.to_arrow()
    assert made.schema == expected.schema
    assert made.column("date").to_pylist() == [entry.date for entry in SERIES]


def test_a_currency_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"^currency must be valid Unicode"):
        SERIES.to_arrow(currency="\ud800")


def test_the_missing_day_of_pandas_is_no_day() -> None:
    """It is an instance of datetime."""
    pandas = reader("pandas")
    for argument in ("start_date", "end_date"):
        with pytest.raises(ArgumentError, match=rf"^{argument} must be a date, .*, not NaT$"):
            MetricQuery("mrr", **{"start_date": "2025-01-01", "end_date": "2025-03-31", argument: pandas.NaT})


def test_pandas_reads_a_series() -> None:
    pandas = reader("pandas")
    frame = pandas.DataFrame.from_arrow(SERIES)
    assert list(frame["date"]) == [entry.date for entry in SERIES]
    assert list(frame["mrr"]) == [entry.mrr for entry in SERIES]
    assert frame["mrr"].dtype == "int64"
    assert list(frame["mrr_churn"].isna()) == [False, True]
    assert list(pandas.DataFrame.from_arrow(EMPTY).columns) == EMPTY_NAMES
    # Rows need no extra.
    assert list(pandas.DataFrame(SERIES.to_dicts())["mrr"]) == list(frame["mrr"])


def test_duckdb_reads_a_series() -> None:
    duckdb = reader("duckdb")
    with duckdb.connect() as connection:
        connection.register("mrr_series", SERIES)
        select = "SELECT date, mrr, mrr_churn FROM mrr_series ORDER BY date"
        expected = [(entry.date, entry.mrr, entry.mrr_churn) for entry in SERIES]
        # A stream can be asked for again.
        assert connection.execute(select).fetchall() == connection.execute(select).fetchall() == expected
        types = connection.execute("SELECT typeof(date), typeof(mrr) FROM mrr_series").fetchall()
        assert set(types) == {("DATE", "BIGINT")}


EMPTY_NAMES = [field.name for field in attrs.fields(KeyMetricsEntry)]
