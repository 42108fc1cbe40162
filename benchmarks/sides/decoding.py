"""Bytes to records: a response with very many entries, read repeatedly."""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from urllib.request import urlopen

from benchmarks.measure import Reading, Stopwatch

_LAST_DAY = date(2025, 12, 31)

Read = Callable[[bytes], object]


def records(url: str, endpoint: str, entries: int, repeats: int, parser: str) -> Reading:
    """Our records, from the standard library's parser or from orjson."""
    return _read_repeatedly(_ours(endpoint, parser), _body(url, endpoint, entries), repeats)


def parsed(url: str, endpoint: str, entries: int, repeats: int, parser: str) -> Reading:
    """Lists and dicts, made by the parser alone."""
    return _read_repeatedly(_loads(parser), _body(url, endpoint, entries), repeats)


def official(url: str, endpoint: str, entries: int, repeats: int) -> Reading:
    """The official client's objects, made by its own code from the text of a response."""
    return _read_repeatedly(_official(), _body(url, endpoint, entries), repeats)


def memory_of_records(url: str, endpoint: str, entries: int) -> Reading:
    return _bytes_kept(_ours(endpoint, "json"), _body(url, endpoint, entries), entries)


def memory_of_dicts(url: str, endpoint: str, entries: int) -> Reading:
    return _bytes_kept(json.loads, _body(url, endpoint, entries), entries)


def memory_of_official(url: str, endpoint: str, entries: int) -> Reading:
    return _bytes_kept(_official(), _body(url, endpoint, entries), entries)


# --- readers -------------------------------------------------------------------------------------------------


def _ours(endpoint: str, parser: str) -> Read:
    # None makes the import of orjson fail, as it does where the extra `fast` is not installed.
    if parser == "json":
        sys.modules["orjson"] = None  # type: ignore[assignment]  # None is not a module
    else:
        import orjson  # noqa: F401 - without it the package would fall back to the standard library

    from chartmogul_async.metrics.records import KeyMetricsResponse, MetricResponse, MRREntry, Summary
    from chartmogul_async.structuring import converter

    into: Any = {"all": KeyMetricsResponse, "mrr": MetricResponse[MRREntry, Summary]}[endpoint]
    return lambda body: converter.read(body, into)


def _loads(parser: str) -> Read:
    # Python's garbage collector visits all that is in memory, so the parser alone must have as much around it.
    from chartmogul_async.metrics import records  # noqa: F401
    from chartmogul_async.structuring import converter  # noqa: F401

    if parser == "json":
        return json.loads
    import orjson

    return orjson.loads


def _official() -> Read:
    from chartmogul import Metrics

    return lambda body: Metrics._loadJSON(json.loads(body))


# --- measurements --------------------------------------------------------------------------------------------


def _body(url: str, endpoint: str, entries: int) -> bytes:
    start = _LAST_DAY - timedelta(entries - 1)
    with urlopen(f"{url}/metrics/{endpoint}?start-date={start}&end-date={_LAST_DAY}&interval=day") as response:
        body: bytes = response.read()
    return body


def _read_repeatedly(read: Read, body: bytes, repeats: int) -> Reading:
    # The first read also compiles hooks and schemas.
    read(body)
    with Stopwatch() as watch:
        for _ in range(repeats):
            read(body)
    return watch.reading(repeats=repeats)


def _bytes_kept(read: Read, body: bytes, entries: int) -> Reading:
    """The memory that is still in use after reading, divided by the number of entries."""
    read(body)
    gc.collect()
    tracemalloc.start()
    with Stopwatch() as watch:
        kept = read(body)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return watch.reading(bytes_an_entry=held / entries)
