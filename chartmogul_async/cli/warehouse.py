"""A DuckDB file or a folder of Parquet files, loaded by dlt table by table, so that what was loaded stays loaded.

What dlt remembers of a warehouse is in the warehouse, and what is read and not loaded yet in a folder of its own, which
is removed as soon as all is loaded. So targets share no state, and a file may be moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any

import dlt
import duckdb
from attrs import frozen
from dlt.common.exceptions import DltException
from dlt.common.pipeline import get_dlt_pipelines_dir

from chartmogul_async import ChartMogulError, errors
from chartmogul_async.cli.targets import DATASET, UNREADABLE, Loaded, Restated, Target, WarehouseError
from chartmogul_async.integrations.tables import RESTATEMENTS

# The same in every warehouse, which knows its state by it.
_PIPELINE = "chartmogul"
# What DuckDB says of a file that another process has open, on Windows the last one.
_HELD = ("Conflicting lock", "used by another process")


@contextmanager
def opened(target: Target) -> Iterator[Warehouse]:
    """Open a warehouse, which is made if there is none, while no other process does.

    Args:
        target: Where it is.

    Returns:
        A context manager that gives the warehouse.

    Raises:
        WarehouseError: It cannot be written, or another process loads it.
    """
    folder = _folder_of(target)
    with _locked(folder, target):
        _check_writable(target)
        place = str(target.path.resolve())
        destination: Any = dlt.destinations.filesystem(place) if target.is_folder else dlt.destinations.duckdb(place)
        pipeline = dlt.pipeline(
            _PIPELINE, destination=destination, dataset_name=DATASET, pipelines_dir=str(folder), dev_mode=False
        )
        _overrule_settings(pipeline)
        try:
            yield Warehouse(pipeline, folder)
        finally:
            is_pending = pipeline.has_pending_data
            pipeline.deactivate()
            if not is_pending:
                rmtree(folder, ignore_errors=True)


def _overrule_settings(pipeline: dlt.Pipeline) -> None:
    """Overrule settings of dlt's that are made for other pipelines, or name those that cannot be."""
    # Each table would remove those before it.
    pipeline.refresh = None
    # A folder would not know whose tables it has.
    pipeline.config.restore_from_destination = True
    if pipeline.dataset_name != DATASET:
        raise WarehouseError(
            f"dlt's settings name the schema {pipeline.dataset_name} instead of {DATASET}: unset dataset_name_layout "
            "and full_refresh, in its config.toml or the environment"
        )


def _folder_of(target: Target) -> Path:
    """Where dlt keeps what it has read for a target and not loaded yet: beside its own pipelines."""
    digest = sha256(str(target.path.resolve()).encode()).hexdigest()[:16]
    return Path(get_dlt_pipelines_dir()).parent / "chartmogul_export" / digest


@contextmanager
def _locked(folder: Path, target: Target) -> Iterator[None]:
    """Hold a lock of DuckDB's, which every system has, and which ends with its process."""
    if set(UNREADABLE) & set(str(folder)):
        raise WarehouseError(f"dlt cannot read {folder.parent}: set DLT_DATA_DIR to a path with none of {UNREADABLE}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = duckdb.connect(str(folder.with_suffix(".lock")))
    except OSError as error:
        raise WarehouseError(f"cannot write to {folder.parent}: {error.strerror}") from None
    except duckdb.Error as error:
        if any(words in str(error) for words in _HELD):
            raise WarehouseError(f"another process exports into {target.path}") from None
        raise WarehouseError(f"cannot use the lock of {target.path}: {error}") from None
    with lock:
        yield


def _check_writable(target: Target) -> None:
    try:
        if target.is_folder:
            target.path.mkdir(exist_ok=True)
        else:
            duckdb.connect(str(target.path)).close()
    except OSError as error:
        raise WarehouseError(f"cannot write to {target.path}: {error.strerror}") from None
    except duckdb.Error as error:
        raise WarehouseError(f"cannot open {target.path}: {error}") from None


@frozen
class Warehouse:
    """A warehouse that is open.

    Attributes:
        pipeline: Loads it.
        folder: Where dlt keeps what is read and not loaded yet.
    """

    pipeline: dlt.Pipeline
    folder: Path

    def resume(self) -> list[Loaded]:
        """Load what an earlier process had read when it was killed.

        Returns:
            What that was.

        Raises:
            WarehouseError: It cannot be loaded.
        """
        return self._run(None) if self.pipeline.has_pending_data else []

    def load(self, source: Any, name: str) -> list[Loaded]:
        """Read a table, and load it.

        Args:
            source: The source.
            name: The name of the table.

        Returns:
            What was loaded.

        Raises:
            WarehouseError: It cannot be loaded.
            ChartMogulError: It cannot be read; nothing of it was loaded.
        """
        return self._run(source.with_resources(name)) or [Loaded(name, 0)]

    def _run(self, source: Any) -> list[Loaded]:
        with self._explained():
            info = self.pipeline.run(source, loader_file_format="parquet")
            # dlt forgets what was pending if the warehouse is another one.
            packages = info.load_packages if info else []
            jobs = [job for package in packages for job in package.jobs["completed_jobs"]]
            tables = dict.fromkeys(job.job_file_info.table_name for job in jobs)
            restated = self._restated(info.loads_ids) if RESTATEMENTS in tables else {}
            return [
                self._loaded(table, info.loads_ids, restated.get(table, ()))
                for table in tables
                if table != RESTATEMENTS and not table.startswith("_dlt")
            ]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise what is behind an error of dlt's."""
        try:
            yield
        except DltException as failure:
            error = _cause_of(failure)
            # dlt wraps it while it loads.
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            if isinstance(error, ChartMogulError | errors.UsageError):
                raise error from None
            kept = f"; what was read is in {self.folder}, for the next run" if self.pipeline.has_pending_data else ""
            raise WarehouseError(f"dlt could not load: {error}{kept}") from failure

    def _loaded(self, table: str, ids: list[str], restated: Iterable[Restated]) -> Loaded:
        ((rows, first, last),) = self._select("count(*), min(period_start), max(date)", table, ids)
        return Loaded(table, rows, first, last, tuple(restated))

    def _restated(self, ids: list[str]) -> dict[str, list[Restated]]:
        """What history of each table is another one now."""
        what = '"table", figure, count(*), min(period_start), max(period_start)'
        found: dict[str, list[Restated]] = {}
        for table, *row in self._select(what, RESTATEMENTS, ids, "GROUP BY ALL ORDER BY ALL"):
            found.setdefault(table, []).append(Restated(*row))
        return found

    def _select(self, what: str, table: str, ids: list[str], more: str = "") -> list[Any]:
        with self.pipeline.sql_client() as client:
            name = client.make_qualified_table_name(table)
            marks = ", ".join(["%s"] * len(ids))
            query = f"SELECT {what} FROM {name} WHERE _dlt_load_id IN ({marks}) {more}"  # noqa: S608 - names of ours
            with client.execute_query(query, *ids) as cursor:
                return list(cursor.fetchall())


def _cause_of(failure: BaseException) -> BaseException:
    return failure if failure.__cause__ is None else _cause_of(failure.__cause__)
