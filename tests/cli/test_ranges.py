"""Ranges of days as options: dates, periods in words, and what is recent where the account is."""

from __future__ import annotations

import csv
from datetime import date

import pytest

from chartmogul_async import Account
from chartmogul_async.errors import ArgumentError
from chartmogul_async.sandbox import Fault, Faults, Sandbox
from tests.cli.conftest import TODAY, Result, Run


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Today is a Sunday in August 2025, wherever the account is."""
    monkeypatch.setattr(Account, "today", lambda _: TODAY)


def dates(ran: Result) -> list[str]:
    assert (ran.code, ran.err) == (0, "")
    return [row["date"] for row in csv.DictReader(ran.out.splitlines())]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--start", "2025-02"), ["2025-02-28"]),
        (("--start", "2025-Q1"), ["2025-01-31", "2025-02-28", "2025-03-31"]),
        (("--start", "2024", "--interval", "quarter"), ["2024-03-31", "2024-06-30", "2024-09-30", "2024-12-31"]),
        (("--start", "2024-12", "--end", "2025-01-15"), ["2024-12-31", "2025-01-15"]),
        (("--start", "2024-12-15", "--end", "2025-01"), ["2024-12-31", "2025-01-31"]),
        (("--last", "2m"), ["2025-06-30", "2025-07-31"]),
        (("--last", "1q"), ["2025-04-30", "2025-05-31", "2025-06-30"]),
        (("--last", "2w", "--interval", "week"), ["2025-08-03", "2025-08-10"]),
        (("--last", "3d", "--interval", "day"), ["2025-08-14", "2025-08-15", "2025-08-16"]),
        (("--last", "1y", "--interval", "year"), ["2024-12-31"]),
        (("--this", "month"), ["2025-08-17"]),
        (("--this", "quarter"), ["2025-07-31", "2025-08-17"]),
    ],
)
def test_a_range_in_words(account: Sandbox, run: Run, options: tuple[str, ...], expected: list[str]) -> None:
    before = account.counters.requests
    assert dates(run("metrics", "mrr", *options)) == expected
    # The account, for what day it is there, and the metric.
    is_recent = options[0] in ("--last", "--this")
    assert account.counters.requests - before == 1 + is_recent


def test_a_table_of_recent_months_needs_two_requests_as_well(account: Sandbox, run: Run) -> None:
    before = account.counters.requests
    ran = run("metrics", "mrr", "--last", "2m", "--format", "table")
    assert (ran.code, "USD" in ran.out) == (0, True)
    assert account.counters.requests - before == 2
    assert "Only a part" not in ran.out


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (("--this", "month"), "Only a part of the month, so far or as asked for: 2025-08-17."),
        (
            ("--start", "2025-02-15", "--end", "2025-04-15"),
            "Only a part of the month, so far or as asked for: 2025-02-28 and 2025-04-15.",
        ),
    ],
)
def test_a_table_notes_parts_of_intervals(account: Sandbox, run: Run, options: tuple[str, ...], note: str) -> None:
    assert note in run("metrics", "arr", *options, "--format", "table").out.splitlines()


def test_a_table_does_without_the_note(account: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this machine does not know the account's time zone."""

    def today(_: Account) -> date:
        raise ArgumentError("time_zone must be one that this machine knows")

    monkeypatch.setattr(Account, "today", today)
    ran = run("metrics", "arr", "--start", "2025-02-15", "--end", "2025-04-15", "--format", "table")
    assert (ran.code, ran.err) == (0, "")
    assert "Only a part" not in ran.out
    ran = run("metrics", "arr", "--last", "2m")
    assert (ran.code, ran.err) == (2, "error: time_zone must be one that this machine knows\n")


def test_what_is_recent_needs_the_account(account: Sandbox, run: Run) -> None:
    account.faults = Faults.sequence(Fault.status(403), where="/account")
    ran = run("metrics", "mrr", "--last", "12m")
    assert (ran.code, ran.out) == (3, "")
    assert "/account: 403" in ran.err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            ("--last", "12"),
            "must be a number of days, weeks, months, quarters or years such as 30d, 8w, 12m, 4q or 3y, ",
        ),
        (("--last", "0m"), "not '0m'"),
        (("--last", "1000000d"), "not '1000000d'"),
        (("--last", "12m", "--start", "2025"), "--last, --this and --start with --end exclude each other (see "),
        (("--last", "12m", "--end", "2025"), "exclude each other"),
        (("--last", "12m", "--this", "month"), "exclude each other"),
        (("--this", "fortnight"), "'fortnight' is not one of 'day'"),
        (("--start", "2025-01-01"), "Missing option '--end', which only a period as --start makes unnecessary"),
        (("--end", "2025"), "Missing option '--start', or --last or --this"),
        (("--start", "2025-02-30", "--end", "2025-03-31"), "not '2025-02-30', which does not exist"),
        (
            ("--start", "2025-Q5"),
            "must be a date such as 2026-01-31, or a period such as 2026-01, 2026-Q1 or 2026, not",
        ),
        (("--last", "99999y"), "error: --last must be smaller: the calendar does not reach back 99999 years\n"),
        (("--last", "12m", "--geo", "UK"), "error: --geo must contain ISO 3166-1 country codes, not 'UK'"),
    ],
)
def test_a_range_that_cannot_be_right_is_reported_before_any_request(
    account: Sandbox, run: Run, options: tuple[str, ...], complaint: str
) -> None:
    before = account.counters.requests
    ran = run("metrics", "mrr", *options)
    assert (ran.code, ran.out) == (2, "")
    assert complaint in ran.err
    assert account.counters.requests == before
