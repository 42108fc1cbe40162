from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from attrs import evolve

from chartmogul_async import Throttle
from chartmogul_async.cli import demo, terminal
from chartmogul_async.cli.demo import Fetched, demonstrate
from chartmogul_async.sandbox import Company, Counters, Limits, Sandbox
from tests.cli.conftest import Run, plain

ESCAPE = "\x1b"
STATISTICS = re.compile(
    r"^241 requests in [0-9.]+ s, [0-9.]+ requests a second, refusals (\d+), peak parallel (\d+)$", re.MULTILINE
)


def small() -> Sandbox:
    return Sandbox(Company(customers=20, today=date(2024, 2, 29)), limits=Limits(per_second=None), latency=0.01)


def quick() -> Throttle:
    """Limits that these tests never have to wait for."""
    return Throttle(per_second=100_000)


@pytest.fixture(scope="module")
def fetched() -> tuple[Fetched, Counters]:
    """The records of one demonstration, intercepted before they are printed."""
    intercepted: list[tuple[Fetched, Counters]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "_show", lambda _, fetched, __, counters: intercepted.append((fetched, counters)))
        demonstrate(small(), quick())
    return intercepted[0]


def test_what_the_demonstration_fetches(fetched: tuple[Fetched, Counters]) -> None:
    records, counters = fetched
    assert {len(series) for series in records.months.values()} == {24}
    assert len(records.months) == 9
    assert (records.days[0].date, records.days[-1].date) == (date(2022, 3, 1), date(2024, 2, 29))
    assert counters.requests == 241
    assert 1 < counters.peak_parallel <= 20


def test_output_without_a_terminal(fetched: tuple[Fetched, Counters], capsys: pytest.CaptureFixture[str]) -> None:
    demo._show(terminal.stdout(), fetched[0], "http://x", fetched[1])
    out, err = capsys.readouterr()
    assert err == ""
    assert ESCAPE not in out
    assert max(map(len, out.splitlines())) <= 80
    statistics = STATISTICS.search(out)
    assert statistics is not None
    assert (statistics[1], statistics[2]) == ("0", str(fetched[1].peak_parallel))
    assert len(re.findall(r"^20\d\d-\d\d-\d\d +[\d,.]+ ", out, re.MULTILINE)) == 24
    assert "█" in out
    for figure in ("MRR", "ARR", "ARPA", "ASP", "LTV", "Customers", "Customer churn", "Net MRR churn"):
        assert re.search(rf"^{figure} ", out, re.MULTILINE)
    assert "731 days: best " in out
    assert "24 of 24 months end on the same MRR" in out


def test_colours_on_a_terminal(fetched: tuple[Fetched, Counters], in_terminal: Run) -> None:
    ran = in_terminal(call=lambda: demo._show(terminal.stdout(), fetched[0], "http://x", fetched[1]))
    assert f"{ESCAPE}[1;36m" in ran.out
    assert STATISTICS.search(plain(ran.out))


def test_progress_is_for_terminals_only(in_terminal: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def progress() -> None:
        with demo._progress() as advance:
            advance("two years of days")

    assert "1/241" in in_terminal(call=progress).err
    assert "two years of days" in in_terminal(call=progress).err
    progress()
    assert capsys.readouterr() == ("", "")


def test_the_command_takes_the_real_limits(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Sandbox] = []
    monkeypatch.setattr(demo, "demonstrate", given.append)
    assert run("demo").code == 0
    assert given[0].limits == Limits()
    assert given[0].latency > 0


def test_the_command_also_writes_a_page(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "demonstrate", lambda served: None)
    monkeypatch.setattr("chartmogul_async.sandbox.Sandbox", lambda **_: small())
    path = tmp_path / "demo.html"
    ran = run("demo", "--report", str(path))
    assert (ran.code, ran.out, ran.err) == (0, "", f"wrote {path}\n")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run("demo", "--report", str(tmp_path / "none" / "demo.html")).code == 2


@pytest.mark.parametrize(("columns", "least"), [(60, 70), (80, 70), (120, 100)])
def test_the_output_fills_the_terminal_but_not_more(
    fetched: tuple[Fetched, Counters], in_terminal: Run, columns: int, least: int
) -> None:
    ran = in_terminal(call=lambda: demo._show(terminal.stdout(), fetched[0], "http://x", fetched[1]), columns=columns)
    shown = plain(ran.out)
    assert ESCAPE not in shown
    assert least < max(map(len, shown.splitlines())) <= max(columns, 80)


def test_an_encoding_without_blocks(fetched: tuple[Fetched, Counters], in_terminal: Run) -> None:
    ran = in_terminal(call=lambda: demo._show(terminal.stdout(), fetched[0], "http://x", fetched[1]), encoding="ascii")
    assert "## ##" in ran.out
    assert ran.out.isascii()


def test_refusals_are_shown_in_red(fetched: tuple[Fetched, Counters], in_terminal: Run) -> None:
    refused = evolve(fetched[1], refused_429=3, refused_503=4)
    ran = in_terminal(call=lambda: demo._show(terminal.stdout(), fetched[0], "http://x", refused))
    statistics = STATISTICS.search(plain(ran.out))
    assert statistics is not None
    assert statistics[1] == "7"
    assert f"{ESCAPE}[1;31m241 requests" in ran.out
