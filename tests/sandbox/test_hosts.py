"""The hosts for which a server responds, and those on which it can listen."""

from __future__ import annotations

import importlib
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from chartmogul_async.sandbox import Counters, Sandbox, serve_in_subprocess
from chartmogul_async.sandbox.hosts import in_url, is_accepted, is_host, is_loopback
from tests.sandbox.helpers import empty

LOOPBACK = [
    "localhost",
    "LocalHost:8000",
    "localhost.",
    "localhost.:8000",
    "api.localhost",
    "127.0.0.1",
    "127.0.0.1:8000",
    "127.8.9.10",
    "[::1]",
    "[::1]:8000",
    "[0:0:0:0:0:0:0:1]:8000",
]
OTHERS = [
    "",
    " ",
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "evil-localhost",
    "127.0.0.1.evil.example",
    "localhost@evil.example",
    "evil.example#localhost",
    "localhost:8000:8000",
    "localhost:port",
    "127.0.0.1, evil.example",
    "::1",
    "[::1",
    "[]",
    "[evil.example]",
    "127.1",
    "2130706433",
    "0x7f000001",
]
ADDRESSES = ["192.168.1.5", "192.168.1.5:8000", "0.0.0.0:8000", "[fe80::1]:8000"]


@pytest.mark.parametrize("host", LOOPBACK)
@pytest.mark.parametrize("listening_on", ["127.0.0.1", "::1", "localhost", "0.0.0.0"])
def test_names_of_loopback_are_accepted(host: str, listening_on: str) -> None:
    assert is_accepted([host], listening_on)


@pytest.mark.parametrize("host", OTHERS)
@pytest.mark.parametrize("listening_on", ["127.0.0.1", "::1", "localhost", "0.0.0.0", "sandbox.example"])
def test_other_names_are_refused(host: str, listening_on: str) -> None:
    assert not is_accepted([host], listening_on)


@pytest.mark.parametrize("host", ADDRESSES)
def test_addresses_are_accepted_beyond_loopback_only(host: str) -> None:
    assert is_accepted([host], "0.0.0.0")
    assert is_accepted([host], "sandbox.example")
    assert not is_accepted([host], "127.0.0.1")
    assert not is_accepted([host], "localhost")


def test_the_name_that_is_listened_on_is_accepted() -> None:
    assert is_accepted(["Sandbox.example.:8000"], "sandbox.example")
    assert not is_accepted(["other.example"], "sandbox.example")


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]])
def test_there_must_be_exactly_one_host(hosts: list[str]) -> None:
    assert not is_accepted(hosts, "127.0.0.1")


def test_hosts_to_listen_on() -> None:
    assert all(is_host(host) for host in ("localhost", "127.0.0.1", "::1", "fe80::1%eth0", "my_service", "a.example."))
    assert not any(is_host(host) for host in ("", " ", "a..b", "[::1]", "a b", "127.0.0.1:80", "é.example", "x" * 64))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.5", "sandbox.example"))


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("fe80::1%eth0", "[fe80::1%25eth0]"),
    ],
)
def test_the_url_of_a_server(host: str, shown: str) -> None:
    assert in_url(host) == shown


@contextmanager
def served(host: str) -> Iterator[tuple[Sandbox, str]]:
    sandbox = Sandbox(empty())
    with sandbox.serve(host) as url:
        yield sandbox, url


def get(url: str, host: str) -> httpx.Response:
    return httpx.get(url, auth=("sandbox", ""), headers={"host": host}, trust_env=False)


@pytest.mark.sockets
@pytest.mark.parametrize("path", ["/v1/ping", "/sandbox/counters"])
def test_a_page_of_another_site_reads_nothing(path: str) -> None:
    with served("127.0.0.1") as (sandbox, url):
        refused = get(url.replace("/v1", path), "rebound.example:8000")
        assert refused.status_code == 421
        assert list(refused.json()) == ["error"]
        assert sandbox.counters == Counters(connections=1)
        assert get(f"{url}/ping", "LOCALHOST:1").status_code == 200


@pytest.mark.sockets
def test_a_request_without_a_host_is_refused() -> None:
    with (
        served("127.0.0.1") as (sandbox, url),
        socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)) as raw,
    ):
        raw.sendall(b"GET /v1/ping HTTP/1.0\r\nauthorization: Basic c2FuZGJveDo=\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 421 ")
        assert sandbox.counters.requests == 0


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.sockets
@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "::"])
def test_ipv6(host: str) -> None:
    with served(host) as (_, url):
        assert url.startswith("http://[::1]:")
        assert httpx.get(f"{url}/ping", auth=("sandbox", ""), trust_env=False).json() == {"data": "pong!"}


@pytest.mark.sockets
def test_all_addresses_of_the_machine() -> None:
    with served("0.0.0.0") as (_, url):
        assert url.startswith("http://127.0.0.1:")
        assert get(f"{url}/ping", "192.168.1.5:8000").status_code == 200
        assert get(f"{url}/ping", "rebound.example").status_code == 421


def test_without_the_extra_the_error_contains_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "chartmogul_async.sandbox.server", raising=False)
    monkeypatch.delattr(importlib.import_module("chartmogul_async.sandbox"), "server", raising=False)
    sandbox = Sandbox(empty())
    for serve in (sandbox.serve, sandbox.run, lambda: serve_in_subprocess().__enter__()):
        with pytest.raises(ImportError, match=r"run: pip install 'chartmogul-async\[sandbox\]'") as raised:
            serve()
        assert raised.value.__cause__ is None
