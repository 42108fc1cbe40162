"""Hides an API key in whatever a server sends back, however it is spelled.

No pattern is made of a key: ``re`` would keep it for as long as the process lives.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from string import ascii_lowercase, ascii_uppercase

# Percent-encoding, any number of times, and the escapes of JSON, whose backslashes may be doubled.
_ESCAPE = re.compile(r"%(?:25)*([0-9a-f]{2})|\\{1,2}u00([0-9a-f]{2})|\\{1,2}(/)", re.IGNORECASE)
# What follows base64 and is not part of the forms.
_PADDING = re.compile(r"(?:=|%(?:25)*3d)*", re.IGNORECASE)
# Base64 for URLs has - and _, and a decoded form has a space for a plus.
_ALIKE = str.maketrans(f"{ascii_uppercase}- _", f"{ascii_lowercase}++/")


def forms_of(key: str) -> tuple[str, ...]:
    """The texts in which an API key may come back from a server.

    Args:
        key: The key.

    Returns:
        The key, and the credentials of basic authentication, with and without the colon that follows the user name.
    """
    return (key, *(b64encode(user.encode()).decode().rstrip("=") for user in (f"{key}:", key)))


def masked(text: str, secrets: Sequence[str]) -> str:
    """Replace secrets by ``***``, in a time that grows with the length of the text.

    Args:
        text: What came from a server.
        secrets: ASCII texts; base64 without its padding.

    Returns:
        The text without the secrets, in upper or lower case, percent-encoded, with escapes of JSON, and in the alphabet
        of base64 for URLs.
    """
    found = sorted(span for secret in secrets for span in _spans(secret, text))
    pieces, end = [], 0
    for start, stop in found:
        if start >= end:
            pieces += [text[end:start], "***"]
        end = max(end, _end_of_padding(text, stop))
    return "".join((*pieces, text[end:]))


def _spans(secret: str, text: str) -> Iterator[tuple[int, int]]:
    """Where the secret is, as it is and with escapes; both matter, since a secret may follow what begins an escape."""
    width = len(secret)
    yield from ((at, at + width) for at in _places(secret, text))
    if "%" in text or "\\" in text:
        plain, starts = _unescaped(text)
        unescaped, _ = _unescaped(secret)
        yield from ((starts[at], starts[at + len(unescaped)]) for at in _places(unescaped, plain))


def _places(secret: str, text: str) -> Iterator[int]:
    secret, text = secret.translate(_ALIKE), text.translate(_ALIKE)
    at = text.find(secret)
    while at >= 0:
        yield at
        at = text.find(secret, at + len(secret))


def _unescaped(text: str) -> tuple[str, list[int]]:
    """The text without escapes, and where in the original each of its characters starts."""
    pieces: list[str] = []
    starts: list[int] = []
    end = 0
    for escape in _ESCAPE.finditer(text):
        code, json_code, slash = escape.groups()
        pieces += [text[end : escape.start()], slash or chr(int(code or json_code, 16))]
        starts += [*range(end, escape.start()), escape.start()]
        end = escape.end()
    return "".join((*pieces, text[end:])), [*starts, *range(end, len(text) + 1)]


def _end_of_padding(text: str, start: int) -> int:
    padding = _PADDING.match(text, start)
    # It matches nothing, too.
    assert padding is not None
    return padding.end()
