"""HTTP/1.1 as bytes, without a connection: a request written, and a response parsed from pieces of any size."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

# The extra ``fast`` installs httptools.
http1: Any = pytest.importorskip("chartmogul_async.transport.http1", reason="the extra fast is not installed")

OK = b"HTTP/1.1 200 OK\r\n"
TWO = OK + b"Content-Length: 2\r\n\r\n{}"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BOUND = 100 * 2**10


def parsed(*pieces: bytes, method: str = "GET") -> Any:
    parser = http1.ResponseParser(method)
    for piece in pieces:
        parser.feed(piece)
    return parser


def seen(parser: Any) -> tuple[object, ...]:
    return parser.status, parser.headers, bytes(parser.body), parser.is_complete, parser.is_reusable


def test_a_request_is_written_in_one_piece() -> None:
    request = httpx.Request("GET", "http://x.example:81/v1/ping?a=b%20c", headers={"Accept": "application/json"})
    assert http1.request_bytes(request) == (
        b"GET /v1/ping?a=b%20c HTTP/1.1\r\nHost: x.example:81\r\nAccept: application/json\r\n\r\n"
    )


def test_a_body_is_written_behind_the_head() -> None:
    request = httpx.Request("POST", "http://x.example/", content=b"{}")
    assert http1.request_bytes(request) == b"POST / HTTP/1.1\r\nHost: x.example\r\nContent-Length: 2\r\n\r\n{}"


RESPONSES = {
    "a length": (TWO, (200, [(b"Content-Length", b"2")], b"{}", True, True)),
    "chunks, and a trailer": (
        CHUNKED + b'1;x="y"\r\n{\r\n1\r\n}\r\n0\r\nX-Trailer: z\r\n\r\n',
        (200, [(b"Transfer-Encoding", b"chunked")], b"{}", True, True),
    ),
    "no reason": (
        b"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
        (404, [(b"Content-Length", b"0")], b"", True, True),
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", (204, [], b"", True, True)),
    "304 with a length": (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        (304, [(b"Content-Length", b"9")], b"", True, True),
    ),
    "interim responses": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + TWO,
        (200, [(b"Content-Length", b"2")], b"{}", True, True),
    ),
    "Connection: close": (
        OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}",
        (200, [(b"Connection", b"close"), (b"Content-Length", b"2")], b"{}", True, False),
    ),
    "HTTP/1.0": (
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        (200, [(b"Content-Length", b"2")], b"{}", True, False),
    ),
    "HTTP/1.0, kept open": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
        (200, [(b"Connection", b"keep-alive"), (b"Content-Length", b"2")], b"{}", True, True),
    ),
    "an offer to upgrade": (
        OK + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}",
        (200, [(b"Connection", b"upgrade"), (b"Upgrade", b"h2c"), (b"Content-Length", b"2")], b"{}", True, True),
    ),
}


@pytest.mark.parametrize("name", RESPONSES)
@given(data=st.data())
def test_a_response_is_parsed_from_pieces_of_any_size(name: str, data: st.DataObject) -> None:
    content, expected = RESPONSES[name]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(content) - 1))))
    pieces = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    parser = parsed(*pieces)
    assert seen(parser) == expected
    assert parser.size == len(content)


def test_nothing_is_known_before_the_first_piece() -> None:
    parser = http1.ResponseParser("GET")
    assert seen(parser) == (0, [], b"", False, False)
    assert (parser.has_head, parser.size, parser.chunks) == (False, 0, 0)


def test_pieces_of_the_body_are_counted() -> None:
    assert parsed(CHUNKED + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n").chunks == 2
    assert parsed(TWO[:-1], TWO[-1:]).chunks == 2


def test_a_body_that_is_taken_is_not_kept() -> None:
    parser = parsed(TWO)
    assert parser.taken_body() == b"{}"
    assert parser.body == b""


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    parser = parsed(OK + b"\r\n{")
    assert not parser.is_complete
    for piece in (b"}", b""):
        parser.feed(piece)
    assert seen(parser) == (200, [], b"{}", True, False)


def test_the_response_to_a_head_request_has_no_body() -> None:
    parser = parsed(OK + b"Content-Length: 2\r\n\r\n", method="HEAD")
    assert seen(parser) == (200, [(b"Content-Length", b"2")], b"", True, False)


@pytest.mark.parametrize("more", [b"H", TWO, b"more", b"\x00", b"HTTP/1.1 404 No\r\nX: y\r\n\r\nmore", b"{}"])
def test_bytes_behind_the_response_change_nothing_in_it(more: bytes) -> None:
    """The connection must not be used again; a line break between two responses is allowed, and ignored."""
    assert seen(parsed(TWO + more)) == (200, [(b"Content-Length", b"2")], b"{}", True, False)
    assert seen(parsed(TWO + b"\r\n")) == seen(parsed(TWO))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the server disconnected without sending a response"),
        (OK, "the server disconnected before the response was complete"),
        (OK + b"Content-Length: 3\r\n\r\n{}", "the server disconnected before the response was complete"),
        (CHUNKED + b"2\r\n{}\r\n", "the server disconnected before the response was complete"),
        (OK + b"transfer-encoding: gzip\r\n\r\n{}", "the server disconnected before the response was complete"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "the server disconnected before the response was complete"),
    ],
)
def test_a_response_that_ends_too_early_is_an_error(content: bytes, message: str) -> None:
    pieces = [content, b""] if content else [b""]
    with pytest.raises(httpx.RemoteProtocolError, match=f"^{message}$"):
        parsed(*pieces)


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 OK 200\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        OK + b"no colon here\r\n\r\n",
        OK + b"X: \x00\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        CHUNKED + b"no size\r\n",
        CHUNKED + b"3\r\nabcdef",
        CHUNKED + b"%x\r\n" % 10**30,
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    ],
)
def test_what_is_not_http_is_an_error_that_quotes_nothing(content: bytes) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match=r"^the response is not valid HTTP/1\.1: ") as caught:
        parsed(content)
    assert "colon" not in str(caught.value).replace("Missing expected colon", "")
    assert caught.value.__suppress_context__
    _, _, reason = str(caught.value).partition(": ")
    assert (reason == "it switches protocols") == (b"Connection: upgrade" in content)
    assert reason != "None"


@pytest.mark.parametrize(
    ("start", "endless"),
    [
        (OK + b"X: ", b"y" * 100),
        (OK, b"X: y\r\n" * 20),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4),
        (CHUNKED + b"0\r\n", b"X: y\r\n" * 20),
        (CHUNKED + b"1;", b"x" * 100),
    ],
)
def test_bytes_without_a_body_are_bounded(start: bytes, endless: bytes) -> None:
    parser = http1.ResponseParser("GET")
    parser.feed(start + endless)
    with pytest.raises(httpx.RemoteProtocolError, match="larger than 102400 bytes"):
        while parser.size < 2 * BOUND:
            parser.feed(endless)
    assert BOUND < parser.size <= BOUND + len(endless)


def test_bytes_behind_a_body_are_bounded() -> None:
    parser = parsed(CHUNKED + b"1\r\n{\r\n")
    parser.feed(b"0\r\nX: ".ljust(BOUND, b"y"))
    with pytest.raises(httpx.RemoteProtocolError, match="larger than 102400 bytes"):
        parser.feed(b"y")


def test_a_large_body_in_small_chunks_has_no_bound_here() -> None:
    parser = parsed(CHUNKED)
    while parser.size < 2 * BOUND:
        parser.feed(b"1\r\n \r\n")
    parser.feed(b"0\r\n\r\n")
    assert parser.is_complete


def test_a_parsed_response_is_freed_without_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:

        class Watched(http1.ResponseParser):  # type: ignore[misc]  # the module may be missing
            __slots__ = ("__weakref__",)

        parser = Watched("GET")
        parser.feed(TWO)
        reference = weakref.ref(parser)
        del parser
        assert reference() is None
    finally:
        gc.enable()
