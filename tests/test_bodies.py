"""Bodies are read whole, unpacked, and within bounds; the answer is closed on every path."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from chartmogul_async import Attempt, errors
from chartmogul_async.transport import bodies
from chartmogul_async.transport.bodies import LARGEST_BODY, with_whole_body
from tests.clients import client_of

WORDS = b'{"data": "pong!"}'
BIG = 1000


class Stream(httpx.AsyncByteStream):
    def __init__(self, *chunks: bytes | Exception) -> None:
        self.chunks = chunks
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self) -> None:
        self.closed = True


async def body_of(*chunks: bytes | Exception, encoding: str | None = None) -> bytes:
    stream = Stream(*chunks)
    headers = {"content-encoding": encoding} if encoding else {}
    try:
        response = await with_whole_body(httpx.Response(200, headers=headers, stream=stream))
    finally:
        assert stream.closed
    return response.content


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LARGEST_BODY", BIG)


async def test_chunks_become_one_body() -> None:
    assert await body_of(b'{"data": ', b'"pong!"}') == WORDS
    assert await body_of() == b""


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP ", "deflate"])
async def test_a_packed_body_is_unpacked(encoding: str) -> None:
    packed = zlib.compress(WORDS) if encoding == "deflate" else gzip.compress(WORDS)
    assert await body_of(packed[:7], packed[7:], encoding=encoding) == WORDS


async def test_the_answer_does_not_say_any_more_that_it_is_packed() -> None:
    packed = gzip.compress(WORDS)
    headers = [("Content-Encoding", "gzip"), ("x-request-id", "7"), ("etag", "a"), ("etag", "b")]
    response = await with_whole_body(httpx.Response(200, headers=headers, stream=Stream(packed)))
    assert [(name, value) for name, value in response.headers.multi_items() if name != "content-length"] == [
        ("x-request-id", "7"),
        ("etag", "a"),
        ("etag", "b"),
    ]


async def test_an_empty_body_needs_no_unpacking() -> None:
    assert await body_of(encoding="gzip") == b""


async def test_a_packing_that_was_not_asked_for_is_left_alone() -> None:
    assert await body_of(b"\x0b\x02\x80", encoding="br") == b"\x0b\x02\x80"


@pytest.mark.parametrize("body", [b"no gzip at all", gzip.compress(WORDS)[:-9], gzip.compress(WORDS)[:20] + b"garbage"])
async def test_what_cannot_be_unpacked_is_trouble_on_the_way(body: bytes) -> None:
    with pytest.raises(httpx.DecodingError, match="the body cannot be unpacked"):
        await body_of(body, encoding="gzip")


async def test_trouble_in_the_body_comes_out() -> None:
    with pytest.raises(httpx.ReadError):
        await body_of(b"{", httpx.ReadError("reset"))


@pytest.mark.usefixtures("small")
async def test_a_body_of_the_largest_size_is_read_and_one_byte_more_is_not() -> None:
    assert len(await body_of(b"a" * (BIG // 2), b"a" * (BIG // 2))) == BIG
    with pytest.raises(errors.DecodeError, match=r"\$: the body is larger than 1000 bytes, and no more is read"):
        await body_of(b"a" * (BIG // 2), b"a" * (BIG // 2), b"a")


@pytest.mark.usefixtures("small")
async def test_a_stream_is_closed_as_soon_as_it_is_too_long_and_what_breaks_then_does_not_matter() -> None:
    class Closing(Stream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(10**6):
                if self.closed:
                    raise httpx.ReadError("closed")
                yield b"a" * BIG

    with pytest.raises(errors.DecodeError, match="larger than 1000 bytes"):
        await with_whole_body(httpx.Response(200, stream=Closing()))


@pytest.mark.usefixtures("small")
async def test_a_stream_that_goes_on_for_ever_is_left() -> None:
    class Endless(httpx.AsyncByteStream):
        read = 0

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self

        async def __anext__(self) -> bytes:
            self.read += 1
            return b"a"

    stream = Endless()
    with pytest.raises(errors.DecodeError, match="larger than 1000 bytes"):
        await with_whole_body(httpx.Response(200, stream=stream))
    assert stream.read == 2 * BIG + 1


@pytest.mark.usefixtures("small")
async def test_the_same_goes_for_what_comes_out_of_a_packed_body() -> None:
    assert len(await body_of(gzip.compress(b"a" * BIG), encoding="gzip")) == BIG
    with pytest.raises(errors.DecodeError, match="larger than 1000 bytes"):
        await body_of(gzip.compress(b"a" * (BIG + 1)), encoding="gzip")


@pytest.mark.usefixtures("small")
async def test_a_caller_gets_one_error_and_the_request_is_not_repeated() -> None:
    sent = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        sent += 1
        return httpx.Response(200, headers={"x-request-id": "r7"}, content=b"a" * (BIG + 1))

    attempts: list[Attempt] = []
    async with client_of(handler, on_attempt=attempts.append) as client:
        with pytest.raises(errors.DecodeError) as caught:
            await client.ping()
    error = caught.value
    assert str(error) == "GET /v1/ping: $: the body is larger than 1000 bytes, and no more is read (request id r7)"
    assert error.status == 200
    assert error.problems == ("$: the body is larger than 1000 bytes, and no more is read",)
    assert (sent, error.attempts, error.__cause__) == (1, 1, None)
    assert [(attempt.error, attempt.retry_in) for attempt in attempts] == [("DecodeError", None)]


def test_the_bound_leaves_room_for_a_hundred_thousand_days_of_all_metrics() -> None:
    assert LARGEST_BODY > 100_000 * 450
