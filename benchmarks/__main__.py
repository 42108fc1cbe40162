"""Measure side by side: ``python -m benchmarks [NAME …]`` (or ``nox -s bench``)."""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks import machine, plots, records, report
from benchmarks.harness import run_all
from benchmarks.questions import QUESTIONS
from benchmarks.questions.question import Question
from benchmarks.records import Record


def main() -> None:
    arguments = _arguments()
    for name in arguments.names:
        record = measure(QUESTIONS[name], arguments.rounds)
        records.save(record)
        print(f"\n{report.of_one(record)}\n", flush=True)
    everything = records.saved()
    report.write(everything)
    plots.draw(everything)
    print(report.of_all(everything))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure side by side.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(QUESTIONS)}; all by default")
    parser.add_argument("--rounds", type=int, default=report.ENOUGH_ROUNDS, help="how often each side is measured")
    parser.add_argument("--report", action="store_true", help="measure nothing: only tables and plots, of what is kept")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in QUESTIONS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    if arguments.rounds < 1:
        parser.error("--rounds is 1 or more")
    arguments.names = [] if arguments.report else arguments.names or list(QUESTIONS)
    return arguments


def measure(question: Question, rounds: int) -> Record:
    print(f"## {question.name}: {question.title}", flush=True)
    start, where = time.monotonic(), machine.description()
    results = run_all(question.comparisons(), rounds=rounds, lanes=question.lanes, tell=_tell)
    print(f"   took {time.monotonic() - start:.0f} s", flush=True)
    return records.record(question, rounds, where, results)


def _tell(line: str) -> None:
    print(f"   {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
