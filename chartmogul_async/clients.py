"""Clients of any number of accounts over one set of connections."""

from types import TracebackType
from typing import Self

import httpx
from attrs import frozen

from chartmogul_async.arguments import (
    TIMEOUT,
    checked_hook,
    checked_key,
    checked_retry,
    checked_timeout,
    chosen_base_url,
)
from chartmogul_async.checks import positive_integer
from chartmogul_async.client import AsyncClient, ClientStatistics, connections_over
from chartmogul_async.errors import ArgumentError, StateError
from chartmogul_async.events import OnEvent
from chartmogul_async.metrics.slices import RangeMemory
from chartmogul_async.transport.cap import Cap
from chartmogul_async.transport.exchanges import Endpoint, Exchanges, account_of
from chartmogul_async.transport.options import Options
from chartmogul_async.transport.retry import RetryPolicy
from chartmogul_async.transport.reuse import Reuse
from chartmogul_async.transport.session import Session
from chartmogul_async.transport.store import Store, store_like
from chartmogul_async.transport.throttle import Throttle

# Accounts that were in use a moment ago: each takes some kilobytes, and with a store a file or a connection.
_MOST_AWAKE = 1000
_MOST_OPEN = 100


@frozen
class ClientsStatistics:
    """All accounts of an ``AsyncClients`` at one moment.

    Attributes:
        accounts: Accounts for which there was a client.
        in_flight: Requests that are in flight now.
        waiting: Accounts whose next request waits for others to end, and for nothing else.
        requests: What calls had in common, over all accounts.
    """

    __module__ = "chartmogul_async"

    accounts: int
    in_flight: int
    waiting: int
    requests: ClientStatistics


class AsyncClients:
    """Reads any number of ChartMogul accounts.

    ::

        async with AsyncClients() as clients:
            mrr = await clients.for_account("api-key").metrics.mrr("2023-07-01", "2023-08-31")

    All accounts share connections and a bound of what is in flight at once, and each has its own throttle: what one
    meets, a wrong key, refusals or a server that does not respond, is its own matter. An account that is not in use
    takes less than 2 kB.

    Like ``AsyncClient`` it is for one event loop and any number of tasks, and owns sockets but no tasks.

    Args:
        max_in_flight: Requests of all accounts that may be in flight at once, each over a socket of its own. Those
            that wait take turns by account. One account may have as many as are left free beside it: half of them
            if it is alone.
        base_url: Where the API is, as for ``AsyncClient``.
        timeout: As for ``AsyncClient``.
        retry: How often and how long to try.
        store: Where the limits of the accounts live, if several processes use their keys: ``FileStore()`` or
            ``RedisStore(url)``. ``max_in_flight`` is of this process all the same.
        transport: What sends in place of the own connections.
        on_event: A function called with each event. ``with_options(on_event=…)`` of an account's client tells
            accounts apart.

    Raises:
        ArgumentError: An argument cannot be right.
    """

    __module__ = "chartmogul_async"

    def __init__(
        self,
        *,
        max_in_flight: int = 200,
        base_url: str | None = None,
        timeout: float | httpx.Timeout = TIMEOUT,
        retry: RetryPolicy = RetryPolicy(),
        store: Store | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        most_awake = _MOST_AWAKE if store is None else _MOST_OPEN
        self._cap = Cap(positive_integer("max_in_flight", max_in_flight), most_awake)
        url = chosen_base_url(base_url)
        self._endpoint = Endpoint(url, connections_over(transport, url), "AsyncClients")
        hook = checked_hook("on_event", "event", on_event)
        self._options = Options(checked_timeout(timeout).as_dict(), checked_retry(retry), on_event=hook)
        self._store = None if store is None else store_like(store)
        self._reuse = Reuse()
        # By what the accounts are known where their keys must not be.
        self._accounts: dict[str, _AccountClient] = {}
        self._was_entered = False

    def for_account(self, api_key: str) -> AsyncClient:
        """Give the client of one account, always the same one for a key.

        It works until all of these clients are closed; to close it alone does nothing.

        Args:
            api_key: The account's API key.

        Returns:
            The client.

        Raises:
            ArgumentError: The key cannot be right. A key that only ChartMogul knows to be wrong fails in calls.
        """
        # An array has no truth value.
        if api_key is None or (isinstance(api_key, str) and not api_key):
            raise ArgumentError("api_key must be the API key of an account, and is empty")
        key = checked_key(api_key)
        name = account_of(self._endpoint.base_url, key)
        client = self._accounts.get(name)
        if client is None:
            throttle = Throttle(store=self._store)._share_slots(self._cap)
            exchanges = Exchanges(self._endpoint, key, name, throttle)
            client = self._accounts[name] = _AccountClient(Session(exchanges, self._options, self._reuse))
        return client

    def statistics(self) -> ClientsStatistics:
        """Report what is in flight, and what calls had in common.

        Returns:
            The figures of this moment. Those of one account are its client's ``statistics()`` and
            ``throttle.statistics()``.
        """
        cap, counts = self._cap, [client._session.counts for client in self._accounts.values()]
        requests = ClientStatistics(
            exchanges=sum(each.made for each in counts),
            shared=sum(each.shared for each in counts),
            reused=sum(each.reused for each in counts),
            kept=self._reuse.kept,
            kept_bytes=self._reuse.kept_bytes,
        )
        return ClientsStatistics(len(counts), cap.max_in_flight - cap.free, cap.waiting, requests)

    def __repr__(self) -> str:
        # A debugger also shows one whose __init__ raised.
        return f"AsyncClients(accounts={len(getattr(self, '_accounts', ()))})"

    async def __aenter__(self) -> Self:
        if self._was_entered:
            raise StateError("these clients were entered before; make a new AsyncClients for each `async with`")
        self._endpoint.check_usable()
        self._was_entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, after which no client of any account works. Closing twice does nothing.

        Raises:
            StateError: This is another event loop than that of the calls. Unless that one is closed, nothing is.
        """
        self._endpoint.check_closable()
        self._reuse.clear()
        for client in self._accounts.values():
            client._session.detach()
        await self._endpoint.aclose()


class _AccountClient(AsyncClient):
    """The client of one account among others, whose connections it has."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._memory = RangeMemory()

    async def __aenter__(self) -> Self:
        self._session.check_usable()
        return self

    async def aclose(self) -> None:
        """Do nothing: the connections are those of the ``AsyncClients``, which closes them."""
