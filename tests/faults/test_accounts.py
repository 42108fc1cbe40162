"""Two accounts in one process share a server, and nothing else."""

from __future__ import annotations

from base64 import b64encode

import anyio
import pytest

from chartmogul_async import AsyncClient, RetryPolicy, errors
from tests.clients import another_mrr
from tests.faults.checks import nothing_left_behind
from tests.faults.server import FaultServer, response, sends

pytestmark = pytest.mark.sockets

KEYS = ("key-of-the-first-account", "key-of-the-second-account")
HALF_A_SECOND = RetryPolicy(attempts=2, base=0.001, total=0.5)


def authorization(key: str) -> bytes:
    return b"authorization: Basic " + b64encode(f"{key}:".encode())


async def test_two_accounts_share_no_connection_and_no_key() -> None:
    async with nothing_left_behind():
        with FaultServer() as server:
            first, second = (AsyncClient(key, base_url=server.url) for key in KEYS)
            async with first, second, anyio.create_task_group() as group:
                for _ in range(15):
                    group.start_soon(another_mrr(first))
                    group.start_soon(another_mrr(second))
    connections = [{number for number, head in server.heads if authorization(key) in head.splitlines()} for key in KEYS]
    assert len(server.heads) == 30
    assert connections[0]
    assert connections[1]
    assert not connections[0] & connections[1]
    assert connections[0] | connections[1] == set(range(server.connections))


async def test_two_accounts_share_no_pause() -> None:
    refusal = sends(response({}, "429 Too Many Requests", "Retry-After: 60"))
    async with nothing_left_behind():
        with FaultServer([refusal]) as server:
            first, second = (AsyncClient(key, base_url=server.url, retry=HALF_A_SECOND) for key in KEYS)
            async with first, second:
                # The first one is refused by the server, the second one is not even sent.
                for sent in (1, 0):
                    with pytest.raises(errors.RateLimitError) as caught:
                        await first.metrics.mrr("2023-07-01", "2023-07-31")
                    assert caught.value.attempts == sent
                assert len(await second.metrics.mrr("2023-07-01", "2023-07-31")) == 1
    assert server.exchanges == 2


async def test_two_accounts_share_no_cookie() -> None:
    sets_a_cookie = sends(response(None, "200 OK", "Set-Cookie: session=first; Path=/"))
    async with nothing_left_behind():
        with FaultServer([sets_a_cookie]) as server:
            first, second = (AsyncClient(key, base_url=server.url) for key in KEYS)
            async with first, second:
                for client in (first, second, first):
                    assert len(await client.metrics.mrr("2023-07-01", "2023-07-31")) == 1
    assert len(server.heads) == 3
    assert not any(b"cookie" in head.lower() or b"session=" in head for _, head in server.heads)
