"""Views of a blocking client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from chartmogul_async import ClientStatistics, MetricQuery, ResponseInfo, errors
from chartmogul_async.blocking import Client
from tests.blocking.clients import blocking_client
from tests.clients import in_turn, ok

RANGE = ("2023-07-01", "2023-07-31")


def test_a_view_has_the_connections_and_other_options() -> None:
    responses: list[ResponseInfo] = []
    with blocking_client(in_turn(200)) as client:
        minute = client.with_options(max_age=60).with_options(on_response=responses.append)
        assert type(minute) is Client
        assert repr(minute) == repr(client)
        assert minute.metrics.mrr(*RANGE) == minute.metrics.mrr(*RANGE)
        assert [response.status for response in responses] == [200, 200]
        assert client.statistics() == ClientStatistics(1, 0, 1, 1, len(ok().content))
        assert client.metrics.mrr(*RANGE)
        assert minute.customers is not client.customers
        assert client.throttle.statistics().admitted == minute.throttle.statistics().admitted == 2
    with pytest.raises(errors.StateError, match="closed"):
        minute.metrics.mrr(*RANGE)


def test_closing_a_view_closes_its_client() -> None:
    client = blocking_client(in_turn(200))
    with client.with_options(priority="batch") as view:
        view.metrics.mrr(*RANGE)
    with pytest.raises(errors.StateError, match="closed"):
        client.metrics.mrr(*RANGE)


def test_a_wrong_option_is_refused_at_once() -> None:
    with blocking_client(in_turn(200)) as client, pytest.raises(errors.ArgumentError, match="max_wait must be"):
        client.with_options(max_wait=-1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda client: type(client)(wrong=1), r"^Client\.__init__\(\) got an unexpected keyword argument 'wrong'$"),
        (lambda client: client.with_options(wrong=1), r"^Client\.with_options\(\) got an unexpected keyword"),
        (lambda client: client.ping(1), r"^Client\.ping\(\) too many positional arguments$"),
        (lambda client: client.get(), r"^Client\.get\(\) missing a required argument: 'path'$"),
    ],
    ids=["a client", "a view", "ping", "get"],
)
def test_wrong_arguments_name_what_was_called(call: Callable[[Any], object], message: str) -> None:
    with blocking_client(in_turn(200)) as client, pytest.raises(TypeError, match=message):
        call(client)


def test_arguments_are_wrong_after_others_were_right() -> None:
    with blocking_client(lambda _: httpx.Response(200, json={})) as client:
        unchecked: Any = client
        for _ in range(2):
            assert unchecked.get("/plans", params={}) == {}
            with pytest.raises(TypeError, match=r"^Client\.get\(\) got an unexpected keyword argument 'param'$"):
                unchecked.get("/plans", param={})
            with pytest.raises(TypeError, match=r"^Client\.get\(\) too many positional arguments$"):
                unchecked.get("/plans", {}, {})


def test_a_stream_has_the_options_of_its_view() -> None:
    with blocking_client(in_turn(200)) as client:
        minute = client.with_options(max_age=60)
        minute.metrics.mrr(*RANGE)
        with minute.metrics.stream([MetricQuery("mrr", *RANGE)] * 3) as outcomes:
            assert all(outcome.error is None for outcome in outcomes)
        assert client.statistics().exchanges == 1
