"""Records as Markdown: printed after a run, and written between the markers of ``README.md``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.figures import amount
from benchmarks.questions.question import Goal, Table
from benchmarks.records import Record

README = Path(__file__).with_name("README.md")
ENOUGH_ROUNDS = 5


def of_one(record: Record) -> str:
    """A benchmark's table, when it was measured, and a sentence for each goal that is missed."""
    when = f"Measured {record.measured}, {_counted(record.rounds)}, load before it {record.machine['load_before']}."
    missed = [f"**Missed:** {_sentence(goal)}." for goal in record.goals if not goal.is_met]
    return "\n\n".join([_markdown(record.table), when, *missed])


def of_all(records: Sequence[Record]) -> str:
    """Every goal, met or missed."""
    goals = [(record.question.name, goal) for record in records for goal in record.goals]
    rows = [
        [name, goal.what, _bold(amount(goal.value, goal.unit), goal), _limit(goal), _met(goal)] for name, goal in goals
    ]
    met = sum(goal.is_met for _, goal in goals)
    return f"{met} of {len(goals)} goals are met.\n\n" + _markdown(Table(["", "figure", "measured", "goal", ""], rows))


def of_machine(records: Sequence[Record]) -> str:
    """Where it was measured; more than one paragraph if not all was measured at one place."""
    places = dict.fromkeys(_place(record) for record in records)
    return "\n\n".join(places)


def write(records: Sequence[Record]) -> None:
    """Renew what stands between the markers of the README: ``<!-- begin NAME -->`` … ``<!-- end NAME -->``."""
    parts = {record.question.name: of_one(record) for record in records}
    parts |= {"goals": of_all(records), "machine": of_machine(records)}
    text = README.read_text(encoding="utf-8")
    for name, part in parts.items():
        between = re.compile(f"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        text, found = between.subn(partial(_filled, part), text)
        if found != 1:
            raise ValueError(f"README.md has {found} places for {name!r} instead of one")
    README.write_text(text, encoding="utf-8")


def _filled(part: str, marks: re.Match[str]) -> str:
    return f"{marks[1]}\n{part}\n\n{marks[2]}"


def _markdown(table: Table) -> str:
    lines = [table.head, ["---"] * len(table.head), *table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _counted(rounds: int) -> str:
    if rounds >= ENOUGH_ROUNDS:
        return f"{rounds} rounds"
    return f"**{rounds} round{'s' if rounds > 1 else ''} only: a trial, no measurement**"


def _sentence(goal: Goal) -> str:
    return f"{goal.what}: {amount(goal.value, goal.unit)}, where the goal is {_limit(goal)}"


def _limit(goal: Goal) -> str:
    return f"{'>=' if goal.at_least else '<='} {amount(goal.limit, goal.unit)}"


def _met(goal: Goal) -> str:
    return "met" if goal.is_met else "**missed**"


def _bold(text: str, goal: Goal) -> str:
    return text if goal.is_met else f"**{text}**"


def _place(record: Record) -> str:
    machine = record.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, {machine['python']}; {versions}."
