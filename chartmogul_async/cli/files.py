"""Files that options name: checked before anything is fetched for them, and written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import click

from chartmogul_async.cli.failures import OUTPUT, CommandError
from chartmogul_async.errors import ArgumentError
from chartmogul_async.files import replacing


def check_place(path: Path, option: str) -> None:
    """Check that a file could be written, before anything is fetched for it.

    Args:
        path: The file.
        option: The option that names it.

    Raises:
        UsageError: There is no such folder, or what is there is a folder or a device.
    """
    try:
        replacing.check_place(option, path)
    except ArgumentError as error:
        raise click.UsageError(str(error), click.get_current_context(silent=True)) from None


def replace(path: Path, content: bytes) -> None:
    """Write a file beside its place, and then put it there.

    Args:
        path: The file; one that exists is replaced.
        content: What is in it.

    Raises:
        CommandError: It cannot be written. What was there before is there still.
    """
    try:
        replacing.replace(path, content)
    except OSError as error:
        raise CommandError(f"cannot write to {path}: {error.strerror}", OUTPUT) from None
