"""A dlt source: metrics in a warehouse, whichever dlt can load, where each run reads again what may have been restated.

::

    import dlt
    from chartmogul_async.integrations.dlt import chartmogul_source

    destination = dlt.destinations.duckdb("metrics.duckdb")
    pipeline = dlt.pipeline("chartmogul", destination=destination, dataset_name="chartmogul")
    pipeline.run(chartmogul_source(start="2023-01-01", metrics=["all", "mrr"], by="plan"))

It needs the extra ``dlt``. Whether dlt sends telemetry is up to its own settings.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any, Literal

try:
    import dlt
except ImportError:
    raise ImportError(
        "this integration requires an extra; run: pip install 'chartmogul-async[dlt]'", name="dlt"
    ) from None

from attrs import define
from dlt.common.destination.exceptions import DestinationUndefinedEntity, SqlClientNotAvailable
from dlt.common.destination.utils import resolve_merge_strategy
from dlt.common.exceptions import MissingDependencyException
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource
from dlt.pipeline.exceptions import PipelineConfigMissing

from chartmogul_async import Account, MetricName, MetricQuery
from chartmogul_async.blocking import Client
from chartmogul_async.checks import calendar_day, instance_of, non_negative_integer, one_of, shown, strings
from chartmogul_async.errors import ArgumentError, StateError
from chartmogul_async.events import logger
from chartmogul_async.integrations.passes import SharedClient
from chartmogul_async.integrations.tables import (
    RESTATEMENT_COLUMNS,
    RESTATEMENTS,
    Calendar,
    Figures,
    Key,
    Page,
    Table,
)
from chartmogul_async.intervals import WEEK_STARTS, Interval, WeekStart
from chartmogul_async.metrics.breakdown import DIMENSIONS, Dimension

# At least five weeks, so that what is booked late for the month before is seen.
_RESTATED: dict[Interval, int] = {"day": 35, "week": 5, "month": 2, "quarter": 1, "year": 1}
_CANNOT_MERGE = (
    "{name} cannot be merged into this destination, and each run would add its periods once more: pass restate='all', "
    "which replaces the tables, or choose a table format that merges, such as delta"
)

_WOULD_LOSE = (
    "{name} has the figures of {others}, which restate='all' would replace with those of {own}: load them into another "
    "dataset or folder"
)

_WOULD_EMPTY = (
    "{name} would be empty, since the response contains no entries from {since} to {until}: what was there is kept"
)

_OTHER_WEEKS = (
    "{name} has weeks that begin on another day than those of the account do now, and would have both: pass "
    "restate='all', which replaces the table, or load them into another dataset or folder"
)

OnProgress = Callable[[str, int, int], object]


@dlt.source(name="chartmogul", section="chartmogul", max_table_nesting=0)
def chartmogul_source(
    api_key: TSecretStrValue | None = None,
    *,
    start: str | date,
    end: str | date | None = None,
    metrics: str | Iterable[str] = ("all", "mrr"),
    interval: Interval = "month",
    by: str | Iterable[str] = (),
    restate: int | Literal["all"] | None = None,
    client: Client | None = None,
    on_progress: OnProgress | None = None,
) -> list[DltResource]:
    """Read metrics into a warehouse: a resource, and so a table, for each metric, and each metric by each dimension.

    The first run reads from ``start`` on; each later one reads the last periods again, and replaces them whole. The
    figures of a period that is not over are marked ``is_partial`` and replaced, too. What changed of periods that were
    over is a row of the table ``restatements``.

    Args:
        api_key: The API key; None takes it from dlt's configuration (``sources.chartmogul.api_key``), or else from
            ``CHARTMOGUL_API_KEY``. It may read the account and, as far as ``by`` needs them, plans or customers.
        start: The first day; all of its interval is read. If it is earlier than in the run before, all is read again.
        end: The last day; None for today where the account is.
        metrics: Names of methods of ``client.metrics``; the table of ``all`` is ``key_metrics``.
        interval: ``"day"``, ``"week"``, ``"month"``, ``"quarter"`` or ``"year"``.
        by: ``"plan"``, ``"plan_group"``, ``"country"``, or several of them: further tables such as ``mrr_by_plan``.
        restate: How many periods before the last one that is there are read again. None for 35 days, 5 weeks, 2 months,
            a quarter or a year; ``"all"`` reads and replaces everything, for destinations that cannot merge, as files.
        client: A blocking client to read with, which stays open, such as one that shares limits with other processes.
            By default there is one for all resources, which is closed after the last one.
        on_progress: A function called with the name of a table, the number of its series that came, and their total.

    Returns:
        The source, for ``pipeline.run``.

    Raises:
        ArgumentError: An argument cannot be right; nothing was sent.

    Source: https://dev.chartmogul.com/reference/metrics/all and https://dlthub.com/docs/general-usage/source
    """
    if client is not None:
        instance_of("client", client, Client)
        if api_key is not None:
            raise ArgumentError("api_key must be omitted with client, which has a key")
    if restate != "all" and restate is not None:
        non_negative_integer("restate", restate, ' or "all"')
    first = calendar_day("start", start)
    last = None if end is None else calendar_day("end", end)
    if last is not None and last < first:
        raise ArgumentError(f"start {first} is after end {last}")
    queries = _queries(strings("metrics", metrics, "all and mrr"), first, interval)
    dimensions: list[Dimension] = [one_of("by", name, DIMENSIONS) for name in _names("by", by)]
    shared = SharedClient(_maker(api_key, client), client is None)
    divisions: list[Dimension | None] = [None, *dimensions]
    tables = [Table(query, division) for division in divisions for query in queries]
    return [_resource(_Reader(table, shared, first, last, restate, on_progress)) for table in tables]


def _names(argument: str, value: object) -> list[Any]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Iterable):
        raise ArgumentError(f"{argument} must be a name or a list of names, not {shown(value)}")
    return list(dict.fromkeys(names))


def _queries(metrics: tuple[str, ...], day: date, interval: Interval) -> list[MetricQuery[Any, Any]]:
    queries: list[Any] = [MetricQuery(_metric(name), day, day, interval=interval) for name in metrics]
    return list(dict.fromkeys(queries))


def _metric(name: Any) -> MetricName:
    checked: MetricName = name
    return checked


def _maker(api_key: str | None, client: Client | None) -> Callable[[], Client]:
    if client is not None:
        return lambda: client
    # A key that is missing or cannot be one is an error now.
    Client(api_key).close()
    return lambda: Client(api_key)


def _resource(reader: "_Reader") -> DltResource:
    table = reader.table

    # dlt keeps attributes on what it is given, which a method does not allow.
    def read() -> Iterator[Any]:
        yield from reader.read()

    factory = dlt.resource(
        read,
        name=table.name,
        write_disposition="replace" if reader.restate == "all" else "merge",
        primary_key=table.key,
        merge_key=table.period_key,
    )
    return factory()


@define
class _Reader:
    """Reads one table.

    Attributes:
        table: The table.
        shared: The client that it shares with others.
        start: The first day.
        end: The last day; None for today.
        restate: How many periods are read again.
        on_progress: What is told of each series.
    """

    table: Table
    shared: SharedClient
    start: date
    end: date | None
    restate: int | Literal["all"] | None
    on_progress: OnProgress | None

    def read(self) -> Iterator[Any]:
        """Give the rows, and what of them was restated."""
        _check_destination(self.table)
        with self.shared.lent(self.table.name, dlt.current.source().selected_resources) as (find_client, account):
            page = self._page(account)
            self._check_replaced(page)
            if page.since > page.until:
                return
            stored = self._compared_with(page)
            rows = list(page.rows(self._fetch(find_client(), page)))
            if not rows and self.restate == "all":
                raise StateError(_WOULD_EMPTY.format(name=self.table.name, since=page.since, until=page.until))
            # With the columns of the resource itself, the table of restatements would have them, too.
            yield _rows_of(self.table.name, rows, self.table.columns)
        yield from self._restatements(page, rows, stored)
        # Periods that did not come are asked for again by the next run.
        if page.is_complete(rows):
            state = _state_of(page)
            state["start"] = min(self.start.isoformat(), state.get("start", "9999"))
            state["last"] = page.until.isoformat()
            state["week_start"] = page.calendar.week_start

    def _page(self, account: Account) -> Page:
        """What is to be read."""
        interval, today = self.table.query.interval, account.today()
        week_start: WeekStart = one_of("the first day of the account's weeks", account.week_start_on, WEEK_STARTS)
        calendar = Calendar(interval, week_start)
        page = Page(
            table=self.table,
            # Old responses have no id.
            account=account.id or account.name,
            calendar=calendar,
            since=calendar.start(self.start),
            until=min(self.end or today, today),
            today=today,
        )
        state = _state_of(page)
        if self.restate != "all" and interval == "week" and state.get("week_start", week_start) != week_start:
            raise StateError(_OTHER_WEEKS.format(name=self.table.name))
        if self.restate != "all" and state and state["start"] <= self.start.isoformat():
            seen = date.fromisoformat(state["last"])
            restated = _RESTATED[interval] if self.restate is None else self.restate
            again = calendar.before(seen, restated)
            # Days between what is there and the range are read, too, since no later run would do so.
            page.since = max(page.since, again) if page.since <= seen else again
            # A period that is there as a whole is not replaced by a part of it.
            page.until = max(page.until, min(seen, today))
        return page

    def _check_replaced(self, page: Page) -> None:
        """Refuse to replace a table that has the figures of another account, or of other intervals."""
        if self.restate == "all":
            others = sorted(_keys_in_state(self.table) - {_key_of(page)})
            if others:
                names = " and ".join(others)
                raise StateError(_WOULD_LOSE.format(name=self.table.name, others=names, own=_key_of(page)))

    def _compared_with(self, page: Page) -> dict[Key, Figures]:
        """What the warehouse has of a page."""
        stored = _stored(page)
        if stored is None:
            # Whatever dlt remembers, there is no such table, so all is read.
            _state_of(page).clear()
            page.since = page.calendar.start(self.start)
        return stored or {}

    def _fetch(self, client: Client, page: Page) -> Any:
        table, report = self.table, self.on_progress or (lambda *_: None)
        asked_from, query = table.asked_from(page.since, page.calendar), table.query
        if table.by is not None:
            return client.metrics.breakdown(
                query.metric,
                asked_from,
                page.until,
                by=table.by,
                interval=query.interval,
                on_progress=lambda done, total: report(table.name, done, total),
            )
        report(table.name, 0, 1)
        asked: Any = MetricQuery(query.metric, asked_from, page.until, interval=query.interval)
        series = client.metrics.fetch(asked)
        report(table.name, 1, 1)
        return series

    def _restatements(self, page: Page, rows: list[Figures], stored: dict[Key, Figures]) -> Iterator[Any]:
        found_at = datetime.now(UTC)
        found = [{**row, "found_at": found_at} for row in page.restated(rows, stored)]
        if found:
            logger.info("%d figures of %s were restated, see the table %s", len(found), self.table.name, RESTATEMENTS)
        key = [name for name in RESTATEMENT_COLUMNS if name not in ("before", "after")]
        disposition = "append" if self.restate == "all" else "merge"
        yield _rows_of(
            RESTATEMENTS, found, RESTATEMENT_COLUMNS, write_disposition=disposition, primary_key=key, merge_key=()
        )


def _rows_of(table: str, rows: list[Figures], columns: Any, **hints: Any) -> Any:
    """Rows for dlt, with the table that they belong to."""
    its = dlt.mark.make_hints(table_name=table, columns=columns, **hints)
    return dlt.mark.with_hints(rows, its, create_table_variant=True)


def _state_of(page: Page) -> dict[str, str]:
    """What dlt remembers of a table: the days from ``start`` to ``last`` are there."""
    state: dict[str, str] = dlt.current.resource_state().setdefault(_key_of(page), {})
    return state


def _keys_in_state(table: Table) -> set[str]:
    """Which accounts and intervals a table has, also where dlt forgets that because the table will be replaced."""
    sources: Any = dlt.current.pipeline().state.get("sources", {})
    return set(sources.get(dlt.current.source().name, {}).get("resources", {}).get(table.name, {}))


def _key_of(page: Page) -> str:
    return f"{page.account}/{page.calendar.interval}"


def _check_destination(table: Table) -> None:
    """Refuse a destination that would append what is to be merged."""
    destination = dlt.current.pipeline().destination
    if destination is None:
        return
    schema: Any = dlt.current.resource().compute_table_schema()
    if schema["write_disposition"] != "merge":
        return
    if resolve_merge_strategy({schema["name"]: schema}, schema, destination.capabilities()) is None:
        raise StateError(_CANNOT_MERGE.format(name=table.name))


def _stored(page: Page) -> dict[Key, Figures] | None:
    """The figures that the warehouse has of a page; None if it has no such table, empty if it cannot be read."""
    table = page.table
    names = ["date", "period_start", "is_partial", *(["segment_id"] if table.by else []), *table.compared]
    try:
        with dlt.current.pipeline().sql_client() as client:
            columns = ", ".join(map(client.escape_column_name, names))
            account, interval, period_start = map(client.escape_column_name, table.period_key)
            query = (
                f"SELECT {columns} FROM {client.make_qualified_table_name(table.name)} "  # noqa: S608 - names of ours
                f"WHERE {account} = %s AND {interval} = %s AND {period_start} >= %s"
            )
            with client.execute_query(query, page.account, page.calendar.interval, page.since) as cursor:
                found = cursor.fetchall()
    except DestinationUndefinedEntity:
        return None
    except (SqlClientNotAvailable, MissingDependencyException, PipelineConfigMissing):
        return {}
    rows = [dict(zip(names, values, strict=True)) for values in found]
    page.seen = max((calendar_day("date", row["date"]) for row in rows), default=None)
    return {(calendar_day("period_start", row["period_start"]), row.get("segment_id", "total")): row for row in rows}
