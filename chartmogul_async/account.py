"""The account that a key belongs to, and its sign of life."""

from __future__ import annotations

from attrs import field, frozen


@frozen
class Account:
    """``currency`` is an ISO code; ``time_zone`` decides where a day begins; ``week_start_on`` is monday or sunday.

    ``id`` is None in answers from before April 2026.

    Source: https://dev.chartmogul.com/reference/account
    """

    name: str
    currency: str
    time_zone: str = field(metadata={"key": "time_zone"})
    week_start_on: str = field(metadata={"key": "week_start_on"})
    id: str | None = None


@frozen
class Pong:
    """The answer to a ping: a greeting."""

    data: str
