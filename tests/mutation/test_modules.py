"""What a mutation run is told exists, since it is run seldom."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import chartmogul_async
from tests.mutation.__main__ import SURVIVORS
from tests.mutation.modules import NOT_MUTATED, TESTS
from tests.mutation.mutants import ROOT, file_of


def has_code(path: Path) -> bool:
    """Whether a module has a function with more than a docstring or an ellipsis."""
    functions = (
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    return any(not isinstance(node, ast.Expr) for function in functions for node in function.body)


def test_every_module_with_code_is_mutated() -> None:
    folders = ("analysis", "blocking", "files", "integrations", "metrics", "structuring", "transport")
    modules = {
        f"{folder}/{path.stem}"
        for folder in folders
        for path in (Path(chartmogul_async.__file__).parent / folder).glob("[!_]*.py")
        if has_code(path)
    }
    assert set(TESTS) == modules - NOT_MUTATED


def test_the_tests_that_decide_exist() -> None:
    names = {name for names in TESTS.values() for name in names}
    assert not [name for name in names if not (ROOT / file_of(name)).is_file()]


def test_every_survivor_has_an_argument() -> None:
    listed = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))
    assert set(listed) <= set(TESTS)
    assert all(group.keys() == {"was", "becomes", "why"} and group["why"] for each in listed.values() for group in each)
