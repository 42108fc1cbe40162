"""Checks of arguments, each written once: a message names the argument, what it must be, and what was given."""

import math
import os
import re
import reprlib
import sys
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from pathlib import Path
from typing import Any, TypeGuard, TypeVar
from urllib.parse import quote

from chartmogul_async.errors import ArgumentError

T = TypeVar("T")

# Tests that freeze the day put another class in the place of ``date`` here, but not in that of a method.
_day_by_number = date.fromordinal
_SHOWN_CHARACTERS = 200
# More make no sense anywhere, and Python fails later, when it prints such an integer or makes a float of it.
_INTEGER_BITS = 63
_NUMBER_BITS = 1000
_PRINTED_DIGITS_BITS = 2048
# httpx refuses URLs of more than 65,536 characters; the rest is for the base URL and the path.
_MAX_QUERY = 60_000
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
# A character is at most four bytes, and each byte is written with three characters: %F0.
_MAX_ENCODED = 12


class _ShortRepr(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxstring = self.maxother = _SHOWN_CHARACTERS

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to print integers of more than 4,300 digits.
        bits = x.bit_length()
        return f"an integer of {bits} bits" if bits > _PRINTED_DIGITS_BITS else super().repr_int(x, level)

    def repr_bytes(self, x: bytes, level: int) -> str:
        return super().repr_str(x, level)  # type: ignore[arg-type]  # it only slices, and joins the reprs of slices


def shown(value: object) -> str:
    """How a message shows a value: by its repr, on one line and of at most 200 characters.

    Args:
        value: Anything, also a text of a megabyte, an integer of 5,000 digits, or an object with a broken repr.

    Returns:
        The repr; one that is too long has ``...`` in its middle.
    """
    try:
        text = _ShortRepr().repr(value)
    except Exception:  # noqa: BLE001 - a message about an argument must not fail because of the argument
        text = f"<{type(value).__name__}>"
    text = " ".join(text.splitlines())
    half = (_SHOWN_CHARACTERS - 3) // 2
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:half]}...{text[-half:]}"


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _INTEGER_BITS


def _is_number(value: object) -> TypeGuard[int | float]:
    if isinstance(value, int) and not isinstance(value, bool):
        return value.bit_length() <= _NUMBER_BITS
    return isinstance(value, float)


def positive_integer(name: str, value: object, or_else: str = "") -> int:
    """Check that a value is an integer of at least 1, of at most 63 bits, and not a bool.

    Args:
        name: The argument, as the caller wrote it.
        value: What was given.
        or_else: What else is accepted, in the words of the message: ``', None or "interval"'``.

    Returns:
        The plain integer, also of a member of an enum.

    Raises:
        ArgumentError: ``parallel must be a positive integer, not 0``.
    """
    if not _is_integer(value) or value < 1:
        raise ArgumentError(f"{name} must be a positive integer{or_else}, not {shown(value)}")
    return int(value)


def positive_number(name: str, value: object, of: str = "", or_else: str = "") -> float:
    """Check that a value is a number above 0, which fits into a float, and not a bool.

    Args:
        name: The argument, as the caller wrote it.
        value: What was given.
        of: The unit, in the words of the message: ``" of seconds"``.
        or_else: What else is accepted: ``" or an httpx.Timeout"``.

    Returns:
        The plain number, also of a member of an enum.

    Raises:
        ArgumentError: ``base must be a positive number of seconds, not 0``.
    """
    if not _is_number(value) or not value > 0:
        raise ArgumentError(f"{name} must be a positive number{of}{or_else}, not {shown(value)}")
    return int(value) if isinstance(value, int) else float(value)


def finite_number(name: str, value: object) -> float:
    """Check that a value is a number, not a bool, neither infinite nor NaN.

    Args:
        name: The argument, as the caller wrote it.
        value: What was given.

    Returns:
        The plain number, also of a member of an enum.

    Raises:
        ArgumentError: ``parameter x must be a finite number, not nan``.
    """
    if not _is_number(value) or not -math.inf < value < math.inf:
        raise ArgumentError(f"{name} must be a finite number, not {shown(value)}")
    return int(value) if isinstance(value, int) else float(value)


def one_of(name: str, value: object, choices: tuple[T, ...]) -> T:
    """Check that a value is one of a few.

    Args:
        name: The argument, as the caller wrote it.
        value: What was given.
        choices: What is accepted.

    Returns:
        The choice that equals the value: the plain string, also where a member of an enum was given.

    Raises:
        ArgumentError: ``interval must be one of day, week, month, quarter, year, not 'fortnight'``.
    """
    for choice in choices:
        # Values of other types are never compared: bytes warn, and an array has no truth value.
        if isinstance(value, type(choice)) and value == choice:
            return choice
    raise ArgumentError(f"{name} must be one of {', '.join(map(str, choices))}, not {shown(value)}")


def instance_of(name: str, value: object, cls: type[T], example: str = "") -> T:
    """Check that a value is an instance of a class.

    Args:
        name: The argument, as the caller wrote it.
        value: What was given.
        cls: The class.
        example: How an instance is made: ``"RetryPolicy(attempts=3)"``.

    Returns:
        The value itself.

    Raises:
        ArgumentError: ``retry must be a RetryPolicy, such as RetryPolicy(attempts=3), not 5``.
    """
    if not isinstance(value, cls):
        such_as = f", such as {example}" if example else ""
        raise ArgumentError(f"{name} must be {_with_article(cls)}{such_as}, not {shown(value)}")
    return value


def _with_article(cls: type) -> str:
    package = cls.__module__.partition(".")[0]
    is_known = package in sys.stdlib_module_names or package == "chartmogul_async"
    name = cls.__name__ if is_known else f"{package}.{cls.__name__}"
    # A lower-case h begins the name of a package, which is spelt out: "an httpx.Timeout".
    return f"{'an' if name[0] in 'AEIOUaeiouh' else 'a'} {name}"


def calendar_day(name: str, value: object, or_else: str = "", hint: str = "") -> date:
    """Check that a value is a date, a datetime or an ISO 8601 string.

    Args:
        name: The argument, as the caller wrote it.
        value: What was given.
        or_else: What else is accepted: ``" or a period such as '2023-Q3'"``.
        hint: What the message ends with, about this value.

    Returns:
        The date. A datetime keeps its own day; time zones are not converted.

    Raises:
        ArgumentError: ``start_date must be a date, a datetime or an ISO string such as '2023-07-01', not 5``, or
            ``start_date must be a day of the calendar, not '2025-02-30', which does not exist``.
    """
    day = _day_of(value)
    if day is None:
        if has_form_of_a_day(value):
            raise ArgumentError(f"{name} must be a day of the calendar, not {value!r}, which does not exist")
        joint = "," if or_else else " or"
        raise ArgumentError(
            f"{name} must be a date, a datetime{joint} an ISO string such as '2023-07-01'{or_else}, "
            f"not {shown(value)}{hint}"
        )
    return day


def has_form_of_a_day(value: object) -> bool:
    """Whether a value is written as a day, also as one that does not exist: ``"2025-02-30"``.

    Args:
        value: Anything.

    Returns:
        Whether it is.
    """
    return isinstance(value, str) and bool(re.fullmatch(_DAY, value))


def _day_of(value: object) -> date | None:
    try:
        if isinstance(value, str):
            # Python before 3.14 reads the first eight digits of a timestamp such as "1712102400000" as a date.
            return None if re.match("[0-9]{9}", value) else datetime.fromisoformat(value).date()
        day = value.date() if isinstance(value, datetime) else value
    except ValueError:
        return None
    # The day of a missing value of pandas, which is a datetime, is that value.
    if not isinstance(day, date) or isinstance(day, datetime):
        return None
    # A subclass may be written in another way, and be unknown where a query is unpickled.
    return _day_by_number(day.toordinal())


def is_iterable(value: object) -> TypeGuard[Iterable[Any]]:
    """Whether a value can be iterated over, without taking anything of it.

    Args:
        value: Anything, also an array without dimensions, which only looks as if it could.

    Returns:
        Whether it can.
    """
    return isinstance(value, Iterable) and getattr(value, "ndim", 1) != 0


def has_order(value: object) -> bool:
    """Whether what is iterated over comes in the same order in every process, as that of a set does not.

    Args:
        value: Anything.

    Returns:
        Whether it does.
    """
    return not isinstance(value, (set, frozenset))


def strings(name: str, value: object, things: str) -> tuple[str, ...]:
    """Check that a value is an iterable of non-blank strings, with at least one of them.

    Args:
        name: The argument, as the caller wrote it.
        value: What was given; a single string counts as a list of one.
        things: What omitting the argument means: ``"all countries"``.

    Returns:
        The strings as they are; those of a set, which has no order, by the alphabet.

    Raises:
        ArgumentError: ``geo must not be empty: omit it for all countries``.
    """
    if not is_iterable(value) or isinstance(value, bytes):
        raise ArgumentError(f"{name} must be a string or a list of strings, not {shown(value)}")
    items = (value,) if isinstance(value, str) else tuple(value)
    for item in items:
        if not isinstance(item, str) or not item.strip():
            raise ArgumentError(f"{name} must contain only non-blank strings, not {shown(item)}")
    if not items:
        raise ArgumentError(f"{name} must not be empty: omit it for {things}")
    return items if has_order(value) else tuple(sorted(items))


def encodable(name: str, text: str) -> str:
    r"""Check that a string can be sent: a surrogate without its pair has no UTF-8.

    Args:
        name: The argument, as the caller wrote it.
        text: What was given.

    Returns:
        The plain string, also of a member of an enum.

    Raises:
        ArgumentError: ``plans must be valid Unicode, without lone surrogates, not 'Gold\ud800'``.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentError(f"{name} must be valid Unicode, without lone surrogates, not {shown(text)}") from None
    return str.__str__(text)


def file_path(name: str, value: object) -> Path:
    """Check that a value is a path.

    Args:
        name: The argument, as the caller wrote it.
        value: What was given.

    Returns:
        The path; for a member of an enum, that of its plain string.

    Raises:
        ArgumentError: ``path must be a path, not 5``.
    """
    place = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(place, str):
        raise ArgumentError(f"{name} must be a path, not {shown(value)}")
    return Path(str.__str__(place))


def short_enough(texts: Mapping[str, str]) -> None:
    """Check that texts are not too long for a URL, percent-encoded as they are sent.

    Args:
        texts: What the caller chose, by the name of the argument.

    Raises:
        ArgumentError: ``plans must be shorter: 70124 characters of the URL are too many, 60000 fit``.
    """
    # Encoding costs more than all other checks, and hardly any text is long enough to need it.
    if sum(map(len, texts.values())) * _MAX_ENCODED <= _MAX_QUERY:
        return
    lengths = {name: len(quote(text, safe="~")) for name, text in texts.items()}
    total = sum(lengths.values())
    if total > _MAX_QUERY:
        longest = max(lengths, key=lambda name: lengths[name])
        raise ArgumentError(f"{longest} must be shorter: {total} characters of the URL are too many, {_MAX_QUERY} fit")


def non_negative_number(name: str, value: object, of: str = "") -> float:
    """Check that a value is a number of at least 0 and not a bool.

    Args:
        name: The argument, as the caller wrote it.
        value: What was given.
        of: The unit, in the words of the message: ``" of seconds"``.

    Returns:
        The plain number, also of a member of an enum.

    Raises:
        ArgumentError: ``latency must be a non-negative number of seconds, not -1``.
    """
    if not _is_number(value) or not value >= 0:
        raise ArgumentError(f"{name} must be a non-negative number{of}, not {shown(value)}")
    return int(value) if isinstance(value, int) else float(value)


def integer(name: str, value: object) -> int:
    """Check that a value is an integer, of at most 63 bits, and not a bool.

    Args:
        name: The argument, as the caller wrote it.
        value: What was given.

    Returns:
        The plain integer, also of a member of an enum.

    Raises:
        ArgumentError: ``seed must be an integer, not 1.5``.
    """
    if not _is_integer(value):
        raise ArgumentError(f"{name} must be an integer, not {shown(value)}")
    return int(value)


def non_negative_integer(name: str, value: object, or_else: str = "") -> int:
    """Check that a value is an integer of at least 0 and not a bool.

    Args:
        name: The argument, as the caller wrote it.
        value: What was given.
        or_else: What else would be right: ``" or None"``.

    Returns:
        The plain integer, also of a member of an enum.

    Raises:
        ArgumentError: ``after must be a non-negative integer or None, not -1``.
    """
    if not _is_integer(value) or value < 0:
        raise ArgumentError(f"{name} must be a non-negative integer{or_else}, not {shown(value)}")
    return int(value)


def integer_between(name: str, value: object, least: int, most: int) -> int:
    """Check that a value is an integer from ``least`` to ``most`` and not a bool.

    Args:
        name: The argument, as the caller wrote it.
        value: What was given.
        least: The smallest integer that is accepted.
        most: The largest.

    Returns:
        The plain integer, also of a member of an enum.

    Raises:
        ArgumentError: ``port must be an integer from 0 to 65535, not 70000``.
    """
    if not _is_integer(value) or not least <= value <= most:
        raise ArgumentError(f"{name} must be an integer from {least} to {most}, not {shown(value)}")
    return int(value)


def plain_function(name: str, value: T, takes: str) -> T:
    """Check that a value is a function that does something when it is called: neither async nor a generator.

    Args:
        name: The argument, as the caller wrote it.
        value: What was given.
        takes: What it is called with: ``"one event"``.

    Returns:
        The value itself.

    Raises:
        ArgumentError: ``on_event must be a plain function of one event, neither async nor a generator, not 5``.
    """
    if not callable(value) or _does_nothing_when_called(value):
        raise ArgumentError(
            f"{name} must be a plain function of {takes}, neither async nor a generator, not {shown(value)}"
        )
    return value


def _does_nothing_when_called(function: object) -> bool:
    """Whether a call only makes a coroutine or a generator: of a function, a method or an object with ``__call__``."""
    while isinstance(function, partial):
        function = function.func
    checks = (iscoroutinefunction, isasyncgenfunction, isgeneratorfunction)
    return any(check(each) for check in checks for each in (function, type(function).__call__))
