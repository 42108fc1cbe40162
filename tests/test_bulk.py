"""The compiled loop makes the same records as the general structurer, and passes unusual values to it."""

from __future__ import annotations

import gc
import linecache
import pickle
import sys
import traceback
from collections.abc import Callable
from datetime import date
from functools import partial
from types import FrameType
from typing import Any

import attrs
import pytest
from attrs import field, frozen, validators
from hypothesis import given
from hypothesis import strategies as st

from chartmogul_async.errors import DecodeError
from chartmogul_async.metrics.records import KeyMetricsEntry, MetricResponse, MRREntry, Summary
from chartmogul_async.structuring import bulk, converter
from chartmogul_async.structuring.bulk import EXACT_BELOW, Exact, Structurer, bulk_structurer
from chartmogul_async.structuring.bulk import _writable as writable_class
from chartmogul_async.structuring.converter import structure

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


def loop_of_mrr() -> Structurer:
    attrs.resolve_types(MRREntry)
    structure = bulk_structurer(MRREntry, list(MRR))
    assert structure is not None
    return structure


class AnotherDate(date):
    """What tests that freeze the day put in the place of ``date``."""


def test_a_frozen_day_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "date", AnotherDate)
    monkeypatch.setattr(converter, "date", AnotherDate)
    (entry,) = structurer_of_mrr([])([MRR])
    exact = structure(MRR, MRREntry)
    for day in (entry.date, exact.date):
        assert (type(day), day) == (date, date(2023, 7, 31))


def structurer_of_mrr(unusual: list[Any]) -> Any:
    def exact(value: Any, _: Any) -> Any:
        unusual.append(value)
        return "unusual"

    return partial(_structured, loop_of_mrr(), exact)


def _structured(structure: Structurer, exact: Exact, objects: list[Any]) -> list[Any]:
    structured = objects.copy()
    structure(structured, exact)
    return structured


def test_usual_values_are_structured_by_the_loop() -> None:
    unusual: list[Any] = []
    (record,) = structurer_of_mrr(unusual)([MRR])
    assert record == MRREntry(date(2023, 7, 31), 363819722, 0.5, 1, 2, -3, -4, 0)
    assert type(record) is MRREntry
    assert unusual == []
    assert pickle.loads(pickle.dumps(record)) == record
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.mrr = 1  # type: ignore[misc]  # the record is frozen


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
        {"date": "1712102400"},
        {"date": "2023-W31-1"},
        {"date": "2023W31-11"},
        {"date": "2023073-11"},
        {"date": "2023-07-32"},
        {"date": "2023-07-31T00:00:00"},
        {"date": 20230731},
        {"date": ["2", "0", "2", "3", "-", "0", "7", "-", "3", "1"]},
    ],
    ids=str,
)
def test_only_the_unusual_object_goes_to_the_exact_structurer(changed: dict[str, Any]) -> None:
    unusual: list[Any] = []
    entry = MRR | changed
    records = structurer_of_mrr(unusual)([MRR, entry, MRR])
    assert [type(record) for record in records] == [MRREntry, str, MRREntry]
    assert unusual == [entry]


@pytest.mark.parametrize("entry", [{}, [], None, "2023-07-31", {"date": "2023-07-31"}])
def test_incomplete_objects_go_to_the_exact_structurer(entry: Any) -> None:
    unusual: list[Any] = []
    assert structurer_of_mrr(unusual)([entry]) == ["unusual"]
    assert unusual == [entry]


def test_errors_of_the_exact_structurer_propagate() -> None:
    def refuse(value: Any, _: Any) -> Any:
        raise TypeError("expected object")

    with pytest.raises(TypeError, match="expected object"):
        loop_of_mrr()([None], refuse)


def test_a_traceback_shows_the_line_of_the_loop() -> None:
    def refuse(value: Any, _: Any) -> Any:
        raise TypeError("expected object")

    with pytest.raises(TypeError) as refused:
        loop_of_mrr()([MRR, None], refuse)
    text = "".join(traceback.format_exception(refused.value))
    assert 'File "<chartmogul_async bulk structurer of MRREntry>", line ' in text
    assert "    record = exact(each, index)\n" in text
    # The value that the loop did not accept is in the chained exception.
    assert "    value = each['date']\n" in text
    # Debuggers print lines as they are.
    lines = linecache.getlines("<chartmogul_async bulk structurer of MRREntry>")
    assert all(line.endswith("\n") for line in lines)


numbers = st.integers() | st.floats() | st.none() | st.booleans()
entries = st.fixed_dictionaries(
    {"date": st.dates().map(date.isoformat)} | {key: numbers for key in MRR if key != "date"}
)


@given(entries)
def test_the_loop_and_the_general_structurer_agree(entry: dict[str, Any]) -> None:
    def general(value: Any, _: Any) -> Any:
        try:
            return structure(value, MRREntry)
        except DecodeError as error:
            return error.problems

    (record,) = _structured(loop_of_mrr(), general, [entry])
    assert repr(record) == repr(general(entry, None))


@given(st.text("0123456789-W", min_size=10, max_size=10))
def test_no_other_ten_characters_are_a_date(day: str) -> None:
    (record,) = structurer_of_mrr([])([MRR | {"date": day}])
    assert record == "unusual" or record.date.isoformat() == day


@frozen
class Nested:
    inner: MRREntry


@frozen
class Converted:
    number: int = field(converter=int)


@frozen
class Validated:
    number: int = field(validator=validators.gt(0))


@frozen
class Derived:
    number: int = field(init=False, default=7)


@frozen
class Completed:
    number: int

    def __attrs_post_init__(self) -> None:
        raise ValueError


@frozen(weakref_slot=False)
class Small:
    number: int


@frozen
class Referable:
    number: int


@frozen(slots=False)
class Open:
    number: int


def structurer_of(cls: type) -> Any:
    attrs.resolve_types(cls, globals())
    structure = bulk_structurer(cls, [field.name for field in attrs.fields(cls)])
    return structure and partial(_structured, structure, lambda value, _: "unusual")


@pytest.mark.parametrize("cls", [Nested, Converted, Validated, Derived, Completed])
def test_only_flat_records_are_structured_in_bulk(cls: type) -> None:
    """The loop assigns numbers and dates; it would skip whatever else a class does with its fields."""
    assert structurer_of(cls) is None


@pytest.mark.parametrize("cls", [Small, Referable, Open])
def test_every_layout_is_structured_in_bulk(cls: Any) -> None:
    (record,) = structurer_of(cls)([{"number": 1}])
    assert type(record) is cls
    assert record == cls(1)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.number = 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del record.number


def test_key_metrics_are_structured_in_bulk() -> None:
    assert structurer_of(KeyMetricsEntry) is not None


def calls_in(function: Callable[[], object]) -> int:
    """How many functions written in Python a call of one calls."""
    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call"

    # What somebody has the garbage collector call would be counted, too.
    gc.disable()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


def test_more_entries_take_no_more_calls() -> None:
    """A response is structured by the loop, which calls nothing for an entry; cattrs calls several functions."""
    summary = {"current": 1, "previous": 1, "percentage-change": 0.5}

    def calls_for(number: int) -> int:
        response = {"entries": [MRR] * number, "summary": summary}
        return calls_in(lambda: structure(response, MetricResponse[MRREntry, Summary]))

    # The first one compiles the loop.
    calls_for(1)
    assert calls_for(500) == calls_for(10) > 0


def test_fields_are_assigned_on_the_fast_path() -> None:
    """CPython has one slot for assigning and deleting: with the ``__delattr__`` of a frozen class decoding took twice
    as long.
    """
    cls: Any = writable_class(MRREntry)
    assert cls.__setattr__ is object.__setattr__
    assert cls.__delattr__ is object.__delattr__
