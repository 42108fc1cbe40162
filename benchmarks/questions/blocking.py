"""What a call of the blocking client costs beside the same call of the async one."""

from __future__ import annotations

from benchmarks.figures import spread
from benchmarks.harness import Comparison, Side
from benchmarks.questions.question import Goal, Question, Results, Table
from benchmarks.server import Serving

CALLS = 1_000
ASYNC, BLOCKING = "async client", "blocking client"
IN_TURN, IN_FLIGHT = "one after the other", "20 in flight"
LIMIT = 250  # µs


def comparisons() -> list[Comparison]:
    workers = [
        Side(ASYNC, "calls.in_flight", {"client": "ours", "calls": CALLS}),
        Side(BLOCKING, "blocking.in_flight", {"calls": CALLS}),
    ]
    return [
        Comparison(IN_TURN, [Side(BLOCKING, "blocking.alternating", {"calls": CALLS})], Serving()),
        Comparison(IN_FLIGHT, workers, Serving()),
    ]


def goals(results: Results) -> list[Goal]:
    in_turn, in_flight = results[IN_TURN], results[IN_FLIGHT]
    beyond = {
        f"{IN_TURN}, CPU": in_turn.median(BLOCKING, "cpu") - in_turn.median(BLOCKING, "async_cpu"),
        f"{IN_TURN}, wall": in_turn.median(BLOCKING) - in_turn.median(BLOCKING, "async_seconds"),
        f"{IN_FLIGHT}, CPU": in_flight.median(BLOCKING, "cpu") - in_flight.median(ASYNC, "cpu"),
    }
    return [Goal(f"{what} time beyond the async call", 1e6 * value, LIMIT, "µs") for what, value in beyond.items()]


def table(results: Results) -> Table:
    in_turn, in_flight = results[IN_TURN], results[IN_FLIGHT]
    rows = [
        [
            IN_TURN,
            ASYNC,
            spread(in_turn.values(BLOCKING, "async_cpu")),
            spread(in_turn.values(BLOCKING, "async_seconds")),
        ],
        [IN_TURN, BLOCKING, spread(in_turn.values(BLOCKING, "cpu")), spread(in_turn.values(BLOCKING))],
        *([IN_FLIGHT, side, spread(in_flight.values(side, "cpu")), ""] for side in (ASYNC, BLOCKING)),
    ]
    return Table(["calls", "side", "CPU a call", "wall a call"], rows)


QUESTION = Question("blocking", f"{CALLS:,} calls for the MRR of 24 months, no latency", comparisons, goals, table)
