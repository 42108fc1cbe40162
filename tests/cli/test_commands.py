from __future__ import annotations

import csv
import io
import json
import re
import socket
from contextlib import redirect_stdout

import pytest
from attrs import evolve

from chartmogul_async import __version__
from chartmogul_async.cli.failures import MEANINGS
from chartmogul_async.sandbox import Fault, Faults, Sandbox
from chartmogul_async.sandbox.company import State
from tests.cli.conftest import Run, ended, plain


def test_the_help_documents_exit_codes_and_environment(run: Run) -> None:
    ran = run("--help")
    assert (ran.code, ran.err) == (0, "")
    for code, meaning in MEANINGS.items():
        assert re.search(rf"^ +{code} +{re.escape(meaning)}$", ran.out, re.MULTILINE)
    assert "CHARTMOGUL_API_KEY" in ran.out
    assert "--api-key" not in ran.out


@pytest.mark.parametrize("command", ["account", "customers", "customers search", "demo", "metrics", "ping", "sandbox"])
def test_each_command_has_help_of_80_columns(run: Run, command: str) -> None:
    ran = run(*command.split(), "-h")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: chartmogul {command}")
    assert max(map(len, ran.out.splitlines())) <= 80


def test_the_help_of_metrics_lists_the_names_line_by_line(run: Run) -> None:
    assert re.search(r"^ +customer-churn-rate  share of the customers lost$", run("metrics", "-h").out, re.MULTILINE)


def test_version(run: Run) -> None:
    assert run("--version").out == f"chartmogul {__version__}\n"


def test_stdout_may_be_anything_that_takes_text() -> None:
    text = io.StringIO()
    with redirect_stdout(text):
        assert ended("--version") == 0
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
        (("customers",), r"error: Missing command \(see 'chartmogul customers --help'\)\n"),
    ],
)
def test_wrong_usage_is_one_line(run: Run, args: tuple[str, ...], pattern: str) -> None:
    ran = run(*args)
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(pattern, ran.err)


def test_ping(account: Sandbox, run: Run) -> None:
    ran = run("ping")
    assert (ran.code, ran.out, ran.err) == (0, "pong!\n", "")


def test_account(account: Sandbox, run: Run, in_terminal: Run) -> None:
    told = json.loads(run("account", "--format", "json").out)
    assert told["name"] == "Sandbox Software Ltd"
    assert list(told) == ["name", "currency", "time_zone", "week_start_on", "id"]
    assert json.loads(run("account", "--format", "jsonl").out) == told
    assert list(csv.DictReader(run("account").out.splitlines())) == [told]
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
    seen = in_terminal("customers", "search", email).out
    assert f"{found['mrr'] / 100:,.2f} USD" in seen
    assert found["external_id"] in seen
    assert "Owner" not in seen


def test_several_customers_with_one_address_are_several_cards(account: Sandbox, run: Run) -> None:
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


def test_a_name_cannot_steer_the_terminal_nor_break_the_table(account: Sandbox, in_terminal: Run) -> None:
    body = {"entries": [{"name": "\x1b]0;evil\x07 [red]Jäger[/red] :smile:\nGmbH", "email": "a@b.example"}]}
    account.faults = Faults.sequence(Fault.status(200, body))
    ran = in_terminal("customers", "search", "a@b.example")
    assert "?]0;evil? [red]Jäger[/red] :smile: GmbH" in ran.out
    account.faults = Faults.sequence(Fault.status(200, body))
    ran = in_terminal("customers", "search", "a@b.example", encoding="ascii")
    assert r"[red]J\xe4ger[/red]" in ran.out
    account.faults = Faults.sequence(Fault.status(200, body))
    ran = in_terminal("customers", "search", "a@b.example", "--format", "json", encoding="ascii")
    assert r"[red]J\u00e4ger[/red]" in ran.out


def test_what_is_under_way_is_told_on_a_terminal_only(account: Sandbox, in_terminal: Run, run: Run) -> None:
    assert "asking ChartMogul: 1 answered" in in_terminal("ping").err
    assert run("ping").err == ""


def test_sandbox_says_when_the_port_is_taken(run: Run, sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = run("sandbox", "--port", str(taken.getsockname()[1]))
    assert (ran.code, ran.out) == (6, "")
    assert ran.err.startswith("error: cannot listen on 127.0.0.1:")


def test_sandbox_tells_how_to_point_the_client_at_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def told_to_end(sandbox: Sandbox, host: str, port: int, *, ready: object) -> None:
        assert callable(ready)
        ready(f"http://{host}:{port}/v1")

    monkeypatch.setattr(Sandbox, "run", told_to_end)
    ran = run("sandbox", "--port", "8123")
    assert (ran.code, ran.err) == (0, "")
    assert "export CHARTMOGUL_BASE_URL=http://127.0.0.1:8123/v1\n" in ran.out
    assert "export CHARTMOGUL_API_KEY=sandbox\n" in ran.out


def test_every_field_of_a_customer_has_a_readable_label(account: Sandbox, run: Run) -> None:
    email = account.company.customers[0].email
    shown = run("customers", "search", email, "--format", "table").out
    for label in ("ID ", "UUID ", "External IDs ", "Data source UUID ", "ChartMogul URL ", "Customer since "):
        assert f"\n{label}" in f"\n{shown}"
