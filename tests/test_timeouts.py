"""A test that hangs is ended, also where what its first alarm raises is lost."""

from __future__ import annotations

import signal

import pytest


@pytest.mark.skipif(not hasattr(signal, "getitimer"), reason="Windows has no alarms")
def test_the_alarm_of_a_test_comes_again() -> None:
    left, every = signal.getitimer(signal.ITIMER_REAL)
    if not left:
        pytest.skip("tests have no alarms in this run")
    assert 0 < left <= every
