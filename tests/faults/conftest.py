"""Each test here runs on asyncio, on uvloop and on trio, in real time, and may not leave or show anything."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.checks import assert_hidden
from tests.faults.loops import LOOPS


@pytest.fixture(params=list(LOOPS))
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    if request.param == "uvloop":
        # It does not exist for Windows.
        pytest.importorskip("uvloop")
    return LOOPS[request.param]


@pytest.fixture(autouse=True)
def garbage_is_collected() -> Iterator[None]:
    """A socket or a task that was not closed emits a warning when it is collected."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def no_secret_in_the_log(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    """No logger shows a secret, including those of the libraries below at their most verbose."""
    caplog.set_level(logging.DEBUG)
    yield
    assert_hidden(*(logging.Formatter().format(record) for record in caplog.get_records("call")))
    assert_hidden(*(repr(vars(record)) for record in caplog.get_records("call") if record.name == "chartmogul_async"))
