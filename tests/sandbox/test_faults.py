from __future__ import annotations

import json

import pytest

from chartmogul_async.sandbox import Fault, Faults
from chartmogul_async.sandbox.faults import Trouble
from chartmogul_async.sandbox.reply import Reply, answer

REPLY = answer({"entries": [1, 2, 3], "summary": {"current": 5}}, entries=3)


def test_status_with_the_usual_body() -> None:
    reply = Fault.status(502).apply(REPLY)
    assert (reply.status, reply.body, reply.content_type) == (502, b"502 Bad Gateway", "text/plain; charset=utf-8")
    assert Fault.status(524).apply(REPLY).body == b"524 Error"
    assert json.loads(Fault.status(402).apply(REPLY).body)["code"] == 402


@pytest.mark.parametrize("body", ["", "oops"])
def test_status_with_a_text(body: str) -> None:
    assert Fault.status(500, body).apply(REPLY).body == body.encode()


def test_status_with_json_and_a_header() -> None:
    reply = Fault.status(429, {"error": "slow down"}, retry_after="soon").apply(REPLY)
    assert json.loads(reply.body) == {"error": "slow down"}
    assert ("retry-after", "soon") in reply.head
    assert ("retry-after", "1.5") in Fault.status(503, retry_after=1.5).apply(REPLY).head


def test_a_status_without_a_body_has_none() -> None:
    reply = Fault.status(304, "not sent").apply(REPLY)
    assert reply.sent_body == b""
    assert reply.head == []


@pytest.mark.parametrize(
    ("fault", "ending", "sent"),
    [
        (Fault.reset_in_body(), "reset-in-body", REPLY.body[: len(REPLY.body) // 2]),
        (Fault.reset_in_body(after=3), "reset-in-body", REPLY.body[:3]),
        (Fault.stall(), "stall", REPLY.body[: len(REPLY.body) // 2]),
        (Fault.stall(after=0), "stall", b""),
    ],
)
def test_a_body_that_does_not_end(fault: Fault, ending: str, sent: bytes) -> None:
    reply = fault.apply(REPLY)
    assert (reply.ending, reply.sent_body) == (ending, sent)
    assert ("content-length", str(len(REPLY.body))) in reply.head


def test_reset() -> None:
    assert Fault.reset().apply(REPLY).ending == "reset"


def test_slow() -> None:
    assert Fault.slow(3).apply(Fault.slow(2).apply(REPLY)).delay == 5


@pytest.mark.parametrize(
    "fault", [Fault.truncated(), Fault.truncated(after=1), Fault.garbage(), Fault.twice(), Fault.empty()]
)
def test_bodies_that_are_not_json(fault: Fault) -> None:
    reply = fault.apply(REPLY)
    with pytest.raises(ValueError):  # noqa: PT011  JSON or Unicode, as it happens
        json.loads(reply.body)
    assert reply.status == 200
    assert ("content-type", "application/json") in reply.head
    assert ("content-length", str(len(reply.sent_body))) in reply.head


def test_duplicate_keys_hide_the_data_from_a_reader_that_takes_the_last() -> None:
    body = Fault.duplicate_keys().apply(REPLY).body
    assert json.loads(body) == {"entries": [], "summary": {"current": 5}}
    assert json.loads(body, object_pairs_hook=list)[0] == ("entries", [1, 2, 3])


def test_html() -> None:
    reply = Fault.html().apply(Reply(500, b"x"))
    assert (reply.status, reply.content_type) == (200, "text/html; charset=utf-8")
    assert reply.body.startswith(b"<!DOCTYPE html>")


def test_a_sequence_meets_the_first_requests() -> None:
    trouble = Trouble(Faults.sequence(Fault.reset(), None, Fault.garbage()))
    assert [trouble.next("/v1/ping") for _ in range(5)] == [Fault.reset(), None, Fault.garbage(), None, None]


def test_a_sequence_counts_only_the_requests_it_is_for() -> None:
    trouble = Trouble(Faults.sequence(None, Fault.reset(), where="/metrics/mrr?start-date=2023"))
    targets = ["/v1/metrics/mrr?start-date=2023-01-01", "/v1/ping", "/v1/metrics/mrr?start-date=2023-02-01", "/v1/ping"]
    assert [trouble.next(target) for target in targets] == [None, None, Fault.reset(), None]


def test_the_first_rule_wins_and_all_count() -> None:
    trouble = Trouble(Faults.sequence(Fault.reset()) + Faults.sequence(Fault.html(), Fault.empty()))
    assert [trouble.next("/") for _ in range(3)] == [Fault.reset(), Fault.empty(), None]


def test_chances_are_kept_and_repeatable() -> None:
    faults = Faults.random({Fault.reset(): 0.2, Fault.status(502): 0.1}, seed=4)
    dealt = [Trouble(faults).next("/") for _ in range(2)]
    assert dealt[0] == dealt[1]
    trouble, same, other = Trouble(faults), Trouble(faults), Trouble(Faults.random({Fault.reset(): 0.2}, seed=5))
    met = [trouble.next("/") for _ in range(4000)]
    assert met == [same.next("/") for _ in range(4000)]
    assert met != [other.next("/") for _ in range(4000)]
    assert 700 < met.count(Fault.reset()) < 900
    assert 320 < met.count(Fault.status(502)) < 480


@pytest.mark.parametrize("chances", [{Fault.reset(): -0.1}, {Fault.reset(): 0.7, Fault.html(): 0.4}])
def test_what_is_no_probability(chances: dict[Fault, float]) -> None:
    with pytest.raises(ValueError, match="not probabilities"):
        Faults.random(chances)


def test_all_of_a_kind() -> None:
    trouble = Trouble(Faults.random({Fault.html(): 1.0}))
    assert {trouble.next("/") for _ in range(50)} == {Fault.html()}
