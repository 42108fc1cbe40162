"""The answers of the benchmarks' server: rendered once from the sandbox's company, then kept as bytes."""

from __future__ import annotations

import json
from datetime import date, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from attrs import frozen

from chartmogul_async.sandbox import Company
from chartmogul_async.sandbox.metrics import MetricsEndpoints

FOUNDED = date(2014, 1, 1)
TODAY = date(2025, 12, 31)
_LIFE = (TODAY - FOUNDED).days + 1


@frozen
class Answer:
    """A whole HTTP response, and how many entries are in it."""

    response: bytes
    entries: int = 0


def response(status: int, body: bytes) -> bytes:
    """Head and body as they go over the wire."""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
    )
    return "\r\n".join([*head, "", ""]).encode() + body


class Canned:
    """Answers by request target. A range within the company's life is answered by the sandbox's own arithmetic;
    one that reaches beyond it repeats that life over and over, so a slice still agrees with the undivided range.
    """

    def __init__(self) -> None:
        self._metrics = MetricsEndpoints(Company(founded=FOUNDED, today=TODAY))
        self._answers: dict[bytes, Answer] = {}

    def answer(self, target: bytes) -> Answer:
        # Clients that make one request of equal calls tell theirs apart by a plan, which changes nothing here.
        target = target.partition(b"&plans=")[0]
        known = self._answers.get(target)
        if known is None:
            known = self._answers[target] = self._rendered(target.decode())
        return known

    def _rendered(self, target: str) -> Answer:
        url = urlsplit(target)
        if url.path == "/v1/ping":
            return Answer(response(200, b'{"data":"pong!"}'))
        endpoint, query = url.path.removeprefix("/v1/metrics/"), dict(parse_qsl(url.query))
        if endpoint == url.path:
            return Answer(response(404, b'{"error":"Not found"}'))
        start, end = date.fromisoformat(query["start-date"]), date.fromisoformat(query["end-date"])
        if start >= FOUNDED and end <= TODAY:
            reply = self._metrics.respond(endpoint, query)
            return Answer(response(reply.status, reply.body), reply.entries)
        assert query["interval"] == "day", "only days are made up"
        body = json.dumps(self._made_up(endpoint, start, end), separators=(",", ":")).encode()
        return Answer(response(200, body), (end - start).days + 1)

    def _made_up(self, endpoint: str, start: date, end: date) -> dict[str, Any]:
        whole_life = {"start-date": str(FOUNDED), "end-date": str(TODAY), "interval": "day"}
        life = json.loads(self._metrics.respond(endpoint, whole_life).body)
        days = [start + timedelta(days) for days in range((end - start).days + 1)]
        entries = [{**life["entries"][(day - FOUNDED).days % _LIFE], "date": str(day)} for day in days]
        entries[0] |= {key: 0.0 for key in entries[0] if key.endswith("percentage-change")}
        return {"entries": entries, "summary": life["summary"]}
