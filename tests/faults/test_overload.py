"""503 as the answer to too many requests at once."""

from __future__ import annotations

from threading import Barrier

import anyio
import pytest

from chartmogul_async import AsyncClient, RetryPolicy, Throttle
from tests.clients import KEY
from tests.faults.checks import CALM_ENTRIES, nothing_left_behind
from tests.faults.server import Act, FaultServer, Peer, answer

pytestmark = pytest.mark.sockets

AT_ONCE = 8


async def test_a_503_for_parallel_requests_halves_the_places_and_loses_no_request() -> None:
    together = Barrier(AT_ONCE, timeout=10)

    def refuse(peer: Peer) -> None:
        together.wait()  # all of them are in flight
        peer.send(answer({}, "503 Service Unavailable"))

    got = []
    throttle = Throttle()
    policy = RetryPolicy(attempts=2, base=0.001)
    async with nothing_left_behind():
        with FaultServer([Act(refuse)] * AT_ONCE) as server, anyio.fail_after(20):
            async with AsyncClient(KEY, base_url=server.url, throttle=throttle, retry=policy) as client:

                async def ask() -> None:
                    got.append((await client.metrics.mrr("2023-07-01", "2023-07-31")).entries)

                async with anyio.create_task_group() as group:
                    for _ in range(AT_ONCE):
                        group.start_soon(ask)
    assert got == [CALM_ENTRIES] * AT_ONCE
    assert server.met == 2 * AT_ONCE
    statistics = throttle.statistics()
    assert (statistics.in_flight, statistics.waiting) == (0, 0)
    assert AT_ONCE // 2 <= statistics.places < throttle.parallel
