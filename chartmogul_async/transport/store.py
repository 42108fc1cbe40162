"""Where the limits of an account live, if several processes share them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeVar, cast

from chartmogul_async.checks import shown
from chartmogul_async.errors import ArgumentError
from chartmogul_async.transport.limits import AccountLimits

T = TypeVar("T")

OnOutage = Literal["local", "raise"]
Change = Callable[[AccountLimits, float], T]


# Seconds after which a server has forgotten the requests that are not known.
UNKNOWN_FOR = 1.1

_PARTS = ("on_outage", "poll", "lease", "pid", "release", "update")


class StoreOutageError(Exception):
    """A store cannot be reached, or does not answer in time. Its message says why, without any secret."""


class Store(Protocol):
    """An atomic place for the limits of any number of accounts."""

    @property
    def on_outage(self) -> OnOutage:
        """What to do while it is away."""
        ...

    @property
    def poll(self) -> float:
        """Seconds after which to look again for what has no time of its own, such as a slot."""
        ...

    @property
    def lease(self) -> float:
        """Seconds after which a process that was not seen is taken to be gone, with its slots.

        It is infinity if the store finds out by itself.
        """
        ...

    @property
    def pid(self) -> int:
        """The number of the process, for stores that can ask whether it runs; 0 for others."""
        ...

    def release(self, account: str) -> None:
        """Keep nothing open for an account; the next update opens it again."""
        ...

    async def update(self, account: str, fresh: Callable[[], AccountLimits], change: Change[T]) -> T:
        """Read the limits of an account, change them, and write them, all at once.

        Args:
            account: Which account.
            fresh: Makes the limits of an account that is not known yet.
            change: Called with the limits and the time on the store's clock, perhaps several times, of which the last
                one counts.

        Returns:
            What ``change`` returned.

        Raises:
            StoreOutageError: They could not be read or written.
        """
        ...


def store_like(value: object) -> Store:
    """Check that a value is a store: one of the package, or an object with the same attributes and methods.

    Args:
        value: What was given as ``store``.

    Returns:
        The value itself.

    Raises:
        ArgumentError: ``store must be a store such as FileStore() or RedisStore(url), or None, not 'x'``.
    """
    # A class has them, too, but FileStore instead of FileStore() keeps nothing.
    if isinstance(value, type) or not all(hasattr(value, name) for name in _PARTS):
        raise ArgumentError(
            f"store must be a store such as FileStore() or RedisStore(url), or None, not {shown(value)}"
        )
    return cast("Store", value)
