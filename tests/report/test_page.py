"""A page shows the figures of the API, and nothing that an account contains is taken for HTML."""

from __future__ import annotations

import re
from datetime import date
from html.parser import HTMLParser
from typing import Any

import anyio
import pytest
from attrs import evolve

from chartmogul_async import AsyncClient, blocking
from chartmogul_async.drawing import numbers
from chartmogul_async.errors import ArgumentError, DecodeError
from chartmogul_async.report import Report, fetch_report, render
from chartmogul_async.sandbox import Company, Fault, Faults, Limits, Sandbox

TODAY = date(2025, 6, 15)


def sandbox(**options: Any) -> Sandbox:
    return Sandbox(Company(customers=60, today=TODAY), limits=Limits(per_second=None), **options)


async def report_of(served: Sandbox, months: int = 12) -> Report:
    async with AsyncClient("sandbox", transport=served.transport()) as client:
        return await fetch_report(client, months=months, today=TODAY)


@pytest.mark.parametrize(
    ("where", "summary"),
    [("/metrics/all", None), ("/metrics/mrr", {"current": 0, "previous": 0, "percentage-change": 0.0})],
)
async def test_a_response_without_entries_is_an_error(where: str, summary: object) -> None:
    nothing = {"entries": [], "summary": summary}
    served = sandbox(faults=Faults.sequence(Fault.status(200, nothing), where=where))
    with pytest.raises(
        DecodeError, match=r"^\$\.entries: expected an entry for each month from 2024-06-01 to 2025-05-31, got none$"
    ):
        await report_of(served)


@pytest.fixture(scope="module")
def report() -> Report:
    return anyio.run(report_of, sandbox())


class Tables(HTMLParser):
    """The cells of all rows of a page, by the heading that they are under."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.open: list[str] = []
        self.heading = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        if tag == "h2":
            self.heading = ""
        elif tag == "tr":
            self.rows.setdefault(self.heading, []).append([])
        elif tag in ("td", "th"):
            self.rows[self.heading][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["h2"]:
            self.heading += data
        elif self.open[-1:] in (["td"], ["th"]):
            self.rows[self.heading][-1][-1] += data


def test_the_figures_are_those_of_the_api(report: Report) -> None:
    rows = Tables(render(report)).rows
    heads, *months = rows["MRR movements"]
    assert heads == ["Month", "New business", "Expansion", "Reactivation", "Contraction", "Churn", "Net new", "MRR"]
    assert [row[0] for row in months] == [f"{entry.date:%Y-%m}" for entry in report.movements]
    assert [row[1] for row in months] == [numbers.rounded(entry.mrr_new_business) for entry in report.movements]
    assert [row[5] for row in months] == [numbers.rounded(entry.mrr_churn) for entry in report.movements]
    assert [row[7] for row in months] == [numbers.rounded(entry.mrr) for entry in report.movements]
    assert [row[3] for row in rows["Trends"][1:]] == [numbers.count(entry.customers) for entry in report.months]
    start, *moved, end = [row[1] for row in rows["What moved it"][1:]]
    assert end == numbers.amount(report.movements[-1].mrr, "USD")
    in_cents = [round(100 * float(text.replace(",", "").replace("\N{MINUS SIGN}", "-"))) for text in (start, *moved)]
    assert sum(in_cents) == report.movements[-1].mrr


def test_plans_and_countries_add_up_to_the_total(report: Report) -> None:
    rows = Tables(render(report)).rows
    for heading in ("By plan", "By country"):
        _, *segments, total = rows[heading]
        assert total[1] == numbers.amount(report.movements[-1].mrr, "USD")
        cents = [round(100 * float(row[1].replace(",", ""))) for row in segments]
        assert sum(cents) == report.movements[-1].mrr
        assert cents == sorted(cents, reverse=True)


def test_many_segments_are_shown_as_the_largest_and_the_rest(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chartmogul_async.report.page._MOST_SEGMENTS", 2)
    _, *segments, _ = Tables(render(report)).rows["By country"]
    assert len(segments) == 3
    assert segments[-1][0] == "All others"


def test_the_key_figures_are_those_of_the_last_month(report: Report) -> None:
    page = render(report)
    last = report.months[-1]
    cards = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)<small>", page))
    assert cards["ARR"] == numbers.amount(last.arr, "USD")
    assert cards["Customers"] == f"{last.customers:,}"
    assert cards["Customer churn"] == numbers.percent(last.customer_churn_rate)
    assert len(cards) == 8


async def test_the_change_of_a_single_month_is_that_of_the_month_before() -> None:
    """Although it is the first entry, of which the API gives a change of 0."""
    (two, one) = [await report_of(sandbox(), months) for months in (2, 1)]
    assert one.months[-1] == two.months[-1]
    assert one.months[-1].mrr_percentage_change != 0
    assert (len(one.months), one.months.query.start_date) == (1, date(2025, 5, 1))


def test_names_are_texts_and_never_html(report: Report) -> None:
    named = evolve(report, account=evolve(report.account, name="<script>alert(1)</script>&"))
    page = render(named)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;&amp;") == 2


def test_the_page_needs_no_other_file(report: Report) -> None:
    page = render(report)
    assert re.findall(r"(?:src|href|url|@import|https?:)[=(:]?", page) == []
    assert len(page) < 80_000


def test_each_chart_has_a_title_and_a_description(report: Report) -> None:
    page = render(report)
    drawings = re.findall(r'<svg viewBox="[^"]+" role="img"><title>([^<]+)</title><desc>([^<]+)</desc>', page)
    assert [title for title, _ in drawings][:2] == ["MRR movements by month", "From the first to the last MRR"]
    assert len(drawings) == page.count('role="img"') == 8


async def test_a_key_that_may_not_list_gets_a_page_without_segments() -> None:
    refused = Faults.random({Fault.status(403): 1.0}, where="/plans")
    report = await report_of(sandbox(faults=refused), months=1)
    assert report.plans is None
    assert report.countries is not None
    assert "By plan" not in render(report)


async def test_responses_of_the_closed_beta_have_no_movements(report: Report) -> None:
    bare = [evolve(entry, mrr_churn=None) for entry in report.movements]
    page = render(evolve(report, movements=evolve(report.movements, entries=tuple(bare))))
    assert "MRR movements" not in page
    assert "Retention" not in page
    assert "What moved it" not in page


def test_what_no_movement_explains_has_a_bar_of_its_own(report: Report) -> None:
    *others, last = report.movements.entries
    moved = evolve(report.movements, entries=(*others, evolve(last, mrr=last.mrr + 5000)))
    rows = Tables(render(evolve(report, movements=moved))).rows
    assert ["Other", "50.00"] in rows["What moved it"]


async def test_an_account_without_any_figure_has_a_page() -> None:
    empty = Sandbox(Company(customers=0, today=TODAY), limits=Limits(per_second=None))
    page = render(await report_of(empty, months=1))
    assert "NaN" not in page
    assert "By country" not in page


async def test_wrong_arguments_are_refused_before_any_request() -> None:
    async with AsyncClient("sandbox", transport=sandbox().transport()) as client:
        with pytest.raises(ArgumentError, match="months must be an integer from 1 to 1200, not 0"):
            await fetch_report(client, months=0)
        with pytest.raises(ArgumentError, match="today must be"):
            await fetch_report(client, today="tomorrow")
        with pytest.raises(ArgumentError, match=r"^client must be an AsyncClient, not blocking.Client"):
            await fetch_report(blocking.Client("sandbox"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(ArgumentError, match=r"^report must be a Report, not None"):
            render(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert client.throttle.statistics().admitted == 0


async def test_today_is_that_of_the_account_unless_it_is_given() -> None:
    async with AsyncClient("sandbox", transport=sandbox().transport()) as client:
        account = await client.account()
        report = await fetch_report(client, months=1)
    assert report.made_on == account.today()
