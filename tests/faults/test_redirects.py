"""The key goes to the host it was given for, and nowhere else."""

from __future__ import annotations

import pytest

from tests.faults.checks import survive
from tests.faults.server import FaultServer
from tests.faults.table import redirects

pytestmark = pytest.mark.sockets


@pytest.mark.parametrize(
    "status",
    ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"],
)
async def test_nothing_is_sent_to_where_an_answer_redirects(status: str) -> None:
    with FaultServer() as elsewhere:
        await survive(redirects(f"{elsewhere.url}/metrics/mrr", status))
    assert elsewhere.connections == 0
