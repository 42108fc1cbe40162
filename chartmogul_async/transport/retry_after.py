"""How long a response asks to wait: ``Retry-After`` in seconds or as a date."""

from __future__ import annotations

import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx

# A sign, an exponent or "nan" makes no sense here.
_SECONDS = r"[0-9]{1,9}(\.[0-9]{1,9})?"
# Seconds of a day; the longest period that the API knows is a minute.
_LONGEST = 86_400.0
# Characters; a date in any of the forms of HTTP is shorter.
_MAX_DATE = 100


def retry_after_of(headers: httpx.Headers) -> float | None:
    """How long to wait from now.

    A date is compared with the response's own ``Date``, so that a wrong clock on this machine has no effect.

    Args:
        headers: Those of the response.

    Returns:
        Seconds; 0 for a date in the past, None if the header is missing, malformed, or asks for more than a day.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(_SECONDS, value):
        seconds = float(value)
    else:
        until, now = _moment(value), _moment(headers.get("date", ""))
        if until is None:
            return None
        seconds = max(0.0, until - (time.time() if now is None else now))
    return seconds if seconds <= _LONGEST else None


def _moment(text: str) -> float | None:
    if len(text) > _MAX_DATE:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
