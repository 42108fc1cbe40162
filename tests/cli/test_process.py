"""The command line as a separate process: streams, exit codes, signals, a closed pipe, a terminal."""

from __future__ import annotations

import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from chartmogul_async import FileStore
from chartmogul_async.sandbox import Sandbox
from tests.cli.conftest import Run
from tests.shared_limits import fresh, start_one

COMMAND = [sys.executable, "-m", "chartmogul_async"]
RANGE = ("--start", "2025-01-01", "--end", "2025-03-31")
TIMEOUT = 60


def process(environment: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *args], env=environment, capture_output=True, timeout=TIMEOUT, check=False, encoding="utf-8"
    )


def test_data_goes_to_stdout_and_errors_to_stderr(process_environment: dict[str, str]) -> None:
    fine = process(process_environment, "metrics", "arr", *RANGE)
    assert (fine.returncode, fine.stderr) == (0, "")
    assert fine.stdout.startswith("date,arr,percentage_change\n2025-01-31,")
    wrong = process({**process_environment, "CHARTMOGUL_API_KEY": "hush-hush"}, "metrics", "arr", *RANGE)
    assert (wrong.returncode, wrong.stdout) == (3, "")
    assert re.fullmatch(r"error: GET http://\S+/v1/metrics/arr: 401: .+\n", wrong.stderr)
    assert "hush-hush" not in wrong.stderr


def test_a_closed_pipe_is_exit_code_7_and_silent(process_environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [*COMMAND, "metrics", "all", *RANGE, "--interval", "day"],
        env=process_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(TIMEOUT) == 7


OUTPUTS = [("metrics", "all", *RANGE), ("metrics", "all", *RANGE, "--format", "table"), ("--help",), ("ping", "--help")]


def in_shell(
    environment: dict[str, str], redirection: str, *args: str, before: str = ""
) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", "-c", f'{before}exec "$@" {redirection}', "sh", *COMMAND, *args]
    return subprocess.run(command, env=environment, capture_output=True, timeout=TIMEOUT, check=False, encoding="utf-8")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("args", OUTPUTS, ids=["csv", "table", "help", "help of a command"])
def test_a_full_disk_is_exit_code_7(process_environment: dict[str, str], args: tuple[str, ...]) -> None:
    ran = in_shell(process_environment, "> /dev/full", *args)
    assert (ran.returncode, ran.stderr) == (7, "error: cannot write to stdout: no space is left on the device\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such shell")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_write_that_is_cut_short_is_exit_code_7(
    process_environment: dict[str, str], tmp_path: Path, unbuffered: str
) -> None:
    """With PYTHONUNBUFFERED Python itself ignores how much of a text was written."""
    years = ("--start", "2015-01-01", "--end", "2025-03-31", "--interval", "day", "--format", "csv")
    environment = process_environment | {"PYTHONUNBUFFERED": unbuffered}
    # At most 64 blocks of 512 or 1,024 bytes fit into the file.
    ran = in_shell(environment, f"> {tmp_path / 'mrr.csv'}", "metrics", "mrr", *years, before="ulimit -f 64; ")
    assert (ran.returncode, ran.stderr) == (7, "error: cannot write to stdout: the file is too large\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such shell")
@pytest.mark.parametrize("args", OUTPUTS, ids=["csv", "table", "help", "help of a command"])
def test_a_closed_stdout_is_exit_code_7(process_environment: dict[str, str], args: tuple[str, ...]) -> None:
    ran = in_shell(process_environment, ">&-", *args)
    assert (ran.returncode, ran.stderr) == (7, "error: cannot write to stdout: it is closed\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("redirection", ["2> /dev/full", "2>&-"])
def test_exit_codes_survive_a_stderr_that_is_full(process_environment: dict[str, str], redirection: str) -> None:
    assert in_shell(process_environment, redirection, "nrr").returncode == 2
    assert in_shell(process_environment, redirection, "ping").stdout == "pong!\n"
    assert in_shell(process_environment, f"> /dev/full {redirection}", "--help").returncode == 7


def test_help_imports_no_server(process_environment: dict[str, str]) -> None:
    code = (
        "import sys\n"
        "from chartmogul_async.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    sys.stderr.write(' '.join(sys.modules))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env=process_environment, capture_output=True, check=True, encoding="utf-8"
    )
    loaded = set(ran.stderr.split())
    assert "chartmogul_async.cli.commands" in loaded
    assert not loaded & {"uvicorn", "starlette", "chartmogul_async.sandbox", "chartmogul_async.cli.demo"}


def test_without_click_the_error_is_one_line(process_environment: dict[str, str]) -> None:
    code = "import sys; sys.modules['click'] = None; from chartmogul_async.cli import main; main(['ping'])"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=process_environment, capture_output=True, check=False, encoding="utf-8"
    )
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert ran.stderr.startswith("error: click not found; ")
    assert "pip install 'chartmogul-async[cli]'" in ran.stderr


def test_running_the_package_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["chartmogul", "--version"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("chartmogul_async", run_name="__main__")
    assert capsys.readouterr().out.startswith("chartmogul ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize(
    ("args", "redirection", "code"),
    [
        (("sandbox", "--port", "0"), "> /dev/full", 7),
        (("metrics", "ltv", *RANGE, "--interval", "year"), "2> /dev/full", 0),
        (("sandbox", "--port", "0", "--host", "0.0.0.0"), "> /dev/full 2> /dev/full", 7),
        ((), "2> /dev/full", 2),
    ],
)
def test_notes_on_a_full_stderr_change_no_code(
    process_environment: dict[str, str], args: tuple[str, ...], redirection: str, code: int
) -> None:
    assert in_shell(process_environment, redirection, *args).returncode == code


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such shell")
def test_arguments_that_are_not_unicode_are_invalid_usage(process_environment: dict[str, str]) -> None:
    ran = subprocess.run(
        [*COMMAND, "customers", "search", b"\xff@example.com"],
        env=process_environment,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert ran.stderr.startswith(b"error: EMAIL must be valid Unicode")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows signals Ctrl-C differently")
def test_the_sandbox_runs_until_ctrl_c(
    process_environment: dict[str, str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(
        [*COMMAND, "sandbox", "--port", "0"],
        env=process_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        lines = [running.stdout.readline() for _ in range(5)]
        for name, value in re.findall(r"export (\w+)=(\S+)", "".join(lines)):
            monkeypatch.setenv(name, value)
        try:
            ping = run("ping")
        finally:
            running.send_signal(signal.SIGINT)
        assert running.wait(TIMEOUT) == 0
        assert running.stdout.read() == running.stderr.read() == ""
    assert (ping.code, ping.out) == (0, "pong!\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows signals Ctrl-C differently, and has no FileStore")
def test_throttle_ends_with_ctrl_c(process_environment: dict[str, str], tmp_path: Path) -> None:
    store = FileStore(tmp_path / "limits")
    anyio.run(store.update, "account", fresh, start_one)
    with subprocess.Popen(
        [*COMMAND, "throttle", str(store.path)],
        env=process_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert '"account": "account"' in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        assert running.wait(TIMEOUT) == 0
        assert running.stderr.read() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_on_a_terminal_there_are_tables_and_colours(process_environment: dict[str, str], account: Sandbox) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = {**process_environment, "TERM": "xterm-256color", "COLUMNS": "80"}
    with subprocess.Popen([*COMMAND, "account"], env=environment, stdout=theirs, stderr=subprocess.PIPE) as running:
        os.close(theirs)
        assert running.stderr is not None
        assert running.stderr.read() == b""
        assert running.wait(TIMEOUT) == 0
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert re.search(r"\x1b\[1mName +\x1b\[0m", shown)
    assert account.company.profile.name in shown
