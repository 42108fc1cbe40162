"""The endpoints of the nine metrics: the parameters of a request in, the JSON of entries and summary out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import islice

from chartmogul_async.sandbox.company import Company, WeekStart
from chartmogul_async.sandbox.figures import KEYS, Figures, Number, percentage_change
from chartmogul_async.sandbox.ledger import Ledger, Timeline
from chartmogul_async.sandbox.periods import INTERVALS, DayRange, Interval, periods
from chartmogul_async.sandbox.response import Response, error_response, json_response
from chartmogul_async.sandbox.selection import FilterError, Selection, select

ENDPOINTS = ("all", "mrr", "arr", "arpa", "asp", "customer-count", "customer-churn-rate", "mrr-churn-rate", "ltv")

# The API is known to accept a time after the date.
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})([T ].*)?")
# The limit on cached bodies, in bytes, bounds the memory of a sandbox that serves long ranges all night.
_MAX_CACHED_BYTES = 50_000_000
# The limit on cached selections exceeds the number of pairs of a plan and a country.
_MAX_CACHED_SELECTIONS = 256
# Other requests wait while the entries of one are computed, for half a second at most.
_MAX_ENTRIES = 10_000

Entry = dict[str, str | Number]
Columns = dict[str, Sequence[str | Number]]


class _ParameterError(Exception):
    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class MetricsEndpoints:
    """Responds to requests for metrics, and caches figures and responses until the next booking.

    Args:
        company: The company whose figures are served.
    """

    def __init__(self, company: Company) -> None:
        self.company = company
        self._version = -1
        self._timelines: list[Timeline] = []
        self._figures: dict[Selection, Figures] = {}
        self._responses: dict[tuple[object, ...], Response] = {}
        self._cached_bytes = 0

    def respond(self, endpoint: str, query: Mapping[str, str]) -> Response:
        """Respond to a request for one of ``ENDPOINTS``.

        Args:
            endpoint: One of ``ENDPOINTS``.
            query: The parameters of the request; an empty one counts as missing.

        Returns:
            A 200 with entries and summary. A 400 that names the parameter, if a date or interval is missing or
            invalid, the start is after the end, there would be more than 10,000 entries, or the CFL cannot be parsed.
            A 404 for an interval that the endpoint does not have (average sale price by day or week, as in the
            recordings of 2016).
        """
        try:
            start, end = _range(query)
            interval = _interval(endpoint, query)
            selection = _selection(self.company, query)
            if endpoint == "asp" and interval in ("day", "week"):
                return error_response(404, f"Metric asp is not available by {interval}", "interval")
            return self._cached(endpoint, start, end, interval, selection)
        except _ParameterError as error:
            return error_response(400, str(error), error.param)

    def _cached(self, endpoint: str, start: date, end: date, interval: Interval, selection: Selection) -> Response:
        state = self.company.state
        if state.version != self._version:
            self._version, self._figures, self._responses, self._cached_bytes = state.version, {}, {}, 0
            self._timelines = [Timeline.of(customer) for customer in state.customers]
        key = (endpoint, start, end, interval, selection)
        if key not in self._responses:
            if self._cached_bytes > _MAX_CACHED_BYTES:
                self._cached_bytes, self._responses = 0, {}
            company = self.company
            divided = _divided(start, end, interval, company.profile.week_start_on)
            response = _compute(endpoint, self._figures_of(selection), divided, interval, company.today)
            self._responses[key] = response
            self._cached_bytes += len(response.body)
        return self._responses[key]

    def _figures_of(self, selection: Selection) -> Figures:
        if selection not in self._figures:
            if len(self._figures) >= _MAX_CACHED_SELECTIONS:
                self._figures = {}
            company = self.company
            ledger = Ledger.of(self._timelines, company.plans, selection, company.founded, company.today)
            self._figures[selection] = Figures(ledger)
        return self._figures[selection]


def _compute(endpoint: str, figures: Figures, divided: Sequence[DayRange], interval: Interval, today: date) -> Response:
    key = "customers" if endpoint == "customer-count" else endpoint
    if endpoint == "all":
        entries = _all_entries(figures, divided, interval)
        summary = _all_summary(figures, today)
    else:
        entries = _entries(key, figures, divided, interval)
        current, previous = figures.current_and_previous(key, today)
        summary = {
            "current": current,
            "previous": previous,
            "percentage-change": percentage_change(previous, current),
        }
    return json_response({"entries": entries, "summary": summary}, entries=len(entries))


def _entries(key: str, figures: Figures, divided: Sequence[DayRange], interval: Interval) -> list[Entry]:
    columns = {"date": _dates(divided), **_columns(key, "percentage-change", figures, divided, interval)}
    if key == "mrr":
        flows = [figures.flows(period) for period in divided]
        columns["mrr-new-business"] = [flow.new_business for flow in flows]
        columns["mrr-expansion"] = [flow.expansion for flow in flows]
        columns["mrr-contraction"] = [flow.contraction for flow in flows]
        columns["mrr-churn"] = [flow.churn for flow in flows]
        columns["mrr-reactivation"] = [flow.reactivation for flow in flows]
    return _rows(columns)


def _all_entries(figures: Figures, divided: Sequence[DayRange], interval: Interval) -> list[Entry]:
    columns = {"date": _dates(divided)}
    for key in KEYS:
        columns |= _columns(key, f"{key}-percentage-change", figures, divided, interval)
    return _rows(columns)


# Entries are computed by columns, because ten years of days have 60,000 figures.
def _columns(key: str, change_key: str, figures: Figures, divided: Sequence[DayRange], interval: Interval) -> Columns:
    values = figures.of(key, divided, interval)
    return {key: values, change_key: [0.0, *map(percentage_change, values, values[1:])]}


def _dates(divided: Sequence[DayRange]) -> Sequence[str | Number]:
    return [date.fromordinal(period.last).isoformat() for period in divided]


def _rows(columns: Columns) -> list[Entry]:
    names = tuple(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _all_summary(figures: Figures, today: date) -> dict[str, Number]:
    summary: dict[str, Number] = {}
    for key in KEYS:
        current, previous = figures.current_and_previous(key, today)
        summary[f"current-{key}"] = current
        summary[f"previous-{key}"] = previous
        summary[f"{key}-percentage-change"] = percentage_change(previous, current)
    return summary


def _range(query: Mapping[str, str]) -> tuple[date, date]:
    start, end = _day(query, "start-date"), _day(query, "end-date")
    if start > end:
        raise _ParameterError("start-date", f'Parameter "start-date" is after "end-date": {start} > {end}')
    return start, end


def _day(query: Mapping[str, str], param: str) -> date:
    text = query.get(param)
    if not text:
        raise _ParameterError(param, f'Parameter "{param}" is missing')
    matched = _DATE.fullmatch(text)
    try:
        return date.fromisoformat(matched[1] if matched else "")
    except ValueError:
        raise _ParameterError(param, f'Parameter "{param}" is not a date: "{text}"') from None


def _interval(endpoint: str, query: Mapping[str, str]) -> Interval:
    """The requested interval, month by default. Lifetime value is given by month whatever was requested."""
    requested = query.get("interval") or "month"
    for interval in INTERVALS:
        if interval == requested:
            return "month" if endpoint == "ltv" else interval
    raise _ParameterError("interval", f'Parameter "interval" is not one of {", ".join(INTERVALS)}: "{requested}"')


def _divided(start: date, end: date, interval: Interval, week_start_on: WeekStart) -> Sequence[DayRange]:
    divided = list(islice(periods(start, end, interval, week_start_on), _MAX_ENTRIES + 1))
    if len(divided) > _MAX_ENTRIES:
        message = f'Parameter "end-date" is too late: there are at most {_MAX_ENTRIES} entries'
        raise _ParameterError("end-date", message)
    return divided


def _selection(company: Company, query: Mapping[str, str]) -> Selection:
    try:
        return select(
            company.plans,
            company.plan_groups,
            geo=query.get("geo", ""),
            plan_names=query.get("plans", ""),
            filters=query.get("filters", ""),
        )
    except FilterError as error:
        raise _ParameterError("filters", str(error)) from None
