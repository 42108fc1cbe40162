"""The sandbox as an ASGI application, which sends its responses through any ASGI server.

There is no web framework below: the routes are a dozen fixed paths, and the faults need the bare protocol.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from math import inf
from typing import Any

import anyio

from chartmogul_async.sandbox.exchange import Exchange, Handler, Request

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

RESET = "chartmogul_async.sandbox.reset"
"""The key in the scope's extensions under which the sandbox's own server puts a function that resets the
connection.
"""

# Seconds between the last sent bytes and a reset: the reset may discard bytes that the client has not read yet.
_DELAY_BEFORE_RESET = 0.02


class App:
    """An ASGI 3 application over a sandbox.

    Under the sandbox's own server a reset is a real one (RST). Under any other server it is a
    ``ConnectionResetError``, which most servers turn into a broken connection or, before the headers, a 500.

    Args:
        handler: Computes the response to each request.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Respond to one request.

        Args:
            scope: The ASGI scope of the request.
            receive: Awaits the next message of the client.
            send: Sends a message to the client.

        Raises:
            RuntimeError: The scope is not HTTP. Servers take this as "lifespan is not supported".
            ConnectionResetError: A fault resets the connection, and the server has no extension for it.
        """
        if scope["type"] != "http":
            raise RuntimeError(f"the sandbox supports HTTP only, not {scope['type']}")
        exchange = self._handler(_request_of(scope), anyio.current_time())
        try:
            await _send_response(exchange, scope, receive, send)
        finally:
            exchange.close()


def _request_of(scope: Message) -> Request:
    path, query = scope.get("raw_path") or scope["path"].encode(), scope.get("query_string", b"")
    # Under a server that mounts the application below a prefix, the path starts with that prefix.
    path = path.decode("latin-1").removeprefix(scope.get("root_path", ""))
    target = path + ("?" + query.decode("latin-1") if query else "")
    authorization = dict(scope["headers"]).get(b"authorization", b"")
    return Request(scope["method"], target, authorization.decode("latin-1"))


async def _send_response(exchange: Exchange, scope: Message, receive: Receive, send: Send) -> None:
    response = exchange.response
    if response.delay and await _disconnects_within(response.delay, receive):
        return
    if response.ending == "reset":
        await _reset(exchange, scope, receive)
        return
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.all_headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.ending == "complete":
        # The slot is released first: a client with a complete response may send its next request at once.
        exchange.close()
        await send({"type": "http.response.body", "body": response.sent_body})
        return
    await send({"type": "http.response.body", "body": response.sent_body, "more_body": True})
    if response.ending == "stall":
        await _disconnects_within(inf, receive)
    elif not await _disconnects_within(_DELAY_BEFORE_RESET, receive):
        await _reset(exchange, scope, receive)


async def _disconnects_within(seconds: float, receive: Receive) -> bool:
    """Sleep, but return True at once if the client disconnects: its slot is free then."""
    with anyio.move_on_after(seconds):
        while (await receive())["type"] != "http.disconnect":
            pass
        return True
    return False


async def _reset(exchange: Exchange, scope: Message, receive: Receive) -> None:
    exchange.close()
    reset = scope.get("extensions", {}).get(RESET)
    if reset is None:
        raise ConnectionResetError("connection reset by a fault of the sandbox")
    reset()
    # A server whose application returns before it has noticed the reset would send a 500.
    await _disconnects_within(inf, receive)
