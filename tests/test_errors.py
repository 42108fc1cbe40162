"""The two trees of errors: their shape, their messages, and their journey between processes."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import attrs
import pytest

from chartmogul_async import errors
from chartmogul_async.errors import (
    ArgumentError,
    AuthenticationError,
    BadRequestError,
    ChartMogulError,
    DecodeError,
    ErrorDetail,
    ForbiddenError,
    NetworkError,
    NotFoundError,
    QueueTimeoutError,
    RateLimitError,
    RequestFailedError,
    RequestTimeoutError,
    ServerError,
    StateError,
    StatusError,
    StoreError,
    TransportError,
    UsageError,
    ValidationError,
    for_status,
)

PARENTS: dict[type[BaseException], tuple[type[BaseException], ...]] = {
    UsageError: (Exception,),
    ArgumentError: (UsageError, ValueError),
    StateError: (UsageError, RuntimeError),
    ChartMogulError: (Exception,),
    TransportError: (ChartMogulError,),
    QueueTimeoutError: (ChartMogulError,),
    StoreError: (ChartMogulError,),
    NetworkError: (TransportError,),
    RequestTimeoutError: (TransportError,),
    DecodeError: (ChartMogulError,),
    StatusError: (ChartMogulError,),
    BadRequestError: (StatusError,),
    AuthenticationError: (StatusError,),
    RequestFailedError: (StatusError,),
    ForbiddenError: (StatusError,),
    NotFoundError: (StatusError,),
    ValidationError: (StatusError,),
    RateLimitError: (StatusError,),
    ServerError: (StatusError,),
}
CLASSES = [cls for cls in PARENTS if issubclass(cls, ChartMogulError)]
MISTAKES = [cls for cls in PARENTS if issubclass(cls, UsageError)]
DETAILS = (ErrorDetail("Name can't be blank", "name", "blank"), ErrorDetail("and more"))
EVERYTHING: dict[str, Any] = {
    "message": "Name can't be blank",
    "status": 422,
    "param": "name",
    "details": DETAILS,
    "request_id": "1f0c9a7e",
    "attempts": 3,
    "waited": 4.25,
    "method": "GET",
    "url": "https://api.chartmogul.com/v1/metrics/mrr",
}
ONLY_THERE: dict[type, dict[str, Any]] = {
    TransportError: {"is_permanent": True},
    NetworkError: {"is_permanent": True},
    RequestTimeoutError: {"is_permanent": True},
    DecodeError: {"problems": ("$.entries[1].mrr: expected int or float, got str", "$.summary: missing")},
    RateLimitError: {"retry_after": 12.5},
}
TRANSIENT = {
    QueueTimeoutError,
    StoreError,
    TransportError,
    NetworkError,
    RequestTimeoutError,
    RateLimitError,
    ServerError,
}

every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
every_mistake = pytest.mark.parametrize("cls", MISTAKES, ids=lambda cls: cls.__name__)


def full(cls: type[ChartMogulError]) -> ChartMogulError:
    return cls(**EVERYTHING, **ONLY_THERE.get(cls, {}))


def fields_of(error: ChartMogulError) -> dict[str, Any]:
    return {field.name: getattr(error, field.name) for field in attrs.fields(type(error))}


# --- the trees --------------------------------------------------------------------------------------------------


def test_trees_are_exactly_these() -> None:
    defined = {
        cls: cls.__bases__
        for cls in vars(errors).values()
        if inspect.isclass(cls) and issubclass(cls, BaseException) and cls.__module__ == "chartmogul_async.errors"
    }
    assert defined == PARENTS


def test_mistakes_of_the_program_are_not_exchange_errors() -> None:
    """``except ChartMogulError`` in a batch never swallows a typo."""
    assert not set(MISTAKES) & set(CLASSES)
    assert set(MISTAKES) | set(CLASSES) == set(PARENTS)


@pytest.mark.parametrize("cls", PARENTS, ids=lambda cls: cls.__name__)
def test_class_is_drawn_in_the_tree_and_documented(cls: type[BaseException]) -> None:
    assert errors.__doc__ is not None
    assert f" {cls.__name__}" in errors.__doc__
    assert cls.__doc__


# --- the fields -------------------------------------------------------------------------------------------------


@every_class
def test_class_has_all_the_fields_and_no_other(cls: type[ChartMogulError]) -> None:
    assert fields_of(full(cls)) == EVERYTHING | ONLY_THERE.get(cls, {})


@every_class
def test_message_is_all_that_an_error_needs(cls: type[ChartMogulError]) -> None:
    error = cls("something is wrong")
    assert (error.message, error.status, error.param, error.details) == ("something is wrong", None, None, ())
    assert (error.request_id, error.attempts, error.waited) == (None, 0, 0.0)
    assert (error.method, error.url, error.path) == (None, None, None)
    assert str(error) == "something is wrong"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://api.chartmogul.com/v1/metrics/mrr", "/v1/metrics/mrr"),
        ("http://[::1]:8000/ping", "/ping"),
        ("https://x.example", ""),
        (None, None),
    ],
)
def test_path_is_that_of_the_url(url: str | None, path: str | None) -> None:
    assert NetworkError("reset", url=url).path == path


@every_class
def test_some_classes_are_transient(cls: type[ChartMogulError]) -> None:
    error = cls("x")
    assert error.is_transient is (cls in TRANSIENT)
    assert pickle.loads(pickle.dumps(error)).is_transient is error.is_transient
    assert copy.copy(error).is_transient is error.is_transient


@pytest.mark.parametrize("cls", [TransportError, NetworkError, RequestTimeoutError], ids=lambda cls: cls.__name__)
def test_permanent_transport_error_is_not_transient(cls: type[TransportError]) -> None:
    error = cls("certificate has expired", is_permanent=True)
    assert error.is_transient is False
    assert pickle.loads(pickle.dumps(error)).is_transient is False


@every_class
def test_is_transient_cannot_be_set(cls: type[ChartMogulError]) -> None:
    with pytest.raises(AttributeError):
        cls("x").is_transient = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# --- the journey ------------------------------------------------------------------------------------------------


@every_class
def test_class_survives_pickling(cls: type[ChartMogulError]) -> None:
    error = full(cls)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        twin = pickle.loads(pickle.dumps(error, protocol))
        assert type(twin) is cls
        assert fields_of(twin) == fields_of(error)
        assert str(twin) == str(error)
        assert repr(twin) == repr(error)


@every_mistake
def test_mistake_survives_pickling(cls: type[UsageError]) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        twin = pickle.loads(pickle.dumps(cls("slices must be a positive integer"), protocol))
        assert type(twin) is cls
        assert str(twin) == "slices must be a positive integer"


@every_class
def test_class_can_be_copied(cls: type[ChartMogulError]) -> None:
    error = full(cls)
    for twin in (copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is cls
        assert fields_of(twin) == fields_of(error)


def test_changes_after_creation_survive_pickling() -> None:
    error = RateLimitError("slow down", 429)
    error.retry_after = 7.0
    error.message = "slow down, please"
    error.method, error.url = "GET", "https://api.chartmogul.com/v1/ping"
    error.add_note("while fetching plan 3 of 12")
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.retry_after, twin.message, twin.path, twin.__notes__) == (
        7.0,
        "slow down, please",
        "/v1/ping",
        ["while fetching plan 3 of 12"],
    )


@every_class
def test_class_can_be_raised_chained_and_grouped(cls: type[ChartMogulError]) -> None:
    cause = OSError("reset")
    with pytest.raises(ChartMogulError) as caught:
        raise full(cls) from cause
    assert caught.value.__cause__ is cause
    assert {caught.value} == {caught.value}
    assert ExceptionGroup("several", [caught.value]).subgroup(cls) is not None


@pytest.mark.parametrize("cls", PARENTS, ids=lambda cls: cls.__name__)
def test_errors_with_the_same_message_are_not_equal(cls: type[BaseException]) -> None:
    assert cls("no") != cls("no")
    assert len({cls("no"), cls("no")}) == 2


# --- the sentence -----------------------------------------------------------------------------------------------

MRR = ("GET", "https://api.chartmogul.com/v1/metrics/mrr")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ArgumentError("bad argument"), "bad argument"),
        (NetworkError("reset", attempts=1), "reset"),
        (NetworkError("reset", attempts=6, waited=41.26), "reset (6 attempts, waited 41.3 s)"),
        (
            NetworkError("ReadError: reset", None, None, (), None, 2, 1.0, *MRR),
            "GET https://api.chartmogul.com/v1/metrics/mrr: ReadError: reset (2 attempts, waited 1.0 s)",
        ),
        (ValidationError("is blank", 422, "name"), "422: is blank (parameter name)"),
        (NotFoundError("Not Found", 404, request_id="r-1"), "404: Not Found (request id r-1)"),
        (ServerError("500 Internal Server Error", 500), "500 Internal Server Error"),
        (
            ServerError("500 Internal Server Error", 500, None, (), None, 1, 0.0, *MRR),
            "GET https://api.chartmogul.com/v1/metrics/mrr: 500 Internal Server Error",
        ),
        (
            RateLimitError("too fast", 429, "x", (), "r-1", 2, 0.04, *MRR, 3.0),
            "GET https://api.chartmogul.com/v1/metrics/mrr: 429: too fast "
            "(parameter x; 2 attempts, waited 0.0 s; request id r-1)",
        ),
        (DecodeError("$: the body is not JSON", 200), "$: the body is not JSON"),
        (StatusError("x"), "x"),
        (NotFoundError("4040 things", 404), "404: 4040 things"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_error_is_its_message_and_its_context(error: Exception, text: str) -> None:
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


def test_every_4xx_has_its_class_or_the_general_one() -> None:
    assert {status: for_status(status) for status in range(400, 500)} == {
        status: BY_STATUS.get(status, StatusError) for status in range(400, 500)
    }


def test_every_5xx_is_a_server_error() -> None:
    assert {for_status(status) for status in range(500, 600)} == {ServerError}


def test_any_other_status_is_a_status_error() -> None:
    assert {for_status(status) for status in (100, 301, 302, 304)} == {StatusError}


def test_detail_is_a_value() -> None:
    detail = DETAILS[0]
    assert detail == ErrorDetail("Name can't be blank", "name", "blank")
    assert hash(detail) == hash(ErrorDetail("Name can't be blank", "name", "blank"))
    assert pickle.loads(pickle.dumps(detail)) == detail
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        detail.message = "other"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
