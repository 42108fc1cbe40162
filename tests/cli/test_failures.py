from __future__ import annotations

import errno
import io
import os
import re
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chartmogul_async import AsyncClient, ChartMogulError, RetryPolicy, cli, errors
from chartmogul_async.cli import commands, output, session, terminal
from chartmogul_async.cli.failures import code_of
from chartmogul_async.events import Attempt, Pause
from chartmogul_async.sandbox import Fault, Faults, Sandbox
from tests.cli.conftest import Result, Run, exit_code_of


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.status(400), 2),
        (Fault.status(422), 2),
        (Fault.status(401), 3),
        (Fault.status(403), 3),
        (Fault.status(404), 2),
        (Fault.status(429), 5),
        (Fault.status(402), 6),
        (Fault.status(500), 6),
        (Fault.reset(), 6),
        (Fault.garbage(), 6),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_each_error_of_the_server_has_its_exit_code(account: Sandbox, run: Run, fault: Fault, code: int) -> None:
    account.faults = Faults.sequence(fault)
    ran = run("ping")
    assert (ran.code, ran.out) == (code, "")
    assert re.fullmatch(r"error: .+\n", ran.err)


@pytest.mark.parametrize("args", [("ping",), ("account",), ("customers", "search", "a@b.example")], ids=" ".join)
def test_the_wrong_address_is_not_a_search_without_result(
    account: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch, url: str, args: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CHARTMOGUL_BASE_URL", url.replace("/v1", "/v2"))
    ran = run(*args)
    assert (ran.code, ran.out) == (2, "")
    assert "404: Not found: the API is below /v1 here, so base_url must end with /v1" in ran.err


def test_a_server_that_is_not_running(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "secret")
    monkeypatch.setenv("CHARTMOGUL_BASE_URL", f"http://127.0.0.1:{port}/v1")
    ran = run("ping")
    assert ran.code == 6
    assert re.fullmatch(r"error: GET http://[^ ]+/v1/ping: .+\n", ran.err)


@pytest.mark.parametrize("error", [errors.RequestTimeoutError("late"), errors.DecodeError("odd"), ChartMogulError("?")])
def test_all_other_errors_are_server_errors(error: ChartMogulError) -> None:
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


def test_the_key_is_not_printed(account: Sandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "hush-hush")
    ran = run("ping")
    assert ran.code == 3
    assert "hush-hush" not in ran.err


def test_by_default_the_client_goes_to_chartmogul(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    def make(**given: Any) -> None:
        made.append(given)
        raise errors.StateError("made")

    monkeypatch.setattr("chartmogul_async.cli.session.AsyncClient", make)
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "key")
    ran = run("ping")
    assert (ran.code, ran.out, ran.err) == (2, "", "error: made\n")
    assert list(made[0]) == ["on_event"]


def _raising(error: BaseException) -> Callable[[object], None]:
    def call(_: object) -> None:
        raise error

    return call


def test_a_message_from_elsewhere_stays_on_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "call", _raising(errors.ServerError("no\n\x1b[31mway", 500)))
    ran = run("ping")
    assert (ran.code, ran.err) == (6, "error: 500: no \\u001b[31mway\n")


def test_ctrl_c_is_130_without_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "call", _raising(KeyboardInterrupt()))
    ran = run("ping")
    assert (ran.code, ran.out, ran.err.strip()) == (130, "", "")


def test_ctrl_c_during_an_import_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_run", _raising(KeyboardInterrupt()))
    assert run("ping") == Result(130, "", "")


def test_ctrl_c_is_130_even_if_stderr_is_full(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "call", _raising(KeyboardInterrupt()))
    monkeypatch.setattr(sys, "stderr", Closed(errno.ENOSPC))
    assert exit_code_of("ping") == 130


@pytest.mark.parametrize("stderr", [None, "full"])
def test_without_the_extra_and_stderr_the_code_is_2(monkeypatch: pytest.MonkeyPatch, stderr: str | None) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "stderr", Closed(errno.ENOSPC) if stderr else None)
    assert exit_code_of("ping") == 2


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "call", _raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["ping"])


def test_other_errors_of_click_are_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import click

    monkeypatch.setattr(commands, "call", _raising(click.ClickException("no")))
    ran = run("ping")
    assert (ran.code, ran.err) == (1, "error: no\n")


class Closed(io.StringIO):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, _: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("args", [("ping",), ("account", "--format", "table")], ids=["click", "rich"])
@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EBADF, "it is closed"),
        (errno.ENOSPC, "no space is left on the device"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EFBIG, "the file is too large"),
        (errno.EIO, "input/output error"),
    ],
    ids=errno.errorcode.get,
)
def test_a_stdout_that_cannot_be_written_to(
    account: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: tuple[str, ...],
    number: int,
    reason: str,
) -> None:
    monkeypatch.setattr(sys, "stdout", Closed(number))
    assert exit_code_of(*args) == 7
    assert capsys.readouterr().err == f"error: cannot write to stdout: {reason}\n"


@pytest.mark.parametrize("args", [("ping",), ("account", "--format", "table")], ids=["click", "rich"])
def test_a_pipe_that_was_closed_early_is_silent(
    account: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "stdout", Closed(errno.EPIPE))
    assert exit_code_of(*args) == 7
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("platform", "expected"), [("win32", ""), ("linux", None)])
def test_windows_reports_a_closed_pipe_as_an_invalid_argument(
    monkeypatch: pytest.MonkeyPatch, platform: str, expected: str | None
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert output._reason(OSError(errno.EINVAL, "invalid")) == expected
    assert output._reason(OSError(errno.ENOSPC, "full")) == "no space is left on the device"


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("win32", {}, ("utf-8", b"\xc5\x81\n")),
        ("win32", {"PYTHONIOENCODING": "cp1252"}, ("cp1252", b"\\u0141\r\n")),
        ("linux", {}, ("cp1252", b"\\u0141\r\n")),
    ],
)
def test_on_windows_a_file_gets_the_same_bytes_as_elsewhere(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: tuple[str, bytes]
) -> None:
    file = io.BytesIO()
    stdout = io.TextIOWrapper(file, "cp1252", newline="\r\n")
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert exit_code_of("--version") == 0
    written = len(file.getvalue())
    stdout.write("\u0141\n")
    stdout.flush()
    assert (stdout.encoding, file.getvalue()[written:]) == expected


def test_without_stdout_nothing_is_sent(
    account: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = account.counters.requests
    monkeypatch.setattr(sys, "stdout", None)
    assert exit_code_of("ping") == 7
    assert capsys.readouterr().err == "error: cannot write to stdout: it is closed\n"
    assert account.counters.requests == before


def test_another_system_error_is_not_one_of_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "call", _raising(OSError(errno.EMFILE, "too many open files")))
    with pytest.raises(OSError, match="too many open files"):
        cli.main(["ping"])


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("api_key is malformed: a key has no spaces", "CHARTMOGUL_API_KEY is malformed: a key has no spaces"),
        (
            "base_url must not contain credentials; pass the key as api_key",
            "CHARTMOGUL_BASE_URL must not contain credentials; pass the key as CHARTMOGUL_API_KEY",
        ),
        ("this client is closed", "this client is closed"),
    ],
)
def test_arguments_of_the_library_are_named_as_options(
    run: Run, monkeypatch: pytest.MonkeyPatch, message: str, expected: str
) -> None:
    monkeypatch.setattr(commands, "call", _raising(errors.ArgumentError(message)))
    assert run("ping").err == f"error: {expected}\n"


@pytest.mark.parametrize("missing", ["click", "rich", "uvicorn"])
def test_without_the_extra_the_error_contains_the_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == missing else name)
    ran = run("--help")
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(rf"error: {missing} not found; .*pip install 'chartmogul-async\[cli\]'\n", ran.err)


def test_a_retry_is_shown_on_a_terminal(in_terminal: Run) -> None:
    def wait() -> None:
        with terminal.status_of_requests() as on_event:
            on_event(Attempt("GET", "/v1/ping", 1, 502, None, 0.0, 0.1, 3.4, None, gave_up=False))

    assert "502: retrying in 3 s" in in_terminal(call=wait).err


def test_the_first_retry_is_noted_where_there_is_no_terminal(
    run: Run, account: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "AsyncClient", partial(AsyncClient, retry=RetryPolicy(attempts=3, base=0.001)))
    account.faults = Faults.sequence(Fault.status(502), Fault.reset(), None)
    ran = run("ping")
    assert (ran.code, ran.out) == (0, "pong!\n")
    assert re.fullmatch(r"note: GET http://127\.0\.0\.1:\d+/v1/ping: 502; trying up to 6 times within 90 s\n", ran.err)


def test_events_other_than_attempts_do_not_count_as_requests(in_terminal: Run) -> None:
    def wait() -> None:
        with terminal.status_of_requests() as on_event:
            on_event(Pause(5.0))
            on_event(Attempt("GET", "/v1/ping", 1, 200, None, 0.0, 0.1, None, None, gave_up=False))

    shown = in_terminal(call=wait).err
    assert "requests completed: 1" in shown
    assert "requests completed: 2" not in shown


@pytest.mark.parametrize("error", [errors.ArgumentError("x must be 1"), errors.StateError("closed")])
def test_a_usage_error_is_exit_code_2(run: Run, monkeypatch: pytest.MonkeyPatch, error: errors.UsageError) -> None:
    monkeypatch.setattr(commands, "call", _raising(error))
    ran = run("ping")
    assert (ran.code, ran.out, ran.err) == (2, "", f"error: {error}\n")


def test_a_command_works_without_stderr(account: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with pytest.raises(SystemExit) as ended:
        cli.main(["ping"])
    assert sys.stderr.name == os.devnull
    sys.stderr.close()
    assert ended.value.code == 0


def test_an_unbuffered_stdout_is_buffered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Python ignores how much of a text an unbuffered stdout has taken."""
    with (tmp_path / "stdout").open("wb", buffering=0) as raw, io.TextIOWrapper(raw, write_through=True) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "__stdout__", stdout)
        with pytest.raises(SystemExit) as ended:
            cli.main(["--version"])
        assert ended.value.code == 0
        assert isinstance(sys.stdout.buffer, io.BufferedWriter)
        sys.stdout.flush()
        assert b"chartmogul" in (tmp_path / "stdout").read_bytes()
        monkeypatch.undo()
