"""How far a long reading of several tables has come, on stderr: a bar on a terminal, and else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from attrs import Factory, define, field

from chartmogul_async.cli import terminal
from chartmogul_async.cli.failures import print_note

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# Seconds between two lines.
_EVERY = 10.0
_WIDTH = 33


@define
class Pace:
    """What is known of the tables, the series in them, and the requests.

    Attributes:
        names: The names of the tables; ``_by_`` and a dimension is at the end of each that has many series.
        began: When the first one began, in seconds of ``clock``.
        clock: The time.
        table: The one that is being read.
        requests: How many requests were completed.
    """

    names: list[str] = field(factory=list)
    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False, default=Factory(lambda self: self.clock(), takes_self=True))
    table: str = field(init=False, default="")
    requests: int = field(init=False, default=0)
    _done: dict[str, int] = field(init=False, factory=dict)
    _sizes: dict[str, int] = field(init=False, factory=lambda: {"": 1})
    _over: set[str] = field(init=False, factory=set)

    def read(self, name: str, done: int, total: int) -> None:
        """Note that so many series of a table, of so many, are there."""
        self.table, self._done[name] = name, done
        self._sizes[_dimension(name)] = total

    def end(self, name: str) -> None:
        """Note that a table is over, whatever came of it."""
        self._over.add(name)

    @property
    def done(self) -> int:
        """How many series are there."""
        return sum(self._done.values())

    @property
    def total(self) -> int | None:
        """How many series there are; None as long as no table is known, or a dimension was not looked at."""
        open_names = [name for name in self.names if name not in self._over]
        sizes = [self._sizes.get(_dimension(name)) for name in open_names]
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes) or not self.names:
            return None
        return sum(known) + sum(self._done.get(name, 0) for name in self._over)

    def __str__(self) -> str:
        seconds = max(self.clock() - self.began, 1e-3)
        rate, total = f"{self.requests / seconds:.0f} requests/s", self.total
        if total is None or not self.done:
            return rate
        return f"{rate}, {seconds / self.done * (total - self.done):.0f} s left"


def _dimension(name: str) -> str:
    return name.partition("_by_")[2]


class Shown(Protocol):
    """Where the progress is shown."""

    def update(self, pace: Pace) -> None:
        """Show it."""
        ...

    def paused(self) -> AbstractContextManager[object]:
        """While the context is open, something else may be written."""
        ...


class Hidden:
    """Shows nothing."""

    def update(self, pace: Pace) -> None:
        """Do nothing."""

    def paused(self) -> AbstractContextManager[object]:
        """Do nothing."""
        return nullcontext()


@define
class Lines(Hidden):
    """Writes a line now and then.

    Attributes:
        written: When the last one was written, or would have been.
    """

    written: float | None = None

    def update(self, pace: Pace) -> None:
        """Write a line, if the last one is some seconds ago."""
        now = pace.clock()
        if self.written is None or now - self.written >= _EVERY:
            if self.written is not None:
                print_note(f"{pace.done} of {pace.total or '?'} series, {pace.table or 'account'}, {pace}")
            self.written = now


@define
class Bar:
    """Moves a bar.

    Attributes:
        progress: The bar, and what stands beside it.
        task: Its number.
    """

    progress: Progress
    task: TaskID

    def update(self, pace: Pace) -> None:
        """Move it."""
        name = f"{pace.table:<{_WIDTH}}"
        self.progress.update(self.task, description=name, completed=pace.done, total=pace.total, pace=str(pace))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take it away for a moment."""
        self.progress.stop()
        yield
        self.progress.start()


@contextmanager
def shown(quiet: bool) -> Iterator[Shown]:
    """Show progress on stderr.

    Args:
        quiet: Whether to show nothing.

    Returns:
        A context manager that gives what shows it.
    """
    if quiet or not terminal.stderr_is_interactive():
        yield Hidden() if quiet else Lines()
        return
    # Most commands have no bar, and start faster without this.
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}", markup=False),
    )
    # Stdout may be a file.
    with Progress(*columns, console=terminal.stderr(), transient=True, redirect_stdout=False) as progress:
        yield Bar(progress, progress.add_task("", total=None, pace=""))
