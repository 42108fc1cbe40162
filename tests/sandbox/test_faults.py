from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from chartmogul_async.errors import ArgumentError
from chartmogul_async.sandbox import Fault, Faults
from chartmogul_async.sandbox.faults import FaultInjector
from chartmogul_async.sandbox.response import Response, json_response

RESPONSE = json_response({"entries": [1, 2, 3], "summary": {"current": 5}}, entries=3)


def test_status_with_the_default_body() -> None:
    response = Fault.status(502).apply(RESPONSE)
    assert (response.status, response.body, response.content_type) == (
        502,
        b"502 Bad Gateway",
        "text/plain; charset=utf-8",
    )
    assert Fault.status(524).apply(RESPONSE).body == b"524 Error"
    assert json.loads(Fault.status(402).apply(RESPONSE).body)["code"] == 402


@pytest.mark.parametrize("body", ["", "oops"])
def test_status_with_text(body: str) -> None:
    assert Fault.status(500, body).apply(RESPONSE).body == body.encode()


def test_status_with_json_and_a_header() -> None:
    response = Fault.status(429, {"error": "slow down"}, retry_after="soon").apply(RESPONSE)
    assert json.loads(response.body) == {"error": "slow down"}
    assert ("retry-after", "soon") in response.all_headers
    assert ("retry-after", "1.5") in Fault.status(503, retry_after=1.5).apply(RESPONSE).all_headers


def test_a_status_without_a_body() -> None:
    response = Fault.status(304, "not sent").apply(RESPONSE)
    assert response.sent_body == b""
    assert response.all_headers == []


@pytest.mark.parametrize(
    ("fault", "ending", "sent"),
    [
        (Fault.reset_in_body(), "reset-in-body", RESPONSE.body[: len(RESPONSE.body) // 2]),
        (Fault.reset_in_body(after=3), "reset-in-body", RESPONSE.body[:3]),
        (Fault.stall(), "stall", RESPONSE.body[: len(RESPONSE.body) // 2]),
        (Fault.stall(after=0), "stall", b""),
    ],
)
def test_a_body_that_is_not_completed(fault: Fault, ending: str, sent: bytes) -> None:
    response = fault.apply(RESPONSE)
    assert (response.ending, response.sent_body) == (ending, sent)
    assert ("content-length", str(len(RESPONSE.body))) in response.all_headers


def test_reset() -> None:
    assert Fault.reset().apply(RESPONSE).ending == "reset"


def test_slow() -> None:
    assert Fault.slow(3).apply(Fault.slow(2).apply(RESPONSE)).delay == 5


@pytest.mark.parametrize(
    "fault", [Fault.truncated(), Fault.truncated(after=1), Fault.garbage(), Fault.twice(), Fault.empty()]
)
def test_bodies_that_are_not_json(fault: Fault) -> None:
    response = fault.apply(RESPONSE)
    with pytest.raises(ValueError):  # noqa: PT011 - the parser fails on the JSON or on the encoding
        json.loads(response.body)
    assert response.status == 200
    assert ("content-type", "application/json") in response.all_headers
    assert ("content-length", str(len(response.sent_body))) in response.all_headers


def test_duplicate_keys_hide_the_data() -> None:
    """A parser that keeps the last of two equal keys sees an empty list."""
    body = Fault.duplicate_keys().apply(RESPONSE).body
    assert json.loads(body) == {"entries": [], "summary": {"current": 5}}
    assert json.loads(body, object_pairs_hook=list)[0] == ("entries", [1, 2, 3])


def test_html() -> None:
    response = Fault.html().apply(Response(500, b"x"))
    assert (response.status, response.content_type) == (200, "text/html; charset=utf-8")
    assert response.body.startswith(b"<!DOCTYPE html>")


def test_a_sequence_affects_the_first_requests() -> None:
    injector = FaultInjector(Faults.sequence(Fault.reset(), None, Fault.garbage()))
    assert [injector.next("/v1/ping") for _ in range(5)] == [Fault.reset(), None, Fault.garbage(), None, None]


def test_a_sequence_counts_matching_requests_only() -> None:
    injector = FaultInjector(Faults.sequence(None, Fault.reset(), where="/metrics/mrr?start-date=2023"))
    targets = ["/v1/metrics/mrr?start-date=2023-01-01", "/v1/ping", "/v1/metrics/mrr?start-date=2023-02-01", "/v1/ping"]
    assert [injector.next(target) for target in targets] == [None, None, Fault.reset(), None]


def test_the_first_rule_wins_and_every_rule_counts() -> None:
    injector = FaultInjector(Faults.sequence(Fault.reset()) + Faults.sequence(Fault.html(), Fault.empty()))
    assert [injector.next("/") for _ in range(3)] == [Fault.reset(), Fault.empty(), None]


def test_random_faults_are_repeatable() -> None:
    faults = Faults.random({Fault.reset(): 0.2, Fault.status(502): 0.1}, seed=4)
    first = [FaultInjector(faults).next("/") for _ in range(2)]
    assert first[0] == first[1]
    injector, same, other = (
        FaultInjector(faults),
        FaultInjector(faults),
        FaultInjector(Faults.random({Fault.reset(): 0.2}, seed=5)),
    )
    given = [injector.next("/") for _ in range(4000)]
    assert given == [same.next("/") for _ in range(4000)]
    assert given != [other.next("/") for _ in range(4000)]
    assert 700 < given.count(Fault.reset()) < 900
    assert 320 < given.count(Fault.status(502)) < 480


@pytest.mark.parametrize(
    ("chances", "message"),
    [
        ({Fault.reset(): -0.1}, "chances must be a non-negative number, not -0.1"),
        ({Fault.reset(): 0.75, Fault.html(): 0.5}, "chances must add up to at most 1, not 1.25"),
        ({"reset": 0.1}, r"chances must be a Fault, such as Fault.status\(502\), not 'reset'"),
    ],
)
def test_invalid_probabilities(chances: dict[Fault, float], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Faults.random(chances)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fault.status(99), "code must be an integer from 100 to 999, not 99"),
        (lambda: Fault.slow(-1), "seconds must be a non-negative number of seconds, not -1"),
        (lambda: Fault.stall(after=-1), "after must be a non-negative integer or None, not -1"),
        (lambda: Fault.reset_in_body(after=-1), "after must be a non-negative integer or None, not -1"),
        (lambda: Fault.truncated(after=-1), "after must be a non-negative integer or None, not -1"),
        (lambda: Faults.sequence(503), r"faults must be a Fault, such as Fault.status\(502\), not 503"),  # type: ignore[arg-type]  # on purpose
    ],
)
def test_invalid_arguments(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def test_a_probability_of_one_affects_every_request() -> None:
    injector = FaultInjector(Faults.random({Fault.html(): 1.0}))
    assert {injector.next("/") for _ in range(50)} == {Fault.html()}


@pytest.mark.parametrize("value", [object(), {1}, "\ud800"], ids=["object", "set", "surrogate"])
def test_a_body_that_json_cannot_express_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"^body must be a mapping that JSON can express, not \{'a': "):
        Fault.status(500, {"a": value})
