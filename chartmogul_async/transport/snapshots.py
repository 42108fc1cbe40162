"""The limits of an account as some hundred bytes, and back; starts to the microsecond, round trips to a millisecond."""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Iterable
from operator import attrgetter
from typing import Any
from zlib import crc32

from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.pace import Pace
from chartmogul_async.transport.window import Start, Window

_TIMES = ("paused_at", "paused_until", "tested_at")
_PACE_TIMES = ("refused_at", "grown_at", "even_until", "next_start")
_DURATIONS = ("pauses_in_all", "pauses_before_success", "refusal_trip")
_PACE_NUMBERS = ("rate", "failed_rate", "even_for")
_INTEGERS = (
    "per_second",
    "parallel",
    "max_in_flight",
    "admitted",
    "last_number",
    "paused_number",
    "lowered_number",
    "pauses_in_a_row",
    "successes",
)

# A version, five lengths, and the time that all others refer to; a checksum ends the whole.
_VERSION = 1
_HEAD = struct.Struct("<BHHHHHd")
_NUMBERS = struct.Struct("<IIIQQQQIIQI")
_FLOATS = struct.Struct(f"<{len(_TIMES + _PACE_TIMES + _DURATIONS + _PACE_NUMBERS)}d")
# How many starts ago, and the microseconds before or after the reference of admission, sending and being counted.
_START = struct.Struct("<Iiii")
_UNKNOWN = 2**31 - 1
_LONGEST_TRIP = 2**16 - 1
_CHECKSUM = 4


def dumps(limits: AccountLimits) -> bytes:
    """Write everything that is known.

    That is 191 bytes for limits that nothing has used, 991 where the default ones were used up in the last second, and
    1295 with nineteen long exchanges beside that; each slot that lingers takes 4 more.
    """
    window, pace = limits.window, limits.pace or Pace(limits.per_second, limits.per_second)
    counted = {start.number for start in window.starts}
    # In this order three lengths are enough to know which starts are in flight, and which are in the window.
    gone = [start for start in limits.in_flight.values() if start.number not in counted]
    both = [start for start in limits.in_flight.values() if start.number in counted]
    ended = [start for start in window.starts if start.number not in limits.in_flight]
    starts = (*gone, *both, *ended)
    reference = max((*(start.admitted for start in starts), *limits.lingering), default=0.0)
    trips = [max(0, min(round(trip * 1_000_000) // 1000, _LONGEST_TRIP)) for trip in window.round_trips]
    lengths = (len(gone), len(limits.in_flight), len(starts), len(trips), len(limits.lingering))
    integers = (*_values(limits, _INTEGERS), limits.probe or 0, pace.accepted)
    content = b"".join(
        (
            _HEAD.pack(_VERSION, *lengths, reference),
            _NUMBERS.pack(*integers),
            _FLOATS.pack(*_values(limits, _TIMES + _DURATIONS), *_values(pace, _PACE_TIMES + _PACE_NUMBERS)),
            *(_packed(start, limits.last_number, reference) for start in starts),
            struct.pack(f"<{len(limits.lingering)}i", *(_offset(end, reference) for end in limits.lingering)),
            struct.pack(f"<{len(trips)}H", *trips),
        )
    )
    return content + _checksum(content)


def loads(content: bytes) -> AccountLimits:
    """Read what ``dumps`` wrote.

    Raises:
        ValueError: The bytes were not written by this version of ``dumps``.
    """
    content, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:]
    if not content or checksum != _checksum(content):
        raise ValueError("these bytes are not the limits of an account")
    if content[0] != _VERSION:
        raise ValueError(f"the limits were written by version {content[0]}, not {_VERSION}")
    _, gone, in_flight, known, trips, lingering, reference = _HEAD.unpack_from(content)
    floats_at = _HEAD.size + _NUMBERS.size
    starts_at = floats_at + _FLOATS.size
    lingering_at = starts_at + known * _START.size
    *integers, probe, accepted = _NUMBERS.unpack_from(content, _HEAD.size)
    numbers: dict[str, Any] = dict(zip(_INTEGERS, integers, strict=True))
    names = (*_TIMES, *_DURATIONS, *_PACE_TIMES, *_PACE_NUMBERS)
    floats: dict[str, Any] = dict(zip(names, _FLOATS.unpack_from(content, floats_at), strict=True))
    starts = [
        Start(numbers["last_number"] - age, *(_moment(offset, reference) for offset in offsets))
        for age, *offsets in _START.iter_unpack(content[starts_at:lingering_at])
    ]
    ends = struct.unpack_from(f"<{lingering}i", content, lingering_at)
    round_trips = struct.unpack_from(f"<{trips}H", content, lingering_at + 4 * lingering)
    window = Window(deque(sorted(starts[gone:], key=attrgetter("number"))))
    for trip in round_trips:
        window.learn_trip(trip / 1000)
    pace = Pace(numbers["per_second"], accepted=accepted, **_taken(floats, _PACE_TIMES + _PACE_NUMBERS))
    return AccountLimits(
        window=window,
        pace=None if pace.refused_at == -math.inf else pace,
        in_flight={start.number: start for start in starts[:in_flight]},
        lingering=[_moment(end, reference) for end in ends],
        probe=probe or None,
        **numbers,
        **_taken(floats, _TIMES + _DURATIONS),
    )


def _values(holder: object, names: Iterable[str]) -> list[float]:
    return [getattr(holder, name) for name in names]


def _taken(values: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: values[name] for name in names}


def _packed(start: Start, last_number: int, reference: float) -> bytes:
    moments = (start.admitted, start.sent, start.counted_by)
    return _START.pack(last_number - start.number, *(_offset(moment, reference) for moment in moments))


def _checksum(content: bytes) -> bytes:
    return crc32(content).to_bytes(_CHECKSUM, "little")


def _offset(moment: float, reference: float) -> int:
    if moment == math.inf:
        return _UNKNOWN
    return max(-_UNKNOWN, min(_UNKNOWN - 1, round((moment - reference) * 1_000_000)))


def _moment(offset: int, reference: float) -> float:
    return math.inf if offset == _UNKNOWN else reference + offset / 1_000_000
