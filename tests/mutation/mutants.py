"""The mutants of a module, by mutmut; it writes one module with all its mutants, and forks a process to test each."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = "chartmogul_async"
# What some test reads, beside the package and the tests.
OTHERS = ("benchmarks", "docs", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "noxfile.py")
# These ask mutmut for one mutated file, tested by some files of tests.
SETTINGS = """\
[mutmut]
source_paths={package}
only_mutate={package}/{module}.py
also_copy={others}
pytest_add_cli_args_test_selection={tests}
pytest_add_cli_args=
    -p
    tests.mutation.uncached
timeout_multiplier=5
timeout_constant=10
"""


class Mutant(NamedTuple):
    """One change: the lines that were there, and those that took their place."""

    was: str
    becomes: str


class Mutants(NamedTuple):
    """What became of the mutants of a module."""

    tested: int
    survivors: list[Mutant]


def mutants_of(module: str, tests: Sequence[str], folder: Path, children: int) -> Mutants:
    """Mutate one module of the package in a copy of the project, and run the tests against each mutant.

    Raises:
        RuntimeError: The tests do not pass without a mutation, or mutmut failed.
    """
    _copy_project(folder)
    paths = [file_of(name).as_posix() for name in tests]
    settings = SETTINGS.format(package=PACKAGE, module=module, others=_lines(OTHERS), tests=_lines(paths))
    (folder / "setup.cfg").write_text(settings, encoding="utf-8")
    log = _mutmut(folder, "run", "--max-children", str(children))
    statuses = dict(re.findall(r"^ +(\S+): (.+)$", _mutmut(folder, "results", "--all", "true"), re.MULTILINE))
    if not statuses or "not checked" in statuses.values():
        raise RuntimeError(f"mutmut stopped:\n{log[-2000:]}")
    survivors = [_shown(folder, name) for name, status in statuses.items() if status in ("survived", "no tests")]
    return Mutants(len(statuses), survivors)


def file_of(test: str) -> Path:
    """The file of tests that is called so in ``TESTS``, below the root of the project."""
    path = Path("tests", test)
    return path.with_name(f"test_{path.name}.py")


def _copy_project(folder: Path) -> None:
    # The settings of mutmut would come from this file if it had any.
    for name in ("pyproject.toml", PACKAGE, "tests", *OTHERS):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)


def _lines(names: Sequence[str]) -> str:
    return "".join(f"\n    {name}" for name in names)


def _mutmut(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    # A run that ends with survivors is no failure.
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def _shown(folder: Path, name: str) -> Mutant:
    lines = _mutmut(folder, "show", name).splitlines()
    return Mutant(" ".join(_marked(lines, "-")), " ".join(_marked(lines, "+")))


def _marked(diff: Sequence[str], sign: str) -> Iterator[str]:
    for line in diff:
        if line.startswith(sign) and not line.startswith(3 * sign):
            yield line[1:].strip()
