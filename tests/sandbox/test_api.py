from __future__ import annotations

import json
from base64 import b64encode
from datetime import date
from typing import Any

import anyio
import pytest

from chartmogul_async.errors import ArgumentError
from chartmogul_async.sandbox import Company, Counters, Fault, Faults, Limits, Sandbox
from chartmogul_async.sandbox.customers import SETTINGS
from chartmogul_async.sandbox.exchange import Request
from chartmogul_async.sandbox.response import Response

from .helpers import client, empty

RANGE = "start-date=2022-03-01&end-date=2022-03-31"
KEY = "Basic " + b64encode(b"sandbox:").decode()


@pytest.fixture
def sandbox() -> Sandbox:
    company = empty()
    company.add_customer(
        on=date(2022, 3, 10), plan="silver_monthly", mrr=100_00, email="Ann+b@x.example", name="Ann B", country="DE"
    )
    return Sandbox(company)


def respond(sandbox: Sandbox, target: str, method: str = "GET", authorization: str = KEY) -> Response:
    exchange = sandbox.exchange(Request(method, target, authorization), 0.0)
    exchange.close()
    return exchange.response


def get(sandbox: Sandbox, target: str, status: int = 200) -> Any:
    response = respond(sandbox, target)
    assert response.status == status, response.body
    assert response.content_type == "application/json"
    return json.loads(response.body)


def test_ping(sandbox: Sandbox) -> None:
    assert get(sandbox, "/v1/ping") == {"data": "pong!"}


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer sandbox",
        "Basic",
        "Basic !!!",
        "Basic /w==",
        "Basic \xe9",
        "Basic " + b64encode(b"other:").decode(),
        KEY.replace("Basic", "Digest"),
    ],
)
def test_a_wrong_key(sandbox: Sandbox, authorization: str) -> None:
    response = respond(sandbox, "/v1/ping", authorization=authorization)
    assert response.status == 401
    assert json.loads(response.body) == {"code": 401, "message": "No valid API key provided", "param": None}


@pytest.mark.parametrize("credentials", [b"sandbox:", b"sandbox:sandbox", b"sandbox"])
def test_the_key_is_the_user_name(sandbox: Sandbox, credentials: bytes) -> None:
    assert respond(sandbox, "/v1/ping", authorization="basic " + b64encode(credentials).decode()).status == 200


def test_the_key_is_not_in_the_repr(sandbox: Sandbox) -> None:
    assert KEY not in repr(Request("GET", "/v1/ping", KEY))


def test_account(sandbox: Sandbox) -> None:
    account = get(sandbox, "/v1/account")
    assert list(account) == ["id", "name", "currency", "time_zone", "week_start_on"]
    assert account["id"].startswith("acc_")
    assert (account["currency"], account["week_start_on"]) == ("USD", "monday")


def test_account_settings(sandbox: Sandbox) -> None:
    account = get(sandbox, "/v1/account?include=refund_handling,churn_when_zero_mrr")
    assert (account["refund_handling"], account["churn_when_zero_mrr"]) == ("refund_ignore", True)
    assert set(get(sandbox, "/v1/account?include=" + ",".join(SETTINGS))) >= set(SETTINGS)
    assert get(sandbox, "/v1/account?include=colour", 400) == {"message": "Invalid include parameter: colour"}


def test_search(sandbox: Sandbox) -> None:
    found = get(sandbox, "/v1/customers/search?email=ann%2BB%40x.example")
    assert list(found) == ["entries", "current_page", "total_pages", "has_more", "per_page", "page", "cursor"]
    assert (found["total_pages"], found["has_more"], found["per_page"]) == (None, False, 200)
    (customer,) = found["entries"]
    assert customer.pop("uuid").startswith("cus_")
    source = customer.pop("data_source_uuid")
    assert source.startswith("ds_")
    assert customer.pop("data_source_uuids") == [source]
    assert customer == {
        "id": 100001,
        "external_id": "customer_00001",
        "external_ids": ["customer_00001"],
        "name": "Ann B",
        "company": "Ann B",
        "email": "Ann+b@x.example",
        "status": "Active",
        "lead_status": "New Lead",
        "free_subscriber_status": "Never a Free Subscriber",
        "trial_subscriber_status": "Never had Trial",
        "paid_subscriber_status": "Active",
        "customer-since": "2022-03-10T00:00:00+00:00",
        "attributes": {"tags": [], "stripe": {}, "custom": {}},
        "country": "DE",
        "state": None,
        "city": "Bremen",
        "zip": None,
        "lead_created_at": None,
        "free_trial_started_at": None,
        "last_seen": None,
        "address": {"country": "Germany", "state": None, "city": "Bremen", "address_zip": None},
        "mrr": 100_00,
        "arr": 1200_00,
        "billing-system-url": None,
        "chartmogul-url": "https://app.chartmogul.com/#/customers/100001-Ann_B",
        "billing-system-type": "Import API",
        "currency": "USD",
        "currency-sign": "$",
        "owner": None,
        "website_url": None,
    }


def test_search_for_a_cancelled_customer(sandbox: Sandbox) -> None:
    sandbox.company.book("customer_00001", on=date(2022, 5, 1), plan="silver_monthly", mrr=0)
    (customer,) = get(sandbox, "/v1/customers/search?email=ann%2Bb@x.example")["entries"]
    assert (customer["status"], customer["mrr"], customer["arr"]) == ("Cancelled", 0, 0)
    assert customer["paid_subscriber_status"] == "Cancelled"


def test_a_customer_who_never_paid(sandbox: Sandbox) -> None:
    sandbox.company.add_customer(on=date(2022, 1, 1), plan="support", mrr=0, email="free@y.example")
    (customer,) = get(sandbox, "/v1/customers/search?email=free@y.example")["entries"]
    assert customer["paid_subscriber_status"] == "Never a Paid Subscriber"


def test_search_by_the_address_of_a_contact(sandbox: Sandbox) -> None:
    address = "/v1/customers/search?email=Finance@x.example"
    (customer,) = get(sandbox, f"{address}&with_associated_emails=true")["entries"]
    assert customer["email"] == "Ann+b@x.example"
    own = get(sandbox, "/v1/customers/search?email=ann%2Bb@x.example&with_associated_emails=true")
    assert own["entries"] == [customer]
    get(sandbox, address, 404)
    get(sandbox, f"{address}&with_associated_emails=false", 404)


def test_search_without_a_match(sandbox: Sandbox) -> None:
    assert get(sandbox, "/v1/customers/search?email=no@email.com", 404) == {
        "code": 404,
        "message": 'Can\'t find any customers with email: "no@email.com"',
        "param": "email",
    }


@pytest.mark.parametrize("query", ["", "?email=", "?mail=ann"])
def test_search_without_an_email(sandbox: Sandbox, query: str) -> None:
    assert get(sandbox, f"/v1/customers/search{query}", 400)["param"] == "email"


def test_search_pages_start_with_the_oldest(sandbox: Sandbox) -> None:
    for month in (9, 2, 5):
        sandbox.company.add_customer(on=date(2022, month, 1), plan="support", mrr=5, email="same@x.example")
    sandbox.company.add_customer(on=date(2022, 1, 1), plan="support", mrr=0, email="same@x.example")
    first = get(sandbox, "/v1/customers/search?email=same@x.example&per_page=2")
    cursor = first["cursor"].replace("=", "%3D")
    second = get(sandbox, f"/v1/customers/search?email=same@x.example&per_page=2&cursor={cursor}")
    assert list(second) == ["entries", "has_more", "cursor"]
    assert (first["has_more"], second["has_more"]) == (True, False)
    dates = [customer["customer-since"] for page in (first, second) for customer in page["entries"]]
    cursor = second["cursor"].replace("=", "%3D")
    assert [since and since[:7] for since in dates] == ["2022-02", "2022-05", "2022-09", None]
    beyond = get(sandbox, f"/v1/customers/search?email=same@x.example&cursor={cursor}")
    assert (beyond["entries"], beyond["cursor"], beyond["has_more"]) == ([], None, False)


@pytest.mark.parametrize(("requested", "size"), [("201", 200), ("0", 200), ("-1", 200), ("x", 200), ("7", 7)])
def test_page_size(sandbox: Sandbox, requested: str, size: int) -> None:
    assert get(sandbox, f"/v1/customers/search?email=ann%2Bb@x.example&per_page={requested}")["per_page"] == size


def test_a_page_size_of_5000_digits_is_refused(sandbox: Sandbox) -> None:
    error = get(sandbox, f"/v1/customers/search?email=ann%2Bb@x.example&per_page={'9' * 5000}", 400)
    assert (error["code"], error["param"]) == (400, "per_page")


def test_the_longest_responses_and_filters(sandbox: Sandbox) -> None:
    days = "start-date=2000-01-01&end-date=2027-05-18&interval=day"
    assert len(get(sandbox, f"/v1/metrics/mrr?{days}")["entries"]) == 10_000
    filters = "~AND~".join(["mrr~GT~5"] * 100)
    assert get(sandbox, f"/v1/metrics/mrr?{RANGE}&filters={filters}")["entries"][0]["mrr"] == 100_00


@pytest.mark.parametrize(
    ("query", "param", "text"),
    [
        ("end-date=2022-03-31", "start-date", "missing"),
        ("start-date=2022-03-31", "end-date", "missing"),
        ("start-date=&end-date=2022-03-31", "start-date", "missing"),
        ("start-date=2022-03-32&end-date=2022-03-31", "start-date", "not a date"),
        ("start-date=2022-03-01&end-date=tomorrow", "end-date", "not a date"),
        ("start-date=20220301&end-date=2022-03-31", "start-date", "not a date"),
        ("start-date=2022-04-01&end-date=2022-03-31", "start-date", "after"),
        (RANGE + "&interval=days", "interval", "not one of"),
        (RANGE + "&filters=mrr%3E5", "filters", "not of the form"),
        (RANGE + "&filters=" + "~AND~".join(["mrr~GT~5"] * 101), "filters", "at most 100 conditions"),
        ("start-date=0001-01-01&end-date=9999-12-31&interval=day", "end-date", "at most 10000 entries"),
    ],
)
@pytest.mark.parametrize("endpoint", ["all", "mrr", "ltv"])
def test_bad_parameters(sandbox: Sandbox, endpoint: str, query: str, param: str, text: str) -> None:
    error = get(sandbox, f"/v1/metrics/{endpoint}?{query}", 400)
    assert list(error) == ["code", "message", "param"]
    assert (error["code"], error["param"]) == (400, param)
    assert text in error["message"]


def test_message_for_a_missing_parameter_as_recorded(sandbox: Sandbox) -> None:
    assert get(sandbox, "/v1/metrics/mrr", 400)["message"] == 'Parameter "start-date" is missing'


@pytest.mark.parametrize("interval", ["day", "week"])
def test_sale_prices_are_not_available_by_day_or_week(sandbox: Sandbox, interval: str) -> None:
    assert get(sandbox, f"/v1/metrics/asp?{RANGE}&interval={interval}", 404)["param"] == "interval"
    assert get(sandbox, f"/v1/metrics/asp?{RANGE}&interval=year")["entries"][0]["asp"] == 100_00


@pytest.mark.parametrize("interval", ["", "&interval=month", "&interval="])
def test_month_is_the_default(sandbox: Sandbox, interval: str) -> None:
    entries = get(sandbox, f"/v1/metrics/mrr?start-date=2022-03-15&end-date=2022-05-02{interval}")["entries"]
    assert [entry["date"] for entry in entries] == ["2022-03-31", "2022-04-30", "2022-05-02"]


@pytest.mark.parametrize("time", ["T00:00:00Z", "%2012:00:00%20UTC", "T12:00:00.000%2B02:00"])
def test_a_time_after_the_date_is_accepted(sandbox: Sandbox, time: str) -> None:
    with_time = get(sandbox, f"/v1/metrics/mrr?start-date=2022-03-01{time}&end-date=2022-03-31{time}")
    assert with_time == get(sandbox, f"/v1/metrics/mrr?{RANGE}")


def test_weeks_start_on_the_day_of_the_account() -> None:
    company = Company(customers=0, today=date(2022, 1, 31), week_start_on="sunday")
    sandbox = Sandbox(company)
    assert get(sandbox, "/v1/account")["week_start_on"] == "sunday"
    entries = get(sandbox, "/v1/metrics/arr?start-date=2015-01-01&end-date=2015-01-10&interval=week")["entries"]
    assert [entry["date"] for entry in entries] == ["2015-01-03", "2015-01-10"]


def test_unknown_paths_and_methods(sandbox: Sandbox) -> None:
    for path in (
        "/v1/metrics/churn-rate",
        "/v1/metrics/",
        "/v1",
        "/v1/customers/",
        "/v1/plan_groups/plans",
    ):
        assert get(sandbox, path, 404) == {"error": "Not found"}
    for path in ("/", "/v2/ping", "/ping"):
        assert "base_url must end with /v1" in get(sandbox, path, 404)["error"]
    assert respond(sandbox, "/v1/ping", method="POST").status == 405


def test_headers(sandbox: Sandbox) -> None:
    headers = [dict(respond(sandbox, "/v1/ping").all_headers) for _ in range(2)]
    assert headers[0]["content-type"] == "application/json"
    assert headers[0]["content-length"] == "16"
    assert headers[0]["x-request-id"] != headers[1]["x-request-id"]


async def test_requests_per_second_are_limited() -> None:
    sandbox = Sandbox(empty())
    async with client(sandbox) as http:
        responses = [await http.get("ping") for _ in range(42)]
        assert [response.status_code for response in responses] == [200] * 40 + [429] * 2
        assert responses[-1].json()["code"] == 429
        assert "retry-after" not in responses[-1].headers
        await anyio.sleep(1)
        assert (await http.get("ping")).status_code == 200
    assert sandbox.counters == Counters(requests=43, refused_429=2, peak_parallel=1)
    assert sandbox.counters.refusals == 2


async def test_parallel_requests_are_limited() -> None:
    sandbox = Sandbox(empty(), limits=Limits(parallel=3, retry_after=True), latency=1)
    statuses: list[int] = []

    async with client(sandbox) as http:

        async def ping() -> None:
            response = await http.get("ping")
            statuses.append(response.status_code)
            if response.status_code == 503:
                assert response.headers["retry-after"] == "1"
                assert response.json()["message"] == "Too many parallel requests."

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ping)
        assert statuses == [503, 503, 200, 200, 200]
        await ping()
    assert sandbox.counters == Counters(requests=6, refused_503=2, peak_parallel=4)


async def test_the_compute_budget_of_a_minute() -> None:
    sandbox = Sandbox(empty(), limits=Limits(work_per_minute=32, retry_after=True))
    async with client(sandbox) as http:
        # The request costs 1 and its 31 entries cost 31.
        assert (await http.get(f"metrics/mrr?{RANGE}&interval=day")).status_code == 200
        refused = await http.get("ping")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
        await anyio.sleep(60)
        assert (await http.get("ping")).status_code == 200


async def test_latency_grows_with_the_entries() -> None:
    sandbox = Sandbox(empty(), latency=0.5, latency_per_entry=0.125)
    async with client(sandbox) as http:
        start = anyio.current_time()
        await http.get("ping")
        assert anyio.current_time() - start == pytest.approx(0.5)
        await http.get("metrics/mrr?start-date=2022-03-01&end-date=2022-03-04&interval=day")
        assert anyio.current_time() - start == pytest.approx(0.5 + 0.5 + 4 * 0.125)


async def test_limits_and_faults_can_be_replaced() -> None:
    sandbox = Sandbox(empty(), limits=Limits(per_second=1))
    async with client(sandbox) as http:
        assert [(await http.get("ping")).status_code for _ in range(2)] == [200, 429]
        sandbox.limits = Limits(per_second=2)
        sandbox.faults = Faults.sequence(Fault.status(502))
        assert [(await http.get("ping")).status_code for _ in range(3)] == [502, 200, 429]
    assert sandbox.limits == Limits(per_second=2)
    assert sandbox.faults == Faults.sequence(Fault.status(502))
    assert sandbox.counters.faults == 1


async def test_faults_match_the_decoded_query() -> None:
    sandbox = Sandbox(empty(), faults=Faults.sequence(Fault.status(500), where="plans=Silver Monthly"))
    async with client(sandbox) as http:
        queries: list[dict[str, str]] = [{"plans": "Gold Monthly"}, {"plans": "Silver Monthly"}]
        days = {"start-date": "2022-03-01", "end-date": "2022-03-31"}
        assert [(await http.get("metrics/mrr", params=days | more)).status_code for more in queries] == [200, 500]


async def test_reading_the_counters() -> None:
    """It needs no key and does not count."""
    sandbox = Sandbox(empty(), limits=Limits(per_second=1))
    async with client(sandbox, key="wrong") as http:
        for _ in range(3):
            await http.get("ping")
        address = "https://api.chartmogul.com/sandbox/counters"
        first, counters = (await http.get(address)).json(), (await http.get(address)).json()
    assert first == counters
    assert Counters(**counters) == sandbox.counters == Counters(requests=3, refused_429=2, peak_parallel=1)


async def test_bookings_change_responses_at_once(sandbox: Sandbox) -> None:
    async with client(sandbox) as http:
        before = (await http.get(f"metrics/mrr?{RANGE}")).json()["entries"][0]["mrr"]
        sandbox.company.add_customer(on=date(2022, 3, 1), plan="support", mrr=7)
        assert (await http.get(f"metrics/mrr?{RANGE}")).json()["entries"][0]["mrr"] == before + 7


def test_a_sandbox_has_a_company_by_default() -> None:
    assert len(Sandbox().company.customers) > 1400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"company": 5}, r"company must be a Company, such as Company\(seed=1\), not 5"),
        ({"api_key": None}, "api_key must be a str, not None"),
        ({"limits": 40}, r"limits must be a Limits, such as Limits\(per_second=40\), not 40"),
        ({"faults": []}, r"faults must be a Faults, such as Faults.sequence\(Fault.reset\(\)\), not \[\]"),
        ({"latency": -1}, "latency must be a non-negative number of seconds, not -1"),
        ({"latency_per_entry": "1"}, "latency_per_entry must be a non-negative number of seconds, not '1'"),
    ],
)
def test_invalid_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Sandbox(**arguments)


def test_invalid_limits_and_faults_are_not_assigned(sandbox: Sandbox) -> None:
    with pytest.raises(ArgumentError, match="limits must be a Limits"):
        sandbox.limits = None  # type: ignore[assignment]  # on purpose
    with pytest.raises(ArgumentError, match="faults must be a Faults"):
        sandbox.faults = Fault.reset()  # type: ignore[assignment]  # on purpose
    assert (sandbox.limits, sandbox.faults) == (Limits(), Faults())
