"""OpenTelemetry spans and metrics, made of the events of a client. Requires the extra ``otel``, which is its API.

Names and attributes are those of the semantic conventions for HTTP clients, where there are such:
https://opentelemetry.io/docs/specs/semconv/http/
"""

import re
import time
from typing import Any
from urllib.parse import urlsplit

import attrs

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import SpanKind, StatusCode, TracerProvider
except ImportError:
    raise ImportError(
        "this integration requires an extra; run: pip install 'chartmogul-async[otel]'", name="opentelemetry"
    ) from None

from chartmogul_async import Attempt, Event, __version__

_NAME = "chartmogul_async"
# Of the conventions.
_SCHEMA = "https://opentelemetry.io/schemas/1.37.0"
# Seconds, as the conventions advise for the duration of requests.
_BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
# Requests may wait for minutes behind a batch.
_LONG_BOUNDARIES = (*_BOUNDARIES, 30.0, 60.0, 120.0, 300.0)
_PORTS = {"http": 80, "https": 443}
# The words that the API's paths consist of. Whatever else is in a path may be the id of a customer.
_WORD = re.compile(r"[a-z]+([_-][a-z]+)*|v\d+|")
_NANOSECONDS = 10**9
_ERRORS = 400
# What the conventions call an error of which nothing is known.
_UNKNOWN = "_OTHER"


class Telemetry:
    """Makes spans and metrics of what a client reports: ``AsyncClient(on_event=Telemetry())``.

    Each attempt is a span of its own, a child of the span that is current where the call is made, from the moment when
    it leaves the throttle's queue to the end of its response. What concerns all requests, such as a pause, is an event
    of the current span, and is counted. Neither the API key nor queries are in any of them, and of a path only what the
    API's own paths consist of: the rest is ``{id}``. One ``Telemetry`` may serve any number of clients.

    Args:
        tracer_provider: Where spans go, by default the global provider.
        meter_provider: Where metrics go, by default the global provider.
    """

    __module__ = "chartmogul_async.integrations.otel"

    def __init__(
        self, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, __version__, tracer_provider, _SCHEMA)
        meter = metrics.get_meter(_NAME, __version__, meter_provider, _SCHEMA)
        self._durations = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_BOUNDARIES,
        )
        self._queued = meter.create_histogram(
            "chartmogul.client.queue.duration",
            unit="s",
            description="Time of a request in the throttle's queue.",
            explicit_bucket_boundaries_advisory=_LONG_BOUNDARIES,
        )
        self._events = meter.create_counter(
            "chartmogul.client.events",
            unit="{event}",
            description="Pauses, and what else the server caused for all requests.",
        )

    def __call__(self, event: Event) -> None:
        """Take an event of a client.

        Args:
            event: What ``on_event`` is given.
        """
        if isinstance(event, Attempt):
            self._report_attempt(event)
            return
        name = _name_of(event)
        values = {f"chartmogul.{field}": value for field, value in attrs.asdict(event).items()}
        trace.get_current_span().add_event(f"chartmogul.{name}", values)
        self._events.add(1, {"chartmogul.event": name})

    def _report_attempt(self, attempt: Attempt) -> None:
        ended = time.time_ns()
        request, response = _request(attempt), _response(attempt)
        span = self._tracer.start_span(
            f"{attempt.method} {request['url.template']}",
            kind=SpanKind.CLIENT,
            # A sampler sees those that are known from the beginning.
            attributes={**request, **_details(attempt)},
            start_time=ended - int(attempt.elapsed * _NANOSECONDS),
        )
        span.set_attributes(response)
        if "error.type" in response:
            span.set_status(StatusCode.ERROR)
        span.end(ended)
        self._durations.record(attempt.elapsed, {**request, **response})
        self._queued.record(attempt.queued, request)


def _request(attempt: Attempt) -> dict[str, Any]:
    """What is known of all requests of a kind, few enough for a metric."""
    values: dict[str, Any] = {"http.request.method": attempt.method, "url.template": _masked(attempt.path, "{id}")}
    if attempt.server:
        server = urlsplit(attempt.server)
        values |= {"server.address": server.hostname, "server.port": server.port or _PORTS[server.scheme]}
    return values


def _response(attempt: Attempt) -> dict[str, Any]:
    if attempt.status is None:
        return {"error.type": attempt.error or _UNKNOWN}
    failed = {"error.type": str(attempt.status)} if attempt.status >= _ERRORS else {}
    return {"http.response.status_code": attempt.status, **failed}


def _details(attempt: Attempt) -> dict[str, Any]:
    """What only a span has."""
    values = {
        "url.full": attempt.server + _masked(attempt.path, "REDACTED"),
        "http.request.resend_count": attempt.number - 1 or None,
        "chartmogul.queued": attempt.queued,
        "chartmogul.retry_in": attempt.retry_in,
        "chartmogul.request_id": attempt.request_id,
    }
    return {name: value for name, value in values.items() if value is not None}


def _masked(path: str, mask: str) -> str:
    return "/".join(part if _WORD.fullmatch(part) else mask for part in path.split("/"))


def _name_of(event: Event) -> str:
    """``ConcurrencyLowered`` is ``concurrency_lowered``."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", type(event).__name__).lower()
