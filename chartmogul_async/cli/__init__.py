"""The command line ``chartmogul``: ChartMogul's metrics in a terminal, in scripts, and a demonstration."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NoReturn

_NEEDED = ("click", "rich", "uvicorn")


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; ``args`` are those of the process unless given."""
    if any(find_spec(name) is None for name in _NEEDED):
        sys.stderr.write("error: the command line needs its extra; pip install 'chartmogul-async[cli]' brings it\n")
        sys.exit(2)
    # Only now: without the extra this import fails.
    from chartmogul_async.cli.commands import program
    from chartmogul_async.cli.failures import run

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A customer's name that the terminal's encoding cannot write is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(program, args))
