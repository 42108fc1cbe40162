"""Regression tests: every file in ``findings/`` goes through its target again, and so do the seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.corpus import FINDINGS, seeds
from tests.fuzz.targets import TARGETS

FILES = sorted(path for target in TARGETS for path in (FINDINGS / target).iterdir())


def test_all_findings_belong_to_known_targets() -> None:
    assert {path.parent.name for path in FILES} == {path.name for path in FINDINGS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_finding_does_no_more_harm(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds_pass_their_targets(target: str) -> None:
    inputs = list(seeds(target))
    assert inputs
    for data in inputs:
        TARGETS[target](data)
