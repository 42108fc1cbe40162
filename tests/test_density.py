"""JSON that costs much more than its size is recognised before it is parsed, and all that the API sends is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chartmogul_async.errors import DecodeError
from chartmogul_async.resources.account import Pong
from chartmogul_async.structuring import converter
from chartmogul_async.structuring.converter import decode, read
from chartmogul_async.structuring.density import HARMLESS_SIZE, check_density, parse_int_for

RESPONSES = sorted((Path(__file__).parent / "answers").glob("*.json"))


@pytest.mark.parametrize("path", RESPONSES, ids=lambda path: path.stem)
def test_no_recorded_response_is_too_dense(path: Path) -> None:
    """Without spaces, and with nothing but the densest of their entries."""
    response = json.loads(path.read_bytes())
    entries = response.get("entries", [response])
    densest = min((json.dumps(entry, separators=(",", ":")) for entry in entries), key=len)
    check_density(f"[{','.join([densest] * 20_000)}]".encode())


@pytest.mark.parametrize(
    ("item", "name"), [("{}", "objects and lists"), ("[1]", "objects and lists"), ('"ab":1', "keys")], ids=str
)
def test_ten_thousand_are_accepted_however_dense(item: str, name: str) -> None:
    check_density(f"[{','.join([item] * 9_999)}]".encode())
    with pytest.raises(DecodeError, match=f"too many {name} to be parsed: 20000") as caught:
        check_density(",".join([item] * 20_000).encode())
    assert caught.value.problems == (caught.value.message,)
    check_density(",".join([item] * 20_000).encode().ljust(24 * 20_000))


def test_an_integer_of_500_digits_is_accepted_but_no_longer_one() -> None:
    assert decode(b"[" + b"7" * 500 + b"]") == [int("7" * 500)]
    for digits in (501, 999, 4_300, 5_000):
        for spaces in (*range(51), 10_000):
            with pytest.raises(DecodeError, match="is not JSON"):
                decode(b"[" + b" " * spaces + b"7" * digits + b"]")


def test_only_integers_of_more_than_500_digits_are_refused() -> None:
    parse_int = parse_int_for(b"7" * 500)
    assert parse_int is not int
    assert parse_int("7" * 500) == int("7" * 500)
    with pytest.raises(ValueError, match="an integer has more than 500 digits"):
        parse_int("7" * 501)


def test_digits_in_a_text_are_accepted() -> None:
    assert decode(b'["' + b"7" * 5_000 + b'", 1]') == ["7" * 5_000, 1]


def test_the_fastest_function_parses_integers_of_usual_length() -> None:
    assert parse_int_for(b"[1, 12345678901234567890]" * 1000) is int
    assert parse_int_for(b"[" + b"7" * 449 + b"]") is int
    # Each byte that is looked at is a digit.
    assert parse_int_for((b"7" + b" " * 49) * 100) is int


@pytest.mark.parametrize("lists", [0, 1, 99, 100, 101, 9_999])
def test_rare_lists_are_counted_as_frequent_ones_are(lists: int) -> None:
    """Together with as many objects as are harmless, one more is too many."""
    content = b"{}," * (10_000 - lists) + b"[]," * lists
    check_density(content)
    with pytest.raises(DecodeError, match="to be parsed: 10001"):
        check_density(content + b"[]")


def test_a_body_is_checked_for_density_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[bytes] = []
    monkeypatch.setattr(converter, "check_density", checked.append)
    monkeypatch.setattr(converter, "orjson", None)
    body = b'{"data": "' + b" " * HARMLESS_SIZE + b'"}'
    read(body, Pong)
    assert checked == [body]
