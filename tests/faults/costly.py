"""Responses that cost much more than their size unless something stops them: rows of the table with their size."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import attrs

from chartmogul_async.errors import DecodeError, NetworkError, RateLimitError, ValidationError
from tests.faults.checks import NORMAL_ENTRIES, Fault
from tests.faults.server import NORMAL_BODY, Behaviour, Peer, closes_after, response, sends
from tests.faults.targets import proxied

MEGABYTE = 2**20
# Bytes of a head that httpcore accepts as a whole: 100 kB.
LONG = 60_000

_ENTRY = json.dumps(NORMAL_BODY["entries"][0]).encode()


def body_of(entries: bytes) -> bytes:
    """The normal body with other entries."""
    return json.dumps({**NORMAL_BODY, "entries": "HERE"}).encode().replace(b'"HERE"', b"[%b]" % entries)


def repeated(entry: bytes, count: int) -> bytes:
    return body_of(b",".join(repeat(entry, count)))


def good_of(size: int) -> Fault:
    """A good response of at least this size."""
    count = size // len(_ENTRY) + 1
    content = repeated(_ENTRY, count)
    return Fault(f"{count} entries", sends(response(content)), entries=NORMAL_ENTRIES * count, unpacked=len(content))


def costs(name: str, content: bytes, contains: str, *, compressed: bool = False, **options: Any) -> Fault:
    """A success that cannot be structured."""
    sent = gzip.compress(content, mtime=0) if compressed else content
    headers = ["Content-Encoding: gzip"] if compressed else []
    return Fault(
        name, sends(response(sent, "200 OK", *headers)), DecodeError, contains, unpacked=len(content), **options
    )


def refused(name: str, content: bytes, contains: str, *headers: str, **options: Any) -> Fault:
    """An error response. At most 64 kB of it are read, so that is its size."""
    sent = response(content, "422 ", *headers)
    size = min(2**16, len(content)) + sum(map(len, headers))
    return Fault(name, sends(sent), ValidationError, contains, unpacked=size, **options)


def sends_endlessly(head: bytes, piece: bytes, count: int) -> Behaviour:
    """The connection is closed by the client long before the end."""

    def run(peer: Peer) -> None:
        peer.send(head)
        for _ in range(count):
            peer.send(piece)

    return Behaviour(run)


def keys(count: int, width: int) -> Iterator[bytes]:
    return (b'"%0*x":1' % (width, number) for number in range(count))


_FIVE_THOUSAND = repeated(_ENTRY, 5000)

SUCCESSES = [
    costs("gzip of a million wrong entries", repeated(b"1", 10**6), "; and more", compressed=True),
    costs("gzip of a million empty objects", repeated(b"{}", 10**6), "too many objects and lists", compressed=True),
    costs("10,000 entries, of which the last is wrong", body_of(b",".join([_ENTRY] * 9999 + [b"{}"])), "[9999].date"),
    costs("10,000 entries, each with a wrong last value", repeated(_ENTRY[:-2] + b'"x"}', 10**4), "; and more"),
    costs(
        "10,000 entries beside an error",
        b'{"error": "Not today.", ' + repeated(_ENTRY, 10**4)[1:-2] + b"x",
        "not JSON",
    ),
    costs("an entry with 100,000 short keys", body_of(b"{%b}" % b",".join(keys(10**5, 5))), "too many keys"),
    costs("an entry with 100,000 longer keys", body_of(b"{%b}" % b",".join(keys(10**5, 12))), "$.entries[0].date"),
    costs("an entry with the same key 100,000 times", body_of(b'{%b"mrr":1}' % (b'"mrr":1,' * 10**5)), "too many keys"),
    costs("lists nested 500 deep, 1,000 times", repeated(b"[" * 500 + b"]" * 500, 10**3), "too many objects and lists"),
    costs("500 integers of 4,300 digits", repeated(b"7" * 4300, 500), "not JSON"),
    costs("a float of a million digits", repeated(b'{"mrr": 0.%b}' % (b"7" * 10**6), 1), "$.entries[0].date"),
    costs("a date of a million characters", repeated(b'{"date": "%b"}' % (b"7" * 10**6), 1), "$.entries[0].date"),
    costs("a million spaces", b" " * 10**6, "is empty"),
    attrs.evolve(
        good_of(MEGABYTE),
        name="gzip of 8,000 members",
        behaviour=sends(
            response(
                b"".join(
                    gzip.compress(_FIVE_THOUSAND[start : start + 256], mtime=0)
                    for start in range(0, len(_FIVE_THOUSAND), 256)
                ),
                "200 OK",
                "Content-Encoding: gzip",
            )
        ),
        entries=NORMAL_ENTRIES * 5000,
    ),
    Fault(
        "a million chunks of one byte",
        sends_endlessly(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 1000, 1000),
        DecodeError,
        "came in more than 10000 chunks",
        connections=2,
        unpacked=MEGABYTE,
    ),
]

ERRORS = [
    Fault(
        "422 with 16 MB",
        sends_endlessly(b"HTTP/1.1 422 \r\nContent-Length: %d\r\n\r\n" % 2**24, b'"' + b"x" * (2**16 - 1), 2**8),
        ValidationError,
        "a body of more than 65536 bytes",
        connections=2,
        unpacked=2**16,
    ),
    refused(
        "422 with a gzip bomb of 60 MB",
        gzip.compress(b'{"message": "%b"}' % (b"x" * 60_000_000), mtime=0),
        "a body of more than 65536 bytes",
        "Content-Encoding: gzip",
    ),
    refused("422 with 12,000 errors", json.dumps({"errors": ["a"] * 12_000}).encode(), "a; a; a"),
    refused("422 with 4,000 fields", json.dumps({f"{n:x}": ["a"] for n in range(4_000)}).encode(), "a; a; a"),
    refused("422 with 60 kB of escapes", b'{"message": "%b"}' % (b"%25" * 20_000), "%25"),
    refused("422 with 60 kB of halves of the key", b'{"message": "%b"}' % (b"0123456789ab" * 5_000), "0123456789ab"),
]

HEADS = [
    refused("422 with a type of 60 kB", b"<", "a body of 1 characters", f"Content-Type: {'a ' * (LONG // 2)}b"),
    refused("422 with a request id of 60 kB", b'{"message": "No."}', "No.", f"X-Request-Id: {'a' * LONG}"),
    refused("422 with a link of 60 kB", b'{"message": "No."}', "No.", f"Link: {'<a>;,' * (LONG // 5)}b"),
    refused("422 with 10,000 headers", b'{"message": "No."}', "No.", *["a: b"] * 10_000),
    *(
        Fault(
            f"429 with {name}",
            sends(response({"message": "Too fast."}, "429 ", header)),
            RateLimitError,
            "Too fast.",
            2,
            {"retry_after": None},
            unpacked=LONG,
        )
        for name, header in (
            ("Retry-After of 5,000 digits", f"Retry-After: {'7' * 5000}"),
            ("Retry-After of 30,000 words", f"Retry-After: {'1 ' * (LONG // 2)}1"),
        )
    ),
    Fault(
        "a proxy whose reason is 20 kB of spaces",
        closes_after(b"HTTP/1.1 403 No" + b" " * 20_000 + b"way\r\nContent-Length: 0\r\n\r\n"),
        NetworkError,
        "ProxyError: 403 No",
        2,
        target=proxied,
        unpacked=20_000,
    ),
]

COSTLY = [*SUCCESSES, *ERRORS, *HEADS]
