"""The commands and programs of docs/warehouse.md run, and print what the page shows."""

from __future__ import annotations

import re
import shlex
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from chartmogul_async import client
from chartmogul_async.cli import main
from chartmogul_async.sandbox import Company, Limits, Sandbox
from chartmogul_async.transport.connections import Borrowed

pytest.importorskip("dlt", reason="the group `warehouse` is not installed: `nox -s warehouse` has it")

PAGE = (Path(__file__).parent.parent.parent / "docs" / "warehouse.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A company for each client that the page makes."""
    sandbox = Sandbox(Company(today=date(2026, 1, 31)), limits=Limits(per_second=None))
    monkeypatch.setattr(client, "connections_to", lambda _: Borrowed(sandbox.transport()))
    monkeypatch.setattr("chartmogul_async.resources.account.today_in", lambda _: sandbox.company.today)
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "sandbox")
    return sandbox


@pytest.mark.timeout(300)
def test_the_commands_of_the_page(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    first, again, *_ = blocks("text")
    _, command = blocks("sh")[0].splitlines()

    def output() -> str:
        with pytest.raises(SystemExit, match="0"):
            main(shlex.split(command)[1:])
        return capsys.readouterr().out

    assert output() == first
    # The first program loads days into the same file.
    exec(blocks("python")[0].replace("2025-01-01", "2026-01-01"), {})
    capsys.readouterr()
    sandbox.company.add_customer(on=date(2025, 12, 5), plan="Silver Monthly", mrr=9900)
    assert again in output()


@pytest.mark.timeout(300)
def test_the_programs_of_the_page(sandbox: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    load, look, fail, files, own = blocks("python")
    _, _, shown, error = blocks("text")
    # A year of days takes seconds, and the month is enough for what the page shows.
    names: dict[str, Any] = {}
    exec(load.replace("2025-01-01", "2026-01-01"), names)
    capsys.readouterr()
    exec(look, names)
    assert capsys.readouterr().out == shown
    exec(fail, names)
    assert capsys.readouterr().out == error
    exec(files, names)
    assert list(tmp_path.glob("warehouse/chartmogul/mrr_by_country/*.parquet"))
    exec(own, names)
    assert names["pipeline"].last_trace.last_normalize_info.row_counts["customer_count"] == 13
