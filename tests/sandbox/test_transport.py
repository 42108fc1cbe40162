from __future__ import annotations

from math import inf

import anyio
import httpx
import pytest

from chartmogul_async.sandbox import Counters, Fault, Faults, Sandbox

from .helpers import client, empty


def faulty(*faults: Fault, latency: float = 0.0) -> Sandbox:
    return Sandbox(empty(), faults=Faults.sequence(*faults), latency=latency)


async def test_a_reset_before_any_byte() -> None:
    sandbox = faulty(Fault.reset())
    async with client(sandbox) as http:
        with pytest.raises(httpx.ReadError, match="before any byte"):
            await http.get("ping")
        assert (await http.get("ping")).json() == {"data": "pong!"}
    assert sandbox.counters == Counters(requests=2, faults=1, peak_parallel=1)


async def test_a_reset_inside_the_body() -> None:
    async with client(faulty(Fault.reset_in_body(after=5))) as http, http.stream("GET", "ping") as response:
        assert response.status_code == 200
        chunks = response.aiter_raw()
        assert await anext(chunks) == b'{"dat'
        with pytest.raises(httpx.ReadError, match="inside the body"):
            await anext(chunks)


async def test_a_stalled_body_exceeds_the_read_timeout() -> None:
    sandbox = faulty(Fault.stall(after=0))
    async with client(sandbox, timeout=3) as http:
        start = anyio.current_time()
        with pytest.raises(httpx.ReadTimeout):
            await http.get("ping")
        assert anyio.current_time() - start == pytest.approx(3)
    assert sandbox.counters.in_progress == 0


async def test_a_stalled_body_without_a_timeout_can_be_cancelled() -> None:
    sandbox = faulty(Fault.stall())
    async with client(sandbox, timeout=None) as http:
        with anyio.move_on_after(1000) as scope:
            await http.get("ping")
        assert scope.cancelled_caught
    assert sandbox.counters.in_progress == 0


async def test_a_slow_response_exceeds_the_read_timeout() -> None:
    sandbox = faulty(Fault.slow(10), Fault.slow(2))
    async with client(sandbox, timeout=5) as http:
        start = anyio.current_time()
        with pytest.raises(httpx.ReadTimeout):
            await http.get("ping")
        assert anyio.current_time() - start == pytest.approx(5)
        assert (await http.get("ping")).status_code == 200
        assert anyio.current_time() - start == pytest.approx(7)
    assert sandbox.counters.in_progress == 0


async def test_a_cancelled_request_releases_its_slot() -> None:
    sandbox = faulty(latency=10)
    async with client(sandbox, timeout=None) as http:
        with anyio.move_on_after(1):
            await http.get("ping")
    assert sandbox.counters == Counters(requests=1, peak_parallel=1)


async def test_a_response_is_in_flight_until_it_is_closed() -> None:
    sandbox = faulty()
    transport = sandbox.transport()
    request = httpx.Request("GET", "http://x/v1/ping", headers={"authorization": "Basic c2FuZGJveDo="})
    response = await transport.handle_async_request(request)
    assert sandbox.counters.in_progress == 1
    await response.aclose()
    await response.aclose()
    assert sandbox.counters.in_progress == 0


async def test_a_response_without_a_body() -> None:
    async with client(faulty(Fault.status(204))) as http:
        response = await http.get("ping")
        assert (response.status_code, response.content) == (204, b"")
        assert "content-length" not in response.headers


async def test_an_infinite_timeout() -> None:
    async with client(faulty(Fault.slow(1e6)), timeout=inf) as http:
        assert (await http.get("ping")).status_code == 200
