"""Limits of an account in some states, and what happens to them."""

from __future__ import annotations

from collections.abc import Iterable

from chartmogul_async.transport.limits import AccountLimits, LimitEvent
from chartmogul_async.transport.window import Start

MICROSECOND = 1e-6


def limits_of(per_second: int = 40, parallel: int = 20) -> AccountLimits:
    return AccountLimits(per_second, parallel, max_in_flight=parallel)


def admit(limits: AccountLimits, now: float, *, as_test: bool = False) -> int:
    number = limits.admit(now, as_test)
    assert number is not None, f"not admitted at {now}"
    return number


def exchange(
    limits: AccountLimits, now: float, status: int | None = 200, retry_after: float | None = None, takes: float = 0.0
) -> tuple[LimitEvent, ...]:
    number = admit(limits, now)
    limits.mark_sent(number, now)
    return limits.release(number, now + takes, status, retry_after)


def given_up(limits: AccountLimits, sent: float, ends: float, given_up: bool = True) -> None:
    number = admit(limits, sent)
    limits.mark_sent(number, sent)
    limits.release(number, ends, given_up=given_up)


def moments(limits: AccountLimits, now: float) -> tuple[float, float]:
    return limits.pause_left(now), limits.seconds_paused(now)


def times_of(start: Start) -> tuple[float, ...]:
    return start.number, start.admitted, start.sent, start.counted_by


def all_numbers(value: object) -> list[object]:
    """What is in a value, however deep."""
    if isinstance(value, dict):
        return all_numbers([*value.items()])
    if isinstance(value, Iterable):
        return [number for item in value for number in all_numbers(item)]
    return [value]


def busy_limits() -> AccountLimits:
    """A full window, half of it in flight, after a pause, with pacing and fewer slots."""
    limits = limits_of()
    for number in range(40):
        exchange(limits, number * 0.1, takes=0.0625)
    numbers = [admit(limits, 6.0) for _ in range(20)]
    for number in numbers[:10]:
        limits.mark_sent(number, 6.01)
    limits.release(numbers[0], 6.1, 503)
    limits.release(numbers[1], 6.2, 429, 2.5)
    limits.resize(limits.per_second, 30)
    number = admit(limits, 8.75)
    limits.mark_sent(number, 8.8)
    limits.max_in_flight = 25
    limits.release(numbers[2], 8.9, 200)
    return limits
