"""What a resource is given: the requests of one client, or of one view of it with other options.

Equal requests share one exchange while it is in progress, and a recent response is used again by whoever allows it.
There is no task for it: the first call makes the exchange, and the others wait for its end. Whoever is cancelled leaves
alone; if that is the first call, one of the others makes the exchange again.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any, TypeVar

import anyio
import attrs

from chartmogul_async.errors import ChartMogulError, DecodeError, QueueTimeoutError
from chartmogul_async.events import Event
from chartmogul_async.structuring.converter import decode, read
from chartmogul_async.transport.exchanges import Exchanges
from chartmogul_async.transport.options import Options
from chartmogul_async.transport.permits import Claim
from chartmogul_async.transport.reuse import InProgress, Result, Reuse, for_another_task
from chartmogul_async.transport.throttle import Throttle

T = TypeVar("T")


class Session:
    """The requests of a client or a view. A resource is given this, and nothing else.

    Args:
        exchanges: Those of the client.
        options: How the calls of this view are made.
        reuse: The exchanges in progress and the recent responses, of all views.
    """

    def __init__(self, exchanges: Exchanges, options: Options, reuse: Reuse) -> None:
        self._exchanges = exchanges
        self.options = options
        self.reuse = reuse

    def with_options(self, **options: Any) -> Session:
        """The same requests, made with other options."""
        return Session(self._exchanges, attrs.evolve(self.options, **options), self.reuse)

    @property
    def throttle(self) -> Throttle:
        """The queue of the requests."""
        return self._exchanges.throttle

    def free_slots(self, taken: int) -> int:
        """How many more requests could start immediately, apart from ``taken`` slots that are planned for others."""
        return self._exchanges.throttle._free_slots(taken)

    def report(self, event: Event) -> None:
        """Log an event, and hand it to the user's function."""
        self._exchanges.report(event)

    def mismatch(self, path: str, problem: str) -> DecodeError:
        """The error for a response from this path whose records cannot be used, with the place and the reason."""
        return self._exchanges.mismatch(path, problem)

    def check_usable(self) -> None:
        """Raise ``StateError`` if the client is closed or belongs to another event loop."""
        self._exchanges.check_usable()

    async def aclose(self) -> None:
        """Close the connections, and keep no response. Closing twice does nothing."""
        self.reuse.clear()
        await self._exchanges.aclose()

    async def fetch(self, path: str, params: Mapping[str, str], into: type[T], occasion: object = None) -> T:
        """Get a path below the base URL as a record of the class ``into``, which others may have been given, too.

        Args:
            path: The path.
            params: The query.
            into: The class, always the same one for a path.
            occasion: Requests on different occasions differ although they ask for the same, and no response to one is
                used again.

        Returns:
            The record.

        Raises:
            ChartMogulError: What the exchange met, with its context.
            StateError: The client is closed, or belongs to another event loop.
        """
        options = self.options
        key: Hashable = path, frozenset(params.items()), occasion, options.policy, *options.timeout.values()
        max_age = options.max_age if occasion is None else 0.0
        result = self._recent(key, max_age) if max_age else None
        if result is None:
            result = await self._shared(key, path, params, into, max_age)
        if options.on_response is not None:
            options.on_response(result.response())
        value: T = result.value
        return value

    async def fetch_json(self, path: str, params: Mapping[str, str]) -> Any:
        """Get a path below the base URL as parsed JSON, None for an empty body. Raises the same as ``fetch``.

        Each call makes an exchange of its own, since its caller may change what it is given.
        """
        result = await self._exchanges.make(path, params, _parsed, self.options, self._claim())
        if self.options.on_response is not None:
            self.options.on_response(result.response())
        return result.value

    def _recent(self, key: Hashable, max_age: float) -> Result[Any] | None:
        self._exchanges.check_usable()
        return self.reuse.recent(key, max_age)

    def _claim(self) -> Claim:
        max_wait = self.options.max_wait
        leaves_at = math.inf if max_wait == math.inf else anyio.current_time() + max_wait
        return Claim(self.options.priority == "batch", leaves_at)

    async def _shared(
        self, key: Hashable, path: str, params: Mapping[str, str], into: type[T], max_age: float
    ) -> Result[T]:
        """The result of an equal exchange in progress, or of one that is made here."""
        claim, has_waited = self._claim(), False
        while (current := self.reuse.in_progress.get(key)) is not None:
            # The event that it waits for belongs to the client's event loop.
            self._exchanges.check_usable()
            current.is_kept = current.is_kept or max_age > 0
            if current.claim.is_batch and not claim.is_batch:
                self._promote(current.claim)
            result = await current.follow(claim)
            if result is not None:
                self.reuse.shared += 1
                return result
            has_waited = True
        current = self.reuse.in_progress[key] = InProgress(claim, is_kept=max_age > 0)
        try:
            return await self._made(current, key, path, params, into, has_waited)
        finally:
            del self.reuse.in_progress[key]
            if current.ended is not None:
                current.ended.set()

    async def _made(
        self,
        current: InProgress,
        key: Hashable,
        path: str,
        params: Mapping[str, str],
        into: type[T],
        has_waited: bool,
    ) -> Result[T]:
        self.reuse.made += 1
        structure = partial(read, into=into)
        try:
            result = await self._exchanges.make(path, params, structure, self.options, current.claim, has_waited)
        except QueueTimeoutError:
            # Others may wait for longer.
            raise
        except ChartMogulError as error:
            if current.ended is not None:
                # A copy: the traceback of the error refers to this frame, and so to itself.
                current.error = for_another_task(error)
            raise
        current.result = result
        if current.is_kept:
            self.reuse.keep(key, result)
        return result

    def _promote(self, claim: Claim) -> None:
        """An interactive call waits for one of a batch, which is urgent now."""
        claim.is_batch = False
        if claim.waiter is not None and not claim.waiter.is_served:
            self._exchanges.admission().promote(claim.waiter)


def _parsed(content: bytes) -> Any:
    return decode(content) if content.strip() else None
