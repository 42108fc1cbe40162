"""One connection for each request in flight: reused, discarded alone, and closed; proxies and TLS."""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest

from chartmogul_async import errors
from chartmogul_async.transport import connections
from chartmogul_async.transport.bodies import CompleteResponse
from chartmogul_async.transport.connections import Borrowed, Connections, connections_to
from tests.fake_connections import REQUEST, Fake, Fakes, Layer
from tests.faults.kinds import HAS_DIRECT
from tests.faults.targets import environment

INSTALLED = "DirectConnection" if HAS_DIRECT else "AsyncHTTPTransport"


async def test_closing_during_an_exchange_closes_its_connection_later() -> None:
    fakes = Fakes()
    pool = Connections(fakes)
    async with anyio.create_task_group() as group:
        group.start_soon(pool.send, REQUEST)
        await anyio.wait_all_tasks_blocked()
        await pool.aclose()
        assert fakes.closed == [False]
        fakes.made[0].gate.set()
    assert fakes.closed == [True]
    assert fakes.made[0].requests == [REQUEST]


async def test_the_most_recently_used_connection_is_taken() -> None:
    fakes = Fakes()
    pool = Connections(fakes)
    await fakes.serve(pool, 2)
    for fake in fakes.made:
        fake.gate = anyio.Event()
    last_used: list[Fake] = []
    async with anyio.create_task_group() as group:
        group.start_soon(pool.send, REQUEST)
        await anyio.wait_all_tasks_blocked()
        last_used += [fake for fake in fakes.made if fake.gate.statistics().tasks_waiting]
        last_used[0].gate.set()
    assert len(last_used) == 1
    # It was put back, and is taken again; the other one would never respond.
    with anyio.fail_after(5):
        await pool.send(REQUEST)
    assert len(fakes.made) == 2


@pytest.mark.parametrize(("idle", "expected"), [(29.9, 0), (30.1, 2)])
async def test_connections_that_idle_too_long_are_closed(idle: float, expected: int) -> None:
    fakes, now = Fakes(), 1000.0
    pool = Connections(fakes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anyio, "current_time", lambda: now)
        await fakes.serve(pool, 3)
        now += idle
        await pool.send(REQUEST)
    assert fakes.closed.count(True) == expected
    assert len(fakes.made) == 3


@pytest.mark.parametrize(("asleep", "closed"), [(0.0, 0), (9.0, 0), (11.0, 3), (3600.0, 3), (-3600.0, 0)])
async def test_no_connection_is_used_again_after_the_machine_slept(
    monkeypatch: pytest.MonkeyPatch, asleep: float, closed: int
) -> None:
    """Meanwhile the clock of the event loop stood still, and the server closed them unseen."""
    fakes, wall = Fakes(), time.time()
    monkeypatch.setattr(time, "time", lambda: wall)
    pool = Connections(fakes)
    await fakes.serve(pool, 3)
    wall += asleep
    await fakes.serve(pool, 1)
    await fakes.serve(pool, 1)
    assert fakes.closed.count(True) == closed
    assert len(fakes.made) == 3 + bool(closed)


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
        await Connections(fakes).send(REQUEST)
    assert scope.cancelled_caught
    assert fakes.closed == [True]


async def test_a_native_cancellation_closes_every_connection(anyio_backend_name: str) -> None:
    """A shield does not stop it."""
    if anyio_backend_name == "trio":
        pytest.skip("trio cancels scopes only")

    class Slow(Fake):
        async def aclose(self) -> None:
            self.closed = True
            await anyio.sleep(1.0)

    fakes = Fakes(Slow)
    pool = Connections(fakes)
    await fakes.serve(pool, 3)
    task = asyncio.create_task(pool.aclose())
    await anyio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert fakes.closed == [True] * 3


async def test_an_error_while_closing_hides_nothing() -> None:
    class Broken(Fake):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ReadError("reset")

        async def aclose(self) -> None:
            raise OSError("already gone")

    with pytest.raises(httpx.ReadError):
        await Connections(Broken).send(REQUEST)


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
        await Connections(fakes).send(REQUEST)
    assert fakes.closed == [True]


class Direct:
    """A connection of our own, which says of itself whether it can be used again."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.closed = False

    async def send(self, request: httpx.Request) -> CompleteResponse:
        self.requests.append(request)
        return CompleteResponse(200, httpx.Headers(), b"{}")

    async def aclose(self) -> None:
        self.closed = True


async def test_a_connection_of_our_own_is_given_one_request_after_another() -> None:
    made: list[Direct] = []

    def make() -> Direct:
        made.append(Direct())
        return made[-1]

    pool = Connections(make)
    for _ in range(2):
        assert (await pool.send(REQUEST)).content == b"{}"
    assert [direct.requests for direct in made] == [[REQUEST, REQUEST]]
    assert not made[0].closed
    await pool.aclose()
    assert made[0].closed


class Lost(Fake):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise AttributeError("'NoneType' object has no attribute 'getpeername'")


class LostDirectly:
    closed = False

    async def send(self, request: httpx.Request) -> CompleteResponse:
        raise AttributeError("'NoneType' object has no attribute 'getpeername'")

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("kind", [Lost, LostDirectly])
async def test_a_connection_lost_while_it_is_made_is_a_connect_error(kind: type[Lost | LostDirectly]) -> None:
    """On uvloop, anyio looks up the name of a socket that was reset immediately, and there is none any more."""
    lost = kind()
    with pytest.raises(httpx.ConnectError, match=r"^the connection was lost as soon as it was made$") as caught:
        await Connections(lambda: lost).send(REQUEST)
    assert isinstance(caught.value.__cause__, AttributeError)
    assert lost.closed


async def test_a_users_transport_is_shared_and_closed_with_the_client() -> None:
    fake = Fake()
    fake.gate.set()
    borrowed = Borrowed(fake)
    for _ in range(2):
        assert (await borrowed.send(REQUEST)).content == b""
    assert fake.requests == [REQUEST] * 2
    assert not fake.closed
    await borrowed.aclose()
    assert fake.closed


async def test_the_headers_that_a_users_transport_gives_are_copied() -> None:
    """It may give the same ones again, and a secret in them is masked."""
    given = httpx.Response(200, headers={"x-request-id": "7"}, content=b"{}")
    response = await Borrowed(httpx.MockTransport(lambda _: given)).send(REQUEST)
    assert response.headers == given.headers
    response.headers["x-request-id"] = "masked"
    assert given.headers["x-request-id"] == "7"


@pytest.mark.parametrize("held_by", ["the stream", "the parser"])
async def test_a_connection_with_unsolicited_data_is_not_reused(held_by: str) -> None:
    stream = Layer(_protocol=Layer(read_queue=[b"more"]))
    parser = Layer(trailing_data=(b"more", False))

    class Talkative(Fake):
        _pool = Layer(connections=[Layer(_h11_state=parser)] if held_by == "the parser" else [])

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, extensions={"network_stream": stream} if held_by == "the stream" else {})

    fakes = Fakes(Talkative)
    pool = Connections(fakes)
    for _ in range(2):
        assert (await pool.send(REQUEST)).status_code == 200
    assert fakes.closed == [True, True]


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
    await connections_to(httpx.URL(url)).send(httpx.Request("GET", url))


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


def test_a_direct_connection_knows_where_it_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[object, ...]] = []

    def direct(*arguments: object) -> Fake:
        given.append(arguments)
        return Fake()

    monkeypatch.setattr(connections, "_direct_connection", lambda: direct)
    url = httpx.URL("https://api.chartmogul.test/v1")
    connections_to(url)._make()
    assert given == [(url, connections._tls_context(), 30.0)]


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
    expected = r"^HTTPS_PROXY/ALL_PROXY cannot be used: the port must be from 1 to 65535$"
    with pytest.raises(errors.ArgumentError, match=expected):
        await first_connection_to("https://api.chartmogul.com/v1")


async def test_the_largest_port_of_a_proxy_is_accepted(
    made: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://p.example:65535")
    await first_connection_to("https://api.chartmogul.com/v1")
    assert made[0]["proxy"] == "http://p.example:65535"


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
