"""The limits of accounts on a Redis server, so that processes on several machines share them.

The server keeps bytes under one key for each account, and compares before it writes: a process sends what it makes of
the bytes that it saw last, and if another one was there first, it is sent theirs and tries again. So an update takes
one round trip, or two where others are busy; a lock would need more, and somebody to take it from who died. Only
a process that has lost for some time, as one far from the server does against one near it, reserves its next try.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar

import anyio
from attrs import Factory, define, evolve

from chartmogul_async.checks import one_of
from chartmogul_async.errors import ArgumentError
from chartmogul_async.events import logger
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.redis_connection import Address, RedisConnection, RedisError, address_of, reason_of
from chartmogul_async.transport.snapshots import VERSION, dumps, loads
from chartmogul_async.transport.store import UNKNOWN_FOR, Change, OnOutage, StoreOutageError

T = TypeVar("T")

# What is compared are the first bytes, a mark of whoever began the value and one of whoever wrote it last.
_MARK = 8
HEAD = 2 * _MARK
_SCRIPT = f"""
local time = redis.call('TIME')
local reserved = redis.call('GETRANGE', KEYS[2], 0, -1)
local is_free = reserved == '' or reserved == ARGV[4]
if is_free and redis.call('GETRANGE', KEYS[1], 0, {HEAD - 1}) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  if reserved ~= '' then redis.call('DEL', KEYS[2]) end
  return {{time[1], time[2]}}
end
if is_free and ARGV[5] ~= '0' then redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5]) end
return {{time[1], time[2], redis.call('GETRANGE', KEYS[1], 0, 999999), is_free and 1 or 0}}
"""
_DIGEST = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
# No value begins with so many bytes.
_NOTHING_KNOWN = b"?" * (HEAD + 1)
# Seconds for which the server keeps what nobody uses.
_KEPT_FOR = 86_400
# Seconds for a connection and for each reply: more for the first one, since a process that knows no other would take
# all of the limits; and less while the server is away, since those who wait for a try must not wait for long.
_PATIENCE, _FIRST_PATIENCE, _SHORT_PATIENCE = 1.0, 3.0, 0.25
# Each of so many tries is longer, for a server that is back may be far away.
_LONG_TRY = 4
# It may take so many times as long to connect as it took last.
_SLOWER = 2
# Seconds for which others may be first again and again.
_LONGEST_UPDATE = 5.0
# Seconds after which a process reserves its next try, for so many of its round trips and a little more.
_RESERVES_AFTER = 0.02
_RESERVED_TRIPS = 4
_RESERVED_MORE = 0.02
# Seconds after which others look whether that has ended.
_LOOKS_AGAIN = 0.005
# Seconds after which a server that was away is tried again.
_RETRY_AFTER = 1.0
_REDIRECTIONS = 3
# Seconds; by more than this no clock is corrected, unless it was set.
_CORRECTION = 0.05
# Seconds; other processes estimate the time, too, but not that badly.
_FUTURE = 1.0


@define(eq=False)
class _View:
    """What is known of an account over one connection, which one update uses at a time.

    Attributes:
        address: Where the connection leads.
        name: In whose name it reserves a write.
        connection: None until it is needed, and after an outage.
        head: How the bytes begin that the server has, as far as is known.
        content: The latest bytes that were limits, empty if there were none.
        limits: The same as a value; None if it was changed since, or not read yet.
        number: That of the latest request in them.
        seen_at: When they were last seen, on the clock of this machine.
        is_unsure: Whether requests may be unknown that were sent in the last second.
        trip: Seconds that the latest reply took.
        is_reserved: Whether another process has reserved the next write.
        offset: The server's clock minus that of this machine, None while it is not known.
        jumped: By how many seconds the server's clock was put forward, which the times in ``content`` do not know.
        tries: How many failed since the server is away.
    """

    address: Address
    name: bytes = Factory(lambda: os.urandom(_MARK))
    connection: RedisConnection | None = None
    head: bytes = _NOTHING_KNOWN
    content: bytes = b""
    limits: AccountLimits | None = None
    number: int = 0
    seen_at: float = -math.inf
    is_unsure: bool = False
    trip: float = 0.0
    is_reserved: bool = False
    offset: float | None = None
    jumped: float = 0.0
    tries: int = 0

    def disconnect(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def adopt(self, content: bytes) -> None:
        """Go on from what the server has."""
        is_recent = time.monotonic() < self.seen_at + _KEPT_FOR
        problem = "lost" if self.content and is_recent and content[:_MARK] != self.content[:_MARK] else ""
        self.head, self.limits, self.seen_at = content[:HEAD], None, time.monotonic()
        try:
            if content:
                self.limits, self.content = loads(content[HEAD:]), content
                if not problem and is_recent and self.limits.last_number < self.number:
                    # Restored from a snapshot, or a replica that had not seen it all took over. Who knows no more than
                    # this process need not notice, too.
                    problem, self.limits.last_number = "set back", self.number
                self.number = self.limits.last_number
            elif not problem:
                # Nobody has used them for long. What was lost is brought back by the first process to notice.
                self.content, self.number = b"", 0
        except ValueError:
            problem, self.content, self.number = "damaged", b"", 0
        if problem:
            self.is_unsure = True
            logger.warning("the limits in the store were %s; nothing is sent for %g s", problem, UNKNOWN_FOR)

    def present(self, fresh: Callable[[], AccountLimits]) -> tuple[AccountLimits, float]:
        """The limits, and the time on the server's clock."""
        # It is learned by the first look.
        assert self.offset is not None
        limits = self.limits or (loads(self.content[HEAD:]) if self.content else fresh())
        now = time.monotonic() + self.offset
        latest = limits.turns.last_seen(-math.inf)
        if latest > now + _FUTURE:
            # The server's clock was put back.
            limits.shift(now - latest)
        elif self.jumped and latest <= now - self.jumped + _CORRECTION:
            # It was put forward, and no process has been here since that knew.
            limits.shift(self.jumped)
        else:
            now = max(now, latest)
        if self.is_unsure:
            limits.hold(now, UNKNOWN_FOR)
        # What follows may fail, and leave a value that was never written.
        self.limits = None
        return limits, now

    def written(self, content: bytes, limits: AccountLimits, jumped: float) -> None:
        self.head, self.content, self.limits, self.number = content[:HEAD], content, limits, limits.last_number
        self.seen_at, self.is_unsure = time.monotonic(), False
        # The reply may have brought the news of another jump.
        self.jumped -= jumped

    def learn_time(self, server: float, sent: float, received: float) -> None:
        """The server's clock showed this at some moment in between, so the offset lies between two bounds."""
        self.trip = received - sent
        least, most = server - received, server - sent
        if self.offset is None:
            self.offset = (least + most) / 2
            return
        corrected = min(max(self.offset, least), most)
        if corrected - self.offset > _CORRECTION:
            self.jumped += corrected - self.offset
        self.offset = corrected


class RedisStore:
    """Keeps the limits of accounts on a Redis server, so that processes on several machines share them.

    Pass it to the ``Throttle`` of each process: ``Throttle(store=RedisStore("redis://localhost"))``. It requires the
    extra ``redis``, and a server of version 5 or newer, or Valkey. Each account has one key, named by a hash of its API
    key and kept for a day. The time is the server's. What a process had in flight counts for five seconds after it was
    last there, so a process that dies gives it back then.

    Args:
        url: Where the server is: ``"redis://host:6379/0"``, or ``"rediss://user:password@host"`` for TLS.
        on_outage: What to do while it is away: ``"local"`` takes an equal share of the limits among the processes last
            seen, and says so in the log; ``"raise"`` raises ``StoreError``.

    Raises:
        ArgumentError: ``url`` is not one of a Redis server, ``on_outage`` is neither of the two, or the extra is not
            installed.
    """

    __module__ = "chartmogul_async"

    poll: float = 0.01
    lease: float = 5.0
    pid: int = 0

    def __init__(self, url: str, *, on_outage: OnOutage = "local") -> None:
        self._address = address_of(url)
        self.on_outage: OnOutage = one_of("on_outage", on_outage, ("local", "raise"))
        if find_spec("hiredis") is None:
            raise ArgumentError("RedisStore requires an extra; run: pip install 'chartmogul-async[redis]'")
        # Those that no update uses at the moment, by account; several only where threads or throttles share the store.
        self._idle: dict[str, list[_View]] = {}
        # While the server is away: why, and when to try it again.
        self._outage = ""
        self._retry_at = -math.inf
        # Seconds that it took last to connect, and to be given a reply.
        self._opening = 0.0

    def __repr__(self) -> str:
        return f"RedisStore({str(self._address)!r}, on_outage={self.on_outage!r})"

    async def update(self, account: str, fresh: Callable[[], AccountLimits], change: Change[T]) -> T:
        """Read the limits of an account, change them, and write them, unless another process did meanwhile.

        Args:
            account: The name of the key.
            fresh: Makes the limits of an account that is not known yet.
            change: Called with the limits and the time on the server's clock, again after another process was first.

        Returns:
            What ``change`` returned.

        Raises:
            StoreOutageError: The server cannot be reached, refuses, or does not reply in time.
        """
        if self._outage and time.monotonic() < self._retry_at:
            raise StoreOutageError(self._outage)
        view = self._view(account)
        try:
            result = await self._changed(view, key_of(account), fresh, change)
        except (OSError, RedisError) as error:
            view.disconnect()
            view.address = self._address
            view.tries += 1
            self._outage = f"{self._address}: {reason_of(error)}"
            self._retry_at = time.monotonic() + _RETRY_AFTER
            raise StoreOutageError(self._outage) from None
        except BaseException:
            # The reply to what was cut off is not for the next one.
            view.disconnect()
            raise
        finally:
            self._idle.setdefault(account, []).append(view)
        self._outage, view.tries = "", 0
        return result

    def release(self, account: str) -> None:
        """Close the connections of an account; the next update opens one again.

        Args:
            account: The name of the key.
        """
        for view in self._idle.pop(account, ()):
            view.disconnect()

    def _view(self, account: str) -> _View:
        try:
            view = self._idle[account].pop()
        except LookupError:
            view = _View(self._address)
        if view.connection is not None and view.connection.is_inherited:
            view.disconnect()
        return view

    async def _changed(self, view: _View, key: str, fresh: Callable[[], AccountLimits], change: Change[T]) -> T:
        if view.offset is None:
            view.adopt(await self._found(view, key, b"") or b"")
        began = time.monotonic()
        while time.monotonic() < began + _LONGEST_UPDATE:
            limits, now = view.present(fresh)
            jumped = view.jumped
            result = change(limits, now)
            content = (view.content[:_MARK] or os.urandom(_MARK)) + os.urandom(_MARK) + dumps(limits)
            found = await self._found(view, key, content, reserves=time.monotonic() >= began + _RESERVES_AFTER)
            # It may also have been written by an attempt whose reply was lost.
            if found is None or found[:HEAD] == content[:HEAD]:
                view.written(content, limits, jumped)
                return result
            # What was seen last is often old. From here on it is not, and of all that try again one succeeds.
            view.adopt(found)
            if view.is_reserved:
                await anyio.sleep(_LOOKS_AGAIN)
        raise RedisError(f"other processes were first for {_LONGEST_UPDATE:g} s")

    async def _found(self, view: _View, key: str, content: bytes, reserves: bool = False) -> bytes | None:
        """Write, if the server has what is known, and return None; else what it has.

        Args:
            view: What is known.
            key: Where the server has it.
            content: What to write.
            reserves: Where the server has something else, let nobody else write before the next try.
        """
        for _ in range(_REDIRECTIONS):
            is_new = view.connection is None
            patience, began = self._patience(view), time.monotonic()
            try:
                with anyio.fail_after(patience):
                    if view.connection is None:
                        view.connection = await RedisConnection.open(view.address)
                    found = await _evaluated(view, view.connection, key, content, reserves)
            except TimeoutError as error:
                raise RedisError(str(error) or f"no reply within {patience:g} s") from None
            except RedisError as error:
                view.disconnect()
                view.address = _redirected(error, view.address)
            except OSError:
                view.disconnect()
                # A connection that was idle may have been closed since.
                if is_new:
                    raise
            else:
                if is_new:
                    self._opening = time.monotonic() - began
                return found
        raise RedisError("redirected too often")

    def _patience(self, view: _View) -> float:
        """Seconds for a connection, if there is none, and a reply."""
        opening = _SLOWER * self._opening if view.connection is None else 0.0
        if self._outage:
            is_long = view.tries % _LONG_TRY == 0
            return _PATIENCE if is_long else min(_PATIENCE, max(_SHORT_PATIENCE, opening))
        return max(_PATIENCE if view.offset is not None else _FIRST_PATIENCE, min(opening, _FIRST_PATIENCE))


def key_of(account: str) -> str:
    # The braces keep it in one slot of a cluster.
    return f"chartmogul_async:{{{account}}}:{VERSION}"


async def _evaluated(
    view: _View, connection: RedisConnection, key: str, content: bytes, reserves: bool
) -> bytes | None:
    reserved = min(_PATIENCE, _RESERVED_TRIPS * view.trip + _RESERVED_MORE) if reserves else 0.0
    arguments = (2, key, f"{key}:next", view.head, content, 1000 * _KEPT_FOR, view.name, int(1000 * reserved))
    sent = time.monotonic()
    try:
        reply = await connection.call("EVALSHA", _DIGEST, *arguments)
    except RedisError as error:
        if not str(error).startswith("NOSCRIPT"):
            raise
        sent = time.monotonic()
        reply = await connection.call("EVAL", _SCRIPT, *arguments)
    match reply:
        case [bytes() as seconds, bytes() as microseconds, *found] if seconds.isdigit() and microseconds.isdigit():
            view.learn_time(int(seconds) + int(microseconds) / 1e6, sent, time.monotonic())
            match found:
                case []:
                    return None
                case [bytes() as content, 0 | 1 as is_free]:
                    view.is_reserved = not is_free
                    return content
    raise RedisError("the reply is not that of the script")


def _redirected(error: RedisError, address: Address) -> Address:
    """Where a server of a cluster says that the key is."""
    moved = re.fullmatch(r"MOVED \d+ (.*):(\d+)", str(error))
    if moved is None:
        raise error
    return evolve(address, host=moved[1] or address.host, port=int(moved[2]))
