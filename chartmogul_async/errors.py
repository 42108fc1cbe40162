"""Everything that can go wrong, as one tree.

::

    ChartMogulError
    ├── UsageError               the call itself is wrong; nothing was sent
    ├── TransportError           no whole answer came back
    │   ├── NetworkError         the connection was refused, reset or broken
    │   └── RequestTimeoutError  the answer did not come in time
    ├── DecodeError              an answer came that is not what it should be
    └── StatusError              the server answered with an error status
        ├── BadRequestError      400  often a parameter is missing
        ├── AuthenticationError  401  no or wrong API key
        ├── RequestFailedError   402  the parameters were valid, the request failed all the same
        ├── ForbiddenError       403  the key or the account may not do this
        ├── NotFoundError        404
        ├── ValidationError      422  a parameter has a value that is not accepted
        ├── RateLimitError       429  too fast, or the account's compute time of this minute is used up
        └── ServerError          5xx  trouble at ChartMogul's end; 503 also means too many parallel requests

Each error can be pickled, so it can travel between the processes of a worker queue. A ``TransportError`` is chained
(``__cause__``) to what happened below, unless that shows what was received, as with a broken protocol; nor is a
``DecodeError`` chained, for an answer may hold customers. None of them carries the API key.

Source of the statuses: https://dev.chartmogul.com/docs/response-codes
"""

from __future__ import annotations

from attrs import define, frozen


@frozen
class ErrorDetail:
    """One of several complaints in an error answer."""

    message: str
    param: str | None = None
    code: str | None = None


# Exceptions are mutable (Python itself sets their traceback), not slotted, and take their fields by
# position: that is what lets them be pickled.
@define(slots=False, eq=False)
class ChartMogulError(Exception):
    """The root of all errors of this package.

    ``message`` is the server's own where it sent one. ``attempts`` is how often the request was sent,
    ``waited`` how many seconds were spent waiting between the attempts.
    """

    message: str
    status: int | None = None
    param: str | None = None
    details: tuple[ErrorDetail, ...] = ()
    request_id: str | None = None
    attempts: int = 0
    waited: float = 0.0

    def __str__(self) -> str:
        context = []
        if self.param:
            context.append(f"parameter {self.param}")
        if self.attempts > 1:
            context.append(f"{self.attempts} attempts, {self.waited:.1f} s waited between them")
        if self.request_id:
            context.append(f"request id {self.request_id}")
        return f"{self.message} ({'; '.join(context)})" if context else self.message


class UsageError(ChartMogulError):
    """The call itself is wrong: a bad argument, a closed client. Nothing was sent."""


class TransportError(ChartMogulError):
    """No whole answer came back."""


class NetworkError(TransportError):
    """The connection could not be made, was reset, or broke the protocol."""


class RequestTimeoutError(TransportError):
    """Connecting, sending or reading took longer than the client's ``timeout``."""


@define(slots=False, eq=False)
class DecodeError(ChartMogulError):
    """An answer came that is not what it should be.

    ``problems`` names each place and what is wrong there: ``$.entries[1].mrr: expected int or float, got str``.
    """

    problems: tuple[str, ...] = ()


class StatusError(ChartMogulError):
    """The server answered with a status that is not a success."""

    def __str__(self) -> str:
        text = super().__str__()
        if self.status is None or text.startswith(f"{self.status} "):
            return text
        return f"{self.status}: {text}"


class BadRequestError(StatusError):
    """400: often a required parameter is missing or cannot be read."""


class AuthenticationError(StatusError):
    """401: no API key, or a wrong one."""


class RequestFailedError(StatusError):
    """402: the parameters were valid but the request failed."""


class ForbiddenError(StatusError):
    """403: the account or the key may not do this; a trial that ended, for example."""


class NotFoundError(StatusError):
    """404: there is no such thing; once also "this metric does not take this interval"."""


class ValidationError(StatusError):
    """422: a parameter has a value that is not accepted."""


@define(slots=False, eq=False)
class RateLimitError(StatusError):
    """429: too many requests in a second, or the compute time of this minute is used up.

    ``retry_after`` is how many seconds the server asked to wait, if it said so; where nothing was sent, for how many
    requests are paused.
    """

    retry_after: float | None = None


class ServerError(StatusError):
    """5xx: trouble at ChartMogul's end. 503 is also the answer to more than 20 parallel requests."""


_BY_STATUS: dict[int, type[StatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: RequestFailedError,
    403: ForbiddenError,
    404: NotFoundError,
    422: ValidationError,
    429: RateLimitError,
}


def for_status(status: int) -> type[StatusError]:
    """The class of the error for an HTTP status that is not a success."""
    return ServerError if status >= 500 else _BY_STATUS.get(status, StatusError)
