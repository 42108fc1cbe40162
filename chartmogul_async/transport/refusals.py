"""The errors of calls that are refused in the queue, so that nothing is sent."""

from __future__ import annotations

from chartmogul_async.errors import QueueTimeoutError, RateLimitError
from chartmogul_async.events import logger


def waited_too_long(seconds: float) -> QueueTimeoutError:
    """The error for a call that may not wait any longer."""
    error = QueueTimeoutError(f"not sent: waited in the queue for {seconds:g} s, as long as max_wait allows")
    logger.info("%s", error.message)
    return error


def rate_limited(how_long: str, pause: float, waited: float = 0.0) -> RateLimitError:
    """The error for a call whose pauses leave no time for a response."""
    exceeds = "which exceeds RetryPolicy.total; the key may be in use elsewhere"
    error = RateLimitError(f"not sent: rate limited for {how_long}, {exceeds}", 429, retry_after=pause)
    error.waited = waited
    logger.info("%s", error.message)
    return error
