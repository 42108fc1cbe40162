"""The life of a blocking client: closing, the exit of the interpreter, signals, forks."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest

from chartmogul_async import AsyncClient, Throttle, errors
from chartmogul_async.blocking import loop
from chartmogul_async.blocking.calls import Calls
from chartmogul_async.blocking.loop import LOOP, LoopThread
from chartmogul_async.sandbox import Limits, Sandbox
from chartmogul_async.sandbox.server import serve_in_thread
from tests.blocking.clients import RANGE, blocking_client, in_a_fresh_interpreter
from tests.blocking.test_calls import threads_of_the_loop
from tests.clients import KEY, in_turn

on_unix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork, and no signals between processes")


def test_closing_twice_does_nothing() -> None:
    client = blocking_client(in_turn(200))
    client.metrics.mrr(*RANGE)
    client.close()
    client.close()
    assert threads_of_the_loop() == []


def test_an_unused_client_can_be_closed() -> None:
    client = blocking_client(in_turn(200))
    client.close()
    with pytest.raises(errors.StateError, match="this client is closed; make a new Client"):
        client.ping()


def test_a_closed_client_is_refused() -> None:
    with blocking_client(in_turn(200)) as client:
        metrics, stream = client.metrics, client.metrics.stream([])
        metrics.mrr(*RANGE)
    for use in (client.ping, client.__enter__, lambda: metrics.mrr(*RANGE)):
        with pytest.raises(errors.StateError, match="this client is closed; make a new Client"):
            use()
    assert client.throttle.statistics().admitted == 1
    with stream as outcomes:
        assert list(outcomes) == []


def test_closing_ends_the_calls_of_other_threads() -> None:
    arrived = []

    async def respond(request: httpx.Request) -> httpx.Response:
        arrived.append(request)
        await anyio.sleep_forever()
        raise AssertionError

    client = blocking_client(respond)
    with blocking_client(in_turn(200)) as other, ThreadPoolExecutor(3) as pool:
        other.metrics.mrr(*RANGE)
        calls = [pool.submit(client.metrics.mrr, *RANGE, plans=str(plan)) for plan in range(3)]
        while len(arrived) < 3:
            time.sleep(0)
        client.close()
        for call in calls:
            with pytest.raises(errors.StateError, match="this client was closed while the call was in progress"):
                call.result()
        assert other.metrics.mrr(*RANGE)[0].mrr == 363819722
    assert threads_of_the_loop() == []
    assert client.throttle.statistics().in_flight == 0


def test_clients_come_and_go_while_others_work() -> None:
    """The thread starts and ends many times, and no call is lost between."""

    def work(_: int) -> int | float:
        with blocking_client(in_turn(200)) as client:
            return client.metrics.mrr(*RANGE)[0].mrr

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(100))) == {363819722}
    assert threads_of_the_loop() == []


def test_a_loop_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_loop(*args: Any) -> None:
        raise OSError("Too many open files")

    with blocking_client(in_turn(httpx.Response(200, json={"data": "pong!"}))) as client:
        with monkeypatch.context() as patched:
            patched.setattr(anyio, "run", no_loop)
            with pytest.raises(OSError, match="Too many open files"):
                client.ping()
        assert client.ping() == "pong!"


def test_a_thread_that_cannot_start_is_a_state_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the exit of the interpreter, from Python 3.12 on; not where there are as many threads as there may be."""

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with blocking_client(in_turn(httpx.Response(200, json={"data": "pong!"}))) as client:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_thread)
            with pytest.raises(RuntimeError, match=r"^can't start new thread$"):
                client.ping()
            patched.setattr(threading.main_thread(), "is_alive", lambda: False)
            with pytest.raises(errors.StateError, match=r"cannot start: can't start new thread; where calls are"):
                client.ping()
        assert client.ping() == "pong!"


def test_an_isolated_interpreter_is_referred_to_the_async_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of ``concurrent.futures.InterpreterPoolExecutor``, whose threads must end before they do."""

    def no_daemon(*_: object, **__: object) -> None:
        raise RuntimeError("daemon threads are disabled in this (sub)interpreter")

    with blocking_client(in_turn(httpx.Response(200, json={"data": "pong!"}))) as client:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "__init__", no_daemon)
            with pytest.raises(errors.StateError, match=r"daemon threads are disabled .* use AsyncClient$"):
                client.ping()
        assert client.ping() == "pong!"


@pytest.mark.parametrize("patched", [[], ["socket"], ["socket", "threading"]])
def test_threads_that_gevent_replaces_later_are_none(patched: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A first call would wait for a greenlet that never runs, and hold up all others."""
    gevent = SimpleNamespace(is_module_patched=patched.__contains__)
    with blocking_client(in_turn(httpx.Response(200, json={"data": "pong!"}))) as client:
        with monkeypatch.context() as imported:
            imported.setitem(sys.modules, "gevent.monkey", gevent)  # pyright: ignore[reportArgumentType]
            if "threading" in patched:
                with pytest.raises(errors.StateError, match=r"gevent has replaced threads since .* before the import$"):
                    client.ping()
                # It also replaces what was not imported before.
                imported.setattr(
                    loop, "SimpleQueue", type("SimpleQueue", (SimpleQueue,), {"__module__": "gevent.queue"})
                )
            assert client.ping() == "pong!"
        assert client.ping() == "pong!"


def test_the_exit_closes_what_is_open() -> None:
    clients = [blocking_client(in_turn(200)) for _ in range(3)]
    for client in clients[:2]:
        client.metrics.mrr(*RANGE)
    LOOP.close()
    assert threads_of_the_loop() == []
    with pytest.raises(errors.StateError, match="this client is closed"):
        clients[0].ping()
    with clients[2] as unused:
        assert unused.metrics.mrr(*RANGE)[0].mrr == 363819722


def test_a_forked_child_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as in the child of a real fork below, but for the thread, which goes on here."""
    with blocking_client(in_turn(200), throttle=Throttle()) as client, blocking_client(in_turn(200)) as other:
        client.metrics.mrr(*RANGE)
        other.metrics.mrr(*RANGE)
        running = LOOP.running
        assert running is not None
        monkeypatch.setattr(os, "getpid", lambda: 0)
        LOOP.forget()
        assert client.throttle.statistics().admitted == 1
        client.metrics.mrr(*RANGE)
        assert client.throttle.statistics().admitted == 2
        assert LOOP.running not in (None, running)
        # One that makes no call in the child has nothing to close there.
        other.close()
        with pytest.raises(errors.StateError, match="this client is closed"):
            other.ping()
    running.end()
    for thread in threads_of_the_loop():
        thread.join()


def test_a_forked_child_begins_anew_once_however_many_threads_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python was not told of the fork, the first of them notices it, and the others wait for that one."""
    thread, begun = LoopThread(), []

    class Held:
        def __enter__(self) -> None:
            thread.forget()
            begun.append(thread.lock)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(os, "getpid", lambda: 2**22)
    thread._renewals[2**22] = Held()  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
    assert thread.lock is begun[0]


def test_a_signal_handler_may_interrupt_a_child_that_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = LoopThread()
    taken: list[object] = []

    class Interrupted:
        def close(self) -> None: ...

        def abandon(self) -> None:
            taken.append("interrupted")
            if len(taken) == 1:
                taken.append(thread.lock)

    thread._users.add(Interrupted())
    monkeypatch.setattr(os, "getpid", lambda: 2**22)
    assert taken == []
    lock = thread.lock
    # The second time is that of the handler.
    assert taken == ["interrupted", "interrupted", lock]


def test_a_thread_of_a_forked_child_is_not_that_of_the_parents_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have its number."""
    thread = LoopThread()
    thread._thread = threading.current_thread()
    assert thread.is_current()
    monkeypatch.setattr(os, "getpid", lambda: 2**22)
    assert not thread.is_current()


def test_what_a_forked_child_gives_up_is_handed_out_to_be_kept() -> None:
    """Whatever is collected in the child would be reported, or be closed for the parent, too."""
    client = AsyncClient(KEY)
    calls = Calls(client, partial(AsyncClient, KEY))
    call = calls.call(AsyncClient.ping)
    in_progress = calls._in_progress
    in_progress.add(call)
    assert calls.abandon() == (client, {call})
    assert in_progress == {call}


# --- processes --------------------------------------------------------------------------------------------------


@pytest.fixture
def sandbox() -> Iterator[str]:
    with serve_in_thread(
        Sandbox(api_key="sandbox", limits=Limits(per_second=None, parallel=None)), "127.0.0.1", 0
    ) as url:
        yield url


BEGIN = """
import atexit, os, signal, sys, threading
from chartmogul_async import RetryPolicy, Throttle, errors
from chartmogul_async.blocking import Client
client = Client("sandbox", base_url=sys.argv[1], throttle=Throttle())
"""


@pytest.mark.sockets
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_open_client_is_closed_at_exit(sandbox: str, host: str) -> None:
    before = """
import atexit, threading
atexit.register(lambda: print(threading.active_count(), "thread"))  # called last
"""
    code = """
print(client.ping())
client.metrics.mrr("2025-01-01", "2025-12-31")
atexit.register(print, "later functions of atexit can use it", flush=True)
atexit.register(lambda: print(client.ping()))
"""
    printed = in_a_fresh_interpreter(before + BEGIN + code, sandbox.replace("127.0.0.1", host)).splitlines()
    assert printed[:-1] == ["pong!", "pong!", "later functions of atexit can use it"]
    # The thread that looked up a name was told to end, and does so in a moment.
    assert printed[-1] in (["1 thread"] if host == "127.0.0.1" else ["1 thread", "2 thread"])


INTERRUPTED = """
import socket, time
silent = socket.create_server(("127.0.0.1", 0))
client = Client("sandbox", base_url=f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
def interrupt():
    connection, _ = silent.accept()
    connection.settimeout(10)  # the client itself would give up after 30 seconds
    connection.recv(1)
    os.kill(os.getpid(), NUMBER)
    while connection.recv(65536):
        pass  # the request goes on
    print("the connection is closed\\n", end="", flush=True)  # at once, as other threads print, too
    connection.close()
other = threading.Thread(target=interrupt)
other.start()
"""


@on_unix
@pytest.mark.sockets
def test_ctrl_c_cancels_the_call(sandbox: str) -> None:
    code = """
try:
    client.ping()
except KeyboardInterrupt:
    print("interrupted\\n", end="", flush=True)
other.join()
silent.close()
print(client.throttle.statistics().in_flight, client.throttle.statistics().waiting)
"""
    printed = in_a_fresh_interpreter(BEGIN + INTERRUPTED.replace("NUMBER", "signal.SIGINT") + code, sandbox)
    assert sorted(printed.splitlines()) == ["0 0", "interrupted", "the connection is closed"]


@on_unix
@pytest.mark.sockets
def test_a_signal_may_close_the_client(sandbox: str) -> None:
    code = """
signal.signal(signal.SIGTERM, lambda *_: client.close())
try:
    client.ping()
except errors.StateError as error:
    print(error, flush=True)
other.join()
silent.close()
print(threading.active_count())
"""
    code = INTERRUPTED.replace("NUMBER", "signal.SIGTERM") + code
    assert sorted(in_a_fresh_interpreter(BEGIN + code, sandbox).splitlines()) == [
        "1",
        "the connection is closed",
        "this client was closed while the call was in progress; close it after its last call",
    ]


@on_unix
@pytest.mark.sockets
def test_a_client_goes_on_in_a_forked_child(sandbox: str) -> None:
    code = """
def loops():
    return [thread.name for thread in threading.enumerate()].count("chartmogul_async")
def figures():
    return client.ping(), client.metrics.mrr("2025-01-01", "2025-12-31")[0].mrr > 0
print(*figures(), flush=True)
for _ in range(2):
    child = os.fork()
    if not child:
        print(*figures(), loops(), flush=True)
        grandchild = os.fork()
        if not grandchild:
            print(*figures(), loops(), flush=True)
            client.close()
            print(loops(), flush=True)
            sys.exit()
        assert os.waitpid(grandchild, 0)[1] == 0
        print(*figures(), flush=True)
        sys.exit()  # as a program ends, with the functions of atexit
    assert os.waitpid(child, 0)[1] == 0
print(*figures(), client.throttle.statistics().in_flight, flush=True)
"""
    ping = "pong! True"
    child = [f"{ping} 1", f"{ping} 1", "0", ping]
    assert in_a_fresh_interpreter(BEGIN + code, sandbox).splitlines() == [ping, *child, *child, f"{ping} 0"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems should not fork so")
@pytest.mark.sockets
@pytest.mark.parametrize("first", ["client.ping()", "client.throttle.statistics().waiting", "client.close()"])
def test_a_client_goes_on_after_a_fork_of_which_python_knows_nothing(sandbox: str, first: str) -> None:
    """As those of uWSGI: no function is called that was registered with ``os.register_at_fork``."""
    code = f"""
import ctypes, time
from concurrent.futures import ThreadPoolExecutor
other = Client("sandbox", base_url=sys.argv[1])
print(client.ping(), other.ping(), flush=True)
time.sleep(0.3)  # without those functions, no other thread may be about to run
child = ctypes.PyDLL(None).fork()
if not child:
    print({first}, other.ping(), flush=True)
    with ThreadPoolExecutor(4) as threads:
        print(*threads.map(lambda _: other.ping(), range(8)), len(other._calls._in_progress), flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(client.ping(), client.throttle.statistics().in_flight)
"""
    returned = {"client.ping()": "pong!", "client.throttle.statistics().waiting": "0", "client.close()": "None"}[first]
    printed = in_a_fresh_interpreter(BEGIN + code, sandbox).splitlines()
    assert printed == ["pong! pong!", f"{returned} pong!", "pong! " * 8 + "0", "pong! 0"]


@on_unix
@pytest.mark.sockets
def test_a_fork_in_the_middle_of_calls_leaves_them_alone(sandbox: str) -> None:
    """Other threads call, and hold the lock at any moment; the child has neither the threads nor their locks."""
    code = """
client.throttle.resize(per_second=10**6)
client.ping()  # a module that another thread imports in that moment could never be imported in the child
done = threading.Event()
def call():
    while not done.is_set():
        client.ping()
others = [threading.Thread(target=call) for _ in range(4)]
for other in others:
    other.start()
for _ in range(20):
    child = os.fork()
    if not child:
        os._exit(client.ping() != "pong!")
    assert os.waitpid(child, 0)[1] == 0
done.set()
for other in others:
    other.join()
print(client.throttle.statistics().in_flight)
"""
    assert in_a_fresh_interpreter(BEGIN + code, sandbox) == "0\n"


@on_unix
@pytest.mark.sockets
def test_a_client_closed_by_the_child_only_is_open_in_the_parent(sandbox: str) -> None:
    code = """
client.ping()
child = os.fork()
if not child:
    client.close()
    try:
        client.ping()
    except errors.StateError as error:
        print(error, flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(client.ping())
"""
    closed = "this client is closed; make a new Client, and close it after its last call"
    assert in_a_fresh_interpreter(BEGIN + code, sandbox).splitlines() == [closed, "pong!"]
