"""Finds the message in the body of an error response, whatever its shape.

ChartMogul sends errors in about a dozen shapes: ``message``, ``error`` or ``errors`` at the top, field
names at the top with lists of messages, ``error_details`` beside any of them, plain text, HTML, nothing.
A body is read as text first, and need not be JSON. A *success* may contain errors about single objects of a
write; such a response is not an error response.

Source: responses recorded by the official client libraries; https://dev.chartmogul.com/docs/response-codes
names only the statuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any

from attrs import frozen

from chartmogul_async.errors import ErrorDetail
from chartmogul_async.structuring.secrets import masked

LARGEST_ERROR_BODY = 2**16
"""Bytes; those that the API was seen to send have less than 1,000."""

# Any other key at the top is the name of a field.
_KNOWN_KEYS = frozenset({"code", "error", "error_details", "errors", "message", "param"})
# A plain-text body of more characters is a page, not a message.
_MAX_TEXT = 200
# A message is cut after this many characters.
MAX_MESSAGE = 500
_MAX_DETAILS = 100
# Complaints without a text are passed over, up to so many of all.
_MAX_LOOKED_AT = 1_000
_MAX_CONTENT_TYPE = 100


# A message, the parameter that it is about, and a code, as they are in the body.
Complaint = tuple[object, object, object]


@frozen
class ErrorBody:
    """The content of an error response.

    Attributes:
        message: One sentence, or several joined; never empty.
        param: The parameter that the error is about.
        details: Every single error.
    """

    message: str
    param: str | None = None
    details: tuple[ErrorDetail, ...] = ()


def read_error_body(status: int, content: bytes, content_type: str = "", secrets: Sequence[str] = ()) -> ErrorBody:
    """Read the body of an error response. Never raises.

    Args:
        status: The HTTP status; its standard phrase is the message if the body does not contain one.
        content: The body.
        content_type: The header ``Content-Type``.
        secrets: Texts to mask, in case the server repeats them: see ``masked``.

    Returns:
        The message, with the parameter and the single errors if the body contains them.
    """
    kind = one_line(masked(content_type.partition(";")[0], secrets), _MAX_CONTENT_TYPE)
    if len(content) > LARGEST_ERROR_BODY:
        size = f"more than {LARGEST_ERROR_BODY} bytes"
        return ErrorBody(f"{_status_phrase(status)} (a body of {size}, {kind or 'no content type'}, that was not read)")
    text = _text_of(content)
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return ErrorBody(_message_of_text(status, masked(text, secrets), kind))
    if isinstance(parsed, dict):
        return _read_object(status, parsed, secrets)
    return ErrorBody((_text(parsed, secrets) or _status_phrase(status))[:_MAX_TEXT])


def error_in_success(content: bytes, secrets: Sequence[str] = ()) -> str | None:
    """Find an error message in a response whose status is a success: ``{"error": "…"}``. Never raises.

    Args:
        content: The body.
        secrets: Texts to mask, in case the server repeats them: see ``masked``.

    Returns:
        The message, or None if there is none.
    """
    if len(content) > LARGEST_ERROR_BODY:
        return None
    try:
        parsed = json.loads(_text_of(content))
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict) or not any(parsed.get(key) for key in ("error", "errors", "message")):
        return None
    return _read_object(200, parsed, secrets).message


def one_line(text: str, length: int = MAX_MESSAGE) -> str:
    """The beginning of a text as one line of printable characters.

    Args:
        text: The text, without secrets.
        length: The number of characters at most.

    Returns:
        The line, without spaces around it.
    """
    return "".join(char if char.isprintable() else " " for char in text[:length]).strip()


def _text_of(content: bytes) -> str:
    return content.decode("utf-8-sig", "replace").strip()


def _read_object(status: int, body: dict[str, Any], secrets: Sequence[str]) -> ErrorBody:
    errors = body.get("error_details")
    details = _details(_listed(errors), secrets) or _details(_by_field(body), secrets)
    joined = one_line("; ".join(detail.message for detail in details))
    message = _text(body.get("message"), secrets) or _text(body.get("error"), secrets) or joined
    param = _text(body.get("param"), secrets) or next((detail.param for detail in details if detail.param), None)
    return ErrorBody(message or _status_phrase(status), param, details)


def _details(complaints: Iterable[Complaint], secrets: Sequence[str]) -> tuple[ErrorDetail, ...]:
    details = (
        ErrorDetail(text, _text(param, secrets), _text(code, secrets))
        for message, param, code in islice(complaints, _MAX_LOOKED_AT)
        if (text := _text(message, secrets))
    )
    return tuple(islice(details, _MAX_DETAILS))


def _listed(errors: object) -> Iterator[Complaint]:
    """``[{"param": "name", "code": "blank", "message": "Name can't be blank"}]``, or plain texts in the list."""
    for item in errors if isinstance(errors, list) else ():
        yield (item, item.get("param"), item.get("code")) if isinstance(item, dict) else (item, None, None)


def _by_field(body: dict[str, Any]) -> Iterator[Complaint]:
    """``{"errors": {"name": "A name is required"}}``, or the same with lists, or ``{"name": ["…"]}`` at the top."""
    errors = body.get("errors")
    if isinstance(errors, (list, str)):
        yield from _listed([errors] if isinstance(errors, str) else errors)
        return
    if isinstance(errors, dict):
        fields = errors
    else:
        fields = {key: value for key, value in body.items() if key not in _KNOWN_KEYS and type(value) is list}
    for field, messages in fields.items():
        for item in messages if isinstance(messages, list) else [messages]:
            yield item, field, None


def _message_of_text(status: int, text: str, kind: str) -> str:
    """A short plain text is the server's message; of anything else only the size and the type are reported."""
    if len(text) <= _MAX_TEXT and "\n" not in text and not text.startswith(("<", "{", "[")):
        return one_line(text) or _status_phrase(status)
    return f"{_status_phrase(status)} (a body of {len(text)} characters, {kind or 'no content type'}, that is not JSON)"


def _status_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        # Not a standard status: Cloudflare sends 520 and 524, for example.
        return f"status {status}"


def _text(value: object, secrets: Sequence[str]) -> str | None:
    """The value itself if it is a text, or its ``message`` if it is an object; None if that is empty."""
    if isinstance(value, dict):
        value = value.get("message")
    return one_line(masked(value, secrets)) or None if isinstance(value, str) else None
