"""How a client reaches a server on loopback: directly, over TLS, through a proxy, through a proxy over TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

from tests.faults.relay import relay, tunnel
from tests.faults.targets import BEHIND_THE_PROXY, certificate, environment


@contextmanager
def _directly(url: str) -> Iterator[str]:
    yield url


@contextmanager
def _over_tls(url: str) -> Iterator[str]:
    with relay(port_of(url), certificate("127.0.0.1")) as before, environment():
        yield f"https://127.0.0.1:{before.port}/v1"


@contextmanager
def _through_a_proxy(url: str, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The URL has the port of the proxy, which connects any host and any port to the same server."""
    scheme = "http" if tls is None else "https"
    with (
        relay(port_of(url), certificate(BEHIND_THE_PROXY)) as behind,
        relay(behind.port, tls, through=tunnel) as proxy,
        environment(https_proxy=f"{scheme}://127.0.0.1:{proxy.port}"),
    ):
        yield f"https://{BEHIND_THE_PROXY}:{proxy.port}/v1"


@contextmanager
def _through_a_proxy_over_tls(url: str) -> Iterator[str]:
    with _through_a_proxy(url, certificate("127.0.0.1")) as own_url:
        yield own_url


Route = Callable[[str], AbstractContextManager[str]]
"""Given the URL of a server, the URL for the client; the sockets of the client are connected to the port of that."""

ROUTES: dict[str, Route] = {
    "directly": _directly,
    "over TLS": _over_tls,
    "through a proxy": _through_a_proxy,
    "through a proxy over TLS": _through_a_proxy_over_tls,
}


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port
