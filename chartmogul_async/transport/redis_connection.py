"""One connection to a Redis server: a command is sent, and its reply is read by hiredis, the extra ``redis``.

A library's client would run tasks of its own in an event loop, and here nothing runs between calls. The socket belongs
to no task and no event loop, so it may be kept between commands, and closed from anywhere. Whoever was cut off within
a command closes it: its reply would be taken for that of the next one.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import cache, partial
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import anyio
from attrs import frozen

from chartmogul_async.errors import ArgumentError
from chartmogul_async.secret import Secret
from chartmogul_async.structuring.error_bodies import one_line
from chartmogul_async.transport.lookup import addresses_of

T = TypeVar("T")

_PORT = 6379
_DATABASE = re.compile(r"/?([0-9]{0,9})")
# Bytes that are read at once, and characters of an error that are shown.
_RECEIVED = 65536
_SHOWN = 200
# Seconds after which the next address of a host is tried.
_NEXT_ADDRESS = 0.25


class RedisError(Exception):
    """The server refused a command, or sent something else than a reply."""


def reason_of(error: OSError | RedisError) -> str:
    """Say in a few words why a server is away."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@frozen
class Address:
    """Where a server is, and who logs in.

    Attributes:
        host: Its name or address.
        port: Its port.
        is_encrypted: Whether to talk over TLS.
        database: The number of the database.
        login: Nothing, a password, or a user and a password.
    """

    host: str
    port: int
    is_encrypted: bool
    database: int
    login: Secret[tuple[str, ...]]

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' * self.is_encrypted}://{host}:{self.port}/{self.database}"


def address_of(url: object) -> Address:
    """Read a URL; the message does not show it, since it may contain a password.

    Raises:
        ArgumentError: It is not one of a Redis server.
    """
    address = _read(url) if isinstance(url, str) else None
    if address is None:
        raise ArgumentError(
            'url must be one such as "redis://localhost" or "rediss://user:password@host:6379/0", with nothing after '
            "the number of the database; in user and password write %40 for @, and so on"
        )
    return address


def _read(url: str) -> Address | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", _PORT if parts.port is None else parts.port
        # A host that cannot be looked up fails here.
        host.encode("idna")
    except ValueError:
        return None
    database = _DATABASE.fullmatch(parts.path)
    if parts.scheme not in ("redis", "rediss") or not host or database is None or parts.query or parts.fragment:
        return None
    # A user without a password has nothing to log in with.
    login = tuple(unquote(part) for part in (parts.username, parts.password) if part) if parts.password else ()
    return Address(host, port, parts.scheme == "rediss", int(database[1] or 0), Secret(login))


class RedisConnection:
    """An open connection.

    Args:
        connected: Its socket, which does not block.
    """

    def __init__(self, connected: socket.socket) -> None:
        from hiredis import Reader, pack_command

        self._socket = connected
        self._pid = os.getpid()
        # Its stub takes a single word only.
        self._pack: Any = pack_command
        self._reader: Any = Reader(protocolError=RedisError, replyError=RedisError)

    @classmethod
    async def open(cls, address: Address) -> RedisConnection:
        """Connect, and log in.

        Raises:
            OSError: There is no connection.
            RedisError: The server refused user, password or database.
        """
        connection = cls(await _connected(address))
        try:
            if address.login.revealed:
                await connection._log_in("AUTH", *address.login.revealed)
            if address.database:
                await connection._log_in("SELECT", address.database)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _log_in(self, *command: str | int) -> None:
        try:
            await self.call(*command)
        except RedisError as error:
            # All but the first word may quote the command.
            raise RedisError(f"{command[0]} was refused: {str(error).split()[0]}") from None

    @property
    def is_inherited(self) -> bool:
        """Whether another process opened it, of which this one is a fork."""
        return self._pid != os.getpid()

    async def call(self, *command: str | bytes | int) -> Any:
        """Send a command and read its reply.

        Raises:
            OSError: The connection is lost.
            RedisError: The server refused the command.
        """
        await self.send(command)
        return await self.receive()

    async def send(self, *commands: tuple[str | bytes | int, ...]) -> None:
        """Send commands, the reply to each of which is to be received, in their order.

        Raises:
            OSError: The connection is lost.
        """
        rest = memoryview(b"".join(map(self._pack, commands)))
        while rest:
            rest = rest[await _when_ready(partial(self._socket.send, rest), self._socket, anyio.wait_writable) :]

    async def receive(self) -> Any:
        """Read the next reply.

        Raises:
            OSError: The connection is lost.
            RedisError: The server refused the command.
        """
        # It is False while the reply is not complete; no reply is False itself.
        while (reply := self._reader.gets()) is False:
            received = await _when_ready(partial(self._socket.recv, _RECEIVED), self._socket, anyio.wait_readable)
            if not received:
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            self._reader.feed(received)
        if isinstance(reply, RedisError):
            raise RedisError(one_line(str(reply), _SHOWN))
        return reply

    def close(self) -> None:
        """Close the socket; in a fork this closes only its own part of it."""
        self._socket.close()


async def _connected(address: Address) -> socket.socket:
    *others, last = await addresses_of(address.host, address.port)
    for family, kind, protocol, _, place in others:
        try:
            with anyio.fail_after(_NEXT_ADDRESS):
                return await _prepared(await _connected_to(place, family, kind, protocol), address)
        except OSError:
            continue
    family, kind, protocol, _, place = last
    return await _prepared(await _connected_to(place, family, kind, protocol), address)


async def _connected_to(place: tuple[str, int], *kind: int) -> socket.socket:
    made = socket.socket(*kind)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        failed = made.connect_ex(place)
        if failed in (errno.EINPROGRESS, errno.EWOULDBLOCK):
            await anyio.wait_writable(made)
            failed = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        _check(failed)
    except BaseException:
        made.close()
        raise
    return made


def _check(failed: int) -> None:
    if failed:
        raise OSError(failed, os.strerror(failed))


async def _prepared(connected: socket.socket, address: Address) -> socket.socket:
    if not address.is_encrypted:
        return connected
    try:
        connected = _tls_context().wrap_socket(connected, server_hostname=address.host, do_handshake_on_connect=False)
        await _when_ready(connected.do_handshake, connected, anyio.wait_readable)
    except BaseException:
        connected.close()
        raise
    return connected


@cache
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


async def _when_ready(
    action: Callable[[], T], connected: socket.socket, wait: Callable[[socket.socket], Awaitable[None]]
) -> T:
    """What an action returns that would block until then; over TLS, reading may mean writing, and writing reading."""
    while True:
        try:
            return action()
        except BlockingIOError:
            await wait(connected)
        except ssl.SSLWantReadError:
            await anyio.wait_readable(connected)
        except ssl.SSLWantWriteError:
            await anyio.wait_writable(connected)
