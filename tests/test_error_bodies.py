"""The message of an error response, in each of the shapes that the API was seen to send."""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartmogul_async.errors import ErrorDetail
from chartmogul_async.structuring.error_bodies import (
    LARGEST_ERROR_BODY,
    ErrorBody,
    error_in_success,
    read_error_body,
)
from chartmogul_async.structuring.secrets import forms_of, masked

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(
            401,
            '{"code":401,"message":"No valid API key provided","param":null}',
            ErrorBody("No valid API key provided"),
            id="E1 no valid key",
        ),
        pytest.param(
            400,
            r'{"code":400,"message":"Parameter \"name\" is missing","param":"name"}',
            ErrorBody('Parameter "name" is missing', "name"),
            id="E2 a parameter is missing",
        ),
        pytest.param(
            404,
            r"""{"code":404,"message":"Can't find any customers with email: \"no@email.com\"","param":"email"}""",
            ErrorBody('Can\'t find any customers with email: "no@email.com"', "email"),
            id="E3 no such customer",
        ),
        pytest.param(404, '{"error":"Data source not found"}', ErrorBody("Data source not found"), id="E4 error"),
        pytest.param(
            404,
            '{"error":"Invoice not found",'
            '"error_details":[{"param":"invoice","code":"invalid","message":"Invoice not found"}]}',
            ErrorBody("Invoice not found", "invoice", (ErrorDetail("Invoice not found", "invoice", "invalid"),)),
            id="E5 error with details",
        ),
        pytest.param(
            422,
            '{"errors":{"name":"A name is required for each data source."}}',
            ErrorBody(
                "A name is required for each data source.",
                "name",
                (ErrorDetail("A name is required for each data source.", "name"),),
            ),
            id="E6 errors by field",
        ),
        pytest.param(
            422,
            '{"name":["Name can\'t be blank"],"plan_ids":["Plan ids can\'t be blank"],"error_details":['
            '{"param":"name","code":"blank","message":"Name can\'t be blank"},'
            '{"param":"plan_ids","code":"blank","message":"Plan ids can\'t be blank"}]}',
            ErrorBody(
                "Name can't be blank; Plan ids can't be blank",
                "name",
                (
                    ErrorDetail("Name can't be blank", "name", "blank"),
                    ErrorDetail("Plan ids can't be blank", "plan_ids", "blank"),
                ),
            ),
            id="E7 field names at the top",
        ),
        pytest.param(
            400,
            """{"error":"The property '#/custom' of type object did not match one or more of the required schemas"}""",
            ErrorBody("The property '#/custom' of type object did not match one or more of the required schemas"),
            id="E8 schema violation",
        ),
        pytest.param(
            400,
            '{"message":"Invalid include parameter: invalid_field"}',
            ErrorBody("Invalid include parameter: invalid_field"),
            id="E11 message alone",
        ),
        pytest.param(
            429,
            '{"code":429,"message":"Your request rate has exceeded our rate limit.","param":null}',
            ErrorBody("Your request rate has exceeded our rate limit."),
            id="E13 too fast",
        ),
    ],
)
def test_every_json_shape_is_read(status: int, body: str, expected: ErrorBody) -> None:
    assert read_error_body(status, body.encode(), JSON) == expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(500, b"500 Internal Server Error", "500 Internal Server Error", id="E9"),
        pytest.param(504, b"504 Gateway Timeout Error\n", "504 Gateway Timeout Error", id="E10"),
    ],
)
def test_a_short_plain_text_is_the_message(status: int, body: bytes, expected: str) -> None:
    assert read_error_body(status, body, TEXT) == ErrorBody(expected)


@pytest.mark.parametrize(
    "success",
    [
        {"invoices": [{"uuid": "inv_1", "errors": {}, "line_items": [{"errors": {}}]}]},
        {"uuid": "inv_1", "errors": {}},
        {"uuid": "inv_1", "errors": {"due_date": ["is before the date"]}},
    ],
)
def test_a_success_with_errors_can_be_read_as_an_error(success: dict[str, Any]) -> None:
    """E12: an object that was stored, with its errors."""
    body = read_error_body(200, json.dumps(success).encode(), JSON)
    if success.get("errors"):
        assert body == ErrorBody("is before the date", "due_date", (ErrorDetail("is before the date", "due_date"),))
    else:
        assert body == ErrorBody("OK")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"message":"the message","error":"the error"}', "the message"),
        ('{"message":"  ","error":" the error "}', "the error"),
        ('{"message":null,"error":{"deep":1},"errors":["first","second"]}', "first; second"),
        ('{"errors":{"name":["is short","is plain"],"email":"is missing"}}', "is short; is plain; is missing"),
        ('{"name":["is blank",7,null,"  "],"uuid":"x"}', "is blank"),
    ],
)
def test_the_most_direct_of_several_texts_is_the_message(body: str, expected: str) -> None:
    assert read_error_body(422, body.encode(), JSON).message == expected


def test_all_errors_about_a_field_are_kept_with_its_name() -> None:
    body = read_error_body(422, b'{"errors":{"name":["is short","is plain"],"email":"is missing"}}', JSON)
    assert body.details == (
        ErrorDetail("is short", "name"),
        ErrorDetail("is plain", "name"),
        ErrorDetail("is missing", "email"),
    )
    assert body.param == "name"


def test_param_at_the_top_takes_precedence_over_details() -> None:
    body = b'{"message":"m","param":"top","error_details":[{"param":"deep","message":"d"}, "stray"]}'
    assert read_error_body(422, body, JSON) == ErrorBody("m", "top", (ErrorDetail("d", "deep"), ErrorDetail("stray")))


@pytest.mark.parametrize(
    ("status", "phrase"),
    [(400, "Bad Request"), (429, "Too Many Requests"), (503, "Service Unavailable"), (520, "status 520")],
)
@pytest.mark.parametrize("body", [b"", b"  \n", b"{}", b"[]", b"null", b"7", b"true", b'""', b'" "', b'{"errors":{}}'])
def test_a_body_without_a_message_gives_the_status_phrase(status: int, phrase: str, body: bytes) -> None:
    assert read_error_body(status, body, JSON) == ErrorBody(phrase)


def test_a_json_string_is_a_message() -> None:
    assert read_error_body(400, b'" go away "', JSON) == ErrorBody("go away")


@pytest.mark.parametrize("body", [b"\0\x01", b'"\\u0000\\u0001"'], ids=["plain text", "JSON string"])
def test_a_text_without_printable_characters_is_no_message(body: bytes) -> None:
    assert read_error_body(403, body, TEXT) == ErrorBody("Forbidden")


@pytest.mark.parametrize(
    ("success", "expected"),
    [
        ({"error": "Off."}, "Off."),
        ({"errors": ["Off."]}, "Off."),
        ({"message": "Off."}, "Off."),
        ({"errors": {}, "entries": ["Off."]}, None),
        (["Off."], None),
    ],
    ids=str,
)
def test_an_error_in_a_success_is_found(success: object, expected: str | None) -> None:
    assert error_in_success(json.dumps(success).encode()) == expected


@pytest.mark.parametrize("quote", [b"", b'"'], ids=["plain text", "JSON string"])
def test_the_message_of_a_bare_text_is_limited(quote: bytes) -> None:
    assert len(read_error_body(500, quote + b"x" * 100_000 + quote, TEXT).message) <= 200
    assert read_error_body(500, quote + b"x" * 200 + quote, TEXT) == ErrorBody("x" * 200)


@pytest.mark.parametrize(
    ("body", "content_type", "kind"),
    [
        (b"<html><body>502</body></html>", "text/html; charset=utf-8", "text/html"),
        (b"<!DOCTYPE html>", "", "no content type"),
        (b'{"message": "cut o', "application/json", "application/json"),
        (b"[" * 60_000, "application/json", "application/json"),
        (b"[Fault]", "text/plain", "text/plain"),
        (b"first line\nsecond line", "text/plain", "text/plain"),
        (b"9" * 5_000, " ", "no content type"),
    ],
    ids=["html", "doctype", "truncated", "deep", "bracket", "lines", "a number too long to be one"],
)
def test_a_page_is_reported_by_size_and_type_and_not_quoted(body: bytes, content_type: str, kind: str) -> None:
    expected = f"Bad Gateway (a body of {len(body)} characters, {kind}, that is not JSON)"
    assert read_error_body(502, body, content_type) == ErrorBody(expected)
    if kind == "no content type":
        assert read_error_body(502, body) == ErrorBody(expected)


def test_a_body_beyond_the_limit_is_not_parsed() -> None:
    body = json.dumps({"message": "m"}).encode()
    assert read_error_body(502, body.ljust(LARGEST_ERROR_BODY), JSON) == ErrorBody("m")
    expected = "Bad Gateway (a body of more than 65536 bytes, application/json, that was not read)"
    longer = body.ljust(LARGEST_ERROR_BODY + 1)
    assert read_error_body(502, longer, JSON) == ErrorBody(expected)
    without = "Bad Gateway (a body of more than 65536 bytes, no content type, that was not read)"
    assert read_error_body(502, longer) == ErrorBody(without)
    assert error_in_success(body.ljust(LARGEST_ERROR_BODY)) == "m"
    assert error_in_success(longer) is None


@pytest.mark.parametrize(
    "body",
    [
        {"errors": ["a"] * 1000},
        {"error_details": [{"message": "a"}] * 1000},
        {"errors": {f"field{number}": "a" for number in range(1000)}},
        {f"field{number}": ["a"] * 2 for number in range(1000)},
    ],
    ids=["errors", "error_details", "by field", "field names"],
)
def test_a_hundred_details_are_kept(body: Any) -> None:
    read = read_error_body(422, json.dumps(body).encode(), JSON)
    assert len(read.details) == 100
    assert read.message.startswith("a; a; a")
    assert len(read.message) <= 500


def test_a_content_type_is_cut() -> None:
    message = read_error_body(502, b"<", "a" * 90_000).message
    assert message == f"Bad Gateway (a body of 1 characters, {'a' * 100}, that is not JSON)"


def assert_is_an_error_body(body: ErrorBody) -> None:
    assert isinstance(body.message, str)
    assert body.message.strip()
    assert body.param is None or isinstance(body.param, str)
    for detail in body.details:
        assert isinstance(detail, ErrorDetail)
        assert isinstance(detail.message, str)
        for text in (detail.param, detail.code):
            assert text is None or isinstance(text, str)


@pytest.mark.no_cover
@given(st.integers(100, 599), st.binary(max_size=300), st.text(max_size=30))
@settings(max_examples=80)
def test_no_bytes_are_too_strange(status: int, body: bytes, content_type: str) -> None:
    assert_is_an_error_body(read_error_body(status, body, content_type))


keys = st.sampled_from(["message", "error", "errors", "error_details", "param", "code", "name"]) | st.text(max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(keys, json_values, max_size=5) | json_values)
@settings(max_examples=100)
def test_no_json_is_too_strange(body: Any) -> None:
    assert_is_an_error_body(read_error_body(422, json.dumps(body).encode(), JSON))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"errors": "text"}, ErrorBody("text", None, (ErrorDetail("text"),))),
        ({"errors": [{"message": "m", "param": "p"}]}, ErrorBody("m", "p", (ErrorDetail("m", "p"),))),
        ({"error": {"message": "m"}}, ErrorBody("m")),
        ({"error_details": [{}, {}]}, ErrorBody("Unprocessable Entity")),
        ({"error_details": ["x"]}, ErrorBody("x", None, (ErrorDetail("x"),))),
        ({"message": ["a"]}, ErrorBody("Unprocessable Entity")),
    ],
    ids=str,
)
def test_the_message_is_found_in_unknown_shapes(body: object, expected: ErrorBody) -> None:
    read = read_error_body(422, json.dumps(body).encode(), JSON)
    # Python 3.13 renamed the phrase of this status.
    assert read in (expected, ErrorBody("Unprocessable Content", expected.param, expected.details))


def test_a_byte_order_mark_is_ignored() -> None:
    assert read_error_body(404, b'\xef\xbb\xbf{"message": "gone"}', JSON).message == "gone"


# --- secrets -------------------------------------------------------------------------------------------------


def hidden(key: str) -> list[Any]:
    """The key in every form in which a server may repeat it."""
    forms = {"key": key, "upper case": key.upper()}
    for name, user in (("credentials", f"{key}:"), ("base64", key)):
        encoded = base64.b64encode(user.encode()).decode()
        forms[name] = encoded
        forms[f"{name} without padding"] = encoded.rstrip("=")
        forms[f"{name} for URLs"] = base64.urlsafe_b64encode(user.encode()).decode()
    forms |= {f"{name} in a URL": quote(form, safe="") for name, form in forms.items()}
    forms |= {f"{name}, twice": quote(form, safe="") for name, form in forms.items() if name.endswith("in a URL")}
    forms["key in lower-case escapes"] = "".join(f"%{ord(char):02x}" for char in key)
    forms["key in upper-case escapes"] = "".join(f"%{ord(char):02X}" for char in key)
    forms["key in JSON escapes"] = "".join(f"\\u{ord(char):04x}" for char in key)
    forms["credentials of a decoded form"] = base64.b64encode(f"{key}:".encode()).decode().replace("+", " ")
    return [pytest.param(key, form, id=f"{name} of {len(key)}") for name, form in forms.items()]


# Of each remainder of three, on which the padding of base64 depends; the last one has + and / in its base64.
KEYS = ["0123456789abcdef-secret", "0123456789abcdef-secret1", "0123456789abcdef-secret12", "~~~???>>>~~~???>>>+/=%"]
HIDDEN = [param for key in KEYS for param in hidden(key)]


@pytest.mark.parametrize(("key", "form"), HIDDEN)
def test_a_secret_is_masked_in_every_form(key: str, form: str) -> None:
    assert masked(f"who is {form}?", forms_of(key)) == "who is ***?"


@pytest.mark.parametrize(("key", "form"), HIDDEN)
@pytest.mark.parametrize("wrap", [json.dumps, lambda text: json.dumps(text).replace("/", r"\/")], ids=["JSON", "PHP"])
def test_a_secret_is_masked_wherever_json_has_it(key: str, form: str, wrap: Any) -> None:
    text = wrap(f"who is {form}?")
    content = (
        f'{{"message": {text}, "error_details": [{{"message": {text}, "param": {text}, "code": {text}}}]}}'.encode()
    )
    detail = ErrorDetail("who is ***?", "who is ***?", "who is ***?")
    assert read_error_body(422, content, JSON, forms_of(key)) == ErrorBody("who is ***?", "who is ***?", (detail,))
    assert error_in_success(content, forms_of(key)) == "who is ***?"


@pytest.mark.parametrize(("key", "form"), HIDDEN)
def test_a_secret_is_masked_in_plain_text_and_type(key: str, form: str) -> None:
    assert read_error_body(422, f"who is {form}?".encode(), TEXT, forms_of(key)).message == "who is ***?"
    page = read_error_body(502, b"<html>", f"text/{form}; charset=utf-8", forms_of(key)).message
    assert page == "Bad Gateway (a body of 6 characters, text/***, that is not JSON)"


def test_a_content_type_stays_on_one_line() -> None:
    assert read_error_body(502, b"<", "text/\x1b[31m\nhtml").message == (
        "Bad Gateway (a body of 1 characters, text/ [31m html, that is not JSON)"
    )


def test_credentials_are_masked_to_their_last_character() -> None:
    key = "0123456789abcdefghijW"
    encoded = base64.b64encode(key.encode()).decode()
    assert encoded.endswith("X"), "which is no padding"
    assert masked(encoded, forms_of(key)) == "***"


def test_texts_beside_a_secret_are_kept() -> None:
    key = KEYS[0]
    assert masked(f"{key[:-1]} {key}{key} x{key}y %20", forms_of(key)) == f"{key[:-1]} ****** x***y %20"
    assert masked(key, ()) == key


@given(st.text(max_size=40), st.text(max_size=40))
def test_masking_changes_nothing_else(before: str, after: str) -> None:
    key = "0123456789abcdef-secret"
    assert masked(before + after, forms_of(key)) == before + after
    shown = masked(f"{before}{key}{after}", forms_of(key))
    # Padding of base64 is part of the secret.
    assert re.fullmatch(rf"{re.escape(before)}\*\*\*", shown[: len(before) + 3])
    assert shown[len(before) + 3 :] == re.sub("^(=|%(25)*3d)+", "", after, flags=re.IGNORECASE)


def test_a_secret_behind_the_beginning_of_an_escape_is_masked() -> None:
    key = KEYS[0]
    for before in ("%", "%2", "\\u00", "\\"):
        assert masked(f"{before}{key}", forms_of(key)) == f"{before}***"


def test_no_pattern_is_made_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """``re`` would keep it for as long as the process lives."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("a pattern is made")

    for name in ("compile", "sub", "search", "match", "fullmatch", "finditer"):
        monkeypatch.setattr(re, name, refuse)
    key = "another-key-of-25-letters"
    assert masked(f"{key} %{ord('a'):02x}{key[1:]}", forms_of(key)) == "*** ***"


def test_only_the_first_thousand_complaints_are_looked_at() -> None:
    """As found, a list of 30,000 numbers took 360,000 calls."""
    texts = [0] * 999 + ["name is missing", "email is missing"]
    body = read_error_body(422, json.dumps({"errors": texts}).encode(), "application/json")
    assert [detail.message for detail in body.details] == ["name is missing"]
