"""``client.metrics``: one method for each endpoint, each returning a ``Series`` of frozen records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import anyio

from chartmogul_async.errors import ChartMogulError, RateLimitError, ServerError, TransportError, UsageError
from chartmogul_async.fetch import Fetch
from chartmogul_async.metrics import intervals
from chartmogul_async.metrics.fan_out import Outcome, best_slices, pull_slices, stream_outcomes, worth_slicing
from chartmogul_async.metrics.intervals import Interval, Slice, WeekStart
from chartmogul_async.metrics.query import METRICS, MetricQuery
from chartmogul_async.transport.throttle import Throttle

if TYPE_CHECKING:
    from chartmogul_async.cfl import Filter
    from chartmogul_async.metrics.records import (
        Answer,
        ARPAEntry,
        ARREntry,
        ASPEntry,
        CustomerChurnRateEntry,
        CustomerCountEntry,
        KeyMetricsEntry,
        KeyMetricsSummary,
        LTVEntry,
        MRRChurnRateEntry,
        MRREntry,
        Series,
        Summary,
    )

Slices = int | Literal["interval"] | None
Day = str | date
Texts = str | Iterable[str] | None

_PASSING = (TransportError, RateLimitError, ServerError)  # what may be otherwise the next time


class Metrics:
    """The nine metrics endpoints.

    Every method takes the same arguments; see ``MetricQuery`` for what they may be. ``slices`` says into how
    many requests a range is cut, along interval boundaries: None chooses (one for all but long ranges), a
    number insists, ``"interval"`` asks for each interval by itself. The result is that of one undivided request:
    where two slices overlap they must agree, or the range is asked again, in the end as one.

    It is not documented whether a monthly figure on a daily or weekly entry (churn, LTV, ASP on ``all``) depends on
    the range asked for. If so, slices do not agree, and from then on the client leaves such ranges whole.

    Raises ``UsageError`` before anything is sent, and any other error of the tree afterwards.
    """

    def __init__(
        self,
        turn: Callable[[], AbstractAsyncContextManager[None]],
        fetch: Fetch,
        ask_week_start: Callable[[], Awaitable[WeekStart]],
        throttle: Throttle,
    ) -> None:
        self._turn = turn
        self._fetch = fetch
        self._ask_week_start = ask_week_start
        self._throttle = throttle
        self._under_way = 0
        self._week_start: WeekStart | None = None
        self._asking: anyio.Lock | None = None  # made in the event loop in which it is used
        self._whole: set[tuple[str, str]] = set()  # metric and interval of ranges that are better left whole

    async def all(
        self,
        start_date: Day,
        end_date: Day,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: str | Filter | None = None,
        slices: Slices = None,
    ) -> Series[KeyMetricsEntry, KeyMetricsSummary | None]:
        """All eight key metrics: MRR, ARR, ARPA, ASP, customers, both churn rates, LTV.

        Source: https://dev.chartmogul.com/reference/metrics/all
        """
        query = MetricQuery("all", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters)
        return await self._series(query, slices)

    async def mrr(
        self,
        start_date: Day,
        end_date: Day,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: str | Filter | None = None,
        slices: Slices = None,
    ) -> Series[MRREntry, Summary]:
        """Monthly recurring revenue and its movements (cents).

        Source: https://dev.chartmogul.com/reference/metrics/mrr
        """
        query = MetricQuery("mrr", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters)
        return await self._series(query, slices)

    async def arr(
        self,
        start_date: Day,
        end_date: Day,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: str | Filter | None = None,
        slices: Slices = None,
    ) -> Series[ARREntry, Summary]:
        """Annual run rate (cents).

        Source: https://dev.chartmogul.com/reference/metrics/arr
        """
        query = MetricQuery("arr", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters)
        return await self._series(query, slices)

    async def arpa(
        self,
        start_date: Day,
        end_date: Day,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: str | Filter | None = None,
        slices: Slices = None,
    ) -> Series[ARPAEntry, Summary]:
        """Average revenue per account (cents a month).

        Source: https://dev.chartmogul.com/reference/metrics/arpa
        """
        query = MetricQuery("arpa", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters)
        return await self._series(query, slices)

    async def asp(
        self,
        start_date: Day,
        end_date: Day,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: str | Filter | None = None,
        slices: Slices = None,
    ) -> Series[ASPEntry, Summary]:
        """Average sale price (cents); months, quarters and years only.

        Source: https://dev.chartmogul.com/reference/metrics/asp
        """
        query = MetricQuery("asp", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters)
        return await self._series(query, slices)

    async def customer_count(
        self,
        start_date: Day,
        end_date: Day,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: str | Filter | None = None,
        slices: Slices = None,
    ) -> Series[CustomerCountEntry, Summary]:
        """Number of active customers.

        Source: https://dev.chartmogul.com/reference/metrics/customer-count
        """
        query = MetricQuery(
            "customer_count", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters
        )
        return await self._series(query, slices)

    async def customer_churn_rate(
        self,
        start_date: Day,
        end_date: Day,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: str | Filter | None = None,
        slices: Slices = None,
    ) -> Series[CustomerChurnRateEntry, Summary]:
        """Share of the customers lost (percent).

        Source: https://dev.chartmogul.com/reference/metrics/churn-rate
        """
        query = MetricQuery(
            "customer_churn_rate", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters
        )
        return await self._series(query, slices)

    async def mrr_churn_rate(
        self,
        start_date: Day,
        end_date: Day,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: str | Filter | None = None,
        slices: Slices = None,
    ) -> Series[MRRChurnRateEntry, Summary]:
        """Net share of the MRR lost (percent; negative when it grew).

        Source: https://dev.chartmogul.com/reference/metrics/mrr-churn-rate
        """
        query = MetricQuery(
            "mrr_churn_rate", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters
        )
        return await self._series(query, slices)

    async def ltv(
        self,
        start_date: Day,
        end_date: Day,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: str | Filter | None = None,
        slices: Slices = None,
    ) -> Series[LTVEntry, Summary]:
        """Customer lifetime value (cents); always monthly, whatever ``interval`` says.

        Source: https://dev.chartmogul.com/reference/metrics/ltv
        """
        query = MetricQuery("ltv", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters)
        return await self._series(query, slices)

    async def fetch(self, query: MetricQuery, *, slices: Slices = None) -> Series[Any, Any]:
        """Answer a query that was made before."""
        return await self._series(_checked(query), slices)

    def stream(self, queries: Iterable[MetricQuery]) -> AbstractAsyncContextManager[AsyncIterator[Outcome]]:
        """Answer many queries, a few at a time, and give each ``Outcome`` as it comes, failures included.

        ::

            async with client.metrics.stream(queries) as outcomes:
                async for outcome in outcomes:
                    ...

        The order is that of completion. Queries are taken from the iterable only as fast as they can be sent,
        so a generator of a million is fine. Leaving the block, by ``break`` or an exception, cancels the rest.
        Raises ``UsageError`` for what is no ``MetricQuery``.
        """
        if isinstance(queries, MetricQuery) or not isinstance(queries, Iterable):
            raise UsageError(f"queries is {queries!r}; it is an iterable of MetricQuery, such as a list")
        return stream_outcomes(queries, self.fetch, self._throttle.parallel)

    async def _series(self, query: MetricQuery, slices: Slices) -> Series[Any, Any]:
        async with self._turn():
            return await self._pull(query, slices)

    async def _pull(self, query: MetricQuery, slices: Slices) -> Series[Any, Any]:
        from chartmogul_async.metrics.records import ANSWERS, Series  # the records are made when first asked for

        parts = await self._cut(query, slices)

        async def pull(part: Slice) -> Answer[Any, Any]:
            dates = {"start-date": part.start.isoformat(), "end-date": part.end.isoformat()}
            return await self._fetch(query.path, query.params | dates, ANSWERS[query.metric])

        self._under_way += len(parts)
        try:
            answer = await pull_slices(parts, pull, self._throttle.parallel) if len(parts) > 1 else None
            if answer is None:
                if len(parts) > 1:
                    self._whole.add((query.metric, query.interval))
                answer = await pull(*_undivided(query))
        finally:
            self._under_way -= len(parts)
        return Series(answer.entries, answer.summary, query)

    async def _cut(self, query: MetricQuery, slices: Slices) -> tuple[Slice, ...]:
        _check_slices(slices)
        entries = intervals.count(query.start_date, query.end_date, query.interval)
        if slices is None and ((query.metric, query.interval) in self._whole or not worth_slicing(entries)):
            return _undivided(query)
        week_start: WeekStart = "monday"
        if query.interval == "week" and slices != 1:
            try:
                week_start = await self._week_starts_on()
            except ChartMogulError as error:
                if slices is not None:
                    raise
                if not isinstance(error, _PASSING):  # it is not asked again for every query
                    self._whole.update((metric, "week") for metric in METRICS)
                return _undivided(query)
        if slices is None:
            parts = best_slices(entries, self._throttle.room(self._under_way))
        else:
            parts = entries + 1 if slices == "interval" else slices  # there may be one week more than the length tells
        if parts == 1:
            return _undivided(query)
        return intervals.slices(query.start_date, query.end_date, query.interval, parts, week_start)

    async def _week_starts_on(self) -> WeekStart:
        """The account's own first day of the week, asked once."""
        self._asking = self._asking or anyio.Lock()
        async with self._asking:
            self._week_start = self._week_start or await self._ask_week_start()
        return self._week_start


def _undivided(query: MetricQuery) -> tuple[Slice]:
    return (Slice(query.start_date, query.end_date, has_seam=False),)


def _check_slices(slices: object) -> None:
    if slices is None or slices == "interval":
        return
    if not isinstance(slices, int) or isinstance(slices, bool) or slices < 1:
        raise UsageError(f"slices is {slices!r}; it is None, a whole number of 1 or more, or 'interval'")


def _checked(query: object) -> MetricQuery:
    if not isinstance(query, MetricQuery):
        raise UsageError(f"{query!r} is not a MetricQuery; make one with MetricQuery('mrr', start_date, end_date)")
    return query
