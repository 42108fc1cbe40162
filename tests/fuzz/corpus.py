"""The inputs that the fuzzer starts from: the recorded responses, and the shapes of error responses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.targets import CLASSES

RESPONSES = Path(__file__).parents[1] / "answers"
FINDINGS = Path(__file__).parent / "findings"
# The number of bytes of a seed before its JSON; 0 if it does not contain JSON.
HEADS = {"structuring": 1, "error-bodies": 19, "retry-after": 0}

# The metrics in the order of CLASSES.
_ORDER = (
    "all",
    "mrr",
    "arr",
    "arpa",
    "asp",
    "customer-count",
    "customer-churn-rate",
    "mrr-churn-rate",
    "ltv",
    "customers-search",
    "account",
)
_ACCOUNT = b'{"id":"acc_1","name":"Acme","currency":"USD","time_zone":"Europe/Berlin","week_start_on":"sunday"}'
_ERRORS = (
    b'{"code":401,"message":"No valid API key provided","param":null}',
    b'{"error":"Invoice not found","error_details":[{"param":"invoice","code":"invalid","message":"not found"}]}',
    b'{"errors":{"name":"A name is required","email":["is blank","is short"]}}',
    b'{"name":["is blank"],"errors":["first",{"message":"second"}]}',
    b'"go away"',
    b"504 Gateway Timeout Error\n",
    b"<!DOCTYPE html><html><body>Bad Gateway</body></html>",
)
_WAITS = (
    b"120\n",
    b"0.25\n",
    b"Wed, 21 Oct 2026 12:00:30 GMT\nWed, 21 Oct 2026 12:00:00 GMT",
    b"Wednesday, 21-Oct-26 12:00:30 GMT\n",
    b"Wed, 21 Oct 2026 14:00:30 +0200\nWed, 21 Oct 2026 12:00:00 GMT",
    b"nan\n",
)


def seeds(target: str) -> Iterator[bytes]:
    """Inputs that the target understands."""
    match target:
        case "structuring":
            yield from _responses()
        case "error-bodies":
            yield from (b"\x01\x2c\x10" + b"application/json" + body for body in _ERRORS)
        case _:
            yield from _WAITS


def _responses() -> Iterator[bytes]:
    for path in sorted(RESPONSES.glob("*.json")):
        metric = re.sub(r"^(beta|today|[0-9]{4}(-[a-z](?=-))?)-", "", path.stem)
        response = json.loads(path.read_bytes())
        # Two entries show everything, and are mutated faster.
        if "entries" in response:
            response["entries"] = response["entries"][:2]
        yield _first_byte(metric) + json.dumps(response).encode()
    yield _first_byte("account") + _ACCOUNT


def _first_byte(metric: str) -> bytes:
    assert len(_ORDER) == len(CLASSES)
    return bytes([_ORDER.index(metric)])
