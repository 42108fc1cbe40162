"""503 as the response to too many parallel requests."""

from __future__ import annotations

from threading import Barrier

import anyio
import pytest

from chartmogul_async import AsyncClient, RetryPolicy, Throttle
from tests.clients import KEY, another_mrr
from tests.faults.checks import NORMAL_ENTRIES, nothing_left_behind
from tests.faults.server import Behaviour, FaultServer, Peer, response

pytestmark = pytest.mark.sockets

PARALLEL = 8


async def test_a_503_halves_the_concurrency_and_loses_no_request() -> None:
    together = Barrier(PARALLEL, timeout=10)

    def refuse(peer: Peer) -> None:
        # All of them are in flight.
        together.wait()
        peer.send(response({}, "503 Service Unavailable"))

    got = []
    throttle = Throttle()
    policy = RetryPolicy(attempts=2, base=0.001)
    async with nothing_left_behind():
        with FaultServer([Behaviour(refuse)] * PARALLEL) as server, anyio.fail_after(20):
            async with AsyncClient(KEY, base_url=server.url, throttle=throttle, retry=policy) as client:

                async def fetch() -> None:
                    got.append((await another_mrr(client)()).entries)

                async with anyio.create_task_group() as group:
                    for _ in range(PARALLEL):
                        group.start_soon(fetch)
    assert got == [NORMAL_ENTRIES] * PARALLEL
    assert server.exchanges == 2 * PARALLEL
    statistics = throttle.statistics()
    assert (statistics.in_flight, statistics.waiting) == (0, 0)
    assert PARALLEL // 2 <= statistics.max_in_flight < throttle.parallel
