"""A store for the throttles of one event loop, which stand for as many processes, in virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import anyio

from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.snapshots import dumps, loads
from chartmogul_async.transport.store import Change, OnOutage, StoreOutageError

T = TypeVar("T")


class LoopStore:
    """Keeps the limits as bytes, as other stores do.

    Args:
        latency: Seconds that a value takes in each direction; updates that overlap are tried again, as with Redis.
        lease: Seconds after which a process that was not seen is taken to be gone.
        on_outage: What to do while the store is away.
        ahead: Seconds by which its clock is ahead of that of the event loop.
    """

    pid = 0

    def __init__(
        self, latency: float = 0.0, lease: float = math.inf, on_outage: OnOutage = "local", ahead: float = 1000.0
    ) -> None:
        self.latency, self.lease, self.ahead = latency, lease, ahead
        self.on_outage: OnOutage = on_outage
        self.poll = 0.005 + latency
        self.is_away = False
        self.asked = self.updates = self.conflicts = 0
        # Called when an update has taken place and its process does not know it yet.
        self.written: Callable[[AccountLimits], object] = lambda _: None
        self._contents: dict[str, bytes] = {}

    async def update(self, account: str, fresh: Callable[[], AccountLimits], change: Change[T]) -> T:
        self.asked += 1
        while True:
            content = self._contents.get(account)
            await anyio.sleep(self.latency)
            self._check()
            self.updates += 1
            limits = fresh() if content is None else loads(content)
            result = change(limits, self.now())
            if self._contents.get(account) == content:
                self._contents[account] = dumps(limits)
                self.written(limits)
                await anyio.sleep(self.latency)
                return result
            self.conflicts += 1

    def now(self) -> float:
        return anyio.current_time() + self.ahead

    def release(self, account: str) -> None:
        pass

    def limits(self, account: str) -> AccountLimits:
        return loads(self._contents[account])

    def change(self, change: Callable[[AccountLimits], object]) -> None:
        """Change the limits of the one account, at once."""
        ((account, content),) = self._contents.items()
        limits = loads(content)
        change(limits)
        self._contents[account] = dumps(limits)

    def forget(self) -> None:
        self._contents.clear()

    @property
    def accounts(self) -> list[str]:
        return list(self._contents)

    def _check(self) -> None:
        if self.is_away:
            raise StoreOutageError("nobody answers")


def fresh() -> AccountLimits:
    """The limits of an account that is not known yet."""
    return AccountLimits(40, 20)


def start_one(limits: AccountLimits, now: float) -> int:
    """As an exchange of a process begins."""
    limits.turns.see(1, 0, now, 0)
    number = limits.admit(now, owner=1)
    assert number is not None
    return number


def in_flight(limits: AccountLimits, now: float) -> int:
    return len(limits.in_flight)
