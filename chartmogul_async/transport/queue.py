"""The order in which waiting requests are admitted, and those that are passed over."""

from __future__ import annotations

import math
from collections import OrderedDict
from itertools import chain, count, islice

from chartmogul_async.errors import ChartMogulError
from chartmogul_async.transport.limits import AccountLimits
from chartmogul_async.transport.permits import Permit, Waiter
from chartmogul_async.transport.refusals import rate_limited


class Queue:
    """The waiting tasks: first come first served, but requests that were sent before go ahead of those that were not.

    Interactive requests and those of a batch are two such orders; whose turn it is between them is for others to say.

    A waiter whose caller gives up before a response can come would waste a slot, so it is passed over while anything
    is in flight; if nothing is, it is as good a request as any, and its response may show that they are faster by now.
    It returns to the front when responses are so much faster that one comes in time. Otherwise it usually leaves at its
    deadline; if its caller has allowed it more time by then, it returns to the front, too.
    """

    def __init__(self) -> None:
        # All that wait; and in the order of admission, those that are not passed over: retries, then newcomers.
        self.waiters: dict[Waiter, None] = {}
        # The latest deadline of one that is passed over.
        self._passed_over_until = -math.inf
        self._places = count(1)
        self._orders: dict[bool, tuple[OrderedDict[Waiter, None], OrderedDict[Waiter, None]]] = {
            is_batch: (OrderedDict(), OrderedDict()) for is_batch in (False, True)
        }

    def join(self, waiter: Waiter) -> None:
        """Go to the end of the waiters of the same kind, or to the place of a call that left."""
        order, place = self._order_of(waiter), waiter.claim.place
        self.waiters[waiter] = order[waiter] = None
        if place is None:
            waiter.claim.place = next(self._places)
        elif not waiter.is_retry:
            for later in [each for each in order if (each.claim.place or 0) > place]:
                order.move_to_end(later)

    def promote(self, waiter: Waiter) -> None:
        """Go over from the waiters of a batch to the interactive ones, behind those."""
        order = self._order_of(waiter)
        waiter.is_batch = False
        if waiter in order:
            # One that is passed over is in no order until it returns to the front.
            del order[waiter]
            self._order_of(waiter)[waiter] = None

    def leave(self, waiter: Waiter) -> None:
        """Be forgotten; leaving twice does nothing."""
        self.waiters.pop(waiter, None)
        self._order_of(waiter).pop(waiter, None)

    def serve(self, waiter: Waiter, permit: Permit) -> None:
        """Let it go with a permit."""
        self.leave(waiter)
        waiter.permit = permit
        waiter.event.set()

    def refuse(self, waiter: Waiter, error: ChartMogulError) -> None:
        """Let it go with an error."""
        self.leave(waiter)
        waiter.refusal = error
        waiter.event.set()

    def refuse_hopeless(self, limits: AccountLimits, now: float, is_shared: bool = False) -> None:
        """Refuse those whose pauses leave no time for a response, all at once: nothing succeeds.

        Args:
            limits: What is known of the account.
            now: The time on the clock of the limits.
            is_shared: Whether other processes share them.
        """
        left = limits.pause_left(now)
        for waiter in list(self.waiters) if left else ():
            paused = limits.fruitless_pauses(now, waiter.paused_before)
            if paused + left + limits.window.fastest >= waiter.max_pause:
                self.refuse(waiter, rate_limited(f"{paused + left:.0f} s in all", left, paused, is_shared))

    def extend(self, waiter: Waiter, deadline: float) -> None:
        """Its caller gives up at this moment, which may be later than it was."""
        waiter.deadline = deadline
        self._return_to_front(waiter)

    def head(self, earliest_response: float, is_batch: bool) -> Waiter | None:
        """The first waiter of a priority whose caller does not give up before a response can come."""
        if earliest_response <= self._passed_over_until:
            self._take_back(earliest_response)
        for order in self._orders[is_batch]:
            while order:
                waiter = next(iter(order))
                if waiter.deadline >= earliest_response:
                    return waiter
                # Each is passed over once, however many wait.
                del order[waiter]
                self._passed_over_until = max(self._passed_over_until, waiter.deadline)
                # Where it was at the head, it still looks for those behind it when the next request may start.
                waiter.wake_at(min(waiter.looks_again_at, waiter.deadline))
        return None

    def has(self, is_batch: bool) -> bool:
        """Whether any of a priority waits and is not passed over."""
        return any(self._orders[is_batch])

    def first(self, earliest_response: float, is_batch: bool, most: int) -> list[Waiter]:
        """The waiters of a priority from its head on."""
        if self.head(earliest_response, is_batch) is None:
            return []
        waiters = islice(chain(*self._orders[is_batch]), most)
        return [waiter for waiter in waiters if waiter.deadline >= earliest_response]

    def any(self) -> Waiter | None:
        """The one that has waited longest, even if its caller gives up before a response can come."""
        return next(iter(self.waiters), None)

    def _take_back(self, earliest_response: float) -> None:
        """Responses are faster than they were, so that some which were passed over may still have one."""
        passed_over = [waiter for waiter in self.waiters if waiter not in self._order_of(waiter)]
        self._passed_over_until = -math.inf
        for waiter in sorted(passed_over, key=lambda waiter: waiter.claim.place or 0, reverse=True):
            if waiter.deadline >= earliest_response:
                self._return_to_front(waiter)
            else:
                self._passed_over_until = max(self._passed_over_until, waiter.deadline)

    def _return_to_front(self, waiter: Waiter) -> None:
        order = self._order_of(waiter)
        if waiter not in order:
            order[waiter] = None
            order.move_to_end(waiter, last=False)

    def _order_of(self, waiter: Waiter) -> OrderedDict[Waiter, None]:
        retries, newcomers = self._orders[waiter.is_batch]
        return retries if waiter.is_retry else newcomers
