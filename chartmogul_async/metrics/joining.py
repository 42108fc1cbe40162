"""The responses to the slices of a range, joined as if they were one.

Slices fit if each of them continues what was joined before: where it asked for the last of those entries, its *overlap*
must be that entry. An entry whose date lies outside the slice's own days is dropped.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import attrs

from chartmogul_async.intervals import Slice
from chartmogul_async.metrics.records import MetricResponse

# Entries of any of the nine classes.
Entries = tuple[Any, ...]


def joined(parts: Sequence[Slice], responses: Sequence[MetricResponse[Any, Any]]) -> Entries | None:
    """Join the entries of all slices.

    Args:
        parts: The slices in order.
        responses: The response to each of them.

    Returns:
        The entries, or None if the slices do not fit together or the dates do not strictly ascend.
    """
    entries: Entries = ()
    pieces: list[Entries] = []
    for part, response in zip(parts, responses, strict=True):
        overlap, own = _divided(part, response.entries)
        if not _fits(part, entries, overlap, own):
            return None
        # Only the last entry so far is compared, and an empty slice has none.
        entries = own or entries
        pieces.append(own)
    whole = tuple(entry for piece in pieces for entry in piece)
    return whole if all(one.date < other.date for one, other in pairwise(whole)) else None


def have_one_summary(responses: Sequence[MetricResponse[Any, Any]]) -> bool:
    """Whether all responses have the same summary.

    Args:
        responses: The responses.

    Returns:
        Whether they do.
    """
    return all(response.summary == responses[0].summary for response in responses)


def _divided(part: Slice, entries: Entries) -> tuple[Entries, Entries]:
    """The last entry before the slice's own days, if there is one, and the entries of these days."""
    # At the ends of the range nothing can be dropped, whatever date the server gives to a part of an interval.
    first = part.own_start if part.start < part.own_start else part.own_start.min
    last = part.own_end if part.own_end < part.end else part.own_end.max
    before = tuple(entry for entry in entries if entry.date < first)
    return before[-1:], tuple(entry for entry in entries if first <= entry.date <= last)


def _fits(part: Slice, entries: Entries, overlap: Entries, own: Entries) -> bool:
    """Whether a slice continues the entries so far."""
    expected = tuple(entry for entry in entries[-1:] if entry.date >= part.start)
    if not expected and not overlap:
        # The first own entry would be without its predecessor.
        return not entries or not own
    return list(map(_without_changes, expected)) == list(map(_without_changes, overlap))


def _without_changes(entry: Any) -> dict[str, Any]:
    """An entry without the fields that depend on its place in the response."""
    return attrs.asdict(entry, filter=lambda field, _: not field.name.endswith("percentage_change"))
