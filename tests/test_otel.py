"""OpenTelemetry: the spans and metrics of a client's events, in the exporters that the SDK has for tests."""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, Metric, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind, StatusCode

from chartmogul_async import AsyncClient, Attempt, MetricQuery, RetryPolicy, SlicesDisagreed, __version__, errors
from chartmogul_async.integrations import otel
from chartmogul_async.integrations.otel import Telemetry
from chartmogul_async.sandbox import Company, Fault, Faults, Limits, Sandbox
from tests import clients
from tests.blocking.clients import blocking_client
from tests.clients import KEY, in_turn


class Seen:
    """What was exported.

    Attributes:
        telemetry: To be given to clients.
        tracer: Makes the caller's spans.
    """

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.telemetry = Telemetry(provider, MeterProvider([self._reader]))
        self.tracer = provider.get_tracer("caller")

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def metrics(self) -> list[tuple[InstrumentationScope, Sequence[Metric]]]:
        data = self._reader.get_metrics_data()
        assert data is not None
        return [(each.scope, each.metrics) for resource in data.resource_metrics for each in resource.scope_metrics]

    def points(self, name: str) -> list[Any]:
        found = [metric for _, metrics in self.metrics() for metric in metrics if metric.name == name]
        return [point for metric in found for point in metric.data.data_points]

    def everything(self) -> str:
        return "".join(span.to_json() for span in self.spans) + str(self._reader.get_metrics_data())


@pytest.fixture
def seen() -> Seen:
    return Seen()


def client_of(seen: Seen, *responses: Any, **options: Any) -> AsyncClient:
    return clients.client_of(in_turn(*responses), on_event=seen.telemetry, **options)


async def test_an_attempt_is_a_span_below_the_callers(seen: Seen) -> None:
    async with client_of(seen, 200) as client:
        with seen.tracer.start_as_current_span("page"):
            await client.metrics.mrr("2023-07-01", "2023-08-31", geo=["US"])
    attempt, page = seen.spans
    assert page.name == "page"
    assert attempt.name == "GET /v1/metrics/mrr"
    assert attempt.kind is SpanKind.CLIENT
    assert attempt.parent == page.get_span_context()
    assert attempt.status.status_code is StatusCode.UNSET
    attributes = dict(attempt.attributes or {})
    assert attributes.pop("chartmogul.queued") == 0.0
    assert attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "api.chartmogul.com",
        "server.port": 443,
        "url.full": "https://api.chartmogul.com/v1/metrics/mrr",
        "url.template": "/v1/metrics/mrr",
    }
    scope = attempt.instrumentation_scope
    assert scope is not None
    assert scope.name == "chartmogul_async"


async def test_a_retry_is_another_span(seen: Seen) -> None:
    identified = httpx.Response(502, headers={"x-request-id": "abc"})
    async with client_of(seen, httpx.ConnectError("refused"), identified, 200) as client:
        await client.metrics.mrr("2023-07-01", "2023-08-31")
    refused, failed, last = (dict[str, Any](span.attributes or {}) for span in seen.spans)
    assert refused["error.type"] == "ConnectError"
    assert "http.response.status_code" not in refused
    assert "http.request.resend_count" not in refused
    assert (failed["error.type"], failed["http.response.status_code"]) == ("502", 502)
    assert (failed["http.request.resend_count"], failed["chartmogul.request_id"]) == (1, "abc")
    assert failed["chartmogul.retry_in"] > 0
    assert last["http.request.resend_count"] == 2
    assert "chartmogul.retry_in" not in last
    assert "error.type" not in last
    assert [span.status.status_code for span in seen.spans] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]


async def test_durations_are_counted_by_what_few_values_tell(seen: Seen) -> None:
    sandbox = Sandbox(Company(customers=5), limits=Limits(per_second=None), latency=0.3)
    async with AsyncClient("sandbox", transport=sandbox.transport(), on_event=seen.telemetry) as client:
        for _ in range(2):
            await client.metrics.mrr("2023-07-01", "2023-08-31")
    (duration,) = seen.points("http.client.request.duration")
    assert isinstance(duration, HistogramDataPoint)
    assert duration.count == 2
    assert duration.sum == pytest.approx(0.6)
    assert duration.explicit_bounds[0] == 0.005
    assert set(duration.attributes or {}) == {
        "http.request.method",
        "http.response.status_code",
        "server.address",
        "server.port",
        "url.template",
    }
    (queued,) = seen.points("chartmogul.client.queue.duration")
    assert (queued.count, queued.sum) == (2, 0.0)
    assert set(queued.attributes) == {"http.request.method", "server.address", "server.port", "url.template"}
    lasted = [(span.end_time or 0) - (span.start_time or 0) for span in seen.spans]
    assert lasted == [pytest.approx(0.3e9)] * 2


async def test_what_concerns_all_requests_is_an_event_and_counted(seen: Seen) -> None:
    async with client_of(seen, 429, 200) as client:
        with seen.tracer.start_as_current_span("page"):
            await client.metrics.mrr("2023-07-01", "2023-08-31")
    (page,) = seen.named("page")
    assert [event.name for event in page.events] == ["chartmogul.pacing", "chartmogul.pause"]
    assert dict(page.events[1].attributes or {}) == {"chartmogul.seconds": 0.25}
    points = seen.points("chartmogul.client.events")
    assert all(isinstance(point, NumberDataPoint) for point in points)
    counts = {(point.attributes or {})["chartmogul.event"]: point.value for point in points}
    assert counts == {"pacing": 1, "pause": 1}


def test_the_metrics_are_described(seen: Seen) -> None:
    seen.telemetry(Attempt("GET", "/v1/ping", 1, 200, None, 0.0, 0.1, None, None, gave_up=False))
    seen.telemetry(SlicesDisagreed("mrr", 4))
    ((scope, found),) = seen.metrics()
    assert (scope.name, scope.version) == ("chartmogul_async", __version__)
    assert scope.schema_url == "https://opentelemetry.io/schemas/1.37.0"
    assert {metric.name: (metric.unit, metric.description) for metric in found} == {
        "http.client.request.duration": ("s", "Duration of HTTP client requests."),
        "chartmogul.client.queue.duration": ("s", "Time of a request in the throttle's queue."),
        "chartmogul.client.events": ("{event}", "Pauses, and what else the server caused for all requests."),
    }
    (duration,), (queued,) = (
        seen.points(f"{name}.duration") for name in ("http.client.request", "chartmogul.client.queue")
    )
    assert (duration.explicit_bounds[-1], queued.explicit_bounds[-1]) == (10.0, 300.0)
    (span,) = seen.spans
    assert span.instrumentation_scope == scope


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [(None, "ReadTimeout", "ReadTimeout"), (None, None, "_OTHER"), (400, None, "400"), (399, None, None)],
)
def test_what_an_error_is(seen: Seen, status: int | None, error: str | None, kind: str | None) -> None:
    seen.telemetry(Attempt("GET", "/v1/ping", 1, status, error, 0.0, 0.1, None, None, gave_up=False))
    assert dict(seen.spans[0].attributes or {}).get("error.type") == kind


def test_names_of_several_words(seen: Seen) -> None:
    with seen.tracer.start_as_current_span("page"):
        seen.telemetry(SlicesDisagreed("mrr", 4))
    (event,) = seen.spans[0].events
    assert event.name == "chartmogul.slices_disagreed"
    assert dict(event.attributes or {}) == {"chartmogul.metric": "mrr", "chartmogul.slices": 4}


async def test_slices_and_streams_belong_to_the_caller(seen: Seen) -> None:
    sandbox = Sandbox(Company(customers=5), limits=Limits(per_second=None))
    queries = [MetricQuery("arr", "2024-01-01", "2024-12-31", geo=[country]) for country in ("US", "DE")]
    async with AsyncClient("sandbox", transport=sandbox.transport(), on_event=seen.telemetry) as client:
        with seen.tracer.start_as_current_span("report") as report:
            await client.metrics.mrr("2022-01-01", "2024-12-31", interval="day", slices=3)
            async with client.metrics.stream(queries) as outcomes:
                assert [outcome.error async for outcome in outcomes] == [None, None]
    assert len(seen.named("GET /v1/metrics/mrr")) == 3
    assert len(seen.named("GET /v1/metrics/arr")) == 2
    children = [span.parent for span in seen.spans if span.parent is not None]
    assert children == [report.get_span_context()] * 5


def test_calls_of_a_blocking_client_belong_to_their_caller(seen: Seen) -> None:
    with (
        blocking_client(in_turn(200), on_event=seen.telemetry) as client,
        seen.tracer.start_as_current_span("task") as task,
    ):
        client.metrics.mrr("2023-07-01", "2023-08-31")
    attempt, _ = seen.spans
    assert attempt.parent == task.get_span_context()


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v1/customers/cus_5915ee5a-babd-406b-b8ce-d207133fb4cb/activities", "/v1/customers/{id}/activities"),
        ("/v1/customers/anna@example.com", "/v1/customers/{id}"),
        ("/v1/data_sources/Anna", "/v1/data_sources/{id}"),
        ("/v1/import/customers/ds_1", "/v1/import/customers/{id}"),
        ("/v1/customer-count", "/v1/customer-count"),
        ("/v1/plans/", "/v1/plans/"),
    ],
)
def test_what_identifies_somebody_is_not_in_a_span(seen: Seen, path: str, template: str) -> None:
    seen.telemetry(Attempt("GET", path, 1, 200, None, 0.0, 0.1, None, None, gave_up=False, server="http://[::1]:8000"))
    (span,) = seen.spans
    attributes = dict(span.attributes or {})
    assert (span.name, attributes["url.template"]) == (f"GET {template}", template)
    assert attributes["url.full"] == "http://[::1]:8000" + template.replace("{id}", "REDACTED")
    assert (attributes["server.address"], attributes["server.port"]) == ("::1", 8000)


async def test_key_queries_and_content_are_nowhere(seen: Seen) -> None:
    leaking = httpx.Response(401, json={"message": f"{KEY} of anna@example.com"}, headers={"x-request-id": KEY})
    async with client_of(seen, leaking, base_url="http://localhost:8000/api/v1") as client:
        with seen.tracer.start_as_current_span("page"), pytest.raises(errors.AuthenticationError):
            await client.customers.search("anna@example.com")
    (attempt, _) = seen.spans
    assert attempt.name == "GET /api/v1/customers/search"
    assert "http://localhost:8000/api/v1/customers/search" in seen.everything()
    assert KEY not in seen.everything()
    # The message of the error is in the caller's span, which recorded the exception.
    assert "anna" not in attempt.to_json()
    assert "email" not in attempt.to_json()


async def test_the_server_of_an_attempt_has_no_default_port() -> None:
    attempts: list[Any] = []
    for base_url in ("https://api.chartmogul.com/v1", "https://proxy.example:8443/chartmogul/v1"):
        async with clients.client_of(in_turn(200), on_event=attempts.append, base_url=base_url) as client:
            await client.metrics.mrr("2023-07-01", "2023-08-31")
    assert [attempt.server for attempt in attempts] == ["https://api.chartmogul.com", "https://proxy.example:8443"]


def test_an_attempt_of_an_unknown_server(seen: Seen) -> None:
    seen.telemetry(Attempt("GET", "/v1/ping", 1, None, "ReadTimeout", 0.0, 0.1, None, None, gave_up=True))
    attributes = dict(seen.spans[0].attributes or {})
    assert attributes["url.full"] == "/v1/ping"
    assert not {"server.address", "server.port"} & set(attributes)


async def test_without_an_sdk_nothing_happens() -> None:
    sandbox = Sandbox(Company(customers=5), faults=Faults.sequence(Fault.status(429)))
    async with AsyncClient(
        "sandbox", transport=sandbox.transport(), on_event=Telemetry(), retry=RetryPolicy(attempts=2)
    ) as client:
        assert await client.ping() == "pong!"


def test_without_the_extra_it_says_which_one(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.delitem(sys.modules, otel.__name__)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'chartmogul-async\[otel\]'"):
        importlib.import_module(otel.__name__)
