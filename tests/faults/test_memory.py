"""An answer without an end is given up long before it fills the memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from tests.faults.checks import Fault, survive
from tests.faults.table import MEGABYTE, TOO_LARGE

pytestmark = pytest.mark.sockets

LIMIT = 64 * MEGABYTE


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("fault", TOO_LARGE, ids=lambda fault: fault.name)
async def test_what_is_too_large_is_never_in_memory_as_a_whole(fault: Fault, traced: None) -> None:
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    await survive(fault)
    _, peak = tracemalloc.get_traced_memory()
    assert peak - before < 3 * LIMIT  # the pieces, the whole of them, and a copy on the way
