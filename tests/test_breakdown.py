"""Metrics segment by segment: what is asked, what is added up, what fails, and what is read part by part."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import date
from functools import lru_cache, partial
from typing import Any

import anyio
import attrs
import httpx
import pytest

from chartmogul_async import (
    AsyncClient,
    Breakdown,
    Failure,
    MetricName,
    PendingBreakdown,
    PendingBreakdowns,
    RetryPolicy,
    Throttle,
    cfl,
)
from chartmogul_async.errors import ArgumentError, DecodeError, NotFoundError, ServerError, StateError
from chartmogul_async.metrics.query import METRICS
from chartmogul_async.sandbox import Company, Fault, Faults, Limits, PricingPlan, Sandbox
from chartmogul_async.sandbox.records import PLAN_GROUPS, PLANS
from tests.clients import KEY, MRR, client_of
from tests.faults.targets import environment

YEAR = ("2023-01-01", "2023-08-17")
TODAY = date(2023, 8, 17)
UUIDS = [plan.uuid for plan in PLANS]
ADDITIVE = ("mrr", "arr", "customers", "mrr_new_business", "mrr_expansion", "mrr_contraction", "mrr_churn")


@lru_cache
def company() -> Company:
    """No test books into it."""
    return Company(customers=150, today=TODAY)


def sandbox(its: Company | None = None, **options: Any) -> Sandbox:
    return Sandbox(its or company(), **{"limits": Limits(per_second=None), **options})


def client(its: Sandbox | None = None, **options: Any) -> AsyncClient:
    return AsyncClient("sandbox", transport=(its or sandbox()).transport(), **options)


class Api:
    """Lists in the shape of the API, and the same MRR for whatever is asked; the requests in their order."""

    def __init__(self, **lists: list[dict[str, Any]]) -> None:
        self.lists = lists
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path.removeprefix("/v1/")
        if path in self.lists:
            root = {"customers": "entries"}.get(path, path.rpartition("/")[2])
            return httpx.Response(200, json={root: self.lists[path], "has_more": False})
        assert path.startswith("metrics/"), path
        return httpx.Response(200, json=MRR)

    @property
    def asked(self) -> list[dict[str, str]]:
        """Of each request for a metric what it is narrowed by, in any order of requests."""
        narrowed = ("plans", "geo", "filters")
        queries = [dict(request.url.params) for request in self.requests if "metrics" in request.url.path]
        return sorted(({name: query[name] for name in narrowed if name in query} for query in queries), key=str)


async def segments_of(api: Api, by: Any, **more: Any) -> Breakdown[Any, Any]:
    async with client_of(api) as its:
        return await its.metrics.breakdown("mrr", "2023-07-01", "2023-07-31", by=by, **more)


# --- segments and what they add up to ----------------------------------------------------------------------

REGIONS = {
    "America": cfl.where("region").any("US", "CA", "BR"),
    "Germany": "region~EQ~'DE'",
}


@pytest.mark.parametrize("by", ["plan", "plan_group", "country", REGIONS], ids=str)
@pytest.mark.parametrize("metric", ["mrr", "arr", "customer_count"])
async def test_segments_and_remainder_are_the_total(metric: MetricName, by: Any) -> None:
    async with client() as its:
        breakdown = await its.metrics.breakdown(metric, *YEAR, by=by)
    remainder, segments = breakdown.remainder, list(breakdown.segments.values())
    assert len(breakdown.total) == 8
    if metric == "customer_count" and by in ("plan", "plan_group"):
        assert remainder is None
        return
    assert remainder is not None
    for index, whole in enumerate(breakdown.total):
        for name in set(ADDITIVE) & set(attrs.fields_dict(type(whole))):
            assert sum(getattr(part[index], name) for part in [*segments, remainder]) == getattr(whole, name)


@pytest.mark.parametrize("metric", METRICS)
async def test_each_segment_is_what_its_own_query_gives(metric: MetricName) -> None:
    async with client() as its:
        breakdown = await its.metrics.breakdown(metric, *YEAR, by="plan")
        for name, series in breakdown.segments.items():
            assert series == await getattr(its.metrics, metric)(*YEAR, plans=company().plan(name).uuid)
        assert breakdown.total == await getattr(its.metrics, metric)(*YEAR)
    assert list(breakdown.segments) == [plan.name for plan in reversed(PLANS)]


async def test_customers_are_not_added_up_over_plans() -> None:
    async with client() as its:
        breakdown = await its.metrics.breakdown("customer_count", *YEAR, by="plan")
    added_up = sum(series[-1].customers for series in breakdown.segments.values())
    assert added_up > breakdown.total[-1].customers
    assert breakdown.remainder is None
    assert breakdown.note == "customers do not add up over plans: one who has two plans is counted with each of them"
    assert {row["segment"] for row in breakdown.to_dicts()} == {*breakdown.segments, "total"}


async def test_customers_who_change_their_plan_are_flagged() -> None:
    its = Company(customers=0, today=TODAY, founded=date(2023, 1, 1))
    its.add_customer(on=date(2023, 2, 1), plan="bronze_monthly", mrr=100, email="a@x.example")
    its.book("a@x.example", on=date(2023, 5, 2), plan="bronze_monthly", mrr=0)
    its.book("a@x.example", on=date(2023, 5, 2), plan="gold_monthly", mrr=150)
    async with client(sandbox(its)) as of_it:
        by_plan = await of_it.metrics.breakdown("mrr", *YEAR, by="plan")
        by_country = await of_it.metrics.breakdown("mrr", *YEAR, by="country")
        of_arr = await of_it.metrics.breakdown("arr", *YEAR, by="plan")
    assert not by_plan.reconciles
    assert [(each.segment, each.date, each.field, each.cents) for each in by_plan.discrepancies] == [
        ("remainder", date(2023, 5, 31), "mrr_new_business", -150),
        ("remainder", date(2023, 5, 31), "mrr_churn", 100),
    ]
    assert by_plan.note == (
        "the segments and the remainder add up to the total, but movements do not explain all of the MRR: "
        "see discrepancies"
    )
    assert by_country.reconciles
    assert of_arr.reconciles
    assert by_country.note == of_arr.note == "the segments and the remainder add up to the total"


async def test_the_remainder_is_what_has_no_plan_group() -> None:
    async with client() as its:
        breakdown = await its.metrics.breakdown("mrr", *YEAR, by="plan_group")
        support = await its.metrics.mrr(*YEAR, plans="support")
    # The third group is empty.
    assert list(breakdown.segments) == ["Subscriptions, yearly", "Subscriptions, monthly"]
    assert breakdown.remainder is not None
    assert [entry.mrr for entry in breakdown.remainder] == [entry.mrr for entry in support]
    assert breakdown.remainder.summary.current == support.summary.current


@pytest.mark.parametrize("interval", ["day", "week", "quarter", "year"])
async def test_all_intervals(interval: Any) -> None:
    async with client() as its:
        breakdown = await its.metrics.breakdown("mrr", *YEAR, by="country", interval=interval)
        assert breakdown.total == await its.metrics.mrr(*YEAR, interval=interval)
    assert breakdown.remainder is not None
    assert {len(series) for series in breakdown.segments.values()} == {len(breakdown.remainder)}


async def test_rows_are_tidy() -> None:
    async with client() as its:
        breakdown = await its.metrics.breakdown("mrr", *YEAR, by="country", geo=["US", "DE"])
    rows = breakdown.to_dicts()
    assert [row["segment"] for row in rows] == [name for name in ("US", "DE", "remainder", "total") for _ in range(8)]
    assert rows[0] == {"segment": "US", **breakdown.segments["US"].to_dicts()[0]}
    assert list(rows[0])[:3] == ["segment", "date", "mrr"]
    assert rows[-1] == {"segment": "total", **breakdown.total.to_dicts()[-1]}


async def test_several_metrics_are_broken_down_at_once() -> None:
    async with client() as its:
        pending = its.metrics.breakdown(["mrr", "customer-count", "mrr", "ltv"], *YEAR, by="plan", interval="day")
        breakdowns = await pending
        assert breakdowns["mrr"] == await its.metrics.breakdown("mrr", *YEAR, by="plan", interval="day")
    assert isinstance(pending, PendingBreakdowns)
    assert repr(pending) == "<PendingBreakdowns of mrr, customer_count, ltv by plan: 18 of 18 series>"
    assert list(breakdowns) == ["mrr", "customer_count", "ltv"]
    assert (pending.done, pending.expected) == (18, 18)
    assert len(breakdowns["mrr"].total) == 229
    assert len(breakdowns["ltv"].total) == 8


async def test_a_breakdown_is_a_value() -> None:
    async with client() as its:
        breakdown = await its.metrics.breakdown("mrr", *YEAR, by="country")
    assert pickle.loads(pickle.dumps(breakdown)) == breakdown
    assert repr(breakdown) == (
        f"<Breakdown of mrr by country: {len(breakdown.segments)} segments; "
        "the segments and the remainder add up to the total>"
    )
    assert (breakdown.by, breakdown.query.metric, breakdown.failures) == ("country", "mrr", {})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        breakdown.by = "plan"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def test_the_repr_of_one_segment_is_in_the_singular() -> None:
    async with client() as its:
        breakdown = await its.metrics.breakdown("mrr", *YEAR, by="country", geo="US")
    assert repr(breakdown).startswith("<Breakdown of mrr by country: 1 segment; ")


async def test_an_unknown_segment_names_those_that_exist() -> None:
    async with client() as its:
        breakdown = await its.metrics.breakdown("mrr", *YEAR, by="plan")
    names = ", ".join(map(repr, breakdown.segments))
    with pytest.raises(KeyError) as raised:
        _ = breakdown.segments["Gold Yearly"]
    meant = "'Gold, Yearly' or 'Gold Monthly'"
    assert raised.value.args == (f"there is no segment 'Gold Yearly': did you mean {meant}?; the segments are {names}",)
    with pytest.raises(KeyError) as raised:
        _ = breakdown.segments["???"]
    assert raised.value.args == (f"there is no segment '???'; the segments are {names}",)
    with pytest.raises(KeyError, match=r"did you mean 'Gold, Yearly' or 'Gold Monthly'\?"):
        _ = breakdown.segments["gold"]
    with pytest.raises(KeyError, match=r"did you mean 'Gold Monthly' or 'Silver Monthly' or 'Bronze Monthly'\?"):
        _ = breakdown.segments["MONTHLY"]
    for name in ("total", "remainder"):
        with pytest.raises(KeyError, match=f"'{name}' is not a segment: it is breakdown.{name}"):
            _ = breakdown.segments[name]
    assert breakdown.segments.get("???") is None
    assert type(pickle.loads(pickle.dumps(breakdown.segments))) is dict
    assert pickle.loads(pickle.dumps(breakdown.segments)) == breakdown.segments


def evolve_names(breakdown: Breakdown[Any, Any], *names: str) -> Breakdown[Any, Any]:
    outcomes = (outcome for _, outcome in breakdown.outcomes if outcome.error is None)
    return attrs.evolve(breakdown, outcomes=tuple(zip(names, outcomes, strict=False)))


async def test_few_of_many_segments_are_named_and_what_failed() -> None:
    countries = ["US", "GB", "DE", "FR", "ES", "IT", "NL", "BE", "AT", "CH", "SE", "NO"]
    countries += ["DK", "FI", "PL", "CZ", "PT", "IE", "GR", "HU", "RO", "BG"]
    its = sandbox(faults=Faults.sequence(Fault.status(404), where="geo=DE"))
    async with client(its) as calls:
        breakdown = await calls.metrics.breakdown("arr", *YEAR, by="country", geo=countries, on_error="collect")
    with pytest.raises(KeyError, match=r"'GR', 'HU', 'RO' and 1 more"):
        _ = breakdown.segments["XX"]
    with pytest.raises(KeyError, match=r"the segment 'DE' failed: its error is in breakdown\.failures"):
        _ = breakdown.segments["DE"]
    twenty = attrs.evolve(breakdown, outcomes=breakdown.outcomes[:21])
    with pytest.raises(KeyError, match=r"'HU', 'RO'.$"):
        _ = twenty.segments["XX"]
    four = evolve_names(breakdown, "Plan 1", "Plan 2", "Plan 3", "Plan 4")
    with pytest.raises(KeyError, match=r"did you mean 'Plan 1' or 'Plan 2' or 'Plan 3'\?; "):
        _ = four.segments["plan"]
    none = breakdown.with_outcomes(dict.fromkeys(countries, breakdown.failures["DE"]))
    with pytest.raises(KeyError, match="there is no segment 5; the segments are none"):
        _ = none.segments[5]  # type: ignore[index]  # pyright: ignore[reportArgumentType]


async def test_a_forgotten_await_is_a_sentence() -> None:
    async with client() as its:
        pending = its.metrics.breakdown("mrr", *YEAR, by="plan")
        several = its.metrics.breakdown(["mrr", "arr"], *YEAR, by="plan")
    remedy = r"write breakdown = await client\.metrics\.breakdown\(…\)"
    for name in (name for name in dir(Breakdown) if not name.startswith("_")):
        with pytest.raises(AttributeError, match=f"^'PendingBreakdown' object has no attribute '{name}': {remedy}$"):
            getattr(pending, name)
    with pytest.raises(AttributeError, match=r"^'PendingBreakdowns' object has no attribute 'segment'$"):
        getattr(several, "segment")  # noqa: B009 - for type checkers it has none
    for untyped in (pending, several):
        its_user: Any = untyped
        with pytest.raises(StateError, match=f"^the breakdown is not fetched yet: {remedy}$"):
            its_user["mrr"]
        with pytest.raises(StateError, match="not fetched yet"):
            list(its_user)


async def test_series_of_different_dates_have_no_remainder() -> None:
    async with client() as its:
        breakdown = await its.metrics.breakdown("mrr", *YEAR, by="country", geo="US")
    (name, outcome), *_ = breakdown.outcomes
    assert outcome.error is None
    shorter = attrs.evolve(outcome, series=attrs.evolve(outcome.series, entries=outcome.series[1:]))
    changed = breakdown.with_outcomes({name: shorter})
    assert changed.remainder is None
    assert changed.note == "the series have different dates, so there is no remainder: fetch the breakdown again"


# --- what is asked -----------------------------------------------------------------------------------------


GROUP = {"uuid": "plg_1", "name": "Group"}
MANY = [{"uuid": f"pl_{number:040}", "name": "Plan"} for number in range(1500)]


@pytest.mark.parametrize(
    ("by", "lists", "path"),
    [
        ("plan", {"plans": [{"uuid": "one, two", "name": "Gold"}]}, "plans"),
        ("plan", {"plans": [{"uuid": " ", "name": "Gold"}]}, "plans"),
        ("plan_group", {"plan_groups": [{"uuid": "a/b", "name": "Group"}]}, "plan_groups"),
        ("plan_group", {"plan_groups": [GROUP], "plan_groups/plg_1/plans": MANY}, "plan_groups"),
    ],
    ids=["a comma", "blank", "a slash", "too many"],
)
async def test_an_item_that_cannot_be_asked_for_is_a_fault_of_the_server(
    by: str, lists: dict[str, list[dict[str, Any]]], path: str
) -> None:
    with pytest.raises(DecodeError, match=r"^GET \S+: \$: an item cannot be asked for") as caught:
        await segments_of(Api(**lists), by)
    assert caught.value.url is not None
    assert caught.value.url.endswith(f"/v1/{path}")


async def test_a_filter_that_is_too_long_with_a_segment_is_an_argument() -> None:
    plans = [{"uuid": f"pl_{'x' * 60}", "name": "Gold"}]
    filters = f"tags~ANY~'{'x' * 59_950}'"
    with pytest.raises(ArgumentError, match=r"^filters must be shorter: "):
        await segments_of(Api(plans=plans), "plan", filters=filters)


async def test_a_proxy_that_cannot_be_used_is_an_argument() -> None:
    with environment(https_proxy="ftp://p.example"):
        async with AsyncClient(KEY) as its:
            with pytest.raises(ArgumentError, match=r"^HTTPS_PROXY"):
                await its.metrics.breakdown("mrr", *YEAR, by="plan")


async def test_plans_are_asked_for_by_their_uuids() -> None:
    """Names with commas, quotes and accents; two of one name; one without a name, and one with a name of ours."""
    names = ["Gold, Yearly", 'L\'"Été"', "Gold", "Gold", None, "total"]
    api = Api(plans=[{"uuid": f"pl_{number}", "name": name} for number, name in enumerate(names)])
    breakdown = await segments_of(api, "plan")
    assert list(breakdown.segments) == [
        "Gold, Yearly",
        'L\'"Été"',
        "Gold (pl_2)",
        "Gold (pl_3)",
        "pl_4",
        "total (pl_5)",
    ]
    assert api.asked == [{"plans": f"pl_{number}"} for number in range(6)] + [{}]
    assert len(api.requests) == 8


async def test_a_name_like_that_of_another_is_not_lost() -> None:
    names = ["Same", "Same", "Same (pl_0)", "pl_4", None]
    breakdown = await segments_of(
        Api(plans=[{"uuid": f"pl_{n}", "name": name} for n, name in enumerate(names)]), "plan"
    )
    assert list(breakdown.segments) == ["Same (pl_0)", "Same (pl_1)", "Same (pl_0) (pl_2)", "pl_4 (pl_3)", "pl_4"]


async def test_an_odd_name_works_against_the_sandbox() -> None:
    its = Company(customers=0, today=TODAY, founded=date(2023, 1, 1))
    odd = PricingPlan("Café, \"Déjà\" & 'Vu'", "pl_5a62b163-07fc-4250-9ea3-bf6183e2cf06", "odd", 1, (("USD", 100),))
    its.plans = (*PLANS, odd)
    its.add_customer(on=date(2023, 2, 1), plan=odd.name, mrr=123)
    async with client(sandbox(its)) as of_it:
        breakdown = await of_it.metrics.breakdown("mrr", *YEAR, by="plan")
    assert breakdown.segments[odd.name][-1].mrr == breakdown.total[-1].mrr == 123


async def test_plans_that_are_given_are_the_segments() -> None:
    api = Api()
    breakdown = await segments_of(api, "plan", plans=["Gold", "pl_1", "Gold"])
    assert list(breakdown.segments) == ["Gold", "pl_1"]
    assert (breakdown.by, breakdown.parts) == ("plan", "overlapping")
    assert api.asked == [{"plans": "Gold"}, {"plans": "Gold,pl_1,Gold"}, {"plans": "pl_1"}]


async def test_a_plan_by_name_and_by_uuid_is_not_added_up() -> None:
    plan = company().plan("Priority Support")
    async with client() as its:
        breakdown = await its.metrics.breakdown("mrr", *YEAR, by="plan", plans=[plan.name, plan.uuid])
    assert breakdown.segments[plan.name][-1].mrr == breakdown.segments[plan.uuid][-1].mrr == breakdown.total[-1].mrr
    assert (breakdown.remainder, breakdown.parts) == (None, "overlapping")
    assert {row["segment"] for row in breakdown.to_dicts()} == {plan.name, plan.uuid, "total"}


@pytest.mark.parametrize(
    ("plans", "parts"),
    [
        (UUIDS, "subscriptions"),
        (UUIDS[:1], "subscriptions"),
        ([UUIDS[0], UUIDS[1], UUIDS[0]], "subscriptions"),
        ([UUIDS[0], UUIDS[0].upper()], "overlapping"),
        ([UUIDS[0], f" {UUIDS[0]}"], "overlapping"),
        ([UUIDS[0], "gold"], "overlapping"),
        ([UUIDS[0], f"{UUIDS[1]}0"], "overlapping"),
        ([UUIDS[0], "pl_" + "-" * 36], "overlapping"),
    ],
)
async def test_given_plans_are_added_up_if_all_are_uuids(plans: list[str], parts: str) -> None:
    breakdown = await segments_of(Api(), "plan", plans=plans)
    assert list(breakdown.segments) == list(dict.fromkeys(plans))
    assert breakdown.parts == parts


async def test_groups_are_asked_for_by_the_uuids_of_their_plans() -> None:
    api = Api(
        **{
            "plan_groups": [{"uuid": "plg_1", "name": "A"}, {"uuid": "plg_2", "name": "A"}, {"uuid": "plg_3"}],
            "plan_groups/plg_1/plans": [{"uuid": "pl_1"}, {"uuid": "pl_2"}],
            "plan_groups/plg_2/plans": [],
            "plan_groups/plg_3/plans": [{"uuid": "pl_3"}],
        }
    )
    breakdown = await segments_of(api, "plan_group")
    assert list(breakdown.segments) == ["A (plg_1)", "plg_3"]
    assert (breakdown.by, breakdown.parts) == ("plan_group", "subscriptions")
    assert api.asked == [{"plans": "pl_1,pl_2"}, {"plans": "pl_3"}, {}]


async def test_groups_that_share_a_plan_are_not_added_up() -> None:
    api = Api(
        **{
            "plan_groups": [{"uuid": "plg_1", "name": "A"}, {"uuid": "plg_2", "name": "B"}],
            "plan_groups/plg_1/plans": [{"uuid": "pl_1"}, {"uuid": "pl_2"}],
            "plan_groups/plg_2/plans": [{"uuid": "pl_2"}],
        }
    )
    breakdown = await segments_of(api, "plan_group")
    assert (breakdown.parts, breakdown.remainder) == ("overlapping", None)
    assert breakdown.note == "the segments may overlap, so they are not added up"


async def test_countries_are_those_of_customers() -> None:
    """Leads never paid; what is no country, and nothing, is in the remainder."""
    since = "2022-01-01T00:00:00+00:00"
    countries = [("US", since), ("de", since), ("FR", None), (None, since), ("ZZ", since), ("US", since)]
    api = Api(customers=[{"country": country, "customer-since": day} for country, day in countries])
    breakdown = await segments_of(api, "country", plans="Gold", filters="mrr~GT~0")
    assert list(breakdown.segments) == ["DE", "US"]
    common = {"plans": "Gold", "filters": "mrr~GT~0"}
    assert api.asked == [common, {**common, "geo": "DE"}, {**common, "geo": "US"}]


async def test_countries_that_are_given_are_the_segments() -> None:
    api = Api()
    breakdown = await segments_of(api, "country", geo="us,de,US")
    assert list(breakdown.segments) == ["US", "DE"]
    assert (breakdown.by, breakdown.parts) == ("country", "customers")
    assert api.asked == [{"geo": "DE"}, {"geo": "US"}, {"geo": "US,DE,US"}]


async def test_filters_are_joined_with_those_of_all() -> None:
    api = Api()
    by = {"big": cfl.where("mrr") > 1000, "small": "mrr~LTE~1000"}
    breakdown = await segments_of(api, by, filters=cfl.where("region").any("US"), geo="US")
    assert list(breakdown.segments) == ["big", "small"]
    us = "region~ANY~'US'"
    assert api.asked == [
        {"geo": "US", "filters": us},
        {"geo": "US", "filters": f"{us}~AND~mrr~GT~1000"},
        {"geo": "US", "filters": f"{us}~AND~mrr~LTE~1000"},
    ]
    assert (breakdown.by, breakdown.parts) == ("filter", "overlapping")


@pytest.mark.parametrize(
    ("filters", "parts"),
    [
        (["region~ANY~'US','CA'", "region~EQ~'DE'"], "customers"),
        (["region~ANY~'US','US'", "region~EQ~'DE'"], "customers"),
        (["region~ANY~'US'", "region~ANY~'DE','US'"], "overlapping"),
        (["region~ANY~'US'~AND~mrr~GT~5"], "overlapping"),
        (["region~NONE~'US'"], "overlapping"),
        ([f"plan~ANY~{UUIDS[0]}", f"plan~ANY~{UUIDS[1]},{UUIDS[2]}"], "subscriptions"),
        ([f"plan~ANY~{UUIDS[0]}", "plan~ANY~'Gold'"], "overlapping"),
        ([f"plan~ANY~{UUIDS[0]}", "region~ANY~'US'"], "overlapping"),
        (["region~ANY~'US'", "region~EQ~US"], "overlapping"),
        (["region~ANY~'MX'", "region~ANY~'XM'"], "customers"),
        (["region~EQ~'FR'", "region~ANY~'DE', 'FR'"], "overlapping"),
        (["region~EQ~'FR'", "region~ANY~ 'DE' , 'US', 'us'"], "customers"),
        (["region~EQ~'FR'", "region~EQ~'fr'"], "overlapping"),
        (["region~EQ~'FR'", "region~EQ~' FR '"], "overlapping"),
        (["region~EQ~'FR'", "region~EQ~DE"], "overlapping"),
        (["region~EQ~'US'", "region~EQ~'US-CA'"], "overlapping"),
        (["region~EQ~'FR'", "region~EQ~'France'"], "overlapping"),
        (["region~EQ~'FR'", "region~EQ~'DE"], "overlapping"),
        ([f"plan~ANY~{UUIDS[0]}", f"plan~ANY~{UUIDS[1]}, {UUIDS[0]}"], "overlapping"),
        ([f"plan~ANY~{UUIDS[0]}", f"plan~ANY~{UUIDS[1]}, {UUIDS[2]}"], "subscriptions"),
        ([f"plan~EQ~{UUIDS[0]}", f"plan~EQ~{UUIDS[0].upper()}"], "overlapping"),
        ([f"plan~EQ~{UUIDS[0]}", f"plan~EQ~'{UUIDS[0]}'"], "overlapping"),
        ([f"plan~EQ~{UUIDS[0]}", f"plan~EQ~'{UUIDS[1]}'"], "subscriptions"),
        ([f"plan~EQ~{UUIDS[0]}", "plan~EQ~pl_" + "-" * 36], "overlapping"),
        (["region~ANY~'US'", "mrr~GT~5"], "overlapping"),
        (["currency~ANY~'USD'", "currency~ANY~'EUR'"], "overlapping"),
    ],
)
@pytest.mark.parametrize("common", [None, "mrr~GT~0"])
async def test_what_filters_divide(filters: list[str], parts: str, common: str | None) -> None:
    breakdown = await segments_of(Api(), {str(index): text for index, text in enumerate(filters)}, filters=common)
    assert breakdown.parts == parts


async def test_equal_filters_have_one_request_and_two_segments() -> None:
    api = Api()
    breakdown = await segments_of(api, {"one": "mrr~GT~5", "other": "mrr~GT~5"})
    assert breakdown.segments["one"] == breakdown.segments["other"]
    async with (
        client_of(api) as its,
        its.metrics.breakdown("mrr", "2023-07-01", "2023-07-31", by={"one": "mrr~GT~5", "other": "mrr~GT~5"}) as parts,
    ):
        assert sorted([segment async for segment, _ in parts]) == ["one", "other", "total"]


async def test_an_account_without_plans_has_a_total() -> None:
    breakdown = await segments_of(Api(plans=[]), "plan")
    assert breakdown.segments == {}
    assert breakdown.remainder is not None
    assert breakdown.remainder[0].mrr == breakdown.total[0].mrr


async def test_other_calls_go_first() -> None:
    """A page does not wait for the segments that were asked for before it."""
    ended: list[str] = []
    its = sandbox(latency=1.0)
    async with client(its, throttle=Throttle(parallel=1)) as of_it, anyio.create_task_group() as group:

        async def batch() -> None:
            await of_it.metrics.breakdown("mrr", *YEAR, by="country", geo=["US", "DE", "FR", "GB"])
            ended.append("batch")

        group.start_soon(batch)
        await anyio.sleep(1.5)
        await of_it.ping()
        ended.append("page")
        assert its.counters.requests <= 4
    assert ended == ["page", "batch"]


# --- failures ----------------------------------------------------------------------------------------------


def failing(*countries: str) -> Faults:
    """The requests for these countries fail, once each."""
    return sum((Faults.sequence(Fault.status(404), where=f"geo={each}") for each in countries), Faults())


def of_countries(its: AsyncClient, **more: Any) -> PendingBreakdown[Any, Any]:
    return its.metrics.breakdown("mrr", *YEAR, by="country", geo=["US", "DE", "FR"], **more)


async def test_the_first_failure_is_raised_by_itself() -> None:
    async with client(sandbox(faults=failing("DE"))) as its:
        with pytest.raises(NotFoundError):
            await of_countries(its)


async def test_what_failed_is_listed_and_fetched_again() -> None:
    its = sandbox(faults=failing("DE", "FR"))
    async with client(its) as of_it:
        first = await of_countries(of_it, on_error="collect")
        assert {name: type(failure.error) for name, failure in first.failures.items()} == {
            "DE": NotFoundError,
            "FR": NotFoundError,
        }
        assert list(first.segments) == ["US"]
        assert first.remainder is None
        assert first.note == "2 of 4 series failed, so there is no remainder"
        assert "3 segments, 2 failed; 2 of 4 series" in repr(first)
        assert {row["segment"] for row in first.to_dicts()} == {"US", "total"}
        before, steps = its.counters.requests, list[tuple[int, int]]()
        second = await of_it.metrics.retry_failed(first, on_progress=lambda *step: steps.append(step))
        assert its.counters.requests == before + 2
        assert steps == [(0, 2), (1, 2), (2, 2)]
        assert second == await of_countries(of_it)
        assert list(second.segments) == ["US", "DE", "FR"]
        # Nothing failed any more, so nothing is asked for.
        before = its.counters.requests
        assert await of_it.metrics.retry_failed(second) == second
        assert its.counters.requests == before


async def test_the_total_may_fail_and_be_fetched_again() -> None:
    its = sandbox(faults=Faults.sequence(Fault.status(500), Fault.status(500), where="geo=US,DE,FR"))
    async with client(its, retry=RetryPolicy(attempts=1)) as of_it:
        first = await of_countries(of_it, on_error="collect")
        assert list(first.failures) == ["total"]
        assert isinstance(first.failures["total"], Failure)
        with pytest.raises(ServerError):
            first.total  # noqa: B018 - a property
        assert {row["segment"] for row in first.to_dicts()} == {"US", "DE", "FR"}
        assert first.discrepancies == ()
        again = await of_it.metrics.retry_failed(first)
        assert list(again.failures) == ["total"]
        assert (await of_it.metrics.retry_failed(again)).total == (await of_countries(of_it)).total


async def test_what_a_list_meets_is_raised() -> None:
    faults = Faults.sequence(Fault.status(404), where="plan_groups")
    async with client(sandbox(faults=faults)) as its:
        with pytest.raises(NotFoundError):
            await its.metrics.breakdown("mrr", *YEAR, by="plan_group", on_error="collect")


async def test_a_closed_client_is_a_state_error() -> None:
    async with client() as its:
        pending = of_countries(its, on_error="collect")
        of_filters = its.metrics.breakdown("arr", *YEAR, by={"a": "mrr~GT~5"})
    with pytest.raises(StateError, match="closed"):
        await pending
    assert repr(of_filters) == "<PendingBreakdown of arr by filter: 0 of unknown series>"


# --- progress, and part by part ----------------------------------------------------------------------------


@pytest.mark.parametrize("on_error", ["raise", "collect"])
async def test_progress_is_reported(on_error: Any) -> None:
    steps: list[tuple[int, int]] = []
    async with client() as its:
        pending = of_countries(its, on_error=on_error, on_progress=lambda done, total: steps.append((done, total)))
        assert (pending.done, pending.expected) == (0, 0)
        assert repr(pending) == "<PendingBreakdown of mrr by country: 0 of unknown series>"
        await pending
        assert repr(pending) == "<PendingBreakdown of mrr by country: 4 of 4 series>"
    assert steps == [(number, 4) for number in range(5)]


async def test_what_on_progress_raises_is_raised() -> None:
    def refuse(done: int, total: int) -> None:
        if done == 2:
            raise KeyError(total)

    async with client() as its:
        with pytest.raises(KeyError, match="4"):
            await of_countries(its, on_progress=refuse)


async def test_outcomes_come_as_they_are_complete() -> None:
    faults = Faults.sequence(Fault.slow(5), where="geo=FR") + failing("DE")
    steps: list[int] = []
    async with (
        client(sandbox(faults=faults)) as its,
        of_countries(its, on_progress=lambda done, _: steps.append(done)) as parts,
    ):
        came = []
        async for segment, outcome in parts:
            came.append((segment, outcome.error is None, parts.done, parts.expected))
    assert {(segment, is_success) for segment, is_success, _, _ in came} == {
        ("US", True),
        ("DE", False),
        ("FR", True),
        ("total", True),
    }
    assert came[-1] == ("FR", True, 4, 4)
    assert [done for _, _, done, _ in came] == [1, 2, 3, 4]
    assert steps == [0, 1, 2, 3, 4]


async def test_several_metrics_are_read_part_by_part() -> None:
    async with client() as its, its.metrics.breakdown(["mrr", "arr"], *YEAR, by="country", geo="US,DE") as parts:
        came = {(outcome.query.metric, segment) async for segment, outcome in parts}
    assert came == {(metric, segment) for metric in ("mrr", "arr") for segment in ("US", "DE", "total")}


async def test_leaving_the_block_ends_the_requests() -> None:
    its = sandbox(faults=Faults.sequence(Fault.stall(), where="geo=FR"))
    async with client(its) as of_it:
        async with of_countries(of_it) as parts:
            async for _segment, _outcome in parts:
                break
        assert its.counters.in_progress == 0
        with pytest.raises(StateError, match="the block of the stream was left"):
            await anext(parts)


async def test_a_breakdown_that_is_not_open_cannot_be_read() -> None:
    async with client() as its:
        pending = of_countries(its)
        for read in (aiter, anext):
            with pytest.raises(StateError, match="the breakdown is not open: await the breakdown, or read it by"):
                await read(pending)
        async with pending:
            with pytest.raises(StateError, match="a breakdown can be entered only once"):
                await pending.__aenter__()


async def test_a_breakdown_is_not_opened_in_a_generator() -> None:
    async def parts(its: AsyncClient) -> AsyncIterator[str]:
        async with of_countries(its) as opened:
            async for segment, _ in opened:
                yield segment

    async with client() as its:
        with pytest.raises(StateError, match="must not be opened in an async generator"):
            await anext(aiter(parts(its)))


# --- arguments ---------------------------------------------------------------------------------------------


async def _coroutine(done: int, total: int) -> None: ...


WRONG: Iterable[tuple[dict[str, Any], str]] = [
    ({"by": ["US"]}, 'by must be "plan", "plan_group", "country" or a mapping of names to filters such as'),
    ({"by": {}}, "by must not be an empty mapping: name a filter for each segment"),
    ({"by": {"total": "mrr~GT~5"}}, "by must have names of segments that are neither blank nor 'total' or 'remainder'"),
    ({"by": {" ": "mrr~GT~5"}}, "by must have names of segments that are neither blank"),
    ({"by": {"a": None}}, "by['a'] must be a filter, not None: the whole is in the total"),
    ({"by": {"a": "US"}}, "by['a']: filters must be a CFL string"),
    (
        {"by": {"a": "mrr~GT~5~AND~plan_group~ANY~plg_1"}, "filters": "plan~ANY~'Gold'"},
        "by['a'] must not be joined with filters=",
    ),
    ({"by": {"a": "mrr~GT~" + "5" * 30_000}, "filters": "mrr~GT~" + "6" * 30_000}, "filters must be shorter"),
    ({"by": "plan_group", "plans": "Gold"}, 'plans must be omitted with by="plan_group"'),
    ({"by": "plan", "plans": ["total"]}, "plans must not contain 'total' or 'remainder': pass the UUID"),
    ({"on_error": "ignore"}, "on_error must be one of raise, collect, not 'ignore'"),
    ({"on_progress": 5}, "on_progress must be a plain function of two numbers"),
    ({"on_progress": _coroutine}, "on_progress must be a plain function of two numbers"),
    ({"on_progress": partial(_coroutine, 1)}, "on_progress must be a plain function of two numbers"),
    ({"metric": 5}, "metric must be the name of a metric such as 'mrr' or a list of names, not 5"),
    ({"metric": b"mrr"}, "metric must be the name of a metric such as 'mrr' or a list of names, not b'mrr'"),
    ({"metric": []}, "metric must not be an empty list: pass the name of a metric, or several"),
    ({"metric": ["mrr", "mmr"]}, "metric must be one of all, mrr"),
    ({"metric": "asp", "interval": "day"}, "interval must be one of month, quarter, year for asp"),
    ({"geo": "UK"}, "geo must contain ISO 3166-1 country codes"),
]


@pytest.mark.parametrize(("arguments", "problem"), WRONG)
async def test_arguments_are_refused_before_any_request(arguments: dict[str, Any], problem: str) -> None:
    given: dict[str, Any] = {"metric": "mrr", "start_date": YEAR[0], "end_date": YEAR[1], "by": "plan", **arguments}
    async with AsyncClient(KEY) as its:
        with pytest.raises(ArgumentError) as refused:
            its.metrics.breakdown(**given)
    assert str(refused.value).startswith(problem)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"by": "plans"},
            'by must be "plan", "plan_group", "country" or a mapping of names to filters such as '
            "{'Europe': \"region~ANY~'DE','FR'\"}, not 'plans'",
        ),
        (
            {"by": {5: "mrr~GT~5"}},
            "by must have names of segments that are neither blank nor 'total' or 'remainder', not 5",
        ),
        (
            {"by": {"a": "plan~ANY~'Gold'"}, "filters": "plan_group~ANY~plg_1"},
            "by['a'] must not be joined with filters='plan_group~ANY~plg_1': the API takes a plan and a plan group "
            "for plan or plan group",
        ),
    ],
)
async def test_messages_say_what_would_be_right(arguments: dict[str, Any], message: str) -> None:
    async with AsyncClient(KEY) as its:
        with pytest.raises(ArgumentError) as refused:
            its.metrics.breakdown("mrr", *YEAR, **arguments)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("retry", "problem"),
    [
        (lambda its, _: its.metrics.retry_failed("mrr"), "breakdown must be a Breakdown, not 'mrr'"),
        (
            lambda its, done: its.metrics.retry_failed(done, on_progress=5),
            "on_progress must be a plain function of two numbers, neither",
        ),
    ],
)
async def test_arguments_of_another_try(retry: Callable[..., Any], problem: str) -> None:
    async with client() as its:
        done = await of_countries(its)
        with pytest.raises(ArgumentError, match=problem):
            await retry(its, done)


def test_the_groups_of_the_sandbox_are_as_these_tests_need_them() -> None:
    assert [bool(group.plans) for group in PLAN_GROUPS] == [True, True, False]
