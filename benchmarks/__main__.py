"""Measure side by side: ``python -m benchmarks [NAME …]`` (or ``nox -s bench``).

Each side runs in fresh processes, the sides in turn (A B A B …) after a warm-up, against a sandbox in another
process. Printed are the medians, the spread and the ratio of the medians: only the ratio holds on a noisy machine.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from attrs import frozen

from chartmogul_async.sandbox import Limits, serve_in_subprocess

ROUNDS = 5
RESULTS = Path(__file__).with_name("results")
UNLIMITED = Limits(per_second=None, parallel=None)


@frozen
class Benchmark:
    """Two sides (the second is what the first is held against) and the server that both talk to.

    Without a second side the first is held against ``ideal`` seconds.
    """

    question: str
    ours: str
    against: str | None = None
    ideal: float | None = None
    limits: Limits = UNLIMITED
    latency: float = 0.0
    latency_per_entry: float = 0.0


BENCHMARKS = {
    "official": Benchmark(
        "nine metrics x 24 months, 50 ms latency: the official client one by one / ours at once",
        "nine_metrics_ours",
        "nine_metrics_official",
        limits=Limits(),
        latency=0.05,
    ),
    "one-by-one": Benchmark(
        "400 whole calls one after the other / bare httpx.get", "calls_one_by_one_ours", "calls_one_by_one_httpx"
    ),
    "at-once": Benchmark(
        "400 whole calls, 20 in flight / bare httpx.get with its pool of 20",
        "calls_at_once_ours",
        "calls_at_once_httpx",
    ),
    "fan-out": Benchmark(
        "ten years of days, 50 ms + 0.5 ms an entry: in slices / undivided",
        "ten_years_of_days_sliced",
        "ten_years_of_days_undivided",
        limits=Limits(),
        latency=0.05,
        latency_per_entry=0.0005,
    ),
    "throttle": Benchmark(
        "400 answers at 40 a second (sliding log, 30 ms latency) / the ideal of 9.03 s",
        "throttled_ours",
        ideal=9.03,
        limits=Limits(),
        latency=0.03,
    ),
}


def run(benchmark: Benchmark) -> dict[str, Any]:
    sides = [benchmark.ours, *([benchmark.against] if benchmark.against else [])]
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    with serve_in_subprocess(
        limits=benchmark.limits, latency=benchmark.latency, latency_per_entry=benchmark.latency_per_entry
    ) as url:
        for number in range(ROUNDS + 1):
            for side in sides:
                measured = _seconds_of(side, url)
                if number:  # the first round warms caches up
                    seconds[side].append(measured)
        counters = _counters(url)
    ours = statistics.median(seconds[benchmark.ours])
    against = statistics.median(seconds[benchmark.against]) if benchmark.against else benchmark.ideal
    assert against is not None
    return {
        "question": benchmark.question,
        "seconds": seconds,
        "ratio": ours / against,
        "refusals": counters["refused_429"] + counters["refused_503"],
    }


def _seconds_of(side: str, url: str) -> float:
    time.sleep(1.5)  # so that the server's last second is empty, as it is for the first run
    command = [sys.executable, "-m", "benchmarks.sides", side, url]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _counters(url: str) -> dict[str, int]:
    with urlopen(f"http://{urlsplit(url).netloc}/sandbox/counters") as answer:
        return json.load(answer)  # type: ignore[no-any-return]


def show(name: str, result: dict[str, Any]) -> None:
    print(f"\n{name}: {result['question']}")
    for side, seconds in result["seconds"].items():
        print(f"  {side:32} median {statistics.median(seconds):8.3f} s   {min(seconds):.3f} … {max(seconds):.3f}")
    print(f"  ratio {result['ratio']:.3f}   refusals {result['refusals']}")


def main() -> None:
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    RESULTS.mkdir(exist_ok=True)
    for name in names:
        result = run(BENCHMARKS[name])
        show(name, result)
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
