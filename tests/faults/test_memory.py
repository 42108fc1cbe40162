"""A response without an end is given up long before it fills the memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from tests.faults.checks import Fault, check_fault
from tests.faults.costly import MEGABYTE
from tests.faults.kinds import connections_of, on_both_connections
from tests.faults.table import TOO_LARGE

pytestmark = pytest.mark.sockets

LIMIT = 64 * MEGABYTE


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@on_both_connections
@pytest.mark.parametrize("fault", TOO_LARGE, ids=lambda fault: fault.name)
async def test_a_body_that_is_too_large_is_never_in_memory(fault: Fault, kind: str, traced: None) -> None:
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    with connections_of(kind):
        await check_fault(fault)
    _, peak = tracemalloc.get_traced_memory()
    # The chunks, the whole body, and a copy in between.
    assert peak - before < 3 * LIMIT
