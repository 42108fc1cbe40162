"""Calendar arithmetic, compared with a second calendar that counts one day at a time."""

from __future__ import annotations

import pickle
from datetime import date, timedelta
from itertools import groupby, pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chartmogul_async.intervals import (
    INTERVALS,
    Interval,
    Slice,
    Span,
    WeekStart,
    count,
    interval_end,
    slices,
    slices_of_monthly_figures,
    spans,
)

DAY = timedelta(days=1)


def calendar_interval(day: date, interval: Interval, week_start: WeekStart) -> Any:
    """A key that is equal for two days of the same interval. Day 1 of the year 1 was a Monday."""
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


def test_the_naive_calendar_has_the_right_weekdays() -> None:
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
@settings(max_examples=80)
def test_spans_are_those_of_the_naive_calendar(days: tuple[date, date], interval: Interval, week: WeekStart) -> None:
    assert list(spans(*days, interval, week)) == naive_spans(*days, interval, week)


@given(ranges(), intervals, week_starts)
@settings(max_examples=60)
def test_spans_cover_the_range_without_gap_or_repetition(
    days: tuple[date, date], interval: Interval, week: WeekStart
) -> None:
    parts = list(spans(*days, interval, week))
    assert (parts[0].start, parts[-1].end) == days
    assert all(before.end + DAY == after.start for before, after in pairwise(parts))
    for part in parts:
        assert part.start <= part.end
        assert calendar_interval(part.start, interval, week) == calendar_interval(part.end, interval, week)


@given(st.dates(), intervals, week_starts)
@settings(max_examples=80)
def test_the_end_of_an_interval_is_its_last_day(day: date, interval: Interval, week: WeekStart) -> None:
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
def test_intervals_end_where_the_calendar_ends_them(interval: Interval, day: str, last: str) -> None:
    assert interval_end(date.fromisoformat(day), interval) == date.fromisoformat(last)


def test_weeks_end_as_set_in_the_account() -> None:
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
    assert slices(day, day, interval, 20) == (Slice(day, day, day, day),)


def test_the_recorded_range_is_a_whole_month_and_one_day() -> None:
    whole = date(2015, 1, 1), date(2015, 2, 1)
    assert list(spans(*whole, "month")) == [
        Span(date(2015, 1, 1), date(2015, 1, 31)),
        Span(date(2015, 2, 1), date(2015, 2, 1)),
    ]
    assert count(*whole, "day") == 32


@given(ranges(), intervals)
@settings(max_examples=80)
def test_count_is_the_number_of_spans_except_for_weeks(days: tuple[date, date], interval: Interval) -> None:
    assume(interval != "week")
    assert count(*days, interval) == len(list(spans(*days, interval)))


@given(ranges(), week_starts)
@settings(max_examples=60)
def test_count_of_weeks_is_at_most_one_too_low(days: tuple[date, date], week: WeekStart) -> None:
    assert len(list(spans(*days, "week", week))) - count(*days, "week") in {0, 1}


@given(ranges(), intervals, week_starts, st.integers(1, 25))
@settings(max_examples=80)
def test_the_own_intervals_of_all_slices_are_the_range(
    days: tuple[date, date], interval: Interval, week: WeekStart, parts: int
) -> None:
    """The responses to the slices, joined as the fan-out joins them, equal one undivided response."""
    cut = slices(*days, interval, parts, week)
    assert [span for part in cut for span in own_spans(part, interval, week)] == list(spans(*days, interval, week))


def own_spans(part: Slice, interval: Interval, week: WeekStart) -> list[Span]:
    whole = spans(part.start, part.end, interval, week)
    return [span for span in whole if part.own_start <= span.end <= part.own_end]


@given(ranges(), intervals, week_starts, st.integers(1, 25))
@settings(max_examples=80)
def test_each_later_slice_starts_exactly_one_interval_early(
    days: tuple[date, date], interval: Interval, week: WeekStart, parts: int
) -> None:
    cut = slices(*days, interval, parts, week)
    assert (cut[0].start, cut[-1].end) == days
    assert cut[0].own_start == cut[0].start
    assert all(part.own_end == part.end for part in cut)
    for before, after in pairwise(cut):
        overlap, first, *_ = spans(after.start, after.end, interval, week)
        assert overlap == list(spans(before.start, before.end, interval, week))[-1]
        assert after.own_start == first.start
        assert after.end > before.end


@given(ranges(), intervals, week_starts, st.integers(1, 25))
@settings(max_examples=60)
def test_there_are_as_many_slices_as_requested_of_equal_length(
    days: tuple[date, date], interval: Interval, week: WeekStart, parts: int
) -> None:
    cut = slices(*days, interval, parts, week)
    assert len(cut) == min(parts, len(list(spans(*days, interval, week))))
    lengths = [len(own_spans(part, interval, week)) for part in cut]
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) >= 1


def test_a_year_of_months_in_four_slices() -> None:
    assert slices(date(2023, 1, 15), date(2023, 12, 10), "month", 4) == (
        Slice(date(2023, 1, 15), date(2023, 3, 31), date(2023, 1, 15), date(2023, 3, 31)),
        Slice(date(2023, 3, 1), date(2023, 6, 30), date(2023, 4, 1), date(2023, 6, 30)),
        Slice(date(2023, 6, 1), date(2023, 9, 30), date(2023, 7, 1), date(2023, 9, 30)),
        Slice(date(2023, 9, 1), date(2023, 12, 10), date(2023, 10, 1), date(2023, 12, 10)),
    )


def test_an_overlap_in_the_first_interval_starts_with_the_range() -> None:
    first, second = slices(date(2023, 1, 15), date(2023, 2, 28), "month", 2)
    assert first == Slice(date(2023, 1, 15), date(2023, 1, 31), date(2023, 1, 15), date(2023, 1, 31))
    assert second == Slice(date(2023, 1, 15), date(2023, 2, 28), date(2023, 2, 1), date(2023, 2, 28))


# --- monthly figures --------------------------------------------------------------------------------------------

shorter_than_a_month = st.sampled_from(["day", "week"])


@given(ranges(), shorter_than_a_month, week_starts, st.integers(1, 25))
@settings(max_examples=80)
def test_own_intervals_for_monthly_figures_are_the_range(
    days: tuple[date, date], interval: Interval, week: WeekStart, parts: int
) -> None:
    cut = slices_of_monthly_figures(*days, interval, parts, week)
    whole = list(spans(*days, interval, week))
    assert [span for part in cut for span in own_spans(part, interval, week)] == whole
    assert len(cut) == min(parts, len(whole))


@given(ranges(), shorter_than_a_month, week_starts, st.integers(1, 25))
@settings(max_examples=80)
def test_slices_for_monthly_figures_ask_for_whole_months(
    days: tuple[date, date], interval: Interval, week: WeekStart, parts: int
) -> None:
    """Of the overlap and of every own entry: the days of its month, and 30 days before it, where the range has them."""
    start, end = days
    cut = slices_of_monthly_figures(*days, interval, parts, week)
    assert (cut[0].start, cut[-1].end) == days
    for before, after in pairwise(cut):
        overlap = before.own_end
        assert after.own_start == overlap + DAY
        looked_back = overlap.toordinal() - 30
        assert after.start.toordinal() == max(start.toordinal(), looked_back)
        assert after.start <= max(start, overlap.replace(day=1))
        assert before.end == min(end, interval_end(before.own_end, "month"))


@given(st.dates(max_value=date(9980, 1, 1)), st.integers(1, 25), st.integers(31, 200))
@settings(max_examples=60)
def test_long_slices_of_days_end_with_months(start: date, parts: int, length: int) -> None:
    """That makes none of them shorter by a month or more."""
    end = start + (parts * length - 1) * DAY
    cut = slices_of_monthly_figures(start, end, "day", parts)
    assert len(cut) == parts
    assert all(part.end == part.own_end for part in cut)
    assert all(part.own_start.day == 1 for part in cut[1:])
    assert min(count(part.own_start, part.own_end, "day") for part in cut) > length - 31


def test_days_of_two_months_in_three_slices_are_cut_within_a_month() -> None:
    assert slices_of_monthly_figures(date(2024, 1, 1), date(2024, 2, 29), "day", 3) == (
        Slice(date(2024, 1, 1), date(2024, 1, 31), date(2024, 1, 1), date(2024, 1, 20)),
        Slice(date(2024, 1, 1), date(2024, 2, 29), date(2024, 1, 21), date(2024, 2, 9)),
        Slice(date(2024, 1, 10), date(2024, 2, 29), date(2024, 2, 10), date(2024, 2, 29)),
    )


def test_spans_and_slices_are_values() -> None:
    span, part = Span(date.min, date.max), Slice(date.min, date.max, date.min, date.max)
    assert pickle.loads(pickle.dumps((span, part))) == (span, part)
    assert {span, Span(date.min, date.max)} == {span}
    assert {part, Slice(date.min, date.max, date.min, date.max)} == {part}
