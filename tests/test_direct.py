"""A direct connection: opened, used again, given up, closed. What a server can do to it is in ``tests/faults``."""

from __future__ import annotations

import math
import select
import socket
import ssl
import sys
from collections.abc import Callable, Iterable
from typing import Any

import anyio
import attrs
import httpx
import pytest

from chartmogul_async import AsyncClient, errors
from chartmogul_async.structuring.error_bodies import LARGEST_ERROR_BODY
from chartmogul_async.transport import bodies
from chartmogul_async.transport.connections import Sender
from tests.clients import KEY
from tests.faults.checks import NORMAL_ENTRIES, nothing_left_behind
from tests.faults.loops import LOOPS
from tests.faults.server import NORMAL_RESPONSE, Behaviour, FaultServer, Peer, response
from tests.faults.table import OTHER_BODY, sized_response
from tests.faults.targets import secure

# The extra ``fast`` installs httptools.
direct: Any = pytest.importorskip("chartmogul_async.transport.direct", reason="the extra fast is not installed")
httpcore: Any = direct.httpcore

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TWO = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
URL = httpx.URL("http://api.example/v1")


@attrs.define(eq=False)
class FakeStream:
    """A stream that gives these pieces, and records what happens to it. An exception among them is raised."""

    pieces: list[bytes | Exception]
    decrypted: Any = None
    write_error: Exception | None = None
    written: list[Any] = attrs.field(factory=list)
    reads: list[tuple[int, float | None]] = attrs.field(factory=list)
    closed: int = 0
    wire: Any = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's name
        self.reads.append((max_bytes, timeout))
        if not self.pieces:
            await anyio.sleep(3600.0)
            raise AssertionError("something was read that does not come")
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's name
        self.written.append((buffer, timeout))
        if self.write_error:
            raise self.write_error

    async def start_tls(self, *arguments: object) -> FakeStream:
        self.written.append(arguments)
        return self

    async def aclose(self) -> None:
        self.closed += 1

    def get_extra_info(self, info: str) -> Any:
        return {"socket": self.wire, "ssl_object": self.decrypted}[info]


class FakeNetwork:
    def __init__(self, streams: Iterable[FakeStream]) -> None:
        self.streams = list(streams)
        self.connected: list[tuple[object, ...]] = []

    async def connect_tcp(self, *arguments: object) -> FakeStream:
        self.connected.append(arguments)
        return self.streams[len(self.connected) - 1]


Connect = Callable[..., tuple[Sender, FakeNetwork]]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    def connect(*streams: FakeStream, url: httpx.URL = URL, tls: Any = NO_TLS, keepalive: float = 30.0) -> Any:
        network = FakeNetwork(streams)
        monkeypatch.setattr(direct, "_connect", network.connect_tcp)
        monkeypatch.setattr(direct, "_is_readable", lambda wire: wire == "readable")
        return direct.DirectConnection(url, tls, keepalive), network

    return connect


def get(**timeouts: float | None) -> httpx.Request:
    return httpx.Request("GET", "http://api.example/v1/ping", extensions={"timeout": timeouts})


async def test_two_exchanges_use_one_connection(connect: Connect) -> None:
    stream = FakeStream([TWO, TWO[:20], TWO[20:]])
    connection, network = connect(stream)
    for _ in range(2):
        got = await connection.send(get(connect=1.0, write=2.0, read=3.0))
        assert (got.status_code, got.content) == (200, b"{}")
    assert network.connected == [("api.example", 80, 1.0)]
    assert [limit for _, limit in stream.written] == [2.0, 2.0]
    assert stream.reads == [(65_536, 3.0)] * 3
    assert [stream.closed] == [0]
    for _ in range(2):
        await connection.aclose()
    assert stream.closed == 1


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://api.example/v1", "api.example", 443),
        ("https://bücher.example:8443", "xn--bcher-kva.example", 8443),
        ("https://[::1]/v1", "::1", 443),
    ],
)
async def test_tls_is_for_the_host_of_the_url(connect: Connect, url: str, host: str, port: int) -> None:
    context, stream = object(), FakeStream([TWO])
    connection, network = connect(stream, url=httpx.URL(url), tls=context)
    await connection.send(get(connect=1.0))
    assert network.connected == [(host, port, 1.0)]
    assert stream.written[0] == (context, host, 1.0)


async def test_a_connection_that_idled_too_long_is_not_used_again(connect: Connect) -> None:
    now = 1000.0
    first, second = FakeStream([TWO, TWO]), FakeStream([TWO])
    connection, _ = connect(first, second)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anyio, "current_time", lambda: now)
        for idle in (0.0, 29.9, 30.1):
            now += idle
            await connection.send(get())
    assert (first.closed, second.closed) == (1, 0)


async def test_a_connection_that_received_something_is_not_used_again(connect: Connect) -> None:
    first, second = FakeStream([TWO, TWO], wire="readable"), FakeStream([TWO])
    connection, _ = connect(first, second)
    for _ in range(2):
        await connection.send(get())
    assert (first.closed, second.closed) == (1, 0)


@pytest.mark.parametrize("exchanges", [0, 1])
async def test_a_connection_in_use_is_not_used_again(connect: Connect, exchanges: int) -> None:
    """Its latest exchange was cancelled, and nobody has closed it."""
    first, second = FakeStream([TWO] * exchanges), FakeStream([TWO])
    connection, _ = connect(first, second)
    for _ in range(exchanges):
        await connection.send(get())
    with anyio.move_on_after(1.0):
        await connection.send(get())
    first.pieces = [TWO]
    await connection.send(get())
    assert (first.closed, second.closed, second.pieces) == (1, 0, [])


@pytest.mark.parametrize("error", [None, ssl.SSLZeroReturnError(), ssl.SSLEOFError()])
async def test_what_tls_holds_unread_costs_the_connection(connect: Connect, error: Exception | None) -> None:
    class Decrypted:
        def read(self, size: int) -> bytes:
            assert size == 1
            if error:
                raise error
            return b"H"

    first, second = FakeStream([TWO], Decrypted()), FakeStream([TWO])
    connection, _ = connect(first, second)
    for _ in range(2):
        await connection.send(get())
    assert (first.closed, second.closed) == (1, 0)


async def test_tls_that_holds_nothing_is_used_again(connect: Connect) -> None:
    class Decrypted:
        def read(self, size: int) -> bytes:
            assert size == 1
            raise ssl.SSLWantReadError

    stream = FakeStream([TWO, TWO], Decrypted())
    connection, network = connect(stream)
    for _ in range(2):
        await connection.send(get())
    assert len(network.connected) == 1


@pytest.mark.parametrize("behind", [b"more", b"", httpcore.ReadError(), ValueError()])
async def test_a_large_response_with_more_behind_it_is_the_last(connect: Connect, behind: bytes | Exception) -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + b" " * 40_000
    first, second = FakeStream([large, behind]), FakeStream([large, TWO])
    connection, _ = connect(first, second)
    # Nothing is behind the second one until its next request was sent.
    second.pieces.pop()
    for _ in range(2):
        assert len((await connection.send(get())).content) == 40_000
    second.pieces.append(TWO)
    assert (await connection.send(get())).content == b"{}"
    assert (first.closed, second.closed) == (1, 0)
    assert first.reads[1:] == [(1, None)]


async def test_a_connection_whose_exchange_failed_is_made_anew(connect: Connect) -> None:
    first, second = FakeStream([httpcore.ReadError("gone")]), FakeStream([TWO])
    connection, _ = connect(first, second)
    with pytest.raises(httpx.ReadError, match="gone") as caught:
        await connection.send(get())
    assert isinstance(caught.value.__cause__, httpcore.ReadError)
    await connection.send(get())
    assert (first.closed, second.closed) == (1, 0)


@pytest.mark.parametrize("name", ["ConnectError", "ConnectTimeout", "ReadError", "ReadTimeout", "WriteTimeout"])
async def test_errors_are_those_of_httpx(connect: Connect, name: str) -> None:
    connection, _ = connect(FakeStream([getattr(httpcore, name)("why")]))
    with pytest.raises(getattr(httpx, name), match="why"):
        await connection.send(get())


async def test_a_response_to_a_request_that_was_not_read_counts(connect: Connect) -> None:
    """A server may refuse and disconnect early. Such a request was not sent."""
    events = []

    async def trace(event: str, info: dict[str, Any]) -> None:
        events.append((event, info["request"].method))

    stream = FakeStream([TWO], write_error=httpcore.WriteError("broken pipe"))
    connection, _ = connect(stream)
    request = httpx.Request("GET", "http://api.example/v1", extensions={"trace": trace})
    assert (await connection.send(request)).status_code == 200
    assert events == [("connection.connect_tcp.started", "GET"), ("http11.send_request_headers.started", "GET")]


async def test_the_steps_of_an_exchange_are_reported(connect: Connect) -> None:
    events = []

    async def trace(event: str, info: dict[str, Any]) -> None:
        events.append((event, info["request"].method))

    connection, _ = connect(FakeStream([TWO, TWO]))
    request = httpx.Request("GET", "http://api.example/v1", extensions={"trace": trace})
    for _ in range(2):
        await connection.send(request)
    sent = [("http11.send_request_headers.started", "GET"), ("http11.send_request_headers.complete", "GET")]
    assert events == [("connection.connect_tcp.started", "GET"), *sent, *sent]


async def test_the_response_to_a_head_request_has_only_a_head(connect: Connect) -> None:
    connection, _ = connect(FakeStream([b"HTTP/1.1 200 OK\r\nX-Request-Id: 7\r\nContent-Length: 2\r\n\r\n"]))
    got = await connection.send(httpx.Request("HEAD", "http://api.example/v1"))
    assert (got.headers["x-request-id"], got.content) == ("7", b"")


async def test_the_network_is_that_of_the_event_loop(anyio_backend_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = {"asyncio": FakeNetwork([FakeStream([])]), "trio": FakeNetwork([FakeStream([])])}
    monkeypatch.setattr(direct, "connect_on_asyncio", networks["asyncio"].connect_tcp)
    monkeypatch.setattr(httpcore, "TrioBackend", lambda: networks["trio"])
    await direct._connect("api.example", 443, 5.0)
    connected = {name: network.connected for name, network in networks.items() if network.connected}
    assert connected == {anyio_backend_name: [("api.example", 443, 5.0)]}


async def test_of_an_error_body_64_kb_are_read_and_one_byte(connect: Connect) -> None:
    head = b"HTTP/1.1 422 No\r\nContent-Length: 200000\r\n\r\n"
    stream = FakeStream([head, b"a" * LARGEST_ERROR_BODY, b"bc", b"never"])
    connection, _ = connect(stream)
    got = await connection.send(get())
    assert got.content == b"a" * LARGEST_ERROR_BODY + b"b"
    assert (stream.pieces, stream.closed) == ([b"never"], 1)


@pytest.mark.parametrize("status", [200, 422])
async def test_a_body_in_very_many_small_chunks_is_not_read_on(connect: Connect, status: int) -> None:
    """Also where it is not too long."""
    head = b"HTTP/1.1 %d Status\r\nTransfer-Encoding: chunked\r\n\r\n" % status
    rest = LARGEST_ERROR_BODY - 10_000
    stream = FakeStream([head + b"1\r\na\r\n" * 10_000, b"%x\r\n" % rest + b"a" * rest, b"never"])
    connection, _ = connect(stream)
    with pytest.raises(errors.DecodeError, match="in more than 10000 chunks") as caught:
        await connection.send(get())
    assert (caught.value.status, stream.pieces) == (status, [b"never"])


async def test_a_body_that_is_too_large_is_not_read_to_its_end(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "LARGEST_BODY", 10)
    stream = FakeStream([b"HTTP/1.1 200 OK\r\nX-Request-Id: 7\r\nContent-Length: 99\r\n\r\n", b" " * 11, b"never"])
    connection, _ = connect(stream)
    with pytest.raises(errors.DecodeError, match=f"larger than {bodies.LARGEST_BODY} bytes") as caught:
        await connection.send(get())
    assert (caught.value.status, caught.value.request_id) == (200, "7")
    assert stream.pieces == [b"never"]


async def test_on_windows_what_came_while_idle_is_looked_for(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asyncio reads ahead there, and the socket then shows nothing."""
    monkeypatch.setattr(sys, "platform", "win32")
    first, second = FakeStream([TWO]), FakeStream([TWO])
    connection, network = connect(first, second)
    await connection.send(get())
    first.pieces = [b"HTTP/1.1 200 OK"]
    await connection.send(get())
    assert (len(network.connected), first.closed) == (2, 1)
    # Nothing came.
    second.reads.clear()
    second.pieces = []
    with anyio.move_on_after(1):
        await connection.send(get())
    assert (len(network.connected), len(second.reads)) == (2, 2)


@pytest.mark.parametrize("has_poll", [True, False])
def test_a_socket_is_readable_once_something_arrives(monkeypatch: pytest.MonkeyPatch, has_poll: bool) -> None:
    if not has_poll:
        # As on Windows.
        monkeypatch.delattr(select, "poll", raising=False)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not direct._is_readable(ours)
        theirs.send(b"H")
        assert direct._is_readable(ours)
        ours.recv(1)
        assert not direct._is_readable(ours)
        theirs.shutdown(socket.SHUT_WR)
        assert direct._is_readable(ours)
    # It has no descriptor any more.
    assert direct._is_readable(ours)


def test_asking_a_socket_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    class Poll:
        def register(self, *arguments: object) -> None:
            asked.append(arguments)

        def poll(self, *arguments: object) -> list[object]:
            asked.append(arguments)
            return []

    def select_of(*arguments: object) -> tuple[list[object], ...]:
        asked.append(arguments)
        return [], [], []

    monkeypatch.setattr(select, "poll", Poll, raising=False)
    monkeypatch.setattr(select, "POLLIN", 1, raising=False)
    monkeypatch.setattr(select, "select", select_of)
    assert not direct._is_readable("wire")
    assert asked == [("wire", 1), (0,)]
    asked.clear()
    monkeypatch.delattr(select, "poll")
    assert not direct._is_readable("wire")
    assert asked == [(["wire"], [], [], 0)]


# --- over real sockets ---------------------------------------------------------------------------------------------

on_every_loop = pytest.mark.parametrize("anyio_backend", [pytest.param(LOOPS[loop], id=loop) for loop in LOOPS])


@pytest.fixture(autouse=True)
def uvloop_is_installed(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("sockets") and request.getfixturevalue("anyio_backend") is LOOPS["uvloop"]:
        # It does not exist for Windows.
        pytest.importorskip("uvloop")


@pytest.mark.sockets
@on_every_loop
async def test_a_response_that_waits_behind_another_is_not_taken(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop receives both at once; TLS takes 64 kB of that, in which only a part of the second one's record
    follows the first one, and neither the socket nor TLS shows the rest.
    """
    first, second = sized_response(62_000), response(OTHER_BODY.ljust(30_000))
    report = direct._report

    async def report_and_block(request: httpx.Request, event: str) -> None:
        await report(request, event)
        if event.endswith("complete") and target.server.exchanges < 2:
            target.server.wait_for_exchanges(1)
            target.wait_until_idle()

    monkeypatch.setattr(direct, "_report", report_and_block)
    async with nothing_left_behind():
        with secure([Behaviour(lambda peer: peer.send_together(first, second))]) as target, anyio.fail_after(20):
            async with AsyncClient(KEY, base_url=target.base_url) as client:
                for _ in range(2):
                    assert (await client.metrics.mrr("2023-07-01", "2023-07-31")).entries == NORMAL_ENTRIES
    assert target.server.connections == 2


@pytest.mark.sockets
@on_every_loop
async def test_a_body_is_sent_with_its_request(anyio_backend: object) -> None:
    received: list[bytes] = []

    def run(peer: Peer) -> None:
        received.append(peer._received)
        peer.send(NORMAL_RESPONSE)

    with FaultServer([Behaviour(run)]) as server:
        connection = direct.DirectConnection(httpx.URL(server.url), NO_TLS, math.inf)
        await connection.send(httpx.Request("POST", server.url, content=b"{}"))
        await connection.aclose()
    assert received == [b"{}"]
