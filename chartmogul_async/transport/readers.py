"""Looks at the limits that processes share, without a lock and without a write, so that nobody is disturbed."""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import anyio

from chartmogul_async.errors import ArgumentError
from chartmogul_async.transport.budget import Budget, Unreadable, budget_of
from chartmogul_async.transport.file_store import (
    LARGEST,
    FileStore,
    check_private,
    default_folder,
    namespace,
    read_state,
    runs,
)
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.redis_connection import RedisConnection, RedisError, address_of, reason_of
from chartmogul_async.transport.redis_store import HEAD, RedisStore, key_of
from chartmogul_async.transport.snapshots import VERSION, loads
from chartmogul_async.transport.store import StoreOutageError

# The account, the version, and what tells containers apart.
_FILE = re.compile(rf"(.+)-{VERSION}((?:-\d+)?)")
_KEY = re.compile(re.escape(key_of("\0")).replace(re.escape("\0"), "(.+)").encode())
# Seconds; what nobody has used for so long is not shown. A Redis server forgets it then.
_RECENT = 86_400
# How often a file is read that somebody may be writing at the moment, and the seconds in between.
_TRIES = 5
_RETRY = 0.002
# Seconds for a connection, and for each reply.
_PATIENCE = 3.0
# Keys that the server looks at in one step, and seconds after which it is searched again.
_STEP = 1000
_SEARCH_EVERY = 10.0
# Keys that are asked for at once. Their replies, some kilobytes each, wait in the server's memory.
_TOGETHER = 100

Look = tuple[Budget | Unreadable, ...]


class Reader(Protocol):
    """Whoever looks at a store."""

    async def look(self) -> Look:
        """Look at the limits of each account.

        Returns:
            What they are at this moment; nothing if there are none.

        Raises:
            ArgumentError: The place cannot be that of a store.
            StoreOutageError: The store cannot be reached.
        """
        ...

    def close(self) -> None:
        """Keep nothing open."""
        ...


def reader_of(place: str | None) -> Reader:
    """Make what looks at a store.

    Args:
        place: The folder of a ``FileStore``, one of the files in it, or the URL of a Redis server; by default the
            folder that ``FileStore()`` chooses.

    Raises:
        ArgumentError: It is none of them, or the extra ``redis`` is not installed.
    """
    if place is not None and "://" in place:
        return RedisReader(place)
    if sys.platform == "win32":
        raise ArgumentError("place must be the URL of a Redis server, since there is no FileStore on Windows")
    return FileReader(default_folder() if place is None else Path(place))


# --- files -------------------------------------------------------------------------------------------------


class FileReader:
    """Looks at the files of a ``FileStore``.

    Args:
        path: The folder, or one of its files.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    async def look(self) -> Look:
        """Look at each account that was used within a day; at one whose file is named in any case."""
        try:
            looks = [await _look_at(file) for file in self._files()]
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ArgumentError(
                f"place must be a store of this user alone, not {str(self)!r}: {error.strerror}"
            ) from None
        return tuple(look for look in looks if look is not None)

    def _files(self) -> list[Path]:
        status = self._path.lstat()
        if not stat.S_ISREG(status.st_mode):
            check_private(status, stat.S_ISDIR, "it")
            oldest = time.time() - _RECENT
            files = [file for file in self._path.iterdir() if _FILE.fullmatch(file.name)]
            return sorted(file for file in files if file.lstat().st_mtime >= oldest)
        if not _FILE.fullmatch(self._path.name):
            raise ArgumentError(f"place must be a folder, a URL or a file that ends with -{VERSION}, not {str(self)!r}")
        return [self._path]

    def close(self) -> None:
        """Nothing is open between two looks."""


async def _look_at(file: Path) -> Budget | Unreadable | None:
    """One account, None if nobody has used it yet."""
    name = _FILE.fullmatch(file.name)
    # Others are not looked at.
    assert name is not None
    account = name[1] + name[2].removesuffix(namespace())
    problem = ""
    for attempt in range(_TRIES):
        if attempt:
            await anyio.sleep(_RETRY)
        content = _content_of(file)
        if not content:
            return None
        try:
            limits = read_state(content)
        except ValueError as error:
            problem = str(error)
        else:
            return _budget_of_file(account, limits, name[2] == namespace())
    return Unreadable(account, problem)


def _content_of(file: Path) -> bytes:
    # A pipe of that name would wait for somebody who writes.
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        check_private(os.fstat(descriptor), stat.S_ISREG, "the file")
        return os.pread(descriptor, LARGEST, 0)
    finally:
        os.close(descriptor)


def _budget_of_file(account: str, limits: AccountLimits, is_here: bool) -> Budget:
    now = time.monotonic()
    for owner, member in list(limits.turns.members.items()):
        # The processes of another container cannot be asked for.
        if is_here and not runs(member.pid):
            limits.remove_member(owner, now)
    return budget_of(account, limits, now, FileStore.lease)


# --- Redis -------------------------------------------------------------------------------------------------


class RedisReader:
    """Looks at the keys that each ``RedisStore`` keeps on a server.

    It asks for the time, searches for keys, and reads them: commands ``TIME``, ``SCAN`` and ``GETRANGE``.

    Args:
        url: Where the server is.

    Raises:
        ArgumentError: It is not the URL of a Redis server, or the extra is not installed.
    """

    def __init__(self, url: str) -> None:
        self._address = address_of(url)
        if find_spec("hiredis") is None:
            raise ArgumentError("a Redis server requires an extra; run: pip install 'chartmogul-async[redis]'")
        self._connection: RedisConnection | None = None
        self._keys: list[bytes] = []
        self._search_at = 0.0

    def __str__(self) -> str:
        return str(self._address)

    async def look(self) -> Look:
        """Look at each account that the server keeps."""
        try:
            if self._connection is None:
                with anyio.fail_after(_PATIENCE):
                    self._connection = await RedisConnection.open(self._address)
            return await self._look(self._connection)
        except TimeoutError as error:
            self.close()
            raise StoreOutageError(f"{self}: {error.strerror or f'no reply within {_PATIENCE:g} s'}") from None
        except (OSError, RedisError) as error:
            self.close()
            raise StoreOutageError(f"{self}: {reason_of(error)}") from None
        except BaseException:
            # The reply to what was cut off is not for the next one.
            self.close()
            raise

    async def _look(self, connection: RedisConnection) -> Look:
        if time.monotonic() >= self._search_at:
            self._keys = await _keys_of(connection)
            self._search_at = time.monotonic() + _SEARCH_EVERY
        seconds, microseconds = await _call(connection, "TIME")
        now = int(seconds) + int(microseconds) / 1e6
        looks: list[Budget | Unreadable | None] = []
        for begin in range(0, len(self._keys), _TOGETHER):
            keys = self._keys[begin : begin + _TOGETHER]
            with anyio.fail_after(_PATIENCE):
                await connection.send(*(("GETRANGE", key, 0, LARGEST - 1) for key in keys))
            looks += [await _receive(connection, key, now) for key in keys]
        return tuple(look for look in looks if look is not None)

    def close(self) -> None:
        """Close the connection; the next look opens one again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._search_at = 0.0


async def _call(connection: RedisConnection, *command: str | bytes | int) -> Any:
    with anyio.fail_after(_PATIENCE):
        return await connection.call(*command)


async def _keys_of(connection: RedisConnection) -> list[bytes]:
    found: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, keys = await _call(connection, "SCAN", cursor, "MATCH", key_of("*"), "COUNT", _STEP)
        found.update(keys)
        if cursor == b"0":
            return sorted(found)


async def _receive(connection: RedisConnection, key: bytes, now: float) -> Budget | Unreadable | None:
    """One account, None if its key is gone."""
    name = _KEY.fullmatch(key)
    # Others were not asked for.
    assert name is not None
    account = name[1].decode(errors="backslashreplace")
    try:
        with anyio.fail_after(_PATIENCE):
            content = await connection.receive()
        limits = loads(content[HEAD:]) if content else None
    except (ValueError, RedisError) as error:
        return Unreadable(account, str(error))
    if limits is None:
        return None
    return budget_of(account, limits, now, RedisStore.lease)
