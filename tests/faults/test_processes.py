"""Event loops, threads and processes: a client belongs to one event loop, and each can have its own."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from chartmogul_async import AsyncClient, errors
from tests.clients import KEY
from tests.faults.checks import NORMAL_ENTRIES, nothing_left_behind
from tests.faults.loops import LOOPS
from tests.faults.own_clients import THREADS
from tests.faults.server import FaultServer
from tests.faults.test_accounts import authorization

pytestmark = pytest.mark.sockets

IN_ANOTHER_LOOP = (
    "this client is in use in another event loop, where its connections live; make one AsyncClient for each event loop"
)


async def get(client: AsyncClient) -> object:
    return await client.metrics.mrr("2023-07-01", "2023-07-31")


@pytest.mark.parametrize("use", [get, AsyncClient.aclose])
@pytest.mark.parametrize("other", list(LOOPS))
async def test_a_second_event_loop_is_refused_and_the_first_goes_on(
    other: str, use: Callable[[AsyncClient], Awaitable[object]]
) -> None:
    backend, options = loop_named(other)
    async with nothing_left_behind():
        with FaultServer() as server:
            async with AsyncClient(KEY, base_url=server.url) as client:
                await client.metrics.mrr("2023-07-01", "2023-07-31")

                def elsewhere() -> str:
                    return anyio.run(message_for, client, use, backend=backend, backend_options=options)

                assert await anyio.to_thread.run_sync(elsewhere) == IN_ANOTHER_LOOP
                assert (await client.metrics.mrr("2023-07-01", "2023-07-31")).entries == NORMAL_ENTRIES
    assert server.connections == 1


async def message_for(client: AsyncClient, use: Callable[[AsyncClient], Awaitable[object]]) -> str:
    with pytest.raises(errors.StateError) as caught:
        await use(client)
    return str(caught.value)


def loop_named(name: str) -> tuple[str, dict[str, Any]]:
    if name == "uvloop":
        pytest.importorskip("uvloop")
    return LOOPS[name]


@pytest.mark.parametrize("loop", list(LOOPS))
def test_each_thread_can_have_its_own_client(loop: str) -> None:
    with FaultServer() as server:
        assert run("threads", loop, server) == " ".join(["363819722"] * THREADS)
    keys = Counter(
        number
        for number in range(THREADS)
        for _, head in server.heads
        if authorization(f"key-of-thread-{number}") in head
    )
    assert keys == Counter(range(THREADS))
    assert server.connections == THREADS


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot fork, or should not")
@pytest.mark.parametrize("loop", list(LOOPS))
def test_a_forked_child_can_have_its_own_client(loop: str) -> None:
    with FaultServer() as server:
        assert run("fork", loop, server) == "363819722 0 363819722"
    sent = [authorization(f"key-of-the-{owner}") for owner in ("parent", "child", "parent")]
    assert [key in head for key, (_, head) in zip(sent, server.heads, strict=True)] == [True] * 3
    assert server.connections == 3


def run(function: str, loop: str, server: FaultServer) -> str:
    loop_named(loop)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.faults.own_clients", function, loop, server.url],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout
