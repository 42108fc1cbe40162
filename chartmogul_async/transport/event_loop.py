"""Whether an event loop has ended, asked from another one."""

from __future__ import annotations

from typing import Any


def has_ended(loop: Any) -> bool:
    """Whether an event loop is closed.

    Args:
        loop: The event loop, or trio's token of it.
    """
    if hasattr(loop, "is_closed"):
        return bool(loop.is_closed())
    try:
        # Trio's token has no other way to ask.
        loop.run_sync_soon(int)
    except RuntimeError:
        return True
    return False
