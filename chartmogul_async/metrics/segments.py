"""Into which segments an account is divided: its plans, its plan groups, its countries, or filters of the program."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import attrs
from attrs import frozen

from chartmogul_async.cfl import Filter
from chartmogul_async.checks import shown
from chartmogul_async.countries import COUNTRIES
from chartmogul_async.errors import ArgumentError
from chartmogul_async.metrics.adding import Parts
from chartmogul_async.metrics.breakdown import DIMENSIONS, REMAINDER, TOTAL, By, Dimension
from chartmogul_async.metrics.query import MetricQuery
from chartmogul_async.metrics.records import E, S
from chartmogul_async.metrics.tasks import run_all
from chartmogul_async.resources.customers import Customers
from chartmogul_async.resources.plan_groups import PlanGroup, PlanGroups
from chartmogul_async.resources.plans import Plan, Plans
from chartmogul_async.transport.session import Session

ByArgument = Dimension | Mapping[str, str | Filter]

# A condition on one set of values, of filters of which each subscription has one value.
_DISJOINT = re.compile(r"(region|plan)~(?:ANY|EQ)~([^~]+)")
# A value that names one country or plan. Other texts may be other names of it.
_ONE = {
    "region": re.compile("'([a-z]{2})'"),
    "plan": re.compile("'?(pl_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'?"),
}
_PLAN, _PLAN_GROUP = re.compile("(^|~AND~)plan~"), re.compile("(^|~AND~)plan_group~")


@frozen
class Segment:
    """A part of an account.

    Attributes:
        name: Its name, which no other segment of the account has.
        narrowed: The arguments of its queries that differ from those of the whole.
    """

    name: str
    narrowed: Mapping[str, Any]

    def query(self, whole: MetricQuery[E, S]) -> MetricQuery[E, S]:
        """The query of the segment, of that of the whole."""
        return _narrowed(whole, **self.narrowed)


@frozen
class Division:
    """All segments of an account.

    Attributes:
        by: What it is divided by.
        parts: What the segments divide without overlap.
        segments: The segments.
    """

    by: By
    parts: Parts
    segments: tuple[Segment, ...]


def _narrowed(whole: MetricQuery[E, S], **arguments: Any) -> MetricQuery[E, S]:
    # mypy does not see that it is a class of attrs, since its signatures are written out.
    its: Any = whole
    narrowed: MetricQuery[E, S] = attrs.evolve(its, **arguments)
    return narrowed


def checked_by(by: ByArgument, whole: MetricQuery) -> ByArgument:
    """Check by what an account is to be divided, before anything is sent.

    Args:
        by: What was given.
        whole: The query of the whole.

    Returns:
        The same, with filters as strings.

    Raises:
        ArgumentError: It cannot be right; the message names what would be.
    """
    if isinstance(by, Mapping):
        if not by:
            raise ArgumentError("by must not be an empty mapping: name a filter for each segment")
        return {_segment_name(name): _segment_filter(name, text, whole) for name, text in by.items()}
    if not isinstance(by, str) or by not in DIMENSIONS:
        raise ArgumentError(
            'by must be "plan", "plan_group", "country" or a mapping of names to filters such as '
            f"{{'Europe': \"region~ANY~'DE','FR'\"}}, not {shown(by)}"
        )
    if by == "plan" and {TOTAL, REMAINDER} & set(whole.plans or ()):
        raise ArgumentError(f"plans must not contain {TOTAL!r} or {REMAINDER!r}: pass the UUID of such a plan")
    if by == "plan_group" and whole.plans is not None:
        raise ArgumentError('plans must be omitted with by="plan_group", whose segments are plans of the group')
    return by


def _segment_name(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or name in (TOTAL, REMAINDER):
        raise ArgumentError(
            f"by must have names of segments that are neither blank nor {TOTAL!r} or {REMAINDER!r}, not {shown(name)}"
        )
    return str.__str__(name)


def _segment_filter(name: str, text: str | Filter, whole: MetricQuery) -> str:
    try:
        its = _narrowed(whole, filters=text).filters
    except ArgumentError as error:
        raise ArgumentError(f"by[{shown(name)}]: {error}") from None
    if its is None:
        raise ArgumentError(f"by[{shown(name)}] must be a filter, not None: the whole is in the total")
    for one, other in ((_PLAN, _PLAN_GROUP), (_PLAN_GROUP, _PLAN)):
        if whole.filters is not None and one.search(whole.filters) and other.search(its):
            raise ArgumentError(
                f"by[{shown(name)}] must not be joined with filters={shown(whole.filters)}: the API takes a plan and a "
                "plan group for plan or plan group"
            )
    # Both together may be too long for a URL.
    _narrowed(whole, filters=_joined(whole, its))
    return its


def _joined(whole: MetricQuery, its: str) -> str:
    return its if whole.filters is None else f"{whole.filters}~AND~{its}"


async def divided(session: Session, by: ByArgument, whole: MetricQuery) -> Division:
    """Find the segments of an account.

    Args:
        session: Makes the requests for its plans, plan groups or customers.
        by: What it is divided by, as ``checked_by`` returned it.
        whole: The query of the whole, whose ``plans`` and ``geo`` name the segments where they are given.

    Returns:
        The segments.

    Raises:
        ChartMogulError: What a request met.
    """
    if isinstance(by, Mapping):
        filters = {name: str(text) for name, text in by.items()}
        segments = tuple(Segment(name, {"filters": _joined(whole, its)}) for name, its in filters.items())
        return Division("filter", _parts_of(list(filters.values())), segments)
    if by == "plan":
        given = [[plan] for plan in dict.fromkeys(whole.plans or ())]
        return Division(by, _parts_by("plan", given), await _plans(session, whole))
    if by == "plan_group":
        return await _plan_groups(session)
    return Division(by, "customers", await _countries(session, whole))


def _parts_of(filters: list[str]) -> Parts:
    """What filters divide: only of single conditions on countries, or on plans by UUID, it is known."""
    conditions = [_DISJOINT.fullmatch(text) for text in filters]
    names = {condition[1] for condition in conditions if condition}
    if None in conditions or len(names) != 1:
        return "overlapping"
    return _parts_by(names.pop(), [condition[2].split(",") for condition in conditions if condition])


def _parts_by(name: str, segments: Iterable[Iterable[str]]) -> Parts:
    """What the values of segments divide: each must name one country or plan, and no other segment may have it."""
    values = [value for segment in segments for value in {_one(name, text) for text in segment}]
    if None in values or len(set(values)) != len(values):
        return "overlapping"
    return "customers" if name == "region" else "subscriptions"


def _one(name: str, text: str) -> str | None:
    match = _ONE[name].fullmatch(text.strip().lower())
    return match[1] if match else None


async def _plans(session: Session, whole: MetricQuery) -> tuple[Segment, ...]:
    if whole.plans is not None:
        return tuple(Segment(plan, {"plans": (plan,)}) for plan in dict.fromkeys(whole.plans))
    plans = [plan async for plan in Plans(session).list()]
    return tuple(Segment(name, {"plans": (plan.uuid,)}) for name, plan in _named(plans))


async def _plan_groups(session: Session) -> Division:
    groups = [group async for group in PlanGroups(session).list()]
    calls = [partial(_plans_of, session, group) for group in groups]
    plans_of = dict(await run_all(calls, session.throttle.parallel))
    # An empty group has no query: without plans it would be that of the whole.
    segments = tuple(
        Segment(name, {"plans": plans_of[group.uuid]}) for name, group in _named(groups) if plans_of[group.uuid]
    )
    plans = [plan for plans in plans_of.values() for plan in plans]
    return Division("plan_group", "subscriptions" if len(set(plans)) == len(plans) else "overlapping", segments)


async def _plans_of(session: Session, group: PlanGroup) -> tuple[str, tuple[str, ...]]:
    try:
        plans = PlanGroups(session).plans(group.uuid)
    except ArgumentError:
        raise session.mismatch("/plan_groups", "$: an item cannot be asked for: its UUID is malformed") from None
    return group.uuid, tuple([plan.uuid async for plan in plans])


async def _countries(session: Session, whole: MetricQuery) -> tuple[Segment, ...]:
    if whole.geo is not None:
        found = tuple(dict.fromkeys(whole.geo))
    else:
        # A lead never paid, so it is in no metric.
        codes = {
            customer.country.upper()
            async for customer in Customers(session).list()
            if customer.country is not None and customer.customer_since is not None
        }
        found = tuple(sorted(codes & COUNTRIES))
    return tuple(Segment(code, {"geo": (code,)}) for code in found)


def _named(items: list[Plan] | list[PlanGroup]) -> list[tuple[str, Any]]:
    """Each item by its name, with its UUID where the name would be ambiguous, also as that of another with its UUID."""
    names = Counter([*(item.name for item in items), *map(_full_name, items), TOTAL, REMAINDER])
    return [(item.name if item.name and names[item.name] == 1 else _full_name(item), item) for item in items]


def _full_name(item: Plan | PlanGroup) -> str:
    return f"{item.name} ({item.uuid})" if item.name else item.uuid
