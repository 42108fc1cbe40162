"""Checks of arguments: what they accept, what their messages contain, and that no value breaks a message."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from enum import Enum, IntEnum

import httpx
import pytest

from chartmogul_async import MetricQuery, checks
from chartmogul_async.errors import ArgumentError, ChartMogulError, UsageError

HUGE = 10**5000


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Table:
    """Like a data frame, whose repr has several lines."""

    def __repr__(self) -> str:
        return "   a  b\n0  1  2"


class Array:
    """Like an array of numpy, a comparison of which has no truth value."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")


class Level(IntEnum):
    ONE = 1


class Color(str, Enum):  # noqa: UP042 - the form before StrEnum
    RED = "red"


def ascii_start(text: str) -> str:
    return ascii(text[0])


def class_name(value: object) -> str:
    return type(value).__name__


# --- shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [0, -1.5, None, True, "", "it's", "a\nb", "\ud800", b"US", ["US", 5], {"a": 1}, date(2023, 7, 1), list, "x" * 190],
    ids=checks.shown,
)
def test_a_short_value_is_shown_by_its_repr(value: object) -> None:
    assert checks.shown(value) == repr(value)


def test_a_datetime_with_its_zone_is_shown_whole() -> None:
    moment = datetime.fromisoformat("2023-07-01T12:30:00-11:00")
    assert checks.shown(moment) == repr(moment)


@pytest.mark.parametrize(
    ("value", "opening", "ending"),
    [
        ("x" * 1_000_000, "'xxx", "xxx'"),
        (b"x" * 1_000_000, "b'xxx", "xxx'"),
        (bytearray(1_000_000), r"bytearray(b'\x00", r"\x00')"),
        ([["x" * 1_000_000] * 1000] * 1000, "[['xxx", "...]"),
        (10**600, "1000", "0000"),
    ],
    ids=["str", "bytes", "bytearray", "list", "int"],
)
def test_a_long_value_is_cut_in_the_middle(value: object, opening: str, ending: str) -> None:
    shown = checks.shown(value)
    assert len(shown) <= 200
    assert "..." in shown
    assert shown.startswith(opening)
    assert shown.endswith(ending)


def test_a_list_that_contains_itself_is_shown() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert checks.shown(endless) == "[[[[...]]]]"


@pytest.mark.parametrize("value", [HUGE, -HUGE], ids=["positive", "negative"])
def test_an_integer_of_too_many_digits_is_shown_by_its_size(value: int) -> None:
    with pytest.raises(ValueError, match="Exceeds the limit"):
        repr(value)
    assert checks.shown(value) == "an integer of 16610 bits"
    assert checks.shown([value]) == "[an integer of 16610 bits]"


def test_a_value_with_a_broken_repr_is_shown_by_its_class() -> None:
    assert checks.shown(Unprintable()).startswith("<Unprintable instance at ")
    # A class that only has the name of a builtin; since 3.14 reprlib is not mistaken about it.
    assert re.match("<int>|<tests.test_checks.int object at ", checks.shown(type("int", (), {})()))


def test_a_repr_of_several_lines_is_shown_on_one() -> None:
    assert checks.shown(Table()) == "   a  b 0  1  2"


# --- numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 40, 2**63 - 1, Level.ONE], ids=["1", "40", "63 bits", "enum"])
def test_a_positive_integer_is_returned(value: int) -> None:
    integer = checks.positive_integer("parallel", value)
    assert (type(integer), integer) == (int, value)


@pytest.mark.parametrize(
    "value", [0, -1, -HUGE, 2**63, HUGE, True, False, 1.0, "1", None, [1], float("nan"), Unprintable()], ids=class_name
)
def test_a_value_that_is_not_a_positive_integer_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError) as raised:
        checks.positive_integer("parallel", value)
    assert str(raised.value) == f"parallel must be a positive integer, not {checks.shown(value)}"


def test_the_message_names_what_else_is_accepted() -> None:
    with pytest.raises(ArgumentError, match=r'^slices must be a positive integer, None or "interval", not 0$'):
        checks.positive_integer("slices", 0, or_else=', None or "interval"')
    with pytest.raises(
        ArgumentError, match=r"^timeout must be a positive number of seconds or an httpx\.Timeout, not 0$"
    ):
        checks.positive_number("timeout", 0, of=" of seconds", or_else=" or an httpx.Timeout")


@pytest.mark.parametrize(
    "value", [1, 0.5, sys.float_info.min, float("inf"), 10**300], ids=["1", "0.5", "min", "inf", "10^300"]
)
def test_a_positive_number_is_returned(value: float) -> None:
    assert checks.positive_number("base", value) is value


@pytest.mark.parametrize(
    "value", [0, 0.0, -0.5, -HUGE, HUGE, True, float("nan"), "1", None, 1j, timedelta(1)], ids=checks.shown
)
def test_a_value_that_is_not_a_positive_number_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError) as raised:
        checks.positive_number("base", value)
    assert str(raised.value) == f"base must be a positive number, not {checks.shown(value)}"


# --- choices and classes -------------------------------------------------------------------------------------


def test_the_choice_itself_is_returned_for_a_member_of_an_enum() -> None:
    assert type(checks.one_of("color", Color.RED, ("red", "blue"))) is str
    assert checks.one_of("color", "blue", ("red", "blue")) == "blue"


@pytest.mark.parametrize("value", ["Red", "", None, b"red", 1, ["red"], Array()], ids=class_name)
def test_a_value_that_is_not_a_choice_lists_the_choices(value: object) -> None:
    with pytest.raises(ArgumentError) as raised:
        checks.one_of("color", value, ("red", "blue"))
    assert str(raised.value) == f"color must be one of red, blue, not {checks.shown(value)}"


def test_an_instance_is_returned() -> None:
    timeout = httpx.Timeout(5)
    assert checks.instance_of("timeout", timeout, httpx.Timeout) is timeout


@pytest.mark.parametrize(
    ("cls", "example", "message"),
    [
        (
            MetricQuery,
            "MetricQuery('mrr', start_date, end_date)",
            "x must be a MetricQuery, such as MetricQuery('mrr', start_date, end_date), not 5",
        ),
        (ArgumentError, "", "x must be an ArgumentError, not 5"),
        (httpx.AsyncBaseTransport, "", f"x must be an {httpx.__name__}.AsyncBaseTransport, not 5"),
        (str, "", "x must be a str, not 5"),
    ],
)
def test_a_value_of_another_class_is_refused(cls: type, example: str, message: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        checks.instance_of("x", 5, cls, example)
    assert str(raised.value) == message


# --- dates and strings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [date(2023, 7, 1), datetime(2023, 7, 1, 23), "2023-07-01", "20230701"], ids=str)
def test_a_calendar_day_is_a_plain_date(value: object) -> None:
    day = checks.calendar_day("start_date", value)
    assert (type(day), day) == (date, date(2023, 7, 1))


@pytest.mark.parametrize("value", ["1712102400", "2023-2-28", "x" * 1_000_000, 5, HUGE, None], ids=class_name)
def test_a_value_that_is_not_a_calendar_day_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError) as raised:
        checks.calendar_day("start_date", value)
    assert str(raised.value) == (
        f"start_date must be a date, a datetime or an ISO string such as '2023-07-01', not {checks.shown(value)}"
    )
    assert raised.value.__cause__ is raised.value.__context__ is None


@pytest.mark.parametrize("day", ["2023-02-29", "2025-02-30", "2025-13-01", "2025-04-00", "0000-01-01"])
def test_a_day_that_does_not_exist_has_the_right_form(day: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        checks.calendar_day("end_date", day, " or a period such as '2023-Q3'", ": a hint")
    assert str(raised.value) == f"end_date must be a day of the calendar, not '{day}', which does not exist"
    assert raised.value.__cause__ is raised.value.__context__ is None


def test_strings_are_a_tuple_of_strings() -> None:
    assert checks.strings("plans", "Gold, yearly", "all plans") == ("Gold, yearly",)
    assert checks.strings("plans", iter(["B", " A "]), "all plans") == ("B", " A ")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "plans must be a string or a list of strings, not 5"),
        (b"ab", "plans must be a string or a list of strings, not b'ab'"),
        (["a", 5], "plans must contain only non-blank strings, not 5"),
        (" ", "plans must contain only non-blank strings, not ' '"),
        ([HUGE], "plans must contain only non-blank strings, not an integer of 16610 bits"),
        ([], "plans must not be empty: omit it for all plans"),
    ],
    ids=["int", "bytes", "item", "blank", "huge", "empty"],
)
def test_values_that_are_not_strings_are_refused(value: object, message: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        checks.strings("plans", value, "all plans")
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "check",
    [
        lambda value: checks.positive_integer("x", value),
        lambda value: checks.positive_number("x", value),
        lambda value: checks.one_of("x", value, ("day", "week")),
        lambda value: checks.instance_of("x", value, MetricQuery),
        lambda value: checks.calendar_day("x", value),
        lambda value: checks.strings("x", value, "things"),
    ],
)
@pytest.mark.parametrize("value", [" " * 1_000_000, -HUGE, Unprintable(), [-HUGE]], ids=["str", "int", "repr", "list"])
def test_no_value_breaks_or_floods_a_message(check: Callable[[object], object], value: object) -> None:
    with pytest.raises(UsageError) as raised:
        check(value)
    assert isinstance(raised.value, ArgumentError)
    assert not isinstance(raised.value, ChartMogulError)
    assert len(str(raised.value)) < 350


@pytest.mark.parametrize("text", ["", "Größe 日本 \U0001f600", "\x00"], ids=ascii)
def test_a_string_with_utf_8_is_encodable(text: str) -> None:
    assert checks.encodable("plans", text) == text


@pytest.mark.parametrize("text", ["\ud800", "a\udfff" + "x" * 1_000_000], ids=["short", "long"])
def test_a_string_without_utf_8_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        checks.encodable("plans", text)
    assert str(raised.value) == f"plans must be valid Unicode, without lone surrogates, not {checks.shown(text)}"
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("text", ["x" * 60_000, "~" * 60_000, "日" * 6_666, "%" * 20_000], ids=ascii_start)
def test_a_text_that_fits_into_a_url_is_short_enough(text: str) -> None:
    checks.short_enough({"geo": "", "plans": text})


@pytest.mark.parametrize("text", ["x" * 60_001, "日" * 6_667, "%" * 20_001], ids=ascii_start)
def test_the_longest_of_too_long_texts_is_named(text: str) -> None:
    with pytest.raises(
        ArgumentError, match=r"^plans must be shorter: 6\d{4} characters of the URL are too many, 60000"
    ):
        checks.short_enough({"geo": "US", "plans": text, "filters": "mrr~GT~1"})
