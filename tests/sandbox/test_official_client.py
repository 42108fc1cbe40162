"""The official client from PyPI parses every response of the sandbox, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import chartmogul as untyped
import httpx
import pytest

from chartmogul_async.sandbox import Company, Limits, Sandbox

pytestmark = pytest.mark.sockets

# Its methods are made at run time, so type checkers do not see them.
chartmogul: Any = untyped

START, END = "2022-11-15", "2023-08-10"
METHODS = {
    "all": "all",
    "mrr": "mrr",
    "arr": "arr",
    "arpa": "arpa",
    "asp": "asp",
    "customer_count": "customer-count",
    "customer_churn_rate": "customer-churn-rate",
    "mrr_churn_rate": "mrr-churn-rate",
    "ltv": "ltv",
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[tuple[Sandbox, str]]:
    sandbox = Sandbox(Company(customers=300, today=date(2023, 8, 17)), limits=Limits(per_second=None))
    with sandbox.serve() as url:
        yield sandbox, url


@pytest.fixture
def config(sandbox: tuple[Sandbox, str]) -> Any:
    config = chartmogul.Config("sandbox", request_timeout=10, max_retries=0)
    config.uri = sandbox[1]
    return config


def raw(url: str, path: str, params: dict[str, str]) -> Any:
    response = httpx.get(f"{url}/{path}", params=params, auth=("sandbox", ""), trust_env=False)
    assert response.status_code == 200
    return response.json()


def as_json(record: Any, keys: list[str]) -> dict[str, Any]:
    values = {key: getattr(record, key.replace("-", "_")) for key in keys}
    return values | ({"date": values["date"].isoformat()} if "date" in values else {})


@pytest.mark.parametrize(
    "more",
    [
        {"interval": "month"},
        {"interval": "quarter", "geo": "US,DE"},
        {"interval": "month", "plans": "Silver Monthly,gold_yearly"},
        {"interval": "year", "filters": "region~ANY~'US','FR'~AND~mrr~GT~50"},
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_metrics(sandbox: tuple[Sandbox, str], config: Any, method: str, more: dict[str, str]) -> None:
    received = getattr(chartmogul.Metrics, method)(config, start_date=START, end_date=END, **more).get()
    expected = raw(sandbox[1], f"metrics/{METHODS[method]}", {"start-date": START, "end-date": END, **more})
    assert [as_json(entry, list(expected["entries"][0])) for entry in received.entries] == expected["entries"]
    assert as_json(received.summary, list(expected["summary"])) == expected["summary"]
    assert any(value for entry in expected["entries"] for key, value in entry.items() if key != "date")


@pytest.mark.parametrize("interval", ["day", "week"])
def test_days_and_weeks(sandbox: tuple[Sandbox, str], config: Any, interval: str) -> None:
    received = chartmogul.Metrics.all(config, start_date=START, end_date=END, interval=interval).get()
    expected = raw(sandbox[1], "metrics/all", {"start-date": START, "end-date": END, "interval": interval})
    assert [as_json(entry, list(expected["entries"][0])) for entry in received.entries] == expected["entries"]


def test_ping_and_account(sandbox: tuple[Sandbox, str], config: Any) -> None:
    assert chartmogul.Ping.ping(config).get().data == "pong!"
    account = chartmogul.Account.retrieve(config).get()
    expected = raw(sandbox[1], "account", {})
    assert as_json(account, list(expected)) == expected


def test_customer_search(sandbox: tuple[Sandbox, str], config: Any) -> None:
    email = sandbox[0].company.customers[7].email
    found = chartmogul.Customer.search(config, email=email).get()
    (expected,) = raw(sandbox[1], "customers/search", {"email": email})["entries"]
    (customer,) = found.entries
    assert found.has_more is False
    for key in ("id", "uuid", "external_id", "name", "email", "status", "mrr", "arr", "currency", "country", "city"):
        assert getattr(customer, key) == expected[key], key
    assert customer.customer_since.isoformat() == expected["customer-since"]
    assert customer.address.country == expected["address"]["country"]
    assert customer.chartmogul_url == expected["chartmogul-url"]


@pytest.mark.parametrize(
    ("call", "status", "message"),
    [
        (lambda config: chartmogul.Metrics.mrr(config, start_date=START), 400, "end-date"),
        (lambda config: chartmogul.Customer.search(config, email="no@email.com"), 404, "no@email.com"),
        (lambda config: chartmogul.Metrics.asp(config, start_date=START, end_date=END, interval="day"), 404, "day"),
    ],
)
def test_errors(config: Any, call: Any, status: int, message: str) -> None:
    with pytest.raises(chartmogul.APIError, match=message) as error:
        call(config).get()
    cause: Any = error.value.__cause__
    assert cause.response.status_code == status


def test_a_wrong_key(config: Any) -> None:
    config.auth = ("wrong", "")
    with pytest.raises(chartmogul.APIError, match="No valid API key provided"):
        chartmogul.Ping.ping(config).get()
