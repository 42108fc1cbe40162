"""One question: what may be asked, how it is spelt for the API, and what a refusal says."""

from __future__ import annotations

import pickle
import re
from datetime import date, datetime, timedelta, timezone
from enum import Enum, StrEnum
from typing import Any, get_args

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartmogul_async import MetricQuery, cfl
from chartmogul_async.errors import UsageError
from chartmogul_async.metrics.intervals import INTERVALS, Interval
from chartmogul_async.metrics.query import METRICS, MetricName

START, END = "2023-07-01", "2023-08-31"


def query(metric: str = "mrr", start_date: Any = START, end_date: Any = END, **others: Any) -> MetricQuery:
    return MetricQuery(metric, start_date, end_date, **others)


def refusal(**arguments: Any) -> str:
    with pytest.raises(UsageError) as refused:
        query(**arguments)
    assert refused.value.status is None
    return str(refused.value)


class Timestamp(datetime):
    """What data frames give: a datetime with more to it."""


class NotATime(datetime):
    """What data frames give for a hole: a datetime that has no day."""

    def date(self) -> date:
        raise ValueError("NaT does not support date")


# --- what is sent --------------------------------------------------------------------------------------------


def test_the_example_of_the_documentation_becomes_its_own_parameters() -> None:
    asked = MetricQuery("mrr", "2023-07-01", "2023-08-31", interval="month", geo=["US"], plans=["Silver Monthly"])
    assert asked.path == "/metrics/mrr"
    assert asked.params == {
        "start-date": "2023-07-01",
        "end-date": "2023-08-31",
        "interval": "month",
        "geo": "US",
        "plans": "Silver Monthly",
    }


def test_everything_that_can_be_asked_is_spelt_as_the_api_spells_it() -> None:
    asked = query("customer_count", interval="week", geo=["US", "DE"], plans=["Gold", "pl_1"], filters="mrr~GT~0")
    assert asked.params == {
        "start-date": START,
        "end-date": END,
        "interval": "week",
        "geo": "US,DE",
        "plans": "Gold,pl_1",
        "filters": "mrr~GT~0",
    }


def test_what_is_not_asked_is_not_sent_but_the_interval_always_is() -> None:
    assert query().params == {"start-date": START, "end-date": END, "interval": "month"}


@pytest.mark.parametrize(
    ("metric", "path"),
    [
        ("all", "/metrics/all"),
        ("mrr", "/metrics/mrr"),
        ("arr", "/metrics/arr"),
        ("arpa", "/metrics/arpa"),
        ("asp", "/metrics/asp"),
        ("customer_count", "/metrics/customer-count"),
        ("customer_churn_rate", "/metrics/customer-churn-rate"),
        ("mrr_churn_rate", "/metrics/mrr-churn-rate"),
        ("ltv", "/metrics/ltv"),
    ],
)
def test_every_metric_has_its_path_and_may_be_written_either_way(metric: str, path: str) -> None:
    assert query(metric).path == path
    assert query(metric.replace("_", "-")) == query(metric)


def test_the_metrics_and_intervals_are_those_of_the_types() -> None:
    assert get_args(MetricName) == METRICS
    assert len(METRICS) == 9
    assert INTERVALS == get_args(Interval) == ("day", "week", "month", "quarter", "year")


# --- dates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "day",
    [
        "2023-07-01",
        "2023-07-01T23:59:59",
        "2023-07-01 00:00:00+14:00",
        "2023-07-01T22:30:00Z",
        date(2023, 7, 1),
        datetime(2023, 7, 1, 23, 59),
        datetime(2023, 7, 1, 23, 59, tzinfo=timezone(timedelta(hours=-11))),
        Timestamp(2023, 7, 1, 12),
    ],
    ids=repr,
)
def test_a_day_is_a_date_a_datetime_or_an_iso_string_and_keeps_its_own_day(day: Any) -> None:
    asked = query(start_date=day, end_date=day)
    assert (asked.start_date, asked.end_date) == (date(2023, 7, 1), date(2023, 7, 1))
    assert type(asked.start_date) is type(asked.end_date) is date
    assert asked.params["start-date"] == asked.params["end-date"] == "2023-07-01"


@pytest.mark.parametrize("argument", ["start_date", "end_date"])
@pytest.mark.parametrize(
    "day",
    [
        *("", "yesterday", "2023-7-1", "01/07/2023", "2023-02-29", "2023-13-01", "2023-07"),
        *(None, 20230701, 1.5, True, b"2023-07-01", ["2023-07-01"], (2023, 7, 1), date),
        *(NotATime(2023, 7, 1), timedelta(1)),
    ],
    ids=repr,
)
def test_what_is_no_day_is_refused_by_the_name_of_its_argument(argument: str, day: Any) -> None:
    said = refusal(**{argument: day})
    assert said.startswith(f"{argument} is ")
    assert repr(day) in said
    assert "a date, a datetime or an ISO string such as '2023-07-01'" in said


def test_a_range_that_ends_before_it_starts_is_refused_with_both_days() -> None:
    said = refusal(start_date="2023-09-01", end_date=date(2023, 8, 31))
    assert said == "start_date 2023-09-01 is after end_date 2023-08-31"


def test_one_day_and_the_future_and_the_whole_calendar_are_ranges() -> None:
    assert query(start_date=START, end_date=START).start_date == date(2023, 7, 1)
    assert query(end_date="2999-12-31").params["end-date"] == "2999-12-31"
    assert query(start_date=date.min, end_date=date.max).params["start-date"] == "0001-01-01"


# --- metric and interval -------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["", "MRR", "mmr", "customers", "metrics/mrr", "../account", None, 5, ["mrr"], True])
def test_an_unknown_metric_is_refused_with_the_list_of_all(metric: Any) -> None:
    said = refusal(metric=metric)
    assert repr(metric) in said
    assert all(name in said for name in METRICS)


@pytest.mark.parametrize("interval", ["", "days", "Month", "monthly", "fortnight", None, 7, ["day"], b"day", ("day",)])
@pytest.mark.parametrize("metric", ["mrr", "asp", "ltv"])
def test_an_unknown_interval_is_refused_with_the_list_of_all(metric: str, interval: Any) -> None:
    said = refusal(metric=metric, interval=interval)
    assert said.startswith(f"interval {interval!r} is unknown")
    assert all(name in said for name in INTERVALS)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("interval", INTERVALS)
def test_every_metric_takes_the_intervals_of_its_endpoint(metric: MetricName, interval: Interval) -> None:
    if metric == "asp" and interval in {"day", "week"}:
        said = refusal(metric=metric, interval=interval)
        assert said == f"asp does not take interval '{interval}'; it is one of month, quarter, year"
    elif metric == "ltv":
        asked = query(metric, interval=interval)
        assert asked.interval == "month"
        assert "interval" not in asked.params
    else:
        asked = query(metric, interval=interval)
        assert asked.interval == interval
        assert asked.params["interval"] == interval


def test_two_ltv_questions_are_the_same_question_whatever_their_interval() -> None:
    assert query("ltv", interval="day") == query("ltv")
    assert hash(query("ltv", interval="day")) == hash(query("ltv"))


class Every(StrEnum):
    MONTH = "month"


def test_an_interval_may_be_a_member_of_a_string_enumeration() -> None:
    assert str(query(interval=Every.MONTH).params["interval"]) == "month"


def test_a_misspelt_keyword_is_an_error_of_the_call() -> None:
    with pytest.raises(TypeError, match="intervall"):
        query(intervall="month")


def test_only_the_metric_and_the_days_go_without_their_names() -> None:
    with pytest.raises(TypeError):
        MetricQuery("mrr", START, END, "month")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# --- geo -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "geo",
    ["US,GB", "us, gb", ["US", "GB"], ("us", "gb"), [" US ", "gb"], {"US": 1, "GB": 2}],
    ids=str,
)
def test_countries_come_as_a_list_or_with_commas_in_any_case(geo: Any) -> None:
    asked = query(geo=geo)
    assert asked.geo == ("US", "GB")
    assert asked.params["geo"] == "US,GB"


@pytest.mark.parametrize("code", ["USA", "U", "U1", "United States", "U-S", "US\nDE", "U S", "日本", "ß", "ﬁ"])
def test_what_does_not_look_like_a_country_is_refused_with_one_that_does(code: str) -> None:
    said = refusal(geo=["DE", code])
    assert said.startswith(f"geo has {code!r}")
    assert "ISO 3166-1 code of two letters, such as 'US'" in said


@pytest.mark.parametrize("argument", ["geo", "plans"])
@pytest.mark.parametrize("nothing", [[], (), set(), frozenset(), {}], ids=repr)
def test_an_empty_list_is_refused_for_it_could_mean_everything_or_nothing(argument: str, nothing: Any) -> None:
    said = refusal(**{argument: nothing})
    assert said.startswith(f"{argument} is empty")
    assert "leave it out for all of them" in said


@pytest.mark.parametrize("argument", ["geo", "plans"])
@pytest.mark.parametrize("hole", ["", "  ", None, 5, b"US", ["US"], True], ids=repr)
def test_a_list_with_a_hole_is_refused_and_the_hole_is_shown(argument: str, hole: Any) -> None:
    said = refusal(**{argument: ["US", hole]})
    assert said.startswith(f"{argument} has {hole!r}")
    assert "is a string that is not empty" in said


@pytest.mark.parametrize("argument", ["geo", "plans"])
@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_text_is_refused(argument: str, text: str) -> None:
    assert refusal(**{argument: text}).startswith(f"{argument} has {text!r}")


def test_a_comma_too_many_between_countries_is_refused() -> None:
    assert refusal(geo="US,").startswith("geo has ''")


@pytest.mark.parametrize("argument", ["geo", "plans"])
@pytest.mark.parametrize("wrong", [5, 1.5, True, object], ids=repr)
def test_what_is_no_list_is_refused_by_the_name_of_its_argument(argument: str, wrong: Any) -> None:
    assert refusal(**{argument: wrong}) == f"{argument} is {wrong!r}; it is a list of strings"


@pytest.mark.parametrize("argument", ["geo", "plans"])
def test_bytes_are_no_text(argument: str) -> None:
    assert refusal(**{argument: b"US"}).startswith(f"{argument} has 85;")


# --- plans ---------------------------------------------------------------------------------------------------


def test_one_plan_may_be_given_as_a_text() -> None:
    assert query(plans="Silver Monthly") == query(plans=["Silver Monthly"])


@pytest.mark.parametrize("plan", ["100% Pure", "50%2C off", "Größe & Co + mehr", "a/b?c=d#e", " Gold ", "日本"])
def test_the_name_of_a_plan_is_sent_as_it_is_for_the_transport_to_encode(plan: str) -> None:
    assert query(plans=plan).plans == (plan,)
    assert query(plans=plan).params["plans"] == plan


@pytest.mark.parametrize("plans", ["Gold,Silver", ["Gold, yearly"], ["Gold", ","], [","]], ids=str)
def test_a_comma_in_a_plan_is_refused_with_both_ways_out(plans: Any) -> None:
    said = refusal(plans=plans)
    assert said.startswith("plans has ")
    assert "give several plans as a list" in said
    assert "by its UUID ('pl_…') or its external id" in said


def test_plans_and_countries_may_come_from_a_generator_and_keep_their_order() -> None:
    asked = query(plans=(name for name in ["B", "A"]), geo=iter(["US", "DE"]))
    assert (asked.params["plans"], asked.params["geo"]) == ("B,A", "US,DE")


# --- filters -------------------------------------------------------------------------------------------------


def test_a_filter_is_a_string_or_one_that_was_built_and_both_are_the_same_question() -> None:
    built = cfl.where("region").any("US", "DE") & cfl.where("mrr").gt(150)
    assert query(filters=built) == query(filters="region~ANY~'US','DE'~AND~mrr~GT~150")
    assert type(query(filters=built).filters) is str


@pytest.mark.parametrize("filters", ["", "  ", "mrr>1000", "mrr", 5, cfl.where("mrr")], ids=str)
def test_what_is_no_filter_is_refused_with_one_that_is(filters: Any) -> None:
    said = refusal(filters=filters)
    assert said.startswith(f"filters is {filters!r}")
    assert "region~ANY~'US','DE'" in said


# --- a query is a value --------------------------------------------------------------------------------------


texts = st.text(st.characters(exclude_characters=",", exclude_categories=["Cs"]), min_size=1).filter(str.strip)
queries = st.builds(
    lambda metric, days, interval, geo, plans, filters: MetricQuery(
        metric,
        min(days),
        max(days),
        interval="month" if metric == "asp" else interval,
        geo=geo,
        plans=plans,
        filters=filters,
    ),
    st.sampled_from(METRICS),
    st.tuples(st.dates(), st.dates()),
    st.sampled_from(INTERVALS),
    st.none() | st.lists(st.from_regex(r"[A-Za-z]{2}", fullmatch=True), min_size=1, max_size=3),
    st.none() | st.lists(texts, min_size=1, max_size=3),
    st.none() | st.sampled_from(["mrr~GT~0", "region~ANY~'US'"]),
)


@given(queries)
@settings(max_examples=60, deadline=None)
def test_a_query_is_equal_to_its_twin_from_another_process(asked: MetricQuery) -> None:
    twin = pickle.loads(pickle.dumps(asked))
    assert twin == asked
    assert hash(twin) == hash(asked)
    assert twin.params == asked.params
    assert all(type(text) is str for text in [*asked.params, *asked.params.values()])


@pytest.mark.parametrize(
    "other",
    [
        query("arr"),
        query(start_date="2023-07-02"),
        query(end_date="2023-08-30"),
        query(interval="day"),
        query(geo="US"),
        query(plans="Gold"),
        query(filters="mrr~GT~0"),
    ],
)
def test_a_query_differs_as_soon_as_one_argument_does(other: MetricQuery) -> None:
    assert other != query()
    assert len({other, query(), query()}) == 2


def test_a_query_cannot_be_changed() -> None:
    asked = query()
    for name in ("metric", "interval", "geo"):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(asked, name, "day")
    assert not hasattr(asked, "__dict__")


def test_a_query_shows_all_that_was_asked() -> None:
    shown = repr(query(geo="US"))
    assert re.match(r"MetricQuery\(metric='mrr', start_date=datetime.date\(2023, 7, 1\), end_date=", shown)
    assert "geo=('US',)" in shown


def test_a_query_can_be_changed_into_another() -> None:
    asked = query(plans=["Silver"], filters="mrr~GT~1")
    weekly = attrs.evolve(asked, interval="week")
    assert weekly == query(plans=["Silver"], filters="mrr~GT~1", interval="week")
    assert attrs.evolve(query(), geo="US").geo == ("US",)


class Word(str, Enum):  # noqa: UP042 - what programs wrote before StrEnum
    MONTH = "month"
    MRR = "mrr"
    US = "US"


def test_members_of_an_enum_are_sent_as_their_text() -> None:
    asked = MetricQuery(Word.MRR, "2023-07-01", "2023-08-31", interval=Word.MONTH, geo=[Word.US])  # type: ignore[arg-type]
    assert [type(value) for value in asked.params.values()] == [str] * 4
    assert [str(value) for value in asked.params.values()] == ["2023-07-01", "2023-08-31", "month", "US"]


@pytest.mark.parametrize("filters", ["region~ANY~%27US%27", "plan~ANY~pl_1%2Cpl_2", "mrr%7EGT%7E1~AND~mrr~LT~5"])
def test_filters_that_are_still_encoded_are_refused(filters: str) -> None:
    assert "pass urllib.parse.unquote(filters)" in refusal(filters=filters)


def test_a_percent_sign_in_a_quoted_value_is_fine() -> None:
    assert query(filters="custom.code~ANY~'%27'").filters == "custom.code~ANY~'%27'"


@pytest.mark.parametrize("filters", [["mrr~GT~1"], b"mrr~GT~1", 5])
def test_filters_of_another_type_are_refused(filters: Any) -> None:
    assert "it is a CFL string" in refusal(filters=filters)
