"""Which event loop runs here, and whether another one has ended."""

from __future__ import annotations

from typing import Any

import anyio.lowlevel


def current_loop() -> object:
    """The event loop, or trio's token of it. Anyio makes a token of its own at each call, which would be kept.

    Raises:
        RuntimeError: None runs here.
    """
    return anyio.lowlevel.current_token().native_token


def has_ended(loop: Any) -> bool:
    """Whether an event loop is closed.

    Args:
        loop: What ``current_loop`` returned in it.
    """
    if hasattr(loop, "is_closed"):
        return bool(loop.is_closed())
    try:
        # Trio's token has no other way to ask.
        loop.run_sync_soon(int)
    except RuntimeError:
        return True
    return False
