"""A chart of vertical bars, drawn with characters."""

from __future__ import annotations

from collections.abc import Sequence

# Characters from empty to full, in eighths of a line.
BLOCKS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
ASCII = "  ..::oo#"


def bars(values: Sequence[int | float], step: int, height: int, blocks: str = BLOCKS) -> list[str]:
    """Draw values as bars that start at zero; the bar of the maximum fills the height.

    Args:
        values: The values; a negative one has no bar.
        step: The columns of each value, the last of which stays empty.
        height: The number of lines.
        blocks: Nine characters from empty to full.

    Returns:
        The lines from top to bottom.
    """
    maximum = max(*values, 1)
    eighths = [round(max(value, 0) / maximum * height * 8) for value in values]
    return [
        "".join(blocks[min(max(filled - below * 8, 0), 8)] * (step - 1) + " " for filled in eighths).rstrip()
        for below in reversed(range(height))
    ]


def writable(text: str, encoding: str) -> bool:
    """Check whether an encoding has all the characters of a text.

    Args:
        text: The text.
        encoding: The name of an encoding; one that is unknown has none of them.
    """
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
