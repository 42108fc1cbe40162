"""``client.metrics``: one method for each endpoint, each returning a ``Series`` of frozen records.

The nine signatures and docstrings are written out, so that editors and ``help(client.metrics.mrr)`` explain every
parameter: the file is long and has nothing to it.
"""

from collections.abc import Iterable

from chartmogul_async.checks import instance_of
from chartmogul_async.intervals import Interval
from chartmogul_async.metrics.breakdown_calls import BreakdownCalls
from chartmogul_async.metrics.outcome import Outcome
from chartmogul_async.metrics.query import Day, Filters, MetricQuery, Texts
from chartmogul_async.metrics.records import (
    ARPAEntry,
    ARREntry,
    ASPEntry,
    CustomerChurnRateEntry,
    CustomerCountEntry,
    E,
    KeyMetricsEntry,
    KeyMetricsSummary,
    LTVEntry,
    MRRChurnRateEntry,
    MRREntry,
    S,
    Summary,
)
from chartmogul_async.metrics.series import Series
from chartmogul_async.metrics.slices import RangeFetcher, RangeMemory, Slices
from chartmogul_async.metrics.stream import Outcomes, fetch_outcomes, many_queries
from chartmogul_async.transport.session import Session


class Metrics(BreakdownCalls):
    """The nine metrics endpoints.

    Every method takes the same arguments and raises the same errors. Where two slices overlap they must agree, or the
    range is fetched again as one. So the result is that of one undivided request, unless the account changes between
    two responses where no slices overlap, which cannot be seen.

    It is not documented which days a monthly figure on an entry of a day or a week covers (both churn rates; these, LTV
    and ASP on ``all``). Slices of such ranges ask for so many days more that it makes no difference whether that is
    the part of the month that lies in the range, the month up to the entry, or the last 30 days.
    """

    __module__ = "chartmogul_async"

    def __init__(self, session: Session, memory: RangeMemory) -> None:
        self._session = session
        self._memory = memory
        self._ranges = RangeFetcher(session, memory)
        self._many: RangeFetcher | None = None

    async def all(
        self,
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
        slices: Slices = None,
    ) -> Series[KeyMetricsEntry, KeyMetricsSummary | None]:
        """All eight key metrics: MRR, ARR, ARPA, ASP, customers, both churn rates, LTV.

        Args:
            start_date: The first day: a ``date``, a ``datetime`` or an ISO string; or a period such as ``"2024-Q1"``.
            end_date: The last day, included; it may lie in the future. None is the end of the period.
            interval: The length of an entry: "day", "week", "month", "quarter" or "year".
            geo: ISO 3166-1 country codes, None for all countries.
            plans: Plan names, UUIDs or external ids, None for all plans.
            filters: A filter built with ``cfl``, or a string in ChartMogul Filter Language.
            slices: Into how many requests the range is cut, along interval boundaries: None chooses (one for all but
                long ranges), an integer insists, ``"interval"`` asks for each interval by itself.

        Returns:
            One entry for each interval, oldest first, and the summary of now; the summary is None in responses
            of the closed beta.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.
            ChartMogulError: What a request met.

        Source: https://dev.chartmogul.com/reference/metrics/all
        """
        query = MetricQuery("all", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters)
        return await self._ranges.fetch(query, slices)

    async def mrr(
        self,
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
        slices: Slices = None,
    ) -> Series[MRREntry, Summary]:
        """Monthly recurring revenue and its movements (cents).

        Args:
            start_date: The first day: a ``date``, a ``datetime`` or an ISO string; or a period such as ``"2024-Q1"``.
            end_date: The last day, included; it may lie in the future. None is the end of the period.
            interval: The length of an entry: "day", "week", "month", "quarter" or "year".
            geo: ISO 3166-1 country codes, None for all countries.
            plans: Plan names, UUIDs or external ids, None for all plans.
            filters: A filter built with ``cfl``, or a string in ChartMogul Filter Language.
            slices: Into how many requests the range is cut, along interval boundaries: None chooses (one for all but
                long ranges), an integer insists, ``"interval"`` asks for each interval by itself.

        Returns:
            One entry for each interval, oldest first, and the summary of now.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.
            ChartMogulError: What a request met.

        Source: https://dev.chartmogul.com/reference/metrics/mrr
        """
        query = MetricQuery("mrr", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters)
        return await self._ranges.fetch(query, slices)

    async def arr(
        self,
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
        slices: Slices = None,
    ) -> Series[ARREntry, Summary]:
        """Annual run rate (cents).

        Args:
            start_date: The first day: a ``date``, a ``datetime`` or an ISO string; or a period such as ``"2024-Q1"``.
            end_date: The last day, included; it may lie in the future. None is the end of the period.
            interval: The length of an entry: "day", "week", "month", "quarter" or "year".
            geo: ISO 3166-1 country codes, None for all countries.
            plans: Plan names, UUIDs or external ids, None for all plans.
            filters: A filter built with ``cfl``, or a string in ChartMogul Filter Language.
            slices: Into how many requests the range is cut, along interval boundaries: None chooses (one for all but
                long ranges), an integer insists, ``"interval"`` asks for each interval by itself.

        Returns:
            One entry for each interval, oldest first, and the summary of now.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.
            ChartMogulError: What a request met.

        Source: https://dev.chartmogul.com/reference/metrics/arr
        """
        query = MetricQuery("arr", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters)
        return await self._ranges.fetch(query, slices)

    async def arpa(
        self,
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
        slices: Slices = None,
    ) -> Series[ARPAEntry, Summary]:
        """Average revenue per account (cents a month).

        Args:
            start_date: The first day: a ``date``, a ``datetime`` or an ISO string; or a period such as ``"2024-Q1"``.
            end_date: The last day, included; it may lie in the future. None is the end of the period.
            interval: The length of an entry: "day", "week", "month", "quarter" or "year".
            geo: ISO 3166-1 country codes, None for all countries.
            plans: Plan names, UUIDs or external ids, None for all plans.
            filters: A filter built with ``cfl``, or a string in ChartMogul Filter Language.
            slices: Into how many requests the range is cut, along interval boundaries: None chooses (one for all but
                long ranges), an integer insists, ``"interval"`` asks for each interval by itself.

        Returns:
            One entry for each interval, oldest first, and the summary of now.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.
            ChartMogulError: What a request met.

        Source: https://dev.chartmogul.com/reference/metrics/arpa
        """
        query = MetricQuery("arpa", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters)
        return await self._ranges.fetch(query, slices)

    async def asp(
        self,
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
        slices: Slices = None,
    ) -> Series[ASPEntry, Summary]:
        """Average sale price (cents); months, quarters and years only.

        Args:
            start_date: The first day: a ``date``, a ``datetime`` or an ISO string; or a period such as ``"2024-Q1"``.
            end_date: The last day, included; it may lie in the future. None is the end of the period.
            interval: The length of an entry: "month", "quarter" or "year".
            geo: ISO 3166-1 country codes, None for all countries.
            plans: Plan names, UUIDs or external ids, None for all plans.
            filters: A filter built with ``cfl``, or a string in ChartMogul Filter Language.
            slices: Into how many requests the range is cut, along interval boundaries: None chooses (one for all but
                long ranges), an integer insists, ``"interval"`` asks for each interval by itself.

        Returns:
            One entry for each interval, oldest first, and the summary of now.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.
            ChartMogulError: What a request met.

        Source: https://dev.chartmogul.com/reference/metrics/asp
        """
        query = MetricQuery("asp", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters)
        return await self._ranges.fetch(query, slices)

    async def customer_count(
        self,
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
        slices: Slices = None,
    ) -> Series[CustomerCountEntry, Summary]:
        """Number of active customers.

        Args:
            start_date: The first day: a ``date``, a ``datetime`` or an ISO string; or a period such as ``"2024-Q1"``.
            end_date: The last day, included; it may lie in the future. None is the end of the period.
            interval: The length of an entry: "day", "week", "month", "quarter" or "year".
            geo: ISO 3166-1 country codes, None for all countries.
            plans: Plan names, UUIDs or external ids, None for all plans.
            filters: A filter built with ``cfl``, or a string in ChartMogul Filter Language.
            slices: Into how many requests the range is cut, along interval boundaries: None chooses (one for all but
                long ranges), an integer insists, ``"interval"`` asks for each interval by itself.

        Returns:
            One entry for each interval, oldest first, and the summary of now.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.
            ChartMogulError: What a request met.

        Source: https://dev.chartmogul.com/reference/metrics/customer-count
        """
        query = MetricQuery(
            "customer_count", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters
        )
        return await self._ranges.fetch(query, slices)

    async def customer_churn_rate(
        self,
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
        slices: Slices = None,
    ) -> Series[CustomerChurnRateEntry, Summary]:
        """Share of the customers lost (percent).

        Args:
            start_date: The first day: a ``date``, a ``datetime`` or an ISO string; or a period such as ``"2024-Q1"``.
            end_date: The last day, included; it may lie in the future. None is the end of the period.
            interval: The length of an entry: "day", "week", "month", "quarter" or "year".
            geo: ISO 3166-1 country codes, None for all countries.
            plans: Plan names, UUIDs or external ids, None for all plans.
            filters: A filter built with ``cfl``, or a string in ChartMogul Filter Language.
            slices: Into how many requests the range is cut, along interval boundaries: None chooses (one for all but
                long ranges), an integer insists, ``"interval"`` asks for each interval by itself.

        Returns:
            One entry for each interval, oldest first, and the summary of now.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.
            ChartMogulError: What a request met.

        Source: https://dev.chartmogul.com/reference/metrics/churn-rate
        """
        query = MetricQuery(
            "customer_churn_rate", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters
        )
        return await self._ranges.fetch(query, slices)

    async def mrr_churn_rate(
        self,
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
        slices: Slices = None,
    ) -> Series[MRRChurnRateEntry, Summary]:
        """Net share of the MRR lost (percent; negative when it grew).

        Args:
            start_date: The first day: a ``date``, a ``datetime`` or an ISO string; or a period such as ``"2024-Q1"``.
            end_date: The last day, included; it may lie in the future. None is the end of the period.
            interval: The length of an entry: "day", "week", "month", "quarter" or "year".
            geo: ISO 3166-1 country codes, None for all countries.
            plans: Plan names, UUIDs or external ids, None for all plans.
            filters: A filter built with ``cfl``, or a string in ChartMogul Filter Language.
            slices: Into how many requests the range is cut, along interval boundaries: None chooses (one for all but
                long ranges), an integer insists, ``"interval"`` asks for each interval by itself.

        Returns:
            One entry for each interval, oldest first, and the summary of now.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.
            ChartMogulError: What a request met.

        Source: https://dev.chartmogul.com/reference/metrics/mrr-churn-rate
        """
        query = MetricQuery(
            "mrr_churn_rate", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters
        )
        return await self._ranges.fetch(query, slices)

    async def ltv(
        self,
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
        slices: Slices = None,
    ) -> Series[LTVEntry, Summary]:
        """Customer lifetime value (cents); always monthly, whatever ``interval`` says.

        Args:
            start_date: The first day: a ``date``, a ``datetime`` or an ISO string; or a period such as ``"2024-Q1"``.
            end_date: The last day, included; it may lie in the future. None is the end of the period.
            interval: The length of an entry: ignored, since LTV is always monthly.
            geo: ISO 3166-1 country codes, None for all countries.
            plans: Plan names, UUIDs or external ids, None for all plans.
            filters: A filter built with ``cfl``, or a string in ChartMogul Filter Language.
            slices: Into how many requests the range is cut, along interval boundaries: None chooses (one for all but
                long ranges), an integer insists, ``"interval"`` asks for each interval by itself.

        Returns:
            One entry for each interval, oldest first, and the summary of now.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.
            ChartMogulError: What a request met.

        Source: https://dev.chartmogul.com/reference/metrics/ltv
        """
        query = MetricQuery("ltv", start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters)
        return await self._ranges.fetch(query, slices)

    async def fetch(self, query: MetricQuery[E, S], *, slices: Slices = None) -> Series[E, S]:
        """Fetch a query that was made before.

        Args:
            query: The query.
            slices: As for the other methods.

        Returns:
            Its series, as the method named by ``query.metric`` would return it.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.
            ChartMogulError: What a request met.
        """
        instance_of("query", query, MetricQuery, "MetricQuery('mrr', start_date, end_date)")
        return await self._ranges.fetch(query, slices)

    async def fetch_all(self, queries: Iterable[MetricQuery[E, S]]) -> tuple[Outcome[E, S], ...]:
        """Fetch many queries, a few at a time, and give all outcomes at once, failures included.

        Other calls go first, unless the client's options give these the priority ``"interactive"``. It leaves nothing
        open, so it may be called anywhere, also in a generator. All outcomes are in memory at once: where they are too
        many, use ``stream``, or a part of the queries at a time.

        Args:
            queries: The queries.

        Returns:
            One ``Outcome`` for each query, in the order of the queries.

        Raises:
            ArgumentError: ``queries`` or one of them is something else; nothing was sent.
            StateError: The client is closed, or belongs to another event loop.
        """
        ranges = self._for_many()
        return await fetch_outcomes(many_queries(queries), ranges.fetch, ranges.session.throttle.parallel)

    def stream(self, queries: Iterable[MetricQuery[E, S]]) -> Outcomes[E, S]:
        """Fetch many queries, a few at a time, and give each ``Outcome`` as it comes, failures included.

        ::

            async with client.metrics.stream(queries) as outcomes:
                async for outcome in outcomes:
                    ...

        The order is that of completion. Queries are taken from the iterable only as fast as they can be sent,
        so a generator of a million is fine. Other calls go first, unless the client's options give these the
        priority ``"interactive"``. Leaving the block, by ``break`` or an exception, cancels the rest.

        The block cannot be opened in an async generator: one that is left by ``break`` would cancel its caller. Use
        ``fetch_all`` there, for a part of the queries at a time.

        Args:
            queries: The queries.

        Returns:
            An async context manager, and inside its block the async iterator of the outcomes.

        Raises:
            ArgumentError: ``queries`` or one of them is something else; the latter is raised inside the block.
            StateError: The stream is opened in an async generator, entered twice or read outside its block; the
                client is closed, or belongs to another event loop.
        """
        ranges = self._for_many()
        return Outcomes(many_queries(queries), ranges.fetch, ranges.session.throttle.parallel)

    def _for_many(self) -> RangeFetcher:
        if self._many is None:
            # Many queries are a batch unless the client's options say otherwise.
            session = self._session.with_options(priority=self._session.options.priority or "batch")
            self._many = RangeFetcher(session, self._memory)
        return self._many
