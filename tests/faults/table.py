"""The faults: what the server does, and what the caller must get. ``python -m tests.faults`` prints what it gets."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import attrs

from chartmogul_async import RetryPolicy
from chartmogul_async.errors import (
    AuthenticationError,
    BadRequestError,
    ChartMogulError,
    DecodeError,
    ForbiddenError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    RequestFailedError,
    RequestTimeoutError,
    ServerError,
    StatusError,
    ValidationError,
)
from tests.clients import KEY
from tests.faults.checks import NORMAL_ENTRIES, Fault
from tests.faults.costly import COSTLY, MEGABYTE
from tests.faults.server import (
    MARKER,
    NORMAL,
    NORMAL_BODY,
    NORMAL_RESPONSE,
    TUNNEL,
    Behaviour,
    Peer,
    closes_after,
    resets_after,
    response,
    sends,
    stalls_after,
)
from tests.faults.targets import (
    PROXY_PASSWORD,
    certificate,
    never_accepted,
    proxied,
    proxied_by_socks,
    proxied_over_tls,
    refused,
    secure,
    unknown_host,
    unknown_proxy,
    without_socks,
)

NORMAL_JSON = json.dumps(NORMAL_BODY).encode()
HEAD, BODY = NORMAL_RESPONSE.split(b"\r\n\r\n")
HEAD += b"\r\n\r\n"
PAGE = f"<html><body><h1>Just a moment</h1>{MARKER}</body></html>".encode()
# A number of cents is never rounded.
HUGE_ENTRIES = (attrs.evolve(NORMAL_ENTRIES[0], mrr=10**400),)
NOT_SENT: dict[str, Any] = {
    "attempts": 1,
    "retry": RetryPolicy(attempts=2, base=0.001, total=0.2),
    "next_error": RateLimitError,
}


# --- bytes --------------------------------------------------------------------------------------------


def entry_with(**changes: Any) -> dict[str, Any]:
    """The normal body, with other values in its one entry. Keys are written with ``_`` for ``-``."""
    entry = {**NORMAL_BODY["entries"][0], **{name.replace("_", "-"): value for name, value in changes.items()}}
    return {**NORMAL_BODY, "entries": [entry]}


def with_number(text: str) -> bytes:
    """The normal body with this in place of the entry's MRR, even if it is not JSON."""
    return json.dumps(entry_with(mrr="HERE")).replace('"HERE"', text).encode()


def sized_response(size: int) -> bytes:
    """The normal response, with head and body together as long as the chunks in which an HTTP library reads."""
    head = f"HTTP/1.1 200 OK\r\nX-Size: {size}\r\nContent-Length: "
    content = NORMAL_JSON.ljust(size - len(head) - len("12345\r\n\r\n"))
    return f"{head}{len(content)}\r\n\r\n".encode() + content


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def padded(size: int) -> Iterator[bytes]:
    """The normal body and spaces, which are JSON too, up to the size."""
    yield NORMAL_JSON
    yield from repeat(b" " * MEGABYTE, size // MEGABYTE)


def streams(head: bytes, pieces: Iterable[bytes] | None = None, *, in_chunks: bool = False) -> Behaviour:
    def run(peer: Peer) -> None:
        peer.send(head)
        for piece in padded(100 * MEGABYTE) if pieces is None else pieces:
            peer.send(b"%x\r\n%b\r\n" % (len(piece), piece) if in_chunks else piece)
        peer.send(b"0\r\n\r\n" if in_chunks else b"")

    return Behaviour(run)


def members(*contents: bytes) -> bytes:
    """Each content compressed by itself, one behind the other."""
    return b"".join(map(gzip.compress, contents))


def bomb(wbits: int) -> bytes:
    """A gigabyte of valid JSON, compressed into one megabyte: a compressed megabyte of spaces, repeated."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, wbits)
    start = compressor.compress(NORMAL_JSON) + compressor.flush(zlib.Z_FULL_FLUSH)
    megabyte = compressor.compress(b" " * MEGABYTE) + compressor.flush(zlib.Z_FULL_FLUSH)
    # The end is an empty last block. There is no checksum, which no client would reach.
    return start + megabyte * 1024 + b"\x03\x00"


def compressed(content: bytes, encoding: str = "gzip", status: str = "200 OK") -> bytes:
    return response(content, status, f"Content-Encoding: {encoding}")


# --- behaviours --------------------------------------------------------------------------------------------


def before_reading(behaviour: Behaviour) -> Behaviour:
    return attrs.evolve(behaviour, before_reading=True)


def responds_early(peer: Peer) -> None:
    peer.send(NORMAL_RESPONSE)
    peer.read_head()


def trickles(head: bytes, pieces: Iterable[bytes]) -> Behaviour:
    def run(peer: Peer) -> None:
        peer.send(head)
        peer.trickle(pieces)

    return Behaviour(run)


def trickles_in_handshake(peer: Peer) -> None:
    """One byte after the other of a TLS record that never gets complete."""
    peer.read_some()
    peer.trickle(chain((b"\x16\x03\x03\x40\x00",), repeat(b"\x02")))


def trickles_in_tunnel(peer: Peer) -> None:
    peer.send(TUNNEL)
    trickles_in_handshake(peer)


def handshake_as(host: str, *, expired: bool = False, trusted: bool = True) -> Behaviour:
    return Behaviour(lambda peer: peer.secure(certificate(host, expired=expired, trusted=trusted)), before_reading=True)


def rejects_handshake(peer: Peer) -> None:
    peer.read_some()
    # A fatal alert: handshake_failure.
    peer.send(b"\x15\x03\x03\x00\x02\x02\x28")
    peer.close()


def closes_tunnel(peer: Peer) -> None:
    peer.send(TUNNEL)
    peer.read_some()
    peer.close()


def in_tunnel(behaviour: Behaviour) -> Behaviour:
    return attrs.evolve(behaviour, in_tunnel=True)


HALF_A_SECOND = RetryPolicy(attempts=2, base=0.001, total=0.5)
A_SECOND = RetryPolicy(attempts=2, base=0.001, total=1.0)


def cut_off(name: str, behaviour: Behaviour, **options: Any) -> Fault:
    """A fault that goes on until the policy's time is used up."""
    return Fault(name, behaviour, RequestTimeoutError, "RetryPolicy.total is used up", **options)


# --- the table -----------------------------------------------------------------------------------------------


def too_fast(*headers: str) -> Behaviour:
    return sends(response({"code": 429, "message": "Too fast."}, "429 Too Many Requests", *headers))


LATER = ("Date: Fri, 03 Jul 2026 10:00:00 GMT", "Retry-After: Fri, 03 Jul 2026 11:00:00 GMT")
EARLIER = ("Date: Fri, 03 Jul 2026 10:00:00 GMT", "Retry-After: Fri, 03 Jul 2026 09:00:00 GMT")
IN_A_SECOND = ("Date: Fri, 03 Jul 2026 10:00:00 GMT", "Retry-After: Fri, 03 Jul 2026 10:00:01 GMT")

TOO_FAST = [
    Fault(
        "429, Retry-After: 0, broken gzip",
        sends(response(b"\x1f\x8b" + BODY, "429 ", "Content-Encoding: gzip", "Retry-After: 0")),
        RateLimitError,
        "Too Many Requests",
        2,
        {"retry_after": 0.0},
    ),
    Fault("429, Retry-After: 0", too_fast("Retry-After: 0"), RateLimitError, "Too fast.", 2, {"retry_after": 0.0}),
    Fault("429, Retry-After a past date", too_fast(*EARLIER), RateLimitError, "Too fast.", 2, {"retry_after": 0.0}),
    *(
        Fault(
            f"429, {name}; 0.2 s left",
            too_fast(*headers),
            RateLimitError,
            "Too fast.",
            fields={"retry_after": seconds},
            **NOT_SENT,
        )
        for name, headers, seconds in [
            ("no Retry-After", (), None),
            ("Retry-After: 3600", ("Retry-After: 3600",), 3600.0),
            ("Retry-After a date in an hour", LATER, 3600.0),
            ("Retry-After: nan", ("Retry-After: nan",), None),
            ("Retry-After: 10^12", (f"Retry-After: {10**12}",), None),
            ("Retry-After: -1", ("Retry-After: -1",), None),
            ("Retry-After empty", ("Retry-After:",), None),
        ]
    ),
]

# The server asks for a second, or for nothing valid, which means a quarter of one; then the second attempt follows.
PAUSES = [
    Fault("429, no Retry-After; once", too_fast(), attempts=2),
    Fault("429, Retry-After: 1; once", too_fast("Retry-After: 1"), attempts=2),
    Fault("429, Retry-After a date in a second; once", too_fast(*IN_A_SECOND), attempts=2),
    Fault("429, Retry-After: nan; once", too_fast("Retry-After: nan"), attempts=2),
    Fault("429, Retry-After: 10^12; once", too_fast(f"Retry-After: {10**12}"), attempts=2),
    Fault("429, Retry-After empty; once", too_fast("Retry-After:"), attempts=2),
]


def redirects(location: str, status: str = "302 Found") -> Fault:
    behaviour = sends(response(PAGE, status, f"Location: {location}"))
    return Fault(
        f"{status} to another host", behaviour, StatusError, "redirects elsewhere", fields={"status": int(status[:3])}
    )


def refuses(status: str, error: type[ChartMogulError], attempts: int = 1) -> Fault:
    body = {"message": "Not now.", "marker": MARKER}
    code = int(status[:3])
    return Fault(status, sends(response(body, status)), error, "Not now.", attempts, {"status": code})


WITHOUT_A_BODY = [
    Fault("204 without a body", sends(b"HTTP/1.1 204 No Content\r\n\r\n"), DecodeError, "the body of 0 bytes is empty"),
    Fault("304 without a body", sends(b"HTTP/1.1 304 Not Modified\r\n\r\n"), StatusError, fields={"status": 304}),
]

STATUSES = [
    *(
        refuses(status, ServerError, attempts=2)
        for status in (
            "500 Internal Server Error",
            "502 Bad Gateway",
            "503 Service Unavailable",
            "504 Gateway Timeout",
            "520 Web Server Returned an Unknown Error",
            "524 A Timeout Occurred",
        )
    ),
    redirects("https://elsewhere.example/v1/metrics/mrr"),
    refuses("501 Not Implemented", ServerError),
    refuses("505 HTTP Version Not Supported", ServerError),
    refuses("599 Unknown", ServerError),
    refuses("400 Bad Request", BadRequestError),
    refuses("401 Unauthorized", AuthenticationError),
    refuses("402 Payment Required", RequestFailedError),
    refuses("403 Forbidden", ForbiddenError),
    refuses("404 Not Found", NotFoundError),
    refuses("418 I'm a Teapot", StatusError),
    refuses("422 Unprocessable Entity", ValidationError),
    *WITHOUT_A_BODY,
    Fault("502 with a page of HTML", sends(response(PAGE, "502 Bad Gateway")), ServerError, "not JSON", 2),
    Fault("502 with an empty body", sends(response(b"", "502 Bad Gateway")), ServerError, "Bad Gateway", 2),
    Fault("422 with an empty body", sends(response(b"", "422 ")), ValidationError, "Unprocessable"),
    Fault("422 with garbage", sends(response(b"\xff\xfe\x00\x01", "422 ")), ValidationError),
    Fault(
        "422 with broken gzip", sends(compressed(b"\x1f\x8b" + BODY, status="422 ")), ValidationError, "Unprocessable"
    ),
    Fault(
        "422 that repeats the API key",
        sends(response({"message": f"No such key: {KEY}"}, "422 ")),
        ValidationError,
        "No such key",
    ),
    Fault(
        "422 with control characters",
        sends(response({"message": "Red: \x1b[31m\r\nnext line\x00", "param": "a\nb"}, "422 ")),
        ValidationError,
        "Red",
    ),
    Fault(
        "422 with half of a surrogate pair",
        sends(response({"message": "half: \ud83d"}, "422 ")),
        ValidationError,
        "half",
    ),
    Fault(
        "422 with a message of 60 kB",
        sends(response({"message": "long " * 12_000}, "422 ")),
        ValidationError,
        "long",
    ),
    Fault(
        "401 with a request id in Latin-1",
        sends(response({"message": "No."}, "401 ", "X-Request-Id: caf\xe9 \xff")),
        AuthenticationError,
        "No.",
    ),
]

BODIES = [
    Fault("200 with an empty body", sends(response(b"")), DecodeError, "the body of 0 bytes is empty"),
    Fault("200 with spaces", sends(response(b" \r\n ")), DecodeError, "empty"),
    Fault(
        "200 with a page of HTML", sends(response(PAGE, "200 OK", "Content-Type: text/html")), DecodeError, "not JSON"
    ),
    Fault("200 with garbage", sends(response(b"\x80\xff\x00" + MARKER.encode())), DecodeError, "not JSON"),
    Fault("200 with half of the JSON", sends(response(BODY[: len(BODY) // 2])), DecodeError, "not JSON"),
    Fault("200 with two JSON bodies", sends(response(BODY + BODY)), DecodeError, "not JSON"),
    Fault("200 with a byte order mark", sends(response(b"\xef\xbb\xbf" + BODY))),
    Fault("200 with JSON nested 100,000 deep", sends(response(b"[" * 10**5 + b"]" * 10**5)), DecodeError),
    Fault(
        '200 with {"error": …}', sends(response({"error": "Not today.", "marker": MARKER})), DecodeError, "Not today."
    ),
    Fault("200 with null", sends(response(b"null")), DecodeError, "$: expected object, got null"),
    Fault("200 with a list", sends(response([NORMAL_BODY])), DecodeError, "$: expected object, got list"),
    Fault("200 with a string", sends(response(f'"{MARKER}"'.encode())), DecodeError, "$: expected object, got str"),
    Fault("200 with a number", sends(response(b"1")), DecodeError, "$: expected object, got int"),
    Fault("entries are an object", sends(response({**NORMAL_BODY, "entries": {MARKER: 1}})), DecodeError, "$.entries"),
    Fault("entries are null", sends(response({**NORMAL_BODY, "entries": None})), DecodeError, "$.entries"),
    Fault("entries are missing", sends(response({"summary": NORMAL_BODY["summary"]})), DecodeError, "$.entries"),
    Fault("an entry is a string", sends(response({**NORMAL_BODY, "entries": [MARKER]})), DecodeError, "$.entries[0]"),
    Fault("a number is a string", sends(response(entry_with(mrr=MARKER))), DecodeError, "$.entries[0].mrr: expected"),
    Fault("a number is true", sends(response(entry_with(mrr=True))), DecodeError, "$.entries[0].mrr: expected"),
    Fault("a number is null", sends(response(entry_with(mrr=None))), DecodeError, "$.entries[0].mrr: expected"),
    Fault(
        "a date is another string", sends(response(entry_with(date=MARKER))), DecodeError, "$.entries[0].date: expected"
    ),
    Fault(
        "a date is not a day",
        sends(response(entry_with(date="2023-02-31"))),
        DecodeError,
        "$.entries[0].date: expected",
    ),
    Fault("a number is NaN", sends(response(with_number("NaN"))), DecodeError),
    Fault("a number is Infinity", sends(response(with_number("Infinity"))), DecodeError),
    Fault("a number is -Infinity", sends(response(with_number("-Infinity"))), DecodeError),
    Fault("a number is 1e400", sends(response(with_number("1e400"))), DecodeError),
    Fault("a rate is 10^400", sends(response(entry_with(percentage_change=10**400))), DecodeError),
    Fault("a number is 10^400", sends(response(entry_with(mrr=10**400))), entries=HUGE_ENTRIES),
    Fault("a number has 5,000 digits", sends(response(with_number("7" * 5000))), DecodeError),
    Fault(
        "a key twice, the last one wins",
        sends(response(with_number('1, "mrr": 363819722'))),
    ),
    Fault(
        "all entries twice, the last ones win",
        sends(response(b'{"entries": [{"mrr": "no number"}], ' + BODY[1:])),
    ),
    Fault("unknown keys", sends(response({**entry_with(new_field={"a": [1]}), "another": None}))),
]

COMPRESSED_BODIES = [
    Fault("gzip", sends(compressed(gzip.compress(BODY)))),
    Fault("invalid gzip", sends(compressed(BODY)), NetworkError, "DecodingError", 2),
    Fault(
        "gzip that is broken in the middle",
        sends(compressed(gzip.compress(BODY)[:60] + b"\xff" * 60)),
        NetworkError,
        "",
        2,
    ),
    Fault("gzip that ends too early", sends(compressed(gzip.compress(BODY)[:60])), NetworkError, "", 2),
    Fault("gzip of two members", sends(compressed(members(BODY[:99], BODY[99:])))),
    Fault("gzip of two members and zeros", sends(compressed(members(BODY[:99], BODY[99:]) + bytes(512)))),
    Fault(
        "gzip with garbage behind it",
        sends(compressed(gzip.compress(BODY) + MARKER.encode())),
        NetworkError,
        "DecodingError",
        2,
    ),
    Fault(
        "gzip whose second member ends too early",
        sends(compressed(members(BODY[:99], BODY[99:])[:-9])),
        NetworkError,
        "incomplete",
        2,
    ),
    Fault(
        "gzip of 20,000 empty members",
        sends(compressed(members(b"") * 20_000)),
        NetworkError,
        "more than 10000 members",
        2,
    ),
    Fault("invalid deflate", sends(compressed(b"\xff" * 60, "deflate")), NetworkError, "DecodingError", 2),
    Fault("an encoding that was not requested", sends(compressed(b"\x00\x01", "x-unknown")), DecodeError, "not JSON"),
]

TOO_LARGE = [
    Fault(
        "a body of 100 MB",
        streams(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(NORMAL_JSON) + 100 * MEGABYTE)),
        DecodeError,
        "the body is larger than",
    ),
    Fault(
        "a body of 100 MB in chunks",
        streams(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", in_chunks=True),
        DecodeError,
        "the body is larger than",
    ),
    Fault("a gzip bomb", sends(compressed(bomb(zlib.MAX_WBITS | 16))), DecodeError, "the body is larger than"),
    Fault(
        "a gzip bomb behind a first member",
        sends(compressed(gzip.compress(b" " * 60 * MEGABYTE) + bomb(zlib.MAX_WBITS | 16))),
        DecodeError,
        "the body is larger than",
    ),
    Fault("a deflate bomb", sends(compressed(bomb(zlib.MAX_WBITS), "deflate")), DecodeError, "the body is larger than"),
    Fault(
        "a gzip bomb in a gzip bomb",
        sends(compressed(gzip.compress(bomb(zlib.MAX_WBITS | 16)), "gzip, gzip")),
        DecodeError,
    ),
]

OTHER_BODY = json.dumps(entry_with(mrr=666)).encode()

WIRE = [
    Fault("reset before the request is read", before_reading(resets_after()), NetworkError, "", 2),
    # On uvloop a socket that is gone so early causes errors of classes that nothing below expects.
    Fault(
        "reset before the request is read, 30 times",
        before_reading(resets_after()),
        NetworkError,
        attempts=30,
        retry=RetryPolicy(attempts=30, base=0.001, cap=0.001, total=15.0),
    ),
    Fault("reset before the head", resets_after(), NetworkError, "", 2),
    Fault("reset inside the head", resets_after(HEAD[:20]), NetworkError, "", 2),
    Fault("reset inside the body", resets_after(NORMAL_RESPONSE[:-20]), NetworkError, "", 2),
    Fault("close before the request is read", before_reading(closes_after()), NetworkError, "", 2),
    Fault("close without a response", closes_after(), NetworkError, "disconnected", 2),
    Fault(
        "close without a response, on an idle connection",
        closes_after(),
        NetworkError,
        "disconnected",
        2,
        before=NORMAL,
    ),
    Fault("reset without a response, on an idle connection", resets_after(), NetworkError, "", 2, before=NORMAL),
    Fault("an idle connection is closed", NORMAL, before=closes_after(NORMAL_RESPONSE), connections=2),
    Fault("an idle connection is reset", NORMAL, before=resets_after(NORMAL_RESPONSE), connections=2),
    Fault("close inside the head", closes_after(HEAD[:20]), NetworkError, "", 2),
    Fault("close inside the body", closes_after(NORMAL_RESPONSE[:-20]), NetworkError, "", 2),
    Fault("Content-Length too long, then close", closes_after(response(length=len(BODY) + 9)), NetworkError, "", 2),
    Fault("Content-Length too short", sends(response(length=len(BODY) - 9)), DecodeError, "not JSON"),
    Fault("Content-Length of the whole JSON, then more", sends(NORMAL_RESPONSE + b"more"), connections=2),
    Fault("Content-Length: -1", sends(response(length=-1)), NetworkError, "", 2),
    Fault("two Content-Lengths", sends(response(NORMAL_BODY, "200 OK", "Content-Length: 7")), NetworkError, "", 2),
    Fault("chunks", sends(chunked(BODY[:9], BODY[9:]))),
    Fault("chunks with a trailer", sends(chunked(BODY, end=b"0\r\nX-Trailer: 1\r\n\r\n"))),
    Fault("1 MB of trailers", sends(chunked(BODY, end=b"0\r\n" + b"X: y\r\n" * 180_000)), NetworkError, "", 2),
    Fault("a chunk with a broken size", sends(chunked(BODY, end=b"no size\r\n")), NetworkError, "", 2),
    Fault(
        "a chunk that shows the body as its size", sends(chunked(end=MARKER.encode() + b"\r\n")), NetworkError, "", 2
    ),
    Fault("a chunk without its end", sends(chunked(end=b"3\r\nabcdef")), NetworkError, "", 2),
    Fault("a chunk of 10^30 bytes", closes_after(chunked(end=b"%x\r\n" % 10**30)), NetworkError, "", 2),
    Fault("chunks without the last one, then close", closes_after(chunked(BODY, end=b"")), NetworkError, "", 2),
    Fault("garbage instead of HTTP", closes_after(MARKER.encode() + b"\x00\xff\r\n\r\n"), NetworkError, "", 2),
    Fault("endless garbage", closes_after(b"\x00\xff" * 2**17), NetworkError, "", 2),
    Fault("HTTP/0.9: a body without a head", closes_after(BODY), NetworkError, "", 2),
    Fault("HTTP/0.9: a page of HTML", closes_after(PAGE + b"\r\n\r\n"), NetworkError, "", 2),
    Fault("HTTP/1.0: a body until the close", closes_after(b"HTTP/1.0 200 OK\r\n\r\n" + BODY)),
    Fault("HTTP/2", closes_after(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"), NetworkError, "", 2),
    Fault("another protocol", before_reading(closes_after(b"SSH-2.0-OpenSSH_9.6\r\n")), NetworkError, "", 2),
    Fault("a status that is not a number", closes_after(b"HTTP/1.1 OK 200\r\n\r\n" + BODY), NetworkError, "", 2),
    Fault("a header without a colon", sends(response(None, "200 OK", f"{MARKER} and no colon")), NetworkError, "", 2),
    Fault("a header with a NUL", sends(response(None, "200 OK", "X-Nul: \x00")), NetworkError, "", 2),
    Fault("100 kB of headers", sends(response(None, "200 OK", *[f"X-{n}: {'x' * 1000}" for n in range(100)]))),
    Fault(
        "1 MB of headers",
        sends(response(None, "200 OK", *[f"X-{n}: {'x' * 1000}" for n in range(1000)])),
        NetworkError,
        "",
        2,
    ),
    Fault("one header of 1 MB", sends(response(None, "200 OK", f"X: {'x' * MEGABYTE}")), NetworkError, "", 2),
    Fault("100 Continue, then the response", sends(b"HTTP/1.1 100 Continue\r\n\r\n" + NORMAL_RESPONSE)),
    Fault(
        "103 Early Hints, then the response", sends(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + NORMAL_RESPONSE)
    ),
    Fault(
        "101 Switching Protocols",
        closes_after(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
        NetworkError,
        "",
        2,
    ),
    Fault("a response before the request is read", Behaviour(responds_early, before_reading=True)),
    Fault(
        "a second response behind the first",
        NORMAL,
        before=sends(NORMAL_RESPONSE + response(OTHER_BODY)),
        connections=2,
    ),
    Fault(
        "a second response after the first", NORMAL, before=sends(NORMAL_RESPONSE, response(OTHER_BODY)), connections=2
    ),
    Fault(
        "a second response behind a first of 64 kB",
        NORMAL,
        before=sends(sized_response(2**16) + response(OTHER_BODY)),
        connections=2,
    ),
    Fault(
        "a second response behind a first of 256 kB",
        NORMAL,
        before=sends(sized_response(2**18) + response(OTHER_BODY)),
        connections=2,
    ),
    Fault("one byte behind the response", NORMAL, before=sends(NORMAL_RESPONSE + b"H"), connections=2),
    Fault("Connection: close", NORMAL, before=sends(response(None, "200 OK", "Connection: close")), connections=2),
    Fault("an idle connection after 64 kB", NORMAL, before=sends(sized_response(2**16)), connections=1),
    Fault("Set-Cookie", sends(response(None, "200 OK", "Set-Cookie: session=1; Path=/"))),
    Fault("503 with Set-Cookie", sends(response({}, "503 ", "Set-Cookie: session=1; Path=/")), ServerError, "", 2),
]

STALLS = [
    Fault("a stalled head", stalls_after(HEAD[:20]), RequestTimeoutError, "ReadTimeout", 2, stalled_phase="read"),
    Fault(
        "a stalled body",
        stalls_after(NORMAL_RESPONSE[:-20]),
        RequestTimeoutError,
        "ReadTimeout",
        2,
        stalled_phase="read",
    ),
    Fault(
        "a server that never reads",
        Behaviour(Peer.wait_without_reading, before_reading=True),
        RequestTimeoutError,
        "ReadTimeout",
        2,
        stalled_phase="read",
    ),
    Fault(
        "a server that never accepts",
        None,
        RequestTimeoutError,
        "ConnectTimeout",
        2,
        exchanges=0,
        stalled_phase="connect",
        target=never_accepted,
    ),
]

TRICKLES = [
    cut_off("a body that trickles", trickles(HEAD, repeat(b" ")), retry=A_SECOND),
    cut_off("headers that trickle", trickles(HEAD[:-2], repeat(b"X: y\r\n")), retry=A_SECOND),
    cut_off("endless 100 Continue", trickles(b"", repeat(b"HTTP/1.1 100 Continue\r\n\r\n")), retry=A_SECOND),
]

NOWHERE = [
    Fault("connection refused", None, NetworkError, "ConnectError", 2, exchanges=0, target=refused),
    Fault(
        "a host without an address",
        None,
        NetworkError,
        "ConnectError",
        2,
        exchanges=0,
        next_error=NetworkError,
        target=unknown_host("api.chartmogul.invalid"),
    ),
    Fault(
        "a proxy whose name cannot be looked up",
        None,
        NetworkError,
        "",
        2,
        exchanges=0,
        next_error=NetworkError,
        target=unknown_proxy(f"{'a' * 64}.example"),
    ),
]

TLS = [
    Fault("TLS", None, exchanges=1, target=secure),
    Fault("an expired certificate", handshake_as("127.0.0.1", expired=True), NetworkError, "expired", target=secure),
    Fault("a certificate for another host", handshake_as("other.example"), NetworkError, "127.0.0.1", target=secure),
    Fault(
        "a certificate of an unknown authority",
        handshake_as("127.0.0.1", trusted=False),
        NetworkError,
        "CERTIFICATE_VERIFY_FAILED",
        target=secure,
    ),
    Fault(
        "the TLS handshake is refused",
        Behaviour(rejects_handshake, before_reading=True),
        NetworkError,
        "",
        2,
        target=secure,
    ),
    Fault(
        "plain HTTP in place of TLS",
        before_reading(closes_after(NORMAL_RESPONSE)),
        NetworkError,
        "the server does not use TLS",
        target=secure,
    ),
    Fault("close in the TLS handshake", before_reading(closes_after()), NetworkError, "", 2, target=secure),
    Fault("reset in the TLS handshake", before_reading(resets_after()), NetworkError, "", 2, target=secure),
    Fault(
        "a stalled TLS handshake",
        before_reading(stalls_after()),
        RequestTimeoutError,
        "ConnectTimeout",
        2,
        stalled_phase="connect",
        target=secure,
    ),
    cut_off(
        "a TLS handshake that stalls longer than the total",
        before_reading(stalls_after()),
        retry=HALF_A_SECOND,
        target=secure,
    ),
    cut_off(
        "a TLS handshake that trickles",
        Behaviour(trickles_in_handshake, before_reading=True),
        retry=HALF_A_SECOND,
        target=secure,
    ),
    cut_off("TLS: a body that trickles", trickles(HEAD, repeat(b" ")), retry=HALF_A_SECOND, target=secure),
    Fault("TLS: close inside the body", closes_after(NORMAL_RESPONSE[:-20]), NetworkError, "", 2, target=secure),
    Fault("TLS: reset inside the body", resets_after(NORMAL_RESPONSE[:-20]), NetworkError, "", 2, target=secure),
    Fault(
        "TLS: close without a response, on an idle connection",
        closes_after(),
        NetworkError,
        "",
        2,
        before=NORMAL,
        target=secure,
    ),
    Fault(
        "TLS: a second response behind the first",
        NORMAL,
        before=Behaviour(lambda peer: peer.send_together(NORMAL_RESPONSE, response(OTHER_BODY))),
        connections=2,
        target=secure,
    ),
    Fault(
        "TLS: a second response in the record of the first",
        NORMAL,
        before=sends(NORMAL_RESPONSE + response(OTHER_BODY)),
        connections=2,
        target=secure,
    ),
    # Of both, received at once, TLS gets 64 kB: the first one, and too little of the second to show.
    Fault(
        "TLS: a second response of 30 kB behind a first of 62 kB",
        NORMAL,
        before=Behaviour(lambda peer: peer.send_together(sized_response(62_000), response(OTHER_BODY.ljust(30_000)))),
        connections=2,
        target=secure,
    ),
    Fault(
        "TLS: an idle connection after 64 kB", NORMAL, before=sends(sized_response(2**16)), connections=1, target=secure
    ),
    Fault(
        "TLS: an idle connection is closed",
        NORMAL,
        before=closes_after(NORMAL_RESPONSE),
        connections=2,
        target=secure,
    ),
]

PROXIES = [
    Fault("a proxy", None, exchanges=1, target=proxied),
    Fault("a proxy that refuses", closes_after(response(b"", "403 Forbidden")), NetworkError, "403", 2, target=proxied),
    Fault(
        "a proxy that requires another password",
        closes_after(response(PAGE, "407 Proxy Authentication Required")),
        NetworkError,
        "407",
        1,
        target=proxied,
    ),
    Fault(
        "a proxy that does not speak SOCKS",
        before_reading(stalls_after(response(PAGE, "400 Bad Request"))),
        NetworkError,
        "no valid reply from the SOCKS proxy",
        2,
        # Two of the next request.
        exchanges=4,
        next_error=NetworkError,
        target=without_socks,
    ),
    Fault("a SOCKS proxy", None, exchanges=1, target=proxied_by_socks()),
    Fault("a SOCKS proxy with a login", None, exchanges=1, target=proxied_by_socks(PROXY_PASSWORD)),
    Fault(
        "a SOCKS proxy that requires another password",
        None,
        NetworkError,
        "Invalid username/password",
        exchanges=0,
        next_error=NetworkError,
        target=proxied_by_socks("another one"),
    ),
    Fault(
        "a proxy that cannot connect",
        closes_after(response(PAGE, "502 Bad Gateway")),
        NetworkError,
        "502",
        2,
        target=proxied,
    ),
    Fault("a proxy that resets", resets_after(), NetworkError, "", 2, target=proxied),
    Fault("a proxy that closes", closes_after(), NetworkError, "", 2, target=proxied),
    Fault(
        "a proxy that sends garbage", closes_after(MARKER.encode() + b"\r\n\r\n"), NetworkError, "", 2, target=proxied
    ),
    Fault("a proxy that closes the tunnel", Behaviour(closes_tunnel), NetworkError, "", 2, target=proxied),
    Fault("a proxy that stalls", stalls_after(), RequestTimeoutError, "", 2, stalled_phase="read", target=proxied),
    Fault(
        "a proxy whose tunnel stalls",
        stalls_after(TUNNEL),
        RequestTimeoutError,
        "ConnectTimeout",
        2,
        stalled_phase="connect",
        target=proxied,
    ),
    cut_off("a proxy that stalls longer than the total", stalls_after(), retry=HALF_A_SECOND, target=proxied),
    cut_off("a proxy that trickles", trickles(TUNNEL[:-2], repeat(b"X: y\r\n")), retry=HALF_A_SECOND, target=proxied),
    cut_off(
        "a proxy whose tunnel stalls longer than the total", stalls_after(TUNNEL), retry=HALF_A_SECOND, target=proxied
    ),
    cut_off("a proxy whose tunnel trickles", Behaviour(trickles_in_tunnel), retry=HALF_A_SECOND, target=proxied),
    *(
        fault
        for name, target in (("a proxy", proxied), ("a proxy over TLS", proxied_over_tls))
        for fault in (
            Fault(
                f"{name}: reset inside the body",
                in_tunnel(resets_after(NORMAL_RESPONSE[:-20])),
                NetworkError,
                "",
                2,
                target=target,
            ),
            Fault(
                f"{name}: a second response in the record of the first",
                in_tunnel(NORMAL),
                before=in_tunnel(sends(NORMAL_RESPONSE + response(OTHER_BODY))),
                connections=2,
                target=target,
            ),
            Fault(
                f"{name}: an idle connection is closed",
                in_tunnel(NORMAL),
                before=in_tunnel(closes_after(NORMAL_RESPONSE)),
                connections=2,
                target=target,
            ),
        )
    ),
    Fault("a proxy over TLS", None, exchanges=1, target=proxied_over_tls),
    Fault(
        "a proxy over TLS that refuses",
        closes_after(response(b"", "403 Forbidden")),
        NetworkError,
        "403",
        2,
        target=proxied_over_tls,
    ),
    cut_off(
        "a proxy over TLS whose tunnel stalls longer than the total",
        stalls_after(TUNNEL),
        retry=HALF_A_SECOND,
        target=proxied_over_tls,
    ),
]

ON_THE_WIRE = [*WITHOUT_A_BODY, *WIRE, *STALLS, *NOWHERE[:2], *TLS]
"""What any connection without a proxy has to notice by itself."""

TABLE = [*TOO_FAST, *STATUSES, *BODIES, *COMPRESSED_BODIES, *COSTLY, *WIRE, *STALLS, *NOWHERE, *TLS, *PROXIES]
TAKE_A_SECOND = [*PAUSES, *TRICKLES]
