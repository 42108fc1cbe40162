"""Whose turn it is among the processes that share an account's limits, as a pure value.

A process whose calls wait has a turn for each priority, which goes to the end whenever a request of it starts: so the
processes take turns, however many calls wait in each. Who does not come when it said it would loses its turn.
"""

from __future__ import annotations

from attrs import Factory, define

# Seconds that a process may come later than it said.
_GRACE = 0.25


@define(eq=False)
class Member:
    """A process, or rather one event loop of it.

    Attributes:
        pid: Its process on this machine, 0 if nobody can ask for it.
        seen: When it was last here.
        waiting: How many of its calls wait.
        admitted: How many of its requests were admitted since it is known.
    """

    pid: int
    seen: float
    waiting: int = 0
    admitted: int = 0


@define(eq=False)
class Turn:
    """The place of a process in the order; it is lost at ``until``."""

    owner: int
    is_batch: bool
    until: float


@define(eq=False)
class Turns:
    """The processes that are known, and the order of those whose calls wait.

    Attributes:
        members: The processes, each by a number that it chose itself.
        order: Their turns.
    """

    members: dict[int, Member] = Factory(dict)
    order: list[Turn] = Factory(list)

    def see(self, owner: int, pid: int, now: float, waiting: int) -> Member:
        """A process is here."""
        member = self.members.get(owner)
        if member is None:
            member = self.members[owner] = Member(pid, now)
        member.seen, member.waiting = now, waiting
        return member

    def count(self, owner: int, admissions: int) -> None:
        """Requests of a process were admitted, or (negative) given back; it may be unknown, or gone meanwhile."""
        member = self.members.get(owner)
        if member is not None:
            member.admitted = max(0, member.admitted + admissions)

    def ahead_of(self, owner: int, is_batch: bool, now: float, batch_is_due: bool) -> int:
        """How many turns come before that of a process, which may have none yet."""
        self.order = [turn for turn in self.order if turn.until >= now]
        ahead = 0
        for turn in self.order:
            if turn.owner == owner and turn.is_batch == is_batch:
                break
            ahead += turn.is_batch == is_batch
        # Those of the same process are its own matter.
        others = sum(turn.is_batch != is_batch and turn.owner != owner for turn in self.order)
        if is_batch:
            return ahead if batch_is_due else ahead + others
        # One request of a batch goes first, wherever it is.
        return ahead + min(1, others) if batch_is_due else ahead

    def batch_waits(self) -> bool:
        """Whether requests of a batch wait in any process."""
        return any(turn.is_batch for turn in self.order)

    def is_of_one_priority(self) -> bool:
        """Whether all that wait are interactive, or all of batches."""
        return len({turn.is_batch for turn in self.order}) < 2

    def waiting_processes(self, owner: int) -> int:
        """How many processes wait, a given one included."""
        return len({owner, *(turn.owner for turn in self.order)})

    def keep(self, owner: int, is_batch: bool, comes_at: float) -> None:
        """A process waits, and will be here again at this moment."""
        for turn in self.order:
            if turn.owner == owner and turn.is_batch == is_batch:
                turn.until = comes_at + _GRACE
                return
        self.order.append(Turn(owner, is_batch, comes_at + _GRACE))

    def end(self, owner: int, is_batch: bool) -> None:
        """A process had its turn, or does not wait any more."""
        self.order = [turn for turn in self.order if (turn.owner, turn.is_batch) != (owner, is_batch)]

    def remove(self, owner: int) -> None:
        """A process is gone."""
        self.members.pop(owner, None)
        self.order = [turn for turn in self.order if turn.owner != owner]

    def last_seen(self, default: float) -> float:
        """When any process was here last, or ``default`` if none was."""
        return max((member.seen for member in self.members.values()), default=default)

    def unseen_since(self, moment: float) -> list[int]:
        """The processes that were not here since then."""
        return [owner for owner, member in self.members.items() if member.seen < moment]

    def shift(self, by: float) -> None:
        """Go over to another clock, which shows so many seconds more."""
        for member in self.members.values():
            member.seen += by
        for turn in self.order:
            turn.until += by
