"""Records as documents and back: nothing changes on the way, and what was damaged is named with its place."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from datetime import date
from enum import StrEnum
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartmogul_async import ARREntry, Failure, MetricQuery, MRREntry, Series, Success, Summary, errors
from chartmogul_async.errors import ArgumentError, ChartMogulError, DecodeError
from chartmogul_async.metrics.query import METRICS, MetricName
from tests.documents import assert_same, queries, records, series

QUERY = MetricQuery("arr", "2023-05-01", "2023-07-31", geo=["US", "DE"], plans=["Gold"], filters="region~ANY~'US'")
ENTRIES = tuple(ARREntry(date(2023, month, 28), month * 100, 0.5) for month in (5, 6, 7))
SERIES = Series(ENTRIES, Summary(700, 600.5, 16.67), QUERY)

QUERY_DOCUMENT = {
    "format": "chartmogul_async.MetricQuery/1",
    "metric": "arr",
    "start_date": "2023-05-01",
    "end_date": "2023-07-31",
    "interval": "month",
    "geo": ["US", "DE"],
    "plans": ["Gold"],
    "filters": "region~ANY~'US'",
}
DOCUMENT = {
    "format": "chartmogul_async.Series/1",
    "entries": [
        {"date": "2023-05-28", "arr": 500, "percentage_change": 0.5},
        {"date": "2023-06-28", "arr": 600, "percentage_change": 0.5},
        {"date": "2023-07-28", "arr": 700, "percentage_change": 0.5},
    ],
    "summary": {"current": 700, "previous": 600.5, "percentage_change": 16.67},
    "query": QUERY_DOCUMENT,
}


# --- there and back ---------------------------------------------------------------------------------------------------


def test_a_document_reads_like_the_record() -> None:
    assert SERIES.to_dict() == DOCUMENT
    assert QUERY.to_dict() == QUERY_DOCUMENT


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=30)
@given(st.data())
def test_a_series_comes_back_as_it_was(metric: MetricName, data: st.DataObject) -> None:
    made = data.draw(series((metric,)))
    document = made.to_dict()
    written = json.dumps(document, allow_nan=False)
    assert json.loads(written) == document
    assert_same(Series.from_dict(document), made)
    assert_same(Series.from_dict(json.loads(written)), made)


@given(queries())
def test_a_query_comes_back_as_it_was(query: MetricQuery) -> None:
    assert_same(MetricQuery.from_dict(json.loads(json.dumps(query.to_dict()))), query)
    assert MetricQuery.from_dict(query.to_dict()).key() == query.key()


@given(series())
def test_the_parts_of_a_document_are_documents(made: Series) -> None:
    assert made.to_dict()["query"] == made.query.to_dict()
    assert_same(MetricQuery.from_dict(made.to_dict()["query"]), made.query)


def test_a_document_shares_nothing_with_another() -> None:
    SERIES.to_dict()["entries"].clear()
    SERIES.to_dict()["query"]["geo"].append("FR")
    assert SERIES.to_dict() == DOCUMENT


def test_a_browser_writes_whole_floats_as_integers() -> None:
    """``JSON.stringify(25.0)`` is ``25``: rates become floats again, and money compares equal."""
    document = json.loads(json.dumps(DOCUMENT).replace("0.5", "1"))
    read = Series.from_dict(document)
    assert_same(read[0], ARREntry(date(2023, 5, 28), 500, 1.0))


def test_new_fields_of_a_later_version_are_ignored() -> None:
    later = json.loads(json.dumps(DOCUMENT))
    later["later"] = later["query"]["later"] = later["entries"][0]["later"] = later["summary"]["later"] = 1
    assert_same(Series.from_dict(later), SERIES)


def test_fields_that_an_earlier_version_did_not_have_are_none() -> None:
    earlier = json.loads(json.dumps(DOCUMENT))
    del earlier["entries"][1]["percentage_change"]
    assert Series.from_dict(earlier)[1] == ARREntry(date(2023, 6, 28), 600, None)


def test_members_of_an_enum_become_plain_strings() -> None:
    class Plan(StrEnum):
        GOLD = "Gold"

    query = MetricQuery("mrr", "2023-05-01", "2023-07-31", plans=[Plan.GOLD])
    assert [type(plan) for plan in query.plans or ()] == [str]
    assert_same(MetricQuery.from_dict(query.to_dict()), query)


@pytest.mark.parametrize("record", [SERIES, QUERY, ENTRIES[0], SERIES.summary, Success(QUERY, SERIES)], ids=range(5))
def test_copies_equal_what_was_copied(record: Any) -> None:
    """``__dict__`` of a record is made on demand, and none of these may use it."""
    assert_same(copy.copy(record), record)
    assert_same(copy.deepcopy(record), record)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert_same(pickle.loads(pickle.dumps(record, protocol)), record)


def test_pickles_and_comparisons_know_nothing_of_marks() -> None:
    assert pickle.loads(pickle.dumps(SERIES)).to_dict() == DOCUMENT
    assert "format" not in repr(SERIES) + repr(QUERY)
    assert attrs.evolve(SERIES, entries=()).to_dict() == {**DOCUMENT, "entries": []}
    assert MetricQuery.__match_args__ == ("metric", "start_date", "end_date")
    assert Series.__match_args__ == ("entries", "summary", "query")


# --- what is not a document -------------------------------------------------------------------------------------------


def changed(path: str, value: Any) -> dict[str, Any]:
    """The document with another value at ``$.entries[1].arr``."""
    document: dict[str, Any] = json.loads(json.dumps(DOCUMENT))
    *names, last = path.removeprefix("$.").replace("[", ".").replace("]", "").split(".")
    place: Any = document
    for name in names:
        place = place[int(name)] if name.isdigit() else place[name]
    if value is ...:
        del place[last]
    else:
        place[int(last) if last.isdigit() else last] = value
    return document


DAMAGED = [
    ("$.format", ..., "$: expected format chartmogul_async.Series/1, got None"),
    ("$.format", 1, "$: expected format chartmogul_async.Series/1, got 1"),
    ("$.format", "chartmogul_async.Series/2", "$: expected format chartmogul_async.Series/1, got 'chartmogul_async.Se"),
    ("$.query", ..., "$.query: missing"),
    ("$.query", [], "$.query: expected object, got list"),
    ("$.query.format", "?", "$.query: expected format chartmogul_async.MetricQuery/1, got '?'"),
    ("$.query.metric", ..., "$.query.metric: missing"),
    ("$.query.metric", 5, "$.query.metric: expected str, got int"),
    ("$.query.metric", "mmr", "$.query: metric must be one of all, mrr, "),
    ("$.query.start_date", "yesterday", "$.query.start_date: expected a date YYYY-MM-DD, got a malformed str"),
    ("$.query.end_date", "2022-01-01", "$.query: start_date 2023-05-01 is after end_date 2022-01-01"),
    ("$.query.interval", None, "$.query.interval: expected str, got null"),
    ("$.query.geo", ["UK"], "$.query: geo must contain ISO 3166-1 country codes, not 'UK': "),
    ("$.query.geo", "US", "$.query.geo: expected list, got str"),
    ("$.query.geo", ["US", 5], "$.query.geo[1]: expected str, got int"),
    ("$.entries", ..., "$.entries: missing"),
    ("$.entries", None, "$.entries: expected list, got null"),
    ("$.entries[2]", "?", "$.entries[2]: expected object, got str"),
    ("$.entries[1].arr", ..., "$.entries[1].arr: missing"),
    ("$.entries[1].arr", True, "$.entries[1].arr: expected int or float, got bool"),
    ("$.entries[1].arr", float("nan"), "$.entries[1].arr: expected int or float, got a number out of range"),
    ("$.entries[0].date", 5, "$.entries[0].date: expected a date YYYY-MM-DD, got int"),
    ("$.summary", ..., "$.summary: missing"),
    ("$.summary", None, "$.summary: expected object, got null"),
    ("$.summary.current", "700", "$.summary.current: expected int or float, got str"),
]


@pytest.mark.parametrize(("path", "value", "problem"), DAMAGED, ids=[f"{path} {value!r}" for path, value, _ in DAMAGED])
def test_what_was_damaged_is_named_with_its_place(path: str, value: Any, problem: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        Series.from_dict(changed(path, value))
    assert str(caught.value).startswith(f"document must be what to_dict() returns: {problem}")
    assert isinstance(caught.value, ValueError)
    assert not isinstance(caught.value, ChartMogulError)
    # A DecodeError would be one of an exchange, and it is no cause, either.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("document", [None, [], "{}", b"{}", 5, SERIES], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("cls", [Series, MetricQuery])
def test_a_document_is_a_dict(cls: Any, document: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^document must be a dict, not "):
        cls.from_dict(document)


@pytest.mark.parametrize("foreign", [{}, {"entries": []}, QUERY_DOCUMENT, Success(QUERY, SERIES).to_dict()])
def test_another_document_is_refused(foreign: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=r"\$: expected format chartmogul_async.Series/1"):
        Series.from_dict(foreign)
    with pytest.raises(ArgumentError, match=r"\$: expected format chartmogul_async.MetricQuery/1"):
        MetricQuery.from_dict(DOCUMENT)


def test_several_damages_are_named_together() -> None:
    document = changed("$.entries[1].arr", "?")
    document["entries"][2] = {}
    document["summary"] = {"current": 1}
    with pytest.raises(ArgumentError) as caught:
        Series.from_dict(document)
    assert str(caught.value).partition(": ")[2] == (
        "$.entries[1].arr: expected int or float, got str; $.entries[2].date: missing; $.entries[2].arr: missing; "
        "$.summary.previous: missing; $.summary.percentage_change: missing"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)


@given(series(), st.data())
def test_any_damage_gives_a_series_or_an_argument_error(made: Series, data: st.DataObject) -> None:
    document: Any = made.to_dict()
    place = document
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not inner or not isinstance(inner, dict | list) or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(JSON)
    try:
        read = Series.from_dict(document)
    except ArgumentError as error:
        assert "$" in str(error)  # noqa: PT017
    else:
        assert_same(Series.from_dict(read.to_dict()), read)


# --- outcomes ---------------------------------------------------------------------------------------------------------


def test_a_success_is_its_query_and_its_series() -> None:
    assert Success(QUERY, SERIES).to_dict() == {"query": QUERY_DOCUMENT, "series": DOCUMENT, "error": None}


def test_a_failure_says_what_failed() -> None:
    error = errors.RateLimitError("Slow down", 429, "plans", request_id="5f3c", attempts=6, url="https://x/v1/mrr")
    assert Failure(QUERY, error).to_dict() == {
        "query": QUERY_DOCUMENT,
        "error": {
            "class": "RateLimitError",
            "message": "Slow down",
            "status": 429,
            "param": "plans",
            "request_id": "5f3c",
            "is_transient": True,
        },
        "series": None,
    }


def test_a_failure_before_anything_was_sent_says_so() -> None:
    assert Failure(QUERY, ArgumentError("plans must be shorter")).to_dict()["error"] == {
        "class": "ArgumentError",
        "message": "plans must be shorter",
        "status": None,
        "param": None,
        "request_id": None,
        "is_transient": False,
    }


@pytest.mark.parametrize("error", [DecodeError("no"), errors.NetworkError("no", is_permanent=True)])
def test_errors_that_no_repetition_mends(error: ChartMogulError) -> None:
    assert Failure(QUERY, error).to_dict()["error"]["is_transient"] is False


# --- rows -------------------------------------------------------------------------------------------------------------


def test_rows_are_flat_dicts_with_dates() -> None:
    assert SERIES.to_dicts() == [
        {"date": date(2023, 5, 28), "arr": 500, "percentage_change": 0.5},
        {"date": date(2023, 6, 28), "arr": 600, "percentage_change": 0.5},
        {"date": date(2023, 7, 28), "arr": 700, "percentage_change": 0.5},
    ]
    assert Series((), SERIES.summary, QUERY).to_dicts() == []


@given(records(MRREntry))
def test_rows_have_every_field(entry: MRREntry) -> None:
    query = MetricQuery("mrr", "2023-05-01", "2023-07-31")
    assert MRREntry(**Series((entry,), SERIES.summary, query).to_dicts()[0]) == entry


# --- keys -------------------------------------------------------------------------------------------------------------

FIRST, LAST = "2025-01-01", "2025-12-31"
KEYS = {
    MetricQuery("all", FIRST, LAST): "dfd113acf1fc89411a3490d332366bbb132a15aced44e53aa48d9396f6d9ce13",
    MetricQuery("mrr", FIRST, LAST): "8a0af4e8457964595c815476781e4db414c7537a7b3c6951f7976bb72f5a590a",
    MetricQuery(
        "mrr", FIRST, LAST, interval="day", geo=["US", "DE"]
    ): "0a1ee78548027b76d2e366995697dd70f87bd57cd8a6d2fab87010a8e3485ff6",
    MetricQuery(
        "asp", FIRST, LAST, plans=["Größe S"], filters="mrr~GT~'5'"
    ): "2c466e4fa8ece7dae301763181be44aaf354ad561bb60b922aea2e552322d7d8",
    MetricQuery(
        "ltv", FIRST, LAST, interval="year"
    ): "8cfdab3526bbe6c46ed4ab4c40f3fc671a4f686947411145089f6161bd149d9c",
}


@pytest.mark.parametrize(("query", "key"), KEYS.items(), ids=range(len(KEYS)))
def test_a_key_is_the_same_in_every_version(query: MetricQuery, key: str) -> None:
    """Never change one: results are stored by them."""
    assert query.key() == key


@given(st.lists(queries(), min_size=2, max_size=5))
def test_queries_have_one_key_if_they_are_equal(asked: list[MetricQuery]) -> None:
    # From few arguments, so that some are equal.
    several = [MetricQuery(query.metric, FIRST, LAST, geo=query.geo) for query in asked]
    for query in [*asked, *several]:
        for other in [*asked, *several, pickle.loads(pickle.dumps(query))]:
            assert (query.key() == other.key()) == (query == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"plans": ["a"]}, {"geo": ["US"]}),
        ({"geo": ["US", "DE"]}, {"geo": ["DE", "US"]}),
        ({"plans": ["US"]}, {"geo": ["US"]}),
        ({"plans": ["a b"]}, {"plans": ["a", "b"]}),
        ({"filters": "a~b"}, {"plans": ["a~b"]}),
        ({"interval": "day"}, {"interval": "week"}),
    ],
)
def test_similar_queries_have_different_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert MetricQuery("mrr", FIRST, LAST, **one).key() != MetricQuery("mrr", FIRST, LAST, **other).key()


def test_spellings_of_one_query_have_one_key() -> None:
    spelt = MetricQuery("customer-count", date(2025, 1, 1), LAST, geo="us, de", filters=" mrr~GT~0 ")
    assert spelt.key() == MetricQuery("customer_count", FIRST, LAST, geo=["US", "DE"], filters="mrr~GT~0").key()
    assert MetricQuery("ltv", FIRST, LAST, interval="day").key() == MetricQuery("ltv", FIRST, LAST).key()


@pytest.mark.parametrize("seed", ["0", "1"])
def test_a_key_is_the_same_in_every_process(seed: str) -> None:
    code = f"from chartmogul_async import MetricQuery; print(MetricQuery('mrr', {FIRST!r}, {LAST!r}, geo=['US']).key())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == MetricQuery("mrr", FIRST, LAST, geo=["US"]).key()
