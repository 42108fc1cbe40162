"""Dashboards, reports and notebooks in a real browser: headless Chromium, by playwright. ``nox -s browser`` runs it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from chartmogul_async import AsyncClient
from chartmogul_async.blocking import Client
from chartmogul_async.drawing import numbers
from chartmogul_async.report import Report, fetch_report, render
from chartmogul_async.sandbox import Company, Limits, Sandbox
from chartmogul_async.sandbox.server import serve_in_thread

from .servers import example, on_unix, settings

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
WIDTHS = [390, 820, 1280]
# Milliseconds; how long it takes is no matter.
PATIENT = 60_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.sockets,
    on_unix,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium, or its path as CHROMIUM"),
]
playwright = pytest.importorskip("playwright.sync_api", reason="the group `browser` is not installed")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        # As root, as in containers, Chromium refuses to start with its sandbox.
        is_root = hasattr(os, "geteuid") and os.geteuid() == 0
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if is_root else [])
        yield browser
        browser.close()


class Visit:
    """A page of the browser, and whatever went wrong there."""

    def __init__(self, chromium: Any, address: str, width: int = 1280) -> None:
        size = {"width": width, "height": 800}
        context = chromium.new_context(viewport=size, locale="en-US", timezone_id="UTC", service_workers="block")
        self.page = context.new_page()
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        self.page.on(
            "console", lambda said: self.errors.append(said.text) if said.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        self.page.set_default_timeout(PATIENT)
        self.page.goto(address)
        self.page.wait_for_selector(".tile")

    def figures(self) -> dict[str, float]:
        values = self.page.eval_on_selector_all("[data-value]", "all => all.map(each => ({...each.dataset}))")
        return {each["metric"]: json.loads(each["value"]) for each in values}

    def text(self, selector: str) -> str:
        text: str = self.page.inner_text(selector)
        return text


def expected(url: str, country: str | None = None) -> dict[str, float]:
    today = date.today()
    with Client("sandbox", base_url=url) as client:
        now: Any = client.metrics.all(date(today.year - 1, today.month, 1), today, geo=country).summary
    metrics = ("mrr", "arr", "customers", "arpa", "customer_churn_rate", "mrr_churn_rate", "ltv", "asp")
    return {name: getattr(now, f"current_{name}") for name in metrics}


def test_the_page_renders_at_three_widths(chromium: Any, site: tuple[Sandbox, str, str]) -> None:
    _, url, address = site
    for width in WIDTHS:
        visit = Visit(chromium, address, width)
        assert visit.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        outside = "all => all.filter(each => each.getBoundingClientRect().right > innerWidth).length"
        assert visit.page.eval_on_selector_all("main *", outside) == 0
        cut = "all => all.filter(each => each.scrollWidth > each.clientWidth).map(each => each.innerText)"
        assert visit.page.eval_on_selector_all(".tile *", cut) == []
        assert visit.page.locator(".tile").count() == 8
        assert visit.page.locator("#mrr polyline").count() == 1
        assert visit.page.locator("#movements rect:not(.hover)").count() == 13 * 5
        assert visit.figures() == expected(url)
        assert visit.hosts == {address.removeprefix("http://")}
        assert visit.errors == []
        if folder := os.environ.get("SCREENSHOTS"):
            visit.page.screenshot(path=f"{folder}/{width}.png", full_page=True)


def test_another_country_has_other_figures(chromium: Any, site: tuple[Sandbox, str, str]) -> None:
    _, url, address = site
    visit = Visit(chromium, address)
    visit.page.select_option("#geo", "DE")
    wanted = expected(url, "DE")
    visit.page.wait_for_selector(f"[data-metric=mrr][data-value='{wanted['mrr']}']")
    assert visit.figures() == wanted
    assert visit.text("[data-metric=customers]") == f"{wanted['customers']:,}"
    assert visit.errors == []


def test_the_page_refreshes_without_a_reload(chromium: Any, site: tuple[Sandbox, str, str]) -> None:
    sandbox, url, address = site
    visit = Visit(chromium, address)
    before = visit.figures()
    visit.page.evaluate("window.mark = 'the same document'")
    sandbox.company.add_customer(on=sandbox.company.today, plan=sandbox.company.plans[0].name, mrr=1_000_000)
    visit.page.wait_for_selector(f"[data-metric=mrr][data-value='{before['mrr'] + 1_000_000}']")
    assert visit.figures() == expected(url)
    assert visit.page.evaluate("window.mark") == "the same document"
    assert visit.errors == []


def test_the_page_says_when_the_api_is_away(chromium: Any, tmp_path: Path) -> None:
    sandbox = Sandbox()
    with ExitStack() as api:
        url = api.enter_context(sandbox.serve())
        with example("fastapi_app", settings(url, tmp_path)) as address:
            visit = Visit(chromium, address)
            assert visit.page.is_hidden("#notice")
            before = visit.figures()
            api.close()
            visit.page.wait_for_selector("#notice", state="visible")
            # What comes first: the end of the last attempt, or the deadline.
            assert visit.text("#notice").startswith(("ChartMogul did not respond", "The page took longer than 10 s"))
            assert visit.figures() == before
            with serve_in_thread(sandbox, "127.0.0.1", httpx.URL(url).port or 0):
                visit.page.wait_for_selector("#notice", state="hidden")
        visit.page.wait_for_selector("#notice", state="visible")
        assert visit.text("#notice").startswith("The server does not respond")
    # The browser itself reports each response that is an error, and nothing else is reported.
    assert all(error.startswith("Failed to load resource") for error in visit.errors)


def test_a_report_renders_at_three_widths_without_a_network(chromium: Any, tmp_path: Path) -> None:
    sandbox = Sandbox(Company(customers=200, today=date(2025, 6, 15)), limits=Limits(per_second=None))

    async def page() -> tuple[str, Report]:
        async with AsyncClient("sandbox", transport=sandbox.transport()) as client:
            report = await fetch_report(client, today=sandbox.company.today)
        return render(report), report

    # Playwright's own event loop runs in this thread.
    with ThreadPoolExecutor(1) as pool:
        text, report = pool.submit(anyio.run, page).result()
    path = tmp_path / "report.html"
    path.write_text(text, encoding="utf-8")
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            size = {"width": width, "height": 800}
            context = chromium.new_context(viewport=size, color_scheme=scheme, offline=True)
            shown, errors = context.new_page(), list[str]()
            shown.on("console", lambda said, errors=errors: errors.append(said.text))
            shown.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
            shown.goto(path.as_uri())
            assert errors == []
            assert shown.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
            assert shown.locator("svg[role=img]").count() == 8
            assert shown.inner_text(".figures dd >> nth=0").splitlines()[0] == numbers.amount(
                report.months[-1].mrr, "USD"
            )
            paper, ink = (
                shown.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color")
            )
            assert (paper == "rgb(255, 255, 255)") == (scheme == "light"), (paper, ink)
            if folder := os.environ.get("SCREENSHOTS"):
                shown.screenshot(path=f"{folder}/report-{scheme}-{width}.png", full_page=True)
            context.close()


def test_a_notebook_shows_charts_in_the_colours_of_its_theme(chromium: Any, tmp_path: Path) -> None:
    sandbox = Sandbox(Company(customers=200, today=date(2025, 6, 15)), limits=Limits(per_second=None))
    with Client("sandbox", transport=sandbox.transport()) as client:
        outputs = [
            client.metrics.all("2015-06-20", "2025-06-15", interval="day")._repr_html_(),
            client.metrics.breakdown("mrr", "2024", by="country")._repr_html_(),
        ]
    for paper, ink in (("#ffffff", "rgb(17, 17, 17)"), ("#111111", "rgb(238, 238, 238)")):
        path = tmp_path / f"{paper[1:]}.html"
        body = f'<body style="background:{paper};color:{ink}">'
        path.write_text(f'<!doctype html><meta charset="utf-8">{body}{"".join(outputs)}', encoding="utf-8")
        for width in (390, 1280):
            # The system prefers what the notebook does not show.
            context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme="light", offline=True)
            shown, errors = context.new_page(), list[str]()
            shown.on("console", lambda said, errors=errors: errors.append(said.text))
            shown.goto(path.as_uri())
            assert errors == []
            assert shown.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
            colours = "all => [...new Set(all.map(each => getComputedStyle(each).fill))]"
            assert shown.eval_on_selector_all("svg text", colours) == [ink]
            strokes = "all => all.map(each => getComputedStyle(each).stroke)"
            assert len(set(shown.eval_on_selector_all("polyline", strokes))) == 5
            assert shown.eval_on_selector_all("polyline", strokes)[1:] == shown.eval_on_selector_all(
                ".key line", strokes
            )
            outside = "all => all.filter(each => each.getBoundingClientRect().right > innerWidth).length"
            assert shown.eval_on_selector_all("svg[role=img], svg[role=img] *", outside) == 0
            if folder := os.environ.get("SCREENSHOTS"):
                shown.screenshot(path=f"{folder}/notebook-{paper[1:]}-{width}.png", full_page=True)
