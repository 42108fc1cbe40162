"""A breakdown that is fetched when it is awaited, or read part by part."""

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, Self

from chartmogul_async.errors import ArgumentError, StateError
from chartmogul_async.metrics.breakdown import TOTAL, Breakdown
from chartmogul_async.metrics.outcome import Outcome, Success
from chartmogul_async.metrics.query import MetricName, MetricQuery
from chartmogul_async.metrics.records import E, S
from chartmogul_async.metrics.segments import ByArgument, Division, divided
from chartmogul_async.metrics.series import Series
from chartmogul_async.metrics.slices import RangeFetcher
from chartmogul_async.metrics.stream import Outcomes, outcome_of
from chartmogul_async.metrics.tasks import run_all

OnError = Literal["raise", "collect"]
OnProgress = Callable[[int, int], object]

# Where the segments are found.
_LISTED = {"plan": "/plans", "plan_group": "/plan_groups", "country": "/customers"}
_AWAIT_IT = "write breakdown = await client.metrics.breakdown(…)"
_OF_A_BREAKDOWN = {name for name in dir(Breakdown) if not name.startswith("_")}
_OPEN_IT = (
    'await the breakdown, or read it by "async with client.metrics.breakdown(…) as parts:" and '
    '"async for segment, outcome in parts:" inside the block'
)


class Progress:
    """How much of a breakdown came, and whom to tell."""

    def __init__(self, on_progress: OnProgress | None) -> None:
        self.done: int = 0
        self.total: int = 0
        self._on_progress = on_progress

    def begin(self, total: int) -> None:
        self.done, self.total = 0, total
        self._report()

    def step(self) -> None:
        self.done += 1
        self._report()

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.done, self.total)


class _Pending(Generic[E, S]):
    """What both have in common: how they are fetched, and read part by part."""

    def __init__(
        self,
        ranges: RangeFetcher,
        wholes: tuple[MetricQuery[E, S], ...],
        by: ByArgument,
        on_error: OnError,
        on_progress: OnProgress | None,
    ) -> None:
        self._ranges = ranges
        self._wholes = wholes
        self._by: ByArgument = by
        self._on_error: OnError = on_error
        self._progress = Progress(on_progress)
        self._reading: Outcomes[E, S] | None = None
        # The names of the segments of each query that is in progress.
        self._names: dict[MetricQuery[E, S], list[str]] = {}

    @property
    def done(self) -> int:
        """How many series came, or failed."""
        return self._progress.done

    @property
    def expected(self) -> int:
        """How many series there are, one of each segment and of the whole, of each metric; 0 before that is known."""
        return self._progress.total

    def __repr__(self) -> str:
        metrics = ", ".join(whole.metric for whole in self._wholes)
        by = self._by if isinstance(self._by, str) else "filter"
        return f"<{type(self).__name__} of {metrics} by {by}: {self.done} of {self.expected or 'unknown'} series>"

    async def _all(self) -> dict[MetricName, Breakdown[E, S]]:
        division, asked = await self._asked()
        queries = [query for named in asked for _, query in named]
        outcomes = iter(await fetch_all_parts(queries, self._ranges.fetch, self._limit, self._on_error, self._progress))
        return {
            whole.metric: _table(division, whole, {name: next(outcomes) for name, _ in named})
            for whole, named in zip(self._wholes, asked, strict=True)
        }

    async def _asked(self) -> tuple[Division, list[list[tuple[str, MetricQuery[E, S]]]]]:
        """The segments, and the queries of all of them and of the whole, for each metric."""
        session = self._ranges.session
        session.check_usable()
        division = await divided(session, self._by, self._wholes[0])
        try:
            return division, [_queries(division, whole) for whole in self._wholes]
        except ArgumentError:
            if self._wholes[0].filters is not None:
                # They may be too long together with a segment.
                raise
            # What else the caller gave is checked before, so it is what the server listed.
            problem = "$: an item cannot be asked for: its UUID is malformed, or it is a group of too many plans"
            raise session.mismatch(_LISTED[division.by], problem) from None

    @property
    def _limit(self) -> int:
        return self._ranges.session.throttle.parallel

    # A type checker that saw these would accept what they refuse.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            remedy = f": {_AWAIT_IT}" if name in _OF_A_BREAKDOWN else ""
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}{remedy}", name=name, obj=self
            )

        def __getitem__(self, key: object) -> NoReturn:
            raise StateError(f"the breakdown is not fetched yet: {_AWAIT_IT}")

    # --- part by part --------------------------------------------------------------------------------------

    # A mutated function is called through others, whose frames are not those of its caller.
    async def __aenter__(self) -> Self:  # pragma: no mutate block
        if self._reading is not None:
            raise StateError("a breakdown can be entered only once: call client.metrics.breakdown(…) again")
        _, queries = await self._asked()
        asked = [named for of_a_metric in queries for named in of_a_metric]
        for name, query in asked:
            self._names.setdefault(query, []).append(name)
        self._progress.begin(len(asked))
        self._reading = Outcomes([query for _, query in asked], self._ranges.fetch, self._limit)
        await self._reading.__aenter__()
        return self

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._reading is not None
        return await self._reading.__aexit__(cls, error, traceback)

    def __aiter__(self) -> Self:
        if self._reading is None:
            raise StateError(f"the breakdown is not open: {_OPEN_IT}")
        return self

    async def __anext__(self) -> tuple[str, Outcome[E, S]]:
        if self._reading is None:
            raise StateError(f"the breakdown is not open: {_OPEN_IT}")
        outcome = await self._reading.__anext__()
        self._progress.step()
        # Two segments whose filters are the same have equal queries, and equal outcomes.
        return self._names[outcome.query].pop(), outcome


class PendingBreakdown(_Pending[E, S]):
    """A breakdown that was not fetched yet: what ``client.metrics.breakdown("mrr", …)`` returns.

    ``await`` it for a ``Breakdown``, or read each outcome as it comes::

        async with client.metrics.breakdown("mrr", start, end, by="plan") as parts:
            async for segment, outcome in parts:
                print(segment, outcome.error or outcome.series[-1], f"{parts.done} of {parts.expected}")

    Requests are in progress only while it is awaited, or inside the block, which is entered once. The block cannot be
    opened in an async generator, as with ``client.metrics.stream``.
    """

    __module__ = "chartmogul_async"

    def __await__(self) -> Generator[Any, Any, Breakdown[E, S]]:
        return self._one().__await__()

    async def _one(self) -> Breakdown[E, S]:
        (breakdown,) = (await self._all()).values()
        return breakdown


class PendingBreakdowns(_Pending[E, S]):
    """The breakdowns of several metrics: ``await`` it for a dict of them, by metric. Else like ``PendingBreakdown``.

    Of an outcome that is read as it comes, ``outcome.query.metric`` is the metric.
    """

    __module__ = "chartmogul_async"

    def __await__(self) -> Generator[Any, Any, dict[MetricName, Breakdown[E, S]]]:
        return self._all().__await__()


async def fetch_all_parts(
    queries: list[MetricQuery[E, S]],
    fetch: Callable[[MetricQuery[E, S]], Awaitable[Series[E, S]]],
    limit: int,
    on_error: OnError,
    progress: Progress,
) -> list[Outcome[E, S]]:
    """Fetch all queries, some at a time.

    Args:
        queries: The queries.
        fetch: Fetches one of them.
        limit: How many are in progress at once.
        on_error: Whether the first failure is raised, or is an outcome.
        progress: What is told of each outcome.

    Returns:
        The outcomes in the order of the queries.
    """

    async def part(query: MetricQuery[E, S]) -> Outcome[E, S]:
        outcome = Success(query, await fetch(query)) if on_error == "raise" else await outcome_of(query, fetch)
        progress.step()
        return outcome

    progress.begin(len(queries))
    return await run_all([partial(part, query) for query in queries], limit)


def _queries(division: Division, whole: MetricQuery[E, S]) -> list[tuple[str, MetricQuery[E, S]]]:
    """The queries of all segments and of the whole, by their names."""
    return [*((segment.name, segment.query(whole)) for segment in division.segments), (TOTAL, whole)]


def _table(division: Division, whole: MetricQuery[E, S], outcomes: dict[str, Outcome[E, S]]) -> Breakdown[E, S]:
    total = outcomes.pop(TOTAL)
    return Breakdown(division.by, whole, division.parts, tuple(outcomes.items()), total)
