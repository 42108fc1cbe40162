"""Everything that can go wrong, as two trees.

Mistakes of the program, raised before anything is sent. They are also the language's own errors, and they stand
outside the other tree: ``except ChartMogulError`` in a batch never swallows a typo. ::

    UsageError                   the call itself is wrong
    ├── ArgumentError            an argument cannot be right; also a ValueError
    └── StateError               a closed client, another event loop; also a RuntimeError

What an exchange with ChartMogul can meet::

    ChartMogulError
    ├── TransportError           no complete response was received
    │   ├── NetworkError         the connection was refused, reset or broken
    │   └── RequestTimeoutError  the response did not arrive in time
    ├── QueueTimeoutError        the call waited in the queue for ``max_wait`` seconds, so nothing was sent
    ├── StoreError               the store of a shared throttle is away, so nothing was sent
    ├── DecodeError              the response is not valid JSON or does not match the documented shape
    └── StatusError              the server responded with an error status
        ├── BadRequestError      400  often a required parameter is missing
        ├── AuthenticationError  401  no API key, or a wrong one
        ├── RequestFailedError   402  the parameters were valid, but the request failed
        ├── ForbiddenError       403  the key or the account may not do this
        ├── NotFoundError        404
        ├── ValidationError      422  a parameter has a value that is not accepted
        ├── RateLimitError       429  too fast, or the account's compute time of this minute is used up
        └── ServerError          5xx  an error at ChartMogul's end; 503 also means too many parallel requests

Every error can be pickled, so it can travel between the processes of a task queue. A ``TransportError`` is chained
(``__cause__``) to what happened below, unless that quotes what was received, as a protocol error does; a
``DecodeError`` is never chained, since a response may hold customers. No error contains the API key.

Source of the statuses: https://dev.chartmogul.com/docs/response-codes
"""

from urllib.parse import urlsplit

from attrs import define, frozen


class UsageError(Exception):
    """The call itself is wrong. Nothing was sent, and repeating it changes nothing."""


class ArgumentError(UsageError, ValueError):
    """An argument cannot be right; the message names it and says what would be."""


class StateError(UsageError, RuntimeError):
    """Not now or not here: the client is closed, or it belongs to another event loop."""


@frozen
class ErrorDetail:
    """One of several complaints in an error response."""

    message: str
    param: str | None = None
    code: str | None = None


# Exceptions are mutable (Python itself sets their traceback), not slotted, and take their fields by
# position: that is what lets them be pickled.
@define(slots=False, eq=False)
class ChartMogulError(Exception):
    """The root of everything that an exchange with ChartMogul can meet.

    Attributes:
        message: What went wrong; the server's own words where it sent some.
        status: The HTTP status, None if no response was received.
        param: The parameter that the server complains about.
        details: Every single complaint of an error response, the first 100 of them.
        request_id: The server's id of the request, for its support.
        attempts: How often the request was sent.
        waited: Seconds spent between the attempts and in pauses that the server asked for.
        method: The HTTP method.
        url: Where the request went, without its query.
    """

    message: str
    status: int | None = None
    param: str | None = None
    details: tuple[ErrorDetail, ...] = ()
    request_id: str | None = None
    attempts: int = 0
    waited: float = 0.0
    method: str | None = None
    url: str | None = None

    @property
    def path(self) -> str | None:
        """The path of the request, such as ``/v1/metrics/mrr``."""
        return None if self.url is None else urlsplit(self.url).path

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed later."""
        return False

    def __str__(self) -> str:
        context = []
        if self.param:
            context.append(f"parameter {self.param}")
        if self.attempts > 1:
            context.append(f"{self.attempts} attempts, waited {self.waited:.1f} s")
        if self.request_id:
            context.append(f"request id {self.request_id}")
        request = f"{self.method} {self.url}: " if self.url else ""
        return f"{request}{self._said()}" + (f" ({'; '.join(context)})" if context else "")

    def _said(self) -> str:
        return self.message


@define(slots=False, eq=False)
class TransportError(ChartMogulError):
    """No complete response was received.

    Attributes:
        is_permanent: The same would happen again, as with a certificate that is refused.
    """

    is_permanent: bool = False

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed later."""
        return not self.is_permanent


class NetworkError(TransportError):
    """The connection could not be made, was reset, or broke the protocol."""


class RequestTimeoutError(TransportError):
    """Connecting, sending or reading took longer than the ``timeout``, or all attempts than ``RetryPolicy.total``."""


class QueueTimeoutError(ChartMogulError):
    """The call waited in the queue for as long as its ``max_wait`` allows; nothing was sent."""

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed later."""
        return True


class StoreError(ChartMogulError):
    """The store of a shared throttle is away, and its ``on_outage="raise"`` forbids to go on; nothing was sent."""

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed later."""
        return True


@define(slots=False, eq=False)
class DecodeError(ChartMogulError):
    """The response is not valid JSON or does not match the documented shape.

    Attributes:
        problems: The first 100 mismatches, each with its place: ``$.entries[1].mrr: expected int or float, got str``.
    """

    problems: tuple[str, ...] = ()


class StatusError(ChartMogulError):
    """The server responded with a status that is not a success."""

    def _said(self) -> str:
        if self.status is None or self.message.startswith(f"{self.status} "):
            return self.message
        return f"{self.status}: {self.message}"


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

    Attributes:
        retry_after: Seconds that the server asked to wait, if it did; where nothing was sent, seconds for which
            requests are still paused.
    """

    retry_after: float | None = None

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed later, which it may."""
        return True


class ServerError(StatusError):
    """5xx: an error at ChartMogul's end. 503 is also the response to more than 20 parallel requests."""

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed later, which it may."""
        return True


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
