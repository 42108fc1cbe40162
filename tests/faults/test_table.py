"""Each fault of the table, met every time and, where another attempt is made, met once."""

from __future__ import annotations

import anyio
import pytest

from tests.faults.checks import Fault, meet, nothing_left_behind, survive
from tests.faults.table import TABLE, TAKE_A_SECOND

pytestmark = pytest.mark.sockets


@pytest.mark.parametrize("fault", TABLE, ids=lambda fault: fault.name)
async def test_a_fault_gives_the_right_records_or_one_clear_error(fault: Fault) -> None:
    await survive(fault)


@pytest.mark.parametrize("fault", [fault for fault in TABLE if fault.is_passing], ids=lambda fault: fault.name)
async def test_a_fault_that_passes_is_followed_by_the_right_records(fault: Fault) -> None:
    await survive(fault, every_time=False)


async def test_faults_that_take_a_second_are_met_all_at_once() -> None:
    async with nothing_left_behind(), anyio.create_task_group() as group:
        for fault in TAKE_A_SECOND:
            group.start_soon(meet, fault)
