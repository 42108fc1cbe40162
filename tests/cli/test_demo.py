from __future__ import annotations

import re
from datetime import date

import pytest
from attrs import evolve

from chartmogul_async import Throttle
from chartmogul_async.cli import demo, terminal
from chartmogul_async.cli.demo import Pulled, demonstrate
from chartmogul_async.sandbox import Company, Counters, Limits, Sandbox
from tests.cli.conftest import Run, plain

ESCAPE = "\x1b"
TRUTH = re.compile(
    r"^241 requests in [0-9.]+ s, [0-9.]+ requests a second, refusals (\d+), peak parallel (\d+)$", re.MULTILINE
)


def small() -> Sandbox:
    return Sandbox(Company(customers=20, today=date(2024, 2, 29)), limits=Limits(per_second=None), latency=0.01)


def quick() -> Throttle:
    """The demonstration waits for the limits; these tests do not."""
    return Throttle(per_second=100_000)


@pytest.fixture(scope="module")
def pulled() -> tuple[Pulled, Counters]:
    """What one demonstration has to show, caught before it is shown."""
    caught: list[tuple[Pulled, Counters]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "_show", lambda _, pulled, __, counters: caught.append((pulled, counters)))
        demonstrate(small(), quick())
    return caught[0]


def test_what_is_pulled(pulled: tuple[Pulled, Counters]) -> None:
    came, counters = pulled
    assert {len(series) for series in came.months.values()} == {24}
    assert len(came.months) == 9
    assert (came.days[0].date, came.days[-1].date) == (date(2022, 3, 1), date(2024, 2, 29))
    assert counters.requests == 241
    assert 1 < counters.peak_parallel <= 20


def test_what_is_shown_without_a_terminal(pulled: tuple[Pulled, Counters], capsys: pytest.CaptureFixture[str]) -> None:
    demo._show(terminal.stdout(), pulled[0], "http://x", pulled[1])
    out, err = capsys.readouterr()
    assert err == ""
    assert ESCAPE not in out
    assert max(map(len, out.splitlines())) <= 80
    truth = TRUTH.search(out)
    assert truth is not None
    assert (truth[1], truth[2]) == ("0", str(pulled[1].peak_parallel))
    assert len(re.findall(r"^20\d\d-\d\d-\d\d +[\d,.]+ ", out, re.MULTILINE)) == 24
    assert "█" in out
    for figure in ("MRR", "ARR", "ARPA", "ASP", "LTV", "Customers", "Customer churn", "Net MRR churn"):
        assert re.search(rf"^{figure} ", out, re.MULTILINE)
    assert "731 days: best " in out
    assert "24 of 24 months end on the same MRR" in out


def test_colours_on_a_terminal(pulled: tuple[Pulled, Counters], in_terminal: Run) -> None:
    ran = in_terminal(call=lambda: demo._show(terminal.stdout(), pulled[0], "http://x", pulled[1]))
    assert f"{ESCAPE}[1;36m" in ran.out
    assert TRUTH.search(plain(ran.out))


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


@pytest.mark.parametrize(("columns", "least"), [(60, 70), (80, 70), (120, 100)])
def test_it_fills_the_terminal_and_not_more(
    pulled: tuple[Pulled, Counters], in_terminal: Run, columns: int, least: int
) -> None:
    ran = in_terminal(call=lambda: demo._show(terminal.stdout(), pulled[0], "http://x", pulled[1]), columns=columns)
    shown = plain(ran.out)
    assert ESCAPE not in shown
    assert least < max(map(len, shown.splitlines())) <= max(columns, 80)


def test_where_the_encoding_has_no_blocks(pulled: tuple[Pulled, Counters], in_terminal: Run) -> None:
    ran = in_terminal(call=lambda: demo._show(terminal.stdout(), pulled[0], "http://x", pulled[1]), encoding="ascii")
    assert "## ##" in ran.out
    assert ran.out.isascii()


def test_refusals_are_told_as_they_are(pulled: tuple[Pulled, Counters], in_terminal: Run) -> None:
    refused = evolve(pulled[1], refused_429=3, refused_503=4)
    ran = in_terminal(call=lambda: demo._show(terminal.stdout(), pulled[0], "http://x", refused))
    truth = TRUTH.search(plain(ran.out))
    assert truth is not None
    assert truth[1] == "7"
    assert f"{ESCAPE}[1;31m241 requests" in ran.out
