"""Metrics that workers of taskiq fetch: here in memory, but with messages and results written as JSON."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from chartmogul_async import AsyncClient, AsyncClients, MetricQuery, MRREntry, RetryPolicy, Series, errors
from chartmogul_async.sandbox import Company, Fault, Faults, Sandbox
from tests.conftest import virtual_backend

pytest.importorskip("taskiq", reason="the extra `taskiq` is not installed")

import taskiq
from taskiq.result_backends.dummy import DummyResultBackend

from chartmogul_async.integrations.taskiq import TaskiqMetrics

RANGE = "2025-01-01", "2025-12-31"
MRR, ARR = MetricQuery("mrr", *RANGE), MetricQuery("arr", *RANGE)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The only one that taskiq knows."""
    return virtual_backend("asyncio")


class Results(taskiq.AsyncResultBackend[Any]):
    """Keeps results as the text that a server would be given."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        # What the workers have another version of.
        self.mark = "Series/1"

    async def set_result(self, task_id: str, result: Any) -> None:
        self.texts[task_id] = json.dumps(result.model_dump(mode="json"))

    async def is_result_ready(self, task_id: str) -> bool:
        return task_id in self.texts

    async def get_result(self, task_id: str, with_logs: bool = False) -> Any:
        return taskiq.TaskiqResult[Any].model_validate(json.loads(self.texts[task_id].replace("Series/1", self.mark)))


class Broker(taskiq.InMemoryBroker):
    """Its first messages can be lost, as with a worker that dies."""

    def __init__(self, lost: int = 0) -> None:
        super().__init__()
        self.sent: list[str] = []
        self.lost = lost
        self.results = Results()
        self.with_result_backend(self.results)

    async def kick(self, message: Any) -> None:
        self.sent.append(message.task_id)
        if len(self.sent) > self.lost:
            await super().kick(message)


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(Company(customers=10))


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    broker = Broker()
    yield broker
    await broker.shutdown()


def clients_of(sandbox: Sandbox, made: list[str] | None = None) -> Callable[[str], AsyncClient]:
    def new_client(account: str) -> AsyncClient:
        if made is not None:
            made.append(account)
        return AsyncClient("sandbox", transport=sandbox.transport(), retry=RetryPolicy(attempts=1))

    return new_client


@pytest.fixture
def metrics(broker: Broker, sandbox: Sandbox) -> TaskiqMetrics:
    return TaskiqMetrics(broker, clients_of(sandbox))


async def test_a_query_becomes_its_series(metrics: TaskiqMetrics, sandbox: Sandbox) -> None:
    async with AsyncClient("sandbox", transport=sandbox.transport()) as client:
        assert await metrics.fetch(MRR) == await client.metrics.fetch(MRR)


async def test_outcomes_are_in_order_and_equal_queries_sent_once(metrics: TaskiqMetrics, broker: Broker) -> None:
    outcomes = await metrics.fetch_all(iter([MRR, ARR, MRR]))
    assert [outcome.query for outcome in outcomes] == [MRR, ARR, MRR]
    assert [outcome.result().query for outcome in outcomes] == [MRR, ARR, MRR]
    assert [task_id.partition(":")[2] for task_id in broker.sent] == [MRR.key(), ARR.key()]
    assert await metrics.fetch_all([]) == ()


async def test_another_call_fetches_again(metrics: TaskiqMetrics, sandbox: Sandbox, broker: Broker) -> None:
    for expected in (1, 2):
        await metrics.fetch(MRR)
        assert sandbox.counters.requests == expected
    # What a result backend still has of the first call is no result of the second.
    assert len(set(broker.sent)) == 2


async def test_a_task_that_is_sent_gives_a_series(metrics: TaskiqMetrics) -> None:
    task = await metrics.kiq(MRR, account="acme")
    result = await task.wait_result()
    entry: MRREntry = result.return_value[0]
    assert entry.date.year == 2025


async def test_each_account_has_one_client_until_the_end(broker: Broker, sandbox: Sandbox) -> None:
    made: list[str] = []
    metrics = TaskiqMetrics(broker, clients_of(sandbox, made))
    for account in ("acme", "acme", "umbrella"):
        await metrics.fetch_all([MRR, ARR], account=account)
    await metrics.fetch(MRR)
    assert made == ["acme", "umbrella", ""]
    client = metrics.client("acme")
    assert client is metrics.client("acme")
    await broker.shutdown()
    with pytest.raises(errors.StateError):
        await client.ping()


async def test_an_account_need_not_be_named(broker: Broker, sandbox: Sandbox) -> None:
    made: list[str] = []
    metrics = TaskiqMetrics(broker, clients_of(sandbox, made))
    task: Any = metrics.task
    for sent in (await metrics.kiq(MRR), await task.kiq(MRR)):
        assert (await sent.wait_result()).return_value.query == MRR
    await metrics.fetch(MRR)
    await metrics.fetch_all([MRR])
    metrics.client()
    assert made == [""]


async def test_the_task_has_the_same_name_in_every_release(metrics: TaskiqMetrics) -> None:
    """Messages under way, and labels and schedules of the user, know it by that."""
    assert metrics.task.task_name == "chartmogul_async.fetch"


async def test_accounts_share_connections(broker: Broker, sandbox: Sandbox) -> None:
    async with AsyncClients(transport=sandbox.transport()) as clients:
        metrics = TaskiqMetrics(broker, lambda account: clients.for_account("sandbox"))
        assert await metrics.fetch(MRR, account="acme") == await metrics.fetch(MRR, account="umbrella")
        await broker.shutdown()
        assert await clients.for_account("sandbox").ping() == "pong!"


async def test_a_failure_is_an_outcome(metrics: TaskiqMetrics, sandbox: Sandbox) -> None:
    sandbox.faults = Faults.sequence(Fault.status(422), Fault.status(429), Fault.garbage())
    outcomes = [*await metrics.fetch_all([MRR]), *await metrics.fetch_all([MRR]), *await metrics.fetch_all([MRR])]
    assert [outcome.query for outcome in outcomes] == [MRR] * 3
    refused, limited, unreadable = [outcome.error for outcome in outcomes]
    assert isinstance(refused, errors.ValidationError)
    assert (refused.status, refused.path, refused.attempts) == (422, "/v1/metrics/mrr", 1)
    assert all(isinstance(detail, errors.ErrorDetail) for detail in refused.details)
    assert isinstance(limited, errors.RateLimitError)
    assert limited.is_transient
    assert isinstance(unreadable, errors.DecodeError)
    assert isinstance(unreadable.problems, tuple)


async def test_every_complaint_of_an_error_arrives(broker: Broker) -> None:
    body = {"errors": [{"message": "is not a plan", "param": "plans", "code": "wrong"}, "and that"]}
    transport = httpx.MockTransport(lambda _: httpx.Response(422, json=body))

    def new_client(account: str) -> AsyncClient:
        return AsyncClient("sandbox", transport=transport)

    (outcome,) = await TaskiqMetrics(broker, new_client).fetch_all([MRR])
    async with new_client("") as client:
        (local,) = await client.metrics.fetch_all([MRR])
    assert isinstance(outcome.error, errors.ValidationError)
    assert isinstance(local.error, errors.ValidationError)
    assert vars(outcome.error) == vars(local.error)
    assert len(outcome.error.details) == 2


async def test_fetch_raises_what_the_worker_met(metrics: TaskiqMetrics, sandbox: Sandbox) -> None:
    sandbox.faults = Faults.sequence(Fault.status(401))
    with pytest.raises(errors.AuthenticationError) as caught:
        await metrics.fetch(MRR)
    assert caught.value.request_id
    assert caught.value.url == "https://api.chartmogul.com/v1/metrics/mrr"


async def test_the_clients_of_the_page_are_closed(
    broker: Broker, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parent.parent / "docs" / "workers.md").read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "AsyncClients(" in block]
    monkeypatch.setattr("chartmogul_async.AsyncClients", partial(AsyncClients, transport=sandbox.transport()))
    pulls: dict[str, Any] = {"AsyncClient": AsyncClient, "KEYS": {"acme": "sandbox"}, "broker": broker, "store": None}
    exec(compile(block, "pulls.py", "exec"), pulls)
    metrics = TaskiqMetrics(broker, pulls["new_client"])
    assert (await metrics.fetch(MRR, account="acme")).query == MRR
    await broker.shutdown()
    with pytest.raises(errors.StateError, match="closed"):
        await pulls["new_client"]("acme").ping()


@pytest.mark.parametrize(
    "error",
    [KeyError("acme"), errors.StateError("this client is closed"), errors.ArgumentError("api_key must be one")],
    ids=repr,
)
async def test_what_is_not_about_a_query_is_raised(broker: Broker, error: Exception) -> None:
    def new_client(account: str) -> AsyncClient:
        raise error

    with pytest.raises(type(error)) as caught:
        await TaskiqMetrics(broker, new_client).fetch_all([MRR, ARR])
    assert caught.value.args == error.args


async def test_a_query_that_makes_no_request_is_an_outcome(metrics: TaskiqMetrics) -> None:
    # As one may that another release made.
    unknown = MetricQuery("mrr", *RANGE, filters="region~ANY~'US'")
    object.__setattr__(unknown, "filters", "~" * 100_000)
    failed, other = await metrics.fetch_all([unknown, MRR])
    assert (failed.query, other.query) == (unknown, MRR)
    assert type(failed.error) is errors.ArgumentError
    assert str(failed.error).startswith("query must be a MetricQuery")
    assert other.error is None
    with pytest.raises(errors.ArgumentError, match="query must be a MetricQuery"):
        await metrics.fetch(unknown)


async def test_a_result_is_looked_for_ten_times_in_a_second(broker: Broker, sandbox: Sandbox) -> None:
    sandbox.latency = 1.25
    started = anyio.current_time()
    await TaskiqMetrics(broker, clients_of(sandbox)).fetch(MRR)
    assert anyio.current_time() - started == pytest.approx(1.3)


async def test_what_was_lost_is_sent_again(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "chartmogul_async")
    broker, made = Broker(lost=2), list[str]()
    metrics = TaskiqMetrics(broker, clients_of(sandbox, made), resend_after=0.01)
    outcomes = await metrics.fetch_all([MRR, ARR], account="acme")
    assert ([outcome.result().query for outcome in outcomes], made) == ([MRR, ARR], ["acme"])
    # Those of one call have one id each, so each of them has one result.
    assert len(set(broker.sent)) == len(broker.results.texts) == 2
    assert len(broker.sent) >= 4
    messages = [record.getMessage() for record in caplog.records if "sent again" in record.getMessage()]
    assert set(messages) == {"a query had no result after 0.01 s, and was sent again"}
    assert len(messages) == len(broker.sent) - 2
    await broker.shutdown()


async def test_what_was_lost_is_sent_again_after_a_minute(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    # taskiq looks at the wall clock.
    monkeypatch.setattr("taskiq.task.time", anyio.current_time)
    broker = Broker(lost=1)
    started = anyio.current_time()
    await TaskiqMetrics(broker, clients_of(sandbox)).fetch(MRR)
    assert anyio.current_time() - started == pytest.approx(60, abs=0.3)
    await broker.shutdown()


async def test_own_tasks_take_queries_and_return_series(broker: Broker, metrics: TaskiqMetrics) -> None:
    @broker.task("report")
    async def report(queries: list[MetricQuery]) -> list[Series]:
        return [await metrics.client().metrics.fetch(query) for query in queries]

    task = await report.kiq([MRR, ARR])
    result = await task.wait_result()
    assert [series.query for series in result.return_value] == [MRR, ARR]


async def test_a_result_of_another_version_is_an_error(metrics: TaskiqMetrics, broker: Broker) -> None:
    broker.results.mark = "Series/9"
    with pytest.raises(errors.ArgumentError, match="document must be what to_dict"):
        await metrics.fetch(MRR)


async def test_a_broker_without_results_is_refused(sandbox: Sandbox) -> None:
    broker = Broker().with_result_backend(DummyResultBackend())
    with pytest.raises(errors.StateError) as caught:
        await TaskiqMetrics(broker, clients_of(sandbox)).fetch(MRR)
    assert str(caught.value) == "the broker has no result backend: give it one, with broker.with_result_backend(...)"
    assert broker.sent == []


async def test_arguments(broker: Broker, sandbox: Sandbox) -> None:
    anything: Any = "redis://localhost"
    for arguments, message in (
        ((anything, clients_of(sandbox)), "broker must be a taskiq.AsyncBroker, not 'redis://localhost'"),
        ((broker, anything), "new_client must be a function that makes the client of the account that it is given"),
    ):
        with pytest.raises(errors.ArgumentError) as caught:
            TaskiqMetrics(*arguments)
        assert str(caught.value) == message
    with pytest.raises(errors.ArgumentError, match=r"^resend_after must be a positive number of seconds, not 0$"):
        TaskiqMetrics(broker, clients_of(sandbox), resend_after=0)


async def test_what_is_not_a_query_is_refused(metrics: TaskiqMetrics, broker: Broker) -> None:
    wrong: Any = "mrr"
    message = "query must be a MetricQuery, such as MetricQuery('mrr', start_date, end_date), not 'mrr'"
    for call in (metrics.kiq, metrics.fetch, lambda query: metrics.fetch_all([query])):
        with pytest.raises(errors.ArgumentError) as caught:
            await call(wrong)
        assert str(caught.value) == message
    with pytest.raises(errors.ArgumentError, match=r"^queries must be"):
        await metrics.fetch_all(wrong)
    assert broker.sent == []


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "chartmogul_async.integrations.taskiq")
    monkeypatch.setitem(sys.modules, "taskiq", None)
    with pytest.raises(ImportError, match=r"pip install 'chartmogul-async\[taskiq\]'"):
        import_module("chartmogul_async.integrations.taskiq")
