"""Calendar arithmetic, held against a second calendar that counts one day at a time."""

from __future__ import annotations

import pickle
from datetime import date, timedelta
from itertools import groupby, pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chartmogul_async.metrics.intervals import (
    INTERVALS,
    Interval,
    Slice,
    Span,
    WeekStart,
    count,
    interval_end,
    slices,
    spans,
)

DAY = timedelta(days=1)


def calendar_interval(day: date, interval: Interval, week_start: WeekStart) -> Any:
    """What two days have in common if they lie in the same interval. Day 1 of the year 1 was a Monday."""
    return {
        "day": day,
        "week": (day.toordinal() - 1) // 7 if week_start == "monday" else day.toordinal() // 7,
        "month": (day.year, day.month),
        "quarter": (day.year, (day.month - 1) // 3),
        "year": day.year,
    }[interval]


def naive_spans(start: date, end: date, interval: Interval, week_start: WeekStart) -> list[Span]:
    days = [date.fromordinal(number) for number in range(start.toordinal(), end.toordinal() + 1)]
    groups = groupby(days, lambda day: calendar_interval(day, interval, week_start))
    return [Span(members[0], members[-1]) for members in (list(group) for _, group in groups)]


def test_the_naive_calendar_knows_the_days_of_the_week() -> None:
    monday, sunday = date(2024, 1, 1), date(2024, 1, 7)
    assert calendar_interval(monday, "week", "monday") == calendar_interval(sunday, "week", "monday")
    assert calendar_interval(monday, "week", "monday") != calendar_interval(monday - DAY, "week", "monday")
    assert calendar_interval(monday, "week", "sunday") == calendar_interval(monday - DAY, "week", "sunday")
    assert calendar_interval(monday, "week", "sunday") != calendar_interval(sunday, "week", "sunday")


intervals = st.sampled_from(INTERVALS)
week_starts = st.sampled_from(["monday", "sunday"])


@st.composite
def ranges(draw: st.DrawFn) -> tuple[date, date]:
    """Short and long ranges, anywhere and at both ends of the calendar."""
    start = draw(st.dates() | st.dates(date(2019, 12, 20), date(2021, 1, 10)) | st.dates(date(9998, 1, 1), date.max))
    length = draw(st.integers(0, 40) | st.integers(0, 800))
    return start, date.fromordinal(min(start.toordinal() + length, date.max.toordinal()))


@given(ranges(), intervals, week_starts)
@settings(max_examples=80, deadline=None)
def test_spans_are_those_of_the_naive_calendar(days: tuple[date, date], interval: Interval, week: WeekStart) -> None:
    assert list(spans(*days, interval, week)) == naive_spans(*days, interval, week)


@given(ranges(), intervals, week_starts)
@settings(max_examples=60, deadline=None)
def test_spans_cover_the_range_without_gap_or_overlap(
    days: tuple[date, date], interval: Interval, week: WeekStart
) -> None:
    parts = list(spans(*days, interval, week))
    assert (parts[0].start, parts[-1].end) == days
    assert all(before.end + DAY == after.start for before, after in pairwise(parts))
    for part in parts:
        assert part.start <= part.end
        assert calendar_interval(part.start, interval, week) == calendar_interval(part.end, interval, week)


@given(st.dates(), intervals, week_starts)
@settings(max_examples=80, deadline=None)
def test_the_end_of_an_interval_is_the_last_day_that_has_it(day: date, interval: Interval, week: WeekStart) -> None:
    last = interval_end(day, interval, week)
    mine = calendar_interval(day, interval, week)
    assert last >= day
    assert calendar_interval(last, interval, week) == mine
    assert last == date.max or calendar_interval(last + DAY, interval, week) != mine


@pytest.mark.parametrize(
    ("interval", "day", "last"),
    [
        ("day", "2024-02-29", "2024-02-29"),
        ("month", "2024-02-01", "2024-02-29"),
        ("month", "2023-02-28", "2023-02-28"),
        ("month", "2100-02-10", "2100-02-28"),
        ("month", "2000-02-10", "2000-02-29"),
        ("month", "2023-12-31", "2023-12-31"),
        ("quarter", "2024-01-01", "2024-03-31"),
        ("quarter", "2024-04-01", "2024-06-30"),
        ("quarter", "2024-09-30", "2024-09-30"),
        ("quarter", "2024-11-05", "2024-12-31"),
        ("year", "2024-01-01", "2024-12-31"),
        ("year", "2024-12-31", "2024-12-31"),
        ("year", "9999-01-01", "9999-12-31"),
    ],
)
def test_intervals_end_where_the_calendar_on_the_wall_ends_them(interval: Interval, day: str, last: str) -> None:
    assert interval_end(date.fromisoformat(day), interval) == date.fromisoformat(last)


def test_weeks_end_on_sunday_or_saturday_as_the_account_says() -> None:
    """The documented example: a range from Thursday, 2015-01-01 in an account whose weeks start on Sunday."""
    thursday = date(2015, 1, 1)
    assert interval_end(thursday, "week", "sunday") == date(2015, 1, 3)
    assert interval_end(thursday, "week", "monday") == date(2015, 1, 4)
    assert interval_end(thursday, "week") == date(2015, 1, 4)
    assert [span.end for span in spans(thursday, date(2015, 1, 12), "week", "sunday")] == [
        date(2015, 1, 3),
        date(2015, 1, 10),
        date(2015, 1, 12),
    ]


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("week", ["monday", "sunday"])
def test_the_last_days_of_the_calendar_do_not_overflow(interval: Interval, week: WeekStart) -> None:
    for days_before in range(8):
        start = date.max - days_before * DAY
        assert interval_end(start, interval, week) <= date.max
        assert list(spans(start, date.max, interval, week)) == naive_spans(start, date.max, interval, week)
        assert slices(start, date.max, interval, 3, week)[-1].end == date.max


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("week", ["monday", "sunday"])
def test_the_first_days_of_the_calendar_do_not_underflow(interval: Interval, week: WeekStart) -> None:
    end = date.min + 9 * DAY
    assert list(spans(date.min, end, interval, week)) == naive_spans(date.min, end, interval, week)
    assert slices(date.min, end, interval, 3, week)[0].start == date.min


@pytest.mark.parametrize("interval", INTERVALS)
def test_one_day_is_one_interval_and_one_slice(interval: Interval) -> None:
    day = date(2024, 2, 29)
    assert list(spans(day, day, interval)) == [Span(day, day)]
    assert count(day, day, interval) == 1
    assert slices(day, day, interval, 20) == (Slice(day, day, has_seam=False),)


def test_the_recorded_range_falls_into_a_whole_month_and_one_day() -> None:
    whole = date(2015, 1, 1), date(2015, 2, 1)
    assert list(spans(*whole, "month")) == [
        Span(date(2015, 1, 1), date(2015, 1, 31)),
        Span(date(2015, 2, 1), date(2015, 2, 1)),
    ]
    assert count(*whole, "day") == 32


@given(ranges(), intervals)
@settings(max_examples=80, deadline=None)
def test_count_is_the_number_of_spans_but_for_weeks(days: tuple[date, date], interval: Interval) -> None:
    assume(interval != "week")
    assert count(*days, interval) == len(list(spans(*days, interval)))


@given(ranges(), week_starts)
@settings(max_examples=60, deadline=None)
def test_count_of_weeks_is_at_most_one_short(days: tuple[date, date], week: WeekStart) -> None:
    assert len(list(spans(*days, "week", week))) - count(*days, "week") in {0, 1}


@given(ranges(), intervals, week_starts, st.integers(1, 25))
@settings(max_examples=80, deadline=None)
def test_slices_without_their_seams_are_the_range(
    days: tuple[date, date], interval: Interval, week: WeekStart, parts: int
) -> None:
    """What each answer would hold, joined as the fan-out joins it, is what one answer would hold."""
    whole = list(spans(*days, interval, week))
    cut = slices(*days, interval, parts, week)
    answers = [list(spans(part.start, part.end, interval, week)) for part in cut]
    assert [span for part, answer in zip(cut, answers, strict=True) for span in answer[part.has_seam :]] == whole


@given(ranges(), intervals, week_starts, st.integers(1, 25))
@settings(max_examples=80, deadline=None)
def test_each_later_slice_starts_exactly_one_interval_early(
    days: tuple[date, date], interval: Interval, week: WeekStart, parts: int
) -> None:
    cut = slices(*days, interval, parts, week)
    assert [part.has_seam for part in cut] == [False] + [True] * (len(cut) - 1)
    assert (cut[0].start, cut[-1].end) == days
    for before, after in pairwise(cut):
        seam = next(spans(after.start, after.end, interval, week))
        assert seam == list(spans(before.start, before.end, interval, week))[-1]
        assert after.end > before.end


@given(ranges(), intervals, week_starts, st.integers(1, 25))
@settings(max_examples=60, deadline=None)
def test_slices_are_as_many_as_asked_for_and_of_equal_length(
    days: tuple[date, date], interval: Interval, week: WeekStart, parts: int
) -> None:
    cut = slices(*days, interval, parts, week)
    assert len(cut) == min(parts, len(list(spans(*days, interval, week))))
    lengths = [len(list(spans(part.start, part.end, interval, week))) - part.has_seam for part in cut]
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) >= 1


def test_a_year_of_months_in_four_slices() -> None:
    assert slices(date(2023, 1, 15), date(2023, 12, 10), "month", 4) == (
        Slice(date(2023, 1, 15), date(2023, 3, 31), has_seam=False),
        Slice(date(2023, 3, 1), date(2023, 6, 30), has_seam=True),
        Slice(date(2023, 6, 1), date(2023, 9, 30), has_seam=True),
        Slice(date(2023, 9, 1), date(2023, 12, 10), has_seam=True),
    )


def test_a_seam_in_the_first_interval_begins_where_the_range_begins() -> None:
    first, second = slices(date(2023, 1, 15), date(2023, 2, 28), "month", 2)
    assert first == Slice(date(2023, 1, 15), date(2023, 1, 31), has_seam=False)
    assert second == Slice(date(2023, 1, 15), date(2023, 2, 28), has_seam=True)


def test_spans_and_slices_are_values() -> None:
    span, part = Span(date.min, date.max), Slice(date.min, date.max, has_seam=True)
    assert pickle.loads(pickle.dumps((span, part))) == (span, part)
    assert {span, Span(date.min, date.max)} == {span}
    assert {part, Slice(date.min, date.max, has_seam=True)} == {part}
