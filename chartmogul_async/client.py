"""The client: its arguments, its lifecycle, and the names of what can be read. Requests are the session's matter."""

import os
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import httpx
from attrs import frozen

from chartmogul_async.arguments import (
    PATH,
    TIMEOUT,
    Param,
    checked_hook,
    checked_key,
    checked_retry,
    checked_timeout,
    chosen_base_url,
    texts_of,
)
from chartmogul_async.checks import (
    instance_of,
    non_negative_number,
    one_of,
    positive_number,
    shown,
)
from chartmogul_async.errors import ArgumentError, StateError
from chartmogul_async.events import OnEvent, OnResponse
from chartmogul_async.metrics.resource import Metrics
from chartmogul_async.metrics.slices import RangeMemory
from chartmogul_async.resources.account import Account, Pong, account_params
from chartmogul_async.resources.customers import Customers
from chartmogul_async.resources.plan_groups import PlanGroups
from chartmogul_async.resources.plans import Plans
from chartmogul_async.transport.connections import Borrowed, Sender, connections_to
from chartmogul_async.transport.exchanges import Endpoint, Exchanges, account_of
from chartmogul_async.transport.options import Options, Priority
from chartmogul_async.transport.retry import RetryPolicy
from chartmogul_async.transport.reuse import Reuse
from chartmogul_async.transport.session import Session
from chartmogul_async.transport.throttle import Throttle


@frozen
class ClientStatistics:
    """A client and its views at one moment.

    Attributes:
        exchanges: Exchanges so far, each with all its attempts, but for those of ``get``.
        shared: Requests in whose place an equal exchange in progress was waited for.
        reused: Calls that were given a recent result, as their ``max_age`` allowed.
        kept: Recent results that may be used again.
        kept_bytes: Bytes of the content that they are made of.
    """

    __module__ = "chartmogul_async"

    exchanges: int
    shared: int
    reused: int
    kept: int
    kept_bytes: int


class AsyncClient:
    """Reads one ChartMogul account.

    ::

        async with AsyncClient("api-key") as client:
            mrr = await client.metrics.mrr("2023-07-01", "2023-08-31")

    One client is for one event loop and any number of tasks; it owns sockets but no tasks, so it needs no
    ``async with`` as long as ``aclose()`` is called in the end. Nothing is sent when it is made. Redirects are
    not followed, and plain HTTP is refused for all but loopback hosts: both would show the key to others.

    Args:
        api_key: The account's API key, by default the environment variable ``CHARTMOGUL_API_KEY``.
        base_url: Where the API is, by default ``CHARTMOGUL_BASE_URL``, else ChartMogul itself.
        timeout: Seconds for each phase of an exchange, or an ``httpx.Timeout``; by default 5 s to connect and 30 s for
            each read.
        retry: How often and how long to try.
        throttle: One to share between several clients of the same account, or one with other limits.
        transport: What sends in place of the client's own connections; retry and throttle stay around it.
        on_event: A function called with each event: ``Attempt``, ``Pause``, ``Pacing``, ``ConcurrencyLowered`` or
            ``SlicesDisagreed``. What it raises is raised by the call.

    Raises:
        ArgumentError: An argument cannot be right.

    Source: https://dev.chartmogul.com/docs/authentication
    """

    __module__ = "chartmogul_async"

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float | httpx.Timeout = TIMEOUT,
        retry: RetryPolicy = RetryPolicy(),
        throttle: Throttle | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        url = chosen_base_url(base_url)
        key = checked_key(os.environ.get("CHARTMOGUL_API_KEY") if api_key is None else api_key)
        endpoint = Endpoint(url, connections_over(transport, url))
        throttle = Throttle() if throttle is None else instance_of("throttle", throttle, Throttle, "Throttle()")
        options = Options(
            checked_timeout(timeout).as_dict(),
            checked_retry(retry),
            on_event=checked_hook("on_event", "event", on_event),
        )
        self._session = Session(Exchanges(endpoint, key, account_of(url, key), throttle), options, Reuse())
        self._memory = RangeMemory()
        self._was_entered = False

    def with_options(
        self,
        *,
        timeout: float | httpx.Timeout | None = None,
        retry: RetryPolicy | None = None,
        priority: Priority | None = None,
        max_wait: float | None = None,
        max_age: float | None = None,
        on_response: OnResponse | None = None,
        on_event: OnEvent | None = None,
    ) -> Self:
        """Make a view of this client whose calls are made in another way.

        ::

            page = client.with_options(max_age=60, max_wait=5)

        A view has the connections, the throttle and the event loop of its client, and costs next to nothing, so it may
        be made for a single call. To close a view closes the client. An option that is not given, or None, stays as it
        is.

        Args:
            timeout: Seconds for each phase of an exchange, or an ``httpx.Timeout``.
            retry: How often and how long to try.
            priority: ``"interactive"`` requests go first, and while such come, those of a ``"batch"`` leave a quarter
                of the limits to them; of eight requests at least one is of a batch, if any waits. By default
                ``stream``, ``fetch_all`` and ``breakdown`` are batches, and all other calls are interactive.
            max_wait: Seconds that a request may wait in the queue before it is first sent; then its call raises
                ``QueueTimeoutError``. A long range has several requests.
            max_age: How many seconds ago the request of a result may have been sent that is used again. By default,
                and with 0, each call makes a request, or waits for an equal one that is in progress. At most 1,000
                results, of 32 MiB of content, are remembered, in memory only.
            on_response: A function called with a ``ResponseInfo`` (status, headers, request id) for each response that
                a result was made of; a long range has several. What it raises is raised by the call.
            on_event: A function called with each event of the calls of this view, in place of the client's.

        Returns:
            The view.

        Raises:
            ArgumentError: An option cannot be right.
        """
        given = {
            "timeout": None if timeout is None else checked_timeout(timeout).as_dict(),
            "policy": None if retry is None else checked_retry(retry),
            "priority": None if priority is None else one_of("priority", priority, ("interactive", "batch")),
            "max_wait": None if max_wait is None else positive_number("max_wait", max_wait, " of seconds"),
            "max_age": None if max_age is None else non_negative_number("max_age", max_age, " of seconds"),
            "on_response": checked_hook("on_response", "response", on_response),
            "on_event": checked_hook("on_event", "event", on_event),
        }
        options = {name: value for name, value in given.items() if value is not None}
        view = object.__new__(type(self))
        # Its resources are made anew, since they have the session of this client.
        made = {name for name in vars(self) if isinstance(getattr(type(self), name, None), cached_property)}
        kept = {name: value for name, value in vars(self).items() if name not in made}
        vars(view).update(kept, _session=self._session.with_options(**options), _was_entered=False)
        return view

    @cached_property
    def metrics(self) -> Metrics:
        """The nine metrics."""
        return Metrics(self._session, self._memory)

    @cached_property
    def customers(self) -> Customers:
        """List the customers, or find some by e-mail address."""
        return Customers(self._session)

    @cached_property
    def plans(self) -> Plans:
        """List the plans."""
        return Plans(self._session)

    @cached_property
    def plan_groups(self) -> PlanGroups:
        """List the plan groups, and the plans of each."""
        return PlanGroups(self._session)

    @property
    def throttle(self) -> Throttle:
        """The throttle, with its ``statistics()`` and its ``resize()``, or to share it with another client."""
        return self._session.throttle

    def statistics(self) -> ClientStatistics:
        """Report how many requests calls had in common.

        Returns:
            The figures of this moment, of the client and all its views.
        """
        counts, sizes = self._session.counts, self._session.kept_sizes()
        return ClientStatistics(counts.made, counts.shared, counts.reused, len(sizes), sum(sizes))

    def __repr__(self) -> str:
        # A debugger also shows a client whose __init__ raised.
        session = getattr(self, "_session", None)
        return f"AsyncClient(base_url={session and session.base_url!r})"

    async def __aenter__(self) -> Self:
        if self._was_entered:
            raise StateError("this client was entered before; make a new AsyncClient for each `async with`")
        self._session.check_usable()
        self._was_entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. Closing twice does nothing.

        Raises:
            StateError: This is another event loop than that of the calls. Unless that one is closed, nothing is.
        """
        await self._session.aclose()

    async def account(self, *, include: str | Iterable[str] | None = None) -> Account:
        """Get the account's name, currency, time zone and first day of the week.

        Args:
            include: Which settings to include, as a list or with commas: ``churn_recognition``,
                ``churn_when_zero_mrr``, ``auto_churn_subscription``, ``refund_handling`` and
                ``proximate_movement_reclassification``. They decide what churn and MRR mean.

        Returns:
            The account.

        Raises:
            ArgumentError: ``include`` contains another name; nothing was sent.
            ChartMogulError: What the request met.
        """
        return await self._session.fetch("/account", account_params(include), Account)

    async def ping(self) -> str:
        """Check the key.

        Returns:
            ``"pong!"``

        Raises:
            AuthenticationError: The key is not valid.
            ChartMogulError: What the request met.
        """
        # Each call asks by itself.
        return (await self._session.fetch("/ping", {}, Pong, occasion=object())).data

    async def get(self, path: str, params: Mapping[str, Param] | None = None) -> Any:
        """Get whatever has no method yet.

        Lists come page by page: ask again with the response's ``cursor`` while ``has_more`` is true.

        Args:
            path: The path below the base URL, such as ``/invoices``.
            params: The query; a parameter that is None is left out.

        Returns:
            The parsed JSON as it came, None for an empty body.

        Raises:
            ArgumentError: The path or a parameter cannot be right; nothing was sent.
            ChartMogulError: What the request met.
        """
        if not isinstance(path, str) or not re.fullmatch(PATH, path) or ".." in path:
            raise ArgumentError(
                f"path must be one below the base URL without a query, such as '/invoices', not {shown(path)}"
            )
        texts = {} if params is None else texts_of(params)
        return await self._session.fetch_json("/" + path.lstrip("/"), texts)


def connections_over(transport: httpx.AsyncBaseTransport | None, base_url: str) -> Sender:
    """Choose what sends the requests.

    Args:
        transport: What the user gave, if anything.
        base_url: Where the requests go.

    Returns:
        The user's transport, or connections of our own, of which none is opened yet.

    Raises:
        ArgumentError: ``transport`` is something else.
    """
    if transport is None:
        return connections_to(httpx.URL(base_url))
    return Borrowed(instance_of("transport", transport, httpx.AsyncBaseTransport))
