"""What a client reports while it works: frozen values for ``on_event``, the same as sentences for the log.

The logger is ``chartmogul_async``: pauses and other measures that the server caused are warnings, a call that gives up
and slices that disagree are INFO, every other attempt is DEBUG. Each log record carries the fields of its event as
``extra``, under names such as ``chartmogul.status``. No event contains the API key or the query of a request.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from attrs import field, frozen

logger: logging.Logger = logging.getLogger("chartmogul_async")

# Said where refusals are not explained by the own requests, and no store is used.
HOW_TO_SHARE = "processes share its limits by Throttle(store=FileStore()), on several machines by RedisStore"


@frozen
class Attempt:
    """One attempt at one request.

    Attributes:
        method: The HTTP method.
        path: The path of the request, such as ``/v1/metrics/mrr``.
        number: Counts from 1.
        status: The HTTP status, None if no response was received.
        error: What happened in place of a response: the name of the exception.
        queued: Seconds in the throttle's queue.
        elapsed: Seconds of the exchange.
        retry_in: Seconds until the next attempt, None if this was the last one.
        request_id: The server's id of the request.
        gave_up: Whether this was the last attempt, and got no response or one with a status that is retried.
        server: Scheme, host and, where it is not the usual one, port: ``https://api.chartmogul.com``.
    """

    __module__ = "chartmogul_async"

    method: str
    path: str
    number: int
    status: int | None
    error: str | None
    queued: float
    elapsed: float
    retry_in: float | None
    request_id: str | None
    gave_up: bool
    server: str = ""

    def __str__(self) -> str:
        then = "giving up" if self.gave_up else "done" if self.retry_in is None else f"again in {self.retry_in:.1f} s"
        return (
            f"{self.method} {self.path} attempt {self.number}: {self.status or self.error} after "
            f"{self.queued:.3f} s in the queue and {self.elapsed:.3f} s of exchange; {then}"
        )


@frozen
class Pause:
    """A request was rate limited (429), so none is sent for a while.

    Attributes:
        seconds: How long from now on.
    """

    __module__ = "chartmogul_async"

    seconds: float

    def __str__(self) -> str:
        return f"rate limited: pausing all requests for {self.seconds:g} s"


@frozen
class Pacing:
    """A request was rate limited, so requests are spaced evenly and perhaps fewer of them are sent.

    The limits alone do not explain it: the key may be in use elsewhere, or the server allows no bursts.

    Attributes:
        seconds: How long from now on, at least.
        requests: How many were sent in the second before the refused one.
        per_second: How many are sent in a second from now on; that rises again.
        is_shared: Whether a store shares the limits with other processes already.
    """

    __module__ = "chartmogul_async"

    seconds: float
    requests: int
    per_second: float
    is_shared: bool = False

    def __str__(self) -> str:
        sharing = "" if self.is_shared else f"; {HOW_TO_SHARE}"
        requests = "1 request" if self.requests == 1 else f"{self.requests} requests"
        return (
            f"rate limited after {requests} in one second (the key may be in use elsewhere{sharing}); "
            f"sending {self.per_second:.1f} a second, evenly spaced, for at least {self.seconds:.0f} s"
        )


@frozen
class ConcurrencyLowered:
    """The server was overloaded (503), so fewer requests are in flight; each round of successes gives one back.

    Attributes:
        max_in_flight: How many may be in flight from now on.
    """

    __module__ = "chartmogul_async"

    max_in_flight: int

    def __str__(self) -> str:
        return f"received 503: concurrency reduced to {self.max_in_flight}"


@frozen
class SlicesDisagreed:
    """The slices of a range do not fit together, so the range is fetched again, as one request.

    Either the account changed while they were fetched, or the server's entries depend on the range that is asked for.

    Attributes:
        metric: The metric that was asked for.
        slices: How many there were.
    """

    __module__ = "chartmogul_async"

    metric: str
    slices: int

    def __str__(self) -> str:
        return f"the {self.slices} slices of {self.metric} disagree: fetching the range as one request"


@frozen
class ResponseInfo:
    """What is known of a response beside its content, for ``on_response``.

    Attributes:
        method: The HTTP method.
        path: The path of the request, such as ``/v1/metrics/mrr``.
        status: The HTTP status, that of a success.
        headers: The headers, each name in lower case. Those about the encoding and the length are of what was sent.
        request_id: The server's id of the request.
        elapsed: Seconds of the exchange.
    """

    __module__ = "chartmogul_async"

    method: str
    path: str
    status: int
    # A mapping has no hash.
    headers: Mapping[str, str] = field(hash=False)
    request_id: str | None
    elapsed: float


Event = Attempt | Pause | Pacing | ConcurrencyLowered | SlicesDisagreed
OnEvent = Callable[[Event], None]
OnResponse = Callable[[ResponseInfo], None]

_LEVELS: dict[type[Any], int] = {
    Pause: logging.WARNING,
    Pacing: logging.WARNING,
    ConcurrencyLowered: logging.WARNING,
    SlicesDisagreed: logging.INFO,
}


def report(event: Event, on_event: OnEvent | None) -> None:
    """Log an event, and hand it to the user's function; what that raises goes through."""
    level = logging.INFO if isinstance(event, Attempt) and event.gave_up else _LEVELS.get(type(event), logging.DEBUG)
    if logger.isEnabledFor(level):
        fields = {f"chartmogul.{name}": value for name, value in attrs.asdict(event).items()}
        logger.log(level, "%s", event, extra={"chartmogul.event": type(event).__name__, **fields})
    if on_event is not None:
        on_event(event)
