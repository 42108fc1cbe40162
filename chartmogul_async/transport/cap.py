"""How many requests of all accounts are in flight at once, and whose turn it is when that is the limit.

An account takes part with its throttle, and has one place among those that wait, however many of its calls do. A slot
that is free goes to the account with the fewest requests in flight, and among equals to the one that has waited
longest; interactive calls go first, and a batch gets at least one slot of eight.

An account may have as many requests in flight as there are slots free beside them: so accounts whose server stalls
never take all of them, and one that comes with a single call finds a slot, or is the next to get one. One account
alone has half of the slots, two have a third each, and so on (the dynamic thresholds of Choudhury and Hahne, 1998).
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import Protocol

import anyio
from attrs import frozen

# Of so many requests at least one is of a batch, if any of a batch waits; the same as within an account.
_BATCH_SHARE = 8
# Seconds for which an account without a request in flight is ready for the next one: a little longer than the server
# counts its requests. Then it takes little memory until its next request.
_AWAKE_FOR = 2.0
# So many may come to rest when a request of any account ends, for it takes some time.
_REST_AT_ONCE = 2

# Whether the calls that wait are of a batch, and how many requests of the account are in flight.
_Rank = tuple[bool, int]


class Capped(Protocol):
    """The throttle of an account."""

    def _admit_waiting(self) -> None:
        """Admit what waits, as far as there is room."""
        ...

    def _rest(self) -> None:
        """Take little memory until the next request."""
        ...


class Cap:
    """Slots that all accounts share.

    Args:
        max_in_flight: How many there are.
        most_awake: How many accounts without a request in flight may be ready for the next one.

    Attributes:
        max_in_flight: The same.
        free: How many are free.
    """

    def __init__(self, max_in_flight: int, most_awake: int) -> None:
        self.max_in_flight: int = max_in_flight
        self._most_awake = most_awake
        self.free: int = max_in_flight
        self._in_flight: dict[Capped, int] = {}
        self._ranks: dict[Capped, _Rank] = {}
        self._waiting: dict[_Rank, OrderedDict[Capped, None]] = {}
        # Interactive requests admitted since one of a batch had to wait.
        self._passed_over = 0
        # When each ended its last request; the one that did longest ago is the first.
        self._awake: OrderedDict[Capped, float] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many accounts wait for a slot."""
        return len(self._ranks)

    def has_room(self, account: Capped) -> bool:
        """Whether a request of an account may start. None of those that wait may, or it would have been admitted."""
        return self._in_flight.get(account, 0) < self.free

    def take(self, account: Capped, is_batch: bool) -> None:
        """A request of an account, which has room, starts."""
        self.free -= 1
        self._in_flight[account] = self._in_flight.get(account, 0) + 1
        self._awake.pop(account, None)
        batch_waits = any(rank[0] for rank in self._waiting)
        self._passed_over = self._passed_over + 1 if batch_waits and not is_batch else 0

    def give_back(self, account: Capped, now: float) -> None:
        """A request of an account has ended, or was never sent."""
        self.free += 1
        self._in_flight[account] -= 1
        if account in self._ranks:
            self.wait(account, is_batch=self._ranks[account][0])
        if not self._in_flight[account]:
            del self._in_flight[account]
            self._awake[account] = now
            self._let_rest(now - _AWAKE_FOR)
        if self._ranks:
            self._pass_on()

    def wait(self, account: Capped, is_batch: bool) -> None:
        """Nothing but a slot is missing for the next request of an account, which is to be called when there is one."""
        rank = is_batch, self._in_flight.get(account, 0)
        if self._ranks.get(account) != rank:
            self.leave(account)
            self._ranks[account] = rank
            self._waiting.setdefault(rank, OrderedDict())[account] = None

    def leave(self, account: Capped) -> None:
        """An account waits no more; leaving twice does nothing."""
        rank = self._ranks.pop(account, None)
        if rank is not None:
            waiting = self._waiting[rank]
            del waiting[account]
            if not waiting:
                del self._waiting[rank]

    def _let_rest(self, since: float) -> None:
        for account, ended in list(islice(self._awake.items(), _REST_AT_ONCE)):
            if ended <= since or len(self._awake) > self._most_awake:
                del self._awake[account]
                account._rest()

    def _pass_on(self) -> None:
        """Let those that wait have what is free. After one request there is no room for a second one of the account."""
        while (account := self._next()) is not None:
            self.leave(account)
            account._admit_waiting()

    def _next(self) -> Capped | None:
        batch_is_due = self._passed_over >= _BATCH_SHARE - 1
        ranks = [rank for rank in self._waiting if rank[1] < self.free]
        if not ranks:
            return None
        is_batch, in_flight = min(ranks, key=lambda rank: (rank[0] != batch_is_due, rank[1]))
        return next(iter(self._waiting[is_batch, in_flight]))


@frozen(eq=False)
class Slots:
    """The slots of one account that asks a store, so that requests are admitted some time after there was room.

    Attributes:
        cap: All slots.
        account: The account.
    """

    cap: Cap
    account: Capped

    def take(self, is_batch: bool) -> bool:
        """Take a slot if there is room, and return whether there was."""
        has_room = self.cap.has_room(self.account)
        if has_room:
            self.cap.take(self.account, is_batch)
        return has_room

    def give_back(self) -> None:
        """Give one back."""
        self.cap.give_back(self.account, anyio.current_time())

    def wait(self, is_batch: bool) -> bool:
        """Wait for one if there is no room, and return whether there is none."""
        has_room = self.cap.has_room(self.account)
        if not has_room:
            self.cap.wait(self.account, is_batch)
        return not has_room
