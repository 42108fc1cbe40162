"""Forty calls are cancelled, or cut off by the policy's total, while a server stalls: every socket is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from attrs import frozen

from chartmogul_async import AsyncClient, RetryPolicy, Throttle, errors
from tests.clients import KEY
from tests.faults.checks import NORMAL_ENTRIES, nothing_left_behind
from tests.faults.kinds import KINDS, connections_of
from tests.faults.server import NORMAL_RESPONSE, TUNNEL, Behaviour, FaultServer, stalls_after
from tests.faults.table import before_reading, in_tunnel, trickles_in_handshake, trickles_in_tunnel
from tests.faults.targets import (
    BEHIND_THE_PROXY,
    OpenTarget,
    Target,
    environment,
    plain,
    proxied,
    proxied_over_tls,
    secure,
)
from tests.soak.witnesses import sockets_to

pytestmark = [pytest.mark.sockets, pytest.mark.no_cover]

CALLS = 40
# Seconds, until a call is in the phase that has begun at the server, and for all calls to get there.
ARRIVAL = 0.03
TOTAL = 0.5


@contextmanager
def proxy_without_tls(behaviours: Sequence[Behaviour]) -> Iterator[Target]:
    """A proxy that is to be reached over TLS, and does not get that far."""
    with FaultServer(behaviours) as server, environment(https_proxy=f"https://127.0.0.1:{server.port}"):
        yield Target(f"https://{BEHIND_THE_PROXY}/v1", server)


@frozen
class Phase:
    """A phase of an exchange in which the server stalls, or trickles without an end."""

    name: str
    target: OpenTarget
    behaviour: Behaviour


HALF_A_BODY = stalls_after(NORMAL_RESPONSE[:-20])
STALLED_HANDSHAKE = before_reading(stalls_after())
PHASES = [
    Phase("head", plain, stalls_after()),
    Phase("body", plain, HALF_A_BODY),
    Phase("TLS handshake", secure, STALLED_HANDSHAKE),
    Phase("TLS handshake that trickles", secure, Behaviour(trickles_in_handshake, before_reading=True)),
    Phase("head over TLS", secure, stalls_after()),
    Phase("body over TLS", secure, HALF_A_BODY),
    Phase("CONNECT", proxied, stalls_after()),
    Phase("handshake in a tunnel", proxied, stalls_after(TUNNEL)),
    Phase("handshake that trickles in a tunnel", proxied, Behaviour(trickles_in_tunnel)),
    Phase("body in a tunnel", proxied, in_tunnel(HALF_A_BODY)),
    Phase("handshake of a proxy", proxy_without_tls, STALLED_HANDSHAKE),
    Phase("CONNECT over TLS", proxied_over_tls, stalls_after()),
    Phase("handshake in a tunnel over TLS", proxied_over_tls, stalls_after(TUNNEL)),
    Phase("body in a tunnel over TLS", proxied_over_tls, in_tunnel(HALF_A_BODY)),
]


async def cancelled_by_a_scope(client: AsyncClient, server: FaultServer) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(CALLS):
            group.start_soon(client.ping)
        await all_stalled(server)
        group.cancel_scope.cancel()


async def cancelled_once(client: AsyncClient, server: FaultServer) -> None:
    """As ``asyncio.timeout`` does it, while a scope of anyio cancels repeatedly."""
    tasks = [asyncio.ensure_future(client.ping()) for _ in range(CALLS)]
    await all_stalled(server)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * CALLS


async def cut_off_by_the_total(client: AsyncClient, server: FaultServer) -> None:
    async def call() -> None:
        with pytest.raises(errors.RequestTimeoutError, match=r"RetryPolicy\.total is used up"):
            await client.ping()

    async with anyio.create_task_group() as group:
        for _ in range(CALLS):
            group.start_soon(call)


async def all_stalled(server: FaultServer) -> None:
    await anyio.to_thread.run_sync(server.wait_for_exchanges, CALLS)
    await anyio.sleep(ARRIVAL)


End = Callable[[AsyncClient, FaultServer], Awaitable[None]]


@pytest.mark.parametrize("end", [cancelled_by_a_scope, cancelled_once, cut_off_by_the_total])
@pytest.mark.parametrize(
    ("phase", "kind"),
    [
        pytest.param(phase, kind, id=f"{kind}-{phase.name}")
        for phase in PHASES
        for kind in (KINDS if phase.target in (plain, secure) else ["httpx"])
    ],
)
async def test_calls_that_end_in_a_stalled_phase_leave_no_socket(
    phase: Phase, kind: str, end: End, anyio_backend_name: str
) -> None:
    if (end, anyio_backend_name) == (cancelled_once, "trio"):
        pytest.skip("trio cancels scopes only")
    throttle = Throttle(10**6, CALLS)
    retry = RetryPolicy(total=TOTAL if end is cut_off_by_the_total else 90.0)
    async with nothing_left_behind():
        with connections_of(kind), phase.target([phase.behaviour] * CALLS) as target, anyio.fail_after(20):
            client = AsyncClient(KEY, base_url=target.base_url, throttle=throttle, retry=retry)
            await end(client, target.server)
            for _ in range(10):
                # An event loop closes a socket a few steps after its transport was closed.
                await anyio.lowlevel.checkpoint()
            assert sockets_to(target.port) == 0
            assert (throttle.statistics().in_flight, throttle.statistics().waiting) == (0, 0)
            await anyio.to_thread.run_sync(target.server.recover)
            if phase.target is not proxy_without_tls:
                # On a busy machine it takes longer than the total that ends the calls above.
                patient = client.with_options(retry=RetryPolicy())
                assert (await patient.metrics.mrr("2023-07-01", "2023-07-31")).entries == NORMAL_ENTRIES
            await client.aclose()
