"""The compiled loop makes the same records as the general way, and hands it whatever is unusual."""

from __future__ import annotations

import pickle
from datetime import date
from typing import Any

import attrs
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async.bulk import EXACT_BELOW, bulk_structurer
from chartmogul_async.metrics.records import KeyMetricsEntry, MRREntry
from chartmogul_async.structuring import structure

MRR: dict[str, Any] = {
    "date": "2023-07-31",
    "mrr": 363819722,
    "percentage-change": 0.5,
    "mrr-new-business": 1,
    "mrr-expansion": 2,
    "mrr-contraction": -3,
    "mrr-churn": -4,
    "mrr-reactivation": 0,
}


def structurer_of_mrr(unusual: list[Any]) -> Any:
    def exact(value: Any, _: Any) -> Any:
        unusual.append(value)
        return "unusual"

    attrs.resolve_types(MRREntry)
    return bulk_structurer(MRREntry, list(MRR), exact)


def test_the_usual_is_filled_in_by_the_loop() -> None:
    unusual: list[Any] = []
    (record,) = structurer_of_mrr(unusual)([MRR])
    assert record == MRREntry(date(2023, 7, 31), 363819722, 0.5, 1, 2, -3, -4, 0)
    assert type(record) is MRREntry
    assert unusual == []
    assert pickle.loads(pickle.dumps(record)) == record
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.mrr = 1  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    "changed",
    [
        {"mrr": 1.5},
        {"mrr": True},
        {"mrr": None},
        {"mrr": "1"},
        {"percentage-change": 1},
        {"percentage-change": None},
        {"percentage-change": float("nan")},
        {"percentage-change": float("inf")},
        {"percentage-change": -float(EXACT_BELOW)},
        {"date": "20230731"},
        {"date": "2023-W31-1"},
        {"date": "2023-07-32"},
        {"date": "2023-07-31T00:00:00"},
        {"date": 20230731},
        {"date": ["2", "0", "2", "3", "-", "0", "7", "-", "3", "1"]},
    ],
    ids=str,
)
def test_anything_unusual_goes_the_exact_way_alone(changed: dict[str, Any]) -> None:
    unusual: list[Any] = []
    entry = MRR | changed
    records = structurer_of_mrr(unusual)([MRR, entry, MRR])
    assert [type(record) for record in records] == [MRREntry, str, MRREntry]
    assert unusual == [entry]


@pytest.mark.parametrize("entry", [{}, [], None, "2023-07-31", {"date": "2023-07-31"}])
def test_what_is_no_whole_object_goes_the_exact_way(entry: Any) -> None:
    unusual: list[Any] = []
    assert structurer_of_mrr(unusual)([entry]) == ["unusual"]
    assert unusual == [entry]


def test_what_the_exact_way_raises_comes_out() -> None:
    def refuse(value: Any, _: Any) -> Any:
        raise TypeError("expected object")

    with pytest.raises(TypeError, match="expected object"):
        bulk_structurer(MRREntry, list(MRR), refuse)([None])  # type: ignore[misc]  # it is a function here


numbers = st.integers() | st.floats() | st.none() | st.booleans()
entries = st.fixed_dictionaries(
    {"date": st.dates().map(date.isoformat)} | {key: numbers for key in MRR if key != "date"}
)


@given(entries)
def test_the_loop_and_the_general_way_agree(entry: dict[str, Any]) -> None:
    from chartmogul_async.errors import DecodeError

    def general(value: Any, _: Any) -> Any:
        try:
            return structure(value, MRREntry)
        except DecodeError as error:
            return error.problems

    (record,) = bulk_structurer(MRREntry, list(MRR), general)([entry])  # type: ignore[misc]  # a function
    assert repr(record) == repr(general(entry, None))


def test_only_flat_records_without_weak_references_are_filled_in_bulk() -> None:
    @frozen(weakref_slot=False)
    class Nested:
        inner: MRREntry

    @frozen
    class Referable:
        number: int

    @frozen(slots=False)
    class Open:
        number: int

    for cls in (Nested, Referable, Open):
        attrs.resolve_types(cls, globals(), locals())
        keys = [field.name for field in attrs.fields(cls)]
        assert bulk_structurer(cls, keys, lambda value, _: value) is None
    attrs.resolve_types(KeyMetricsEntry)
    keys = [field.name for field in attrs.fields(KeyMetricsEntry)]
    assert bulk_structurer(KeyMetricsEntry, keys, lambda value, _: value) is not None
