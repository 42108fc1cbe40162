"""Stdout that cannot be written to ends a command with one sentence at most, and an exit code of its own."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from chartmogul_async.cli.failures import OUTPUT, CommandError

# Whoever closes a pipe early, such as ``head``, has seen enough, and expects no message.
_SILENT = ""
_REASONS = {
    errno.EPIPE: _SILENT,
    errno.EBADF: "it is closed",
    errno.ENOSPC: "no space is left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is too large",
    errno.EIO: "input/output error",
}


class Program(click.Group):
    """A group of commands whose stdout may be closed or full.

    Click itself exits with the code of an internal error, or lets the error through.
    """

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Parse the arguments; the help and the version are written here."""
        with reported():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with reported():
            return super().invoke(ctx)


@contextmanager
def reported() -> Iterator[None]:
    """End the command if stdout cannot be written to: with one sentence, or silently if it is a pipe that was closed.

    Raises:
        CommandError: It is closed or full.
    """
    try:
        yield
    except KeyboardInterrupt:
        # Click would write an empty line to stderr first, which may be closed or full.
        raise click.Abort from None
    except OSError as error:
        reason = _reason(error)
        if reason is None:
            raise
        _discard_stdout()
        raise CommandError(f"cannot write to stdout: {reason}" if reason else _SILENT, OUTPUT) from None


def _reason(error: OSError) -> str | None:
    # Windows reports a pipe that was closed as an invalid argument.
    if sys.platform == "win32" and error.errno == errno.EINVAL:
        return _SILENT
    return _REASONS.get(error.errno or 0)


def _discard_stdout() -> None:
    """Redirect what is left in the buffer: the interpreter writes it at exit, where it would fail again."""
    with suppress(OSError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - it is not a path
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
