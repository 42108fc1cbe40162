"""A test that hangs is ended, also where the first alarm is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SWALLOWING = """
import time

def test_that_takes_the_first_alarm_for_something_else():
    for _ in range(2):
        try:
            time.sleep(60)
        except BaseException as error:
            print("swallowed:", error)
    time.sleep(60)
"""


@pytest.mark.sockets
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no alarms")
def test_the_alarm_of_a_test_comes_again(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_timeout_set_timer\n")
    (tmp_path / "test_swallowing.py").write_text(SWALLOWING)
    command = (sys.executable, "-m", "pytest", "-q", "--timeout", "0.2", "-p", "no:cacheprovider", str(tmp_path))
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == pytest.ExitCode.TESTS_FAILED, found.stdout + found.stderr
    assert found.stdout.count("swallowed: Timeout (>0.2s)") == 2
    assert "1 failed" in found.stdout
