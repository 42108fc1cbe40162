"""The sandbox as an httpx transport: no sockets, no server, any event loop, any clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from math import inf

import anyio
import httpx

from chartmogul_async.sandbox.exchange import Asked, Exchange, Handle
from chartmogul_async.sandbox.reply import Reply


class SandboxTransport(httpx.AsyncBaseTransport):
    """Answers an ``httpx.AsyncClient`` out of the sandbox, whatever host it asks.

    Delays are slept with ``anyio.sleep``, so they take no time under a virtual clock. The request's read
    timeout is kept: an answer or the next part of a body that comes later raises ``httpx.ReadTimeout``.
    Resets raise ``httpx.ReadError``. A response holds its place among the parallel requests until its body is
    read to the end or it is closed, so a client that forgets to close shows in ``counters.in_progress``.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request. Its body is not read, for the API only reads."""
        asked = Asked(request.method, request.url.raw_path.decode("ascii"), request.headers.get("authorization", ""))
        exchange = self._handle(asked, anyio.current_time())
        timeout = request.extensions.get("timeout", {}).get("read")
        patience = inf if timeout is None else timeout
        try:
            await _until_head(exchange.reply, patience)
        except BaseException:
            exchange.close()
            raise
        return httpx.Response(
            exchange.reply.status,
            headers=exchange.reply.head,
            stream=_Body(exchange, patience),
            extensions={"http_version": b"HTTP/1.1"},
        )


class _Body(httpx.AsyncByteStream):
    def __init__(self, exchange: Exchange, patience: float) -> None:
        self._exchange, self._patience = exchange, patience

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reply: Reply = self._exchange.reply
        try:
            if reply.sent_body:
                yield reply.sent_body
            if reply.ending == "reset-in-body":
                raise httpx.ReadError("connection reset inside the body")
            if reply.ending == "stall":
                await _sleep(inf, self._patience)
        finally:
            self._exchange.close()

    async def aclose(self) -> None:
        self._exchange.close()


async def _until_head(reply: Reply, patience: float) -> None:
    await _sleep(reply.delay, patience)
    if reply.ending == "reset":
        raise httpx.ReadError("connection reset before any byte")


async def _sleep(seconds: float, patience: float) -> None:
    if seconds:
        await anyio.sleep(min(seconds, patience))
    if seconds > patience:
        raise httpx.ReadTimeout("the sandbox took its time, as told")
