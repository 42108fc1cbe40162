"""Whom a request asks about: ``geo``, ``plans`` and ``filters`` made into one value that customers can be
held against.

What the documentation leaves open is decided here, and tolerantly. A country or a plan that nobody has is no
error: it selects nothing, and every figure is 0. Filters on plan and MRR are answered for each day as of that
day, so that the figures of a date never depend on what came later; MRR is meant in units of the account's
currency, not in cents.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from attrs import frozen

from chartmogul_async.sandbox.company import names_of
from chartmogul_async.sandbox.records import COUNTRIES, RATES, Customer, Plan

_CLAUSE = re.compile(r"(?P<name>[\w.]+)~(?P<operator>[A-Z_]+)~(?P<values>.+)", re.DOTALL)
_AND = re.compile(r"~AND~(?=(?:[^']*'[^']*')*[^']*$)")  # but not one inside quotes
_VALUE = re.compile(r"'([^']*)'|([^',]+)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")

_SETS: Mapping[str, Callable[[frozenset[object], frozenset[object]], bool]] = {
    "ANY": lambda have, asked: not have.isdisjoint(asked),
    "ALL": frozenset.issuperset,
    "NONE": frozenset.isdisjoint,
    "IS": lambda have, asked: have == asked,  # the only value for these two is null, so nothing is asked
    "IS_NOT": lambda have, asked: have != asked,
}
_NUMBERS: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    "GT": operator.gt,
    "GTE": operator.ge,
    "LT": operator.lt,
    "LTE": operator.le,
}
_SAME = {"EQ": "ANY", "NOT_EQ": "NONE"}
_TEXT = {"CONTAINS": "ANY", "NOT_CONTAINS": "NONE"}


class FilterError(ValueError):
    """A ``filters`` string that is not CFL, or is CFL that the sandbox does not know."""


@frozen
class Clause:
    """One ``name~OPERATOR~values`` that a customer must meet on a day. Values of ``mrr`` are cents."""

    name: str
    operator: str
    values: tuple[str, ...] | tuple[Decimal, ...]

    def holds(self, customer: Customer, worth: Mapping[str, int]) -> bool:
        """Say whether it is met by a customer whose plans are worth ``worth`` (cents by plan UUID, none of
        them 0).
        """
        mrr = sum(worth.values())
        if self.operator == "BETWEEN":
            return Decimal(self.values[0]) <= mrr <= Decimal(self.values[1])
        if self.operator in _NUMBERS:
            return _NUMBERS[self.operator](Decimal(mrr), Decimal(self.values[0]))
        have: Mapping[str, frozenset[object]] = {
            "region": frozenset({customer.country}),
            "currency": frozenset({customer.currency}),
            "plan": frozenset(worth),
            "mrr": frozenset({mrr}),
        }
        return _SETS[self.operator](have[self.name], frozenset(self.values))


@frozen
class Selection:
    """Which customers count (``countries``, ``clauses``) and which of their subscriptions (``plans``,
    UUIDs); None is all.
    """

    countries: frozenset[str] | None = None
    plans: frozenset[str] | None = None
    clauses: tuple[Clause, ...] = ()

    def wants(self, customer: Customer) -> bool:
        """Say whether the customer's country counts at all."""
        return self.countries is None or customer.country in self.countries

    def counted(self, customer: Customer, worth: Mapping[str, int]) -> Mapping[str, int]:
        """Give the part of ``worth`` (cents by plan UUID, none of them 0) that counts."""
        if self.clauses and not all(clause.holds(customer, worth) for clause in self.clauses):
            return {}
        if self.plans is None:
            return worth
        return {plan: mrr for plan, mrr in worth.items() if plan in self.plans}


def select(plans: Iterable[Plan], *, geo: str = "", plan_names: str = "", filters: str = "") -> Selection:
    """Read the three parameters as a request sends them; an empty one selects everything.

    ``geo`` is a comma list of country codes in any case; ``plan_names`` a comma list of names, UUIDs with or
    without ``pl_`` and external ids, so a name with a comma inside cannot be reached by its name. ``filters``
    is CFL: ``plan``, ``region``, ``currency`` and ``mrr`` joined by ``~AND~``. ``plan~ANY~`` (and ``EQ``,
    ``CONTAINS``) restricts the subscriptions counted, everything else the customers; plans may be named there
    as in ``plan_names``.

    Raises ``FilterError`` for CFL it cannot read.
    """
    known = list(plans)
    countries = frozenset(code.strip().upper() for code in geo.split(",")) if geo else None
    counted = _uuids(known, plan_names.split(",")) if plan_names else None
    clauses: list[Clause] = []
    for text in _AND.split(filters) if filters else []:
        clause = _clause(text, known)
        if clause.name == "plan" and clause.operator == "ANY":
            asked = frozenset(str(uuid) for uuid in clause.values)
            counted = asked if counted is None else counted & asked
        else:
            clauses.append(clause)
    return Selection(countries, counted, tuple(clauses))


def _uuids(plans: list[Plan], names: Iterable[str]) -> frozenset[str]:
    wanted = {name.strip() for name in names}
    return frozenset(plan.uuid for plan in plans if not wanted.isdisjoint(names_of(plan)))


def _clause(text: str, plans: list[Plan]) -> Clause:
    parts = _CLAUSE.fullmatch(text)
    if parts is None:
        raise FilterError(f"Filter {text!r} is not of the form name~OPERATOR~value")
    name, word = parts["name"], parts["operator"]
    values = [quoted or bare for quoted, bare in _VALUE.findall(parts["values"])]
    if name == "mrr":
        return _number_clause(name, word, values)
    texts = {
        "region": {code: code for code in COUNTRIES},
        "currency": {code: code for code in RATES},
        "plan": {plan.uuid: plan.name for plan in plans},
    }.get(name)
    if texts is None:
        raise FilterError(f"Filter {name!r} is not known to the sandbox; it knows plan, region, currency and mrr")
    if word in _TEXT:
        word = _TEXT[word]
        values = [key for key, text in texts.items() if any(value in text for value in values)]
    elif name == "plan":
        # A plan that does not exist keeps its place, for nobody has all of them.
        values = [uuid for value in values for uuid in _uuids(plans, [value]) or {value}]
    return _set_clause(name, word, tuple(values))


def _number_clause(name: str, word: str, values: list[str]) -> Clause:
    needed = 2 if word == "BETWEEN" else 1
    if word in ("IS", "IS_NOT"):
        return Clause(name, word, ())
    if len(values) < needed or not all(_NUMBER.fullmatch(value) for value in values):
        raise FilterError(f"{word!r} needs {needed} number(s), not {','.join(values)!r}")
    cents = tuple(Decimal(value) * 100 for value in values)
    return Clause(name, word, cents) if word in (*_NUMBERS, "BETWEEN") else _set_clause(name, word, cents)


def _set_clause(name: str, word: str, values: tuple[str, ...] | tuple[Decimal, ...]) -> Clause:
    known = _SAME.get(word, word)
    if known not in _SETS:
        raise FilterError(f"Operator {word!r} does not go with {name!r}")
    return Clause(name, known, () if known in ("IS", "IS_NOT") else values)
