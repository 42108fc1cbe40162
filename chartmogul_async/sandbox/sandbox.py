"""The sandbox: a company, its API, its limits and its troubles, in one place."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_plus
from uuid import UUID

from attrs import asdict, define, evolve, frozen

from chartmogul_async.sandbox.app import App
from chartmogul_async.sandbox.company import Company
from chartmogul_async.sandbox.customers import account, search
from chartmogul_async.sandbox.exchange import Asked, Exchange
from chartmogul_async.sandbox.faults import Faults, Trouble
from chartmogul_async.sandbox.limits import Gate, Limits, Refusal
from chartmogul_async.sandbox.metrics import ENDPOINTS, Metrics
from chartmogul_async.sandbox.reply import Reply, answer, refuse, to_json

if TYPE_CHECKING:
    from chartmogul_async.sandbox.transport import SandboxTransport


@frozen
class Counters:
    """What the sandbox has seen so far.

    ``requests`` are all requests to the API, refused ones included; ``refused_429`` those beyond the rate or
    the minute's work, ``refused_503`` those beyond the places; ``faults`` those that went wrong on demand.
    ``in_progress`` and ``peak_parallel`` count requests at the same time, the one too many included.
    ``connections`` were accepted over sockets.
    """

    requests: int = 0
    refused_429: int = 0
    refused_503: int = 0
    faults: int = 0
    in_progress: int = 0
    peak_parallel: int = 0
    connections: int = 0

    @property
    def refusals(self) -> int:
        """All requests that one of the limits turned away."""
        return self.refused_429 + self.refused_503


@define
class _Tally:
    requests: int = 0
    refused_429: int = 0
    refused_503: int = 0
    faults: int = 0
    in_progress: int = 0
    peak_parallel: int = 0
    connections: int = 0


class Sandbox:
    """A local ChartMogul.

    ``company`` is asked for its figures (a new ``Company()`` by default) and may be booked into at any time.
    ``limits`` and ``faults`` may be assigned anew, which starts their counting afresh. Each answer comes
    ``latency`` seconds late and ``latency_per_entry`` seconds more for each of its entries; refusals come at
    once. The limits come first and count every request, also those without a valid key.

    In process: give ``transport()`` to a client, or run ``app`` in any ASGI server. Over sockets: ``with
    sandbox.serve() as url``, or ``run()`` until interrupted. ``GET /sandbox/counters`` tells the counters
    without a key and outside of all limits.
    """

    def __init__(
        self,
        company: Company | None = None,
        *,
        api_key: str = "sandbox",
        limits: Limits = Limits(),
        faults: Faults = Faults(),
        latency: float = 0.0,
        latency_per_entry: float = 0.0,
    ) -> None:
        self.company = Company() if company is None else company
        self.api_key = api_key
        self.latency = latency
        self.latency_per_entry = latency_per_entry
        self.app = App(self.exchange)
        self._metrics = Metrics(self.company)
        self._gate = Gate(limits)
        self._trouble = Trouble(faults)
        self._tally = _Tally()
        self._lock = threading.Lock()  # a server in a thread answers while its owner looks at the counters

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._gate.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._gate = Gate(limits)

    @property
    def faults(self) -> Faults:
        """The faults on demand."""
        return self._trouble.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._trouble = Trouble(faults)

    @property
    def counters(self) -> Counters:
        """The counters at this moment."""
        with self._lock:
            return Counters(**asdict(self._tally))

    def connected(self) -> None:
        """Count a connection; for servers."""
        with self._lock:
            self._tally.connections += 1

    def transport(self) -> SandboxTransport:
        """Give an ``httpx.AsyncBaseTransport`` that answers in process."""
        from chartmogul_async.sandbox.transport import SandboxTransport

        return SandboxTransport(self.exchange)

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> AbstractContextManager[str]:
        """Serve over real sockets from a thread: ``with sandbox.serve() as url``, where ``url`` ends in
        ``/v1``.

        Port 0 is any free one. Needs the extra ``sandbox``. Raises ``OSError`` if the port is taken.
        """
        from chartmogul_async.sandbox.server import serve_in_thread

        return serve_in_thread(self, host, port)

    def run(self, host: str = "127.0.0.1", port: int = 8000, *, ready: Callable[[str], object] | None = None) -> None:
        """Serve over real sockets in the foreground, until interrupted (Ctrl-C, or SIGTERM).

        ``ready`` is called with the URL, which ends in ``/v1``, as soon as requests are answered. Port 0 is
        any free one. Needs the extra ``sandbox``. Raises ``OSError`` if the port is taken.
        """
        from chartmogul_async.sandbox.server import run

        run(self, host, port, ready or str)

    def exchange(self, asked: Asked, now: float) -> Exchange:
        """Work out the reply to a request at a time (seconds of the event loop's clock), for a server to
        play out.
        """
        path = asked.target.partition("?")[0]
        if path == "/sandbox/counters":
            return Exchange(answer(asdict(self.counters)))
        with self._lock:
            return self._exchange(asked, now)

    def _exchange(self, asked: Asked, now: float) -> Exchange:
        tally, gate = self._tally, self._gate
        tally.requests += 1
        headers = (
            ("cache-control", "max-age=0, private, must-revalidate"),
            ("x-request-id", str(UUID(int=tally.requests))),
        )
        refusal = gate.enter(now)
        tally.peak_parallel = max(tally.peak_parallel, tally.in_progress + 1)
        if refusal is not None:
            return Exchange(self._refused(refusal, headers))
        tally.in_progress += 1

        def leave() -> None:
            with self._lock:
                tally.in_progress -= 1
                gate.leave()

        reply = self._answer(asked)
        gate.work(reply.entries)
        delay = self.latency + self.latency_per_entry * reply.entries
        reply = evolve(reply, headers=headers, delay=delay)
        fault = self._trouble.next(unquote_plus(asked.target))
        if fault is not None:
            tally.faults += 1
            reply = fault.apply(reply)
        return Exchange(reply, leave)

    def _refused(self, refusal: Refusal, headers: tuple[tuple[str, str], ...]) -> Reply:
        if refusal.status == 429:
            self._tally.refused_429 += 1
        else:
            self._tally.refused_503 += 1
        if self.limits.retry_after:
            headers = (*headers, ("retry-after", refusal.retry_after))
        return evolve(refuse(refusal.status, refusal.message), headers=headers)

    def _answer(self, asked: Asked) -> Reply:
        path, _, query_string = asked.target.partition("?")
        query = dict(parse_qsl(query_string, keep_blank_values=True))
        if not self._knows(asked.authorization):
            return refuse(401, "No valid API key provided")
        endpoint = path.removeprefix("/v1/metrics/")
        known = endpoint in ENDPOINTS or path in ("/v1/ping", "/v1/account", "/v1/customers/search")
        if not known:
            return Reply(404, to_json({"error": "Not found"}))
        if asked.method != "GET":
            return Reply(405, to_json({"error": "Method not allowed"}))
        if path == "/v1/ping":
            return answer({"data": "pong!"})
        if path == "/v1/account":
            return account(self.company, query)
        if path == "/v1/customers/search":
            return search(self.company, query)
        return self._metrics.answer(endpoint, query)

    def _knows(self, authorization: str) -> bool:
        """The key is the user name; the password may be anything, as some send the key twice."""
        scheme, _, credentials = authorization.partition(" ")
        try:
            user = base64.b64decode(credentials, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return False
        return scheme.lower() == "basic" and user == self.api_key
