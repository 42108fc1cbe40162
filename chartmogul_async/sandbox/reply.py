"""One answer as a value: what is sent, how late, and how it ends. Both ways of serving (ASGI, in process)
play it out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from attrs import frozen

Ending = Literal["whole", "reset", "reset-in-body", "stall"]

JSON = "application/json"


@frozen
class Reply:
    """A response: after ``delay`` seconds the head, then ``body`` up to its ``ending``.

    ``reset`` breaks the connection off before any byte; ``reset-in-body`` does so after the first ``sent``
    bytes of the body, and ``stall`` sends these and then nothing more, with the connection left open.
    ``entries`` is how many entries were worked out for it.
    """

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    entries: int = 0
    delay: float = 0.0
    ending: Ending = "whole"
    sent: int = 0

    @property
    def head(self) -> list[tuple[str, str]]:
        """All headers, names in lower case; without a body there is neither its type nor its length."""
        if self.status in (204, 304):
            return list(self.headers)
        return [("content-type", self.content_type), ("content-length", str(len(self.body))), *self.headers]

    @property
    def sent_body(self) -> bytes:
        """The part of the body that really goes out."""
        if self.status in (204, 304):
            return b""
        return self.body if self.ending == "whole" else self.body[: self.sent]


def to_json(value: object) -> bytes:
    """Write JSON as the API does: no blanks, keys in the order given."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def answer(value: Mapping[str, Any], *, entries: int = 0) -> Reply:
    """A 200 with a JSON body."""
    return Reply(200, to_json(value), entries=entries)


def refuse(status: int, message: str, param: str | None = None) -> Reply:
    """An error in the API's usual shape: code, message, param."""
    return Reply(status, to_json({"code": status, "message": message, "param": param}))
