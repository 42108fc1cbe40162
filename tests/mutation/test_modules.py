"""What a mutation run is told exists, since it is run seldom."""

from __future__ import annotations

import tomllib
from pathlib import Path

import chartmogul_async
from tests.mutation.__main__ import SURVIVORS
from tests.mutation.modules import TESTS
from tests.mutation.mutants import ROOT


def test_every_module_below_the_client_can_be_mutated() -> None:
    folders = ("metrics", "structuring", "transport")
    modules = {
        f"{folder}/{path.stem}"
        for folder in folders
        for path in (Path(chartmogul_async.__file__).parent / folder).glob("[!_]*.py")
    }
    assert set(TESTS) == modules


def test_the_tests_that_decide_exist() -> None:
    names = {name for names in TESTS.values() for name in names}
    assert not [name for name in names if not (ROOT / "tests" / f"test_{name}.py").is_file()]


def test_every_survivor_has_an_argument() -> None:
    listed = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))
    assert set(listed) <= set(TESTS)
    assert all(group.keys() == {"was", "becomes", "why"} and group["why"] for each in listed.values() for group in each)
