"""A handler returns what it fetched: FastAPI, Litestar, pydantic and msgspec write the documents of ``to_dict``."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from fastapi import Body, FastAPI
from fastapi.encoders import jsonable_encoder
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Litestar, Request, get, post

from chartmogul_async import (
    Account,
    ARREntry,
    Failure,
    KeyMetricsEntry,
    KeyMetricsSummary,
    MetricEntry,
    MetricQuery,
    MRREntry,
    Outcome,
    Series,
    Success,
    Summary,
    errors,
)
from chartmogul_async.metrics.query import METRICS, MetricName
from chartmogul_async.structuring.converter import decode, structure
from tests.documents import assert_same, classes_of, queries, records, series
from tests.test_documents import DOCUMENT, ENTRIES, QUERY, QUERY_DOCUMENT, SERIES
from tests.test_structuring import RESPONSES, read

with warnings.catch_warnings():
    # They would rather use httpx2, which may be missing here.
    warnings.simplefilter("ignore")
    from litestar.testing import TestClient as LitestarClient
    from starlette.testclient import TestClient as StarletteClient

ARGUMENT = errors.ArgumentError("plans must be shorter")
FAILURES = [Failure(QUERY, errors.RateLimitError("Slow down", 429, request_id="5f3c")), Failure(QUERY, ARGUMENT)]
OUTCOMES: list[Outcome] = [Success(QUERY, SERIES), *FAILURES]


@pytest.fixture(autouse=True, scope="module")
def no_schemas_of_another_run() -> None:
    adapter.cache_clear()


@cache
def adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    made: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(kind)
    return made


def series_of(metric: MetricName) -> Any:
    """The class of a metric's series."""
    entry, summary = classes_of(metric)
    of: Any = Series
    return of[entry, summary | None if metric == "all" else summary]


# Nine times as many are tried, and the first one makes a schema.
few = settings(max_examples=20)


# --- pydantic ---------------------------------------------------------------------------------------------------------


@given(series())
def test_pydantic_writes_the_document(made: Series) -> None:
    written = adapter(Series).dump_json(made)
    assert json.loads(written) == made.to_dict()
    assert adapter(Series).dump_python(made, mode="json") == made.to_dict()
    assert_same(adapter(Series).validate_json(written), made)
    assert_same(Series.from_dict(json.loads(written)), made)
    assert adapter(Series).dump_python(made) is made
    assert adapter(Series).validate_python(made) is made


@pytest.mark.parametrize("metric", METRICS)
@few
@given(st.data())
def test_pydantic_knows_the_series_of_a_metric(metric: MetricName, data: st.DataObject) -> None:
    its, (entry, _) = adapter(series_of(metric)), classes_of(metric)
    made = data.draw(series((metric,)))
    assert json.loads(its.dump_json(made)) == made.to_dict()
    properties = its.json_schema(mode="serialization")["properties"]
    assert set(properties["entries"]["items"]["properties"]) == set(vars(data.draw(records(entry))))


@given(queries())
def test_pydantic_reads_and_writes_queries(query: MetricQuery) -> None:
    written = adapter(MetricQuery).dump_json(query)
    assert json.loads(written) == query.to_dict()
    assert_same(adapter(MetricQuery).validate_json(written), query)


@pytest.mark.parametrize("cls", [ARREntry, KeyMetricsEntry, MRREntry, Summary, KeyMetricsSummary])
@few
@given(st.data())
def test_pydantic_reads_and_writes_records(cls: Any, data: st.DataObject) -> None:
    record = data.draw(records(cls))
    assert_same(adapter(cls).validate_json(adapter(cls).dump_json(record)), record)
    if issubclass(cls, MetricEntry):
        assert adapter(MetricEntry).dump_json(record) == adapter(cls).dump_json(record)


def test_a_series_is_a_field_of_a_model() -> None:
    class Report(pydantic.BaseModel):
        title: str
        series: Series[ARREntry, Summary]
        queries: tuple[MetricQuery, ...] = ()

    report = Report(title="ARR", series=SERIES, queries=(QUERY,))
    assert report.model_dump(mode="json") == {"title": "ARR", "series": DOCUMENT, "queries": [QUERY_DOCUMENT]}
    assert Report.model_validate_json(report.model_dump_json()) == report
    assert Report.model_json_schema()["properties"]["series"]["properties"]["format"]["const"] == DOCUMENT["format"]


@pytest.mark.parametrize(
    ("kind", "document", "problem"),
    [
        (Series, {**DOCUMENT, "entries": [{}]}, r"\$.entries\[0\].date: missing"),
        (Series, "x", "document must be a dict"),
        (MetricQuery, {**QUERY_DOCUMENT, "metric": "mmr"}, "metric must be one of all, mrr"),
        (Summary, {"current": 1}, r"\$.previous: missing"),
        (Success, {}, "outcome must be a Success, not {}"),
        (Failure, FAILURES[0].to_dict(), "outcome must be a Failure, not {"),
    ],
)
def test_pydantic_says_what_is_wrong(kind: Any, document: Any, problem: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=problem):
        adapter(kind).validate_python(document)


def test_pydantic_writes_records_whose_type_it_was_not_told() -> None:
    """As taskiq has it write arguments and results."""
    written = adapter(Any).dump_python({"queries": [QUERY], "series": SERIES, "outcome": FAILURES[0]}, mode="json")
    assert written == {"queries": [QUERY_DOCUMENT], "series": DOCUMENT, "outcome": FAILURES[0].to_dict()}
    assert json.loads(adapter(Any).dump_json([SERIES])) == [DOCUMENT]
    assert adapter(list[Any]).dump_python([SERIES]) == [SERIES]


def test_pydantic_writes_outcomes() -> None:
    assert adapter(list[Outcome]).dump_python(OUTCOMES, mode="json") == [outcome.to_dict() for outcome in OUTCOMES]
    assert adapter(Outcome).validate_python(OUTCOMES[1]) is OUTCOMES[1]
    assert adapter(Outcome).json_schema(mode="serialization")


def test_whole_numbers_are_written_where_floats_are_expected() -> None:
    """In records that a user made; a union would not know them otherwise."""
    made: Series = Series((), KeyMetricsSummary(*range(24)), MetricQuery("all", "2025-01-01", "2025-01-31"))
    assert adapter(Series).dump_python(made, mode="json") == made.to_dict()


# --- FastAPI ----------------------------------------------------------------------------------------------------------


async def _annotated() -> Series[ARREntry, Summary]:
    return SERIES


async def _any() -> Series:
    return SERIES


async def _unannotated():  # type: ignore[no-untyped-def]
    return SERIES


async def _parts():  # type: ignore[no-untyped-def]
    return {"entry": SERIES[0], "summary": SERIES.summary, "query": QUERY, "outcomes": OUTCOMES, "entries": ENTRIES}


async def _outcomes() -> list[Outcome]:
    return OUTCOMES


async def _queries(queries: Annotated[list[MetricQuery], Body()]) -> dict[str, MetricQuery]:
    return {query.key(): query for query in queries}


@pytest.fixture(scope="module")
def fastapi() -> Iterator[StarletteClient]:
    app = FastAPI()
    app.get("/annotated", response_model=Series[ARREntry, Summary])(_annotated)
    app.get("/any")(_any)
    app.get("/unannotated")(_unannotated)
    app.get("/parts")(_parts)
    app.get("/outcomes")(_outcomes)
    app.post("/queries")(_queries)
    with StarletteClient(app) as web:
        yield web


@pytest.mark.parametrize("path", ["/annotated", "/any", "/unannotated"])
def test_fastapi_returns_a_series(fastapi: StarletteClient, path: str) -> None:
    response = fastapi.get(path)
    assert response.json() == DOCUMENT
    assert_same(Series.from_dict(response.json()), SERIES)


def test_fastapi_returns_the_parts_of_a_series(fastapi: StarletteClient) -> None:
    outcomes = [outcome.to_dict() for outcome in OUTCOMES]
    assert fastapi.get("/outcomes").json() == outcomes
    assert fastapi.get("/parts").json() == {
        "entry": SERIES.to_dict()["entries"][0],
        "summary": DOCUMENT["summary"],
        "query": QUERY_DOCUMENT,
        "outcomes": outcomes,
        "entries": DOCUMENT["entries"],
    }


def test_fastapi_reads_queries(fastapi: StarletteClient) -> None:
    assert fastapi.post("/queries", json=[QUERY_DOCUMENT]).json() == {QUERY.key(): QUERY_DOCUMENT}
    refused = fastapi.post("/queries", json=[QUERY_DOCUMENT, {**QUERY_DOCUMENT, "geo": ["UK"]}])
    assert refused.status_code == 422
    (detail,) = refused.json()["detail"]
    assert detail["loc"] == ["body", 1]
    assert "geo must contain ISO 3166-1 country codes, not 'UK'" in detail["msg"]


def test_fastapi_describes_what_it_returns(fastapi: StarletteClient) -> None:
    paths = fastapi.get("/openapi.json").json()["paths"]
    schema = paths["/annotated"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert list(schema["properties"]) == ["format", "entries", "summary", "query"]
    assert list(schema["properties"]["entries"]["items"]["properties"]) == ["date", "arr", "percentage_change"]
    assert paths["/any"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["query"]


@given(series())
def test_fastapi_writes_any_series_without_an_annotation(made: Series) -> None:
    assert jsonable_encoder(made) == made.to_dict()


ACCOUNT = structure(decode((RESPONSES / "2026-account.json").read_bytes()), Account)
CUSTOMERS = [*read("2026-customers-search")[1].entries, *read("beta-customers-search")[1].entries]


@pytest.mark.parametrize("record", [ACCOUNT, *CUSTOMERS], ids=lambda record: type(record).__name__)
def test_the_account_and_customers_are_written_too(record: Any) -> None:
    cls: Any = type(record)
    its, document = adapter(cls), record.to_dict()
    assert jsonable_encoder(record) == its.dump_python(record, mode="json") == document
    assert its.json_schema(mode="serialization")["properties"].keys() == document.keys()
    assert its.validate_python(document) == record
    # msgspec spells the time zone UTC otherwise, and means the same.
    assert its.validate_python(json.loads(msgspec.json.encode(record))) == record


def test_what_vars_returns_is_no_place_to_store_anything() -> None:
    assert vars(SERIES) == {"format": DOCUMENT["format"], "entries": ENTRIES, "summary": SERIES.summary, "query": QUERY}
    vars(SERIES)["entries"] = ()
    assert SERIES.entries is ENTRIES
    with pytest.raises(AttributeError):
        SERIES.another = 1  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


# --- msgspec and Litestar ---------------------------------------------------------------------------------------------


@given(series())
def test_msgspec_writes_the_document(made: Series) -> None:
    written = msgspec.json.encode(made)
    assert json.loads(written) == made.to_dict()
    assert_same(Series.from_dict(json.loads(written)), made)
    assert_same(Series.from_dict(msgspec.msgpack.decode(msgspec.msgpack.encode(made))), made)


@pytest.mark.parametrize("metric", METRICS)
@few
@given(st.data())
def test_msgspec_reads_the_series_of_a_metric(metric: MetricName, data: st.DataObject) -> None:
    its = series_of(metric)
    made = data.draw(series((metric,)))
    assert_same(msgspec.json.decode(msgspec.json.encode(made), type=its), made)
    newer = msgspec.json.encode({**made.to_dict(), "format": "chartmogul_async.Series/2"})
    with pytest.raises(msgspec.ValidationError, match=r"\$.format"):
        msgspec.json.decode(newer, type=its)


@get("/annotated")
async def _litestar_annotated() -> Series[ARREntry, Summary]:
    return SERIES


@get("/any")
async def _litestar_any() -> Series:
    return SERIES


@get("/dict")
async def _litestar_dict() -> dict[str, Any]:
    return {"series": SERIES, "queries": [QUERY], "outcomes": [outcome.to_dict() for outcome in OUTCOMES]}


@post("/queries")
async def _litestar_queries(request: Request[Any, Any, Any]) -> MetricQuery:
    return MetricQuery.from_dict(await request.json())


@pytest.fixture(scope="module")
def litestar() -> Iterator[LitestarClient[Litestar]]:
    handlers = [_litestar_annotated, _litestar_any, _litestar_dict, _litestar_queries]
    # By default it configures the logging of the whole process.
    with LitestarClient(Litestar(handlers, logging_config=None)) as web:
        yield web


@pytest.mark.parametrize("path", ["/annotated", "/any"])
def test_litestar_returns_a_series(litestar: LitestarClient[Litestar], path: str) -> None:
    response = litestar.get(path)
    assert response.json() == DOCUMENT
    assert_same(Series.from_dict(response.json()), SERIES)


def test_litestar_returns_what_contains_a_series(litestar: LitestarClient[Litestar]) -> None:
    assert litestar.get("/dict").json() == {
        "series": DOCUMENT,
        "queries": [QUERY_DOCUMENT],
        "outcomes": [outcome.to_dict() for outcome in OUTCOMES],
    }


def test_litestar_reads_queries(litestar: LitestarClient[Litestar]) -> None:
    assert litestar.post("/queries", json=QUERY_DOCUMENT).json() == QUERY_DOCUMENT


def test_litestar_describes_what_it_returns(litestar: LitestarClient[Litestar]) -> None:
    schemas = litestar.get("/schema/openapi.json").json()["components"]["schemas"]
    assert list(schemas["ARREntry"]["properties"]) == ["date", "arr", "percentage_change"]
