"""The whole body of a response, decompressed, within bounds.

The body is collected first and then decompressed up to a limit: a few compressed kilobytes may stand for gigabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from chartmogul_async.errors import DecodeError

LARGEST_BODY = 64 * 2**20
"""Bytes; a hundred thousand days of all metrics are 45 million."""

_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})
# The header of gzip or that of zlib, whichever is there.
_EITHER_HEADER = 32 + zlib.MAX_WBITS
_GZIP_HEADER = 16 + zlib.MAX_WBITS
_CHUNK = 2**16
# Members of a body; each costs time, however small it is.
_MOST_MEMBERS = 10_000


async def with_whole_body(response: httpx.Response) -> httpx.Response:
    """Read a response to its end.

    The given response is closed on every path. A body in an encoding other than gzip and deflate is left as it is.

    Args:
        response: A response whose body was not read yet.

    Returns:
        The same response with its body in memory.

    Raises:
        DecodeError: The body is too large.
        httpx.DecodingError: The body cannot be decompressed.
    """
    try:
        body = await _collected(response)
    finally:
        await response.aclose()
    return complete_response(response.status_code, response.headers, body, response.extensions)


def complete_response(
    status: int, headers: httpx.Headers, body: bytes, extensions: Mapping[str, Any]
) -> httpx.Response:
    """A response with its body in memory, decompressed.

    Args:
        status: The status.
        headers: The headers.
        body: The body as it was sent, without its chunks.
        extensions: What else is known of the exchange.

    Returns:
        The response.

    Raises:
        DecodeError: The body is too large.
        httpx.DecodingError: The body cannot be decompressed.
    """
    encoding = headers.get("content-encoding")
    if encoding is not None:
        if encoding.strip().lower() in _COMPRESSED and body:
            body = _decompressed(body, status, headers)
        # Without this header httpx does not decompress the body itself, which would have no limit ("gzip, gzip").
        headers = httpx.Headers([(name, value) for name, value in headers.raw if name.lower() != b"content-encoding"])
    return httpx.Response(status, headers=headers, content=body, extensions=dict(extensions))


def too_large(status: int, headers: httpx.Headers) -> DecodeError:
    """The error for a response whose body is larger than ``LARGEST_BODY``."""
    problem = f"$: the body is larger than {LARGEST_BODY} bytes, so no more was read"
    return DecodeError(problem, status, request_id=headers.get("x-request-id"), problems=(problem,))


async def _collected(response: httpx.Response) -> bytes:
    # An async transport gives an async stream.
    assert isinstance(response.stream, httpx.AsyncByteStream)
    body, size = bytearray(), 0
    try:
        async for chunk in response.stream:
            body += chunk
            size += len(chunk)
            if size > LARGEST_BODY:
                # A stream consists of nested generators. They end together when the innermost one fails, as it does
                # on a closed connection; if the loop were left instead, each of them would have to be closed.
                await response.aclose()
                body.clear()
            if size > 2 * LARGEST_BODY:
                # A user's own transport may have a stream that goes on although it was closed.
                break
    except Exception:
        if size <= LARGEST_BODY:
            raise
    if size > LARGEST_BODY:
        raise too_large(response.status_code, response.headers)
    return bytes(body)


def _decompressed(body: bytes, status: int, headers: httpx.Headers) -> bytes:
    try:
        pieces = list(_members(body))
    except zlib.error as error:
        raise httpx.DecodingError(f"the body cannot be decompressed: {error}") from None
    if sum(map(len, pieces)) > LARGEST_BODY:
        raise too_large(status, headers)
    return b"".join(pieces)


def _members(body: bytes) -> Iterator[bytes]:
    """The content of every member, piece by piece: gzip allows several, and zeros behind the last one.

    It ends with the piece that exceeds the limit.
    """
    decompressor, members, left = zlib.decompressobj(_EITHER_HEADER), 1, LARGEST_BODY
    # What is behind the end of a member is copied, which takes long if it is much.
    for start in range(0, len(body), _CHUNK):
        chunk = body[start : start + _CHUNK]
        while chunk:
            if decompressor.eof:
                if not chunk.strip(b"\0"):
                    break
                decompressor, members = zlib.decompressobj(_GZIP_HEADER), members + 1
            if members > _MOST_MEMBERS:
                raise zlib.error(f"it has more than {_MOST_MEMBERS} members")
            piece = decompressor.decompress(chunk, left + 1)
            left -= len(piece)
            yield piece
            if left < 0:
                return
            chunk = decompressor.unused_data
    if not decompressor.eof:
        raise zlib.error("it is incomplete")
