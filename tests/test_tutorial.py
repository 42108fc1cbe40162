"""The tutorial: its programs and commands print what stands below them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from chartmogul_async.cli import main
from tests.test_readme import ROOT, run
from tests.test_readme import sandbox as sandbox

PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
# The kind of each block, its text, and what is printed, if a block of text follows.
BLOCKS: list[tuple[str, str, str]] = re.findall(
    r"^```(python|sh)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", PAGE, re.DOTALL | re.MULTILINE
)
PROGRAMS = [(program, printed) for kind, program, printed in BLOCKS if kind == "python"]
COMMANDS = [(commands, printed) for kind, commands, printed in BLOCKS if kind == "sh"]
# Elsewhere tested, and these do not end, or take long.
NOT_RUN = ("chartmogul demo", "chartmogul sandbox --port 8000")


@pytest.mark.parametrize(("program", "printed"), PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_program_prints_what_is_below_it(
    program: str, printed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "polars" in program:
        pytest.importorskip("polars")
    monkeypatch.setenv("POLARS_TABLE_WIDTH", "100")
    run(compile(program, "tutorial.md", "exec"))
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(("commands", "printed"), COMMANDS, ids=range(len(COMMANDS)))
def test_a_command_prints_what_is_below_it(
    commands: str, printed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    ours = [line for line in commands.splitlines() if line.startswith("chartmogul") and line not in NOT_RUN]
    for line in ours:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(line)[1:])
        assert ended.value.code == 0
    assert capsys.readouterr().out.replace("\r\n", "\n") == printed
    assert [path.name for path in tmp_path.iterdir()] == [line.split()[-1] for line in ours if "--out" in line]


def test_every_block_is_tested() -> None:
    assert (len(PROGRAMS), len(COMMANDS)) == (6, 5)
    assert len(re.findall("^```", PAGE, re.MULTILINE)) == 2 * (
        len(BLOCKS) + sum(bool(printed) for *_, printed in BLOCKS)
    )
    assert set(NOT_RUN) <= set(PAGE.splitlines())
