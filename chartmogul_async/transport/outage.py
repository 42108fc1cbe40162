"""What a process does while the store of its limits is away: it uses its own share, and tells the store afterwards."""

from __future__ import annotations

import anyio
from attrs import define

from chartmogul_async.events import logger
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.store import StoreOutageError
from chartmogul_async.transport.updates import Report

# Seconds after which a store that was away is tried again.
_RETRY_AFTER = 1.0
# Seconds after which other processes know it, too, when a store is back: a rest, and a try that may take a second.
_OTHERS_RETURN = 2.5
# The numbers of requests that the store never knew begin here.
_ALONE = 2**40


@define(eq=False)
class Outage:
    """A time in which the store is away.

    Attributes:
        limits: The share of this process.
        retry_at: When to try the store again, on the clock of the event loop.
    """

    _since: float
    _processes: int
    limits: AccountLimits
    retry_at: float

    @classmethod
    def begin(
        cls, error: StoreOutageError, report: Report, size: tuple[int, int], known: AccountLimits, offset: float
    ) -> Outage:
        """Go on alone, and say so.

        Args:
            error: Why the store is away.
            report: What the store would have been told.
            size: The limits a second and in parallel of all processes.
            known: The limits as the latest update left them; one that failed may have added some starts.
            offset: Their clock minus that of the event loop.

        Returns:
            The outage, which has just begun.
        """
        now = anyio.current_time()
        processes = max(1, len(known.turns.members))
        share = _share(size, processes)
        logger.warning(
            "the store of the limits is away: %s; until it is back, this process uses %d requests a second "
            "and %d in parallel, its share among %d",
            error,
            *share,
            processes,
        )
        limits = AccountLimits(*share, last_number=_ALONE)
        _take_over(known, limits, size, processes, -offset, now)
        _count_sent(report, known, limits, -offset, now)
        _count_surplus(report, known, limits, size[0] - share[0], -offset, now)
        # Others may have more in flight than their shares, until their responses come.
        surplus = sum(start.owner != report.member for start in known.in_flight.values()) - (size[1] - share[1])
        limits.lingering = [now + max(known.window.usual, _RETRY_AFTER)] * surplus
        return cls(now, processes, limits, now + _RETRY_AFTER)

    def resize(self, size: tuple[int, int]) -> None:
        """The limits of all processes have changed."""
        self.limits.resize(*_share(size, self._processes))

    def try_later(self) -> None:
        """The store is still away."""
        self.retry_at = anyio.current_time() + _RETRY_AFTER

    def end(self, report: Report, limits: AccountLimits, now: float, offset: float) -> None:
        """The store learns what was sent and refused meanwhile, and others have time to notice that it is back.

        Args:
            report: What else it is told; what is in flight is adopted by the update itself.
            limits: The limits in the store, which are changed.
            now: The time on their clock.
            offset: It, minus that of the event loop.
        """
        _count_sent(report, self.limits, limits, offset, now)
        limits.pause(now, self.limits.pause_left(now - offset))
        others = [member for owner, member in limits.turns.members.items() if owner != report.member]
        if any(member.seen < self._since + offset for member in others):
            limits.hold(now, _OTHERS_RETURN)


def _share(size: tuple[int, int], processes: int) -> tuple[int, int]:
    return max(1, size[0] // processes), max(1, size[1] // processes)


def _take_over(
    known: AccountLimits, limits: AccountLimits, size: tuple[int, int], processes: int, by: float, now: float
) -> None:
    """What the server has shown about limits of this size holds for the own share, too."""
    limits.pause(now, known.pause_left(now - by))
    limits.pauses_in_a_row = known.pauses_in_a_row
    if known.parallel == size[1]:
        limits.max_in_flight = max(1, known.max_in_flight // processes)
    if known.pace is not None and known.per_second == size[0]:
        limits.pace = known.pace.shared_by(processes, limits.per_second)
        limits.pace.shift(by)


def _count_surplus(
    report: Report, known: AccountLimits, limits: AccountLimits, shares: int, by: float, now: float
) -> None:
    """Take over the starts that others have made beyond their shares in the last second."""
    known.window.count(now - by)
    foreign = [start for start in known.window.starts if start.owner != report.member]
    for start in foreign[shares:]:
        limits.count_sent(start.owner, start.admitted + by, min(start.counted_by + by, now))


def _count_sent(report: Report, before: AccountLimits, after: AccountLimits, by: float, now: float) -> None:
    """Take over the starts of what ended."""
    in_flight = {permit.number for permit in report.in_flight}
    for start in before.window.starts:
        if start.owner == report.member and start.number not in in_flight:
            after.count_sent(report.member, start.admitted + by, min(start.counted_by + by, now))
