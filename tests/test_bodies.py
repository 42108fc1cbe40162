"""Bodies are read whole, decompressed, and within bounds; the response is closed on every path."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from chartmogul_async import errors
from chartmogul_async.events import Attempt, Event
from chartmogul_async.structuring.error_bodies import LARGEST_ERROR_BODY
from chartmogul_async.transport import bodies
from chartmogul_async.transport.bodies import LARGEST_BODY, with_whole_body
from tests.clients import client_of
from tests.kept import longest_kept_by

BODY = b'{"data": "pong!"}'
BIG = 1000


class Stream(httpx.AsyncByteStream):
    def __init__(self, *chunks: bytes | Exception) -> None:
        self.chunks = chunks
        self.closed = self.consumed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.consumed:
            raise httpx.StreamConsumed
        self.consumed = True
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self) -> None:
        self.closed = True


class Endless(httpx.AsyncByteStream):
    """Goes on although it was closed."""

    def __init__(self, chunk: bytes) -> None:
        self.chunk = chunk
        self.read = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self.read += 1
        return self.chunk


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
    assert await body_of(b'{"data": ', b'"pong!"}') == BODY
    assert await body_of() == b""


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP ", "deflate"])
async def test_a_compressed_body_is_decompressed(encoding: str) -> None:
    compressed = zlib.compress(BODY) if encoding == "deflate" else gzip.compress(BODY)
    assert await body_of(compressed[:7], compressed[7:], encoding=encoding) == BODY


async def test_the_headers_are_those_that_were_sent() -> None:
    compressed = gzip.compress(BODY)
    headers = [("content-encoding", "gzip"), ("content-length", "9"), ("etag", "a"), ("etag", "b")]
    response = await with_whole_body(httpx.Response(404, headers=headers, stream=Stream(compressed)))
    assert response.headers.multi_items() == headers
    assert (response.status_code, response.content) == (404, BODY)


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_response_that_was_read_already_is_not_read_again(encoding: str) -> None:
    """A transport around another one may log bodies; httpx has decompressed them then."""
    stream = Stream(gzip.compress(BODY) if encoding == "gzip" else BODY)
    response = httpx.Response(200, headers={"content-encoding": encoding}, stream=stream)
    await response.aread()
    assert (await with_whole_body(response)).content == BODY


@pytest.mark.usefixtures("small")
async def test_what_was_read_already_has_the_same_limit() -> None:
    for status, size in ((200, BIG + 1), (404, LARGEST_ERROR_BODY + 2)):
        response = httpx.Response(status, headers={"x-request-id": "7"}, stream=Stream(b"a" * size))
        await response.aread()
        if status == 404:
            assert (await with_whole_body(response)).content == b"a" * (LARGEST_ERROR_BODY + 1)
            continue
        with pytest.raises(errors.DecodeError, match="larger than 1000 bytes") as caught:
            await with_whole_body(response)
        assert caught.value.request_id == "7"


async def test_an_empty_body_is_not_decompressed() -> None:
    assert await body_of(encoding="gzip") == b""


async def test_an_encoding_that_was_not_requested_is_left_as_it_is() -> None:
    assert await body_of(b"\x0b\x02\x80", encoding="br") == b"\x0b\x02\x80"
    twice = gzip.compress(gzip.compress(BODY))
    assert await body_of(twice, encoding="gzip, gzip") == twice


@pytest.mark.parametrize("chunks", [1, 7, 1000])
async def test_gzip_of_several_members_is_read_whole(chunks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_CHUNK", chunks)
    for parts in ((BODY[:9], BODY[9:]), (b"", BODY, b"", b""), [bytes([byte]) for byte in BODY]):
        members = b"".join(map(gzip.compress, parts))
        assert await body_of(members, encoding="gzip") == BODY
        # Some programs fill up a block.
        assert await body_of(members + bytes(600), encoding="gzip") == BODY


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(b"garbage", id="garbage"),
        pytest.param(b"X", id="a letter"),
        pytest.param(b"\0garbage", id="zero, then garbage"),
        pytest.param(b"\x1f", id="half of a magic number"),
        pytest.param(gzip.compress(BODY)[:-9], id="half of a member"),
        pytest.param(zlib.compress(BODY), id="deflate"),
        pytest.param(bytes(600) + b"\x1f\x8b", id="zeros, then a magic number"),
    ],
)
@pytest.mark.parametrize("chunks", [1, 7, 1000])
async def test_only_another_member_may_follow_a_member(
    behind: bytes, chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_CHUNK", chunks)
    with pytest.raises(httpx.DecodingError, match="the body cannot be decompressed"):
        await body_of(gzip.compress(BODY) + behind, encoding="gzip")


async def test_the_number_of_members_is_bounded() -> None:
    """Three million empty ones fit into a body of the largest size."""
    assert await body_of(gzip.compress(b"a") * bodies._MOST_MEMBERS, encoding="gzip") == b"a" * bodies._MOST_MEMBERS
    with pytest.raises(httpx.DecodingError, match="it has more than 10000 members"):
        await body_of(gzip.compress(b"") * 20_000, encoding="gzip")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"no gzip at all", id="no gzip"),
        pytest.param(b"\x1f", id="one byte"),
        pytest.param(gzip.compress(BODY)[:-9], id="half of it"),
        pytest.param(gzip.compress(BODY)[:20] + b"garbage", id="garbage in the middle"),
    ],
)
async def test_a_body_that_cannot_be_decompressed_is_an_error(body: bytes) -> None:
    with pytest.raises(httpx.DecodingError, match=r"the body cannot be decompressed: .") as caught:
        await body_of(body, encoding="gzip")
    assert caught.value.__cause__ is None


async def test_a_compressed_body_that_ends_too_early_is_called_so() -> None:
    with pytest.raises(httpx.DecodingError, match=r"^the body cannot be decompressed: it is incomplete$"):
        await body_of(gzip.compress(BODY)[:-9], encoding="gzip")


async def test_an_error_in_the_body_is_raised() -> None:
    with pytest.raises(httpx.ReadError):
        await body_of(b"{", httpx.ReadError("reset"))


@pytest.mark.usefixtures("small")
async def test_a_body_of_the_largest_size_is_read_but_no_larger_one() -> None:
    assert len(await body_of(b"a" * (BIG // 2), b"a" * (BIG // 2))) == BIG
    with pytest.raises(errors.DecodeError, match=r"\$: the body is larger than 1000 bytes, so no more was read"):
        await body_of(b"a" * (BIG // 2), b"a" * (BIG // 2), b"a")


@pytest.mark.usefixtures("small")
async def test_a_stream_is_closed_as_soon_as_it_is_too_long() -> None:
    """Its own complaint about that is not what the caller should read."""

    class Closing(Stream):
        sent = 0

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(10**6):
                if self.closed:
                    raise httpx.ReadError("closed")
                self.sent += 1
                yield b"a" * BIG

    stream = Closing()
    with pytest.raises(errors.DecodeError, match="larger than 1000 bytes"):
        await with_whole_body(httpx.Response(200, stream=stream))
    assert stream.sent == 2


@pytest.mark.usefixtures("small")
async def test_a_stream_without_an_end_is_left() -> None:
    stream = Endless(b"a")
    with pytest.raises(errors.DecodeError, match="larger than 1000 bytes"):
        await with_whole_body(httpx.Response(200, stream=stream))
    assert stream.read == 2 * BIG + 1


async def test_a_stream_that_ignores_its_closing_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may go on for a while, but what was received so far is dropped."""
    monkeypatch.setattr(bodies, "LARGEST_BODY", 2**20)
    response = httpx.Response(200, stream=Endless(b"a" * 2**16))
    tracemalloc.start()
    try:
        with pytest.raises(errors.DecodeError):
            await with_whole_body(response)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * 2**20


@pytest.mark.usefixtures("small")
async def test_a_decompressed_body_has_the_same_limit() -> None:
    assert len(await body_of(gzip.compress(b"a" * BIG), encoding="gzip")) == BIG
    with pytest.raises(errors.DecodeError, match="larger than 1000 bytes") as caught:
        await body_of(gzip.compress(b"a" * (BIG + 1)), encoding="gzip")
    assert caught.value.status == 200


async def test_no_more_is_decompressed_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few kilobytes may stand for gigabytes."""
    monkeypatch.setattr(bodies, "LARGEST_BODY", 2**16)
    bomb = gzip.compress(bytes(2**24))
    tracemalloc.start()
    try:
        with pytest.raises(errors.DecodeError, match="larger than 65536 bytes"):
            await body_of(bomb, encoding="gzip")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.usefixtures("small")
async def test_a_compressed_body_of_the_largest_size_is_decompressed() -> None:
    assert await body_of(gzip.compress(BODY).ljust(BIG, b"\0"), encoding="gzip") == BODY


@pytest.mark.usefixtures("small")
async def test_all_members_together_have_the_same_limit() -> None:
    half = gzip.compress(b"a" * (BIG // 2))
    assert len(await body_of(half * 2, encoding="gzip")) == BIG
    assert len(await body_of(half * 2 + gzip.compress(b""), encoding="gzip")) == BIG
    with pytest.raises(errors.DecodeError, match="larger than 1000 bytes"):
        await body_of(half * 2 + gzip.compress(b"a"), encoding="gzip")


@pytest.mark.usefixtures("small")
async def test_a_body_that_is_too_large_is_one_error_and_no_retry() -> None:
    sent = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        sent += 1
        return httpx.Response(200, headers={"x-request-id": "r7"}, content=b"a" * (BIG + 1))

    events: list[Event] = []
    async with client_of(handler, on_event=events.append) as client:
        with pytest.raises(errors.DecodeError) as caught:
            await client.ping()
    error = caught.value
    problem = "$: the body is larger than 1000 bytes, so no more was read"
    assert str(error) == f"GET https://api.chartmogul.com/v1/ping: {problem} (request id r7)"
    assert error.status == 200
    assert error.problems == (error.message,) == (problem,)
    assert (sent, error.attempts, error.__cause__) == (1, 1, None)
    attempts = [event for event in events if isinstance(event, Attempt)]
    assert [(attempt.error, attempt.retry_in) for attempt in attempts] == [("DecodeError", None)]


def test_a_hundred_thousand_days_of_all_metrics_fit() -> None:
    assert LARGEST_BODY > 100_000 * 450


# --- error responses -----------------------------------------------------------------------------------------------


async def error_body_of(*chunks: bytes, encoding: str | None = None) -> bytes:
    headers = {"content-encoding": encoding} if encoding else {}
    stream = Stream(*chunks)
    response = await with_whole_body(httpx.Response(422, headers=headers, stream=stream))
    assert stream.closed
    return response.content


async def test_of_an_error_body_64_kb_are_read_and_one_byte() -> None:
    whole = b"a" * LARGEST_ERROR_BODY
    assert await error_body_of(whole) == whole
    assert await error_body_of(whole, b"bc", b"d") == whole + b"b"
    assert await error_body_of(b"a" * 10 * LARGEST_ERROR_BODY) == whole + b"a"


async def test_an_error_body_is_decompressed_to_64_kb() -> None:
    whole = b"a" * LARGEST_ERROR_BODY
    assert await error_body_of(gzip.compress(whole), encoding="gzip") == whole
    assert await error_body_of(gzip.compress(whole * 100), encoding="gzip") == whole + b"a"


async def test_an_error_body_that_is_too_long_keeps_its_headers() -> None:
    compressed = gzip.compress(b"a" * 2 * LARGEST_ERROR_BODY)
    for encoding, body in ((None, b"a" * 2 * LARGEST_ERROR_BODY), ("gzip", compressed)):
        headers = {"x-request-id": "7"} | ({"content-encoding": encoding} if encoding else {})
        response = await with_whole_body(httpx.Response(422, headers=headers, stream=Stream(body)))
        assert (dict(response.headers), len(response.content)) == (headers, LARGEST_ERROR_BODY + 1)


async def test_the_beginning_of_a_compressed_error_body_stays_so() -> None:
    compressed = gzip.compress(b"".join(number.to_bytes(4, "big") for number in range(100_000)))
    assert await error_body_of(compressed, encoding="gzip") == compressed[: LARGEST_ERROR_BODY + 1]


async def test_an_error_stream_is_closed_as_soon_as_it_is_too_long() -> None:
    stream = Endless(b"a" * LARGEST_ERROR_BODY)
    response = await with_whole_body(httpx.Response(503, stream=stream))
    assert stream.read == 3
    assert len(response.content) == LARGEST_ERROR_BODY + 1


@pytest.mark.parametrize("status", [200, 422])
async def test_a_body_in_very_many_small_chunks_is_not_read_on(status: int) -> None:
    stream = Endless(b"a")
    with pytest.raises(errors.DecodeError, match="in more than 10000 chunks of less than 16 bytes") as e:
        await with_whole_body(httpx.Response(status, stream=stream))
    assert stream.read == 20_001
    assert e.value.status == status
    assert len(await body_of(*[b"a"] * 10_000)) == 10_000
    assert len(await body_of(*[b"a" * 16] * 20_000)) == 320_000


async def test_an_error_body_that_stops_at_64_kb_is_not_read() -> None:
    """Only the number of its chunks is too large."""
    with pytest.raises(errors.DecodeError, match="in more than 10000 chunks"):
        await error_body_of(*[b"a"] * 10_000, b"a" * (LARGEST_ERROR_BODY - 10_000))


@pytest.mark.usefixtures("small")
async def test_a_body_that_is_too_large_is_not_kept() -> None:
    with pytest.raises(errors.DecodeError) as caught:
        await body_of(*[b"a" * (BIG // 10)] * 11)
    # The last chunk.
    assert longest_kept_by(caught.value, "chartmogul_async") <= BIG // 10


@pytest.mark.parametrize(
    ("chunks", "encoding"),
    [
        ([b"a" * BIG] * 10 + [httpx.ReadError("reset")], None),
        ([gzip.compress(bytes(BIG * 1000))[:-9]], "gzip"),
        ([gzip.compress(bytes(BIG * 1000)) + b"garbage"], "gzip"),
    ],
    ids=["reset", "incomplete", "garbage"],
)
async def test_an_error_keeps_no_body(chunks: list[bytes | Exception], encoding: str | None) -> None:
    """It may be kept for long, and with its traceback the variables of every function that it passed."""
    with pytest.raises(httpx.RequestError) as caught:
        await body_of(*chunks, encoding=encoding)
    # The last chunk.
    assert longest_kept_by(caught.value, "chartmogul_async") <= BIG
