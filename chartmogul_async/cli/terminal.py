"""Output for terminals: colours, progress, and lines as wide as the terminal."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, TypeAlias

from rich.console import Console, RenderableType
from rich.measure import Measurement

from chartmogul_async import RetryPolicy
from chartmogul_async.cli.failures import print_note
from chartmogul_async.cli.text import one_line, visible
from chartmogul_async.events import Attempt, Event, OnEvent

if TYPE_CHECKING:
    from rich.progress import Progress

OnProgress: TypeAlias = Callable[[int, int], object]

# The columns of a table in a file, where none is too narrow for the figures.
_PAGE = 200


class _Data(Console):
    def on_broken_pipe(self) -> None:
        """Let the error through: rich itself exits with the code of an internal error."""
        raise BrokenPipeError(errno.EPIPE, "stdout was closed")


def write(text: str) -> None:
    """Write data to stdout: exactly, or on a terminal with everything visible that it would obey or hide.

    Args:
        text: The text. ``click.echo`` would leave out whatever looks like a colour.
    """
    sys.stdout.write(visible(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def stdout() -> Console:
    """Make a console for data, in which nothing is interpreted as markup."""
    return _Data(markup=False, emoji=False, highlight=False)


def page(file: TextIO) -> Console:
    """Make a console for data in a file, without colours."""
    return _Data(
        file=file, color_system=None, force_terminal=False, width=_PAGE, markup=False, emoji=False, highlight=False
    )


def stderr() -> Console:
    """Make a console for progress, notes and errors."""
    return Console(stderr=True, markup=False, emoji=False, highlight=False)


def stderr_is_interactive() -> bool:
    """Check whether a progress bar can move on stderr: a log with forced colours is not a terminal."""
    return sys.stderr.isatty() and stderr().is_interactive


def needed_width(console: Console, what: RenderableType) -> int:
    """Measure how many columns something takes without folding.

    Args:
        console: Where it would be printed.
        what: The table or text.
    """
    return Measurement.get(console, console.options.update(width=10_000), what).maximum


def show(console: Console, what: RenderableType) -> None:
    """Print something without cutting it off: a figure without its last digits would be another figure.

    Args:
        console: Where it is printed; it grows if necessary.
        what: The table or text.
    """
    console.width = max(console.width, needed_width(console, what))
    console.print(what)


@contextmanager
def status_of_requests() -> Iterator[OnEvent]:
    """Show on stderr how many requests are completed and why a call waits: in a log, only of the first retry.

    Returns:
        A context manager that gives the function for ``on_event``.
    """
    if not stderr_is_interactive():
        yield only_attempts(note_of_first_retry())
        return
    completed = 0
    # The line spinner exists in every encoding.
    with stderr().status("waiting for ChartMogul", spinner="line") as status:

        def update(attempt: Attempt) -> None:
            nonlocal completed
            completed += attempt.retry_in is None
            status.update(_retry(attempt) or f"waiting for ChartMogul; requests completed: {completed}")

        yield only_attempts(update)


def bar(unit: str) -> Progress:
    """Make a bar on stderr that disappears at the end.

    Args:
        unit: What is counted, in the plural.
    """
    # Most commands have no bar, and start faster without this.
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=stderr(), transient=True)


@contextmanager
def progress_of_series() -> Iterator[tuple[OnEvent, OnProgress]]:
    """Show on stderr, while it is a terminal, how many series came, and why a call waits.

    Returns:
        A context manager that gives the function for ``on_event``, and that for ``on_progress``.
    """
    if not stderr_is_interactive():
        yield only_attempts(note_of_first_retry()), _ignore_progress
        return
    with bar("series") as progress:
        task = progress.add_task("waiting for ChartMogul", total=None)

        def update(attempt: Attempt) -> None:
            progress.update(task, description=_retry(attempt) or "waiting for ChartMogul")

        yield only_attempts(update), lambda done, total: progress.update(task, completed=done, total=total)


def _retry(attempt: Attempt) -> str:
    if attempt.retry_in is None:
        return ""
    return f"{attempt.status or attempt.error}: retrying in {attempt.retry_in:.0f} s"


def only_attempts(handle: Callable[[Attempt], None]) -> OnEvent:
    """Make a function for ``on_event`` that ignores all events but attempts.

    Args:
        handle: Is given each attempt.
    """

    def on_event(event: Event) -> None:
        if isinstance(event, Attempt):
            handle(event)

    return on_event


def _ignore_progress(_: int, __: int) -> None:
    """Do nothing, as there is no terminal."""


def note_of_first_retry() -> Callable[[Attempt], None]:
    """Make a function that prints a note at the first retry, and then no more.

    Without it a script would be silent for a minute, as long as a server is away.
    """
    policy, noted = RetryPolicy(), False

    def note(attempt: Attempt) -> None:
        nonlocal noted
        if attempt.retry_in is not None and not noted:
            noted = True
            what = f"{attempt.method} {attempt.server}{attempt.path}: {attempt.status or attempt.error}"
            print_note(f"note: {one_line(what)}; trying up to {policy.attempts} times within {policy.total:.0f} s")

    return note
