"""Tasks of the event loop behind blocking clients, and how that starts and ends."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from chartmogul_async import errors
from chartmogul_async.blocking import Client
from chartmogul_async.blocking.call import Call
from chartmogul_async.blocking.loop import LOOP, Loop, LoopThread, _Start
from chartmogul_async.blocking.tasks import Carried, _Carrying, task_of
from tests.blocking.clients import blocking_client
from tests.blocking.test_calls import threads_of_the_loop
from tests.clients import in_turn


def ponging_client() -> Client:
    return blocking_client(in_turn(httpx.Response(200, json={"data": "pong!"})))


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


def run(call: Any) -> Any:
    async def main() -> Any:
        asyncio.get_running_loop().set_task_factory(task_of)
        return await call()

    return asyncio.run(main())


def test_a_task_is_awaited_and_closed_as_any_other() -> None:
    async def main() -> tuple[int, int]:
        return await asyncio.ensure_future(answer()), await _Carrying(answer())

    assert run(main) == (42, 42)
    coroutine: Any = _Carrying(answer())
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
    coroutine.close()
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, ValueError])
def test_a_task_group_ends_whatever_one_task_raises(kind: type[BaseException]) -> None:
    cancelled: list[bool] = []

    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(True)

    async def fail() -> None:
        await anyio.lowlevel.checkpoint()
        raise kind

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(fail)

    with pytest.raises(BaseExceptionGroup) as caught:
        run(main)
    (error,) = caught.value.exceptions
    assert isinstance(error.error if isinstance(error, Carried) else error, kind)
    assert cancelled == [True]


class _Ended(Loop):
    def end(self) -> None:
        raise AssertionError("it was ended")


def test_a_start_that_was_abandoned_ends_the_loop() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    running = _Ended(loop, asyncio.Event())
    start = _Start()
    start.abandon()
    with pytest.raises(AssertionError, match="it was ended"):
        start.succeed(running)
    start = _Start()
    start.succeed(running)
    assert start.outcomes.get() is running
    with pytest.raises(AssertionError, match="it was ended"):
        start.abandon()


def test_a_call_for_a_loop_that_has_ended_is_given_up() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    running, call = Loop(loop, asyncio.Event()), Call(answer)
    running.start(call)
    running.end()
    with pytest.raises(errors.StateError, match="closed while the call was in progress"):
        call.result()


async def take_steps() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in which nothing may be raised."""
    raised: list[object] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: raised.append(context))
    yield loop
    loop.close()
    assert raised == []


@pytest.mark.parametrize("handed_over", ["before", "after"])
def test_a_call_that_is_cancelled_at_once_does_not_begin(loop: asyncio.AbstractEventLoop, handed_over: str) -> None:
    begun: list[bool] = []

    async def begin() -> None:
        begun.append(True)

    call = Call(begin)
    steps: list[Callable[[], None]] = [partial(call.hand_over, loop), call.cancel]
    for step in steps if handed_over == "before" else reversed(steps):
        step()
    loop.run_until_complete(take_steps())
    assert begun == []
    with pytest.raises(errors.StateError, match="closed while the call was in progress"):
        call.result()


def test_a_call_can_be_cancelled_when_its_loop_has_ended(loop: asyncio.AbstractEventLoop) -> None:
    call = Call(answer)
    call.hand_over(loop)
    loop.close()
    call.cancel()
    call.give_up()
    with pytest.raises(errors.StateError, match="closed while the call was in progress"):
        call.result()


def test_a_call_ends_once(loop: asyncio.AbstractEventLoop) -> None:
    """Another thread may have looked whether it has ended, and cancels it afterwards."""
    ended: list[Call[int]] = []
    call = Call(answer, ended.append)
    call.hand_over(loop)
    loop.run_until_complete(take_steps())
    call.give_up()
    call._cancel_task()
    assert call.result() == 42
    assert (ended, call._outcomes.empty()) == ([call], True)


def interrupted(*_: object) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("place", "name"), [(LoopThread, "join"), (LoopThread, "_started"), (Loop, "start")])
def test_ctrl_c_while_a_call_starts(place: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ponging_client() as client:
        with monkeypatch.context() as patched:
            patched.setattr(place, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                client.ping()
        assert not client._calls._in_progress
        assert client.ping() == "pong!"
    assert threads_of_the_loop() == []


def test_a_handler_closes_while_the_loop_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    client, join = ponging_client(), LoopThread.join

    def close_and_join(*arguments: Any) -> Loop:
        client.close()
        return join(*arguments)

    monkeypatch.setattr(LoopThread, "join", close_and_join)
    with pytest.raises(errors.StateError, match="this client is closed"):
        client.ping()
    assert client._calls not in LOOP._users
    assert threads_of_the_loop() == []
