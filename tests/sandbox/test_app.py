from __future__ import annotations

from math import inf
from typing import Any

import anyio
import httpx
import pytest

from chartmogul_async.sandbox import Fault, Faults, Sandbox
from chartmogul_async.sandbox.app import RESET, Message

from .helpers import empty


def over_asgi(sandbox: Sandbox, **more: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(sandbox.app, **more), base_url="http://sandbox/v1/", auth=("sandbox", "")
    )


async def test_any_asgi_server_can_run_the_application() -> None:
    async with over_asgi(Sandbox(empty(), latency=2)) as http:
        start = anyio.current_time()
        assert (await http.get("ping")).json() == {"data": "pong!"}
        assert anyio.current_time() - start == pytest.approx(2)
        response = await http.get("metrics/mrr", params={"start-date": "2022-01-01", "end-date": "2022-01-31"})
        assert response.json()["entries"][0]["date"] == "2022-01-31"


async def test_the_application_can_be_mounted_below_a_prefix() -> None:
    app = httpx.ASGITransport(Sandbox(empty()).app, root_path="/mock")
    async with httpx.AsyncClient(transport=app, base_url="http://sandbox/mock/v1", auth=("sandbox", "")) as http:
        assert (await http.get("ping")).status_code == 200


async def test_a_reset_under_a_server_without_the_extension() -> None:
    sandbox = Sandbox(empty(), faults=Faults.sequence(Fault.reset()))
    async with over_asgi(sandbox) as http:
        with pytest.raises(ConnectionResetError):
            await http.get("ping")
    assert sandbox.counters.in_progress == 0


async def test_only_http_is_supported() -> None:
    peer = Peer()
    with pytest.raises(RuntimeError, match="lifespan"):
        await Sandbox(empty()).app({"type": "lifespan"}, peer.receive, peer.send)
    assert peer.sent == []


class Peer:
    """A server's end of the application: the client disconnects after ``seconds``, or when its connection is reset."""

    def __init__(self, seconds: float = inf) -> None:
        self.sent: list[Message] = []
        self.disconnected = anyio.Event()
        self.seconds = seconds
        self.has_received = False

    async def receive(self) -> Message:
        if not self.has_received:
            self.has_received = True
            return {"type": "http.request", "body": b"", "more_body": False}
        with anyio.move_on_after(self.seconds):
            await self.disconnected.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def scope(self) -> Message:
        return {
            "type": "http",
            "method": "GET",
            "path": "/v1/ping",
            "query_string": b"",
            "headers": [(b"authorization", b"Basic c2FuZGJveDo=")],
            "extensions": {RESET: self.disconnected.set},
        }


async def test_a_disconnect_releases_the_slot_at_once() -> None:
    sandbox, peer = Sandbox(empty(), latency=60), Peer(seconds=1)
    start = anyio.current_time()
    await sandbox.app(peer.scope, peer.receive, peer.send)
    assert anyio.current_time() - start == pytest.approx(1)
    assert peer.sent == []
    assert sandbox.counters.in_progress == 0


async def test_a_stall_lasts_until_the_client_disconnects() -> None:
    sandbox, peer = Sandbox(empty(), faults=Faults.sequence(Fault.stall(after=4))), Peer(seconds=30)
    start = anyio.current_time()
    await sandbox.app(peer.scope, peer.receive, peer.send)
    assert anyio.current_time() - start == pytest.approx(30)
    assert [message.get("body") for message in peer.sent] == [None, b'{"da']
    assert peer.sent[-1]["more_body"] is True


async def test_resets_before_and_inside_the_body() -> None:
    sandbox = Sandbox(empty(), faults=Faults.sequence(Fault.reset(), Fault.reset_in_body(after=4)))
    for expected in ([], [None, b'{"da']):
        peer = Peer()
        await sandbox.app(peer.scope, peer.receive, peer.send)
        assert [message.get("body") for message in peer.sent] == expected
        assert peer.disconnected.is_set()


async def test_no_reset_after_the_client_has_disconnected() -> None:
    sandbox, peer = Sandbox(empty(), faults=Faults.sequence(Fault.reset_in_body())), Peer(seconds=0)
    await sandbox.app(peer.scope, peer.receive, peer.send)
    assert not peer.disconnected.is_set()


async def test_the_slot_is_free_before_the_response_is_complete() -> None:
    """A client with a complete response may send its next request at once."""
    sandbox, peer = Sandbox(empty()), Peer()
    in_progress: list[int] = []

    async def send(message: Message) -> None:
        in_progress.append(sandbox.counters.in_progress)

    await sandbox.app(peer.scope, peer.receive, send)
    # The first count was taken at the headers, the second one at the end of the body.
    assert in_progress == [1, 0]
