"""Four type checkers on a user's program: ``right`` has no mistake, and each one in ``wrong`` is found."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
FILES = [str(FOLDER / "right.py"), str(FOLDER / "wrong.py")]
CHECKERS = {
    "mypy": ["mypy", "--no-error-summary", *FILES],
    "pyright": ["pyright", "--project", str(FOLDER)],
    "ty": ["ty", "check", "--output-format=concise", *FILES],
    "pyrefly": ["pyrefly", "check", "--preset=strict", "--output-format=min-text", *FILES],
}

Lines = dict[tuple[str, int], str]


def found_by(checker: str) -> Lines:
    """The line of each error, with the message."""
    done = subprocess.run(CHECKERS[checker], capture_output=True, text=True, check=False)
    places = re.finditer(r"^.*\b(right|wrong)\.py:(\d+).*$", done.stdout, re.MULTILINE)
    lines = {
        (place[1], int(place[2])): place[0] for place in places if re.search(r"\berror\b", place[0], re.IGNORECASE)
    }
    assert lines, f"{checker} did not run: {done.stdout}{done.stderr}"
    return lines


def marked() -> Lines:
    """The lines in which each checker must find an error."""
    lines = (FOLDER / "wrong.py").read_text("utf-8").splitlines()
    return {("wrong", number): line for number, line in enumerate(lines, 1) if line.endswith("  # wrong")}


def main() -> int:
    """Print what a checker found and should not have, and the other way round."""
    mistakes, wanted = 0, marked()
    for checker in CHECKERS:
        found = found_by(checker)
        for place in sorted(found.keys() ^ wanted.keys()):
            print(f"{checker}: not found: {wanted[place]}" if place in wanted else f"{checker}: {found[place]}")
            mistakes += 1
        print(f"{checker}: {len(wanted)} mistakes are marked, {len(found)} found")
    return min(mistakes, 1)


sys.exit(main())
