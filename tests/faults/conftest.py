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
        pytest.importorskip("uvloop")  # there is none for Windows
    return LOOPS[request.param]


@pytest.fixture(scope="session", autouse=True)
def what_is_older_than_these_tests() -> Iterator[None]:
    """Let the collector pass over it, for it runs after each test."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def what_is_forgotten_warns() -> Iterator[None]:
    """A socket or a task that was only forgotten, and not closed, warns when it is collected."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def nothing_in_the_log(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    """No logger tells a secret, those of the libraries below at their most talkative included."""
    caplog.set_level(logging.DEBUG)
    yield
    assert_hidden(*(logging.Formatter().format(record) for record in caplog.get_records("call")))
