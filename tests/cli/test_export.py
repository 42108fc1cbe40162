"""``chartmogul export`` without dlt: the options, what is said of each table, what fails, and the progress."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from attrs import define, field

from chartmogul_async import RetryPolicy, blocking, errors
from chartmogul_async.blocking import Client
from chartmogul_async.cli import export, targets
from chartmogul_async.cli.pace import Lines, Pace
from chartmogul_async.cli.targets import Loaded, Restated, Target, WarehouseError
from chartmogul_async.sandbox import Fault, Faults, Sandbox
from tests.cli.conftest import Run, plain

Step = Callable[["Fake"], object]


@define
class Fake:
    """In place of the source and the warehouse: a table for each metric, and each metric by each dimension."""

    asked: dict[str, Any] = field(factory=dict)
    targets: list[Target] = field(factory=list)
    pending: list[Loaded] = field(factory=list)
    outcomes: dict[str, Exception | list[Loaded]] = field(factory=dict)
    on_open: Exception | None = None
    selected_resources: dict[str, None] = field(factory=dict)

    def source(self, *key: None, **options: Any) -> Fake:
        assert key == (None,)
        self.asked = options
        names = [f"{metric}_by_{by}" if by else metric for by in ["", *options["by"]] for metric in options["metrics"]]
        self.selected_resources = dict.fromkeys(names)
        if options["end"] and options["end"] < options["start"]:
            raise errors.ArgumentError(f"start {options['start']} is after end {options['end']}")
        return self

    @contextmanager
    def opened(self, target: Target) -> Iterator[Fake]:
        self.targets.append(target)
        if self.on_open:
            raise self.on_open
        yield self

    def resume(self) -> list[Loaded]:
        return self.pending

    def load(self, source: Fake, name: str) -> list[Loaded]:
        assert source is self
        total = 3 if "_by_" in name else 1
        for done in range(total + 1):
            self.asked["on_progress"](name, done, total)
        self.asked["client"].ping()
        outcome = self.outcomes.get(name, [Loaded(name, 1234, date(2025, 1, 1), date(2025, 8, 17))])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, account: Sandbox, tmp_path: Path) -> Fake:
    made = Fake()
    for name, function in (
        ("cli.warehouse", {"opened": made.opened}),
        ("integrations.dlt", {"chartmogul_source": made.source}),
    ):
        module = ModuleType(f"chartmogul_async.{name}")
        vars(module).update(function)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(export, "find_spec", lambda _: True)
    # No line of progress, however slow the machine is.
    monkeypatch.setattr("chartmogul_async.cli.pace._EVERY", math.inf)
    monkeypatch.setattr(blocking, "Client", partial(Client, retry=RetryPolicy(attempts=1)))
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_the_first_retry_is_noted(
    fake: Fake, run: Run, account: Sandbox, monkeypatch: pytest.MonkeyPatch, quiet: tuple[str, ...]
) -> None:
    monkeypatch.setattr(blocking, "Client", partial(Client, retry=RetryPolicy(attempts=3, base=0.001)))
    account.faults = Faults.sequence(Fault.status(502), Fault.status(502), None)
    ran = run("export", "--to", "metrics.duckdb", "--metrics", "mrr", "--start", "2025", *quiet)
    assert ran.code == 0
    notes = re.findall(r"^note: GET http://\S+/v1/account: 502; trying up to 6 times", ran.err, re.MULTILINE)
    assert len(notes) == (0 if quiet else 1)


def test_each_table_is_a_line(fake: Fake, run: Run) -> None:
    fake.outcomes["mrr"] = [
        Loaded(
            "mrr",
            1,
            date(2025, 7, 1),
            date(2025, 7, 31),
            (
                Restated("mrr", 1, date(2025, 7, 1), date(2025, 7, 1)),
                Restated("mrr_churn", 2, date(2025, 7, 1), date(2025, 7, 1)),
                Restated("mrr_expansion", 3, date(2025, 6, 1), date(2025, 7, 1)),
            ),
        )
    ]
    fake.outcomes["arr"] = [Loaded("arr", 0)]
    ran = run("export", "--to", "metrics.duckdb", "--metrics", "all,mrr, arr", "--start", "2025")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "all: 1,234 rows, 2025-01-01 to 2025-08-17",
        "mrr: 1 row, 2025-07-01 to 2025-07-31",
        "  restated: mrr of 2025-07-01",
        "  restated: 2 values of mrr_churn of 2025-07-01",
        "  restated: 3 values of mrr_expansion from 2025-06-01 to 2025-07-01",
        "arr: 0 rows",
    ]
    assert ran.err == "3 tables in the schema chartmogul of metrics.duckdb\n"


def test_what_was_pending_comes_first(fake: Fake, run: Run) -> None:
    fake.pending = [Loaded("arr", 5, date(2025, 1, 1), date(2025, 1, 5))]
    ran = run("export", "--to", "metrics.duckdb", "--metrics", "mrr", "--start", "2025-01-01")
    assert [line.partition(":")[0] for line in ran.out.splitlines()] == ["arr", "mrr"]
    assert ran.err == "1 table in the schema chartmogul of metrics.duckdb\n"


def test_quiet_is_without_a_word(fake: Fake, in_terminal: Run) -> None:
    ran = in_terminal("export", "--to", "metrics.duckdb", "--start", "2025-01-01", "-q")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "--start 2025-02-03",
            {"start": date(2025, 2, 3), "end": None, "restate": None, "interval": "month", "by": []},
        ),
        ("--start 2024-Q2 --end 2025-01", {"start": date(2024, 4, 1), "end": date(2025, 1, 31)}),
        # The sandbox lives in August 2025.
        ("--last 3y --interval day", {"start": date(2022, 1, 1), "end": None, "interval": "day"}),
        ("--last 2d", {"start": date(2025, 8, 15)}),
        ("--start 2025 --by plan,plan-group,country", {"by": ["plan", "plan_group", "country"]}),
        ("--start 2025 --metrics mrr-churn-rate,ltv", {"metrics": ["mrr_churn_rate", "ltv"]}),
        ("--start 2025 --restate 0", {"restate": 0}),
        # A file may have other accounts, which are not replaced.
        ("--start 2025 --restate all", {"restate": 10_000_000}),
        ("--start 2025 --to warehouse/", {"restate": "all"}),
        ("--start 2025 --to warehouse/ --restate all", {"restate": "all"}),
    ],
)
def test_options_are_those_of_the_source(
    fake: Fake, run: Run, monkeypatch: pytest.MonkeyPatch, words: str, expected: dict[str, Any]
) -> None:
    monkeypatch.setattr("chartmogul_async.resources.account.today_in", lambda _: date(2025, 8, 17))
    ran = run("export", "--to", "metrics.duckdb", *words.split())
    assert (ran.code, ran.err.count("error")) == (0, 0)
    assert {name: fake.asked[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--start 2025", "Missing option '--to'"),
        ("--to m.duckdb", "Missing option '--start', or --last"),
        ("--to m.duckdb --last 3y --end 2025", "--last and --start with --end exclude each other"),
        ("--to m.duckdb --start 2025 --end 2024", "--start 2025-01-01 is after --end 2024-12-31"),
        ("--to m.duckdb --start soon", "Invalid value for '--start': must be a date such as"),
        ("--to m.duckdb --last 0m", "Invalid value for '--last': must be a number of days"),
        ("--to m.duckdb --last 9999y", "--last must be smaller: the calendar does not reach back 9999 years"),
        ("--to m.duckdb --start 2025 --metrics mrr,mrrr", "Invalid value for '--metrics': must be one of all, mrr,"),
        (
            "--to m.duckdb --start 2025 --by plan,region",
            "must be one or several of plan, plan-group, country, not 'reg",
        ),
        ("--to m.duckdb --start 2025 --restate -1", "must be a number of periods or 'all', not '-1'"),
        ("--to m.duckdb --start 2025 --restate 10000000", "must be a number of periods or 'all', not '10000000'"),
        ("--to files/ --start 2025 --restate 3", "--restate applies to a DuckDB file"),
        ("--to /dev/null/m.duckdb --start 2025", "Invalid value for '--to': must be "),
        (f"--to {'x' * 256}.duckdb --start 2025", "Invalid value for '--to': must be a path that can exist, not 'xxx"),
        ("--to \udcff.duckdb --start 2025", "Invalid value for '--to': must be a path that can exist, not "),
        ("--to [1]/ --start 2025", "Invalid value for '--to': must be a folder whose path has none of '["),
        ("--to O'Brien/ --start 2025", "Invalid value for '--to': must be a folder whose path has none of '["),
        ("--to none/m.duckdb --start 2025", "Invalid value for '--to': must be in a folder that exists, not 'none'"),
        ("--to none/files/ --start 2025", "Invalid value for '--to': must be in a folder that exists, not 'none'"),
        (
            "--to= --start 2025",
            "Invalid value for '--to': must be a DuckDB file such as metrics.duckdb, or a folder, and",
        ),
        ("--to m.parquet --start 2025", "must be a DuckDB file such as metrics.duckdb, or a folder for Parquet files"),
        ("--to ChartMogul.duckdb --start 2025", "must have another name than chartmogul, such as metrics.duckdb"),
        ("--to chartmogul.prod.duckdb --start 2025", "must have another name than chartmogul"),
    ],
)
def test_a_wrong_option_is_an_error_at_once(fake: Fake, account: Sandbox, run: Run, words: str, message: str) -> None:
    before = account.counters.requests
    ran = run("export", *words.split())
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {message}" in ran.err or message in ran.err
    assert account.counters.requests == before
    assert fake.targets == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_pipe_and_a_loop_are_no_targets(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.duckdb")
    (tmp_path / "loop.duckdb").symlink_to(tmp_path / "loop.duckdb")
    with pytest.raises(click.BadParameter, match=r"must be a file or a folder, not a device, as '.*duckdb' is"):
        targets.target(None, None, str(tmp_path / "pipe.duckdb"))  # type: ignore[arg-type]
    with pytest.raises(click.BadParameter, match="must be a path that can exist, not "):
        targets.target(None, None, str(tmp_path / "loop.duckdb"))  # type: ignore[arg-type]


def test_a_target_is_a_file_or_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.duckdb").mkdir()
    for value, is_folder in {"m.DuckDB": False, "a.db": False, "there.duckdb": True, "new/": True}.items():
        found = targets.target(None, None, value)  # type: ignore[arg-type]
        assert (found.path, found.is_folder) == (Path(value), is_folder)
    assert Target(Path("new"), is_folder=True).place == "in new/chartmogul"


@pytest.mark.parametrize("missing", [["dlt", "duckdb", "pyarrow"], ["duckdb"]])
def test_what_is_not_installed_is_named(
    fake: Fake, run: Run, monkeypatch: pytest.MonkeyPatch, missing: list[str]
) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None if name in missing else True)
    ran = run("export", "--to", "metrics.duckdb", "--start", "2025")
    assert ran.code == 2
    assert ran.err == (
        f"error: {', '.join(missing)} not found; export requires an extra and drivers, "
        "run: pip install 'chartmogul-async[cli,dlt]' 'dlt[duckdb,parquet]'\n"
    )


def test_a_missing_key_is_an_error(fake: Fake, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHARTMOGUL_API_KEY")
    ran = run("export", "--to", "metrics.duckdb", "--start", "2025")
    assert (ran.code, ran.err.partition(":")[2]) == (
        2,
        " no API key: set the environment variable CHARTMOGUL_API_KEY\n",
    )


@pytest.mark.parametrize("start", [("--last", "2m"), ("--start", "2025")])
def test_a_wrong_key_ends_the_command(fake: Fake, run: Run, monkeypatch: pytest.MonkeyPatch, start: Any) -> None:
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "wrong")
    ran = run("export", "--to", "metrics.duckdb", *start)
    assert (ran.code, ran.out, fake.targets) == (3, "", [])
    assert ran.err.count("\n") == 1


def test_a_table_that_fails_costs_no_other(fake: Fake, run: Run) -> None:
    fake.outcomes["mrr"] = errors.ForbiddenError("no access", status=403)
    fake.outcomes["ltv"] = errors.StateError("ltv has the figures of another account")
    ran = run("export", "--to", "files/", "--metrics", "mrr,arr,ltv", "--start", "2025")
    assert ran.code == 3
    assert ran.out == "arr: 1,234 rows, 2025-01-01 to 2025-08-17\n"
    assert ran.err.splitlines() == [
        "error: mrr: 403: no access",
        "error: ltv: ltv has the figures of another account",
        "error: 2 of 3 tables failed: mrr, ltv; the others are in files/chartmogul",
    ]


def test_a_wrong_argument_is_exit_code_2(fake: Fake, run: Run) -> None:
    fake.outcomes["mrr"] = errors.StateError("no")
    ran = run("export", "--to", "m.duckdb", "--metrics", "mrr", "--start", "2025")
    assert (ran.code, ran.err) == (2, "error: mrr: no\nerror: 1 of 1 table failed: mrr\n")


def test_a_start_after_today_is_refused(fake: Fake, run: Run) -> None:
    ran = run("export", "--to", "m.duckdb", "--metrics", "mrr", "--start", "2999")
    assert (ran.code, ran.out, fake.targets) == (2, "", [])
    assert re.fullmatch(r"error: --start 2999-01-01 is after \S+, which is today where the account is\n", ran.err)


def test_a_folder_of_other_figures_is_explained_without_arguments(fake: Fake, run: Run) -> None:
    fake.outcomes["mrr"] = errors.StateError(
        "mrr has the figures of acc_1/month, which restate='all' would replace with those of acc_1/day: load them into "
        "another dataset or folder"
    )
    ran = run("export", "--to", "files/", "--metrics", "mrr", "--start", "2025", "--interval", "day")
    assert ran.err.startswith(
        "error: mrr: mrr has the figures of acc_1/month, which would be replaced with those of acc_1/day: "
        "load them into another folder\n"
    )


def test_a_key_that_is_revoked_meanwhile_ends_the_command(fake: Fake, run: Run) -> None:
    fake.outcomes["mrr"] = errors.AuthenticationError("revoked", status=401)
    ran = run("export", "--to", "metrics.duckdb", "--metrics", "all,mrr,arr", "--start", "2025")
    assert (ran.code, ran.out.count("\n"), ran.err) == (3, 1, "error: 401: revoked\n")


@pytest.mark.parametrize("where", ["open", "load"])
def test_a_warehouse_that_cannot_be_loaded_ends_it(fake: Fake, run: Run, where: str) -> None:
    error = WarehouseError("cannot open metrics.duckdb: it is locked")
    if where == "open":
        fake.on_open = error
    else:
        fake.outcomes["all"] = error
    ran = run("export", "--to", "metrics.duckdb", "--start", "2025")
    assert (ran.code, ran.out, ran.err) == (7, "", "error: cannot open metrics.duckdb: it is locked\n")


# --- progress -----------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_left_is_known_once_each_dimension_is() -> None:
    clock = Clock()
    known = Pace(clock=clock)
    totals = [known.total]
    assert str(known) == "0 requests/s"
    known.names = ["mrr", "mrr_by_plan", "arr_by_plan"]
    totals.append(known.total)
    known.read("mrr", 1, 1)
    known.end("mrr")
    clock.now, known.requests = 110.0, 20
    totals.append(known.total)
    assert (known.done, str(known)) == (1, "2 requests/s")
    known.read("mrr_by_plan", 0, 2)
    assert str(known) == "2 requests/s, 40 s left"
    totals.append(known.total)
    known.read("mrr_by_plan", 2, 2)
    known.end("mrr_by_plan")
    known.read("arr_by_plan", 1, 2)
    # It failed.
    known.end("arr_by_plan")
    assert (known.done, str(known)) == (4, "2 requests/s, 0 s left")
    assert [*totals, known.total] == [None, None, None, 5, 4]


def test_without_a_terminal_a_line_is_written_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock, lines = Clock(), Lines()
    known = Pace(clock=clock)
    lines.update(known)
    clock.now += 10
    lines.update(known)
    known.names = ["mrr_by_plan"]
    for done in range(20):
        known.read("mrr_by_plan", done, 19)
        known.requests += 2
        lines.update(known)
        clock.now += 1
    assert capsys.readouterr().err.splitlines() == [
        "0 of ? series, account, 0 requests/s",
        "10 of 19 series, mrr_by_plan, 1 requests/s, 18 s left",
    ]


def test_a_terminal_has_a_bar(fake: Fake, in_terminal: Run) -> None:
    fake.outcomes["mrr_by_plan"] = errors.ForbiddenError("no access", status=403)
    ran = in_terminal("export", "--to", "metrics.duckdb", "--start", "2025", "--by", "plan")
    assert ran.code == 3
    # Stdout may be a file, even so.
    assert ran.out.splitlines() == [
        f"{name}: 1,234 rows, 2025-01-01 to 2025-08-17" for name in ("all", "mrr", "all_by_plan")
    ]
    shown = plain(ran.err)
    assert re.search(r"all_by_plan +\S+ 5/8 +\d+ requests/s, \d+ s left", shown)
    assert "error: mrr_by_plan: 403: no access\n" in shown
    assert max(len(line) for line in re.split("[\r\n]+", shown) if "requests/s" in line) <= 80
