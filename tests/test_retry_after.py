"""How long a response asks to wait."""

from __future__ import annotations

import math
import time

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chartmogul_async.transport.retry_after import retry_after_of

NOON = "Wed, 21 Oct 2026 12:00:00 GMT"


def seconds_of(retry_after: str, date: str | None = NOON) -> float | None:
    headers = httpx.Headers({"retry-after": retry_after})
    if date is not None:
        headers["date"] = date
    return retry_after_of(headers)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("1", 1.0),
        ("120", 120.0),
        ("0.25", 0.25),
        ("1.5", 1.5),
        (" 7 ", 7.0),
        ("007", 7.0),
        ("86400", 86_400.0),
    ],
)
def test_seconds_with_or_without_a_fraction(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Wed, 21 Oct 2026 12:00:30 GMT", 30.0),
        ("Wed, 21 Oct 2026 13:00:00 GMT", 3600.0),
        ("Wed, 21 Oct 2026 14:00:30 +0200", 30.0),
        ("Wednesday, 21-Oct-26 12:00:30 GMT", 30.0),
        (NOON, 0.0),
        ("Wed, 21 Oct 2026 11:59:59 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_date_is_compared_with_the_date_of_the_response(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("date", [None, "", "half past nine"])
def test_date_is_compared_with_this_machines_clock_otherwise(date: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    a_minute_and_a_half_before_noon = 1_792_584_000.0 - 90
    monkeypatch.setattr(time, "time", lambda: a_minute_and_a_half_before_noon)
    assert seconds_of(NOON, date) == 90.0


@pytest.mark.parametrize(
    "nonsense",
    [
        *("", " ", "soon", "nan", "NaN", "inf", "Infinity", "-1", "+1", "-0", "1e3", "0x10", "1_000", "1,5", "1 2"),
        *(".5", "5.", "1;2", str(10**12), "86401", "86400.1", "9" * 400, "1.0000000000", "GMT", "Wed, 21 Okt"),
        *("Wed, 99 Oct 2026 12:00:00 GMT", "Wed, 21 Oct 99999 12:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ],
)
def test_nonsense_is_ignored(nonsense: str) -> None:
    assert seconds_of(nonsense) is None


def test_response_without_the_header_asks_for_nothing() -> None:
    assert retry_after_of(httpx.Headers({"date": NOON})) is None


words = st.text(st.characters(max_codepoint=255), max_size=40)
dates = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Wed", "Xyz"]),
    st.integers(-1, 40),
    st.sampled_from(["Jan", "Oct", "Dec", "Foo", "12"]),
    st.integers(-1, 10**5),
    st.integers(-1, 30),
    st.integers(-1, 70),
    st.integers(-1, 70),
    st.sampled_from(["GMT", "+0000", "-0000", "+9999", "-2400", "EST", "", "+" + "9" * 30]),
)


@given(words | dates, st.none() | words | dates)
@example("Mon, 01 Jan 0001 00:00:00 +2359", None)
@example("Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 GMT")
@example("Fri, 31 Dec 9999 23:59:59", "Mon, 01 Jan 0001 00:00:00")
@settings(max_examples=120)
def test_any_header_is_a_sensible_wait_or_nothing(text: str, date: str | None) -> None:
    headers = [(b"retry-after", text.encode("latin-1"))]
    if date is not None:
        headers.append((b"date", date.encode("latin-1")))
    seconds = retry_after_of(httpx.Headers(headers))
    assert seconds is None or (math.isfinite(seconds) and 0.0 <= seconds <= 86_400)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="Windows cannot change the zone of a process")
def test_date_without_a_known_zone_is_universal_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    headers = {"date": "Wed, 21 Oct 2026 07:27:00 GMT", "retry-after": "Wed, 21 Oct 2026 07:28:00 -0000"}
    try:
        assert retry_after_of(httpx.Headers(headers)) == 60
    finally:
        monkeypatch.undo()
        time.tzset()
