"""The tree of errors: its shape, its words, and its journey between processes."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import attrs
import pytest

from chartmogul_async import errors
from chartmogul_async.errors import (
    AuthenticationError,
    BadRequestError,
    ChartMogulError,
    DecodeError,
    ErrorDetail,
    ForbiddenError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    RequestFailedError,
    RequestTimeoutError,
    ServerError,
    StatusError,
    TransportError,
    UsageError,
    ValidationError,
    for_status,
)

PARENTS: dict[type[BaseException], type[BaseException]] = {
    ChartMogulError: Exception,
    UsageError: ChartMogulError,
    TransportError: ChartMogulError,
    NetworkError: TransportError,
    RequestTimeoutError: TransportError,
    DecodeError: ChartMogulError,
    StatusError: ChartMogulError,
    BadRequestError: StatusError,
    AuthenticationError: StatusError,
    RequestFailedError: StatusError,
    ForbiddenError: StatusError,
    NotFoundError: StatusError,
    ValidationError: StatusError,
    RateLimitError: StatusError,
    ServerError: StatusError,
}
CLASSES = [cls for cls in PARENTS if issubclass(cls, ChartMogulError)]
DETAILS = (ErrorDetail("Name can't be blank", "name", "blank"), ErrorDetail("and more"))
EVERYTHING: dict[str, Any] = {
    "message": "Name can't be blank",
    "status": 422,
    "param": "name",
    "details": DETAILS,
    "request_id": "1f0c9a7e",
    "attempts": 3,
    "waited": 4.25,
}
ONLY_THERE: dict[type, dict[str, Any]] = {
    DecodeError: {"problems": ("$.entries[1].mrr: expected int or float, got str", "$.summary: missing")},
    RateLimitError: {"retry_after": 12.5},
}

every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def full(cls: type[ChartMogulError]) -> ChartMogulError:
    return cls(**EVERYTHING, **ONLY_THERE.get(cls, {}))


def fields_of(error: ChartMogulError) -> dict[str, Any]:
    return {field.name: getattr(error, field.name) for field in attrs.fields(type(error))}


def test_the_tree_is_exactly_this_one() -> None:
    defined = {
        cls: cls.__bases__[0]
        for cls in vars(errors).values()
        if inspect.isclass(cls) and issubclass(cls, BaseException) and cls.__module__ == errors.__name__
    }
    assert defined == PARENTS


@every_class
def test_each_class_is_drawn_in_the_tree_at_the_top_of_the_module_and_says_what_it_means(
    cls: type[ChartMogulError],
) -> None:
    assert errors.__doc__ is not None
    assert cls.__name__ in errors.__doc__
    assert cls.__doc__


@every_class
def test_each_class_has_all_the_fields_and_no_other(cls: type[ChartMogulError]) -> None:
    assert fields_of(full(cls)) == EVERYTHING | ONLY_THERE.get(cls, {})


@every_class
def test_a_message_is_all_that_an_error_needs(cls: type[ChartMogulError]) -> None:
    error = cls("something is wrong")
    assert (error.message, error.status, error.param, error.details) == ("something is wrong", None, None, ())
    assert (error.request_id, error.attempts, error.waited) == (None, 0, 0.0)


@every_class
def test_each_class_survives_the_journey_between_processes(cls: type[ChartMogulError]) -> None:
    error = full(cls)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        twin = pickle.loads(pickle.dumps(error, protocol))
        assert type(twin) is cls
        assert fields_of(twin) == fields_of(error)
        assert str(twin) == str(error)
        assert repr(twin) == repr(error)


@every_class
def test_each_class_can_be_copied(cls: type[ChartMogulError]) -> None:
    error = full(cls)
    for twin in (copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is cls
        assert fields_of(twin) == fields_of(error)


def test_what_was_set_after_the_making_survives_the_journey() -> None:
    error = RateLimitError("slow down", 429)
    error.retry_after = 7.0
    error.message = "slow down, please"
    error.add_note("while pulling plan 3 of 12")
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.retry_after, twin.message, twin.__notes__) == (
        7.0,
        "slow down, please",
        ["while pulling plan 3 of 12"],
    )


@every_class
def test_each_class_can_be_raised_chained_grouped_and_put_in_a_set(cls: type[ChartMogulError]) -> None:
    cause = OSError("reset")
    with pytest.raises(ChartMogulError) as caught:
        raise full(cls) from cause
    assert caught.value.__cause__ is cause
    assert {caught.value} == {caught.value}
    assert ExceptionGroup("several", [caught.value]).subgroup(cls) is not None


def test_two_errors_with_the_same_words_are_still_two() -> None:
    assert UsageError("no") != UsageError("no")
    assert len({UsageError("no"), UsageError("no")}) == 2


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UsageError("bad argument"), "bad argument"),
        (NetworkError("reset", attempts=1), "reset"),
        (NetworkError("reset", attempts=6, waited=41.26), "reset (6 attempts, 41.3 s waited between them)"),
        (ValidationError("is blank", 422, "name"), "422: is blank (parameter name)"),
        (NotFoundError("Not Found", 404, request_id="r-1"), "404: Not Found (request id r-1)"),
        (ServerError("500 Internal Server Error", 500), "500 Internal Server Error"),
        (
            RateLimitError("too fast", 429, "x", (), "r-1", 2, 0.04, 3.0),
            "429: too fast (parameter x; 2 attempts, 0.0 s waited between them; request id r-1)",
        ),
        (DecodeError("$: the body is not JSON", 200), "$: the body is not JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_error_says_its_message_and_whatever_helps_to_find_it_again(error: ChartMogulError, text: str) -> None:
    assert str(error) == text


BY_STATUS = {
    400: BadRequestError,
    401: AuthenticationError,
    402: RequestFailedError,
    403: ForbiddenError,
    404: NotFoundError,
    422: ValidationError,
    429: RateLimitError,
}


def test_every_status_of_the_client_has_its_class_or_the_general_one() -> None:
    assert {status: for_status(status) for status in range(400, 500)} == {
        status: BY_STATUS.get(status, StatusError) for status in range(400, 500)
    }


def test_every_status_of_the_server_is_a_server_error() -> None:
    assert {for_status(status) for status in range(500, 600)} == {ServerError}


def test_a_status_that_is_neither_success_nor_error_is_a_plain_status_error() -> None:
    assert {for_status(status) for status in (100, 301, 302, 304)} == {StatusError}


def test_a_detail_is_a_value() -> None:
    detail = DETAILS[0]
    assert detail == ErrorDetail("Name can't be blank", "name", "blank")
    assert hash(detail) == hash(ErrorDetail("Name can't be blank", "name", "blank"))
    assert pickle.loads(pickle.dumps(detail)) == detail
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        detail.message = "other"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]


def test_an_error_without_a_status_or_with_a_number_in_its_words_reads_well() -> None:
    assert str(errors.StatusError("x")) == "x"
    assert str(errors.StatusError("4040 things", 404)) == "404: 4040 things"
    assert str(errors.ServerError("500 Internal Server Error", 500)) == "500 Internal Server Error"
