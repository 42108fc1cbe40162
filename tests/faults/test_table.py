"""Each fault of the table, in every attempt and, where there is another attempt, in the first one only."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.faults.checks import Fault, check_fault, nothing_left_behind, run_fault
from tests.faults.table import TABLE, TAKE_A_SECOND, TOO_LARGE

pytestmark = pytest.mark.sockets


@pytest.mark.parametrize("fault", TABLE, ids=lambda fault: fault.name)
async def test_a_fault_ends_in_the_correct_records_or_one_error(fault: Fault) -> None:
    await check_fault(fault)


@pytest.mark.parametrize("fault", [fault for fault in TABLE if fault.is_transient], ids=lambda fault: fault.name)
async def test_a_transient_fault_ends_in_the_correct_records(fault: Fault) -> None:
    await check_fault(fault, always=False)


async def test_faults_that_take_a_second() -> None:
    async with nothing_left_behind(), anyio.create_task_group() as group:
        for fault in TAKE_A_SECOND:
            group.start_soon(run_fault, fault)


def test_the_documented_table_is_this_one() -> None:
    """Names, errors and attempts; the messages in between depend on versions and timing."""
    lines = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8").splitlines()
    documented = [line for line in lines if line.startswith("| ") and not line.startswith("| fault ")]
    for line, fault in zip(documented, (*TABLE, *TOO_LARGE, *TAKE_A_SECOND), strict=True):
        outcome = f"`{fault.error.__name__}`: GET http" if fault.error else "the correct records |"
        assert line.startswith(f"| {fault.name} | {outcome}")
        assert line.endswith(f" | {fault.attempts} |")
