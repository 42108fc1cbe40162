"""A chart of vertical bars, drawn with characters."""

from __future__ import annotations

from collections.abc import Sequence

# Characters from empty to full, in eighths of a line.
BLOCKS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
ASCII = "  ..::oo#"


def bars(values: Sequence[int | float], step: int, height: int, blocks: str = BLOCKS) -> list[str]:
    """Draw values as bars that stand on zero; the bar of the maximum fills the height.

    Args:
        values: The values; a negative one has no bar.
        step: The columns of each value, the last of which stays empty if there are several.
        height: The number of lines.
        blocks: Nine characters from empty to full.

    Returns:
        The lines from top to bottom.
    """
    eighths = _filled(values, height)
    return [
        _line([blocks[min(max(filled - below * 8, 0), 8)] for filled in eighths], step)
        for below in reversed(range(height))
    ]


def hanging(values: Sequence[int | float], step: int, height: int, blocks: str = BLOCKS) -> list[str]:
    """Draw negative values as bars that hang from zero, in whole lines, since no characters are filled from above.

    Args:
        values: The values; a positive one has no bar.
        step: The columns of each value, the last of which stays empty if there are several.
        height: The number of lines.
        blocks: Nine characters from empty to full.

    Returns:
        The lines from top to bottom.
    """
    eighths = _filled([-value for value in values], height)
    # Whoever is below zero at all has a bar.
    return [
        _line([blocks[8 if filled > (above * 8 + 4 if above else 0) else 0] for filled in eighths], step)
        for above in range(height)
    ]


def _filled(values: Sequence[int | float], height: int) -> list[int]:
    """How many eighths of a line each bar has."""
    maximum = max(*values, 0)
    return [round(max(value, 0) / (maximum or 1) * height * 8) for value in values]


def _line(characters: Sequence[str], step: int) -> str:
    bar = max(step - 1, 1)
    return "".join((character * bar).ljust(step) for character in characters).rstrip()


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
