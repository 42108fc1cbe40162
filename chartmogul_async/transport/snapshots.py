"""The limits of an account as one or two thousand bytes, and back."""

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
from chartmogul_async.transport.turns import Member, Turn, Turns
from chartmogul_async.transport.window import Start, Window

_TIMES = ("paused_at", "paused_until", "tested_at", "interactive_at")
_PACE_TIMES = ("refused_at", "grown_at", "even_until", "next_start")
_DURATIONS = ("pauses_in_all", "pauses_before_success", "refusal_trip")
_PACE_NUMBERS = ("rate", "failed_rate", "even_for")
_SMALL = ("per_second", "parallel", "max_in_flight", "pauses_in_a_row", "passed_over")
_LARGE = ("admitted", "last_number", "paused_number", "lowered_number", "successes")

# A version and seven lengths; a checksum ends the whole.
VERSION = 3
_HEAD = struct.Struct("<B7H")
# The large ones end with the number of the probe and how many responses the pace has seen.
_NUMBERS = struct.Struct(f"<{len(_SMALL)}I{len(_LARGE) + 2}Q")
_FLOATS = struct.Struct(f"<{len(_TIMES + _PACE_TIMES + _DURATIONS + _PACE_NUMBERS)}d")
_NAMES = (*_TIMES, *_DURATIONS, *_PACE_TIMES, *_PACE_NUMBERS)
# The number, the process, when it was seen, how many wait there, and how many were admitted.
_MEMBER = struct.Struct("<IIdIQ")
_TURN = struct.Struct("<IBd")
_CHECKSUM = 4
# A limit of more is none.
_MOST = 2**32 - 1


def dumps(limits: AccountLimits) -> bytes:
    """Write everything that is known.

    That is 207 bytes for limits that nothing has used, 1807 where the default ones were used up in the last second, and
    2415 with nineteen long exchanges beside that; each slot that lingers takes 8 more, each process 28 to 54.
    """
    window, pace, turns = limits.window, limits.pace or Pace(limits.per_second, limits.per_second), limits.turns
    counted = {start.number for start in window.starts}
    # In this order three lengths are enough to know which starts are in flight, and which are in the window.
    gone = [start for start in limits.in_flight.values() if start.number not in counted]
    both = [start for start in limits.in_flight.values() if start.number in counted]
    ended = [start for start in window.starts if start.number not in limits.in_flight]
    starts = (*gone, *both, *ended)
    trips = window.round_trips
    lengths = (len(gone), len(limits.in_flight), len(starts), len(trips), len(limits.lingering))
    content = b"".join(
        (
            _HEAD.pack(VERSION, *lengths, len(turns.members), len(turns.order)),
            _NUMBERS.pack(
                *[min(value, _MOST) for value in _values(limits, _SMALL)],
                *_values(limits, _LARGE),
                limits.probe or 0,
                pace.accepted,
            ),
            _FLOATS.pack(*_values(limits, _TIMES + _DURATIONS), *_values(pace, _PACE_TIMES + _PACE_NUMBERS)),
            # How many starts ago, the owner, and the times.
            struct.pack(f"<{len(starts)}I", *[limits.last_number - start.number for start in starts]),
            struct.pack(f"<{len(starts)}I", *[start.owner for start in starts]),
            struct.pack(f"<{len(starts)}d", *[start.admitted for start in starts]),
            struct.pack(f"<{len(starts)}d", *[start.sent for start in starts]),
            struct.pack(f"<{len(starts)}d", *[start.counted_by for start in starts]),
            struct.pack(f"<{len(limits.lingering)}d", *limits.lingering),
            struct.pack(f"<{len(trips)}f", *trips),
            *(
                _MEMBER.pack(owner, each.pid, each.seen, each.waiting, each.admitted)
                for owner, each in turns.members.items()
            ),
            *(_TURN.pack(turn.owner, turn.is_batch, turn.until) for turn in turns.order),
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
    if content[0] != VERSION:
        raise ValueError(f"the limits were written by version {content[0]}, not {VERSION}")
    _, gone, in_flight, known, trips, lingering, members, turns = _HEAD.unpack_from(content)
    place = _Place(content, _HEAD.size)
    *integers, probe, accepted = place.take(_NUMBERS)
    numbers: dict[str, Any] = dict(zip(_SMALL + _LARGE, integers, strict=True))
    floats: dict[str, Any] = dict(zip(_NAMES, place.take(_FLOATS), strict=True))
    columns = (place.take(struct.Struct(f"<{known}{form}")) for form in "IIddd")
    starts = [
        Start(numbers["last_number"] - age, admitted, sent, counted_by, owner)
        for age, owner, admitted, sent, counted_by in zip(*columns, strict=True)
    ]
    ends = place.take(struct.Struct(f"<{lingering}d"))
    window = Window(deque(sorted(starts[gone:], key=attrgetter("number"))))
    window.learn_trips(place.take(struct.Struct(f"<{trips}f")))
    pace = Pace(numbers["per_second"], accepted=accepted, **_taken(floats, _PACE_TIMES + _PACE_NUMBERS))
    return AccountLimits(
        window=window,
        pace=None if pace.refused_at == -math.inf else pace,
        in_flight={start.number: start for start in starts[:in_flight]},
        lingering=list(ends),
        probe=probe or None,
        turns=Turns(
            {
                owner: Member(pid, seen, waiting, admitted)
                for owner, pid, seen, waiting, admitted in (place.take(_MEMBER) for _ in range(members))
            },
            [
                Turn(owner, bool(is_batch), until)
                for owner, is_batch, until in (place.take(_TURN) for _ in range(turns))
            ],
        ),
        **numbers,
        **_taken(floats, _TIMES + _DURATIONS),
    )


class _Place:
    """How far the bytes are read."""

    def __init__(self, content: bytes, offset: int) -> None:
        self._content, self._offset = content, offset

    def take(self, form: struct.Struct) -> tuple[Any, ...]:
        values = form.unpack_from(self._content, self._offset)
        self._offset += form.size
        return values


def _values(holder: object, names: Iterable[str]) -> list[Any]:
    return [getattr(holder, name) for name in names]


def _taken(values: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: values[name] for name in names}


def _checksum(content: bytes) -> bytes:
    return crc32(content).to_bytes(_CHECKSUM, "little")
