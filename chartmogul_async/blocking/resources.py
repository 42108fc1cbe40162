"""The parts of a blocking client. Signatures and docstrings are those of the async methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from chartmogul_async import AsyncClient, MetricQuery
from chartmogul_async import Throttle as AsyncThrottle
from chartmogul_async.blocking.breakdown_calls import BreakdownCalls
from chartmogul_async.blocking.call import Call
from chartmogul_async.blocking.calls import Blocking, Calls, blocking
from chartmogul_async.blocking.loop import LOOP
from chartmogul_async.blocking.pages import listing
from chartmogul_async.blocking.stream import Outcomes, streaming
from chartmogul_async.checks import instance_of
from chartmogul_async.metrics.resource import Metrics as AsyncMetrics
from chartmogul_async.metrics.stream import many_queries, outcome_of
from chartmogul_async.resources.customers import Customers as AsyncCustomers
from chartmogul_async.resources.plan_groups import PlanGroups as AsyncPlanGroups
from chartmogul_async.resources.plans import Plans as AsyncPlans

P = ParamSpec("P")
T = TypeVar("T")


class Metrics(BreakdownCalls):
    """The nine metrics endpoints, with the same arguments, results and errors as those of ``AsyncClient``."""

    __module__ = "chartmogul_async.blocking"

    def __init__(self, calls: Calls, find: Callable[[AsyncClient], AsyncClient], throttle: AsyncThrottle) -> None:
        super().__init__(calls, lambda client: find(client).metrics)
        self._throttle = throttle

    @blocking(AsyncMetrics.all)
    def all(self) -> None: ...

    @blocking(AsyncMetrics.mrr)
    def mrr(self) -> None: ...

    @blocking(AsyncMetrics.arr)
    def arr(self) -> None: ...

    @blocking(AsyncMetrics.arpa)
    def arpa(self) -> None: ...

    @blocking(AsyncMetrics.asp)
    def asp(self) -> None: ...

    @blocking(AsyncMetrics.customer_count)
    def customer_count(self) -> None: ...

    @blocking(AsyncMetrics.customer_churn_rate)
    def customer_churn_rate(self) -> None: ...

    @blocking(AsyncMetrics.mrr_churn_rate)
    def mrr_churn_rate(self) -> None: ...

    @blocking(AsyncMetrics.ltv)
    def ltv(self) -> None: ...

    @blocking(AsyncMetrics.fetch)
    def fetch(self) -> None: ...

    @blocking(AsyncMetrics.fetch_all)
    def fetch_all(self) -> None: ...

    @streaming(AsyncMetrics.stream)
    def stream(self, queries: Iterable[Any]) -> Outcomes[Any]:
        """Fetch many queries, a few at a time, and give each ``Outcome`` as it comes, failures included.

        ::

            with client.metrics.stream(queries) as outcomes:
                for outcome in outcomes:
                    ...

        The order is that of completion. Queries are taken from the iterable only as fast as they can be sent, in the
        thread that reads the outcomes, so a generator of a million is fine. Leaving the block, by ``break`` or an
        exception, cancels the rest.

        Args:
            queries: The queries.

        Returns:
            A context manager, and inside its block the iterator of the outcomes.

        Raises:
            ArgumentError: ``queries`` or one of them is something else; the latter is raised inside the block.
            StateError: The stream is entered twice or read outside its block; the client is closed.
        """
        return Outcomes(many_queries(queries), self._call_for, self._calls.start, self._throttle.parallel)

    def _call_for(self, query: Any) -> Call[Any]:
        instance_of("query", query, MetricQuery, "MetricQuery('mrr', start_date, end_date)")
        # What the async ``stream`` does for each query.
        return self._calls.call(lambda client: outcome_of(query, self._find(client)._for_many().fetch))  # noqa: SLF001 - the same package


class Customers(Blocking[AsyncCustomers]):
    """The customers of the account."""

    __module__ = "chartmogul_async.blocking"

    def __init__(self, calls: Calls, find: Callable[[AsyncClient], AsyncClient]) -> None:
        super().__init__(calls, lambda client: find(client).customers)

    @blocking(AsyncCustomers.search)
    def search(self) -> None: ...

    @listing(AsyncCustomers.list)
    def list(self) -> None: ...


class Plans(Blocking[AsyncPlans]):
    """The plans of the account."""

    __module__ = "chartmogul_async.blocking"

    def __init__(self, calls: Calls, find: Callable[[AsyncClient], AsyncClient]) -> None:
        super().__init__(calls, lambda client: find(client).plans)

    @listing(AsyncPlans.list)
    def list(self) -> None: ...


class PlanGroups(Blocking[AsyncPlanGroups]):
    """The plan groups of the account."""

    __module__ = "chartmogul_async.blocking"

    def __init__(self, calls: Calls, find: Callable[[AsyncClient], AsyncClient]) -> None:
        super().__init__(calls, lambda client: find(client).plan_groups)

    @listing(AsyncPlanGroups.list)
    def list(self) -> None: ...

    @listing(AsyncPlanGroups.plans)
    def plans(self) -> None: ...


def _between_steps(
    method: Callable[Concatenate[AsyncThrottle, P], T],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Throttle, P], T]]:
    """Make a method for any thread of one that belongs to the event loop and waits for nothing."""

    @wraps(method)
    def call(self: Throttle, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return LOOP.run(partial(method, self._throttle, *args, **kwargs))

    return lambda _: call


class Throttle:
    """The throttle of a blocking client, which belongs to the event loop, for any thread."""

    __module__ = "chartmogul_async.blocking"

    def __init__(self, throttle: AsyncThrottle) -> None:
        self._throttle = throttle

    @_between_steps(AsyncThrottle.statistics)
    def statistics(self) -> None: ...

    @_between_steps(AsyncThrottle.resize)
    def resize(self) -> None: ...

    @property
    def parallel(self) -> int:
        """How many requests may be in flight."""
        return self._throttle.parallel

    def __repr__(self) -> str:
        return repr(self._throttle)
