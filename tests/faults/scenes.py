"""Where the server of a fault stands: on loopback, behind TLS, behind a proxy, or nowhere at all."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import cache

import pytest
import trustme
from attrs import frozen

from chartmogul_async.transport import connections
from tests.faults.server import Act, FaultServer

PROXY_PASSWORD = "password-of-the-proxy"
BEHIND_THE_PROXY = "api.chartmogul.test"


@frozen
class Scene:
    """``recover`` is called once the fault was met; then the same client's next request must be answered."""

    base_url: str
    server: FaultServer
    recover: Callable[[], object] = lambda: None


Stage = Callable[[Sequence[Act]], AbstractContextManager[Scene]]


@contextmanager
def plain(script: Sequence[Act]) -> Iterator[Scene]:
    with FaultServer(script) as server:
        yield Scene(server.url, server)


@contextmanager
def nobody_listens(script: Sequence[Act]) -> Iterator[Scene]:
    server = FaultServer(script)
    try:
        yield Scene(server.url, server, server.start)
    finally:
        server.stop()


@contextmanager
def nobody_accepts(script: Sequence[Act]) -> Iterator[Scene]:
    server = FaultServer(script)
    first_in_line = server.clog()

    def recover() -> None:
        server.start()
        server.wait_for_connections(1)
        first_in_line.close()

    try:
        yield Scene(server.url, server, recover)
    finally:
        first_in_line.close()
        server.stop()


@contextmanager
def secure(script: Sequence[Act]) -> Iterator[Scene]:
    """HTTPS with a certificate that the client trusts."""
    with _environment(), FaultServer(script, tls=certificate("127.0.0.1")) as server:
        yield Scene(server.url, server)


@contextmanager
def proxied(script: Sequence[Act]) -> Iterator[Scene]:
    """A proxy between the client and a host that only the proxy can find; the script is the proxy's."""
    with FaultServer(script, tls=certificate(BEHIND_THE_PROXY), tunnels=True) as server:
        proxy = f"http://user:{PROXY_PASSWORD}@127.0.0.1:{server.port}"
        with _environment(https_proxy=proxy):
            yield Scene(f"https://{BEHIND_THE_PROXY}/v1", server)


def unknown_host(name: str) -> Stage:
    @contextmanager
    def stage(script: Sequence[Act]) -> Iterator[Scene]:
        with _environment(), FaultServer(script) as server:
            yield Scene(f"https://{name}/v1", server)

    return stage


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Trust the authority of these tests and no other, and have no proxy but the one that is given."""
    with pytest.MonkeyPatch.context() as patch, _authority().cert_pem.tempfile() as path:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            patch.delenv(name)
        for name, value in {"SSL_CERT_FILE": path, **variables}.items():
            patch.setenv(name, value)
        connections._tls_context.cache_clear()
        try:
            yield
        finally:
            connections._tls_context.cache_clear()


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@cache
def certificate(host: str, *, expired: bool = False, trusted: bool = True) -> ssl.SSLContext:
    """The server's side of TLS, with a certificate for this host."""
    authority = _authority() if trusted else trustme.CA()
    issued, ends = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    leaf = authority.issue_cert(host, not_before=issued, not_after=ends) if expired else authority.issue_cert(host)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    leaf.configure_cert(context)
    return context
