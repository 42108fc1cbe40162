"""No response costs much more than a good one of its size: in work, which is counted in calls, and in memory."""

from __future__ import annotations

import re
import sys
import tracemalloc
from types import FrameType
from typing import Any

import pytest

from chartmogul_async.structuring import converter
from tests.faults.checks import Fault, run_fault
from tests.faults.costly import COSTLY, HEADS, MEGABYTE, good_of

pytestmark = pytest.mark.sockets

# Calls of a few exchanges, of the errors of 100 mismatches or details.
_CALLS = 20_000
# Calls in h11 and httpcore for each chunk and each header.
_CALLS_OF_A_CHUNK = 120
# Bytes that any exchange may take, however small its response is.
_MEMORY = 2 * MEGABYTE
# The patterns of h11 take that for a head of 60 kB.
_MEMORY_OF_A_HEAD = 12 * MEGABYTE


@pytest.fixture
def anyio_backend() -> str:
    """The event loop makes no difference here."""
    return "asyncio"


@pytest.fixture(autouse=True)
def without_orjson(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reserves twelve times the size of any body, though it hardly uses it; and the standard library decides."""
    monkeypatch.setattr(converter, "orjson", None)


@pytest.fixture(autouse=True)
def no_secret_in_the_log() -> None:
    """The logs of httpx and httpcore are not part of the costs; ``test_table`` reads them."""


class Calls:
    """Counts the calls of functions in this thread, those written in C included."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Calls:
        sys.setprofile(self._on_event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _on_event(self, frame: FrameType, event: str, argument: Any) -> None:
        self.count += event in {"call", "c_call"}


async def calls_of(fault: Fault) -> int:
    with Calls() as calls:
        await run_fault(fault)
    return calls.count


@pytest.mark.parametrize("fault", COSTLY, ids=lambda fault: fault.name)
async def test_a_response_takes_no_more_work_than_a_good_one(fault: Fault) -> None:
    assert fault.unpacked is not None
    below = 10_000 * _CALLS_OF_A_CHUNK if re.search("chunks|headers", fault.name) else 0
    # A second pass finds the places of what does not match.
    assert await calls_of(fault) <= 2 * await calls_of(good_of(fault.unpacked)) + _CALLS + below


@pytest.mark.parametrize("fault", COSTLY, ids=lambda fault: fault.name)
async def test_a_response_takes_no_more_than_ten_times_its_size(fault: Fault) -> None:
    assert fault.unpacked is not None
    # What is loaded at the first use of a proxy, for example, is not the response's.
    await run_fault(fault)
    tracemalloc.start()
    try:
        await run_fault(fault)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    allowed = _MEMORY_OF_A_HEAD if fault in HEADS else 10 * fault.unpacked + _MEMORY
    assert peak <= allowed
