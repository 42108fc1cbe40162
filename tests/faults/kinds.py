"""The two connections of a request without a proxy: direct, with the extra ``fast``, and httpx's own without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chartmogul_async.transport import connections

HAS_DIRECT = connections._direct_connection() is not None
# Both where both exist; what is installed comes first.
KINDS = ("direct", "httpx") if HAS_DIRECT else ("httpx",)

on_both_connections = pytest.mark.parametrize("kind", KINDS)


@contextmanager
def connections_of(kind: str) -> Iterator[None]:
    """Use only this kind of connection."""
    with pytest.MonkeyPatch.context() as patch:
        if kind == "httpx":
            patch.setattr(connections, "_direct_connection", lambda: None)
        yield
