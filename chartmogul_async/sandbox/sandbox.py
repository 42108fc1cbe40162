"""The sandbox: a company, its API, its limits and its faults, in one object."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from urllib.parse import parse_qsl, unquote_plus
from uuid import UUID

from attrs import asdict, define, evolve, frozen

from chartmogul_async.checks import instance_of, integer_between, non_negative_number, shown
from chartmogul_async.errors import ArgumentError
from chartmogul_async.sandbox.app import App
from chartmogul_async.sandbox.company import Company
from chartmogul_async.sandbox.customers import account, customers, search
from chartmogul_async.sandbox.exchange import Exchange, Request
from chartmogul_async.sandbox.faults import FaultInjector, Faults
from chartmogul_async.sandbox.hosts import is_host
from chartmogul_async.sandbox.limits import Limiter, Limits, Refusal
from chartmogul_async.sandbox.metrics import ENDPOINTS, MetricsEndpoints
from chartmogul_async.sandbox.plans import plan_groups, plans, plans_of_group
from chartmogul_async.sandbox.response import Response, error_response, json_response, to_json
from chartmogul_async.sandbox.transport import SandboxTransport

_RESOURCES: Mapping[str, Callable[[Company, Mapping[str, str]], Response]] = {
    "/v1/ping": lambda company, query: json_response({"data": "pong!"}),  # noqa: ARG005 - as all of them are called
    "/v1/account": account,
    "/v1/customers": customers,
    "/v1/customers/search": search,
    "/v1/plans": plans,
    "/v1/plan_groups": plan_groups,
}
_PLANS_OF_GROUP = re.compile("/v1/plan_groups/([^/]+)/plans")
# Its own key is masked in errors, and is "sandbox".
_NOT_BELOW_V1 = "Not found: the API is below /v1 here, so base_url must end with /v1"


@frozen
class Counters:
    """The requests, refusals, faults and connections that a sandbox has counted so far.

    Attributes:
        requests: All requests to the API, including refused ones.
        refused_429: Requests beyond the rate or the compute budget of the minute.
        refused_503: Requests beyond the number allowed in parallel.
        faults: Requests that got a fault.
        in_progress: Requests in flight.
        peak_parallel: The most requests at the same time, including one that was refused.
        connections: Connections accepted over sockets.
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
        """All requests that a limit refused."""
        return self.refused_429 + self.refused_503


@define
class _MutableCounters:
    requests: int = 0
    refused_429: int = 0
    refused_503: int = 0
    faults: int = 0
    in_progress: int = 0
    peak_parallel: int = 0
    connections: int = 0


class Sandbox:
    """A local ChartMogul.

    In process: pass ``transport()`` to a client, or run ``app`` in any ASGI server. Over sockets: ``with
    sandbox.serve() as url``, or ``run()`` until interrupted. ``GET /sandbox/counters`` returns the counters; it needs
    no key and does not count.

    Limits are applied first and count every request, including those without a valid key. ``limits`` and ``faults``
    may be assigned later, which restarts their counting.

    Args:
        company: The company whose figures are served, a new ``Company()`` by default. It may be booked into at any
            time.
        api_key: The only key that is accepted.
        limits: The limits to enforce.
        faults: The faults to inject.
        latency: Seconds before each response; refusals are sent at once.
        latency_per_entry: Further seconds for each entry in the response.

    Raises:
        ArgumentError: An argument is invalid.
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
        check_options(
            company=company,
            api_key=api_key,
            limits=limits,
            faults=faults,
            latency=latency,
            latency_per_entry=latency_per_entry,
        )
        self.company: Company = Company() if company is None else company
        self.api_key = api_key
        self.latency = latency
        self.latency_per_entry = latency_per_entry
        self.app: App = App(self.exchange)
        self._metrics = MetricsEndpoints(self.company)
        self._limiter = Limiter(limits)
        self._injector = FaultInjector(faults)
        self._counters = _MutableCounters()
        # A server in a thread changes the counters while the owner of the sandbox reads them.
        self._lock = threading.Lock()

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._limiter.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limiter = Limiter(_checked_limits(limits))

    @property
    def faults(self) -> Faults:
        """The faults on demand."""
        return self._injector.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._injector = FaultInjector(_checked_faults(faults))

    @property
    def counters(self) -> Counters:
        """The counters at this moment."""
        with self._lock:
            return Counters(**asdict(self._counters))

    def count_connection(self) -> None:
        """Count a connection; servers call this."""
        with self._lock:
            self._counters.connections += 1

    def transport(self) -> SandboxTransport:
        """A transport for ``httpx.AsyncClient`` that responds in process."""
        return SandboxTransport(self.exchange)

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> AbstractContextManager[str]:
        """Serve over real sockets from a thread. Needs the extra ``sandbox``.

        Args:
            host: The address to listen on.
            port: The port; 0 is any free one.

        Returns:
            For a block ``with sandbox.serve() as url``, where ``url`` ends in ``/v1``.

        Raises:
            ArgumentError: ``host`` or ``port`` cannot be one.
            ImportError: The extra is not installed.
            OSError: The host has no such address, or the port is in use.
        """
        check_address(host, port)
        from chartmogul_async.sandbox.server import serve_in_thread

        return serve_in_thread(self, host, port)

    def run(self, host: str = "127.0.0.1", port: int = 8000, *, ready: Callable[[str], object] | None = None) -> None:
        """Serve over real sockets in the foreground until interrupted (Ctrl-C or SIGTERM). Needs the extra ``sandbox``.

        Args:
            host: The address to listen on.
            port: The port; 0 is any free one.
            ready: Called with the URL, which ends in ``/v1``, as soon as the server accepts requests.

        Raises:
            ArgumentError: ``host`` or ``port`` cannot be one.
            ImportError: The extra is not installed.
            OSError: The host has no such address, or the port is in use.
        """
        check_address(host, port)
        from chartmogul_async.sandbox.server import run

        run(self, host, port, ready or str)

    def exchange(self, request: Request, now: float) -> Exchange:
        """Compute the response to a request, for a server to send.

        Args:
            request: The request.
            now: The current time, in seconds of the event loop's clock.

        Returns:
            The exchange, which must be closed once the response was sent.
        """
        path = request.target.partition("?")[0]
        if path == "/sandbox/counters":
            return Exchange(json_response(asdict(self.counters)))
        with self._lock:
            return self._exchange(request, now)

    def _exchange(self, request: Request, now: float) -> Exchange:
        counters, limiter = self._counters, self._limiter
        counters.requests += 1
        headers = (
            ("cache-control", "max-age=0, private, must-revalidate"),
            ("x-request-id", str(UUID(int=counters.requests))),
        )
        refusal = limiter.acquire(now)
        counters.peak_parallel = max(counters.peak_parallel, counters.in_progress + 1)
        if refusal is not None:
            return Exchange(self._refuse(refusal, headers))
        counters.in_progress += 1

        def release() -> None:
            with self._lock:
                counters.in_progress -= 1
                limiter.release()

        response = self._respond(request)
        limiter.charge(response.entries)
        delay = self.latency + self.latency_per_entry * response.entries
        response = evolve(response, headers=headers, delay=delay)
        fault = self._injector.next(unquote_plus(request.target))
        if fault is not None:
            counters.faults += 1
            response = fault.apply(response)
        return Exchange(response, release)

    def _refuse(self, refusal: Refusal, headers: tuple[tuple[str, str], ...]) -> Response:
        if refusal.status == 429:
            self._counters.refused_429 += 1
        else:
            self._counters.refused_503 += 1
        if self.limits.retry_after:
            headers = (*headers, ("retry-after", refusal.retry_after))
        return evolve(error_response(refusal.status, refusal.message), headers=headers)

    def _respond(self, request: Request) -> Response:
        path, _, query_string = request.target.partition("?")
        query = dict(parse_qsl(query_string, keep_blank_values=True))
        if not self._is_authorized(request.authorization):
            return error_response(401, "No valid API key provided")
        respond = self._route(path)
        if respond is None:
            return Response(404, to_json({"error": "Not found" if path.startswith("/v1") else _NOT_BELOW_V1}))
        if request.method != "GET":
            return Response(405, to_json({"error": "Method not allowed"}))
        return respond(query)

    def _route(self, path: str) -> Callable[[Mapping[str, str]], Response] | None:
        """What responds to requests for a path, None if nothing is there."""
        endpoint = path.removeprefix("/v1/metrics/")
        if endpoint in ENDPOINTS:
            return partial(self._metrics.respond, endpoint)
        group = _PLANS_OF_GROUP.fullmatch(path)
        if group is not None:
            return partial(plans_of_group, self.company, group[1])
        resource = _RESOURCES.get(path)
        return None if resource is None else partial(resource, self.company)

    def _is_authorized(self, authorization: str) -> bool:
        """Whether the user name is the key; the password may be anything, as some clients send the key twice."""
        scheme, _, credentials = authorization.partition(" ")
        try:
            user = base64.b64decode(credentials, validate=True).decode().partition(":")[0]
        except ValueError:
            # Not ASCII, not base64, or not UTF-8.
            return False
        return scheme.lower() == "basic" and user == self.api_key


def check_options(
    *, company: object, api_key: object, limits: object, faults: object, latency: object, latency_per_entry: object
) -> None:
    """Check the arguments of a ``Sandbox`` without making one.

    Raises:
        ArgumentError: One of them is invalid.
    """
    if company is not None:
        instance_of("company", company, Company, "Company(seed=1)")
    instance_of("api_key", api_key, str)
    _checked_limits(limits)
    _checked_faults(faults)
    non_negative_number("latency", latency, of=" of seconds")
    non_negative_number("latency_per_entry", latency_per_entry, of=" of seconds")


def check_address(host: object, port: object) -> None:
    """Check the address of a server.

    Raises:
        ArgumentError: The host cannot be a name or an IP address, or the port is not an integer from 0 to 65535.
    """
    if not isinstance(host, str) or not is_host(host):
        raise ArgumentError(f"host must be a host name or an IP address such as '127.0.0.1', not {shown(host)}")
    integer_between("port", port, 0, 65_535)


def _checked_limits(limits: object) -> Limits:
    return instance_of("limits", limits, Limits, "Limits(per_second=40)")


def _checked_faults(faults: object) -> Faults:
    return instance_of("faults", faults, Faults, "Faults.sequence(Fault.reset())")
