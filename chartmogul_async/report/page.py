"""The page: one file of HTML with everything in it, in light and dark, for screens of any width and for paper."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from html import escape
from importlib.resources import files
from typing import Any

from chartmogul_async import Breakdown, MRREntry, Summary, analysis
from chartmogul_async.checks import instance_of
from chartmogul_async.drawing import charts, numbers
from chartmogul_async.drawing.charts import Bars
from chartmogul_async.report.contents import Report

# What gains MRR comes first, then what loses it; with the field, the name and the class.
_GAINS = (
    ("mrr_new_business", "New business", "new"),
    ("mrr_expansion", "Expansion", "expansion"),
    ("mrr_reactivation", "Reactivation", "reactivation"),
)
_LOSSES = (("mrr_contraction", "Contraction", "contraction"), ("mrr_churn", "Churn", "churn"))
_MOVEMENTS = (*_GAINS, *_LOSSES)
_KEY_FIGURES = (
    ("mrr", "MRR"),
    ("arr", "ARR"),
    ("customers", "Customers"),
    ("arpa", "ARPA"),
    ("ltv", "LTV"),
    ("customer_churn_rate", "Customer churn"),
    ("mrr_churn_rate", "Net MRR churn"),
    ("asp", "ASP"),
)
_TRENDS = _KEY_FIGURES[0], *_KEY_FIGURES[2:7]
_COUNTS, _RATES = ("customers",), ("customer_churn_rate", "mrr_churn_rate")
# So many segments have a row of their own.
_MOST_SEGMENTS = 12


def render(report: Report) -> str:
    """Make a page of a report.

    Args:
        report: What ``fetch_report`` returned.

    Returns:
        HTML that needs no other file and no network.

    Raises:
        ArgumentError: ``report`` is something else.
    """
    instance_of("report", report, Report)
    name, first, final = escape(report.account.name), report.movements[0], report.movements[-1]
    sections = "".join(
        (
            _key_figures(report),
            _movements(report),
            _waterfall(report),
            _trends(report),
            _retention(report),
            _segments("By plan", report.plans, report.account.currency),
            _segments("By country", report.countries, report.account.currency),
        )
    )
    style = files("chartmogul_async.report").joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}: {first.date:%Y-%m} to {final.date:%Y-%m}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<main>\n<header><h1>{name}</h1><p>{first.date:%B %Y} to {final.date:%B %Y}, fetched on "
        f"{report.made_on}. Amounts are in {escape(report.account.currency)}.</p></header>\n"
        f"{sections}</main>\n</body>\n</html>\n"
    )


# --- sections ----------------------------------------------------------------------------------------------


def _key_figures(report: Report) -> str:
    last, currency = report.months[-1], report.account.currency
    cards = "".join(
        f"<div><dt>{label}</dt><dd>{_figure(field, getattr(last, field), currency)}"
        f"<small>{numbers.change(getattr(last, f'{field}_percentage_change'))} on the month before</small></dd></div>"
        for field, label in _KEY_FIGURES
    )
    return f'<section aria-label="Key figures"><dl class="figures">{cards}</dl></section>\n'


def _movements(report: Report) -> str:
    entries = report.movements.entries
    if not _has_movements(entries):
        return ""
    net = analysis.net_new_mrr(report.movements)
    description = (
        f"MRR went from {numbers.rounded(entries[0].mrr - net[0])} to {numbers.rounded(entries[-1].mrr)} "
        f"{report.account.currency} in {len(entries)} months."
    )
    kinds = [Bars(name, kind, [getattr(entry, field) / 100 for entry in entries]) for field, name, kind in _MOVEMENTS]
    chart = charts.stacked("MRR movements by month", description, _months_of(entries), kinds)
    rows = (
        _row(entry.date, (getattr(entry, field) for field, _, _ in _MOVEMENTS), gained, entry.mrr)
        for entry, gained in zip(entries, net, strict=True)
    )
    heads = ["Month", *(name for _, name, _ in _MOVEMENTS), "Net new", "MRR"]
    return _section("MRR movements", _figure_of(chart, description), _legend(), _details(heads, rows))


def _waterfall(report: Report) -> str:
    entries = report.movements.entries
    if not _has_movements(entries):
        return ""
    start = entries[0].mrr - analysis.net_new_mrr(report.movements)[0]
    sums = [(name, kind, analysis.total(report.movements, field)) for field, name, kind in _MOVEMENTS]
    # Exchange rates and edits of the past move MRR as well.
    other = entries[-1].mrr - start - sum(value for _, _, value in sums)
    if other:
        sums.append(("Other", "total", other))
    steps = [("Start", "total", start), *sums, ("End", "total", entries[-1].mrr)]
    description = "; ".join(f"{name}: {numbers.rounded(value)}" for name, _, value in steps)
    chart = charts.waterfall("From the first to the last MRR", description, [(n, k, v / 100) for n, k, v in steps])
    rows = ([name, numbers.amount(value, report.account.currency)] for name, _, value in steps)
    return _section("What moved it", _figure_of(chart, ""), "", _details(["", "MRR"], rows))


def _trends(report: Report) -> str:
    entries, currency = report.months.entries, report.account.currency
    months = _months_of(entries)
    figures = []
    for field, label in _TRENDS:
        values = [getattr(entry, field) for entry in entries]
        first, last = (_figure(field, value, currency) for value in (values[0], values[-1]))
        description = f"{label} went from {first} in {months[0]} to {last} in {months[-1]}."
        drawn = values if field in (*_COUNTS, *_RATES) else [value / 100 for value in values]
        chart = charts.line(f"{label} by month", description, months, drawn)
        figures.append(f"<figure><h3>{label}</h3>{chart}<figcaption>{escape(description)}</figcaption></figure>")
    heads = ["Month", *(label for _, label in _KEY_FIGURES)]
    rows = (
        [f"{entry.date:%Y-%m}", *(_figure(field, getattr(entry, field), currency) for field, _ in _KEY_FIGURES)]
        for entry in entries
    )
    return _section("Trends", f'<div class="trends">{"".join(figures)}</div>', "", _details(heads, rows))


def _retention(report: Report) -> str:
    series = report.movements
    if not _has_movements(series.entries):
        return ""
    columns = (
        analysis.gross_mrr_churn_rate(series),
        analysis.gross_mrr_retention(series),
        analysis.net_mrr_retention(series),
    )
    ratios = analysis.quick_ratio(series)
    rows = (
        [f"{entry.date:%Y-%m}", *(numbers.percent(rate) for rate in rates), numbers.ratio(quick)]
        for entry, rates, quick in zip(series, zip(*columns, strict=True), ratios, strict=True)
    )
    heads = ["Month", "Gross MRR churn", "Gross MRR retention", "Net MRR retention", "Quick ratio"]
    formulas = (
        "<p>Gross churn: (churn + contraction) / MRR at the start. Gross retention: 100 % less gross churn. "
        "Net retention: (start + expansion &minus; contraction &minus; churn) / start, without reactivation. "
        "Quick ratio: (new business + expansion) / (contraction + churn).</p>"
    )
    return _section("Retention", formulas, "", _table(heads, rows))


def _segments(title: str, breakdown: Breakdown[MRREntry, Summary] | None, currency: str) -> str:
    if breakdown is None:
        return ""
    total = breakdown.total[-1].mrr
    parts = {name: series[-1].mrr for name, series in breakdown.segments.items() if len(series)}
    largest = sorted(parts.items(), key=lambda part: -part[1])[:_MOST_SEGMENTS]
    rest = total - sum(value for _, value in largest)
    if rest:
        largest.append(("All others", rest))
    rows = (
        [name, numbers.amount(value, currency), numbers.percent(100 * value / total if total else None)]
        for name, value in largest
    )
    bars = [charts.share(value / total if total else 0.0) for _, value in largest]
    foot = ["Total", numbers.amount(total, currency), ""]
    return _section(title, "", "", _table(["", "MRR", "Share"], rows, bars, foot))


def _row(day: date, movements: Iterable[int | float | None], *sums: int | float) -> list[str]:
    return [f"{day:%Y-%m}", *map(numbers.rounded, (*movements, *sums))]


# --- parts -------------------------------------------------------------------------------------------------


def _has_movements(entries: Iterable[MRREntry]) -> bool:
    """Responses of the closed beta have none."""
    return all(getattr(entry, field) is not None for entry in entries for field, _, _ in _MOVEMENTS)


def _months_of(entries: Iterable[Any]) -> list[str]:
    return [f"{entry.date:%Y-%m}" for entry in entries]


def _figure(field: str, value: Any, currency: str) -> str:
    if field in _COUNTS:
        return numbers.count(value)
    return numbers.percent(value) if field in _RATES else numbers.amount(value, currency)


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{title}</h2>{''.join(parts)}</section>\n"


def _figure_of(chart: str, caption: str) -> str:
    return f'<figure><div class="wide">{chart}</div><figcaption>{escape(caption)}</figcaption></figure>'


def _legend() -> str:
    names = "".join(f'<li><i class="{kind}"></i>{name}</li>' for _, name, kind in _MOVEMENTS)
    return f'<ul class="legend">{names}</ul>'


def _details(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return f"<details><summary>As a table</summary>{_table(heads, rows)}</details>"


def _table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], bars: Sequence[str] = (), foot: Sequence[str] = ()
) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(_rows(rows, bars))
    bar = "<td></td>" if bars else ""
    feet = f"<tfoot><tr>{''.join(f'<td>{escape(cell)}</td>' for cell in foot)}{bar}</tr></tfoot>" if foot else ""
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}{bar}</tr></thead>'
        f"<tbody>{body}</tbody>{feet}</table></div>"
    )


def _rows(rows: Iterable[Sequence[str]], bars: Sequence[str]) -> Iterator[str]:
    for number, cells in enumerate(rows):
        texts = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        yield f"<tr>{texts}{f'<td>{bars[number]}</td>' if bars else ''}</tr>"
