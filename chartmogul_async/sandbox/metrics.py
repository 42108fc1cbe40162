"""The nine metrics' endpoints: a request's parameters in, the JSON of entries and summary out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date

from chartmogul_async.sandbox.company import Company
from chartmogul_async.sandbox.figures import KEYS, Figures, Number, change
from chartmogul_async.sandbox.ledger import Ledger, Life
from chartmogul_async.sandbox.periods import INTERVALS, Interval, Period, periods
from chartmogul_async.sandbox.reply import Reply, answer, refuse
from chartmogul_async.sandbox.selection import FilterError, Selection, select

ENDPOINTS = ("all", "mrr", "arr", "arpa", "asp", "customer-count", "customer-churn-rate", "mrr-churn-rate", "ltv")

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})([T ].*)?")  # a time after the date is known to be let pass
_BYTES = 50_000_000  # of remembered answers: a night of long pulls, and no more of the memory than that
_SELECTIONS = 256  # whose figures are remembered: more than there are plans times countries

Entry = dict[str, str | Number]
Columns = dict[str, Sequence[str | Number]]


class _BadParameterError(Exception):
    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class Metrics:
    """Answers requests for metrics, and remembers figures and answers until something is booked."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self._version = -1
        self._lives: list[Life] = []
        self._figures: dict[Selection, Figures] = {}
        self._answers: dict[tuple[object, ...], Reply] = {}
        self._bytes = 0

    def answer(self, endpoint: str, query: Mapping[str, str]) -> Reply:
        """Answer one of ``ENDPOINTS``. An empty parameter counts as missing.

        Errors: 400 naming the parameter for a date or interval that is missing or makes no sense, for a start
        after the end and for CFL that cannot be read; 404 for an interval the endpoint does not have (average
        sale price by day or week, as in the recordings of 2016).
        """
        try:
            start, end = _range(query)
            interval = _interval(endpoint, query)
            selection = _selection(self.company, query)
        except _BadParameterError as error:
            return refuse(400, str(error), error.param)
        if endpoint == "asp" and interval in ("day", "week"):
            return refuse(404, f"Metric asp is not available by {interval}", "interval")
        return self._remembered(endpoint, start, end, interval, selection)

    def _remembered(self, endpoint: str, start: date, end: date, interval: Interval, selection: Selection) -> Reply:
        state = self.company.state
        if state.version != self._version:
            self._version, self._figures, self._answers, self._bytes = state.version, {}, {}, 0
            self._lives = [Life.of(customer) for customer in state.customers]
        asked = (endpoint, start, end, interval, selection)
        if asked not in self._answers:
            if self._bytes > _BYTES:
                self._bytes, self._answers = 0, {}
            company = self.company
            spans = list(periods(start, end, interval, company.profile.week_start_on))
            reply = _body(endpoint, self._figures_of(selection), spans, interval, company.today)
            self._answers[asked] = reply
            self._bytes += len(reply.body)
        return self._answers[asked]

    def _figures_of(self, selection: Selection) -> Figures:
        if selection not in self._figures:
            if len(self._figures) >= _SELECTIONS:
                self._figures = {}
            company = self.company
            ledger = Ledger.of(self._lives, company.plans, selection, company.founded, company.today)
            self._figures[selection] = Figures(ledger)
        return self._figures[selection]


def _body(endpoint: str, figures: Figures, spans: Sequence[Period], interval: Interval, today: date) -> Reply:
    key = "customers" if endpoint == "customer-count" else endpoint
    if endpoint == "all":
        entries = _all_entries(figures, spans, interval)
        summary = _all_summary(figures, today)
    else:
        entries = _entries(key, figures, spans, interval)
        current, previous = figures.now_and_before(key, today)
        summary = {"current": current, "previous": previous, "percentage-change": change(previous, current)}
    return answer({"entries": entries, "summary": summary}, entries=len(entries))


def _entries(key: str, figures: Figures, spans: Sequence[Period], interval: Interval) -> list[Entry]:
    columns = {"date": _dates(spans), **_columns(key, "percentage-change", figures, spans, interval)}
    if key == "mrr":
        flows = [figures.flows(span) for span in spans]
        columns["mrr-new-business"] = [flow.new_business for flow in flows]
        columns["mrr-expansion"] = [flow.expansion for flow in flows]
        columns["mrr-contraction"] = [flow.contraction for flow in flows]
        columns["mrr-churn"] = [flow.churn for flow in flows]
        columns["mrr-reactivation"] = [flow.reactivation for flow in flows]
    return _rows(columns)


def _all_entries(figures: Figures, spans: Sequence[Period], interval: Interval) -> list[Entry]:
    columns = {"date": _dates(spans)}
    for key in KEYS:
        columns |= _columns(key, f"{key}-percentage-change", figures, spans, interval)
    return _rows(columns)


# Entries are worked out by columns: ten years of days have 60,000 figures.
def _columns(key: str, its_change: str, figures: Figures, spans: Sequence[Period], interval: Interval) -> Columns:
    values = figures.of(key, spans, interval)
    return {key: values, its_change: [0.0, *map(change, values, values[1:])]}


def _dates(spans: Sequence[Period]) -> Sequence[str | Number]:
    return [date.fromordinal(span.last).isoformat() for span in spans]


def _rows(columns: Columns) -> list[Entry]:
    names = tuple(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _all_summary(figures: Figures, today: date) -> dict[str, Number]:
    summary: dict[str, Number] = {}
    for key in KEYS:
        current, previous = figures.now_and_before(key, today)
        summary[f"current-{key}"] = current
        summary[f"previous-{key}"] = previous
        summary[f"{key}-percentage-change"] = change(previous, current)
    return summary


def _range(query: Mapping[str, str]) -> tuple[date, date]:
    start, end = _day(query, "start-date"), _day(query, "end-date")
    if start > end:
        raise _BadParameterError("start-date", f'Parameter "start-date" is after "end-date": {start} > {end}')
    return start, end


def _day(query: Mapping[str, str], param: str) -> date:
    text = query.get(param)
    if not text:
        raise _BadParameterError(param, f'Parameter "{param}" is missing')
    matched = _DATE.fullmatch(text)
    try:
        return date.fromisoformat(matched[1] if matched else "")
    except ValueError:
        raise _BadParameterError(param, f'Parameter "{param}" is not a date: "{text}"') from None


def _interval(endpoint: str, query: Mapping[str, str]) -> Interval:
    """Month where nothing is asked. Lifetime value is given by month whatever is asked."""
    word = query.get("interval") or "month"
    for interval in INTERVALS:
        if interval == word:
            return "month" if endpoint == "ltv" else interval
    raise _BadParameterError("interval", f'Parameter "interval" is not one of {", ".join(INTERVALS)}: "{word}"')


def _selection(company: Company, query: Mapping[str, str]) -> Selection:
    try:
        return select(
            company.plans,
            geo=query.get("geo", ""),
            plan_names=query.get("plans", ""),
            filters=query.get("filters", ""),
        )
    except FilterError as error:
        raise _BadParameterError("filters", str(error)) from None
