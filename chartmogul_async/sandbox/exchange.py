"""The interface between the API and its servers: a request, and an exchange with the response to it."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field, frozen

from chartmogul_async.sandbox.response import Response


@frozen
class Request:
    """A request.

    Attributes:
        method: The HTTP method.
        target: Path and query as sent.
        authorization: The value of that header, or an empty string.
    """

    method: str
    target: str
    authorization: str = field(default="", repr=False)


@define(eq=False)
class Exchange:
    """A response in progress. It counts as in flight until it is closed."""

    response: Response
    _release: Callable[[], None] | None = None

    def close(self) -> None:
        """Release the request's slot; closing again does nothing."""
        release, self._release = self._release, None
        if release is not None:
            release()


Handler = Callable[[Request, float], Exchange]
"""Takes a request and the time (seconds of the event loop's clock), returns the exchange with the response to send."""
