"""What a command is given as text, checked and read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Literal, TypeVar

import click
from click.shell_completion import CompletionItem

from chartmogul_async import errors
from chartmogul_async.checks import calendar_day, has_form_of_a_day, shown
from chartmogul_async.metrics import breakdown
from chartmogul_async.metrics.query import METRICS

C = TypeVar("C", bound="Callable[..., Any] | click.Command")

# Digits of a number: enough for any, and far fewer than Python refuses to read.
_MAX_DIGITS = 9


class _Metric(click.ParamType):  # type: ignore[type-arg]  # older versions of click have no type arguments here
    """The name of a metric, with dashes or underscores."""

    name = "metric"
    _names = tuple(name.replace("_", "-") for name in METRICS)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name = str(value).replace("_", "-")
        if name not in self._names:
            self.fail(f"must be one of {', '.join(self._names)}, not {shown(value)}", param, ctx)
        return name

    def get_missing_message(
        self,
        param: click.Parameter,  # noqa: ARG002 - click passes it by name
        ctx: click.Context | None = None,  # noqa: ARG002 - the same, since 8.2
    ) -> str:
        return f"It must be one of {', '.join(self._names)}"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - the same
        param: click.Parameter,  # noqa: ARG002 - the same
        incomplete: str,
    ) -> list[CompletionItem]:
        typed = incomplete.replace("_", "-")
        return [CompletionItem(name) for name in self._names if name.startswith(typed)]


METRIC: click.ParamType[Any] = _Metric()
"""The name of a metric, as the type of an argument."""


class _Dimension(click.Choice):  # type: ignore[type-arg]  # the same
    """What segments are by, with dashes or underscores."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        dashed = str(value).replace("_", "-")
        return super().convert(dashed if dashed in DIMENSIONS else value, param, ctx).replace("-", "_")


DIMENSIONS = tuple(name.replace("_", "-") for name in breakdown.DIMENSIONS)
"""What segments are by, as written on the command line."""

DIMENSION: click.ParamType[Any] = _Dimension(DIMENSIONS)
"""One of them, as the type of an option; its value is the name in the library."""


def escape_option(command: C) -> C:
    """Add the option that decides whether CSV is safe for spreadsheets, or exact."""
    option = click.option(
        "--exact-text",
        is_flag=True,
        help="With csv: leave text as it is. Without this option an apostrophe is put before text that begins with = + "
        "- @ or a tab, which a spreadsheet would take for a formula; numbers are never changed.",
    )
    return option(command)


def day(_: click.Context, __: click.Parameter, value: str | None) -> date | None:
    """Read a date.

    Raises:
        BadParameter: It is not one.
    """
    if value is None:
        return None
    try:
        return calendar_day("the date", value)
    except errors.ArgumentError:
        raise no_day(value, "must be a date such as 2026-01-31") from None


def no_day(value: str, expected: str) -> click.BadParameter:
    """Make the error for what is not a day.

    Args:
        value: What was given.
        expected: What it must be.

    Returns:
        The error, which says so if only the day does not exist.
    """
    if has_form_of_a_day(value):
        return click.BadParameter(f"must be a day of the calendar, not {value!r}, which does not exist")
    return click.BadParameter(f"{expected}, not {shown(value)}")


def slices_of(_: click.Context, __: click.Parameter, value: str | None) -> int | Literal["interval"] | None:
    """Read a positive integer or ``interval``.

    Raises:
        BadParameter: It is neither.
    """
    if value is None:
        return None
    return "interval" if value == "interval" else _positive(value, "interval")


def limit(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Read a positive integer, or ``none`` for no limit.

    Raises:
        BadParameter: It is neither.
    """
    return None if value in (None, "none") else _positive(value, "none")


def _positive(value: str, or_else: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS and int(value)):
        raise click.BadParameter(f"must be a positive integer or {or_else!r}, not {shown(value)}")
    return int(value)
