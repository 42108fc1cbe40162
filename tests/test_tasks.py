"""Task groups within one call: results in order, one bare failure, nothing left running."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from chartmogul_async.metrics.tasks import bare_task_group, is_held_by_a_generator, run_all


async def fail(error: BaseException, after: float = 0.0) -> None:
    await anyio.sleep(after)
    raise error


# --- run_all ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 3, 10, 100])
async def test_results_are_in_the_order_of_the_calls(limit: int) -> None:
    in_progress = most = 0

    async def call(number: int) -> int:
        nonlocal in_progress, most
        in_progress += 1
        most = max(most, in_progress)
        await anyio.sleep(10 - number)
        in_progress -= 1
        return number

    assert await run_all([partial(call, number) for number in range(10)], limit) == list(range(10))
    assert most == min(limit, 10)


async def test_a_finished_call_is_followed_by_the_next() -> None:
    """There are no rounds: a slow call keeps one worker, and the other one does the rest."""
    start = anyio.current_time()
    await run_all([partial(anyio.sleep, seconds) for seconds in (4, 1, 1, 1, 1)], 2)
    assert anyio.current_time() - start == pytest.approx(4)


async def test_no_calls_have_no_results() -> None:
    assert await run_all([], 5) == []


async def test_the_first_failure_cancels_the_rest() -> None:
    ended: list[str] = []

    async def stall() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    async def never() -> None:
        raise AssertionError("started after the failure")

    calls: list[Callable[[], Awaitable[None]]] = [stall, partial(fail, KeyError("first"), 1.0), stall, never]
    with pytest.raises(KeyError, match="first"):
        await run_all(calls, 3)
    assert ended == ["cancelled", "cancelled"]


async def test_a_failure_during_the_cancellation_is_not_the_first() -> None:
    async def fail_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("second")

    calls: list[Callable[[], Awaitable[None]]] = [
        fail_when_cancelled,
        partial(fail, KeyError("first"), 1.0),
        fail_when_cancelled,
    ]
    with pytest.raises(KeyError, match="first"):
        await run_all(calls, 3)


async def test_a_cancellation_from_outside_is_passed_on() -> None:
    with anyio.move_on_after(1) as scope:
        await run_all([anyio.sleep_forever] * 3, 2)
    assert scope.cancelled_caught


# --- bare_task_group --------------------------------------------------------------------------------------------


async def test_a_bare_failure_keeps_its_cause_and_has_no_group() -> None:
    cause = KeyError("cause")

    async def fail_with_a_cause() -> None:
        raise ValueError("failure") from cause

    with pytest.raises(ValueError, match="failure") as caught:
        async with bare_task_group() as outer:

            async def nested() -> None:
                async with bare_task_group() as inner:
                    inner.start_soon(fail_with_a_cause)

            outer.start_soon(nested)
    assert caught.value.__cause__ is cause
    assert not isinstance(caught.value.__context__, BaseExceptionGroup)


async def test_a_group_that_the_user_raises_stays_one() -> None:
    mine = ExceptionGroup("mine", [ValueError(), KeyError()])
    with pytest.raises(ExceptionGroup) as caught:
        async with bare_task_group():
            raise mine
    assert (caught.value.message, caught.value.exceptions) == (mine.message, mine.exceptions)


async def test_ctrl_c_has_precedence_over_a_failure() -> None:
    with pytest.raises(KeyboardInterrupt):
        async with bare_task_group() as group:
            group.start_soon(fail, ValueError())
            try:
                await anyio.sleep(1)
            finally:
                raise KeyboardInterrupt


async def test_without_a_failure_all_tasks_are_awaited() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        await anyio.sleep(number)
        done.append(number)

    async with bare_task_group() as group:
        for number in (2, 1):
            group.start_soon(work, number)
    assert done == [1, 2]


# --- async generators ---------------------------------------------------------------------------------------------


async def test_a_coroutine_holds_its_blocks_itself() -> None:
    """Also one that an async generator awaits: its blocks are left before the generator yields."""

    async def coroutine() -> bool:
        return is_held_by_a_generator(inspect.currentframe())

    async def generator() -> AsyncIterator[bool]:
        yield await coroutine()
        yield is_held_by_a_generator(inspect.currentframe())

    assert [held async for held in generator()] == [False, True]
    assert not is_held_by_a_generator(None)


async def test_a_generator_in_code_without_a_module_is_recognised() -> None:
    """As in code that is run by ``exec`` with a dict of its own."""
    code = """
async def generator():
    yield held(frame())

async def read():
    return [each async for each in generator()]
"""
    names: dict[str, Any] = {"held": is_held_by_a_generator, "frame": inspect.currentframe}
    exec(code, names)
    assert await names["read"]() == [True]


async def test_a_generator_in_a_task_of_its_own_is_recognised() -> None:
    async def generator() -> AsyncIterator[bool]:
        yield is_held_by_a_generator(inspect.currentframe())

    held: list[bool] = []

    async def run() -> None:
        held.extend([each async for each in generator()])

    async with anyio.create_task_group() as group:
        group.start_soon(run)
    assert held == [True]
