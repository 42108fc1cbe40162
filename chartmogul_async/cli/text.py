"""Text from elsewhere, made safe for a terminal."""

from __future__ import annotations

import json
from unicodedata import category

# Control characters, with one of which an escape sequence begins; invisible ones, such as those that turn the direction
# of writing; halves of surrogate pairs; characters without a meaning; separators of lines.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# The two joiners are letters of a kind: Persian and Hindi are written with them.
_HARMLESS = frozenset("\n\t\u200c\u200d")


def visible(text: str) -> str:
    r"""Show what a terminal would obey or hide, as JSON would write it.

    Args:
        text: Any text.

    Returns:
        The text, with ``\u001b`` in place of an escape character; line breaks and tabs stay.
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def one_line(text: str) -> str:
    """Make a text visible, on one line.

    Args:
        text: Any text; it may contain line breaks and control characters.

    Returns:
        The visible text, with one space in place of each run of white space.
    """
    return visible(" ".join(text.split()))


def _visible(character: str) -> str:
    if category(character) in _HIDDEN and character not in _HARMLESS:
        return json.dumps(character)[1:-1]
    return character
