"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path

from chartmogul_async.checks import shown
from chartmogul_async.errors import ArgumentError


def check_place(name: str, path: Path) -> None:
    """Check that a file could be put somewhere, which can be done before anything is fetched for it.

    Args:
        name: The argument, as the caller wrote it.
        path: The file; it need not exist.

    Raises:
        ArgumentError: There is no such folder, or what is there is a folder or a device; or, on Windows, in use.
    """
    try:
        _check_links(path)
        place = path.resolve()
        is_other = path.exists() and not path.is_file()
    # A zero byte is a ValueError.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArgumentError(f"{name} must be a path that can exist, not {shown(str(path))}: {reason}") from None
    if is_other:
        raise ArgumentError(f"{name} must be that of a file, not of a folder or device, as {str(path)!r} is")
    if not place.parent.is_dir():
        # That of a link is where the link points to.
        folder = place.parent if path.is_symlink() else path.parent
        raise ArgumentError(f"{name} must be in a folder that exists, not {str(folder)!r}")
    if sys.platform == "win32" and place.exists():
        _check_replaceable(name, place)


def _check_replaceable(name: str, place: Path) -> None:
    """Windows replaces no file that is read-only, or that another program has open, such as a spreadsheet."""
    try:
        place.open("r+b").close()
    except OSError as error:
        reason = error.strerror
        raise ArgumentError(f"{name} must be a file that can be replaced, not {str(place)!r}: {reason}") from None


def _check_links(path: Path) -> None:
    # Since Python 3.13 nothing else notices that links are a loop, and before it is a RuntimeError.
    with suppress(FileNotFoundError):
        path.stat()


def replace(path: Path, content: bytes) -> None:
    """Write a file beside its place, and then put it there, so that nobody sees half of it.

    A process that is killed meanwhile leaves a hidden file beside it, ``.name.`` and some digits.

    Args:
        path: The file; one that exists is replaced, and keeps its mode. A link stays one.
        content: What is in it.

    Raises:
        OSError: It cannot be written. What was there before is there still.
    """
    place = path.resolve()
    # Process ids repeat, in containers always: what one left that was killed must not stop the next.
    # A name has at most 255 bytes, and a character up to four.
    aside = place.with_name(f".{place.name[:60]}.{secrets.token_hex(4)}")
    try:
        with aside.open("xb") as file:
            if place.exists() and sys.platform != "win32":
                aside.chmod(place.stat().st_mode & 0o777)
            file.write(content)
            file.flush()
            # Otherwise the name could reach the disk before the content, and a power cut leave an empty file.
            os.fsync(file.fileno())
        aside.replace(place)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise
