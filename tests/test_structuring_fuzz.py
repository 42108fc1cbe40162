"""Any bytes at all give a record or a ``DecodeError``, the same with orjson and without, and never another exception.

A quick version of ``python -m tests.fuzz``: the same targets, without guidance by coverage.
"""

from __future__ import annotations

import re
from datetime import date
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chartmogul_async.metrics.records import ARREntry, MetricResponse, Summary
from chartmogul_async.resources.customers import CustomersEnvelope
from chartmogul_async.structuring import converter
from tests.fuzz.corpus import HEADS, seeds
from tests.fuzz.mutations import mutated_json, with_repetition
from tests.fuzz.targets import TARGETS, counted, error_body_of, outcome, retry_after_from, structuring_of

pytestmark = pytest.mark.no_cover

RESPONSES = list(seeds("structuring"))
ERRORS = list(seeds("error-bodies"))
ISO = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
SEEDS = {target: list(seeds(target)) for target in TARGETS}


@settings(max_examples=4000)
@given(st.sampled_from(RESPONSES), st.randoms(use_true_random=False))
def test_a_mutated_response_gives_a_record_or_decode_error(response: bytes, random: Random) -> None:
    head = HEADS["structuring"]
    structuring_of(response[:head] + mutated_json(response[head:], random))


@settings(max_examples=500)
@given(st.sampled_from(ERRORS), st.randoms(use_true_random=False))
def test_a_mutated_error_response_is_read(response: bytes, random: Random) -> None:
    head = HEADS["error-bodies"]
    error_body_of(response[:head] + mutated_json(response[head:], random))


@settings(max_examples=300)
@given(st.data())
@pytest.mark.parametrize("target", TARGETS)
def test_a_seed_with_changed_bytes_does_no_harm(target: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(SEEDS[target]))
    begin = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(begin, min(len(seed), begin + 8)))
    TARGETS[target](seed[:begin] + data.draw(st.binary(max_size=8)) + seed[end:])


@settings(max_examples=400)
@given(st.binary(max_size=400))
@pytest.mark.parametrize("target", TARGETS)
def test_no_bytes_are_too_strange(target: str, data: bytes) -> None:
    TARGETS[target](data)


@settings(max_examples=400)
@given(
    st.lists(st.sampled_from(["Wed,", "21", "Oct", "2026", "9999999", "-1", "12:00:30", "GMT", "+9999", "1e9", "nan"]))
)
def test_no_parts_of_a_date_are_too_strange(parts: list[str]) -> None:
    retry_after_from(" ".join(parts).encode())


# --- ten characters --------------------------------------------------------------------------------------------------

# Everything that some version of Python accepts in a date, and digits of other alphabets.
CHARACTERS = "0123456789-W+ T:./\u0662\uff12\u0967"


def replaced(day: date, changes: list[tuple[int, str]]) -> str:
    characters = list(day.isoformat())
    for at, character in changes:
        characters[at] = character
    return "".join(characters)


almost_dates = st.builds(
    replaced, st.dates(), st.lists(st.tuples(st.integers(0, 9), st.sampled_from(CHARACTERS)), min_size=1, max_size=3)
)
about_ten_characters = (
    almost_dates
    | st.text("0123456789", min_size=10, max_size=10)
    | st.text(CHARACTERS, min_size=10, max_size=10)
    | st.from_regex(r"[0-9]{4}-?W[0-9]{2}[-0-9+ ]{2,3}", fullmatch=True).filter(lambda text: len(text) == 10)
    | st.integers(0, 9_999_999_999).map("{:010}".format)
    | st.text("0123456789-W", min_size=7, max_size=12)
    | almost_dates.map(lambda text: text[:8])
    | almost_dates.map(lambda text: text + "-")
)


@settings(max_examples=4000)
@given(about_ten_characters)
@example("1712102400")
@example("2023070199")
@example("2023-W31-1")
@example("2023W31-11")
@example("2023071-")
@example("2023-W3-")
@example("2023-07-1")
@example("2023-07-011")
def test_some_characters_are_a_date_in_bulk_if_they_are_exactly(text: str) -> None:
    """Python 3.11 to 3.13 read eight digits of a text without hyphens, and ignore the rest."""
    summary = {"current": 1, "previous": 1, "percentage-change": 0.0}
    response = {"entries": [{"date": text, "arr": 1, "percentage-change": 0.5}], "summary": summary}
    into = MetricResponse[ARREntry, Summary]
    try:
        expected: date | None = date(*map(int, text.split("-"))) if re.fullmatch(ISO, text, re.ASCII) else None
    except ValueError:
        expected = None
    for detailed in (False, True):
        try:
            entries = converter._converter(detailed=detailed, kebab=True).structure(response, into).entries
        except Exception:  # noqa: BLE001 - what it raises differs with the path
            assert expected is None
        else:
            assert [entry.date for entry in entries] == [expected]


# --- the targets notice --------------------------------------------------------------------------------------------


def test_another_exception_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(content: bytes, into: object) -> object:
        raise KeyError("entries")

    monkeypatch.setattr(converter, "read", broken)
    with pytest.raises(KeyError):
        structuring_of(RESPONSES[0])


def test_a_difference_between_the_parsers_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    # The extra ``fast`` installs it.
    orjson = pytest.importorskip("orjson")

    def careless(content: bytes, into: type) -> object:
        is_fast = vars(converter)["orjson"] is not None
        return converter.structure(orjson.loads(content) if is_fast else converter.decode(content), into)

    monkeypatch.setattr(converter, "read", careless)
    with pytest.raises(AssertionError, match="with orjson"):
        structuring_of(b'\x09{"entries":[{"attributes":{"custom":{"id":123456789012345678901}}}]}')


def test_an_outcome_distinguishes_types() -> None:
    integer, fraction = (outcome(b'{"entries":[{"mrr":%b}]}' % mrr, CustomersEnvelope, None) for mrr in (b"1", b"1.0"))
    assert integer != fraction


def test_a_slow_input_is_noticed() -> None:
    """Work is counted in calls, not in seconds."""

    def quadratic(data: bytes) -> None:
        for _ in data:
            for each in data:
                abs(each)

    with pytest.raises(AssertionError, match="calls for 1000 bytes"):
        counted(quadratic)(b"a" * 1000)


@settings(max_examples=200)
@given(st.sampled_from(RESPONSES), st.randoms(use_true_random=False), st.sampled_from([1000, 30_000]))
def test_a_value_repeated_many_times_is_not_slow(response: bytes, random: Random, times: int) -> None:
    head = HEADS["structuring"]
    TARGETS["structuring"](response[:head] + with_repetition(response[head:], random, times))


@settings(max_examples=200)
@given(st.sampled_from(ERRORS), st.randoms(use_true_random=False), st.sampled_from([1000, 30_000]))
def test_an_error_repeated_many_times_is_not_slow(response: bytes, random: Random, times: int) -> None:
    head = HEADS["error-bodies"]
    TARGETS["error-bodies"](response[:head] + with_repetition(response[head:], random, times))
