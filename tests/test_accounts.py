"""``AsyncClients``: any number of accounts over one set of connections."""

from __future__ import annotations

import base64
import gc
import random
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest
from attrs import define, field

from chartmogul_async import (
    AsyncClient,
    AsyncClients,
    Attempt,
    ClientsStatistics,
    ClientStatistics,
    Event,
    MetricQuery,
    Pause,
    RetryPolicy,
    Throttle,
    errors,
)
from chartmogul_async.sandbox import Sandbox
from chartmogul_async.transport import cap as cap_module
from tests.clients import KEY, another_mrr, ok
from tests.shared_limits import LoopStore

RANGE = ("2023-07-01", "2023-07-31")


def key_of(request: httpx.Request) -> str:
    return base64.b64decode(request.headers["authorization"].split()[1]).decode().rstrip(":")


@define(eq=False)
class Api(httpx.AsyncBaseTransport):
    """Responds to each account in its own way, and notes what was in flight."""

    seconds: Callable[[str], float] = lambda _: 0.1
    statuses: dict[str, int] = field(factory=dict)
    headers: dict[str, str] = field(factory=dict)
    in_flight: dict[str, int] = field(factory=dict)
    most: int = 0
    most_of: dict[str, int] = field(factory=dict)
    keys: list[str] = field(factory=list)
    closed: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        key = key_of(request)
        self.keys.append(key)
        self.in_flight[key] = self.in_flight.get(key, 0) + 1
        self.most = max(self.most, sum(self.in_flight.values()))
        self.most_of[key] = max(self.most_of.get(key, 0), self.in_flight[key])
        try:
            await anyio.sleep(self.seconds(key))
        finally:
            self.in_flight[key] -= 1
        status = self.statuses.get(key, 200)
        if request.url.path.endswith("search"):
            return httpx.Response(200, json={"entries": []})
        return ok() if status == 200 else httpx.Response(status, headers=self.headers)

    async def aclose(self) -> None:
        self.closed += 1


async def step(times: int = 10) -> None:
    for _ in range(times):
        await anyio.lowlevel.checkpoint()


async def timed(call: Callable[[], Any]) -> float:
    start = anyio.current_time()
    await call()
    return anyio.current_time() - start


# --- clients ---------------------------------------------------------------------------------------------------------


async def test_each_account_is_asked_with_its_own_key() -> None:
    api = Api()
    async with AsyncClients(transport=api) as clients:
        for key in ("one", "two", "one"):
            await another_mrr(clients.for_account(key))()
        assert clients.statistics() == ClientsStatistics(2, 0, 0, ClientStatistics(3, 0, 0, 0, 0))
        assert clients.for_account("one").throttle.statistics().admitted == 2
        assert clients.for_account("two").throttle.statistics().admitted == 1
    assert api.keys == ["one", "two", "one"]
    assert api.closed == 1


async def test_an_account_has_one_client() -> None:
    clients = AsyncClients(transport=Api())
    client = clients.for_account(KEY)
    assert isinstance(client, AsyncClient)
    assert clients.for_account(KEY) is client
    assert clients.for_account("another") is not client
    assert repr(clients) == "AsyncClients(accounts=2)"
    assert repr(client) == "AsyncClient(base_url='https://api.chartmogul.com/v1')"


def test_one_that_failed_in_its_init_has_a_repr() -> None:
    assert repr(object.__new__(AsyncClients)) == "AsyncClients(accounts=0)"


@pytest.mark.sockets
async def test_closing_in_another_event_loop_closes_nothing() -> None:
    api = Api()
    async with AsyncClients(transport=api) as clients:
        client = clients.for_account("one")
        await another_mrr(client)()

        def close() -> None:
            with pytest.raises(errors.StateError, match="make one AsyncClients for each event loop"):
                anyio.run(clients.aclose)

        await anyio.to_thread.run_sync(close)
        await another_mrr(client)()
        assert api.closed == 0
    assert api.closed == 1


async def test_closing_one_account_closes_nothing() -> None:
    api = Api()
    async with AsyncClients(transport=api) as clients:
        client = clients.for_account("one")
        for _ in range(2):
            async with client:
                await another_mrr(client)()
        await client.aclose()
        await another_mrr(client)()
        assert api.closed == 0
    with pytest.raises(errors.StateError, match="this client is closed; make a new AsyncClients, and close it after"):
        await client.ping()
    with pytest.raises(errors.StateError, match="closed"):
        async with client:
            pass
    await clients.aclose()
    assert api.closed == 1


async def test_it_is_entered_once() -> None:
    clients = AsyncClients(transport=Api())
    async with clients:
        pass
    with pytest.raises(errors.StateError, match="these clients were entered before; make a new AsyncClients for each"):
        async with clients:
            pass
    with pytest.raises(errors.StateError, match="closed"):
        clients = AsyncClients(transport=Api())
        await clients.aclose()
        async with clients:
            pass


async def test_a_view_has_the_account_and_other_options() -> None:
    async with AsyncClients(transport=Api()) as clients:
        client = clients.for_account("one")
        page = client.with_options(max_age=60)
        await page.metrics.mrr(*RANGE)
        await page.metrics.mrr(*RANGE)
        async with page:
            await page.aclose()
        assert page.throttle is client.throttle
        assert clients.statistics().requests.reused == client.statistics().reused == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_in_flight": 0}, "max_in_flight must be a positive integer, not 0"),
        ({"timeout": 0}, "timeout must be a positive number of seconds or an httpx.Timeout, not 0"),
        ({"retry": 3}, "retry must be a RetryPolicy, such as RetryPolicy(attempts=3), not 3"),
        ({"transport": 3}, f"transport must be an {httpx.__name__}.AsyncBaseTransport, not 3"),
        ({"on_event": 3}, "on_event must be a plain function of one event, neither async nor a generator, not 3"),
        ({"base_url": "ftp://x"}, "base_url must use https, since every request contains the key, not ftp://x; "),
    ],
)
def test_an_argument_that_cannot_be_right(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.ArgumentError) as caught:
        AsyncClients(**arguments)
    assert str(caught.value).startswith(message)


def test_a_key_that_cannot_be_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "of somebody else")
    clients = AsyncClients(transport=Api())
    for key in ("", None):
        with pytest.raises(errors.ArgumentError, match=r"^api_key must be the API key of an account, and is empty$"):
            clients.for_account(key)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(errors.ArgumentError, match=r"^api_key is malformed") as caught:
        clients.for_account("two words")
    assert "two words" not in str(caught.value)
    assert clients.statistics().accounts == 0


def test_no_attribute_shows_a_key() -> None:
    clients = AsyncClients(transport=Api())
    clients.for_account(KEY)

    def shown(value: object, depth: int) -> str:
        held = value.values() if isinstance(value, dict) else getattr(value, "__dict__", {}).values()
        names = "".join(map(str, value)) if isinstance(value, dict) else ""
        return repr(value) + names + "".join(shown(each, depth - 1) for each in (held if depth else ()))

    assert KEY not in shown(clients, 6)


# --- what accounts have in common, and what they have not --------------------------------------------------------


async def test_equal_calls_of_two_accounts_are_two_requests() -> None:
    api = Api()
    async with AsyncClients(transport=api) as clients, anyio.create_task_group() as group:
        for key in ("one", "two", "one"):
            view = clients.for_account(key).with_options(max_age=60)
            group.start_soon(partial(view.metrics.mrr, *RANGE))
    assert sorted(api.keys) == ["one", "two"]


async def test_a_recent_result_is_that_of_its_account() -> None:
    api = Api()
    async with AsyncClients(transport=api) as clients:
        for key in ("one", "two", "two"):
            view = clients.for_account(key).with_options(max_age=60)
            await view.metrics.mrr(*RANGE)
            await view.customers.search("a@example.com")
        assert clients.statistics().requests.kept == 4
    assert api.keys == ["one"] * 2 + ["two"] * 2


async def test_an_account_counts_what_is_its_own() -> None:
    async with AsyncClients(transport=Api()) as clients:
        one, two = (clients.for_account(key).with_options(max_age=60) for key in ("one", "two"))
        for _ in range(2):
            await one.metrics.mrr(*RANGE)
        assert clients.for_account("two").statistics() == ClientStatistics(0, 0, 0, 0, 0)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(two.metrics.mrr, *RANGE)
        of_one, of_two = (clients.for_account(key).statistics() for key in ("one", "two"))
        size = len(ok().content)
        assert of_one == ClientStatistics(1, 0, 1, 1, size)
        assert of_two == ClientStatistics(1, 2, 0, 1, size)
        assert clients.statistics().requests == ClientStatistics(2, 2, 1, 2, 2 * size)


async def test_a_wrong_key_concerns_its_account_only() -> None:
    api = Api(statuses={"wrong": 401})
    async with AsyncClients(transport=api) as clients, anyio.create_task_group() as group:

        async def fails() -> None:
            with pytest.raises(errors.AuthenticationError):
                await another_mrr(clients.for_account("wrong"))()

        for _ in range(50):
            group.start_soon(fails)
        await step()
        assert await timed(another_mrr(clients.for_account("right"))) == pytest.approx(0.1)


async def test_refusals_pause_their_account_only() -> None:
    events: list[tuple[str, Event]] = []
    api = Api(statuses={"limited": 429})
    retry = RetryPolicy(attempts=2, base=0.1, cap=0.1)
    async with AsyncClients(transport=api, retry=retry) as clients:
        limited = clients.for_account("limited")
        named = limited.with_options(on_event=lambda event: events.append(("limited", event)))
        with pytest.raises(errors.RateLimitError):
            await another_mrr(named)()
        assert limited.throttle.statistics().paused_for > 0
        assert await timed(another_mrr(clients.for_account("right"))) == pytest.approx(0.1)
    assert [event.seconds for _, event in events if isinstance(event, Pause)] == [0.25, 1.0]
    assert sum(isinstance(event, Attempt) for _, event in events) == 2


async def test_all_accounts_report_to_one_function() -> None:
    events: list[Event] = []
    async with AsyncClients(transport=Api(), on_event=events.append) as clients:
        for key in ("one", "two"):
            await another_mrr(clients.for_account(key))()
    assert len(events) == 2


# --- the cap ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_no_more_are_in_flight_than_allowed(kind: str) -> None:
    api = Api()
    store = LoopStore() if kind == "shared" else None
    async with AsyncClients(transport=api, max_in_flight=7, store=store) as clients:
        async with anyio.create_task_group() as group:
            for number in range(60):
                group.start_soon(another_mrr(clients.for_account(f"key-{number % 20}")))
            await step()
            statistics = clients.statistics()
            assert (statistics.accounts, statistics.in_flight, statistics.waiting) == (20, 7, 20)
        assert clients.statistics().in_flight == clients.statistics().waiting == 0
    assert len(api.keys) == 60
    assert api.most == 7


@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_many_calls_of_one_account_do_not_delay_another(kind: str) -> None:
    api = Api()
    store = LoopStore() if kind == "shared" else None
    async with AsyncClients(transport=api, max_in_flight=10, store=store) as clients:
        async with anyio.create_task_group() as group:
            for _ in range(500):
                group.start_soon(another_mrr(clients.for_account("busy")))
            await anyio.sleep(1.05)
            for number in range(3):
                assert await timed(another_mrr(clients.for_account(f"single-{number}"))) == pytest.approx(0.1, abs=0.02)
            group.cancel_scope.cancel()
        assert clients.statistics().in_flight == clients.statistics().waiting == 0
    assert api.most_of["busy"] == 5


@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_slow_accounts_do_not_use_up_the_slots(kind: str) -> None:
    api = Api(seconds=lambda key: 0.1 if key == "quick" else 600)
    store = LoopStore() if kind == "shared" else None
    async with (
        AsyncClients(transport=api, max_in_flight=50, store=store) as clients,
        anyio.create_task_group() as group,
    ):
        for number in range(5):
            for _ in range(20):
                group.start_soon(another_mrr(clients.for_account(f"slow-{number}")))
        await step(200)
        assert 0 < 50 - clients.statistics().in_flight < 20
        assert await timed(another_mrr(clients.for_account("quick"))) == pytest.approx(0.1, abs=0.02)
        group.cancel_scope.cancel()
    assert api.most <= 50


@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_an_interactive_call_goes_before_the_batches_of_others(kind: str) -> None:
    api = Api()
    store = LoopStore() if kind == "shared" else None
    async with AsyncClients(transport=api, max_in_flight=4, store=store) as clients, anyio.create_task_group() as group:
        for number in range(200):
            client = clients.for_account(f"batch-{number}").with_options(priority="batch")
            group.start_soon(another_mrr(client))
        await anyio.sleep(0.25)
        # One exchange of a batch, and its own.
        assert await timed(another_mrr(clients.for_account("page"))) <= 0.25
        group.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_a_cancelled_call_gives_its_slot_back(kind: str) -> None:
    """In flight, in the queue behind the cap, and in the moment of its admission."""
    api = Api(seconds=lambda key: 0.1 if key == "last" else 600)
    store = LoopStore(latency=0.001) if kind == "shared" else None
    async with AsyncClients(transport=api, max_in_flight=1, store=store) as clients:
        async with anyio.create_task_group() as group:
            first, second, third = anyio.CancelScope(), anyio.CancelScope(), anyio.CancelScope()

            async def within(scope: anyio.CancelScope, key: str) -> None:
                with scope:
                    await another_mrr(clients.for_account(key))()

            for number, scope in enumerate((first, second, third)):
                group.start_soon(within, scope, f"key-{number}")
                await anyio.sleep(0.1)
            assert (clients.statistics().in_flight, clients.statistics().waiting) == (1, 2)
            second.cancel()
            await anyio.sleep(0.1)
            first.cancel()
            await step(2)
            third.cancel()
        assert await timed(another_mrr(clients.for_account("last"))) == pytest.approx(0.1, abs=0.02)
        assert (clients.statistics().in_flight, clients.statistics().waiting) == (0, 0)


@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_max_wait_ends_the_wait_for_a_slot(kind: str) -> None:
    api = Api(seconds=lambda _: 600)
    store = LoopStore() if kind == "shared" else None
    async with AsyncClients(transport=api, max_in_flight=1, store=store) as clients, anyio.create_task_group() as group:
        group.start_soon(another_mrr(clients.for_account("slow")))
        await step()
        with pytest.raises(errors.QueueTimeoutError):
            await another_mrr(clients.for_account("one").with_options(max_wait=2))()
        assert anyio.current_time() == pytest.approx(2, abs=0.01)
        assert clients.for_account("one").throttle.statistics().waiting == 0
        group.cancel_scope.cancel()


async def test_a_pause_that_is_tested_needs_a_slot_too() -> None:
    """What would be sent to test a long pause is not, while there is none."""
    api = Api(statuses={"limited": 429}, seconds=lambda key: 600 if key == "slow" else 0.1)
    retry = RetryPolicy(attempts=3, total=5, base=0.1, cap=0.1)
    async with AsyncClients(transport=api, max_in_flight=1, retry=retry) as clients:
        limited = clients.for_account("limited")
        for _ in range(4):
            with pytest.raises(errors.RateLimitError):
                await another_mrr(limited)()
        await anyio.sleep(70)
        requests = len(api.keys)
        async with anyio.create_task_group() as group:
            group.start_soon(another_mrr(clients.for_account("slow").with_options(retry=RetryPolicy(total=1000))))
            await step()
            assert limited.throttle.statistics().in_flight == 0
            with anyio.move_on_after(1):
                await another_mrr(limited)()
            group.cancel_scope.cancel()
        assert len(api.keys) == requests + 1


@pytest.mark.parametrize("on_outage", ["local", "raise"])
async def test_a_store_that_is_away_keeps_no_slots(on_outage: Any, caplog: pytest.LogCaptureFixture) -> None:
    store = LoopStore(on_outage=on_outage)
    async with AsyncClients(transport=Api(), max_in_flight=2, store=store) as clients:
        store.is_away = True
        for number in range(4):
            call = another_mrr(clients.for_account(f"key-{number}"))
            if on_outage == "local":
                await call()
            else:
                with pytest.raises(errors.StoreError):
                    await call()
        assert clients.statistics().in_flight == 0
    assert ("is away" in caplog.text) == (on_outage == "local")


async def test_a_store_that_breaks_keeps_no_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    store = LoopStore()
    async with AsyncClients(transport=Api(), max_in_flight=2, store=store) as clients:
        with monkeypatch.context() as patch:
            patch.setattr(LoopStore, "_check", lambda _: dict[str, int]()["a bug"])
            for _ in range(3):
                with pytest.raises(KeyError):
                    await another_mrr(clients.for_account("one"))()
        assert clients.statistics().in_flight == 0
        await another_mrr(clients.for_account("one"))()


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_no_slot_is_lost_in_a_storm_of_cancellations(kind: str, seed: int) -> None:
    chance = random.Random(seed)
    api = Api(seconds=lambda _: chance.choice((0, 0.01, 0.3)), statuses={"key-0": 503, "key-1": 429})
    store = LoopStore(latency=0.002) if kind == "shared" else None
    retry = RetryPolicy(attempts=2, base=0.1, cap=0.1)
    async with AsyncClients(transport=api, max_in_flight=5, store=store, retry=retry) as clients:

        async def call(delay: float, patience: float, number: int) -> None:
            await anyio.sleep(delay)
            view = clients.for_account(f"key-{number}").with_options(priority=chance.choice(("batch", "interactive")))
            with anyio.move_on_after(patience), suppress(errors.ChartMogulError):
                await another_mrr(view)()

        async with anyio.create_task_group() as group:
            for _ in range(150):
                group.start_soon(call, chance.uniform(0, 1), chance.choice((0.001, 0.1, 0.5, 100)), chance.randrange(8))
        assert (clients.statistics().in_flight, clients.statistics().waiting) == (0, 0)
        assert await timed(another_mrr(clients.for_account("last"))) <= 0.4
    assert api.most <= 5
    assert not any(api.in_flight.values())


async def test_an_account_whose_calls_have_left_waits_for_no_slot() -> None:
    cap = cap_module.Cap(max_in_flight=1, most_awake=10)
    one, other = Throttle()._share_slots(cap), Throttle()._share_slots(cap)
    await one._acquire()
    async with anyio.create_task_group() as group:
        group.start_soon(other._acquire)
        await anyio.sleep(1)
        assert cap.waiting == 1
        group.cancel_scope.cancel()
    assert cap.waiting == 0


async def test_slots_that_come_during_an_update_are_all_used() -> None:
    """Another account gives one back, and the request whose end the update reports another one."""
    cap = cap_module.Cap(max_in_flight=4, most_awake=10)
    own, shared = Throttle()._share_slots(cap), Throttle(store=LoopStore(latency=0.1))._share_slots(cap)
    own._attach(object())
    admission = shared._attach(object(), "account")
    permit, _, ends = await own._acquire(), await own._acquire(), await admission.acquire()
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(admission.acquire)
        await anyio.sleep(1)
        assert shared.statistics().waiting == 2
        group.start_soon(admission.end, ends, 200)
        await anyio.sleep(0.1)
        own._release(permit, 200)
        await anyio.sleep(1)
        assert (shared.statistics().waiting, shared.statistics().in_flight) == (0, 2)


@pytest.mark.parametrize("ends_with", [(429, 300.0), (200, None)], ids=["a pause", "an outage"])
async def test_a_slot_that_comes_when_nobody_is_left_goes_back(ends_with: tuple[int, float | None]) -> None:
    """During an update that refuses all who wait."""
    cap = cap_module.Cap(max_in_flight=4, most_awake=10)
    store = LoopStore(latency=0.1, on_outage="raise")
    own, shared = Throttle()._share_slots(cap), Throttle(store=store)._share_slots(cap)
    own._attach(object())
    admission = shared._attach(object(), "account")
    permit, other, ends = await own._acquire(), await own._acquire(), await admission.acquire()
    refused: list[errors.ChartMogulError] = []

    async def wait() -> None:
        try:
            await admission.acquire(max_pause=90.0)
        except errors.ChartMogulError as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(wait)
        await anyio.sleep(1)
        assert shared.statistics().waiting == 2
        store.is_away = ends_with[0] == 200
        group.start_soon(admission.end, ends, *ends_with)
        await anyio.sleep(0.05)
        own._release(permit, 200)
        await anyio.sleep(1)
        store.is_away = False
    assert len(refused) == 2
    own._release(other, 200)
    assert cap.free == 4


# --- accounts at rest ------------------------------------------------------------------------------------------------


@pytest.fixture
def no_account_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cap_module, "_AWAKE_FOR", 0)


@pytest.mark.usefixtures("no_account_awake")
@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_an_account_at_rest_remembers(kind: str) -> None:
    store = LoopStore() if kind == "shared" else None
    api = Api(statuses={"limited": 429})
    async with AsyncClients(transport=api, store=store) as clients:
        one = clients.for_account("one")
        one.throttle.resize(per_second=2)
        assert repr(one.throttle) == "Throttle(per_second=2, parallel=20)"
        seconds = [await timed(another_mrr(one)) for _ in range(4)]
        # The window is full after two: the third waits for it.
        assert seconds == pytest.approx([0.1, 0.1, 0.9, 0.1], abs=0.15)
        statistics = one.throttle.statistics()
        assert (statistics.admitted, statistics.per_second, statistics.in_flight) == (4, 2, 0)
        assert statistics.delayed == 1
        limited = clients.for_account("limited").with_options(retry=RetryPolicy(attempts=1))
        with pytest.raises(errors.RateLimitError):
            await another_mrr(limited)()
        if store is None:
            assert limited.throttle.statistics().paused_for == 0.25
        await timed(another_mrr(one))
        assert one.throttle.statistics().admitted == 5


@pytest.mark.usefixtures("no_account_awake")
async def test_an_account_whose_calls_wait_does_not_rest() -> None:
    async with AsyncClients(transport=Api()) as clients:
        one = clients.for_account("one")
        one.throttle.resize(per_second=1)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(another_mrr(one))
            await anyio.sleep(0.5)
            assert one.throttle.statistics().waiting == 2
        assert one.throttle.statistics().admitted == 3


@pytest.mark.parametrize("awake_for", [0, cap_module._AWAKE_FOR])
@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_an_account_may_rest_between_two_attempts(
    kind: str, awake_for: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its second attempt waits for a slot then, and has to get one."""
    monkeypatch.setattr(cap_module, "_AWAKE_FOR", awake_for)
    rest, rested, ended = Throttle._rest, anyio.Event(), anyio.Event()
    api = Api(statuses={"slow": 500}, headers={"retry-after": "3"}, seconds=lambda _: 0.3)
    store = LoopStore(latency=0.001) if kind == "shared" else None
    async with AsyncClients(transport=api, max_in_flight=2, store=store) as clients:
        slow = clients.for_account("slow")

        def noted(throttle: Throttle) -> None:
            rest(throttle)
            if throttle is slow.throttle:
                api.statuses.clear()
                rested.set()

        monkeypatch.setattr(Throttle, "_rest", noted)

        async def busy(key: str) -> None:
            while not ended.is_set():
                await another_mrr(clients.for_account(key))()

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(busy, f"key-{number}")
            with anyio.fail_after(120):
                await another_mrr(slow)()
            assert rested.is_set()
            ended.set()
        assert (clients.statistics().in_flight, clients.statistics().waiting) == (0, 0)
        assert slow.throttle.statistics().admitted == api.keys.count("slow") == 2


@pytest.mark.parametrize("kind", ["own", "shared"])
async def test_closing_between_two_attempts_leaves_the_throttle(kind: str) -> None:
    throttle = Throttle(store=LoopStore() if kind == "shared" else None)
    api = Api(statuses={KEY: 500}, headers={"retry-after": "3"})
    client = AsyncClient(KEY, transport=api, throttle=throttle)
    async with anyio.create_task_group() as group:

        async def call() -> None:
            with pytest.raises(errors.StateError, match="closed while the call was in progress"):
                await another_mrr(client)()

        group.start_soon(call)
        await anyio.sleep(1)
        await client.aclose()
    assert throttle.statistics().admitted == len(api.keys) == 1
    assert not throttle._users


@pytest.mark.usefixtures("no_account_awake")
async def test_the_store_keeps_nothing_open_for_an_account_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[str] = []
    monkeypatch.setattr(LoopStore, "release", lambda _, account: released.append(account))
    store = LoopStore()
    async with AsyncClients(transport=Api(), store=store) as clients:
        for number in range(3):
            await another_mrr(clients.for_account(f"key-{number}"))()
        assert released == store.accounts
        assert all(store.limits(account).in_flight == {} for account in store.accounts)


@pytest.mark.parametrize("calls", [0, 1])
async def test_an_idle_account_costs_less_than_two_kilobytes(calls: int) -> None:
    transport = httpx.MockTransport(lambda _: ok())
    accounts = 200

    async def use(clients: AsyncClients, number: int) -> AsyncClient:
        client = clients.for_account(f"{number:032x}")
        for _ in range(calls):
            await client.metrics.mrr(*RANGE)
        await anyio.sleep(1)
        return client

    async with AsyncClients(transport=transport) as clients:
        # What the first call loads is not that of an account.
        await use(clients, 0)
        tracemalloc.start()
        try:
            # As many are awake before as after.
            for number in range(3):
                await use(clients, 1 + number)
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            held = [await use(clients, 1000 + number) for number in range(accounts)]
            for client in held:
                client.throttle.resize(per_second=20)
                assert client.throttle.statistics().admitted == calls
            gc.collect()
            cost = (tracemalloc.get_traced_memory()[0] - before) / accounts
        finally:
            tracemalloc.stop()
        assert len(held) == accounts
    assert cost < 2000, cost


# --- the real thing --------------------------------------------------------------------------------------------------


@pytest.mark.sockets
async def test_two_accounts_over_real_sockets() -> None:
    query = MetricQuery("mrr", "2025-01-01", "2025-06-30")
    with Sandbox(api_key="one").serve() as url:
        async with AsyncClients(base_url=url, max_in_flight=3) as clients:
            outcomes = await clients.for_account("one").metrics.fetch_all([query] * 5)
            with pytest.raises(errors.AuthenticationError):
                await clients.for_account("two").metrics.fetch(query)
            assert [len(outcome.series) for outcome in outcomes if outcome.error is None] == [6] * 5
            assert clients.statistics().in_flight == 0
