"""The filter language: its operators, what is quoted, and which values are refused."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Callable
from enum import Enum
from typing import Any

import attrs
import pytest

from chartmogul_async import cfl
from chartmogul_async.cfl import Filter, where
from chartmogul_async.errors import ArgumentError


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
def test_every_operator_is_written_as_documented(built: Filter, text: str) -> None:
    assert str(built) == text


def test_the_documented_example_is_written_exactly() -> None:
    built = where("region").any("US", "FR", "DE") & where("mrr").gt(150)
    assert str(built) == "region~ANY~'US','FR','DE'~AND~mrr~GT~150"


@pytest.mark.parametrize(
    ("compared", "called"),
    [
        (where("currency") == "USD", where("currency").eq("USD")),
        (where("currency") != "USD", where("currency").not_eq("USD")),
        (where("mrr") > 150, where("mrr").gt(150)),
        (where("mrr") >= 150.5, where("mrr").gte(150.5)),
        (where("mrr") < 150, where("mrr").lt(150)),
        (where("mrr") <= 150, where("mrr").lte(150)),
        (operator.lt(150, where("mrr")), where("mrr").gt(150)),
        (operator.ge(150, where("mrr")), where("mrr").lte(150)),
        (operator.eq("USD", where("currency")), where("currency").eq("USD")),
        (operator.ne("USD", where("currency")), where("currency").not_eq("USD")),
    ],
    ids=str,
)
def test_a_comparison_does_the_same_as_its_method(compared: Filter, called: Filter) -> None:
    assert isinstance(compared, Filter)
    assert compared == called


@pytest.mark.parametrize("value", [None, True, ["US"], where("mrr")], ids=repr)
def test_a_comparison_refuses_what_its_method_refuses(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^value must be a string or a number, not "):
        _ = where("region") == value
    with pytest.raises(ArgumentError, match=r"^value must be a string or a number, not "):
        _ = where("region") != value


def untyped(name: str) -> Any:
    """A field whose misuse no type checker notices."""
    return where(name)


US, PAYING = untyped("region").any("US"), untyped("mrr").gt(50)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: US and PAYING,
        lambda: US or PAYING,
        lambda: not US,
        lambda: 1 if US else 2,
        lambda: all([US, PAYING]),
        lambda: 0 < untyped("mrr") < 50,
        lambda: "US" in [untyped("region"), untyped("country")],
        lambda: untyped("mrr") and US,
        lambda: not untyped("mrr"),
    ],
    ids=["and", "or", "not", "if", "all", "chained", "in", "field and", "not field"],
)
def test_a_filter_has_no_truth_value(mistake: Callable[[], object]) -> None:
    """Python would keep one of the two filters, and drop the other silently."""
    with pytest.raises(ArgumentError, match=r"^a filter has no truth value: join conditions with &, because `and`, "):
        mistake()


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: US | PAYING, "filters must be joined with &: CFL has no OR; pass several values to any(), "),
        (lambda: US | "mrr~GT~1", "filters must be joined with &: CFL has no OR; "),
        (lambda: "mrr~GT~1" | US, "filters must be joined with &: CFL has no OR; "),
        (lambda: untyped("mrr") | untyped("arr"), "filters must be joined with &: CFL has no OR; "),
        (lambda: ~US, "a filter must not be negated: CFL has no NOT; use none(), not_eq() or not_contains()"),
        (lambda: ~untyped("mrr"), "a filter must not be negated: CFL has no NOT; "),
    ],
    ids=["filters", "text on the right", "text on the left", "fields", "not filter", "not field"],
)
def test_or_and_not_are_refused_with_alternatives(mistake: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        mistake()
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("other", ["mrr~GT~5", None, 5, untyped("mrr")], ids=repr)
def test_only_filters_are_joined(other: Any) -> None:
    with pytest.raises(ArgumentError) as raised:
        _ = US & other
    assert str(raised.value) == (f'& must join two filters such as cfl.where("mrr").gt(50), not a filter and {other!r}')


@pytest.mark.parametrize("other", ["mrr~GT~5", None, 5], ids=repr)
def test_only_filters_are_joined_from_the_left(other: Any) -> None:
    with pytest.raises(ArgumentError) as raised:
        _ = other & US
    assert str(raised.value) == (f'& must join two filters such as cfl.where("mrr").gt(50), not {other!r} and a filter')


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: untyped("mrr") > 50 & untyped("mrr") < 90,
        lambda: untyped("mrr") & US,
        lambda: untyped("mrr") & untyped("arr"),
    ],
    ids=["precedence", "field and filter", "fields"],
)
def test_a_comparison_without_parentheses_gets_an_example(mistake: Callable[[], object]) -> None:
    """``&`` binds more tightly than comparisons do."""
    with pytest.raises(ArgumentError) as raised:
        mistake()
    assert str(raised.value) == (
        "mrr must be compared before it is joined, and each comparison needs parentheses: "
        '(cfl.where("mrr") > 50) & (...)'
    )


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"], ids=ascii)
def test_a_lone_surrogate_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        where("tags").any("fine", text)
    assert str(raised.value) == f"value must be valid Unicode, without lone surrogates, not {text!r}"
    with pytest.raises(ArgumentError) as raised:
        where(f"custom.{text}")
    assert str(raised.value).startswith("name must be valid Unicode, without lone surrogates, not 'custom.")


def test_conditions_are_joined_in_their_order() -> None:
    one, two, three = (where("mrr").eq(number) for number in (1, 2, 3))
    assert str(one & two & three) == "mrr~EQ~1~AND~mrr~EQ~2~AND~mrr~EQ~3"
    assert one & (two & three) == (one & two) & three


@pytest.mark.parametrize(
    "bare",
    [
        "pl_5ee8bf93-b0b4-4722-8a17-6b624a3af072",
        "plg_7bde5dae-fdad-4b9e-a7a0-2ba6dc9d0cd5",
        "ds_C148f7a2-0e5c-4b0a-9a54-6a9b2c1d3e4f",
    ],
)
def test_an_identifier_with_a_prefix_is_not_quoted(bare: str) -> None:
    assert str(where("plan").any(bare)) == f"plan~ANY~{bare}"


@pytest.mark.parametrize(
    "quoted",
    [
        "Gold, yearly",
        "pl_ with blanks",
        "100% Pure",
        "pl_basic",
        "ds_c148",
        "pl_5ee8bf93-b0b4-4722-8a17-6b624a3af072-old",
        "Ünïcödé 日本",
        "plan_5",
        "7",
        "a=b&c",
    ],
)
def test_any_other_string_is_quoted_unchanged(quoted: str) -> None:
    assert str(where("plan").any(quoted)) == f"plan~ANY~'{quoted}'"


@pytest.mark.parametrize("name", ["mrr", "plan_group", "custom.Channel of 2024", "custom.plan-type", "custom.a.b"])
def test_any_filter_of_the_api_can_be_named(name: str) -> None:
    assert str(where(name).eq(1)) == f"{name}~EQ~1"


@pytest.mark.parametrize("name", ["", "MRR", "m r r", "mrr~GT~1", "custom.", "custom.a~b", ".channel", "mrr ", "1st"])
def test_a_malformed_name_gets_an_example(name: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        where(name)
    assert str(raised.value) == f"name must be a filter name such as 'region' or 'custom.channel', not {name!r}"


@pytest.mark.parametrize("value", ["a~b", "it's", "~", "'"])
def test_reserved_characters_are_refused_in_a_string(value: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        where("tags").any("fine", value)
    assert str(raised.value) == f"value must not contain ~ or ', which CFL reserves, but {value!r} does"


@pytest.mark.parametrize("value", [True, False, None, b"US", ["US"], ("US",), {"US"}, object])
def test_a_value_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError) as raised:
        where("region").any(value)
    assert str(raised.value) == f"value must be a string or a number, not {value!r}"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ArgumentError, match=f"^value must be a finite number, not {value}$"):
        where("mrr").between(0, value)


@pytest.mark.parametrize("method", [where("region").any, where("region").all, where("region").none])
def test_an_empty_set_of_values_is_refused(method: Callable[[], Filter]) -> None:
    with pytest.raises(ArgumentError, match=r"^values of region (ANY|ALL|NONE) must not be empty$"):
        method()


def test_filters_and_fields_are_values() -> None:
    built = where("region").any("US")
    assert built == Filter("region~ANY~'US'")
    assert {built, where("region").any("US")} == {built}
    assert pickle.loads(pickle.dumps(built)) == built
    assert str(pickle.loads(pickle.dumps(where("mrr"))).gt(1)) == "mrr~GT~1"
    mrr = where("mrr")
    assert mrr in {mrr, where("arr")}
    assert {mrr: 1, where("mrr"): 2}[mrr] == 1
    assert repr(mrr) == "Field(name='mrr')"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        mrr.name = "arr"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_one_field_can_begin_many_filters() -> None:
    mrr = where("mrr")
    assert str(mrr.gte(1) & mrr.lt(9)) == "mrr~GTE~1~AND~mrr~LT~9"


def test_the_example_in_the_docstring_is_right() -> None:
    assert cfl.__doc__ is not None
    built = cfl.where("region").any("US", "DE") & cfl.where("mrr").gt(150)
    assert f"# {built}" in cfl.__doc__
    compared = (cfl.where("currency") == "USD") & (cfl.where("mrr") > 150)
    assert f"# {compared}" in cfl.__doc__


@pytest.mark.parametrize(
    ("number", "written"),
    [(1e21, "1000000000000000000000"), (0.00001, "0.00001"), (1.5, "1.5"), (10**400, "1" + "0" * 400)],
)
def test_numbers_are_written_without_an_exponent(number: float, written: str) -> None:
    assert str(cfl.where("mrr").gt(number)) == f"mrr~GT~{written}"


def test_a_filter_name_that_is_not_a_string_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"^name must be a filter name .*, not 5$"):
        cfl.where(5)  # type: ignore[arg-type]


def test_an_integer_of_any_length_is_written() -> None:
    """Python itself refuses to print more than 4,300 digits, and to convert more than 309 into a float."""
    assert str(where("mrr").gt(10**5000)) == "mrr~GT~1" + "0" * 5000


class Word(str, Enum):  # noqa: UP042 - the form before StrEnum
    US = "US"


class Amount(float, Enum):
    HALF = 0.5


class Number(int, Enum):
    ONE = 1


def test_members_of_an_enum_are_written_as_their_values() -> None:
    assert str(where("region").any(Word.US)) == "region~ANY~'US'"
    assert str(where("mrr").between(Amount.HALF, Number.ONE)) == "mrr~BETWEEN~0.5,1"


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(ArgumentError) as raised:
        where("tags").any("~" * 1_000_000)
    assert len(str(raised.value)) < 300
