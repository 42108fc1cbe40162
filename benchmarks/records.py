"""What is kept of a measurement: one JSON file for each benchmark, from which tables and plots are made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from benchmarks.harness import Result
from benchmarks.questions import QUESTIONS
from benchmarks.questions.question import Goal, Question, Results, Table

FOLDER = Path(__file__).with_name("results")


@frozen
class Record:
    """One benchmark's measurement."""

    question: Question
    measured: str
    rounds: int
    machine: Mapping[str, Any]
    results: Results

    @property
    def goals(self) -> Sequence[Goal]:
        return self.question.goals(self.results)

    @property
    def table(self) -> Table:
        return self.question.table(self.results)


def record(question: Question, rounds: int, where: Mapping[str, Any], results: Sequence[Result]) -> Record:
    measured = datetime.now(UTC).date().isoformat()
    return Record(question, measured, rounds, where, {result.name: result for result in results})


def save(made: Record) -> None:
    FOLDER.mkdir(exist_ok=True)
    content = {
        "title": made.question.title,
        "measured": made.measured,
        "rounds": made.rounds,
        "machine": made.machine,
        "goals": [{**asdict(goal), "is_met": goal.is_met} for goal in made.goals],
        "results": [asdict(result) for result in made.results.values()],
    }
    _path(made.question.name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def saved() -> list[Record]:
    """All that was ever measured and kept, in the order of the questions."""
    return [_load(question) for name, question in QUESTIONS.items() if _path(name).exists()]


def _load(question: Question) -> Record:
    content = json.loads(_path(question.name).read_text(encoding="utf-8"))
    results = {result["name"]: Result(**result) for result in content["results"]}
    return Record(question, content["measured"], content["rounds"], content["machine"], results)


def _path(name: str) -> Path:
    return FOLDER / f"{name}.json"
