"""Connections over real sockets: reused, discarded alone, closed, and the time of sending."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest

from chartmogul_async import AsyncClient, RetryPolicy, Throttle, errors
from chartmogul_async.sandbox import Company, Fault, Faults, Limits, Sandbox
from chartmogul_async.transport import connections
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.permits import Permit
from chartmogul_async.transport.unsolicited import has_unsolicited_data, layers_of, parser_of
from tests.faults.kinds import KINDS, connections_of, on_both_connections
from tests.faults.loops import LOOPS
from tests.faults.routes import ROUTES, port_of
from tests.soak.witnesses import sockets_to

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


# --- unsolicited data -------------------------------------------------------------------------------------------

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
