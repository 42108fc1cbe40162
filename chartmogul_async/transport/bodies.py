"""The whole body of a response, decompressed, within bounds.

The body is collected first and then decompressed up to a limit: a few compressed kilobytes may stand for gigabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import httpx
from attrs import Factory, field, frozen

from chartmogul_async.errors import DecodeError
from chartmogul_async.structuring.error_bodies import LARGEST_ERROR_BODY

LARGEST_BODY = 64 * 2**20
"""Bytes; a hundred thousand days of all metrics are 45 million."""

_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})
# The header of gzip or that of zlib, whichever is there.
_EITHER_HEADER = 32 + zlib.MAX_WBITS
_GZIP_HEADER = 16 + zlib.MAX_WBITS
_CHUNK = 2**16
# Members of a body, and chunks if they are small on average; each costs time, however small it is.
_MOST_MEMBERS = 10_000
_MOST_SMALL_CHUNKS = 10_000
# Bytes.
_SMALL_CHUNK = 16


def _is_success(response: CompleteResponse) -> bool:
    return httpx.codes.is_success(response.status_code)


@frozen(eq=False)
class CompleteResponse:
    """A response with its body in memory, decompressed.

    An httpx response that is given a body reads it through its decoders once more, which costs more than all that is
    done here.

    Attributes:
        status_code: The status.
        headers: The headers, those about the encoding and the length as they were sent. They may repeat secrets.
        content: The body.
        is_success: Whether the status is one of 200 to 299.
    """

    status_code: int
    headers: httpx.Headers = field(repr=False)
    content: bytes = field(repr=False)
    is_success: bool = field(init=False, repr=False, default=Factory(_is_success, takes_self=True))


async def with_whole_body(response: httpx.Response) -> CompleteResponse:
    """Read a response to its end, or as much of an error response as is read at all.

    The given response is closed on every path. A body in an encoding other than gzip and deflate is left as it is.

    Args:
        response: A response whose body was not read yet.

    Returns:
        The response with its body in memory. If that of an error response is longer than ``LARGEST_ERROR_BODY``,
        it has one byte more, and the rest was neither received nor decompressed.

    Raises:
        DecodeError: The body is too large.
        httpx.DecodingError: The body of a success cannot be decompressed.
    """
    try:
        if response.is_stream_consumed and not isinstance(response.stream, httpx.ByteStream):
            # Whoever sent the request has read the response, too, and decompressed it.
            return _within_limit(response.status_code, response.headers, response.content)
        # Without a name for it, no traceback keeps the body.
        return complete_response(
            response.status_code, response.headers, await _collected(response, limit_for(response.status_code))
        )
    finally:
        await response.aclose()


def complete_response(status: int, headers: httpx.Headers, body: bytes) -> CompleteResponse:
    """A response with its body in memory, decompressed.

    Args:
        status: The status.
        headers: The headers.
        body: The body as it was sent, without its chunks.

    Returns:
        The response.

    Raises:
        DecodeError: The body is too large.
        httpx.DecodingError: The body of a success cannot be decompressed.
    """
    limit, encoding, problem = limit_for(status), headers.get("content-encoding", ""), None
    try:
        # The beginning of a longer body may be too little to be decompressed.
        if encoding.strip().lower() in _COMPRESSED and 0 < len(body) <= limit:
            try:
                body = b"".join(_members(body, limit))
            except zlib.error as error:
                problem = str(error)
        if problem is not None:
            if httpx.codes.is_success(status):
                raise httpx.DecodingError(f"the body cannot be decompressed: {problem}")
            # The status and the headers of an error say what matters.
            body = b""
        return _within_limit(status, headers, body)
    finally:
        # A traceback keeps what has a name, and may show it.
        del body, headers


def _within_limit(status: int, headers: httpx.Headers, body: bytes) -> CompleteResponse:
    try:
        limit = limit_for(status)
        if len(body) <= limit:
            return CompleteResponse(status, headers, body)
        if httpx.codes.is_success(status):
            raise unread(status, headers, f"is larger than {limit} bytes")
        return CompleteResponse(status, headers, body[: limit + 1])
    finally:
        del body, headers


def limit_for(status: int) -> int:
    """How many bytes of a body are read, and one more."""
    return LARGEST_BODY if httpx.codes.is_success(status) else LARGEST_ERROR_BODY


def reason_to_stop(size: int, chunks: int, limit: int) -> str | None:
    """Why so much of a body in so many chunks is not read any further; None if it is."""
    if size > limit:
        return f"is larger than {limit} bytes"
    if chunks > max(_MOST_SMALL_CHUNKS, size // _SMALL_CHUNK):
        return f"came in more than {_MOST_SMALL_CHUNKS} chunks of less than {_SMALL_CHUNK} bytes on average"
    return None


def unread(status: int, headers: httpx.Headers, reason: str) -> DecodeError:
    """The error for a response whose body is not read to its end."""
    problem = f"$: the body {reason}, so no more was read"
    return DecodeError(problem, status, request_id=headers.get("x-request-id"), problems=(problem,))


async def _collected(response: httpx.Response, limit: int) -> bytes:
    """The body, or the beginning of an error response's, which is one byte longer than the limit."""
    # An async transport gives an async stream.
    assert isinstance(response.stream, httpx.AsyncByteStream)
    body, size, chunks, reason = bytearray(), 0, 0, None
    try:
        async for chunk in response.stream:
            size += len(chunk)
            chunks += 1
            if reason is not None and (size > 2 * limit or chunks > 2 * _MOST_SMALL_CHUNKS):
                # A user's own transport may have a stream that goes on although it was closed.
                break
            if reason is None:
                body += chunk
                reason = reason_to_stop(size, chunks, limit)
            if reason is not None:
                # A stream consists of nested generators. They end together when the innermost one fails, as it does
                # on a closed connection; if the loop were left instead, each of them would have to be closed.
                await response.aclose()
                del body[0 if response.is_success else limit + 1 :]
    except Exception:
        if reason is None:
            # The caller may keep the error, and with its traceback what this function has in memory.
            body.clear()
            raise
    if reason is not None and (response.is_success or len(body) <= limit):
        raise unread(response.status_code, response.headers, reason)
    return bytes(body)


def _members(body: bytes, limit: int) -> Iterator[bytes]:
    """The content of every member, piece by piece: gzip allows several, and zeros behind the last one.

    It ends one byte beyond the limit.
    """
    decompressor, members, left = zlib.decompressobj(_EITHER_HEADER), 1, limit + 1
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
            piece = decompressor.decompress(chunk, left)
            left -= len(piece)
            yield piece
            if not left:
                return
            chunk = decompressor.unused_data
    if not decompressor.eof:
        raise zlib.error("it is incomplete")
