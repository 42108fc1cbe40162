"""Metrics are loaded into real warehouses by dlt, again and again, with a history that changes meanwhile."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from datetime import date
from importlib import import_module
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from attrs import evolve

from chartmogul_async import errors
from chartmogul_async.integrations.tables import Page
from chartmogul_async.sandbox import Fault, Faults, Sandbox

pytest.importorskip("dlt", reason="the group `warehouse` is not installed: `nox -s warehouse` has it")

import dlt
from dlt.pipeline.exceptions import PipelineStepFailed

from chartmogul_async.blocking import Client
from chartmogul_async.integrations.dlt import chartmogul_source
from tests.warehouse.programs import TODAY, Warehouse, clean, client_of, new_sandbox, source_of

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def sandbox() -> Sandbox:
    return new_sandbox()


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


def cause_of(failure: pytest.ExceptionInfo[PipelineStepFailed]) -> BaseException:
    error: BaseException = failure.value
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def test_a_table_has_the_figures_of_the_api(warehouse: Warehouse, sandbox: Sandbox) -> None:
    client = client_of(sandbox)
    assert warehouse.run(source_of(sandbox, client=client)) == {"mrr": 6}
    # An interval more, since the first change of a response says nothing.
    entries = client.metrics.mrr("2025-05-01", "2025-11-30")[1:]
    rows = warehouse.rows("mrr")
    account = client.account().id
    for row, entry in zip(rows, entries, strict=True):
        month = {"account": account, "interval": "month", "period_start": entry.date.replace(day=1)}
        assert row == {**month, "is_partial": False, **{name: getattr(entry, name) for name in row if name in ENTRY}}
    assert rows[0]["percentage_change"] != 0


ENTRY = {
    "date",
    "mrr",
    "percentage_change",
    "mrr_new_business",
    "mrr_expansion",
    "mrr_contraction",
    "mrr_churn",
    "mrr_reactivation",
}


def test_a_second_run_merges_a_changed_history(warehouse: Warehouse, sandbox: Sandbox, tmp_path: Path) -> None:
    options: dict[str, Any] = {"metrics": ["all", "mrr"], "by": ["plan", "country"]}
    warehouse.run(source_of(sandbox, end="2025-11-15", **options))
    assert warehouse.column("mrr", "is_partial") == [False] * 5 + [True]
    company = sandbox.company
    company.add_customer(on=date(2025, 10, 5), plan="Silver Monthly", mrr=9900, country="JP")
    before = sandbox.counters.requests
    counts = warehouse.run(source_of(sandbox, end="2025-12-31", **options))
    assert sandbox.counters.requests - before < 60
    # Two months before November, November and December.
    assert counts["mrr"] == 4
    expected = clean(tmp_path, sandbox, end="2025-12-31", **options)
    for table in (
        "key_metrics",
        "mrr",
        "key_metrics_by_plan",
        "mrr_by_plan",
        "key_metrics_by_country",
        "mrr_by_country",
    ):
        assert warehouse.rows(table) == expected.rows(table)
    assert sum(warehouse.column("mrr", "mrr")) == sum(
        row["mrr"] for row in warehouse.rows("mrr_by_country") if row["segment_id"] != "total"
    )
    restated = {(row["table"], row["segment_id"], row["figure"]): row for row in warehouse.rows("restatements")}
    row = restated["mrr", "total", "mrr_new_business"]
    assert row["after"] - row["before"] == 9900
    assert row["period_start"] == date(2025, 10, 1)
    assert restated["mrr_by_country", "JP", "mrr"]["after"] >= 9900
    # November was not over.
    assert set(warehouse.column("restatements", "period_start")) == {date(2025, 10, 1)}
    assert not expected.rows("restatements")


def test_nothing_is_reported_where_nothing_changed(
    warehouse: Warehouse, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="chartmogul_async"):
        warehouse.run(source_of(sandbox))
        before = warehouse.rows("mrr")
        warehouse.run(source_of(sandbox))
        assert warehouse.rows("mrr") == before
        assert not [message for message in caplog.messages if "restated" in message]
        sandbox.company.add_customer(on=date(2025, 10, 5), plan="Silver Monthly", mrr=9900)
        warehouse.run(source_of(sandbox))
    # New business of October, and the MRR of both months.
    assert "3 figures of mrr were restated, see the table restatements" in caplog.messages


def test_a_plan_with_a_new_name_is_not_doubled(warehouse: Warehouse, sandbox: Sandbox) -> None:
    warehouse.run(source_of(sandbox, by="plan"))
    company = sandbox.company
    plan = company.plans[0]
    company.plans = (evolve(plan, name="Renamed"), *company.plans[1:])
    warehouse.run(source_of(sandbox, by="plan"))
    rows = [row for row in warehouse.rows("mrr_by_plan") if row["segment_id"] == plan.uuid]
    assert [row["segment"] for row in rows] == [plan.name] * 3 + ["Renamed"] * 3
    assert not warehouse.rows("restatements")


def test_a_segment_that_is_gone_leaves_the_periods(warehouse: Warehouse, sandbox: Sandbox) -> None:
    warehouse.run(source_of(sandbox, by="plan"))
    sandbox.company.plans = sandbox.company.plans[1:]
    warehouse.run(source_of(sandbox, by="plan"))
    per_month = [warehouse.column("mrr_by_plan", "period_start").count(date(2025, month, 1)) for month in range(6, 12)]
    assert per_month == [7] * 3 + [6] * 3


@pytest.mark.parametrize(("restate", "read"), [(0, 1), (3, 4), ("all", 6), (None, 3)])
def test_so_many_periods_are_read_again(warehouse: Warehouse, sandbox: Sandbox, restate: Any, read: int) -> None:
    warehouse.run(source_of(sandbox))
    assert warehouse.run(source_of(sandbox, restate=restate)) == {"mrr": read}
    assert len(warehouse.rows("mrr")) == 6


def test_an_earlier_start_reads_all(warehouse: Warehouse, sandbox: Sandbox) -> None:
    warehouse.run(source_of(sandbox))
    assert warehouse.run(source_of(sandbox, start="2025-01-01")) == {"mrr": 11}
    assert warehouse.run(source_of(sandbox)) == {"mrr": 3}
    assert len(warehouse.rows("mrr")) == 11


@pytest.mark.parametrize(
    "ranges",
    [
        [("2025-01-01", "2025-03-31"), ("2025-07-01", "2025-12-31")],
        [("2025-10-01", "2025-12-31"), ("2025-01-01", "2025-03-31"), ("2025-10-01", "2025-12-31")],
    ],
    ids=["later", "earlier"],
)
def test_ranges_that_do_not_touch_leave_no_gap(
    warehouse: Warehouse, sandbox: Sandbox, tmp_path: Path, ranges: list[tuple[str, str]]
) -> None:
    for start, end in ranges:
        warehouse.run(source_of(sandbox, start=start, end=end))
    expected = clean(tmp_path, sandbox, start="2025-01-01", end="2025-12-31")
    assert warehouse.rows("mrr") == expected.rows("mrr")
    assert len(warehouse.rows("mrr")) == 12


def test_the_last_period_of_a_fixed_range_may_be_restated(warehouse: Warehouse, sandbox: Sandbox) -> None:
    warehouse.run(source_of(sandbox))
    sandbox.company.add_customer(on=date(2025, 11, 5), plan="Silver Monthly", mrr=9900)
    warehouse.run(source_of(sandbox))
    assert set(warehouse.column("restatements", "period_start")) == {date(2025, 11, 1)}


def test_weeks_that_begin_on_another_day_are_not_mixed(warehouse: Warehouse, sandbox: Sandbox) -> None:
    warehouse.run(source_of(sandbox, interval="week"))
    before = warehouse.rows("mrr")
    warehouse.run(source_of(sandbox, interval="week"))
    sandbox.company.profile = evolve(sandbox.company.profile, week_start_on="sunday")
    with pytest.raises(PipelineStepFailed) as failure:
        warehouse.run(source_of(sandbox, interval="week"))
    assert "mrr has weeks that begin on another day than those of the account do now" in str(cause_of(failure))
    assert warehouse.rows("mrr") == before
    warehouse.run(source_of(sandbox, interval="week", restate="all"))
    assert {row["period_start"].strftime("%A") for row in warehouse.rows("mrr")} == {"Sunday"}


def test_an_earlier_end_cuts_no_period(warehouse: Warehouse, sandbox: Sandbox) -> None:
    warehouse.run(source_of(sandbox))
    before = warehouse.rows("mrr")
    warehouse.run(source_of(sandbox, end="2025-11-10"))
    assert warehouse.rows("mrr") == before


def test_intervals_share_a_table(warehouse: Warehouse, sandbox: Sandbox) -> None:
    options: dict[str, Any] = {"metrics": ["all", "ltv"]}
    for interval, metrics, ltv in (("month", 6, 6), ("quarter", 3, 3), ("week", 26, 3), ("day", 182, 3)):
        counts = warehouse.run(source_of(sandbox, interval=interval, start="2025-06-02", **options))
        # LTV is monthly whatever the interval is.
        assert counts == {"key_metrics": metrics, "ltv": ltv}
    intervals = warehouse.column("key_metrics", "interval")
    assert {name: intervals.count(name) for name in set(intervals)} == {
        "month": 6,
        "quarter": 3,
        "week": 26,
        "day": 182,
    }


def test_days_are_those_of_a_clean_load(warehouse: Warehouse, sandbox: Sandbox, tmp_path: Path) -> None:
    options: dict[str, Any] = {"metrics": ["all", "mrr"], "interval": "day", "start": "2025-08-20"}
    for end in ("2025-11-10", "2025-11-11", "2025-12-20"):
        warehouse.run(source_of(sandbox, end=end, **options))
    expected = clean(tmp_path, sandbox, end="2025-12-20", **options)
    assert warehouse.rows("mrr") == expected.rows("mrr")
    assert warehouse.rows("key_metrics") == expected.rows("key_metrics")
    assert not warehouse.rows("restatements")


def test_another_warehouse_is_loaded_whole(warehouse: Warehouse, sandbox: Sandbox, tmp_path: Path) -> None:
    warehouse.run(source_of(sandbox))
    (tmp_path / "other").mkdir()
    # dlt remembers what a pipeline of this name has loaded, elsewhere.
    other = Warehouse(tmp_path / "other")
    assert other.run(source_of(sandbox)) == {"mrr": 6}
    assert other.rows("mrr") == warehouse.rows("mrr")


def test_another_machine_goes_on(warehouse: Warehouse, sandbox: Sandbox, tmp_path: Path) -> None:
    warehouse.run(source_of(sandbox))
    rmtree(tmp_path / "data")
    assert Warehouse(tmp_path).run(source_of(sandbox)) == {"mrr": 3}


def test_a_range_that_is_not_there_yet_has_no_rows(warehouse: Warehouse, sandbox: Sandbox) -> None:
    assert warehouse.run(source_of(sandbox, start="2999-01-01", end=None)) == {}


def test_the_range_ends_today(warehouse: Warehouse) -> None:
    today = Sandbox()
    warehouse.run(source_of(today, end=None, start=today.company.today.replace(day=1)))
    assert warehouse.column("mrr", "date") == [today.company.today]
    assert warehouse.column("mrr", "is_partial") == [True]


def test_files_are_replaced(tmp_path: Path, sandbox: Sandbox) -> None:
    files = Warehouse(tmp_path, files=True)
    options: dict[str, Any] = {"restate": "all", "by": "plan"}
    files.run(source_of(sandbox, end="2025-11-15", **options))
    sandbox.company.add_customer(on=date(2025, 7, 5), plan="Silver Monthly", mrr=9900)
    files.run(source_of(sandbox, **options))
    expected = clean(tmp_path, sandbox, **options)
    for table in ("mrr", "mrr_by_plan"):
        assert files.rows(table) == expected.rows(table)
    assert date(2025, 7, 1) in files.column("restatements", "period_start")
    restated = files.rows("restatements")
    files.run(source_of(sandbox, **options))
    assert files.rows("restatements") == restated


def test_an_empty_response_empties_no_files(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Warehouse(tmp_path, files=True)
    assert files.run(source_of(sandbox, restate="all")) == {"mrr": 6}
    monkeypatch.setattr(Page, "rows", lambda *_: iter(()))
    with pytest.raises(PipelineStepFailed, match="no entries from 2025-06-01 to 2025-11-30: what was there is kept"):
        files.run(source_of(sandbox, restate="all"))
    assert len(files.rows("mrr")) == 6


def test_files_are_not_doubled_in_silence(tmp_path: Path, sandbox: Sandbox) -> None:
    with pytest.raises(PipelineStepFailed, match="mrr cannot be merged into this destination") as failure:
        Warehouse(tmp_path, files=True).run(source_of(sandbox))
    assert isinstance(cause_of(failure), errors.StateError)


def test_a_destination_that_cannot_be_read_is_loaded(sandbox: Sandbox) -> None:
    got: list[Any] = []

    @dlt.destination(batch_size=100)
    def collect(items: Any, table: Any) -> None:
        got.extend((table["name"], item["period_start"]) for item in items)

    pipeline = dlt.pipeline("collected", destination=collect)
    pipeline.run(source_of(sandbox, restate="all"))
    assert [name for name, _ in got] == ["mrr"] * 6


def test_resources_are_read_without_a_pipeline(sandbox: Sandbox) -> None:
    rows: list[Any] = list(source_of(sandbox).resources["mrr"])
    assert [row["date"].month for row in rows] == [6, 7, 8, 9, 10, 11]


def test_a_run_lists_the_customers_once(warehouse: Warehouse, sandbox: Sandbox) -> None:
    paths: list[str] = []
    client = client_of(sandbox, on_event=lambda event: paths.append(event.path))
    warehouse.run(source_of(sandbox, client=client, metrics=["mrr", "arr", "customer_count"], by="country"))
    assert len([path for path in paths if path.endswith("/account")]) == 1
    pages = len([path for path in paths if path.endswith("/customers")])
    again = paths.copy()
    paths.clear()
    warehouse.run(source_of(sandbox, client=client, metrics=["mrr", "arr", "customer_count"], by="country"))
    # The next run asks again.
    assert (
        pages
        == len([path for path in paths if path.endswith("/customers")])
        == len([path for path in again if path.endswith("/customers")])
    )
    assert client.ping()


def test_progress_is_told(warehouse: Warehouse, sandbox: Sandbox) -> None:
    told: list[tuple[str, int, int]] = []
    warehouse.run(source_of(sandbox, by="plan", on_progress=lambda *of: told.append(of)))
    assert told == [("mrr", 0, 1), ("mrr", 1, 1), *(("mrr_by_plan", done, 6) for done in range(7))]


# --- what fails ---------------------------------------------------------------------------------------------


def test_what_failed_is_loaded_by_the_next_run(warehouse: Warehouse, sandbox: Sandbox, tmp_path: Path) -> None:
    warehouse.run(source_of(sandbox, end="2025-08-31", by="plan"))
    before = warehouse.rows("mrr_by_plan")
    sandbox.faults = Faults.sequence(*[None] * 6, Fault.status(403, "no"))
    with pytest.raises(PipelineStepFailed) as failure:
        warehouse.run(source_of(sandbox, by="plan"))
    assert isinstance(cause_of(failure), errors.ChartMogulError)
    assert warehouse.rows("mrr_by_plan") == before
    warehouse.run(source_of(sandbox, by="plan"))
    expected = clean(tmp_path, sandbox, by="plan")
    assert warehouse.rows("mrr") == expected.rows("mrr")
    assert warehouse.rows("mrr_by_plan") == expected.rows("mrr_by_plan")


def test_periods_that_did_not_come_are_read_again(
    warehouse: Warehouse, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Page.rows
    with monkeypatch.context() as patch:
        patch.setattr(Page, "rows", lambda page, found: list(rows(page, found))[2:])
        assert warehouse.run(source_of(sandbox)) == {"mrr": 4}
    assert warehouse.run(source_of(sandbox)) == {"mrr": 6}
    assert warehouse.rows("mrr") == clean(tmp_path, sandbox).rows("mrr")
    assert warehouse.run(source_of(sandbox)) == {"mrr": 3}


KILLED = """
import os, signal, sys
from pathlib import Path
from datetime import date
from dlt.destinations.impl.duckdb.duck import DuckDbClient
from tests.warehouse.programs import Warehouse, new_sandbox, source_of

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

where = sys.argv[1]
sandbox = new_sandbox()
warehouse = Warehouse(Path.cwd())
warehouse.run(source_of(sandbox, end="2025-09-15", by="plan"))
sandbox.company.add_customer(on=date(2025, 8, 5), plan="Silver Monthly", mrr=9900)
jobs = []
create = DuckDbClient.create_load_job

def load(client, table, path, load_id, restore=False):
    jobs.append(path)
    if len(jobs) > 3:
        kill()
    return create(client, table, path, load_id, restore)

if where == "load":
    DuckDbClient.create_load_job = load
def told(name, done, total):
    if where == "extract" and (name, done) == ("mrr_by_plan", 3):
        kill()
warehouse.run(source_of(sandbox, by="plan", on_progress=told))
"""


# By a warning of dlt about what was left over.
@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("where", ["extract", "load"])
def test_a_run_that_was_killed_is_made_up_for(tmp_path: Path, sandbox: Sandbox, where: str) -> None:
    root = Path(__file__).parent.parent.parent
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{KILLED}", where]
    killed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    sandbox.company.add_customer(on=date(2025, 8, 5), plan="Silver Monthly", mrr=9900)
    warehouse = Warehouse(tmp_path)
    # The first one completes what was extracted, if anything was.
    for _ in range(2):
        warehouse.run(source_of(sandbox, by="plan"))
    expected = clean(tmp_path, sandbox, by="plan")
    for table in ("mrr", "mrr_by_plan"):
        assert warehouse.rows(table) == expected.rows(table)
    restated = [(row["table"], row["segment_id"], row["figure"]) for row in warehouse.rows("restatements")]
    assert len(set(restated)) == len(restated)
    assert ("mrr", "total", "mrr_new_business") in restated


# --- keys and arguments -------------------------------------------------------------------------------------


def test_the_key_is_found_and_not_written(
    warehouse: Warehouse, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "very-secret-key"
    sandbox.api_key = key
    closed: list[Client] = []

    def close_and_count(client: Client) -> None:
        closed.append(client)
        close(client)

    monkeypatch.setattr(Client, "close", close_and_count)
    with sandbox.serve() as url:
        monkeypatch.setenv("CHARTMOGUL_BASE_URL", url)
        for place in ("CHARTMOGUL_API_KEY", "SOURCES__CHARTMOGUL__API_KEY"):
            monkeypatch.setenv(place, key)
            warehouse.run(chartmogul_source(start="2025-11-01", end="2025-11-30", metrics="mrr"))
            monkeypatch.delenv(place)
        source: Any = chartmogul_source(key, start="2025-11-01", end="2025-11-30", metrics="mrr")
        warehouse.run(source)
    # Once for the check of the key, once after the last resource.
    assert len(closed) == 6
    assert len(warehouse.rows("mrr")) == 1
    assert key not in repr(source)
    assert key not in str(warehouse.pipeline.last_trace)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if key.encode() in path.read_bytes()]


close = Client.close


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": "mrrr"}, "metric must be one of"),
        ({"metrics": []}, "metrics must not be empty: omit it for all and mrr"),
        ({"metrics": "asp", "interval": "day"}, "interval must be one of month, quarter, year for asp"),
        ({"interval": "fortnight"}, "interval must be one of"),
        ({"by": "region"}, "by must be one of plan, plan_group, country, not 'region'"),
        ({"by": 5}, "by must be a name or a list of names, not 5"),
        ({"restate": -1}, 'restate must be a non-negative integer or "all", not -1'),
        ({"restate": "some"}, "restate must be a non-negative integer"),
        ({"start": "soon"}, "start must be a date"),
        ({"end": "2025-01-01"}, "start 2025-06-10 is after end 2025-01-01"),
        ({"client": 5}, "client must be a Client"),
        ({"api_key": "key"}, "api_key must be omitted with client"),
    ],
)
def test_a_mistake_is_an_error_at_once(sandbox: Sandbox, options: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.ArgumentError) as error:
        source_of(sandbox, **options)
    assert message in str(error.value)
    assert sandbox.counters.requests == 0


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlt", None)
    monkeypatch.delitem(sys.modules, "chartmogul_async.integrations.dlt")
    with pytest.raises(ImportError, match=r"pip install 'chartmogul-async\[dlt\]'"):
        import_module("chartmogul_async.integrations.dlt")


def test_a_missing_key_is_an_error_at_once() -> None:
    with pytest.raises(errors.ArgumentError, match="CHARTMOGUL_API_KEY"):
        chartmogul_source(start="2025-01-01")


def test_today_is_after_the_history() -> None:
    assert date.today() >= TODAY
