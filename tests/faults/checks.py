"""What must hold whatever the server does: one clear outcome, and nothing lost, leaked, hung or shown."""

from __future__ import annotations

import pickle
import sys
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

import anyio
import anyio.lowlevel
import attrs
import httpx

from chartmogul_async import AsyncClient, Attempt, MRREntry, RetryPolicy, Throttle, errors
from tests.clients import KEY
from tests.faults.scenes import PROXY_PASSWORD, Scene, Stage, plain
from tests.faults.server import MARKER, Act

SECRETS = (KEY, b64encode(f"{KEY}:".encode()).decode(), MARKER, PROXY_PASSWORD)

CALM_ENTRIES = (
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

_HANGS_AFTER = 20.0  # seconds; on a calm machine nothing here takes two
_LONGEST = 1_000  # characters of a message that is still clear
TWICE = RetryPolicy(attempts=2, base=0.001, total=15.0)


@attrs.frozen
class Fault:
    """A row of the table: what the server does with every request, and what must come of it.

    ``error`` None means that the right ``entries`` come. ``before`` is what an earlier request of the client met,
    and which left its connection behind. ``met``: how many acts the server came to play, if not one for each
    attempt. ``connections``: how many were made, where that matters. ``next_error``: what becomes of the next
    request, where that cannot be answered. ``gives_up_on``: the phase that stalls, which is not given long.
    """

    name: str
    act: Act | None
    error: type[errors.ChartMogulError] | None = None
    says: str = ""
    attempts: int = 1
    fields: Mapping[str, object] = attrs.field(factory=dict)
    entries: tuple[MRREntry, ...] = CALM_ENTRIES
    before: Act | None = None
    met: int | None = None
    connections: int | None = None
    next_error: type[errors.ChartMogulError] | None = None
    stage: Stage = plain
    retry: RetryPolicy = TWICE
    gives_up_on: Literal["connect", "read"] | None = None

    @property
    def is_passing(self) -> bool:
        """Whether there is another attempt, which a server that recovers answers."""
        return self.error is not None and self.attempts > 1 and self.met is None

    def once(self) -> Fault:
        """The same where only the first attempt meets it."""
        return attrs.evolve(self, error=None, says="", fields={}, connections=None, attempts=min(self.attempts, 2))


@attrs.frozen
class Outcome:
    """What came of a request, after how many attempts."""

    attempts: int
    entries: tuple[MRREntry, ...] = ()
    error: errors.ChartMogulError | None = None

    def __str__(self) -> str:
        return "the right records" if self.error is None else f"`{type(self.error).__name__}`: {self.error.message}"


class Patience(httpx.Timeout):
    """The client's timeouts: short for a phase that stalls, and no longer so once the stalls are over.

    So a stall costs no time, and what is answered may take as long as it does on a busy machine.
    """

    def __init__(self, phase: str | None) -> None:
        super().__init__(10.0)
        self._phases = {**super().as_dict(), **({phase: 0.05} if phase else {})}

    def as_dict(self) -> dict[str, float | None]:
        return self._phases

    def regain(self) -> None:
        self._phases.update(super().as_dict())


class Caller:
    """A client, its throttle and the attempts it made."""

    def __init__(self, scene: Scene, fault: Fault, stalls: int) -> None:
        self.throttle = Throttle()
        self._patience = Patience(fault.gives_up_on)
        self._stalls = stalls
        self._attempts: list[Attempt] = []
        self._client = AsyncClient(
            KEY,
            base_url=scene.base_url,
            retry=fault.retry,
            timeout=self._patience,
            throttle=self.throttle,
            on_attempt=self._after_attempt,
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._client.__aexit__(*raised)

    def _after_attempt(self, attempt: Attempt) -> None:
        self._attempts.append(attempt)
        if len(self._attempts) == self._stalls:
            self._patience.regain()

    async def ask(self) -> Outcome:
        """Ask for the MRR. Whatever is no error of the tree comes out, and fails the test."""
        self._attempts.clear()
        try:
            series = await self._client.metrics.mrr("2023-07-01", "2023-07-31")
        except errors.ChartMogulError as error:
            outcome = Outcome(error.attempts, error=error)
        else:
            outcome = Outcome(len(self._attempts), entries=series.entries)
        assert outcome.attempts == len(self._attempts)
        statistics = self.throttle.statistics()
        assert (statistics.in_flight, statistics.waiting) == (0, 0), "a place was lost"
        assert_hidden(repr(self._attempts))
        return outcome


async def survive(fault: Fault, *, every_time: bool = True) -> Outcome:
    """``meet`` the fault, and leave nothing behind."""
    async with nothing_left_behind():
        return await meet(fault, every_time=every_time)


async def meet(fault: Fault, *, every_time: bool = True) -> Outcome:
    """Let a client meet the fault, and check what comes of it. ``every_time`` False: only its first attempt does."""
    expected = fault if every_time else fault.once()
    times = fault.attempts if every_time and fault.error else 1
    script = [act for act in (fault.before, *[fault.act] * times) if act]
    with fault.stage(script) as scene, anyio.fail_after(_HANGS_AFTER):
        async with Caller(scene, fault, times) as caller:
            if fault.before:
                assert await caller.ask() == Outcome(1, CALM_ENTRIES)
                scene.server.wait_until_calm()
            outcome = await caller.ask()
            scene.recover()
            await _ask_calmly(caller, expected)
    _check_outcome(outcome, expected)
    _check_server(scene, expected)
    return outcome


async def _ask_calmly(caller: Caller, fault: Fault) -> None:
    """The next request of the same client is answered, and at once: nothing of the fault is left in its way."""
    after = await caller.ask()
    if fault.next_error:
        assert type(after.error) is fault.next_error
    else:
        assert after == Outcome(1, CALM_ENTRIES)


def _check_outcome(outcome: Outcome, fault: Fault) -> None:
    if outcome.error:
        check_error(outcome.error)
        assert type(outcome.error) is fault.error
        assert fault.says in outcome.error.message
        for name, value in fault.fields.items():
            assert getattr(outcome.error, name) == value
    else:
        assert not fault.error, "records came from what holds none"
        assert outcome.entries == fault.entries
    assert outcome.attempts == fault.attempts


def _check_server(scene: Scene, fault: Fault) -> None:
    server = scene.server
    answered_calmly = int(fault.next_error is None) + int(fault.before is not None)
    assert server.met == (fault.attempts if fault.met is None else fault.met) + answered_calmly
    if fault.connections is not None:
        assert server.connections == fault.connections
    for _, head in server.heads:
        request = b"CONNECT " if head.startswith(b"CONNECT ") else b"GET /v1/metrics/mrr?"
        assert head.startswith(request)
        assert b"cookie" not in head.lower()
        assert head.lower().count(b"\nauthorization: basic ") == (request != b"CONNECT ")


def check_error(error: errors.ChartMogulError) -> None:
    """An error is clear, holds no secret, and arrives whole in another process."""
    assert error.message
    assert str(error).isprintable(), "a message is one line, and of characters that any terminal shows"
    assert len(str(error)) <= _LONGEST
    assert "cancel scope" not in str(error), "an event loop's inner life says nothing to a reader"
    pickled = pickle.dumps(error)
    copy = pickle.loads(pickled)
    assert type(copy) is type(error)
    assert (str(copy), repr(copy), vars(copy)) == (str(error), repr(error), vars(error))
    assert_hidden(pickled.decode("latin-1"), "".join(traceback.format_exception(error)))
    for link in _chain(error):  # what a traceback leaves out is still there for tools that show more
        assert_hidden(str(link), repr(link))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    if error is not None:
        yield error
        yield from _chain(error.__cause__)
        yield from _chain(error.__context__)


def assert_hidden(*texts: str) -> None:
    for text in texts:
        assert not [secret for secret in SECRETS if secret in text], f"a secret is shown in {text[:2000]}"


@asynccontextmanager
async def nothing_left_behind() -> AsyncIterator[None]:
    """Sockets and tasks are the same before and after."""
    before = await _sockets_and_tasks()
    yield
    assert await _sockets_and_tasks() == before


async def _sockets_and_tasks() -> tuple[set[str], set[int]]:
    for _ in range(10):  # event loops close a socket some steps after they are told to
        await anyio.lowlevel.checkpoint()
    return _open_sockets(), {task.id for task in anyio.get_running_tasks()}


def _open_sockets() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").glob("*") if sys.platform == "linux" else ():
        with suppress(OSError):  # the one that lists the folder is gone
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith("socket:")}
