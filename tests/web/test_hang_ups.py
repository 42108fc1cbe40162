"""A hundred browsers, as raw sockets, leave pages behind that uvicorn serves."""

from __future__ import annotations

import socket
import struct

import pytest

from chartmogul_async.countries import COUNTRIES
from chartmogul_async.sandbox import Company, Sandbox

from .apps import APPS
from .servers import in_a_thread, until

pytestmark = pytest.mark.sockets


def request(address: tuple[str, int], path: str) -> socket.socket:
    connection = socket.create_connection(address)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


def close(connection: socket.socket, number: int) -> None:
    """By FIN, or by RST."""
    if number % 2:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("framework", APPS)
def test_a_hundred_browsers_that_leave_end_their_pulls(framework: str, http: str) -> None:
    if http == "httptools":
        pytest.importorskip("httptools")
    sandbox = Sandbox(Company(customers=10), latency=3600)
    with sandbox.serve() as url, in_a_thread(framework, url, http) as (address, pages):
        statistics = pages.client.throttle.statistics
        countries = sorted(COUNTRIES)[:100]
        browsers = [request(address, f"/mrr?geo={country}") for country in countries]
        until(lambda: statistics().waiting == 80 and sandbox.counters.in_progress == 20)
        for number, browser in enumerate(browsers):
            close(browser, number)
        until(lambda: statistics().waiting == 0 and statistics().in_flight == 0)
        until(lambda: sandbox.counters.in_progress == 0)
        # A slot that one of them leaves may be taken by another before that one leaves, too.
        assert sandbox.counters.requests < 100
        sandbox.latency = 0
        with request(address, "/mrr") as next_one:
            assert next_one.recv(100).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("framework", APPS)
def test_browsers_that_leave_a_stream_end_it(framework: str) -> None:
    sandbox = Sandbox(Company(customers=10))
    with sandbox.serve() as url, in_a_thread(framework, url, "h11") as (address, pages):
        browsers = [request(address, "/stream") for _ in range(20)]
        until(lambda: pages.streaming == 20)
        for number, browser in enumerate(browsers):
            close(browser, number)
        until(lambda: pages.streaming == 0)
