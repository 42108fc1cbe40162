"""The README's code runs, and prints what the README says. Its innermost transport is a sandbox."""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
import warnings
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import anyio
import pytest

from chartmogul_async import Account, MetricQuery, MRREntry, Pause, Series, analysis, client
from chartmogul_async.cli import main
from chartmogul_async.errors import ArgumentError, RateLimitError
from chartmogul_async.sandbox import Company, Limits, Sandbox
from chartmogul_async.transport.connections import Borrowed

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python[a-z ]*)\n(.*?)```", README, re.DOTALL)

OUTPUTS = re.findall(r"```text\n(.*?)```", README, re.DOTALL)


def block_with(text: str) -> CodeType:
    (block,) = [block for block in BLOCKS if text in block[1]]
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if "notebook" in block[0] else 0
    code: CodeType = compile(block[1], "README.md", "exec", flags=flags)
    return code


@pytest.fixture(autouse=True)
def sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client without a transport of its own talks to this sandbox."""
    sandbox = Sandbox(Company(today=date(2026, 1, 31)), api_key="sandbox", limits=Limits(per_second=None))
    monkeypatch.setattr(client, "connections_to", lambda _: Borrowed(sandbox.transport()))
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "sandbox")
    monkeypatch.setattr(Account, "today", lambda _: sandbox.company.today)


def run(code: CodeType) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_the_first_example_prints_what_the_readme_shows(capsys: pytest.CaptureFixture[str]) -> None:
    run(block_with("% lost"))
    assert capsys.readouterr().out == OUTPUTS[0]


def test_the_error_reads_as_the_readme_shows() -> None:
    url = "https://api.chartmogul.com/v1/metrics/mrr"
    error = RateLimitError(
        "Rate limit exceeded", 429, request_id="5f3c…", attempts=6, waited=61.2, method="GET", url=url
    )
    assert OUTPUTS[1] == f"{error}\n"


def test_the_web_app_answers() -> None:
    with warnings.catch_warnings():
        # It would rather use httpx2, which may be missing here.
        warnings.simplefilter("ignore")
        from starlette.testclient import TestClient
    with TestClient(run(block_with("FastAPI"))["app"]) as web:
        answer = web.get("/mrr").json()
    assert list(answer) == ["format", "entries", "summary", "query"]
    assert [entry["date"][:7] for entry in answer["entries"]] == [f"2025-{month:02}" for month in range(1, 13)]
    assert all(entry["mrr"] > 0 for entry in answer["entries"])
    assert answer["summary"]["current"] > 0


def test_a_series_is_written_as_json_as_the_readme_says() -> None:
    (expression,) = set(re.findall(r"`(json\.dumps\(series[^`]+)`", README))

    async def fetch() -> Series[Any, Any]:
        async with client.AsyncClient() as its:
            return await its.metrics.all("2025-01-01", "2025-12-31")

    series = anyio.run(fetch)
    written = json.loads(eval(expression, {"json": json, "series": series}))
    assert written["entries"][0]["date"] == "2025-01-31"
    assert written["query"]["interval"] == "month"
    assert Series.from_dict(written) == series


def test_the_batch_fetches_everything(capsys: pytest.CaptureFixture[str]) -> None:
    run(block_with("MetricQuery(metric"))
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 8
    assert all(line.endswith("731 days") for line in printed)


async def test_the_worker_fetches_a_query() -> None:
    worker, ctx = run(block_with("ctx")), dict[str, Any]()
    await worker["startup"](ctx)
    assert len(await worker["pull"](ctx, MetricQuery("mrr", "2025-01-01", "2025-12-31"))) == 12
    await worker["shutdown"](ctx)


def test_the_notebook_makes_rows() -> None:
    code, names = block_with("pandas.DataFrame"), dict[str, Any]()

    async def cell() -> None:
        result = eval(code, names)
        assert inspect.isawaitable(result)
        await result

    anyio.run(cell)
    assert [row["date"].month for row in names["rows"]] == list(range(1, 13))


async def test_the_test_of_the_user_passes() -> None:
    await run(block_with("test_my_report"))["test_my_report"]()


@pytest.mark.parametrize("page", ["limits.md", "sandbox.md", "typing.md"])
def test_the_code_of_the_other_pages_runs(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    run(compile(block, page, "exec"))


def test_one_of_many_accounts_fails_alone_as_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    program, for_each = blocks_of("accounts.md")
    names = run(compile(program, "accounts.md", "exec"))
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(blocks_of("accounts.md", "text")[0].splitlines())
    names |= run(compile(for_each, "accounts.md", "exec"))
    clients = names["AsyncClients"]()
    names["client_named"](clients, "Acme", "sandbox")._session.report(Pause(0.25))
    assert capsys.readouterr().out == "Acme is paused for 0.25 s\n"


def test_outcomes_are_streamed_from_a_web_handler() -> None:
    with warnings.catch_warnings():
        # It would rather use httpx2, which may be missing here.
        warnings.simplefilter("ignore")
        from starlette.testclient import TestClient
    text = (ROOT / "docs" / "streaming.md").read_text(encoding="utf-8")
    parts = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(parts) == 2
    names = run(compile("\n".join(parts), "streaming.md", "exec"))
    with TestClient(names["app"]) as web:
        ordered = web.get("/mrr-by-country")
        unordered = web.get("/mrr-by-country/unordered")
    assert ordered.headers["content-type"] == unordered.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in ordered.text.splitlines()]
    assert [line["geo"] for line in lines] == [[country] for country in names["COUNTRIES"]]
    assert all(line["mrr"] >= 0 for line in lines)
    assert sorted(unordered.text.splitlines()) == sorted(ordered.text.splitlines())


def blocks_of(page: str, kind: str = "python") -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("page", ["breakdown", "errors", "filters"])
def test_an_example_prints_what_its_page_shows(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = blocks_of(f"{page}.md", "text")
    run(compile(blocks_of(f"{page}.md")[0], page, "exec"))
    assert capsys.readouterr().out == shown


def test_breakdowns_are_as_the_page_says(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    small = Sandbox(Company(customers=100, today=date(2026, 1, 31)), limits=Limits(per_second=None))
    monkeypatch.setattr(client, "connections_to", lambda _: Borrowed(small.transport()))
    _, nightly, collect, part_by_part, lists = (compile(it, "page", "exec") for it in blocks_of("breakdown.md"))
    rows = run(nightly)["rows"]
    assert len(rows) == 4
    assert len(rows["mrr_by_plan"]) == 7 * 31
    assert len(rows["customer_count_by_country"]) == 14 * 31
    run(collect)
    assert capsys.readouterr().out.split("\r") == [f"{done} of 3" for done in range(4)] + [""]
    run(part_by_part)
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in printed] == [f"{done} of 13" for done in range(1, 14)]
    run(lists)
    assert capsys.readouterr().out.startswith("['Priority Support', 'Gold, Yearly'] True\n")


def test_files_are_written_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written, several = blocks_of("files.md")
    of_several, chart = blocks_of("files.md", "text")
    run(compile(written, "files.md", "exec"))
    header, row, *_ = (tmp_path / "mrr-by-plan.csv").read_text(encoding="utf-8").splitlines()
    assert header.startswith("segment,date,mrr,")
    assert row.startswith("Priority Support,2025-01-31,")
    assert len((tmp_path / "mrr.jsonl").read_text(encoding="utf-8").splitlines()) == 12
    run(compile(several, "files.md", "exec"))
    assert capsys.readouterr().out == of_several
    for name in ("FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit, match="0"):
        main(["metrics", "mrr", "--last", "12m", "--plot"])
    assert capsys.readouterr().out == chart


def test_results_are_stored_as_the_page_says() -> None:
    names = run(compile(blocks_of("results.md")[0], "results.md", "exec"))
    (text,) = blocks_of("results.md", "json")
    series, rows = Series.from_dict(json.loads(text)), dict[str, str]()
    assert series.to_dict() == json.loads(text)
    names["store"](series, rows)
    assert names["load"](series.query, rows) == series
    assert names["load"](series.query, {}) is None


def test_fastapi_returns_results_as_the_page_says() -> None:
    with warnings.catch_warnings():
        # It would rather use httpx2, which may be missing here.
        warnings.simplefilter("ignore")
        from starlette.testclient import TestClient
    query = MetricQuery("arr", "2025-01-01", "2025-12-31")
    with TestClient(run(compile(blocks_of("results.md")[1], "results.md", "exec"))["app"]) as web:
        series = Series.from_dict(web.get("/mrr").json())
        (outcome,) = web.post("/metrics", json=[query.to_dict()]).json()
    assert series.query == MetricQuery("mrr", "2025-01-01", "2025-12-31")
    assert [entry.date.month for entry in series] == list(range(1, 13))
    assert Series.from_dict(outcome["series"]).query == query


def test_litestar_returns_results_as_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from litestar.testing import TestClient

    # Litestar configures the logging of the whole process.
    monkeypatch.setattr("logging.config.dictConfig", lambda _: None)
    # It looks up annotations in the module.
    module = ModuleType("page_of_results")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(blocks_of("results.md")[2], "results.md", "exec"), vars(module))
    with TestClient(module.app) as web:
        series = Series.from_dict(web.get("/mrr").json())
    assert series.query == MetricQuery("mrr", "2025-01-01", "2025-12-31")
    assert [entry.date.month for entry in series] == list(range(1, 13))


def test_rates_are_printed_as_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = blocks_of("analysis.md")
    output, refusal = blocks_of("analysis.md", "text")
    run(compile(first, "analysis.md", "exec"))
    assert capsys.readouterr().out == output
    with pytest.raises(ArgumentError) as raised:
        analysis.total([MRREntry(date(2025, 1, 31), 7)], "mrr")
    assert refusal == f"{raised.value}\n"
    run(compile(second, "analysis.md", "exec"))
    *months, whole = capsys.readouterr().out.splitlines()
    assert len(months) == 12
    assert all(re.fullmatch(r"\S+ \d+ customers -\d+ \+\d+", line) for line in months)
    assert whole == "whole months only: True"


def test_both_clients_print_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """The program for the official client, and what it becomes."""
    (theirs,) = blocks_of("from-the-official-client.md", "python official")
    (ours,) = blocks_of("from-the-official-client.md", "python ours")
    config = 'chartmogul.Config("your-api-key")'
    assert config in theirs
    with Sandbox(Company(today=date(2026, 1, 31)), limits=Limits(per_second=None)).serve() as url:
        run(compile(theirs.replace(config, f'chartmogul.Config("sandbox"); config.uri = {url!r}'), "theirs", "exec"))
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 24
    run(compile(ours.replace("your-api-key", "sandbox"), "ours", "exec"))
    assert capsys.readouterr().out == printed


def test_spans_are_exported_as_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    both, _ = blocks_of("seeing.md")
    run(compile(both, "seeing.md", "exec"))
    assert capsys.readouterr().out == blocks_of("seeing.md", "text")[1]


def test_an_event_reaches_spans_and_a_function_of_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    async def ping() -> None:
        async with run(compile(blocks_of("seeing.md")[1], "seeing.md", "exec"))["client"] as its:
            await its.ping()

    anyio.run(ping)
    assert capsys.readouterr().out.startswith("GET /v1/ping attempt 1: 200 after ")


def test_a_program_writes_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(compile(blocks_of("report.md")[0], "report.md", "exec"))
    assert capsys.readouterr().out.endswith(" 12\n")
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def checked_programs() -> dict[str, str]:
    """Every block of the README and the code of each other page, each as a module of its own."""
    programs = {}
    for number, (kind, block) in enumerate(BLOCKS):
        lines = textwrap.indent(block, "    ")
        programs[f"readme_{number}"] = f"async def cell() -> None:\n{lines}" if "notebook" in kind else block
    (programs["ours"],) = blocks_of("from-the-official-client.md", "python ours")
    for page in ("analysis", "breakdown", "errors", "files", "filters", "report", "results", "seeing", "tutorial"):
        programs |= {f"{page}_{number}": block for number, block in enumerate(blocks_of(f"{page}.md"))}
    if find_spec("polars") is None:
        programs = {name: program for name, program in programs.items() if "import polars" not in program}
    for page in ("accounts", "limits", "sandbox", "streaming"):
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        programs[page] = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    if find_spec("dlt") and find_spec("duckdb"):
        programs["warehouse"] = "\n".join(blocks_of("warehouse.md"))
    if find_spec("taskiq_redis"):
        pulls, sender, task, many = blocks_of("workers.md")[:4]
        programs |= {"pulls": pulls, "workers_sender": sender, "workers_task": task}
        programs["workers_many"] = re.sub(r"def new_client.*?\n\n\n", lambda _: f"{many}\n\n", pulls, flags=re.DOTALL)
    for path in (ROOT / "docs" / "examples").glob("*.py"):
        programs[path.stem] = path.read_text(encoding="utf-8")
    return programs


@pytest.mark.skipif(find_spec("mypy") is None, reason="the group `typing` is not installed")
def test_the_code_of_all_pages_passes_mypy_strict(tmp_path: Path) -> None:
    from mypy import api

    for name, program in checked_programs().items():
        (tmp_path / f"{name}.py").write_text(program, encoding="utf-8")
    report, errors, status = api.run(["--strict", "--cache-dir", str(tmp_path / "cache"), str(tmp_path)])
    assert (status, errors) == (0, ""), report


def test_every_block_is_tested() -> None:
    assert len(BLOCKS) == 7
