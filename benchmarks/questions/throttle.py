"""How close to the limits, and how politely: 400 answers at 40 a second, whatever way the server counts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import get_args

from benchmarks.figures import ratio, spread
from benchmarks.harness import Comparison, Result, Side
from benchmarks.ideal import earliest_finish
from benchmarks.questions.question import Goal, Question, Results, Table
from benchmarks.server import Serving
from chartmogul_async.sandbox import Limits
from chartmogul_async.sandbox.limits import Counting

CALLS = 400
OURS = "ours"
SIDES = {
    OURS: "limiters.ours",
    "aiolimiter(40, 1)": "limiters.aiolimiter",
    "aiolimiter(1, 1/40)": "limiters.aiolimiter_even",
    "pyrate-limiter": "limiters.pyrate_limiter",
}
GOAL = 1.05
_REFUSALS_OF_A_SMALL_BUCKET = 20
_BURST = 5
_PUBLISHED = Limits(counting="sliding")  # 40 in whatever second, 20 in flight
_COUNTING: dict[Counting, str] = {"fixed": "fixed window", "sliding": "sliding log", "bucket": "token bucket"}


def comparisons() -> list[Comparison]:
    return [
        *(
            _comparison(Limits(counting=counting), latency, jitter)
            for counting, jitter, latency in product(get_args(Counting), (0.0, 0.03), (0.03, 0.3))
        ),
        _comparison(Limits(counting="bucket", bucket=_BURST), latency=0.03, jitter=0.0),
    ]


def _comparison(limits: Limits, latency: float, jitter: float) -> Comparison:
    """The ideal is that of the limits as they are published, for a client cannot know how the server counts. Of a
    bucket that allows less than is published, it is the bucket's own.
    """
    is_small = limits.bucket is not None
    counting = f"{_COUNTING[limits.counting]}{f', burst of {limits.bucket}' if is_small else ''}"
    way = f"0-{jitter * 1e3:.0f} ms jitter" if jitter else "no jitter"
    return Comparison(
        f"{counting}, {latency * 1e3:.0f} ms, {way}",
        [Side(name, function, {"calls": CALLS, "again": is_small}) for name, function in SIDES.items()],
        Serving(limits, latency=latency, jitter=jitter),
        ideal=earliest_finish(CALLS, limits if is_small else _PUBLISHED, latency=latency, jitter=jitter),
        facts={
            "counting": counting,
            "latency": latency,
            "jitter": jitter,
            "is_small": is_small,
            "earliest": earliest_finish(CALLS, limits, latency=latency, jitter=jitter),
        },
        warm_up=False,  # nothing in a wait of ten seconds is warm or cold
    )


def refusals(result: Result, side: str) -> int:
    """The refusals of the worst round, as the server counted them."""
    return int(max(map(sum, zip(*(result.values(side, f"server_refused_{code}") for code in (429, 503)), strict=True))))


def goals(results: Results) -> list[Goal]:
    usual = [result for result in results.values() if not result.facts["is_small"]]
    (small,) = (result for result in results.values() if result.facts["is_small"])
    slowest = max(usual, key=lambda result: result.over_ideal(OURS))
    return [
        Goal(f"slowest of {len(usual)} servers ({slowest.name}), over the ideal", slowest.over_ideal(OURS), GOAL),
        Goal(
            f"refusals by those {len(usual)} servers, worst rounds", sum(refusals(each, OURS) for each in usual), 0, ""
        ),
        Goal(
            f"refusals by a bucket with a burst of {_BURST}, in {CALLS} calls",
            small.worst(OURS, "refused"),
            _REFUSALS_OF_A_SMALL_BUCKET,
            "",
        ),
        Goal(f"refusals by that bucket in {CALLS} more calls", small.worst(OURS, "refused_again"), 0, ""),
    ]


def table(results: Results) -> Table:
    rows = []
    for result in results.values():
        assert result.ideal is not None
        ideals = f"{result.ideal:.2f} s ({result.facts['earliest']:.2f} s)"
        rows.append([result.name, ideals, *(_cell(result, side) for side in SIDES)])
    return Table(["server", "ideal (counting known)", *SIDES], rows)


def _cell(result: Result, side: str) -> str:
    refused: Sequence[float | int] = [refusals(result, side)]
    if result.facts["is_small"]:
        refused = [result.worst(side, "refused"), result.worst(side, "refused_again")]
    counted = " + ".join(f"{count:.0f}" for count in refused)
    return f"**{ratio(result.over_ideal(side))}** · {spread(result.values(side))} · {counted}"


QUESTION = Question("throttle", "400 answers at 40 a second and 20 in flight", comparisons, goals, table, lanes=5)
