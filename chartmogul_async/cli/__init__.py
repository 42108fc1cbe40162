"""The command line ``chartmogul``: metrics in a terminal and in scripts, a local sandbox, and a demonstration."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import NoReturn

_REQUIRED = ("click", "rich", "uvicorn")


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        args: The arguments; by default those of the process.
    """
    missing = [name for name in _REQUIRED if find_spec(name) is None]
    if missing:
        # Without stderr the exit code is all that can be reported.
        with suppress(AttributeError, OSError):
            sys.stderr.write(
                f"error: {', '.join(missing)} not found; the command line requires an extra, "
                "run: pip install 'chartmogul-async[cli]'\n"
            )
        sys.exit(2)
    try:
        sys.exit(_run(args))
    except KeyboardInterrupt:
        # During an import, or while a command cleans up.
        sys.exit(130)


def _run(args: Sequence[str] | None) -> int:
    # These imports fail without the extra, so they come after the check.
    from chartmogul_async.cli.commands import program
    from chartmogul_async.cli.failures import OUTPUT, print_error, run

    # Python has no stdout if its descriptor was closed, and a socket might get that descriptor.
    if sys.stdout is None:
        print_error("cannot write to stdout: it is closed")
        return OUTPUT
    if sys.stderr is None:
        # Nor has it stderr then. This takes the descriptor, too, if stdin has its own.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open as long as the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout is sys.__stdout__ and isinstance(sys.stdout.buffer, io.RawIOBase):
            # With PYTHONUNBUFFERED a write that a full disk cuts short would be lost without an error.
            sys.stdout = io.TextIOWrapper(io.BufferedWriter(sys.stdout.buffer), sys.stdout.encoding, write_through=True)
        # The encoding of a terminal may lack characters of a customer's name; they are escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
        if sys.platform == "win32" and not sys.stdout.isatty() and "PYTHONIOENCODING" not in os.environ:
            # Files and pipes get the same bytes as elsewhere.
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    return run(program, args)
