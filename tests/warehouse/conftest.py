"""Each test has a warehouse of its own, and nothing is told to dlt's makers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def settings_of_dlt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    if find_spec("dlt"):
        from dlt.common.configuration.container import Container
        from dlt.common.pipeline import PipelineContext

        # The last pipeline stays active, also where a resource is read without one.
        Container()[PipelineContext].deactivate()
