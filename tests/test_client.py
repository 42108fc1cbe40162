"""The client: what it sends, what it refuses, and what it never shows."""

from __future__ import annotations

import asyncio
import base64
import pickle
import traceback
from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime
from functools import partial
from typing import Any
from unittest.mock import AsyncMock, Mock

import anyio
import httpx
import pytest
import respx

from chartmogul_async import Account, AsyncClient, RetryPolicy, Throttle, errors
from tests.clients import ACCOUNT, KEY, MRR, client_of, in_turn
from tests.faults.kinds import connections_of

RANGE = ("2023-07-01", "2023-08-31")


async def test_metric_is_one_get_with_the_parameters_of_the_api(api: respx.Router) -> None:
    route = api.get("/metrics/mrr").respond(json=MRR)
    async with client_of(api) as client:
        mrr = await client.metrics.mrr(*RANGE, geo=["US", "de"], plans=["Silver Monthly", "100% & ~more+"])
    assert mrr[0].date == date(2023, 7, 31)
    assert (mrr[0].mrr, mrr[0].mrr_new_business, mrr.summary.current) == (363819722, 288938, 354026144)
    ((request, _),) = route.calls
    assert request.method == "GET"
    assert str(request.url) == (
        "https://api.chartmogul.com/v1/metrics/mrr?start-date=2023-07-01&end-date=2023-08-31&interval=month"
        "&geo=US%2CDE&plans=Silver%20Monthly%2C100%25%20%26%20~more%2B"
    )
    assert dict(request.url.params)["plans"] == "Silver Monthly,100% & ~more+"
    assert request.headers["authorization"] == "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()
    assert request.headers["host"] == "api.chartmogul.com"
    assert request.headers["user-agent"].startswith("chartmogul_async/")
    assert (request.headers["accept"], request.headers["accept-encoding"]) == ("application/json", "gzip")
    assert request.extensions["timeout"] == {"connect": 5.0, "read": 30.0, "write": 30.0, "pool": None}


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://localhost:8000/v1", "localhost:8000"),
        ("http://[::1]:80/v1", "[::1]"),
        ("https://API.example:443", "api.example"),
        ("https://bücher.example:8443", "xn--bcher-kva.example:8443"),
    ],
)
async def test_the_host_is_that_of_the_base_url(url: str, host: str) -> None:
    """As httpx says it by itself. A transport may look at all of the request, which has no body."""
    requests: list[httpx.Request] = []

    class Noting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            requests.append(request)
            return httpx.Response(200, json={"data": "pong!"})

    async with AsyncClient(KEY, base_url=url, transport=Noting()) as client:
        await client.ping()
    (request,) = requests
    assert request.headers.raw[0] == (b"Host", host.encode())
    assert request.headers.raw[0] == httpx.Request("GET", f"{url}/ping").headers.raw[0]
    assert request.content == b""


async def test_timeout_is_a_number_or_one_for_each_phase(api: respx.Router) -> None:
    route = api.get("/metrics/mrr").respond(json=MRR)
    for timeout in (2.0, httpx.Timeout(1.0, read=60.0)):
        async with client_of(api, timeout=timeout) as client:
            await client.metrics.mrr(*RANGE)
    assert [call.request.extensions["timeout"] for call in route.calls] == [
        {"connect": 2.0, "read": 2.0, "write": 2.0, "pool": 2.0},
        {"connect": 1.0, "read": 60.0, "write": 1.0, "pool": 1.0},
    ]


async def test_ping_and_account(api: respx.Router) -> None:
    api.get("/ping").respond(json={"data": "pong!"})
    api.get("/account").respond(json={**ACCOUNT, "id": "acc_1", "new_field": 1})
    async with client_of(api) as client:
        assert await client.ping() == "pong!"
        assert await client.account() == Account(
            name="Acme", currency="USD", time_zone="Europe/Berlin", week_start_on="monday", id="acc_1"
        )


async def test_get_gets_whatever_has_no_method_yet(api: respx.Router) -> None:
    for path in ("/plans", "/customers/cus_1/subscriptions"):
        api.get(path).respond(json={"plans": [{"errors": {}}]})
    async with client_of(api) as client:
        assert await client.get("/plans", {"per_page": 200, "since": date(2024, 1, 2)}) == {"plans": [{"errors": {}}]}
        assert await client.get("customers/cus_1/subscriptions") == {"plans": [{"errors": {}}]}
    sent = [call.request.url.raw_path for call in api.calls]
    assert sent == [b"/v1/plans?per_page=200&since=2024-01-02", b"/v1/customers/cus_1/subscriptions"]


async def test_get_sends_no_missing_value(api: respx.Router) -> None:
    """That of pandas is a date, and equals nothing."""

    class NotATime(datetime):
        def __ne__(self, other: object) -> bool:
            return True

        def __repr__(self) -> str:
            return "NaT"

    async with client_of(api) as client:
        with pytest.raises(errors.ArgumentError, match=r"^parameter since must be .* a date or a bool, not NaT$"):
            await client.get("/plans", {"since": NotATime(2024, 1, 2)})


async def test_get_writes_parameters_as_the_api_does(api: respx.Router) -> None:
    route = api.get("/plans").respond(json={})
    async with client_of(api) as client:
        await client.get("/plans", {"cursor": None, "with_overrides": True, "per_page": 5})
        with pytest.raises(errors.ArgumentError) as caught:
            await client.get("/plans", {"tags": ["a"]})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == "parameter tags must be a string, a number, a date or a bool, not ['a']"
    ((request, _),) = route.calls
    assert request.url.query == b"with_overrides=true&per_page=5"


async def test_get_of_an_empty_body_is_none_and_of_garbage_an_error(api: respx.Router) -> None:
    responses = [httpx.Response(204), httpx.Response(200, text=" \n"), httpx.Response(200, text="<html>")]
    api.get("/plans").side_effect = responses
    async with client_of(api) as client:
        assert await client.get("/plans") is None
        assert await client.get("/plans") is None
        with pytest.raises(errors.DecodeError, match=r"/v1/plans: \$: the body of 6 bytes is not JSON"):
            await client.get("/plans")


@pytest.mark.parametrize("path", ["https://evil.example/x", "//evil.example", "/a/../b", "/a?b=c", "", "/a b", "/a#b"])
async def test_get_takes_only_a_path_below_the_base_url(api: respx.Router, path: str) -> None:
    async with client_of(api) as client:
        with pytest.raises(errors.ArgumentError) as caught:
            await client.get(path)
    expected = f"path must be one below the base URL without a query, such as '/invoices', not {path!r}"
    assert str(caught.value) == expected
    assert not api.calls


# --- errors -----------------------------------------------------------------------------------------------------


async def test_error_response_becomes_an_error_with_all_its_content(api: respx.Router) -> None:
    body = {"code": 404, "message": "Can't find any plans", "param": "uuid"}
    api.get("/plans/pl_1").respond(404, json=body, headers={"x-request-id": "req-1"})
    async with client_of(api) as client:
        with pytest.raises(errors.NotFoundError) as caught:
            await client.get("/plans/pl_1")
    error = caught.value
    assert (error.message, error.status, error.param, error.request_id) == (
        "Can't find any plans",
        404,
        "uuid",
        "req-1",
    )
    assert str(error) == (
        "GET https://api.chartmogul.com/v1/plans/pl_1: 404: Can't find any plans (parameter uuid; request id req-1)"
    )
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)


async def test_rate_limit_error_has_the_seconds_to_wait(api: respx.Router) -> None:
    api.get("/ping").respond(429, headers={"retry-after": "120"})
    async with client_of(api) as client:
        with pytest.raises(errors.RateLimitError) as caught:
            await client.ping()
    assert caught.value.retry_after == 120


async def test_redirect_is_not_followed(api: respx.Router) -> None:
    route = api.get("/ping").respond(302, headers={"location": "https://evil.example/"})
    async with client_of(api) as client:
        with pytest.raises(
            errors.StatusError, match="302: the server redirects elsewhere, where the API key"
        ) as caught:
            await client.ping()
    assert (route.call_count, caught.value.status) == (1, 302)


async def test_cookies_are_not_kept(api: respx.Router) -> None:
    route = api.get("/ping").respond(json={"data": "pong!"}, headers={"set-cookie": "a=b"})
    async with client_of(api) as client:
        await client.ping()
        await client.ping()
    assert [call.request.headers.get("cookie") for call in route.calls] == [None, None]


async def test_mismatch_names_its_place(api: respx.Router) -> None:
    wrong = {**MRR, "entries": [MRR["entries"][0] | {"mrr": "12"}]}  # type: ignore[index]
    api.get("/metrics/mrr").respond(json=wrong, headers={"x-request-id": "req-1"})
    async with client_of(api) as client:
        with pytest.raises(errors.DecodeError) as caught:
            await client.metrics.mrr(*RANGE)
    error = caught.value
    assert error.message == "$.entries[0].mrr: expected int or float, got str"
    assert (error.problems, error.status) == (("$.entries[0].mrr: expected int or float, got str",), 200)
    assert (error.request_id, error.attempts) == ("req-1", 1)


async def test_error_inside_a_success_is_reported(api: respx.Router) -> None:
    api.get("/metrics/mrr").respond(json={"error": "Something is off"})
    async with client_of(api) as client:
        with pytest.raises(
            errors.DecodeError,
            match=r"/v1/metrics/mrr: the response contains an error, 'Something is off'; \$\.entries",
        ):
            await client.metrics.mrr(*RANGE)


async def test_html_with_200_is_a_decode_error(api: respx.Router) -> None:
    api.get("/metrics/mrr").respond(html="<html>maintenance</html>")
    async with client_of(api) as client:
        with pytest.raises(errors.DecodeError, match="is not JSON, see character 0"):
            await client.metrics.mrr(*RANGE)


# --- refusals before anything is sent ---------------------------------------------------------------------------


async def test_bad_arguments_are_refused_before_sending(api: respx.Router) -> None:
    async with client_of(api) as client:
        with pytest.raises(errors.UsageError, match="start_date"):
            await client.metrics.mrr("2023-08-31", "2023-07-01")
        with pytest.raises(TypeError, match="intervall"):
            await client.metrics.mrr(*RANGE, intervall="day")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert not api.calls


@pytest.mark.parametrize(
    "url",
    ["http://api.chartmogul.com/v1", "ftp://localhost", "http://127.0.0.1.evil.example"],
)
def test_plain_http_is_refused_for_all_but_loopback(url: str) -> None:
    scheme, _, rest = url.partition("://")
    expected = f"base_url must use https, since every request contains the key, not {scheme}://{rest.split('/')[0]}; "
    with pytest.raises(errors.ArgumentError, match=expected + "plain http is allowed on localhost only"):
        AsyncClient(KEY, base_url=url)


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://127.0.0.1:8000/v1/", "http://[::1]/v1", "https://eu.example/v2"]
)
def test_loopback_and_https_are_accepted(url: str) -> None:
    assert repr(AsyncClient(KEY, base_url=url)) == f"AsyncClient(base_url={url.rstrip('/')!r})"


@pytest.mark.parametrize(
    "url", ["https://user:pw@x.example", "https://x.example/v1?a=b", "https://x.example/v1#a", "https://x.example/v1?"]
)
def test_base_url_with_credentials_query_or_fragment_is_refused(url: str) -> None:
    with pytest.raises(errors.ArgumentError, match="base_url must not contain credentials, a query or") as caught:
        AsyncClient(KEY, base_url=url)
    assert "pw" not in str(caught.value)


def test_base_url_can_be_an_httpx_url() -> None:
    url: Any = httpx.URL("https://eu.example/v2/")
    assert repr(AsyncClient(KEY, base_url=url)) == "AsyncClient(base_url='https://eu.example/v2')"
    with pytest.raises(errors.ArgumentError, match="base_url must not contain credentials, a query or"):
        AsyncClient(KEY, base_url=url.copy_with(query=b"a=b"))


NO_URLS = [
    17,
    "http://x:port",
    "https://",
    "nonsense",
    "https://[::1",
    "https://[::1]x",
    "https://]",
    "https://:80",
    "https://x:" + "1" * 5000,
    "https://x/" + "a" * 70_000,
    "https://x/\ud800",
    "https://\ud800",
]
# No program could look up these names.
NO_HOSTS = [
    "https://xn--/",
    "https://xn--zz--",
    "https://-a.example",
    "https://a-.example",
    "https://a..b",
    "https://.",
    "https://..",
    "https://a..",
    "https://256.1.1.1",
    "https://a b",
    "https://a%20b",
    "https://a%00b",
    "https://a\\b",
    "https://a,b",
    "https://*",
    "https://\u2603.example",
    "https://\u200d",
    f"https://{'a' * 64}.example",
    f"https://{'a' * 5000}.example",
    "https://" + ".".join(["a" * 60] * 5),
]


@pytest.mark.parametrize("url", NO_URLS + NO_HOSTS)
def test_base_url_must_be_a_url(url: str) -> None:
    with pytest.raises(
        errors.ArgumentError, match=r"base_url must be a URL such as 'https://api\.chartmogul\.com/v1'$"
    ):
        AsyncClient(KEY, base_url=url)


@pytest.mark.parametrize("url", ["https://xn--a", "https://xn--11111111"])
@pytest.mark.skipif(httpx.__name__ != "httpx", reason="httpx2 does not decode the name, so it is looked up in vain")
def test_host_of_base_url_must_be_decodable(url: str) -> None:
    with pytest.raises(errors.ArgumentError, match="base_url must be a URL such as"):
        AsyncClient(KEY, base_url=url)


@pytest.mark.parametrize(("port", "shown"), [("99999", 99999), ("65536", 65536), ("0", 0), ("-1", -1)])
def test_port_of_base_url_must_exist(port: str, shown: int) -> None:
    with pytest.raises(errors.ArgumentError) as caught:
        AsyncClient(KEY, base_url=f"http://localhost:{port}")
    assert str(caught.value) == f"base_url must have a port from 1 to 65535, not {shown}"


@pytest.mark.parametrize(
    "url",
    [
        "https://münchen.example/v1",
        "https://xn--mnchen-3ya.example/v1",
        "https://a_b.example/v1",
        "https://chartmogul.example./v1",
        "https://10.0.0.1:65535/v1",
        "https://[::1]:1/v1",
        "https://[fe80::1%25eth0]/v1",
        "http://LOCALHOST:8000/v1",
        "http://127.0.0.1:1",
        "http://[::1]:8000/v1",
        "https://" + ".".join(["a" * 61] * 4) + "/v1",
    ],
)
async def test_any_host_that_may_exist_is_accepted(url: str) -> None:
    router = respx.Router()
    router.get(url=f"{url}/metrics/mrr").respond(json=MRR)
    async with client_of(router, base_url=url) as client:
        assert len(await client.metrics.mrr(*RANGE)) == 1


@pytest.mark.parametrize("path", ["", "/", "/v1/metrics", "/metrics", "/v", "/1"])
def test_base_url_of_chartmogul_must_name_the_version(path: str) -> None:
    """Everything else is a 404 there."""
    url = f"https://API.chartmogul.com{path}"
    with pytest.raises(errors.ArgumentError) as caught:
        AsyncClient(KEY, base_url=url)
    assert str(caught.value) == (
        f"base_url must end with the version of the API, as in 'https://api.chartmogul.com/v1', not {url.lower()!r}"
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://api.chartmogul.com/v1",
        "https://api.chartmogul.com:443/v1/",
        "https://api.chartmogul.com/v2",
        "https://gateway.example/chartmogul",
        "https://gateway.example",
        "http://localhost:8000",
    ],
)
async def test_base_url_of_another_host_may_have_any_path(url: str) -> None:
    router = respx.Router(base_url=url)
    router.get("/plans/pl_1").respond(404, json={"message": "Can't find any plans"})
    async with client_of(router, base_url=url) as client:
        with pytest.raises(errors.NotFoundError) as caught:
            await client.get("/plans/pl_1")
    assert caught.value.message == "Can't find any plans"


@pytest.mark.parametrize("timeout", [0, -1, "5", True, None])
def test_timeout_must_be_a_positive_number(timeout: float) -> None:
    with pytest.raises(errors.ArgumentError) as caught:
        AsyncClient(KEY, timeout=timeout)
    assert str(caught.value) == f"timeout must be a positive number of seconds or an httpx.Timeout, not {timeout!r}"


@pytest.mark.parametrize(
    ("name", "must_be"),
    [
        ("throttle", r"a Throttle, such as Throttle\(\),"),
        ("retry", r"a RetryPolicy, such as RetryPolicy\(attempts=3\),"),
        ("transport", r"an (httpx2?\.)?AsyncBaseTransport,"),
        ("on_event", "a plain function of one event, neither async nor a generator,"),
    ],
)
def test_other_options_are_checked(name: str, must_be: str) -> None:
    with pytest.raises(errors.ArgumentError, match=f"^{name} must be {must_be} not 'nonsense'$"):
        AsyncClient(KEY, **{name: "nonsense"})  # type: ignore[arg-type]


class AsyncHook:
    async def __call__(self, event: object) -> None: ...

    async def method(self, event: object) -> None: ...

    def plain_method(self, event: object) -> None: ...


async def async_hook(event: object) -> None: ...


async def async_generator_hook(event: object) -> AsyncIterator[None]:
    yield


def generator_hook(event: object) -> Iterator[None]:
    yield


@pytest.mark.parametrize(
    "hook",
    [
        async_hook,
        partial(async_hook),
        partial(partial(async_hook), None),
        async_generator_hook,
        partial(async_generator_hook),
        generator_hook,
        AsyncHook(),
        partial(AsyncHook()),
        AsyncHook().method,
        AsyncMock(),
    ],
)
def test_on_event_that_only_makes_a_coroutine_is_refused(hook: Any) -> None:
    with pytest.raises(errors.ArgumentError, match="on_event must be a plain function of one event"):
        AsyncClient(KEY, on_event=hook)


@pytest.mark.parametrize("hook", [print, [].append, partial(print), AsyncHook().plain_method, Mock(), str])
async def test_any_other_callable_may_be_on_event(api: respx.Router, hook: Any) -> None:
    api.get("/metrics/mrr").respond(json=MRR)
    async with client_of(api, on_event=hook) as client:
        await client.metrics.mrr(*RANGE)


def test_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHARTMOGUL_API_KEY", raising=False)
    with pytest.raises(errors.ArgumentError, match="CHARTMOGUL_API_KEY"):
        AsyncClient()
    monkeypatch.setenv("CHARTMOGUL_API_KEY", "")
    with pytest.raises(errors.ArgumentError, match="no API key"):
        AsyncClient()
    monkeypatch.setenv("CHARTMOGUL_API_KEY", KEY)
    AsyncClient()
    # What is passed counts, also where it is empty.
    with pytest.raises(errors.ArgumentError, match="no API key"):
        AsyncClient("")


def test_base_url_comes_from_the_environment_and_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARTMOGUL_BASE_URL", "http://127.0.0.1:8000/v1")
    assert "127.0.0.1:8000" in repr(AsyncClient(KEY))
    assert "eu.example" in repr(AsyncClient(KEY, base_url="https://eu.example/v1"))
    monkeypatch.setenv("CHARTMOGUL_BASE_URL", "http://evil.example/v1")
    with pytest.raises(errors.ArgumentError, match="plain http is allowed on localhost only"):
        AsyncClient(KEY)


@pytest.mark.parametrize("key", ["two words", "line\nend", "a:b", "schlüssel", 17, " padded"])
def test_malformed_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(
        errors.ArgumentError, match="api_key is malformed: a key has no spaces, line breaks or colons"
    ) as caught:
        AsyncClient(key)
    assert not key or str(key) not in str(caught.value)


def test_half_made_client_has_a_repr() -> None:
    """A debugger shows it, and so does an error report with local variables."""
    assert repr(AsyncClient.__new__(AsyncClient)) == "AsyncClient(base_url=None)"
    for options in ({"base_url": "nonsense"}, {"api_key": "two words"}, {"on_event": 5}):
        with pytest.raises(errors.ArgumentError) as caught:
            AsyncClient(**{"api_key": KEY, **options})  # type: ignore[arg-type]
        frames = [frame.f_locals for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
        (half_made,) = [variables["self"] for variables in frames if isinstance(variables.get("self"), AsyncClient)]
        assert repr(half_made).startswith("AsyncClient(base_url=")


# --- lifespan ---------------------------------------------------------------------------------------------------


async def test_client_works_without_a_block_and_closes_twice(api: respx.Router) -> None:
    api.get("/metrics/mrr").respond(json=MRR)
    client = client_of(api)
    await client.metrics.mrr(*RANGE)
    await client.aclose()
    await client.aclose()


async def test_resources_are_made_once(api: respx.Router) -> None:
    """What ``metrics`` learned about the account is kept."""
    async with client_of(api) as client:
        assert client.metrics is client.metrics
        assert client.customers is client.customers
        assert client.throttle is client.throttle


async def test_use_after_close_is_refused(api: respx.Router) -> None:
    async with client_of(api) as client:
        pass
    message = "^this client is closed; make a new AsyncClient, and close it after its last call$"
    with pytest.raises(errors.StateError, match=message):
        await client.ping()
    with pytest.raises(errors.StateError, match="this client was entered before"):
        await client.__aenter__()


async def test_entering_a_closed_client_is_refused(api: respx.Router) -> None:
    client = client_of(api)
    await client.aclose()
    with pytest.raises(errors.StateError, match="this client is closed"):
        await client.__aenter__()


def test_use_from_a_second_event_loop_is_refused() -> None:
    client = client_of(in_turn(200))

    async def use() -> None:
        await client.metrics.mrr(*RANGE)

    asyncio.run(use())
    its_place = (
        "^this client is in use in another event loop, where its connections live; make one AsyncClient for each"
    )
    with pytest.raises(errors.StateError, match=its_place):
        asyncio.run(use())


def test_closing_in_a_second_event_loop_frees_the_throttle() -> None:
    throttle = Throttle()
    client = client_of(in_turn(200), throttle=throttle)

    async def use(client: AsyncClient) -> None:
        await client.metrics.mrr(*RANGE)

    asyncio.run(use(client))
    with pytest.raises(errors.StateError, match="another event loop"):
        asyncio.run(client.aclose())
    asyncio.run(client.aclose())
    asyncio.run(use(client_of(in_turn(200), throttle=throttle)))


async def test_call_between_attempts_ends_with_the_client() -> None:
    throttle = Throttle()
    client = client_of(in_turn(httpx.Response(503, headers={"retry-after": "5"})), throttle=throttle)

    async def call() -> None:
        with pytest.raises(errors.StateError, match="closed while the call was in progress"):
            await client.ping()

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        await client.aclose()
    statistics = throttle.statistics()
    assert (statistics.admitted, statistics.in_flight) == (1, 0)


async def test_users_transport_is_closed_with_the_client() -> None:
    class Closing(httpx.MockTransport):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    transport = Closing(in_turn(200))
    async with AsyncClient(KEY, transport=transport) as client:
        await client.metrics.mrr(*RANGE)
        assert not transport.closed
    assert transport.closed


# --- several clients, one throttle ------------------------------------------------------------------------------


async def test_clients_of_one_account_share_a_throttle() -> None:
    throttle = Throttle(per_second=2)
    async with client_of(in_turn(200), throttle=throttle) as one, client_of(in_turn(200), throttle=throttle) as two:
        start = anyio.current_time()
        for client in (one, two, one):
            await client.metrics.mrr(*RANGE)
        assert anyio.current_time() - start == pytest.approx(1.0, abs=0.01)
    assert throttle.statistics().admitted == 3


def test_throttle_serves_one_event_loop_at_a_time_and_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    # The clock that all event loops of a process share.
    shared = Mock(return_value=1000.0)
    monkeypatch.setattr("chartmogul_async.transport.throttle.time", Mock(monotonic=shared))
    throttle = Throttle(per_second=1)

    async def fetch() -> float:
        async with client_of(in_turn(200), throttle=throttle) as client:
            start = anyio.current_time()
            await client.metrics.mrr(*RANGE)
            return anyio.current_time() - start

    async def fetch_inside(outer: AsyncClient) -> None:
        await outer.metrics.mrr(*RANGE)
        with pytest.raises(errors.StateError, match="make one Throttle for each event loop"):
            await anyio.to_thread.run_sync(anyio.run, fetch)

    from trio.testing import MockClock

    def run_in_virtual_time() -> float:
        return anyio.run(fetch, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})

    assert run_in_virtual_time() == 0
    # The start before is still in the window.
    assert run_in_virtual_time() == pytest.approx(1.0, abs=0.01)
    # While no event loop runs, its time passes all the same.
    shared.return_value += 0.75
    assert run_in_virtual_time() == pytest.approx(0.25, abs=0.01)

    async def main() -> None:
        async with (
            client_of(in_turn(200), throttle=Throttle()) as _,
            client_of(in_turn(200), throttle=throttle) as outer,
        ):
            throttle.resize(per_second=40)
            await fetch_inside(outer)

    asyncio.run(main())


async def test_cancelling_gives_the_slot_back() -> None:
    async def stall(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    throttle = Throttle(parallel=1)
    async with client_of(stall, throttle=throttle) as client:
        with anyio.move_on_after(1):
            await client.ping()
        assert throttle.statistics().in_flight == 0


# --- secrets ----------------------------------------------------------------------------------------------------


async def test_key_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    encoded = base64.b64encode(f"{KEY}:".encode()).decode()
    shown: list[str] = []
    for response in (httpx.ReadError("reset"), 401, 500, httpx.Response(200, text="{")):
        async with client_of(in_turn(response), retry=RetryPolicy(attempts=2)) as client:
            shown += [repr(client), str(client), repr(client.metrics), repr(client.customers)]
            with pytest.raises(errors.ChartMogulError) as caught:
                await client.ping()
            shown += ["".join(traceback.format_exception(caught.value)), repr(caught.value)]
    shown.append(caplog.text)
    assert not [text for text in shown if KEY in text or encoded in text]


# --- beside respx -----------------------------------------------------------------------------------------------


async def test_respx_router_responds_as_the_innermost_transport(api: respx.Router) -> None:
    route = api.get("/ping")
    route.side_effect = [httpx.Response(503), httpx.Response(200, json={"data": "pong!"})]
    async with AsyncClient(KEY, transport=httpx.MockTransport(api.async_handler)) as client:
        assert await client.ping() == "pong!"
    assert route.call_count == 2


@pytest.mark.skipif(httpx.__name__ != "httpx", reason="respx patches httpx itself")
@respx.mock
async def test_respx_catches_the_clients_own_connections() -> None:
    """Those of httpx; the ones of the extra ``fast`` never pass through it."""
    respx.get("https://api.chartmogul.com/v1/ping").respond(json={"data": "pong!"})
    with connections_of("httpx"):
        async with AsyncClient(KEY) as client:
            assert await client.ping() == "pong!"


@pytest.mark.parametrize("escaped", [False, True], ids=["as it is", "with JSON escapes"])
@pytest.mark.parametrize("status", [200, 422])
async def test_key_repeated_by_the_server_is_masked(api: respx.Router, status: int, escaped: bool) -> None:
    def repeat(request: httpx.Request) -> httpx.Response:
        text = f"who is {KEY}, or {request.headers['authorization']}?"
        if escaped:
            text = "".join(f"\\u{ord(char):04x}" for char in text)
        return httpx.Response(status, content=f'{{"error": "{text}", "error_details": [{{"message": "{text}"}}]}}')

    api.get("/metrics/mrr").side_effect = repeat
    async with client_of(api) as client:
        with pytest.raises(errors.ChartMogulError, match=r"who is \*\*\*, or Basic \*\*\*\?") as caught:
            await client.metrics.mrr(*RANGE)
    assert KEY not in repr(caught.value)


async def test_key_repeated_in_plain_text_is_masked(api: respx.Router) -> None:
    api.get("/ping").respond(403, text=f"no entry for {KEY}")
    async with client_of(api) as client:
        with pytest.raises(errors.ForbiddenError, match=r"no entry for \*\*\*$"):
            await client.ping()


@pytest.mark.parametrize("key", ["sandbox", "fifteen-letters"])
async def test_a_short_key_is_masked_as_well(api: respx.Router, key: str) -> None:
    """Even where it is a word that may stand in any message: no error contains the key."""
    api.get("/ping").respond(403, text=f"not in this {key.upper()}")
    async with AsyncClient(key, transport=httpx.MockTransport(api.async_handler)) as client:
        with pytest.raises(errors.ForbiddenError, match=r"not in this \*\*\*$"):
            await client.ping()
