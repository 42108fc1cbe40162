"""Metrics as the tables of a warehouse: their names, columns and rows, and what of them was restated.

Nothing here needs the warehouse: ``chartmogul_async.integrations.dlt`` loads it.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import attrs
from attrs import define, frozen

from chartmogul_async import (
    Breakdown,
    Interval,
    MetricQuery,
    Series,
)
from chartmogul_async.intervals import WeekStart, interval_end, interval_start, intervals_before
from chartmogul_async.metrics.breakdown import Dimension
from chartmogul_async.metrics.series import entry_class

RESTATEMENTS = "restatements"
"""The table of what was restated."""

RESTATEMENT_COLUMNS: dict[str, dict[str, Any]] = {
    "table": {"data_type": "text"},
    "account": {"data_type": "text"},
    "interval": {"data_type": "text"},
    "period_start": {"data_type": "date"},
    "segment_id": {"data_type": "text"},
    "figure": {"data_type": "text"},
    "before": {"data_type": "double"},
    "after": {"data_type": "double"},
    "found_at": {"data_type": "timestamp"},
}
"""Its columns, as dlt describes them."""

# Amounts may be fractions of a cent.
_TYPES = {"cents": "double", "percent": "double", "count": "bigint"}
# They keep the value of their month on the entries of days and weeks.
_MONTHLY = {"customer_churn_rate", "mrr_churn_rate", "ltv", "asp"}
# As far as slices look back where they have such a figure.
_LOOKBACK = timedelta(days=31)
# Of a table that is not divided.
_WHOLE = "total"

Key = tuple[date, str]
Figures = dict[str, Any]


@frozen
class Calendar:
    """Where the intervals of an account begin and end.

    Attributes:
        interval: The kind of interval.
        week_start: The first day of the account's weeks.
    """

    interval: Interval
    week_start: WeekStart = "monday"

    def start(self, day: date) -> date:
        """The first day of the interval that contains a day."""
        return interval_start(day, self.interval, self.week_start)

    def end(self, day: date, interval: Interval | None = None) -> date:
        """The last day of that interval, or of one of another kind."""
        return interval_end(day, interval or self.interval, self.week_start)

    def before(self, day: date, count: int) -> date:
        """The first day of the interval that lies some intervals before, or of the calendar."""
        try:
            return intervals_before(day, count, self.interval, self.week_start)
        except (ValueError, OverflowError):
            return self.start(date.min)


@frozen
class Table:
    """One metric, or one metric segment by segment.

    Attributes:
        query: The metric and the interval, which for ``ltv`` is a month; its dates do not count.
        by: What it is broken down by; None if it is not.
    """

    query: MetricQuery[Any, Any]
    by: Dimension | None = None

    @property
    def name(self) -> str:
        """The name of the table: ``mrr``, ``mrr_by_plan``. ``all`` is a word of SQL, so that one is ``key_metrics``."""
        metric = "key_metrics" if self.query.metric == "all" else self.query.metric
        return f"{metric}_by_{self.by}" if self.by else metric

    @property
    def key(self) -> list[str]:
        """What no two rows have in common."""
        return [*self.period_key, "segment_id"] if self.by else self.period_key

    @property
    def period_key(self) -> list[str]:
        """What all rows of one period have in common, which are replaced together."""
        return ["account", "interval", "period_start"]

    @cached_property
    def figures(self) -> dict[str, dict[str, Any]]:
        """The figures of an entry with the type, unit and kind of each."""
        fields = attrs.fields(entry_class(self.query.metric))
        return {
            field.name: {
                "data_type": _TYPES[field.metadata["unit"]],
                "description": f"{field.metadata['unit']}, {field.metadata['kind']}",
            }
            for field in fields
            if field.name != "date"
        }

    @property
    def compared(self) -> list[str]:
        """The figures in which a restatement shows: changes follow from the others."""
        return [name for name in self.figures if not name.endswith("percentage_change")]

    @property
    def columns(self) -> dict[str, dict[str, Any]]:
        """All columns."""
        segment = {"segment_id": {"data_type": "text"}, "segment": {"data_type": "text"}} if self.by else {}
        return {
            "account": {"data_type": "text"},
            "interval": {"data_type": "text"},
            "period_start": {"data_type": "date"},
            "date": {"data_type": "date"},
            "is_partial": {"data_type": "bool"},
            **segment,
            **self.figures,
        }

    def asked_from(self, since: date, calendar: Calendar) -> date:
        """Find the day from which entries are asked for, so that those from a later day on are right.

        The first change of a response is always 0.0, so that entry is not kept.

        Args:
            since: The first day of the first entry that is kept.
            calendar: The account's intervals.

        Returns:
            The first day of an interval before it.
        """
        day = calendar.before(since, 1)
        if self.query.interval in ("day", "week") and _MONTHLY & set(self.figures):
            day = calendar.start(day - min(_LOOKBACK, day - date.min))
        return day


@define
class Page:
    """What was read of a table.

    Attributes:
        table: The table.
        account: The id of the account.
        calendar: The account's intervals.
        since: The first day of which entries are kept.
        until: The last day that is read.
        today: The current day where the account is.
        seen: The last day that the warehouse has; None if it has none.
    """

    table: Table
    account: str
    calendar: Calendar
    since: date
    until: date
    today: date
    seen: date | None = None

    def rows(self, found: Series[Any, Any] | Breakdown[Any, Any]) -> Iterator[Figures]:
        """Make the rows.

        Args:
            found: The series, or the breakdown.

        Returns:
            One flat dict for each entry of the page, and each segment. What lies outside is not kept: no later run
            would read it again.
        """
        if isinstance(found, Series):
            yield from (self._row(row, {}) for row in found.to_dicts() if self._contains(row["date"]))
            return
        ids = {name: _id_of(name, outcome.query, self.table.by) for name, outcome in found.outcomes}
        for row in found.to_dicts():
            name: str = row.pop("segment")
            if self._contains(row["date"]):
                yield self._row(row, {"segment_id": ids.get(name, name), "segment": name})

    def is_complete(self, rows: Iterable[Figures]) -> bool:
        """Check that there are rows of every period.

        Args:
            rows: What was read.
        """
        periods, day = {row["period_start"] for row in rows}, self.since
        while day <= self.until:
            if self.calendar.start(day) not in periods:
                return False
            day = self.calendar.end(day) + timedelta(days=1)
        return True

    def _contains(self, day: date) -> bool:
        return self.since <= day <= self.calendar.end(self.until)

    def _row(self, row: Figures, segment: dict[str, str]) -> Figures:
        day = row.pop("date")
        end = self.calendar.end(day)
        return {
            "account": self.account,
            "interval": self.calendar.interval,
            "period_start": self.calendar.start(day),
            "date": day,
            "is_partial": day < end or end >= self.today,
            **segment,
            **row,
        }

    def restated(self, rows: Iterable[Figures], stored: Mapping[Key, Figures]) -> Iterator[Figures]:
        """Compare what was read with what the warehouse has.

        Args:
            rows: What was read.
            stored: The figures in the warehouse, by the first day of their period and the id of their segment.

        Returns:
            A row of the table of restatements for each figure of a period in both that was final and is another one
            now. A segment that was not there counts as one of zeros, since plans and countries without customers have
            those.
        """
        found = {(row["period_start"], row.get("segment_id", _WHOLE)): row for row in rows}
        periods = {period_start for period_start, _ in found} & {period_start for period_start, _ in stored}
        were_whole = {period_start for (period_start, _), row in stored.items() if not row["is_partial"]}
        for key in sorted({*found, *stored}):
            before, after = stored.get(key, {}), found.get(key, {})
            for figure in self.table.compared if key[0] in periods else ():
                old, new = before.get(figure), after.get(figure)
                if (old or 0) != (new or 0) and key[0] in were_whole and self._was_final(figure, key[0]):
                    yield {
                        "table": self.table.name,
                        "account": self.account,
                        "interval": self.calendar.interval,
                        "period_start": key[0],
                        "segment_id": key[1],
                        "figure": figure,
                        "before": old,
                        "after": new,
                    }

    def _was_final(self, figure: str, period_start: date) -> bool:
        """Whether a figure of a whole period was final when it was read before: some are those of their month."""
        end = self.calendar.end(period_start)
        month_end = self.calendar.end(end, "month") if figure in _MONTHLY else end
        return month_end == end or (self.seen is not None and month_end < self.seen)


def _id_of(name: str, query: MetricQuery[Any, Any], by: Dimension | None) -> str:
    """What names a segment for good: a plan may get another name."""
    asked = {"plan": query.plans, "country": query.geo}.get(by or "")
    return asked[0] if asked else name
