"""The arguments of the client, checked before anything is sent."""

import os
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import TypeVar

import httpx

from chartmogul_async.checks import (
    encodable,
    finite_number,
    instance_of,
    plain_function,
    positive_number,
    short_enough,
    shown,
)
from chartmogul_async.errors import ArgumentError
from chartmogul_async.events import OnEvent, OnResponse
from chartmogul_async.transport.connections import LOOPBACK, MAX_PORT
from chartmogul_async.transport.retry import RetryPolicy

Hook = TypeVar("Hook", OnEvent, OnResponse)
Param = str | int | float | date | None

BASE_URL = "https://api.chartmogul.com/v1"
# The pool has no limit: requests wait in the throttle's queue instead.
TIMEOUT = httpx.Timeout(connect=5.0, read=30.0, write=30.0, pool=None)

# Printable ASCII without space and colon, which ends the user name in basic auth.
_KEY = r"[!-9;-~]+"
# Labels of 1 to 63 characters with no hyphen at either end; what has a colon is an IPv6 address.
_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_HOST = rf"(?=.{{1,254}}$){_LABEL}(\.{_LABEL})*\.?|.*:.*"
_REAL_HOST = "api.chartmogul.com"
_PARAM = r"[\w.\[\]-]{1,100}"
PATH = r"/?[A-Za-z0-9_.~@:-]+(/[A-Za-z0-9_.~@:-]+)*"


def checked_key(key: str | None) -> str:
    """A key that fits into a header, or ``ArgumentError``; the message does not contain it."""
    if key is None or (isinstance(key, str) and not key):
        raise ArgumentError("no API key: pass api_key or set the environment variable CHARTMOGUL_API_KEY")
    if not isinstance(key, str) or not re.fullmatch(_KEY, key):
        raise ArgumentError("api_key is malformed: a key has no spaces, line breaks or colons")
    return str.__str__(key)


def chosen_base_url(base_url: str | None) -> str:
    """The URL that was given, or that of the environment, or ChartMogul's; ``ArgumentError`` if it cannot be right."""
    return checked_base_url((os.environ.get("CHARTMOGUL_BASE_URL") or BASE_URL) if base_url is None else base_url)


def checked_base_url(base_url: str) -> str:
    """A URL to which a key may be sent, without a slash at its end, or ``ArgumentError``."""
    url = _parsed(base_url)
    if url is None:
        raise ArgumentError(f"base_url must be a URL such as {BASE_URL!r}")
    if url.userinfo or "?" in str(url) or "#" in str(url):
        raise ArgumentError("base_url must not contain credentials, a query or a fragment; pass the key as api_key")
    if url.port is not None and not 1 <= url.port <= MAX_PORT:
        raise ArgumentError(f"base_url must have a port from 1 to {MAX_PORT}, not {url.port}")
    if not (url.scheme == "https" or (url.scheme == "http" and url.host in LOOPBACK)):
        raise ArgumentError(
            f"base_url must use https, since every request contains the key, not {url.scheme}://{url.host}; "
            "plain http is allowed on localhost only"
        )
    if url.host == _REAL_HOST and not re.fullmatch(r"/v\d+/*", url.path):
        # Any other host may serve the API below any path.
        raise ArgumentError(f"base_url must end with the version of the API, as in {BASE_URL!r}, not {str(url)!r}")
    return str(url).rstrip("/")


def _parsed(base_url: object) -> httpx.URL | None:
    """The URL, None if it is not one, or if its host cannot be the name of any host."""
    if not isinstance(base_url, (str, httpx.URL)):
        return None
    try:
        url = httpx.URL(base_url)
        is_usable = re.fullmatch(_HOST, url.raw_host.decode()) and url.host
    except (ValueError, httpx.InvalidURL):
        # The ValueErrors are those of idna, which decodes the host, and of a lone surrogate.
        return None
    return url if is_usable else None


def checked_timeout(timeout: float | httpx.Timeout) -> httpx.Timeout:
    """The timeout of each phase, or ``ArgumentError``."""
    if isinstance(timeout, httpx.Timeout):
        return timeout
    return httpx.Timeout(positive_number("timeout", timeout, of=" of seconds", or_else=" or an httpx.Timeout"))


def checked_retry(retry: RetryPolicy) -> RetryPolicy:
    """The policy itself, or ``ArgumentError``."""
    return instance_of("retry", retry, RetryPolicy, "RetryPolicy(attempts=3)")


def checked_hook(name: str, of: str, hook: Hook | None) -> Hook | None:
    """A function that does something when it is called, or ``ArgumentError``."""
    return None if hook is None else plain_function(name, hook, f"one {of}")


def texts_of(params: object) -> dict[str, str]:
    """The parameters of ``get`` as they are sent, without those that are None, or ``ArgumentError``."""
    if not isinstance(params, Mapping):
        raise ArgumentError(f"params must be a mapping such as {{'page': 2}}, not {shown(params)}")
    for name in params:
        if not isinstance(name, str) or not re.fullmatch(_PARAM, name):
            raise ArgumentError(f"params must have names such as 'start-date', not {shown(name)}")
    texts = {
        str.__str__(name): _text(f"parameter {name}", value) for name, value in params.items() if value is not None
    }
    short_enough(texts)
    return texts


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(finite_number(name, value))
    # A missing value of pandas is a date, and equals nothing.
    if not isinstance(value, (str, date)) or value != value:
        raise ArgumentError(f"{name} must be a string, a number, a date or a bool, not {shown(value)}")
    if isinstance(value, date) and not isinstance(value, datetime):
        # A subclass may be written in another way.
        return date.isoformat(value)
    return encodable(name, value if isinstance(value, str) else str(value))
