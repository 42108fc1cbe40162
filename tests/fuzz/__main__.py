"""Fuzz every target in turn, guided by coverage; the exit code is 1 if there are findings.

A finding is a file in ``findings/<target>/``. Commit it together with its fix: ``test_findings.py`` replays it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from rich.console import Console

from tests.fuzz.corpus import FINDINGS
from tests.fuzz.targets import TARGETS

# The share of the time that each target gets.
SHARES = {"structuring": 0.7, "error-bodies": 0.2, "retry-after": 0.1}

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    arguments.add_argument("--seconds", type=int, default=600, help="for all targets together")
    options = arguments.parse_args()
    found = [target for target in TARGETS if has_findings(target, max(1, round(options.seconds * SHARES[target])))]
    console.print(f"findings in {', '.join(found)}: see {FINDINGS}" if found else "no findings")
    return 1 if found else 0


def has_findings(target: str, seconds: int) -> bool:
    """Fuzz one target in a process of its own, since the fuzzer ends its process."""
    console.print(f"--- {target}: {seconds} s")
    command = [sys.executable, "-m", "tests.fuzz.guided", target, str(seconds)]
    return subprocess.run(command, check=False).returncode != 0


if __name__ == "__main__":
    sys.exit(main())
