"""The options that choose a range of days: dates, periods in words, and what is recent in the account's time zone."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, cast

import click
from attrs import frozen

from chartmogul_async import Account, Breakdown, Interval, Series, analysis, errors
from chartmogul_async.checks import calendar_day, shown
from chartmogul_async.cli.parameters import no_day
from chartmogul_async.intervals import INTERVALS, WeekStart
from chartmogul_async.periods import Period, last, named, this

_INTERVALS: dict[str, Interval] = {interval[0]: interval for interval in INTERVALS}


@frozen
class Recent:
    """A range that depends on today.

    Attributes:
        interval: The kind of interval.
        count: How many whole ones before today; None for the one that contains today, up to today.
    """

    interval: Interval
    count: int | None = None

    def before(self, today: date, week_start: WeekStart = "monday") -> Period:
        """Find its days.

        Args:
            today: The current day.
            week_start: The first day of the account's weeks.

        Returns:
            The days.

        Raises:
            ArgumentError: The calendar does not reach back so far.
        """
        if self.count is None:
            return this(self.interval, today=today, week_start=week_start)
        return last(self.count, self.interval, today=today, week_start=week_start)

    def of(self, account: Account) -> Period:
        """Find its days now, where an account is.

        Args:
            account: The account.

        Returns:
            The days.

        Raises:
            ArgumentError: This machine does not know the account's time zone, or the account's week has another first
                day than Sunday or Monday.
        """
        return self.before(account.today(), account.week_start_on)


def day_or_period(_: click.Context, __: click.Parameter, value: str | None) -> date | Period | None:
    """Read the value of ``--start`` or ``--end``."""
    found = named(value)
    if value is None or found:
        return found
    try:
        return calendar_day("the date", value)
    except errors.ArgumentError:
        expected = "must be a date such as 2026-01-31, or a period such as 2026-01, 2026-Q1 or 2026"
        raise no_day(value, expected) from None


def last_intervals(_: click.Context, __: click.Parameter, value: str | None) -> Recent | None:
    """Read the value of ``--last``."""
    if value is None:
        return None
    words = re.fullmatch("([0-9]{1,5})([dwmqy])", value, re.ASCII)
    if not words or not int(words[1]):
        raise click.BadParameter(
            "must be a number of days, weeks, months, quarters or years such as 30d, 8w, 12m, 4q or 3y, "
            f"not {shown(value)}"
        )
    return Recent(_INTERVALS[words[2]], int(words[1]))


def this_interval(_: click.Context, __: click.Parameter, value: str | None) -> Recent | None:
    """Read the value of ``--this``, which is a choice."""
    return None if value is None else Recent(cast("Interval", value))


def chosen(start: date | Period | None, end: date | Period | None, *recent: Recent | None) -> Period | Recent:
    """Put the options together.

    Args:
        start: The value of ``--start``.
        end: The value of ``--end``.
        recent: The values of ``--last`` and ``--this``.

    Returns:
        The range.

    Raises:
        UsageError: There is none, or more than one.
    """
    context, given = click.get_current_context(), [each for each in recent if each is not None]
    if len(given) > 1 or (given and (start or end)):
        raise click.UsageError("--last, --this and --start with --end exclude each other", context)
    if given:
        return given[0]
    if start is None:
        raise click.UsageError("Missing option '--start', or --last or --this", context)
    if end is None and not isinstance(start, Period):
        raise click.UsageError("Missing option '--end', which only a period as --start makes unnecessary", context)
    last_day = start if end is None else end
    return Period(
        start.start if isinstance(start, Period) else start,
        last_day.end if isinstance(last_day, Period) else last_day,
    )


def parts(table: Series[Any, Any] | Breakdown[Any, Any], account: Account | None) -> list[date]:
    """Find the entries whose interval is not over, or that the range cuts.

    Args:
        table: The series; or a breakdown, whose series all have the same intervals.
        account: The account; None if the key has no access to it.

    Returns:
        Their dates; none if this machine does not know what day it is there.
    """
    if account is None:
        return []
    series = table if isinstance(table, Series) else next(iter(table.series.values()))
    try:
        marks = analysis.is_partial(series, today=account.today(), week_start=account.week_start_on)
    # Figures are better without a note than not at all.
    except errors.ArgumentError:
        return []
    return [entry.date for entry, is_partial in zip(series, marks, strict=True) if is_partial]
