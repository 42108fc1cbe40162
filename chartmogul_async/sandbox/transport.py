"""The sandbox as an httpx transport: no sockets and no server, under any event loop and any clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from math import inf

import anyio
import httpx

from chartmogul_async.sandbox.exchange import Exchange, Handler, Request
from chartmogul_async.sandbox.response import Response


class SandboxTransport(httpx.AsyncBaseTransport):
    """Responds to an ``httpx.AsyncClient`` from the sandbox, whatever the host of the request.

    Delays are slept with ``anyio.sleep``, so they take no time under a virtual clock. The read timeout of the
    request applies: a response or a part of a body that comes later raises ``httpx.ReadTimeout``. Resets raise
    ``httpx.ReadError``. A response counts as in flight until its body has been read to the end or it is closed, so a
    client that forgets to close it shows in ``counters.in_progress``.

    Args:
        handler: Computes the response to each request.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Respond to one request. Its body is not read, since the API only reads.

        Args:
            request: The request as httpx built it.

        Returns:
            The response, whose body is streamed.

        Raises:
            httpx.ReadTimeout: The response is delayed for longer than the read timeout.
            httpx.ReadError: A fault resets the connection.
        """
        target, authorization = request.url.raw_path.decode("ascii"), request.headers.get("authorization", "")
        exchange = self._handler(Request(request.method, target, authorization), anyio.current_time())
        timeout = request.extensions.get("timeout", {}).get("read")
        read_timeout = inf if timeout is None else timeout
        try:
            await _wait_for_headers(exchange.response, read_timeout)
        except BaseException:
            exchange.close()
            raise
        return httpx.Response(
            exchange.response.status,
            headers=exchange.response.all_headers,
            stream=_Body(exchange, read_timeout),
            extensions={"http_version": b"HTTP/1.1"},
        )


class _Body(httpx.AsyncByteStream):
    def __init__(self, exchange: Exchange, read_timeout: float) -> None:
        self._exchange, self._read_timeout = exchange, read_timeout

    async def __aiter__(self) -> AsyncIterator[bytes]:
        response: Response = self._exchange.response
        try:
            if response.sent_body:
                yield response.sent_body
            if response.ending == "reset-in-body":
                raise httpx.ReadError("connection reset inside the body")
            if response.ending == "stall":
                await _sleep(inf, self._read_timeout)
        finally:
            self._exchange.close()

    async def aclose(self) -> None:
        self._exchange.close()


async def _wait_for_headers(response: Response, read_timeout: float) -> None:
    await _sleep(response.delay, read_timeout)
    if response.ending == "reset":
        raise httpx.ReadError("connection reset before any byte")


async def _sleep(seconds: float, read_timeout: float) -> None:
    if seconds:
        await anyio.sleep(min(seconds, read_timeout))
    if seconds > read_timeout:
        raise httpx.ReadTimeout("the sandbox delayed the response beyond the read timeout")
