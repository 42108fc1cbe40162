"""What a resource is given: the requests of one client, or of one view of it with other options.

Equal requests share one exchange while it is in progress, and a recent result is used again by whoever allows it. There
is no task for it: the first call makes the exchange, and the others wait for its end. Whoever is cancelled leaves
alone; if that is the first call, one of the others makes the exchange again.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any, TypeVar

import anyio
import attrs

from chartmogul_async.errors import ChartMogulError, DecodeError, QueueTimeoutError
from chartmogul_async.events import Event, report
from chartmogul_async.structuring.converter import decode, read
from chartmogul_async.transport.exchanges import Exchanges
from chartmogul_async.transport.options import Options
from chartmogul_async.transport.permits import Claim
from chartmogul_async.transport.reuse import Counts, InProgress, Result, Reuse
from chartmogul_async.transport.throttle import Throttle

T = TypeVar("T")


class Session:
    """The requests of a client or a view. A resource is given this, and nothing else.

    Args:
        exchanges: Those of the account.
        options: How the calls of this view are made.
        reuse: The exchanges in progress and the recent results, of all views, and perhaps of other accounts, too.
    """

    def __init__(self, exchanges: Exchanges, options: Options, reuse: Reuse) -> None:
        self._exchanges = exchanges
        self.options: Options = options
        self.reuse: Reuse = reuse

    def with_options(self, **options: Any) -> Session:
        """The same requests, made with other options."""
        return Session(self._exchanges, attrs.evolve(self.options, **options), self.reuse)

    @property
    def base_url(self) -> str:
        """Where the requests go."""
        return self._exchanges.base_url

    @property
    def throttle(self) -> Throttle:
        """The queue of the requests."""
        return self._exchanges.throttle

    @property
    def counts(self) -> Counts:
        """What the account's calls had in common so far."""
        return self._exchanges.counts

    def free_slots(self, taken: int) -> int:
        """How many more requests could start immediately, apart from ``taken`` slots that are planned for others."""
        return self._exchanges.throttle._free_slots(taken)

    def report(self, event: Event) -> None:
        """Log an event, and hand it to the user's function."""
        report(event, self.options.on_event)

    def mismatch(self, path: str, problem: str) -> DecodeError:
        """The error for a response from this path whose records cannot be used, with the place and the reason."""
        return self._exchanges.mismatch(path, problem)

    def check_usable(self) -> None:
        """Raise ``StateError`` if the client is closed or belongs to another event loop."""
        self._exchanges.check_usable()

    def detach(self) -> None:
        """Use the throttle no more."""
        self._exchanges.detach()

    async def aclose(self) -> None:
        """Close the connections, and keep no result. Closing twice does nothing."""
        self._exchanges.check_closable()
        self.reuse.clear()
        await self._exchanges.aclose()

    # --- requests ------------------------------------------------------------------------------------------

    async def fetch(self, path: str, params: Mapping[str, str], into: type[T], occasion: object = None) -> T:
        """Get a path below the base URL as a record of the class ``into``, for the caller alone.

        Args:
            path: The path.
            params: The query.
            into: The class, always the same one for a path.
            occasion: Requests on different occasions differ although they ask for the same, and no result is kept.

        Returns:
            The record, which may have fields that can be changed.

        Raises:
            ChartMogulError: What the exchange met, with its context.
            StateError: The client is closed, or belongs to another event loop.
        """
        key = path, frozenset(params.items())
        result: Result[T] | None = self.recent(key) if occasion is None else None
        is_common = True
        if result is None:
            result, is_common = await self._shared(path, params, into, occasion)
            if occasion is None:
                is_common = self.keep(key, result) or is_common
        return deepcopy(result.value) if is_common else result.value

    async def ask(self, path: str, params: Mapping[str, str], into: type[T], occasion: object = None) -> Result[T]:
        """The same for a record that cannot be changed, which others may have been given, too. It is not kept.

        Args:
            path: The path.
            params: The query.
            into: The class.
            occasion: Requests on different occasions differ although they ask for the same.

        Returns:
            The record, and what else is known of the response.

        Raises:
            ChartMogulError: What the exchange met, with its context.
            StateError: The client is closed, or belongs to another event loop.
        """
        result, _ = await self._shared(path, params, into, occasion)
        return result

    async def fetch_json(self, path: str, params: Mapping[str, str]) -> Any:
        """Get a path below the base URL as parsed JSON, None for an empty body. Raises the same as ``fetch``.

        Each call makes an exchange of its own.
        """
        result = await self._exchanges.make(path, params, _parsed, self.options, InProgress(self._claim()))
        self.note(result)
        return result.value

    def note(self, result: Result[Any]) -> None:
        """Tell the user's function of the responses that a result is made of."""
        if self.options.on_response is not None:
            for response in result.responses:
                self.options.on_response(response())

    # --- recent results ------------------------------------------------------------------------------------

    def recent(self, key: Hashable) -> Result[Any] | None:
        """A result that was kept and is not older than this view allows."""
        if not self.options.max_age:
            return None
        self._exchanges.check_usable()
        result = self.reuse.recent((self._exchanges, key), self.options.max_age)
        if result is not None:
            self.counts.reused += 1
            self.note(result)
        return result

    def kept_sizes(self) -> list[int]:
        """The bytes of each result that is kept for the account."""
        return self.reuse.sizes_of(self._exchanges)

    def keep(self, key: Hashable, result: Result[Any]) -> bool:
        """Keep a result if this view uses such again, and say whether it does."""
        if not self.options.max_age or self._exchanges.is_closed:
            return False
        self.reuse.keep((self._exchanges, key), result)
        return True

    # --- equal requests ------------------------------------------------------------------------------------

    def _claim(self) -> Claim:
        max_wait = self.options.max_wait
        leaves_at = math.inf if max_wait == math.inf else anyio.current_time() + max_wait
        return Claim(self.options.priority == "batch", max_wait, leaves_at)

    async def _shared(
        self, path: str, params: Mapping[str, str], into: type[T], occasion: object
    ) -> tuple[Result[T], bool]:
        """The result of an equal exchange in progress, or of one that is made here; and whether others have it."""
        key: Hashable = (
            self._exchanges,
            path,
            frozenset(params.items()),
            occasion,
            self.options.policy,
            *self.options.timeout.values(),
        )
        claim, result = self._claim(), None
        current = self.reuse.in_progress.get(key)
        if current is None:
            current = self.reuse.in_progress[key] = InProgress(claim)
        else:
            result = await self._followed(current, key, path, claim)
        if result is not None:
            self.counts.shared += 1
            is_common = True
        elif current.is_shared:
            result = await self._made(current, key, path, params, into)
            is_common = current.has_followers
        else:
            # What the other call met is its own matter, and no reason to wait for one another.
            self.counts.made += 1
            alone = InProgress(claim)
            result = await self._exchanges.make(path, params, partial(read, into=into), self.options, alone)
            is_common = False
        if self.options.on_response is not None:
            self.note(result)
        return result, is_common

    async def _followed(self, current: InProgress, key: Hashable, path: str, claim: Claim) -> Result[Any] | None:
        # The event that it waits for belongs to the client's event loop.
        self._exchanges.check_usable()
        if current.claim.is_batch and not claim.is_batch:
            self._promote(current.claim)
        try:
            return await current.follow(claim)
        except QueueTimeoutError as error:
            self._exchanges.add_context(error, path)
            raise
        finally:
            # Nobody is left to make it.
            if current.is_abandoned:
                del self.reuse.in_progress[key]

    async def _made(
        self, current: InProgress, key: Hashable, path: str, params: Mapping[str, str], into: type[T]
    ) -> Result[T]:
        self.counts.made += 1
        structure = partial(read, into=into)
        try:
            result = await self._exchanges.make(path, params, structure, self.options, current)
        except ChartMogulError as error:
            current.fail(error)
            raise
        except Exception:
            # A function of the user raised it, for example.
            current.is_shared = False
            raise
        else:
            current.result = result
            return result
        finally:
            if not (current.has_followers and current.pass_on()):
                del self.reuse.in_progress[key]

    def _promote(self, claim: Claim) -> None:
        """An interactive call waits for one of a batch, which is urgent now."""
        claim.is_batch = False
        if claim.waiter is not None and not claim.waiter.is_served:
            self._exchanges.admission().promote(claim.waiter)


def _parsed(content: bytes) -> Any:
    return decode(content) if content.strip() else None
