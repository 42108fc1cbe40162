"""Customers by e-mail: one page or many, none at all, and what is refused before any call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import anyio
import pytest

from chartmogul_async.customers import Customer, CustomerAttributes, Customers
from chartmogul_async.errors import (
    AuthenticationError,
    ChartMogulError,
    DecodeError,
    NotFoundError,
    ServerError,
    UsageError,
)
from chartmogul_async.structuring import structure

T = TypeVar("T")


class Pages:
    """Answers a search with one page after the other, and remembers what it was asked."""

    def __init__(self, *answers: dict[str, Any] | ChartMogulError) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def __call__(self, path: str, params: Mapping[str, str], into: type[T]) -> T:
        self.asked.append((path, dict(params)))
        answer = self._answers.pop(0)
        if isinstance(answer, ChartMogulError):
            raise answer
        return structure(answer, into)


def page(*uuids: str, has_more: bool = False, cursor: str | None = None) -> dict[str, Any]:
    return {"entries": [{"uuid": uuid} for uuid in uuids], "has_more": has_more, "cursor": cursor}


async def test_one_page_is_the_result_though_it_has_a_cursor() -> None:
    """The last page has a cursor as well; only ``has_more`` tells."""
    pages = Pages(page("cus_1", "cus_2", cursor="on"))
    assert await Customers(pages).search("anna@example.com") == (Customer(uuid="cus_1"), Customer(uuid="cus_2"))
    assert pages.asked == [("/customers/search", {"email": "anna@example.com"})]


async def test_all_pages_are_read_in_order_and_every_question_repeats_the_address() -> None:
    pages = Pages(
        page("cus_1", has_more=True, cursor="one"),
        page("cus_2", "cus_3", has_more=True, cursor="two"),
        page("cus_4", cursor="three"),
    )
    found = await Customers(pages).search("anna@example.com")
    assert [customer.uuid for customer in found] == ["cus_1", "cus_2", "cus_3", "cus_4"]
    assert pages.asked == [
        ("/customers/search", {"email": "anna@example.com"}),
        ("/customers/search", {"email": "anna@example.com", "cursor": "one"}),
        ("/customers/search", {"email": "anna@example.com", "cursor": "two"}),
    ]


async def test_an_answer_without_paging_as_in_the_closed_beta_is_one_page() -> None:
    pages = Pages({"entries": [{"company": "Healthy Foodboxes inc.", "mrr": "269"}]})
    (customer,) = await Customers(pages).search("john@example.com")
    assert (customer.company, customer.mrr) == ("Healthy Foodboxes inc.", 269)


async def test_the_envelope_of_today_with_all_that_is_deprecated_in_it_is_read() -> None:
    envelope = {"current_page": 1, "total_pages": None, "has_more": False, "per_page": 200, "page": 1, "cursor": "c"}
    assert await Customers(Pages({"entries": [], **envelope})).search("a@b") == ()


async def test_nobody_with_this_address_is_an_empty_result() -> None:
    pages = Pages(NotFoundError("Can't find any customers with email", 404, "email"))
    assert await Customers(pages).search("nobody@example.com") == ()
    assert len(pages.asked) == 1


@pytest.mark.parametrize(
    "error", [AuthenticationError("no key", 401), ServerError("down", 503), NotFoundError("the page is gone", 404)]
)
async def test_every_other_error_comes_out_as_it_is(error: ChartMogulError) -> None:
    with pytest.raises(type(error)) as caught:
        await Customers(Pages(page("cus_1", has_more=True, cursor="one"), error)).search("anna@example.com")
    assert caught.value is error


async def test_a_server_that_leads_in_a_circle_is_left() -> None:
    circle = [page("cus_1", has_more=True, cursor="one"), page("cus_2", has_more=True, cursor="two")]
    pages = Pages(*circle, *circle, *circle)
    with pytest.raises(DecodeError, match="cursor does not lead to it"):
        await Customers(pages).search("anna@example.com")
    assert len(pages.asked) == 3


async def test_null_is_nothing_where_a_field_may_be_left_out() -> None:
    entry = {"external_ids": None, "subscriptions": None, "attributes": {"tags": None, "custom": None, "stripe": None}}
    (customer,) = await Customers(Pages({"entries": [entry], "has_more": None})).search("anna@example.com")
    assert (customer.external_ids, customer.subscriptions, customer.name) == ((), (), None)
    assert customer.attributes == CustomerAttributes()


async def test_more_without_a_cursor_to_it_is_an_error() -> None:
    with pytest.raises(DecodeError, match="cursor does not lead to it"):
        await Customers(Pages({"entries": [], "has_more": True, "cursor": None})).search("anna@example.com")


async def test_an_answer_that_does_not_fit_is_a_decode_error() -> None:
    with pytest.raises(DecodeError) as caught:
        await Customers(Pages({"entries": None})).search("anna@example.com")
    assert caught.value.problems == ("$.entries: expected list, got null",)


@pytest.mark.parametrize(
    "email", ["anna@example.com", " anna@example.com\n", "anna+tag@example.com", "ünï@exämple.com", "o'x@example.com"]
)
async def test_an_address_is_sent_as_it_is_but_for_the_blanks_around_it(email: str) -> None:
    pages = Pages(page())
    await Customers(pages).search(email)
    assert pages.asked == [("/customers/search", {"email": email.strip()})]


@pytest.mark.parametrize(
    "email", ["", " ", "anna", "@", "@example.com", "anna@", " @ ", "@@", None, 5, b"a@b", ["a@b"]]
)
async def test_what_is_no_address_is_refused_before_any_call(email: Any) -> None:
    pages = Pages()
    with pytest.raises(UsageError, match=r"an address such as 'anna@example\.com'") as refused:
        await Customers(pages).search(email)
    assert refused.value.message.startswith(f"email is {email!r}")
    assert pages.asked == []


async def test_two_searches_at_once_do_not_mix() -> None:
    found: dict[str, tuple[Customer, ...]] = {}

    class Slow(Pages):
        async def __call__(self, path: str, params: Mapping[str, str], into: type[T]) -> T:
            await anyio.sleep(1)
            uuid = f"cus of {params['email']} {params.get('cursor')}"
            return structure(page(uuid, has_more="cursor" not in params, cursor="next"), into)

    customers = Customers(Slow())

    async def search(email: str) -> None:
        found[email] = await customers.search(email)

    async with anyio.create_task_group() as group:
        group.start_soon(search, "a@x")
        group.start_soon(search, "b@x")
    for email, result in found.items():
        assert [customer.uuid for customer in result] == [f"cus of {email} None", f"cus of {email} next"]
    assert len(found) == 2
