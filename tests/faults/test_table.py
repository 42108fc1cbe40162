"""Each fault of the table, in every attempt and, where there is another attempt, in the first one only."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.faults.checks import Fault, check_fault, nothing_left_behind, run_fault
from tests.faults.kinds import KINDS, connections_of, on_both_connections
from tests.faults.table import ON_THE_WIRE, TABLE, TAKE_A_SECOND, TOO_LARGE

pytestmark = pytest.mark.sockets


# Each fault with the connections that are installed, and those of the wire with the other ones too.
ROWS = [(fault, KINDS[0]) for fault in TABLE] + [(fault, kind) for fault in ON_THE_WIRE for kind in KINDS[1:]]


def each(rows: list[tuple[Fault, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("fault", "kind"), rows, ids=[f"{kind}-{fault.name}" for fault, kind in rows])


@each(ROWS)
async def test_a_fault_ends_in_the_correct_records_or_one_error(fault: Fault, kind: str) -> None:
    with connections_of(kind):
        await check_fault(fault)


@each([(fault, kind) for fault, kind in ROWS if fault.is_transient])
async def test_a_transient_fault_ends_in_the_correct_records(fault: Fault, kind: str) -> None:
    with connections_of(kind):
        await check_fault(fault, always=False)


@on_both_connections
async def test_faults_that_take_a_second(kind: str) -> None:
    with connections_of(kind):
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
