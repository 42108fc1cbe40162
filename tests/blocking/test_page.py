"""The programs of docs/blocking.md and the README run as printed, against a sandbox."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest

from chartmogul_async import blocking, client
from chartmogul_async.sandbox import Company, Limits, Sandbox
from chartmogul_async.sandbox.server import serve_in_thread
from chartmogul_async.transport.connections import Borrowed
from tests.blocking.clients import ROOT
from tests.blocking.test_calls import threads_of_the_loop

PAGE = (ROOT / "docs" / "blocking.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def block_with(text: str) -> str:
    (block,) = [block for block in BLOCKS if text in block]
    return block


def program(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "program"}
    exec(compile(block_with(text), "blocking.md", "exec"), names)
    return names


def unlimited() -> Sandbox:
    return Sandbox(Company(today=date(2026, 1, 31)), api_key="sandbox", limits=Limits(per_second=None))


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A client without a transport of its own talks to a sandbox; none is left open."""
    sandbox = unlimited()
    monkeypatch.setattr(client, "connections_to", lambda _: Borrowed(sandbox.transport()))
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "sandbox")
    yield
    assert threads_of_the_loop() == []


def test_the_django_view_responds(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.conf import settings
    from django.test import Client as Browser

    names = program("django")
    urls = ModuleType("urls_of_the_page")
    vars(urls).update(names)
    monkeypatch.setitem(sys.modules, urls.__name__, urls)
    if not settings.configured:
        settings.configure(ROOT_URLCONF=urls.__name__, ALLOWED_HOSTS=["testserver"], SECRET_KEY="of a test")
    with names["client"]:
        browser: Any = Browser()
        everything = browser.get("/mrr").json()
        assert len(everything["months"]) == 12
        assert 0 < browser.get("/mrr", {"geo": ["US", "DE"]}).json()["mrr"] < everything["mrr"]
        refused = browser.get("/mrr", {"geo": "UK"})
        assert refused.status_code == 422
        assert "GB" in refused.json()["error"]


def test_the_flask_app_responds() -> None:
    names = program("flask")
    with names["client"]:
        assert names["app"].test_client().get("/mrr").json["mrr"] > 0


def test_the_script_fetches_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert program("import sys")["main"]() == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 6
    assert all(line.endswith("365 days") for line in printed)


def test_the_script_tells_cron_of_failures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "another")
    assert program("import sys")["main"]() == 1
    assert len(capsys.readouterr().err.splitlines()) == 6


def test_the_notebook_makes_rows_while_its_loop_runs() -> None:
    async def cell() -> None:
        names = program("to_dicts()")
        with names["client"]:
            assert [row["date"].month for row in names["rows"]("mrr", "2025-01-01", "2025-12-31")] == list(range(1, 13))

    anyio.run(cell)


def test_threads_find_customers() -> None:
    assert program("ThreadPoolExecutor")["found"].keys() == {"anna@example.com", "ben@example.com"}


def test_asyncio_run_remembers_by_its_throttle() -> None:
    names = program("asyncio.run")
    for _ in range(2):
        assert len(names["mrr"]("2025-01-01", "2025-12-31")) == 12
    assert names["throttle"].statistics().admitted == 2


def test_the_readme_prints_every_month(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(from chartmogul_async.blocking.*?)```", readme, re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 12


WORKER = """
import sys
from reports import app, client

broker, results = sys.argv[1:]
app.conf.broker_url = "filesystem://"
app.conf.broker_transport_options = {"data_folder_in": broker, "data_folder_out": broker}
app.conf.result_backend = f"file://{results}"
client.ping()  # so that what is forked is a client that was used
if __name__ == "__main__":
    app.worker_main(["worker", "--pool=prefork", "--concurrency=2", "--loglevel=ERROR", "--without-mingle"])
"""


@pytest.mark.sockets
@pytest.mark.skipif(sys.platform == "win32", reason="Celery cannot fork there")
def test_the_celery_task_runs_in_forked_workers(tmp_path: Path) -> None:
    (tmp_path / "reports.py").write_text(block_with("celery"), encoding="utf-8")
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    folders = [tmp_path / "broker", tmp_path / "results"]
    for folder in folders:
        folder.mkdir()
    send = """
from worker import app
from reports import mrr

tasks = [mrr.delay("2025-01-01", "2025-12-31", country) for country in ("US", "GB", "DE", "FR")]
print(*(len(task.get(timeout=60)) for task in tasks))
"""
    arguments = [str(folder) for folder in folders]
    with serve_in_thread(unlimited(), "127.0.0.1", 0) as url:
        environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "CHARTMOGUL_BASE_URL": url}
        worker = subprocess.Popen([sys.executable, "worker.py", *arguments], cwd=tmp_path, env=environment)
        try:
            sent = subprocess.run(
                [sys.executable, "-c", send, *arguments],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
        finally:
            worker.terminate()
            worker.wait(30)
    assert (sent.returncode, sent.stdout) == (0, "12 12 12 12\n"), sent.stderr


def test_a_loop_reads_every_page(capsys: pytest.CaptureFixture[str]) -> None:
    program("page.has_more")
    first, *pages = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"[1-9]\d* active customers", first)
    with blocking.Client() as its:
        whole = [customer.external_id for customer in its.customers.list()]
    counts = [int(page.partition(" ")[0]) for page in pages]
    assert counts == [100] * (len(whole) // 100) + [len(whole) % 100]
    assert pages[-1].endswith(f"customers, until {whole[-1]}")


def test_every_program_is_tested() -> None:
    assert len(BLOCKS) == 8
