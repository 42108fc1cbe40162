"""Lists, which are fetched page by page, in a plain ``for``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from inspect import signature
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, get_args

from chartmogul_async import AsyncClient, Page
from chartmogul_async import Pages as AsyncPages
from chartmogul_async.blocking.calls import Blocking, Calls
from chartmogul_async.blocking.docstrings import docstring_of
from chartmogul_async.resources.pages import Walk

A = TypeVar("A")
P = ParamSpec("P")
T = TypeVar("T")

_RETURNS = """
The list, of which ``first()`` is the first page, and a plain ``for`` gives every item on every page. What requests meet
is raised there.
"""


class Pages(Generic[T]):
    """A list, which is fetched page by page: what ``client.plans.list()`` returns.

    ::

        first = client.plans.list().first()   # the first page
        for plan in client.plans.list():      # every item on every page
            ...

    Nothing is sent before. Each iteration begins with the first page, and reads the next one when it gets there.
    """

    __module__ = "chartmogul_async.blocking"

    def __init__(self, calls: Calls, find: Callable[[AsyncClient], AsyncPages[T]]) -> None:
        self._calls = calls
        self._find = find

    def first(self) -> Page[T]:
        """Fetch the first page.

        Returns:
            The page.

        Raises:
            ChartMogulError: What the request met.
            StateError: The client is closed.
        """
        return self._calls.wait(lambda client: self._find(client).first())

    def __iter__(self) -> Iterator[T]:
        walk: Walk[T] | None = None

        async def read(client: AsyncClient) -> tuple[Walk[T], Page[T] | None]:
            its = self._find(client)._walk() if walk is None else walk  # noqa: SLF001 - what the async list does
            return its, await its.page()

        while True:
            walk, page = self._calls.wait(read)
            if page is None:
                return
            yield from page


def listing(
    method: Callable[Concatenate[A, P], AsyncPages[T]],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Blocking[A], P], Pages[T]]]:
    """Make a method that gives a blocking list of one that gives an async list.

    Args:
        method: The async method, which sends nothing.

    Returns:
        A decorator for a method without a body, of which only the place counts.
    """
    make: Callable[..., AsyncPages[T]] = method

    @wraps(method)
    def call(self: Blocking[A], /, *args: P.args, **kwargs: P.kwargs) -> Pages[T]:
        def find(client: AsyncClient) -> AsyncPages[T]:
            return make(self._find(client), *args, **kwargs)

        async def check(client: AsyncClient) -> None:
            find(client)

        # Wrong arguments are refused here, not when the first page is asked for.
        self._calls.wait(check)
        return Pages(self._calls, find)

    call.__doc__ = docstring_of(method, _RETURNS)
    its = signature(method)
    (item,) = get_args(its.return_annotation)
    its_list: Any = Pages
    call.__signature__ = its.replace(return_annotation=its_list[item])  # type: ignore[attr-defined]  # functions have it
    return lambda _: call
