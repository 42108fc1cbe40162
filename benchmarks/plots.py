"""The page of plots: every finding in its title, ours in colour, a tick where each goal lies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from attrs import frozen
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter

from benchmarks import figures
from benchmarks.harness import Result
from benchmarks.questions import decode, fan_out, growth, importing, official, overhead, queue, throttle
from benchmarks.questions.question import Results
from benchmarks.records import FOLDER, Record

PAGE = FOLDER / "figures.svg"
_STYLE = Path(__file__).with_suffix(".mplstyle")

_OURS, _OTHERS, _GOAL, _INK, _FAINT = "#1d5fc4", "#b4bcc6", "#e8590c", "#22262b", "#6b7480"
_HEAD = 0.75  # inches above the panels


@frozen
class Bar:
    """One row of a bar chart. ``goal`` is where the bar shall end."""

    label: str
    values: Sequence[float]
    text: str
    is_ours: bool = False
    goal: float | None = None
    begins_group: bool = False


def draw(records: Sequence[Record], page: Path = PAGE) -> None:
    """Draw a panel for each question that was measured."""
    measured = {record.question.name: record.results for record in records}
    rows = [row for row in _ROWS if any(name in measured for name, _ in row.panels)]
    if not rows:
        return
    with style.context(_STYLE):
        height = sum(row.height for row in rows) + _HEAD
        layout = ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.1, hspace=0.02, rect=(0, 0, 1, 1 - _HEAD / height))
        figure = Figure(figsize=(9.6, height), layout=layout)
        grid = figure.add_gridspec(len(rows), 1, height_ratios=[row.height for row in rows])
        for index, row in enumerate(rows):
            _draw_row(figure, grid[index, 0], row, measured)
        _draw_head(figure, records)
        figure.savefig(page, metadata={"Date": None} if page.suffix == ".svg" else None)


@frozen
class _Row:
    height: float
    panels: Sequence[tuple[str, Callable[[Axes, Results], None]]]


def _draw_row(figure: Figure, place: SubplotSpec, row: _Row, measured: Mapping[str, Results]) -> None:
    cells = place.subgridspec(1, len(row.panels))
    for index, (name, panel) in enumerate(row.panels):
        if name in measured:
            panel(figure.add_subplot(cells[0, index]), measured[name])


def _draw_head(figure: Figure, records: Sequence[Record]) -> None:
    height = figure.get_figheight()
    newest = max(records, key=lambda record: record.measured)
    rounds = min(record.rounds for record in records)
    machine = newest.machine
    said = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['python']}, {newest.measured}; "
        f"medians of {rounds} round{'s' if rounds > 1 else ''}; only ratios carry over to another machine"
    )
    figure.text(0.012, 1 - 0.28 / height, "chartmogul_async, measured side by side", size=14, weight="bold")
    figure.text(0.012, 1 - 0.5 / height, said, color=_FAINT)
    figure.legend(
        handles=[
            Line2D([], [], color=_OURS, linewidth=6, label="ours"),
            Line2D([], [], color=_OTHERS, linewidth=6, label="the others"),
            Line2D([], [], color=_GOAL, linewidth=2.5, label="goal"),
        ],
        loc="upper right",
        bbox_to_anchor=(0.995, 1 - 0.08 / height),
        ncols=3,
        handlelength=1.2,
    )


# --- panels ----------------------------------------------------------------------------------------------------

_MARKERS = dict(zip(throttle.SIDES, "osD^", strict=True))
_GREYS = dict(zip(throttle.SIDES, (_OURS, "#98a2ad", "#98a2ad", "#5f6974"), strict=True))
_WIDEST = 1.3  # over the ideal; what is slower is drawn at the edge, with its figure


def _throttle(axes: Axes, results: Results) -> None:
    goals = throttle.QUESTION.goals(results)
    axes.set_title(
        f"400 answers at 40 a second: within {goals[0].value:.2f} x the ideal and with {goals[1].value:.0f} refusals,\n"
        "by every server but a bucket of 5"
    )
    axes.axvline(throttle.GOAL, color=_GOAL, linewidth=1.5)
    axes.axvline(1, color=_FAINT, linewidth=0.8, linestyle=":")
    for y, result in enumerate(results.values()):
        axes.axhline(y, color="#eef1f4", linewidth=4, zorder=0)
        for side in reversed(throttle.SIDES):
            _dot(axes, y, result, side)
    axes.set_yticks(range(len(results)), list(results))
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.set_xlim(0.92, _WIDEST + 0.04)
    axes.set_xlabel("time over the ideal; full: nothing was refused, empty: with so many refusals in the worst round")
    axes.legend(
        handles=[
            Line2D([], [], color=_GREYS[side], marker=_MARKERS[side], linewidth=0, label=side)
            for side in throttle.SIDES
        ],
        loc="lower right",
        bbox_to_anchor=(1.01, 0.99),
        ncols=4,
        handletextpad=0.1,
        columnspacing=1.2,
        fontsize=8,
    )


def _dot(axes: Axes, y: int, result: Result, side: str) -> None:
    refused, over = throttle.refusals(result, side), result.over_ideal(side)
    colour, x = _GREYS[side], min(over, _WIDEST)
    axes.plot(
        x,
        y,
        marker=_MARKERS[side],
        color=colour,
        markerfacecolor="white" if refused else colour,
        markersize=6,
        linewidth=0,
    )
    if refused:
        told = f"{refused}" if over <= _WIDEST else f"{refused}, {figures.ratio(over)} x"
        axes.annotate(told, (x, y), (5, 3), textcoords="offset points", size=6.5, color=colour)


def _queue_time(axes: Axes, results: Results) -> None:
    name, result = list(results.items())[-1]
    assert result.ideal is not None
    axes.set_title(
        f"{name} at once: {result.over_ideal(queue.TASKS):.2f} x the ideal,\n"
        f"{result.over_ideal(queue.STREAM):.2f} x as a stream"
    )
    bars = [
        Bar(
            _short(side),
            result.values(side),
            f"{figures.seconds(result.median(side))}, {figures.ratio(result.over_ideal(side))} x",
            is_ours=_is_ours(side),
            goal=queue.OVER_IDEAL * result.ideal if _is_ours(side) else None,
        )
        for side in result.readings
    ]
    _bars(axes, bars, "seconds (logarithmic)", logarithmic=True)


def _queue_stall(axes: Axes, results: Results) -> None:
    result = list(results.values())[-1]
    goals = {queue.TASKS: queue.STALL_OF_TASKS, queue.STREAM: queue.STALL_OF_STREAM}
    stalls = {side: [stall * 1e3 for stall in result.values(side, "stall")] for side in result.readings}
    axes.set_title(
        f"… the event loop waits {figures.seconds(result.median(queue.TASKS, 'stall'))} at worst,\n"
        f"{figures.seconds(result.median(queue.STREAM, 'stall'))} as a stream"
    )
    bars = [
        Bar(
            _short(side),
            values,
            f"{figures.seconds(result.median(side, 'stall'))}, {figures.megabytes(result.median(side, 'memory'))}",
            is_ours=_is_ours(side),
            goal=goals.get(side),
        )
        for side, values in stalls.items()
    ]
    _bars(axes, bars, "longest stall in ms (logarithmic), and memory", logarithmic=True)


def _overhead(axes: Axes, results: Results) -> None:
    ours, bare = overhead.OURS, overhead.HTTPX
    in_turn, in_flight = (results[name].ratio(ours, bare, "cpu") for name in overhead.GOALS)
    axes.set_title(f"A whole call costs {in_turn:.2f} x bare httpx.get,\n{in_flight:.2f} x with 20 in flight")
    bars = [
        Bar(
            f"{_short(side)}, {name}" if side == ours else _short(side),
            [value * 1e6 for value in result.values(side, "cpu")],
            f"{result.median(side, 'cpu') * 1e6:.0f} µs",
            is_ours=side in (ours, overhead.FAST),
            goal=overhead.GOALS[name] * result.median(bare, "cpu") * 1e6 if side == ours else None,
            begins_group=side == ours,
        )
        for name, result in results.items()
        for side in overhead.SIDES
    ]
    _bars(axes, bars, "CPU time of a call, µs")


def _decode(axes: Axes, results: Results) -> None:
    result = results["/metrics/all"]
    ours, fast, theirs = decode.OURS, decode.FAST, decode.OFFICIAL
    axes.set_title(
        f"{decode.ENTRIES:,} entries to records: {result.ratio(ours, decode.JSON, 'cpu'):.2f} x json.loads,\n"
        f"{result.ratio(theirs, ours, 'cpu'):.0f} times as fast as the official client"
    )
    json_time = result.median(decode.JSON, "cpu") * 1e3
    goals = {ours: decode.OURS_GOAL * json_time, fast: decode.FAST_GOAL * json_time}
    bars = [
        Bar(
            side,
            [value * 1e3 for value in result.values(side, "cpu")],
            f"{figures.seconds(result.median(side, 'cpu'))}, {figures.ratio(result.ratio(side, decode.JSON, 'cpu'))} x",
            is_ours=side in goals,
            goal=goals.get(side),
        )
        for side in decode.SIDES
    ]
    _bars(axes, bars, "CPU time of /metrics/all, ms (logarithmic)", logarithmic=True)


def _fan_out(axes: Axes, results: Results) -> None:
    result = results[fan_out.LONG]
    sliced, whole = fan_out.SLICED, fan_out.UNDIVIDED
    axes.set_title(
        f"Ten years of days in slices:\n{figures.ratio(result.ratio(sliced, whole))} x the undivided request"
    )
    bars = [
        Bar("in slices", result.values(sliced), "", is_ours=True, goal=fan_out.GOAL * result.median(whole)),
        Bar("undivided", result.values(whole), ""),
    ]
    _bars(axes, _with_seconds(bars), "seconds")


def _official(axes: Axes, results: Results) -> None:
    result = results[official.NAME]
    ours, theirs = official.OURS, official.OFFICIAL
    axes.set_title(f"Nine metrics at once:\n{figures.ratio(result.ratio(ours, theirs))} x the official client")
    bars = [
        Bar("ours", result.values(ours), "", is_ours=True),
        Bar("official", result.values(theirs), ""),
    ]
    _bars(axes, _with_seconds(bars), "seconds")


def _importing(axes: Axes, results: Results) -> None:
    result = results[importing.NAME]
    client, needed = importing.CLIENT, importing.DEPENDENCIES
    axes.set_title(f"Importing the client:\n{result.ratio(client, needed, 'cpu'):.2f} x its dependencies")
    labels = {
        importing.PACKAGE: "package",
        client: "AsyncClient",
        needed: "dependencies",
        importing.OFFICIAL: "official",
    }
    goal = importing.GOAL * result.median(needed, "cpu") * 1e3
    bars = [
        Bar(
            label,
            [value * 1e3 for value in result.values(side, "cpu")],
            figures.seconds(result.median(side, "cpu")),
            is_ours=side in importing.OURS,
            goal=goal if side in importing.OURS else None,
        )
        for side, label in labels.items()
    ]
    _bars(axes, bars, "CPU time, ms")


def _growth(axes: Axes, results: Results) -> None:
    worst = max(growth.exponent(growth.of_kind(results, kind)) for kind in growth.KINDS)
    axes.set_title(f"Cost grows with size to the power of {worst:.2f} at most")
    shades = dict(zip(growth.KINDS, (_OURS, "#6f9fe0", "#5f6974", "#98a2ad"), strict=True))
    for kind, colour in shades.items():
        points = growth.of_kind(results, kind)
        sizes, times = [point.facts["size"] for point in points], [growth.cpu(point) for point in points]
        label = f"{kind}: {growth.exponent(points):.2f}"
        axes.loglog(sizes, times, color=colour, marker="o", markersize=4, linewidth=1.6, label=label)
    axes.set_xticks(growth.SIZES, [f"{size:,}" for size in growth.SIZES])
    axes.minorticks_off()
    axes.grid(color="#eef1f4")
    axes.set_ylabel("CPU seconds")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), handlelength=1.2)


def _memory(axes: Axes, results: Results) -> None:
    labels = {decode.OURS: "ours", decode.JSON: "dicts of json.loads", decode.OFFICIAL: "official client"}
    result = results["/metrics/all"]
    kept = {side: result.median(decode.MEMORY[side], "bytes_an_entry") for side in labels}
    axes.set_title(f"A record of 17 fields takes {kept[decode.OURS]:.0f} bytes")
    bars = [
        Bar(label, [kept[side]], f"{kept[side]:.0f}", is_ours=side == decode.OURS) for side, label in labels.items()
    ]
    _bars(axes, bars, "bytes an entry of /metrics/all")


_ROWS = (
    _Row(3.5, [("throttle", _throttle)]),
    _Row(1.9, [("queue", _queue_time), ("queue", _queue_stall)]),
    _Row(2.6, [("overhead", _overhead), ("decode", _decode)]),
    _Row(1.75, [("fan-out", _fan_out), ("official", _official), ("import", _importing)]),
    _Row(2.0, [("growth", _growth), ("decode", _memory)]),
)


# --- bars ------------------------------------------------------------------------------------------------------


def _bars(axes: Axes, bars: Sequence[Bar], unit: str, *, logarithmic: bool = False) -> None:
    """Medians as bars, a thin line from the fastest to the slowest round, and a tick at each goal."""
    places = list(accumulate(1.5 if bar.begins_group else 1 for bar in bars))
    for y, bar in zip(places, bars, strict=True):
        middle = figures.middle(bar.values)
        axes.barh(y, middle, color=_OURS if bar.is_ours else _OTHERS, height=0.62)
        axes.plot([min(bar.values), max(bar.values)], [y, y], color=_INK, linewidth=0.9)
        if bar.goal is not None:
            axes.plot([bar.goal, bar.goal], [y - 0.43, y + 0.43], color=_GOAL, linewidth=2.5)
        end = max(*bar.values, bar.goal or 0)
        axes.annotate(bar.text, (end, y), (5, 0), textcoords="offset points", va="center", size=7.5, color=_FAINT)
    axes.set_yticks(places, [bar.label for bar in bars])
    axes.invert_yaxis()
    ends = [value for bar in bars for value in (*bar.values, bar.goal or 0)]
    if logarithmic:
        smallest = min(value for bar in bars for value in (*bar.values, bar.goal or math.inf))
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.9g}"))
        axes.set_xlim(smallest / 2, max(ends) * (max(ends) / smallest * 2) ** 0.35)
    else:
        axes.set_xlim(0, max(ends) * 1.3)
    axes.set_xlabel(unit)


def _with_seconds(bars: Sequence[Bar]) -> list[Bar]:
    return [
        Bar(bar.label, bar.values, figures.seconds(figures.middle(bar.values)), bar.is_ours, bar.goal) for bar in bars
    ]


def _is_ours(side: str) -> bool:
    return side.startswith("ours")


def _short(side: str) -> str:
    """The name of a side without what the page says elsewhere."""
    name = side.replace("`", "").replace("metrics.", "").replace("a task for each call", "tasks")
    return name if _is_ours(name) and "bytes" not in name else name.partition(",")[0]
