"""Files of series and breakdowns: their content, and that none is there by half."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async import (
    Breakdown,
    ChartMogulError,
    Failure,
    MetricQuery,
    MRREntry,
    Series,
    SeriesTable,
    Success,
    Summary,
)
from chartmogul_async.checks import shown
from chartmogul_async.errors import ArgumentError
from chartmogul_async.files import write_arrow, write_csv, write_json_lines, write_parquet
from chartmogul_async.files.columns import check_extra
from chartmogul_async.files.replacing import check_place, replace
from chartmogul_async.files.text import as_csv, as_json_lines

NOW = Summary(700, 600, 16.67)
QUERY = MetricQuery("mrr", "2025-01", "2025-02")
SERIES = Series(
    (
        MRREntry(date(2025, 1, 31), 2**53 + 1, 0.0, 5, 4, -3, -2, 0),
        # Responses of the closed beta have no movements.
        MRREntry(date(2025, 2, 28), -7),
    ),
    NOW,
    QUERY,
)
EMPTY: Series[Any, Any] = Series((), NOW, QUERY)
FORMULA = '=HYPERLINK("http://x", "é")'
BREAKDOWN = Breakdown(
    "plan",
    QUERY,
    "subscriptions",
    ((FORMULA, Success(QUERY, SERIES)), ("Gold", Failure(QUERY, ChartMogulError("away")))),
    Success(QUERY, SERIES),
)
TABLES = [SERIES, BREAKDOWN, SeriesTable({"Acme": SERIES}, "account")]
NO_FRAMES = "the group `frames` is not installed: nox -s frames"
WRITERS: list[Callable[..., None]] = [write_csv, write_json_lines, write_parquet, write_arrow]


def written(write: Callable[..., None], table: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    write(table, file, **options)
    return file.getvalue()


# --- text ----------------------------------------------------------------------------------------------------


def test_csv_has_a_header_exact_cents_and_nothing_for_none() -> None:
    assert written(write_csv, SERIES).decode().splitlines() == [
        "date,mrr,percentage_change,mrr_new_business,mrr_expansion,mrr_contraction,mrr_churn,mrr_reactivation",
        "2025-01-31,9007199254740993,0.0,5,4,-3,-2,0",
        "2025-02-28,-7,,,,,,",
    ]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: type(table).__name__)
def test_csv_and_json_lines_have_the_rows(table: Any) -> None:
    plain = [row | {"date": row["date"].isoformat()} for row in table.to_dicts()]
    lines = written(write_json_lines, table).decode().splitlines()
    assert [json.loads(line) for line in lines] == plain
    cells = [{name: "" if cell is None else str(cell) for name, cell in row.items()} for row in plain]
    text = written(write_csv, table, escape_formulas=False).decode()
    assert list(csv.DictReader(io.StringIO(text, newline=""))) == cells


def test_a_plan_whose_name_is_a_formula_is_text_in_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(written(write_csv, BREAKDOWN).decode())))
    assert [row["segment"] for row in rows] == [f"'{FORMULA}"] * 2 + ["total"] * 2
    # A negative number is no formula.
    assert rows[1]["mrr"] == "-7"
    exact = written(write_csv, BREAKDOWN, escape_formulas=False).decode()
    assert next(row["segment"] for row in csv.DictReader(io.StringIO(exact))) == FORMULA
    assert json.loads(written(write_json_lines, BREAKDOWN).splitlines()[0])["segment"] == FORMULA
    with pytest.raises(ArgumentError, match=r"^escape_formulas must be a bool, not 'no'$"):
        written(write_csv, BREAKDOWN, escape_formulas="no")


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2)))
def test_no_cell_of_csv_is_lost_or_a_formula(rows: list[list[str]]) -> None:
    text = as_csv(["a", "b"], rows, escape_formulas=False)
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], *rows]
    safe = list(csv.reader(io.StringIO(as_csv(["a", "b"], rows, escape_formulas=True), newline="")))
    assert as_csv(["=a"], [], escape_formulas=True) == "'=a\n"
    assert [[cell.removeprefix("'") for cell in row] for row in safe[1:]] == [
        [cell.removeprefix("'") for cell in row] for row in rows
    ]
    assert not [cell for row in safe for cell in row if cell.startswith(tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"))]


def test_json_lines_are_readable() -> None:
    assert as_json_lines([{"segment": "é\n"}]) == '{"segment": "é\\n"}\n'


def test_an_empty_series_is_a_header() -> None:
    assert written(write_csv, EMPTY).decode() == ",".join(SERIES.column_names) + "\n"
    assert written(write_json_lines, EMPTY) == b""


def test_a_breakdown_of_which_everything_failed_is_a_header() -> None:
    failed = attrs.evolve(BREAKDOWN, outcomes=(), whole=Failure(QUERY, ChartMogulError("away")))
    assert written(write_csv, failed).decode() == ",".join(BREAKDOWN.column_names) + "\n"


# --- columns -------------------------------------------------------------------------------------------------


def read(write: Callable[..., None], content: bytes) -> Any:
    arro3_io: Any = pytest.importorskip("arro3.io", reason="the extra `parquet` is not installed")
    reader = arro3_io.read_parquet if write is write_parquet else arro3_io.read_ipc
    return reader(io.BytesIO(content)).read_all()


BINARY = pytest.mark.parametrize("write", [write_parquet, write_arrow], ids=["parquet", "arrow"])


@BINARY
@pytest.mark.parametrize("table", TABLES, ids=lambda table: type(table).__name__)
def test_columns_have_the_rows_and_their_types(write: Callable[..., None], table: Any) -> None:
    found = read(write, written(write, table))
    columns = {name: found.column(name).to_pylist() for name in found.schema.names}
    assert tuple(columns) == table.column_names
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    assert rows == table.to_dicts()
    assert isinstance(columns["date"][0], date)


@BINARY
def test_units_kinds_and_currency_are_in_the_metadata(write: Callable[..., None]) -> None:
    schema = read(write, written(write, BREAKDOWN, currency="EUR")).schema
    assert schema.metadata_str["currency"] == "EUR"
    assert (schema.metadata_str["metric"], schema.metadata_str["by"]) == ("mrr", "plan")
    described = {field.name: field.metadata_str for field in schema}
    assert described["mrr"] == {"unit": "cents", "kind": "stock"}
    assert described["percentage_change"] == {"unit": "percent", "kind": "rate"}


@BINARY
def test_an_empty_series_has_columns(write: Callable[..., None]) -> None:
    found = read(write, written(write, EMPTY))
    assert (found.num_rows, tuple(found.schema.names)) == (0, SERIES.column_names)


@BINARY
def test_a_file_is_compressed(write: Callable[..., None]) -> None:
    arro3_io: Any = pytest.importorskip("arro3.io", reason="the extra `parquet` is not installed")
    many = attrs.evolve(SERIES, entries=SERIES.entries * 5000)
    default = io.BytesIO()
    (arro3_io.write_parquet if write is write_parquet else arro3_io.write_ipc)(many.to_arrow(), default)
    assert len(written(write, many)) < 0.8 * len(default.getvalue())


def rows_by_polars(path: Path) -> Any:
    polars: Any = pytest.importorskip("polars", reason=NO_FRAMES)
    frame = polars.read_parquet(path) if path.suffix == ".parquet" else polars.read_ipc(path)
    return frame.to_dicts()


def rows_by_pyarrow(path: Path) -> Any:
    parquet: Any = pytest.importorskip("pyarrow.parquet", reason=NO_FRAMES)
    feather: Any = pytest.importorskip("pyarrow.feather", reason=NO_FRAMES)
    table = parquet.read_table(path) if path.suffix == ".parquet" else feather.read_table(path)
    assert table.schema.field("mrr").metadata == {b"unit": b"cents", b"kind": b"stock"}
    return table.to_pylist()


def rows_by_duckdb(path: Path) -> Any:
    duckdb: Any = pytest.importorskip("duckdb", reason=NO_FRAMES)
    with duckdb.connect() as connection:
        found = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize("write", [write_parquet, write_arrow], ids=["parquet", "arrow"])
@pytest.mark.parametrize("rows_by", [rows_by_polars, rows_by_pyarrow, rows_by_duckdb])
def test_other_libraries_read_the_file(
    rows_by: Callable[[Path], Any], write: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / ("mrr.parquet" if write is write_parquet else "mrr.arrow")
    if rows_by is rows_by_duckdb and path.suffix == ".arrow":
        pytest.skip("DuckDB reads files of Arrow by an extension only")
    write(BREAKDOWN, path)
    assert rows_by(path) == BREAKDOWN.to_dicts()


@BINARY
def test_without_the_extra_an_error_says_what_to_install(
    write: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("arro3.core", reason="the extra `arrow` is not installed")
    monkeypatch.setitem(sys.modules, "arro3.io", None)
    monkeypatch.delattr("arro3.io", raising=False)
    message = r"^files of Parquet and Arrow require an extra; run: pip install 'chartmogul-async\[parquet\]'$"
    with pytest.raises(ImportError, match=message) as raised:
        write(SERIES, tmp_path / "mrr")
    assert raised.value.name == "arro3.io"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ImportError, match=message):
        check_extra()


# --- places --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_csv, write_json_lines], ids=["csv", "jsonl"])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_is_replaced(write: Callable[..., None], kind: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "mrr"
    path.write_text("before")
    write(SERIES, kind(path))
    assert path.read_bytes() == written(write, SERIES)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["os.fsync", "pathlib.Path.replace"])
def test_what_cannot_be_written_leaves_what_was_there(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mrr.csv"
    path.write_text("before")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(failing, full)
    with pytest.raises(OSError, match="No space left on device"):
        write_csv(SERIES, path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_cleaned_up_hides_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "unlink", gone)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        write_csv(SERIES, tmp_path / "mrr.csv")


def test_what_a_killed_process_left_does_not_stop_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mrr.csv"
    with monkeypatch.context() as patch:
        # A process that is killed cleans nothing up.
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr(Path, "unlink", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            write_csv(SERIES, path)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".mrr.csv.")
    write_csv(SERIES, path)
    assert path.read_bytes() == left.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other modes, and links need a privilege there")
def test_a_file_keeps_its_mode_and_a_link_its_target(tmp_path: Path) -> None:
    path, link, dangling = tmp_path / "mrr.csv", tmp_path / "link.csv", tmp_path / "new.csv"
    path.write_text("before")
    path.chmod(0o600)
    link.symlink_to(path)
    dangling.symlink_to(tmp_path / "target.csv")
    write_csv(SERIES, link)
    write_csv(SERIES, dangling)
    assert link.is_symlink()
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (written(write_csv, SERIES), 0o600)
    assert (tmp_path / "target.csv").read_bytes() == path.read_bytes()
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "target.csv").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_long_name_is_no_longer_while_it_is_written(tmp_path: Path) -> None:
    for name in ("x" * 240 + ".csv", "ü" * 125 + ".csv"):
        path = tmp_path / name
        write_csv(SERIES, path)
        assert list(tmp_path.iterdir()) == [path]
        path.unlink()


def test_on_windows_a_file_in_use_is_refused_in_advance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spreadsheet that has it open, or a file that is read-only."""
    path = tmp_path / "mrr.csv"
    path.write_text("before")
    check_place("path", path)
    opened = Path.open

    def denied(self: Path, mode: str = "r", *more: Any, **others: Any) -> Any:
        if self == path and mode == "r+b":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(self, mode, *more, **others)

    monkeypatch.setattr(Path, "open", denied)
    check_place("path", path)
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ArgumentError, match=r"^path must be a file that can be replaced, not '.*mrr.csv': Permission"):
        check_place("path", path)
    monkeypatch.setattr(Path, "open", opened)
    check_place("path", path)
    check_place("path", tmp_path / "new.csv")


def test_on_windows_a_file_keeps_no_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read-only there cannot be put in the place of another file."""
    path = tmp_path / "mrr.csv"
    path.write_text("before")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(Path, "chmod")
    replace(path, b"after")
    assert path.read_text() == "after"


@pytest.mark.parametrize("write", [write_csv, write_json_lines], ids=["csv", "jsonl"])
def test_a_folder_or_device_is_never_replaced(write: Callable[..., None], tmp_path: Path) -> None:
    for place in (tmp_path, Path(os.devnull)):
        with pytest.raises(ArgumentError) as raised:
            write(SERIES, place)
        assert str(raised.value) == f"path must be that of a file, not of a folder or device, as {str(place)!r} is"
    with pytest.raises(ArgumentError, match=r"path must be in a folder that exists, not '.*none'"):
        write(SERIES, tmp_path / "none" / "mrr.csv")


def test_a_place_that_cannot_exist_is_refused(tmp_path: Path) -> None:
    for name in ("x" * 256, "zero\0byte"):
        with pytest.raises(ArgumentError, match="path must be a path that can exist, not "):
            write_csv(SERIES, tmp_path / name)


@pytest.mark.skipif(os.name == "nt", reason="links need a permission there")
def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "none" / "mrr.csv")
    with pytest.raises(ArgumentError, match=f"path must be in a folder that exists, not '{tmp_path / 'none'}'"):
        write_csv(SERIES, link)
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(ArgumentError, match=re.escape(os.strerror(errno.ELOOP))):
        write_csv(SERIES, link)
    assert link.is_symlink()


@pytest.mark.parametrize("target", [5, io.StringIO(), None])
def test_what_is_no_place_is_refused(target: Any) -> None:
    with pytest.raises(ArgumentError) as raised:
        write_csv(SERIES, target)
    assert str(raised.value) == f"path must be a path, or a file that is open for writing bytes, not {shown(target)}"


class Unbuffered(io.RawIOBase):
    """Takes so many bytes at a time, as a socket or a pipe may."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = b""

    def write(self, content: Any) -> int:
        self.taken += bytes(content[:100])
        return min(100, len(content))


class Silent:
    """Does not say how much it took, which is all."""

    def __init__(self) -> None:
        self.taken = b""

    def write(self, content: bytes) -> None:
        self.taken += content


@pytest.mark.parametrize("file", [Unbuffered(), Silent()], ids=["unbuffered", "silent"])
def test_a_file_that_takes_a_part_gets_the_rest(file: Any) -> None:
    write_csv(BREAKDOWN, file)
    assert len(file.taken) > 100
    assert file.taken == written(write_csv, BREAKDOWN)


@pytest.mark.parametrize("write", [write_csv, write_json_lines], ids=["csv", "jsonl"])
def test_half_of_a_character_in_a_name_is_written_as_its_code(write: Callable[..., None]) -> None:
    """A server may cut a name in the middle of an emoji."""
    (_, outcome), *others = BREAKDOWN.outcomes
    table = attrs.evolve(BREAKDOWN, outcomes=(("Gold \ud83d", outcome), *others))
    assert rb"Gold \ud83d" in written(write, table)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("table", [[SERIES], {"mrr": BREAKDOWN}, None, SERIES.entries])
def test_what_is_no_table_is_refused(write: Callable[..., None], table: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as raised:
        write(table, tmp_path / "mrr")
    assert str(raised.value) == f"table must be a Series, a Breakdown or a SeriesTable, not {shown(table)}"
    assert list(tmp_path.iterdir()) == []
