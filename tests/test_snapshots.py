"""The limits of an account as bytes: what is read behaves as what was written, and nothing else is read."""

from __future__ import annotations

import math
import sys
from zlib import crc32

import pytest
from attrs import astuple, fields
from hypothesis import example, given
from hypothesis import strategies as st

from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.pace import Pace
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

LARGEST_OWNER = 2**32 - 1

# --- what is written --------------------------------------------------------------------------------------------------


def full_limits() -> AccountLimits:
    """As much as an account with the default limits remembers in one second."""
    limits = limits_of()
    for number in range(100):
        exchange(limits, number * 0.1, takes=0.03)
    for _ in range(20):
        exchange(limits, 20.0, takes=0.03)
    for _ in range(20):
        limits.mark_sent(admit(limits, 20.1), 20.1)
    assert (len(limits.window.starts), len(limits.in_flight), len(limits.window.round_trips)) == (40, 20, 80)
    return limits


def long_limits() -> AccountLimits:
    """Requests that the window has forgotten, slots that linger, a probe that is out, and a rate that was lowered."""
    limits = limits_of()
    exchange(limits, 0.0, takes=10.0)
    for _ in range(15):
        limits.mark_sent(admit(limits, 20.0), 20.0)
    assert limits.window.count(21.9) == 0
    given_up(limits, 22.0, 22.5)
    exchange(limits, 23.0, 429, takes=0.5)
    exchange(limits, 24.0, takes=0.5)
    exchange(limits, 25.0, 429, takes=0.5)
    limits.mark_sent(admit(limits, 27.0), 27.0)
    return limits


def shared_limits() -> AccountLimits:
    """Two processes, one of which waits with requests of both priorities."""
    limits = limits_of(parallel=2)
    limits.turns.see(7, 4321, 10.0, 3).admitted = 5
    limits.turns.see(LARGEST_OWNER, 0, 11.0, 0)
    for owner in (7, LARGEST_OWNER):
        assert limits.admit_in_turn(owner, 11.5) is not None
    for is_batch in (True, False):
        limits.wait_for_turn(7, 12.0, is_batch, 0.005)
    return limits


STATES = {"shared": shared_limits, "busy": busy_limits, "full": full_limits, "long": long_limits}


@pytest.mark.parametrize("state", STATES)
def test_what_is_read_is_what_was_written(state: str) -> None:
    limits = STATES[state]()
    read = loads(dumps(limits))
    assert dumps(read) == dumps(limits)
    names = [each.name for each in fields(AccountLimits) if each.name not in ("window", "in_flight", "pace", "turns")]
    assert len(names) == 19
    for name in names:
        expected = getattr(limits, name)
        assert getattr(read, name) == (expected if expected is None else pytest.approx(expected, abs=MICROSECOND))
    for mine, its in (
        (limits.window.starts, read.window.starts),
        (limits.in_flight.values(), read.in_flight.values()),
    ):
        assert [times_of(start) for start in its] == [pytest.approx(times_of(start), abs=MICROSECOND) for start in mine]
    assert all_numbers(astuple(read.turns)) == pytest.approx(all_numbers(astuple(limits.turns)), abs=MICROSECOND)
    # One start is one object, so that what is learned about it is known to the window too.
    assert all(read.in_flight.get(start.number, start) is start for start in read.window.starts)
    counted = {start.number for start in read.window.starts}
    assert (state == "long") == (not set(read.in_flight) <= counted)
    assert read.window.round_trips == pytest.approx(limits.window.round_trips, abs=MICROSECOND)
    assert (read.window.fastest, read.window.usual) == pytest.approx(
        (limits.window.fastest, limits.window.usual), abs=0.001
    )
    assert len(read.window.round_trips) <= 80


@pytest.mark.parametrize("state", ["busy", "long"])
def test_the_pace_that_is_read_is_the_pace_that_was_written(state: str) -> None:
    limits = STATES[state]()
    pace, read = limits.pace, loads(dumps(limits)).pace
    assert pace is not None
    assert read is not None
    for each in fields(Pace):
        assert getattr(read, each.name) == pytest.approx(getattr(pace, each.name), abs=MICROSECOND), each.name
    assert pace.accepted == (1 if state == "busy" else 0)


def test_slots_that_linger_alone_are_near_their_moment() -> None:
    """Nothing else is left of the second in which they began."""
    limits = limits_of(per_second=1)
    exchange(limits, 1e6, takes=10.0)
    given_up(limits, 1e6 + 20, 1e6 + 21)
    assert limits.window.count(1e6 + 23) == 0
    assert loads(dumps(limits)).lingering == pytest.approx([1e6 + 25.05], abs=MICROSECOND)


def test_new_limits_can_be_written_and_read() -> None:
    limits = limits_of(7, 3)
    read = loads(dumps(limits))
    assert dumps(read) == dumps(limits)
    assert (read.per_second, read.parallel, read.probe, read.paused_until) == (7, 3, None, -math.inf)
    assert read.pace is None


def test_a_limit_that_is_none_can_be_written_and_read() -> None:
    read = loads(dumps(AccountLimits(sys.maxsize, sys.maxsize)))
    assert read.per_second == read.parallel == read.max_in_flight == 2**32 - 1


def test_a_full_second_is_less_than_two_kilobytes() -> None:
    assert len(dumps(limits_of())) == 207
    limits = full_limits()
    assert len(dumps(limits)) == 1807
    limits.lingering.append(20.0)
    assert len(dumps(limits)) == 1815


def test_a_full_second_beside_long_exchanges_is_bounded() -> None:
    """Nineteen requests that have been in flight for long, and a fast one in the slot that is left."""
    limits = limits_of()
    exchange(limits, 0.0, takes=6.0)
    for _ in range(19):
        limits.mark_sent(admit(limits, 6.0), 6.0)
    assert limits.window.count(8.0) == 0
    for number in range(1000):
        now = 10 + number * 0.01
        if limits.next_start(now) <= now:
            exchange(limits, now, takes=0.005)
    assert (len(limits.window.starts), len(limits.in_flight)) == (40, 19)
    content = dumps(limits)
    assert len(content) == 2415
    # Those that have left the window are not in it again when they are read.
    read = loads(content)
    assert (len(read.window.starts), list(read.in_flight)) == (40, list(limits.in_flight))
    assert dumps(read) == content
    read.release(2, 20.0, 200)
    limits.release(2, 20.0, 200)
    assert read.next_start(20.0) == pytest.approx(limits.next_start(20.0), abs=2 * MICROSECOND)


def test_a_probe_that_is_read_is_still_the_probe() -> None:
    limits = limits_of()
    exchange(limits, 0.0, 429)
    probe = admit(limits, 2.0)
    limits = loads(dumps(limits))
    assert limits.admit(2.0) is None
    assert limits.probe == probe
    limits.mark_sent(probe, 2.0)
    limits.release(probe, 2.1, 200)
    assert limits.next_start(3.0) == 3.0


def test_what_was_under_way_when_a_pause_began_still_was() -> None:
    """A clock may show the same time twice, so that a moment does not tell what came first."""
    limits, now = limits_of(), 10 + 0.6 * MICROSECOND
    old, overloaded, refused, *others = (admit(limits, now) for _ in range(6))
    limits.release(overloaded, now, 503)
    limits.release(refused, now, 429)
    for number in others:
        limits.release(number, now)
    admit(limits, 12.0)
    limits = loads(dumps(limits))
    assert limits.paused_number == limits.lowered_number == others[-1]
    assert limits.release(old, 13.0, 429) == ()


@pytest.mark.parametrize("clock", [0.0, 12_345.678901, 1_790_000_000.123456, -86_400.5])
def test_another_clock_reads_and_writes_the_same(clock: float) -> None:
    """As when a value is kept by the time of day, and each process has a clock of its own."""
    limits = busy_limits()
    starts = limits.next_start(9.0), *moments(limits, 9.0)
    limits.shift(clock)
    content = dumps(limits)
    read = loads(content)
    assert dumps(read) == content
    read.shift(-clock)
    assert (read.next_start(9.0), *moments(read, 9.0)) == pytest.approx(starts, abs=2 * MICROSECOND)


@pytest.mark.parametrize("trip", [-MICROSECOND, 0.0, 0.0004, 0.001, 1.0014, 65.535, 1000.0])
def test_round_trips_are_kept_to_seven_digits(trip: float) -> None:
    """Rounding may put the sending a microsecond after the response."""
    limits = limits_of()
    exchange(limits, 0.0, takes=trip)
    once = loads(dumps(limits))
    assert once.window.round_trips == [pytest.approx(trip, rel=1e-6, abs=MICROSECOND)]
    assert loads(dumps(once)).window.round_trips == once.window.round_trips


def test_moments_long_ago_are_known() -> None:
    limits = limits_of()
    forgotten = admit(limits, 0.0)
    limits.mark_sent(forgotten, math.inf)
    exchange(limits, 10_000.0)
    read = loads(dumps(limits))
    assert read.in_flight[forgotten].admitted == pytest.approx(0.0, abs=0.001)
    assert read.in_flight[forgotten].sent == math.inf
    ahead = limits_of()
    ahead.mark_sent(admit(ahead, 0.0), 10_000.0)
    assert loads(dumps(ahead)).in_flight[1].sent == pytest.approx(10_000, abs=0.001)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"\x01" + tail))
@example(b"")
@example(b"\x00" * 4)
@example(b"\x01" + b"\x00" * 200)
def test_garbage_is_not_read(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^these bytes are not the limits of an account$"):
        loads(content)


def test_what_is_cut_off_or_changed_is_not_read() -> None:
    content = dumps(busy_limits())
    damaged = [content[:length] for length in range(len(content))]
    damaged += [content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in range(len(content))]
    damaged += [content + b"\x00", content * 2]
    for each in damaged:
        with pytest.raises(ValueError, match="these bytes are not the limits of an account"):
            loads(each)


def test_another_version_is_not_read() -> None:
    content = b"\x04" + dumps(busy_limits())[1:-4]
    with pytest.raises(ValueError, match=r"^the limits were written by version 4, not 3$"):
        loads(content + crc32(content).to_bytes(4, "little"))
