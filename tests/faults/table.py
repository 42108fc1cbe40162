"""The faults: what the server does, and what must come of it. ``python -m tests.faults`` prints what came."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from itertools import repeat
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
from tests.faults.checks import CALM_ENTRIES, Fault
from tests.faults.scenes import certificate, nobody_accepts, nobody_listens, proxied, secure, unknown_host
from tests.faults.server import (
    CALM,
    CALM_ANSWER,
    CALM_BODY,
    MARKER,
    Act,
    Peer,
    answer,
    closes_after,
    resets_after,
    sends,
    stalls_after,
)

MEGABYTE = 2**20

CALM_JSON = json.dumps(CALM_BODY).encode()
HEAD, BODY = CALM_ANSWER.split(b"\r\n\r\n")
HEAD += b"\r\n\r\n"
PAGE = f"<html><body><h1>Just a moment</h1>{MARKER}</body></html>".encode()
HUGE_ENTRIES = (attrs.evolve(CALM_ENTRIES[0], mrr=10**400),)  # as written: a number of cents is never rounded
NOT_SENT: dict[str, Any] = {
    "attempts": 1,
    "retry": RetryPolicy(attempts=2, base=0.001, total=0.5),
    "next_error": RateLimitError,
}


# --- what is sent --------------------------------------------------------------------------------------------


def entry_with(**changes: Any) -> dict[str, Any]:
    """The calm body, with other values in its one entry. Keys are written with ``_`` for ``-``."""
    entry = {**CALM_BODY["entries"][0], **{name.replace("_", "-"): value for name, value in changes.items()}}
    return {**CALM_BODY, "entries": [entry]}


def with_number(text: str) -> bytes:
    """The calm body with this in place of the entry's MRR, be it JSON or not."""
    return json.dumps(entry_with(mrr="HERE")).replace('"HERE"', text).encode()


def sized_answer(size: int) -> bytes:
    """The calm answer, head and body together as long as the pieces in which an HTTP library reads."""
    head = f"HTTP/1.1 200 OK\r\nX-Size: {size}\r\nContent-Length: "
    content = CALM_JSON.ljust(size - len(head) - len("12345\r\n\r\n"))
    return f"{head}{len(content)}\r\n\r\n".encode() + content


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def padded(size: int) -> Iterator[bytes]:
    """The calm body and spaces, which are JSON too, up to the size."""
    yield CALM_JSON
    yield from repeat(b" " * MEGABYTE, size // MEGABYTE)


def streams(head: bytes, pieces: Iterable[bytes] | None = None, *, in_chunks: bool = False) -> Act:
    def play(peer: Peer) -> None:
        peer.send(head)
        for piece in padded(100 * MEGABYTE) if pieces is None else pieces:
            peer.send(b"%x\r\n%b\r\n" % (len(piece), piece) if in_chunks else piece)
        peer.send(b"0\r\n\r\n" if in_chunks else b"")

    return Act(play)


def bomb(wbits: int) -> bytes:
    """A gigabyte of calm JSON, packed into one megabyte: a packed megabyte of spaces, again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    start = packer.compress(CALM_JSON) + packer.flush(zlib.Z_FULL_FLUSH)
    megabyte = packer.compress(b" " * MEGABYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + megabyte * 1024 + b"\x03\x00"  # an empty last block; nobody comes as far as the checksum


def packed(content: bytes, encoding: str = "gzip", status: str = "200 OK") -> bytes:
    return answer(content, status, f"Content-Encoding: {encoding}")


# --- what is done --------------------------------------------------------------------------------------------


def at_once(act: Act) -> Act:
    return attrs.evolve(act, at_once=True)


def answers_early(peer: Peer) -> None:
    peer.send(CALM_ANSWER)
    peer.read_head()


def trickles(head: bytes, pieces: Iterable[bytes]) -> Act:
    def play(peer: Peer) -> None:
        peer.send(head)
        peer.trickle(pieces)

    return Act(play)


def shakes_hands_as(host: str, *, expired: bool = False, trusted: bool = True) -> Act:
    return Act(lambda peer: peer.secure(certificate(host, expired=expired, trusted=trusted)), at_once=True)


def refuses_to_shake_hands(peer: Peer) -> None:
    peer.read_some()
    peer.send(b"\x15\x03\x03\x00\x02\x02\x28")  # fatal alert: handshake_failure
    peer.close()


def tunnels_into_nothing(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    peer.read_some()
    peer.close()


# --- the table -----------------------------------------------------------------------------------------------


def too_fast(*headers: str) -> Act:
    return sends(answer({"code": 429, "message": "Too fast."}, "429 Too Many Requests", *headers))


LATER = ("Date: Fri, 03 Jul 2026 10:00:00 GMT", "Retry-After: Fri, 03 Jul 2026 11:00:00 GMT")
EARLIER = ("Date: Fri, 03 Jul 2026 10:00:00 GMT", "Retry-After: Fri, 03 Jul 2026 09:00:00 GMT")
IN_A_SECOND = ("Date: Fri, 03 Jul 2026 10:00:00 GMT", "Retry-After: Fri, 03 Jul 2026 10:00:01 GMT")

TOO_FAST = [
    Fault("429, Retry-After: 0", too_fast("Retry-After: 0"), RateLimitError, "Too fast.", 2, {"retry_after": 0.0}),
    Fault("429, Retry-After a past date", too_fast(*EARLIER), RateLimitError, "Too fast.", 2, {"retry_after": 0.0}),
    *(
        Fault(
            f"429, {name}; half a second left",
            too_fast(*headers),
            RateLimitError,
            "Too fast.",
            fields={"retry_after": said},
            **NOT_SENT,
        )
        for name, headers, said in [
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

# The server asks for a second, or says nothing of use and is given one: the second attempt comes after that.
PAUSES = [
    Fault("429, no Retry-After; once", too_fast(), attempts=2),
    Fault("429, Retry-After: 1; once", too_fast("Retry-After: 1"), attempts=2),
    Fault("429, Retry-After a date in a second; once", too_fast(*IN_A_SECOND), attempts=2),
    Fault("429, Retry-After: nan; once", too_fast("Retry-After: nan"), attempts=2),
    Fault("429, Retry-After: 10^12; once", too_fast(f"Retry-After: {10**12}"), attempts=2),
    Fault("429, Retry-After empty; once", too_fast("Retry-After:"), attempts=2),
]


def redirects(location: str, status: str = "302 Found") -> Fault:
    act = sends(answer(PAGE, status, f"Location: {location}"))
    return Fault(
        f"{status} to another host", act, StatusError, "redirects elsewhere", fields={"status": int(status[:3])}
    )


def refuses(status: str, error: type[ChartMogulError], attempts: int = 1) -> Fault:
    body = {"message": "Not now.", "marker": MARKER}
    code = int(status[:3])
    return Fault(status, sends(answer(body, status)), error, "Not now.", attempts, {"status": code})


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
    refuses("599 Nobody Knows", ServerError),
    refuses("400 Bad Request", BadRequestError),
    refuses("401 Unauthorized", AuthenticationError),
    refuses("402 Payment Required", RequestFailedError),
    refuses("403 Forbidden", ForbiddenError),
    refuses("404 Not Found", NotFoundError),
    refuses("418 I'm a Teapot", StatusError),
    refuses("422 Unprocessable Entity", ValidationError),
    Fault("204 without a body", sends(b"HTTP/1.1 204 No Content\r\n\r\n"), DecodeError, "the body of 0 bytes is empty"),
    Fault("304 without a body", sends(b"HTTP/1.1 304 Not Modified\r\n\r\n"), StatusError, fields={"status": 304}),
    Fault("502 with a page of HTML", sends(answer(PAGE, "502 Bad Gateway")), ServerError, "not JSON", 2),
    Fault("502 with an empty body", sends(answer(b"", "502 Bad Gateway")), ServerError, "Bad Gateway", 2),
    Fault("422 with an empty body", sends(answer(b"", "422 ")), ValidationError, "Unprocessable"),
    Fault("422 with garbage", sends(answer(b"\xff\xfe\x00\x01", "422 ")), ValidationError),
    Fault("422 with broken gzip", sends(packed(b"\x1f\x8b" + BODY, status="422 ")), NetworkError, "", 2),
    Fault(
        "422 that repeats the API key",
        sends(answer({"message": f"No such key: {KEY}"}, "422 ")),
        ValidationError,
        "No such key",
    ),
    Fault(
        "422 with control characters",
        sends(answer({"message": "Red: \x1b[31m\r\nnext line\x00", "param": "a\nb"}, "422 ")),
        ValidationError,
        "Red",
    ),
    Fault("422 with half a character", sends(answer({"message": "half: \ud83d"}, "422 ")), ValidationError, "half"),
    Fault("422 with a message of 1 MB", sends(answer({"message": "long " * 2**18}, "422 ")), ValidationError, "long"),
    Fault(
        "401 that names the request in Latin-1",
        sends(answer({"message": "No."}, "401 ", "X-Request-Id: caf\xe9 \xff")),
        AuthenticationError,
        "No.",
    ),
]

BODIES = [
    Fault("200 with an empty body", sends(answer(b"")), DecodeError, "the body of 0 bytes is empty"),
    Fault("200 with spaces", sends(answer(b" \r\n ")), DecodeError, "empty"),
    Fault("200 with a page of HTML", sends(answer(PAGE, "200 OK", "Content-Type: text/html")), DecodeError, "not JSON"),
    Fault("200 with garbage", sends(answer(b"\x80\xff\x00" + MARKER.encode())), DecodeError, "not JSON"),
    Fault("200 with half of the JSON", sends(answer(BODY[: len(BODY) // 2])), DecodeError, "not JSON"),
    Fault("200 with two JSON bodies", sends(answer(BODY + BODY)), DecodeError, "not JSON"),
    Fault("200 with a byte order mark", sends(answer(b"\xef\xbb\xbf" + BODY))),
    Fault("200 with JSON nested 100,000 deep", sends(answer(b"[" * 10**5 + b"]" * 10**5)), DecodeError),
    Fault('200 with {"error": …}', sends(answer({"error": "Not today.", "marker": MARKER})), DecodeError, "Not today."),
    Fault("200 with null", sends(answer(b"null")), DecodeError, "$: expected object, got null"),
    Fault("200 with a list", sends(answer([CALM_BODY])), DecodeError, "$: expected object, got list"),
    Fault("200 with a text", sends(answer(f'"{MARKER}"'.encode())), DecodeError, "$: expected object, got str"),
    Fault("200 with a number", sends(answer(b"1")), DecodeError, "$: expected object, got int"),
    Fault("entries are an object", sends(answer({**CALM_BODY, "entries": {MARKER: 1}})), DecodeError, "$.entries"),
    Fault("entries are null", sends(answer({**CALM_BODY, "entries": None})), DecodeError, "$.entries"),
    Fault("entries are missing", sends(answer({"summary": CALM_BODY["summary"]})), DecodeError, "$.entries"),
    Fault("an entry is a text", sends(answer({**CALM_BODY, "entries": [MARKER]})), DecodeError, "$.entries[0]"),
    Fault("a number is a text", sends(answer(entry_with(mrr=MARKER))), DecodeError, "$.entries[0].mrr: expected"),
    Fault("a number is true", sends(answer(entry_with(mrr=True))), DecodeError, "$.entries[0].mrr: expected"),
    Fault("a number is null", sends(answer(entry_with(mrr=None))), DecodeError, "$.entries[0].mrr: expected"),
    Fault("a date is another text", sends(answer(entry_with(date=MARKER))), DecodeError, "$.entries[0].date: expected"),
    Fault("a date is no day", sends(answer(entry_with(date="2023-02-31"))), DecodeError, "$.entries[0].date: expected"),
    Fault("a number is NaN", sends(answer(with_number("NaN"))), DecodeError),
    Fault("a number is Infinity", sends(answer(with_number("Infinity"))), DecodeError),
    Fault("a number is -Infinity", sends(answer(with_number("-Infinity"))), DecodeError),
    Fault("a number is 1e400", sends(answer(with_number("1e400"))), DecodeError),
    Fault("a rate is 10^400", sends(answer(entry_with(percentage_change=10**400))), DecodeError),
    Fault("a number is 10^400", sends(answer(entry_with(mrr=10**400))), entries=HUGE_ENTRIES),
    Fault("a number has 5,000 digits", sends(answer(with_number("7" * 5000))), DecodeError),
    Fault(
        "a key twice, the last one wins",
        sends(answer(with_number('1, "mrr": 363819722'))),
    ),
    Fault(
        "all entries twice, the last ones win",
        sends(answer(b'{"entries": [{"mrr": "no number"}], ' + BODY[1:])),
    ),
    Fault("unknown keys", sends(answer({**entry_with(new_field={"a": [1]}), "another": None}))),
]

PACKED_BODIES = [
    Fault("gzip", sends(packed(gzip.compress(BODY)))),
    Fault("gzip that is none", sends(packed(BODY)), NetworkError, "DecodingError", 2),
    Fault(
        "gzip that is broken in the middle", sends(packed(gzip.compress(BODY)[:60] + b"\xff" * 60)), NetworkError, "", 2
    ),
    Fault("gzip that ends too early", sends(packed(gzip.compress(BODY)[:60])), NetworkError, "", 2),
    Fault("deflate that is none", sends(packed(b"\xff" * 60, "deflate")), NetworkError, "DecodingError", 2),
    Fault("an encoding that was not asked for", sends(packed(b"\x00\x01", "x-unknown")), DecodeError, "not JSON"),
]

TOO_LARGE = [
    Fault(
        "a body of 100 MB",
        streams(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(CALM_JSON) + 100 * MEGABYTE)),
        DecodeError,
        "the body is larger than",
    ),
    Fault(
        "a body of 100 MB in chunks",
        streams(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", in_chunks=True),
        DecodeError,
        "the body is larger than",
    ),
    Fault("a gzip bomb", sends(packed(bomb(zlib.MAX_WBITS | 16))), DecodeError, "the body is larger than"),
    Fault("a deflate bomb", sends(packed(bomb(zlib.MAX_WBITS), "deflate")), DecodeError, "the body is larger than"),
    Fault(
        "a gzip bomb in a gzip bomb",
        sends(packed(gzip.compress(bomb(zlib.MAX_WBITS | 16)), "gzip, gzip")),
        DecodeError,
    ),
]

EVIL_BODY = json.dumps(entry_with(mrr=666)).encode()

WIRE = [
    Fault("reset before the request is read", at_once(resets_after()), NetworkError, "", 2),
    Fault(  # on uvloop a socket that is gone so early is found missing in places where no error is expected
        "reset before the request is read, again and again",
        at_once(resets_after()),
        NetworkError,
        attempts=30,
        retry=RetryPolicy(attempts=30, base=0.001, cap=0.001, total=15.0),
    ),
    Fault("reset before the head", resets_after(), NetworkError, "", 2),
    Fault("reset inside the head", resets_after(HEAD[:20]), NetworkError, "", 2),
    Fault("reset inside the body", resets_after(CALM_ANSWER[:-20]), NetworkError, "", 2),
    Fault("close before the request is read", at_once(closes_after()), NetworkError, "", 2),
    Fault("close without an answer", closes_after(), NetworkError, "disconnected", 2),
    Fault(
        "close without an answer, on a kept connection", closes_after(), NetworkError, "disconnected", 2, before=CALM
    ),
    Fault("reset without an answer, on a kept connection", resets_after(), NetworkError, "", 2, before=CALM),
    Fault("a kept connection is closed meanwhile", CALM, before=closes_after(CALM_ANSWER), connections=2),
    Fault("a kept connection is reset meanwhile", CALM, before=resets_after(CALM_ANSWER), connections=2),
    Fault("close inside the head", closes_after(HEAD[:20]), NetworkError, "", 2),
    Fault("close inside the body", closes_after(CALM_ANSWER[:-20]), NetworkError, "", 2),
    Fault("Content-Length too long, then close", closes_after(answer(length=len(BODY) + 9)), NetworkError, "", 2),
    Fault("Content-Length too short", sends(answer(length=len(BODY) - 9)), DecodeError, "not JSON"),
    Fault("Content-Length by the whole JSON, then more", sends(CALM_ANSWER + b"more"), connections=2),
    Fault("Content-Length: -1", sends(answer(length=-1)), NetworkError, "", 2),
    Fault("two Content-Lengths", sends(answer(CALM_BODY, "200 OK", "Content-Length: 7")), NetworkError, "", 2),
    Fault("chunks", sends(chunked(BODY[:9], BODY[9:]))),
    Fault("a chunk with a broken size", sends(chunked(BODY, end=b"no size\r\n")), NetworkError, "", 2),
    Fault(
        "a chunk that shows the body as its size", sends(chunked(end=MARKER.encode() + b"\r\n")), NetworkError, "", 2
    ),
    Fault("a chunk without its end", sends(chunked(end=b"3\r\nabcdef")), NetworkError, "", 2),
    Fault("a chunk of 10^30 bytes", closes_after(chunked(end=b"%x\r\n" % 10**30)), NetworkError, "", 2),
    Fault("chunks without the last one, then close", closes_after(chunked(BODY, end=b"")), NetworkError, "", 2),
    Fault("garbage instead of HTTP", closes_after(MARKER.encode() + b"\x00\xff\r\n\r\n"), NetworkError, "", 2),
    Fault("garbage without an end", closes_after(b"\x00\xff" * 2**17), NetworkError, "", 2),
    Fault("HTTP/0.9: a body without a head", closes_after(BODY), NetworkError, "", 2),
    Fault("HTTP/0.9: a page of HTML", closes_after(PAGE + b"\r\n\r\n"), NetworkError, "", 2),
    Fault("HTTP/1.0: a body until the close", closes_after(b"HTTP/1.0 200 OK\r\n\r\n" + BODY)),
    Fault("HTTP/2", closes_after(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"), NetworkError, "", 2),
    Fault("another protocol", at_once(closes_after(b"SSH-2.0-OpenSSH_9.6\r\n")), NetworkError, "", 2),
    Fault("a status that is a word", closes_after(b"HTTP/1.1 OK 200\r\n\r\n" + BODY), NetworkError, "", 2),
    Fault("a header without a colon", sends(answer(None, "200 OK", f"{MARKER} and no colon")), NetworkError, "", 2),
    Fault("a header with a NUL", sends(answer(None, "200 OK", "X-Nul: \x00")), NetworkError, "", 2),
    Fault("100 kB of headers", sends(answer(None, "200 OK", *[f"X-{n}: {'x' * 1000}" for n in range(100)]))),
    Fault(
        "1 MB of headers",
        sends(answer(None, "200 OK", *[f"X-{n}: {'x' * 1000}" for n in range(1000)])),
        NetworkError,
        "",
        2,
    ),
    Fault("one header of 1 MB", sends(answer(None, "200 OK", f"X: {'x' * MEGABYTE}")), NetworkError, "", 2),
    Fault("100 Continue, then the answer", sends(b"HTTP/1.1 100 Continue\r\n\r\n" + CALM_ANSWER)),
    Fault("103 Early Hints, then the answer", sends(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + CALM_ANSWER)),
    Fault(
        "101 Switching Protocols",
        closes_after(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
        NetworkError,
        "",
        2,
    ),
    Fault("an answer before the request is read", Act(answers_early, at_once=True)),
    Fault("a second answer behind the first", CALM, before=sends(CALM_ANSWER + answer(EVIL_BODY)), connections=2),
    Fault("a second answer after the first", CALM, before=sends(CALM_ANSWER, answer(EVIL_BODY)), connections=2),
    Fault(
        "a second answer behind a first of 64 kB",
        CALM,
        before=sends(sized_answer(2**16) + answer(EVIL_BODY)),
        connections=2,
    ),
    Fault("Set-Cookie", sends(answer(None, "200 OK", "Set-Cookie: session=1; Path=/"))),
    Fault("503 with Set-Cookie", sends(answer({}, "503 ", "Set-Cookie: session=1; Path=/")), ServerError, "", 2),
]

STALLS = [
    Fault("a stalled head", stalls_after(HEAD[:20]), RequestTimeoutError, "ReadTimeout", 2, gives_up_on="read"),
    Fault("a stalled body", stalls_after(CALM_ANSWER[:-20]), RequestTimeoutError, "ReadTimeout", 2, gives_up_on="read"),
    Fault(
        "a server that never reads",
        Act(Peer.wait_without_reading, at_once=True),
        RequestTimeoutError,
        "ReadTimeout",
        2,
        gives_up_on="read",
    ),
    Fault(
        "a server that never accepts",
        None,
        RequestTimeoutError,
        "ConnectTimeout",
        2,
        met=0,
        gives_up_on="connect",
        stage=nobody_accepts,
    ),
]

A_SECOND = RetryPolicy(attempts=2, base=0.001, total=1.0)

TRICKLES = [
    Fault(
        "a body that trickles",
        trickles(HEAD, repeat(b" ")),
        RequestTimeoutError,
        "total time is used up",
        retry=A_SECOND,
    ),
    Fault(
        "headers that trickle",
        trickles(HEAD[:-2], repeat(b"X: y\r\n")),
        RequestTimeoutError,
        "total time is used up",
        retry=A_SECOND,
    ),
    Fault(
        "100 Continue without an end",
        trickles(b"", repeat(b"HTTP/1.1 100 Continue\r\n\r\n")),
        RequestTimeoutError,
        "total time is used up",
        retry=A_SECOND,
    ),
]

NOWHERE = [
    Fault("connection refused", None, NetworkError, "ConnectError", 2, met=0, stage=nobody_listens),
    Fault(
        "a host without an address",
        None,
        NetworkError,
        "ConnectError",
        2,
        met=0,
        next_error=NetworkError,
        stage=unknown_host("api.chartmogul.invalid"),
    ),
    Fault(
        "a host name that cannot be looked up",
        None,
        NetworkError,
        "",
        2,
        met=0,
        next_error=NetworkError,
        stage=unknown_host(f"{'a' * 64}.example"),
    ),
]

TLS = [
    Fault("TLS", None, met=1, stage=secure),
    Fault("an expired certificate", shakes_hands_as("127.0.0.1", expired=True), NetworkError, "expired", stage=secure),
    Fault("a certificate for another host", shakes_hands_as("other.example"), NetworkError, "127.0.0.1", stage=secure),
    Fault(
        "a certificate of an unknown authority",
        shakes_hands_as("127.0.0.1", trusted=False),
        NetworkError,
        "CERTIFICATE_VERIFY_FAILED",
        stage=secure,
    ),
    Fault("the TLS handshake is refused", Act(refuses_to_shake_hands, at_once=True), NetworkError, "", 2, stage=secure),
    Fault("plain HTTP in place of TLS", at_once(closes_after(CALM_ANSWER)), NetworkError, "", 2, stage=secure),
    Fault("close in the TLS handshake", at_once(closes_after()), NetworkError, "", 2, stage=secure),
    Fault("reset in the TLS handshake", at_once(resets_after()), NetworkError, "", 2, stage=secure),
    Fault(
        "a stalled TLS handshake",
        at_once(stalls_after()),
        RequestTimeoutError,
        "ConnectTimeout",
        2,
        gives_up_on="connect",
        stage=secure,
    ),
    Fault("TLS: close inside the body", closes_after(CALM_ANSWER[:-20]), NetworkError, "", 2, stage=secure),
    Fault("TLS: reset inside the body", resets_after(CALM_ANSWER[:-20]), NetworkError, "", 2, stage=secure),
    Fault(
        "TLS: close without an answer, on a kept connection",
        closes_after(),
        NetworkError,
        "",
        2,
        before=CALM,
        stage=secure,
    ),
    Fault(
        "TLS: a second answer behind the first",
        CALM,
        before=Act(lambda peer: peer.send_together(CALM_ANSWER, answer(EVIL_BODY))),
        connections=2,
        stage=secure,
    ),
    Fault(
        "TLS: a second answer in the record of the first",
        CALM,
        before=sends(CALM_ANSWER + answer(EVIL_BODY)),
        connections=2,
        stage=secure,
    ),
    Fault(
        "TLS: a kept connection is closed meanwhile",
        CALM,
        before=closes_after(CALM_ANSWER),
        connections=2,
        stage=secure,
    ),
]

PROXIES = [
    Fault("a proxy", None, met=1, stage=proxied),
    Fault("a proxy that refuses", closes_after(answer(b"", "403 Forbidden")), NetworkError, "403", 2, stage=proxied),
    Fault(
        "a proxy that wants another password",
        closes_after(answer(PAGE, "407 Proxy Authentication Required")),
        NetworkError,
        "407",
        2,
        stage=proxied,
    ),
    Fault(
        "a proxy that cannot connect",
        closes_after(answer(PAGE, "502 Bad Gateway")),
        NetworkError,
        "502",
        2,
        stage=proxied,
    ),
    Fault("a proxy that resets", resets_after(), NetworkError, "", 2, stage=proxied),
    Fault("a proxy that closes", closes_after(), NetworkError, "", 2, stage=proxied),
    Fault(
        "a proxy that answers garbage", closes_after(MARKER.encode() + b"\r\n\r\n"), NetworkError, "", 2, stage=proxied
    ),
    Fault("a proxy that tunnels into nothing", Act(tunnels_into_nothing), NetworkError, "", 2, stage=proxied),
    Fault("a proxy that stalls", stalls_after(), RequestTimeoutError, "", 2, gives_up_on="read", stage=proxied),
]

TABLE = [*TOO_FAST, *STATUSES, *BODIES, *PACKED_BODIES, *WIRE, *STALLS, *NOWHERE, *TLS, *PROXIES]
TAKE_A_SECOND = [*PAUSES, *TRICKLES]
