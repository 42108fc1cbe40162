"""Prints the table of faults and their outcomes as Markdown: ``python -m tests.faults``.

``--loop trio`` or ``--loop uvloop`` runs them on another event loop, ``--connections direct`` over the connections of
the extra ``fast``.
"""

from __future__ import annotations

import argparse
import re
import sys
from functools import partial

import anyio

from tests.faults.checks import Fault, check_fault
from tests.faults.kinds import KINDS, connections_of
from tests.faults.loops import LOOPS
from tests.faults.table import TABLE, TAKE_A_SECOND, TOO_LARGE

_PORT = re.compile(r"(127\.0\.0\.1)(?::\d+|(')?, \d+)")
_WIDTH = 150


def row(fault: Fault, loop: str) -> str:
    backend, options = LOOPS[loop]
    outcome = anyio.run(partial(check_fault, fault), backend=backend, backend_options=options)
    text = _PORT.sub(r"\1\2", str(outcome)).replace("|", "\\|")
    return f"| {fault.name} | {text if len(text) <= _WIDTH else f'{text[:_WIDTH]}…'} | {outcome.attempts} |"


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    arguments.add_argument("--loop", choices=LOOPS, default="asyncio")
    arguments.add_argument("--connections", choices=KINDS, default="httpx")
    options = arguments.parse_args()
    with connections_of(options.connections):
        rows = [row(fault, options.loop) for fault in (*TABLE, *TOO_LARGE, *TAKE_A_SECOND)]
    sys.stdout.write("\n".join(("| fault | outcome | attempts |", "|---|---|---|", *rows, "")))


if __name__ == "__main__":
    main()
