"""The socket below one of httpx's connections is closed whatever happened."""

from __future__ import annotations

import errno
import socket
from typing import Any

import aiohappyeyeballs
import anyio
import httpcore
import httpx
import pytest

from chartmogul_async.transport import network
from chartmogul_async.transport.connections import Connections, connections_to
from chartmogul_async.transport.network import SocketKeepingBackend
from tests.fake_connections import REQUEST, Fake, Layer
from tests.faults.kinds import connections_of
from tests.faults.loops import LOOPS
from tests.faults.targets import environment


class FakeStream:
    def __init__(self) -> None:
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


class FakeNetwork:
    """A network backend without a network, which records how it was asked for a connection."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    async def connect_tcp(self, host: str, port: int, timeout: float | None, **options: object) -> FakeStream:  # noqa: ASYNC109
        self.calls.append(("tcp", host, port, timeout, *options))
        return FakeStream()

    async def sleep(self, seconds: float) -> None:
        self.calls.append(("sleep", seconds))


def network_of(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    """One that connects on every event loop."""
    fake = FakeNetwork()
    monkeypatch.setattr(network, "connect_on_asyncio", fake.connect_tcp)
    return fake


@pytest.mark.sockets
@pytest.mark.parametrize("anyio_backend", [pytest.param(LOOPS[loop], id=loop) for loop in ("asyncio", "uvloop")])
@pytest.mark.parametrize("works", [True, False])
async def test_every_address_of_a_host_is_tried(
    works: bool, anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On trio that is done by trio."""
    if anyio_backend is LOOPS["uvloop"]:
        # It does not exist for Windows.
        pytest.importorskip("uvloop")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        addresses = [closed.getsockname()]

    async def resolve(host: str, port: int) -> list[object]:
        assert (host, port) == ("x.example", 80)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in addresses]

    monkeypatch.setattr(network, "addresses_of", resolve)
    backend = SocketKeepingBackend(None)
    if works:
        with socket.create_server(("127.0.0.1", 0)) as server:
            addresses.append(server.getsockname())
            await backend.connect_tcp("x.example", 80, timeout=5.0)
    else:
        addresses *= 2
        with pytest.raises(httpcore.ConnectError, match="Connect call failed"):
            await backend.connect_tcp("x.example", 80, timeout=5.0)
    await backend.aclose()


async def test_a_name_without_an_address_is_a_connect_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(*_: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(network, "addresses_of", resolve)
    with pytest.raises(httpcore.ConnectError, match="Name or service not known"):
        await network.connect_on_asyncio("x.example", 80, timeout=5.0)


async def test_connecting_takes_no_longer_than_its_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(*_: object) -> list[object]:
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(network, "addresses_of", resolve)
    started = anyio.current_time()
    with anyio.fail_after(60.0), pytest.raises(httpcore.ConnectTimeout):
        await network.connect_on_asyncio("x.example", 80, timeout=5.0)
    assert anyio.current_time() - started == pytest.approx(5.0)


async def test_a_timeout_of_the_system_keeps_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(*_: object) -> list[object]:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    monkeypatch.setattr(network, "addresses_of", resolve)
    with pytest.raises(httpcore.ConnectTimeout, match="Connection timed out"):
        await network.connect_on_asyncio("x.example", 80, timeout=5.0)


async def test_the_next_address_is_tried_after_a_quarter_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens then is tested where it is done, in aiohappyeyeballs."""
    delays: list[float | None] = []

    async def resolve(*_: object) -> list[object]:
        return []

    async def start_connection(addresses: object, happy_eyeballs_delay: float | None = None) -> socket.socket:
        delays.append(happy_eyeballs_delay)
        raise OSError("unreachable")

    monkeypatch.setattr(network, "addresses_of", resolve)
    monkeypatch.setattr(aiohappyeyeballs, "start_connection", start_connection)
    with pytest.raises(httpcore.ConnectError, match="unreachable"):
        await network.connect_on_asyncio("x.example", 80, timeout=5.0)
    assert delays == [0.25]


@pytest.mark.parametrize("error", [OSError("already lost"), KeyboardInterrupt()], ids=["lost", "interrupted"])
async def test_a_socket_that_becomes_no_stream_is_closed(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    connected, other = socket.socketpair()

    async def resolve(*_: object) -> list[object]:
        return []

    async def start_connection(*_: object, **__: object) -> socket.socket:
        return connected

    async def from_socket(given: socket.socket) -> None:
        assert given is connected
        raise error

    monkeypatch.setattr(network, "addresses_of", resolve)
    monkeypatch.setattr(aiohappyeyeballs, "start_connection", start_connection)
    monkeypatch.setattr("anyio.abc.SocketStream.from_socket", from_socket)
    expected = httpcore.ConnectError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        await network.connect_on_asyncio("x.example", 80, timeout=5.0)
    assert connected.fileno() == -1
    other.close()


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), httpcore.ConnectError("refused")])
async def test_where_no_name_can_be_looked_up_on_trio_the_connection_fails(error: Exception) -> None:
    """A thread looks it up, and the process may have as many as it may."""

    class Refusing(FakeNetwork):
        async def connect_tcp(self, *_: object, **__: object) -> FakeStream:
            raise error

    with pytest.raises(httpcore.ConnectError, match=str(error)):
        await network.connect_on_trio(Refusing(), "x.example", 80, timeout=5.0)


class WithoutThreads(FakeNetwork):
    async def connect_tcp(self, *_: object, **__: object) -> FakeStream:
        raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_the_connections_of_httpx_fail_so_on_trio() -> None:
    with pytest.raises(httpcore.ConnectError, match="can't start new thread"):
        await SocketKeepingBackend(WithoutThreads()).connect_tcp("x.example", 80)


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_those_of_the_extra_fast_fail_so_on_trio(monkeypatch: pytest.MonkeyPatch) -> None:
    direct = pytest.importorskip(
        "chartmogul_async.transport.direct", reason="the extra fast is not installed", exc_type=ImportError
    )
    monkeypatch.setattr(httpcore, "TrioBackend", WithoutThreads)
    with pytest.raises(httpcore.ConnectError, match="can't start new thread"):
        await direct._connect("x.example", 80, 5.0)


async def test_a_transport_of_another_kind_keeps_no_socket() -> None:
    for transport in (Fake(), Layer(_pool=Layer())):
        network.keep_socket(transport)  # type: ignore[arg-type]
        await network.close_socket(transport)


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:3128", "https://127.0.0.1:3128"])
async def test_the_socket_of_every_connection_is_kept(proxy: str | None) -> None:
    """The backend has no public name; where it has another one, a cancelled TLS handshake leaks its socket."""
    with connections_of("httpx"), environment(**{"https_proxy": proxy} if proxy else {}):
        transport: Any = connections_to(httpx.URL("https://api.chartmogul.localhost/v1"))._make()
    assert hasattr(transport, "_pool"), "httpx has renamed AsyncHTTPTransport._pool: see transport/network.py"
    backend = getattr(transport._pool, "_network_backend", None)
    assert isinstance(backend, SocketKeepingBackend), "httpcore has renamed _network_backend: see transport/network.py"
    assert hasattr(backend._backend, "connect_tcp")


async def test_a_network_that_keeps_its_socket_opens_and_waits(
    anyio_backend_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """httpcore passes no option unless it is asked to, and on asyncio they have no effect."""
    inner = network_of(monkeypatch)
    backend = SocketKeepingBackend(inner)
    await backend.connect_tcp("x.example", 443, timeout=5.0, socket_options=[])
    await backend.sleep(2.5)
    options = ["socket_options"] if anyio_backend_name == "trio" else []
    assert inner.calls == [("tcp", "x.example", 443, 5.0, *options), ("sleep", 2.5)]


async def test_only_the_latest_socket_is_kept_and_closed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = SocketKeepingBackend(network_of(monkeypatch))
    await backend.aclose()
    first, second = [await backend.connect_tcp("x.example", 443) for _ in range(2)]
    assert (first.closed, second.closed) == (1, 0)
    for _ in range(2):
        await backend.aclose()
    assert (first.closed, second.closed) == (1, 1)


@pytest.mark.parametrize("error", [None, OSError("already gone")])
async def test_the_socket_is_closed_with_its_connection(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if closing the connection fails."""

    class Kept(Fake):
        def __init__(self) -> None:
            super().__init__()
            self._pool: Any = Layer(_network_backend=SocketKeepingBackend(network_of(monkeypatch)))

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            streams.append(await self._pool._network_backend.connect_tcp("x.example", 443))
            raise httpx.ConnectError("the handshake failed")

        async def aclose(self) -> None:
            if error:
                raise error

    streams: list[FakeStream] = []
    with pytest.raises(httpx.ConnectError):
        await Connections(Kept).send(REQUEST)
    assert [stream.closed for stream in streams] == [1]
