"""The transport that waits for the throttle."""

from __future__ import annotations

import anyio
import httpx

from chartmogul_async.errors import UsageError
from chartmogul_async.transport.retry_after import retry_after_of
from chartmogul_async.transport.throttle import Throttle


class ThrottleTransport(httpx.AsyncBaseTransport):
    """Lets a request through when the throttle says so, and keeps its place until the whole answer is there.

    The request's extension ``budget`` says how many seconds pauses and exchange may take; its ``grant`` tells the
    layer outside what became of that. Raises ``TimeoutError`` when the exchange takes longer.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, throttle: Throttle) -> None:
        self._inner = inner
        self._throttle = throttle
        self._attached = self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._attach()
        budget = request.extensions["budget"]
        grant = await self._throttle.acquire(budget)
        request.extensions["grant"] = grant
        request.extensions["trace"] = grant.trace
        response = status = retry_after = None
        try:
            with anyio.move_on_after(budget - grant.paused):
                response = await self._inner.handle_async_request(request)
            if response is None:
                raise TimeoutError("the retry policy's total time is used up")
            status = response.status_code
            retry_after = None if response.is_success else retry_after_of(response.headers)
        finally:
            self._throttle.release(grant, status, retry_after)
        return response

    def _attach(self) -> None:
        if self._closed:  # a call that slept between two attempts
            raise UsageError("this client was closed while the call was under way; close it after its last call")
        if not self._attached:
            self._throttle.attach()
            self._attached = True

    async def aclose(self) -> None:
        self._closed = True
        if self._attached:
            self._attached = False
            self._throttle.detach()
        await self._inner.aclose()
