"""The blocking client: its lifecycle, and the names of what can be read."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from types import TracebackType
from typing import Any, Self

from chartmogul_async import AsyncClient, ClientStatistics
from chartmogul_async.blocking.calls import Blocking, Calls, blocking, with_arguments_of, with_signature_of
from chartmogul_async.blocking.resources import Customers, Metrics, PlanGroups, Plans, Throttle


class Client(Blocking[AsyncClient]):
    """Reads one ChartMogul account, in programs without ``await``.

    ::

        with Client("api-key") as client:
            mrr = client.metrics.mrr("2023-07-01", "2023-08-31")

    It takes the arguments of ``AsyncClient``, and has its methods with the same arguments, results and errors. Make
    one client and keep it: any number of threads may use it at once, also where an event loop runs, and all its calls
    share connections and limits. It is closed by ``close()``, by ``with`` or at the exit of the interpreter.

    All blocking clients of a process share one event loop, in a thread that starts with the first call and ends with
    the last close. ``on_event`` is called in that thread, where it must neither wait nor call a client. A client that
    a process inherits by ``fork`` goes on there with an event loop and connections of its own; of the limits each
    process knows only what it does itself. What a signal raises, such as Ctrl-C, cancels the call of the main thread.

    Raises:
        ArgumentError: An argument cannot be right.
    """

    __module__ = "chartmogul_async.blocking"

    @with_arguments_of(AsyncClient)
    def __init__(self, *args: Any, **options: Any) -> None:
        def make() -> AsyncClient:
            return AsyncClient(*args, **options)

        client = make()
        # The throttle outlives the client, which a forked child makes anew.
        options["throttle"] = client.throttle
        self._show(Calls(client, make), lambda client: client, client)

    def _show(self, calls: Calls, find: Callable[[AsyncClient], AsyncClient], example: AsyncClient) -> None:
        """Be a view of a client, which is found by a function, and look like an example of it."""
        super().__init__(calls, find)
        self._example = example
        self._throttle = example.throttle
        self._shown = repr(example).replace("AsyncClient", "blocking.Client")

    @with_signature_of(AsyncClient.with_options)
    def with_options(self, **options: Any) -> Client:
        example = self._example.with_options(**options)
        view = object.__new__(type(self))
        # Its parts are made anew, since they find those of this client.
        made = {name for name in vars(self) if isinstance(getattr(type(self), name, None), cached_property)}
        vars(view).update((name, value) for name, value in vars(self).items() if name not in made)
        view._show(self._calls, lambda client: self._find(client).with_options(**options), example)
        return view

    @cached_property
    def metrics(self) -> Metrics:
        """The nine metrics."""
        return Metrics(self._calls, self._find, self._throttle)

    @cached_property
    def customers(self) -> Customers:
        """List the customers, or find some by e-mail address."""
        return Customers(self._calls, self._find)

    @cached_property
    def plans(self) -> Plans:
        """List the plans."""
        return Plans(self._calls, self._find)

    @cached_property
    def plan_groups(self) -> PlanGroups:
        """List the plan groups, and the plans of each."""
        return PlanGroups(self._calls, self._find)

    @cached_property
    def throttle(self) -> Throttle:
        """The throttle, with its ``statistics()`` and its ``resize()``, for any thread.

        Clients of one account share limits if each is given the same ``chartmogul_async.Throttle``.
        """
        return Throttle(self._throttle)

    @blocking(AsyncClient.account)
    def account(self) -> None: ...

    @blocking(AsyncClient.ping)
    def ping(self) -> None: ...

    @blocking(AsyncClient.get)
    def get(self) -> None: ...

    @with_signature_of(AsyncClient.statistics)
    def statistics(self) -> ClientStatistics:
        async def read(client: AsyncClient) -> ClientStatistics:
            return client.statistics()

        return self._calls.wait(read)

    def __repr__(self) -> str:
        # A debugger also shows a client whose __init__ raised.
        return getattr(self, "_shown", "blocking.Client()")

    def __enter__(self) -> Self:
        self._calls.check_usable()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Calls of other threads end with ``StateError``. Closing twice does nothing.

        Raises:
            StateError: It is called by ``on_event``.
        """
        self._calls.close()
