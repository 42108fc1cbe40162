"""HTTP/1.1 as bytes: a request written, and a response parsed by httptools, the extra ``fast``. Nothing here waits."""

from __future__ import annotations

import httptools
import httpx

# Bytes of head, trailers or sizes of chunks without a byte of the body between them; httptools has no bound. This one
# is httpcore's.
_LARGEST_HEAD = 100 * 2**10
_FIRST_FINAL_STATUS = 200
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


def request_bytes(request: httpx.Request) -> bytes:
    """Everything that is sent for a request whose body, if any, is in memory."""
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%b: %b" % pair for pair in request.headers.raw]
    return b"\r\n".join([*lines, b"", request.content])


class ResponseParser:
    """Parses one response, from pieces of any size. Interim responses (1xx) before it are passed over.

    Args:
        method: The request's; the response to a HEAD has no body, whatever its head contains.

    Attributes:
        status: The response's, once ``has_head`` is true, as are ``headers``.
        has_head: Whether the head of the final response was received.
        is_complete: Whether its end was received.
        is_reusable: Whether the connection may be used again: the server keeps it open, and sent nothing more.
        body: What was received of its body.
        chunks: In how many pieces that was received, or sent.
        size: All bytes received so far.
    """

    __slots__ = (
        "_is_head_request",
        "_parser",
        "_without_body",
        "body",
        "chunks",
        "has_head",
        "headers",
        "is_complete",
        "is_reusable",
        "size",
        "status",
    )

    def __init__(self, method: str) -> None:
        self.status: int = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_head: bool = False
        self.is_complete: bool = False
        self.is_reusable: bool = False
        self.size: int = 0
        self.chunks: int = 0
        self.body: bytearray = bytearray()
        self._without_body = 0
        self._is_head_request = method == "HEAD"
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def feed(self, piece: bytes) -> None:
        """Parse what was received; nothing means that the server has closed its side.

        Raises:
            httpx.RemoteProtocolError: This is not HTTP/1.1, or it ends too early.
        """
        if not piece:
            self._end()
            return
        assert self._parser is not None
        self.size += len(piece)
        self._without_body += len(piece)
        try:
            self._parser.feed_data(piece)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.is_complete:
                reason = "it switches protocols" if isinstance(error, httptools.HttpParserUpgrade) else error
                raise httpx.RemoteProtocolError(f"the response is not valid HTTP/1.1: {reason}") from None
            self.is_reusable = False
        if self.is_complete:
            # The parser refers to the methods of this object; without this only the garbage collector frees both.
            self._parser = None
        elif self._without_body > _LARGEST_HEAD:
            raise httpx.RemoteProtocolError(f"the head or the trailers are larger than {_LARGEST_HEAD} bytes")

    def _end(self) -> None:
        if not self.size:
            raise httpx.RemoteProtocolError("the server disconnected without sending a response")
        if not self.has_head or any(name.lower() in _FRAMING for name, _ in self.headers):
            raise httpx.RemoteProtocolError("the server disconnected before the response was complete")
        # Neither a length nor chunks: the body ends with the connection.
        self.is_complete = True
        self._parser = None

    def taken_body(self) -> bytes:
        """The body, which is not kept here."""
        body = bytes(self.body)
        self.body.clear()
        return body

    # --- called by httptools -----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        # After the end of the response this would be another one, which nothing has asked for.
        self.is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers, and what is behind the end, are not headers of this response.
        if not self.has_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.has_head:
            return
        assert self._parser is not None
        self.status = self._parser.get_status_code()
        self.has_head = self.status >= _FIRST_FINAL_STATUS
        self.is_complete = self.has_head and self._is_head_request

    def on_body(self, chunk: bytes) -> None:
        if not self.is_complete:
            self.body += chunk
            self.chunks += 1
            self._without_body = 0

    def on_message_complete(self) -> None:
        if not self.has_head:
            self.headers.clear()
        elif not self.is_complete:
            assert self._parser is not None
            self.is_complete = True
            self.is_reusable = self._parser.should_keep_alive()
