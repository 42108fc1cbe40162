"""One client, and what it has listed, for all tables of a source while each of them is read once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from attrs import define, field

from chartmogul_async import Account
from chartmogul_async.blocking import Client

# Seconds after which what was listed for one table is asked again for the next one.
_LONGEST = 3600.0


@define
class SharedClient:
    """What the tables of a source share, whether one run of a pipeline reads all of them or each has a run of its own.

    A pass begins with the first table, with one that was read in the pass before, and after an hour.

    Attributes:
        make: Makes the client.
        closes: Whether the client is closed after the last table of a run.
    """

    make: Callable[[], Client]
    closes: bool
    _client: Client | None = field(default=None, init=False)
    _account: Account | None = field(default=None, init=False)
    _began: float = field(default=-math.inf, init=False)
    _read: set[str] = field(factory=set, init=False)

    @contextmanager
    def lent(self, name: str, selected: Iterable[str]) -> Iterator[tuple[Callable[[], Client], Account]]:
        """Lend the client to a table, with the account that it reads.

        Args:
            name: The name of the table.
            selected: The names of the tables of this run.

        Returns:
            A context manager that gives what finds the client, to be called just before it is used, and the account.
        """
        now = time.monotonic()
        if name in self._read or now - self._began > _LONGEST:
            self._began, self._account = now, None
            self._read.clear()
        try:
            if self._client is None:
                self._client = self.make()
            client = self._client
            if self._account is None:
                self._account = client.account()
            # What was listed in this pass, such as the customers whose countries are needed, is not listed again. The
            # request for the account comes first, so the age of all others is less than that of the pass by its time.
            yield lambda: client.with_options(max_age=time.monotonic() - self._began), self._account
        except BaseException:
            # Also where dlt closes a table because another one failed.
            self._close()
            raise
        self._read.add(name)
        if self._read.issuperset(selected):
            self._close()

    def _close(self) -> None:
        if self._client is not None and self.closes:
            self._client.close()
            self._client = None
