"""How one request travels: retry around throttle around the connections."""

from __future__ import annotations

import httpx

from chartmogul_async.transport.connections import Borrowed, connections_to
from chartmogul_async.transport.retry import OnAttempt, RetryPolicy, RetryTransport
from chartmogul_async.transport.throttle import Throttle
from chartmogul_async.transport.throttled import ThrottleTransport


def build_transport(
    base_url: httpx.URL,
    *,
    policy: RetryPolicy,
    throttle: Throttle,
    innermost: httpx.AsyncBaseTransport | None = None,
    on_attempt: OnAttempt | None = None,
) -> httpx.AsyncBaseTransport:
    """Assemble the stack; nowhere else is it assembled.

    The throttle stands inside the retry, so that a request that waits for its next attempt holds no place.
    """
    exchange = connections_to(base_url) if innermost is None else Borrowed(innermost)
    throttled = ThrottleTransport(exchange, throttle)
    return RetryTransport(throttled, policy, on_attempt)
