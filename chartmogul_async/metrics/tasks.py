"""Task groups that end within one call, and the one place where such a group must not be opened."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import FrameType
from typing import TypeVar

import anyio
import anyio.abc

T = TypeVar("T")

# Functions that enter a context manager on behalf of their caller.
_ENTER_FOR_THEIR_CALLER = {"__aenter__", "enter_async_context"}
# Functions that run a generator with ``@asynccontextmanager`` or the like.
_RUN_A_CONTEXT_MANAGER = {"__aenter__", "__aexit__"}
# Packages that run a generator to its end within one task: as a fixture of a test, or as ``trio.as_safe_channel``.
_RUN_IN_ONE_TASK = {"anyio", "trio", "pytest_trio"}


async def run_all(calls: Sequence[Callable[[], Awaitable[T]]], limit: int) -> list[T]:
    """Await all calls, some at a time. The first failure cancels the rest and is raised by itself.

    Args:
        calls: Functions without arguments.
        limit: How many calls are in progress at once.

    Returns:
        The results in the order of the calls.
    """
    results: dict[int, T] = {}
    pending = iter(enumerate(calls))

    async def work() -> None:
        for index, call in pending:
            results[index] = await call()

    async with bare_task_group() as group:
        for _ in range(min(len(calls), limit)):
            group.start_soon(work)
    return [results[index] for index in range(len(calls))]


@asynccontextmanager
async def bare_task_group() -> AsyncIterator[anyio.abc.TaskGroup]:
    """A task group whose first failure is raised by itself, as if there had been no group.

    A cancellation or Ctrl-C among the failures has precedence.

    Yields:
        The task group.
    """
    failure: BaseException | None = None
    try:
        async with anyio.create_task_group() as group:
            yield group
    except BaseExceptionGroup as failures:
        severe = (each for each in failures.exceptions if not isinstance(each, Exception))
        failure = next(severe, failures.exceptions[0])
    if failure is not None:
        # Raised outside the handler, so that the group does not become its context. Its traceback knows this frame,
        # which must not know it in turn.
        try:
            raise failure
        finally:
            del failure


def is_held_by_a_generator(frame: FrameType | None) -> bool:
    """Whether a block that is opened here belongs to an async generator, which can be left in the middle of it.

    The generator is then closed later and in another task, while the cancel scope of the block stays in the task that
    iterated over it and cancels whatever that task awaits. Generators that implement a context manager or a
    fixture run to their end in one task, and are followed to where the context manager is entered.

    Args:
        frame: The frame that opens the block.

    Returns:
        Whether it does.

    Source: https://peps.python.org/pep-0789/
    """
    while frame is not None:
        is_generator = bool(frame.f_code.co_flags & inspect.CO_ASYNC_GENERATOR)
        if not is_generator and frame.f_code.co_name not in _ENTER_FOR_THEIR_CALLER:
            return False
        # A generator is run by ``async for``, by its context manager, or by what runs a fixture.
        caller = frame.f_back
        if is_generator and (caller is None or not _runs_to_the_end(caller)):
            return True
        frame = caller
    return False


def _runs_to_the_end(runner: FrameType) -> bool:
    package = runner.f_globals.get("__name__", "").partition(".")[0]
    return package in _RUN_IN_ONE_TASK or runner.f_code.co_name in _RUN_A_CONTEXT_MANAGER
