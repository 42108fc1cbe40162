"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import click

from chartmogul_async.cli.failures import OUTPUT, CommandError


def check_folder(path: Path, option: str) -> None:
    """Check that a file could be written, before anything is fetched for it.

    Args:
        path: The file.
        option: The option that names it.

    Raises:
        BadParameter: There is no such folder.
    """
    if not path.parent.is_dir():
        raise click.BadParameter(f"must be in a folder that exists, not {str(path.parent)!r}", param_hint=option)


def replace(path: Path, text: str) -> None:
    """Write a file beside its place, and then put it there, so that nobody sees half of it.

    Args:
        path: The file; one that exists is replaced, and keeps its mode. A link stays one.
        text: Its content.

    Raises:
        CommandError: It cannot be written. What was there before is there still.
    """
    place = path.resolve()
    aside = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        with aside.open("x", encoding="utf-8") as file:
            if place.exists():
                aside.chmod(place.stat().st_mode & 0o777)
            file.write(text)
        aside.replace(place)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise CommandError(f"cannot write to {path}: {error.strerror}", OUTPUT) from None
