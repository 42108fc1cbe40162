"""What the command ``export`` and its warehouse have in common: the target, and what came of each table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

import click
from attrs import frozen

from chartmogul_async.checks import shown

DATASET = "chartmogul"
"""The schema of a DuckDB file, or the folder in a folder, that has the tables."""

UNREADABLE = "'["
"""In the paths of files that DuckDB reads by patterns in quotes, as dlt writes them."""

_SUFFIXES = (".duckdb", ".ddb", ".db")


class WarehouseError(Exception):
    """A warehouse cannot be opened or loaded; what was read is kept."""


@frozen
class Target:
    """Where the tables are loaded.

    Attributes:
        path: The DuckDB file, or the folder.
        is_folder: Whether it is a folder, of Parquet files.
    """

    path: Path
    is_folder: bool

    @property
    def place(self) -> str:
        """Where in it the tables are, in words."""
        return f"in {self.path / DATASET}" if self.is_folder else f"in the schema {DATASET} of {self.path}"


def target(_: click.Context, __: click.Parameter, value: str) -> Target:
    """Read the value of ``--to``.

    Raises:
        BadParameter: It is neither a DuckDB file nor a folder, or cannot be one.
    """
    if not value:
        raise click.BadParameter("must be a DuckDB file such as metrics.duckdb, or a folder, and is empty")
    path = _path(value)
    is_folder = path.is_dir() or value.endswith(("/", "\\"))
    if not is_folder and path.suffix.lower() not in _SUFFIXES:
        raise click.BadParameter(
            "must be a DuckDB file such as metrics.duckdb, or a folder for Parquet files such as warehouse/, "
            f"not {shown(value)}; docs/warehouse.md shows how to load others"
        )
    if not path.parent.is_dir():
        raise click.BadParameter(f"must be in a folder that exists, not {str(path.parent)!r}")
    if not is_folder and path.exists() and not path.is_file():
        raise click.BadParameter(f"must be a file or a folder, not a device, as {str(path)!r} is")
    if is_folder and set(UNREADABLE) & set(str(path.resolve())):
        raise click.BadParameter(
            f"must be a folder whose path has none of {UNREADABLE}, which dlt cannot read, not {str(path.resolve())!r}"
        )
    # DuckDB calls a file by what is before its first dot.
    if not is_folder and path.name.partition(".")[0].lower() == DATASET:
        raise click.BadParameter(
            f"must have another name than {DATASET}, such as metrics.duckdb: DuckDB could not tell the file from the "
            "schema in it"
        )
    return Target(path, is_folder)


def _path(value: str) -> Path:
    path = Path(value)
    try:
        with suppress(FileNotFoundError):
            path.stat()
        str(path.resolve()).encode()
    # A name that is not Unicode is a ValueError.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise click.BadParameter(f"must be a path that can exist, not {shown(value)}: {reason}") from None
    return path


@frozen
class Restated:
    """Values of one figure that were final and are others now.

    Attributes:
        figure: The name of the figure.
        count: How many values.
        first: The first day of the first period.
        last: The first day of the last period.
    """

    figure: str
    count: int
    first: date
    last: date

    def __str__(self) -> str:
        if self.count == 1:
            return f"restated: {self.figure} of {self.first}"
        period = f"of {self.first}" if self.first == self.last else f"from {self.first} to {self.last}"
        return f"restated: {self.count} values of {self.figure} {period}"


@frozen
class Loaded:
    """What was loaded into a table.

    Attributes:
        table: Its name.
        rows: How many rows.
        first: The first day of the first period; None without rows.
        last: The last day.
        restated: Which history is another one now.
    """

    table: str
    rows: int
    first: date | None = None
    last: date | None = None
    restated: tuple[Restated, ...] = ()

    def lines(self) -> Iterator[str]:
        """Say it, one line for the table and one for each figure that was restated."""
        period = f", {self.first} to {self.last}" if self.rows else ""
        yield f"{self.table}: {self.rows:,} {'row' if self.rows == 1 else 'rows'}{period}"
        yield from (f"  {each}" for each in self.restated)
