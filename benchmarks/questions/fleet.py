"""How long a night of many accounts takes, how fair it is, what ends it, and what an account costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.figures import megabytes, seconds
from benchmarks.harness import Comparison, Result, Side
from benchmarks.questions.question import Goal, Question, Results, Table

ACCOUNTS = 10_000
CALLS = 3_000
IDLE = 1_000
OURS, EACH = "AsyncClients", "an AsyncClient each"
ONE, MANY, ALONE = "1 account", "1,000 accounts", "one AsyncClient"
# Processes, and how many requests each may have in flight.
_NIGHTS = ((1, 200), (1, 800), (4, 200), (16, 200))
# Seconds that a page of another account may take longer while the accounts are read.
_DELAY_GOAL = 0.05
_IDLE_GOAL = 2000
_CPU_GOAL = 1.25


def comparisons() -> list[Comparison]:
    calls = Comparison(
        "calls",
        [
            Side(name, "fleet.calls", {"accounts": accounts, "calls": CALLS})
            for name, accounts in ((ALONE, 0), (ONE, 1), (MANY, 1000))
        ],
        facts={"kind": "calls"},
        warm_up=False,
    )
    idle = Comparison(
        "idle",
        [Side(f"{number} calls", "fleet.idle", {"accounts": IDLE, "calls": number}, once=True) for number in (0, 1, 9)],
        facts={"kind": "idle"},
        warm_up=False,
    )
    return [calls, idle, *(_night(processes, most) for processes, most in _NIGHTS)]


def _night(processes: int, most: int) -> Comparison:
    sides = [_side(OURS, processes, most)]
    if (processes, most) == _NIGHTS[0]:
        sides.append(_side(EACH, processes, None))
    facts = {"kind": "night", "accounts": ACCOUNTS, "processes": processes, "max_in_flight": most}
    return Comparison(f"{processes} x {most}", sides, facts=facts, warm_up=False)


def _side(name: str, processes: int, most: int | None) -> Side:
    arguments: Mapping[str, Any] = {"accounts": ACCOUNTS, "processes": processes, "max_in_flight": most}
    return Side(name, "fleet.nightly", arguments, once=True)


def nights(results: Results) -> list[Result]:
    return [result for result in results.values() if result.facts["kind"] == "night"]


def goals(results: Results) -> list[Goal]:
    idle, calls = results["idle"], results["calls"]
    delays = [result.median(OURS, "page_max") for result in nights(results)]
    return [
        Goal(f"{IDLE:,} idle accounts, bytes each, after 9 calls", idle.median("9 calls", "bytes"), _IDLE_GOAL, ""),
        Goal("CPU a call, 1,000 accounts over one AsyncClient", calls.ratio(MANY, ALONE, "cpu"), _CPU_GOAL),
        Goal("a page of another account, longest delay", max(delays) * 1000, _DELAY_GOAL * 1000, "ms"),
    ]


def table(results: Results) -> Table:
    idle, calls = results["idle"], results["calls"]
    rows = [_row(result, side) for result in nights(results) for side in result.readings]
    rows += [
        ["CPU a call", *(f"{side}: {seconds(calls.median(side, 'cpu'))}" for side in (ALONE, ONE, MANY))],
        ["an idle account", *(f"{side}: {idle.median(side, 'bytes'):,.0f} bytes" for side in idle.readings)],
    ]
    head = (
        "night",
        "time",
        "requests, failed accounts",
        "most in flight",
        "an account takes (p50, p99, longest)",
        "a page waits (p99, longest)",
        "CPU and memory of a process",
        "next limit",
    )
    return Table(head, [[*row, *[""] * (len(head) - len(row))] for row in rows])


def _row(result: Result, side: str) -> Sequence[str]:
    facts = result.facts

    def figure(key: str) -> float:
        return result.median(side, key)

    allowed = f", {facts['max_in_flight']} in flight" if side == OURS else f", {EACH}"
    return [
        f"{facts['accounts']:,} accounts, {facts['processes']} x{allowed}",
        f"**{figure('seconds'):.0f} s**",
        f"{figure('requests'):,.0f}, {figure('failed'):.0f}",
        f"{figure('most_in_flight'):,.0f}",
        ", ".join(f"{figure(f'account_{name}'):.1f} s" for name in ("p50", "p99", "max")),
        ", ".join(f"{figure(f'page_{name}') * 1000:.0f} ms" for name in ("p99", "max")),
        # Several processes are simulated one after the other, in one.
        seconds(figure("cpu")) + (f", {megabytes(figure('memory'))}" if facts["processes"] == 1 else ""),
        _next_limit(result, side),
    ]


def _next_limit(result: Result, side: str) -> str:
    """What has to grow for the night to be shorter."""
    if result.median(side, "cpu") > result.median(side, "seconds"):
        return "the core of each process"
    if result.median(side, "busy") < result.median(side, "seconds") / 2:
        return "the slowest account"
    return "max_in_flight" if side == OURS else "accounts at once"


QUESTION = Question(
    "fleet", "nine metrics of many accounts, in virtual time, and what an account costs", comparisons, goals, table
)
