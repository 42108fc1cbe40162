"""What a view of a client may change for its own calls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from chartmogul_async.events import OnEvent, OnResponse
from chartmogul_async.transport.retry import RetryPolicy

Priority = Literal["interactive", "batch"]


@frozen
class Options:
    """How the calls of one view are made.

    Attributes:
        timeout: Seconds for each phase of an exchange, as httpx has them.
        policy: How often and how long to try.
        priority: Whose turn it is in the queue; None leaves it to the method.
        max_wait: Seconds that a call may wait in the queue before it is first sent.
        max_age: How many seconds old a response may be that is used again; 0 means that none is.
        on_response: Called with each response that a result was made of.
        on_event: Called with each event.
    """

    timeout: Mapping[str, float | None]
    policy: RetryPolicy
    priority: Priority | None = None
    max_wait: float = math.inf
    max_age: float = 0.0
    on_response: OnResponse | None = None
    on_event: OnEvent | None = None
