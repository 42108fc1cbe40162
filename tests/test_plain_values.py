"""Values as data tools and enums have them are sent as the plain values that they are, or refused by name."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from chartmogul_async import (
    AsyncClient,
    AsyncClients,
    FileStore,
    MetricQuery,
    MRREntry,
    Series,
    SeriesTable,
    Summary,
    analysis,
    blocking,
    cfl,
    money,
)
from chartmogul_async.errors import ArgumentError
from chartmogul_async.files import write_csv
from chartmogul_async.sandbox import Company, Fault, Sandbox
from tests.clients import KEY, client_of

ON_UNIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FileStore")


class Text(str, Enum):  # noqa: UP042 - it is about those that are no StrEnum
    """On Python 3.11 and newer, ``str()`` of a member is its name, unless the class is a ``StrEnum``."""

    KEY = KEY
    REGION = "region"
    FILTER = "mrr~GT~5"
    GROUP = "plg_5c1b4c8e-0000-4000-8000-000000000000"
    FORMULA = "=1+1"
    FILE = "figures.csv"


class Number(int, Enum):
    FIVE = 5
    CODE = 503


class Share(float, Enum):
    HALF = 0.5


class Scalar:
    """An array without dimensions: it looks as if it could be iterated over, has no truth value, and equals nothing."""

    ndim = 0

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("iteration over a 0-d array")

    def __bool__(self) -> bool:
        raise TypeError("the truth value is ambiguous")

    def __repr__(self) -> str:
        return "array('US')"


class GermanDate(date):
    """One of the many subclasses of ``date``, which is written in its own way."""

    def isoformat(self) -> str:
        return self.strftime("%d.%m.%Y")


SCALAR: Any = Scalar()


# --- enums -----------------------------------------------------------------------------------------------------


def test_a_member_in_a_filter_is_its_value() -> None:
    assert str(cfl.where(Text.REGION).any("US") & cfl.Filter(Text.FILTER)) == "region~ANY~'US'~AND~mrr~GT~5"


async def test_a_member_in_a_request_is_its_value(api: respx.Router) -> None:
    api.get("/plans").respond(json={"plans": [], "has_more": False})
    api.get(f"/plan_groups/{Text.GROUP.value}/plans").respond(json={"plans": [], "has_more": False})
    async with client_of(api) as client:
        await client.get("/plans", {Text.REGION: Text.REGION, "number": Number.FIVE, "share": Share.HALF})
        await client.plans.list(external_id=Text.REGION, per_page=Number.FIVE).first()
        await client.plan_groups.plans(Text.GROUP).first()
    first, second, _ = [call.request.url.query for call in api.calls]
    assert first == b"region=region&number=5&share=0.5"
    assert sorted(second.split(b"&")) == [b"external_id=region", b"per_page=5"]


async def test_a_member_can_be_the_key() -> None:
    sent: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["authorization"])
        return httpx.Response(200, json={"data": "pong!"})

    for key in (Text.KEY, KEY):
        async with AsyncClient(key, transport=httpx.MockTransport(respond)) as client:
            await client.ping()
        async with AsyncClients(transport=httpx.MockTransport(respond)) as clients:
            await clients.for_account(key).ping()
    assert len(set(sent)) == 1


def test_a_member_as_a_file_is_its_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    query = MetricQuery("mrr", "2025-01-01", "2025-01-31")
    write_csv(Series((MRREntry(date(2025, 1, 31), 1, 0.0),), Summary(1, 1, 0.0), query), Text.FILE)
    assert [path.name for path in tmp_path.iterdir()] == ["figures.csv"]
    if sys.platform != "win32":
        assert FileStore(Text.REGION).path == Path("region")


async def test_a_member_as_a_segment_is_its_value(tmp_path: Path) -> None:
    async with AsyncClient("sandbox", transport=Sandbox().transport()) as client:
        made = await client.metrics.breakdown("mrr", "2025-Q1", by={Text.FORMULA: "region~ANY~'US'"})
    (name,) = made.segments
    assert (type(name), name) == (str, "=1+1")
    write_csv(made, tmp_path / "mrr.csv")
    assert "\n'=1+1," in (tmp_path / "mrr.csv").read_text()
    write_csv(SeriesTable({Text.FORMULA: made.segments["=1+1"]}), tmp_path / "table.csv")
    assert "\n'=1+1," in (tmp_path / "table.csv").read_text()


def test_a_member_makes_the_same_sandbox() -> None:
    assert Fault.status(Number.CODE, retry_after=Number.FIVE) == Fault.status(503, retry_after=5)
    assert Fault.status(503, retry_after=Text.REGION) == Fault.status(503, retry_after="region")
    assert Company(seed=Number.FIVE, customers=20).customers == Company(seed=5, customers=20).customers


def test_a_member_as_an_amount_is_its_value() -> None:
    assert str(money.units(Number.FIVE)) == "0.05"


# --- data frames -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda client: MetricQuery("mrr", "2025", geo=SCALAR), r"^geo must be a string or a list of strings, not arr"),
        (lambda client: client.metrics.breakdown(SCALAR, "2025", by="plan"), r"^metric must be the name of a metric"),
        (lambda client: client.metrics.stream(SCALAR), r"^queries must be an iterable of MetricQuery"),
        (lambda client: analysis.quick_ratio(SCALAR), r"^entries must be a series or some of its entries"),
        (lambda client: analysis.quick_ratio((), reactivation=SCALAR), r"^reactivation must be a bool, not array"),
        (lambda client: AsyncClient(SCALAR), r"^api_key is malformed"),
        (lambda client: AsyncClients().for_account(SCALAR), r"^api_key is malformed"),
        pytest.param(lambda client: FileStore(SCALAR), r"^path must be a path, not array\('US'\)$", marks=ON_UNIX),
        pytest.param(lambda client: FileStore(5), r"^path must be a path, not 5$", marks=ON_UNIX),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        pytest.param(lambda client: FileStore(b"x"), r"^path must be a path, not b'x'$", marks=ON_UNIX),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (lambda client: Company(founded=SCALAR), r"^founded must be a date, not array"),
    ],
)
def test_an_array_without_dimensions_is_refused_by_name(call: Callable[[AsyncClient], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call(AsyncClient(KEY))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda client: client.metrics.breakdown(SCALAR, "2025", by="plan"), r"^metric must be the name of a metric"),
        (lambda client: client.metrics.fetch_all(SCALAR), r"^queries must be an iterable of MetricQuery"),
        (lambda client: client.metrics.mrr("2025", geo=SCALAR), r"^geo must be a string or a list of strings, not arr"),
    ],
)
def test_the_blocking_client_refuses_it_too(call: Callable[[blocking.Client], Any], message: str) -> None:
    with blocking.Client(KEY) as client, pytest.raises(ArgumentError, match=message):
        call(client)


@pytest.mark.parametrize("kind", [set, frozenset])
def test_the_key_of_a_query_of_a_set_is_the_same_in_every_process(kind: type[set[str]]) -> None:
    """A set has another order in each."""
    countries, plans = ["AT", "DE", "FR", "US"], ["Bronze", "Gold", "Silver"]
    query = MetricQuery("mrr", "2025", geo=kind(["us", "FR", "de", "AT"]), plans=kind(plans[::-1]))
    assert (query.geo, query.plans) == (tuple(countries), tuple(plans))
    assert query.key() == MetricQuery("mrr", "2025", geo=countries, plans=plans).key()


def test_a_query_holds_plain_dates() -> None:
    query = MetricQuery("mrr", GermanDate(2025, 1, 1), GermanDate(2025, 3, 31))
    assert type(query.start_date) is type(query.end_date) is date
    assert query.params["start-date"] == "2025-01-01"
    assert b"GermanDate" not in pickle.dumps(query)


async def test_get_sends_a_plain_date(api: respx.Router) -> None:
    api.get("/plans").respond(json={})
    async with client_of(api) as client:
        await client.get("/plans", {"since": GermanDate(2025, 1, 2)})
    assert api.calls.last.request.url.query == b"since=2025-01-02"


async def test_the_metrics_of_a_set_have_one_order() -> None:
    async with AsyncClient("sandbox", transport=Sandbox().transport()) as client:
        made = await client.metrics.breakdown({"mrr", "arr", "arpa"}, "2025-Q1", by={"small": "mrr~LT~100"})
    assert list(made) == ["arpa", "arr", "mrr"]


@pytest.mark.parametrize("name", ["geo", "plans"])
async def test_an_iterator_serves_all_metrics_of_a_breakdown(name: str) -> None:
    values = {"geo": ["US", "DE"], "plans": ["Gold", "Silver"]}[name]
    async with AsyncClient("sandbox", transport=Sandbox().transport()) as client:
        by = {"small": "mrr~LT~100"}
        made = await client.metrics.breakdown(["ltv", "mrr"], "2025-Q1", by=by, interval="week", **{name: iter(values)})  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert [getattr(each.whole.query, name) for each in made.values()] == [tuple(values)] * 2
    assert [each.whole.query.interval for each in made.values()] == ["month", "week"]
