"""Lists, which the API gives page by page: ``await`` a list for its first page, ``async for`` it for every item.

A page is followed by the one that its cursor names; a server that sends no cursors, as the older API did, is asked for
the next page number. The last page has a cursor as well, so ``has_more`` decides whether there is another.
"""

import re
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

from attrs import field, frozen

from chartmogul_async.checks import encodable, instance_of, integer_between, short_enough, shown
from chartmogul_async.errors import ArgumentError, StateError
from chartmogul_async.transport.session import Session

T = TypeVar("T")

# Source: https://dev.chartmogul.com/docs/pagination
_MOST_PER_PAGE = 200
# Twenty million items: a list of more pages has no end.
_MOST_PAGES = 100_000
_UUID = "[A-Za-z0-9_-]{1,64}"


@frozen
class Page(Generic[T]):
    """One page of a list. It has a length, is iterated over and indexed as the tuple of its entries is.

    Attributes:
        entries: The items, in the order of the API.
        has_more: Whether there is another page.
        cursor: What ``list(cursor=…)`` takes to go on after this page; the last page has one, too.
    """

    __module__ = "chartmogul_async"

    entries: tuple[T, ...]
    has_more: bool = False
    cursor: str | None = None

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[T]:
        return iter(self.entries)

    def __getitem__(self, index: int) -> T:
        return self.entries[index]


@frozen(kw_only=True)
class Envelope(Generic[T]):
    """The response to a request for one page. Each list has a class with its items, under their root key."""

    entries: tuple[T, ...]
    has_more: bool | None = field(default=None, metadata={"key": "has_more"})
    cursor: str | None = None
    # Deprecated, and missing where a cursor was sent.
    current_page: int | None = field(default=None, metadata={"key": "current_page"})
    total_pages: int | None = field(default=None, metadata={"key": "total_pages"})

    @property
    def is_followed(self) -> bool:
        """Whether another page follows."""
        if self.has_more is not None:
            return self.has_more
        return (self.current_page or 0) < (self.total_pages or 0)


class Walk(Generic[T]):
    """Reads one page after the other. After an error the same page is read again.

    Args:
        session: Makes the requests.
        path: The path of the list.
        params: The query of its first page, which all pages repeat.
        into: The class of the responses.
    """

    def __init__(self, session: Session, path: str, params: Mapping[str, str], into: type[Envelope[T]]) -> None:
        self._session = session
        self._path = path
        self._params = dict(params)
        self._into = into
        self._last: Envelope[T] | None = None
        self._followed: set[tuple[str, str]] = set()

    async def page(self) -> Page[T] | None:
        """Read the next page.

        Returns:
            The page, None after the last one.

        Raises:
            DecodeError: There should be another page, but nothing leads to it, or the list has no end.
            ChartMogulError: What the request met.
        """
        params, marker = self._params, None
        if self._last is not None:
            if not self._last.is_followed:
                return None
            marker = self._marker_after(self._last)
            params = self._params | dict([marker])
        envelope = await self._session.fetch(self._path, params, self._into)
        if marker is not None:
            self._followed.add(marker)
        self._last = envelope
        return Page(envelope.entries, envelope.is_followed, envelope.cursor)

    def _marker_after(self, envelope: Envelope[T]) -> tuple[str, str]:
        """The parameter that asks for the page after this one."""
        marker = None
        if envelope.cursor:
            marker = "cursor", envelope.cursor
        elif envelope.current_page is not None:
            marker = "page", str(envelope.current_page + 1)
        if marker is None or marker in self._followed or marker == ("cursor", self._params.get("cursor")):
            raise self._session.mismatch(self._path, "$.cursor: has_more is true, but the cursor is missing or repeats")
        if not _can_be_sent(marker[1]):
            raise self._session.mismatch(self._path, "$.cursor: cannot be sent, since it is too long or not Unicode")
        if not envelope.entries:
            raise self._session.mismatch(self._path, "$.has_more: true, but the page is empty")
        if len(self._followed) >= _MOST_PAGES:
            raise self._session.mismatch(self._path, f"$.has_more: still true after {_MOST_PAGES} pages")
        return marker


def _can_be_sent(cursor: str) -> bool:
    try:
        short_enough({"cursor": encodable("cursor", cursor)})
    except ArgumentError:
        return False
    return True


class Pages(Generic[T]):
    """A list, which is fetched page by page: what ``client.plans.list()`` returns.

    ::

        first = await client.plans.list()          # the first page
        async for plan in client.plans.list():     # every item on every page
            ...

    Nothing is sent before. Each iteration begins with the first page, and reads the next one when it gets there.
    """

    __module__ = "chartmogul_async"

    def __init__(self, session: Session, path: str, params: Mapping[str, str], into: type[Envelope[T]]) -> None:
        self._session = session
        self._path = path
        self._params = params
        self._into = into

    async def first(self) -> Page[T]:
        """Fetch the first page; the same as to await the list.

        Returns:
            The page.

        Raises:
            ChartMogulError: What the request met.
            StateError: The client is closed, or belongs to another event loop.
        """
        page = await self._walk().page()
        assert page is not None
        return page

    def __await__(self) -> Generator[Any, Any, Page[T]]:
        return self.first().__await__()

    def __aiter__(self) -> AsyncIterator[T]:
        return _Items(self._walk())

    def _walk(self) -> Walk[T]:
        return Walk(self._session, self._path, self._params, self._into)

    def __repr__(self) -> str:
        return f"<Pages of {self._path}>"

    # A type checker that saw this would accept what it refuses.
    if not TYPE_CHECKING:

        def __iter__(self) -> NoReturn:
            raise StateError(
                'a list cannot be read by a plain "for": use "async for item in client.plans.list():", or '
                '"await client.plans.list()" for the first page'
            )


class _Items(Generic[T]):
    """The items of all pages. An async generator would be left open by ``break``."""

    def __init__(self, walk: Walk[T]) -> None:
        self._walk = walk
        self._left: Iterator[T] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while True:
            for item in self._left:
                return item
            page = await self._walk.page()
            if page is None:
                raise StopAsyncIteration
            self._left = iter(page)


def list_params(filters: Mapping[str, str | None], per_page: int | None, cursor: str | None) -> dict[str, str]:
    """Write the parameters of a list.

    Args:
        filters: What the items must have, by the name of the parameter; None is left out.
        per_page: How many items a page has.
        cursor: Where to go on.

    Returns:
        The parameters as the API spells them.

    Raises:
        ArgumentError: One of them cannot be right; the message names it.
    """
    texts = {name: text for name, text in {**filters, "cursor": cursor}.items() if text is not None}
    for name, text in texts.items():
        texts[name] = encodable(name, instance_of(name, text, str))
        if not text.strip():
            raise ArgumentError(f"{name} must not be blank: omit it for all")
    short_enough(texts)
    if per_page is not None:
        texts["per_page"] = str(integer_between("per_page", per_page, 1, _MOST_PER_PAGE))
    return texts


def checked_uuid(name: str, value: str, example: str) -> str:
    """Check that a value can be a UUID in a path.

    Args:
        name: The argument, as the caller wrote it.
        value: What was given.
        example: How one begins: ``"plg_…"``.

    Returns:
        The plain string.

    Raises:
        ArgumentError: ``plan_group must be a UUID such as 'plg_…', not 'a/b'``.
    """
    if not isinstance(value, str) or not re.fullmatch(_UUID, value):
        raise ArgumentError(f"{name} must be a UUID such as '{example}', not {shown(value)}")
    return str.__str__(value)
