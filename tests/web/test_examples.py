"""The programs of docs/examples under real uvicorn, with four workers that share the limits of one key by a file."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from chartmogul_async.blocking import Client
from chartmogul_async.sandbox import Sandbox

from .servers import EXAMPLES, PROGRAMS, example, on_unix, settings

pytestmark = [pytest.mark.sockets, on_unix]

VIEWERS = 40
# To read all certificates for each viewer would take longer than its page.
CERTIFICATES = httpx.create_ssl_context()


def browser(address: str) -> httpx.Client:
    return httpx.Client(base_url=address, trust_env=False, timeout=60)


def viewed(page: str) -> httpx.Response:
    """What a viewer gets, over a connection of its own."""
    return httpx.get(page, trust_env=False, timeout=60, verify=CERTIFICATES)


def summary_of(url: str, **more: Any) -> dict[str, Any]:
    today = date.today()
    with Client("sandbox", base_url=url) as client:
        summary = client.metrics.all(date(today.year - 1, today.month, 1), today, **more).summary
    return {name: getattr(summary, name) for name in ("current_mrr", "current_customers", "mrr_percentage_change")}


def test_the_page_of_the_documentation_prints_the_programs() -> None:
    page = (EXAMPLES.parent / "web.md").read_text(encoding="utf-8")
    printed = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert printed == [(EXAMPLES / f"{name}.py").read_text(encoding="utf-8") for name in ["dashboard", *PROGRAMS]]


def test_the_program_serves_the_figures_of_the_api(site: tuple[Sandbox, str, str]) -> None:
    _, url, address = site
    with browser(address) as web:
        page = web.get("/")
        assert page.text == (EXAMPLES / "dashboard.html").read_text(encoding="utf-8")
        assert page.headers["content-type"].startswith("text/html")
        for country in ("", "DE"):
            figures = web.get("/figures", params={"geo": country}).json()
            expected = summary_of(url, geo=country or None)
            assert expected.items() <= figures["overview"]["summary"].items()
            assert len(figures["overview"]["entries"]) == len(figures["movements"]["entries"]) == 13
            assert figures["account"] == {"name": "Sandbox Software Ltd", "currency": "USD"}
        refused = web.get("/figures", params={"geo": "UK"})
        assert refused.status_code == 422
        assert "'GB'" in refused.json()["error"]


def test_many_viewers_cost_few_requests(site: tuple[Sandbox, str, str]) -> None:
    sandbox, _, address = site
    with ThreadPoolExecutor(VIEWERS) as pool:
        before, started = sandbox.counters, time.monotonic()
        pages = list(pool.map(lambda _: viewed(f"{address}/figures"), range(VIEWERS)))
        # Figures may be ten seconds old, so a slow machine asks more often.
        rounds = 1 + int((time.monotonic() - started) // 10)
    assert {page.status_code for page in pages} == {200}
    # The account and two metrics, by each of the four workers.
    assert sandbox.counters.requests - before.requests <= 3 * 4 * rounds
    assert sandbox.counters.refusals == before.refusals


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_key_that_is_refused_is_502(program: str, tmp_path: Path) -> None:
    with (
        Sandbox().serve() as url,
        example(program, settings(url, tmp_path, "a-secret-key"), workers=1) as address,
        browser(address) as web,
    ):
        refused = web.get("/figures")
    assert refused.status_code == 502
    assert refused.json() == {"error": "ChartMogul responded with an error (401)"}
