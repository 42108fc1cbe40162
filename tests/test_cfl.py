"""The filter language: what is written, what is quoted, and what cannot be said in it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from chartmogul_async import cfl
from chartmogul_async.cfl import Filter, where
from chartmogul_async.errors import UsageError


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (where("region").any("US", "FR", "DE"), "region~ANY~'US','FR','DE'"),
        (where("tags").all("vip", "beta user"), "tags~ALL~'vip','beta user'"),
        (where("currency").none("USD"), "currency~NONE~'USD'"),
        (where("mrr").eq(0), "mrr~EQ~0"),
        (where("mrr").not_eq(-1), "mrr~NOT_EQ~-1"),
        (where("mrr").gt(150), "mrr~GT~150"),
        (where("mrr").gte(150.5), "mrr~GTE~150.5"),
        (where("mrr").lt(150), "mrr~LT~150"),
        (where("mrr").lte(150), "mrr~LTE~150"),
        (where("active_quantity").between(0, 11), "active_quantity~BETWEEN~0,11"),
        (where("custom.channel").contains("Face"), "custom.channel~CONTAINS~'Face'"),
        (where("custom.channel").not_contains("Face"), "custom.channel~NOT_CONTAINS~'Face'"),
    ],
    ids=str,
)
def test_every_operator_is_written_as_the_api_documents_it(built: Filter, text: str) -> None:
    assert str(built) == text


def test_the_example_of_the_documentation_is_written_letter_by_letter() -> None:
    built = where("region").any("US", "FR", "DE") & where("mrr").gt(150)
    assert str(built) == "region~ANY~'US','FR','DE'~AND~mrr~GT~150"


def test_three_conditions_join_in_the_order_in_which_they_stand() -> None:
    one, two, three = (where("mrr").eq(number) for number in (1, 2, 3))
    assert str(one & two & three) == "mrr~EQ~1~AND~mrr~EQ~2~AND~mrr~EQ~3"
    assert one & (two & three) == (one & two) & three


@pytest.mark.parametrize(
    "bare",
    ["pl_5ee8bf93-b0b4-4722-8a17-6b624a3af072", "plg_7bde5dae-fdad-4b9e-a7a0-2ba6dc9d0cd5", "ds_c148"],
)
def test_an_identifier_with_a_prefix_stays_bare(bare: str) -> None:
    assert str(where("plan").any(bare)) == f"plan~ANY~{bare}"


@pytest.mark.parametrize(
    "quoted", ["Gold, yearly", "pl_ with blanks", "100% Pure", "Ünïcödé 日本", "plan_5", "7", "a=b&c"]
)
def test_any_other_text_is_quoted_and_left_as_it_is(quoted: str) -> None:
    assert str(where("plan").any(quoted)) == f"plan~ANY~'{quoted}'"


@pytest.mark.parametrize("name", ["mrr", "plan_group", "custom.Channel of 2024", "custom.plan-type", "custom.a.b"])
def test_whatever_filter_the_api_may_offer_can_be_named(name: str) -> None:
    assert str(where(name).eq(1)) == f"{name}~EQ~1"


@pytest.mark.parametrize("name", ["", "MRR", "m r r", "mrr~GT~1", "custom.", "custom.a~b", ".channel", "mrr ", "1st"])
def test_what_is_no_name_is_refused_with_an_example_of_one(name: str) -> None:
    with pytest.raises(
        UsageError, match=r"is not a filter name; one looks like 'region' or 'custom\.channel'"
    ) as refused:
        where(name)
    assert repr(name) in str(refused.value)


@pytest.mark.parametrize("value", ["a~b", "it's", "~", "'"])
def test_the_signs_of_the_language_are_refused_inside_a_text(value: str) -> None:
    with pytest.raises(UsageError, match="keeps ~ and ' to itself") as refused:
        where("tags").any("fine", value)
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize("value", [True, False, None, b"US", ["US"], ("US",), {"US"}, object])
def test_a_value_that_is_neither_text_nor_number_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="a value is a string or a number"):
        where("region").any(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match="a number is finite"):
        where("mrr").between(0, value)


@pytest.mark.parametrize("method", [where("region").any, where("region").all, where("region").none])
def test_a_set_of_nothing_is_refused(method: Callable[[], Filter]) -> None:
    with pytest.raises(UsageError, match=r"region (ANY|ALL|NONE) needs at least one value"):
        method()


def test_filters_and_fields_are_values() -> None:
    built = where("region").any("US")
    assert built == Filter("region~ANY~'US'")
    assert {built, where("region").any("US")} == {built}
    assert pickle.loads(pickle.dumps(built)) == built
    assert pickle.loads(pickle.dumps(where("mrr"))) == where("mrr")


def test_one_field_can_begin_many_filters() -> None:
    mrr = where("mrr")
    assert str(mrr.gte(1) & mrr.lt(9)) == "mrr~GTE~1~AND~mrr~LT~9"


def test_the_example_at_the_top_of_the_module_is_true() -> None:
    assert cfl.__doc__ is not None
    built = cfl.where("region").any("US", "DE") & cfl.where("mrr").gt(150)
    assert f"# {built}" in cfl.__doc__


@pytest.mark.parametrize(("number", "written"), [(1e21, "1000000000000000000000"), (0.00001, "0.00001"), (1.5, "1.5")])
def test_numbers_are_written_without_an_exponent(number: float, written: str) -> None:
    assert str(cfl.where("mrr").gt(number)) == f"mrr~GT~{written}"


def test_a_filter_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match="5 is not a filter name"):
        cfl.where(5)  # type: ignore[arg-type]
