"""Several processes with one budget, in virtual time: each throttle of a store stands for a process."""

from __future__ import annotations

import asyncio
import math
import os
import pickle
from collections.abc import Sequence
from functools import partial

import anyio
import anyio.lowlevel
import httpx
import pytest

from chartmogul_async import AsyncClient, RetryPolicy, Throttle, errors
from chartmogul_async.events import HOW_TO_SHARE, Pacing, Pause
from chartmogul_async.sandbox.limits import SlidingLog, TokenBucket
from chartmogul_async.transport.cap import Cap, Slots
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.permits import Claim, Permit
from chartmogul_async.transport.shared import SharedQueue
from chartmogul_async.transport.updates import Ended
from chartmogul_async.transport.window import _MARGIN
from tests.conftest import VirtualTimeLoop
from tests.shared_limits import LoopStore
from tests.worlds.servers import COUNTERS, Server, between, constant

KEY = "api-key-of-an-account"
SENT = "http11.send_request_headers.complete"
# Updates for a request, with those that only look whether a slot is free.
UPDATES = 8


def client_of(transport: httpx.AsyncBaseTransport, store: LoopStore, key: str = KEY) -> AsyncClient:
    return AsyncClient(key, transport=transport, throttle=Throttle(store=store))


async def run_processes(server: Server, store: LoopStore, counts: Sequence[int]) -> list[float]:
    """So many calls in each process, started at once; the seconds that each process took."""
    took: list[float] = []
    started = anyio.current_time()

    async def process(calls: int) -> None:
        async with client_of(server, store) as client, anyio.create_task_group() as group:
            for _ in range(calls):
                group.start_soon(client.ping)
        took.append(anyio.current_time() - started)

    async with anyio.create_task_group() as group:
        for calls in counts:
            group.start_soon(process, calls)
    return took


def limits_in(store: LoopStore) -> AccountLimits:
    (account,) = store.accounts
    return store.limits(account)


def queue_of(store: LoopStore, per_second: int = 40, parallel: int = 20) -> SharedQueue:
    return SharedQueue(store, "account", per_second, parallel)


def shared_by(throttle: Throttle) -> SharedQueue:
    throttle._attach(object(), "account")
    assert throttle._shared is not None
    return throttle._shared


async def admit(queue: SharedQueue, number: int = 1) -> list[Permit]:
    return [await queue.acquire() for _ in range(number)]


# --- one budget ----------------------------------------------------------------------------------------------------


@pytest.mark.no_cover
@pytest.mark.parametrize("counting", COUNTERS)
@pytest.mark.parametrize("counts", [(100,) * 4, (370, 10, 10, 10), (25,) * 16], ids=["even", "uneven", "sixteen"])
@pytest.mark.parametrize("latency", [0.0, 0.0005], ids=["file", "network"])
async def test_no_refusal_and_little_time_lost(counting: str, counts: Sequence[int], latency: float) -> None:
    """What one process would take, within a hundredth: 9.33 s, where 9.03 s are ideal."""
    store = LoopStore(latency)
    server = Server(COUNTERS[counting](40), there=between(0, 0.02), work=constant(0.03))
    took = await run_processes(server, store, counts)
    assert server.refusals == 0
    assert max(took) <= 1.01 * 9.33
    assert store.updates <= UPDATES * 400
    assert limits_in(store).in_flight == {}


@pytest.mark.no_cover
@pytest.mark.parametrize("work", [0.03, 0.9])
async def test_processes_take_turns(work: float) -> None:
    """Where the window is short, and where slots are."""
    server = Server(SlidingLog(40), there=between(0, 0.02), work=constant(work))
    took = await run_processes(server, LoopStore(), (100,) * 4)
    assert server.refusals == 0
    assert max(took) <= 1.25 * min(took)
    assert max(took) <= 1.06 * max(9.33, 400 / 20 * (work + 0.025))


@pytest.mark.no_cover
@pytest.mark.parametrize(("processes", "slots"), [(2, 1), (4, 3), (8, 4), (4, 5), (8, 20), (12, 20)])
async def test_no_process_starves_where_slots_are_scarce(processes: int, slots: int) -> None:
    """A slot that is free goes to whoever has waited longest, and not to whoever has just given it back."""
    store, got = LoopStore(), [0] * processes
    queues = [queue_of(store, parallel=slots) for _ in got]

    async def call(number: int) -> None:
        while True:
            permit = await queues[number].acquire()
            permit.sent = anyio.current_time()
            await anyio.sleep(2.0)
            got[number] += 1
            await queues[number].end(permit, 200)

    with anyio.move_on_after(60.1):
        async with anyio.create_task_group() as group:
            for number in range(processes):
                for _ in range(6):
                    group.start_soon(call, number)
    assert max(got) <= 1.25 * min(got)
    assert sum(got) >= 0.95 * 30 * slots


async def test_a_busy_process_gets_what_others_leave() -> None:
    server = Server(SlidingLog(40))
    few, many = await run_processes(server, LoopStore(), (4, 396))
    # It may come just after a burst of the other one.
    assert few < 1.1
    assert many <= 1.01 * 9.33


async def test_two_accounts_never_mix() -> None:
    store, one, other = LoopStore(), Server(SlidingLog(40)), Server(SlidingLog(40))

    async def process(server: Server, key: str) -> None:
        async with client_of(server, store, key=key) as client, anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(client.ping)

    started = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(process, one, "key-of-one-account")
        group.start_soon(process, other, "key-of-another-account")
    assert anyio.current_time() - started < 0.2
    assert len(store.accounts) == 2
    assert "key" not in repr(store.accounts)


async def test_one_throttle_is_for_one_account() -> None:
    throttle = Throttle(store=LoopStore())
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": "pong!"}))
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client:
        await client.ping()
        async with AsyncClient(KEY, transport=transport, throttle=throttle) as again:
            await again.ping()
        async with AsyncClient("another-key", transport=transport, throttle=throttle) as other:
            with pytest.raises(errors.StateError) as caught:
                await other.ping()
    assert str(caught.value) == (
        "this Throttle's store keeps the limits of another account; make one Throttle for each account"
    )


async def test_the_store_is_released_with_the_last_client_of_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[str] = []
    monkeypatch.setattr(LoopStore, "release", lambda _, account: released.append(account))
    store = LoopStore()
    throttle = Throttle(store=store)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": "pong!"}))
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client:
        async with AsyncClient(KEY, transport=transport, throttle=throttle) as other:
            await client.ping()
            await other.ping()
        assert released == []
    assert released == store.accounts


# --- what is learned reaches everyone ------------------------------------------------------------------------------


async def test_a_pause_is_everybodys() -> None:
    store = LoopStore()
    one, other = queue_of(store), queue_of(store)
    (permit,) = await admit(one)
    await one.end(permit, 429, retry_after=7.0)
    started = anyio.current_time()
    await other.acquire()
    assert anyio.current_time() - started == pytest.approx(7.0)


async def test_a_probe_of_another_process_ends_a_pause() -> None:
    store = LoopStore()
    one, other = queue_of(store), queue_of(store)
    refused = await admit(one, 2)
    await one.end(refused[0], 429, retry_after=1.0)
    probe = await one.acquire()
    admitted: list[float] = []

    async def wait() -> None:
        await other.acquire()
        admitted.append(anyio.current_time())

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.sleep(0.5)
        assert admitted == []
        await one.end(probe, 200)
        await anyio.sleep(0.6)
        assert len(admitted) == 1


async def test_a_learned_rate_is_everybodys() -> None:
    server = Server(TokenBucket(10, 5))
    store = LoopStore()
    await run_processes(server, store, (50, 50))
    before = server.refusals
    took = await run_processes(server, store, (50, 50))
    assert server.refusals - before <= 5
    assert max(took) <= 1.2 * 10
    pace = limits_in(store).pace
    assert pace is not None
    assert pace.rate < 12


async def test_fewer_slots_after_a_503_are_everybodys() -> None:
    store = LoopStore()
    one, other = queue_of(store), queue_of(store)
    permits = await admit(one, 10)
    await one.end(permits[0], 503)
    for permit in permits[1:6]:
        await one.end(permit, None)
    await other.acquire()
    assert other.limits.max_in_flight == 5


async def test_events_go_to_the_process_that_was_refused() -> None:
    store, events = LoopStore(), []
    server = Server(TokenBucket(40, 1))
    throttles = [Throttle(store=store) for _ in range(2)]
    clients = [
        AsyncClient(
            KEY, transport=server, throttle=throttle, on_event=lambda event: events.append(type(event).__name__)
        )
        for throttle in throttles
    ]
    async with clients[0], clients[1], anyio.create_task_group() as group:
        for client in clients:
            group.start_soon(client.ping)
    assert events.count("Pacing") == server.refusals == 1


# --- waiting -------------------------------------------------------------------------------------------------------


async def test_a_call_that_leaves_lets_the_next_one_go() -> None:
    store = LoopStore()
    queue = queue_of(store, parallel=1)
    (permit,) = await admit(queue)
    admitted: list[int] = []

    async def wait(number: int, patience: float) -> None:
        with anyio.move_on_after(patience):
            await queue.acquire()
            admitted.append(number)

    async with anyio.create_task_group() as group:
        for number, patience in enumerate((0.1, 10.0)):
            group.start_soon(wait, number, patience)
        await anyio.sleep(1.0)
        await queue.end(permit, 200)
    assert admitted == [1]
    assert len(queue.limits.in_flight) == 1


async def test_who_is_next_looks_for_a_slot_when_the_first_one_leaves() -> None:
    """Another process has the slot, so that nothing else would wake it."""
    store = LoopStore()
    one, other = queue_of(store, parallel=1), queue_of(store, parallel=1)
    (permit,) = await admit(one)
    started = anyio.current_time()

    async def wait(patience: float) -> None:
        with anyio.move_on_after(patience):
            await other.acquire()

    async with anyio.create_task_group() as group:
        for patience in (0.1, 10.0):
            group.start_soon(wait, patience)
            await anyio.sleep(0.01)
        await anyio.sleep(1.0)
        await one.end(permit, 200)
    assert anyio.current_time() - started <= 1.3
    assert other.admitted == 1


async def test_a_process_that_leaves_gives_its_turn_up() -> None:
    store = LoopStore()
    one, other = queue_of(store, parallel=1), queue_of(store, parallel=1)
    (permit,) = await admit(one)
    with anyio.move_on_after(0.1):
        await other.acquire()
    assert [turn.owner for turn in store.limits("account").turns.order] == []
    await one.end(permit, 200)
    started = anyio.current_time()
    await one.acquire()
    assert anyio.current_time() == started


async def test_a_permit_that_comes_too_late_is_given_back() -> None:
    """The caller was cancelled while the update that admits it was under way."""
    store = LoopStore(latency=0.1)
    queue = queue_of(store)
    with anyio.move_on_after(0.15) as scope:
        await queue.acquire()
    assert scope.cancelled_caught
    limits = store.limits("account")
    assert (limits.in_flight, limits.admitted, queue.admitted) == ({}, 0, 0)


async def test_a_call_that_leaves_while_it_is_admitted_gives_its_permit_back() -> None:
    """It is the second one in the queue, and sleeps while an update of others admits it."""
    store = LoopStore(latency=0.1)
    queue = queue_of(store, parallel=2)
    permits = await admit(queue, 2)
    admitted: list[str] = []
    leaving = anyio.CancelScope()

    async def wait(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            await queue.acquire()
            admitted.append(name)

    def leave(limits: AccountLimits) -> None:
        if limits.admitted == 4:
            leaving.cancel()

    store.written = leave
    async with anyio.create_task_group() as group:
        for name, scope in (("first", anyio.CancelScope()), ("second", leaving), ("third", anyio.CancelScope())):
            group.start_soon(wait, name, scope)
            await anyio.sleep(0.01)
        for permit in permits:
            group.start_soon(queue.end, permit, 200)
    assert sorted(admitted) == ["first", "third"]
    limits = store.limits("account")
    assert (len(limits.in_flight), limits.admitted, queue.admitted, queue.delayed) == (2, 4, 4, 2)


@pytest.mark.parametrize(
    ("given_up", "event", "seconds"),
    [(True, SENT, 2.05), (False, SENT, 0.0), (True, "connection.connect_tcp.started", 0.0)],
)
async def test_a_request_that_was_given_up_keeps_its_slot_for_a_while(
    given_up: bool, event: str, seconds: float
) -> None:
    """As long as a response usually takes, once it was sent: the server is still at work."""
    queue = queue_of(LoopStore(), parallel=1)
    for takes in (3.0, 1.0):
        (permit,) = await admit(queue)
        await permit.trace(SENT if takes == 3.0 else event, {})
        await anyio.sleep(takes)
        await queue.end(permit, 200 if takes == 3.0 else None, given_up=takes == 1.0 and given_up)
    started = anyio.current_time()
    await admit(queue)
    assert anyio.current_time() - started == pytest.approx(seconds, abs=0.01)


async def test_a_permit_that_is_given_back_counts_nowhere() -> None:
    store = LoopStore()
    queue = queue_of(store, parallel=3)
    permits: list[Permit] = []

    async def wait() -> None:
        permits.append(await queue.acquire())

    first = await admit(queue, 3)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(wait)
        await anyio.sleep(0.1)
        for permit in first:
            await queue.end(permit, 200)
    assert (queue.admitted, queue.delayed) == (6, 3)
    await queue.give_back(permits[0])
    assert (queue.admitted, queue.delayed, store.limits("account").admitted) == (5, 2, 5)


async def test_a_permit_is_given_back_once() -> None:
    store = LoopStore()
    queue = queue_of(store)
    (permit,) = await admit(queue)
    await queue.end(permit, 200)
    assert await queue.end(permit, 429) == ()
    assert store.limits("account").paused_until == -math.inf


async def test_what_ends_at_the_same_time_is_reported_together() -> None:
    store = LoopStore(latency=0.1)
    queue = queue_of(store)
    permits = await admit(queue, 5)
    before = store.updates
    async with anyio.create_task_group() as group:
        for permit in permits:
            group.start_soon(queue.end, permit, 200)
    assert store.updates - before == 1
    assert store.limits("account").in_flight == {}


async def test_what_ends_during_an_update_is_reported_together() -> None:
    store = LoopStore(latency=0.1)
    queue = queue_of(store)
    first, *others = await admit(queue, 5)
    before = store.updates
    async with anyio.create_task_group() as group:
        group.start_soon(queue.end, first, 200)
        for permit in others:
            await anyio.sleep(0.01)
            group.start_soon(queue.end, permit, 200)
    assert store.updates - before == 2
    assert store.limits("account").in_flight == {}


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize(("latency", "cancelled_at"), [(0.0, 0.0), (0.1, 0.0), (0.1, 0.05), (0.1, 0.15)])
async def test_a_slot_comes_back_although_its_end_is_cancelled_twice(latency: float, cancelled_at: float) -> None:
    """A shield does not stop asyncio's own cancellation, as by ``asyncio.timeout``, wherever the update is then."""
    store = LoopStore(latency=latency)
    queue = queue_of(store)
    (permit,) = await admit(queue)
    ending = asyncio.ensure_future(queue.end(permit))
    await asyncio.sleep(cancelled_at)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert store.limits("account").in_flight == {}


async def test_a_pause_begins_when_the_refusal_came() -> None:
    """Not when the store learns of it: another update was under way."""
    store = LoopStore(latency=0.5)
    queue = queue_of(store)
    first, second = await admit(queue, 2)
    started = store.now()
    async with anyio.create_task_group() as group:
        group.start_soon(queue.end, first, 200)
        await anyio.sleep(0.3)
        group.start_soon(queue.end, second, 429, 7.0)
    assert store.limits("account").paused_until == pytest.approx(started + 0.3 + 7.0)


async def test_who_was_admitted_asks_no_more() -> None:
    """Its time to look comes while the update is under way that admits it."""
    store = LoopStore(latency=0.1)
    store.poll = 0.205
    queue = queue_of(store, parallel=1)
    (permit,) = await admit(queue)
    started, before = anyio.current_time(), 0
    async with anyio.create_task_group() as group:
        group.start_soon(queue.acquire)
        await anyio.sleep(0.25)
        # The waiter asked from 0 s to 0.2 s, and would ask again at 0.305 s.
        before = store.updates
        group.start_soon(queue.end, permit, 200)
    assert anyio.current_time() - started == pytest.approx(0.45)
    assert store.updates - before == 1


async def test_who_was_refused_asks_no_more() -> None:
    """It came while the update was under way that refuses it; to find out again that the store is away takes long."""
    store = LoopStore(latency=0.1, on_outage="raise")
    queue = queue_of(store)
    (permit,) = await admit(queue)
    store.is_away = True
    before = store.asked
    async with anyio.create_task_group() as group:
        group.start_soon(queue.end, permit, 200)
        await anyio.sleep(0.05)
        with pytest.raises(errors.StoreError):
            await queue.acquire()
    assert store.asked - before == 1


async def test_who_was_admitted_waits_no_more() -> None:
    store = LoopStore()
    queue = queue_of(store, parallel=2)
    await admit(queue, 2)
    assert store.limits("account").turns.members[queue.member].waiting == 0
    with anyio.move_on_after(0.1):
        await admit(queue)
    assert store.limits("account").turns.members[queue.member].waiting == 0


async def test_one_update_leaves_each_process_a_part_of_what_is_free() -> None:
    """Twelve slots, all at once, for three processes that wait."""
    store = LoopStore()
    queues = [queue_of(store, per_second=400, parallel=12) for _ in range(3)]
    permits = await admit(queues[0], 12)
    async with anyio.create_task_group() as group:
        for queue in queues:
            for _ in range(12):
                group.start_soon(queue.acquire)
        await anyio.sleep(1.0)
        for permit in permits:
            group.start_soon(queues[0].end, permit, 200)
        await anyio.sleep(1.0)
        taken = [queue.admitted - (12 if queue is queues[0] else 0) for queue in queues]
        assert sum(taken) == 12
        assert min(taken) >= 2
        group.cancel_scope.cancel()


async def test_an_update_is_not_cut_off() -> None:
    """It would be open whether it took place."""
    store = LoopStore(latency=0.1)
    queue = queue_of(store)
    (permit,) = await admit(queue)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await queue.end(permit, 200)
    assert store.limits("account").in_flight == {}


async def test_retries_go_first() -> None:
    queue = queue_of(LoopStore(), parallel=1)
    (permit,) = await admit(queue)
    order: list[str] = []

    async def wait(name: str, is_retry: bool) -> None:
        got = await (queue.acquire(is_retry=True) if is_retry else queue.acquire())
        order.append(name)
        await queue.end(got, 200)

    async with anyio.create_task_group() as group:
        for name in ("newcomer", "retry"):
            group.start_soon(wait, name, name == "retry")
            await anyio.sleep(0.01)
        await queue.end(permit, 200)
    assert order == ["retry", "newcomer"]


async def test_a_pause_that_is_too_long_is_an_error() -> None:
    store = LoopStore()
    queue = queue_of(store)
    (permit,) = await admit(queue)
    await queue.end(permit, 429, retry_after=300.0)
    assert permit.pause_left == 300.0
    with pytest.raises(errors.RateLimitError, match="rate limited for 300 s in all"):
        await queue.acquire(max_pause=90.0)
    # Once a minute it is put to the test.
    await anyio.sleep(60.0)
    await queue.acquire(max_pause=90.0)


async def test_a_permit_says_how_long_it_was_waited_for() -> None:
    queue, permits = queue_of(LoopStore(), parallel=1), []
    await anyio.sleep(50.0)
    started = anyio.current_time()
    (first,) = await admit(queue)
    assert (first.admitted, first.queued, first.paused, first.was_queued) == (started, 0.0, 0.0, False)

    async def wait() -> None:
        permits.append(await queue.acquire())

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.sleep(2.0)
        await queue.end(first, 200)
    (second,) = permits
    assert (second.admitted - started, second.queued) == pytest.approx((2.0, 2.0), abs=0.01)
    assert (second.paused, second.was_queued) == (0.0, True)


async def test_a_permit_says_how_long_requests_were_paused_in_vain() -> None:
    """The same as where nothing is shared."""

    async def paused(throttle: Throttle) -> list[float]:
        admission, seconds = throttle._attach(object(), "account"), []

        async def call(status: int) -> None:
            permit = await admission.acquire()
            seconds.append(permit.paused)
            await anyio.sleep(1.0)
            await admission.end(permit, status)

        async with anyio.create_task_group() as group:
            for status in (429, 429, 429, 200, 200):
                group.start_soon(call, status)
                await anyio.sleep(0.01)
        return seconds

    # After a response of another kind, no pause was in vain.
    own = await paused(Throttle(parallel=1))
    assert own == pytest.approx([0, 0.25, 1.25, 7.25, 0], abs=0.1)
    assert await paused(Throttle(parallel=1, store=LoopStore())) == pytest.approx(own, abs=0.1)


@pytest.mark.no_cover
async def test_pauses_in_a_shared_queue_count_and_queueing_does_not() -> None:
    queue = queue_of(LoopStore(), parallel=1)
    refused_after: list[float] = []
    waited: list[float] = []

    async def refuse_one() -> None:
        permit = await queue.acquire()
        await anyio.sleep(10)
        await queue.end(permit, 429)

    async def wait(max_pause: float) -> None:
        start = anyio.current_time()
        with pytest.raises(errors.RateLimitError) as caught:
            await queue.acquire(max_pause)
        refused_after.append(anyio.current_time() - start)
        waited.append(caught.value.waited)

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(refuse_one)
            await anyio.sleep(0.01)
        group.start_soon(wait, 76)
        group.start_soon(wait, 40)
    # As in `test_throttle`: exchanges of 10 s, and pauses of 0.25, 1, 6, 30 and 30 s.
    four = 10 + 0.25 + 10 + 1 + 10 + 6 + 10
    assert refused_after == pytest.approx([four, four + 30 + 10], abs=0.2)
    assert waited == pytest.approx([0.25 + 1 + 6, 0.25 + 1 + 6 + 30], abs=0.2)


async def test_a_pause_as_long_as_max_pause_leaves_no_time_for_a_response() -> None:
    queue = queue_of(LoopStore(), parallel=1)
    (permit,) = await admit(queue)
    started = anyio.current_time()

    async def wait() -> None:
        with pytest.raises(errors.RateLimitError, match="rate limited for 90 s in all"):
            await queue.acquire(max_pause=90.0)
        assert anyio.current_time() == started

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        await queue.end(permit, 429, retry_after=90.0)
        group.start_soon(wait)


@pytest.mark.parametrize(
    ("takes", "pause", "max_pause", "is_tested"),
    [
        (0.0, 150.0, 90.0, True),
        (0.0, 60.5, 0.4, True),
        (15.0, 140.0, 90.0, True),
        (15.0, 130.0, 90.0, False),
    ],
)
async def test_only_a_pause_that_leaves_no_time_for_a_response_is_tested(
    takes: float, pause: float, max_pause: float, is_tested: bool
) -> None:
    queue = queue_of(LoopStore())
    (permit,) = await admit(queue)
    await anyio.sleep(takes)
    await queue.end(permit, 429, retry_after=pause)
    await anyio.sleep(60.0)
    started = anyio.current_time()
    await queue.acquire(max_pause)
    assert anyio.current_time() - started == pytest.approx(0.0 if is_tested else pause - 60.0, abs=0.1)
    (start,) = queue.limits.in_flight.values()
    assert start.owner == queue.member


async def test_no_pause_is_tested_where_there_is_none() -> None:
    """Responses take longer than the call may be paused for, but it waits for the window alone."""
    queue = queue_of(LoopStore(), per_second=1)
    (permit,) = await admit(queue)
    await anyio.sleep(2.0)
    await queue.end(permit, 200)
    (permit,) = await admit(queue)
    await permit.trace(SENT, {})
    started = anyio.current_time()
    await queue.acquire(max_pause=1.0)
    assert anyio.current_time() - started >= 1.0


async def test_calls_that_wait_are_refused_when_a_long_pause_begins() -> None:
    queue = queue_of(LoopStore(), parallel=1)
    (permit,) = await admit(queue)
    refused: list[errors.RateLimitError] = []

    async def wait() -> None:
        with pytest.raises(errors.RateLimitError) as caught:
            await queue.acquire(max_pause=90.0)
        refused.append(caught.value)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(wait)
        await anyio.sleep(1.0)
        await queue.end(permit, 429, retry_after=300.0)
    assert [(error.retry_after, error.waited) for error in refused] == [(300.0, 0.0)] * 3
    assert {error.message for error in refused} == {
        "not sent: rate limited for 300 s in all, which exceeds RetryPolicy.total; the key may be in use elsewhere"
    }


async def test_who_gives_up_before_a_response_can_come_is_passed_over() -> None:
    queue = queue_of(LoopStore(), parallel=2)
    first, second = await admit(queue, 2)
    await anyio.sleep(3.0)
    await queue.end(first, 200)
    (first,) = await admit(queue)
    order: list[float] = []

    async def wait(patience: float) -> None:
        with anyio.move_on_after(patience):
            await queue.acquire()
            order.append(patience)

    async with anyio.create_task_group() as group:
        for patience in (1.0, 100.0):
            group.start_soon(wait, patience)
        await anyio.sleep(0.1)
        await queue.end(second, 200)
        await anyio.sleep(0.1)
        assert order == [100.0]
    assert order == [100.0]


async def test_who_is_passed_over_returns_when_responses_are_faster() -> None:
    queue = queue_of(LoopStore(), parallel=2)
    (permit,) = await admit(queue)
    await anyio.sleep(3.0)
    await queue.end(permit, 200)
    first, second = await admit(queue, 2)
    started, admitted = anyio.current_time(), list[float]()

    async def wait() -> None:
        with anyio.move_on_after(1.0):
            await queue.acquire()
            admitted.append(anyio.current_time() - started)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.sleep(0.1)
        await queue.end(first, 200)
    assert admitted == [pytest.approx(0.1)]
    await queue.end(second, 200)


async def test_who_is_passed_over_returns_when_it_has_more_time() -> None:
    """It finds that when its first deadline comes."""
    queue = queue_of(LoopStore(), parallel=1)
    (permit,) = await admit(queue)
    await anyio.sleep(3.0)
    await queue.end(permit, 200)
    (permit,) = await admit(queue)
    hurried, order = anyio.CancelScope(deadline=anyio.current_time() + 2.0), list[str]()

    async def wait(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            got = await queue.acquire()
            order.append(name)
            await queue.end(got, 200)

    async with anyio.create_task_group() as group:
        for name, scope in (("hurried", hurried), ("next", anyio.CancelScope())):
            group.start_soon(wait, name, scope)
            await anyio.sleep(0.1)
        hurried.deadline = math.inf
        await anyio.sleep(2.0)
        await queue.end(permit, 200)
    assert order == ["hurried", "next"]


async def test_a_process_notices_that_responses_are_faster() -> None:
    """As found, it looked for a slot when the response was to be expected: seven seconds after it had come."""
    store = LoopStore()
    one, other = queue_of(store, parallel=1), queue_of(store, parallel=1)
    (permit,) = await admit(one)
    await anyio.sleep(7.0)
    await one.end(permit, 200)
    (permit,) = await admit(one)
    started = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(other.acquire)
        await anyio.sleep(0.05)
        await one.end(permit, 200)
    assert anyio.current_time() - started == pytest.approx(0.25)


async def test_a_lone_call_is_not_passed_over() -> None:
    queue = queue_of(LoopStore(), parallel=1)
    (permit,) = await admit(queue)
    await anyio.sleep(3.0)
    await queue.end(permit, 200)
    with anyio.move_on_after(1.0) as scope:
        await queue.acquire()
    assert not scope.cancelled_caught


# --- figures -------------------------------------------------------------------------------------------------------


async def test_statistics_and_free_slots() -> None:
    store = LoopStore()
    throttle, other = Throttle(store=store), queue_of(store)
    queue = shared_by(throttle)
    await admit(other, 3)
    permits = await admit(queue, 2)
    statistics = throttle.statistics()
    # What is in flight is the account's, what was admitted the process's own.
    assert (statistics.admitted, statistics.delayed, statistics.waiting, statistics.in_flight) == (2, 0, 0, 5)
    assert throttle._free_slots() == 15
    assert throttle._free_slots(taken=19) == 1
    await admit(queue, 15)
    assert throttle.statistics().delayed == 0
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(queue.acquire)
        await anyio.sleep(0.1)
        assert (throttle.statistics().waiting, throttle.statistics().delayed) == (2, 0)
        for permit in permits:
            await queue.end(permit, 200)
    assert (throttle.statistics().waiting, throttle.statistics().delayed) == (0, 2)


async def test_statistics_of_times_are_those_of_the_stores_clock() -> None:
    throttle = Throttle(store=LoopStore())
    queue = shared_by(throttle)
    (permit,) = await admit(queue)
    await queue.end(permit, 429, retry_after=30.0)
    for passed in (0.0, 10.0):
        await anyio.sleep(passed)
        statistics = throttle.statistics()
        assert (statistics.paused_for, statistics.paced_for) == pytest.approx((30 - passed, 60 - passed))
    assert throttle._free_slots() == 0


async def test_free_slots_are_what_this_process_could_start_immediately() -> None:
    throttle = Throttle(per_second=5, store=LoopStore(latency=0.1))
    queue = shared_by(throttle)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(queue.acquire)
        await anyio.sleep(0.05)
        # They wait for the store.
        assert throttle._free_slots() == 2
    for permit in list(queue._in_flight):
        await queue.end(permit, 200)
    assert throttle._free_slots() == 2
    await anyio.sleep(1.5)
    assert throttle._free_slots() == 5


async def test_before_its_first_request_a_process_knows_its_own_limits() -> None:
    throttle = Throttle(30, 10, store=LoopStore())
    shared_by(throttle)
    statistics = throttle.statistics()
    assert (statistics.per_second, statistics.max_in_flight, throttle._free_slots()) == (30, 10, 10)


async def test_the_limits_of_the_process_that_came_last_hold_for_all() -> None:
    store = LoopStore()
    first = queue_of(store)
    await admit(first)
    await admit(queue_of(store, per_second=10, parallel=5))
    await admit(first)
    assert (first.limits.per_second, first.limits.parallel) == (10, 5)


async def test_resizing_one_process_resizes_all() -> None:
    store = LoopStore()
    throttle, other = Throttle(store=store), queue_of(store)
    queue = shared_by(throttle)
    await admit(queue)
    await admit(other)
    throttle.resize(per_second=10, parallel=5)
    await admit(queue)
    await admit(other)
    assert (other.limits.per_second, other.limits.parallel) == (10, 5)
    # The other one does not set it back.
    await admit(queue)
    assert (queue.limits.per_second, queue.limits.parallel) == (10, 5)
    throttle.resize(parallel=7)
    await admit(queue)
    assert (queue.limits.per_second, queue.limits.parallel) == (10, 7)


async def test_calls_that_wait_need_not_wait_for_new_limits() -> None:
    store = LoopStore()
    throttle = Throttle(per_second=1, store=store)
    queue = shared_by(throttle)
    (permit,) = await admit(queue)
    await queue.end(permit, 200)
    started = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(queue.acquire)
        await anyio.sleep(0.1)
        throttle.resize(per_second=2)
    assert anyio.current_time() - started == pytest.approx(0.1)


async def test_clients_of_one_throttle_share_its_queue() -> None:
    throttle = Throttle(store=LoopStore())
    assert shared_by(throttle) is shared_by(throttle)


# --- processes that die ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})], ids=["asyncio"])
async def test_an_exchange_does_not_write_down_its_task() -> None:
    """As a cancellation does; in a worker of taskiq that takes 20 ms, since each task knows all others."""

    class Waiting:
        written = 0

        def __call__(self, task: object) -> None:
            pass

        def __repr__(self) -> str:
            type(self).written += 1
            return "one that waits for the task"

    task = asyncio.current_task()
    assert task is not None
    assert "one that waits" not in repr(task)
    task.add_done_callback(Waiting())
    assert "one that waits" in repr(task)
    server = Server(COUNTERS["sliding"](40), there=between(0, 0.02), work=constant(12.0))
    async with client_of(server, LoopStore(lease=5.0)) as client:
        assert await client.ping() == "pong!"
    assert Waiting.written == 1


async def test_what_a_process_was_before_and_is_idle_is_forgotten() -> None:
    """One that makes a throttle again and again is one process."""
    store = LoopStore()
    store.pid = 7
    for _ in range(3):
        queue = queue_of(store)
        (permit,) = await admit(queue)
        await queue.end(permit, 200)
        assert list(store.limits("account").turns.members) == [queue.member]
    busy, other = queue_of(store), queue_of(store)
    (permit,) = await admit(busy)
    await admit(other)
    # One that is known already forgets nobody.
    await busy.end(permit, 200)
    (permit,) = await admit(busy)
    await busy.end(permit, 200)
    await admit(other)
    assert set(store.limits("account").turns.members) == {busy.member, other.member}


async def test_a_turn_is_kept_for_as_long_as_its_process_takes_to_come() -> None:
    store = LoopStore()
    (permit,) = await admit(near := queue_of(store, parallel=1))
    far = queue_of(store, parallel=1)
    far._delay = 3.0
    async with anyio.create_task_group() as group:
        group.start_soon(far.acquire)
        await anyio.sleep(0.001)
        (turn,) = store.limits("account").turns.order
        assert turn.until >= store.now() + 3.0
        await near.end(permit, 200)


async def test_the_slots_of_a_dead_process_come_back_after_its_lease() -> None:
    store = LoopStore(lease=5.0)
    dead, alive = queue_of(store, parallel=2), queue_of(store, parallel=2)
    await admit(dead, 2)
    started = anyio.current_time()
    await alive.acquire()
    assert 4.9 <= anyio.current_time() - started <= 6.0
    assert len(store.limits("account").turns.members) == 1


@pytest.mark.no_cover
async def test_a_long_exchange_keeps_its_slot() -> None:
    store = LoopStore(lease=5.0)
    busy, other = queue_of(store, parallel=1), queue_of(store, parallel=1)
    (permit,) = await admit(busy)
    async with busy.alive():
        with anyio.move_on_after(60.0) as scope:
            await other.acquire()
    assert scope.cancelled_caught
    await busy.end(permit, 200)
    await other.acquire()


@pytest.mark.no_cover
async def test_a_long_exchange_of_a_client_keeps_its_slot() -> None:
    store = LoopStore(lease=5.0)
    server = Server(COUNTERS["sliding"](40), work=constant(12.0))
    throttle, other = Throttle(parallel=1, store=store), queue_of(store, parallel=1)
    async with AsyncClient(KEY, transport=server, throttle=throttle) as client, anyio.create_task_group() as group:
        group.start_soon(client.ping)
        await anyio.sleep(0.1)
        (other._account,) = store.accounts
        await other.acquire()
        assert anyio.current_time() == pytest.approx(12.0, abs=0.5)


async def test_an_exchange_renews_only_what_nothing_else_does() -> None:
    store = LoopStore(lease=6.0)
    queue = queue_of(store)
    await admit(queue)
    async with queue.alive(), queue.alive():
        await anyio.sleep(20.5)
    # One for the admission, and one in two seconds for both exchanges.
    assert store.updates == 1 + 10


async def test_a_process_that_was_taken_to_be_dead_goes_on() -> None:
    store = LoopStore(lease=5.0)
    paused, other = queue_of(store), queue_of(store)
    (permit,) = await admit(paused)
    await anyio.sleep(10.0)
    await admit(other)
    assert len(store.limits("account").in_flight) == 1
    assert await paused.end(permit, 200) == ()
    await paused.acquire()
    assert len(store.limits("account").in_flight) == 2


async def test_an_error_of_a_long_exchange_comes_out_bare() -> None:
    queue = queue_of(LoopStore(lease=5.0))
    with pytest.raises(LookupError):
        async with queue.alive():
            raise LookupError


async def test_an_end_that_could_not_be_reported_is_reported_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a task is cancelled natively, which no scope keeps away."""

    async def fail(*_: object) -> None:
        raise LookupError

    store = LoopStore()
    queue = queue_of(store)
    (permit,) = await admit(queue)
    with monkeypatch.context() as patch:
        patch.setattr(store, "update", fail)
        with pytest.raises(LookupError):
            await queue.end(permit, 429, retry_after=7.0)
    started = anyio.current_time()
    await queue.acquire()
    assert anyio.current_time() - started == pytest.approx(7.0)
    assert len(store.limits("account").in_flight) == 1


def use_in(loop: asyncio.AbstractEventLoop, throttle: Throttle, user: object) -> None:
    async def use() -> None:
        await throttle._attach(user, "account").acquire()

    loop.run_until_complete(use())


def test_the_next_event_loop_takes_the_place_of_the_one_before() -> None:
    store = LoopStore()
    throttle = Throttle(store=store)
    for _ in range(2):
        loop = VirtualTimeLoop()
        use_in(loop, throttle, object())
        loop.close()
    limits = store.limits("account")
    assert (len(limits.in_flight), len(limits.turns.members)) == (1, 1)


async def test_a_process_that_makes_a_throttle_again_and_again_is_one() -> None:
    store = LoopStore()
    other, waiting, busy, *idle = (queue_of(store, parallel=2) for _ in range(9))
    store.pid = 8
    await admit(other)
    store.pid = 7
    for queue in idle:
        (permit,) = await admit(queue)
        await queue.end(permit, 200)
    assert set(store.limits("account").turns.members) == {other.member, idle[-1].member}
    await admit(busy)
    async with anyio.create_task_group() as group:
        group.start_soon(waiting.acquire)
        await anyio.sleep(0.1)
        # It comes back, and has nothing to do either.
        await idle[0]._update()
        assert set(store.limits("account").turns.members) == {queue.member for queue in (other, busy, waiting, idle[0])}
        group.cancel_scope.cancel()


def test_a_forked_child_is_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on with the throttle, and its parent goes on, too."""
    store = LoopStore()
    throttle = Throttle(store=store)
    parent, child = VirtualTimeLoop(), VirtualTimeLoop()
    use_in(parent, throttle, object())
    monkeypatch.setattr(os, "getpid", lambda: 2**22)
    use_in(child, throttle, object())
    limits = store.limits("account")
    assert (len(limits.in_flight), len(limits.turns.members)) == (2, 2)
    parent.close()
    child.close()


def test_it_belongs_to_its_event_loop_while_anything_is_in_flight() -> None:
    throttle, user = Throttle(store=LoopStore()), object()
    first, second = VirtualTimeLoop(), VirtualTimeLoop()
    use_in(first, throttle, user)
    throttle._detach(user)
    with pytest.raises(errors.StateError, match="serves a client in another event loop"):
        use_in(second, throttle, user)
    first.close()
    second.close()


async def test_an_update_that_is_repeated_reports_what_the_last_one_changed() -> None:
    """Another process was first, and had taken this one to be gone."""
    store = LoopStore()
    queue = queue_of(store)
    permit, _ = await admit(queue, 2)
    report = queue._report_of([Ended(permit, anyio.current_time(), status=503)], most=0)
    first, second = store.limits("account"), store.limits("account")
    second.remove_member(queue.member, store.now())
    report.apply(first, store.now(), store.ahead)
    assert report.ended[0].events
    report.apply(second, store.now(), store.ahead)
    assert not report.ended[0].events


def see(owner: int, limits: AccountLimits, now: float) -> None:
    limits.turns.see(owner, 0, now, 0)


@pytest.mark.parametrize("tries", [1, 2, 3])
async def test_what_came_up_before_an_update_is_dated_truly(tries: int) -> None:
    """Until the store has it, some time passes, and more if others are first."""
    store = LoopStore(latency=0.02)
    queue = queue_of(store)
    (permit,) = await admit(queue)
    permit.sent = anyio.current_time()
    await anyio.sleep(0.03)
    ended = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(queue.end, permit, 200)
        for other in range(1, tries):
            await anyio.sleep(0.01)
            store.change(partial(see, other, now=store.now()))
            await anyio.sleep(0.01)
    (start,) = store.limits("account").window.starts
    assert start.sent == pytest.approx(permit.sent + store.ahead)
    assert start.counted_by == pytest.approx(ended + store.ahead - (0.03 - _MARGIN))
    assert store.conflicts == tries - 1
    assert queue._delay == pytest.approx(0.02 * tries)
    assert queue.offset == pytest.approx(store.ahead)


async def test_what_a_store_has_lost_is_not_taken_for_what_it_knows() -> None:
    """It gives the same numbers again."""
    store = LoopStore()
    queue, other = queue_of(store), queue_of(store)
    (permit,) = await admit(queue)
    store.forget()
    (known,) = await admit(other)
    assert permit.number == known.number
    await queue.end(permit, 200)
    (start,) = store.limits("account").in_flight.values()
    assert start.owner == other.member


# --- a store that is away --------------------------------------------------------------------------------------------


async def test_an_equal_share_while_the_store_is_away(caplog: pytest.LogCaptureFixture) -> None:
    store = LoopStore()
    queues = [queue_of(store) for _ in range(4)]
    for queue in queues:
        await admit(queue)
    for queue in queues:
        # Each sees all four.
        await admit(queue)
    store.is_away = True
    admitted: list[int] = []

    async def take(queue: SharedQueue) -> None:
        with anyio.move_on_after(0.5):
            while True:
                await queue.acquire()
                admitted.append(queue.limits.parallel)

    async with anyio.create_task_group() as group:
        for queue in queues:
            group.start_soon(take, queue)
    # Two of the five slots of each are in use.
    assert admitted == [5] * 3 * 4
    message = (
        "the store of the limits is away: nobody answers; until it is back, this process uses 10 requests a second "
        "and 5 in parallel, its share among 4"
    )
    assert [record.getMessage() for record in caplog.records] == [message] * 4


@pytest.mark.parametrize(("size", "seen", "share"), [((40, 20), 0, (40, 20, 1)), ((1, 1), 2, (1, 1, 2))])
async def test_a_share_is_of_those_that_were_seen_and_never_nothing(
    size: tuple[int, int], seen: int, share: tuple[int, int, int], caplog: pytest.LogCaptureFixture
) -> None:
    store = LoopStore()
    queues = [queue_of(store, *size) for _ in range(2)]
    for queue in queues[:seen]:
        (permit,) = await admit(queue)
        await queue.end(permit, 200)
        await anyio.sleep(2.0)
    store.is_away = True
    await admit(queues[-1])
    (record,) = caplog.records
    assert record.args is not None
    assert tuple(record.args)[1:] == share
    assert (queues[-1].limits.per_second, queues[-1].limits.parallel) == share[:2]


async def test_it_is_used_again_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    store = LoopStore()
    one, other = queue_of(store), queue_of(store)
    before = await admit(one, 2)
    await admit(other)
    store.is_away = True
    during = await admit(one, 1)
    await anyio.sleep(1.1)
    # It is tried again, in vain.
    during += await admit(one, 1)
    await one.end(before[0], 200)
    store.is_away = False
    await anyio.sleep(1.1)
    after = await admit(one)
    assert [record.getMessage() for record in caplog.records][1:] == ["the store of the limits is back"]
    # Four of one process, one of the other: what ended during the outage is known, and what began.
    assert len(store.limits("account").in_flight) == 5
    for permit in (before[1], *during, *after):
        await one.end(permit, 200)
    assert len(store.limits("account").in_flight) == 1


@pytest.mark.parametrize("starts", [39, 5])
async def test_what_was_sent_before_an_outage_counts_in_it(starts: int) -> None:
    """Else a process would start its share at once, beside what it has just sent."""
    store = LoopStore()
    queue, other = queue_of(store), queue_of(store)
    await admit(other)
    for _ in range(starts):
        (permit,) = await admit(queue)
        await queue.end(permit, 200)
    store.is_away = True
    started = anyio.current_time()
    await queue.end((await admit(queue))[0], 200)
    assert anyio.current_time() - started == pytest.approx(1.05 if starts == 39 else 0.0, abs=0.02)


async def test_what_was_sent_before_an_outage_counts_from_when_it_was_sent() -> None:
    store = LoopStore()
    queue = queue_of(store, per_second=2)
    (ended, in_flight) = await admit(queue, 2)
    await queue.end(ended, 200)
    await anyio.sleep(0.5)
    store.is_away = True
    started = anyio.current_time()
    await queue.end((await admit(queue))[0], 200)
    assert anyio.current_time() - started == pytest.approx(0.55, abs=0.02)
    # What is in flight counts once.
    await admit(queue)
    assert anyio.current_time() - started == pytest.approx(1.6, abs=0.05)
    await queue.end(in_flight, 200)


async def test_what_ends_as_the_store_goes_away_counts_from_then() -> None:
    store = LoopStore()
    queue = queue_of(store, per_second=1)
    (permit,) = await admit(queue)
    await anyio.sleep(5.0)
    store.is_away = True
    started = anyio.current_time()
    await queue.end(permit, 200)
    with anyio.fail_after(10.0):
        await admit(queue)
    assert anyio.current_time() - started == pytest.approx(1.0, abs=0.1)


async def test_what_was_sent_long_before_a_store_is_back_counts_no_more() -> None:
    store = LoopStore()
    queue = queue_of(store, per_second=5)
    store.is_away = True
    for permit in await admit(queue, 5):
        await queue.end(permit, 200)
    await anyio.sleep(5.0)
    store.is_away = False
    started = anyio.current_time()
    await admit(queue, 5)
    assert anyio.current_time() == started
    assert store.asked > store.updates > 0


@pytest.mark.parametrize(("theirs", "own"), [(15, 5), (10, 10), (2, 10)])
async def test_slots_beyond_the_share_of_others_are_not_used_twice(theirs: int, own: int) -> None:
    """What they had in flight when the store went away stays in flight until the responses come."""
    store = LoopStore()
    queue, other = queue_of(store), queue_of(store)
    await admit(other, theirs)
    await admit(queue)
    store.is_away = True
    for seconds, expected in ((0.5, own), (1.0, 10)):
        with anyio.move_on_after(seconds):
            while True:
                await queue.acquire()
        assert len(queue.limits.in_flight) == expected


async def test_what_was_sent_during_an_outage_counts_after_it() -> None:
    store = LoopStore()
    queue = queue_of(store)
    store.is_away = True
    for _ in range(38):
        (permit,) = await admit(queue)
        await queue.end(permit, 200)
    # A second after the outage began it is over, and the latest requests were just sent.
    await anyio.sleep(0.9)
    for _ in range(2):
        await admit(queue)
    store.is_away = False
    await anyio.sleep(0.1)
    await admit(queue)
    assert store.limits("account").window.count(store.now()) >= 3
    # Nobody else is there.
    assert store.limits("account").paused_until == -math.inf


async def test_what_ended_during_an_outage_counts_after_it() -> None:
    """Else a process would start all that the limits allow, beside what it has just sent."""
    store = LoopStore()
    queue = queue_of(store)
    store.is_away = True
    await queue.end((await admit(queue))[0], 200)
    await anyio.sleep(0.9)
    sent = anyio.current_time()
    for _ in range(38):
        await queue.end((await admit(queue))[0], 200)
    store.is_away = False
    await anyio.sleep(0.2)
    back = anyio.current_time()
    await admit(queue, 2)
    assert anyio.current_time() == back
    await admit(queue)
    assert anyio.current_time() - sent == pytest.approx(1.0, abs=0.06)
    assert store.updates > 0


async def test_a_store_that_is_away_is_tried_once_a_second() -> None:
    """To find out that it is away may take long."""
    store = LoopStore()
    queue = queue_of(store)
    await admit(queue)
    store.is_away = True
    before = store.asked
    await admit(queue, 5)
    assert store.asked - before == 1
    await anyio.sleep(1.0)
    await admit(queue, 5)
    assert store.asked - before == 2


async def test_a_request_of_an_outage_is_not_taken_for_one_before_it() -> None:
    """Their numbers differ."""
    store = LoopStore()
    queue = queue_of(store)
    (permit,) = await admit(queue)
    await queue.end(permit, 200)
    await anyio.sleep(5.0)
    (permit,) = await admit(queue)
    store.is_away = True
    await anyio.sleep(5.0)
    await queue.end(permit, 200)
    await admit(queue)
    store.is_away = False
    await anyio.sleep(5.0)
    await admit(queue)
    moments = [start.admitted for start in store.limits("account").in_flight.values()]
    assert moments == pytest.approx([store.now()] * 2)


async def test_a_store_that_is_back_learns_of_other_limits() -> None:
    store = LoopStore()
    queue = queue_of(store)
    for each in (queue_of(store), queue):
        await admit(each)
    store.is_away = True
    queue.resize(10, 20)
    # Its share is one of the new limits, of which the store does not know yet.
    await admit(queue)
    assert (queue.limits.per_second, queue.limits.parallel) == (5, 10)
    store.is_away = False
    await anyio.sleep(1.1)
    await admit(queue)
    limits = store.limits("account")
    assert (limits.per_second, limits.parallel) == (10, 20)


async def test_limits_that_change_in_an_outage_change_the_share() -> None:
    store = LoopStore()
    queue = queue_of(store)
    for each in (queue_of(store), queue):
        await admit(each)
    store.is_away = True
    await admit(queue)
    queue.resize(10, 1)
    assert (queue.limits.per_second, queue.limits.parallel) == (5, 1)


async def test_limits_that_change_during_an_update_are_told_by_the_next() -> None:
    store = LoopStore(latency=0.1)
    queue = queue_of(store)
    async with anyio.create_task_group() as group:
        group.start_soon(queue.acquire)
        await anyio.sleep(0.15)
        queue.resize(10, 20)
    assert store.limits("account").per_second == 40
    await admit(queue)
    assert store.limits("account").per_second == 10


async def test_limits_that_were_told_before_are_told_again() -> None:
    """Another process has told others since."""
    store = LoopStore()
    one, other = queue_of(store), queue_of(store)
    for queue, per_second in ((one, 10), (other, 30), (one, 10)):
        queue.resize(per_second, 20)
        (permit,) = await admit(queue)
        await queue.end(permit, 200)
        assert store.limits("account").per_second == per_second


@pytest.mark.parametrize("moment", [0.05, 0.15, 0.25])
async def test_limits_that_change_during_an_update_count_at_once(moment: float) -> None:
    """The first update takes until 0.2 s, and finds that nothing may start until a second has passed."""
    throttle = Throttle(per_second=1, store=LoopStore(latency=0.1))
    queue = shared_by(throttle)
    (permit,) = await admit(queue)
    await queue.end(permit, 200)
    started = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(queue.acquire)
        await anyio.sleep(moment)
        throttle.resize(per_second=2)
    assert anyio.current_time() - started == pytest.approx(0.45 if moment == 0.25 else 0.4)


async def test_a_limit_that_stays_keeps_what_was_learned_about_it() -> None:
    store = LoopStore()
    queue = queue_of(store)
    store.is_away = True
    for status in (429, 200):
        (permit,) = await admit(queue)
        await queue.end(permit, status, retry_after=0.5)
    pace = queue.limits.pace
    queue.resize(40, 10)
    assert (queue.limits.pace, queue.limits.parallel) == (pace, 10)
    assert pace is not None
    store.is_away = False
    await anyio.sleep(1.1)
    (permit,) = await admit(queue)
    await queue.end(permit, 429, retry_after=0.5)
    queue.resize(40, 20)
    await admit(queue)
    assert queue.limits.pace is not None
    queue.resize(30, 20)
    await anyio.sleep(1.1)
    await admit(queue)
    assert queue.limits.pace is None


@pytest.mark.parametrize("is_away", [True, False], ids=["goes away", "is back"])
async def test_a_refusal_counts_where_the_store_goes_away_or_is_back(is_away: bool) -> None:
    """The limits that are told of it do not know the request."""
    store = LoopStore()
    queue = queue_of(store)
    store.is_away = not is_away
    (permit,) = await admit(queue)
    await anyio.sleep(1.1)
    store.is_away = is_away
    events = await queue.end(permit, 429, retry_after=30.0)
    assert [type(event) for event in events] == [Pacing, Pause]
    started = anyio.current_time()
    await admit(queue)
    assert anyio.current_time() - started == pytest.approx(30.0)


async def test_a_refused_request_that_a_store_has_lost_is_dated_truly() -> None:
    """Else it would show how fast responses are, and how many requests were too many, of another time."""
    store = LoopStore()
    queue = queue_of(store)
    await anyio.sleep(50.0)
    (permit,) = await admit(queue)
    store.forget()
    await anyio.sleep(2.0)
    await queue.end(permit, 429)
    assert permit.response_time == pytest.approx(2.0)


async def test_a_pause_of_an_outage_lasts_beyond_it() -> None:
    store = LoopStore()
    queue = queue_of(store)
    store.is_away = True
    (permit,) = await admit(queue)
    started = anyio.current_time()
    await queue.end(permit, 429, retry_after=30.0)
    store.is_away = False
    await anyio.sleep(1.1)
    await admit(queue)
    assert anyio.current_time() - started == pytest.approx(30.0)
    assert store.limits("account").pauses_in_all == pytest.approx(28.9)


async def test_a_pause_begins_when_the_refusal_came_in_an_outage_too() -> None:
    """And not when the store turned out to be still away."""
    store = LoopStore(latency=0.5)
    queue = queue_of(store)
    await queue.end((await admit(queue))[0], 200)
    store.is_away = True
    (permit,) = await admit(queue)
    await anyio.sleep(1.5)
    came = anyio.current_time()
    await queue.end(permit, 429, retry_after=3.0)
    assert queue.limits.paused_until == pytest.approx(came + 3.0)


async def test_a_store_that_is_back_learns_who_was_replaced() -> None:
    """It was away in the first moments of another event loop, or of a throttle that had rested."""
    store = LoopStore()
    before = queue_of(store)
    await admit(before)
    queue = SharedQueue(store, "account", 40, 20, replaces=before.member)
    store.is_away = True
    await admit(queue)
    store.is_away = False
    await anyio.sleep(1.1)
    await admit(queue)
    assert {start.owner for start in store.limits("account").in_flight.values()} == {queue.member}


async def after_an_outage() -> tuple[LoopStore, SharedQueue, SharedQueue]:
    """A store that is back, which neither of two processes has asked since."""
    store = LoopStore()
    one, other = queue_of(store), queue_of(store)
    for queue in (one, other):
        await admit(queue)
    await anyio.sleep(0.1)
    store.is_away = True
    for queue in (one, other):
        await admit(queue)
    store.is_away = False
    await anyio.sleep(1.1)
    return store, one, other


async def test_others_have_time_to_notice_that_a_store_is_back() -> None:
    """They use their share until then."""
    store, one, other = await after_an_outage()
    started = store.now()
    with anyio.move_on_after(1.4):
        await admit(one)
    assert store.limits("account").paused_until == pytest.approx(started + 2.5)
    # Whoever comes after that is back, too, and finds that everybody is.
    await admit(other)
    assert store.now() == pytest.approx(started + 2.5)
    assert store.limits("account").paused_until == pytest.approx(started + 2.5)


@pytest.mark.parametrize("status", [200, 404, None])
async def test_others_have_that_time_after_earlier_refusals_too(status: int | None) -> None:
    """What ends meanwhile was sent before, and says nothing about others."""
    store = LoopStore()
    one, other = queue_of(store), queue_of(store)
    for queue in (one, other):
        (permit,) = await admit(queue)
        await queue.end(permit, 429, retry_after=1.0)
        await anyio.sleep(1.0)
        (permit,) = await admit(queue)
        await queue.end(permit, 200)
    await anyio.sleep(100.0)
    store.is_away = True
    (in_flight, _), _ = await admit(one, 2), await admit(other)
    store.is_away = False
    await anyio.sleep(1.1)
    started = store.now()
    with anyio.move_on_after(0.1):
        await admit(one)
    await one.end(in_flight, status)
    await admit(one)
    assert store.now() == pytest.approx(started + 2.5)


async def test_a_pause_the_pace_and_fewer_slots_hold_in_an_outage_too() -> None:
    """Otherwise every process would send its share into the pause."""
    store = LoopStore()
    one, other = queue_of(store), queue_of(store)
    await admit(other)
    permits = await admit(one, 8)
    await one.end(permits[0], 503)
    await one.end(permits[1], 429, retry_after=30.0)
    paused_until = anyio.current_time() + 30.0
    lowered, rate = one.limits.max_in_flight, one.limits.pace and one.limits.pace.rate
    await anyio.sleep(5.0)
    store.is_away = True
    # They were sent before the pause.
    await one.end(permits[2], None)
    assert one.limits.max_in_flight == lowered // 2 < 10
    assert one.limits.pace is not None
    assert one.limits.pace.rate == pytest.approx((rate or 0) / 2)
    assert one.limits.pace.limit == 20
    for permit in permits[3:]:
        await one.end(permit, 200)
    await admit(one)
    assert anyio.current_time() == pytest.approx(paused_until, abs=0.001)


@pytest.mark.parametrize("in_outage", [False, True])
async def test_a_refusal_does_not_shorten_that_time(in_outage: bool) -> None:
    """It may be of a request that was sent before others noticed."""
    store = LoopStore()
    one, other = queue_of(store), queue_of(store)
    for queue in (one, other):
        await admit(queue)
    await anyio.sleep(0.1)
    store.is_away = True
    refused, _ = await admit(one, 2)
    await admit(other)
    if in_outage:
        await anyio.sleep(0.5)
    store.is_away = False
    await anyio.sleep(1.1)
    started = store.now()
    await one.end(refused, 429)
    await admit(one)
    assert store.now() == pytest.approx(started + 2.5)


async def test_late_refusals_of_a_pause_leave_it_as_it_is_in_an_outage() -> None:
    """They were sent before it, which the limits of the outage do not know of each."""
    store = LoopStore()
    queue = queue_of(store)
    await admit(queue_of(store))
    permits = await admit(queue, 4)
    await queue.end(permits[0], 429, retry_after=60.0)
    paused_until = anyio.current_time() + 60.0
    store.is_away = True
    for permit in permits[1:]:
        await queue.end(permit, 429)
    assert queue.limits.pauses_in_a_row == 1
    await admit(queue)
    assert anyio.current_time() == pytest.approx(paused_until, abs=0.001)


async def test_what_was_learned_of_other_limits_is_forgotten_in_an_outage_too() -> None:
    store = LoopStore()
    queue = queue_of(store)
    refused, overloaded, _ = await admit(queue, 3)
    await queue.end(overloaded, 503)
    await queue.end(refused, 429, retry_after=1.0)
    await anyio.sleep(1.0)
    assert (queue.limits.max_in_flight, queue.limits.pace is None) == (1, False)
    store.is_away = True
    queue.resize(80, 40)
    (permit,) = await admit(queue)
    assert (queue.limits.max_in_flight, queue.limits.pace) == (40, None)
    await queue.end(permit, 200)


async def test_nothing_is_sent_to_test_that_time() -> None:
    store, one, _ = await after_an_outage()
    started = store.now()
    await one.acquire(max_pause=2.0)
    assert store.now() == pytest.approx(started + 2.5)


async def test_what_others_sent_beyond_their_shares_counts_in_an_outage() -> None:
    store = LoopStore()
    queue, other = queue_of(store), queue_of(store)
    for _ in range(38):
        (permit,) = await admit(other)
        await other.end(permit, 200)
    (permit,) = await admit(queue)
    await queue.end(permit, 200)
    store.is_away = True
    sent = 0
    with anyio.move_on_after(0.5):
        while True:
            (permit,) = await admit(queue)
            sent += 1
            await queue.end(permit, 200)
    # Together with the 39 before.
    assert sent == 1
    await anyio.sleep(1.0)
    for _ in range(20):
        (permit,) = await admit(queue)
        await queue.end(permit, 200)


async def test_pauses_before_an_outage_are_none_of_those_in_it() -> None:
    """A call that has waited since before the outage is refused when a pause in it is too long."""
    store = LoopStore()
    queue = queue_of(store, parallel=2)
    (refused,) = await admit(queue)
    await queue.end(refused, 429, retry_after=40.0)
    (probe,) = await admit(queue)
    await queue.end(probe, 200)
    one, other = await admit(queue, 2)

    async def wait() -> None:
        with pytest.raises(errors.RateLimitError, match="rate limited for 60 s in all"):
            await queue.acquire(max_pause=50.0)

    async with anyio.create_task_group() as group:
        group.start_soon(queue.acquire)
        await anyio.sleep(0.1)
        group.start_soon(wait)
        await anyio.sleep(0.1)
        store.is_away = True
        # The first one that waits takes its slot.
        await queue.end(one, 200)
        await queue.end(other, 429, 60.0)
    assert queue.limits.paused_until > anyio.current_time() + 50.0


async def test_pauses_before_an_outage_are_none_of_those_after_it() -> None:
    """A call that came in the outage has not waited for them, and the store knows of no success since."""
    store = LoopStore()
    queue, other = queue_of(store, parallel=2), queue_of(store, parallel=2)
    (refused,) = await admit(other)
    await other.end(refused, 429, retry_after=40.0)
    (probe,) = await admit(queue)
    store.is_away = True
    await anyio.sleep(2.0)
    admitted = anyio.Event()

    async def wait() -> None:
        await queue.acquire(max_pause=20.0)
        admitted.set()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.sleep(2.0)
        assert not admitted.is_set()
        store.is_away = False
        await anyio.sleep(1.1)
        await queue.end(probe)
    assert admitted.is_set()


async def test_a_pause_that_began_during_an_outage_lasts() -> None:
    """Another process did not notice the outage, and was refused."""
    store = LoopStore()
    one, other = queue_of(store), queue_of(store)
    for queue in (one, other):
        await admit(queue)
    store.is_away = True
    await anyio.sleep(0.1)
    await admit(one)
    ends = store.now() + 30.0
    store.change(lambda limits: setattr(limits, "paused_until", ends))
    store.is_away = False
    await anyio.sleep(1.1)
    await admit(one)
    assert store.now() == pytest.approx(ends)


async def test_an_outage_may_be_an_error() -> None:
    store = LoopStore(on_outage="raise")
    queue = queue_of(store)
    (permit,) = await admit(queue)
    store.is_away = True
    with pytest.raises(
        errors.StoreError, match=r"^not sent: the store of the limits is away: nobody answers$"
    ) as caught:
        await queue.acquire()
    assert caught.value.is_transient
    assert await queue.end(permit, 200) == ()
    store.is_away = False
    await queue.acquire()
    # What ended meanwhile was reported, too.
    assert len(store.limits("account").in_flight) == 1


async def test_a_refusal_in_an_outage_that_is_an_error_is_told_afterwards() -> None:
    store = LoopStore(on_outage="raise")
    queue = queue_of(store)
    (permit,) = await admit(queue)
    started = anyio.current_time()
    store.is_away = True
    assert await queue.end(permit, 429, retry_after=30.0) == ()
    store.is_away = False
    await admit(queue)
    assert anyio.current_time() - started == pytest.approx(30.0)


async def test_an_outage_is_the_error_of_the_call() -> None:
    store = LoopStore(on_outage="raise")
    store.is_away = True
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    async with client_of(transport, store) as client:
        with pytest.raises(errors.StoreError, match=r"^GET https://api\.chartmogul\.com/v1/ping: not sent: the store"):
            await client.ping()


async def test_a_store_that_lost_everything_is_told() -> None:
    """A server that was restarted without its data: who is there says what is in flight."""
    store = LoopStore()
    queue = queue_of(store)
    permits = await admit(queue, 3)
    store.forget()
    permits += await admit(queue)
    assert len(store.limits("account").in_flight) == 4
    for permit in permits:
        await queue.end(permit, 200)
    assert store.limits("account").in_flight == {}


# --- priorities ------------------------------------------------------------------------------------------------------


async def test_interactive_requests_go_first_in_all_processes() -> None:
    store = LoopStore()
    batch, pages = queue_of(store, parallel=2), queue_of(store, parallel=2)
    waited: list[float] = []

    async def exchange(queue: SharedQueue, is_batch: bool) -> None:
        started = anyio.current_time()
        permit = await queue.acquire(claim=Claim(is_batch))
        if not is_batch:
            waited.append(anyio.current_time() - started)
        await anyio.sleep(0.3)
        await queue.end(permit, 200)

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(partial(exchange, batch, is_batch=True))
        for _ in range(10):
            await anyio.sleep(1.0)
            group.start_soon(partial(exchange, pages, is_batch=False))
        await anyio.sleep(1.0)
        assert len(waited) == 10
        group.cancel_scope.cancel()
    assert max(waited) <= 0.35


@pytest.mark.parametrize("passed_over", [0, 7])
async def test_one_update_leaves_a_batch_no_more_than_its_share(passed_over: int) -> None:
    """Twenty slots at once, while both wait: one of eight is for the batch, whoever is first."""
    store = LoopStore(latency=0.01)
    queue = queue_of(store, per_second=400)
    permits = await admit(queue, 20)
    admitted: list[bool] = []

    async def wait(is_batch: bool) -> None:
        await queue.acquire(claim=Claim(is_batch))
        admitted.append(is_batch)

    async with anyio.create_task_group() as group:
        for is_batch in [True] * 20 + [False] * 20:
            group.start_soon(wait, is_batch)
        await anyio.sleep(0.1)
        store.change(lambda limits: setattr(limits, "passed_over", passed_over))
        async with anyio.create_task_group() as ends:
            for permit in permits:
                ends.start_soon(queue.end, permit, 200)
        await anyio.sleep(0.1)
        group.cancel_scope.cancel()
    assert len(admitted) == 20
    assert 2 <= sum(admitted) <= 3


async def test_an_interactive_call_goes_where_no_batch_waits_that_is_due() -> None:
    """As when that of another process left."""
    store = LoopStore()
    queue = queue_of(store)
    await admit(queue)
    store.change(lambda limits: setattr(limits, "passed_over", 7))
    with anyio.fail_after(1.0):
        await admit(queue)


async def test_who_is_promoted_looks_for_a_slot_at_once() -> None:
    """A batch leaves some of them to interactive calls."""
    store, claim = LoopStore(), Claim(is_batch=True)
    store.poll = 5.0
    queue = queue_of(store, parallel=4)
    await admit(queue, 3)
    started = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(partial(queue.acquire, claim=claim))
        await anyio.sleep(0.1)
        assert claim.waiter is not None
        queue.promote(claim.waiter)
    assert anyio.current_time() - started == pytest.approx(0.1)


async def test_a_batch_was_not_passed_over_before_it_came() -> None:
    queue = queue_of(LoopStore(), parallel=8)
    permits = await admit(queue, 8)
    order: list[bool] = []

    async def wait(is_batch: bool) -> None:
        await queue.acquire(claim=Claim(is_batch))
        order.append(is_batch)

    async with anyio.create_task_group() as group:
        for is_batch in (True, False):
            group.start_soon(wait, is_batch)
            await anyio.sleep(0.01)
        for permit in permits:
            await queue.end(permit, 200)
            await anyio.sleep(0.1)
    assert order == [False, True]


@pytest.mark.no_cover
async def test_a_batch_gets_its_share_beside_interactive_requests() -> None:
    store = LoopStore()
    batch, pages = queue_of(store, parallel=2), queue_of(store, parallel=2)
    done = {True: 0, False: 0}

    async def exchanges(queue: SharedQueue, is_batch: bool) -> None:
        while True:
            permit = await queue.acquire(claim=Claim(is_batch))
            await anyio.sleep(0.1)
            await queue.end(permit, 200)
            done[is_batch] += 1

    with anyio.move_on_after(60.0):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(exchanges, batch, True)
                group.start_soon(exchanges, pages, False)
    assert done[True] >= 0.1 * sum(done.values())
    assert math.isfinite(done[False])


async def test_slots_are_taken_and_waited_for_as_what_they_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch counts as one among the accounts of a process, too."""
    asked: list[tuple[str, bool]] = []
    take, wait = Slots.take, Slots.wait

    def noted_take(slots: Slots, is_batch: bool) -> bool:
        asked.append(("take", is_batch))
        return take(slots, is_batch)

    def noted_wait(slots: Slots, is_batch: bool) -> bool:
        asked.append(("wait", is_batch))
        return wait(slots, is_batch)

    monkeypatch.setattr(Slots, "take", noted_take)
    monkeypatch.setattr(Slots, "wait", noted_wait)
    throttle = Throttle(store=LoopStore())._share_slots(Cap(max_in_flight=1, most_awake=1))
    queue = shared_by(throttle)
    for is_batch in (False, True):
        asked.clear()
        permit = await queue.acquire(claim=Claim(is_batch))
        assert asked[0] == ("take", is_batch)
        async with anyio.create_task_group() as group:
            group.start_soon(partial(queue.acquire, claim=Claim(not is_batch)))
            await anyio.sleep(0.1)
            assert asked[-1] == ("wait", not is_batch)
            asked.clear()
            await queue.end(permit, 200)
            await anyio.sleep(0.1)
            assert set(asked) == {("take", not is_batch), ("wait", not is_batch)}
        (left,) = queue._in_flight
        await queue.end(left, 200)


async def test_as_many_slots_are_taken_as_requests_are_admitted() -> None:
    cap = Cap(max_in_flight=20, most_awake=1)
    queue = shared_by(Throttle(store=LoopStore(latency=0.1))._share_slots(cap))
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(queue.acquire)
    assert cap.free == 15
    for permit in list(queue._in_flight):
        await queue.end(permit, 200)
    assert cap.free == 20


# --- how to share ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_shared", [False, True])
async def test_refusals_say_how_to_share(caplog: pytest.LogCaptureFixture, is_shared: bool) -> None:
    """Where another program uses the key, and only while no store is used."""
    transport = httpx.MockTransport(lambda _: httpx.Response(429, json={"message": "Rate limit exceeded"}))
    throttle = Throttle(store=LoopStore()) if is_shared else Throttle()
    retry = RetryPolicy(attempts=2)
    async with AsyncClient(KEY, transport=transport, throttle=throttle, retry=retry) as client:
        with pytest.raises(errors.RateLimitError) as caught:
            await client.ping()
    notes = getattr(pickle.loads(pickle.dumps(caught.value)), "__notes__", [])
    assert "the key may be in use elsewhere" in caplog.text
    assert [HOW_TO_SHARE in caplog.text, HOW_TO_SHARE in "".join(notes)] == [not is_shared] * 2


@pytest.mark.parametrize("is_shared", [False, True])
async def test_an_error_of_the_queue_says_how_to_share(is_shared: bool) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(429, headers={"retry-after": "300"}))
    throttle = Throttle(store=LoopStore()) if is_shared else Throttle()
    async with AsyncClient(KEY, transport=transport, throttle=throttle) as client:
        with pytest.raises(errors.RateLimitError):
            await client.ping()
        with pytest.raises(errors.RateLimitError) as caught:
            await client.ping()
    assert "not sent" in str(caught.value)
    assert (HOW_TO_SHARE in str(caught.value)) is not is_shared
