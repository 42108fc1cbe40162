"""A storm of cancellations on each event loop, then mixed load on one; exit code 1 if anything grows or is left.

``python -m tests.soak --minutes 3`` runs a short one, ``--loop trio`` runs it on trio.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.abc
from attrs import define, field
from rich.console import Console
from rich.table import Table

from chartmogul_async.errors import ChartMogulError
from chartmogul_async.sandbox import Limits, serve_in_subprocess
from tests.soak import load, storm
from tests.soak.flatness import Figure, Sample, Samples
from tests.soak.witnesses import living_tasks, resident_megabytes, sockets_to

LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
# Seconds between two samples.
EVERY = 1.0
# How many samples are taken for each one that is printed.
PRINTED_EVERY = 30
# Megabytes by which the fitted line may rise over the second half.
MAY_GROW = 1.0
# A client keeps as many connections as there are slots; the clients that share its throttle may use as many.
AT_MOST = {"in_flight": load.SLOTS, "sockets": 2 * load.SLOTS}

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    arguments.add_argument("--minutes", type=float, default=30.0, help="duration of the mixed load")
    arguments.add_argument("--loop", choices=LOOPS, default="asyncio", help="for the mixed load")
    arguments.add_argument("--storm", type=int, default=10_000, help="requests of each storm; 0 for none")
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()

    if options.storm:
        for name in LOOPS:
            if name != "uvloop" or find_spec("uvloop"):
                run_storm(name, options.storm, options.seed)
    with serve_in_subprocess(
        load.COMPANY, api_key=load.API_KEY, limits=load.LIMITS, faults=load.FAULTS, latency=load.LATENCY
    ) as url:
        soak = Soak(url, options.minutes * 60, options.seed)
        run(options.loop, soak.run)
    return soak.report()


def run_storm(loop: str, requests: int, seed: int) -> None:
    with serve_in_subprocess(
        load.COMPANY, limits=Limits(per_second=None, parallel=None), faults=storm.FAULTS, latency=storm.LATENCY
    ) as url:
        ends = run(loop, storm.storm, url, "sandbox", requests, seed)
    console.print(f"storm of {requests} requests on {loop}: {_counted(ends)}; nothing is left")


def run(loop: str, function: Callable[..., Any], *arguments: Any) -> Any:
    backend, backend_options = LOOPS[loop]
    return anyio.run(function, *arguments, backend=backend, backend_options=backend_options)


@define(eq=False)
class Soak:
    """Mixed load for some seconds, with a sample every second."""

    url: str
    seconds: float
    seed: int
    load: load.Load = field(init=False)
    samples: Samples = field(factory=Samples)
    left_over: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.load = load.Load(self.url, self.seed)

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    async def run(self) -> None:
        tasks = living_tasks()
        until = anyio.current_time() + self.seconds
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch)
            await self.load.run(until)
            group.cancel_scope.cancel()
        await self._check_that_nothing_is_left(tasks)

    async def _watch(self) -> None:
        start = anyio.current_time()
        while True:
            await anyio.sleep(start + (len(self.samples.taken) + 1) * EVERY - anyio.current_time())
            statistics = self.load.throttle.statistics()
            sample = Sample(
                at=anyio.current_time() - start,
                megabytes=resident_megabytes(),
                sockets=sockets_to(self.port),
                tasks=living_tasks(),
                in_flight=statistics.in_flight,
                waiting=statistics.waiting,
                admitted=statistics.admitted,
            )
            self.samples.taken.append(sample)
            if len(self.samples.taken) % PRINTED_EVERY == 0:
                self._print_sample(sample)

    async def _check_that_nothing_is_left(self, tasks: int) -> None:
        await self._ping()
        statistics = self.load.throttle.statistics()
        self._expect("exchanges in flight", statistics.in_flight, 0)
        self._expect("waiters", statistics.waiting, 0)
        self._expect("tasks", living_tasks(), tasks)
        await self.load.client.aclose()
        self._expect("sockets", sockets_to(self.port), 0)

    async def _ping(self) -> None:
        """One more call; it may meet a fault, but it must end."""
        with suppress(ChartMogulError), anyio.fail_after(2 * load.RETRY.total):
            await self.load.client.ping()

    def _expect(self, name: str, number: int, expected: int) -> None:
        if number != expected:
            self.left_over.append(f"{number} {name} at the end, expected {expected}")

    def _print_sample(self, sample: Sample) -> None:
        console.print(
            f"{sample.at:6.0f} s  {sample.admitted:8d} requests  {sample.megabytes:7.1f} MB"
            f"  {sample.sockets:3d} sockets  {sample.tasks:3d} tasks"
            f"  {sample.in_flight:3d} in flight  {sample.waiting:4d} in the queue"
        )

    def report(self) -> int:
        """Print the result, and return the exit code."""
        console.print(f"calls: {_counted(self.load.ends)}")
        figures = {
            name: self.samples.figure(name) for name in ("megabytes", "sockets", "tasks", "in_flight", "waiting")
        }
        console.print(_table(figures.values()))
        complaints = [*self.left_over, *self.load.wrong]
        if figures["megabytes"].grew > MAY_GROW:
            complaints.append(f"memory grew by {figures['megabytes'].grew:.2f} MB; the limit is {MAY_GROW}")
        for name, most in AT_MOST.items():
            if figures[name].highest > most:
                complaints.append(f"{name} reached {figures[name].highest}; the limit is {most}")
        console.print("\n".join(complaints) or f"flat (memory within {MAY_GROW} MB), and nothing is left")
        return 1 if complaints else 0


def _table(figures: Iterable[Figure]) -> Table:
    table = Table(title="the second half", title_justify="left")
    for column in ("", "lowest", "average", "highest", "grew by"):
        table.add_column(column, justify="right")
    for each in figures:
        table.add_row(each.name, *(f"{one:.2f}" for one in (each.lowest, each.average, each.highest, each.grew)))
    return table


def _counted(ends: dict[str, int]) -> str:
    return ", ".join(f"{number} {end}" for end, number in sorted(ends.items(), key=lambda item: -item[1]))


if __name__ == "__main__":
    sys.exit(main())
