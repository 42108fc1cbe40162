"""One query of one metric: its arguments, checked before anything is sent, and the parameters they become."""

import json
import re
from collections.abc import Iterable
from datetime import date
from hashlib import sha256
from typing import Any, Generic, Literal, get_args, overload

from attrs import field, frozen

from chartmogul_async import checks
from chartmogul_async.cfl import Filter
from chartmogul_async.countries import COUNTRIES, OTHER_CODES
from chartmogul_async.errors import ArgumentError
from chartmogul_async.intervals import INTERVALS, Interval
from chartmogul_async.metrics.records import (
    ARPAEntry,
    ARREntry,
    ASPEntry,
    CustomerChurnRateEntry,
    CustomerCountEntry,
    E,
    KeyMetricsEntry,
    KeyMetricsSummary,
    LTVEntry,
    MetricEntry,
    MRRChurnRateEntry,
    MRREntry,
    S,
    Summary,
)
from chartmogul_async.periods import Period, hint_for, named
from chartmogul_async.structuring.documents import MARK, from_document
from chartmogul_async.structuring.record import Record

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
DashedName = Literal["customer-count", "customer-churn-rate", "mrr-churn-rate"]

Day = str | date | Period
Texts = str | Iterable[str] | None
Filters = str | Filter | None

_OR_A_PERIOD = " or a period such as '2023-Q3'"
_ASP_INTERVALS: tuple[Interval, ...] = ("month", "quarter", "year")
_ENCODED = re.compile("%(27|2C|7E)", re.IGNORECASE)


def _metric(value: str) -> MetricName:
    if isinstance(value, str) and value.replace("-", "_") in METRICS:
        value = value.replace("-", "_")
    return checks.one_of("metric", value, METRICS)


def _start_date(value: Day) -> date:
    found = _period(value)
    if found:
        return checks.calendar_day("start_date", found.start)
    return checks.calendar_day("start_date", value, _OR_A_PERIOD, hint_for(value))


def _end_date(value: Day) -> date:
    found = _period(value)
    if found:
        return checks.calendar_day("end_date", found.end)
    return checks.calendar_day("end_date", value, _OR_A_PERIOD, hint_for(value))


def _period(value: Day) -> Period | None:
    return value if isinstance(value, Period) else named(value)


def _with_an_end(start_date: Day) -> Day:
    if _period(start_date) is None:
        raise ArgumentError(
            f"end_date must be given with the day {_start_date(start_date)}: only a period such as '2024-Q1' "
            "has both ends"
        )
    return start_date


def _interval(value: Interval) -> Interval:
    return checks.one_of("interval", value, INTERVALS)


def _geo(value: Texts) -> tuple[str, ...] | None:
    if value is None:
        return None
    codes = checks.strings("geo", value.split(",") if isinstance(value, str) else value, "all countries")
    countries = tuple(_country(code) for code in codes)
    return countries if checks.has_order(value) else tuple(sorted(countries))


def _country(value: str) -> str:
    code = str(value.strip().upper())
    if code in OTHER_CODES:
        country, right = OTHER_CODES[code]
        raise ArgumentError(
            f"geo must contain ISO 3166-1 country codes, not {checks.shown(value)}: {country} is {right!r}"
        )
    # Some characters become ASCII letters when they are converted to upper case.
    if code not in COUNTRIES or not value.isascii():
        raise ArgumentError(
            f"geo must contain ISO 3166-1 alpha-2 country codes such as 'US', not {checks.shown(value)}"
        )
    return code


def _plans(value: Texts) -> tuple[str, ...] | None:
    if value is None:
        return None
    plans = checks.strings("plans", value, "all plans")
    for plan in plans:
        checks.encodable("plans", plan)
        if "," in plan:
            raise ArgumentError(
                f"plans must not contain {checks.shown(plan)}, because the API separates plans by commas: pass several "
                "plans as a list, and a plan with a comma in its name by its UUID ('pl_…') or its external id"
            )
    # Members of an enum become plain strings.
    return tuple(map(str.__str__, plans))


def _filters(value: Filters) -> str | None:
    if value is None:
        return None
    text = _filter_text(value)
    if "~" not in text:
        raise ArgumentError(
            f"filters must be a CFL string such as \"region~ANY~'US','DE'\" or be built with cfl, "
            f"not {checks.shown(value)}"
        )
    if _ENCODED.search(text) and "'" not in text:
        raise ArgumentError(
            f"filters must not be percent-encoded: pass urllib.parse.unquote(filters), not {checks.shown(value)}"
        )
    return checks.encodable("filters", text)


def _filter_text(value: object) -> str:
    text = str(value) if isinstance(value, Filter) else value
    return text.strip() if isinstance(text, str) else ""


@frozen(init=False)
class MetricQuery(Record, Generic[E, S]):
    """One query: which metric, from when to when, in which intervals, for which part of the business.

    Queries are values: frozen, hashable, equal if all their arguments are, and they can be pickled. For type checkers
    a query knows its entry and summary: ``MetricQuery("mrr", ...)`` is a ``MetricQuery[MRREntry, Summary]``, and a bare
    ``MetricQuery`` is one of any metric.

    Args:
        metric: The name of a method of ``client.metrics``; dashes may stand for underscores.
        start_date: The first day: a ``date``, a ``datetime`` (its own day is taken, without converting time zones), an
            ISO string, or a period, of which it is the first day: ``"2024-03"``, ``"2024-Q1"``, ``"2024"`` or what
            ``periods`` makes, such as ``last(12, "month", today=...)``.
        end_date: The last day, included. It may lie in the future. A period stands for its last day. None is the end of
            the period that ``start_date`` is.
        interval: ``"day"``, ``"week"``, ``"month"``, ``"quarter"`` or ``"year"``. ``asp`` takes months and longer.
            ``ltv`` is always monthly: its interval is ignored and becomes ``"month"``. The two churn rates are sent
            with any interval, as ChartMogul's own tools do, though older documents give them none.
        geo: ISO 3166-1 alpha-2 country codes, as a list or with commas. A code that no country has is refused, since
            its figures would all be 0; ``XK`` (Kosovo) is accepted, and a filter on ``region`` takes any code.
        plans: Plan names, UUIDs or external ids (case-sensitive), as a list; a string is one plan. Only ChartMogul
            knows which plans an account has: for an unknown one it responds with figures of 0.
        filters: A string in ChartMogul Filter Language, sent as it is, or a filter built with ``cfl``. Only ChartMogul
            knows the names and values that it accepts.

    Raises:
        ArgumentError: The message names the argument and what it must be.

    Source: https://dev.chartmogul.com/reference/metrics/all
    """

    __module__ = "chartmogul_async"

    format: Literal["chartmogul_async.MetricQuery/1"] = field(
        default="chartmogul_async.MetricQuery/1", init=False, repr=False, eq=False, metadata=MARK
    )
    metric: MetricName = field(converter=_metric)
    start_date: date = field(converter=_start_date)
    end_date: date = field(converter=_end_date)
    interval: Interval = field(default="month", converter=_interval, kw_only=True)
    geo: tuple[str, ...] | None = field(default=None, converter=_geo, kw_only=True)
    plans: tuple[str, ...] | None = field(default=None, converter=_plans, kw_only=True)
    filters: str | None = field(default=None, converter=_filters, kw_only=True)

    # One signature for each metric, so that type checkers know its entry; the last one is for any of them.

    @overload
    def __init__(
        self: "MetricQuery[MRREntry, Summary]",
        metric: Literal["mrr"],
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "MetricQuery[ARREntry, Summary]",
        metric: Literal["arr"],
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "MetricQuery[ARPAEntry, Summary]",
        metric: Literal["arpa"],
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "MetricQuery[ASPEntry, Summary]",
        metric: Literal["asp"],
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "MetricQuery[CustomerCountEntry, Summary]",
        metric: Literal["customer_count", "customer-count"],
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "MetricQuery[CustomerChurnRateEntry, Summary]",
        metric: Literal["customer_churn_rate", "customer-churn-rate"],
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "MetricQuery[MRRChurnRateEntry, Summary]",
        metric: Literal["mrr_churn_rate", "mrr-churn-rate"],
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "MetricQuery[LTVEntry, Summary]",
        metric: Literal["ltv"],
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "MetricQuery[KeyMetricsEntry, KeyMetricsSummary | None]",
        metric: Literal["all"],
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "MetricQuery[MetricEntry, Summary | KeyMetricsSummary | None]",
        metric: MetricName | DashedName,
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
    ) -> None: ...
    def __init__(
        self,
        metric: MetricName | DashedName,
        start_date: Day,
        end_date: Day | None = None,
        *,
        interval: Interval = "month",
        geo: Texts = None,
        plans: Texts = None,
        filters: Filters = None,
    ) -> None:
        if end_date is None:
            end_date = _with_an_end(start_date)
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue] - made by attrs
            metric, start_date, end_date, interval=interval, geo=geo, plans=plans, filters=filters
        )

    def __attrs_post_init__(self) -> None:
        if self.end_date < self.start_date:
            raise ArgumentError(f"start_date {self.start_date} is after end_date {self.end_date}")
        if self.metric == "asp" and self.interval not in _ASP_INTERVALS:
            raise ArgumentError(f"interval must be one of {', '.join(_ASP_INTERVALS)} for asp, not {self.interval!r}")
        if self.metric == "ltv":
            object.__setattr__(self, "interval", "month")
        checks.short_enough(self._texts)

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
        return params | self._texts

    def key(self) -> str:
        """Name the query: the same for equal queries, and another one for each other query.

        The name is the same in every process and every version of the package, so it can name a job, a file or a row: a
        result that is stored by it lands once. It says nothing about the account: add one where several are stored.

        Returns:
            64 hexadecimal digits.
        """
        # What was not given is left out: an argument that a later version adds changes no key.
        given = {"version": 1, "path": self.path, **self.params}
        return sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> "MetricQuery":
        """Read a document that ``to_dict`` or a web framework made.

        Args:
            document: The document, also after it was written as JSON and read.

        Returns:
            A query that equals the one that the document was made of. Type checkers know it as a query of any metric.

        Raises:
            ArgumentError: The document is damaged, was not made of a query, or was made by a newer version of the
                package in a form that this one does not know. The message names each place:
                ``document must be what to_dict() returns: $.start_date: missing``.
        """
        return from_document(document, MetricQuery[Any, Any])

    _read = from_dict

    @property
    def _texts(self) -> dict[str, str]:
        texts = {}
        if self.geo:
            texts["geo"] = ",".join(self.geo)
        if self.plans:
            texts["plans"] = ",".join(self.plans)
        if self.filters:
            texts["filters"] = self.filters
        return texts
