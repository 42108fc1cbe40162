from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartmogul_async.sandbox import Limits
from chartmogul_async.sandbox.limits import Counting, Gate


def admitted(limits: Limits, times: list[float]) -> list[float]:
    """The times at which requests, each over at once, were let in."""
    gate = Gate(limits)
    inside = []
    for now in times:
        if gate.enter(now) is None:
            gate.leave()
            inside.append(now)
    return inside


@pytest.mark.parametrize("counting", ["fixed", "sliding", "bucket"])
def test_forty_a_second_and_not_one_more(counting: Counting) -> None:
    gate = Gate(Limits(counting=counting, parallel=None))
    assert [gate.enter(5.0) is None for _ in range(42)] == [True] * 40 + [False, False]
    refusal = gate.enter(5.0)
    assert refusal is not None
    assert refusal.status == 429
    assert gate.enter(5.0 + refusal.seconds) is None


def test_a_fixed_window_starts_anew_with_the_second() -> None:
    limits = Limits(per_second=2, counting="fixed")
    assert admitted(limits, [0.9, 0.95, 0.99, 1.0, 1.01, 1.02, 2.5]) == [0.9, 0.95, 1.0, 1.01, 2.5]


def test_a_sliding_log_looks_back_one_second() -> None:
    limits = Limits(per_second=2, counting="sliding")
    assert admitted(limits, [0.5, 0.75, 1.0, 1.25, 1.5, 1.625, 1.75]) == [0.5, 0.75, 1.5, 1.75]


def test_a_bucket_fills_evenly_up_to_its_size() -> None:
    limits = Limits(per_second=4, counting="bucket", bucket=2)
    assert admitted(limits, [0.0, 0.0, 0.0, 0.125, 0.25, 0.25, 9.0, 9.0, 9.0]) == [0.0, 0.0, 0.25, 9.0, 9.0]


@settings(deadline=None)
@given(st.lists(st.integers(0, 320), max_size=80).map(sorted), st.integers(1, 6))
def test_no_rolling_second_of_a_sliding_log_has_more(ticks: list[int], size: int) -> None:
    inside = admitted(Limits(per_second=size), [tick / 64 for tick in ticks])
    for at in inside:
        assert sum(at - 1 < other <= at for other in inside) <= size


@pytest.mark.parametrize("counting", ["fixed", "sliding", "bucket"])
def test_a_new_event_loop_has_a_clock_that_starts_anew(counting: Counting) -> None:
    gate = Gate(Limits(per_second=1, counting=counting))
    assert gate.enter(1000.5) is None
    assert gate.enter(0.25) is None or counting == "bucket"
    assert gate.enter(1.5) is None


def test_twenty_at_once_and_not_one_more() -> None:
    gate = Gate(Limits(per_second=None))
    assert [gate.enter(0.0) for _ in range(20)] == [None] * 20
    refusal = gate.enter(0.0)
    assert refusal is not None
    assert refusal.status == 503
    gate.leave()
    assert gate.enter(0.0) is None


def test_a_minutes_work() -> None:
    gate = Gate(Limits(work_per_minute=10, parallel=None))
    assert gate.enter(100.0) is None
    gate.work(8)
    assert gate.enter(101.0) is None  # nine of ten are used up
    gate.work(100)
    refusal = gate.enter(110.0)
    assert refusal is not None
    assert (refusal.status, refusal.retry_after) == (429, "50")
    assert gate.enter(160.0) is None


def test_no_limits() -> None:
    gate = Gate(Limits(per_second=None, parallel=None))
    assert all(gate.enter(0.0) is None for _ in range(1000))


def test_retry_after_is_at_least_a_second() -> None:
    gate = Gate(Limits(per_second=1))
    gate.enter(0.0)
    refusal = gate.enter(0.9)
    assert refusal is not None
    assert refusal.seconds == pytest.approx(0.1)
    assert refusal.retry_after == "1"


def test_a_wait_too_short_to_be_written_is_a_wait() -> None:
    assert admitted(Limits(per_second=1), [1e-70, 1.0, 1.5]) == [1e-70, 1.5]
