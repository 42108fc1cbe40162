"""Looking at shared limits: what is shown, what is refused, and that nobody is disturbed."""

from __future__ import annotations

import errno
import math
import os
import socket
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from chartmogul_async import FileStore, RedisStore, errors
from chartmogul_async.transport import readers
from chartmogul_async.transport.budget import Budget, Process, Unreadable, budget_of
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.pace import Pace
from chartmogul_async.transport.readers import FileReader, Look, RedisReader, reader_of
from chartmogul_async.transport.redis_connection import Address, RedisConnection, RedisError
from chartmogul_async.transport.snapshots import VERSION, dumps
from chartmogul_async.transport.store import StoreOutageError
from tests.redis_server import RedisServer, running
from tests.shared_limits import fresh, start_one

KEY = f"chartmogul_async:{{account}}:{VERSION}"
# The number of no process.
NOBODY = 2**22 + 1


def wait_as_nobody(limits: AccountLimits, now: float) -> None:
    limits.turns.see(7, NOBODY, now, waiting=5)
    assert limits.admit(now, owner=7)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if sys.platform == "win32":
        pytest.skip("Windows has no FileStore")
    return tmp_path / "limits"


def only(look: Look) -> Budget:
    (budget,) = look
    assert isinstance(budget, Budget)
    return budget


def problem_of(look: Look) -> str:
    (unreadable,) = look
    assert isinstance(unreadable, Unreadable)
    assert unreadable.account == "account"
    return unreadable.problem


# --- what is shown -----------------------------------------------------------------------------------------


def shown(limits: AccountLimits, now: float, lease: float = math.inf) -> Budget:
    return budget_of("account", limits, now, lease)


def test_limits_that_nobody_has_used() -> None:
    assert shown(fresh(), 100.0) == Budget("account", 0, 0, 0, 0, 20, 20, 40.0, 40, 0.0, 0.0, ())


def test_what_processes_do() -> None:
    limits = fresh()
    limits.turns.see(1, 11, 100.0, waiting=0)
    limits.turns.see(2, 12, 100.5, waiting=7)
    limits.turns.see(3, 0, 100.5, waiting=0)
    limits.turns.see(4, 14, 101.0, waiting=0)
    for owner in (1, 2, 2, 4):
        assert limits.admit(100.5, owner=owner)
    limits.release(1, 100.6, 200)
    limits.withdraw(3)
    budget = shown(limits, 101.0)
    assert (budget.admitted, budget.started, budget.waiting, budget.in_flight) == (3, 3, 7, 2)
    assert budget.processes == (
        Process(12, waiting=7, in_flight=1, admitted=1, idle=0.5),
        Process(14, waiting=0, in_flight=1, admitted=1, idle=0.0),
        Process(11, waiting=0, in_flight=0, admitted=1, idle=1.0),
        # On another machine.
        Process(3, waiting=0, in_flight=0, admitted=0, idle=0.5),
    )


def test_starts_of_the_last_second_only() -> None:
    limits = fresh()
    assert limits.admit(100.0)
    assert limits.admit(100.5)
    assert shown(limits, 101.0).started == 1
    assert shown(limits, 101.5).started == 0


def test_refusals_and_their_pauses() -> None:
    limits = AccountLimits(40, 20, max_in_flight=2, paused_until=103.0, pace=Pace(40, 38.0, even_until=160.0))
    budget = shown(limits, 101.0)
    assert (budget.rate, budget.per_second) == (38.0, 40)
    assert (budget.max_in_flight, budget.parallel) == (2, 20)
    assert (budget.paused_for, budget.paced_for) == (2.0, 59.0)
    assert (shown(limits, 200.0).paused_for, shown(limits, 200.0).paced_for) == (0.0, 0.0)


def test_a_process_that_is_gone_is_not_shown() -> None:
    limits = fresh()
    limits.turns.see(1, 0, 100.0, waiting=3)
    limits.turns.see(2, 0, 104.0, waiting=1)
    assert limits.admit(100.0, owner=1)
    budget = shown(limits, 105.1, lease=5.0)
    assert [process.number for process in budget.processes] == [2]
    assert (budget.waiting, budget.in_flight) == (1, 0)


def test_a_clock_that_began_anew() -> None:
    limits = fresh()
    limits.turns.see(1, 11, 5000.0, waiting=1)
    limits.paused_until = 5002.0
    budget = shown(limits, 10.0)
    assert (budget.processes[0].idle, budget.paused_for) == (0.0, 2.0)


def test_a_clock_that_is_a_little_behind() -> None:
    limits = fresh()
    limits.turns.see(1, 11, 100.5, waiting=1)
    assert shown(limits, 100.0).processes[0].idle == 0.0


# --- files -------------------------------------------------------------------------------------------------


async def test_the_files_of_a_folder_and_one_of_them(folder: Path) -> None:
    store = FileStore(folder)
    for account in ("one", "other"):
        await store.update(account, fresh, start_one)
    look = await FileReader(folder).look()
    assert [each.account for each in look] == ["one", "other"]
    one = only(await FileReader(min(folder.iterdir())).look())
    assert (one.account, one.admitted, one.in_flight) == ("one", 1, 1)
    assert [process.in_flight for process in one.processes] == [1]
    assert str(reader_of(str(folder))) == str(folder)


async def test_looking_neither_locks_nor_writes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    await FileStore(folder).update("account", fresh, start_one)
    (file,) = folder.iterdir()
    before, status = file.read_bytes(), file.stat()
    monkeypatch.setattr(fcntl, "flock", None)
    opened: list[int] = []
    real = os.open

    def opening(path: object, flags: int, *mode: int) -> int:
        opened.append(flags)
        return real(path, flags, *mode)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(os, "open", opening)
    only(await FileReader(folder).look())
    assert [flags & os.O_ACCMODE for flags in opened] == [os.O_RDONLY]
    assert (file.read_bytes(), file.stat().st_mtime_ns) == (before, status.st_mtime_ns)


async def test_the_folder_of_a_store_without_a_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "default_folder", lambda: folder)
    await FileStore(folder).update("account", fresh, start_one)
    only(await reader_of(None).look())


async def test_where_nothing_is_there_is_nothing(folder: Path) -> None:
    reader = FileReader(folder)
    assert await reader.look() == ()
    folder.mkdir(mode=0o700)
    assert await reader.look() == ()
    # Opened by a process that has not written yet, of another version, and of somebody else.
    for name in (f"account-{VERSION}", f"account-{VERSION - 1}", "notes.txt"):
        (folder / name).touch(mode=0o600)
    assert await reader.look() == ()
    reader.close()


async def test_what_was_not_used_for_a_day_is_left_out(folder: Path) -> None:
    await FileStore(folder).update("account", fresh, start_one)
    (file,) = folder.iterdir()
    os.utime(file, (0, time.time() - 90_000))
    assert await FileReader(folder).look() == ()
    only(await FileReader(file).look())


async def test_a_dead_process_is_not_shown(folder: Path) -> None:
    await FileStore(folder).update("account", fresh, wait_as_nobody)
    budget = only(await FileReader(folder).look())
    assert (budget.waiting, budget.in_flight, budget.processes) == (0, 0, ())


async def test_processes_of_another_container_are_not_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "readlink", lambda _: Path("pid:[4026532001]"))
        store = FileStore(folder)
        await store.update("account", fresh, wait_as_nobody)
    budget = only(await FileReader(folder).look())
    assert (budget.account, budget.waiting) == ("account-4026532001", 5)


@pytest.mark.parametrize("damage", [b"\0", b"\x10\0\0\0 too short", b"\x08\0\0\0 garbage"], ids=repr)
async def test_a_damaged_file_is_said_to_be_one(folder: Path, damage: bytes) -> None:
    store = FileStore(folder)
    await store.update("account", fresh, start_one)
    (file,) = folder.iterdir()
    file.write_bytes(damage)
    assert problem_of(await FileReader(folder).look()) == "these bytes are not the limits of an account"


async def test_a_file_is_read_again_that_is_being_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await FileStore(folder).update("account", fresh, start_one)
    whole = next(folder.iterdir()).read_bytes()
    contents = iter((whole[:100], whole))
    monkeypatch.setattr(readers, "_content_of", lambda _: next(contents))
    only(await FileReader(folder).look())


async def refusal_of(path: Path) -> str:
    with pytest.raises(errors.ArgumentError, match=r"^place must be ") as caught:
        await FileReader(path).look()
    return str(caught.value)


async def test_what_is_not_of_this_user_alone_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await FileStore(folder).update("account", fresh, start_one)
    (file,) = folder.iterdir()
    file.chmod(0o640)
    assert "the file can be read or written by other users" in await refusal_of(folder)
    file.chmod(0o600)
    folder.chmod(0o750)
    assert "it can be read or written by other users" in await refusal_of(folder)
    folder.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert "it belongs to another user" in await refusal_of(folder)
    assert "the file belongs to another user" in await refusal_of(file)


async def test_links_pipes_and_other_files_are_refused(folder: Path, tmp_path: Path) -> None:
    folder.mkdir(mode=0o700)
    link, pipe, other = tmp_path / "link", folder / f"account-{VERSION}", tmp_path / "notes.txt"
    link.symlink_to(folder)
    other.touch()
    assert "it is something else, perhaps a link" in await refusal_of(link)
    assert f"a file that ends with -{VERSION}" in await refusal_of(other)
    os.mkfifo(pipe)
    assert "the file is something else" in await refusal_of(folder)
    pipe.unlink()
    pipe.symlink_to(other)
    await refusal_of(folder)
    assert stat.S_ISLNK(pipe.lstat().st_mode)


def test_windows_has_no_files_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(errors.ArgumentError, match=r"^place must be the URL of a Redis server"):
        reader_of(None)


# --- Redis, in virtual time --------------------------------------------------------------------------------


class Played:
    """A server and its connection: it has keys, and a clock of its own."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes | Exception] = {}
        self.opened: list[Address] = []
        self.calls: list[object] = []
        self._sent: list[tuple[Any, ...]] = []
        self.open_now = 0
        self.latency = 0.0
        self.problem: Exception | None = None

    async def open(self, address: Address) -> Played:
        self.opened.append(address)
        self.open_now += 1
        self._sent.clear()
        return self

    def close(self) -> None:
        self.open_now -= 1

    async def call(self, *command: object) -> object:
        await self.send(command)
        return await self.receive()

    async def send(self, *commands: tuple[object, ...]) -> None:
        self.calls += [command[0] for command in commands]
        self._sent += [(anyio.current_time() + self.latency, *command) for command in commands]

    async def receive(self) -> object:
        arrives, name, *arguments = self._sent.pop(0)
        await anyio.sleep_until(arrives)
        if self.problem is not None:
            raise self.problem
        if name == "TIME":
            return [b"1800000000", b"250000"]
        if name == "SCAN":
            return self._page(arguments)
        assert name == "GETRANGE"
        key, *rest = arguments
        assert rest == [0, 999_999]
        value = self.values.get(key, b"")
        if isinstance(value, Exception):
            raise value
        return value

    def _page(self, arguments: list[Any]) -> list[object]:
        """One key at a time, the first of them twice, as a server may return it."""
        cursor, *rest = arguments
        assert rest == ["MATCH", f"chartmogul_async:{{*}}:{VERSION}", "COUNT", 1000]
        keys = sorted(self.values)
        place = int(cursor)
        return [b"%d" % (place + 1 if place < len(keys) else 0), [keys[place % len(keys)]] if keys else []]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    server = Played()
    monkeypatch.setattr(RedisConnection, "open", server.open)
    monkeypatch.setattr(readers, "time", SimpleNamespace(monotonic=anyio.current_time))
    return server


def written(limits: AccountLimits) -> bytes:
    return b"m" * 16 + dumps(limits)


async def test_every_account_of_a_server(played: Played) -> None:
    limits = fresh()
    limits.turns.see(7, 0, 1_800_000_000.0, waiting=2)
    assert limits.admit(1_800_000_000.0, owner=7)
    played.values = {KEY.encode(): written(limits), KEY.replace("account", "other").encode(): written(fresh())}
    reader = reader_of("redis://:secret@host")
    one, other = await reader.look()
    assert isinstance(one, Budget)
    assert (one.account, one.waiting, one.in_flight, other.account) == ("account", 2, 1, "other")
    assert one.processes == (Process(7, waiting=2, in_flight=1, admitted=1, idle=0.25),)
    assert str(reader) == "redis://host:6379/0"
    assert set(played.calls) == {"SCAN", "TIME", "GETRANGE"}


async def test_many_accounts_of_a_server_that_is_far_away(played: Played) -> None:
    played.values = {KEY.replace("account", f"{number:03}").encode(): written(fresh()) for number in range(250)}
    played.latency = 0.03
    reader = RedisReader("redis://host")
    # The search alone takes longer than one reply may.
    look = await reader.look()
    assert [each.account for each in look] == [f"{number:03}" for number in range(250)]
    played.calls.clear()
    begun = anyio.current_time()
    assert await reader.look() == look
    # One round trip for the time, and one for each hundred accounts.
    assert anyio.current_time() - begun == pytest.approx(4 * 0.03)
    assert played.calls == ["TIME"] + ["GETRANGE"] * 250


async def test_one_key_of_many_that_cannot_be_read(played: Played) -> None:
    keys = [KEY.replace("account", name).encode() for name in ("one", "other", "third")]
    played.values = {**dict.fromkeys(keys, written(fresh())), keys[1]: RedisError("WRONGTYPE Operation against a key")}
    one, other, third = await RedisReader("redis://host").look()
    assert (one.account, other.account, third.account) == ("one", "other", "third")
    assert [isinstance(each, Unreadable) for each in (one, other, third)] == [False, True, False]


async def test_keys_are_searched_for_now_and_then(played: Played) -> None:
    reader = RedisReader("redis://host")
    assert await reader.look() == ()
    played.values[KEY.encode()] = written(fresh())
    assert await reader.look() == ()
    await anyio.sleep(10)
    only(await reader.look())
    del played.values[KEY.encode()]
    assert await reader.look() == ()
    assert len(played.opened) == 1
    reader.close()
    reader.close()
    assert played.open_now == 0


async def test_keys_that_cannot_be_read(played: Played) -> None:
    played.values[KEY.encode()] = b"m" * 16 + b"garbage"
    assert problem_of(await RedisReader("redis://host").look()) == "these bytes are not the limits of an account"
    played.values[KEY.encode()] = RedisError("WRONGTYPE Operation against a key")
    assert problem_of(await RedisReader("redis://host").look()) == "WRONGTYPE Operation against a key"


async def test_a_name_that_is_not_text(played: Played) -> None:
    played.values[KEY.encode().replace(b"account", b"\xff")] = written(fresh())
    assert only(await RedisReader("redis://host").look()).account == "\\xff"


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "Connection refused"),
        (RedisError("NOAUTH Authentication required."), "NOAUTH Authentication required."),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "Connection timed out"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_a_server_that_is_away(played: Played, problem: Exception, reason: str) -> None:
    reader = RedisReader("redis://:secret@host")
    played.problem = problem
    with pytest.raises(StoreOutageError) as caught:
        await reader.look()
    assert str(caught.value) == f"redis://host:6379/0: {reason}"
    assert played.open_now == 0
    played.problem, played.values[KEY.encode()] = None, written(fresh())
    only(await reader.look())


async def test_a_server_that_does_not_reply(played: Played) -> None:
    reader = RedisReader("redis://host")
    played.latency = 10.0
    with pytest.raises(StoreOutageError, match=r"^redis://host:6379/0: no reply within 3 s$"):
        await reader.look()
    assert played.open_now == 0
    with anyio.move_on_after(1) as scope:
        await reader.look()
    assert scope.cancelled_caught
    assert played.open_now == 0


@pytest.mark.parametrize("place", ["ftp://host", "redis://", "redis://:secret@host/x"])
def test_other_urls_are_refused(place: str) -> None:
    with pytest.raises(errors.ArgumentError, match=r"^url must be one such as") as caught:
        reader_of(place)
    assert "secret" not in str(caught.value)


def test_without_the_extra_it_says_which_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "find_spec", lambda _: None)
    with pytest.raises(
        errors.ArgumentError, match=r"^a Redis server requires .* pip install 'chartmogul-async\[redis\]'$"
    ):
        reader_of("redis://host")


# --- Redis, a real server ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    yield from running(tmp_path_factory.mktemp("redis"))


@pytest.mark.sockets
async def test_a_real_server_is_read_and_left_as_it_is(server: RedisServer) -> None:
    server.call("FLUSHALL")
    store, reader = RedisStore(server.url), RedisReader(server.url)
    await store.update("account", fresh, start_one)
    store.release("account")
    server.call("SET", KEY.replace("account", "other"), "garbage")
    server.call("LPUSH", KEY.replace("account", "third"), "x")
    server.call("SET", "something:else", "1")
    before = server.call("GET", KEY)
    budget, other, third = await reader.look()
    reader.close()
    assert isinstance(budget, Budget)
    assert (budget.account, budget.admitted) == ("account", 1)
    assert isinstance(other, Unreadable)
    assert isinstance(third, Unreadable)
    assert "WRONGTYPE" in third.problem
    assert server.call("GET", KEY) == before
