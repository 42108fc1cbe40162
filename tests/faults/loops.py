"""The event loops that every fault is tested on: the name that anyio uses for each, and its options."""

from __future__ import annotations

from typing import Any

LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
