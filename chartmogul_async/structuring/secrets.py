"""Hides an API key in whatever a server sends back, however it is spelled.

No pattern is made of a key: ``re`` would keep it for as long as the process lives.
"""

from __future__ import annotations

import re
from array import array
from base64 import b64encode
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, product
from operator import add
from string import ascii_lowercase, ascii_uppercase, hexdigits

# Percent-encoding, any number of times, and the escapes of JSON, whose backslashes may be doubled.
_ESCAPE = re.compile(r"(%(?:25)*[0-9a-f]{2}|\\{1,2}u00[0-9a-f]{2}|\\{1,2}/)", re.IGNORECASE)
# What an escape stands for, by its last two characters.
_UNESCAPED = {"".join(code): chr(int("".join(code), 16)) for code in product(hexdigits, repeat=2)} | {"\\/": "/"}
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
    pieces, end = [], 0
    for start, stop in sorted(_spans(text, secrets)):
        if start >= end:
            pieces += [text[end:start], "***"]
        end = max(end, _end_of_padding(text, stop))
    return "".join((*pieces, text[end:]))


def _spans(text: str, secrets: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where secrets are, as they are and with escapes; both matter, since one may follow what begins an escape."""
    for secret in secrets:
        yield from ((at, at + len(secret)) for at in _places(secret, text))
    if "%" in text or "\\" in text:
        plain, starts = _unescaped(text)
        for secret in secrets:
            unescaped, _ = _unescaped(secret)
            yield from ((starts[at], starts[at + len(unescaped)]) for at in _places(unescaped, plain))


def _places(secret: str, text: str) -> Iterator[int]:
    secret, text = secret.translate(_ALIKE), text.translate(_ALIKE)
    at = text.find(secret)
    while at >= 0:
        yield at
        at = text.find(secret, at + len(secret))


def _unescaped(text: str) -> tuple[str, Sequence[int]]:
    """The text without escapes, and where in the original each of its characters starts, its end included."""
    parts = _ESCAPE.split(text)
    ends = array("Q", accumulate(map(len, parts), initial=0))
    # Every other part is an escape, which becomes one character.
    plain = [_UNESCAPED[part[-2:]] if number % 2 else part for number, part in enumerate(parts)]
    starts = chain.from_iterable(map(range, ends, map(add, ends, map(len, plain))))
    return "".join(plain), array("Q", chain(starts, ends[-1:]))


def _end_of_padding(text: str, start: int) -> int:
    padding = _PADDING.match(text, start)
    # It matches nothing, too.
    assert padding is not None
    return padding.end()
