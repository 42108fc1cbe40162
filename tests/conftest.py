"""Each test runs on asyncio and on trio, in virtual time: a sleep takes no time, and the wall clock does not count.

A test marked ``sockets`` talks to a real server and so runs in real time.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pytest
import respx
from hypothesis import settings

# For the tests, too.
from tests.virtual_time import VirtualTimeLoop as VirtualTimeLoop

# An example has no deadline: how long it takes is a matter of the machine.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Every coroutine function is a test for anyio; the setting ``anyio_mode`` would need anyio 4.11."""
    session.add_marker("anyio")
    # A shell lets what it starts in the background ignore Ctrl-C, and so would all processes that the tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test marked ``no_cover`` is not traced.

    In a worker of pytest-xdist, pytest-cov has two tracers: when it pauses one, the other goes on.
    """
    if item.get_closest_marker("no_cover") is None:
        return (yield)
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Generator[None, object, object]:
    """The alarm of a test that takes too long comes again until it ends.

    What the first one raises may be lost: within a task, or where hypothesis takes it for one more failure.
    """
    outcome = yield
    # Windows has no alarms.
    if hasattr(signal, "getitimer") and signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.setitimer(signal.ITIMER_REAL, settings.timeout, settings.timeout)
    return outcome


def virtual_backend(name: str) -> tuple[str, dict[str, Any]]:
    if name == "trio":
        from trio.testing import MockClock

        return name, {"clock": MockClock(autojump_threshold=0)}
    return name, {"loop_factory": VirtualTimeLoop}


@pytest.fixture(scope="module", autouse=True)
def older_objects_are_frozen() -> None:
    """Many tests collect garbage. They need not look at ten thousand other tests, and at what some modules keep."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHARTMOGUL_API_KEY", "CHARTMOGUL_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    if request.node.get_closest_marker("sockets"):
        return request.param, {}
    return virtual_backend(request.param)


@pytest.fixture
def api() -> Iterator[respx.Router]:
    """Routes below the base URL. A request without a route fails the test, and so does a route without a request."""
    router = respx.Router(base_url="https://api.chartmogul.com/v1")
    yield router
    router.assert_all_called()
