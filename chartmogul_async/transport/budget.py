"""The limits that processes share, as somebody sees them who only looks."""

from __future__ import annotations

from attrs import frozen

from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.window import Start

_SECOND = 1.0
# Seconds; the clocks of machines that share limits may differ by a little.
_FUTURE = 1.0


@frozen
class Process:
    """A process that uses the limits, or rather one event loop of it.

    Attributes:
        number: That of the process on this machine; for a store of several machines one that it drew by lot.
        waiting: Calls that wait in its queue.
        in_flight: Its requests in flight.
        admitted: Its requests that were admitted so far.
        idle: Seconds since it was last there.
    """

    number: int
    waiting: int
    in_flight: int
    admitted: int
    idle: float


@frozen
class Budget:
    """The limits of an account at one moment.

    Attributes:
        account: The name of the account in the store, made of a hash of its key.
        admitted: Requests admitted so far.
        started: How many of them in the last second.
        waiting: Calls that wait in the queues of all processes.
        in_flight: Requests in flight.
        max_in_flight: How many may be; fewer than ``parallel`` after a 503.
        parallel: How many may be in principle.
        rate: How many requests may start in a second at present; fewer than ``per_second`` after refusals.
        per_second: How many may in principle.
        paused_for: Seconds for which no request is sent after a 429, 0 if requests are not paused.
        paced_for: Seconds for which requests are still spaced evenly, at least; 0 if they need not be.
        processes: Those that use the limits, the busiest first.
    """

    account: str
    admitted: int
    started: int
    waiting: int
    in_flight: int
    max_in_flight: int
    parallel: int
    rate: float
    per_second: int
    paused_for: float
    paced_for: float
    processes: tuple[Process, ...]


@frozen
class Unreadable:
    """The limits of an account that cannot be read.

    Attributes:
        account: The name of the account in the store.
        problem: Why not.
    """

    account: str
    problem: str


def budget_of(account: str, limits: AccountLimits, now: float, lease: float) -> Budget:
    """Say what limits mean at one moment.

    Args:
        account: The name of the account in the store.
        limits: The limits, which are changed as a process would change them that came now.
        now: The time on the store's clock.
        lease: Seconds after which a process that was not seen is taken to be gone.
    """
    members = limits.turns.members
    latest = limits.turns.last_seen(now)
    if latest > now + _FUTURE:
        # The clock began anew, or was put back.
        limits.shift(now - latest)
        latest = now
    now = max(now, latest)
    for owner in limits.turns.unseen_since(now - lease):
        limits.remove_member(owner, now)
    starts: dict[int, Start] = {start.number: start for start in (*limits.window.starts, *limits.in_flight.values())}
    pace = limits.pace
    processes = [
        Process(
            number=member.pid or owner,
            waiting=member.waiting,
            in_flight=sum(start.owner == owner for start in limits.in_flight.values()),
            admitted=member.admitted,
            idle=now - member.seen,
        )
        for owner, member in members.items()
    ]
    return Budget(
        account=account,
        admitted=limits.admitted,
        started=sum(start.admitted > now - _SECOND for start in starts.values()),
        waiting=sum(process.waiting for process in processes),
        in_flight=len(limits.in_flight),
        max_in_flight=limits.max_in_flight,
        parallel=limits.parallel,
        rate=float(limits.per_second) if pace is None else pace.rate,
        per_second=limits.per_second,
        paused_for=limits.pause_left(now),
        paced_for=0.0 if pace is None else max(0.0, pace.even_until - now),
        processes=tuple(sorted(processes, key=_busyness)),
    )


def _busyness(process: Process) -> tuple[int, int, int]:
    return -(process.waiting + process.in_flight), -process.admitted, process.number
