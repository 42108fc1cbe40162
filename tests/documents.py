"""Series of every metric, for tests of what becomes of them elsewhere."""

from __future__ import annotations

from datetime import date
from typing import Any, get_args, get_type_hints

import attrs
from hypothesis import strategies as st

from chartmogul_async import Interval, KeyMetricsEntry, KeyMetricsSummary, MetricQuery, Series
from chartmogul_async.countries import COUNTRIES
from chartmogul_async.metrics.query import METRICS, MetricName
from chartmogul_async.metrics.series import RESPONSES

INTERVALS: list[Interval] = ["day", "week", "month", "quarter", "year"]
# As large as an integer can be that every JSON library writes, and a float that can have been nothing else.
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(-(2**53) + 1, 2**53 - 1)
NUMBERS: dict[Any, st.SearchStrategy[Any]] = {
    date: st.dates(),
    int: INTEGERS,
    float: FLOATS,
    int | float: INTEGERS | FLOATS,
    float | None: st.none() | FLOATS,
    int | float | None: st.none() | INTEGERS | FLOATS,
}
PLANS = st.text(st.characters(exclude_characters=",", exclude_categories=["Cs"]), min_size=1, max_size=9).filter(
    str.strip
)


def records(cls: type) -> st.SearchStrategy[Any]:
    """Records of a flat class."""
    hints = get_type_hints(cls)
    return st.builds(cls, **{field.name: NUMBERS[hints[field.name]] for field in attrs.fields(cls)})


@st.composite
def queries(draw: st.DrawFn, metrics: tuple[MetricName, ...] = METRICS) -> MetricQuery:
    metric = draw(st.sampled_from(metrics))
    start, end = sorted([draw(st.dates()), draw(st.dates())])
    return MetricQuery(
        metric,
        start,
        end,
        interval=draw(st.sampled_from(INTERVALS[2:] if metric == "asp" else INTERVALS)),
        geo=draw(st.none() | st.lists(st.sampled_from(sorted(COUNTRIES)), min_size=1, max_size=3)),
        plans=draw(st.none() | st.lists(PLANS, min_size=1, max_size=3)),
        filters=draw(st.none() | PLANS.map(lambda text: f"region~ANY~'{text}'")),
    )


def classes_of(metric: MetricName) -> tuple[Any, Any]:
    """The classes of a metric's entries and of its summary."""
    entry, summary = get_args(RESPONSES[metric]) or (KeyMetricsEntry, KeyMetricsSummary)
    return entry, summary


@st.composite
def series(draw: st.DrawFn, metrics: tuple[MetricName, ...] = METRICS) -> Series:
    query = draw(queries(metrics))
    entry, summary = classes_of(query.metric)
    summaries = records(summary) | st.none() if query.metric == "all" else records(summary)
    return Series(tuple(draw(st.lists(records(entry), max_size=4))), draw(summaries), query)


def assert_same(one: Any, other: Any) -> None:
    """Equal, with values of the same types all the way down: 1 equals 1.0 and True, and -0.0 equals 0.0."""
    assert repr(one) == repr(other)
    assert one == other
    assert hash(one) == hash(other)
    assert type(one) is type(other)
