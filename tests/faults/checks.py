"""What must hold whatever the server does: one clear outcome, and nothing lost, leaked, hanging or shown."""

from __future__ import annotations

import pickle
import sys
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from copy import copy
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

import anyio
import anyio.lowlevel
import attrs
import httpx

from chartmogul_async import AsyncClient, MRREntry, RetryPolicy, Throttle, errors
from chartmogul_async.events import Attempt, Event
from tests.clients import KEY
from tests.faults.server import MARKER, Behaviour
from tests.faults.targets import PROXY_PASSWORD, OpenTarget, Target, plain

SECRETS = (KEY, b64encode(f"{KEY}:".encode()).decode(), MARKER, PROXY_PASSWORD)

NORMAL_ENTRIES = (
    MRREntry(
        date=date(2023, 7, 31),
        mrr=363819722,
        percentage_change=0.0,
        mrr_new_business=288938,
        mrr_expansion=108684,
        mrr_contraction=-147909,
        mrr_churn=-600866,
        mrr_reactivation=0,
    ),
)

# Seconds; on an idle machine no fault takes two.
_HANGING = 20.0
# Seconds for a phase that stalls; on a busy machine the phases before it need a part of them.
_STALLED = 0.2
# Characters of a message that is still clear.
_LONGEST = 1_000
TWICE = RetryPolicy(attempts=2, base=0.001, total=15.0)


@attrs.frozen
class Fault:
    """A row of the table: what the server does with every request, and what the caller must get.

    Attributes:
        name: The first column.
        behaviour: What the server does; None for its normal behaviour, or where it is never reached.
        error: The class of the error; None means that the correct ``entries`` are returned.
        contains: A part of the error's message.
        attempts: How many are made.
        fields: Other attributes of the error.
        entries: The correct records.
        before: What the server did with an earlier request of the client, which left its connection behind.
        exchanges: How many the server counted, if not one for each attempt.
        connections: How many were made, where that matters.
        next_error: The error of the next request, where that cannot succeed.
        target: Where the server is.
        retry: The client's policy.
        stalled_phase: The phase that stalls, which gets a short timeout.
        unpacked: Bytes of the response, unpacked, where its cost is measured.
    """

    name: str
    behaviour: Behaviour | None
    error: type[errors.ChartMogulError] | None = None
    contains: str = ""
    attempts: int = 1
    fields: Mapping[str, object] = attrs.field(factory=dict)
    entries: tuple[MRREntry, ...] = NORMAL_ENTRIES
    before: Behaviour | None = None
    exchanges: int | None = None
    connections: int | None = None
    next_error: type[errors.ChartMogulError] | None = None
    target: OpenTarget = plain
    retry: RetryPolicy = TWICE
    stalled_phase: Literal["connect", "read"] | None = None
    unpacked: int | None = None

    @property
    def is_transient(self) -> bool:
        """Whether there is another attempt, which succeeds if the server recovers."""
        return self.error is not None and self.attempts > 1 and self.exchanges is None

    def once(self) -> Fault:
        """The same fault where only the first attempt has it."""
        return attrs.evolve(self, error=None, contains="", fields={}, connections=None, attempts=min(self.attempts, 2))


@attrs.frozen
class Outcome:
    """What a caller got, after how many attempts."""

    attempts: int
    entries: tuple[MRREntry, ...] = ()
    error: errors.ChartMogulError | None = None

    def __str__(self) -> str:
        if self.error is None:
            return "the correct records"
        # The attempts have a column of their own, and the time waited is random.
        error = copy(self.error)
        error.attempts = 0
        return f"`{type(error).__name__}`: {error}"


class Timeouts(httpx.Timeout):
    """The client's timeouts: short for a phase that stalls, and normal again once the stalls are over.

    So a stall costs no time, and a response may take as long as it does on a busy machine.
    """

    def __init__(self, phase: str | None) -> None:
        super().__init__(10.0)
        self._phases = {**super().as_dict(), **({phase: _STALLED} if phase else {})}

    def as_dict(self) -> dict[str, float | None]:
        return self._phases

    def restore(self) -> None:
        self._phases.update(super().as_dict())


class Caller:
    """A client, its throttle and its attempts."""

    def __init__(self, target: Target, fault: Fault, stalls: int) -> None:
        self.throttle = Throttle()
        self._timeouts = Timeouts(fault.stalled_phase)
        self._stalls = stalls
        self._attempts: list[Attempt] = []
        self._client = AsyncClient(
            KEY,
            base_url=target.base_url,
            retry=fault.retry,
            timeout=self._timeouts,
            throttle=self.throttle,
            on_event=self._on_event,
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._client.__aexit__(*raised)

    def _on_event(self, event: Event) -> None:
        assert_hidden(repr(event), str(event))
        if not isinstance(event, Attempt):
            return
        self._attempts.append(event)
        if len(self._attempts) == self._stalls:
            self._timeouts.restore()

    async def fetch(self) -> Outcome:
        """Fetch the MRR. An error of any other kind is raised, and fails the test."""
        self._attempts.clear()
        try:
            series = await self._client.metrics.mrr("2023-07-01", "2023-07-31")
        except errors.ChartMogulError as error:
            outcome = Outcome(error.attempts, error=error)
        else:
            outcome = Outcome(len(self._attempts), entries=series.entries)
        assert outcome.attempts == len(self._attempts)
        statistics = self.throttle.statistics()
        assert (statistics.in_flight, statistics.waiting) == (0, 0), "a slot was lost"
        return outcome


async def check_fault(fault: Fault, *, always: bool = True) -> Outcome:
    """``run_fault``, and check that nothing is left behind."""
    async with nothing_left_behind():
        return await run_fault(fault, always=always)


async def run_fault(fault: Fault, *, always: bool = True) -> Outcome:
    """Let a client meet the fault, and check the outcome.

    Args:
        fault: The fault.
        always: Whether every attempt meets it, or only the first one.

    Returns:
        The outcome.
    """
    expected = fault if always else fault.once()
    times = fault.attempts if always and fault.error else 1
    behaviours = [each for each in (fault.before, *[fault.behaviour] * times) if each]
    with fault.target(behaviours) as target, anyio.fail_after(_HANGING):
        async with Caller(target, fault, times) as caller:
            if fault.before:
                assert await caller.fetch() == Outcome(1, NORMAL_ENTRIES)
                target.wait_until_idle()
            outcome = await caller.fetch()
            target.recover()
            await _check_next_request(caller, expected)
    _check_outcome(outcome, expected, target)
    _check_server(target, expected)
    return outcome


async def _check_next_request(caller: Caller, fault: Fault) -> None:
    """The next request of the same client succeeds, and immediately: nothing of the fault is in its way."""
    after = await caller.fetch()
    if fault.next_error:
        assert type(after.error) is fault.next_error
    else:
        assert after == Outcome(1, NORMAL_ENTRIES)


def _check_outcome(outcome: Outcome, fault: Fault, target: Target) -> None:
    if outcome.error:
        check_error(outcome.error)
        assert type(outcome.error) is fault.error
        assert (outcome.error.method, outcome.error.url) == ("GET", f"{target.base_url}/metrics/mrr")
        assert fault.contains in outcome.error.message
        for name, value in fault.fields.items():
            assert getattr(outcome.error, name) == value
    else:
        assert not fault.error, "records were returned, although the response has none"
        assert outcome.entries == fault.entries
    assert outcome.attempts == fault.attempts


def _check_server(target: Target, fault: Fault) -> None:
    server = target.server
    normal = int(fault.next_error is None) + int(fault.before is not None)
    assert server.exchanges == (fault.attempts if fault.exchanges is None else fault.exchanges) + normal
    if fault.connections is not None:
        assert server.connections == fault.connections
    for _, head in server.heads:
        request = b"CONNECT " if head.startswith(b"CONNECT ") else b"GET /v1/metrics/mrr?"
        assert head.startswith(request)
        assert b"cookie" not in head.lower()
        assert head.lower().count(b"\nauthorization: basic ") == (request != b"CONNECT ")


def check_error(error: errors.ChartMogulError) -> None:
    """An error is clear, contains the request once and no secret, and survives pickling."""
    check_text(error)
    assert error.message
    assert str(error).startswith(f"{error.method} {error.url}: ")
    # The request is named once, and without its query.
    assert str(error).count("/metrics/mrr") == 1
    assert "start-date" not in str(error)
    assert "cancel scope" not in str(error), "a reader does not know the internals of an event loop"


def check_text(error: Exception) -> None:
    """An error is one printable line, contains no secret, and survives pickling."""
    assert str(error).isprintable(), "a message is one line of characters that any terminal shows"
    assert 0 < len(str(error)) <= _LONGEST
    pickled = pickle.dumps(error)
    unpickled = pickle.loads(pickled)
    assert type(unpickled) is type(error)
    assert (str(unpickled), repr(unpickled), vars(unpickled)) == (str(error), repr(error), vars(error))
    assert_hidden(pickled.decode("latin-1"), "".join(traceback.format_exception(error)))
    # Links that a traceback omits are still visible to tools that show more.
    for link in _chain(error):
        assert_hidden(str(link), repr(link))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    if error is not None:
        yield error
        yield from _chain(error.__cause__)
        yield from _chain(error.__context__)


def assert_hidden(*texts: str) -> None:
    """No text contains a secret."""
    for text in texts:
        assert not [secret for secret in SECRETS if secret in text], f"a secret is shown in {text[:2000]}"


@asynccontextmanager
async def nothing_left_behind() -> AsyncIterator[None]:
    """Sockets and tasks are the same before and after."""
    before = await _sockets_and_tasks()
    yield
    assert await _sockets_and_tasks() == before


async def _sockets_and_tasks() -> tuple[set[str], set[int]]:
    # An event loop closes a socket a few steps after its transport was closed.
    for _ in range(10):
        await anyio.lowlevel.checkpoint()
    return _open_sockets(), {task.id for task in anyio.get_running_tasks()}


def _open_sockets() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").glob("*") if sys.platform == "linux" else ():
        # The descriptor that lists the directory is closed by now.
        with suppress(OSError):
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith("socket:")}
