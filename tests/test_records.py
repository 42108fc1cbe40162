"""The records: frozen values with units, and a series of them."""

from __future__ import annotations

import pickle
import pickletools
import re
import types
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import pytest

import chartmogul_async
from chartmogul_async import MetricQuery
from chartmogul_async.errors import ArgumentError
from chartmogul_async.metrics.records import (
    ARPAEntry,
    ARREntry,
    ASPEntry,
    CustomerChurnRateEntry,
    CustomerCountEntry,
    KeyMetricsEntry,
    KeyMetricsResponse,
    KeyMetricsSummary,
    LTVEntry,
    MetricResponse,
    MRRChurnRateEntry,
    MRREntry,
    Summary,
)
from chartmogul_async.metrics.series import Series
from chartmogul_async.resources.account import Account
from chartmogul_async.resources.customers import Address, BetaActivity, BetaSubscription, Customer, CustomerAttributes

DAY = date(2023, 7, 31)
ENTRIES: list[type] = [
    MRREntry,
    ARREntry,
    ARPAEntry,
    ASPEntry,
    CustomerCountEntry,
    CustomerChurnRateEntry,
    MRRChurnRateEntry,
    LTVEntry,
    KeyMetricsEntry,
]
RECORDS: list[type] = [*ENTRIES, Summary, KeyMetricsSummary]
OTHERS: list[type] = [Account, Customer, Address, CustomerAttributes, BetaSubscription, BetaActivity]

UNITS = {
    "mrr": ("cents", "stock"),
    "arr": ("cents", "stock"),
    "arpa": ("cents", "average"),
    "ltv": ("cents", "average"),
    "asp": ("cents", "average"),
    "mrr_new_business": ("cents", "flow"),
    "mrr_expansion": ("cents", "flow"),
    "mrr_contraction": ("cents", "flow"),
    "mrr_churn": ("cents", "flow"),
    "mrr_reactivation": ("cents", "flow"),
    "customers": ("count", "stock"),
    "customer_churn_rate": ("percent", "rate"),
    "mrr_churn_rate": ("percent", "rate"),
    "percentage_change": ("percent", "rate"),
}


def numbers_of(kind: Any) -> set[type]:
    """The types of number that a field may contain."""
    members = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    return {member for member in members if member in (int, float)}


def example(cls: type, number: int = 7) -> Any:
    """A record with a number in every numeric field and a plain value in the others."""
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in attrs.fields(cls):
        kind = hints[field.name]
        if numbers := numbers_of(kind):
            values[field.name] = number if int in numbers else number / 4
        elif kind is date:
            values[field.name] = DAY
        elif get_origin(kind) is Literal:
            values[field.name] = get_args(kind)[0]
        elif str in (kind, *get_args(kind)) and get_origin(kind) is not tuple:
            values[field.name] = f"{field.name} {number}"
    return cls(**values)


numeric_fields = [
    pytest.param(cls, field.name, id=f"{cls.__name__}.{field.name}")
    for cls in RECORDS
    for field in attrs.fields(cls)
    if numbers_of(get_type_hints(cls)[field.name])
]


def test_the_number_of_fields_matches_the_documents() -> None:
    counted = {cls: sum(param.values[0] is cls for param in numeric_fields) for cls in RECORDS}
    assert counted[MRREntry] == 7
    assert counted[KeyMetricsEntry] == 16
    assert counted[KeyMetricsSummary] == 24
    assert counted[Summary] == 3
    assert all(counted[cls] == 2 for cls in ENTRIES if cls not in (MRREntry, KeyMetricsEntry))


# ``current`` and ``previous`` of a summary are in the unit of the metric, which the class does not know.
with_a_unit = [param for param in numeric_fields if param.values[0] is not Summary or "change" in str(param.values[1])]


@pytest.mark.parametrize(("cls", "name"), with_a_unit)
def test_every_number_has_a_unit_and_a_kind(cls: type, name: str) -> None:
    metadata = attrs.fields_dict(cls)[name].metadata
    key = name.removeprefix("current_").removeprefix("previous_")
    key = "percentage_change" if key.endswith("percentage_change") else key
    assert (metadata["unit"], metadata["kind"]) == UNITS[key]


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
def test_the_unit_determines_the_types_of_a_number(cls: type) -> None:
    hints = get_type_hints(cls)
    for field in attrs.fields(cls):
        unit = field.metadata.get("unit")
        if unit is not None:
            expected = {"cents": {int, float}, "count": {int}, "percent": {float}}[unit]
            assert numbers_of(hints[field.name]) == expected, field.name


@pytest.mark.parametrize("cls", ENTRIES, ids=lambda cls: cls.__name__)
def test_every_entry_has_its_date_first(cls: type) -> None:
    assert attrs.fields(cls)[0].name == "date"
    assert get_type_hints(cls)["date"] is date


@pytest.mark.parametrize("cls", RECORDS + OTHERS, ids=lambda cls: cls.__name__)
def test_records_are_frozen_slotted_comparable_hashable_values(cls: type) -> None:
    record = example(cls)
    twin, other = example(cls), example(cls, 8)
    assert record == twin
    assert hash(record) == hash(twin)
    assert {record, twin} == {record}
    # CustomerAttributes has neither numbers nor texts, so its two examples are equal.
    if cls is not CustomerAttributes:
        assert record != other
    assert type(record).__dictoffset__ == 0
    for field in attrs.fields(cls):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(record, field.name, None)


@pytest.mark.parametrize("cls", RECORDS + OTHERS, ids=lambda cls: cls.__name__)
def test_records_can_be_pickled(cls: type) -> None:
    record = example(cls)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        twin = pickle.loads(pickle.dumps(record, protocol))
        assert twin == record
        assert hash(twin) == hash(record)


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
def test_a_pickle_names_the_public_address(cls: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle survives a move of the record's file, and loads where the record was not used before."""
    record = example(cls)
    content = pickle.dumps(record)
    assert_names_only_the_package(content)
    monkeypatch.delitem(vars(chartmogul_async), cls.__name__, raising=False)
    assert pickle.loads(content) == record


def assert_names_only_the_package(content: bytes) -> None:
    """The only module of a pickle that contains records is the package itself."""
    texts = {str(text) for _, text, _ in pickletools.genops(content)}
    # A mark of documents has a slash.
    modules = {text for text in texts if text.startswith("chartmogul_async") and "/" not in text}
    assert modules - {"chartmogul_async.metrics.query"} == {"chartmogul_async"}


@pytest.mark.parametrize("cls", [*RECORDS, Series], ids=lambda cls: cls.__name__)
def test_a_record_has_its_public_address(cls: type) -> None:
    assert cls.__module__ == "chartmogul_async"
    assert getattr(chartmogul_async, cls.__name__) is cls


@pytest.mark.parametrize("cls", [*RECORDS, MetricResponse, Series], ids=lambda cls: cls.__name__)
def test_annotations_are_types(cls: type) -> None:
    """``get_type_hints`` needs no names that the top of the package does not have, and gives what attrs has."""
    hints = get_type_hints(cls)
    for field in attrs.fields(cls):
        assert not isinstance(field.type, str)
        assert hints[field.name] == field.type


def test_annotations_by_hand() -> None:
    assert get_type_hints(ARREntry) == {"date": date, "arr": int | float, "percentage_change": float | None}
    assert get_origin(get_type_hints(Series)["query"]) is MetricQuery
    assert get_type_hints(KeyMetricsResponse)["summary"] == KeyMetricsSummary | None


@pytest.mark.parametrize("cls", RECORDS + OTHERS, ids=lambda cls: cls.__name__)
def test_every_record_can_be_evolved(cls: type) -> None:
    record = example(cls)
    assert attrs.evolve(record) == record


def test_records_of_two_metrics_are_never_equal() -> None:
    arr: object = ARREntry(DAY, 1)
    assert arr != ARPAEntry(DAY, 1)


def test_customer_attributes_compare_fully_and_are_hashable() -> None:
    one, two = CustomerAttributes(custom={"seats": 1}), CustomerAttributes(custom={"seats": 2})
    assert one != two
    assert len({one, two, CustomerAttributes(custom={"seats": 1})}) == 2


# --- series --------------------------------------------------------------------------------------------------


QUERY = MetricQuery("arr", "2023-05-01", "2023-07-31")
FIRST, SECOND, THIRD = (ARREntry(date(2023, month, 28), month * 100, 0.5) for month in (5, 6, 7))
SUMMARY = Summary(700, 600, 16.67)
SERIES = Series((FIRST, SECOND, THIRD), SUMMARY, QUERY)


def test_a_series_behaves_like_its_entries() -> None:
    """It is not a ``Sequence``: data frames would look no further, and take its entries for objects."""
    assert not isinstance(SERIES, Sequence)
    assert len(SERIES) == 3
    assert list(SERIES) == [FIRST, SECOND, THIRD]
    assert list(reversed(SERIES)) == [THIRD, SECOND, FIRST]
    assert SECOND in SERIES
    assert ARREntry(DAY, 1) not in SERIES
    assert "entry" not in SERIES
    assert list(Series((), SUMMARY, QUERY)) == []
    with pytest.raises(TypeError):
        dict(SERIES)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    with pytest.raises(TypeError):
        dict(Series((), SUMMARY, QUERY))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_a_series_is_indexed_and_sliced_like_a_tuple() -> None:
    assert (SERIES[0], SERIES[-1], SERIES[-3]) == (FIRST, THIRD, FIRST)
    assert SERIES[1:] == (SECOND, THIRD)
    assert SERIES[::-2] == (THIRD, FIRST)
    assert SERIES[5:] == ()
    first, *rest = SERIES
    assert (first, rest) == (FIRST, [SECOND, THIRD])


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_beyond_the_end_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError):
        SERIES[index]


@pytest.mark.parametrize("day", ["2023-06-28", date(2023, 6, 28), datetime(2023, 6, 28, 12)])
def test_a_date_is_an_index(day: Any) -> None:
    assert SERIES[day] is SECOND


def test_a_date_without_an_entry_is_a_key_error() -> None:
    message = (
        "no entry is dated 2023-06-29, but there are some from 2023-05-28 to 2023-07-28; an entry is dated by the last "
        "day of its interval"
    )
    with pytest.raises(KeyError, match=re.escape(message)):
        SERIES["2023-06-29"]
    with pytest.raises(KeyError, match="no entry is dated 2023-06-30; an"):
        Series((), SUMMARY, QUERY)["2023-06-30"]
    with pytest.raises(ArgumentError, match=r"the date must be a date, .*, not '0'"):
        SERIES["0"]
    with pytest.raises(ArgumentError, match=r"not '2023-06'; an entry is dated by the last day of its interval$"):
        SERIES["2023-06"]


def test_a_column_has_one_value_for_each_entry() -> None:
    assert SERIES.column("date") == tuple(entry.date for entry in SERIES)
    assert SERIES.column("arr") == tuple(entry.arr for entry in SERIES)
    assert Series((), SUMMARY, QUERY).column("arr") == ()
    assert Series((), None, MetricQuery("all", "2023")).column("ltv") == ()
    for empty in ((), SERIES.entries):
        with pytest.raises(ArgumentError, match="name must be one of date, arr, percentage_change, not 'mrr'"):
            Series(empty, SUMMARY, QUERY).column("mrr")


@pytest.mark.parametrize("index", [None, 0.0])
def test_an_index_that_is_not_an_integer_is_a_type_error(index: Any) -> None:
    with pytest.raises(TypeError):
        SERIES[index]


def test_an_empty_series_is_false() -> None:
    assert not Series((), SUMMARY, QUERY)
    assert SERIES


def test_a_series_is_a_frozen_hashable_value() -> None:
    twin = Series((FIRST, SECOND, THIRD), Summary(700, 600, 16.67), MetricQuery("arr", "2023-05-01", "2023-07-31"))
    assert twin == SERIES
    assert hash(twin) == hash(SERIES)
    assert Series((FIRST,), SUMMARY, QUERY) != SERIES
    assert Series(SERIES.entries, Summary(700, 600, 0.0), QUERY) != SERIES
    assert Series(SERIES.entries, SUMMARY, MetricQuery("arr", "2023-05-01", "2023-07-30")) != SERIES
    assert type(SERIES).__dictoffset__ == 0
    for name in ("entries", "summary", "query"):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(SERIES, name, ())


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_series_can_be_pickled(protocol: int) -> None:
    content = pickle.dumps(SERIES, protocol)
    twin = pickle.loads(content)
    assert twin == SERIES
    assert hash(twin) == hash(SERIES)
    assert b"metrics.records" not in content


def test_a_pickled_series_names_the_public_address() -> None:
    assert_names_only_the_package(pickle.dumps(SERIES))


def test_responses_are_hashable_values() -> None:
    response = MetricResponse((FIRST,), SUMMARY)
    assert pickle.loads(pickle.dumps(response)) == response
    assert KeyMetricsResponse(()).summary is None
    assert hash(KeyMetricsResponse(())) == hash(KeyMetricsResponse(()))
