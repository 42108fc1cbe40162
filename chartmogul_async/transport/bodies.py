"""The whole body of an answer, unpacked, and never more of it than memory can bear.

The body is collected first and unpacked then, with an end to what comes out: a few packed kilobytes may stand for
gigabytes.
"""

from __future__ import annotations

import zlib

import httpx

from chartmogul_async.errors import DecodeError

LARGEST_BODY = 64 * 2**20
"""Bytes; a hundred thousand days of all metrics are 45 million."""

_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_EITHER_HEADER = 32 + zlib.MAX_WBITS  # that of gzip or that of zlib, whichever is there


async def with_whole_body(response: httpx.Response) -> httpx.Response:
    """The same answer with its body in memory. Closes the one that is given, on every path.

    Raises ``DecodeError`` when the body is too large, ``httpx.DecodingError`` when it cannot be unpacked. Another
    packing than gzip and deflate is left as it is.
    """
    try:
        body = await _collected(response)
    finally:
        await response.aclose()
    headers, packing = response.headers, response.headers.get("content-encoding")
    if packing is not None:
        if packing.strip().lower() in _PACKED and body:
            body = _unpacked(body, response)
        # Without this header httpx unpacks nothing by itself, which it would do without an end ("gzip, gzip").
        headers = httpx.Headers([(name, value) for name, value in headers.raw if name.lower() != b"content-encoding"])
    return httpx.Response(response.status_code, headers=headers, content=body, extensions=response.extensions)


async def _collected(response: httpx.Response) -> bytes:
    assert isinstance(response.stream, httpx.AsyncByteStream)  # what an async transport gives
    body, size = bytearray(), 0
    try:
        async for chunk in response.stream:
            body += chunk
            size += len(chunk)
            if size > LARGEST_BODY:
                # A stream is several generators, one within the other. They end together when the innermost one
                # breaks, as it does on a closed connection; left alone, each of them would have to be cleaned up.
                await response.aclose()
                body.clear()
            if size > 2 * LARGEST_BODY:
                break  # a stream of somebody else's, which does not mind being closed
    except Exception:
        if size <= LARGEST_BODY:
            raise
    if size > LARGEST_BODY:
        raise _too_large(response)
    return bytes(body)


def _unpacked(body: bytes, response: httpx.Response) -> bytes:
    unpacker = zlib.decompressobj(_EITHER_HEADER)
    try:
        content = unpacker.decompress(body, LARGEST_BODY + 1)
    except zlib.error as error:
        raise httpx.DecodingError(f"the body cannot be unpacked: {error}") from None
    if len(content) > LARGEST_BODY:
        raise _too_large(response)
    if not unpacker.eof:
        raise httpx.DecodingError("the body cannot be unpacked: it breaks off")
    return content


def _too_large(response: httpx.Response) -> DecodeError:
    problem = f"$: the body is larger than {LARGEST_BODY} bytes, and no more is read"
    request_id = response.headers.get("x-request-id")
    return DecodeError(problem, response.status_code, request_id=request_id, problems=(problem,))
