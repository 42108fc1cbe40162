"""Values that the sandbox never sends: gaps of the closed beta, fractions of a cent, unusual encodings."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from rich.console import Console

from chartmogul_async import Customer, KeyMetricsEntry, MetricQuery, MRREntry, Series, Summary
from chartmogul_async.cli import chart, formats, results, tables, terminal
from chartmogul_async.resources.customers import Address, BetaSubscription, CustomerAttributes

QUERY = MetricQuery("mrr", "2015-01-01", "2015-01-31")


def shown(what: object, console: Console | None = None) -> str:
    console = console or Console(width=200, markup=False)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


@pytest.mark.parametrize(
    ("cents", "decimals", "text"),
    [
        (123456789, 2, "1,234,567.89"),
        (-5, 2, "-0.05"),
        (-5, 0, "0"),
        (0, 2, "0.00"),
        (10908.61093020998, 2, "109.09"),
        (10**20 + 1, 2, "1,000,000,000,000,000,000.01"),
    ],
)
def test_money(cents: float, decimals: int, text: str) -> None:
    assert tables.money(cents, decimals) == text


def test_a_figure_that_the_closed_beta_lacks_is_empty() -> None:
    series = Series((MRREntry(date(2015, 1, 31), 1234.5),), Summary(0, 0, 0.0), QUERY)
    console = Console(width=200)
    row = shown(tables.rows_table(series, "USD", console), console).splitlines()[-1]
    assert row.split() == ["2015-01-31", "12.34"]
    assert formats.as_csv(series, MRREntry, escape_formulas=True).splitlines()[-1] == "2015-01-31,1234.5,,,,,,"


def test_a_series_without_a_summary_has_no_table_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    entry = KeyMetricsEntry(date(2015, 1, 31), 1, 12, 0.5, 0.5, 1, 1, 1, 1)
    series = Series((entry,), None, MetricQuery("all", "2015-01-01", "2015-01-31"))
    results.put(series, "table", None, "EUR", [], exact_text=False)
    out = capsys.readouterr().out
    assert "2015-01-31" in out
    assert "Now" not in out
    assert shown(tables.summary_table(series, "EUR")).count("\n") == 1


def test_a_rise_is_green_and_a_fall_is_red_except_for_churn() -> None:
    colour = tables._colour
    assert [colour("mrr", change) for change in (1.0, -1.0, 0.0)] == ["green", "red", ""]
    assert [colour("mrr_churn_rate", change) for change in (1.0, -1.0, 0.0)] == ["red", "green", ""]


def test_a_card_shows_nested_values() -> None:
    customer = Customer(
        name="Änne",
        mrr=5,
        address=Address("Germany", city="Bremen"),
        attributes=CustomerAttributes(("a", "b"), {"channel": "x"}),
        subscriptions=(BetaSubscription("Gold", 2, start_date=datetime(2015, 1, 1, tzinfo=UTC)),),
    )
    lines = [line.rstrip() for line in shown(tables.card(customer, None)).splitlines()]
    assert lines == [
        "Name           Änne",
        "MRR            0.05",
        "Address        country Germany, city Bremen",
        'Attributes     tags a, b, custom {"channel": "x"}',
        "Subscriptions  plan Gold, quantity 2, start date 2015-01-01T00:00:00+00:00",
    ]


def test_bars_start_at_zero_and_the_maximum_fills_the_height() -> None:
    assert chart.bars([0, 4, 8, 16, -3], 2, 2) == ["      █", "  ▄ █ █"]
    assert chart.bars([0, 4, 8, 16], 3, 2, chart.ASCII) == ["         ##", "   :: ## ##"]
    assert chart.bars([0, 0], 2, 1) == [""]


@pytest.mark.parametrize(
    ("encoding", "can"), [("utf-8", True), ("ascii", False), ("cp437", False), ("nonsense", False)]
)
def test_whether_blocks_can_be_written(encoding: str, can: bool) -> None:
    assert chart.writable(chart.BLOCKS, encoding) is can


def test_a_table_that_does_not_fit_is_not_cut_off() -> None:
    series = Series((MRREntry(date(2015, 1, 31), 123456789012),), Summary(0, 0, 0.0), QUERY)
    console = Console(width=20)
    with console.capture() as captured:
        terminal.show(console, tables.rows_table(series, "USD", console))
    assert "2015-01-31 1,234,567,890" in captured.get()


@pytest.mark.parametrize(("currency", "text"), [("USD", "5,233.87"), ("JPY", "5,234"), ("KWD", "5,233.87")])
def test_a_table_has_the_decimals_of_its_currency(currency: str, text: str) -> None:
    series = Series((MRREntry(date(2015, 1, 31), 523387),), Summary(523387, 523387, 0.0), QUERY)
    console = Console(width=200)
    assert shown(tables.rows_table(series, currency, console), console).splitlines()[-1].split()[1] == text
    assert text in shown(tables.summary_table(series, currency)).split()
    assert f"{text} {currency}" in shown(tables.card(Customer(id=1, uuid="cus_1", name="A", mrr=523387), currency))
