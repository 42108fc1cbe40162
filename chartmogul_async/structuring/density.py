"""JSON that costs much more than its size, recognised before it is parsed.

A parser makes an object of 60 to 250 bytes for two characters (``{}``, ``[]``) and one of 150 for a short key that
occurs once, and it needs a time for an integer that grows with the square of its digits.
"""

from __future__ import annotations

from collections.abc import Callable

from chartmogul_async.errors import DecodeError

# Bytes of JSON for each object or list, and for each key. The densest response that the API was seen to send has 28
# and 15: ``{"date":"2023-07-31","asp":0}``.
_LEAST_PER_CONTAINER = 24
_LEAST_PER_KEY = 12
# So many of them are harmless, however dense they are.
_HARMLESS = 10_000

HARMLESS_SIZE = 2 * _HARMLESS
"""Bytes; JSON that is not longer cannot be too dense."""

LONGEST_INTEGER = 500
"""Digits; integers of up to this many are accepted anywhere."""

# One byte in so many is looked at for long integers, of which this many are digits, one after another.
_SAMPLED = 50
_IS_DIGIT = bytes(byte in b"0123456789" for byte in range(256))
_LONG_RUN = b"\1" * (LONGEST_INTEGER // _SAMPLED)
_BLOCK = LONGEST_INTEGER // 2
# A byte that occurs less often is rare.
_RARE = 100


def check_density(content: bytes) -> None:
    """Refuse JSON that would take more than ten times its size in memory.

    Args:
        content: The body of a response.

    Raises:
        DecodeError: It consists of little but brackets, or of little but short keys.
    """
    containers = content.count(b"{") + _count_of_rare(b"[", content)
    # Each key has a colon, and a single byte is counted in half the time of two.
    keys = content.count(b":")
    if keys * _LEAST_PER_KEY > len(content):
        # Texts have colons, too. With a space before the colon a key is as long as this allows anyway.
        keys = content.count(b'":')
    for name, count, least in (
        ("objects and lists", containers, _LEAST_PER_CONTAINER),
        ("keys", keys, _LEAST_PER_KEY),
    ):
        if count > _HARMLESS and count * least > len(content):
            problem = f"$: the body of {len(content)} bytes has too many {name} to be parsed: {count}"
            raise DecodeError(problem, problems=(problem,))


def parse_int_for(content: bytes) -> Callable[[str], int]:
    """The function that turns the integers of a JSON text into ints: one that refuses long ones, if there are any.

    Args:
        content: The text.

    Returns:
        A function; ``int`` itself, with which a parser is faster, for a text without long runs of digits.
    """
    if _LONG_RUN not in content[::_SAMPLED].translate(_IS_DIGIT):
        return int
    # Equal entries may have a digit at each place that was looked at. A longer run fills one of these blocks.
    blocks = range(0, len(content), _BLOCK)
    return _short_int if any(content[start : start + _BLOCK].isdigit() for start in blocks) else int


def _count_of_rare(byte: bytes, content: bytes) -> int:
    """How often a byte occurs: looking for one takes a tenth of the time of counting, unless there are many."""
    found = -1
    for number in range(_RARE):
        found = content.find(byte, found + 1)
        if found < 0:
            return number
    return content.count(byte)


def _short_int(digits: str) -> int:
    if len(digits) > LONGEST_INTEGER:
        raise ValueError(f"an integer has more than {LONGEST_INTEGER} digits")
    return int(digits)
