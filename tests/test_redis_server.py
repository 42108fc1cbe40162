"""Limits on a real Redis server: killed, stopped, slow, full, a replica, with a password, over TLS."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream
from hiredis import ReplyError

from chartmogul_async import RedisStore
from chartmogul_async.transport import redis_connection, redis_store
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.redis_store import HEAD
from chartmogul_async.transport.snapshots import VERSION
from chartmogul_async.transport.store import StoreOutageError
from tests.redis_server import RedisServer, running
from tests.shared_limits import fresh, in_flight, start_one

pytestmark = pytest.mark.sockets
NAME = f"chartmogul_async:{{account}}:{VERSION}"
NEXT = f"{NAME}:next"


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    yield from running(tmp_path_factory.mktemp("redis"))


@pytest.fixture
def server(one_server: RedisServer) -> RedisServer:
    one_server.call("FLUSHALL")
    return one_server


@pytest.fixture
def passing_server(tmp_path: Path) -> Iterator[RedisServer]:
    """One for a single test."""
    yield from running(tmp_path)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is away is tried again immediately."""
    monkeypatch.setattr(redis_store, "_RETRY_AFTER", 0.0)


def count(limits: AccountLimits, now: float) -> int:
    limits.last_number += 1
    return limits.last_number


async def outage_of(store: RedisStore) -> str:
    with pytest.raises(StoreOutageError) as caught:
        await store.update("account", fresh, count)
    return str(caught.value)


async def test_what_one_store_writes_another_one_reads(server: RedisServer) -> None:
    one, other = RedisStore(server.url), RedisStore(server.url)
    assert await one.update("account", fresh, start_one) == 1
    assert await other.update("account", fresh, start_one) == 2
    assert await one.update("account", fresh, in_flight) == 2
    assert server.call("KEYS", "*") == [NAME.encode()]
    assert 86_000 < server.call("TTL", NAME) <= 86_400
    seconds, _ = server.call("TIME")
    assert abs(await one.update("account", fresh, lambda _, now: now) - int(seconds)) < 30
    for store in (one, other):
        store.release("account")


async def test_no_update_is_lost(server: RedisServer) -> None:
    """Sixty of ten stores at once, each of which another one may precede."""
    stores = [RedisStore(server.url) for _ in range(10)]
    numbers: list[int] = []

    async def updates(store: RedisStore) -> None:
        for _ in range(6):
            numbers.append(await store.update("account", fresh, count))

    async with anyio.create_task_group() as group:
        for store in stores:
            group.start_soon(updates, store)
    assert sorted(numbers) == list(range(1, 61))
    for store in stores:
        store.release("account")


async def test_who_loses_reserves_the_next_write(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "_RESERVES_AFTER", 0.0)
    store, milliseconds = RedisStore(server.url), list[int]()
    assert await store.update("account", fresh, count) == 1

    def beside_another(limits: AccountLimits, _: float) -> int:
        milliseconds.append(server.call("PTTL", NEXT))
        if len(milliseconds) == 1:
            server.call("SETRANGE", NAME, HEAD - 1, b"?")
        return limits.per_second

    await store.update("account", fresh, beside_another)
    before, reserved = milliseconds
    assert (before, server.call("EXISTS", NEXT)) == (-2, 0)
    assert 0 < reserved <= 1000
    store.release("account")


async def test_what_another_one_reserved_is_waited_for(server: RedisServer) -> None:
    store, seen = RedisStore(server.url), list[int]()
    assert await store.update("account", fresh, count) == 1
    server.call("SET", NEXT, b"another one", "PX", 300)

    def look(limits: AccountLimits, _: float) -> int:
        seen.append(server.call("EXISTS", NEXT))
        return limits.per_second

    await store.update("account", fresh, look)
    # As long as it is reserved it tries in vain.
    assert seen[0] == 1
    assert len(seen) > 2
    assert not server.call("EXISTS", NEXT)
    store.release("account")


async def test_accounts_and_databases_never_mix(server: RedisServer) -> None:
    store, elsewhere = RedisStore(server.url), RedisStore(f"{server.url}/1")
    assert await store.update("account", fresh, count) == 1
    assert await store.update("another", fresh, count) == 1
    assert await elsewhere.update("account", fresh, count) == 1
    assert await store.update("account", fresh, count) == 2
    for account in ("account", "another"):
        store.release(account)
    elsewhere.release("account")


async def test_the_script_is_sent_where_it_is_not_known(server: RedisServer) -> None:
    store = RedisStore(server.url)
    for expected in (1, 2):
        server.call("SCRIPT", "FLUSH")
        assert await store.update("account", fresh, count) == expected
    store.release("account")


# --- what a server refuses -------------------------------------------------------------------------------------------


async def test_another_kind_of_value_is_left_alone(server: RedisServer) -> None:
    server.call("RPUSH", NAME, "precious")
    assert "WRONGTYPE" in await outage_of(RedisStore(server.url))
    assert server.call("LRANGE", NAME, 0, -1) == [b"precious"]


async def test_a_value_that_is_not_ours_is_replaced(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    server.call("SET", NAME, "x" * 2_000_000)
    store = RedisStore(server.url)
    assert await store.update("account", fresh, count) == 1
    assert "the limits in the store were damaged" in caplog.text
    assert server.call("STRLEN", NAME) < 1000
    store.release("account")


@pytest.mark.usefixtures("at_once")
async def test_a_full_memory_is_an_outage(passing_server: RedisServer) -> None:
    store = RedisStore(passing_server.url)
    await store.update("account", fresh, count)
    passing_server.call("CONFIG", "SET", "maxmemory", 1)
    assert "OOM command not allowed" in await outage_of(store)
    passing_server.call("CONFIG", "SET", "maxmemory", 0)
    assert await store.update("account", fresh, count) == 2
    store.release("account")


@pytest.mark.usefixtures("at_once")
async def test_a_replica_is_an_outage(passing_server: RedisServer, server: RedisServer) -> None:
    passing_server.call("REPLICAOF", "127.0.0.1", server.port)
    message = await outage_of(RedisStore(passing_server.url))
    assert "READONLY" in message or "LOADING" in message or "MASTERDOWN" in message


@pytest.mark.usefixtures("at_once")
async def test_passwords(passing_server: RedisServer) -> None:
    at = f"127.0.0.1:{passing_server.port}"
    store = RedisStore(passing_server.url)
    # No more than the documents ask for.
    allowed = ("~chartmogul_async:*", "+eval", "+evalsha", "+time", "+getrange", "+set", "+del")
    assert passing_server.call("ACL", "SETUSER", "us@r", "on", ">p@ss", *allowed) == b"OK"
    assert passing_server.call("CONFIG", "SET", "requirepass", "secret") == b"OK"
    assert "NOAUTH" in await outage_of(store)
    assert isinstance(passing_server.call("PING"), ReplyError)
    for login in (":secret", "us%40r:p%40ss"):
        known = RedisStore(f"redis://{login}@{at}")
        assert await known.update("account", fresh, count) >= 1
        known.release("account")
    message = await outage_of(RedisStore(f"redis://us%40r:wrong@{at}"))
    assert message == f"redis://{at}/0: AUTH was refused: WRONGPASS"
    assert "SELECT was refused: ERR" in await outage_of(RedisStore(f"redis://:secret@{at}/999"))


# --- connections -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_once")
async def test_a_server_that_is_killed_and_started_again(passing_server: RedisServer) -> None:
    store = RedisStore(passing_server.url)
    await store.update("account", fresh, start_one)
    passing_server.kill()
    assert os.strerror(errno.ECONNREFUSED) in await outage_of(store)
    passing_server.start()
    # It had no disk, so what this process knows is brought back.
    assert await store.update("account", fresh, in_flight) == 1
    store.release("account")


async def test_a_server_that_was_restarted_between_updates(passing_server: RedisServer) -> None:
    store = RedisStore(passing_server.url)
    await store.update("account", fresh, start_one)
    passing_server.kill()
    passing_server.start()
    assert await store.update("account", fresh, in_flight) == 1
    store.release("account")


@pytest.mark.usefixtures("at_once")
async def test_a_server_that_is_stopped(passing_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "_PATIENCE", 0.3)
    store = RedisStore(passing_server.url)
    assert await store.update("account", fresh, count) == 1
    passing_server.pause()
    assert "no reply within 0.3 s" in await outage_of(store)
    # Connected by the kernel, and never logged in.
    assert "no reply within 0.25 s" in await outage_of(store)
    passing_server.resume()
    # What was sent to it meanwhile may have been carried out since.
    assert await store.update("account", fresh, count) in (2, 3, 4)
    store.release("account")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_hosts(server: RedisServer, host: str) -> None:
    store = RedisStore(f"redis://{host}:{server.port}")
    assert await store.update("account", fresh, count) == 1
    store.release("account")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[RedisServer]]:
    """Two servers, each with half of the slots; the first one does not have that of the key."""
    with ExitStack() as stack:
        servers = []
        for name in ("first", "second"):
            folder = tmp_path / name
            folder.mkdir()
            options = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
            servers.append(stack.enter_context(contextmanager(running)(folder, *options)))
        has_key = servers[0].call("CLUSTER", "KEYSLOT", NAME) >= 8192
        halves = [range(8192), range(8192, 16384)]
        for server, slots in zip(servers, halves if has_key else halves[::-1], strict=True):
            assert server.call("CLUSTER", "ADDSLOTS", *slots) == b"OK"
        servers[0].call("CLUSTER", "MEET", "127.0.0.1", servers[1].port)
        while any(b"cluster_state:ok" not in server.call("CLUSTER", "INFO") for server in servers):
            time.sleep(0.01)
        while not str(servers[0].call("GET", NAME)).startswith("MOVED"):
            time.sleep(0.01)
        yield servers


async def test_a_cluster(cluster: list[RedisServer]) -> None:
    first, second = cluster
    store, other = RedisStore(first.url), RedisStore(second.url)
    for expected in (1, 3):
        assert await store.update("account", fresh, count) == expected
        assert await other.update("account", fresh, count) == expected + 1
    assert second.call("KEYS", "*") == [NAME.encode()]
    for each in (store, other):
        each.release("account")


async def test_a_host_that_is_not_known() -> None:
    assert await outage_of(RedisStore("redis://host.invalid")) != ""


async def test_an_address_that_does_not_answer_is_passed_over(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue that is full accepts no connection, as a firewall that drops what it receives."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = [socket.socket() for _ in range(3)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(full.getsockname())
    lookup = [
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", place)
        for place in (("255.255.255.255", 1), full.getsockname(), ("127.0.0.1", 1), ("127.0.0.1", server.port))
    ]

    async def look_up(*_: object) -> object:
        return lookup

    monkeypatch.setattr(redis_connection, "addresses_of", look_up)
    monkeypatch.setattr(redis_connection, "_NEXT_ADDRESS", 0.01)
    store = RedisStore("redis://several.addresses")
    assert await store.update("account", fresh, count) == 1
    store.release("account")
    for each in (full, *waiting):
        each.close()


async def test_reading_over_tls_may_mean_writing(server: RedisServer) -> None:
    """As when keys are renewed; whether it can be written is what is waited for then."""
    asked: list[str] = []

    def action() -> str:
        asked.append("asked")
        if len(asked) == 1:
            raise ssl.SSLWantWriteError
        return "done"

    with socket.create_connection(("127.0.0.1", server.port)) as connected:
        assert await redis_connection._when_ready(action, connected, anyio.wait_readable) == "done"
    assert len(asked) == 2


Handler = Callable[[ByteStream], Awaitable[None]]


@asynccontextmanager
async def serving(handle: Handler) -> AsyncIterator[int]:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        port: int = listener.extra(SocketAttribute.local_port)
        yield port
        group.cancel_scope.cancel()


@pytest.mark.parametrize("sent", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n", b"*2\r\n$1\r\n1\r\n", b""], ids=repr)
async def test_a_server_of_another_kind(sent: bytes) -> None:
    async def handle(stream: ByteStream) -> None:
        async with stream:
            with suppress(anyio.BrokenResourceError):
                await stream.receive()
                await stream.send(sent)

    async with serving(handle) as port:
        message = await outage_of(RedisStore(f"redis://127.0.0.1:{port}"))
    assert "no reply within" not in message


async def forward(source: ByteStream, target: ByteStream, delay: float) -> None:
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
        while True:
            received = await source.receive(1000)
            await anyio.sleep(delay)
            await target.send(received)


async def proxy(stream: ByteStream, port: int, delay: float) -> None:
    """What a network does: it takes its time, and cuts what is sent in pieces."""
    async with stream, await anyio.connect_tcp("127.0.0.1", port) as target, anyio.create_task_group() as group:
        group.start_soon(forward, stream, target, delay)
        await forward(target, stream, delay)
        group.cancel_scope.cancel()


async def test_a_slow_network(server: RedisServer) -> None:
    async with serving(partial(proxy, port=server.port, delay=0.02)) as port:
        store = RedisStore(f"redis://127.0.0.1:{port}")
        for expected in (1, 2, 3):
            assert await store.update("account", fresh, count) == expected
        store.release("account")


async def test_a_network_that_is_too_slow(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "_PATIENCE", 0.1)
    async with serving(partial(proxy, port=server.port, delay=1.0)) as port:
        assert "no reply within 0.1 s" in await outage_of(RedisStore(f"redis://127.0.0.1:{port}"))


async def test_updates_that_are_cut_off_never_mix_up_replies(server: RedisServer) -> None:
    """A storm of cancellations; each update that ends has the number that it wrote."""
    store = RedisStore(server.url)
    numbers: list[int] = []
    for step in range(150):
        with anyio.move_on_after(0.00002 * step):
            numbers.append(await store.update("account", fresh, count))
    assert numbers == sorted(set(numbers))
    last = await store.update("account", fresh, count)
    # Some were carried out although nobody waited for the reply.
    assert len(numbers) < last <= 151
    store.release("account")


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_tls(server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_trusted: bool) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    trusted = tmp_path / "authority.pem"
    (authority if is_trusted else trustme.CA()).cert_pem.write_to_path(str(trusted))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    redis_connection._tls_context.cache_clear()

    async def handle(stream: ByteStream) -> None:
        with suppress(ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream):
            async with stream:
                encrypted = await TLSStream.wrap(stream, server_side=True, ssl_context=context)
                await proxy(encrypted, port=server.port, delay=0.0)

    async with serving(handle) as port:
        store = RedisStore(f"rediss://localhost:{port}")
        if is_trusted:
            assert [await store.update("account", fresh, count) for _ in range(3)] == [1, 2, 3]
            store.release("account")
        else:
            assert "certificate verify failed" in await outage_of(store)
    redis_connection._tls_context.cache_clear()


# --- processes -------------------------------------------------------------------------------------------------------

FORK = """
import os, sys, anyio
from chartmogul_async import RedisStore
from chartmogul_async.transport.limits import AccountLimits

def count(limits, now):
    limits.last_number += 1
    return limits.last_number

def updates(times):
    return [anyio.run(store.update, "account", lambda: AccountLimits(40, 20), count) for _ in range(times)][-1]

store = RedisStore(sys.argv[1])
updates(1)
child = os.fork()
updates(50)
if child == 0:
    os._exit(0)
_, status = os.waitpid(child, 0)
print(status, updates(1))
store.release("account")
"""


def test_a_fork_and_its_parent(server: RedisServer) -> None:
    """In one event loop after the other, over connections of their own."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, server.url], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("0 102\n", "")
