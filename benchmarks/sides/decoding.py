"""Bytes to records: an answer with very many entries, read over and over."""

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
    return _read_over_and_over(_ours(endpoint, parser), _body(url, endpoint, entries), repeats)


def parsed(url: str, endpoint: str, entries: int, repeats: int, parser: str) -> Reading:
    """Lists and dicts, as the parser alone makes them."""
    return _read_over_and_over(_loads(parser), _body(url, endpoint, entries), repeats)


def official(url: str, endpoint: str, entries: int, repeats: int) -> Reading:
    """The official client's objects, made as it makes them of a response's text."""
    return _read_over_and_over(_official(), _body(url, endpoint, entries), repeats)


def memory_of_records(url: str, endpoint: str, entries: int) -> Reading:
    return _bytes_kept(_ours(endpoint, "json"), _body(url, endpoint, entries), entries)


def memory_of_dicts(url: str, endpoint: str, entries: int) -> Reading:
    return _bytes_kept(json.loads, _body(url, endpoint, entries), entries)


def memory_of_official(url: str, endpoint: str, entries: int) -> Reading:
    return _bytes_kept(_official(), _body(url, endpoint, entries), entries)


# --- ways to read --------------------------------------------------------------------------------------------


def _ours(endpoint: str, parser: str) -> Read:
    if parser == "json":  # as where the extra `fast` is not installed
        sys.modules["orjson"] = None  # type: ignore[assignment]  # None makes an import fail
    else:
        import orjson  # noqa: F401 - without it the package would fall back to the standard library

    from chartmogul_async import structuring
    from chartmogul_async.metrics.records import Answer, KeyMetricsAnswer, MRREntry, Summary

    into: Any = {"all": KeyMetricsAnswer, "mrr": Answer[MRREntry, Summary]}[endpoint]
    return lambda body: structuring.read(body, into)


def _loads(parser: str) -> Read:
    if parser == "json":
        return json.loads
    import orjson

    return orjson.loads


def _official() -> Read:
    from chartmogul import Metrics

    return lambda body: Metrics._loadJSON(json.loads(body))


# --- what is measured ----------------------------------------------------------------------------------------


def _body(url: str, endpoint: str, entries: int) -> bytes:
    start = _LAST_DAY - timedelta(entries - 1)
    with urlopen(f"{url}/metrics/{endpoint}?start-date={start}&end-date={_LAST_DAY}&interval=day") as answer:
        body: bytes = answer.read()
    return body


def _read_over_and_over(read: Read, body: bytes, repeats: int) -> Reading:
    read(body)  # hooks and schemas are made at the first time
    with Stopwatch() as watch:
        for _ in range(repeats):
            read(body)
    return watch.reading(repeats=repeats)


def _bytes_kept(read: Read, body: bytes, entries: int) -> Reading:
    """What is still held of the memory taken while reading, by entry."""
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
