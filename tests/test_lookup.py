"""Addresses take no thread, and names one that keeps nobody waiting."""

from __future__ import annotations

import socket
import threading
from typing import Any

import anyio
import pytest
from anyio import to_thread

from chartmogul_async.transport.lookup import addresses_of

# Threads run in real time.
pytestmark = pytest.mark.sockets


async def test_an_address_takes_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_thread(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(to_thread, "run_sync", no_thread)
    ((family, kind, _, _, address),) = await addresses_of("127.0.0.1", 80)
    assert (family, kind, address) == (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 80))
    ((family, *_, address),) = await addresses_of("::1", 80)
    assert (family, address[:2]) == (socket.AF_INET6, ("::1", 80))


async def test_a_name_is_looked_up_for_streams() -> None:
    found = await addresses_of("localhost", 80)
    assert {kind for _, kind, *_ in found} == {socket.SOCK_STREAM}
    assert {address[0] for *_, address in found} <= {"127.0.0.1", "::1"}


async def test_lookups_do_not_wait_for_those_that_were_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    found: list[Any] = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 80))]

    def look_up(host: str, port: int, **options: Any) -> list[Any]:
        if "flags" in options:
            raise socket.gaierror(socket.EAI_NONAME, "not an address")
        if host == "slow.example":
            release.wait(30)
        return found

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        for _ in range(50):
            with anyio.move_on_after(0.001) as scope:
                await addresses_of("slow.example", 80)
            assert scope.cancelled_caught
        with anyio.fail_after(10):
            assert await addresses_of("fast.example", 80) == found
    finally:
        release.set()


async def test_a_name_is_looked_up_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the exit of the interpreter, from Python 3.12 on; before it, the event loop is not to be held up."""

    async def no_thread(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(to_thread, "run_sync", no_thread)
    with pytest.raises(OSError, match="can't start new thread"):
        await addresses_of("localhost", 80)
    monkeypatch.setattr(threading.main_thread(), "is_alive", lambda: False)
    assert {kind for _, kind, *_ in await addresses_of("localhost", 80)} == {socket.SOCK_STREAM}


async def test_a_name_without_an_address_is_an_oserror() -> None:
    with pytest.raises(OSError, match=r".+"):
        await addresses_of("no-such-host.invalid", 80)
