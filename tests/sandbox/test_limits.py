from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async.errors import ArgumentError
from chartmogul_async.sandbox import Limits
from chartmogul_async.sandbox.limits import Counting, Limiter


def admitted(limits: Limits, times: list[float]) -> list[float]:
    """The times of the admitted requests, each of which ends at once."""
    limiter = Limiter(limits)
    times_admitted = []
    for now in times:
        if limiter.acquire(now) is None:
            limiter.release()
            times_admitted.append(now)
    return times_admitted


@pytest.mark.parametrize("counting", ["fixed", "sliding", "bucket"])
def test_forty_a_second_are_admitted(counting: Counting) -> None:
    limiter = Limiter(Limits(counting=counting, parallel=None))
    assert [limiter.acquire(5.0) is None for _ in range(42)] == [True] * 40 + [False, False]
    refusal = limiter.acquire(5.0)
    assert refusal is not None
    assert refusal.status == 429
    assert limiter.acquire(5.0 + refusal.seconds) is None


def test_a_fixed_window_restarts_with_each_second() -> None:
    limits = Limits(per_second=2, counting="fixed")
    assert admitted(limits, [0.9, 0.95, 0.99, 1.0, 1.01, 1.02, 2.5]) == [0.9, 0.95, 1.0, 1.01, 2.5]


def test_a_sliding_log_looks_back_one_second() -> None:
    limits = Limits(per_second=2, counting="sliding")
    assert admitted(limits, [0.5, 0.75, 1.0, 1.25, 1.5, 1.625, 1.75]) == [0.5, 0.75, 1.5, 1.75]


def test_a_bucket_refills_evenly_up_to_its_capacity() -> None:
    limits = Limits(per_second=4, counting="bucket", bucket=2)
    assert admitted(limits, [0.0, 0.0, 0.0, 0.125, 0.25, 0.25, 9.0, 9.0, 9.0]) == [0.0, 0.0, 0.25, 9.0, 9.0]


@given(st.lists(st.integers(0, 320), max_size=80).map(sorted), st.integers(1, 6))
def test_no_rolling_second_of_a_sliding_log_exceeds_the_limit(ticks: list[int], size: int) -> None:
    within = admitted(Limits(per_second=size), [tick / 64 for tick in ticks])
    for at in within:
        assert sum(at - 1 < other <= at for other in within) <= size


@pytest.mark.parametrize("counting", ["fixed", "sliding", "bucket"])
def test_a_clock_that_restarts(counting: Counting) -> None:
    """The clock of a new event loop may start anywhere."""
    limiter = Limiter(Limits(per_second=1, counting=counting))
    assert limiter.acquire(1000.5) is None
    assert limiter.acquire(0.25) is None or counting == "bucket"
    assert limiter.acquire(1.5) is None


def test_twenty_in_parallel_are_admitted() -> None:
    limiter = Limiter(Limits(per_second=None))
    assert [limiter.acquire(0.0) for _ in range(20)] == [None] * 20
    refusal = limiter.acquire(0.0)
    assert refusal is not None
    assert refusal.status == 503
    limiter.release()
    assert limiter.acquire(0.0) is None


def test_the_compute_budget_of_a_minute() -> None:
    limiter = Limiter(Limits(work_per_minute=10, parallel=None))
    assert limiter.acquire(100.0) is None
    limiter.charge(8)
    # Nine of ten are used up.
    assert limiter.acquire(101.0) is None
    limiter.charge(100)
    refusal = limiter.acquire(110.0)
    assert refusal is not None
    assert (refusal.status, refusal.retry_after) == (429, "50")
    assert limiter.acquire(160.0) is None


def test_limits_can_be_turned_off() -> None:
    limiter = Limiter(Limits(per_second=None, parallel=None))
    assert all(limiter.acquire(0.0) is None for _ in range(1000))


def test_retry_after_is_at_least_a_second() -> None:
    limiter = Limiter(Limits(per_second=1))
    limiter.acquire(0.0)
    refusal = limiter.acquire(0.9)
    assert refusal is not None
    assert refusal.seconds == pytest.approx(0.1)
    assert refusal.retry_after == "1"


def test_a_wait_lost_to_rounding_is_still_a_refusal() -> None:
    assert admitted(Limits(per_second=1), [1e-70, 1.0, 1.5]) == [1e-70, 1.5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_second": 0}, "per_second must be a positive integer or None, not 0"),
        ({"parallel": 2.5}, "parallel must be a positive integer or None, not 2.5"),
        ({"bucket": -1}, "bucket must be a positive integer or None, not -1"),
        ({"work_per_minute": True}, "work_per_minute must be a positive integer or None, not True"),
        ({"counting": "leaky"}, "counting must be one of fixed, sliding, bucket, not 'leaky'"),
        ({"retry_after": 1}, "retry_after must be a bool, not 1"),
    ],
)
def test_invalid_limits(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Limits(**arguments)
