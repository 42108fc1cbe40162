"""Whose turn it is among processes, as a pure value."""

from __future__ import annotations

import pytest

from chartmogul_async.transport.turns import Turns

BATCH, INTERACTIVE = True, False


def turns_of(*order: tuple[int, bool]) -> Turns:
    """Processes that wait, in this order, and said that they come at 10.0."""
    turns = Turns()
    for owner, is_batch in order:
        turns.keep(owner, is_batch, 10.0)
    return turns


def order_of(turns: Turns) -> list[tuple[int, bool]]:
    return [(turn.owner, turn.is_batch) for turn in turns.order]


def test_a_process_is_known_by_its_number() -> None:
    turns = Turns()
    member = turns.see(7, 4321, 10.0, 3)
    assert (member.pid, member.seen, member.waiting, member.admitted) == (4321, 10.0, 3, 0)
    assert turns.see(7, 4321, 12.0, 1) is member
    assert (member.seen, member.waiting) == (12.0, 1)
    assert turns.see(8, 0, 12.0, 0) is not member
    assert list(turns.members) == [7, 8]


@pytest.mark.parametrize("is_batch", [BATCH, INTERACTIVE])
@pytest.mark.parametrize("batch_is_due", [True, False])
def test_those_that_came_first_are_ahead(is_batch: bool, batch_is_due: bool) -> None:
    turns = turns_of((1, is_batch), (2, is_batch), (3, is_batch))
    # The last one has no turn yet.
    assert [turns.ahead_of(owner, is_batch, 0.0, batch_is_due) for owner in (1, 2, 3, 4)] == [0, 1, 2, 3]


def test_all_interactive_ones_are_ahead_of_a_batch() -> None:
    turns = turns_of((1, BATCH), (2, INTERACTIVE), (3, INTERACTIVE), (1, INTERACTIVE), (4, BATCH))
    # Its own interactive requests are not counted.
    assert turns.ahead_of(1, BATCH, 0.0, False) == 2
    assert turns.ahead_of(4, BATCH, 0.0, False) == 1 + 3
    assert [turns.ahead_of(owner, INTERACTIVE, 0.0, False) for owner in (2, 3, 1, 4)] == [0, 1, 2, 3]


def test_one_of_a_batch_that_is_due_is_ahead_of_interactive_ones() -> None:
    turns = turns_of((2, INTERACTIVE), (1, BATCH), (3, INTERACTIVE), (4, BATCH), (5, BATCH))
    assert [turns.ahead_of(owner, BATCH, 0.0, True) for owner in (1, 4, 5)] == [0, 1, 2]
    assert [turns.ahead_of(owner, INTERACTIVE, 0.0, True) for owner in (2, 3, 6)] == [1, 2, 3]
    alone = turns_of((1, BATCH), (1, INTERACTIVE))
    assert alone.ahead_of(1, INTERACTIVE, 0.0, True) == 0, "its own batch is its own matter"


def test_who_comes_late_loses_its_turn() -> None:
    turns = turns_of((1, INTERACTIVE), (2, INTERACTIVE))
    turns.keep(2, INTERACTIVE, 20.0)
    assert turns.ahead_of(2, INTERACTIVE, 10.25, False) == 1
    assert turns.ahead_of(2, INTERACTIVE, 10.26, False) == 0
    assert order_of(turns) == [(2, INTERACTIVE)]


def test_a_turn_that_is_kept_stays_where_it_is() -> None:
    turns = turns_of((1, INTERACTIVE), (1, BATCH), (2, INTERACTIVE))
    turns.keep(1, BATCH, 30.0)
    turns.keep(2, INTERACTIVE, 20.0)
    assert order_of(turns) == [(1, INTERACTIVE), (1, BATCH), (2, INTERACTIVE)]
    assert [turn.until for turn in turns.order] == [10.25, 30.25, 20.25]


def test_a_turn_that_ends_is_of_one_priority() -> None:
    turns = turns_of((1, INTERACTIVE), (1, BATCH), (2, BATCH))
    turns.end(1, BATCH)
    assert order_of(turns) == [(1, INTERACTIVE), (2, BATCH)]


def test_a_process_that_is_gone_has_no_turn() -> None:
    turns = turns_of((1, INTERACTIVE), (2, BATCH), (1, BATCH))
    turns.see(1, 0, 0.0, 2)
    turns.see(2, 0, 0.0, 1)
    turns.remove(1)
    turns.remove(3)
    assert order_of(turns) == [(2, BATCH)]
    assert list(turns.members) == [2]


def test_what_waits_is_known() -> None:
    both = turns_of((1, INTERACTIVE), (2, BATCH), (2, INTERACTIVE))
    assert both.batch_waits()
    assert not both.is_of_one_priority()
    assert [both.waiting_processes(owner) for owner in (1, 2, 3)] == [2, 2, 3]
    interactive = turns_of((1, INTERACTIVE), (2, INTERACTIVE))
    assert not interactive.batch_waits()
    assert interactive.is_of_one_priority()
    batches = turns_of((1, BATCH))
    assert batches.batch_waits()
    assert batches.is_of_one_priority()
    nobody = turns_of()
    assert nobody.is_of_one_priority()
    assert nobody.waiting_processes(1) == 1


def test_processes_that_were_not_seen_for_long_are_known() -> None:
    turns = Turns()
    for owner, seen in ((1, 3.0), (2, 5.0), (3, 4.0)):
        turns.see(owner, 0, seen, 0)
    assert turns.unseen_since(4.0) == [1]
    assert turns.unseen_since(4.1) == [1, 3]


def test_another_clock_moves_all_its_moments() -> None:
    turns = turns_of((1, INTERACTIVE), (2, BATCH))
    turns.see(1, 0, 3.0, 0)
    turns.see(2, 0, 4.0, 0)
    turns.shift(100.0)
    assert [member.seen for member in turns.members.values()] == [103.0, 104.0]
    assert [turn.until for turn in turns.order] == [110.25, 110.25]


def test_admissions_are_counted_for_those_who_are_known() -> None:
    turns = Turns()
    turns.count(1, 1)
    member = turns.see(1, 0, 10.0, waiting=0)
    turns.count(1, 1)
    turns.count(1, 1)
    assert member.admitted == 2
    turns.count(1, -1)
    assert member.admitted == 1
    turns.count(1, -1)
    # One that was admitted before the process was taken to be gone, and given back since.
    turns.count(1, -1)
    assert member.admitted == 0
