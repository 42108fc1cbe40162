"""One page of a list, in the shape that all lists have in common."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from chartmogul_async.sandbox.response import Response, error_response, json_response

T = TypeVar("T")

# The default size of a page is also its maximum; a larger value is silently reduced.
_PAGE_SIZE = 200
# Digits of per_page and page; Python refuses to read very long integers.
_MAX_DIGITS = 9


def cursor(created_at: str, number: int) -> str:
    """A cursor as the API makes it, of the time and the number of the last item of a page."""
    return base64.b64encode(f"{created_at}&{number}".encode()).decode()


def page_of(
    items: Sequence[T],
    query: Mapping[str, str],
    *,
    root: str,
    cursor_of: Callable[[T], str],
    to_json: Callable[[T], Mapping[str, Any]],
    counts_pages: bool,
) -> Response:
    """Respond with one page of a list.

    A ``per_page`` that is not a positive number counts as 200, one of more than nine digits is refused, and so are such
    a ``page`` and a cursor that names no item of the list, as a damaged one does. The page numbers of the older API
    vanish once a cursor is sent, as they do in the real one.

    Args:
        items: The whole list in order.
        query: The parameters of the request, of which ``per_page``, ``cursor`` and ``page`` are read.
        root: The key of the items.
        cursor_of: Names an item, after which a page goes on.
        to_json: Writes an item.
        counts_pages: Whether the number of pages is given, where page numbers are.

    Returns:
        A 200 with the page; a 400 for a number that is too long, and for a cursor of no item. That the real API refuses
        such a cursor with this status, and in which words, is not known.
    """
    for name in ("per_page", "page"):
        if len(query.get(name, "")) > _MAX_DIGITS:
            return error_response(400, f'Parameter "{name}" is too long', name)
    size = min(_positive(query.get("per_page", "")) or _PAGE_SIZE, _PAGE_SIZE)
    number = _positive(query.get("page", "")) or 1
    after = query.get("cursor", "")
    cursors = [cursor_of(item) for item in items] if after else []
    if after and after not in cursors:
        return error_response(400, 'Parameter "cursor" is invalid', "cursor")
    start = cursors.index(after) + 1 if after else (number - 1) * size
    page = items[start : start + size]
    total = -(-len(items) // size) if counts_pages else None
    totals: dict[str, object] = {} if after else {"current_page": number, "total_pages": total}
    numbers: dict[str, object] = {} if after else {"per_page": size, "page": number}
    body = {
        root: [to_json(item) for item in page],
        **totals,
        "has_more": start + size < len(items),
        **numbers,
        "cursor": cursor_of(page[-1]) if page else None,
    }
    return json_response(body, entries=len(page))


def _positive(text: str) -> int:
    return int(text) if text.isdecimal() else 0
