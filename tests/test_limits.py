"""The limits of an account as a pure value: every rule with its times, and what holds in any order of events."""

from __future__ import annotations

import heapq
import math
from itertools import cycle, pairwise

import pytest
from attrs import astuple, define, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from chartmogul_async.events import ConcurrencyLowered, Pacing, Pause
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.snapshots import dumps, loads
from tests.account_limits import (
    MICROSECOND,
    admit,
    all_numbers,
    busy_limits,
    exchange,
    given_up,
    limits_of,
    moments,
    times_of,
)

# The server's second with its margin.
SECOND = 1.001


# --- slots and the window ------------------------------------------------------------------------------------------


def test_a_burst_of_as_many_as_there_are_slots_starts_at_once() -> None:
    limits = limits_of()
    assert [limits.admit(5.0) for _ in range(20)] == list(range(1, 21))
    assert {start.owner for start in limits.in_flight.values()} == {0}
    assert limits.next_start(5.0) == math.inf
    assert limits.admit(5.0) is None
    limits.release(7, 5.1, 200)
    assert limits.next_start(5.1) == 5.1
    assert limits.admit(5.1) == 21
    assert limits.admitted == 21


def test_a_full_window_opens_when_its_first_start_leaves_it() -> None:
    limits = limits_of(per_second=3)
    for now in (0.0, 0.1, 0.2):
        exchange(limits, now)
    assert limits.next_start(0.3) == pytest.approx(SECOND)
    assert limits.admit(SECOND - MICROSECOND) is None
    admit(limits, SECOND)
    assert limits.admit(SECOND) is None


def test_a_window_with_surplus_waits_for_several_starts_to_leave() -> None:
    limits = limits_of(per_second=5)
    for now in (0.0, 0.1, 0.2, 0.3, 0.4):
        exchange(limits, now)
    limits.resize(2, limits.parallel)
    assert limits.next_start(0.5) == pytest.approx(0.3 + SECOND)


def test_an_unanswered_start_opens_the_window_with_its_response() -> None:
    limits = limits_of(per_second=1)
    number = admit(limits, 0.0)
    limits.mark_sent(number, 0.1)
    assert limits.next_start(100.0) == math.inf
    limits.release(number, 100.0, 200)
    assert limits.next_start(100.0) == pytest.approx(100.0 + SECOND)


def test_the_limit_decides_what_a_response_bounds() -> None:
    few, many = limits_of(per_second=8), limits_of(per_second=9)
    for limits in (few, many):
        for _ in range(limits.per_second):
            exchange(limits, 0.0, takes=0.3)
    assert few.next_start(0.3) == pytest.approx(0.3 + SECOND)
    assert many.next_start(0.3) == pytest.approx(0.01 + SECOND)


def test_a_broken_exchange_reports_no_round_trip() -> None:
    limits = limits_of()
    exchange(limits, 0.0, status=None, takes=3.0)
    assert limits.window.usual == 0.0
    exchange(limits, 0.0, status=500, takes=3.0)
    assert limits.window.usual == 3.0


def test_a_window_that_is_never_full_does_not_grow() -> None:
    limits = limits_of()
    for number in range(200):
        exchange(limits, number * 0.5)
    assert len(limits.window.starts) <= 40
    assert len(limits.window.round_trips) == 80


def test_free_slots_are_what_could_start_immediately() -> None:
    limits = limits_of(per_second=5, parallel=3)
    assert limits.free_slots(0.0, taken=0) == 3
    assert limits.free_slots(0.0, taken=2) == 1
    assert limits.free_slots(0.0, taken=9) == 0
    for _ in range(4):
        exchange(limits, 0.0)
    assert limits.free_slots(0.0, taken=0) == 1
    assert limits.free_slots(SECOND, taken=0) == 3
    for status in (200, 200, 200, 200, 429):
        exchange(limits, 2.0, status, retry_after=10.0)
    assert limits.free_slots(5.0, taken=0) == 0, "while paused"
    assert limits.free_slots(12.0, taken=0) == 2, "as soon as the pause is over"
    probe = admit(limits, 12.0)
    assert limits.free_slots(20.0, taken=0) == 0, "while one goes ahead"
    limits.release(probe, 20.0, 200)


def test_planned_requests_take_starts_from_the_window_too() -> None:
    limits = limits_of(per_second=5)
    assert [limits.free_slots(0.0, taken=taken) for taken in (0, 3, 5)] == [5, 2, 0]
    exchange(limits, 0.0)
    admit(limits, 0.0)
    assert [limits.free_slots(0.0, taken=taken) for taken in (1, 3)] == [3, 1]


def test_free_slots_are_half_a_second_of_spaced_starts() -> None:
    limits = limits_of(parallel=30)
    exchange(limits, 0.0, 429)
    exchange(limits, 5.0)
    # Half of 38.
    assert limits.free_slots(5.0, taken=0) == 19
    assert limits.free_slots(5.0, taken=20) == 10
    assert limits.free_slots(5.0, taken=31) == 0
    assert limits.pace is not None
    limits.pace.rate = 9.9
    assert limits.free_slots(5.0, taken=0) == 4
    limits.pace.rate = 40.0
    assert limits.free_slots(59.9, taken=0) == 20
    assert limits.free_slots(60.0, taken=0) == 30


# --- requests that were given up -----------------------------------------------------------------------------------


def test_a_request_that_was_given_up_keeps_its_slot_as_long_as_usual() -> None:
    limits = limits_of(parallel=1)
    exchange(limits, 0.0, takes=3.0)
    given_up(limits, 10.0, 11.0)
    assert limits.next_start(11.0) == pytest.approx(13.05)
    assert limits.free_slots(11.0, taken=0) == 0
    assert limits.admit(13.04) is None
    assert limits.free_slots(13.051, taken=0) == 1
    admit(limits, 13.051)


def test_only_requests_that_were_given_up_linger() -> None:
    limits = limits_of(parallel=1)
    exchange(limits, 0.0, takes=3.0)
    given_up(limits, 10.0, 11.0, given_up=False)
    # The server closed the connection, or the request was never sent.
    assert limits.next_start(11.0) == 11.0
    number = admit(limits, 12.0)
    limits.mark_sent(number, math.inf)
    limits.release(number, 12.5, given_up=True)
    assert limits.next_start(12.5) == 12.5
    # The response is overdue: nothing shows that it still comes.
    given_up(limits, 20.0, 23.06)
    assert (limits.lingering, limits.next_start(23.06)) == ([], 23.06)


def test_a_transport_that_reports_nothing_sends_at_once() -> None:
    limits = limits_of(parallel=1)
    exchange(limits, 0.0, takes=3.0)
    limits.release(admit(limits, 10.0), 11.0, given_up=True)
    assert limits.next_start(11.0) == pytest.approx(13.05)


def test_the_first_slot_to_be_free_is_taken() -> None:
    limits = limits_of(parallel=3)
    exchange(limits, 0.0, takes=3.0)
    for sent in (12.0, 10.0, 11.0):
        given_up(limits, sent, 12.5)
    assert limits.next_start(12.5) == pytest.approx(13.05)
    limits.resize(limits.per_second, 2)
    assert limits.next_start(12.5) == pytest.approx(14.05)
    limits.resize(limits.per_second, 1)
    assert limits.next_start(12.5) == pytest.approx(15.05)


def test_slots_of_both_kinds_are_counted() -> None:
    limits = limits_of(parallel=2)
    exchange(limits, 0.0, takes=3.0)
    number = admit(limits, 10.0)
    given_up(limits, 10.0, 11.0)
    assert limits.next_start(11.0) == pytest.approx(13.05)
    limits.resize(limits.per_second, 1)
    # Only the end of the one in flight leaves a slot to be free at a known moment.
    assert limits.next_start(11.0) == math.inf
    limits.release(number, 11.5, 200)
    assert limits.next_start(11.5) == pytest.approx(13.05)


def test_slots_that_lingered_are_free_although_nothing_asked() -> None:
    limits = limits_of()
    exchange(limits, 0.0, takes=3.0)
    for _ in range(10):
        given_up(limits, 10.0, 11.0)
    assert limits.free_slots(12.0, taken=0) == 10
    (end, *_) = limits.lingering
    assert limits.free_slots(end, taken=0) == 20
    assert limits.lingering == []


def test_slots_that_lingered_are_forgotten() -> None:
    limits = limits_of(parallel=3)
    exchange(limits, 0.0, takes=3.0)
    for number in range(1, 50):
        given_up(limits, number * 10.0, number * 10.0 + 1)
    assert len(limits.lingering) <= 3


def test_a_test_needs_a_slot_that_does_not_linger() -> None:
    limits = limits_of(parallel=1)
    exchange(limits, 0.0, takes=30.0)
    exchange(limits, 40.0, 429, retry_after=3600.0)
    given = admit(limits, 100.0, as_test=True)
    limits.mark_sent(given, 100.0)
    limits.release(given, 170.0)
    limits.lingering.append(200.0)
    assert limits.admit(170.0, as_test=True) is None
    admit(limits, 200.0, as_test=True)


# --- pauses --------------------------------------------------------------------------------------------------------


def test_a_429_pauses_for_as_long_as_it_asks_for() -> None:
    limits = limits_of(per_second=1)
    assert exchange(limits, 0.0, 429, retry_after=7.0)[1:] == (Pause(7.0),)
    assert limits.next_start(1.0) == 7.0
    assert (limits.pause_left(5.0), limits.pause_left(8.0)) == (2.0, 0.0)
    assert (limits.seconds_paused(5.0), limits.seconds_paused(8.0)) == (5.0, 7.0)
    assert limits.admit(6.999) is None
    admit(limits, 7.0)


def test_pauses_without_a_duration_grow_to_thirty_seconds() -> None:
    limits, now, pauses = limits_of(), 0.0, []
    for _ in range(6):
        _, pause = exchange(limits, now, 429)
        assert isinstance(pause, Pause)
        pauses.append(pause.seconds)
        now += pause.seconds + 2
    assert pauses == [0.25, 1, 6, 30, 30, 30]
    exchange(limits, now)
    assert exchange(limits, now + 2, 429)[1:] == (Pause(0.25),)


def test_a_duration_of_zero_is_honoured_but_counts_as_a_pause() -> None:
    limits = limits_of()
    assert exchange(limits, 0.0, 429, retry_after=0.0) == (Pacing(60.0, 1, 38.0),)
    assert limits.next_start(2.0) == 2.0
    # Where it did not help, it is not believed.
    assert exchange(limits, 2.0, 429, retry_after=0.0)[1:] == (Pause(1.0),)
    assert exchange(limits, 4.0, 429, retry_after=9.0)[1:] == (Pause(9.0),)


def test_refusals_after_a_pause_of_zero_are_one_event() -> None:
    limits = limits_of(per_second=2)
    first, second = admit(limits, 0.0), admit(limits, 0.0)
    limits.release(first, 0.1, 429, 0.0)
    assert limits.release(second, 0.2, 429) == ()
    assert limits.pauses_in_a_row == 1


def test_refusals_of_requests_under_way_are_one_event() -> None:
    limits = limits_of(per_second=20)
    numbers = [admit(limits, 0.0) for _ in range(20)]
    events = [limits.release(number, 0.1, 429) for number in numbers]
    assert events == [(Pacing(60.0, 20, 19.0), Pause(0.25))] + [()] * 19
    assert limits.pauses_in_a_row == 1
    assert limits.pace is not None
    assert limits.pace.rate == 19.0


def test_only_a_longer_duration_counts_for_requests_under_way() -> None:
    limits = limits_of(per_second=3)
    first, second, third = (admit(limits, 0.0) for _ in range(3))
    assert limits.release(first, 1.0, 429, 7.0)[1:] == (Pause(7.0),)
    assert limits.release(second, 2.0, 429, 9.0) == (Pause(9.0),)
    assert limits.release(third, 3.0, 429, 2.0) == ()
    assert limits.paused_until == 11.0
    assert limits.pauses_in_all == 10.0
    assert (limits.seconds_paused(4.0), limits.seconds_paused(20.0)) == (3.0, 10.0)


def test_a_longer_duration_restarts_a_pause_that_had_ended() -> None:
    """A request was sent before the pause, and its refusal comes after the probe's success."""
    limits = limits_of(per_second=10)
    old, older = admit(limits, 0.0), admit(limits, 0.0)
    exchange(limits, 0.5, 429)
    exchange(limits, 1.6)
    sent_before = admit(limits, 2.0)
    assert limits.release(old, 3.0, 429, 120.0) == (Pause(120.0),)
    limits.release(sent_before, 4.0, 200)
    limits.release(older, 5.0, 200)
    assert limits.next_start(6.0) == 123.0
    admit(limits, 123.0)
    assert limits.probe is not None, "one goes ahead"
    assert limits.admit(123.1) is None


def test_after_a_pause_one_goes_ahead_until_a_response() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429)
    now = 2.0
    # Neither a broken exchange nor another overload shows that requests are accepted again.
    for status in (None, 503):
        probe = admit(limits, now)
        assert limits.admit(now + 0.1) is None
        assert limits.probe == probe
        limits.release(probe, now + 0.1, status)
        now += 2.0
    # A 500 was let through by the limit.
    limits.release(admit(limits, now), now + 0.1, 500)
    admit(limits, now + 2.0)
    admit(limits, now + 2.1)


def test_a_response_under_way_does_not_end_a_pause() -> None:
    limits = limits_of(per_second=2)
    first, second = admit(limits, 0.0), admit(limits, 0.0)
    limits.release(first, 0.1, 429, 10.0)
    limits.release(second, 0.2, 200)
    assert limits.next_start(3.0) == 10.1
    admit(limits, 11.0)
    assert limits.probe is not None


# --- probes that are late ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("refused_after", "late_after"), [(0.1, 1.0), (0.5, 1.5), (20.0, 60.0)])
def test_a_probe_out_longer_than_a_refusal_takes_holds_nobody_up(refused_after: float, late_after: float) -> None:
    limits = limits_of()
    exchange(limits, 100.0, 429, takes=refused_after)
    now = 100 + refused_after + 1
    probe = admit(limits, now)
    assert limits.next_start(now + 0.5) == now + late_after
    assert limits.admit(now + late_after - MICROSECOND) is None
    admit(limits, now + late_after)
    admit(limits, now + late_after + 0.1)
    assert limits.probe is None
    limits.release(probe, now + 100, 200)
    assert limits.probe is None


def test_a_late_probe_that_is_refused_pauses_again() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429)
    probe = admit(limits, 1.0)
    other = admit(limits, 2.0)
    assert limits.release(probe, 2.5, 429)[1:] == (Pause(0.25),)
    assert limits.release(other, 2.6, 429) == ()
    admit(limits, 3.0)
    assert limits.probe is not None


def test_pauses_before_a_late_probe_count_no_more_once_others_succeed() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429, retry_after=30.0)
    admit(limits, 30.0)
    other = admit(limits, 31.0)
    assert limits.fruitless_pauses(31.0, 0.0) == 30.0
    limits.release(other, 31.5, 200)
    assert limits.fruitless_pauses(31.5, 0.0) == 0.0


def test_a_late_test_of_a_long_pause_does_not_end_it() -> None:
    """Only its response does; the pause after all ends with a probe."""
    limits = limits_of()
    exchange(limits, 0.0, 429, retry_after=3600.0)
    test = admit(limits, 60.0, as_test=True)
    assert limits.next_start(60.5) == 61.0
    assert limits.admit(61.5) is None
    assert (limits.probe, limits.next_start(61.5)) == (None, 3600.0)
    limits.release(test, 3599.0)
    admit(limits, 3600.0)
    assert limits.admit(3600.5) is None


def test_a_late_test_that_succeeds_ends_the_pause() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429, retry_after=3600.0)
    test = admit(limits, 60.0, as_test=True)
    assert limits.admit(61.5) is None
    limits.release(test, 62.0, 200)
    admit(limits, 62.0)
    admit(limits, 62.1)


# --- long pauses ---------------------------------------------------------------------------------------------------


def test_a_long_pause_is_tested_once_a_minute() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429, retry_after=3600.0)
    assert limits.admit(59.9, as_test=True) is None
    test = admit(limits, 60.0, as_test=True)
    assert limits.release(test, 61.0) == ()
    assert limits.admit(119.9, as_test=True) is None, "the minute begins with the test, not with its end"
    assert limits.next_start(120.0) == 3600.0
    admit(limits, 120.0, as_test=True)


def test_only_one_test_is_in_flight() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429, retry_after=3600.0, takes=30.0)
    admit(limits, 90.0, as_test=True)
    assert limits.admit(151.0, as_test=True) is None
    # A refusal would have come by now.
    admit(limits, 180.0, as_test=True)


def test_a_test_needs_a_slot() -> None:
    limits = limits_of(parallel=1)
    held, late = admit(limits, 0.0), 100.0
    limits.resize(limits.per_second, 2)
    exchange(limits, 1.0, 429, retry_after=3600.0)
    limits.resize(limits.per_second, 1)
    assert limits.admit(late, as_test=True) is None
    limits.release(held, late)
    admit(limits, late, as_test=True)


def test_a_test_takes_a_slot_that_a_batch_leaves() -> None:
    limits = limits_of(parallel=4)
    for _ in range(4):
        admit(limits, 0.0)
    limits.release(1, 0.0, 429, 3600.0)
    admit(limits, 60.0, as_test=True)
    assert limits.interactive_at == 60.0


def test_the_latest_response_to_a_test_counts() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429, retry_after=3600.0)
    test = admit(limits, 60.0, as_test=True)
    assert limits.release(test, 61.0, 429, 5.0)[1:] == (Pause(5.0),)
    assert limits.paused_until == 66.0
    assert limits.pauses_in_all == 66.0


def test_a_test_that_succeeds_ends_the_pause() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429, retry_after=3600.0)
    limits.release(admit(limits, 60.0, as_test=True), 61.0, 200)
    assert limits.paused_until == 61.0
    assert limits.seconds_paused(1000.0) == 61.0
    admit(limits, 63.0)
    assert limits.probe is None


# --- pauses in vain ------------------------------------------------------------------------------------------------


def test_pauses_count_only_while_nothing_succeeds() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429, retry_after=10.0)
    assert limits.fruitless_pauses(4.0, 0.0) == 4.0
    exchange(limits, 10.0, 429, retry_after=5.0)
    assert limits.fruitless_pauses(12.0, 0.0) == 12.0
    exchange(limits, 15.0, 404)
    assert limits.fruitless_pauses(16.0, 0.0) == 0.0
    exchange(limits, 17.0, 429, retry_after=5.0)
    assert limits.fruitless_pauses(20.0, 0.0) == 3.0
    # Who came when there had been 16 s of pauses.
    assert limits.fruitless_pauses(20.0, 16.0) == 2.0


def test_a_success_under_way_is_none() -> None:
    limits = limits_of()
    under_way = admit(limits, 0.0)
    exchange(limits, 0.5, 429, retry_after=10.0)
    limits.release(under_way, 4.5, 200)
    assert limits.fruitless_pauses(4.5, 0.0) == 4.0


@pytest.mark.parametrize("status", [429, 503, None])
def test_a_failure_of_the_probe_is_no_success(status: int | None) -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429, retry_after=10.0)
    other = admit(limits, 10.0)
    limits.release(other, 10.5, status, 0.0)
    assert limits.fruitless_pauses(10.5, 0.0) == 10.0


# --- pacing --------------------------------------------------------------------------------------------------------


def test_nothing_is_spaced_before_a_refusal() -> None:
    limits = limits_of()
    for status in (200, 500, 503, None):
        exchange(limits, 0.0, status)
    assert limits.pace is None


def test_a_429_spaces_the_starts() -> None:
    limits = limits_of()
    exchange(limits, 0.0)
    assert exchange(limits, 0.2, 429) == (Pacing(60.0, 2, 38.0), Pause(0.25))
    probe = admit(limits, 5.0)
    limits.release(probe, 5.001, None)
    starts = [5.0]
    for _ in range(76):
        starts.append(limits.next_start(starts[-1]))
        limits.release(admit(limits, starts[-1]), starts[-1])
    assert [later - earlier for earlier, later in pairwise(starts)] == pytest.approx([1 / 38] * 76)


def test_responses_to_spaced_requests_raise_the_rate() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429)
    pace = limits.pace
    assert pace is not None
    exchange(limits, 5.0)
    assert pace.accepted == 1
    for status in (503, None):
        exchange(limits, 6.0 + (status is None), status)
    assert pace.accepted == 1, "neither is an acceptance"
    exchange(limits, 8.0, 404)
    assert pace.accepted == 2


def test_spacing_ends_when_the_rate_is_back() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429)
    now = 1.0
    while now < 61:
        exchange(limits, now)
        now = max(now + 0.001, limits.next_start(now))
    assert limits.pace is not None
    assert not limits.pace.is_even(now)
    accepted = limits.pace.accepted
    assert [limits.admit(70.0) is not None for _ in range(21)] == [True] * 20 + [False]
    limits.release(limits.last_number, 71.0, 200)
    assert limits.pace.accepted == accepted
    assert limits.free_slots(71.0, taken=0) == 20


def test_the_window_holds_while_starts_are_spaced() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429)
    exchange(limits, 5.0)
    limits.resize(limits.per_second, 100)
    assert limits.pace is not None
    limits.pace.rate = 39.9
    limits.pace.next_start = -math.inf
    for number in range(40):
        limits.mark_sent(admit(limits, 5.1 + number / 39), 5.1)
    assert limits.next_start(6.2) == math.inf


def test_spacing_counts_the_second_before_the_refused_request() -> None:
    limits = limits_of()
    for now in (0.0, 1.1, 1.5):
        exchange(limits, now)
    refused = admit(limits, 2.0)
    exchange(limits, 2.05)
    limits.mark_sent(refused, 2.0)
    # Those of 1.1, 1.5, 2.0 and 2.05: what started later may have arrived before it.
    assert limits.release(refused, 2.2, 429)[0] == Pacing(60.0, 4, 38.0)


def test_a_test_of_a_pause_takes_its_turn_in_the_spacing() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429, retry_after=3600.0)
    limits.release(admit(limits, 60.0, as_test=True), 60.0, 200)
    assert limits.next_start(60.0) == pytest.approx(60 + 1 / 38)


def test_another_limit_is_not_spaced() -> None:
    """What was learned was learned about the old one."""
    limits = limits_of()
    exchange(limits, 0.0, 429)
    limits.resize(limits.per_second, 5)
    assert limits.pace is not None
    limits.resize(20, limits.parallel)
    assert limits.pace is None
    assert exchange(limits, 5.0, 429)[0] == Pacing(60.0, 1, 19.0)


# --- concurrency ---------------------------------------------------------------------------------------------------


def test_a_503_halves_the_concurrency_once_for_all_under_way() -> None:
    limits = limits_of(parallel=8)
    numbers = [admit(limits, 0.0) for _ in range(8)]
    events = [limits.release(number, 0.1, 503) for number in numbers]
    assert events == [(ConcurrencyLowered(4),)] + [()] * 7
    assert limits.max_in_flight == 4
    numbers = [admit(limits, 1.0) for _ in range(4)]
    assert limits.next_start(1.0) == math.inf
    assert limits.release(numbers[0], 1.1, 503) == (ConcurrencyLowered(2),)


def test_a_503_at_the_same_moment_lowers_once() -> None:
    """A coarse clock shows the same time for an admission and for a response."""
    limits = limits_of(parallel=8)
    numbers = [admit(limits, 1.0) for _ in range(8)]
    first, second, *_, last = numbers
    assert limits.release(first, 1.0, 503) == (ConcurrencyLowered(4),)
    assert limits.release(second, 1.0, 503) == limits.release(last, 1.0, 503) == ()


def test_a_503_halves_what_was_allowed_last() -> None:
    """More were in flight than are allowed since."""
    limits = limits_of(parallel=8)
    numbers = [admit(limits, 0.0) for _ in range(8)]
    limits.resize(limits.per_second, 5)
    assert limits.release(numbers[0], 0.1, 503) == (ConcurrencyLowered(2),)
    limits = limits_of(parallel=2)
    numbers = [admit(limits, 0.0) for _ in range(2)]
    limits.resize(limits.per_second, 1)
    assert limits.release(numbers[0], 0.1, 503) == (ConcurrencyLowered(1),)


def test_a_503_halves_what_was_in_flight() -> None:
    limits = limits_of(parallel=20)
    first, *_ = (admit(limits, 0.0) for _ in range(7))
    assert limits.release(first, 0.1, 503) == (ConcurrencyLowered(3),)


def test_a_503_of_a_lonely_request_changes_nothing() -> None:
    limits = limits_of()
    assert exchange(limits, 0.0, 503) == ()
    assert limits.max_in_flight == 20


def test_a_503_counts_what_the_server_may_still_be_busy_with() -> None:
    limits = limits_of()
    for _ in range(9):
        exchange(limits, 0.0, takes=3.0)
    for _ in range(5):
        given_up(limits, 10.0, 11.0)
    # Five that were given up, and the refused one itself.
    assert exchange(limits, 12.0, 503, takes=1.0) == (ConcurrencyLowered(3),)
    given_up(limits, 20.0, 21.0)
    lonely = admit(limits, 22.0)
    assert limits.release(lonely, 24.0, 503) == (), "what was given up has ended by then"


def test_concurrency_is_at_least_one() -> None:
    limits = limits_of(parallel=2)
    first, second = admit(limits, 0.0), admit(limits, 0.0)
    assert limits.release(first, 0.1, 503) == (ConcurrencyLowered(1),)
    limits.release(second, 0.1, 503)
    assert limits.max_in_flight == 1
    admit(limits, 2.0)


def test_each_round_of_responses_gives_a_slot_back() -> None:
    limits = limits_of(parallel=4)
    numbers = [admit(limits, 0.0) for _ in range(4)]
    for number in numbers:
        limits.release(number, 0.1, 503)
    slots = []
    for number in range(8):
        # A broken exchange counts for nothing.
        exchange(limits, 10.0 + number, None)
        exchange(limits, 10.0 + number, 404)
        slots.append(limits.max_in_flight)
    assert slots == [2, 3, 3, 3, 4, 4, 4, 4]
    assert limits.successes == 0


def test_lowering_again_starts_the_round_anew() -> None:
    limits = limits_of(parallel=8)
    for number in [admit(limits, 0.0) for _ in range(8)]:
        limits.release(number, 0.1, 503)
    for _ in range(3):
        exchange(limits, 1.0)
    numbers = [admit(limits, 2.0) for _ in range(4)]
    limits.release(numbers[0], 2.1, 503)
    limits.release(numbers[1], 2.2, 200)
    assert limits.max_in_flight == 2
    limits.release(numbers[2], 2.2, 200)
    assert limits.max_in_flight == 3


# --- priorities ----------------------------------------------------------------------------------------------------


def admitted_of_batch(limits: AccountLimits, now: float, calls: int) -> int:
    return sum(limits.admit(now, is_batch=True) is not None for _ in range(calls))


def test_a_batch_leaves_a_quarter_of_the_slots() -> None:
    limits = limits_of(per_second=100)
    admit(limits, 0.0)
    assert admitted_of_batch(limits, 0.0, 20) == 14
    assert (limits.next_start(0.0, is_batch=True), limits.next_start(0.0)) == (math.inf, 0.0)
    # None came for ten seconds.
    assert limits.admit(9.999, is_batch=True) is None
    assert admitted_of_batch(limits, 10.0, 20) == 5
    assert limits.interactive_at == 0.0


def test_a_batch_leaves_a_quarter_of_the_window() -> None:
    limits = limits_of(per_second=8)
    exchange(limits, 1.0)
    for number in range(5):
        limits.release(limits.admit(1.0, is_batch=True) or number, 1.0, 200)
    assert limits.next_start(1.0, is_batch=True) == pytest.approx(1.0 + SECOND)
    assert limits.next_start(1.0) == 1.0


@pytest.mark.parametrize(("parallel", "left"), [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (8, 6), (40, 30)])
def test_a_batch_has_at_least_one_slot(parallel: int, left: int) -> None:
    limits = limits_of(per_second=100, parallel=parallel)
    exchange(limits, 0.0)
    assert admitted_of_batch(limits, 0.0, 50) == left


def test_a_batch_alone_uses_everything() -> None:
    assert admitted_of_batch(limits_of(), 0.0, 50) == 20


def test_one_of_a_batch_goes_after_seven_that_pass_it_over() -> None:
    limits = limits_of(per_second=100, parallel=40)
    for _ in range(30):
        admit(limits, 0.0)
    for _ in range(7):
        assert not limits.batch_is_due
        assert limits.admit(0.0, is_batch=True, batch_waits=True) is None
        assert limits.admit(0.0, batch_waits=True) is not None
    assert limits.batch_is_due
    assert limits.admit(0.0, is_batch=True, batch_waits=True) is not None
    assert limits.passed_over == 0
    assert limits.admit(0.0, is_batch=True) is None


def test_a_batch_of_another_process_is_passed_over_too() -> None:
    limits = limits_of()
    limits.turns.keep(8, False, 5.0)
    admit(limits, 0.0)
    assert limits.passed_over == 0
    limits.turns.keep(9, True, 5.0)
    admit(limits, 0.0)
    assert limits.passed_over == 1


# --- several processes ---------------------------------------------------------------------------------------------


def test_starts_are_left_to_those_ahead() -> None:
    limits = limits_of(per_second=5, parallel=9)
    for now in (0.0, 0.1, 0.2):
        exchange(limits, now)
    assert [limits.next_start(0.3, ahead=ahead) for ahead in (0, 1, 2, 3, 4, 8)] == pytest.approx(
        [0.3, 0.3, SECOND, 0.1 + SECOND, 0.2 + SECOND, 0.2 + SECOND]
    )


def test_slots_are_left_to_those_ahead() -> None:
    limits = limits_of(per_second=100, parallel=4)
    exchange(limits, 0.0, takes=3.0)
    admit(limits, 10.0)
    given_up(limits, 10.0, 11.0)
    assert [limits.next_start(11.0, ahead=ahead) for ahead in range(4)] == pytest.approx([11.0, 11.0, 13.05, math.inf])


def test_spaced_starts_are_left_to_those_ahead() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429)
    exchange(limits, 5.0)
    pace = limits.pace
    assert pace is not None
    assert [limits.next_start(5.0, ahead=ahead) for ahead in (0, 3)] == pytest.approx(
        [pace.next_start, pace.next_start + 3 / pace.rate]
    )


def test_a_process_waits_for_those_ahead() -> None:
    limits = limits_of(per_second=100, parallel=2)
    limits.turns.keep(8, False, 10.0)
    # There are slots for both.
    assert limits.admit_in_turn(7, 0.0) == 1
    assert limits.in_flight[1].owner == 7
    assert limits.admit_in_turn(7, 0.0) is None
    assert limits.admit_in_turn(8, 0.0) == 2
    assert limits.turns.order == []


def test_where_slots_are_scarce_a_process_keeps_its_share() -> None:
    limits = limits_of(per_second=100, parallel=5)
    for owner in (7, 9, 9):
        assert limits.admit_in_turn(owner, 0.0) is not None
    limits.turns.keep(8, False, 10.0)
    # Of five slots for two that wait this is the second of its own. The odd one is taken in turn.
    assert limits.admit_in_turn(7, 0.0, taken=1) is not None
    assert limits.admit_in_turn(7, 0.0) is None
    assert limits.admit_in_turn(8, 0.0) is not None


@pytest.mark.parametrize(("slots", "keeps"), [(5, False), (6, True)])
def test_what_is_left_over_of_the_shares_is_taken_in_turn(slots: int, keeps: bool) -> None:
    """Where two of three processes kept two of five slots, the third one would get one."""
    limits = limits_of(per_second=100, parallel=slots)
    for _ in range(slots - 2):
        assert limits.admit_in_turn(9, 0.0) is not None
    assert limits.admit_in_turn(7, 0.0) is not None
    for owner in (8, 9):
        limits.turns.keep(owner, False, 10.0)
    assert (limits.admit_in_turn(7, 0.0) is not None) == keeps


def test_half_of_two_slots_is_one() -> None:
    limits = limits_of(per_second=100, parallel=2)
    limits.turns.keep(8, False, 10.0)
    assert limits.admit_in_turn(7, 0.0, taken=5) is not None
    assert limits.admit_in_turn(7, 0.0, taken=5) is None


def test_a_process_that_waits_is_counted_once() -> None:
    limits = limits_of(per_second=100, parallel=4)
    for owner in (7, 9, 9):
        assert limits.admit_in_turn(owner, 0.0) is not None
    for owner in (8, 7):
        limits.turns.keep(owner, False, 10.0)
    # Its share is two.
    assert limits.admit_in_turn(7, 0.0) is not None


def test_slots_that_linger_are_scarce_too() -> None:
    limits = limits_of(per_second=100, parallel=3)
    exchange(limits, 0.0, takes=3.0)
    given_up(limits, 10.0, 11.0)
    admit(limits, 11.0)
    limits.turns.keep(8, False, 20.0)
    assert limits.admit_in_turn(7, 11.0) is not None


def test_a_batch_has_no_share_beside_interactive_requests() -> None:
    limits = limits_of(per_second=100, parallel=4)
    for _ in range(3):
        assert limits.admit_in_turn(9, 0.0, is_batch=True) is not None
    limits.turns.keep(7, True, 10.0)
    limits.turns.keep(8, False, 10.0)
    assert limits.admit_in_turn(7, 0.0, is_batch=True) is None
    assert limits.admit_in_turn(8, 0.0) is not None


def test_what_was_admitted_just_before_leaves_as_much_to_others() -> None:
    limits = limits_of(per_second=5, parallel=100)
    for _ in range(3):
        exchange(limits, 0.0)
    limits.turns.keep(8, False, 10.0)
    assert limits.admit_in_turn(7, 0.0, taken=1) is None
    assert limits.admit_in_turn(7, 0.0) is not None


def test_a_turn_that_is_used_is_of_one_priority() -> None:
    limits = limits_of()
    for is_batch in (True, False):
        limits.turns.keep(7, is_batch, 10.0)
    assert limits.admit_in_turn(7, 0.0, batch_waits=True) is not None
    assert [turn.is_batch for turn in limits.turns.order] == [True]
    assert limits.admit_in_turn(7, 0.0, is_batch=True) is not None
    assert (limits.turns.order, limits.passed_over) == ([], 0)


def test_a_batch_that_waits_in_the_same_process_is_passed_over() -> None:
    limits = limits_of()
    assert limits.admit_in_turn(7, 0.0) is not None
    assert limits.passed_over == 0
    assert limits.admit_in_turn(7, 0.0, batch_waits=True) is not None
    assert limits.passed_over == 1


def test_a_batch_that_is_due_elsewhere_goes_first() -> None:
    limits = limits_of(per_second=3, parallel=100)
    for _ in range(2):
        exchange(limits, 0.0)
    limits.turns.keep(8, True, 10.0)
    limits.passed_over = 7
    assert limits.admit_in_turn(7, 0.0) is None
    limits.passed_over = 6
    assert limits.admit_in_turn(7, 0.0) is not None


def test_those_ahead_of_a_batch_leave_a_part_too() -> None:
    limits = limits_of(per_second=100, parallel=4)
    for _ in range(2):
        admit(limits, 0.0)
    limits.turns.keep(8, True, 10.0)
    assert limits.admit_in_turn(7, 0.0, is_batch=True) is None
    assert limits.admit_in_turn(8, 0.0, is_batch=True) is not None


def test_a_batch_that_is_due_takes_what_is_left_to_others() -> None:
    limits = limits_of(per_second=100, parallel=4)
    for _ in range(3):
        admit(limits, 0.0)
    limits.turns.keep(8, True, 10.0)
    assert limits.admit_in_turn(7, 0.0, is_batch=True) is None
    limits.passed_over = 7
    limits.in_flight[1].owner = limits.in_flight[2].owner = 7
    # The other one's batch was there first.
    assert limits.admit_in_turn(7, 0.0, is_batch=True) is None
    limits.release(3, 0.0, 200)
    assert limits.admit_in_turn(7, 0.0, is_batch=True) is not None


def test_a_request_that_was_sent_unasked_is_taken_over() -> None:
    limits = limits_of()
    assert [limits.adopt(7, 5.0), limits.adopt(8, 6.0)] == [1, 2]
    assert limits.admitted == 0
    assert times_of(limits.in_flight[1]) == (1, 5.0, 5.0, math.inf)
    assert [start.owner for start in limits.in_flight.values()] == [7, 8]
    assert list(limits.window.starts) == list(limits.in_flight.values())


def test_a_request_that_ended_unasked_is_counted() -> None:
    limits = limits_of(per_second=1)
    limits.count_sent(7, 5.0, 6.0)
    assert (limits.in_flight, limits.admitted) == ({}, 0)
    (start,) = limits.window.starts
    assert (start.owner, times_of(start)) == (7, (1, 5.0, 5.0, 6.0))
    assert limits.next_start(6.0) == pytest.approx(6.0 + SECOND)


def test_a_refusal_of_several_processes_is_reported_as_such() -> None:
    limits = limits_of()
    limits.turns.see(7, 0, 0.0, 0)
    assert exchange(limits, 0.0, 429)[0] == Pacing(60.0, 1, 38.0, is_shared=True)


def test_a_process_that_is_gone_leaves_slots_that_linger() -> None:
    limits = limits_of(parallel=3)
    exchange(limits, 0.0, takes=3.0)
    for owner in (7, 8):
        limits.turns.see(owner, 0, 10.0, 0)
        assert limits.admit_in_turn(owner, 10.0) is not None
    limits.turns.keep(7, False, 20.0)
    limits.remove_member(7, 11.0)
    assert limits.lingering == pytest.approx([13.05])
    assert [start.owner for start in limits.in_flight.values()] == [8]
    assert (list(limits.turns.members), limits.turns.order) == ([8], [])


# --- when a process comes again ------------------------------------------------------------------------------------


def until_of(limits: AccountLimits, owner: int) -> float:
    (until,) = (turn.until for turn in limits.turns.order if turn.owner == owner)
    return until


def test_a_process_comes_again_when_a_start_leaves_the_window() -> None:
    limits = limits_of(per_second=5)
    for now in (0.0, 0.1, 0.2, 0.3, 0.4):
        exchange(limits, now)
    assert limits.wait_for_turn(7, 0.5, False, 0.005) == pytest.approx(SECOND)
    assert until_of(limits, 7) == pytest.approx(SECOND + 0.25)
    # It sets out then, and may have a long way.
    assert limits.wait_for_turn(7, 0.5, False, 0.005, delay=3.0) == pytest.approx(SECOND)
    assert until_of(limits, 7) == pytest.approx(SECOND + 3.25)
    # Its own place is behind the other one's.
    assert limits.wait_for_turn(8, 0.5, False, 0.005) == pytest.approx(0.1 + SECOND)
    for owner in range(10, 20):
        limits.turns.keep(owner, False, 5.0)
    assert limits.wait_for_turn(20, 0.5, False, 0.005) == pytest.approx(0.4 + SECOND)


def test_a_process_looks_whether_a_pause_was_ended() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429, retry_after=7.0)
    assert limits.wait_for_turn(7, 1.5, False, 0.005) == 1.75
    assert limits.wait_for_turn(7, 6.9, False, 0.005) == 7.0


def test_a_process_looks_whether_a_slot_is_free() -> None:
    limits = limits_of(parallel=1)
    assert limits.admit_in_turn(9, 10.0) is not None
    assert limits.wait_for_turn(7, 10.5, False, 0.5) == 11.0
    for owner in range(1, 5):
        limits.turns.keep(owner, False, 30.0)
    # Four are ahead.
    assert limits.wait_for_turn(8, 10.5, False, 0.5) == 10.5 + 0.5 * (1 + 5 / 4)
    assert until_of(limits, 8) == 10.5 + 0.5 * (1 + 5 / 4) + 0.25


def test_a_process_looks_for_no_slot_while_the_window_is_full() -> None:
    limits = limits_of(per_second=5, parallel=2)
    for now in (0.0, 0.1, 0.2, 0.3, 0.4):
        exchange(limits, now)
    for owner in range(1, 4):
        limits.turns.keep(owner, False, 30.0)
    assert limits.wait_for_turn(7, 0.9, False, 0.005) == 0.9 + 0.25
    # A start for each of the three that are ahead, and one more.
    assert limits.wait_for_turn(7, 1.2, False, 0.005) == pytest.approx(0.3 + SECOND)


def test_a_process_looks_again_where_others_may_take_all_slots() -> None:
    limits = limits_of(parallel=1)
    limits.turns.keep(8, False, 10.0)
    assert limits.wait_for_turn(7, 1.0, False, 0.5) == 1.0 + 0.5 * 1.25


def test_a_process_comes_no_earlier_than_a_response_can() -> None:
    limits = limits_of(parallel=3)
    exchange(limits, 0.0, takes=3.0)
    for now in (11.0, 10.9, 11.1):
        admit(limits, now)
    assert limits.wait_for_turn(7, 13.875, False, 0.005) == pytest.approx(13.9)
    assert limits.wait_for_turn(8, 13.875, False, 0.005) == 14.0
    for owner in range(10, 20):
        limits.turns.keep(owner, False, 30.0)
    assert limits.wait_for_turn(9, 13.875, False, 0.005) == 14.1


def test_a_process_looks_whether_a_response_came_earlier() -> None:
    limits = limits_of(parallel=1)
    exchange(limits, 0.0, takes=3.0)
    admit(limits, 10.0)
    assert limits.wait_for_turn(7, 10.5, False, 0.005) == 10.75
    assert until_of(limits, 7) == 11.0


def test_a_process_that_may_start_now_comes_soon() -> None:
    limits = limits_of()
    assert limits.wait_for_turn(7, 1.0, False, 0.005) == pytest.approx(1.0002)
    # Others come first.
    assert limits.wait_for_turn(7, 1.0, False, 0.005, taken=1) == 1.005


def test_a_batch_comes_again_when_its_part_is_free() -> None:
    limits = limits_of(per_second=100, parallel=4)
    for _ in range(3):
        admit(limits, 0.0)
    assert limits.wait_for_turn(7, 1.0, True, 0.5) == 1.5
    assert limits.wait_for_turn(8, 1.0, False, 0.5) == pytest.approx(1.0002)
    assert [(turn.owner, turn.is_batch) for turn in limits.turns.order] == [(7, True), (8, False)]
    limits.passed_over = 7
    assert limits.wait_for_turn(7, 1.0, True, 0.5) == pytest.approx(1.0002)


# --- withdraw, resize, shift ---------------------------------------------------------------------------------------


def test_a_withdrawn_start_leaves_no_trace_but_its_number() -> None:
    limits = limits_of(per_second=1, parallel=1)
    limits.withdraw(admit(limits, 0.0))
    assert (limits.admitted, limits.in_flight, list(limits.window.starts)) == (0, {}, [])
    assert admit(limits, 0.0) == 2
    assert limits.next_start(0.0) == math.inf


def test_a_withdrawn_probe_leaves_its_part_to_the_next() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429)
    limits.withdraw(admit(limits, 2.0))
    assert limits.probe is None
    probe = admit(limits, 2.1)
    assert limits.probe == probe


def test_withdrawing_another_keeps_the_probe() -> None:
    limits = limits_of(per_second=9)
    other = admit(limits, 0.0)
    exchange(limits, 0.0, 429)
    probe = admit(limits, 2.0)
    limits.withdraw(other)
    assert limits.probe == probe
    limits.release(probe, 3.0)
    assert limits.probe is None


def test_the_end_of_another_keeps_the_probe() -> None:
    limits = limits_of(per_second=9)
    other = admit(limits, 0.0)
    exchange(limits, 0.0, 429)
    probe = admit(limits, 2.0)
    limits.release(other, 3.0)
    assert limits.probe == probe


def test_resizing_one_limit_leaves_the_other() -> None:
    limits = limits_of(per_second=10, parallel=2)
    limits.resize(3, limits.parallel)
    assert (limits.per_second, limits.parallel, limits.max_in_flight) == (3, 2, 2)
    first, second = admit(limits, 0.0), admit(limits, 0.0)
    limits.release(first, 0.1, 503)
    limits.resize(limits.per_second, 5)
    assert (limits.per_second, limits.parallel, limits.max_in_flight) == (3, 5, 5)
    assert list(limits.in_flight) == [second]


def test_fewer_slots_hold_for_those_in_flight() -> None:
    limits = limits_of(parallel=3)
    numbers = [admit(limits, 0.0) for _ in range(3)]
    limits.resize(limits.per_second, 1)
    for number in numbers:
        assert limits.next_start(0.1) == math.inf
        limits.release(number, 0.1, 200)
    assert limits.next_start(0.1) == 0.1


def test_what_is_abandoned_is_counted_but_not_in_flight() -> None:
    """An event loop ended with calls pending."""
    limits = limits_of(per_second=3)
    exchange(limits, 0.0, 429)
    probe = admit(limits, 5.0)
    limits.mark_sent(probe, math.inf)
    limits.abandon(50.0)
    assert (limits.in_flight, limits.probe, limits.lingering) == ({}, None, [])
    assert [start.counted_by for start in limits.window.starts if start.number == probe] == [50.05]
    assert limits.admit(50.0) is not None
    assert limits.probe == limits.last_number, "the next one goes ahead"


def test_shift_moves_every_moment_and_nothing_else() -> None:
    limits = busy_limits()
    before = all_numbers(astuple(limits))
    starts = limits.next_start(9.0), limits.pause_left(9.0), limits.seconds_paused(9.0)
    limits.shift(-5000.0)
    assert all_numbers(astuple(limits)) != pytest.approx(before)
    assert (limits.next_start(-4991.0) + 5000, *moments(limits, -4991.0)) == pytest.approx(starts)
    limits.shift(5000.0)
    assert all_numbers(astuple(limits)) == pytest.approx(before)


def test_shift_moves_starts_in_flight_and_in_the_window() -> None:
    limits = limits_of(per_second=3)
    gone = admit(limits, 0.0)
    limits.mark_sent(gone, 0.5)
    limits.window.starts.clear()
    exchange(limits, 8.0, takes=0.25)
    both = admit(limits, 8.5)
    limits.mark_sent(both, 8.75)
    limits.shift(100.0)
    assert times_of(limits.in_flight[gone]) == (1, 100.0, 100.5, math.inf)
    assert [times_of(start) for start in limits.window.starts] == [
        (2, 108.0, 108.0, 108.25),
        (3, 108.5, 108.75, math.inf),
    ]


def test_shift_moves_processes_and_their_turns() -> None:
    limits = limits_of(parallel=1)
    limits.turns.see(7, 0, 10.0, 1)
    assert limits.admit_in_turn(7, 10.0) is not None
    comes_at = limits.wait_for_turn(7, 10.0, False, 0.5)
    limits.shift(100.0)
    assert limits.turns.members[7].seen == 110.0
    assert [turn.until for turn in limits.turns.order] == pytest.approx([comes_at + 100.25])


def test_shift_moves_the_spacing_and_slots_that_linger() -> None:
    limits = limits_of()
    for _ in range(3):
        exchange(limits, 0.0, takes=3.0)
    exchange(limits, 4.0, 429)
    given_up(limits, 5.0, 5.5)
    assert limits.pace is not None
    even_until, next_start = limits.pace.even_until, limits.pace.next_start
    limits.shift(100.0)
    assert limits.lingering == pytest.approx([108.05])
    assert (limits.pace.even_until, limits.pace.next_start) == (even_until + 100, next_start + 100)


def test_shift_moves_the_test_of_a_pause() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429, retry_after=3600.0)
    limits.release(admit(limits, 60.0, as_test=True), 61.0)
    limits.shift(-1000.0)
    assert limits.admit(-881.0, as_test=True) is None
    admit(limits, -880.0, as_test=True)


def test_shift_keeps_what_has_never_happened() -> None:
    limits = limits_of()
    number = admit(limits, 1.0)
    limits.mark_sent(number, math.inf)
    limits.shift(100.0)
    assert (limits.paused_until, limits.paused_at, limits.pace) == (-math.inf, -math.inf, None)
    assert times_of(limits.in_flight[number]) == (1, 101.0, math.inf, math.inf)
    assert limits.window.starts[0] is limits.in_flight[number]


# --- in any order --------------------------------------------------------------------------------------------------


@frozen
class Step:
    """One thing that happens, some milliseconds after the one before."""

    after: int
    kind: str
    which: int = 0
    status: int | None = 200
    retry_after: float | None = None


def steps(most: int) -> st.SearchStrategy[list[Step]]:
    return st.lists(
        st.builds(
            Step,
            st.sampled_from([0, 0, 0, 1, 7, 53, 211, 1003, 5009, 61_007]),
            st.sampled_from(["admit"] * 4 + ["send"] * 2 + ["release"] * 3 + ["test", "withdraw", "resize", "abandon"]),
            st.just(0) | st.integers(0, 30),
            st.sampled_from([200, 200, 200, 404, 500, 429, 429, 503, None]),
            st.sampled_from([None, None, 0.0, 0.5, 7.0, 90.0]),
        ),
        max_size=most,
    )


@define(eq=False)
class Scenario:
    """Applies steps to one or more values alike, and holds each against what is promised."""

    values: list[AccountLimits]
    half_milliseconds: int = 0
    # Numbers of requests in flight that were not sent yet, and that were.
    unsent: list[int] = field(factory=list)
    sent: list[int] = field(factory=list)
    withdrawn: int = 0

    @property
    def now(self) -> float:
        return self.half_milliseconds / 2000

    def do(self, step: Step) -> None:  # noqa: C901 - one case for each kind of step
        # Half a millisecond keeps admissions apart from everything else, so that rounding cannot reorder them.
        self.half_milliseconds += 2 * step.after
        self.half_milliseconds += self.half_milliseconds % 2 != (step.kind not in ("admit", "test"))
        now = self.now
        match step.kind:
            case "admit" | "test":
                if number := self.admit(now, as_test=step.kind == "test"):
                    self.unsent.append(number)
            case "send" if self.unsent:
                number = self.unsent.pop(step.which % len(self.unsent))
                self.sent.append(number)
                for limits in self.values:
                    limits.mark_sent(number, now)
            case "release" if self.sent:
                # A duration without a response stands for a caller that gave up.
                given_up = step.status is None and step.retry_after is not None
                number = self.sent.pop(step.which % len(self.sent))
                self.release(number, now, step.status, step.retry_after, given_up)
            case "release" if self.unsent:
                self.release(self.unsent.pop(step.which % len(self.unsent)), now, None, None, False)
            case "abandon" if step.which == 1:
                self.sent.clear()
                self.unsent.clear()
                for limits in self.values:
                    limits.abandon(now)
            case "withdraw" if self.unsent:
                number = self.unsent.pop(step.which % len(self.unsent))
                self.withdrawn += 1
                for limits in self.values:
                    limits.withdraw(number)
            case "resize":
                # Never fewer slots than requests, so that the bound below holds at every moment.
                parallel = max(1, step.which, len(self.sent) + len(self.unsent))
                for limits in self.values:
                    limits.resize(step.which or limits.per_second, parallel if step.status == 200 else limits.parallel)
        self.check(now)

    def admit(self, now: float, as_test: bool) -> int | None:
        numbers = [limits.admit(now, as_test) for limits in self.values]
        for at, limits in enumerate(self.values):
            if numbers[at] is None and any(numbers):
                # Another one has admitted it; this one does so within the rounding.
                numbers[at] = limits.admit(now + 2 * MICROSECOND, as_test)
        assert len(set(numbers)) == 1, numbers
        return numbers[0]

    def release(self, number: int, now: float, status: int | None, retry_after: float | None, given_up: bool) -> None:
        events = [limits.release(number, now, status, retry_after, given_up) for limits in self.values]
        for other in events[1:]:
            assert [type(event) for event in other] == [type(event) for event in events[0]]
            for mine, its in zip(events[0], other, strict=True):
                assert astuple(its) == pytest.approx(astuple(mine), abs=1e-4)

    def check(self, now: float) -> None:
        for limits in self.values:
            assert len(limits.in_flight) <= limits.parallel
            assert 1 <= limits.max_in_flight <= limits.parallel
            assert sorted(limits.in_flight) == sorted(self.sent + self.unsent)
            assert limits.admitted == limits.last_number - self.withdrawn
            assert limits.probe is None or limits.probe in limits.in_flight
            assert len(limits.window.starts) <= max(limits.per_second, 45) + 30
            assert -MICROSECOND <= limits.seconds_paused(now) <= limits.pauses_in_all + MICROSECOND
            free = limits.free_slots(now, taken=len(limits.in_flight))
            # Spaced starts are planned for half a second.
            assert free == 0 or is_even(limits, now) or limits.next_start(now) == now
            assert free <= max(0, limits.max_in_flight - len(limits.in_flight) - len(limits.lingering))
            assert len(limits.lingering) <= limits.parallel + 30
            assert limits.pace is None or limits.per_second / 10 <= limits.pace.rate <= limits.per_second
        starts = [limits.next_start(now) for limits in self.values]
        assert min(starts) >= now
        assert starts == pytest.approx([starts[0]] * len(starts), abs=2 * MICROSECOND)


def is_even(limits: AccountLimits, now: float) -> bool:
    return limits.pace is not None and limits.pace.is_even(now)


@given(steps(80), st.integers(1, 45), st.integers(1, 25))
def test_in_any_order_the_slots_are_kept(happens: list[Step], per_second: int, parallel: int) -> None:
    limits = limits_of(per_second, parallel)
    scenario = Scenario([limits])
    paused = 0.0
    for step in happens:
        before, admitted, trusted = limits.paused_until, limits.last_number, limits.pauses_in_a_row == 0
        free = limits.max_in_flight - len(limits.in_flight)
        scenario.do(step)
        now = scenario.now
        assert limits.seconds_paused(now) >= paused - MICROSECOND, "the seconds of pauses never become fewer"
        paused = limits.seconds_paused(now)
        if limits.last_number > admitted:
            assert free > sum(end > now for end in limits.lingering)
            assert now >= before or step.kind == "test"
            # Or the probe before it is late, which ends the distrust.
            assert trusted or limits.probe == limits.last_number or limits.pauses_in_a_row == 0
    # Whatever has happened, nothing is lost: in the end as many start as there are slots.
    for number in scenario.sent + scenario.unsent:
        limits.release(number, scenario.now + 1, None)
    now = scenario.now + 3 * 3600
    while limits.pauses_in_a_row or limits.max_in_flight < limits.parallel or is_even(limits, now):
        exchange(limits, now)
        now += 61
    assert [limits.admit(now) is not None for _ in range(limits.parallel)] == [
        number < limits.per_second for number in range(limits.parallel)
    ]


@given(steps(60), steps(30), st.integers(1, 45), st.integers(1, 25), st.booleans())
def test_what_was_read_behaves_as_what_was_written(
    before: list[Step], after: list[Step], per_second: int, parallel: int, twice: bool
) -> None:
    limits = limits_of(per_second, parallel)
    scenario = Scenario([limits])
    for step in before:
        scenario.do(step)
    content = dumps(limits)
    read = loads(content)
    assert dumps(read) == content
    scenario.values.append(read)
    if twice:
        # By the time of day, as in a file.
        limits.shift(1_790_000_000.0)
        elsewhere = loads(dumps(limits))
        limits.shift(-1_790_000_000.0)
        elsewhere.shift(-1_790_000_000.0)
        scenario.values.append(loads(dumps(elsewhere)))
    scenario.check(scenario.now)
    for step in after:
        scenario.do(step)


# --- a server that counts ------------------------------------------------------------------------------------------


@frozen
class Travel:
    """How one request travels: seconds to connect, to the server, and until its caller gives up."""

    connecting: float
    there: float
    gives_up: float | None


travels = st.lists(
    st.builds(
        Travel,
        st.sampled_from([0.0, 0.0, 0.0, 0.02, 0.4]),
        st.floats(0.0, 0.0099),
        st.sampled_from([None, None, None, 0.0, 0.03, 0.7]),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.no_cover
@settings(max_examples=60)
@given(
    travels,
    st.sampled_from([0.0, 0.02, 0.04]),
    st.sampled_from([0.0, 0.005, 0.04, 0.4, 1.5]),
    st.sampled_from([1, 3, 40]),
    st.sampled_from([1, 20, 60]),
    st.booleans(),
)
def test_no_second_holds_more_than_a_server_allows(
    travels: list[Travel], distance: float, work: float, per_second: int, parallel: int, stored: bool
) -> None:
    """Requests start as soon as they may, and the server counts them when they arrive."""
    limits, now, pending, arrivals = limits_of(per_second, parallel), 0.0, list[tuple[float, int, str]](), list[float]()
    way = cycle(travels)
    while limits.admitted < 4 * max(per_second, 15):
        if stored:
            limits = loads(dumps(limits))
        if number := limits.admit(now):
            travel = next(way)
            sent = now + travel.connecting
            arrived = sent + distance + travel.there
            arrivals.append(arrived)
            heapq.heappush(pending, (sent, number, "0 sent"))
            response = arrived + work
            gives_up = math.inf if travel.gives_up is None else sent + travel.gives_up
            kind = "1 response" if response < gives_up else "2 silence"
            heapq.heappush(pending, (min(response, gives_up), number, kind))
            continue
        now = min(limits.next_start(now), pending[0][0] if pending else math.inf)
        while pending and pending[0][0] <= now:
            _, number, kind = heapq.heappop(pending)
            if kind == "0 sent":
                limits.mark_sent(number, now)
            else:
                limits.release(number, now, 200 if kind == "1 response" else None)
    arrivals.sort()
    for earlier, later in zip(arrivals, arrivals[per_second:], strict=False):
        assert later - earlier >= 1.0


def test_requests_are_counted_for_the_process_that_sends_them() -> None:
    limits = AccountLimits(40, 20)
    one, other = (limits.turns.see(owner, 0, 10.0, waiting=0) for owner in (1, 2))
    number = limits.admit(10.0, owner=1)
    assert number
    assert limits.admit(10.0, owner=1)
    assert limits.admit(10.0)
    assert (one.admitted, other.admitted) == (2, 0)
    limits.withdraw(number)
    assert (one.admitted, other.admitted) == (1, 0)
