"""A response as a value: its status, headers and body, its delay, and how it ends.

The ASGI application and the in-process transport both send it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from attrs import frozen

Ending = Literal["complete", "reset", "reset-in-body", "stall"]

JSON = "application/json"
_WITHOUT_BODY = (204, 304)


@frozen
class Response:
    """A response: after ``delay`` seconds the status and headers, then ``body`` up to its ``ending``.

    Attributes:
        status: The HTTP status.
        body: The complete body.
        content_type: The media type of the body.
        headers: Further headers, names in lower case.
        entries: How many entries were computed for it; latency and compute budget depend on them.
        delay: Seconds before anything is sent.
        ending: ``reset`` resets the connection before any byte. ``reset-in-body`` does so after the first
            ``sent_bytes`` bytes of the body; ``stall`` sends these, then nothing more, and keeps the connection
            open.
        sent_bytes: How many bytes of the body are sent if it does not end as it should.
    """

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    entries: int = 0
    delay: float = 0.0
    ending: Ending = "complete"
    sent_bytes: int = 0

    @property
    def all_headers(self) -> list[tuple[str, str]]:
        """All headers, names in lower case; a response without a body has neither a type nor a length."""
        if self.status in _WITHOUT_BODY:
            return list(self.headers)
        return [("content-type", self.content_type), ("content-length", str(len(self.body))), *self.headers]

    @property
    def sent_body(self) -> bytes:
        """The part of the body that is sent."""
        if self.status in _WITHOUT_BODY:
            return b""
        return self.body if self.ending == "complete" else self.body[: self.sent_bytes]


def to_json(value: object) -> bytes:
    """Write JSON as the API does: no whitespace, keys in the given order."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def json_response(value: Mapping[str, Any], *, entries: int = 0) -> Response:
    """A 200 with a JSON body."""
    return Response(200, to_json(value), entries=entries)


def error_response(status: int, message: str, param: str | None = None) -> Response:
    """An error in the API's usual shape: code, message, param."""
    return Response(status, to_json({"code": status, "message": message, "param": param}))
