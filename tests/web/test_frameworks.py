"""The middleware in FastAPI, Starlette and Litestar, on asyncio and trio, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from chartmogul_async import AsyncClient
from chartmogul_async.sandbox import Company, Fault, Faults, Sandbox

from .apps import APPS, Pages
from .browsers import Browser


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(Company(customers=10), latency=5)


@pytest.fixture
async def pages(sandbox: Sandbox) -> AsyncIterator[Pages]:
    async with AsyncClient("sandbox", transport=sandbox.transport()) as client:
        yield Pages(client)


def middlewares() -> tuple[Any, Any]:
    """Starlette's own shape, which runs the application in a task group, and one that also reads the request."""
    from starlette.middleware.base import BaseHTTPMiddleware

    class Passing(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            return await call_next(request)

    class Reading(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            await request.body()
            return await call_next(request)

    return Passing, Reading


PASSING, READING = middlewares()
PLACES: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "alone": ((), ()),
    "inside": ((PASSING,), ()),
    "around": ((), (PASSING,)),
    "between": ((READING,), (READING,)),
}


@pytest.fixture(params=[(name, place) for name in APPS for place in PLACES], ids="-".join)
def app(request: pytest.FixtureRequest, pages: Pages) -> Any:
    """Each framework with the middleware alone, and with Starlette's BaseHTTPMiddleware around and inside of it."""
    name, place = request.param
    around, inside = PLACES[place]
    return APPS[name](pages, *around, inside=inside)


async def hang_up(app: Any, browser: Browser, pages: Pages, sandbox: Sandbox) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(browser.open, app)
        await anyio.sleep(2.5)
        browser.hang_up()
        await anyio.sleep(1)
        assert (pages.client.throttle.statistics().waiting, sandbox.counters.in_progress) == (0, 0)


async def test_a_page_is_served(app: Any) -> None:
    browser = await Browser("/mrr?geo=US").open(app)
    assert (browser.status, browser.json) == (200, {"months": 12})


async def test_a_browser_that_hangs_up_cancels_its_pull(app: Any, pages: Pages, sandbox: Sandbox) -> None:
    browser = Browser("/mrr")
    await hang_up(app, browser, pages, sandbox)
    assert browser.status in (None, 499)
    assert sandbox.counters.requests == 1


async def test_a_json_body_is_handed_on(app: Any) -> None:
    parts = b'{"geo"', b': "US', b'"}'
    browser = await Browser("/posted", *parts, method="POST", content_type="application/json").open(app)
    assert (browser.status, browser.json) == (200, {"months": 12})


async def test_a_request_with_a_body_is_cancelled(app: Any, pages: Pages, sandbox: Sandbox) -> None:
    browser = Browser("/posted", b'{"geo": "US"}', method="POST", content_type="application/json")
    await hang_up(app, browser, pages, sandbox)
    assert browser.status in (None, 499)


@pytest.mark.parametrize("place", ["alone", "inside", "around"])
@pytest.mark.parametrize("framework", APPS)
async def test_a_browser_that_hangs_up_while_it_sends_is_no_error(framework: str, place: str, pages: Pages) -> None:
    """Without the middleware Starlette raises ``ClientDisconnect``, and FastAPI responds with 400."""
    around, inside = PLACES[place]
    browser = Browser("/posted", b'{"geo": "U', method="POST", stays=True, content_type="application/json")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(browser.open, APPS[framework](pages, *around, inside=inside))
        await anyio.sleep(1)
        browser.hang_up()
    assert browser.status == 499


async def test_a_body_can_be_read_after_the_pull(app: Any) -> None:
    browser = await Browser("/upload", *[b"x" * 100] * 50, method="POST").open(app)
    assert (browser.status, browser.json) == (200, 5000)


async def test_a_stream_ends_when_its_browser_hangs_up(app: Any, pages: Pages, sandbox: Sandbox) -> None:
    browser = Browser("/stream")
    await hang_up(app, browser, pages, sandbox)
    assert browser.status == 200
    assert pages.streaming == 0
    assert 2 <= len(browser.messages) <= 5


async def test_work_in_the_background_goes_on(app: Any, pages: Pages) -> None:
    browser = await Browser("/later").open(app)
    assert (browser.status, pages.done) == (200, ["work"])


async def test_the_deadline_ends_a_page(app: Any, pages: Pages, sandbox: Sandbox) -> None:
    sandbox.latency = 60
    browser = await Browser("/mrr").open(app)
    assert browser.status == 503
    assert browser.json["error"].startswith("The page took longer than 20 s")


@pytest.mark.parametrize(("path", "fault", "status"), [("/mrr?geo=UK", None, 422), ("/mrr", Fault.status(403), 502)])
async def test_errors_are_mapped(app: Any, sandbox: Sandbox, path: str, fault: Fault | None, status: int) -> None:
    if fault is not None:
        sandbox.faults = Faults.sequence(fault)
    browser = await Browser(path).open(app)
    assert (browser.status, list(browser.json)) == (status, ["error"])
