"""Whether a server sent more than its response.

Data that was received but not read would be taken for the response to the next request. With httpx's connection only
httpcore, h11, anyio and trio know about it, and none of them has a public method for it; data that is still on the wire
is noticed by httpcore. A direct connection sees all of it by itself.
"""

from __future__ import annotations

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
    return any(map(_parser_has_data, connections)) or _stream_has_data(response.extensions.get("network_stream"))


def _parser_has_data(connection: Any) -> bool:
    while connection is not None and not hasattr(connection, "_h11_state"):
        # The connection through a proxy's tunnel is one level deeper.
        connection = getattr(connection, "_connection", None)
    return connection is not None and bool(connection._h11_state.trailing_data[0])  # noqa: SLF001 - see above


def _stream_has_data(stream: Any) -> bool:
    """Whether any layer of a stream holds data: received by the event loop, still encrypted, or decrypted."""
    while stream is not None:
        decrypted = getattr(stream, "_ssl_object", None)
        # The first name is anyio's, the second trio's.
        encrypted = getattr(stream, "_read_bio", None) or getattr(stream, "_incoming", None)
        received = getattr(getattr(stream, "_protocol", None), "read_queue", None)
        if received or (encrypted is not None and encrypted.pending) or (decrypted is not None and decrypted.pending()):
            return True
        stream = getattr(stream, "_stream", None) or getattr(stream, "transport_stream", None)
    return False
