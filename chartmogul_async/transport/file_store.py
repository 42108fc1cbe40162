"""The limits of accounts in files that the processes of one machine share: no server, no daemon."""

from __future__ import annotations

import errno
import math
import os
import re
import stat
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import get_ident
from typing import TypeVar

import anyio
from attrs import define

from chartmogul_async.checks import file_path, one_of, shown
from chartmogul_async.errors import ArgumentError
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.snapshots import VERSION, dumps, loads
from chartmogul_async.transport.store import UNKNOWN_FOR, Change, OnOutage, StoreOutageError

if sys.platform != "win32":  # pragma: no branch - the suite is not measured on Windows
    import fcntl

T = TypeVar("T")

# Another process holds the lock for some hundred microseconds; one that was stopped meanwhile may hold it for ever.
_PATIENCE = 1.0
_FIRST_RETRY = 0.0002
_LONGEST_RETRY = 0.01
# Seconds after which it is asked again which processes still run.
_LOOK_FOR_DEAD_EVERY = 0.1
# Bytes; some dozens of processes need a few thousand.
LARGEST = 1_000_000
_LENGTH = struct.Struct("<I")
# Of `confstr`; Python has no name for it.
_DARWIN_USER_TEMP_DIR = 65537
# Nobody but the owner may read the state, or change it.
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600


@define(eq=False)
class _File:
    """The open file of one account, in one process.

    Attributes:
        descriptor: Its descriptor.
        pid: The process that opened it; after a fork it must be opened anew, or both would hold one lock.
        content: All of the file as it was last written here.
        limits: The same, as a value.
        looked_at: When it was last asked which processes still run.
    """

    descriptor: int
    pid: int
    content: bytes = b""
    limits: AccountLimits | None = None
    looked_at: float = -math.inf


class FileStore:
    """Keeps the limits of accounts in a folder, so that all processes of one user on one machine share them.

    Pass it to the ``Throttle`` of each process: ``Throttle(store=FileStore())``. Each account has a file of its own,
    named by a hash of its key; a process that dies, even in the middle of writing, leaves nothing behind that others
    would wait for. The folder must be on a local disk, since locks on network file systems are not reliable.
    Containers have limits of their own even in one folder, since they do not see each other's processes.

    Args:
        path: The folder, by default one in the system's folder for temporary files with the user's number in its
            name. It is made if there is none.
        on_outage: What to do while the files cannot be used: ``"local"`` takes an equal share of the limits among the
            processes last seen, and says so in the log; ``"raise"`` raises ``StoreError``.

    Raises:
        ArgumentError: ``on_outage`` is neither of the two, ``path`` is no path, the folder is a link or open to other
            users, or this system has no locks that would do.
    """

    __module__ = "chartmogul_async"

    poll: float = 0.005
    # Most processes that are gone are noticed sooner. What is left is one that is known by the number of another.
    lease: float = 30.0

    def __init__(self, path: str | os.PathLike[str] | None = None, *, on_outage: OnOutage = "local") -> None:
        if sys.platform == "win32":
            raise ArgumentError(
                "FileStore needs locks that Windows does not have; give each process a part of the limits"
            )
        self.path: Path = default_folder() if path is None else file_path("path", path)
        _check_folder(self.path)
        self.on_outage: OnOutage = one_of("on_outage", on_outage, ("local", "raise"))
        self._suffix = f"-{VERSION}{namespace()}"
        # One for each thread: a lock is of the open file, so that two threads with one would not lock each other out.
        self._files: dict[tuple[str, int], _File] = {}
        self._pid = os.getpid()
        self._is_away = False

    def __repr__(self) -> str:
        return f"FileStore({str(self.path)!r}, on_outage={self.on_outage!r})"

    @property
    def pid(self) -> int:
        """The number of this process."""
        return os.getpid()

    async def update(self, account: str, fresh: Callable[[], AccountLimits], change: Change[T]) -> T:
        """Read the limits of an account, change them, and write them, while no other process can.

        Args:
            account: The name of the file.
            fresh: Makes the limits of an account that is not known yet.
            change: Called with the limits and the time that all processes of the machine share.

        Returns:
            What ``change`` returned.

        Raises:
            StoreOutageError: The file cannot be opened, locked, read or written.
        """
        try:
            file = await self._locked(account)
            try:
                result = _changed(file, fresh, change)
            finally:
                fcntl.flock(file.descriptor, fcntl.LOCK_UN)
        except OSError as error:
            self._is_away = True
            self.release(account)
            raise StoreOutageError(f"{self.path}: {error.strerror or error}") from None
        self._is_away = False
        return result

    def release(self, account: str) -> None:
        """Close the file of an account; the next update opens it again.

        Args:
            account: The name of the file.
        """
        file = self._files.pop((account, get_ident()), None)
        if file is not None:
            os.close(file.descriptor)

    async def _locked(self, account: str) -> _File:
        """The file of an account under its lock, and not one that somebody has removed meanwhile."""
        patience, pause = 0.0 if self._is_away else _PATIENCE, _FIRST_RETRY
        while True:
            # Another throttle of this thread may have closed it, and its number may be that of any other file by now.
            file = self._file(account)
            if not _lock(file.descriptor):
                # What counts are the tries: if this process was stopped itself, the next one may be in a busy moment.
                if patience <= 0:
                    raise OSError(errno.ETIMEDOUT, "another process holds the lock, and may have been stopped")
                # The event loop is not held up.
                await anyio.sleep(pause)
                patience, pause = patience - pause, min(2 * pause, _LONGEST_RETRY)
            elif os.fstat(file.descriptor).st_nlink:
                return file
            else:
                self.release(account)

    def _file(self, account: str) -> _File:
        known = self._files.get((account, get_ident()))
        if known is not None and known.pid == os.getpid():
            return known
        if self._pid != os.getpid():
            self._close_inherited()
        file = _File(_opened(self.path, account + self._suffix), os.getpid())
        self._files[account, get_ident()] = file
        return file

    def _close_inherited(self) -> None:
        """After a fork the lock of a parent that dies would stay held here."""
        for key in [key for key, file in list(self._files.items()) if file.pid != os.getpid()]:
            # Other threads do the same.
            with suppress(KeyError):
                os.close(self._files.pop(key).descriptor)
        self._pid = os.getpid()


def default_folder() -> Path:
    # The same for a login, a service and cron; on macOS their TMPDIR differs, and this does not.
    folder = os.confstr(_DARWIN_USER_TEMP_DIR) if sys.platform == "darwin" else None
    return Path(folder or tempfile.gettempdir()) / f"chartmogul_async-{os.getuid()}"


def _check_folder(folder: Path) -> None:
    try:
        check_private(folder.lstat(), stat.S_ISDIR, "it")
    except FileNotFoundError:
        # It is made when it is first used.
        return
    # A zero byte is a ValueError.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArgumentError(f"path must be a folder of this user alone, not {shown(str(folder))}: {reason}") from None


def namespace() -> str:
    """What tells apart the processes of containers, on systems that have such."""
    try:
        link = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
    return "-" + "".join(re.findall(r"\d+", link))


def _opened(folder: Path, account: str) -> int:
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    check_private(folder.lstat(), stat.S_ISDIR, "the folder")
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(folder / account, flags, _FILE_MODE)
    try:
        check_private(os.fstat(descriptor), stat.S_ISREG, "the file")
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def check_private(status: os.stat_result, is_right_kind: Callable[[int], bool], what: str) -> None:
    if not is_right_kind(status.st_mode):
        raise OSError(errno.EINVAL, f"{what} is something else, perhaps a link")
    if status.st_uid != os.getuid():
        raise OSError(errno.EPERM, f"{what} belongs to another user")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise OSError(errno.EPERM, f"{what} can be read or written by other users")


def _lock(descriptor: int) -> bool:
    """Lock a file, unless another process does."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _changed(file: _File, fresh: Callable[[], AccountLimits], change: Change[T]) -> T:
    before = os.pread(file.descriptor, LARGEST, 0)
    now = time.monotonic()
    limits = file.limits if before == file.content and file.limits is not None else _loaded(before, now, fresh)
    # What follows may fail, and leave a value that was never written.
    file.limits = None
    if now >= file.looked_at + _LOOK_FOR_DEAD_EVERY:
        file.looked_at = now
        _remove_dead(limits, now)
    result = change(limits, now)
    written = dumps(limits)
    # What is left of a longer one behind it does no harm.
    content = _LENGTH.pack(len(written)) + written
    if os.pwrite(file.descriptor, content, 0) < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    file.content = content + before[len(content) :]
    file.limits = limits
    return result


def _loaded(content: bytes, now: float, fresh: Callable[[], AccountLimits]) -> AccountLimits:
    if not content:
        return fresh()
    try:
        limits = read_state(content)
    except ValueError:
        # Another process wrote a part of it, or another version did. All that is known is that somebody was here.
        limits = fresh()
        limits.hold(now, UNKNOWN_FOR)
        return limits
    latest = limits.turns.last_seen(now)
    if latest > now:
        # The clock began anew with the machine.
        limits.shift(now - latest)
    return limits


def read_state(content: bytes) -> AccountLimits:
    if len(content) < _LENGTH.size:
        raise ValueError("these bytes are not the limits of an account")
    (length,) = _LENGTH.unpack_from(content)
    return loads(content[_LENGTH.size : _LENGTH.size + length])


def _remove_dead(limits: AccountLimits, now: float) -> None:
    # One process may be many members: each throttle that it had of late.
    dead = {pid for pid in {member.pid for member in limits.turns.members.values()} if not runs(pid)}
    for owner, member in list(limits.turns.members.items()):
        if member.pid in dead:
            limits.remove_member(owner, now)


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # One that ended, and that its parent has not asked for, still has its number.
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except ProcessLookupError:
        return False
    except OSError:
        # It belongs to another user, or there is no such folder on this system.
        return True
