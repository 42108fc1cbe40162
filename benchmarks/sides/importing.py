"""How long an import takes, in fresh interpreters: what the interpreter itself takes to start is left out."""

from __future__ import annotations

import statistics
import subprocess
import sys

from benchmarks.measure import Reading

_PROGRAM = """
from time import perf_counter, process_time
start, cpu = perf_counter(), process_time()
{statement}
print(perf_counter() - start, process_time() - cpu)
"""


def median(statement: str, interpreters: int) -> Reading:
    """The median over some interpreters, since each import is short. The first one only warms caches up."""
    readings = [_once(statement) for _ in range(interpreters + 1)][1:]
    seconds, cpu = (statistics.median(column) for column in zip(*readings, strict=True))
    return {"seconds": seconds, "cpu": cpu}


def _once(statement: str) -> tuple[float, float]:
    command = [sys.executable, "-c", _PROGRAM.format(statement=statement)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, cpu = map(float, told.split())
    return seconds, cpu
