"""The targets of the fuzzer: functions of any bytes, which raise ``AssertionError`` if a property is violated."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any
from unittest.mock import patch

import httpx

from chartmogul_async.errors import DecodeError, ErrorDetail
from chartmogul_async.metrics.records import (
    ARPAEntry,
    ARREntry,
    ASPEntry,
    CustomerChurnRateEntry,
    CustomerCountEntry,
    KeyMetricsResponse,
    LTVEntry,
    MetricResponse,
    MRRChurnRateEntry,
    MRREntry,
    Summary,
)
from chartmogul_async.resources.account import Account
from chartmogul_async.resources.customers import CustomersEnvelope
from chartmogul_async.structuring import converter
from chartmogul_async.structuring.error_bodies import ErrorBody, error_in_success, read_error_body
from chartmogul_async.transport.retry_after import retry_after_of

# The extra ``fast`` installs orjson.
try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]  # a module or None

Target = Callable[[bytes], None]

CLASSES: tuple[Any, ...] = (
    KeyMetricsResponse,
    MetricResponse[MRREntry, Summary],
    MetricResponse[ARREntry, Summary],
    MetricResponse[ARPAEntry, Summary],
    MetricResponse[ASPEntry, Summary],
    MetricResponse[CustomerCountEntry, Summary],
    MetricResponse[CustomerChurnRateEntry, Summary],
    MetricResponse[MRRChurnRateEntry, Summary],
    MetricResponse[LTVEntry, Summary],
    CustomersEnvelope,
    Account,
)
# Seconds: one day.
MAX_WAIT = 86_400.0
# Brackets. How deeply a parser can nest depends on the parser and on the stack of its caller.
TOO_DEEP = 500


# --- structuring ---------------------------------------------------------------------------------------------------


def structuring_of(data: bytes) -> None:
    """The first byte chooses a class; the others are the response, which becomes a record or a ``DecodeError``.

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
    """The repr of the record, in which types differ, or the problems."""
    with patch.object(converter, "orjson", parser):
        try:
            record = converter.read(content, into)
        except DecodeError as error:
            check_decode_error(error)
            return "\n".join(error.problems)
    hash(record)
    return repr(record)


def check_decode_error(error: DecodeError) -> None:
    assert error.problems
    assert all(problem.startswith("$") for problem in error.problems)
    assert error.message.startswith(error.problems[0])
    assert len(error.problems) <= 100
    # No problem quotes the body: the texts of the package are ASCII and short.
    assert all(problem.isascii() and len(problem) < 200 for problem in error.problems)
    assert error.__cause__ is None
    assert error.__context__ is None


# --- error responses -----------------------------------------------------------------------------------------------


def error_body_of(data: bytes) -> None:
    """The first two bytes choose a status, the third splits the rest into a content type and a body."""
    if len(data) < 3:
        return
    status, split = 100 + int.from_bytes(data[:2], "big") % 500, data[2]
    content_type, content = data[3:][:split].decode("latin-1"), data[3:][split:]
    body = read_error_body(status, content, content_type)
    check_error_body(body)
    message = error_in_success(content)
    assert message is None or message.strip()


def check_error_body(body: ErrorBody) -> None:
    assert isinstance(body, ErrorBody)
    assert isinstance(body.message, str)
    assert 0 < len(body.message.strip()) <= 500
    assert len(body.details) <= 100
    assert body.param is None or isinstance(body.param, str)
    for detail in body.details:
        assert isinstance(detail, ErrorDetail)
        assert isinstance(detail.message, str)
        assert all(text is None or isinstance(text, str) for text in (detail.param, detail.code))


# --- Retry-After ---------------------------------------------------------------------------------------------------


def retry_after_from(data: bytes) -> None:
    """The first line is ``Retry-After``, the second one ``Date``."""
    retry_after, _, date = data.partition(b"\n")
    seconds = retry_after_of(httpx.Headers([(b"retry-after", retry_after), (b"date", date)]))
    assert seconds is None or (type(seconds) is float and 0.0 <= seconds <= MAX_WAIT)


# --- work ----------------------------------------------------------------------------------------------------------

# Calls of functions, those written in C included, for each byte of an input, and for any input at all. 100 mismatches
# cost some 100 calls each, twice.
CALLS_PER_BYTE = 4
CALLS = 30_000


def counted(target: Target) -> Target:
    """The target, which also fails if it makes more calls than the length of its input allows."""

    def run(data: bytes) -> None:
        calls = 0

        def count(frame: FrameType, event: str, argument: Any) -> None:
            nonlocal calls
            # The guided fuzzer adds calls of its own.
            calls += event == "call" or (event == "c_call" and "atheris" not in (argument.__module__ or ""))

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            target(data)
        finally:
            sys.setprofile(before)
        allowed = CALLS + CALLS_PER_BYTE * len(data)
        assert calls <= allowed, f"{calls} calls for {len(data)} bytes, {data[:40]!r} … {data[-40:]!r}"

    return run


TARGETS: dict[str, Target] = {
    "structuring": counted(structuring_of),
    "error-bodies": counted(error_body_of),
    "retry-after": counted(retry_after_from),
}
