"""A request that is too long to be sent."""

from __future__ import annotations

import pytest

from chartmogul_async import AsyncClient, errors
from tests.clients import KEY
from tests.faults.checks import check_error, nothing_left_behind
from tests.faults.server import FaultServer

pytestmark = pytest.mark.sockets


async def test_arguments_that_make_no_url_are_refused_before_anything_is_sent() -> None:
    async with nothing_left_behind():
        with FaultServer() as server:
            async with AsyncClient(KEY, base_url=server.url) as client:
                with pytest.raises(errors.UsageError) as caught:
                    await client.metrics.mrr("2023-07-01", "2023-07-31", plans=["a long name"] * 10_000)
    check_error(caught.value)
    assert server.connections == 0
