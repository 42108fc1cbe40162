from __future__ import annotations

import errno
import io
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import httpx
import pytest

from chartmogul_async.errors import ArgumentError
from chartmogul_async.sandbox import Company, Counters, Fault, Faults, Limits, Sandbox, serve_in_subprocess
from chartmogul_async.sandbox.process import run_child
from chartmogul_async.sandbox.server import Server, _listening_socket

from .helpers import empty

pytestmark = pytest.mark.sockets


@contextmanager
def served(*faults: Fault, **more: Any) -> Iterator[tuple[Sandbox, httpx.Client]]:
    sandbox = Sandbox(empty(), faults=Faults.sequence(*faults), **more)
    with sandbox.serve() as url, httpx.Client(base_url=url, auth=("sandbox", ""), trust_env=False) as http:
        yield sandbox, http


def counters(url: str) -> Counters:
    return Counters(**httpx.get(url.replace("/v1", "/sandbox/counters"), trust_env=False).json())


def test_a_thread_serves_over_real_sockets() -> None:
    with served() as (sandbox, http):
        assert http.get("ping").json() == {"data": "pong!"}
        response = http.get("metrics/mrr", params={"start-date": "2022-01-01", "end-date": "2022-01-31"})
        assert response.json()["entries"][0]["date"] == "2022-01-31"
        assert sandbox.counters == Counters(requests=2, peak_parallel=1, connections=1)
        assert str(http.base_url).endswith("/v1/")


def test_a_sandbox_can_be_served_again() -> None:
    sandbox = Sandbox(empty())
    for connections in (1, 2):
        with sandbox.serve() as url:
            assert httpx.get(f"{url}/ping", auth=("sandbox", ""), trust_env=False).status_code == 200
        assert sandbox.counters.connections == connections
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/ping", trust_env=False)


def test_bookings_reach_the_serving_thread() -> None:
    with served() as (sandbox, http):
        days = {"start-date": "2022-03-01", "end-date": "2022-03-31"}
        assert http.get("metrics/mrr", params=days).json()["entries"][0]["mrr"] == 0
        sandbox.company.add_customer(on=date(2022, 3, 1), plan="support", mrr=7)
        assert http.get("metrics/mrr", params=days).json()["entries"][0]["mrr"] == 7


def test_a_reset_is_sent_as_rst() -> None:
    with (
        served(Fault.reset()) as (_, http),
        socket.create_connection((http.base_url.host, http.base_url.port or 0)) as raw,
    ):
        raw.sendall(b"GET /v1/ping HTTP/1.1\r\nhost: localhost\r\nauthorization: Basic c2FuZGJveDo=\r\n\r\n")
        with pytest.raises(ConnectionResetError) as reset:
            raw.recv(1000)
        assert reset.value.errno == errno.ECONNRESET


def test_a_reset_inside_the_body_follows_its_beginning() -> None:
    with served(Fault.reset_in_body(after=5)) as (_, http), http.stream("GET", "ping") as response:
        assert response.headers["content-length"] == "16"
        chunks = response.iter_raw()
        assert next(chunks) == b'{"dat'
        with pytest.raises(httpx.ReadError):
            next(chunks)


def test_after_a_reset_the_next_connection_works() -> None:
    with served(Fault.reset(), Fault.reset()) as (sandbox, http):
        for _ in range(2):
            with pytest.raises(httpx.ReadError):
                http.get("ping")
        assert http.get("ping").status_code == 200
        assert sandbox.counters == Counters(requests=3, faults=2, peak_parallel=1, connections=3)


def test_a_stalled_body_stays_open() -> None:
    with served(Fault.stall(after=5)) as (sandbox, http), http.stream("GET", "ping", timeout=0.05) as response:
        chunks = response.iter_raw()
        assert next(chunks) == b'{"dat'
        assert sandbox.counters.in_progress == 1
        with pytest.raises(httpx.ReadTimeout):
            next(chunks)


def test_a_stalled_response_does_not_delay_shutdown() -> None:
    sandbox = Sandbox(empty(), faults=Faults.sequence(Fault.stall(after=5)))
    with httpx.Client(auth=("sandbox", ""), trust_env=False) as http:
        with sandbox.serve() as url:
            request = http.build_request("GET", f"{url}/ping")
            response = http.send(request, stream=True)
        with pytest.raises(httpx.HTTPError):
            response.read()
        response.close()
    assert sandbox.counters.in_progress == 0


def test_malformed_bodies_are_valid_http() -> None:
    faults = (
        Fault.truncated(),
        Fault.garbage(),
        Fault.empty(),
        Fault.twice(),
        Fault.duplicate_keys(),
        Fault.html(),
        Fault.status(204),
        Fault.status(304),
    )
    with served(*faults) as (sandbox, http):
        for _ in faults[:-2]:
            response = http.get("ping")
            assert response.status_code == 200
            assert len(response.content) == int(response.headers["content-length"])
        for status in (204, 304):
            response = http.get("ping")
            assert (response.status_code, response.content) == (status, b"")
        assert http.get("ping").json() == {"data": "pong!"}
        assert sandbox.counters.connections == 1


def test_one_request_beyond_the_parallel_limit() -> None:
    # Two stalled requests take both slots.
    with (
        served(Fault.stall(), Fault.stall(), limits=Limits(parallel=2)) as (sandbox, http),
        http.stream("GET", "ping"),
        http.stream("GET", "ping"),
    ):
        assert http.get("ping").status_code == 503
        assert sandbox.counters == Counters(
            requests=3, refused_503=1, faults=2, in_progress=2, peak_parallel=3, connections=3
        )


def test_a_port_in_use() -> None:
    sandbox = Sandbox(empty())
    with sandbox.serve() as url:
        port = httpx.URL(url).port or 0
        with pytest.raises(OSError, match="in use"):
            sandbox.serve(port=port).__enter__()
        with pytest.raises(OSError, match="in use"):
            sandbox.run(port=port)


def test_on_windows_a_port_is_exclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    """There SO_REUSEADDR lets two servers listen on one port; another option stands in for the one that forbids it."""
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_KEEPALIVE, raising=False)
    with _listening_socket("127.0.0.1", 0) as listening:
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert not listening.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


def test_run_serves_until_interrupted() -> None:
    responses: list[httpx.Response] = []
    before = signal.getsignal(signal.SIGINT)

    def send(url: str) -> None:
        responses.append(httpx.get(f"{url}/ping", auth=("sandbox", ""), trust_env=False))
        # On Windows os.kill would end the process.
        signal.raise_signal(signal.SIGINT)

    def ready(url: str) -> None:
        # The server cannot respond before this function returns.
        threading.Thread(target=send, args=[url]).start()

    Sandbox(empty()).run(port=0, ready=ready)
    assert responses[0].json() == {"data": "pong!"}
    assert signal.getsignal(signal.SIGINT) is before


def test_a_subprocess_serves_with_the_given_options() -> None:
    company = empty()
    company.add_customer(on=date(2022, 3, 1), plan="support", mrr=7)
    with serve_in_subprocess(
        company, api_key="k", limits=Limits(per_second=3), faults=Faults.sequence(Fault.reset())
    ) as url:
        with httpx.Client(base_url=url, auth=("k", ""), trust_env=False) as http:
            with pytest.raises(httpx.ReadError):
                http.get("ping")
            days = {"start-date": "2022-03-01", "end-date": "2022-03-31"}
            assert http.get("metrics/mrr", params=days).json()["entries"][0]["mrr"] == 7
        counted = counters(url)
        assert (counted.requests, counted.faults, counted.connections) == (2, 1, 3)
    with pytest.raises(httpx.ConnectError):
        counters(url)


def test_a_subprocess_that_does_not_start() -> None:
    with (
        Sandbox(empty()).serve() as url,
        pytest.raises(RuntimeError, match="ended with status 1"),
    ):
        serve_in_subprocess(empty(), port=httpx.URL(url).port or 0).__enter__()


def test_a_frozen_program_has_no_interpreter_for_a_subprocess(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would start itself again, and so on."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(RuntimeError, match=r"frozen program .*; use Sandbox\(…\)\.serve\(\)"):
        serve_in_subprocess(empty()).__enter__()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latency": -1}, "latency must be a non-negative number of seconds, not -1"),
        ({"port": 70_000}, "port must be an integer from 0 to 65535, not 70000"),
    ],
)
def test_invalid_arguments_of_a_subprocess(arguments: dict[str, Any], message: str) -> None:
    """They are reported by the caller's process, before another one is started."""
    with pytest.raises(ArgumentError, match=message):
        serve_in_subprocess(**arguments).__enter__()


@pytest.mark.parametrize("port", [-1, 70_000, "80"])
def test_invalid_ports(port: Any) -> None:
    sandbox = Sandbox(empty())
    for serve in (sandbox.serve, sandbox.run):
        with pytest.raises(ArgumentError, match=f"port must be an integer from 0 to 65535, not {port!r}"):
            serve(port=port)


def test_a_subprocess_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import threading; print('up', flush=True); threading.Event().wait()"
    monkeypatch.setattr("chartmogul_async.sandbox.process._CODE", code)
    monkeypatch.setattr("chartmogul_async.sandbox.process._EXIT_TIMEOUT", 0)
    with serve_in_subprocess() as url:
        assert url == "up"


def test_a_subprocess_that_ends_at_once_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stdin breaks before all of the company is written."""
    monkeypatch.setattr("chartmogul_async.sandbox.process._CODE", "import sys; sys.stdin.close(); sys.exit(3)")
    with (
        pytest.raises(RuntimeError, match="the subprocess of the sandbox ended with status 3"),
        serve_in_subprocess(company=Company(customers=300)),
    ):
        pass


def test_the_child_ends_with_its_parent() -> None:
    read_end, write_end = os.pipe()
    stdout = io.StringIO()
    with os.fdopen(read_end, "rb") as stdin, os.fdopen(write_end, "wb") as parent:
        parent.write(pickle.dumps(({"company": empty()}, "127.0.0.1", 0)))
        parent.flush()
        thread = threading.Thread(target=run_child, args=[stdin, stdout])
        thread.start()
        parent.close()
        thread.join()
    assert stdout.getvalue().startswith("http://127.0.0.1:")


def test_the_application_imports_no_server() -> None:
    code = (
        "import sys\n"
        "import chartmogul_async.sandbox\n"
        "chartmogul_async.sandbox.Sandbox(chartmogul_async.sandbox.Company(customers=1)).app\n"
        "print([name for name in ('uvicorn', 'starlette') if name in sys.modules])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"


def test_a_server_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "listen", lambda self: self._socket.close())
    with pytest.raises(RuntimeError, match="server of the sandbox did not start"):
        Sandbox(Company(customers=1)).serve().__enter__()
