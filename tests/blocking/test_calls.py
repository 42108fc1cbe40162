"""Calls of a blocking client: from one thread or many, with or without an event loop, and what they raise."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
import threading
import time
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from queue import SimpleQueue
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from anyio.lowlevel import checkpoint

from chartmogul_async import AsyncClient, Event, MetricQuery, RetryPolicy, Throttle, errors
from chartmogul_async.blocking import Client, call
from chartmogul_async.blocking.call import Call
from tests.blocking.clients import RANGE, blocking_client
from tests.clients import ACCOUNT, KEY, MRR, in_turn, ok

THREADS = 8


def threads_of_the_loop() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "chartmogul_async"]


def test_every_call_gives_what_the_async_one_gives() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        bodies: dict[str, Any] = {
            "/v1/ping": {"data": "pong!"},
            "/v1/account": ACCOUNT,
            "/v1/plans": {"plans": []},
            "/v1/customers/search": {"entries": [{"uuid": "cus_1"}], "has_more": False},
        }
        return httpx.Response(200, json=bodies.get(request.url.path, MRR))

    with blocking_client(respond) as client:
        assert client.ping() == "pong!"
        assert client.account().currency == "USD"
        assert client.get("/plans", {"page": 1}) == {"plans": []}
        assert client.customers.search("anna@example.com")[0].uuid == "cus_1"
        series = client.metrics.mrr(*RANGE, geo=["US"])
        assert (series[0].mrr, series.query.geo) == (363819722, ("US",))
        query = MetricQuery("mrr", *RANGE)
        assert client.metrics.fetch(query).query == query
        assert [outcome.query for outcome in client.metrics.fetch_all([query, query])] == [query, query]


def test_many_threads_share_loop_connections_and_limits() -> None:
    arrived, everybody, seen = [], threading.Event(), set()

    async def respond(request: httpx.Request) -> httpx.Response:
        arrived.append(request)
        seen.add(threading.current_thread())
        if len(arrived) == THREADS:
            everybody.set()
        await anyio.to_thread.run_sync(everybody.wait)
        return ok()

    with blocking_client(respond, throttle=Throttle(parallel=THREADS)) as client:
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(lambda plan: client.metrics.mrr(*RANGE, plans=str(plan))[0].mrr, range(THREADS)))
        assert found == [363819722] * THREADS
        assert client.throttle.statistics().admitted == THREADS
        assert threads_of_the_loop() == list(seen)
    assert threads_of_the_loop() == []


def test_no_more_than_the_throttle_allows_are_in_flight() -> None:
    in_flight, peak = 0, 0

    async def respond(request: httpx.Request) -> httpx.Response:
        nonlocal in_flight, peak
        in_flight += 1
        peak = max(peak, in_flight)
        for _ in range(20):
            await checkpoint()
        in_flight -= 1
        return ok()

    with blocking_client(respond, throttle=Throttle(parallel=2)) as client, ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda plan: client.metrics.mrr(*RANGE, plans=str(plan)), range(2 * THREADS)))
    assert peak == 2


def test_it_works_where_an_event_loop_runs(anyio_backend: tuple[str, dict[str, Any]]) -> None:
    """As in a notebook, whose cells run in a loop of its own."""

    async def cell() -> int | float:
        with blocking_client(in_turn(200)) as client:
            return client.metrics.mrr(*RANGE)[0].mrr

    assert anyio.run(cell, backend=anyio_backend[0]) == 363819722


def test_it_works_without_what_trio_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sniffio", None)
    with blocking_client(in_turn(200)) as client:
        assert client.metrics.mrr(*RANGE)[0].mrr == 363819722


def test_clients_share_the_loop_and_may_share_a_throttle() -> None:
    throttle = Throttle()
    with (
        blocking_client(in_turn(200), throttle=throttle) as one,
        blocking_client(in_turn(200), throttle=throttle) as two,
    ):
        for client in (one, two):
            client.metrics.mrr(*RANGE)
        one.close()
        assert len(threads_of_the_loop()) == 1
        two.metrics.mrr(*RANGE)
        assert two.throttle.statistics() == throttle.statistics()
    assert throttle.statistics().admitted == 3
    assert one.throttle.statistics().admitted == 3


def test_the_throttle_can_be_resized_while_calls_wait() -> None:
    gate = threading.Event()

    async def respond(request: httpx.Request) -> httpx.Response:
        await anyio.to_thread.run_sync(gate.wait)
        return ok()

    with blocking_client(respond, throttle=Throttle(parallel=1)) as client, ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(client.metrics.mrr, *RANGE, plans=str(plan)) for plan in range(2)]
        while client.throttle.statistics().waiting == 0:
            time.sleep(0)
        client.throttle.resize(parallel=2)
        assert (client.throttle.statistics().in_flight, client.throttle.statistics().waiting) == (2, 0)
        gate.set()
        assert [call.result()[0].mrr for call in calls] == [363819722] * 2


def test_the_throttle_of_an_unused_client_needs_no_thread() -> None:
    client = blocking_client(in_turn(200))
    client.throttle.resize(parallel=3)
    assert client.throttle.parallel == 3
    assert repr(client.throttle) == "Throttle(per_second=40, parallel=3)"
    assert client.throttle.statistics().admitted == 0
    assert threads_of_the_loop() == []
    with pytest.raises(errors.ArgumentError, match="parallel must be a positive integer"):
        client.throttle.resize(parallel=0)


def test_arguments_are_checked_when_the_client_is_made() -> None:
    with pytest.raises(errors.ArgumentError, match="no API key"):
        Client()
    with pytest.raises(TypeError, match="unexpected keyword argument 'key'"):
        Client(key=KEY)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_generators_are_read_in_the_thread_of_the_caller() -> None:
    seen = []

    def countries() -> Any:
        seen.append(threading.current_thread())
        yield "US"

    with blocking_client(in_turn(200)) as client:
        assert client.metrics.mrr(*RANGE, geo=countries()).query.geo == ("US",)
        client.metrics.fetch_all(MetricQuery("mrr", *RANGE, geo=[country]) for country in countries())
    assert seen == [threading.current_thread()] * 2


def test_context_variables_of_the_caller_reach_on_event() -> None:
    request_id, seen = ContextVar("request_id", default="none"), []
    with blocking_client(in_turn(200), on_event=lambda _: seen.append(request_id.get())) as client:
        request_id.set("one")
        client.metrics.mrr(*RANGE)
        request_id.set("two")
        client.metrics.mrr(*RANGE)
    assert seen == ["one", "two"]


# --- errors -----------------------------------------------------------------------------------------------------


def frames_of(error: BaseException) -> list[tuple[str, str]]:
    """File and function of each frame below the test's own. A mutation run adds frames, and renames functions."""
    found = [
        (frame.filename.rpartition("chartmogul_async/")[2], re.sub(r"^xǁ\w+ǁ|__mutmut_\w+$", "", frame.name))
        for frame in frames_in(error)
        if "mutmut" not in frame.filename
    ]
    return found[1:]


def frames_in(error: BaseException) -> traceback.StackSummary:
    return traceback.extract_tb(error.__traceback__)


def test_an_error_is_that_of_the_async_client() -> None:
    async def fail() -> BaseException:
        async with AsyncClient(KEY, transport=httpx.MockTransport(in_turn(404))) as client:
            with pytest.raises(errors.NotFoundError) as caught:
                await client.metrics.mrr(*RANGE)
        return caught.value

    with blocking_client(in_turn(404)) as client, pytest.raises(errors.NotFoundError) as caught:
        client.metrics.mrr(*RANGE)
    expected = asyncio.run(fail())
    assert str(caught.value) == str(expected)
    assert caught.value.__context__ is caught.value.__cause__ is None
    # Three frames more than the async client's, and none of a library.
    ours = [("blocking/calls.py", "call"), ("blocking/calls.py", "wait"), ("blocking/call.py", "result")]
    assert frames_of(caught.value) == ours + frames_of(expected)


def test_an_error_is_freed_without_the_garbage_collector() -> None:
    watched: list[weakref.ref[BaseException]] = []

    class Watched(Exception):
        def __init__(self) -> None:
            watched.append(weakref.ref(self))

    def fail(event: Event) -> None:
        raise Watched

    gc.disable()
    try:
        with blocking_client(in_turn(200), on_event=fail, retry=RetryPolicy(attempts=1)) as client:
            for _ in range(3):
                with suppress(Watched):
                    client.ping()
        assert [error() for error in watched] == [None] * 3
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
def test_what_on_event_raises_is_raised_by_the_call(kind: type[BaseException]) -> None:
    def fail(event: Event) -> None:
        raise kind("from on_event")

    with blocking_client(in_turn(200), on_event=fail) as client:
        with pytest.raises(kind, match="from on_event"):
            client.ping()
        # The event loop goes on.
        with pytest.raises(kind, match="from on_event"):
            client.ping()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_would_end_the_event_loop_is_raised_by_its_call(kind: type[BaseException]) -> None:
    """The slices of a range are tasks of their own, out of which asyncio raises these two at once."""

    def fail(_: object) -> None:
        raise kind("from on_event")

    def respond(request: httpx.Request) -> httpx.Response:
        return ok()

    with blocking_client(respond) as other, blocking_client(respond, on_event=fail) as client:
        assert other.metrics.mrr(*RANGE)[0].mrr == 363819722
        for _ in range(2):
            with pytest.raises(kind, match="from on_event"):
                client.metrics.mrr("2013-01-01", "2023-12-31", interval="day", slices=4)
            assert other.metrics.mrr(*RANGE)[0].mrr == 363819722


def test_a_call_from_on_event_is_refused() -> None:
    found: list[Any] = []

    def call_back(event: Event) -> None:
        found.append(client.throttle.statistics().admitted)
        for function in (client.ping, client.close):
            with pytest.raises(errors.StateError, match="the call would wait for itself") as caught:
                function()
            found.append(str(caught.value))

    with blocking_client(in_turn(httpx.Response(200, json={"data": "pong!"})), on_event=call_back) as client:
        assert client.ping() == "pong!"
    assert found[0] == 1
    assert found[1] == found[2]


def test_the_key_is_not_shown() -> None:
    client = blocking_client(in_turn(200))
    assert repr(client) == "blocking.Client(base_url='https://api.chartmogul.com/v1')"
    assert repr(object.__new__(Client)) == "blocking.Client()"
    shown = repr([vars(client), vars(client._calls), client.metrics, client.throttle])
    assert KEY not in shown


def test_nothing_of_a_call_is_in_progress_when_it_returns() -> None:
    async def work() -> str:
        return "pong!"

    waited: list[bool] = []
    call = Call(work, lambda call: waited.append(call._outcomes.empty()))
    with asyncio.Runner() as runner:
        call.hand_over(runner.get_loop())
        runner.run(asyncio.sleep(0))
    assert (call.result(), waited) == ("pong!", [True])


def test_on_windows_a_wait_ends_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise Ctrl-C would be noticed there only when the call is complete."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(call, "_CTRL_C_EVERY", 0.001)
    waits = 0

    class Outcomes(SimpleQueue[Any]):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            nonlocal waits
            waits += 1
            if waits == 3:
                self.put(timeout)
            return super().get(block, timeout)

    made = Call[Any](lambda: pytest.fail("it is not handed over"))
    made._outcomes = Outcomes()
    assert (made.result(), waits) == (0.001, 3)
