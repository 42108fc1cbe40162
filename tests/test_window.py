"""The rolling second: how long a request may still be counted by the server, with a response and without."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async.transport.window import RECENT, Start, Window

# The server's second with its margin.
SECOND = 1.001
MANY = 40


def started(window: Window, sent: float, number: int = 1) -> Start:
    start = Start(number, admitted=sent, sent=sent)
    window.starts.append(start)
    return start


def window_of(*round_trips: float) -> Window:
    window = Window()
    for trip in round_trips:
        window.learn_trips((trip,))
    return window


def counted_by(trip: float, *round_trips: float, limit: int = MANY) -> float:
    """When a request that was sent at 10.0 was counted at the latest, after a response that took so long."""
    window = window_of(*round_trips)
    start = started(window, 10.0)
    window.learn(start, 10.0 + trip, responded=True, limit=limit)
    return start.counted_by


@pytest.mark.no_cover
@pytest.mark.parametrize("number", [1, RECENT - 1, RECENT, RECENT + 1, 3 * RECENT])
@given(st.randoms(use_true_random=False), st.sampled_from([1, 6]))
def test_what_trips_teach_one_by_one_they_teach_at_once(number: int, random: Random, digits: int) -> None:
    trips = [round(random.random(), digits) for _ in range(number)]
    one_by_one, at_once = Window(), Window()
    for number, trip in enumerate(trips):
        one_by_one.learn(started(one_by_one, 0.0, number), trip, responded=True, limit=MANY)
    at_once.learn_trips(trips)
    recent = sorted(trips[-RECENT:])
    for window in (one_by_one, at_once):
        assert window.round_trips == trips[-RECENT:]
        assert (window.fastest, window.usual) == (recent[0], recent[(len(recent) - 1) * 9 // 10])


# --- with a response -----------------------------------------------------------------------------------------------


def test_a_usual_response_bounds_the_arrival_at_50_ms() -> None:
    assert counted_by(0.5, *[0.3] * 5, *[0.5] * 5) == pytest.approx(10.05)


def test_the_fastest_round_trip_bounds_the_arrival_of_a_late_request() -> None:
    # What took unusually long may have been the request.
    assert counted_by(2.0, *[0.3] * 20) == pytest.approx(12.0 - (0.3 - 0.01))


def test_the_earlier_bound_of_the_two_counts() -> None:
    assert counted_by(0.3, *[0.29] * 20) == pytest.approx(10.02)


def test_the_first_response_is_the_fastest_itself() -> None:
    assert counted_by(0.4) == pytest.approx(10.01)


def test_a_round_trip_below_the_margin_bounds_at_the_response() -> None:
    assert counted_by(0.004) == pytest.approx(10.004)


@pytest.mark.parametrize(("trip", "expected"), [(0.529, 10.05), (0.531, 10.531 - 0.39)])
def test_usual_is_a_fifth_and_50_ms_more_than_most_take(trip: float, expected: float) -> None:
    """1.2 x 0.4 + 0.05 is 0.53."""
    assert counted_by(trip, *[0.4] * 30) == pytest.approx(expected)


@pytest.mark.parametrize(("limit", "expected"), [(8, 10.3), (9, 10.01)])
def test_few_requests_a_second_count_until_their_response(limit: int, expected: float) -> None:
    """Nothing averages out where they are few."""
    assert counted_by(0.3, *[0.3] * 20, limit=limit) == pytest.approx(expected)


def test_few_requests_a_second_teach_what_is_usual_all_the_same() -> None:
    window = Window()
    window.learn(started(window, 0.0), 0.3, responded=True, limit=2)
    assert (window.fastest, window.usual) == pytest.approx((0.3, 0.3))


def test_usual_is_what_nine_of_ten_do_not_exceed() -> None:
    assert window_of(*[0.1] * 8, 0.7, 0.9).usual == 0.7
    assert window_of(*[0.1] * 9, 0.7, 0.8, *[0.1] * 9).usual == 0.1
    assert window_of(*[0.1] * 9, 0.7, 0.8, 0.9, *[0.1] * 9).usual == 0.7
    assert (window_of(0.4).usual, window_of(0.4).fastest) == (0.4, 0.4)
    assert (window_of().usual, window_of().fastest) == (0.0, 0.0)


def test_the_fastest_is_of_the_recent_eighty() -> None:
    assert window_of(0.01, *[0.5] * 79).fastest == 0.01
    assert window_of(0.01, *[0.5] * 80).fastest == 0.5
    assert window_of(0.9, *[0.5] * 80).usual == 0.5


def test_a_response_to_what_was_not_reported_as_sent() -> None:
    """A connection that reports nothing is taken to have sent it at once."""
    window, start = Window(), Start(1, admitted=10.0)
    window.starts.append(start)
    window.learn(start, 10.4, responded=True, limit=MANY)
    assert (start.sent, start.counted_by) == pytest.approx((10.0, 10.01))


# --- without a response --------------------------------------------------------------------------------------------


def test_an_exchange_that_broke_unsent_counts_until_it_broke() -> None:
    """It may have been sent at the last moment, without a report."""
    window, start = Window(), Start(1, admitted=10.0)
    window.starts.append(start)
    window.learn(start, 10.4, responded=False, limit=MANY)
    assert (start.sent, window.usual) == (10.4, 0.0)
    assert start.counted_by == pytest.approx(10.45)


def test_an_exchange_that_ends_early_counts_until_it_has_arrived() -> None:
    """Its caller gave up at once, which does not stop the request."""
    window = Window()
    start = started(window, 10.0)
    window.learn(start, 10.01, responded=False, limit=MANY)
    assert start.counted_by == pytest.approx(10.05)


def test_an_exchange_that_broke_after_sending_counts_until_it_broke() -> None:
    window = window_of(0.03)
    start = started(window, 10.0)
    window.learn(start, 13.0, responded=False, limit=MANY)
    assert (start.sent, start.counted_by, window.usual) == (10.0, 13.0, 0.03)


def test_an_unsent_request_stays_counted() -> None:
    window = window_of(0.3)
    window.starts.append(Start(1, admitted=0.0))
    assert window.opens_at(1000.0, limit=1) == math.inf


def test_an_unanswered_request_stays_counted_without_experience() -> None:
    window = Window()
    started(window, 0.0)
    assert window.opens_at(0.04, limit=1) == window.opens_at(0.1, limit=1) == math.inf


def test_an_unanswered_request_arrives_within_300_ms_at_first() -> None:
    """Only as long as its response is not overdue: 1.2 x 0.3 + 0.05 is 0.41."""
    window = window_of(0.3)
    started(window, 10.0)
    assert window.opens_at(10.4, limit=1) == pytest.approx(10.3 + SECOND)
    assert window.opens_at(10.42, limit=1) == math.inf


def test_slow_responses_let_unanswered_requests_leave() -> None:
    """Handlers that take seconds: a request does not travel that long."""
    window = window_of(3.0)
    start = started(window, 10.0)
    assert window.count(11.3) == 1
    assert window.count(11.302) == 0
    assert window.starts.count(start) == 0
    # What it learns then is of no use, and harms nothing.
    window.learn(start, 13.0, responded=True, limit=MANY)
    assert window.opens_at(13.0, limit=1) == 13.0


# --- the window itself ---------------------------------------------------------------------------------------------


def ended(window: Window, *moments: float) -> None:
    for number, moment in enumerate(moments):
        start = started(window, moment, number)
        start.counted_by = moment


def test_a_full_window_opens_when_its_first_start_leaves_it() -> None:
    window = Window()
    ended(window, 0.0, 0.1, 0.2)
    assert window.opens_at(0.3, limit=4) == 0.3
    assert window.opens_at(0.3, limit=3) == pytest.approx(SECOND)
    assert window.opens_at(SECOND, limit=3) == SECOND


def test_a_window_with_surplus_waits_for_several_to_leave() -> None:
    window = Window()
    ended(window, 0.0, 0.1, 0.2, 0.3, 0.4)
    assert window.opens_at(0.5, limit=2) == pytest.approx(0.3 + SECOND)


def test_what_was_counted_first_leaves_first() -> None:
    window = Window()
    ended(window, 0.6, 0.1)
    assert window.opens_at(0.7, limit=2) == pytest.approx(0.1 + SECOND)


def test_an_unsent_start_does_not_keep_the_others_in_the_window() -> None:
    window = Window()
    window.starts.append(Start(0, admitted=0.0))
    for number in range(100):
        ended(window, number * 2.0)
        assert window.opens_at(number * 2 + 1.5, limit=2) == number * 2 + 1.5
    assert len(window.starts) == 1


def test_a_removed_start_is_not_counted() -> None:
    window = Window()
    start = started(window, 0.0)
    window.remove(start)
    assert window.opens_at(0.0, limit=1) == 0.0


def test_a_start_that_left_the_window_may_be_removed() -> None:
    window = Window()
    start = started(window, 0.0)
    ended_at = 5.0
    window.learn(start, ended_at, responded=True, limit=40)
    assert window.count(ended_at + 2.0) == 0
    window.remove(start)
    assert not window.starts


def test_it_counts_at_an_earlier_moment() -> None:
    window = Window()
    ended(window, 0.0, 0.5, 1.2)
    assert [window.count_at(moment) for moment in (1.0, 1.002, 1.6)] == [3, 2, 1]
