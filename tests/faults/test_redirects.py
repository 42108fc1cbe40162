"""The key is sent to the host that it was given for, and nowhere else."""

from __future__ import annotations

import pytest

from tests.faults.checks import check_fault
from tests.faults.server import FaultServer
from tests.faults.table import redirects

pytestmark = pytest.mark.sockets


@pytest.mark.parametrize(
    "status",
    ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"],
)
async def test_a_redirect_is_not_followed(status: str) -> None:
    with FaultServer() as elsewhere:
        await check_fault(redirects(f"{elsewhere.url}/metrics/mrr", status))
    assert elsewhere.connections == 0
