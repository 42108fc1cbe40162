"""The same nine questions by the official client, which asks one after the other."""

from __future__ import annotations

from benchmarks.figures import ratio, seconds, spread
from benchmarks.harness import Comparison, Side
from benchmarks.questions.question import Goal, Question, Results, Table
from benchmarks.server import Serving
from chartmogul_async.sandbox import Limits

OURS, OFFICIAL = "ours, all at once", "official client, one by one"
NAME = "nine metrics"


def comparisons() -> list[Comparison]:
    sides = [Side(OURS, "nine_metrics.ours"), Side(OFFICIAL, "nine_metrics.official")]
    return [Comparison(NAME, sides, Serving(Limits(), latency=0.05))]


def goals(results: Results) -> list[Goal]:
    return [Goal("ours over the official client", results[NAME].ratio(OURS, OFFICIAL), 1.0)]


def table(results: Results) -> Table:
    result = results[NAME]
    rows = [
        [
            side,
            spread(result.values(side)),
            f"**{ratio(result.ratio(side, OFFICIAL))}**",
            seconds(result.median(side, "cpu")),
            f"{result.median(side, 'server_connections'):.0f}",
            f"{result.median(side, 'server_peak'):.0f}",
        ]
        for side in result.readings
    ]
    return Table(["side", "time", "x official", "CPU", "connections", "in flight"], rows)


QUESTION = Question("official", "nine metrics x 24 months, 50 ms latency", comparisons, goals, table)
