"""Reads what an error answer says, whatever its shape.

ChartMogul answers errors in about a dozen shapes: ``message``, ``error`` or ``errors`` at the top, field
names at the top with lists of complaints, ``error_details`` beside any of them, plain text, HTML, nothing.
A body is read as text first, and is never required to be JSON. The complaints that a *success* may hold about
single objects of a write are no error answer, and are left where they are.

Source: recorded answers of the official client libraries; https://dev.chartmogul.com/docs/response-codes
names only the statuses.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from attrs import frozen

from chartmogul_async.errors import ErrorDetail

_WORDS = frozenset({"code", "error", "error_details", "errors", "message", "param"})  # these are no field names
_LONGEST_TEXT = 200  # characters of a plain-text body that may be a message; longer ones are pages, not words
_LONGEST_MESSAGE = 500  # characters that are kept of a message in JSON


@frozen
class ErrorBody:
    """What an error answer says: a sentence, the parameter it is about, and each single complaint."""

    message: str
    param: str | None = None
    details: tuple[ErrorDetail, ...] = ()


def read_error_body(status: int, content: bytes, content_type: str = "", secrets: Sequence[str] = ()) -> ErrorBody:
    """Read the body of an error answer. Never raises; a body that says nothing gives the status's own words.

    ``secrets`` are masked, should the server repeat them.
    """
    text = _text_of(content)
    try:
        parsed = _parsed(text, secrets)
    except (ValueError, RecursionError):
        return ErrorBody(_sentence_of_text(status, _masked(text, secrets), content_type))
    if isinstance(parsed, dict):
        return _read_object(status, parsed)
    if isinstance(parsed, str) and parsed.strip():
        return ErrorBody(_clear(parsed)[:_LONGEST_TEXT] or _status_words(status))
    return ErrorBody(_status_words(status))


def complaint_in_success(content: bytes, secrets: Sequence[str] = ()) -> str | None:
    """What an answer says that has the status of a success and is none: ``{"error": "…"}``. Never raises."""
    try:
        parsed = _parsed(_text_of(content), secrets)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict) or not any(parsed.get(word) for word in ("error", "errors", "message")):
        return None
    return _read_object(200, parsed).message


def _text_of(content: bytes) -> str:
    return content.decode("utf-8-sig", "replace").strip()


def _parsed(text: str, secrets: Sequence[str]) -> Any:
    """JSON in which secrets are masked, however they were escaped: it is written anew, without needless escapes."""
    plain = json.dumps(json.loads(text), ensure_ascii=False)
    return json.loads(_masked(plain, [json.dumps(secret, ensure_ascii=False)[1:-1] for secret in secrets]))


def _masked(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _read_object(status: int, body: dict[str, Any]) -> ErrorBody:
    details = _listed(body.get("error_details")) or _by_field(body)
    message = _text(body.get("message")) or _text(body.get("error")) or _clear("; ".join(d.message for d in details))
    param = _text(body.get("param")) or next((d.param for d in details if d.param), None)
    return ErrorBody(message or _status_words(status), param, details)


def _listed(complaints: object) -> tuple[ErrorDetail, ...]:
    """``[{"param": "name", "code": "blank", "message": "Name can't be blank"}]``, or plain texts in the list."""
    if not isinstance(complaints, list):
        return ()
    return tuple(
        ErrorDetail(text, _text(item.get("param")), _text(item.get("code")))
        if isinstance(item, dict)
        else ErrorDetail(text)
        for item in complaints
        if (text := _text(item))
    )


def _by_field(body: dict[str, Any]) -> tuple[ErrorDetail, ...]:
    """``{"errors": {"name": "A name is required"}}``, or the same with lists, or ``{"name": ["…"]}`` at the top."""
    errors = body.get("errors")
    if isinstance(errors, list):
        return _listed(errors)
    if isinstance(errors, str):
        return _listed([errors])
    fields = (
        errors if isinstance(errors, dict) else {k: v for k, v in body.items() if k not in _WORDS and type(v) is list}
    )
    return tuple(
        ErrorDetail(text, _clear(str(field)))
        for field, said in fields.items()
        for item in (said if isinstance(said, list) else [said])
        if (text := _text(item))
    )


def _sentence_of_text(status: int, text: str, content_type: str) -> str:
    """A short plain text is the server's message; of anything else only its size and type are told."""
    if not text:
        return _status_words(status)
    if len(text) <= _LONGEST_TEXT and "\n" not in text and not text.startswith(("<", "{", "[")):
        return _clear(text) or _status_words(status)
    kind = content_type.partition(";")[0].strip() or "no content type"
    return f"{_status_words(status)} (a body of {len(text)} characters, {kind}, that is not JSON)"


def _status_words(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # 520 and 524 are Cloudflare's own
        return f"status {status}"


def _text(value: object) -> str | None:
    """The words of a text, or of an object that has a message."""
    if isinstance(value, dict):
        value = value.get("message")
    return _clear(value) or None if isinstance(value, str) else None


def _clear(text: str) -> str:
    """One line, not too long, of characters that can be shown everywhere."""
    return "".join(char if char.isprintable() else " " for char in text[:_LONGEST_MESSAGE]).strip()
