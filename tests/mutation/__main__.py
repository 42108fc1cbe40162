"""Mutate modules one after the other; the exit code is 1 if the survivors are not those that are listed.

``python -m tests.mutation transport/limits`` mutates one module; without a name, all of them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from tests.mutation.modules import TESTS
from tests.mutation.mutants import Mutant, mutants_of

SURVIVORS = Path(__file__).with_name("survivors.toml")

console = Console(highlight=False, soft_wrap=True, markup=False)


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    arguments.add_argument("modules", nargs="*", metavar="module", help=f"one of {', '.join(TESTS)}")
    arguments.add_argument("--children", type=int, default=os.cpu_count() or 1, help="mutants tested at a time")
    options = arguments.parse_args()
    if unknown := set(options.modules) - set(TESTS):
        arguments.error(f"not known: {', '.join(sorted(unknown))}")
    # Every module is looked at, also after one that fails.
    return max([mutate(module, options.children) for module in options.modules or TESTS])


def mutate(module: str, children: int) -> int:
    """Mutate one module, and compare what survives with the list."""
    with tempfile.TemporaryDirectory() as folder:
        tested, survivors = mutants_of(module, TESTS[module], Path(folder), children)
    listed = listed_survivors(module)
    new, gone = Counter(survivors) - listed, listed - Counter(survivors)
    console.print(f"{module}: {tested} mutants, {len(survivors)} survive, {new.total()} of them are not listed")
    for mutant in new:
        console.print(f"\n- {mutant.was}\n+ {mutant.becomes}")
    for mutant in gone:
        console.print(f"\nlisted, but killed or not made any more:\n- {mutant.was}\n+ {mutant.becomes}")
    return 1 if new or gone else 0


def listed_survivors(module: str) -> Counter[Mutant]:
    """The survivors of a module that have an argument."""
    groups: Iterable[dict[str, str]] = tomllib.loads(SURVIVORS.read_text(encoding="utf-8")).get(module, [])
    return Counter(Mutant(group["was"], becomes) for group in groups for becomes in group["becomes"])


if __name__ == "__main__":
    sys.exit(main())
