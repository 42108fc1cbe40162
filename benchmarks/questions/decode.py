"""Bytes to records: ten years of days, beside parsers that make dicts and beside the official client."""

from __future__ import annotations

from benchmarks.figures import ratio, spread
from benchmarks.harness import Comparison, Side
from benchmarks.questions.question import Goal, Question, Results, Table
from benchmarks.server import Serving

ENTRIES = 3_650
ENDPOINTS = ("all", "mrr")
OURS, FAST, OFFICIAL = "ours", "ours, with orjson", "official client"
JSON, ORJSON = "json.loads, dicts", "orjson.loads, dicts"
SIDES = (OURS, FAST, JSON, ORJSON, OFFICIAL)
OURS_GOAL, FAST_GOAL, OFFICIAL_GOAL = 1.5, 1.0, 10.0
MEMORY = {OURS: "memory of records", JSON: "memory of dicts", OFFICIAL: "memory of the official client's"}


def comparisons() -> list[Comparison]:
    return [_comparison(endpoint) for endpoint in ENDPOINTS]


def _comparison(endpoint: str) -> Comparison:
    body = {"endpoint": endpoint, "entries": ENTRIES}
    return Comparison(
        f"/metrics/{endpoint}",
        [
            Side(OURS, "decoding.records", {**body, "repeats": 20, "parser": "json"}),
            Side(FAST, "decoding.records", {**body, "repeats": 20, "parser": "orjson"}),
            Side(JSON, "decoding.parsed", {**body, "repeats": 20, "parser": "json"}),
            Side(ORJSON, "decoding.parsed", {**body, "repeats": 20, "parser": "orjson"}),
            Side(OFFICIAL, "decoding.official", {**body, "repeats": 3}),
            Side(MEMORY[OURS], "decoding.memory_of_records", body, once=True),
            Side(MEMORY[JSON], "decoding.memory_of_dicts", body, once=True),
            Side(MEMORY[OFFICIAL], "decoding.memory_of_official", body, once=True),
        ],
        Serving(),
    )


def goals(results: Results) -> list[Goal]:
    return [
        goal
        for name, result in results.items()
        for goal in (
            Goal(f"{name}, standard library, over json.loads", result.ratio(OURS, JSON, "cpu"), OURS_GOAL),
            Goal(f"{name}, with orjson, over json.loads", result.ratio(FAST, JSON, "cpu"), FAST_GOAL),
            Goal(
                f"{name}, the official client's time over ours",
                result.ratio(OFFICIAL, OURS, "cpu"),
                OFFICIAL_GOAL,
                at_least=True,
            ),
        )
    ]


def table(results: Results) -> Table:
    rows = []
    for name, result in results.items():
        for side in SIDES:
            kept = f"{result.median(MEMORY[side], 'bytes_an_entry'):.0f} bytes" if side in MEMORY else ""
            times = f"**{ratio(result.ratio(side, JSON, 'cpu'))}**"
            rows.append([name, side, spread(result.values(side, "cpu")), times, kept])
    return Table(["answer", "side", "CPU an answer", "x json.loads", "memory an entry"], rows)


QUESTION = Question("decode", f"bytes to records, {ENTRIES:,} entries", comparisons, goals, table)
