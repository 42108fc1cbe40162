"""Shared limits as tables for people, and as lines of JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import attrs
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from chartmogul_async.cli.text import one_line
from chartmogul_async.transport.budget import Budget, Unreadable
from chartmogul_async.transport.readers import Look

# Enough to tell accounts apart.
_SHOWN = 8
# Seconds for which a process counts as being there.
_NOW = 1.0
_HEADS = ("Process", "Waiting", "In flight", "Admitted", "Idle")


def as_lines(look: Look, outage: str) -> str:
    """Write a look as lines of JSON, one for each account.

    Args:
        look: The limits of each account.
        outage: Why there are none.

    Returns:
        The text. Durations are in seconds.
    """
    moment = {"time": datetime.now(UTC).isoformat(timespec="milliseconds")}
    contents: list[dict[str, Any]] = [{"outage": outage}] if outage else [_content(each) for each in look]
    return "".join(json.dumps(moment | content) + "\n" for content in contents)


def _content(each: Budget | Unreadable) -> dict[str, Any]:
    return attrs.asdict(each, value_serializer=lambda _, __, value: _rounded(value))


def _rounded(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value


def as_table(look: Look, outage: str) -> RenderableType:
    """Draw a look, the account with the most waiting calls first.

    Args:
        look: The limits of each account.
        outage: Why there are none.
    """
    if outage:
        return Text(f"away: {one_line(outage)}", style="bold red")
    if not look:
        return Text("no account any more", style="dim")
    return Group(*(part for each in sorted(look, key=_urgency) for part in _parts(each)))


def _urgency(each: Budget | Unreadable) -> tuple[int, str]:
    return (-each.waiting - each.in_flight, each.account) if isinstance(each, Budget) else (1, each.account)


def _parts(each: Budget | Unreadable) -> Iterator[RenderableType]:
    name = f"account {one_line(each.account)[:_SHOWN]}"
    if isinstance(each, Unreadable):
        yield Text.assemble((name, "bold"), (f": {one_line(each.problem)}", "bold red"))
        return
    if not (each.processes or each.in_flight or each.paused_for):
        yield Text.assemble((name, "bold"), f": {each.admitted:,} admitted, not in use")
        return
    yield Text.assemble((name, "bold"), f": {each.admitted:,} admitted, {each.waiting:,} waiting")
    yield Text(f"  in flight: {each.in_flight} of {_of(each.max_in_flight, each.parallel)}")
    yield Text(f"  started in the last second: {each.started} of {_of(each.rate, each.per_second)}")
    if each.paced_for:
        yield Text(f"  evenly spaced for {each.paced_for:.0f} s at least", style="yellow")
    if each.paused_for:
        yield Text(f"  paused for {each.paused_for:.1f} s after a 429", style="bold red")
    if each.processes:
        yield _processes(each)


def _of(now: float, usually: int) -> str:
    return f"{usually}" if now == usually else f"{now:.3g}, usually {usually}"


def _processes(budget: Budget) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), header_style="bold")
    for head in _HEADS:
        table.add_column(head, justify="right")
    for process in budget.processes:
        idle = "" if process.idle < _NOW else f"{process.idle:.0f} s"
        numbers = (process.number, process.waiting, process.in_flight)
        table.add_row(*map(str, numbers), f"{process.admitted:,}", idle)
    return table
