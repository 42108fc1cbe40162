"""A sandbox over real sockets, and fixtures that run the command line as the console script does.

The test runner of click is not used, because ``main`` handles exit codes and errors outside click.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from typing import Any

import anyio
import pytest
from attrs import frozen

from chartmogul_async import AsyncClient, RetryPolicy
from chartmogul_async.cli import main, session
from chartmogul_async.sandbox import Company, Faults, Limits, Sandbox

TODAY = date(2025, 8, 17)


@frozen
class Result:
    """The exit code and the output of a run of the command line."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture(scope="session")
def _served() -> Iterator[tuple[Sandbox, str]]:
    sandbox = Sandbox(Company(customers=300, today=TODAY), limits=Limits(per_second=None, parallel=None))
    with sandbox.serve() as url:
        yield sandbox, url


@pytest.fixture
def sandbox(_served: tuple[Sandbox, str]) -> Iterator[Sandbox]:
    yield _served[0]
    _served[0].faults = Faults()


@pytest.fixture
def url(_served: tuple[Sandbox, str]) -> str:
    return _served[1]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the developer's own settings, and a client that does not retry."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "PYTHONIOENCODING", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("CHARTMOGUL_API_KEY", raising=False)
    monkeypatch.delenv("CHARTMOGUL_BASE_URL", raising=False)
    monkeypatch.setattr(session, "AsyncClient", partial(AsyncClient, retry=RetryPolicy(attempts=1)))


@pytest.fixture(autouse=True, scope="module")
def loops_in_threads() -> Iterator[None]:
    """Under Python 3.11 the callers of an event loop that opened a socket are no longer traced after it has
    ended, so coverage would miss the code after it. A thread separates them.
    """
    run: Callable[..., Any] = anyio.run

    def run_in_thread(*args: Any) -> Any:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(run, *args).result()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anyio, "run", run_in_thread)
        yield


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, url: str, sandbox: Sandbox) -> Sandbox:
    """The sandbox, with the environment set to use it."""
    monkeypatch.setenv("CHARTMOGUL_API_KEY", sandbox.api_key)
    monkeypatch.setenv("CHARTMOGUL_BASE_URL", url)
    return sandbox


def exit_code_of(*args: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(args)
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line without a terminal."""

    def run(*args: str) -> Result:
        code = exit_code_of(*args)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


def plain(text: str) -> str:
    """The output of a terminal without colours and trailing spaces."""
    return re.sub(r" +$", "", re.sub(r"\x1b\[[0-9;]*m", "", text), flags=re.MULTILINE)


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True

    def shown(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


@pytest.fixture
def in_terminal(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line, or any function, with stdout and stderr on a terminal."""
    monkeypatch.setenv("TERM", "xterm-256color")

    def run(*args: str, columns: int = 80, encoding: str = "utf-8", call: Callable[[], object] | None = None) -> Result:
        monkeypatch.setenv("COLUMNS", str(columns))
        with monkeypatch.context() as patch:
            out, err = Terminal(io.BytesIO(), encoding), Terminal(io.BytesIO(), encoding)
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            code = 0
            if call is None:
                code = exit_code_of(*args)
            else:
                call()
            return Result(code, out.shown(), err.shown())

    return run


@pytest.fixture
def process_environment(account: Sandbox) -> dict[str, str]:
    """For a separate process, which can import whatever this one can."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
