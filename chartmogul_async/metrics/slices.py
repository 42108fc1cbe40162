"""A long range as slices that are fetched in parallel and joined.

A response always opens with a change of 0.0, so each slice but the first also asks for the last interval of the slice
before it, the *overlap*. Where entries hold figures of a month, it asks for all days on which these may depend. What
lies outside its own days is dropped, and the overlap must equal the last entry of the slice before. If not, the account
changed between two responses (or an entry of this metric depends on the range asked for), and the range is fetched
undivided. A change that touches no overlap cannot be seen.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

import anyio
import attrs
from attrs import Factory, define

from chartmogul_async import intervals
from chartmogul_async.checks import positive_integer
from chartmogul_async.errors import StatusError
from chartmogul_async.events import SlicesDisagreed
from chartmogul_async.intervals import Slice, WeekStart
from chartmogul_async.metrics.joining import have_one_summary, joined
from chartmogul_async.metrics.query import MetricQuery
from chartmogul_async.metrics.records import E, MetricResponse, S
from chartmogul_async.metrics.series import RESPONSES, Series
from chartmogul_async.metrics.tasks import run_all
from chartmogul_async.metrics.weeks import WeekLookup
from chartmogul_async.transport.reuse import Result
from chartmogul_async.transport.session import Session

Slices = int | Literal["interval"] | None

# Entries; fewer take the server no longer than a round trip takes.
_WORTH_A_SLICE = 100
# Where days are cut at the ends of months, one slice may be that much shorter than another.
_DAYS_OF_A_MONTH = 31
# On entries of a day or a week, too; those of LTV and ASP are never shorter than a month.
_WITH_MONTHLY_FIGURES = {"all", "customer_churn_rate", "mrr_churn_rate"}
# Seconds for which similar ranges stay undivided after slices that were of no use.
_UNDIVIDED_FOR = 600.0
# Statuses that have nothing to do with the range: the key is wrong, may not do this, or is used too fast.
_NOT_ABOUT_THE_RANGE = {401, 403, 429}


@define(eq=False)
class _Range:
    """A range that is in progress, for all calls that ask for the same.

    Attributes:
        parts: Its slices; none if it is fetched undivided.
        planned: How many requests were planned for it.
        callers: How many calls are in progress.
        results: Those that came, so that a call which comes later need not ask for them.
    """

    parts: tuple[Slice, ...]
    planned: int
    callers: int = 0
    results: dict[Slice | None, Result[Any]] = Factory(dict)


class RangeMemory:
    """What one client knows of ranges: those in progress, and where slices were of no use."""

    # There is one for each of thousands of accounts.
    __slots__ = ("_undivided", "in_progress", "planned", "weeks")

    def __init__(self) -> None:
        self.weeks: WeekLookup = WeekLookup()
        # Requests of the calls in progress; they take their slots a little later.
        self.planned: int = 0
        self.in_progress: dict[tuple[MetricQuery, Slices], _Range] = {}
        # What is better left undivided, and until when on the clock of the event loop.
        self._undivided: dict[tuple[object, ...], float] = {}

    def is_left_undivided(self, query: MetricQuery) -> bool:
        """Whether slices of similar ranges were of no use lately."""
        return anyio.current_time() < self._undivided.get(_without_range(query), -math.inf)

    def leave_undivided(self, query: MetricQuery) -> None:
        """Do not cut similar ranges for a while."""
        now = anyio.current_time()
        self._undivided = {kind: until for kind, until in self._undivided.items() if now < until}
        self._undivided[_without_range(query)] = now + _UNDIVIDED_FOR


class RangeFetcher:
    """Fetches the range of a query, in slices where that is faster.

    Args:
        session: Makes the requests.
        memory: What is known of ranges.
    """

    def __init__(self, session: Session, memory: RangeMemory) -> None:
        self.session: Session = session
        self._memory = memory

    async def fetch(self, query: MetricQuery[E, S], slices: Slices = None) -> Series[E, S]:
        """Fetch a query as one series.

        Args:
            query: The query.
            slices: How many requests: None chooses, ``"interval"`` means one for each interval.

        Returns:
            The series: that of one undivided request, unless the account changed between two responses and no
            overlap shows it.

        Raises:
            ArgumentError: ``slices`` is not one of the possible values.
            StateError: The client is closed, or belongs to another event loop.
            ChartMogulError: A request failed.
        """
        key = query, slices = query, _checked(slices)
        reuses = self.session.options.max_age > 0
        result = self.session.recent(key) if reuses else None
        if result is None:
            parts = await self._plan(query, slices)
            result = await self._fetch_new(query, key, parts)
            if reuses:
                self.session.keep(key, result)
        return Series(result.value.entries, result.value.summary, query)

    async def _fetch_new(
        self, query: MetricQuery, key: tuple[MetricQuery, Slices], parts: tuple[Slice, ...]
    ) -> Result[Any]:
        memory = self._memory
        shared = memory.in_progress.get(key)
        is_first = shared is None
        if shared is None:
            shared = memory.in_progress[key] = _Range(parts, planned=max(1, len(parts)))
            memory.planned += shared.planned
        shared.callers += 1
        try:
            result = await self._fetch_slices(query, shared) if shared.parts else None
            return result or await self.session.ask(query.path, query.params, RESPONSES[query.metric])
        finally:
            shared.callers -= 1
            if not shared.callers:
                memory.planned -= shared.planned
            if is_first:
                # Calls that come later would be given responses that are older than that of any call in progress.
                del memory.in_progress[key]
                # A dict keeps its size when it is empty, and there may be thousands.
                memory.in_progress = memory.in_progress or {}

    async def _fetch_slices(self, query: MetricQuery, shared: _Range) -> Result[Any] | None:
        """The joined responses of all slices; None if the range must be fetched undivided."""
        parts = shared.parts
        try:
            result = await self._fetch_joined(query, shared, parts)
        except StatusError as error:
            if not _may_succeed_undivided(error):
                raise
            self._leave_undivided(query, shared)
            return None
        if result is None:
            # The first of the calls that share the range reports it.
            is_news = bool(shared.parts)
            self._leave_undivided(query, shared)
            if is_news:
                self.session.report(SlicesDisagreed(query.metric, len(parts)))
        return result

    def _leave_undivided(self, query: MetricQuery, shared: _Range) -> None:
        shared.parts = ()
        self._memory.leave_undivided(query)

    async def _fetch_joined(self, query: MetricQuery, shared: _Range, parts: tuple[Slice, ...]) -> Result[Any] | None:
        """The joined responses of all slices; None if they disagree."""
        calls = [partial(self._fetch_slice, query, shared, part) for part in parts]
        results = await run_all(calls, self.session.throttle.parallel)
        responses = [result.value for result in results]
        entries, latest = joined(parts, responses), responses[-1]
        if entries is not None and not have_one_summary(responses):
            # The summary describes now, so it may move while the entries stay. A response after all others has the
            # newest one, and shows whether the newest entries moved, too.
            results.append(await self._fetch_latest(query, shared, parts[-1]))
            latest = results[-1].value
            entries = entries if latest.entries == responses[-1].entries else None
        return None if entries is None else _combined(results, attrs.evolve(latest, entries=entries))

    async def _fetch_slice(self, query: MetricQuery, shared: _Range, part: Slice) -> Result[Any]:
        known = shared.results.get(part)
        if known is None:
            return shared.results.setdefault(part, await self._ask(query, part))
        self.session.note(known)
        return known

    async def _fetch_latest(self, query: MetricQuery, shared: _Range, last: Slice) -> Result[Any]:
        """The last slice, asked for after all others."""
        known = shared.results.get(None)
        if known is None:
            known = await self._ask(query, last, occasion=shared)
            shared.results[None] = known
        return known

    async def _ask(self, query: MetricQuery, part: Slice, occasion: object = None) -> Result[Any]:
        params = query.params | {"start-date": part.start.isoformat(), "end-date": part.end.isoformat()}
        return await self.session.ask(query.path, params, RESPONSES[query.metric], occasion)

    # --- planning ------------------------------------------------------------------------------------------

    async def _plan(self, query: MetricQuery, slices: Slices) -> tuple[Slice, ...]:
        """The slices of a range; none if it is fetched undivided."""
        known = self._memory.in_progress.get((query, slices))
        if known is not None:
            return known.parts
        if self._number_of_slices(query, slices) == 1:
            return ()
        self.session.check_usable()
        week_start = await self._week_start(query, slices)
        if week_start is None:
            return ()
        # Other calls may have taken slots during the lookup.
        number = self._number_of_slices(query, slices)
        cut = intervals.slices_of_monthly_figures if _has_monthly_figures(query) else intervals.slices
        parts = cut(query.start_date, query.end_date, query.interval, number, week_start)
        return parts if len(parts) > 1 else ()

    def _number_of_slices(self, query: MetricQuery, slices: Slices) -> int:
        if slices == "interval":
            # There may be one week more than the length of the range shows.
            return _entries(query) + 1
        if slices is not None:
            return slices
        days = (query.end_date - query.start_date).days + 1
        if days < 2 * _WORTH_A_SLICE:
            # No interval is shorter than a day.
            return 1
        worth = _entries(query) // _entries_worth_a_slice(query)
        if worth < 2 or self._memory.is_left_undivided(query):
            return 1
        # Never more than could start immediately.
        return max(1, min(worth, self.session.free_slots(self._memory.planned)))

    async def _week_start(self, query: MetricQuery, slices: Slices) -> WeekStart | None:
        """Where weeks begin, None if that is not known and the range can be left undivided."""
        if query.interval != "week":
            return "monday"
        weeks = self._memory.weeks
        return await (weeks.find(self.session) if slices is None else weeks.require(self.session))


def _checked(slices: Slices) -> Slices:
    if slices is None or (isinstance(slices, str) and slices == "interval"):
        return slices
    return positive_integer("slices", slices, ', None or "interval"')


def _combined(results: list[Result[Any]], value: MetricResponse[Any, Any]) -> Result[Any]:
    """One result of several, as old as the oldest of them."""
    size, sent_at = sum(result.size for result in results), min(result.sent_at for result in results)
    return Result(value, size, sent_at, tuple(response for result in results for response in result.responses))


def _without_range(query: MetricQuery) -> tuple[object, ...]:
    """What queries have in common whose slices agree or disagree for the same reason."""
    return query.metric, query.interval, query.geo, query.plans, query.filters


def _entries(query: MetricQuery) -> int:
    return intervals.count(query.start_date, query.end_date, query.interval)


def _has_monthly_figures(query: MetricQuery) -> bool:
    return query.metric in _WITH_MONTHLY_FIGURES and query.interval in ("day", "week")


def _entries_worth_a_slice(query: MetricQuery) -> int:
    is_cut_at_months = _has_monthly_figures(query) and query.interval == "day"
    return _WORTH_A_SLICE + (_DAYS_OF_A_MONTH if is_cut_at_months else 0)


def _may_succeed_undivided(error: StatusError) -> bool:
    """Whether the server may have refused the days of one slice, such as those before the account's first day."""
    return error.status is not None and 400 <= error.status < 500 and error.status not in _NOT_ABOUT_THE_RANGE
