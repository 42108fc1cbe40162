"""Which subscribers and subscriptions a request selects: ``geo``, ``plans`` and ``filters`` as one value.

Where the documentation leaves a case open, this module is tolerant. An unknown country or plan is not an error: it
selects nothing, and every figure is 0. Filters on plan and MRR are evaluated for each day as of that day, so the
figures of a date never depend on later events. MRR in a filter is in units of the account's currency, not in cents.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from attrs import Factory, field, frozen

from chartmogul_async.sandbox.company import names_of
from chartmogul_async.sandbox.records import COUNTRIES, RATES, PricingGroup, PricingPlan, Subscriber

_CLAUSE = re.compile(r"(?P<name>[\w.]+)~(?P<operator>[A-Z_]+)~(?P<values>.+)", re.DOTALL)
# An ~AND~ inside quotes belongs to a value: the rest of the text must have an even number of quotes.
_AND = re.compile(r"~AND~(?=(?:[^']*'[^']*')*[^']*$)")
_VALUE = re.compile(r"'([^']*)'|([^',]+)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
# Each condition is evaluated for every subscriber, while other requests wait.
_MAX_CONDITIONS = 100

# IS and IS_NOT accept null only, so their set of values is empty.
_SET_OPERATORS: Mapping[str, Callable[[frozenset[object], frozenset[object]], bool]] = {
    "ANY": lambda actual, values: not actual.isdisjoint(values),
    "ALL": frozenset.issuperset,
    "NONE": frozenset.isdisjoint,
    "IS": lambda actual, values: actual == values,
    "IS_NOT": lambda actual, values: actual != values,
}
_NUMBER_OPERATORS: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    "GT": operator.gt,
    "GTE": operator.ge,
    "LT": operator.lt,
    "LTE": operator.le,
}
_SYNONYMS = {"EQ": "ANY", "NOT_EQ": "NONE"}
_TEXT_OPERATORS = {"CONTAINS": "ANY", "NOT_CONTAINS": "NONE"}


class FilterError(ValueError):
    """A ``filters`` parameter that is not CFL, or uses CFL that the sandbox does not support."""


@frozen
class Clause:
    """One ``name~OPERATOR~values`` that a subscriber must match on a day. Values of ``mrr`` are cents."""

    name: str
    operator: str
    values: tuple[str, ...] | tuple[Decimal, ...]
    # Made once, since every subscriber is compared with it on every day of a change.
    _set: frozenset[object] = field(
        default=Factory(lambda self: frozenset(self.values), takes_self=True), init=False, eq=False, repr=False
    )

    def matches(self, subscriber: Subscriber, mrr_by_plan: Mapping[str, int]) -> bool:
        """Whether a subscriber with these subscriptions matches.

        Args:
            subscriber: The subscriber.
            mrr_by_plan: Cents by plan UUID on that day, none of them 0.
        """
        mrr = sum(mrr_by_plan.values())
        if self.operator == "BETWEEN":
            return Decimal(self.values[0]) <= mrr <= Decimal(self.values[1])
        if self.operator in _NUMBER_OPERATORS:
            return _NUMBER_OPERATORS[self.operator](Decimal(mrr), Decimal(self.values[0]))
        actual: Mapping[str, frozenset[object]] = {
            "region": frozenset({subscriber.country}),
            "currency": frozenset({subscriber.currency}),
            "plan": frozenset(mrr_by_plan),
            "mrr": frozenset({mrr}),
        }
        return _SET_OPERATORS[self.operator](actual[self.name], self._set)


@frozen
class Selection:
    """Which subscribers count, and which of their subscriptions.

    Attributes:
        countries: The countries of the subscribers; None is all.
        plans: The UUIDs of the plans; None is all.
        clauses: Further conditions, all of which a subscriber must match.
    """

    countries: frozenset[str] | None = None
    plans: frozenset[str] | None = None
    clauses: tuple[Clause, ...] = ()

    def includes(self, subscriber: Subscriber) -> bool:
        """Whether the subscriber's country is selected."""
        return self.countries is None or subscriber.country in self.countries

    def selected_mrr(self, subscriber: Subscriber, mrr_by_plan: Mapping[str, int]) -> Mapping[str, int]:
        """The selected part of a subscriber's MRR on a day.

        Args:
            subscriber: The subscriber.
            mrr_by_plan: Cents by plan UUID on that day, none of them 0.

        Returns:
            The selected part of ``mrr_by_plan``.
        """
        if self.clauses and not all(clause.matches(subscriber, mrr_by_plan) for clause in self.clauses):
            return {}
        if self.plans is None:
            return mrr_by_plan
        return {plan: mrr for plan, mrr in mrr_by_plan.items() if plan in self.plans}


def select(
    plans: Iterable[PricingPlan],
    groups: Iterable[PricingGroup] = (),
    *,
    geo: str = "",
    plan_names: str = "",
    filters: str = "",
) -> Selection:
    """Parse the three parameters of a request; an empty one selects everything.

    Args:
        plans: All plans of the company.
        groups: Its plan groups.
        geo: Comma-separated country codes in any case.
        plan_names: Comma-separated names, UUIDs with or without ``pl_`` and external ids; so a plan whose name
            contains a comma cannot be selected by its name.
        filters: CFL: conditions on ``plan``, ``plan_group``, ``region``, ``currency`` and ``mrr`` joined by ``~AND~``.
            ``plan~ANY~`` (and ``EQ``, ``CONTAINS``) and ``plan_group~ANY~`` restrict the subscriptions, everything else
            the subscribers; plans may be named as in ``plan_names``. A plan *and* a plan group count as plan *or* plan
            group, as they do in the real API.

    Returns:
        The selection; equal parameters written differently give equal selections.

    Raises:
        FilterError: The filters cannot be parsed, or have more than 100 conditions.
    """
    if filters.count("~AND~") >= _MAX_CONDITIONS:
        raise FilterError(f"A filter must have at most {_MAX_CONDITIONS} conditions")
    known = list(plans)
    countries = frozenset(code.strip().upper() for code in geo.split(",")) if geo else None
    chosen: dict[str, frozenset[str]] = {}
    clauses: list[Clause] = []
    for text in _AND.split(filters) if filters else []:
        clause = _parse_clause(text, known, list(groups))
        if clause.name in ("plan", "plan_group") and clause.operator == "ANY":
            uuids = frozenset(str(uuid) for uuid in clause.values)
            chosen[clause.name] = chosen.get(clause.name, uuids) & uuids
        else:
            clauses.append(clause)
    selected = frozenset[str]().union(*chosen.values()) if chosen else None
    if plan_names:
        named = _uuids(known, plan_names.split(","))
        selected = named if selected is None else named & selected
    return Selection(countries, selected, tuple(clauses))


def _uuids(plans: list[PricingPlan], names: Iterable[str]) -> frozenset[str]:
    wanted = {name.strip() for name in names}
    return frozenset(plan.uuid for plan in plans if not wanted.isdisjoint(names_of(plan)))


def _parse_clause(text: str, plans: list[PricingPlan], groups: list[PricingGroup]) -> Clause:
    parts = _CLAUSE.fullmatch(text)
    if parts is None:
        raise FilterError(f"Filter {text!r} is not of the form name~OPERATOR~value")
    name, word = parts["name"], parts["operator"]
    values = [quoted or bare for quoted, bare in _VALUE.findall(parts["values"])]
    if name == "mrr":
        return _number_clause(name, word, values)
    if name == "plan_group":
        return _group_clause(word, values, groups)
    texts = {
        "region": {code: code for code in COUNTRIES},
        "currency": {code: code for code in RATES},
        "plan": {plan.uuid: plan.name for plan in plans},
    }.get(name)
    if texts is None:
        raise FilterError(f"Filter {name!r} is not known here; known are plan, plan_group, region, currency and mrr")
    if word in _TEXT_OPERATORS:
        word = _TEXT_OPERATORS[word]
        values = [key for key, text in texts.items() if any(value in text for value in values)]
    elif name == "plan":
        # An unknown plan remains among the values, so that plan~ALL~ with it matches nobody.
        values = [uuid for value in values for uuid in _uuids(plans, [value]) or {value}]
    return _set_clause(name, word, tuple(values))


def _group_clause(word: str, names: list[str], groups: list[PricingGroup]) -> Clause:
    """A condition on plan groups, as one on all their plans."""
    plans = tuple(plan for group in groups if group.uuid in names for plan in group.plans)
    known = _SYNONYMS.get(word, word)
    if known not in ("ANY", "NONE"):
        raise FilterError(f"Operator {word!r} does not go with 'plan_group' here")
    return Clause("plan_group" if known == "ANY" else "plan", known, plans)


def _number_clause(name: str, word: str, values: list[str]) -> Clause:
    needed = 2 if word == "BETWEEN" else 1
    if word in ("IS", "IS_NOT"):
        return Clause(name, word, ())
    if len(values) < needed or not all(_NUMBER.fullmatch(value) for value in values):
        raise FilterError(f"{word!r} needs {needed} number(s), not {','.join(values)!r}")
    cents = tuple(Decimal(value) * 100 for value in values)
    return Clause(name, word, cents) if word in (*_NUMBER_OPERATORS, "BETWEEN") else _set_clause(name, word, cents)


def _set_clause(name: str, word: str, values: tuple[str, ...] | tuple[Decimal, ...]) -> Clause:
    known = _SYNONYMS.get(word, word)
    if known not in _SET_OPERATORS:
        raise FilterError(f"Operator {word!r} does not go with {name!r}")
    return Clause(name, known, () if known in ("IS", "IS_NOT") else values)
