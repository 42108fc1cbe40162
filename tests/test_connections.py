"""One connection for each request in flight, over real sockets: reused, thrown away alone, and given back."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest

from chartmogul_async import AsyncClient, RetryPolicy, Throttle, errors
from chartmogul_async.sandbox import Company, Fault, Faults, Limits, Sandbox
from chartmogul_async.transport import connections
from chartmogul_async.transport.connections import Connections, connections_to
from chartmogul_async.transport.grants import Grant

pytestmark = pytest.mark.sockets

COMPANY = Company(customers=20)
QUICK = RetryPolicy(base=0.001)


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


async def test_forty_calls_at_once_use_twenty_connections(sandbox: Sandbox, url: str) -> None:
    sandbox.latency = 0.5  # long enough for twenty requests to arrive before the first is answered
    async with client_to(url, sandbox) as client, anyio.create_task_group() as group:
        for _ in range(40):
            group.start_soon(client.ping)
    assert sandbox.counters.requests == 40
    assert sandbox.counters.peak_parallel == sandbox.counters.connections == 20


async def test_a_connection_that_broke_is_thrown_away_alone(sandbox: Sandbox, url: str) -> None:
    async with client_to(url, sandbox, retry=QUICK) as client:
        await client.ping()
        sandbox.faults = Faults.sequence(Fault.reset())
        await client.ping()
        await client.ping()
    assert sandbox.counters.requests == 4
    assert sandbox.counters.connections == 2


async def test_a_cancelled_exchange_leaves_nothing_behind(sandbox: Sandbox, url: str) -> None:
    throttle = Throttle(10**6)
    async with client_to(url, sandbox, throttle=throttle) as client:
        sandbox.latency = 60
        with anyio.move_on_after(0.1):
            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(client.ping)
        statistics = throttle.statistics()
        assert (statistics.in_flight, statistics.waiting) == (0, 0)
        sandbox.latency = 0
        assert await client.ping() == "pong!"


async def test_nobody_listening_is_a_network_error() -> None:
    async with AsyncClient("key", base_url="http://127.0.0.1:1", retry=RetryPolicy(attempts=2, base=0.001)) as client:
        with pytest.raises(errors.NetworkError, match=r"GET http://127\.0\.0\.1:1/ping: ConnectError") as caught:
            await client.ping()
    assert caught.value.attempts == 2


async def test_a_stalled_body_times_out(sandbox: Sandbox, url: str) -> None:
    sandbox.faults = Faults.sequence(Fault.stall(), Fault.stall())
    async with client_to(url, sandbox, retry=RetryPolicy(attempts=2, base=0.001), timeout=0.1) as client:
        with pytest.raises(errors.RequestTimeoutError, match="ReadTimeout"):
            await client.ping()


class Fake(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self.closed = False
        self.gate = anyio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self.gate.wait()
        return httpx.Response(200)

    async def aclose(self) -> None:
        self.closed = True


async def test_closing_while_an_exchange_is_under_way_closes_its_connection_afterwards() -> None:
    fake = Fake()
    pool = Connections(lambda: fake)
    async with anyio.create_task_group() as group:
        group.start_soon(pool.handle_async_request, httpx.Request("GET", "https://x.example"))
        await anyio.wait_all_tasks_blocked()
        await pool.aclose()
        assert not fake.closed
        fake.gate.set()
    assert fake.closed


async def test_connections_that_idle_too_long_are_closed() -> None:
    fakes: list[Fake] = []
    now = 0.0

    def make() -> Fake:
        fakes.append(Fake())
        return fakes[-1]

    pool = Connections(make)
    request = httpx.Request("GET", "https://x.example")
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(pool.handle_async_request, request)
        await anyio.wait_all_tasks_blocked()
        for fake in fakes:
            fake.gate.set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anyio, "current_time", lambda: now)
        now = 10**9
        await pool.handle_async_request(request)
    assert [fake.closed for fake in fakes].count(True) == 2
    assert len(fakes) == 3


async def test_however_many_connections_idle_all_are_closed() -> None:
    fakes: list[Fake] = []

    def make() -> Fake:
        fakes.append(Fake())
        return fakes[-1]

    pool = Connections(make)
    async with anyio.create_task_group() as group:
        for _ in range(3000):  # more than Python lets calls nest
            group.start_soon(pool.handle_async_request, httpx.Request("GET", "https://x.example"))
        await anyio.wait_all_tasks_blocked()
        for fake in fakes:
            fake.gate.set()
    await pool.aclose()
    assert len(fakes) == 3000
    assert all(fake.closed for fake in fakes)


async def test_a_connection_that_cannot_even_be_closed_hides_nothing() -> None:
    class Broken(Fake):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ReadError("reset")

        async def aclose(self) -> None:
            raise OSError("already gone")

    with pytest.raises(httpx.ReadError):
        await Connections(Broken).handle_async_request(httpx.Request("GET", "https://x.example"))


async def test_a_connection_that_is_lost_while_it_is_made_is_trouble_on_the_way() -> None:
    """On uvloop, anyio asks a socket that was reset at once for its name, and there is none any more."""

    class Lost(Fake):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise AttributeError("'NoneType' object has no attribute 'getpeername'")

    fake = Lost()
    with pytest.raises(httpx.ConnectError, match="lost as soon as it was made"):
        await Connections(lambda: fake).handle_async_request(httpx.Request("GET", "https://x.example"))
    assert fake.closed


async def test_the_moment_of_sending_is_known_to_the_throttle(sandbox: Sandbox, url: str) -> None:
    events: list[str] = []
    trace = Grant.trace

    async def record(grant: Grant, event: str, info: dict[str, Any]) -> None:
        before = grant.sent
        await trace(grant, event, info)
        if grant.sent != before:
            events.append(event)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Grant, "trace", record)
        async with client_to(url, sandbox) as client:
            await client.ping()
    assert events == ["http11.send_request_headers.complete"]


# --- TLS and proxies --------------------------------------------------------------------------------------------


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """The options of every connection that is made; none is really opened."""
    options: list[dict[str, object]] = []

    def make(**given: object) -> Fake:
        options.append(given)
        fake = Fake()
        fake.gate.set()
        return fake

    monkeypatch.setattr(httpx, "AsyncHTTPTransport", make)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return options


async def first_connection_to(url: str) -> None:
    await connections_to(httpx.URL(url)).handle_async_request(httpx.Request("GET", url))


async def test_one_tls_context_is_shared_by_all_connections(made: list[dict[str, object]]) -> None:
    await first_connection_to("https://api.chartmogul.com/v1")
    await first_connection_to("https://api.chartmogul.com/v1")
    assert made[0]["verify"] is made[1]["verify"]
    context = made[0]["verify"]
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("proxy", ["ftp://p.example", "nonsense://p.example:1"])
async def test_a_proxy_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(errors.UsageError, match="the proxy of the environment"):
        await first_connection_to("https://api.chartmogul.com/v1")


async def test_a_proxy_that_is_no_url_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("https_proxy", "http://user:pa55/word@proxy.example:3128")
    with pytest.raises(errors.UsageError, match="the proxy of the environment") as caught:
        await first_connection_to("https://api.chartmogul.com/v1")
    assert "pa55" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_certificates_that_cannot_be_read_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "create_ssl_context", lambda: ssl.create_default_context(cafile="/nowhere/certs.pem"))
    connections._tls_context.cache_clear()
    with pytest.raises(errors.UsageError, match="the TLS certificates cannot be read"):
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
async def test_the_environments_proxy_is_honoured_but_never_for_loopback(
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
