"""One question about one metric: arguments checked before anything is sent, and the parameters they become."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal, get_args

from attrs import field, frozen

from chartmogul_async.errors import UsageError
from chartmogul_async.metrics.intervals import INTERVALS, Interval

if TYPE_CHECKING:
    from chartmogul_async.cfl import Filter

MetricName = Literal[
    "all",
    "mrr",
    "arr",
    "arpa",
    "asp",
    "customer_count",
    "customer_churn_rate",
    "mrr_churn_rate",
    "ltv",
]
METRICS: tuple[MetricName, ...] = get_args(MetricName)

_ASP_INTERVALS: tuple[Interval, ...] = ("month", "quarter", "year")
_COUNTRY = r"[A-Za-z]{2}"


def _metric(value: str) -> MetricName:
    name = value.replace("-", "_") if isinstance(value, str) else value
    if name not in METRICS:
        raise UsageError(f"metric {value!r} is unknown; it is one of {', '.join(METRICS)}")
    return METRICS[METRICS.index(name)]  # the plain word, also where an enum's member was given


def _start_date(value: str | date) -> date:
    return _day(value, "start_date")


def _end_date(value: str | date) -> date:
    return _day(value, "end_date")


def _day(value: str | date, argument: str) -> date:
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value).date()
        if isinstance(value, datetime):
            return value.date()
    except ValueError:
        pass  # said below, in our words
    else:
        if isinstance(value, date):
            return value
    raise UsageError(f"{argument} is {value!r}; it is a date, a datetime or an ISO string such as '2023-07-01'")


def _interval(value: Interval) -> Interval:
    if value not in INTERVALS:
        raise UsageError(f"interval {value!r} is unknown; it is one of {', '.join(INTERVALS)}")
    return INTERVALS[INTERVALS.index(value)]


def _geo(value: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    given = _texts(value.split(",") if isinstance(value, str) else value, "geo", "countries")
    for code in given:
        if not re.fullmatch(_COUNTRY, code.strip()):
            raise UsageError(f"geo has {code!r}; a country is its ISO 3166-1 code of two letters, such as 'US'")
    return tuple(code.strip().upper() for code in given)


def _plans(value: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    plans = _texts([value] if isinstance(value, str) else value, "plans", "plans")
    for plan in plans:
        if "," in plan:
            raise UsageError(
                f"plans has {plan!r}, and the API separates plans by commas: give several plans as a list, and "
                "a plan whose name has a comma by its UUID ('pl_…') or its external id"
            )
    return plans


def _texts(value: Iterable[str], argument: str, things: str) -> tuple[str, ...]:
    if not isinstance(value, Iterable):
        raise UsageError(f"{argument} is {value!r}; it is a list of strings")
    given = tuple(value)
    for item in given:
        if not isinstance(item, str) or not item.strip():
            raise UsageError(f"{argument} has {item!r}; each of the {things} is a string that is not empty")
    if not given:
        raise UsageError(f"{argument} is empty, which would mean no {things} at all; leave it out for all of them")
    return given


def _filters(value: str | Filter | None) -> str | None:
    if value is None:
        return None
    text = _filter_text(value).strip()
    if "~" not in text:
        raise UsageError(f"filters is {value!r}; it is a CFL string such as \"region~ANY~'US','DE'\"")
    if re.search("%(27|2C|7E)", text, re.IGNORECASE) and "'" not in text:
        raise UsageError(f"filters is {value!r}, still encoded as in an address; pass urllib.parse.unquote(filters)")
    return text


def _filter_text(value: object) -> str:
    if isinstance(value, str):
        return value
    from chartmogul_async.cfl import Filter  # whoever built one has loaded it already

    return str(value) if isinstance(value, Filter) else ""


@frozen
class MetricQuery:
    """One question: which metric, from when to when, in which intervals, for which part of the business.

    ``metric`` is the name of a method of ``client.metrics``. Dates are a ``date``, a ``datetime`` (its own
    day is taken, without converting time zones) or an ISO string; both ends are included, and an end in the
    future is allowed. ``geo`` is a list of ISO 3166-1 country codes, ``plans`` a list of plan names, UUIDs or
    external ids (case-sensitive), ``filters`` a string in ChartMogul Filter Language, sent as it is,
    or a filter built with ``cfl``.

    ``asp`` takes months and longer. ``ltv`` is always monthly: its interval is ignored and becomes ``month``.
    The two churn rates are sent whatever interval is asked for, as ChartMogul's own tools do, though older
    documents give them none.

    Raises ``UsageError``, naming the argument and what would be right.

    Source: https://dev.chartmogul.com/reference/metrics/all
    """

    metric: MetricName = field(converter=_metric)
    start_date: date = field(converter=_start_date)
    end_date: date = field(converter=_end_date)
    interval: Interval = field(default="month", converter=_interval, kw_only=True)
    geo: tuple[str, ...] | None = field(default=None, converter=_geo, kw_only=True)
    plans: tuple[str, ...] | None = field(default=None, converter=_plans, kw_only=True)
    filters: str | None = field(default=None, converter=_filters, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.end_date < self.start_date:
            raise UsageError(f"start_date {self.start_date} is after end_date {self.end_date}")
        if self.metric == "asp" and self.interval not in _ASP_INTERVALS:
            raise UsageError(f"asp does not take interval {self.interval!r}; it is one of {', '.join(_ASP_INTERVALS)}")
        if self.metric == "ltv":
            object.__setattr__(self, "interval", "month")

    @property
    def path(self) -> str:
        """The endpoint below the base URL."""
        return f"/metrics/{self.metric.replace('_', '-')}"

    @property
    def params(self) -> dict[str, str]:
        """The query parameters as the API spells them."""
        params = {"start-date": self.start_date.isoformat(), "end-date": self.end_date.isoformat()}
        if self.metric != "ltv":
            params["interval"] = self.interval
        if self.geo:
            params["geo"] = ",".join(self.geo)
        if self.plans:
            params["plans"] = ",".join(self.plans)
        if self.filters:
            params["filters"] = self.filters
        return params
