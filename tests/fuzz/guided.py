"""One target under the coverage-guided fuzzer: ``python -m tests.fuzz.guided TARGET SECONDS``. Ends its process."""

from __future__ import annotations

import gc
import importlib
import sys
import tempfile
from pathlib import Path
from random import Random
from types import FunctionType
from typing import Any

# Imported by name: atheris has no types, and need not be installed where types are checked.
atheris: Any = importlib.import_module("atheris")

with atheris.instrument_imports(include=["chartmogul_async", "cattrs", "email"]):
    from tests.fuzz.corpus import FINDINGS, HEADS, seeds
    from tests.fuzz.mutations import mutated_json, with_repetition
    from tests.fuzz.targets import TARGETS

# Inputs have at most this many bytes.
MAX_LENGTH = 16_384
# An input that takes more seconds is a finding; one that takes more calls than its length allows is one much sooner.
MAX_SECONDS = 10
# The file names of functions that cattrs and the package compile at run time begin with one of these.
COMPILED = ("<cattrs", "<chartmogul_async", "<string>")


def fuzz(target: str, seconds: int) -> None:
    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        random, head = Random(seed), HEADS[target]
        if head and random.random() < 0.1:
            data = data[:head] + with_repetition(data[head : longest // 10], random, random.randint(2, 200))
            return data[:longest]
        if head and random.random() < 0.7:
            data = data[:head] + mutated_json(data[head:], random)
            return data[:longest]
        return bytes(atheris.Mutate(data, longest))

    findings = FINDINGS / target
    findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds(target)):
            (Path(corpus) / str(number)).write_bytes(seed)
            TARGETS[target](seed)
        instrument_compiled_functions()
        options = [f"-max_total_time={seconds}", f"-max_len={MAX_LENGTH}", f"-timeout={MAX_SECONDS}"]
        atheris.Setup(
            [sys.argv[0], *options, f"-artifact_prefix={findings}/", corpus], TARGETS[target], custom_mutator=mutate
        )
        atheris.Fuzz()


def instrument_compiled_functions() -> None:
    """Functions compiled at run time, such as the structuring ones, are not instrumented by an import."""
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and function.__code__.co_filename.startswith(COMPILED):
            atheris.instrument_func(function)


if __name__ == "__main__":
    fuzz(sys.argv[1], int(sys.argv[2]))
