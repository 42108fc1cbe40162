"""Where the server of a fault is: on loopback, behind TLS, behind a proxy, or nowhere."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import cache, partial

import pytest
import trustme
from attrs import Factory, field, frozen

from chartmogul_async.transport import connections
from tests.faults.relay import Relay, relay, socks
from tests.faults.server import Behaviour, FaultServer

PROXY_PASSWORD = "password-of-the-proxy"
BEHIND_THE_PROXY = "api.chartmogul.localhost"


@frozen
class Target:
    """Where a client finds the server of a fault.

    Attributes:
        base_url: The client's.
        server: The server.
        recover: Called after the fault; from then on the same client's next request must succeed.
        port: Where the client's sockets are connected to.
        relay: What passes on everything between the client and the server, if anything does.
    """

    base_url: str
    server: FaultServer
    recover: Callable[[], object] = lambda: None
    port: int = field(default=Factory(lambda self: self.server.port, takes_self=True))
    relay: Relay | None = None

    def wait_until_idle(self) -> None:
        """Wait until all is sent or closed that should be, and has reached the client."""
        self.server.wait_until_idle()
        if self.relay is not None:
            self.relay.wait_for_connections(self.server.open_connections)


OpenTarget = Callable[[Sequence[Behaviour]], AbstractContextManager[Target]]


@contextmanager
def plain(behaviours: Sequence[Behaviour]) -> Iterator[Target]:
    with FaultServer(behaviours) as server:
        yield Target(server.url, server)


@contextmanager
def refused(behaviours: Sequence[Behaviour]) -> Iterator[Target]:
    server = FaultServer(behaviours)
    try:
        yield Target(server.url, server, server.start)
    finally:
        server.stop()


@contextmanager
def never_accepted(behaviours: Sequence[Behaviour]) -> Iterator[Target]:
    server = FaultServer(behaviours)
    first_in_queue = server.fill_backlog()

    def recover() -> None:
        server.start()
        server.wait_for_connections(1)
        first_in_queue.close()

    try:
        yield Target(server.url, server, recover)
    finally:
        first_in_queue.close()
        server.stop()


@contextmanager
def secure(behaviours: Sequence[Behaviour]) -> Iterator[Target]:
    """HTTPS with a certificate that the client trusts."""
    with environment(), FaultServer(behaviours, tls=certificate("127.0.0.1")) as server:
        yield Target(server.url, server)


@contextmanager
def proxied(behaviours: Sequence[Behaviour]) -> Iterator[Target]:
    """A proxy between the client and a host that only the proxy can reach; the behaviours are the proxy's."""
    with FaultServer(behaviours, tls=certificate(BEHIND_THE_PROXY), tunnels=True) as server:
        proxy = f"http://user:{PROXY_PASSWORD}@127.0.0.1:{server.port}"
        with environment(https_proxy=proxy):
            yield Target(f"https://{BEHIND_THE_PROXY}/v1", server)


@contextmanager
def proxied_over_tls(behaviours: Sequence[Behaviour]) -> Iterator[Target]:
    """The same proxy, reached over TLS itself; the behaviours begin after its handshake."""
    with (
        FaultServer(behaviours, tls=certificate(BEHIND_THE_PROXY), tunnels=True) as server,
        relay(server.port, certificate("127.0.0.1")) as before,
        environment(https_proxy=f"https://user:{PROXY_PASSWORD}@127.0.0.1:{before.port}"),
    ):
        yield Target(f"https://{BEHIND_THE_PROXY}/v1", server, port=before.port, relay=before)


def proxied_by_socks(password: str = "") -> OpenTarget:
    """A SOCKS proxy between the client and the same host, and the password that it wants, if any."""

    @contextmanager
    def target(behaviours: Sequence[Behaviour]) -> Iterator[Target]:
        login = f"user:{PROXY_PASSWORD}@" if password else ""
        with (
            FaultServer(behaviours, tls=certificate(BEHIND_THE_PROXY)) as server,
            relay(server.port, through=partial(socks, password=password.encode())) as before,
            environment(all_proxy=f"socks5://{login}127.0.0.1:{before.port}"),
        ):
            yield Target(f"https://{BEHIND_THE_PROXY}/v1", server, port=before.port, relay=before)

    return target


@contextmanager
def without_socks(behaviours: Sequence[Behaviour]) -> Iterator[Target]:
    """Something else where a SOCKS proxy should be; it behaves the same at the next request."""
    with (
        FaultServer([*behaviours, *behaviours]) as server,
        environment(all_proxy=f"socks5://user:{PROXY_PASSWORD}@127.0.0.1:{server.port}"),
    ):
        yield Target(f"https://{BEHIND_THE_PROXY}/v1", server)


def unknown_proxy(name: str) -> OpenTarget:
    @contextmanager
    def target(behaviours: Sequence[Behaviour]) -> Iterator[Target]:
        with environment(https_proxy=f"http://{name}:3128"), FaultServer(behaviours) as server:
            yield Target(f"https://{BEHIND_THE_PROXY}/v1", server)

    return target


def unknown_host(name: str) -> OpenTarget:
    @contextmanager
    def target(behaviours: Sequence[Behaviour]) -> Iterator[Target]:
        with environment(), FaultServer(behaviours) as server:
            yield Target(f"https://{name}/v1", server)

    return target


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Trust only the authority of these tests, and use no proxy but the given one."""
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
