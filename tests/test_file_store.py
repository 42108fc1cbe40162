"""Limits in a file that processes share: what may happen to a file, a lock, a process and a clock."""

from __future__ import annotations

import errno
import logging
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import psutil
import pytest

from chartmogul_async import AsyncClient, FileStore, Throttle, errors
from chartmogul_async.transport import file_store
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.snapshots import VERSION
from chartmogul_async.transport.store import StoreOutageError

fcntl = pytest.importorskip("fcntl", reason="Windows has no FileStore")

KEY = "api-key-of-an-account"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "limits"


def test_on_macos_the_folder_does_not_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login has a TMPDIR there, and cron has none."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "confstr", {65537: "/var/folders/x/T/"}.__getitem__)
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    assert FileStore().path == Path(f"/var/folders/x/T/chartmogul_async-{os.getuid()}")
    monkeypatch.setattr(os, "confstr", lambda _: None)
    assert FileStore().path.parent == Path(tempfile.gettempdir())


def fresh() -> AccountLimits:
    return AccountLimits(40, 20)


def start_one(limits: AccountLimits, now: float) -> int:
    """As an exchange of this process begins."""
    limits.turns.see(1, os.getpid(), now, 0)
    number = limits.admit(now, owner=1)
    assert number is not None
    return number


def in_flight(limits: AccountLimits, now: float) -> int:
    return len(limits.in_flight)


def file_in(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


async def test_what_one_store_writes_another_one_reads(folder: Path) -> None:
    one, other = FileStore(folder), FileStore(folder)
    assert await one.update("account", fresh, start_one) == 1
    assert await other.update("account", fresh, start_one) == 2
    assert await one.update("account", fresh, in_flight) == 2


async def test_accounts_never_mix(folder: Path) -> None:
    store = FileStore(folder)
    await store.update("one", fresh, start_one)
    assert await store.update("other", fresh, in_flight) == 0
    assert len(list(folder.iterdir())) == 2


async def test_the_key_is_nowhere_in_the_folder(folder: Path) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": "pong!"}))
    async with AsyncClient(KEY, transport=transport, throttle=Throttle(store=FileStore(folder))) as client:
        await client.ping()
    file = file_in(folder)
    assert KEY not in str(file)
    assert KEY.encode() not in file.read_bytes()


async def test_only_the_owner_may_read_it(folder: Path) -> None:
    await FileStore(folder).update("account", fresh, start_one)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file_in(folder).stat().st_mode) == 0o600


async def test_a_change_that_fails_changes_nothing(folder: Path) -> None:
    store = FileStore(folder)
    await store.update("account", fresh, start_one)

    def fail(limits: AccountLimits, now: float) -> None:
        limits.in_flight.clear()
        raise LookupError

    with pytest.raises(LookupError):
        await store.update("account", fresh, fail)
    assert await store.update("account", fresh, in_flight) == 1


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"), [("x" * 300, "File name too long"), ("a\0b", "null"), ("file/limits", "Not a directory")]
)
def test_a_path_that_cannot_exist_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.ArgumentError, match=f"^path must be a folder of this user alone, not .*: .*{reason}"):
        FileStore(tmp_path / name)


async def outage_of(store: FileStore) -> str:
    with pytest.raises(StoreOutageError) as caught:
        await store.update("account", fresh, start_one)
    return str(caught.value)


async def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    store = FileStore(folder)
    folder.symlink_to(elsewhere)
    assert "the folder is something else, perhaps a link" in await outage_of(store)
    with pytest.raises(
        errors.ArgumentError, match=r"^path must be a folder of this user alone, not '.*: it is something"
    ):
        FileStore(folder)
    assert list(elsewhere.iterdir()) == []


async def test_a_link_in_place_of_the_file_is_not_followed(folder: Path, tmp_path: Path) -> None:
    store = FileStore(folder)
    await store.update("account", fresh, start_one)
    file, target = file_in(folder), tmp_path / "target"
    target.write_bytes(b"precious")
    file.unlink()
    file.symlink_to(target)
    await outage_of(FileStore(folder))
    assert target.read_bytes() == b"precious"


async def test_something_else_in_place_of_the_file(folder: Path) -> None:
    store = FileStore(folder)
    await store.update("account", fresh, start_one)
    file = file_in(folder)
    file.unlink()
    os.mkfifo(file)
    assert "the file is something else" in await outage_of(FileStore(folder))


@pytest.mark.parametrize("what", ["folder", "file"])
async def test_what_others_may_write_is_refused(folder: Path, what: str) -> None:
    store, again = FileStore(folder), FileStore(folder)
    await store.update("account", fresh, start_one)
    (folder if what == "folder" else file_in(folder)).chmod(0o770)
    assert f"the {what} can be read or written by other users" in await outage_of(again)


async def test_a_foreign_owner_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await FileStore(folder).update("account", fresh, start_one)
    store = FileStore(folder)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert "the folder belongs to another user" in await outage_of(store)
    with pytest.raises(errors.ArgumentError, match="it belongs to another user"):
        FileStore(folder)


@pytest.mark.parametrize("argument", ["global", None, True])
def test_on_outage_must_be_known(argument: object) -> None:
    with pytest.raises(errors.ArgumentError, match=r"^on_outage must be "):
        FileStore(on_outage=argument)  # type: ignore[arg-type]


def test_a_system_without_such_locks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(errors.ArgumentError, match="give each process a part"):
        FileStore()


def test_the_folder_is_private_to_the_user() -> None:
    assert FileStore().path.name == f"chartmogul_async-{os.getuid()}"
    assert repr(FileStore("/a")) == "FileStore('/a', on_outage='local')"


async def test_a_system_without_containers_has_one_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: Path) -> Path:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "readlink", missing)
    await FileStore(folder).update("account", fresh, start_one)
    assert file_in(folder).name == f"account-{VERSION}"


async def test_containers_do_not_share(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for container in (4026531836, 4026532001):
        monkeypatch.setattr(Path, "readlink", lambda _, number=container: Path(f"pid:[{number}]"))
        assert await FileStore(folder).update("account", fresh, start_one) == 1
    assert sorted(file.name for file in folder.iterdir()) == [
        f"account-{VERSION}-{number}" for number in (4026531836, 4026532001)
    ]


# --- disks, locks, clocks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"", b"\0", b"\x10\0\0\0 too short", b"\x08\0\0\0 garbage"], ids=repr)
async def test_a_torn_write_is_noticed(folder: Path, damage: bytes) -> None:
    """Nobody knows what was sent in the last second, so nothing is sent in the next one."""
    store = FileStore(folder)
    await store.update("account", fresh, start_one)
    file_in(folder).write_bytes(damage)
    now, starts_at = await store.update("account", fresh, lambda limits, now: (now, limits.next_start(now)))
    assert starts_at - now == pytest.approx(1.1 if damage else 0.0)


async def test_a_shorter_state_overwrites_a_longer_one(folder: Path) -> None:
    store = FileStore(folder)
    for _ in range(20):
        await store.update("account", fresh, start_one)

    def release_all(limits: AccountLimits, now: float) -> None:
        limits.abandon(now)
        limits.window.starts.clear()

    await store.update("account", fresh, release_all)
    await store.update("account", fresh, start_one)
    assert await FileStore(folder).update("account", fresh, in_flight) == 1


async def test_a_full_disk_is_an_outage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(folder)
    await store.update("account", fresh, start_one)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: 10)
        assert os.strerror(errno.ENOSPC) in await outage_of(store)
    assert await store.update("account", fresh, start_one) == 2


async def test_a_folder_that_cannot_be_made_is_an_outage(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "file" / "limits")
    (tmp_path / "file").touch()
    assert os.strerror(errno.ENOTDIR) in await outage_of(store)


async def test_the_time_in_which_this_process_was_stopped_itself_does_not_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(folder)
    await store.update("account", fresh, start_one)
    clock, lock = time.monotonic, fcntl.flock
    stops = 0

    def lock_later(descriptor: int, operation: int) -> None:
        nonlocal stops
        if stops < 2:
            stops += 1
            raise BlockingIOError
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lock_later)
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 5.0 * stops)
    assert await store.update("account", fresh, in_flight) == 1


async def test_a_file_may_be_closed_while_an_update_waits_for_its_lock(folder: Path, tmp_path: Path) -> None:
    """By another throttle of the account; the number of the file may belong to any other one by then."""
    store = FileStore(folder)
    await store.update("account", fresh, start_one)
    number = next(iter(store._files.values())).descriptor
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    with file_in(folder).open("rb") as held, other.open("rb+") as precious:
        fcntl.flock(held, fcntl.LOCK_EX)
        async with anyio.create_task_group() as group:
            group.start_soon(store.update, "account", fresh, start_one)
            await anyio.wait_all_tasks_blocked()
            store.release("account")
            os.dup2(precious.fileno(), number)
            fcntl.flock(held, fcntl.LOCK_UN)
    os.close(number)
    assert other.read_bytes() == b"precious"
    assert await store.update("account", fresh, in_flight) == 2


async def test_a_lock_that_is_held_for_ever_is_an_outage(folder: Path) -> None:
    """As by a process that was stopped while it wrote."""
    store = FileStore(folder)
    await store.update("account", fresh, start_one)
    with file_in(folder).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another process holds the lock" in await outage_of(store)
    assert await store.update("account", fresh, in_flight) == 1


async def test_a_lock_that_is_held_for_a_moment_is_waited_for(folder: Path) -> None:
    store = FileStore(folder)
    await store.update("account", fresh, start_one)
    numbers: list[int] = []

    async def start() -> None:
        numbers.append(await store.update("account", fresh, start_one))

    with file_in(folder).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        async with anyio.create_task_group() as group:
            group.start_soon(start)
            await anyio.sleep(0.001)
            assert numbers == []
            fcntl.flock(held, fcntl.LOCK_UN)
    assert numbers == [2]


async def test_a_clock_that_began_anew_holds_nobody_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the machine has started again; all processes of before are gone."""
    store = FileStore(folder)
    moment = time.monotonic()
    for _ in range(20):
        await store.update("account", fresh, start_one)
    monkeypatch.setattr(time, "monotonic", lambda: moment - 100_000)
    monkeypatch.setattr(file_store, "runs", lambda pid: False)
    now, starts_at, flying = await FileStore(folder).update(
        "account", fresh, lambda limits, now: (now, limits.next_start(now), len(limits.in_flight))
    )
    assert (now, flying) == (moment - 100_000, 0)
    assert starts_at - now < 1.1


async def test_a_file_that_was_removed_is_made_anew(folder: Path) -> None:
    """As by what cleans folders for temporary files; else each process would go on with a file of its own."""
    one, other = FileStore(folder), FileStore(folder)
    await one.update("account", fresh, start_one)
    await other.update("account", fresh, start_one)
    file_in(folder).unlink()
    await one.update("account", fresh, start_one)
    assert await other.update("account", fresh, in_flight) == 1


async def test_a_lock_that_is_still_held_costs_no_patience_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(folder)
    await store.update("account", fresh, start_one)
    monkeypatch.setattr(file_store, "_PATIENCE", 0.01)
    with file_in(folder).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        await outage_of(store)
        monkeypatch.setattr(file_store, "_PATIENCE", 3600.0)
        await outage_of(store)


async def test_nothing_is_open_after_the_last_client(folder: Path) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": "pong!"}))
    throttle = Throttle(store=FileStore(folder))
    process = psutil.Process()
    before = process.num_fds()
    for _ in range(2):
        async with AsyncClient(KEY, transport=transport, throttle=throttle) as client:
            await client.ping()
            assert process.num_fds() == before + 1
        assert process.num_fds() == before


async def test_nothing_is_open_after_the_last_call_of_a_closed_client(folder: Path) -> None:
    async def respond(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(1)
        return httpx.Response(200, json={"data": "pong!"})

    throttle = Throttle(store=FileStore(folder))
    process = psutil.Process()
    before = process.num_fds()
    client, other = (AsyncClient(KEY, transport=httpx.MockTransport(respond), throttle=throttle) for _ in range(2))
    async with anyio.create_task_group() as group:
        group.start_soon(client.ping)
        await anyio.sleep(0.5)
        await client.aclose()
        assert process.num_fds() == before
        # While another client uses the throttle, the file stays open.
        await other.ping()
        assert process.num_fds() == before + 1
        group.start_soon(other.ping)
        await anyio.sleep(0.5)
        await other.aclose()
    assert process.num_fds() == before
    assert throttle.statistics().in_flight == 0


def test_threads_lock_each_other_out(folder: Path) -> None:
    store = FileStore(folder)

    def count(limits: AccountLimits, now: float) -> int:
        limits.last_number += 1
        return limits.last_number

    def updates() -> None:
        for _ in range(50):
            anyio.run(store.update, "account", fresh, count)
        store.release("account")

    threads = [threading.Thread(target=updates) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert anyio.run(store.update, "account", fresh, count) == 4 * 50 + 1
    store.release("account")


# --- processes -------------------------------------------------------------------------------------------------------

HOLDER = """
import os, sys, time, anyio
from chartmogul_async import FileStore
from chartmogul_async.transport.limits import AccountLimits

def start(limits, now):
    limits.turns.see(os.getpid(), os.getpid(), now, 0)
    for _ in range(20):
        limits.admit(now, owner=os.getpid())

anyio.run(FileStore(sys.argv[1]).update, "account", lambda: AccountLimits(40, 20), start)
print("started", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has all slots."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, folder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        yield process
        process.kill()


@pytest.mark.sockets
async def test_the_slots_of_a_killed_process_come_back(folder: Path, holder: subprocess.Popen[str]) -> None:
    store = FileStore(folder)
    assert await store.update("account", fresh, in_flight) == 20
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    # It is not asked more often than ten times a second.
    while await store.update("account", fresh, in_flight):
        await anyio.lowlevel.checkpoint()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system does not show its processes as files")
def test_a_process_that_its_parent_has_not_asked_for_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not file_store.runs(process.pid)
    assert file_store.runs(os.getpid())


async def test_a_process_of_another_user_is_alive(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, signal: int) -> None:
        assert signal == 0
        raise PermissionError

    store = FileStore(folder)
    await store.update("account", fresh, start_one)
    monkeypatch.setattr(os, "kill", refuse)
    assert await FileStore(folder).update("account", fresh, in_flight) == 1


async def test_a_forked_process_opens_the_file_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes with one open file would not lock each other out."""
    store = FileStore(folder)
    await store.update("account", fresh, start_one)
    before = next(iter(store._files.values()))
    monkeypatch.setattr(os, "getpid", lambda: 2**22)
    assert await store.update("account", fresh, in_flight) == 1
    assert next(iter(store._files.values())) is not before


FORKING = """
import fcntl, os, sys, threading, anyio
from chartmogul_async import FileStore
from chartmogul_async.transport.limits import AccountLimits

store = FileStore(sys.argv[1])
update = store.update, "account", lambda: AccountLimits(40, 20), lambda limits, now: None
# It is not there in the child, as that of blocking clients.
thread = threading.Thread(target=anyio.run, args=update)
thread.start()
thread.join()
(file,) = store._files.values()
# As one leaves it that is killed while it writes.
fcntl.flock(file.descriptor, fcntl.LOCK_EX)
if os.fork():
    os._exit(0)
anyio.run(*update)
print("updated")
"""


@pytest.mark.sockets
def test_a_lock_ends_with_its_process_whoever_was_forked_from_it(folder: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", FORKING, folder], capture_output=True, text=True, check=False)
    assert ended.stdout == "updated\n", ended.stderr


async def test_a_read_only_folder_means_a_share(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Calls go on, and the log says why and with which limits."""
    store = FileStore(folder)
    folder.symlink_to("nowhere")
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": "pong!"}))
    with caplog.at_level(logging.WARNING):
        async with AsyncClient(KEY, transport=transport, throttle=Throttle(store=store)) as client:
            await client.ping()
            await client.ping()
    assert caplog.text.count("the store of the limits is away") == 1
