"""``chartmogul export`` into real DuckDB files and folders of Parquet files: killed, again, with another history."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chartmogul_async import RetryPolicy, blocking
from chartmogul_async.cli import main
from chartmogul_async.sandbox import Company, Fault, Faults, Sandbox

pytest.importorskip("dlt", reason="the group `warehouse` is not installed: `nox -s warehouse` has it")

import duckdb

from chartmogul_async.blocking import Client
from tests.warehouse.programs import TODAY, new_sandbox

pytestmark = [pytest.mark.timeout(300), pytest.mark.sockets]

Export = Callable[..., int]
RANGE = ("--start", "2025-06-10", "--end", "2025-11-30", "--metrics", "mrr")
TABLES = ("mrr", "mrr_by_plan")


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A company that changes, and the environment set to read it."""
    sandbox = new_sandbox()
    monkeypatch.setenv("CHARTMOGUL_API_KEY", sandbox.api_key)
    monkeypatch.setattr(blocking, "Client", partial(Client, retry=RetryPolicy(attempts=1)))
    monkeypatch.setattr("chartmogul_async.resources.account.today_in", lambda _: TODAY)
    # No line of progress, however slow the machine is.
    monkeypatch.setattr("chartmogul_async.cli.pace._EVERY", math.inf)
    with sandbox.serve() as url:
        monkeypatch.setenv("CHARTMOGUL_BASE_URL", url)
        yield sandbox


def export(*args: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(("export", *args))
    assert isinstance(end.value.code, int)
    return end.value.code


def add_customer(sandbox: Sandbox, **of: Any) -> None:
    sandbox.company.add_customer(**{"on": date(2025, 8, 5), "plan": "Silver Monthly", "mrr": 9900, **of})


def rows(target: str, table: str) -> list[tuple[Any, ...]]:
    """What a table of a file or of a folder contains, without dlt's own columns, in order."""
    is_folder = Path(target).is_dir()
    place = f"read_parquet('{target}/chartmogul/{table}/*.parquet')" if is_folder else f"chartmogul.{table}"
    with duckdb.connect(":memory:" if is_folder else target) as database:
        return database.sql(f"SELECT * EXCLUDE (_dlt_load_id, _dlt_id) FROM {place} ORDER BY ALL").fetchall()


def assert_equal_to_a_clean_export(target: str, *options: str) -> None:
    assert export("--to", "clean.duckdb", *RANGE, "--by", "plan", "-q", *options) == 0
    for table in TABLES:
        assert rows(target, table) == rows("clean.duckdb", table)


def work_of_dlt(tmp_path: Path) -> list[Path]:
    """What is kept for a next run."""
    return [path for path in tmp_path.glob("data/chartmogul_export/*") if path.is_dir()]


@pytest.mark.parametrize("target", ["metrics.duckdb", "files/"])
def test_history_that_changed_is_printed(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path, target: str
) -> None:
    command = ("--to", target, *RANGE, "--by", "plan")
    assert export(*command) == 0
    place = "in files/chartmogul" if target == "files/" else "in the schema chartmogul of metrics.duckdb"
    shown = "mrr: 6 rows, 2025-06-01 to 2025-11-30\nmrr_by_plan: 42 rows, 2025-06-01 to 2025-11-30\n"
    assert capsys.readouterr() == (shown, f"2 tables {place}\n")
    # All that dlt remembers is there, too.
    assert work_of_dlt(tmp_path) == []
    add_customer(sandbox, on=date(2025, 10, 5))
    assert export(*command) == 0
    lines = capsys.readouterr().out.splitlines()
    # Files are replaced as a whole.
    assert (
        lines[0]
        == f"mrr: {6 if target == 'files/' else 3} rows, 2025-{'06' if target == 'files/' else '09'}-01 to 2025-11-30"
    )
    assert lines[1:3] == [
        "  restated: 2 values of mrr from 2025-10-01 to 2025-11-01",
        "  restated: mrr_new_business of 2025-10-01",
    ]
    assert lines[4] == "  restated: 4 values of mrr from 2025-10-01 to 2025-11-01"
    assert_equal_to_a_clean_export(target)
    assert export(*command) == 0
    assert "restated" not in capsys.readouterr().out


def test_a_file_that_was_moved_is_gone_on_with(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert export("--to", "metrics.duckdb", *RANGE) == 0
    Path("metrics.duckdb").rename("other.duckdb")
    capsys.readouterr()
    assert export("--to", "other.duckdb", *RANGE) == 0
    assert export("--to", "metrics.duckdb", *RANGE) == 0
    assert capsys.readouterr().out.splitlines() == [
        "mrr: 3 rows, 2025-09-01 to 2025-11-30",
        "mrr: 6 rows, 2025-06-01 to 2025-11-30",
    ]


def test_all_is_read_again_and_nothing_else_replaced(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    assert export("--to", "metrics.duckdb", *RANGE) == 0
    # Another interval, and an account of its own, in the same table.
    assert export("--to", "metrics.duckdb", *RANGE, "--interval", "quarter") == 0
    other = Sandbox(Company(seed=2, customers=20, today=TODAY))
    with other.serve() as url, monkeypatch.context() as patch:
        patch.setenv("CHARTMOGUL_BASE_URL", url)
        assert export("--to", "metrics.duckdb", *RANGE) == 0
    before = rows("metrics.duckdb", "mrr")
    assert len(before) == 6 + 3 + 6
    add_customer(sandbox, on=date(2025, 6, 15))
    assert export("--to", "metrics.duckdb", *RANGE, "--restate", "all") == 0
    after = rows("metrics.duckdb", "mrr")
    assert len(after) == len(before)
    assert len({*after} - {*before}) == 6


def test_a_folder_of_another_interval_is_not_replaced(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert export("--to", "files/", *RANGE) == 0
    before = rows("files/", "mrr")
    capsys.readouterr()
    assert export("--to", "files/", *RANGE, "--interval", "day") == 2
    assert "error: mrr: mrr has the figures of acc_" in capsys.readouterr().err
    assert rows("files/", "mrr") == before


def test_a_range_in_words_ends_today(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert export("--to", "metrics.duckdb", "--last", "2m", "--metrics", "mrr") == 0
    assert capsys.readouterr().out == "mrr: 3 rows, 2025-11-01 to 2026-01-31\n"
    assert export("--to", "metrics.duckdb", "--start", "2999-01-01", "--metrics", "mrr") == 2
    assert "error: --start 2999-01-01 is after 2026-01-31, which is today" in capsys.readouterr().err


def test_plans_and_customers_are_listed_once(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    targets: list[str] = []
    respond = Sandbox._respond

    def count(self: Sandbox, request: Any) -> Any:
        targets.append(request.target)
        return respond(self, request)

    monkeypatch.setattr(Sandbox, "_respond", count)
    assert export("--to", "metrics.duckdb", *RANGE, "--metrics", "mrr,arr,arpa", "--by", "country") == 0
    assert len([target for target in targets if "/customers" in target]) == 1


# --- what fails ---------------------------------------------------------------------------------------------


def test_a_table_that_fails_is_read_by_the_next_run(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # The account twice, and the first table.
    sandbox.faults = Faults.sequence(None, None, Fault.status(403, "no"))
    assert export("--to", "metrics.duckdb", *RANGE, "--by", "plan") == 3
    out, err = capsys.readouterr()
    assert out == "mrr_by_plan: 42 rows, 2025-06-01 to 2025-11-30\n"
    first, last = err.splitlines()
    assert first.startswith("error: mrr: GET http")
    assert last == "error: 1 of 2 tables failed: mrr; the others are in the schema chartmogul of metrics.duckdb"
    assert work_of_dlt(tmp_path) == []
    assert export("--to", "metrics.duckdb", *RANGE, "--by", "plan") == 0
    assert_equal_to_a_clean_export("metrics.duckdb")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("damaged.duckdb", "cannot open damaged.duckdb: "),
        ("readonly/", "cannot write to readonly: "),
    ],
)
def test_a_target_that_is_something_else_is_an_error(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], target: str, message: str
) -> None:
    Path("damaged.duckdb").write_text("This is a letter.")
    Path("readonly").write_text("And this is another one.")
    assert export("--to", target, *RANGE) == 7
    assert message in capsys.readouterr().err
    assert Path("readonly").read_text() == "And this is another one."


def test_a_folder_for_dlt_that_cannot_be_made(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("no folder")
    assert export("--to", "metrics.duckdb", *RANGE) == 7
    assert "cannot write to " in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["REFRESH=drop_sources", "DEV_MODE=true", "RESTORE_FROM_DESTINATION=false"])
def test_settings_for_other_pipelines_lose_no_table(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv(*setting.split("="))
    assert export("--to", "metrics.duckdb", *RANGE, "--by", "plan") == 0
    assert len(rows("metrics.duckdb", "mrr")) == 6
    assert len(rows("metrics.duckdb", "mrr_by_plan")) > 6


def test_a_setting_for_another_schema_is_an_error(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_NAME_LAYOUT", "raw_%s")
    assert export("--to", "metrics.duckdb", *RANGE) == 7
    assert "error: dlt's settings name the schema raw_chartmogul instead of chartmogul: " in capsys.readouterr().err


def test_a_folder_for_dlt_that_it_cannot_read(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLT_DATA_DIR", "home of O'Brien")
    assert export("--to", "metrics.duckdb", *RANGE) == 7
    assert "set DLT_DATA_DIR to a path with none of '[" in capsys.readouterr().err
    assert not Path("home of O'Brien").exists()


HOLDING = """
import sys
import duckdb

database = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def holding(path: Path) -> Any:
    command = [sys.executable, "-c", HOLDING, str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_what_another_process_uses_is_an_error(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert export("--to", "metrics.duckdb", *RANGE, "-q") == 0
    (lock,) = tmp_path.glob("data/chartmogul_export/*.lock")
    for path, message in (
        (Path("metrics.duckdb"), "error: cannot open metrics.duckdb: IO Error: Could not set lock"),
        (lock, "error: another process exports into metrics.duckdb\n"),
    ):
        with holding(path) as process:
            assert process.stdout.readline() == "held\n"
            assert export("--to", "metrics.duckdb", *RANGE) == 7
            assert message in capsys.readouterr().err
            process.stdin.close()


def test_a_lock_that_cannot_be_used_is_an_error(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert export("--to", "metrics.duckdb", *RANGE, "-q") == 0
    (lock,) = tmp_path.glob("data/chartmogul_export/*.lock")
    lock.write_bytes(b"damaged" * 2000)
    assert export("--to", "metrics.duckdb", *RANGE) == 7
    assert "error: cannot use the lock of metrics.duckdb: " in capsys.readouterr().err


def test_what_was_read_is_kept_while_it_cannot_be_loaded(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlt.destinations.impl.duckdb.duck import DuckDbClient

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(DuckDbClient, "update_stored_schema", fail)
        assert export("--to", "metrics.duckdb", *RANGE, "--by", "plan") == 7
    (work,) = work_of_dlt(tmp_path)
    out, err = capsys.readouterr()
    assert out == ""
    assert f"No space left on device; what was read is in {work}, for the next run\n" in err
    assert export("--to", "metrics.duckdb", *RANGE, "--by", "plan") == 0
    assert work_of_dlt(tmp_path) == []
    assert_equal_to_a_clean_export("metrics.duckdb")


def test_an_interruption_while_it_loads_is_one(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    from dlt.destinations.impl.duckdb.duck import DuckDbClient

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(DuckDbClient, "update_stored_schema", interrupt)
    assert export("--to", "metrics.duckdb", *RANGE) == 130


KILLED = """
import os
import signal
import sys

from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient

from chartmogul_async.cli import main
from chartmogul_async.cli.pace import Pace

where, jobs, *args = sys.argv[1:]
read = Pace.read


def kill_while_reading(pace, name, done, total):
    if (name, done) == ("mrr_by_plan", 3):
        os.kill(os.getpid(), signal.SIGKILL)
    read(pace, name, done, total)


def killing(create):
    seen = []

    def create_and_kill(client, table, *rest, **more):
        seen.append(table)
        if len(seen) > int(jobs):
            os.kill(os.getpid(), signal.SIGKILL)
        return create(client, table, *rest, **more)

    return create_and_kill


if where == "read":
    Pace.read = kill_while_reading
else:
    for client in (DuckDbClient, FilesystemClient):
        client.create_load_job = killing(client.create_load_job)
main(("export", *args))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(
    ("where", "jobs", "target", "is_first"),
    [
        ("read", 0, "metrics.duckdb", False),
        # Nothing was loaded yet, a table was, or a part of one.
        ("load", 0, "metrics.duckdb", True),
        ("load", 2, "metrics.duckdb", True),
        ("load", 4, "metrics.duckdb", False),
        ("load", 0, "files/", True),
        ("load", 3, "files/", False),
    ],
)
def test_an_export_that_was_killed_is_made_up_for(
    sandbox: Sandbox, tmp_path: Path, where: str, jobs: int, target: str, is_first: bool
) -> None:
    options = ("--to", target, *RANGE, "--by", "plan")
    if not is_first:
        assert export(*options, "--end", "2025-09-15", "-q") == 0
        add_customer(sandbox)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", KILLED, where, str(jobs), *options]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    add_customer(sandbox, on=date(2025, 11, 5))
    assert export(*options) == 0
    assert work_of_dlt(tmp_path) == []
    assert_equal_to_a_clean_export(target)
    if not is_first:
        restated = rows(target, "restatements")
        assert len({row[:6] + row[6:8] for row in restated}) == len(restated)
        assert any("mrr_new_business" in row for row in restated)
