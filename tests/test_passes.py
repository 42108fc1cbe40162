"""One client for all tables of a source, and what is asked once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from chartmogul_async.blocking import Client
from chartmogul_async.events import Attempt, Event
from chartmogul_async.integrations import passes
from chartmogul_async.integrations.passes import SharedClient
from chartmogul_async.sandbox import Company, Limits, Sandbox

TABLES = ["mrr", "arr"]


class Source:
    """Reads tables as the source for dlt does: each needs the account and the plans."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, closes: bool = False) -> None:
        self.paths: list[str] = []
        self.now = 1000.0
        self.made: list[Client] = []
        self.sandbox = Sandbox(Company(customers=5), limits=Limits(per_second=None))
        self.shared = SharedClient(self._make, closes)
        monkeypatch.setattr(passes, "time", SimpleNamespace(monotonic=self._clock))

    def _make(self) -> Client:
        def note(event: Event) -> None:
            assert isinstance(event, Attempt)
            self.paths.append(event.path)

        self.made.append(Client("sandbox", transport=self.sandbox.transport(), on_event=note))
        return self.made[-1]

    def _clock(self) -> float:
        # Less than any response is old, whose age is real.
        self.now += 1e-6
        return self.now

    def read(self, name: str, *selected: str) -> list[str]:
        """Read a table.

        Returns:
            The last part of the path of each request.
        """
        self.paths.clear()
        with self.shared.lent(name, selected or TABLES) as (find_client, account):
            assert account.id
            assert list(find_client().plans.list())
        # So long after the table before.
        self.now += 5
        return [path.rsplit("/", 1)[-1] for path in self.paths]


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    return Source(monkeypatch)


def test_a_pass_asks_once_whatever_its_runs_are(source: Source) -> None:
    assert source.read("mrr", "mrr") == ["account", "plans"]
    assert source.read("arr", "arr") == []
    assert len(source.made) == 1


def test_a_table_that_is_read_again_begins_a_pass(source: Source) -> None:
    source.read("mrr")
    source.read("arr")
    assert source.read("mrr") == ["account", "plans"]
    assert source.read("arr") == []


def test_a_pass_ends_after_an_hour(source: Source) -> None:
    source.read("mrr")
    source.now += 3590
    assert source.read("arr") == []
    assert source.read("asp") == ["account", "plans"]


def test_what_fails_is_not_read(source: Source) -> None:
    with pytest.raises(ValueError, match="full"), source.shared.lent("mrr", TABLES):
        raise ValueError("full")
    assert source.read("mrr") == ["plans"]


def test_a_client_of_ones_own_stays_open(source: Source) -> None:
    source.read("mrr", "mrr")
    assert source.made[0].ping()


@pytest.mark.parametrize("fails", [False, True])
def test_the_client_is_closed_after_the_last_table(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    source = Source(monkeypatch, closes=True)
    source.read("mrr")
    assert source.made[0].ping()
    if fails:
        with pytest.raises(ValueError, match="full"), source.shared.lent("arr", TABLES):
            raise ValueError("full")
    else:
        source.read("arr")
    # Another run has another client, and the account of the same pass.
    assert source.read("asp", "asp") == ["plans"]
    first, second = source.made
    for client in (first, second):
        with pytest.raises(RuntimeError, match="is closed"):
            client.ping()


def test_a_client_that_cannot_be_made_is_no_client() -> None:
    def fail() -> Client:
        raise ValueError("no key")

    for _ in range(2):
        with pytest.raises(ValueError, match="no key"), SharedClient(fail, closes=True).lent("mrr", TABLES):
            pass
