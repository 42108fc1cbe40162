"""``chartmogul throttle``: what it shows of shared limits, and how it ends."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import attrs
import pytest
from rich.console import Console

from chartmogul_async import FileStore
from chartmogul_async.cli import budgets, throttle
from chartmogul_async.transport.budget import Budget, Process, Unreadable
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.readers import Look
from chartmogul_async.transport.store import StoreOutageError
from tests.cli.conftest import Run, plain
from tests.shared_limits import fresh

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FileStore")

QUIET = Budget("0123456789abcdef", 12_345, 0, 0, 0, 20, 20, 40.0, 40, 0.0, 0.0, ())
BUSY = Budget(
    account="fedcba9876543210",
    admitted=1204,
    started=31,
    waiting=57,
    in_flight=9,
    max_in_flight=10,
    parallel=20,
    rate=30.4567,
    per_second=40,
    paused_for=2.25,
    paced_for=41.2,
    processes=(Process(4711, 50, 7, 1200, 0.01), Process(4712, 7, 2, 4, 12.7)),
)
DAMAGED = Unreadable("abcdefabcdef", "these bytes are not the limits of an account")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store in which this process has a request in flight, and three calls that wait."""

    def use(limits: AccountLimits, now: float) -> None:
        limits.turns.see(1, os.getpid(), now, waiting=3)
        assert limits.admit(now, owner=1)

    anyio.run(FileStore(tmp_path / "limits").update, "0123456789abcdef", fresh, use)
    return tmp_path / "limits"


class Scripted:
    """A reader that sees one look after the other; then the user has seen enough."""

    def __init__(self, *looks: Look | Exception) -> None:
        self._looks = iter(looks)
        self.is_closed = False

    def __str__(self) -> str:
        return "the store"

    async def look(self) -> Look:
        look = next(self._looks, None)
        if look is None:
            raise KeyboardInterrupt
        if isinstance(look, Exception):
            raise look
        return look

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Scripted]]:
    """The reader of the next command."""
    chosen: list[Scripted] = []
    monkeypatch.setattr(throttle, "reader_of", lambda _: chosen[0])
    monkeypatch.setattr(throttle, "_EVERY", 0.0)
    yield chosen
    assert chosen[0].is_closed


# --- once --------------------------------------------------------------------------------------------------


def test_once_it_is_a_line_of_json_for_each_account(run: Run, folder: Path) -> None:
    ran = run("throttle", str(folder), "--once")
    assert (ran.code, ran.err) == (0, "")
    shown = json.loads(ran.out)
    assert shown["time"].endswith("+00:00")
    assert (shown["account"], shown["admitted"], shown["waiting"]) == ("0123456789abcdef", 1, 3)
    (process,) = shown["processes"]
    assert (process["number"], process["in_flight"], process["admitted"]) == (os.getpid(), 1, 1)


def test_the_place_may_be_in_the_environment(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARTMOGUL_STORE", str(folder))
    assert json.loads(run("throttle", "--once").out)["account"] == "0123456789abcdef"


def test_once_on_a_terminal_it_is_a_table(in_terminal: Run, folder: Path) -> None:
    ran = in_terminal("throttle", str(folder), "--once")
    lines = plain(ran.out).splitlines()
    assert lines[:2] == ["account 01234567: 1 admitted, 3 waiting", "  in flight: 1 of 20"]
    assert lines[-2] == "  Process  Waiting  In flight  Admitted  Idle"
    assert lines[-1].split()[:4] == [str(os.getpid()), "3", "1", "1"]
    assert "\x1b[?25l" not in ran.out


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("{}/nothing",), 4, "nothing at {}/nothing: processes share limits by Throttle(store=…)"),
        (("{}/notes.txt",), 2, "PATH|URL must be a folder, a URL or a file that ends with "),
        (("{}/open",), 2, "PATH|URL must be a store of this user alone, not "),
        (("ftp://host",), 2, 'URL must be one such as "redis://localhost"'),
        (("redis://:secret@127.0.0.1:1",), 6, "redis://127.0.0.1:1/0: "),
        (("{}", "--every"), 2, "No such option"),
    ],
    ids=["nothing", "another file", "open to others", "another URL", "away", "option"],
)
def test_what_cannot_be_shown(run: Run, tmp_path: Path, args: tuple[str, ...], code: int, message: str) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    ran = run("throttle", *(arg.format(tmp_path) for arg in args))
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("error: ")
    assert message.format(tmp_path) in ran.err
    assert "secret" not in ran.err


def test_a_damaged_state_is_exit_code_6(run: Run, folder: Path) -> None:
    (file,) = folder.iterdir()
    file.write_bytes(b"\x08\0\0\0 garbage")
    ran = run("throttle", str(folder), "--once")
    assert ran.code == 6
    assert json.loads(ran.out)["problem"] == "these bytes are not the limits of an account"
    assert ran.err == "error: 0123456789abcdef: these bytes are not the limits of an account\n"


# --- live --------------------------------------------------------------------------------------------------


def test_piped_it_writes_lines_until_ctrl_c(run: Run, scripted: list[Scripted]) -> None:
    scripted.append(Scripted((QUIET, BUSY), StoreOutageError("redis://host: gone"), (DAMAGED,), ()))
    ran = run("throttle")
    assert (ran.code, ran.err) == (0, "")
    quiet, busy, away, damaged = map(json.loads, ran.out.splitlines())
    assert (quiet["account"], quiet["processes"]) == (QUIET.account, [])
    assert (busy["rate"], busy["paused_for"], len(busy["processes"])) == (30.457, 2.25, 2)
    assert set(away) == {"time", "outage"}
    assert away["outage"] == "redis://host: gone"
    assert damaged["problem"] == DAMAGED.problem


def test_on_a_terminal_the_table_is_drawn_in_place(in_terminal: Run, scripted: list[Scripted]) -> None:
    scripted.append(Scripted((BUSY,), StoreOutageError("redis://host: gone"), ()))
    ran = in_terminal("throttle")
    assert ran.code == 0
    assert "\x1b[2K" in ran.out
    assert "1,204 admitted, 57 waiting" in ran.out
    assert "away: redis://host: gone" in ran.out
    assert "no account any more" in ran.out


def test_a_table_in_a_file_is_written_anew_each_time(run: Run, scripted: list[Scripted]) -> None:
    scripted.append(Scripted((QUIET,), (QUIET,)))
    ran = run("throttle", "--format", "table")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "account 01234567: 12,345 admitted, not in use\n" * 2


# --- tables ------------------------------------------------------------------------------------------------


def drawn(look: Look, outage: str = "") -> str:
    console = Console(width=80, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(budgets.as_table(look, outage))
    return plain(capture.get())


def test_a_table_shows_the_busiest_account_first() -> None:
    assert drawn((DAMAGED, QUIET, BUSY)) == (
        "account fedcba98: 1,204 admitted, 57 waiting\n"
        "  in flight: 9 of 10, usually 20\n"
        "  started in the last second: 31 of 30.5, usually 40\n"
        "  evenly spaced for 41 s at least\n"
        "  paused for 2.2 s after a 429\n"
        "  Process  Waiting  In flight  Admitted  Idle\n"
        "     4711       50          7     1,200\n"
        "     4712        7          2         4  13 s\n"
        "account 01234567: 12,345 admitted, not in use\n"
        "account abcdefab: these bytes are not the limits of an account\n"
    )


def test_a_pause_outlasts_the_processes() -> None:
    paused = attrs.evolve(QUIET, paused_for=31.04, paced_for=60.0)
    assert drawn((paused,)) == (
        "account 01234567: 12,345 admitted, 0 waiting\n"
        "  in flight: 0 of 20\n"
        "  started in the last second: 0 of 40\n"
        "  evenly spaced for 60 s at least\n"
        "  paused for 31.0 s after a 429\n"
    )


def test_what_a_server_says_does_not_control_the_terminal() -> None:
    assert drawn((), "no\x1b[31m\nway") == "away: no\\u001b[31m way\n"
    assert drawn((Unreadable("\x1b[31m", "\x1b[31m"),)) == "account \\u001b[3: \\u001b[31m\n"
