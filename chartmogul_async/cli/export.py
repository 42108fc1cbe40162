"""The command ``export``: metrics in a warehouse, a DuckDB file or a folder of Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import click
from attrs import define, field

from chartmogul_async import ChartMogulError, checks, errors
from chartmogul_async.cli import ranges, terminal
from chartmogul_async.cli.failures import OUTPUT, USAGE, CommandError, code_of, in_options, print_error, print_note
from chartmogul_async.cli.pace import Pace, Shown, shown
from chartmogul_async.cli.parameters import DIMENSIONS, METRIC
from chartmogul_async.cli.ranges import Recent
from chartmogul_async.cli.session import check_key
from chartmogul_async.cli.targets import Loaded, Target, WarehouseError, target
from chartmogul_async.events import Attempt
from chartmogul_async.intervals import INTERVALS
from chartmogul_async.periods import Period

if TYPE_CHECKING:
    from chartmogul_async.blocking import Client
    from chartmogul_async.cli.warehouse import Warehouse

_INSTALL = "pip install 'chartmogul-async[cli,dlt]' 'dlt[duckdb,parquet]'"
_REQUIRED = ("dlt", "duckdb", "pyarrow")
# So many periods before the last one are more than the calendar has.
_ALL_PERIODS = 10_000_000
_ANY_TODAY = date(2020, 1, 1)


def _names(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    """Read the value of ``--metrics``."""
    return [METRIC.convert(name.strip(), parameter, context).replace("-", "_") for name in value.split(",")]


def _dimensions(_: click.Context, __: click.Parameter, value: str | None) -> list[str]:
    """Read the value of ``--by``."""
    names = [name.strip().replace("_", "-") for name in value.split(",")] if value else []
    for name in names:
        if name not in DIMENSIONS:
            raise click.BadParameter(f"must be one or several of {', '.join(DIMENSIONS)}, not {checks.shown(name)}")
    return [name.replace("-", "_") for name in names]


def _periods(_: click.Context, __: click.Parameter, value: str | None) -> int | Literal["all"] | None:
    """Read the value of ``--restate``."""
    if value is None:
        return None
    if value == "all":
        return "all"
    if not (value.isascii() and value.isdigit() and int(value) < _ALL_PERIODS):
        raise click.BadParameter(f"must be a number of periods or 'all', not {checks.shown(value)}")
    return int(value)


@click.command()
@click.option(
    "--to",
    "to",
    required=True,
    type=click.Path(),
    callback=target,
    metavar="FILE|FOLDER/",
    help="A DuckDB file such as metrics.duckdb, or a folder such as warehouse/ for Parquet files. It is created if it "
    "does not exist.",
)
@click.option(
    "--metrics", default="all,mrr", show_default=True, callback=_names, metavar="NAME,…", help="As in `metrics`."
)
@click.option(
    "--by",
    callback=_dimensions,
    metavar="plan,…",
    help="Further tables, with each metric by plan, plan-group or country, or by several of them: plan,country.",
)
@click.option(
    "--start",
    callback=ranges.day_or_period,
    metavar="YYYY-MM-DD",
    help="The first day, or a period that begins on it: 2026-01, 2026-Q1 or 2026.",
)
@click.option(
    "--end",
    callback=ranges.day_or_period,
    metavar="YYYY-MM-DD",
    help="The last day, or period, included; by default today.",
)
@click.option(
    "--last",
    callback=ranges.last_intervals,
    metavar="3y",
    help="Instead of --start and --end: so many days (d), weeks (w), months (m), quarters (q) or years (y) before the "
    "current one, and that one up to today.",
)
@click.option("--interval", type=click.Choice(INTERVALS), default="month", show_default=True)
@click.option(
    "--restate",
    callback=_periods,
    metavar="N|all",
    help="For a DuckDB file: how many periods before the last one are read again, since they may have changed. By "
    "default 35 days, 5 weeks, 2 months, a quarter or a year. Parquet files are always replaced as a whole.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print only errors.")
def export(
    to: Target,
    metrics: list[str],
    by: list[str],
    start: date | Period | None,
    end: date | Period | None,
    last: Recent | None,
    interval: str,
    restate: int | Literal["all"] | None,
    quiet: bool,
) -> None:
    """Load metrics into a DuckDB file or Parquet files.

    The first run reads the whole range. Each later one adds what is new, reads the last periods again, since they may
    have changed, and prints which history was restated. If a run is killed, the next one completes its work. A table
    that fails does not stop the others.

    The tables are loaded by dlt, which sends usage statistics to its makers unless RUNTIME__DLTHUB_TELEMETRY is false.
    """
    _check_installed()
    check_key()
    first = _first(start, end, last)
    if to.is_folder and restate not in (None, "all"):
        raise click.UsageError("--restate applies to a DuckDB file; Parquet files are replaced as a whole", _context())
    options = {
        "metrics": metrics,
        "by": by,
        "interval": interval,
        "end": end.end if isinstance(end, Period) else end,
        # In a file that several accounts share, nothing else is replaced.
        "restate": "all" if to.is_folder else _ALL_PERIODS if restate == "all" else restate,
    }
    _Export(to, first, options, quiet).run()


def _context() -> click.Context:
    return click.get_current_context()


def _check_installed() -> None:
    missing = [name for name in _REQUIRED if find_spec(name) is None]
    if missing:
        raise CommandError(
            f"{', '.join(missing)} not found; export requires an extra and drivers, run: {_INSTALL}", USAGE
        )


def _first(start: date | Period | None, end: date | Period | None, last: Recent | None) -> date | Recent:
    """Put the options together that choose the first day."""
    if last is not None:
        if start or end:
            raise click.UsageError("--last and --start with --end exclude each other", _context())
        return last
    if start is None:
        raise click.UsageError("Missing option '--start', or --last", _context())
    return start.start if isinstance(start, Period) else start


@define
class _Export:
    """One run of the command.

    Attributes:
        target: Where the tables are loaded.
        first: The first day.
        options: Those of the source.
        quiet: Whether only errors are printed.
    """

    target: Target
    first: date | Recent
    options: dict[str, Any]
    quiet: bool
    _pace: Pace = field(init=False, factory=Pace)
    _failed: dict[str, int] = field(init=False, factory=dict)

    def run(self) -> None:
        """Load all tables."""
        # They take a second.
        from chartmogul_async.blocking import Client
        from chartmogul_async.cli.warehouse import opened
        from chartmogul_async.integrations.dlt import chartmogul_source

        with shown(self.quiet) as progress:
            note = terminal.note_of_first_retry()

            def count(attempt: Attempt) -> None:
                self._pace.requests += attempt.retry_in is None
                if attempt.retry_in is not None and not self.quiet:
                    with progress.paused():
                        note(attempt)
                progress.update(self._pace)

            def read(name: str, done: int, total: int) -> None:
                self._pace.read(name, done, total)
                progress.update(self._pace)

            with Client(on_event=terminal.only_attempts(count)) as client:
                # Without the first argument dlt takes a key of its own settings, which the client need not know.
                make = partial(chartmogul_source, None, client=client, on_progress=read, **self.options)
                source = self._source(make, client)
                self._pace.names = list(source.selected_resources)
                try:
                    with opened(self.target) as warehouse:
                        self._load(warehouse, source, progress)
                except WarehouseError as error:
                    raise CommandError(str(error), OUTPUT) from None
        self._sum_up()

    def _source(self, make: Callable[..., Any], client: Client) -> Any:
        first = self.first.before(_ANY_TODAY).start if isinstance(self.first, Recent) else self.first
        # Nothing is sent if any option is wrong, and nothing is made if the key is.
        source, account = make(start=first), client.account()
        if isinstance(self.first, Recent):
            return make(start=self.first.of(account).start)
        if first > (today := account.today()):
            raise CommandError(f"--start {first} is after {today}, which is today where the account is", USAGE)
        return source

    def _load(self, warehouse: Warehouse, source: Any, progress: Shown) -> None:
        self._say(warehouse.resume(), progress)
        for name in self._pace.names:
            try:
                self._say(warehouse.load(source, name), progress)
            except (errors.AuthenticationError, errors.NotFoundError):
                # A key or an address that is wrong is so for every table.
                raise
            except (ChartMogulError, errors.UsageError) as error:
                self._failed[name] = code_of(error) if isinstance(error, ChartMogulError) else USAGE
                with progress.paused():
                    print_error(f"{name}: {in_options(str(error))}")
            self._pace.end(name)
            progress.update(self._pace)

    def _say(self, loaded: Iterable[Loaded], progress: Shown) -> None:
        text = "".join(f"{line}\n" for each in loaded for line in each.lines())
        if text and not self.quiet:
            with progress.paused():
                terminal.write(text)

    def _sum_up(self) -> None:
        count = len(self._pace.names)
        tables = f"{count} {'table' if count == 1 else 'tables'}"
        if self._failed:
            others = f"; the others are {self.target.place}" if len(self._failed) < count else ""
            message = f"{len(self._failed)} of {tables} failed: {', '.join(self._failed)}{others}"
            raise CommandError(message, next(iter(self._failed.values())))
        if not self.quiet:
            print_note(f"{tables} {self.target.place}")
