"""A signal handler may raise, or close the client, at any point of a call; the other calls go on."""

from __future__ import annotations

import dis
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count
from types import FrameType
from typing import Any

import httpx
import pytest

import chartmogul_async.blocking
from chartmogul_async import Throttle, errors
from chartmogul_async.blocking import Client
from chartmogul_async.blocking.loop import LOOP
from tests.blocking.clients import blocking_client
from tests.blocking.test_calls import threads_of_the_loop
from tests.clients import in_turn

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="it counts the steps that Python 3.11 reports to a tracer"
)
FOLDER = chartmogul_async.blocking.__path__[0]


class Interruption:
    """Call a function where CPython calls signal handlers: in a function's first step, in a loop and after a call.

    Args:
        at: The number of the place, among those in the code of the package that this thread executes.
        function: The function.
    """

    def __init__(self, at: int, function: Callable[[], object]) -> None:
        self._left = at
        self._function = function
        self._previous: dict[FrameType, str] = {}
        self.happened = False

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode" and not self.happened:
            name = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            previous, self._previous[frame] = self._previous.get(frame, ""), name
            if previous.startswith("CALL") or name in ("RESUME", "JUMP_BACKWARD"):
                self._left -= 1
                if not self._left:
                    self.happened = True
                    self._function()
        return self.trace

    def during(self, call: Callable[[], object]) -> object:
        """What comes of a call, or what it raises."""
        before = sys.gettrace()
        sys.settrace(self.trace)
        try:
            return call()
        except BaseException as error:  # noqa: BLE001 - whatever it is
            return error.with_traceback(None)
        finally:
            sys.settrace(before)


@pytest.fixture
def pings() -> Iterator[Callable[[Client], str]]:
    """A ping by another thread, which does not wait forever."""

    def ping(client: Client) -> str:
        answers: list[str] = []
        thread = threading.Thread(target=lambda: answers.append(client.ping()), daemon=True)
        thread.start()
        thread.join(60)
        return answers[0]

    yield ping
    # A coroutine that was never awaited emits a warning when it is collected, which fails the test.
    gc.collect()


def pong() -> Any:
    return in_turn(httpx.Response(200, json={"data": "pong!"}))


@pytest.mark.parametrize("is_first", [True, False])
def test_ctrl_c_at_any_place_leaves_nothing_behind(is_first: bool, pings: Callable[[Client], str]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    for place in count(1):
        with blocking_client(pong(), throttle=Throttle(10**6)) as client, blocking_client(pong()) as other:
            if not is_first:
                client.ping()
            interruption = Interruption(place, interrupt)
            outcome = interruption.during(client.ping)
            assert isinstance(outcome, KeyboardInterrupt) or not interruption.happened
            assert pings(other) == pings(client) == "pong!"
            assert not client._calls._in_progress
            assert client.throttle.statistics().in_flight == 0
        if not interruption.happened:
            assert place > 20
            break
    assert threads_of_the_loop() == []


@pytest.mark.parametrize("is_first", [True, False])
def test_a_handler_closes_at_any_place(is_first: bool, pings: Callable[[Client], str]) -> None:
    for place in count(1):
        with blocking_client(pong()) as client, blocking_client(pong()) as other:
            if not is_first:
                client.ping()
            interruption = Interruption(place, client.close)
            outcome = interruption.during(client.ping)
            assert outcome == "pong!" or isinstance(outcome, errors.StateError), outcome
            assert pings(other) == "pong!"
            if interruption.happened:
                assert client._calls not in LOOP._users
        if not interruption.happened:
            assert place > 20
            break
    assert threads_of_the_loop() == []
