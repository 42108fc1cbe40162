"""Whether a server sent more than its answer.

What was received and not read would be taken for the answer to the next request. Only httpcore, h11, anyio and trio
know of it, and none of them says so publicly; what is still on the wire httpcore itself looks for.
"""

from __future__ import annotations

from typing import Any

import httpx


def has_more(transport: httpx.AsyncBaseTransport, response: httpx.Response) -> bool:
    """Whether anything is left that was received behind this answer."""
    connections = getattr(getattr(transport, "_pool", None), "connections", ())
    return any(map(_parser_has_more, connections)) or _stream_has_more(response.extensions.get("network_stream"))


def _parser_has_more(connection: Any) -> bool:
    while connection is not None and not hasattr(connection, "_h11_state"):
        connection = getattr(connection, "_connection", None)  # a proxy's tunnel holds one more
    return connection is not None and bool(connection._h11_state.trailing_data[0])  # noqa: SLF001 - see above


def _stream_has_more(stream: Any) -> bool:
    """Look through the layers of a stream: received by the event loop, still encrypted, or decrypted already."""
    while stream is not None:
        decrypted = getattr(stream, "_ssl_object", None)
        encrypted = getattr(stream, "_read_bio", None) or getattr(stream, "_incoming", None)  # of anyio, of trio
        received = getattr(getattr(stream, "_protocol", None), "read_queue", None)
        if received or (encrypted is not None and encrypted.pending) or (decrypted is not None and decrypted.pending()):
            return True
        stream = getattr(stream, "_stream", None) or getattr(stream, "transport_stream", None)
    return False
