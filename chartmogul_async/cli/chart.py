"""A chart of upright bars, drawn with letters."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"  # from empty to full, in eighths of a line
ASCII = "  ..::oo#"


def bars(values: Sequence[int | float], step: int, height: int, blocks: str = BLOCKS) -> list[str]:
    """Lines from the top to the bottom; each value has ``step`` columns, the last of which stays empty.

    The bars stand on zero and the greatest one fills the height.
    """
    greatest = max(*values, 1)
    eighths = [round(max(value, 0) / greatest * height * 8) for value in values]
    return [
        "".join(blocks[min(max(filled - below * 8, 0), 8)] * (step - 1) + " " for filled in eighths).rstrip()
        for below in reversed(range(height))
    ]


def writable(text: str, encoding: str) -> bool:
    """Whether an encoding has all the letters of a text."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
