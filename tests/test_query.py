"""A query: which arguments are accepted, how they are spelt for the API, and what the messages contain."""

from __future__ import annotations

import pickle
import re
from datetime import date, datetime, timedelta, timezone
from enum import Enum, StrEnum
from typing import Any, get_args, get_type_hints
from urllib.parse import quote, urlencode

import attrs
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartmogul_async import MetricQuery, cfl
from chartmogul_async.countries import COUNTRIES, OTHER_CODES
from chartmogul_async.errors import ArgumentError, ChartMogulError
from chartmogul_async.intervals import INTERVALS, Interval
from chartmogul_async.metrics.query import METRICS, MetricName
from chartmogul_async.periods import Period, last

START, END = "2023-07-01", "2023-08-31"


def query(metric: Any = "mrr", start_date: Any = START, end_date: Any = END, **others: Any) -> MetricQuery:
    made: MetricQuery = MetricQuery(metric, start_date, end_date, **others)
    return made


def message_for(**arguments: Any) -> str:
    with pytest.raises(ArgumentError) as raised:
        query(**arguments)
    assert isinstance(raised.value, ValueError)
    assert not isinstance(raised.value, ChartMogulError)
    return str(raised.value)


class Timestamp(datetime):
    """A subclass of datetime, as data frames contain it."""


class NotATime(datetime):
    """A missing value, as data frames contain it: a datetime without a day."""

    def date(self) -> date:
        return self


class NotATimeOfPandas2(NotATime):
    """The same, as it was before pandas 3."""

    def date(self) -> date:
        raise ValueError("NaT does not support date")


# --- parameters ----------------------------------------------------------------------------------------------


def test_the_documented_example_becomes_its_parameters() -> None:
    made = MetricQuery("mrr", "2023-07-01", "2023-08-31", interval="month", geo=["US"], plans=["Silver Monthly"])
    assert made.path == "/metrics/mrr"
    assert made.params == {
        "start-date": "2023-07-01",
        "end-date": "2023-08-31",
        "interval": "month",
        "geo": "US",
        "plans": "Silver Monthly",
    }


def test_all_arguments_are_spelt_as_the_api_spells_them() -> None:
    made = query("customer_count", interval="week", geo=["US", "DE"], plans=["Gold", "pl_1"], filters="mrr~GT~0")
    assert made.params == {
        "start-date": START,
        "end-date": END,
        "interval": "week",
        "geo": "US,DE",
        "plans": "Gold,pl_1",
        "filters": "mrr~GT~0",
    }


def test_omitted_arguments_are_not_sent_except_the_interval() -> None:
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
def test_every_metric_has_its_path_and_two_spellings(metric: str, path: str) -> None:
    assert query(metric).path == path
    assert query(metric.replace("_", "-")) == query(metric)


def test_metrics_and_intervals_match_their_types() -> None:
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
        "20230701",
        "20230701T235959Z",
    ],
    ids=repr,
)
def test_a_day_is_a_date_datetime_or_iso_string(day: Any) -> None:
    made = query(start_date=day, end_date=day)
    assert (made.start_date, made.end_date) == (date(2023, 7, 1), date(2023, 7, 1))
    assert type(made.start_date) is type(made.end_date) is date
    assert made.params["start-date"] == made.params["end-date"] == "2023-07-01"


@pytest.mark.parametrize("argument", ["start_date", "end_date"])
@pytest.mark.parametrize(
    "day",
    [
        *(
            "",
            "yesterday",
            "2023-7-1",
            "01/07/2023",
            "2023-00",
            "2023-Q5",
            "Q3",
            "0000",
            "\uff12023",
        ),
        *("1712102400", "17121024000", "1712102400000", "1712102400.5"),
        *(20230701, 1.5, True, b"2023-07-01", ["2023-07-01"], (2023, 7, 1), date),
        *(NotATime(2023, 7, 1), NotATimeOfPandas2(2023, 7, 1), timedelta(1)),
    ],
    ids=repr,
)
def test_a_value_that_is_not_a_day_names_its_argument(argument: str, day: Any) -> None:
    message = message_for(**{argument: day})
    assert message == (
        f"{argument} must be a date, a datetime, an ISO string such as '2023-07-01' or a period such as '2023-Q3', "
        f"not {day!r}"
    )


@pytest.mark.parametrize(
    ("start_date", "end_date", "start", "end"),
    [
        ("2024-02", None, date(2024, 2, 1), date(2024, 2, 29)),
        ("2024-Q1", None, date(2024, 1, 1), date(2024, 3, 31)),
        ("2024", None, date(2024, 1, 1), date(2024, 12, 31)),
        ("2023-q4", "2024-02", date(2023, 10, 1), date(2024, 2, 29)),
        ("2023-11-15", "2024", date(2023, 11, 15), date(2024, 12, 31)),
        ("2024", date(2024, 3, 7), date(2024, 1, 1), date(2024, 3, 7)),
        (last(12, "month", today="2024-03-15"), None, date(2023, 3, 1), date(2024, 2, 29)),
        (Period(date(2024, 1, 2), date(2024, 1, 3)), None, date(2024, 1, 2), date(2024, 1, 3)),
        ("2023", Period(date(2024, 1, 2), date(2024, 1, 3)), date(2023, 1, 1), date(2024, 1, 3)),
        (Period(datetime(2024, 1, 1, 5), datetime(2024, 2, 1, 5)), None, date(2024, 1, 1), date(2024, 2, 1)),
        (Period("2024-01-01", "2024-02-01"), None, date(2024, 1, 1), date(2024, 2, 1)),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_a_period_is_a_range_or_one_end_of_it(start_date: Any, end_date: Any, start: date, end: date) -> None:
    made = query(start_date=start_date, end_date=end_date)
    assert (made.start_date, made.end_date) == (start, end)
    assert made == query(start_date=start, end_date=end)
    assert (made.params["start-date"], made.params["end-date"]) == (start.isoformat(), end.isoformat())


def test_the_days_of_a_period_are_checked() -> None:
    no_day: Any = Period("2024-13-01", "zzz")  # type: ignore[arg-type]
    assert message_for(start_date=no_day, end_date=None) == (
        "start_date must be a day of the calendar, not '2024-13-01', which does not exist"
    )
    assert message_for(start_date="2024", end_date=no_day) == (
        "end_date must be a date, a datetime or an ISO string such as '2023-07-01', not 'zzz'"
    )


@pytest.mark.parametrize("start_date", ["2024-01-01", date(2024, 1, 1)])
def test_a_day_alone_is_not_a_range(start_date: Any) -> None:
    assert message_for(start_date=start_date, end_date=None) == (
        "end_date must be given with the day 2024-01-01: only a period such as '2024-Q1' has both ends"
    )
    assert message_for(start_date="Q1", end_date=None).startswith("start_date must be a date, a datetime, an ISO")


def test_a_range_that_ends_before_it_starts_shows_both_days() -> None:
    message = message_for(start_date="2023-09-01", end_date=date(2023, 8, 31))
    assert message == "start_date 2023-09-01 is after end_date 2023-08-31"


def test_one_day_the_future_and_the_whole_calendar_are_ranges() -> None:
    assert query(start_date=START, end_date=START).start_date == date(2023, 7, 1)
    assert query(end_date="2999-12-31").params["end-date"] == "2999-12-31"
    assert query(start_date=date.min, end_date=date.max).params["start-date"] == "0001-01-01"


# --- metric and interval -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metric", ["", "MRR", "mmr", "customers", "metrics/mrr", "customer-cuont", "../account", None, 5, ["mrr"], True]
)
def test_an_unknown_metric_lists_all_metrics(metric: Any) -> None:
    message = message_for(metric=metric)
    assert message == f"metric must be one of {', '.join(METRICS)}, not {metric!r}"


@pytest.mark.parametrize("interval", ["", "days", "Month", "monthly", "fortnight", None, 7, ["day"], b"day", ("day",)])
@pytest.mark.parametrize("metric", ["mrr", "asp", "ltv"])
def test_an_unknown_interval_lists_all_intervals(metric: str, interval: Any) -> None:
    message = message_for(metric=metric, interval=interval)
    assert message == f"interval must be one of day, week, month, quarter, year, not {interval!r}"


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("interval", INTERVALS)
def test_every_metric_takes_the_intervals_of_its_endpoint(metric: MetricName, interval: Interval) -> None:
    if metric == "asp" and interval in {"day", "week"}:
        message = message_for(metric=metric, interval=interval)
        assert message == f"interval must be one of month, quarter, year for asp, not '{interval}'"
    elif metric == "ltv":
        made = query(metric, interval=interval)
        assert made.interval == "month"
        assert "interval" not in made.params
    else:
        made = query(metric, interval=interval)
        assert made.interval == interval
        assert made.params["interval"] == interval


def test_ltv_queries_are_equal_whatever_their_interval() -> None:
    assert query("ltv", interval="day") == query("ltv")
    assert hash(query("ltv", interval="day")) == hash(query("ltv"))


class Every(StrEnum):
    MONTH = "month"


def test_an_interval_may_be_a_member_of_a_string_enum() -> None:
    assert str(query(interval=Every.MONTH).params["interval"]) == "month"


def test_a_misspelt_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="intervall"):
        query(intervall="month")


def test_only_the_metric_and_the_dates_are_positional() -> None:
    with pytest.raises(TypeError):
        MetricQuery("mrr", START, END, "month")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


# --- geo -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "geo",
    ["US,GB", "us, gb", ["US", "GB"], ("us", "gb"), [" US ", "gb"], {"US": 1, "GB": 2}],
    ids=str,
)
def test_countries_are_a_list_or_have_commas_in_any_case(geo: Any) -> None:
    made = query(geo=geo)
    assert made.geo == ("US", "GB")
    assert made.params["geo"] == "US,GB"


@pytest.mark.parametrize("code", ["USA", "U", "U1", "United States", "U-S", "US\nDE", "U S", "日本", "ß", "ﬁ", "ﬂ"])
def test_a_malformed_country_code_gets_an_example(code: str) -> None:
    message = message_for(geo=["DE", code])
    assert message == f"geo must contain ISO 3166-1 alpha-2 country codes such as 'US', not {code!r}"


@pytest.mark.parametrize("code", ["XX", "ZZ", "EU", "AA", "QM", "YU", "SU", "\ud800"], ids=ascii)
def test_a_code_that_no_country_has_is_refused(code: str) -> None:
    """The API responds to it with figures of 0."""
    message = message_for(geo=code)
    assert message == f"geo must contain ISO 3166-1 alpha-2 country codes such as 'US', not {code!r}"


@pytest.mark.parametrize("geo", ["UK", "uk", ["DE", " Uk "]], ids=str)
def test_the_code_of_another_institution_gets_that_of_iso(geo: Any) -> None:
    given = geo if isinstance(geo, str) else geo[1]
    assert (
        message_for(geo=geo) == f"geo must contain ISO 3166-1 country codes, not {given!r}: the United Kingdom is 'GB'"
    )
    assert message_for(geo="EL") == "geo must contain ISO 3166-1 country codes, not 'EL': Greece is 'GR'"


def test_every_country_is_accepted() -> None:
    assert len(COUNTRIES) == 250
    assert set(query(geo=COUNTRIES).geo or ()) == COUNTRIES
    assert all(len(code) == 2 and code.isascii() and code.isupper() for code in COUNTRIES)
    assert {"US", "GB", "GR", "SS", "CW", "AX", "XK"} <= COUNTRIES
    assert {right for _, right in OTHER_CODES.values()} <= COUNTRIES
    assert COUNTRIES.isdisjoint(OTHER_CODES)


# --- what cannot be sent -------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["plans", "filters"])
def test_a_lone_surrogate_is_refused(argument: str) -> None:
    """It has no UTF-8, and one such query ended a whole stream."""
    text = "custom.a~ANY~'\ud800'"
    assert message_for(**{argument: text}) == f"{argument} must be valid Unicode, without lone surrogates, not {text!r}"


@pytest.mark.parametrize("made", ["x" * 59_900, "é" * 9_900, "日" * 6_600, "%" * 19_900], ids=["x", "é", "日", "%"])
def test_the_longest_texts_fit_into_a_url(made: str) -> None:
    params = query(plans=[made], geo="US").params
    httpx.Request("GET", f"https://api.chartmogul.com/v1/metrics/mrr?{urlencode(params, quote_via=quote)}")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"plans": ["x" * 60_001]}, "plans"),
        ({"plans": [f"pl_{number}" for number in range(9_000)], "geo": ["US"] * 3_000}, "plans"),
        ({"plans": ["Gold"], "geo": ["US", "DE"] * 10_001}, "geo"),
        ({"filters": f"custom.name~ANY~'{'日' * 7_000}'"}, "filters"),
        ({"filters": cfl.where("custom.name").any(*["é"] * 8_000), "plans": ["x" * 30_000]}, "filters"),
    ],
    ids=["one plan", "many plans", "geo", "filter", "together"],
)
def test_a_query_too_long_for_a_url_names_its_longest_argument(arguments: dict[str, Any], named: str) -> None:
    """The transport refuses URLs of more than 65,536 characters, and one such query ended a whole stream."""
    message = message_for(**arguments)
    assert re.fullmatch(rf"{named} must be shorter: \d{{5,}} characters of the URL are too many, 60000 fit", message)


@pytest.mark.parametrize("argument", ["geo", "plans"])
@pytest.mark.parametrize("nothing", [[], (), set(), frozenset(), {}], ids=repr)
def test_an_empty_list_is_refused(argument: str, nothing: Any) -> None:
    """It could mean everything or nothing."""
    message = message_for(**{argument: nothing})
    things = "countries" if argument == "geo" else "plans"
    assert message == f"{argument} must not be empty: omit it for all {things}"


@pytest.mark.parametrize("argument", ["geo", "plans"])
@pytest.mark.parametrize("item", ["", "  ", None, 5, b"US", ["US"], True], ids=repr)
def test_an_item_that_is_not_a_string_is_shown(argument: str, item: Any) -> None:
    message = message_for(**{argument: ["US", item]})
    assert message == f"{argument} must contain only non-blank strings, not {item!r}"


@pytest.mark.parametrize("argument", ["geo", "plans"])
@pytest.mark.parametrize("text", ["", " "])
def test_a_blank_string_is_refused(argument: str, text: str) -> None:
    assert message_for(**{argument: text}) == f"{argument} must contain only non-blank strings, not {text!r}"


def test_a_trailing_comma_after_a_country_is_refused() -> None:
    assert message_for(geo="US,") == "geo must contain only non-blank strings, not ''"


@pytest.mark.parametrize("argument", ["geo", "plans"])
@pytest.mark.parametrize("wrong", [5, 1.5, True, object], ids=repr)
def test_a_value_that_is_not_a_list_names_its_argument(argument: str, wrong: Any) -> None:
    message = message_for(**{argument: wrong})
    assert message == f"{argument} must be a string or a list of strings, not {wrong!r}"


@pytest.mark.parametrize("argument", ["geo", "plans"])
def test_bytes_are_not_a_string(argument: str) -> None:
    assert message_for(**{argument: b"US"}) == f"{argument} must be a string or a list of strings, not b'US'"


# --- plans ---------------------------------------------------------------------------------------------------


def test_one_plan_may_be_given_as_a_string() -> None:
    assert query(plans="Silver Monthly") == query(plans=["Silver Monthly"])


@pytest.mark.parametrize("plan", ["100% Pure", "50%2C off", "Größe & Co + mehr", "a/b?c=d#e", " Gold ", "日本"])
def test_a_plan_name_is_not_encoded_here(plan: str) -> None:
    """Encoding is done where the URL is built."""
    assert query(plans=plan).plans == (plan,)
    assert query(plans=plan).params["plans"] == plan


@pytest.mark.parametrize("plans", ["Gold,Silver", ["Gold, yearly"], ["Gold", ","], [","]], ids=str)
def test_a_comma_in_a_plan_is_refused_with_both_alternatives(plans: Any) -> None:
    message = message_for(plans=plans)
    assert re.match(r"plans must not contain '.*,.*', because the API separates plans by commas: ", message)
    assert "pass several plans as a list" in message
    assert message.endswith("by its UUID ('pl_…') or its external id")


def test_plans_and_countries_keep_the_order_of_a_generator() -> None:
    made = query(plans=(name for name in ["B", "A"]), geo=iter(["US", "DE"]))
    assert (made.params["plans"], made.params["geo"]) == ("B,A", "US,DE")


# --- filters -------------------------------------------------------------------------------------------------


def test_a_filter_string_equals_the_same_filter_built_with_cfl() -> None:
    built = cfl.where("region").any("US", "DE") & cfl.where("mrr").gt(150)
    assert query(filters=built) == query(filters="region~ANY~'US','DE'~AND~mrr~GT~150")
    assert type(query(filters=built).filters) is str


@pytest.mark.parametrize("filters", ["", "  ", "mrr>1000", "mrr", 5, cfl.where("mrr")], ids=str)
def test_a_value_that_is_not_a_filter_gets_an_example(filters: Any) -> None:
    message = message_for(filters=filters)
    example = "region~ANY~'US','DE'"
    assert message == f'filters must be a CFL string such as "{example}" or be built with cfl, not {filters!r}'


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
    st.none() | st.lists(st.sampled_from([*sorted(COUNTRIES), "us", "De"]), min_size=1, max_size=3),
    st.none() | st.lists(texts, min_size=1, max_size=3),
    st.none() | st.sampled_from(["mrr~GT~0", "region~ANY~'US'"]),
)


@given(queries)
@settings(max_examples=60)
def test_an_unpickled_query_equals_the_original(made: MetricQuery) -> None:
    twin = pickle.loads(pickle.dumps(made))
    assert twin == made
    assert hash(twin) == hash(made)
    assert twin.params == made.params
    assert all(type(text) is str for text in [*made.params, *made.params.values()])


def test_a_pickle_names_the_package_and_not_the_module() -> None:
    """A pickle survives a move of the module inside the package."""
    pickled = pickle.dumps(query(geo="US"), protocol=0)
    assert b"chartmogul_async" in pickled
    assert b"metrics.query" not in pickled


def test_type_hints_can_be_resolved() -> None:
    hints = get_type_hints(MetricQuery)
    assert hints["metric"] == MetricName
    assert hints["start_date"] is date
    assert hints["filters"] == str | None
    assert get_type_hints(MetricQuery.__init__)["filters"] == str | cfl.Filter | None
    assert get_type_hints(MetricQuery.__init__)["start_date"] == str | date | Period


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
def test_queries_differ_if_one_argument_differs(other: MetricQuery) -> None:
    assert other != query()
    assert len({other, query(), query()}) == 2


def test_a_query_is_frozen() -> None:
    made = query()
    for name in ("metric", "interval", "geo"):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(made, name, "day")
    assert type(made).__dictoffset__ == 0


def test_the_repr_of_a_query_shows_its_arguments() -> None:
    shown = repr(query(geo="US"))
    assert re.match(r"MetricQuery\(metric='mrr', start_date=datetime.date\(2023, 7, 1\), end_date=", shown)
    assert "geo=('US',)" in shown


def test_evolve_makes_a_query_with_other_arguments() -> None:
    made = query(plans=["Silver"], filters="mrr~GT~1")
    # mypy does not know which of the overloads to look at.
    weekly = attrs.evolve(made, interval="week")  # type: ignore[misc]
    assert weekly == query(plans=["Silver"], filters="mrr~GT~1", interval="week")
    assert attrs.evolve(query(), geo="US").geo == ("US",)  # type: ignore[misc]


class Word(str, Enum):  # noqa: UP042 - the form before StrEnum
    MONTH = "month"
    MRR = "mrr"
    US = "US"


def test_members_of_an_enum_are_sent_as_plain_strings() -> None:
    made = MetricQuery(Word.MRR, "2023-07-01", "2023-08-31", interval=Word.MONTH, geo=[Word.US])  # type: ignore[call-overload]
    assert [type(value) for value in made.params.values()] == [str] * 4
    assert [str(value) for value in made.params.values()] == ["2023-07-01", "2023-08-31", "month", "US"]


@pytest.mark.parametrize("filters", ["region~ANY~%27US%27", "plan~ANY~pl_1%2Cpl_2", "mrr%7EGT%7E1~AND~mrr~LT~5"])
def test_percent_encoded_filters_are_refused(filters: str) -> None:
    message = message_for(filters=filters)
    assert message == f"filters must not be percent-encoded: pass urllib.parse.unquote(filters), not {filters!r}"


def test_a_percent_sign_in_a_quoted_value_is_accepted() -> None:
    assert query(filters="custom.code~ANY~'%27'").filters == "custom.code~ANY~'%27'"


@pytest.mark.parametrize("filters", [["mrr~GT~1"], b"mrr~GT~1", 5])
def test_filters_of_another_type_are_refused(filters: Any) -> None:
    assert "filters must be a CFL string such as" in message_for(filters=filters)
