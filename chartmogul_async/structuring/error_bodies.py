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
import re
from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from attrs import frozen

from chartmogul_async.errors import ErrorDetail

# Any other key at the top is the name of a field.
_KNOWN_KEYS = frozenset({"code", "error", "error_details", "errors", "message", "param"})
# A plain-text body of more characters is a page, not a message.
_MAX_TEXT = 200
# A message in JSON is cut after this many characters.
_MAX_MESSAGE = 500


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


def forms_of(key: str) -> tuple[str, ...]:
    """The texts in which an API key may come back from a server.

    Args:
        key: The key.

    Returns:
        The key, and the credentials of basic authentication, with and without the colon that follows the user name.
        The longest comes first where one begins with another.
    """
    return (key, *(b64encode(user.encode()).decode().rstrip("=") for user in (f"{key}:", key)))


def masked(text: str, secrets: Sequence[str]) -> str:
    """Replace secrets by ``***``.

    Args:
        text: What came from a server.
        secrets: ASCII texts; base64 without its padding.

    Returns:
        The text without the secrets, in upper or lower case, percent-encoded, with escapes of JSON, and in the alphabet
        of base64 for URLs.
    """
    return _pattern(tuple(secrets)).sub("***", text) if secrets else text


@lru_cache
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    spelled = ("".join(map(_any_spelling, secret)) for secret in secrets)
    return re.compile(f"(?:{'|'.join(spelled)})(?:=|%(?:25)*3d)*", re.IGNORECASE)


def _any_spelling(character: str) -> str:
    code = f"{ord(character):02x}"
    # Base64 for URLs has - and _, a decoded form has a space for a plus, and JSON doubles backslashes.
    others = {"+": r"|-|\ ", "/": r"|_|\\{1,2}/"}.get(character, "")
    return rf"(?:%(?:25)*{code}|\\{{1,2}}u00{code}|{re.escape(character)}{others})"


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
    text = _text_of(content)
    try:
        parsed = _parsed(text, secrets)
    except (ValueError, RecursionError):
        return ErrorBody(_message_of_text(status, masked(text, secrets), masked(content_type, secrets)))
    if isinstance(parsed, dict):
        return _read_object(status, parsed)
    if isinstance(parsed, str) and parsed.strip():
        return ErrorBody(_printable(parsed)[:_MAX_TEXT] or _status_phrase(status))
    return ErrorBody(_status_phrase(status))


def error_in_success(content: bytes, secrets: Sequence[str] = ()) -> str | None:
    """Find an error message in a response whose status is a success: ``{"error": "…"}``. Never raises.

    Args:
        content: The body.
        secrets: Texts to mask, in case the server repeats them: see ``masked``.

    Returns:
        The message, or None if there is none.
    """
    try:
        parsed = _parsed(_text_of(content), secrets)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict) or not any(parsed.get(key) for key in ("error", "errors", "message")):
        return None
    return _read_object(200, parsed).message


def _text_of(content: bytes) -> str:
    return content.decode("utf-8-sig", "replace").strip()


def _parsed(text: str, secrets: Sequence[str]) -> Any:
    """Parsed JSON with secrets masked. Serialized anew first, so that a secret is found however it was escaped."""
    serialized = json.dumps(json.loads(text), ensure_ascii=False)
    return json.loads(masked(serialized, [json.dumps(secret, ensure_ascii=False)[1:-1] for secret in secrets]))


def _read_object(status: int, body: dict[str, Any]) -> ErrorBody:
    details = _listed(body.get("error_details")) or _by_field(body)
    joined = _printable("; ".join(detail.message for detail in details))
    message = _text(body.get("message")) or _text(body.get("error")) or joined
    param = _text(body.get("param")) or next((detail.param for detail in details if detail.param), None)
    return ErrorBody(message or _status_phrase(status), param, details)


def _listed(errors: object) -> tuple[ErrorDetail, ...]:
    """``[{"param": "name", "code": "blank", "message": "Name can't be blank"}]``, or plain texts in the list."""
    if not isinstance(errors, list):
        return ()
    return tuple(
        ErrorDetail(text, _text(item.get("param")), _text(item.get("code")))
        if isinstance(item, dict)
        else ErrorDetail(text)
        for item in errors
        if (text := _text(item))
    )


def _by_field(body: dict[str, Any]) -> tuple[ErrorDetail, ...]:
    """``{"errors": {"name": "A name is required"}}``, or the same with lists, or ``{"name": ["…"]}`` at the top."""
    errors = body.get("errors")
    if isinstance(errors, list):
        return _listed(errors)
    if isinstance(errors, str):
        return _listed([errors])
    if isinstance(errors, dict):
        fields = errors
    else:
        fields = {key: value for key, value in body.items() if key not in _KNOWN_KEYS and type(value) is list}
    return tuple(
        ErrorDetail(text, _printable(str(field)))
        for field, messages in fields.items()
        for item in (messages if isinstance(messages, list) else [messages])
        if (text := _text(item))
    )


def _message_of_text(status: int, text: str, content_type: str) -> str:
    """A short plain text is the server's message; of anything else only the size and the type are reported."""
    if not text:
        return _status_phrase(status)
    if len(text) <= _MAX_TEXT and "\n" not in text and not text.startswith(("<", "{", "[")):
        return _printable(text) or _status_phrase(status)
    kind = _printable(content_type.partition(";")[0]) or "no content type"
    return f"{_status_phrase(status)} (a body of {len(text)} characters, {kind}, that is not JSON)"


def _status_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        # Not a standard status: Cloudflare sends 520 and 524, for example.
        return f"status {status}"


def _text(value: object) -> str | None:
    """The value itself if it is a text, or its ``message`` if it is an object; None if that is empty."""
    if isinstance(value, dict):
        value = value.get("message")
    return _printable(value) or None if isinstance(value, str) else None


def _printable(text: str) -> str:
    """The text as one line of limited length, made of printable characters."""
    return "".join(char if char.isprintable() else " " for char in text[:_MAX_MESSAGE]).strip()
