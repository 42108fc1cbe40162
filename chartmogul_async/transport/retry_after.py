"""How long an answer asks to wait: ``Retry-After`` in seconds or as a date."""

from __future__ import annotations

import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx

_SECONDS = r"[0-9]{1,9}(\.[0-9]{1,9})?"  # no sign, no exponent, no "nan": those are nonsense here
_LONGEST = 86_400.0  # a day; the longest period that the API knows is a minute


def retry_after_of(headers: httpx.Headers) -> float | None:
    """Seconds to wait from now; None when nothing is said, or nonsense such as years. A date in the past is 0.

    A date is held against the answer's own ``Date``, so that a wrong clock on this machine does not count.
    """
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(_SECONDS, said):
        seconds = float(said)
    else:
        until, now = _moment(said), _moment(headers.get("date", ""))
        if until is None:
            return None
        seconds = max(0.0, until - (time.time() if now is None else now))
    return seconds if seconds <= _LONGEST else None


def _moment(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
