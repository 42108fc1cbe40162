"""What can come in place of a good response, and the error that it becomes.

The session adds the context of the request to each of these errors.
"""

from __future__ import annotations

import re
import ssl
import sys
from collections.abc import Iterator, Sequence

import anyio
import httpx

from chartmogul_async.errors import (
    ChartMogulError,
    DecodeError,
    NetworkError,
    RateLimitError,
    RequestTimeoutError,
    StatusError,
    for_status,
)
from chartmogul_async.structuring.error_bodies import one_line, read_error_body
from chartmogul_async.transport.bodies import CompleteResponse
from chartmogul_async.transport.retry_after import retry_after_of

# What ends an exchange without a complete response. Beside httpx's own errors, these are what the layers below it
# let through; a UnicodeError is a host whose name cannot be looked up.
FAILURES = (
    httpx.TransportError,
    httpx.DecodingError,
    OSError,
    UnicodeError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    DecodeError,
)
TIMEOUTS = (httpx.TimeoutException, TimeoutError)
_PERMANENT = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, DecodeError)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# How httpcore begins what it says of a proxy that refuses the password: one for HTTP, one for SOCKS.
_WRONG_PASSWORD = (str(httpx.codes.PROXY_AUTHENTICATION_REQUIRED.value), "Invalid username/password")
# What OpenSSL calls a reply that is not TLS; newer versions by the second name.
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"})
# The bytes that h11 quotes at the end of its messages.
_QUOTATION = r"(bytearray\()?(?<!\w)b['\"]"


def is_permanent(failure: Exception) -> bool:
    """Whether the same would happen again: repeating the request changes nothing."""
    return (
        isinstance(failure, _PERMANENT)
        or _is_bad_certificate(failure)
        or _speaks_no_tls(failure)
        or _is_refused_by_proxy(failure)
    )


def failure_error(failure: Exception) -> ChartMogulError:
    """The error for an exchange that ended without a complete response, chained to it unless that quotes content."""
    if isinstance(failure, DecodeError):
        return failure
    reason = _reason_of(failure)
    name = type(failure).__name__
    if _speaks_no_tls(failure):
        reason = f"{reason}; the server does not use TLS: on localhost base_url may begin with http://"
    kind = RequestTimeoutError if isinstance(failure, TIMEOUTS) else NetworkError
    error = kind(f"{name}: {reason}" if reason else name, is_permanent=is_permanent(failure))
    if not isinstance(failure, httpx.RemoteProtocolError):
        # A protocol error and its causes quote what was received, which may hold customers.
        error.__cause__ = failure
    return error


def status_error(response: CompleteResponse, secrets: Sequence[str]) -> StatusError:
    """The error for a status that is not a success; ``secrets`` are masked, should the server repeat them."""
    kind = for_status(response.status_code)
    if response.status_code in _REDIRECTS and "location" in response.headers:
        return kind("the server redirects elsewhere, where the API key must not be sent; check base_url")
    body = read_error_body(response.status_code, response.content, response.headers.get("content-type", ""), secrets)
    error = kind(body.message, param=body.param, details=body.details)
    if isinstance(error, RateLimitError):
        error.retry_after = retry_after_of(response.headers)
    return error


def _reason_of(error: Exception) -> str:
    """The text of an error, or else of the system's error below it, without the bytes that h11 quotes at the end."""
    # A proxy's own words may be as long as it likes.
    text = one_line(str(error))
    if quotation := re.search(_QUOTATION, text):
        text = text[: quotation.start()].rstrip().removesuffix(":")
    texts = (one_line(str(each)) for each in _causes(error) if isinstance(each, OSError))
    return text or next(filter(None, texts), "")


def _is_bad_certificate(error: Exception) -> bool:
    return any(isinstance(each, ssl.SSLCertVerificationError) for each in (error, *_causes(error)))


def _speaks_no_tls(failure: Exception) -> bool:
    """Whether a connection was not made because the server sent something else than TLS, such as plain HTTP."""
    if not isinstance(failure, httpx.ConnectError):
        return False
    # Only those that OpenSSL itself reported have a reason.
    return any(isinstance(each, ssl.SSLError) and getattr(each, "reason", "") in _NOT_TLS for each in _causes(failure))


def _is_refused_by_proxy(failure: Exception) -> bool:
    """Whether a proxy refuses the password; a few more wrong tries may lock the account."""
    return isinstance(failure, httpx.ProxyError) and str(failure).startswith(_WRONG_PASSWORD)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What led to an error, the nearest first.

    The chain ends with what the caller was handling when it made the call: that has nothing to do with this error.
    """
    handled_by_caller = sys.exception()
    below = error.__cause__ or error.__context__
    while below is not None and below is not handled_by_caller:
        yield below
        below = below.__cause__ or below.__context__
