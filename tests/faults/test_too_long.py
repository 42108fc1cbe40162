"""A request that is too long to be sent."""

from __future__ import annotations

import pytest

from chartmogul_async import AsyncClient, errors
from tests.clients import KEY
from tests.faults.checks import check_text, nothing_left_behind
from tests.faults.server import FaultServer

pytestmark = pytest.mark.sockets


async def test_arguments_too_long_for_a_url_are_refused_unsent() -> None:
    async with nothing_left_behind():
        with FaultServer() as server:
            async with AsyncClient(KEY, base_url=server.url) as client:
                with pytest.raises(errors.ArgumentError) as caught:
                    await client.metrics.mrr("2023-07-01", "2023-07-31", plans=["a long name"] * 10_000)
    check_text(caught.value)
    assert str(caught.value).startswith("plans must be shorter")
    assert server.connections == 0
