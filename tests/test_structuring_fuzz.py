"""Any bytes at all give a record or a ``DecodeError``, the same with orjson and without, and never another exception.

The quick sister of ``python -m tests.fuzz``: the same targets, without its guidance.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartmogul_async import structuring
from chartmogul_async.customers import _Page
from tests.fuzz.corpus import HEADS, seeds
from tests.fuzz.mutations import mutated_json
from tests.fuzz.targets import TARGETS, error_body_of, outcome, retry_after_from, structuring_of

ANSWERS = list(seeds("structuring"))
ERRORS = list(seeds("error-bodies"))
SEEDS = {target: list(seeds(target)) for target in TARGETS}


@settings(max_examples=4000, deadline=None)
@given(st.sampled_from(ANSWERS), st.randoms(use_true_random=False))
def test_an_answer_with_some_places_changed_becomes_a_record_or_a_decode_error(answer: bytes, random: Random) -> None:
    head = HEADS["structuring"]
    structuring_of(answer[:head] + mutated_json(answer[head:], random))


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(ERRORS), st.randoms(use_true_random=False))
def test_an_error_answer_with_some_places_changed_is_read(answer: bytes, random: Random) -> None:
    head = HEADS["error-bodies"]
    error_body_of(answer[:head] + mutated_json(answer[head:], random))


@settings(max_examples=300, deadline=None)
@given(st.data())
@pytest.mark.parametrize("target", TARGETS)
def test_a_seed_with_some_bytes_changed_does_no_harm(target: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(SEEDS[target]))
    begin = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(begin, min(len(seed), begin + 8)))
    TARGETS[target](seed[:begin] + data.draw(st.binary(max_size=8)) + seed[end:])


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=400))
@pytest.mark.parametrize("target", TARGETS)
def test_no_bytes_are_too_strange(target: str, data: bytes) -> None:
    TARGETS[target](data)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(["Wed,", "21", "Oct", "2026", "9999999", "-1", "12:00:30", "GMT", "+9999", "1e9", "nan"]))
)
def test_no_words_of_a_date_are_too_strange(words: list[str]) -> None:
    retry_after_from(" ".join(words).encode())


# --- the targets notice --------------------------------------------------------------------------------------------


def test_another_exception_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(content: bytes, into: object) -> object:
        raise KeyError("entries")

    monkeypatch.setattr(structuring, "read", broken)
    with pytest.raises(KeyError):
        structuring_of(ANSWERS[0])


def test_a_difference_between_the_parsers_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    orjson = pytest.importorskip("orjson")  # the extra ``fast``

    def careless(content: bytes, into: type) -> object:
        is_fast = vars(structuring)["orjson"] is not None
        return structuring.structure(orjson.loads(content) if is_fast else structuring.decode(content), into)

    monkeypatch.setattr(structuring, "read", careless)
    with pytest.raises(AssertionError, match="with orjson"):
        structuring_of(b'\x09{"entries":[{"attributes":{"custom":{"id":123456789012345678901}}}]}')


def test_what_a_target_calls_an_outcome_has_types_in_it() -> None:
    integer, fraction = (outcome(b'{"entries":[{"mrr":%b}]}' % mrr, _Page, None) for mrr in (b"1", b"1.0"))
    assert integer != fraction
