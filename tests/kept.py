"""What an exception keeps in memory with the frames of its traceback."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any


def longest_kept_by(error: BaseException, package: str) -> int:
    """The length of the longest bytes, list or dict among the variables of a package's functions."""
    return max(map(_length, _variables(error, package)), default=0)


def _variables(error: BaseException | None, package: str) -> Iterator[Any]:
    if error is None:
        return
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").startswith(f"{package}."):
            yield from frame.f_locals.values()
    yield from _variables(error.__cause__, package)
    yield from _variables(error.__context__, package)


def _length(value: Any) -> int:
    value = getattr(value, "outcome", value)
    # The content of a response that was not read cannot be asked for.
    value = getattr(value, "_content", value)
    return len(value) if isinstance(value, (bytes, bytearray, list, dict)) else 0
