"""Even spacing: the rate after refusals, how it grows back, and how long the spacing lasts."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async.events import Pacing
from chartmogul_async.transport.pace import Pace


def pace_of(limit: int = 40) -> Pace:
    return Pace(limit, limit)


def refused(at: float = 0.0, limit: int = 40) -> Pace:
    """After a first refusal."""
    pace = pace_of(limit)
    pace.refuse(at, 1)
    return pace


def accept(pace: Pace, now: float, responses: int = 1) -> None:
    for _ in range(responses):
        pace.accept(now)


# --- the rate ------------------------------------------------------------------------------------------------------


def test_a_first_refusal_spaces_the_starts_and_hardly_lowers_the_rate() -> None:
    pace = pace_of()
    assert not pace.is_even(5.0)
    assert pace.refuse(5.0, 31) == Pacing(60.0, 31, 38.0)
    assert pace.is_even(5.0)
    assert (pace.rate, pace.failed_rate) == (38.0, 40.0)


def test_a_further_refusal_lowers_the_rate() -> None:
    pace = refused()
    accept(pace, 0.5, 50)
    rate = pace.rate
    assert pace.refuse(1.0, 20).per_second == pytest.approx(0.8 * rate)
    assert pace.failed_rate == rate


@pytest.mark.parametrize(("held", "share"), [(2.0, 0.8), (2.01, 0.9)])
def test_a_rate_that_held_for_two_seconds_is_lowered_less(held: float, share: float) -> None:
    pace = refused()
    accept(pace, 0.5, 200)
    rate = pace.rate
    pace.refuse(held, 20)
    assert pace.rate == pytest.approx(share * rate)


def test_what_was_accepted_lowers_the_rate_further() -> None:
    pace = refused()
    pace.rate = 30.0
    accept(pace, 0.1, 20)
    pace.rate = 30.0
    pace.refuse(1.0, 20)
    assert pace.rate == pytest.approx(20.0)


def test_what_was_accepted_is_counted_per_second() -> None:
    pace = refused()
    accept(pace, 0.1, 30)
    pace.rate = 30.0
    pace.refuse(1.6, 20)
    assert pace.rate == pytest.approx(30 / 1.6)


def test_a_refusal_takes_half_of_the_rate_at_most() -> None:
    pace = refused()
    accept(pace, 0.1)
    pace.rate = 30.0
    pace.refuse(1.0, 20)
    assert pace.rate == pytest.approx(15.0)


def test_the_rate_is_at_least_a_tenth_of_the_limit() -> None:
    pace, now = refused(), 0.0
    for _ in range(20):
        now += 1
        accept(pace, now - 0.5)
        pace.refuse(now, 1)
    assert pace.rate == 4.0


def test_refusals_without_a_response_between_them_are_one() -> None:
    pace = refused()
    assert pace.refuse(1.0, 20) == Pacing(60.0, 20, 38.0)
    assert (pace.rate, pace.failed_rate) == (38.0, 40.0)
    assert pace.even_until == 61.0


def test_responses_before_a_refusal_say_nothing_about_the_next() -> None:
    pace = refused()
    accept(pace, 0.5, 20)
    pace.refuse(1.0, 20)
    rate = pace.rate
    pace.refuse(2.0, 20)
    assert pace.rate == rate


# --- growth --------------------------------------------------------------------------------------------------------


def grow(pace: Pace, begin: float, end: float) -> None:
    """Responses arrive at the rate itself."""
    now = begin
    while now < end:
        now += 1 / pace.rate
        pace.accept(now)


def test_the_rate_returns_quickly_to_where_it_failed() -> None:
    pace = refused()
    pace.rate, pace.failed_rate = 10.0, 30.0
    grow(pace, 0.0, 3.0)
    assert pace.rate == pytest.approx(10 + 18.5 * (1 - math.exp(-1)), rel=0.05)
    grow(pace, 3.0, 6.0)
    assert 26 < pace.rate < 28.5


def test_beyond_that_it_grows_the_faster_the_longer_it_holds() -> None:
    pace = refused()
    pace.rate = pace.failed_rate = 10.0
    grow(pace, 0.0, 10.0)
    first = pace.rate
    # The integral of 0.0008 x seconds is 0.0004 x seconds squared, in the exponent.
    assert first == pytest.approx(10 * math.exp(0.04), rel=0.01)
    grow(pace, 10.0, 50.0)
    assert pace.rate == pytest.approx(10 * math.exp(1), rel=0.02)


def test_the_rate_never_exceeds_the_limit() -> None:
    pace = refused()
    grow(pace, 0.0, 1000.0)
    assert pace.rate == 40.0
    assert not pace.is_even(1000.0)


@pytest.mark.parametrize("left", [1.0, 4.0, 20.0, 38.0])
def test_the_full_rate_returns_within_two_minutes(left: float) -> None:
    pace = refused()
    pace.rate = pace.failed_rate = max(4.0, left)
    grow(pace, 0.0, 120.0)
    assert pace.rate == 40.0


# --- even spacing --------------------------------------------------------------------------------------------------


def test_starts_follow_the_schedule_and_not_late_timers() -> None:
    pace = refused()
    pace.start(5.0)
    schedule = [pace.next_start]
    for _ in range(20):
        pace.start(pace.next_start + 0.004)
        schedule.append(pace.next_start)
    assert [later - earlier for earlier, later in pairwise(schedule)] == pytest.approx([1 / 38] * 20)


def test_after_a_silence_there_is_nothing_to_make_up_for() -> None:
    pace = refused()
    pace.start(5.0)
    pace.start(10.0)
    assert pace.next_start == pytest.approx(10 + 1 / 38)


def test_a_start_one_step_late_is_not_on_schedule() -> None:
    pace = refused(limit=20)
    pace.rate = 16.0
    pace.start(5.0)
    assert pace.next_start == 5.0625
    pace.start(5.125)
    assert pace.next_start == 5.1875
    pace.start(5.1875 + 0.0624)
    assert pace.next_start == 5.25


def test_spacing_lasts_while_the_rate_is_low() -> None:
    pace = refused()
    pace.rate = 40.0
    assert (pace.is_even(59.9), pace.is_even(60.0)) == (True, False)
    pace.rate = 39.9
    assert pace.is_even(1000.0)


def test_spacing_lasts_longer_until_an_hour_without_it() -> None:
    pace, now, lasts = pace_of(), 0.0, []
    for _ in range(8):
        lasts.append(pace.refuse(now, 1).seconds)
        # All of the limit was accepted again, and the spacing is over.
        pace.rate = 40.0
        now = pace.even_until + 1
    assert lasts == [60, 120, 240, 480, 960, 1920, 3600, 60]
    assert pace.even_for == 60.0


def test_further_refusals_make_the_spacing_no_longer() -> None:
    pace = refused()
    for now in (10.0, 20.0, 30.0):
        accept(pace, now - 5)
        assert pace.refuse(now, 1).seconds == 60.0
        assert pace.even_until == now + 60


def test_another_clock_changes_moments_only() -> None:
    pace = refused(5.0)
    pace.start(6.0)
    pace.accept(7.0)
    rate, next_start = pace.rate, pace.next_start
    pace.shift(100.0)
    assert (pace.refused_at, pace.even_until, pace.next_start) == (105.0, 165.0, next_start + 100)
    assert (pace.rate, pace.accepted, pace.even_for) == (rate, 1, 60.0)


def test_the_rate_grows_the_same_on_any_clock() -> None:
    early, late, moved = refused(), refused(1000.0), refused()
    moved.shift(1000.0)
    for now in (0.1, 0.25, 3.0, 3.1):
        early.accept(now)
        late.accept(1000 + now)
        moved.accept(1000 + now)
        assert early.rate == pytest.approx(late.rate) == pytest.approx(moved.rate)


@given(st.lists(st.tuples(st.floats(0.001, 100), st.booleans()), max_size=60), st.integers(1, 100))
def test_in_any_order_the_rate_stays_within_its_bounds(happens: list[tuple[float, bool]], limit: int) -> None:
    pace, now = refused(limit=limit), 0.0
    for after, is_refused in happens:
        now += after
        before = pace.rate
        if is_refused:
            pace.refuse(now, 1)
            assert before / 2 - 1e-9 <= pace.rate <= before or pace.rate == limit / 10
        else:
            pace.accept(now)
            assert pace.rate >= before
        assert limit / 10 <= pace.rate <= limit
