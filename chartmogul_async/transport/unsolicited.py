"""Whether a server sent more than its response.

Data that was received but not read would be taken for the response to the next request. With httpx's connection only
httpcore, h11, anyio and trio know about it, and none of them has a public method for it; data that is still on the wire
is noticed by httpcore. A direct connection sees all of it by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx


def has_unsolicited_data(transport: httpx.AsyncBaseTransport, response: httpx.Response) -> bool:
    """Whether anything was received after this response.

    Args:
        transport: The one with a single connection that received the response.
        response: The response, read to its end.

    Returns:
        True if the connection must not be used again.
    """
    connections = getattr(getattr(transport, "_pool", None), "connections", ())
    if any(parser.trailing_data[0] for connection in connections if (parser := parser_of(connection))):
        return True
    return any(map(_holds_data, layers_of(response.extensions.get("network_stream"))))


def parser_of(connection: Any) -> Any:
    """The h11 connection below an entry of httpcore's pool; None where it has none."""
    while connection is not None and not hasattr(connection, "_h11_state"):
        # The connection through a proxy's tunnel is one level deeper.
        connection = getattr(connection, "_connection", None)
    return getattr(connection, "_h11_state", None)


def layers_of(stream: Any) -> Iterator[Any]:
    """The layers of a stream, the last one the socket's: of httpcore, of TLS, of anyio or trio."""
    while stream is not None:
        yield stream
        stream = getattr(stream, "_stream", None) or getattr(stream, "transport_stream", None)


def _holds_data(layer: Any) -> bool:
    """Whether a layer holds data: received by the event loop, still encrypted, or decrypted."""
    decrypted = getattr(layer, "_ssl_object", None)
    # The first name is anyio's, the second trio's.
    encrypted = getattr(layer, "_read_bio", None) or getattr(layer, "_incoming", None)
    received = getattr(getattr(layer, "_protocol", None), "read_queue", None)
    return bool(received or (encrypted is not None and encrypted.pending) or (decrypted and decrypted.pending()))
