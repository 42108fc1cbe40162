"""Prints the table of faults with what came of each, as Markdown: ``python -m tests.faults``."""

from __future__ import annotations

import re
import sys

import anyio

from tests.faults.checks import Fault, survive
from tests.faults.table import TABLE, TAKE_A_SECOND, TOO_LARGE

_PORT = re.compile(r"(127\.0\.0\.1):\d+")
_WIDTH = 150


def row(fault: Fault) -> str:
    outcome = anyio.run(survive, fault)
    text = _PORT.sub(r"\1", str(outcome)).replace("|", "\\|")
    return f"| {fault.name} | {text if len(text) <= _WIDTH else f'{text[:_WIDTH]}…'} | {outcome.attempts} |"


def main() -> None:
    rows = [row(fault) for fault in (*TABLE, *TOO_LARGE, *TAKE_A_SECOND)]
    sys.stdout.write("\n".join(("| fault | outcome | attempts |", "|---|---|---|", *rows, "")))


if __name__ == "__main__":
    main()
