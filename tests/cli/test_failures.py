from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Any

import pytest

from chartmogul_async import Attempt, ChartMogulError, cli, errors
from chartmogul_async.cli import commands, terminal
from chartmogul_async.cli.failures import code_of
from chartmogul_async.sandbox import Fault, Faults, Sandbox
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.status(400), 2),
        (Fault.status(422), 2),
        (Fault.status(401), 3),
        (Fault.status(403), 3),
        (Fault.status(404), 4),
        (Fault.status(429), 5),
        (Fault.status(402), 6),
        (Fault.status(500), 6),
        (Fault.reset(), 6),
        (Fault.garbage(), 6),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_what_the_server_does_becomes_an_exit_code(account: Sandbox, run: Run, fault: Fault, code: int) -> None:
    account.faults = Faults.sequence(fault)
    ran = run("ping")
    assert (ran.code, ran.out) == (code, "")
    assert re.fullmatch(r"error: .+\n", ran.err)


def test_a_server_that_is_not_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "secret")
    monkeypatch.setenv("CHARTMOGUL_BASE_URL", f"http://127.0.0.1:{port}/v1")
    ran = run("ping")
    assert ran.code == 6
    assert re.fullmatch(r"error: GET http://[^ ]+/v1/ping: .+\n", ran.err)


@pytest.mark.parametrize("error", [errors.RequestTimeoutError("late"), errors.DecodeError("odd"), ChartMogulError("?")])
def test_all_else_is_trouble_with_the_server(error: ChartMogulError) -> None:
    assert code_of(error) == 6


@pytest.mark.parametrize("key", [None, "", "two words"])
def test_without_a_usable_key_nothing_is_sent(
    account: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.delenv("CHARTMOGUL_API_KEY")
    if key is not None:
        monkeypatch.setenv("CHARTMOGUL_API_KEY", key)
    before = account.counters.requests
    ran = run("ping")
    assert (ran.code, ran.out) == (2, "")
    assert "key" in ran.err
    assert "two words" not in ran.err
    assert account.counters.requests == before


def test_the_key_shows_nowhere(account: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "hush-hush")
    ran = run("ping")
    assert ran.code == 3
    assert "hush-hush" not in ran.err


def test_by_default_the_client_goes_to_chartmogul(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    def make(**given: Any) -> None:
        made.append(given)
        raise errors.UsageError("made")

    monkeypatch.setattr("chartmogul_async.cli.session.AsyncClient", make)
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "key")
    assert run("ping").err == "error: made\n"
    assert list(made[0]) == ["on_attempt"]


def _raising(error: BaseException) -> Callable[[object], None]:
    def ask(_: object) -> None:
        raise error

    return ask


def test_a_message_from_elsewhere_stays_on_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ask", _raising(errors.ServerError("no\n\x1b[31mway", 500)))
    ran = run("ping")
    assert (ran.code, ran.err) == (6, "error: 500: no ?[31mway\n")


def test_ctrl_c_is_130_without_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ask", _raising(KeyboardInterrupt()))
    ran = run("ping")
    assert (ran.code, ran.out, ran.err.strip()) == (130, "", "")


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ask", _raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["ping"])


def test_click_errors_that_are_no_usage_errors_are_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import click

    monkeypatch.setattr(commands, "ask", _raising(click.ClickException("no")))
    ran = run("ping")
    assert (ran.code, ran.err) == (1, "error: no\n")


@pytest.mark.parametrize("missing", ["click", "rich", "uvicorn"])
def test_without_the_extra_one_sentence_says_how_to_get_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == missing else name)
    ran = run("--help")
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(r"error: .*pip install 'chartmogul-async\[cli\]'.*\n", ran.err)


def test_waiting_for_another_attempt_is_told_on_a_terminal(in_terminal: Run) -> None:
    def wait() -> None:
        with terminal.waiting() as tell:
            tell(Attempt("GET", "/v1/ping", 1, 502, None, 0.0, 0.1, 3.4, None))

    assert "502: trying again in 3 s" in in_terminal(call=wait).err
