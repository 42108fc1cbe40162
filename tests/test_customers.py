"""Customers by e-mail address: one page or many, none at all, and what is refused before any request."""

from __future__ import annotations

import pickle
from datetime import date
from typing import Any, get_type_hints

import anyio
import httpx
import pytest
import respx

from chartmogul_async import Account, AsyncClient, Customer, RetryPolicy
from chartmogul_async.errors import (
    ArgumentError,
    AuthenticationError,
    ChartMogulError,
    DecodeError,
    NotFoundError,
    ServerError,
)
from chartmogul_async.resources.account import SETTINGS
from chartmogul_async.resources.customers import Address, CustomerAttributes
from chartmogul_async.sandbox import Company, Sandbox
from chartmogul_async.sandbox import customers as sandbox_customers
from tests.clients import ACCOUNT, KEY, client_of


def search_route(api: respx.Router, *responses: dict[str, Any] | int) -> respx.Route:
    """Responds to each search with the next page or status."""
    return api.get("/customers/search").mock(
        side_effect=[
            httpx.Response(response, json={"error": f"message of {response}"})
            if isinstance(response, int)
            else httpx.Response(200, json=response)
            for response in responses
        ]
    )


def queries(route: respx.Route) -> list[dict[str, str]]:
    """The queries that were sent."""
    return [dict(call.request.url.params) for call in route.calls]


async def search(api: respx.Router, email: Any = "anna@example.com", **more: Any) -> tuple[Customer, ...]:
    async with client_of(api, retry=RetryPolicy(attempts=1)) as client:
        return await client.customers.search(email, **more)


def page(*uuids: str, has_more: bool = False, cursor: str | None = None) -> dict[str, Any]:
    return {"entries": [{"uuid": uuid} for uuid in uuids], "has_more": has_more, "cursor": cursor}


async def test_one_page_is_the_result_although_it_has_a_cursor(api: respx.Router) -> None:
    """The last page has a cursor as well, so ``has_more`` decides."""
    route = search_route(api, page("cus_1", "cus_2", cursor="on"))
    assert await search(api) == (Customer(uuid="cus_1"), Customer(uuid="cus_2"))
    assert queries(route) == [{"email": "anna@example.com"}]


async def test_all_pages_are_read_in_order_and_repeat_the_address(api: respx.Router) -> None:
    route = search_route(
        api,
        page("cus_1", has_more=True, cursor="one"),
        page("cus_2", "cus_3", has_more=True, cursor="two"),
        page("cus_4", cursor="three"),
    )
    assert [customer.uuid for customer in await search(api)] == ["cus_1", "cus_2", "cus_3", "cus_4"]
    assert queries(route) == [
        {"email": "anna@example.com"},
        {"email": "anna@example.com", "cursor": "one"},
        {"email": "anna@example.com", "cursor": "two"},
    ]


async def test_a_response_of_the_closed_beta_is_one_page(api: respx.Router) -> None:
    search_route(api, {"entries": [{"company": "Healthy Foodboxes inc.", "mrr": "269"}]})
    (customer,) = await search(api)
    assert (customer.company, customer.mrr) == ("Healthy Foodboxes inc.", 269)


async def test_the_deprecated_fields_of_a_page_are_accepted(api: respx.Router) -> None:
    envelope = {"current_page": 1, "total_pages": None, "has_more": False, "per_page": 200, "page": 1, "cursor": "c"}
    search_route(api, {"entries": [], **envelope})
    assert await search(api) == ()


@pytest.mark.parametrize(
    "body",
    [
        {"code": 404, "message": 'Can\'t find any customers with email: "nobody@example.com"', "param": "email"},
        {"code": 404, "message": "Not found", "param": "email"},
        {"error": "No customer has that Email"},
    ],
)
async def test_404_about_the_address_is_an_empty_result(api: respx.Router, body: dict[str, Any]) -> None:
    route = api.get("/customers/search").respond(404, json=body)
    assert await search(api, "nobody@example.com") == ()
    assert route.call_count == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"404 page not found", b"<h1>Not Found</h1>", b'{"error": "Not found"}', b"Cannot GET /customers/search"],
)
async def test_404_of_another_server_is_an_error(api: respx.Router, content: bytes) -> None:
    """As with a ``base_url`` that has another path."""
    api.get("/customers/search").respond(404, content=content)
    with pytest.raises(NotFoundError):
        await search(api, "nobody@example.com")


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (503, ServerError), (404, NotFoundError)])
async def test_any_error_on_a_later_page_is_raised(
    api: respx.Router, status: int, error: type[ChartMogulError]
) -> None:
    route = search_route(api, page("cus_1", has_more=True, cursor="one"), status)
    with pytest.raises(error, match=f"message of {status}"):
        await search(api)
    assert route.call_count == 2


async def test_cursors_that_go_in_a_circle_end_with_an_error(api: respx.Router) -> None:
    circle = [page("cus_1", has_more=True, cursor="one"), page("cus_2", has_more=True, cursor="two")]
    route = search_route(api, *circle, *circle, *circle)
    with pytest.raises(DecodeError, match="has_more is true, but the cursor is missing or repeats"):
        await search(api)
    assert route.call_count == 3


async def test_has_more_without_a_cursor_is_an_error(api: respx.Router) -> None:
    search_route(api, {"entries": [], "has_more": True, "cursor": None})
    with pytest.raises(DecodeError, match="has_more is true, but the cursor is missing or repeats"):
        await search(api)


async def test_null_stands_for_the_default_of_an_optional_field(api: respx.Router) -> None:
    entry = {"external_ids": None, "subscriptions": None, "attributes": {"tags": None, "custom": None, "stripe": None}}
    search_route(api, {"entries": [entry], "has_more": None})
    (customer,) = await search(api)
    assert (customer.external_ids, customer.subscriptions, customer.name) == ((), (), None)
    assert customer.attributes == CustomerAttributes()


async def test_a_response_of_another_shape_is_a_decode_error(api: respx.Router) -> None:
    search_route(api, {"entries": None})
    with pytest.raises(DecodeError) as raised:
        await search(api)
    assert raised.value.problems == ("$.entries: expected list, got null",)


@pytest.mark.parametrize(
    "email", ["anna@example.com", " anna@example.com\n", "anna+tag@example.com", "ünï@exämple.com", "o'x@example.com"]
)
async def test_an_address_is_sent_without_surrounding_spaces(api: respx.Router, email: str) -> None:
    route = search_route(api, page())
    await search(api, email)
    assert queries(route) == [{"email": email.strip()}]


@pytest.mark.parametrize(
    "email",
    ["", " ", "anna", "@", "@example.com", "anna@", " @ ", "@@", None, 5, b"a@b", ["a@b"], 10**5000, "x" * 1_000_000],
    ids=range(14),
)
async def test_a_malformed_address_is_refused_before_any_request(api: respx.Router, email: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^email must be an address such as 'anna@example\.com', not ") as raised:
        await search(api, email)
    assert len(str(raised.value)) < 300
    assert not api.calls


@pytest.mark.parametrize("email", ["\ud800@example.com", "anna@\udfff"], ids=ascii)
async def test_an_address_with_a_lone_surrogate_is_refused(api: respx.Router, email: str) -> None:
    with pytest.raises(ArgumentError, match=r"^email must be valid Unicode, without lone surrogates, not '"):
        await search(api, email)
    assert not api.calls


async def test_an_address_too_long_for_a_url_is_refused(api: respx.Router) -> None:
    with pytest.raises(ArgumentError, match=r"^email must be shorter: 70\d{3} characters of the URL are too many, "):
        await search(api, "anna@" + "x" * 70_000)
    assert not api.calls


async def test_associated_addresses_are_searched_on_every_page(api: respx.Router) -> None:
    route = search_route(api, page("cus_1", has_more=True, cursor="one"), page("cus_2"))
    assert len(await search(api, with_associated_emails=True)) == 2
    first = {"email": "anna@example.com", "with_associated_emails": "true"}
    assert queries(route) == [first, first | {"cursor": "one"}]


async def test_associated_addresses_are_not_searched_by_default(api: respx.Router) -> None:
    route = search_route(api, page(), page())
    await search(api)
    await search(api, with_associated_emails=False)
    assert queries(route) == [{"email": "anna@example.com"}] * 2


@pytest.mark.parametrize("value", ["true", 1, None])
async def test_with_associated_emails_must_be_a_bool(api: respx.Router, value: object) -> None:
    with pytest.raises(ArgumentError, match=rf"^with_associated_emails must be a bool, not {value!r}$"):
        await search(api, with_associated_emails=value)
    assert not api.calls


async def test_the_sandbox_finds_associated_addresses() -> None:
    sandbox = Sandbox(Company(customers=20, today=date(2023, 8, 17)))
    first = sandbox.company.customers[0]
    async with AsyncClient("sandbox", transport=sandbox.transport()) as client:
        assert await client.customers.search(first.contact_email) == ()
        (found,) = await client.customers.search(first.contact_email, with_associated_emails=True)
    assert found.email == first.email
    assert (found.lead_status, found.free_subscriber_status) == ("New Lead", "Never a Free Subscriber")
    assert (found.trial_subscriber_status, found.last_seen) == ("Never had Trial", None)


# --- the account ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("include", "sent"),
    [
        (None, {}),
        ("refund_handling", {"include": "refund_handling"}),
        ("refund_handling, churn_recognition", {"include": "refund_handling,churn_recognition"}),
        (["churn_recognition"], {"include": "churn_recognition"}),
        (SETTINGS, {"include": ",".join(SETTINGS)}),
    ],
    ids=str,
)
async def test_settings_of_the_account_are_included_on_request(
    api: respx.Router, include: Any, sent: dict[str, str]
) -> None:
    route = api.get("/account").respond(json=ACCOUNT | {"refund_handling": "refund_ignore"})
    async with client_of(api) as client:
        assert (await client.account(include=include)).refund_handling == "refund_ignore"
    assert queries(route) == [sent]


@pytest.mark.parametrize(
    ("include", "message"),
    [
        ("colour", rf"include must be one of {', '.join(SETTINGS)}, not 'colour'"),
        (["id"], rf"include must be one of {', '.join(SETTINGS)}, not 'id'"),
        ("", r"include must contain only non-blank strings, not ''"),
        ([], r"include must not be empty: omit it for no settings"),
        (5, r"include must be a string or a list of strings, not 5"),
    ],
    ids=repr,
)
async def test_an_unknown_setting_is_refused_before_any_request(api: respx.Router, include: Any, message: str) -> None:
    async with client_of(api) as client:
        with pytest.raises(ArgumentError) as raised:
            await client.account(include=include)
    assert str(raised.value) == message
    assert not api.calls


async def test_the_sandbox_includes_the_settings() -> None:
    sandbox = Sandbox(Company(customers=0, today=date(2023, 8, 17)))
    async with AsyncClient("sandbox", transport=sandbox.transport()) as client:
        plain, full = await client.account(), await client.account(include=SETTINGS)
    assert {name: getattr(full, name) for name in SETTINGS} == sandbox_customers.SETTINGS
    assert {getattr(plain, name) for name in SETTINGS} == {None}


async def test_two_concurrent_searches_do_not_mix() -> None:
    found: dict[str, list[str | None]] = {}

    async def respond(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(1)
        params = request.url.params
        uuid = f"cus of {params['email']} {params.get('cursor')}"
        return httpx.Response(200, json=page(uuid, has_more="cursor" not in params, cursor="next"))

    async with AsyncClient(KEY, transport=httpx.MockTransport(respond)) as client:

        async def collect(email: str) -> None:
            found[email] = [customer.uuid for customer in await client.customers.search(email)]

        async with anyio.create_task_group() as group:
            group.start_soon(collect, "a@x")
            group.start_soon(collect, "b@x")
    assert found == {email: [f"cus of {email} None", f"cus of {email} next"] for email in ("a@x", "b@x")}


@pytest.mark.parametrize("record", [Customer(uuid="cus_1"), Account("Acme", "USD", "UTC", "monday")])
def test_a_pickled_record_names_the_package_and_not_the_module(record: object) -> None:
    pickled = pickle.dumps(record, protocol=0)
    assert pickle.loads(pickled) == record
    assert b"resources" not in pickled


def test_type_hints_can_be_resolved() -> None:
    assert get_type_hints(Customer)["address"] == Address | None
    assert get_type_hints(Customer.__init__)["mrr"] == int | float | None
    assert get_type_hints(Account)["id"] == str | None
