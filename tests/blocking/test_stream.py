"""Many queries by a blocking client: each outcome as it comes, in a plain ``for``."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from chartmogul_async import MetricQuery, Throttle, errors
from chartmogul_async.blocking import call
from chartmogul_async.blocking.call import Call
from chartmogul_async.blocking.loop import LOOP
from tests.blocking.clients import RANGE, blocking_client
from tests.blocking.test_calls import threads_of_the_loop
from tests.clients import in_turn, ok

COUNTRIES = ["US", "GB", "DE", "FR", "NL", "ES"]


def queries(countries: list[str] = COUNTRIES) -> list[MetricQuery]:
    return [MetricQuery("mrr", *RANGE, geo=[country]) for country in countries]


def test_every_query_has_an_outcome_failures_included() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404) if request.url.params["geo"] == "GB" else ok()

    with blocking_client(respond) as client, client.metrics.stream(queries()) as outcomes:
        found = {outcome.query.geo: outcome for outcome in outcomes}
        assert list(outcomes) == []
    assert found.keys() == {(country,) for country in COUNTRIES}
    assert isinstance(found["GB",].error, errors.NotFoundError)
    assert len(found["US",].result()) == 1


def test_no_queries_give_no_outcomes() -> None:
    with blocking_client(in_turn(200)) as client, client.metrics.stream([]) as outcomes:
        assert list(outcomes) == []


def test_outcomes_come_as_they_are_complete() -> None:
    gate = threading.Event()

    async def respond(request: httpx.Request) -> httpx.Response:
        if request.url.params["geo"] == "US":
            await anyio.to_thread.run_sync(gate.wait)
        return ok()

    found = []
    with blocking_client(respond) as client, client.metrics.stream(queries(["US", "GB"])) as outcomes:
        for outcome in outcomes:
            found.append(outcome.query.geo)
            gate.set()
    assert found == [("GB",), ("US",)]


def test_a_generator_is_read_as_it_is_needed_and_in_this_thread() -> None:
    taken: list[int] = []
    threads = set()

    def endless() -> Iterator[MetricQuery]:
        while True:
            taken.append(len(taken))
            threads.add(threading.current_thread())
            yield MetricQuery("mrr", *RANGE)

    client = blocking_client(in_turn(200), throttle=Throttle(10**6, 3))
    with client, client.metrics.stream(endless()) as outcomes:
        for number, _ in enumerate(outcomes, 1):
            assert len(taken) <= number + 2
            if number == 5:
                break
    assert threads == {threading.current_thread()}


def test_a_generator_may_call_the_client() -> None:
    def dependent() -> Iterator[MetricQuery]:
        for _ in range(3):
            yield client.metrics.mrr(*RANGE).query

    with blocking_client(in_turn(200)) as client, client.metrics.stream(dependent()) as outcomes:
        assert len(list(outcomes)) == 3


def test_leaving_the_block_cancels_the_rest() -> None:
    started, cancelled = threading.Event(), threading.Event()

    async def respond(request: httpx.Request) -> httpx.Response:
        if request.url.params["geo"] == "US":
            await anyio.to_thread.run_sync(started.wait)
            return ok()
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()
        raise AssertionError

    with blocking_client(respond) as client:
        with client.metrics.stream(queries(["US", "GB"])) as outcomes:
            next(outcomes)
        assert cancelled.wait(10)
        assert client.metrics.mrr(*RANGE, geo="US")[0].mrr == 363819722


def test_several_threads_read_one_stream() -> None:
    client = blocking_client(in_turn(200), throttle=Throttle(10**6, 3))
    with client, client.metrics.stream(queries() * 5) as outcomes, ThreadPoolExecutor(4) as pool:
        parts = [pool.submit(lambda: list(outcomes)) for _ in range(4)]
        found = [outcome for part in parts for outcome in part.result()]
    assert Counter(outcome.query.geo for outcome in found) == {(country,): 5 for country in COUNTRIES}


@pytest.mark.parametrize(("given", "message"), [(None, "queries must be an iterable"), (["mrr"], "query must be a")])
def test_something_else_than_queries_is_refused(given: Any, message: str) -> None:
    refused = pytest.raises(errors.ArgumentError, match=message)
    with blocking_client(in_turn(200)) as client, refused, client.metrics.stream(given) as outcomes:
        list(outcomes)


def test_a_stream_is_read_inside_its_block() -> None:
    with blocking_client(in_turn(200)) as client:
        stream = client.metrics.stream(queries())
        for read in (iter, next):
            with pytest.raises(errors.StateError, match="the stream is not open: open the stream"):
                read(stream)
        with stream:
            next(stream)
            with pytest.raises(errors.StateError, match="entered only once"):
                stream.__enter__()
        for read in (iter, next):
            with pytest.raises(errors.StateError, match="the block of the stream was left"):
                read(stream)


def test_a_forked_child_does_not_wait_for_what_its_parent_has_in_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    with blocking_client(in_turn(200)) as client:
        inherited = client.metrics.stream(queries())
        with client.metrics.stream(queries()) as outcomes:
            next(outcomes)
            running = LOOP.running
            assert running is not None
            monkeypatch.setattr(os, "getpid", lambda: 2**22)
            # Other threads may have been reading it.
            outcomes._reading.acquire()
            for read in (iter, next):
                with pytest.raises(errors.StateError, match="in use in another process, of which this one is a fork"):
                    read(outcomes)
            # In a real child the thread does not run.
            running.end()
            for thread in threads_of_the_loop():
                thread.join()
        # What was not entered yet belongs to nobody.
        with inherited:
            next(inherited)


def test_what_starts_while_another_thread_leaves_is_cancelled() -> None:
    async def respond(request: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    def leaving() -> Iterator[MetricQuery]:
        stream.__exit__(None, None, None)
        yield MetricQuery("mrr", *RANGE)
        raise AssertionError

    started: list[Call[Any]] = []
    with blocking_client(respond) as client:
        stream = client.metrics.stream(leaving())
        start = stream._start

        def note(call: Call[Any]) -> None:
            started.append(call)
            start(call)

        stream._start = note
        with pytest.raises(errors.StateError, match="the block of the stream was left"):
            next(stream.__enter__())
        (call,) = started
        with pytest.raises(errors.StateError):
            call.result()


def waiting_stream(leave: str) -> type[BaseException]:
    """What a thread meets that waits for an outcome while another one leaves the block or closes the client."""
    in_progress = threading.Event()

    async def respond(request: httpx.Request) -> httpx.Response:
        in_progress.set()
        await anyio.sleep_forever()
        raise AssertionError

    with blocking_client(respond) as client, ThreadPoolExecutor(1) as pool:
        stream = client.metrics.stream(queries(["US"]))
        with stream:
            reader = pool.submit(next, stream)
            assert in_progress.wait(10)
            if leave == "client":
                client.close()
                wait([reader])
        error = reader.exception()
    assert error is not None
    raise error


@pytest.mark.parametrize(
    ("leave", "message"), [("block", "the block of the stream was left"), ("client", "closed while the call was in")]
)
def test_a_reader_does_not_wait_forever(leave: str, message: str) -> None:
    with pytest.raises(errors.StateError, match=message):
        waiting_stream(leave)


def test_on_windows_a_stream_looks_for_ctrl_c_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(call, "_CTRL_C_EVERY", 0.001)
    with blocking_client(in_turn(ok())) as client, client.metrics.stream([MetricQuery("mrr", *RANGE)]) as outcomes:
        assert [outcome.error for outcome in outcomes] == [None]
