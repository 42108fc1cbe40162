"""A test that hangs is ended, also where what its first alarm raises is lost."""

from __future__ import annotations

import signal

import pytest


@pytest.mark.skipif(not hasattr(signal, "getitimer"), reason="Windows has no alarms")
@pytest.mark.timeout(90, method="signal")
def test_the_alarm_of_a_test_comes_again() -> None:
    left, every = signal.getitimer(signal.ITIMER_REAL)
    assert 0 < left <= every == 90
