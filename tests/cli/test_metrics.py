from __future__ import annotations

import csv
import json
import os
import re
from typing import Any

import pytest

from chartmogul_async.sandbox import Fault, Faults, Sandbox
from tests.cli.conftest import Result, Run

RANGE = ("--start", "2025-01-01", "--end", "2025-03-31")
NAMES = ("all", "mrr", "arr", "arpa", "asp", "customer-count", "customer-churn-rate", "mrr-churn-rate", "ltv")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize("name", NAMES)
def test_all_formats_of_a_metric_have_the_same_figures(account: Sandbox, run: Run, name: str) -> None:
    as_json = run("metrics", name, *RANGE, "--format", "json")
    as_jsonl = run("metrics", name, *RANGE, "--format", "jsonl")
    as_csv = run("metrics", name, *RANGE, "--format", "csv")
    as_table = run("metrics", name, *RANGE, "--format", "table")
    assert {ran.code for ran in (as_json, as_jsonl, as_csv, as_table)} == {0}
    assert {ran.err for ran in (as_json, as_jsonl, as_csv, as_table)} == {""}
    whole = json.loads(as_json.out)
    assert list(whole) == ["entries", "summary"]
    assert [entry["date"] for entry in whole["entries"]] == ["2025-01-31", "2025-02-28", "2025-03-31"]
    assert [json.loads(line) for line in as_jsonl.out.splitlines()] == whole["entries"]
    assert rows(as_csv.out) == [{key: str(value) for key, value in entry.items()} for entry in whole["entries"]]
    assert all(day in as_table.out for day in ("2025-01-31", "2025-02-28", "2025-03-31", "Now"))
    assert max(map(len, as_table.out.splitlines())) <= 80


def test_json_has_the_records_fields_and_exact_cents(account: Sandbox, run: Run) -> None:
    whole: dict[str, Any] = json.loads(run("metrics", "mrr", *RANGE, "--format", "json").out)
    first, second, _ = whole["entries"]
    assert list(first) == [
        "date",
        "mrr",
        "percentage_change",
        "mrr_new_business",
        "mrr_expansion",
        "mrr_contraction",
        "mrr_churn",
        "mrr_reactivation",
    ]
    assert second["mrr"] - first["mrr"] == sum(amount for key, amount in second.items() if key.startswith("mrr_"))
    assert list(whole["summary"]) == ["current", "previous", "percentage_change"]


def test_a_pipe_gets_csv_and_a_terminal_gets_a_table(account: Sandbox, run: Run, in_terminal: Run) -> None:
    piped = run("metrics", "arr", *RANGE)
    assert piped.out == run("metrics", "arr", *RANGE, "--format", "csv").out
    assert piped.out.startswith("date,arr,percentage_change\n2025-01-31,")
    shown = in_terminal("metrics", "arr", *RANGE)
    assert "ARR" in shown.out
    assert "\x1b[1m" in shown.out


def test_a_table_has_units_of_the_currency_and_names_it(account: Sandbox, in_terminal: Run, run: Run) -> None:
    cents = json.loads(run("metrics", "mrr", *RANGE, "--format", "json").out)["entries"][0]["mrr"]
    wide = in_terminal("metrics", "mrr", *RANGE, columns=120).out
    assert f"{cents / 100:,.2f}" in wide
    assert "USD" in wide
    narrow = in_terminal("metrics", "mrr", *RANGE, columns=40).out
    assert f"2025-01-31 {cents / 100:,.0f}" in re.sub(r" +", " ", narrow)
    # Lines that are too wide are better than lines that are cut off.
    assert "Reactivation" in narrow


def test_a_key_without_access_to_the_account_gets_a_table(account: Sandbox, run: Run) -> None:
    account.faults = Faults.sequence(Fault.status(403), where="/account")
    ran = run("metrics", "ltv", *RANGE, "--format", "table")
    assert ran.code == 0
    assert "units" in ran.out


def test_underscores_and_dashes_are_equivalent(account: Sandbox, run: Run) -> None:
    dashed, underscored = (run("metrics", name, *RANGE) for name in ("customer-count", "customer_count"))
    assert dashed == underscored
    assert dashed.out.startswith("date,customers,percentage_change\n")


def test_options_reach_the_server(account: Sandbox, run: Run) -> None:
    everything = rows(run("metrics", "mrr", *RANGE).out)
    by_geo = [rows(run("metrics", "mrr", *RANGE, "--geo", geo).out) for geo in ("US", "DE", "US,DE")]
    both = rows(run("metrics", "mrr", *RANGE, "--geo", "US", "--geo", "DE").out)
    assert int(by_geo[0][0]["mrr"]) + int(by_geo[1][0]["mrr"]) == int(both[0]["mrr"])
    assert by_geo[2] == both != everything
    name, other = [plan.name for plan in account.company.plans if "," not in plan.name][:2]
    by_plan = [rows(run("metrics", "mrr", *RANGE, "--plan", plan).out) for plan in (name, other)]
    plans = rows(run("metrics", "mrr", *RANGE, "--plan", name, "--plan", other).out)
    assert int(by_plan[0][0]["mrr"]) + int(by_plan[1][0]["mrr"]) == int(plans[0]["mrr"])
    filtered = rows(run("metrics", "mrr", *RANGE, "--filter", "region~ANY~'US','DE'").out)
    assert [row["mrr"] for row in filtered] == [row["mrr"] for row in both]
    assert len(rows(run("metrics", "mrr", *RANGE, "--interval", "day").out)) == 90


@pytest.mark.parametrize(("slices", "requests"), [("interval", 3), ("2", 2), ("1", 1)])
def test_slices_change_the_requests_but_not_the_result(account: Sandbox, run: Run, slices: str, requests: int) -> None:
    whole = run("metrics", "mrr", *RANGE)
    before = account.counters.requests
    assert run("metrics", "mrr", *RANGE, "--slices", slices) == whole
    assert account.counters.requests - before == requests


def test_an_interval_that_is_ignored_is_noted_on_stderr(account: Sandbox, run: Run) -> None:
    ran = run("metrics", "ltv", *RANGE, "--interval", "quarter")
    assert ran.code == 0
    assert ran.err == "note: ltv is always by month; --interval quarter is ignored\n"
    assert len(rows(ran.out)) == 3


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("nrr", *RANGE), "Invalid value for 'NAME': must be one of all, mrr, arr, arpa, asp, customer-count, "),
        (
            ("mrr", "--start", "2025-02-30", "--end", "2025-03-31"),
            "must be a day of the calendar, not '2025-02-30', which does not exist",
        ),
        (
            ("mrr", "--start", "2025-Q5", "--end", "2025-03-31"),
            "2026-Q1 or 2026, not '2025-Q5'",
        ),
        (
            ("mrr", "--start", "1712102400", "--end", "2025-03-31"),
            "2026-Q1 or 2026, not '1712102400'",
        ),
        (
            ("mrr", "--start", "2025-04-01", "--end", "2025-03-31"),
            "error: --start 2025-04-01 is after --end 2025-03-31\n",
        ),
        (
            ("mrr", "--end", "2025-03-31"),
            "Missing option '--start', or --last or --this (see 'chartmogul metrics --help')",
        ),
        (("mrr", *RANGE, "--slices", "0"), "must be a positive integer or 'interval', not '0'"),
        (("mrr", *RANGE, "--slices", "month"), "must be a positive integer or 'interval', not 'month'"),
        (("mrr", *RANGE, "--slices", "9" * 5000), "must be a positive integer or 'interval', not '999"),
        (("mrr", *RANGE, "--interval", "decade"), "'decade' is not one of 'day'"),
        (
            ("mrr", *RANGE, "--geo", "USA"),
            "error: --geo must contain ISO 3166-1 alpha-2 country codes such as 'US', not 'USA'\n",
        ),
        (("mrr", *RANGE, "--geo", "UK"), "error: --geo must contain ISO 3166-1 country codes, not 'UK': the United"),
        (
            ("mrr", *RANGE, "--plan", "Team, yearly"),
            "error: --plan must not contain 'Team, yearly', because the API separates plans by commas: repeat --plan "
            "for several plans, and name a plan with a comma in its name by its UUID",
        ),
        (
            ("mrr", *RANGE, "--filter", "mrr"),
            "error: --filter must be a CFL string such as \"region~ANY~'US','DE'\", not",
        ),
        (
            ("mrr", *RANGE, "--filter", "mrr%7EGT%7E1~AND~a~LT~5"),
            "--filter must not be percent-encoded: decode it first",
        ),
        (("asp", *RANGE, "--interval", "day"), "--interval must be one of month, quarter, year for asp, not 'day'"),
        (("mrr", *RANGE, "--format", "xml"), "'xml' is not one of 'table'"),
        (("mrr", *RANGE, "--by", "city"), "'city' is not one of 'plan'"),
        (("mrr", *RANGE, "--by", "plan", "--slices", "2"), "--slices excludes --by"),
        (("mrr", *RANGE, "--by", "region"), "Invalid value for '--by': 'region' is not one of 'plan', 'plan-group', "),
        (("mrr", *RANGE, "--by", "plan_group", "--plan", "Gold"), "--plan excludes --by plan-group"),
        (("mrr", *RANGE, "--plot", "--format", "csv"), "--plot excludes --format, unless --out names a file"),
        (("mrr", *RANGE, "--exact-text", "--format", "json"), "--exact-text requires --format csv"),
        (("mrr", *RANGE, "--out", "mrr.xml"), "--out must end with one of .csv, .json, .jsonl, .parquet, .arrow, "),
        (("mrr", *RANGE, "--out", "none/mrr.csv"), "--out must be in a folder that exists, not 'none'"),
        (("mrr", *RANGE, "--format", "csv", "--out", os.devnull), "--out must be that of a file, not of a folder or"),
    ],
)
def test_invalid_usage_is_reported_before_any_request(
    account: Sandbox, run: Run, args: tuple[str, ...], complaint: str
) -> None:
    before = account.counters.requests
    ran = run("metrics", *args)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert complaint in ran.err
    assert account.counters.requests == before


@pytest.mark.parametrize("format_", ["table", "csv", "json", "jsonl"])
def test_a_response_without_entries_is_nothing_found(account: Sandbox, run: Run, format_: str) -> None:
    summary = {"current": 0, "previous": 0, "percentage-change": 0.0}
    account.faults = Faults.sequence(Fault.status(200, {"entries": [], "summary": summary}))
    ran = run("metrics", "mrr", "--start", "2024-01-01", "--end", "2024-12-31", "--format", format_)
    assert ran == Result(4, "", "error: the response contains no entries\n")
