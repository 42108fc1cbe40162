"""What an error answer says, in each of the shapes in which the API was seen to say it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartmogul_async.error_bodies import ErrorBody, read_error_body
from chartmogul_async.errors import ErrorDetail

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("status", "body", "said"),
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
def test_every_json_shape_is_read(status: int, body: str, said: ErrorBody) -> None:
    assert read_error_body(status, body.encode(), JSON) == said


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        pytest.param(500, b"500 Internal Server Error", "500 Internal Server Error", id="E9"),
        pytest.param(504, b"504 Gateway Timeout Error\n", "504 Gateway Timeout Error", id="E10"),
    ],
)
def test_a_short_plain_text_is_the_message(status: int, body: bytes, said: str) -> None:
    assert read_error_body(status, body, TEXT) == ErrorBody(said)


@pytest.mark.parametrize(
    "success",
    [
        {"invoices": [{"uuid": "inv_1", "errors": {}, "line_items": [{"errors": {}}]}]},
        {"uuid": "inv_1", "errors": {}},
        {"uuid": "inv_1", "errors": {"due_date": ["is before the date"]}},
    ],
)
def test_a_success_with_errors_inside_does_no_harm_when_it_is_read_as_an_error(success: dict[str, Any]) -> None:
    """E12: an object that was stored, with what is wrong with it."""
    said = read_error_body(200, json.dumps(success).encode(), JSON)
    if success.get("errors"):
        assert said == ErrorBody("is before the date", "due_date", (ErrorDetail("is before the date", "due_date"),))
    else:
        assert said == ErrorBody("OK")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"message":"the message","error":"the error"}', "the message"),
        ('{"message":"  ","error":" the error "}', "the error"),
        ('{"message":null,"error":{"deep":1},"errors":["first","second"]}', "first; second"),
        ('{"errors":{"name":["is short","is plain"],"email":"is missing"}}', "is short; is plain; is missing"),
        ('{"name":["is blank",7,null,"  "],"uuid":"x"}', "is blank"),
    ],
)
def test_of_several_sentences_the_plainest_is_the_message(body: str, said: str) -> None:
    assert read_error_body(422, body.encode(), JSON).message == said


def test_all_complaints_about_a_field_are_kept_with_its_name() -> None:
    said = read_error_body(422, b'{"errors":{"name":["is short","is plain"],"email":"is missing"}}', JSON)
    assert said.details == (
        ErrorDetail("is short", "name"),
        ErrorDetail("is plain", "name"),
        ErrorDetail("is missing", "email"),
    )
    assert said.param == "name"


def test_the_answer_s_own_param_counts_more_than_that_of_a_detail() -> None:
    body = b'{"message":"m","param":"top","error_details":[{"param":"deep","message":"d"}, "stray"]}'
    assert read_error_body(422, body, JSON) == ErrorBody("m", "top", (ErrorDetail("d", "deep"), ErrorDetail("stray")))


@pytest.mark.parametrize(
    ("status", "words"),
    [(400, "Bad Request"), (429, "Too Many Requests"), (503, "Service Unavailable"), (520, "status 520")],
)
@pytest.mark.parametrize("body", [b"", b"  \n", b"{}", b"[]", b"null", b"7", b"true", b'""', b'" "', b'{"errors":{}}'])
def test_a_body_that_says_nothing_gives_the_words_of_the_status(status: int, words: str, body: bytes) -> None:
    assert read_error_body(status, body, JSON) == ErrorBody(words)


def test_a_json_string_is_a_message() -> None:
    assert read_error_body(400, b'" go away "', JSON) == ErrorBody("go away")


@pytest.mark.parametrize("quote", [b"", b'"'], ids=["plain text", "JSON string"])
def test_no_message_of_a_bare_text_is_endless(quote: bytes) -> None:
    assert len(read_error_body(500, quote + b"x" * 100_000 + quote, TEXT).message) <= 200


@pytest.mark.parametrize(
    ("body", "content_type", "kind"),
    [
        (b"<html><body>502</body></html>", "text/html; charset=utf-8", "text/html"),
        (b"<!DOCTYPE html>", "", "no content type"),
        (b'{"message": "cut o', "application/json", "application/json"),
        (b"[" * 100_000, "application/json", "application/json"),
        (b"first line\nsecond line", "text/plain", "text/plain"),
        (b"9" * 5_000, " ", "no content type"),
    ],
    ids=["html", "doctype", "truncated", "deep", "lines", "a number too long to be one"],
)
def test_a_page_or_garbage_is_told_by_its_size_and_type_but_not_shown(
    body: bytes, content_type: str, kind: str
) -> None:
    expected = f"Bad Gateway (a body of {len(body)} characters, {kind}, that is not JSON)"
    assert read_error_body(502, body, content_type) == ErrorBody(expected)


def assert_is_an_error_body(said: ErrorBody) -> None:
    assert isinstance(said.message, str)
    assert said.message.strip()
    assert said.param is None or isinstance(said.param, str)
    for detail in said.details:
        assert isinstance(detail, ErrorDetail)
        assert isinstance(detail.message, str)
        for word in (detail.param, detail.code):
            assert word is None or isinstance(word, str)


@given(st.integers(100, 599), st.binary(max_size=300), st.text(max_size=30))
@settings(max_examples=80, deadline=None)
def test_no_bytes_are_too_strange(status: int, body: bytes, content_type: str) -> None:
    assert_is_an_error_body(read_error_body(status, body, content_type))


words = st.sampled_from(["message", "error", "errors", "error_details", "param", "code", "name"]) | st.text(max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(words, json_values, max_size=5) | json_values)
@settings(max_examples=100, deadline=None)
def test_no_json_is_too_strange(body: Any) -> None:
    assert_is_an_error_body(read_error_body(422, json.dumps(body).encode(), JSON))


@pytest.mark.parametrize(
    ("body", "said"),
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
def test_shapes_nobody_has_seen_yet_lose_no_words(body: object, said: ErrorBody) -> None:
    read = read_error_body(422, json.dumps(body).encode(), JSON)
    assert read in (said, ErrorBody("Unprocessable Content", said.param, said.details))  # the name until Python 3.12


def test_a_byte_order_mark_is_no_part_of_the_message() -> None:
    assert read_error_body(404, b'\xef\xbb\xbf{"message": "gone"}', JSON).message == "gone"
