"""Monthly figures on entries of days and weeks, from servers whose figures depend on the range that is asked for.

It is not documented which days of a month such a figure covers. Whatever the server does, a range in slices must equal
the range as one request, also where figures on both sides of a cut are equal by chance.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import accumulate
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartmogul_async import Event, Interval, MetricQuery, SlicesDisagreed, Throttle
from chartmogul_async.metrics.query import MetricName
from tests.clients import client_of

DAY = timedelta(days=1)
EPOCH, LAST = date(2019, 1, 1), date(2024, 12, 31)

Window = Callable[[date, date, date], tuple[date, date]]


def first_of_month(day: date) -> date:
    return day.replace(day=1)


def last_of_month(day: date) -> date:
    return first_of_month(first_of_month(day) + 31 * DAY) - DAY


def part_of_the_month_in_the_range(day: date, start: date, end: date) -> tuple[date, date]:
    return max(first_of_month(day), start), min(last_of_month(day), end)


def month_to_date(day: date, start: date, _: date) -> tuple[date, date]:
    return max(first_of_month(day), start), day


def last_30_days(day: date, start: date, _: date) -> tuple[date, date]:
    """Both ends included, so 31 days, where the range has them."""
    return max(day - 30 * DAY, start), day


def month_before(day: date, start: date, _: date) -> tuple[date, date]:
    last = first_of_month(day) - DAY
    return max(first_of_month(last), start), last


WINDOWS: list[Window] = [part_of_the_month_in_the_range, month_to_date, last_30_days]


class Server:
    """Losses on random days; a rate is 0.05 for each day with a loss in its window, 0.1 at most."""

    def __init__(self, window: Window, density: float, seed: int) -> None:
        self._window = window
        randomly = random.Random(seed)
        days = (LAST - EPOCH).days + 2
        self._losses = [0, *accumulate(randomly.random() < density for _ in range(days))]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        params = request.url.params
        start, end = date.fromisoformat(params["start-date"]), date.fromisoformat(params["end-date"])
        is_all = request.url.path.endswith("/all")
        entries: list[dict[str, Any]] = []
        for day in ends_of_intervals(start, end, params["interval"]):
            rate = self._rate(day, start, end)
            key = request.url.path.rpartition("/")[2]
            figures = self._key_metrics(day, rate) if is_all else {key: rate}
            before = entries[-1] if entries else figures
            changes = {self._change_key(key, is_all): changed(before[key], figures[key]) for key in figures}
            entries.append({"date": day.isoformat(), **figures, **changes})
        summary = None if is_all else {"current": 1, "previous": 1, "percentage-change": 0.0}
        return httpx.Response(200, json={"entries": entries, "summary": summary})

    def _rate(self, day: date, start: date, end: date) -> float:
        first, last = self._window(day, start, end)
        return min(self._losses_until(last) - self._losses_until(first - DAY), 2) / 20 if first <= last else 0.0

    def _losses_until(self, day: date) -> int:
        return self._losses[(day - EPOCH).days + 1]

    def _key_metrics(self, day: date, rate: float) -> dict[str, float]:
        mrr = 100_000 - 10 * self._losses_until(day)
        figures = {"mrr": mrr, "arr": 12 * mrr, "customers": mrr // 100, "arpa": 100}
        return {
            **figures,
            "customer-churn-rate": rate,
            "mrr-churn-rate": -rate,
            "ltv": int(rate * 100),
            "asp": int(rate * 20),
        }

    def _change_key(self, key: str, is_all: bool) -> str:
        return f"{key}-percentage-change" if is_all else "percentage-change"


def changed(before: float, after: float) -> float:
    return round((after - before) / before * 100, 2) if before else 0.0


def ends_of_intervals(start: date, end: date, interval: str) -> Iterator[date]:
    day = start
    while day < end:
        if interval == "day" or day.weekday() == 6:
            yield day
        day += DAY
    yield end


def account_or(server: Server) -> Callable[[httpx.Request], httpx.Response]:
    account = {"name": "Acme", "currency": "USD", "time_zone": "UTC", "week_start_on": "monday"}

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=account) if request.url.path.endswith("/account") else server(request)

    return handler


async def is_equal(server: Server, query: MetricQuery, slices: Any) -> list[Event]:
    """Compare with the undivided request, and return which slices disagreed."""
    events: list[Event] = []
    async with client_of(account_or(server), throttle=Throttle(10**6, 20), on_event=events.append) as client:
        undivided = await client.metrics.fetch(query, slices=1)
        assert (await client.metrics.fetch(query, slices=slices)).entries == undivided.entries
    return [event for event in events if isinstance(event, SlicesDisagreed)]


metrics = st.sampled_from(["all", "customer_churn_rate", "mrr_churn_rate"])
shorter_than_a_month = st.sampled_from(["day", "week"])
starts = st.dates(date(2020, 1, 1), date(2021, 12, 31))
densities = st.sampled_from([0.003, 0.02, 0.05, 0.3])
seeds = st.integers(0, 10**6)


@pytest.mark.parametrize("window", WINDOWS)
@settings(max_examples=25)
@given(metrics, shorter_than_a_month, starts, st.integers(1, 700), st.sampled_from([2, 3, 7, 20]), densities, seeds)
async def test_slices_of_monthly_figures_equal_the_range(
    window: Window,
    metric: MetricName,
    interval: Interval,
    start: date,
    days: int,
    slices: int,
    density: float,
    seed: int,
) -> None:
    """They agree at once, too."""
    query = MetricQuery(metric, start, start + days * DAY, interval=interval)
    assert await is_equal(Server(window, density, seed), query, slices) == []


@pytest.mark.parametrize("window", WINDOWS)
@settings(max_examples=10)
@given(metrics, shorter_than_a_month, starts, st.integers(1, 90), densities, seeds)
async def test_single_intervals_of_monthly_figures_equal_the_range(
    window: Window, metric: MetricName, interval: Interval, start: date, days: int, density: float, seed: int
) -> None:
    query = MetricQuery(metric, start, start + days * DAY, interval=interval)
    assert await is_equal(Server(window, density, seed), query, "interval") == []


@pytest.mark.no_cover
@pytest.mark.parametrize("window", WINDOWS)
@settings(max_examples=25)
@given(metrics, starts, st.integers(262, 1000), densities, seeds)
async def test_long_ranges_of_monthly_figures_equal_the_range(
    window: Window, metric: MetricName, start: date, days: int, density: float, seed: int
) -> None:
    """By default they are sliced."""
    query = MetricQuery(metric, start, start + days * DAY, interval="day")
    assert await is_equal(Server(window, density, seed), query, None) == []


@settings(max_examples=40)
@given(metrics, shorter_than_a_month, starts, st.integers(1, 700), st.sampled_from([2, 3, 7, 20]), densities, seeds)
async def test_figures_of_the_month_before_equal_the_range(
    metric: MetricName, interval: Interval, start: date, days: int, slices: int, density: float, seed: int
) -> None:
    """They depend on more days than a slice asks for, so slices may disagree, but are not wrong."""
    await is_equal(
        Server(month_before, density, seed), MetricQuery(metric, start, start + days * DAY, interval=interval), slices
    )


def test_figures_of_the_servers_depend_on_the_range() -> None:
    """As found: 0.05 on both sides of a cut, and 0.1 in the whole month."""
    for window in WINDOWS:
        server = Server(window, 0.0, 0)
        losses = {date(2020, 3, 10), date(2020, 3, 20)}
        server._losses = [0, *accumulate(EPOCH + number * DAY in losses for number in range((LAST - EPOCH).days + 2))]
        day, cut = date(2020, 3, 25), date(2020, 3, 15)
        assert server._rate(day, EPOCH, LAST) == 0.1
        assert server._rate(day, cut, LAST) == 0.05
