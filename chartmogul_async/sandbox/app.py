"""The sandbox as an ASGI application: it plays replies out to whatever server runs it.

There is no web framework below: the routes are a dozen fixed paths, and the faults need the bare protocol.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from math import inf
from typing import Any

import anyio

from chartmogul_async.sandbox.exchange import Asked, Exchange, Handle

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

RESET = "chartmogul_async.sandbox.reset"
"""The name under which the sandbox's own server puts a function into the scope's extensions that resets
the connection.
"""

_ARRIVAL = 0.02  # seconds for sent bytes to be read before the reset, which may throw them away


class App:
    """An ASGI 3 application over a sandbox.

    Under the sandbox's own server a reset is a real one (RST). Under any other it is a
    ``ConnectionResetError``, out of which most servers make a broken connection or, before the head, a 500.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request. Raises ``RuntimeError`` for anything but HTTP, which servers take as "no
        lifespan here".
        """
        if scope["type"] != "http":
            raise RuntimeError(f"the sandbox speaks HTTP only, not {scope['type']}")
        exchange = self._handle(_asked(scope), anyio.current_time())
        try:
            await _play(exchange, scope, receive, send)
        finally:
            exchange.close()


def _asked(scope: Message) -> Asked:
    path, query = scope.get("raw_path") or scope["path"].encode(), scope.get("query_string", b"")
    # Mounted below a prefix, the prefix is part of the path and not of the API.
    path = path.decode("latin-1").removeprefix(scope.get("root_path", ""))
    authorization = dict(scope["headers"]).get(b"authorization", b"")
    return Asked(
        scope["method"], path + ("?" + query.decode("latin-1") if query else ""), authorization.decode("latin-1")
    )


async def _play(exchange: Exchange, scope: Message, receive: Receive, send: Send) -> None:
    reply = exchange.reply
    if reply.delay and await _gone_within(reply.delay, receive):
        return
    if reply.ending == "reset":
        await _reset(exchange, scope, receive)
        return
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.head]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if reply.ending == "whole":
        exchange.close()  # before the client can know that it has everything, and ask again
        await send({"type": "http.response.body", "body": reply.sent_body})
        return
    await send({"type": "http.response.body", "body": reply.sent_body, "more_body": True})
    if reply.ending == "stall":
        await _gone_within(inf, receive)
    elif not await _gone_within(_ARRIVAL, receive):
        await _reset(exchange, scope, receive)


async def _gone_within(seconds: float, receive: Receive) -> bool:
    """Sleep, unless the client hangs up before: then say so at once, for its place is free."""
    with anyio.move_on_after(seconds):
        while (await receive())["type"] != "http.disconnect":
            pass
        return True
    return False


async def _reset(exchange: Exchange, scope: Message, receive: Receive) -> None:
    exchange.close()
    reset = scope.get("extensions", {}).get(RESET)
    if reset is None:
        raise ConnectionResetError("the sandbox was told to break this connection off")
    reset()
    await _gone_within(inf, receive)  # returning before the server has noticed would make it answer 500
