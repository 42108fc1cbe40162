"""What stands on a terminal, and what stands nowhere else: colours, progress, and lines as wide as it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.measure import Measurement

from chartmogul_async import Attempt


def stdout() -> Console:
    """For what was asked for. Nothing in the data is taken for markup."""
    return Console(markup=False, emoji=False, highlight=False)


def stderr() -> Console:
    """For everything that is said on the way."""
    return Console(stderr=True, markup=False, emoji=False, highlight=False)


def stderr_moves() -> bool:
    """Whether stderr is a terminal that a progress bar can move on; a forced colour in a log is none."""
    return sys.stderr.isatty() and stderr().is_interactive


def needed_width(console: Console, what: RenderableType) -> int:
    """How many columns it takes to show something as it is."""
    return Measurement.get(console, console.options.update(width=10_000), what).maximum


def show(console: Console, what: RenderableType) -> None:
    """Print something whole: a figure that lost its end would be another figure."""
    console.width = max(console.width, needed_width(console, what))
    console.print(what)


@contextmanager
def waiting() -> Iterator[Callable[[Attempt], None]]:
    """Say on stderr, while it is a terminal, what a call is waiting for; gives what ``on_attempt`` takes."""
    if not stderr_moves():
        yield _nothing
        return
    answers = 0
    with stderr().status("asking ChartMogul", spinner="line") as status:  # a spinner that every encoding has

        def tell(attempt: Attempt) -> None:
            nonlocal answers
            if attempt.retry_in is None:
                answers += 1
                status.update(f"asking ChartMogul: {answers} answered")
            else:
                status.update(f"{attempt.status or attempt.error}: trying again in {attempt.retry_in:.0f} s")

        yield tell


def _nothing(_: Attempt) -> None:
    """Without a terminal nobody watches."""
