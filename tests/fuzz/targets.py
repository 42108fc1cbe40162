"""What is fuzzed: functions of any bytes, which return when all is well and raise ``AssertionError`` when not."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any
from unittest.mock import patch

import httpx

from chartmogul_async import structuring
from chartmogul_async.account import Account
from chartmogul_async.customers import _Page
from chartmogul_async.error_bodies import ErrorBody, complaint_in_success, read_error_body
from chartmogul_async.errors import DecodeError, ErrorDetail
from chartmogul_async.metrics.records import (
    Answer,
    ARPAEntry,
    ARREntry,
    ASPEntry,
    CustomerChurnRateEntry,
    CustomerCountEntry,
    KeyMetricsAnswer,
    LTVEntry,
    MRRChurnRateEntry,
    MRREntry,
    Summary,
)
from chartmogul_async.transport.retry_after import retry_after_of

try:
    import orjson
except ImportError:  # the extra ``fast`` is not there
    orjson = None  # type: ignore[assignment]  # a module or None

Target = Callable[[bytes], None]

CLASSES: tuple[Any, ...] = (
    KeyMetricsAnswer,
    Answer[MRREntry, Summary],
    Answer[ARREntry, Summary],
    Answer[ARPAEntry, Summary],
    Answer[ASPEntry, Summary],
    Answer[CustomerCountEntry, Summary],
    Answer[CustomerChurnRateEntry, Summary],
    Answer[MRRChurnRateEntry, Summary],
    Answer[LTVEntry, Summary],
    _Page,
    Account,
)
LONGEST_WAIT = 86_400.0  # a day
TOO_DEEP = 500  # brackets; how deep a parser goes is its own affair, and depends on the stack it is called from


# --- structuring ---------------------------------------------------------------------------------------------------


def structuring_of(data: bytes) -> None:
    """The first byte chooses a class; the others are the answer, which becomes a record or a ``DecodeError``.

    With orjson and without it the outcome is the same.
    """
    if not data:
        return
    into, content = CLASSES[data[0] % len(CLASSES)], data[1:]
    plain = outcome(content, into, None)
    if orjson is not None and content.count(b"[") + content.count(b"{") < TOO_DEEP:
        fast = outcome(content, into, orjson)
        assert fast == plain, f"with orjson {fast}, without it {plain}"


def outcome(content: bytes, into: Any, parser: ModuleType | None) -> str:
    """The record in words, types and all, or the problems."""
    with patch.object(structuring, "orjson", parser):
        try:
            record = structuring.read(content, into)
        except DecodeError as error:
            check_decode_error(error)
            return "\n".join(error.problems)
    hash(record)
    return repr(record)


def check_decode_error(error: DecodeError) -> None:
    assert error.problems
    assert all(problem.startswith("$") for problem in error.problems)
    assert error.message.startswith(error.problems[0])
    # What stands in the body stays in the body: the words are ours, and ours are ASCII and short.
    assert all(problem.isascii() and len(problem) < 200 for problem in error.problems)
    assert error.__cause__ is None
    assert error.__context__ is None


# --- error answers -------------------------------------------------------------------------------------------------


def error_body_of(data: bytes) -> None:
    """The first two bytes choose a status, the third splits the rest into a content type and a body."""
    if len(data) < 3:
        return
    status, split = 100 + int.from_bytes(data[:2], "big") % 500, data[2]
    content_type, content = data[3:][:split].decode("latin-1"), data[3:][split:]
    said = read_error_body(status, content, content_type)
    check_error_body(said)
    complaint = complaint_in_success(content)
    assert complaint is None or complaint.strip()


def check_error_body(said: ErrorBody) -> None:
    assert isinstance(said, ErrorBody)
    assert isinstance(said.message, str)
    assert said.message.strip()
    assert said.param is None or isinstance(said.param, str)
    for detail in said.details:
        assert isinstance(detail, ErrorDetail)
        assert isinstance(detail.message, str)
        assert all(word is None or isinstance(word, str) for word in (detail.param, detail.code))


# --- Retry-After ---------------------------------------------------------------------------------------------------


def retry_after_from(data: bytes) -> None:
    """The first line is ``Retry-After``, the second one ``Date``."""
    said, _, date = data.partition(b"\n")
    seconds = retry_after_of(httpx.Headers([(b"retry-after", said), (b"date", date)]))
    assert seconds is None or (type(seconds) is float and 0.0 <= seconds <= LONGEST_WAIT)


TARGETS: dict[str, Target] = {
    "structuring": structuring_of,
    "error-bodies": error_body_of,
    "retry-after": retry_after_from,
}
