"""Slots that all accounts share: who gets a free one."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from chartmogul_async.transport.cap import Cap, Slots


def cap_of(slots: int, most_awake: int = 1000) -> Cap:
    return Cap(slots, most_awake)


class Account:
    """Wants some slots, and takes them as a throttle does."""

    def __init__(self, cap: Cap, wants: int = 0, is_batch: bool = False) -> None:
        self.cap, self.wants, self.is_batch = cap, wants, is_batch
        self.has = self.rests = self.calls = 0

    def _admit_waiting(self) -> None:
        self.calls += 1
        while self.wants:
            if not self.cap.has_room(self):
                self.cap.wait(self, self.is_batch)
                return
            self.cap.take(self, self.is_batch)
            self.wants, self.has = self.wants - 1, self.has + 1

    def _rest(self) -> None:
        self.rests += 1

    def ask(self, wants: int = 1) -> int:
        """Want so many more, and return how many it has."""
        self.wants += wants
        self._admit_waiting()
        return self.has

    def end(self, now: float = 0) -> None:
        self.has -= 1
        self.cap.give_back(self, now)


def test_an_account_alone_has_half_of_the_slots() -> None:
    cap = cap_of(40)
    assert Account(cap).ask(30) == 20
    assert (cap.max_in_flight, cap.free) == (40, 20)


@pytest.mark.parametrize(("slots", "has"), [(1, 1), (2, 1), (3, 2), (200, 20)])
def test_few_slots_are_used_too(slots: int, has: int) -> None:
    assert Account(cap_of(slots)).ask(20) == has


def test_accounts_that_stall_leave_a_slot_for_one_that_comes() -> None:
    cap = cap_of(200)
    stalled = [Account(cap) for _ in range(10)]
    assert sum(account.ask(20) for account in stalled) < 200
    assert Account(cap).ask() == 1


def test_a_free_slot_goes_to_the_one_that_has_fewest() -> None:
    cap = cap_of(6)
    busy, other = Account(cap), Account(cap)
    assert (busy.ask(9), other.ask(9)) == (3, 2)
    single = Account(cap)
    assert single.ask() == 1
    late = Account(cap)
    assert late.ask() == 0
    busy.end()
    assert (busy.has, other.has, late.has) == (2, 2, 1)


def test_equal_accounts_take_turns() -> None:
    cap = cap_of(1)
    first = Account(cap)
    first.ask(4)
    others = [Account(cap, wants=3) for _ in range(2)]
    for account in others:
        account.ask(0)
    order = []
    for _ in range(9):
        (holder,) = [account for account in (first, *others) if account.has]
        order.append(holder)
        holder.end()
    # The one that ends a request goes to the end, behind those that wait.
    assert order[:6] == [first, *others] * 2
    assert Counter(map(id, order)) == {id(account): 3 for account in (first, *others)}
    assert cap.waiting == 0


def test_one_turn_is_one_request() -> None:
    cap = cap_of(2)
    blocking = Account(cap)
    blocking.ask()
    other = Account(cap)
    other.ask()
    waiting = [Account(cap, wants=5), Account(cap, wants=5)]
    for account in waiting:
        account.ask(0)
    assert cap.waiting == 2
    blocking.end()
    other.end()
    assert [account.has for account in waiting] == [1, 1]


def test_interactive_calls_go_first_and_a_batch_gets_an_eighth() -> None:
    cap = cap_of(1)
    holder = Account(cap)
    holder.ask()
    batch, page = Account(cap, is_batch=True), Account(cap)
    batch.ask(10)
    page.ask(30)
    order = []
    holder.end()
    for _ in range(24):
        (holder,) = [account for account in (batch, page) if account.has]
        order.append("batch" if holder is batch else "page")
        holder.end()
    assert order == (["page"] * 7 + ["batch"]) * 3


def test_a_batch_alone_is_not_held_up() -> None:
    cap = cap_of(4)
    assert Account(cap, is_batch=True).ask(2) == 2


def test_an_account_that_waits_becomes_interactive() -> None:
    cap = cap_of(1)
    holder, batch, other = Account(cap), Account(cap, is_batch=True), Account(cap, is_batch=True)
    for account in (holder, batch, other):
        account.ask()
    other.is_batch = False
    other.ask(0)
    assert cap.waiting == 2
    holder.end()
    assert (batch.has, other.has) == (0, 1)
    other.end()
    assert (batch.has, other.calls, cap.waiting) == (1, 3, 0)


def test_one_that_wants_nothing_any_more_is_passed_over() -> None:
    cap = cap_of(1)
    holder, gone, left, other = (Account(cap) for _ in range(4))
    for account in (holder, gone, left, other):
        account.ask()
    gone.wants = 0
    left.cap.leave(left)
    left.cap.leave(left)
    holder.end()
    assert (gone.calls, left.calls, other.has) == (2, 1, 1)


def test_waiting_twice_keeps_the_place() -> None:
    cap = cap_of(1)
    holder, first, second = (Account(cap) for _ in range(3))
    for account in (holder, first, second):
        account.ask()
    first.ask(0)
    holder.end()
    assert (first.has, second.has) == (1, 0)


def test_its_own_slot_that_ends_improves_its_place() -> None:
    cap = cap_of(4)
    two, one = Account(cap), Account(cap)
    assert (two.ask(9), one.ask(9)) == (2, 1)
    newcomer = Account(cap)
    assert newcomer.ask(2) == 1
    # Nothing is free for those that have one already.
    two.end()
    assert cap.free == 1
    two.end()
    assert two.has == 1
    assert cap.free == 1


def test_those_without_requests_rest_after_two_seconds() -> None:
    cap = cap_of(10)
    accounts = [Account(cap) for _ in range(5)]
    for account in accounts:
        account.ask(2)
        account.end(now=1)
    for account in accounts[:4]:
        account.end(now=2)
    assert [account.rests for account in accounts] == [0, 0, 0, 0, 0]
    # Whoever has a request in flight again is awake.
    accounts[0].ask()
    accounts[4].end(now=3.9)
    assert [account.rests for account in accounts] == [0, 0, 0, 0, 0]
    accounts[0].end(now=4)
    assert [account.rests for account in accounts] == [0, 1, 1, 0, 0]
    for account, now in ((accounts[0], 5.9), (accounts[1], 6)):
        account.ask()
        account.end(now)
    assert [account.rests for account in accounts] == [0, 1, 1, 1, 1]


def test_no_more_are_awake_than_allowed() -> None:
    cap = cap_of(10, most_awake=2)
    accounts = [Account(cap) for _ in range(5)]
    for account in accounts:
        account.ask()
        account.end(now=1)
    assert [account.rests for account in accounts] == [1, 1, 1, 0, 0]


async def test_slots_of_one_account() -> None:
    cap = cap_of(1)
    account, other = Account(cap), Account(cap)
    slots = Slots(cap, account)
    assert not slots.wait(is_batch=False)
    assert cap.waiting == 0
    assert slots.take(is_batch=False)
    assert not slots.take(is_batch=False)
    assert slots.wait(is_batch=True)
    assert cap._ranks == {account: (True, 1)}
    slots.give_back()
    assert account.calls == 1
    assert other.ask() == 1


async def test_slots_are_those_of_the_account() -> None:
    cap = cap_of(2)
    batch = Account(cap, is_batch=True)
    assert batch.ask(2) == 1
    # One is free, and there is none for whoever has one.
    assert not Slots(cap, batch).take(is_batch=True)
    assert Slots(cap, batch).wait(is_batch=True)
    cap._passed_over = 5
    assert Slots(cap, Account(cap)).take(is_batch=True)
    assert cap._passed_over == 0


@pytest.mark.parametrize("seed", range(20))
def test_whoever_waits_has_no_room(seed: int) -> None:
    chance = random.Random(seed)
    cap = cap_of(chance.randrange(1, 30))
    accounts = [Account(cap, is_batch=chance.random() < 0.5) for _ in range(6)]
    for _ in range(300):
        account = chance.choice(accounts)
        before = {each: each.has for each in accounts}
        if account.has and chance.random() < 0.6:
            account.end()
            # A turn is one request.
            assert all(each.has <= before[each] + 1 for each in accounts)
        else:
            account.ask(chance.randrange(1, 8))
        assert sum(each.has for each in accounts) == cap.max_in_flight - cap.free <= cap.max_in_flight
        assert not any(cap.has_room(each) for each in accounts if each.wants)
