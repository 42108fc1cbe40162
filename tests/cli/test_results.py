"""Metrics segment by segment, in files of every format, and as charts."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from rich.console import Console

from chartmogul_async import CustomerCountEntry, MetricQuery, MRRChurnRateEntry, MRREntry, Series, Summary
from chartmogul_async.cli import chart, plot, terminal
from chartmogul_async.events import Attempt
from chartmogul_async.files import replacing
from chartmogul_async.sandbox import Fault, Faults, Sandbox
from tests.cli.conftest import Result, Run, Terminal, exit_code_of, plain

RANGE = ("--start", "2025-01-01", "--end", "2025-02-28")
GEO = ("--by", "country", "--geo", "US", "--geo", "DE")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


# --- segment by segment --------------------------------------------------------------------------------------


def test_each_segment_has_its_rows_in_every_format(account: Sandbox, run: Run) -> None:
    by_csv = rows(run("metrics", "mrr", *RANGE, *GEO).out)
    assert [row["segment"] for row in by_csv] == ["US", "US", "DE", "DE", "remainder", "remainder", "total", "total"]
    alone = rows(run("metrics", "mrr", *RANGE, "--geo", "DE").out)
    assert [row | {"segment": "DE"} for row in alone] == by_csv[2:4]
    whole = json.loads(run("metrics", "mrr", *RANGE, *GEO, "--format", "json").out)
    assert {key: whole[key] for key in whole if key != "entries"} == {
        "by": "country",
        "note": "the segments and the remainder add up to the total",
        "failures": {},
    }
    assert [{name: str(value) for name, value in row.items()} for row in whole["entries"]] == by_csv
    lines = run("metrics", "mrr", *RANGE, *GEO, "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == whole["entries"]
    table = run("metrics", "mrr", *RANGE, *GEO, "--format", "table").out
    assert len(re.findall(r"^(?:US|DE|remainder|total) +2025-0", table, re.MULTILINE)) == 8
    assert table.endswith("The segments and the remainder add up to the total.\n")


@pytest.mark.parametrize("by", ["plan", "plan-group", "plan_group"])
def test_plans_and_groups_are_segments_by_their_names(account: Sandbox, run: Run, by: str) -> None:
    found = {row["segment"] for row in rows(run("metrics", "customer-count", *RANGE, "--by", by).out)}
    names = {plan.name for plan in account.company.plans} if by == "plan" else {"Subscriptions, monthly"}
    assert names <= found
    assert "total" in found
    # Whoever has two plans is counted with both.
    assert "remainder" not in found


def test_what_came_is_kept_and_what_failed_is_named(account: Sandbox, run: Run, tmp_path: Path) -> None:
    unavailable, refused = Fault.status(503), Fault.status(401)
    account.faults = Faults.sequence(unavailable, where="geo=DE") + Faults.sequence(refused, where="geo=FR")
    path = tmp_path / "mrr.csv"
    path.write_text("the whole of yesterday")
    ran = run("metrics", "mrr", *RANGE, *GEO, "--geo", "FR", "--out", str(path))
    wrote, de, fr, summed_up = ran.err.splitlines()
    assert path.read_text() == "the whole of yesterday"
    path = tmp_path / "mrr.csv.incomplete"
    assert wrote == f"wrote {path}"
    assert re.fullmatch(r"error: DE: GET \S+: 503 .+", de)
    assert re.fullmatch(r"error: FR: GET \S+: 401: .+", fr)
    # The code is that of the first one.
    assert (summed_up, ran.code) == ("error: 2 of 4 series failed", 6)
    assert [row["segment"] for row in rows(path.read_text(encoding="utf-8"))] == ["US"] * 2 + ["total"] * 2
    account.faults = Faults.sequence(unavailable, where="geo=DE")
    whole = json.loads(run("metrics", "mrr", *RANGE, *GEO, "--format", "json").out)
    assert whole["note"] == "1 of 3 series failed, so there is no remainder"
    assert ": 503 " in whole["failures"]["DE"]


def test_where_everything_fails_no_file_is_replaced(account: Sandbox, run: Run, tmp_path: Path) -> None:
    account.faults = Faults.random({Fault.status(401): 1.0}, where="/metrics/")
    path = tmp_path / "mrr.csv"
    path.write_text("before")
    ran = run("metrics", "mrr", *RANGE, *GEO, "--out", str(path))
    assert (ran.code, ran.err.splitlines()[-1]) == (3, "error: 3 of 3 series failed")
    assert path.read_text() == "before"


def test_an_account_without_plans_has_a_total(account: Sandbox, run: Run) -> None:
    account.faults = Faults.sequence(Fault.status(200, {"plans": [], "has_more": False}), where="/plans")
    ran = run("metrics", "mrr", *RANGE, "--by", "plan")
    assert (ran.code, {row["segment"] for row in rows(ran.out)}) == (0, {"remainder", "total"})


def test_progress_is_shown_on_a_terminal_only(account: Sandbox, run: Run, in_terminal: Run) -> None:
    assert re.search(r"[123]/3 series", plain(in_terminal("metrics", "mrr", *RANGE, *GEO).err))
    assert run("metrics", "mrr", *RANGE, *GEO).err == ""


def test_why_a_breakdown_waits_is_shown(in_terminal: Run) -> None:
    def wait() -> None:
        with terminal.progress_of_series() as (on_event, on_progress):
            on_progress(0, 3)
            on_event(Attempt("GET", "/v1/ping", 1, 502, None, 0.0, 0.1, 3.4, None, gave_up=False))

    assert "502: retrying in 3 s" in plain(in_terminal(call=wait).err)


# --- files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "ndjson", "JSON"])
def test_the_ending_of_a_file_chooses_its_format(account: Sandbox, run: Run, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"mrr.{ending}"
    path.write_text("before")
    assert run("metrics", "mrr", *RANGE, "--out", str(path)) == Result(0, "", f"wrote {path}\n")
    format_ = {"ndjson": "jsonl", "JSON": "json"}.get(ending, ending)
    assert path.read_text(encoding="utf-8") == run("metrics", "mrr", *RANGE, "--format", format_).out
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_in_a_file_has_neither_colours_nor_folds(
    account: Sandbox, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    path = tmp_path / "mrr.txt"
    assert run("metrics", "mrr", *RANGE, "--format", "table", "--out", str(path)).code == 0
    text = path.read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert re.search(r"^2025-01-31 +[\d,]+\.\d\d ", text, re.MULTILINE)
    assert "Before is 30 days ago" in text


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_binary_formats_go_into_files_and_pipes(
    account: Sandbox, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path, format_: str
) -> None:
    arro3_io: Any = pytest.importorskip("arro3.io", reason="the extra `parquet` is not installed")
    reader = arro3_io.read_parquet if format_ == "parquet" else arro3_io.read_ipc
    path = tmp_path / f"mrr.{format_}"
    assert exit_code_of("metrics", "mrr", *RANGE, *GEO, "--out", str(path)) == 0
    assert exit_code_of("metrics", "mrr", *RANGE, *GEO, "--format", format_) == 0
    piped, note = capsysbinary.readouterr()
    assert note == f"wrote {path}\n".encode()
    for content in (path.read_bytes(), piped):
        table = reader(io.BytesIO(content)).read_all()
        assert table.column("segment").to_pylist()[::2] == ["US", "DE", "remainder", "total"]
        assert table.schema.metadata_str["currency"] == "USD"


def test_a_terminal_gets_no_bytes(account: Sandbox, in_terminal: Run) -> None:
    before = account.counters.requests
    ran = in_terminal("metrics", "mrr", *RANGE, "--format", "parquet")
    assert (ran.code, ran.out) == (2, "")
    assert "error: --format parquet requires --out, or a pipe" in ran.err
    assert account.counters.requests == before


def test_a_format_without_its_extra_is_refused_in_advance(
    account: Sandbox, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "arro3", None)
    before = account.counters.requests
    ran = run("metrics", "mrr", *RANGE, "--out", str(tmp_path / "mrr.parquet"))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith("require an extra; run: pip install 'chartmogul-async[parquet]'\n")
    assert account.counters.requests == before


def test_a_full_disk_is_one_sentence(
    account: Sandbox, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(replacing, "replace", full)
    path = tmp_path / "mrr.csv"
    expected = Result(7, "", f"error: cannot write to {path}: No space left on device\n")
    assert run("metrics", "mrr", *RANGE, "--out", str(path)) == expected


def test_a_plan_with_the_name_of_a_formula_is_text_in_csv(account: Sandbox, run: Run) -> None:
    plan = {"uuid": "pl_1", "data_source_uuid": "ds_1", "name": "=1+2", "interval_count": 1, "interval_unit": "month"}
    page = Fault.status(200, {"plans": [plan], "has_more": False, "cursor": None})
    for option, name in ((), "'=1+2"), (("--exact-text",), "=1+2"):
        account.faults = Faults.sequence(page, where="/plans")
        assert rows(run("metrics", "mrr", *RANGE, "--by", "plan", *option).out)[0]["segment"] == name


# --- charts --------------------------------------------------------------------------------------------------


def test_a_chart_has_a_bar_for_each_month(account: Sandbox, run: Run) -> None:
    ran = run("metrics", "mrr", "--start", "2025-01", "--end", "2025-06", "--plot")
    assert (ran.code, ran.err) == (0, "")
    head, *bars, dates = ran.out.splitlines()
    assert head == "MRR by month, USD"
    assert len(bars) == 8
    assert bars[-1].split() == ["███"] * 6
    assert dates.split() == ["0", "2025-01", "2025-04"]


def test_every_figure_and_every_segment_has_a_chart(account: Sandbox, run: Run) -> None:
    heads = re.findall(r"^.* by month.*$", run("metrics", "all", *RANGE, "--plot").out, re.MULTILINE)
    assert heads == [
        "MRR by month, USD",
        "ARR by month, USD",
        "Customer churn by month, %",
        "Net MRR churn by month, %",
        "LTV by month, USD",
        "Customers by month",
        "ASP by month, USD",
        "ARPA by month, USD",
    ]
    segments = run("metrics", "arr", *RANGE, *GEO, "--plot").out
    assert re.findall(r"^(\w+): ARR by month, USD$", segments, re.MULTILINE) == ["US", "DE", "remainder", "total"]


def test_a_chart_and_data_are_made_together(account: Sandbox, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "arr.csv"
    ran = run("metrics", "arr", *RANGE, "--plot", "--out", str(path))
    assert ran.out.startswith("ARR by month, USD\n")
    assert rows(path.read_text(encoding="utf-8"))[0]["date"] == "2025-01-31"


def test_a_chart_says_which_intervals_are_not_over(account: Sandbox, run: Run) -> None:
    ran = run("metrics", "arr", "--start", "2025-01-01", "--end", "2025-02-10", "--plot")
    assert "Only a part of the month, so far or as asked for: 2025-02-10.\n" in ran.out


def drawn(series: Series[Any, Any], width: int = 40, height: int = 4) -> list[str]:
    console = Console(width=width, file=Terminal(io.BytesIO(), "utf-8"))
    field = attrs.fields(MRRChurnRateEntry if not series else type(series[0]))[1]
    return [line.plain for line in plot.lines(series, field, console, height)]


def churn(*rates: float) -> Series[Any, Any]:
    entries = tuple(MRRChurnRateEntry(date(2025, month, 28), rate) for month, rate in enumerate(rates, 1))
    return Series(entries, Summary(0, 0, 0.0), MetricQuery("mrr_churn_rate", "2025"))


def test_negative_rates_hang_from_zero() -> None:
    assert drawn(churn(2.0, -2.0, 1.0, 0.0)) == [
        " 2.00 ███",
        "      ███     ███",
        "    0 ───────────────",
        "          ███",
        "-2.00     ███",
        "      2025-01     2025-04",
    ]


@pytest.mark.parametrize(
    ("rates", "above"),
    [((-1.0, -2.0), 0), ((-0.001, 9.0), 3), ((0.001, -9.0), 1), ((1.0, 2.0), 4)],
)
def test_each_side_of_zero_that_has_a_bar_has_a_line(rates: tuple[float, ...], above: int) -> None:
    assert plot._lines_above(max(0, *rates), min(0, *rates), 4) == above
    # Dates are below the bars, and zero has a line where some hang from it.
    assert len(drawn(churn(*rates))) == 5 + (min(rates) < 0)


def test_the_narrowest_terminal_has_one_bar() -> None:
    assert drawn(churn(1.0, 2.0), width=1) == ["2.00 █"] + ["     █"] * 3 + ["   0 ", "One bar for every 2 months."]


def test_a_series_without_entries_is_said_to_have_none() -> None:
    """One of many segments."""
    assert drawn(churn()) == ["no entries"]


def test_zeros_are_said_and_not_drawn() -> None:
    assert drawn(churn(0.0, 0.0)) == ["0 throughout"]


def test_the_line_of_zero_can_be_written_anywhere() -> None:
    console = Console(width=40, file=Terminal(io.BytesIO(), "ascii"))
    shown = [line.plain for line in plot.lines(churn(-1.0), attrs.fields(MRRChurnRateEntry)[1], console, 2)]
    assert shown == ["    0 ---", "      ###", "-1.00 ###", "      2025-01"]


def test_a_figure_that_the_closed_beta_lacks_has_no_bar() -> None:
    entries = (MRREntry(date(2015, 1, 31), 1234), MRREntry(date(2015, 2, 28), 5678, None, 5))
    series = Series(entries, Summary(0, 0, 0.0), MetricQuery("mrr", "2015-01", "2015-02"))
    console = Console(width=40, file=Terminal(io.BytesIO(), "utf-8"))
    first, *_ = plot.lines(series, attrs.fields(MRREntry).mrr_new_business, console, 1)
    assert first.plain == "0     ███"


@pytest.mark.parametrize("width", [10, 40, 80, 200])
@pytest.mark.parametrize("count", [1, 2, 29, 77, 365, 3650])
def test_a_chart_is_never_wider_than_the_terminal(width: int, count: int) -> None:
    """And its last bar is that of the last entry."""
    start = date(2015, 1, 1)
    entries = tuple(CustomerCountEntry(start + timedelta(days), 1) for days in range(count - 1))
    last = CustomerCountEntry(start + timedelta(count - 1), 800)
    query = MetricQuery("customer_count", start, last.date, interval="day")
    *bars, dates = drawn(Series((*entries, last), Summary(0, 0, 0.0), query), width)[:5]
    assert max(map(len, bars)) <= width
    assert len(dates) <= max(width, len("800 2015-01-01"))
    assert [line[-1] for line in bars] == ["█"] * 4


def test_entries_without_a_bar_are_counted() -> None:
    start = date(2025, 1, 1)
    entries = tuple(CustomerCountEntry(start + timedelta(days), 5) for days in range(100))
    query = MetricQuery("customer_count", start, entries[-1].date, interval="day")
    assert drawn(Series(entries, Summary(0, 0, 0.0), query))[-1] == "One bar for every 3 days."


def test_bars_of_one_column_have_no_gap() -> None:
    assert chart.bars([8, 4], 1, 1) == ["█▄"]
    assert chart.hanging([0, -1, -8, 5], 1, 2) == [" ██", "  █"]
    assert chart.hanging([-8], 3, 1, chart.ASCII) == ["##"]
