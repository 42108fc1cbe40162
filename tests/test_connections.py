"""One connection for each request in flight, over real sockets: reused, discarded alone, and closed."""

from __future__ import annotations

import gc
import math
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import httpcore
import httpx
import pytest

from chartmogul_async import AsyncClient, RetryPolicy, Throttle, errors
from chartmogul_async.sandbox import Company, Fault, Faults, Limits, Sandbox
from chartmogul_async.transport import connections, network
from chartmogul_async.transport.connections import Borrowed, Connections, connections_to
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.network import SocketKeepingBackend
from chartmogul_async.transport.permits import Permit
from chartmogul_async.transport.unsolicited import has_unsolicited_data, layers_of, parser_of
from tests.faults.kinds import HAS_DIRECT, KINDS, connections_of, on_both_connections
from tests.faults.loops import LOOPS
from tests.faults.routes import ROUTES, port_of
from tests.faults.targets import environment
from tests.soak.witnesses import sockets_to

pytestmark = pytest.mark.sockets

COMPANY = Company(customers=20)
QUICK = RetryPolicy(base=0.001)
INSTALLED = "DirectConnection" if HAS_DIRECT else "AsyncHTTPTransport"


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(COMPANY, limits=Limits(per_second=10**6, parallel=10**6))


@pytest.fixture
def url(sandbox: Sandbox) -> Iterator[str]:
    with sandbox.serve() as url:
        yield url


def client_to(url: str, sandbox: Sandbox, **options: object) -> AsyncClient:
    return AsyncClient(sandbox.api_key, base_url=url, **{"throttle": Throttle(10**6), **options})  # type: ignore[arg-type]


async def test_calls_one_after_the_other_use_one_connection(sandbox: Sandbox, url: str) -> None:
    async with client_to(url, sandbox) as client:
        for _ in range(10):
            await client.metrics.mrr("2025-01-01", "2025-12-31")
    assert (sandbox.counters.requests, sandbox.counters.connections) == (10, 1)


async def test_forty_concurrent_calls_use_twenty_connections(sandbox: Sandbox, url: str) -> None:
    # Long enough for twenty requests to arrive before the first response is sent.
    sandbox.latency = 0.5
    async with client_to(url, sandbox) as client, anyio.create_task_group() as group:
        for _ in range(40):
            group.start_soon(client.ping)
    assert sandbox.counters.requests == 40
    assert sandbox.counters.peak_parallel == sandbox.counters.connections == 20


async def test_a_broken_connection_is_discarded_alone(sandbox: Sandbox, url: str) -> None:
    async with client_to(url, sandbox, retry=QUICK) as client:
        await client.ping()
        sandbox.faults = Faults.sequence(Fault.reset())
        await client.ping()
        await client.ping()
    assert sandbox.counters.requests == 4
    assert sandbox.counters.connections == 2


@pytest.mark.parametrize("anyio_backend", [pytest.param(LOOPS[loop], id=loop) for loop in LOOPS])
@pytest.mark.parametrize(
    ("route", "kind"),
    [(route, kind) for route in ROUTES for kind in (KINDS if "proxy" not in route else ["httpx"])],
)
async def test_a_cancelled_exchange_leaves_nothing_behind(
    sandbox: Sandbox, url: str, route: str, kind: str, anyio_backend: object
) -> None:
    if anyio_backend is LOOPS["uvloop"]:
        # It does not exist for Windows.
        pytest.importorskip("uvloop")
    throttle = Throttle(10**6)
    with connections_of(kind), ROUTES[route](url) as own_url:
        async with client_to(own_url, sandbox, throttle=throttle) as client:
            sandbox.latency = 60
            with anyio.move_on_after(0.1):
                async with anyio.create_task_group() as group:
                    for _ in range(50):
                        group.start_soon(client.ping)
            statistics = throttle.statistics()
            assert (statistics.in_flight, statistics.waiting) == (0, 0)
            await anyio.wait_all_tasks_blocked()
            assert sockets_to(port_of(own_url)) == 0
            sandbox.latency = 0
            assert await client.ping() == "pong!"
        await anyio.wait_all_tasks_blocked()
        assert sockets_to(port_of(own_url)) == 0
    # A socket that was not closed emits a warning when it is collected, which fails the test.
    gc.collect()


async def test_a_refused_connection_is_a_network_error() -> None:
    async with AsyncClient("key", base_url="http://127.0.0.1:1", retry=RetryPolicy(attempts=2, base=0.001)) as client:
        with pytest.raises(errors.NetworkError, match=r"^GET http://127\.0\.0\.1:1/ping: ConnectError") as caught:
            await client.ping()
    assert caught.value.attempts == 2


async def test_a_stalled_body_times_out(sandbox: Sandbox, url: str) -> None:
    sandbox.faults = Faults.sequence(Fault.stall(), Fault.stall())
    async with client_to(url, sandbox, retry=RetryPolicy(attempts=2, base=0.001), timeout=0.1) as client:
        with pytest.raises(errors.RequestTimeoutError, match="ReadTimeout"):
            await client.ping()


# --- without sockets --------------------------------------------------------------------------------------------

REQUEST = httpx.Request("GET", "https://x.example")


class Fake(httpx.AsyncBaseTransport):
    """A connection whose responses wait for its gate."""

    def __init__(self) -> None:
        self.closed = False
        self.gate = anyio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self.gate.wait()
        return httpx.Response(200)

    async def aclose(self) -> None:
        self.closed = True


class Fakes:
    """Makes fake connections and keeps them."""

    def __init__(self, kind: type[Fake] = Fake) -> None:
        self.made: list[Fake] = []
        self.kind = kind

    def __call__(self) -> Fake:
        self.made.append(self.kind())
        return self.made[-1]

    @property
    def closed(self) -> list[bool]:
        return [fake.closed for fake in self.made]

    async def serve(self, connections: Connections, number: int) -> None:
        """So many exchanges at the same time, each on its own connection."""
        async with anyio.create_task_group() as group:
            for _ in range(number):
                group.start_soon(connections.handle_async_request, REQUEST)
            await anyio.wait_all_tasks_blocked()
            for fake in self.made:
                fake.gate.set()


async def test_closing_during_an_exchange_closes_its_connection_later() -> None:
    fakes = Fakes()
    pool = Connections(fakes)
    async with anyio.create_task_group() as group:
        group.start_soon(pool.handle_async_request, REQUEST)
        await anyio.wait_all_tasks_blocked()
        await pool.aclose()
        assert fakes.closed == [False]
        fakes.made[0].gate.set()
    assert fakes.closed == [True]


async def test_the_most_recently_used_connection_is_taken() -> None:
    fakes = Fakes()
    pool = Connections(fakes)
    await fakes.serve(pool, 2)
    for fake in fakes.made:
        fake.gate = anyio.Event()
    last_used: list[Fake] = []
    async with anyio.create_task_group() as group:
        group.start_soon(pool.handle_async_request, REQUEST)
        await anyio.wait_all_tasks_blocked()
        last_used += [fake for fake in fakes.made if fake.gate.statistics().tasks_waiting]
        last_used[0].gate.set()
    assert len(last_used) == 1
    # It was put back, and is taken again; the other one would never respond.
    with anyio.fail_after(5):
        await pool.handle_async_request(REQUEST)
    assert len(fakes.made) == 2


@pytest.mark.parametrize(("idle", "expected"), [(29.9, 0), (30.1, 2)])
async def test_connections_that_idle_too_long_are_closed(idle: float, expected: int) -> None:
    fakes, now = Fakes(), 1000.0
    pool = Connections(fakes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anyio, "current_time", lambda: now)
        await fakes.serve(pool, 3)
        now += idle
        await pool.handle_async_request(REQUEST)
    assert fakes.closed.count(True) == expected
    assert len(fakes.made) == 3


async def test_any_number_of_idle_connections_can_be_closed() -> None:
    """Three thousand are more than Python lets calls nest."""
    fakes = Fakes()
    pool = Connections(fakes)
    await fakes.serve(pool, 3000)
    await pool.aclose()
    assert fakes.closed == [True] * 3000


async def test_a_connection_that_hangs_while_closing_is_given_up() -> None:
    class Hanging(Fake):
        async def aclose(self) -> None:
            self.closed = True
            await anyio.sleep_forever()

    fakes = Fakes(Hanging)
    pool = Connections(fakes)
    await fakes.serve(pool, 2)
    with pytest.MonkeyPatch.context() as patch, anyio.fail_after(5):
        patch.setattr(connections, "_CLOSING", 0.01)
        await pool.aclose()
    assert fakes.closed == [True, True]


async def test_a_cancelled_exchange_still_closes_its_connection() -> None:
    class Slow(Fake):
        async def aclose(self) -> None:
            await anyio.sleep(0.01)
            self.closed = True

    fakes = Fakes(Slow)
    with anyio.move_on_after(0.01) as scope:
        await Connections(fakes).handle_async_request(REQUEST)
    assert scope.cancelled_caught
    assert fakes.closed == [True]


async def test_an_error_while_closing_hides_nothing() -> None:
    class Broken(Fake):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ReadError("reset")

        async def aclose(self) -> None:
            raise OSError("already gone")

    with pytest.raises(httpx.ReadError):
        await Connections(Broken).handle_async_request(REQUEST)


async def test_a_body_that_breaks_costs_its_connection() -> None:
    class Breaking(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"{"
            raise httpx.ReadError("reset")

    class Broken(Fake):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=Breaking())

    fakes = Fakes(Broken)
    with pytest.raises(httpx.ReadError):
        await Connections(fakes).handle_async_request(REQUEST)
    assert fakes.closed == [True]


async def test_a_connection_lost_while_it_is_made_is_a_connect_error() -> None:
    """On uvloop, anyio looks up the name of a socket that was reset immediately, and there is none any more."""

    class Lost(Fake):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise AttributeError("'NoneType' object has no attribute 'getpeername'")

    fakes = Fakes(Lost)
    with pytest.raises(httpx.ConnectError, match="lost as soon as it was made") as caught:
        await Connections(fakes).handle_async_request(REQUEST)
    assert isinstance(caught.value.__cause__, AttributeError)
    assert fakes.closed == [True]


async def test_a_users_transport_is_shared_and_closed_with_the_client() -> None:
    fake = Fake()
    fake.gate.set()
    borrowed = Borrowed(fake)
    for _ in range(2):
        assert (await borrowed.handle_async_request(REQUEST)).content == b""
    assert not fake.closed
    await borrowed.aclose()
    assert fake.closed


# --- the socket below a connection ------------------------------------------------------------------------------


class FakeStream:
    def __init__(self) -> None:
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


class FakeNetwork:
    """A network backend without a network, which records how it was asked for a connection."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    async def connect_tcp(self, host: str, port: int, timeout: float | None) -> FakeStream:  # noqa: ASYNC109
        self.calls.append(("tcp", host, port, timeout))
        return FakeStream()

    async def sleep(self, seconds: float) -> None:
        self.calls.append(("sleep", seconds))


def network_of(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    """One that connects on every event loop."""
    fake = FakeNetwork()
    monkeypatch.setattr(network, "_connect_on_asyncio", fake.connect_tcp)
    return fake


@pytest.mark.parametrize("anyio_backend", [pytest.param(LOOPS[loop], id=loop) for loop in ("asyncio", "uvloop")])
@pytest.mark.parametrize("works", [True, False])
async def test_every_address_of_a_host_is_tried(
    works: bool, url: str, anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On trio that is done by trio."""
    if anyio_backend is LOOPS["uvloop"]:
        # It does not exist for Windows.
        pytest.importorskip("uvloop")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()
    addresses = [nobody, ("127.0.0.1", port_of(url) if works else nobody[1])]

    async def resolve(host: str, port: int, **options: object) -> list[object]:
        assert (host, port) == ("x.example", 80)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in addresses]

    monkeypatch.setattr(anyio, "getaddrinfo", resolve)
    backend = SocketKeepingBackend(None)
    if works:
        await backend.connect_tcp("x.example", 80, timeout=5.0)
    else:
        with pytest.raises(httpcore.ConnectError, match="Connect call failed"):
            await backend.connect_tcp("x.example", 80, timeout=5.0)
    await backend.aclose()


async def test_a_name_without_an_address_is_a_connect_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(*_: object, **options: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(anyio, "getaddrinfo", resolve)
    with pytest.raises(httpcore.ConnectError, match="Name or service not known"):
        await network._connect_on_asyncio("x.example", 80, timeout=5.0)


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:3128", "https://127.0.0.1:3128"])
async def test_the_socket_of_every_connection_is_kept(proxy: str | None) -> None:
    """The backend has no public name; where it has another one, a cancelled TLS handshake leaks its socket."""
    with connections_of("httpx"), environment(**{"https_proxy": proxy} if proxy else {}):
        transport: Any = connections_to(httpx.URL("https://api.chartmogul.localhost/v1"))._make()
    assert hasattr(transport, "_pool"), "httpx has renamed AsyncHTTPTransport._pool: see transport/network.py"
    backend = getattr(transport._pool, "_network_backend", None)
    assert isinstance(backend, SocketKeepingBackend), "httpcore has renamed _network_backend: see transport/network.py"
    assert hasattr(backend._backend, "connect_tcp")


async def test_a_network_that_keeps_its_socket_opens_and_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = network_of(monkeypatch)
    backend = SocketKeepingBackend(inner)
    await backend.connect_tcp("x.example", 443, timeout=5.0)
    await backend.sleep(2.5)
    assert inner.calls == [("tcp", "x.example", 443, 5.0), ("sleep", 2.5)]


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
        await Connections(Kept).handle_async_request(REQUEST)
    assert [stream.closed for stream in streams] == [1]


# --- unsolicited data -------------------------------------------------------------------------------------------


class Layer:
    """A layer of a stream, with the attributes that anyio or trio gives it."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


def bio(pending: int) -> Layer:
    return Layer(pending=pending)


def ssl_object(pending: int) -> Layer:
    return Layer(pending=lambda: pending)


def connection_with(trailing: bytes) -> Layer:
    return Layer(_h11_state=Layer(trailing_data=(trailing, False)))


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (connection_with(b""), False),
        (connection_with(b"HTTP/1.1 200 OK"), True),
        (Layer(_connection=connection_with(b"")), False),
        (Layer(_connection=Layer(_connection=connection_with(b"more"))), True),
        (Layer(_connection=None), False),
        (Layer(), False),
    ],
)
def test_data_left_in_the_parser_is_unsolicited(connection: Layer, expected: bool) -> None:
    transport: Any = Layer(_pool=Layer(connections=[connection]))
    assert has_unsolicited_data(transport, httpx.Response(200)) is expected


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (None, False),
        (Layer(), False),
        (Layer(_protocol=Layer(read_queue=[b"more"])), True),
        (Layer(_protocol=Layer(read_queue=[])), False),
        (Layer(_read_bio=bio(1), _ssl_object=ssl_object(0)), True),
        (Layer(_incoming=bio(1), _ssl_object=ssl_object(0)), True),
        (Layer(_read_bio=bio(0), _ssl_object=ssl_object(1)), True),
        (Layer(_read_bio=bio(0), _ssl_object=ssl_object(0)), False),
        (Layer(_stream=Layer(transport_stream=Layer(_protocol=Layer(read_queue=[b"more"])))), True),
        (Layer(_stream=Layer(transport_stream=Layer(_protocol=Layer(read_queue=[])))), False),
    ],
)
def test_data_left_in_any_layer_of_a_stream_is_unsolicited(stream: Layer | None, expected: bool) -> None:
    response = httpx.Response(200, extensions={"network_stream": stream})
    assert has_unsolicited_data(Fake(), response) is expected


# The layers of TLS between the client and the server's response.
TLS_LAYERS = {"directly": 0, "over TLS": 1, "through a proxy": 1, "through a proxy over TLS": 2}


@pytest.mark.parametrize("anyio_backend", [pytest.param(LOOPS[loop], id=loop) for loop in LOOPS])
@pytest.mark.parametrize("route", ROUTES)
async def test_the_private_names_that_are_read_still_exist(
    route: str, url: str, anyio_backend: object, anyio_backend_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them no data would be found. A message says whose names transport/unsolicited.py no longer knows."""
    if anyio_backend is LOOPS["uvloop"]:
        # It does not exist for Windows.
        pytest.importorskip("uvloop")
    seen: list[tuple[Any, httpx.Response]] = []

    def look(transport: Any, response: httpx.Response) -> bool:
        seen.append((transport, response))
        return has_unsolicited_data(transport, response)

    monkeypatch.setattr(connections, "has_unsolicited_data", look)
    with connections_of("httpx"), ROUTES[route](url) as reached_by:
        async with AsyncClient("sandbox", base_url=reached_by) as client:
            await client.ping()
            ((transport, response),) = seen
            (connection,) = transport._pool.connections
            parser = parser_of(connection)
            layers = list(layers_of(response.extensions["network_stream"]))
    assert parser is not None, "httpcore: _connection, _h11_state"
    assert parser.trailing_data[0] == b"", "h11: trailing_data"
    encrypted = [layer for layer in layers if hasattr(layer, "_ssl_object")]
    assert len(encrypted) == TLS_LAYERS[route], (
        "httpcore: _stream; anyio: _ssl_object, transport_stream; trio: the same"
    )
    bios = "_incoming" if anyio_backend_name == "trio" else "_read_bio"
    assert all(getattr(layer, bios).pending == 0 for layer in encrypted), "anyio: _read_bio; trio: _incoming"
    if anyio_backend_name == "trio":
        assert hasattr(layers[-1], "socket"), "trio keeps no data beside the socket"
    else:
        assert not layers[-1]._protocol.read_queue, "anyio: _protocol, read_queue"


async def test_a_connection_with_unsolicited_data_is_not_reused() -> None:
    class Talkative(Fake):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            stream = Layer(_protocol=Layer(read_queue=[b"more"]))
            return httpx.Response(200, extensions={"network_stream": stream})

    fakes = Fakes(Talkative)
    pool = Connections(fakes)
    for _ in range(2):
        assert (await pool.handle_async_request(REQUEST)).status_code == 200
    assert fakes.closed == [True, True]


# --- the time of sending ----------------------------------------------------------------------------------------


@on_both_connections
async def test_the_throttle_learns_when_a_request_was_sent(sandbox: Sandbox, url: str, kind: str) -> None:
    """Until the headers are written, each request is not sent."""
    sent: list[tuple[int, bool]] = []
    mark = AccountLimits.mark_sent

    def record(limits: AccountLimits, number: int, now: float) -> None:
        mark(limits, number, now)
        sent.append((number, now < math.inf))

    with connections_of(kind), pytest.MonkeyPatch.context() as patch:
        patch.setattr(AccountLimits, "mark_sent", record)
        async with client_to(url, sandbox) as client:
            for _ in range(2):
                await client.ping()
    assert sent == [(1, False), (1, True), (2, False), (2, True)]


@on_both_connections
async def test_only_written_headers_count_as_sent(sandbox: Sandbox, url: str, kind: str) -> None:
    """Connecting may take long, and the server counts a request when it arrives."""
    events: list[str] = []
    trace = Permit.trace

    async def record(permit: Permit, event: str, info: dict[str, Any]) -> None:
        before = len(sent)
        await trace(permit, event, info)
        if len(sent) != before:
            events.append(event)

    sent: list[float] = []
    with connections_of(kind), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Permit, "trace", record)
        patch.setattr(AccountLimits, "mark_sent", lambda _, number, now: sent.append(now))
        async with client_to(url, sandbox) as client:
            await client.ping()
    assert sent[0] == math.inf
    assert events[1:] == ["http11.send_request_headers.complete"]


# --- TLS and proxies --------------------------------------------------------------------------------------------


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """The options of every connection that is made; none is opened."""
    options: list[dict[str, object]] = []

    def make(**given: object) -> Fake:
        options.append(given)
        fake = Fake()
        fake.gate.set()
        return fake

    monkeypatch.setattr(httpx, "AsyncHTTPTransport", make)
    monkeypatch.setattr(connections, "_direct_connection", lambda: None)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return options


async def first_connection_to(url: str) -> None:
    await connections_to(httpx.URL(url)).handle_async_request(httpx.Request("GET", url))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, INSTALLED),
        ({"https_proxy": "http://p.example:3128"}, "AsyncHTTPTransport"),
        ({"https_proxy": "http://p.example:3128", "no_proxy": "chartmogul.test"}, INSTALLED),
    ],
)
async def test_a_connection_is_direct_where_no_proxy_applies(variables: dict[str, str], expected: str) -> None:
    with environment(**variables):
        made = [connections_to(httpx.URL("https://api.chartmogul.test/v1"))._make() for _ in range(2)]
    assert [type(connection).__name__ for connection in made] == [expected] * 2


def test_without_httptools_nothing_is_direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httptools", None)
    for module in ("chartmogul_async.transport.direct", "chartmogul_async.transport.http1"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    assert connections._direct_connection.__wrapped__() is None


def test_only_http_1_is_offered_in_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    offered: list[list[str]] = []
    monkeypatch.setattr(ssl.SSLContext, "set_alpn_protocols", lambda _, protocols: offered.append(protocols))
    connections._tls_context.cache_clear()
    connections._tls_context()
    connections._tls_context.cache_clear()
    assert offered == [["http/1.1"]]


async def test_one_tls_context_is_shared_by_all_connections(made: list[dict[str, object]]) -> None:
    await first_connection_to("https://api.chartmogul.com/v1")
    await first_connection_to("https://api.chartmogul.com/v1")
    assert made[0]["verify"] is made[1]["verify"]
    context = made[0]["verify"]
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_plain_http_reads_no_certificates(made: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(httpx, "create_ssl_context")
    connections._tls_context.cache_clear()
    await first_connection_to("http://localhost:8000")
    assert isinstance(made[0]["verify"], ssl.SSLContext)


async def test_a_connection_is_alone_in_its_transport(made: list[dict[str, object]]) -> None:
    await first_connection_to("https://api.chartmogul.com/v1")
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0)
    assert made[0]["limits"] == limits


@pytest.mark.parametrize("proxy", ["ftp://p.example", "nonsense://p.example:1"])
async def test_an_unusable_proxy_is_reported(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(errors.ArgumentError, match=r"HTTPS_PROXY/ALL_PROXY cannot be used: .*scheme"):
        await first_connection_to("https://api.chartmogul.com/v1")


@pytest.mark.parametrize("proxy", ["http://p.example:99999", "https://p.example:0", "p.example:-1"])
async def test_a_port_of_a_proxy_must_exist(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("https_proxy", proxy)
    expected = rf"^HTTPS_PROXY/ALL_PROXY cannot be used: the port must be from 1 to 65535, not {proxy.split(':')[-1]}$"
    with pytest.raises(errors.ArgumentError, match=expected):
        await first_connection_to("https://api.chartmogul.com/v1")


async def test_a_proxy_over_tls_shares_the_tls_context(
    made: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "https://user:word@p.example:1")
    await first_connection_to("https://api.chartmogul.com/v1")
    proxy = made[0]["proxy"]
    assert isinstance(proxy, httpx.Proxy)
    assert (str(proxy.url), proxy.raw_auth) == ("https://p.example:1", (b"user", b"word"))
    assert proxy.ssl_context is made[0]["verify"]


async def test_an_invalid_proxy_is_reported_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("https_proxy", "http://user:pa55/word@proxy.example:3128")
    with pytest.raises(errors.ArgumentError) as caught:
        await first_connection_to("https://api.chartmogul.com/v1")
    assert str(caught.value) == "HTTPS_PROXY/ALL_PROXY is not a valid URL"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_unreadable_certificates_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "create_ssl_context", lambda: ssl.create_default_context(cafile="/nowhere/certs.pem"))
    connections._tls_context.cache_clear()
    with pytest.raises(errors.ArgumentError, match="the TLS certificates cannot be read"):
        await first_connection_to("https://api.chartmogul.com/v1")


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "https://api.chartmogul.com", None),
        ({"https_proxy": "http://proxy.example:3128"}, "https://api.chartmogul.com", "http://proxy.example:3128"),
        ({"https_proxy": "proxy.example:3128"}, "https://api.chartmogul.com", "http://proxy.example:3128"),
        ({"all_proxy": "http://all.example:1"}, "https://api.chartmogul.com", "http://all.example:1"),
        ({"https_proxy": "http://p.example", "no_proxy": "chartmogul.com"}, "https://api.chartmogul.com", None),
        ({"http_proxy": "http://p.example"}, "http://localhost:8000", None),
    ],
)
async def test_the_environments_proxy_is_used_except_for_loopback(
    made: list[dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    url: str,
    proxy: str | None,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    await first_connection_to(url)
    assert made[0]["proxy"] == proxy
