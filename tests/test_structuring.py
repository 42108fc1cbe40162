"""Bytes into records: every published and recorded response number for number, and every mismatch refused.

The responses in ``answers/`` are the examples of ChartMogul's documents, unchanged but for their ellipses:
``beta-…`` of the closed beta in 2015, ``today-…`` of today's pages; and responses that were recorded in 2016
and 2022. Those of 2026 are made up, with the keys, types and words that the official client libraries recorded or
document. One comma of the closed beta's customer stood inside the quotes before it, and was moved out.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from copy import deepcopy
from datetime import UTC, date, datetime
from pathlib import Path
from types import NoneType
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartmogul_async.errors import DecodeError
from chartmogul_async.metrics.records import (
    ARPAEntry,
    ARREntry,
    ASPEntry,
    CustomerChurnRateEntry,
    CustomerCountEntry,
    KeyMetricsEntry,
    KeyMetricsResponse,
    LTVEntry,
    MetricResponse,
    MRRChurnRateEntry,
    MRREntry,
    Summary,
)
from chartmogul_async.resources.account import Account
from chartmogul_async.resources.customers import Customer, CustomersEnvelope
from chartmogul_async.structuring import converter
from chartmogul_async.structuring.converter import decode, structure

ACCOUNT = {"name": "Acme", "currency": "EUR", "time_zone": "Europe/Berlin", "week_start_on": "sunday"}
RESPONSES = Path(__file__).parent / "answers"
INTO: dict[str, Any] = {
    "all": KeyMetricsResponse,
    "mrr": MetricResponse[MRREntry, Summary],
    "arr": MetricResponse[ARREntry, Summary],
    "arpa": MetricResponse[ARPAEntry, Summary],
    "asp": MetricResponse[ASPEntry, Summary],
    "customer-count": MetricResponse[CustomerCountEntry, Summary],
    "customer-churn-rate": MetricResponse[CustomerChurnRateEntry, Summary],
    "mrr-churn-rate": MetricResponse[MRRChurnRateEntry, Summary],
    "ltv": MetricResponse[LTVEntry, Summary],
    "customers-search": CustomersEnvelope,
}


def read(name: str) -> tuple[Any, Any]:
    """A response as plain JSON, and as records."""
    content = (RESPONSES / f"{name}.json").read_bytes()
    metric = re.sub(r"^(beta|today|2016-d|2022-[abc]|2026)-", "", name)
    return json.loads(content), structure(decode(content), INTO[metric])


def assert_same_content(raw: dict[str, Any], record: Any) -> None:
    """Every key of the JSON is in the record with an equal value of the right type, and there is nothing else."""
    fields = attrs.fields_dict(type(record))
    seen = set()
    for key, sent in raw.items():
        name = key.replace("-", "_")
        name = "customers" if name == "customer_count" else name
        seen.add(name)
        assert_is(sent, getattr(record, name), fields[name])
    for name in fields.keys() - seen:
        assert getattr(record, name) in (None, ()), name


def assert_is(sent: Any, value: Any, field: attrs.Attribute[Any]) -> None:
    where = field.name
    if isinstance(sent, dict) and isinstance(value, dict):
        assert value == sent, where
    elif isinstance(sent, dict):
        assert_same_content(sent, value)
    elif isinstance(sent, list):
        assert type(value) is tuple, where
        assert len(value) == len(sent), where
        for one, member in zip(sent, value, strict=True):
            assert_is(one, member, field)
    elif isinstance(value, datetime):
        assert value == datetime.fromisoformat(sent), where
    elif type(value) is date:
        assert value.isoformat() == sent, where
    elif isinstance(sent, str) and field.metadata.get("text"):
        assert type(value) in (int, float), where
        assert str(value) == sent, where
    else:
        assert value == sent, where
        assert type(value) is (float if field.metadata.get("unit") == "percent" else type(sent)), where


NAMES = sorted(path.stem for path in RESPONSES.glob("*.json") if "account" not in path.stem)


def test_all_published_responses_are_present() -> None:
    assert {name for name in NAMES if name.startswith("beta-")} == {f"beta-{metric}" for metric in INTO}
    assert {name for name in NAMES if name.startswith("today-")} == {
        f"today-{metric}" for metric in ("all", "mrr", "arr", "customer-count")
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_number_of_every_response_is_kept(name: str) -> None:
    raw, record = read(name)
    assert raw["entries"]
    assert len(record.entries) == len(raw["entries"])
    for sent, entry in zip(raw["entries"], record.entries, strict=True):
        assert_same_content(sent, entry)
    if "customers" not in name:
        assert ("summary" in raw) is (record.summary is not None)
    if "summary" in raw:
        assert_same_content(raw["summary"], record.summary)


@pytest.mark.parametrize("name", NAMES)
def test_a_response_becomes_hashable_values(name: str) -> None:
    (_, record), (_, again) = read(name), read(name)
    assert record == again
    assert hash(record) == hash(again)


# --- by hand -------------------------------------------------------------------------------------------------


def test_mrr_of_today() -> None:
    _, response = read("today-mrr")
    assert response == MetricResponse(
        (
            MRREntry(date(2023, 7, 31), 363819722, 0.0, 288938, 108684, -147909, -600866, 0),
            MRREntry(date(2023, 8, 31), 363540396, -0.08, 38547, 82274, -90523, -302423, 0),
        ),
        Summary(354026144, 353715871, 0.09),
    )


def test_all_key_metrics_of_today() -> None:
    _, response = read("today-all")
    last, summary = response.entries[1], response.summary
    assert (last.date, last.mrr, last.arr, last.customers) == (date(2023, 8, 31), 339495262, 4073943144, 650)
    assert (last.ltv_percentage_change, last.asp, last.arpa_percentage_change) == (349.76, 152454, 2.4)
    assert (summary.current_mrr_churn_rate, summary.previous_mrr_churn_rate) == (-0.05, -0.74)
    assert summary.mrr_churn_rate_percentage_change == 93.24
    assert (summary.current_customers, summary.previous_asp) == (700, 55841)


def test_key_metrics_of_the_closed_beta_without_summary() -> None:
    _, response = read("beta-all")
    assert response.summary is None
    assert response.entries[0] == KeyMetricsEntry(
        date(2015, 2, 1),
        mrr=21166,
        arr=254000,
        customer_churn_rate=20.0,
        mrr_churn_rate=14.0,
        ltv=1250.3,
        customers=331,
        asp=125,
        arpa=1250,
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("beta-arr", MetricResponse((ARREntry(date(2015, 1, 30), 516000.5),), Summary(516000.5, 509152.5, 15.7))),
        ("beta-asp", MetricResponse((ASPEntry(date(2015, 1, 30), 85.0),), Summary(85.0, 88.0, 2.2))),
        ("beta-customer-count", MetricResponse((CustomerCountEntry(date(2015, 1, 30), 382),), Summary(382, 379, 4.0))),
        ("today-customer-count", MetricResponse((), Summary(382, 379, 0.8))),
        (
            "2016-d-ltv",
            MetricResponse(
                (LTVEntry(date(2015, 1, 31), 0), LTVEntry(date(2015, 2, 1), 15620.0)), Summary(54213, 54213, 0.0)
            ),
        ),
    ],
)
def test_single_metrics_by_hand(name: str, expected: MetricResponse[Any, Any]) -> None:
    _, response = read(name)
    assert response.summary == expected.summary
    if expected.entries:
        assert response.entries == expected.entries
    else:
        assert [entry.customers for entry in response.entries] == [379, 382]


def test_fractions_of_a_cent_and_whole_numbers_are_kept() -> None:
    _, old = read("2016-d-ltv")
    assert [type(entry.ltv) for entry in old.entries] == [int, float]
    _, beta = read("beta-arr")
    assert repr(beta.summary.previous) == "509152.5"


def test_the_customer_of_the_closed_beta() -> None:
    _, page = read("beta-customers-search")
    (customer,) = page.entries
    assert (customer.company, customer.owner_email) == ("Healthy Foodboxes inc.", "john@healthyfoodboxes.com")
    assert (customer.mrr, customer.arr, customer.percentage_of_world_mrr) == (269, 3228, 1.3)
    assert customer.customer_since == datetime(2015, 6, 15)
    assert customer.subscriptions[0].mrr == 269
    assert customer.subscriptions[0].next_payment == datetime(2015, 7, 15)
    assert [activity.activity_mrr for activity in customer.activities] == [269, 529]
    assert customer.activities[0].date == datetime(2015, 6, 15, 19, 37)
    assert customer.chartmogul_url == "https://app.chartmogul.com/#customers/6652512-Sentry"


def test_the_customer_fields_of_september_2026() -> None:
    _, page = read("2026-customers-search")
    customer, other = page.entries
    assert (customer.lead_status, customer.free_subscriber_status) == ("New Lead", "Never a Free Subscriber")
    assert (customer.trial_subscriber_status, customer.paid_subscriber_status) == (
        "Never had Trial",
        "Never a Paid Subscriber",
    )
    assert customer.last_seen == datetime(2026, 9, 15, 8, 30, 12, tzinfo=UTC)
    assert (other.lead_status, other.paid_subscriber_status, other.last_seen) == (None, None, None)


def test_the_settings_of_an_account() -> None:
    account = structure(decode((RESPONSES / "2026-account.json").read_bytes()), Account)
    assert account.churn_recognition == "churn_at_period_end"
    assert (account.churn_when_zero_mrr, account.auto_churn_subscription) == (True, False)
    assert account.refund_handling == "refund_ignore"
    assert account.proximate_movement_reclassification == "one_day_reclassification"
    assert hash(account) == hash(structure(decode((RESPONSES / "2026-account.json").read_bytes()), Account))


@pytest.mark.parametrize("sent", [True, False, "ignore", {"mode": "at_period_end"}, {"days": [1, 2]}, None], ids=repr)
def test_a_setting_is_kept_as_it_came(sent: object) -> None:
    """The official client libraries disagree about the types."""
    account = structure(ACCOUNT | {"churn_when_zero_mrr": sent}, Account)
    assert account.churn_when_zero_mrr == sent
    assert type(account.churn_when_zero_mrr) is type(sent)
    assert isinstance(hash(account), int)


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        (1, "int"),
        (1.5, "float"),
        ([], "list"),
        ({"days": 2.0**53}, "a number out of range"),
        ({"days": [1e300]}, "a number out of range"),
    ],
    ids=repr,
)
def test_a_setting_of_another_type_is_refused(sent: object, got: str) -> None:
    with pytest.raises(DecodeError, match=rf"^\$\.refund_handling: (expected bool, str or object, got )?{got}$"):
        structure(ACCOUNT | {"refund_handling": sent}, Account)


BUFFER = [56233, 56252, 56343, 56430, 56520, 56575, 56651, 56670, 56704, 56758, 56781]


def test_the_daily_customers_of_a_large_account_in_2016() -> None:
    days = [f"2016-06-{day}" for day in range(25, 31)] + [f"2016-07-0{day}" for day in range(1, 6)]
    raw = [{"date": day, "customers": number} for day, number in zip(days, BUFFER, strict=True)]
    entries = [structure(entry, CustomerCountEntry) for entry in raw]
    assert [(entry.date.isoformat(), entry.customers) for entry in entries] == list(zip(days, BUFFER, strict=True))


def test_the_arpa_of_a_small_account_in_2016() -> None:
    figures = {"08": 0, "09": 11371, "12": 16092, "14": 13963, "18": 13171, "22": 10996, "23": 13474, "26": 0}
    for day, cents in figures.items():
        assert structure({"date": f"2015-01-{day}", "arpa": cents}, ARPAEntry) == ARPAEntry(
            date(2015, 1, int(day)), cents
        )


def test_movements_without_a_change_as_in_2016() -> None:
    raw = {
        "date": "2016-06-01",
        "mrr": 85734090,
        "mrr-new-business": 187283,
        "mrr-expansion": 150346,
        "mrr-contraction": -36558,
        "mrr-churn": -136475,
        "mrr-reactivation": 38750,
    }
    assert structure(raw, MRREntry) == MRREntry(
        date(2016, 6, 1), 85734090, None, 187283, 150346, -36558, -136475, 38750
    )


def test_a_customer_of_today() -> None:
    raw = {
        "id": 25647,
        "uuid": "cus_de305d54-75b4-431b-adb2-eb6b9e546012",
        "external_id": "34916129",
        "external_ids": ["34916129"],
        "data_source_uuid": "ds_610b6e5d-e9b1-4b3d-bb60-9aad28fb4d11",
        "data_source_uuids": ["ds_610b6e5d-e9b1-4b3d-bb60-9aad28fb4d11"],
        "name": "Example Company",
        "company": "",
        "email": "bob@example.com",
        "status": "Active",
        "lead_created_at": "2015-11-01T00:00:00.000Z",
        "free_trial_started_at": None,
        "customer-since": "2015-06-09T13:16:00-04:00",
        "city": "Nowhereville",
        "state": "US-AK",
        "country": "US",
        "zip": "0185128",
        "address": {"country": "United States", "state": "Alaska", "city": None, "address_zip": "0185128"},
        "attributes": {
            "tags": ["engage", "unit loss"],
            "stripe": {"uid": 7},
            "clearbit": {"company": {}},
            "custom": {"CAC": 213, "pro": False, "channel": "Facebook"},
        },
        "mrr": 3000,
        "arr": 36000.5,
        "currency": "USD",
        "currency-sign": "$",
        "billing-system-url": None,
        "billing-system-type": "Import API",
        "chartmogul-url": "https://app.chartmogul.com/#/customers/25647-Example_Company",
        "owner": None,
        "website_url": "https://example.com",
    }
    customer = structure(raw, Customer)
    assert (customer.id, customer.external_ids, customer.company) == (25647, ("34916129",), "")
    assert customer.external_id == "34916129"
    assert customer.data_source_uuid == customer.data_source_uuids[0] == "ds_610b6e5d-e9b1-4b3d-bb60-9aad28fb4d11"
    assert customer.lead_created_at == datetime.fromisoformat("2015-11-01T00:00:00+00:00")
    assert customer.customer_since is not None
    assert customer.customer_since.isoformat() == "2015-06-09T13:16:00-04:00"
    assert customer.free_trial_started_at is None
    assert customer.address is not None
    assert (customer.address.state, customer.address.city, customer.address.address_zip) == ("Alaska", None, "0185128")
    assert customer.attributes is not None
    assert customer.attributes.tags == ("engage", "unit loss")
    assert customer.attributes.custom == {"CAC": 213, "pro": False, "channel": "Facebook"}
    assert customer.attributes.stripe == {"uid": 7}
    assert (customer.mrr, customer.arr, customer.currency_sign) == (3000, 36000.5, "$")
    assert (customer.website_url, customer.billing_system_type) == ("https://example.com", "Import API")
    assert customer.subscriptions == ()


@pytest.mark.parametrize("id_", [None, "acc_ba1a5a5b"])
def test_the_account_with_and_without_its_id(id_: str | None) -> None:
    expected = Account("Acme", "EUR", "Europe/Berlin", "sunday", id_)
    assert structure(ACCOUNT if id_ is None else ACCOUNT | {"id": id_}, Account) == expected


# --- strictness ----------------------------------------------------------------------------------------------


ENTRY = {"date": "2023-07-31", "mrr": 1, "percentage-change": 0.5, "mrr-churn": -1}
SUMMARY = {"current": 1, "previous": 2, "percentage-change": 0.0}
MRR: Any = MetricResponse[MRREntry, Summary]
CHURN: Any = MetricResponse[CustomerChurnRateEntry, Summary]
COUNT: Any = MetricResponse[CustomerCountEntry, Summary]


def response_with(**changed: Any) -> dict[str, Any]:
    entry = ENTRY | {key.replace("_", "-"): value for key, value in changed.items()}
    return {"entries": [dict(ENTRY), entry], "summary": dict(SUMMARY)}


def problems(value: Any, into: Any = MRR) -> tuple[str, ...]:
    with pytest.raises(DecodeError) as refused:
        structure(value, into)
    assert refused.value.problems
    assert refused.value.__cause__ is None
    return refused.value.problems


HUGE = 10**400
not_a_number = pytest.mark.parametrize(
    ("value", "got"),
    [
        ("363819722", "str"),
        ("", "str"),
        (None, "null"),
        (True, "bool"),
        (False, "bool"),
        ([], "list"),
        ([1], "list"),
        ({}, "object"),
        (float("nan"), "a number out of range"),
        (float("inf"), "a number out of range"),
        (float("-inf"), "a number out of range"),
        (json.loads("1e400"), "a number out of range"),
    ],
    ids=repr,
)


@not_a_number
def test_money_is_a_number_and_nothing_else(value: Any, got: str) -> None:
    assert problems(response_with(mrr=value)) == (f"$.entries[1].mrr: expected int or float, got {got}",)


@not_a_number
def test_a_rate_is_a_number_and_nothing_else(value: Any, got: str) -> None:
    raw = {"entries": [{"date": "2023-07-31", "customer-churn-rate": value}], "summary": SUMMARY}
    assert problems(raw, CHURN) == (f"$.entries[0].customer-churn-rate: expected float, got {got}",)


@not_a_number
def test_a_count_is_a_whole_number_and_nothing_else(value: Any, got: str) -> None:
    raw = {"entries": [{"date": "2023-07-31", "customers": value}], "summary": SUMMARY}
    assert problems(raw, COUNT) == (f"$.entries[0].customers: expected int, got {got}",)


@pytest.mark.parametrize("value", ["1", True, [], {}, float("nan"), float("inf")], ids=repr)
def test_an_optional_value_may_be_null_but_nothing_else(value: Any) -> None:
    assert structure(response_with(percentage_change=None, mrr_churn=None), MRR).entries[1].mrr_churn is None
    (problem,) = problems(response_with(percentage_change=value))
    assert problem.startswith("$.entries[1].percentage-change: expected float, got ")
    (problem,) = problems(response_with(mrr_churn=value))
    assert problem.startswith("$.entries[1].mrr-churn: expected int or float, got ")


def test_no_number_is_rounded_or_coerced() -> None:
    assert repr(structure(response_with(mrr=1.9), MRR).entries[1].mrr) == "1.9"
    assert repr(structure(response_with(mrr=2), MRR).entries[1].mrr) == "2"
    assert structure(response_with(mrr=HUGE), MRR).entries[1].mrr == HUGE
    assert repr(structure(response_with(percentage_change=2), MRR).entries[1].percentage_change) == "2.0"


@pytest.mark.parametrize("value", [HUGE, 2**53, -(2**53)])
def test_an_integer_too_large_for_a_rate_is_refused(value: int) -> None:
    assert problems(response_with(percentage_change=value)) == (
        "$.entries[1].percentage-change: expected float, got a number out of range",
    )


@pytest.mark.parametrize("value", [2.0**53, -(2.0**53)])
def test_a_float_that_may_have_been_another_integer_is_refused(value: float) -> None:
    assert problems(response_with(mrr=value)) == ("$.entries[1].mrr: expected int or float, got a number out of range",)
    assert structure(response_with(mrr=value / 2), MRR).entries[1].mrr == value / 2
    with pytest.raises(DecodeError, match="customers: expected int, got a number out of range"):
        structure({"date": "2023-07-31", "customers": value}, CustomerCountEntry)


@pytest.mark.parametrize(("sent", "customers"), [(650.0, 650), (0.0, 0), (-0.0, 0), (650, 650)])
def test_a_count_with_a_dot_and_no_fraction_is_a_count(sent: float, customers: int) -> None:
    record = structure({"date": "2023-07-31", "customers": sent}, CustomerCountEntry)
    assert repr(record.customers) == repr(customers)


def test_a_count_with_a_fraction_is_refused() -> None:
    with pytest.raises(DecodeError, match=r"^\$\.customers: expected int, got float$"):
        structure({"date": "2023-07-31", "customers": 1.9}, CustomerCountEntry)


def test_the_current_key_takes_precedence_over_the_old_one() -> None:
    both = {"date": "2023-07-31", "customers": 2, "customer-count": 1}
    assert structure(both, CustomerCountEntry).customers == 2
    assert structure({"date": "2023-07-31", "customer-count": 1}, CustomerCountEntry).customers == 1
    assert both == {"date": "2023-07-31", "customers": 2, "customer-count": 1}


@pytest.mark.parametrize(
    "day",
    [
        *("2023-7-31", "20230731", "1712102400", "2023-02-29", "2023-07-31T00:00:00Z", "", "31.07.2023"),
        *(None, 20230731, True, []),
    ],
)
def test_a_date_is_year_month_day(day: Any) -> None:
    (problem,) = problems(response_with(date=day))
    got = {str: "a malformed str", NoneType: "null"}.get(type(day), type(day).__name__)
    assert problem == f"$.entries[1].date: expected a date YYYY-MM-DD, got {got}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], ("$: expected object, got list",)),
        ("text", ("$: expected object, got str",)),
        (None, ("$: expected object, got null",)),
        (7, ("$: expected object, got int",)),
        ({}, ("$.entries: missing", "$.summary: missing")),
        ({"entries": {}, "summary": SUMMARY}, ("$.entries: expected list, got object",)),
        (
            {"entries": None, "summary": None},
            ("$.entries: expected list, got null", "$.summary: expected object, got null"),
        ),
        ({"entries": "ab", "summary": SUMMARY}, ("$.entries: expected list, got str",)),
        (
            {"entries": [[], None], "summary": SUMMARY},
            ("$.entries[0]: expected object, got list", "$.entries[1]: expected object, got null"),
        ),
        (
            {"entries": [{}], "summary": {"current": 1}},
            (
                "$.entries[0].date: missing",
                "$.entries[0].mrr: missing",
                "$.summary.previous: missing",
                "$.summary.percentage-change: missing",
            ),
        ),
    ],
    ids=repr,
)
def test_every_mismatch_is_named_with_its_place(value: Any, expected: tuple[str, ...]) -> None:
    assert problems(value) == expected


@pytest.mark.parametrize("cls", [KeyMetricsResponse, MRR, COUNT, CHURN, CustomersEnvelope], ids=str)
def test_every_class_requires_an_object_with_a_list(cls: Any) -> None:
    assert problems([], cls) == ("$: expected object, got list",)
    assert "$.entries: missing" in problems({}, cls)


def test_problems_in_a_summary_name_the_keys_of_the_api() -> None:
    raw, _ = read("today-all")
    raw["summary"]["current-mrr-churn-rate"] = "0.1"
    del raw["summary"]["arpa-percentage-change"]
    raw["entries"][1]["mrr-churn-rate-percentage-change"] = True
    assert problems(raw, KeyMetricsResponse) == (
        "$.entries[1].mrr-churn-rate-percentage-change: expected float, got bool",
        "$.summary.current-mrr-churn-rate: expected float, got str",
        "$.summary.arpa-percentage-change: missing",
    )


def test_problems_in_a_customer_name_the_keys_of_the_api() -> None:
    raw = {
        "entries": [
            {
                "id": "7",
                "external_id": 7,
                "external_ids": ["a", None],
                "customer-since": "in spring",
                "currency-sign": 7,
                "address": {"address_zip": 7},
                "attributes": {"tags": "vip", "custom": []},
                "subscriptions": [{"billing-cycle": 7, "mrr": "many", "quantity": 1.5}],
                "activities": [{}, {"activity-mrr": True, "date": 7}],
            }
        ],
        "has_more": "no",
        "cursor": 7,
    }
    assert set(problems(raw, CustomersEnvelope)) == {
        "$.entries[0].id: expected int, got str",
        "$.entries[0].external_id: expected str, got int",
        "$.entries[0].external_ids[1]: expected str, got null",
        "$.entries[0].customer-since: expected an ISO 8601 time, got a malformed str",
        "$.entries[0].currency-sign: expected str, got int",
        "$.entries[0].address.address_zip: expected str, got int",
        "$.entries[0].attributes.tags: expected list, got str",
        "$.entries[0].attributes.custom: expected object, got list",
        "$.entries[0].subscriptions[0].billing-cycle: expected str, got int",
        "$.entries[0].subscriptions[0].mrr: expected a number, got a malformed str",
        "$.entries[0].subscriptions[0].quantity: expected int, got float",
        "$.entries[0].activities[1].activity-mrr: expected int or float, got bool",
        "$.entries[0].activities[1].date: expected an ISO 8601 time, got int",
        "$.has_more: expected bool, got str",
        "$.cursor: expected str, got int",
    }


@pytest.mark.parametrize(
    ("sent", "mrr"),
    [("269", 269), ("-269", -269), ("1.3", 1.3), ("0.0", 0.0), (269, 269), (1.5, 1.5), (None, None)],
    ids=repr,
)
def test_numbers_sent_as_text_by_the_closed_beta(sent: Any, mrr: float | None) -> None:
    assert repr(structure({"mrr": sent}, Customer).mrr) == repr(mrr)


@pytest.mark.parametrize("sent", ["", "many", "nan", "inf", "1e400", "9" * 5000, "1,5", "0x10", True, [], {}], ids=str)
def test_a_text_that_is_not_a_number_is_refused(sent: Any) -> None:
    (problem,) = problems({"mrr": sent}, Customer)
    assert problem.startswith("$.mrr: expected ")


def test_unknown_keys_are_ignored() -> None:
    raw = response_with(quick_ratio="new") | {"meta": [1, 2], "entries_total": None}
    raw["summary"]["trend"] = {"up": True}
    assert structure(raw, MRR) == structure(response_with(), MRR)


def test_a_key_of_the_record_is_not_a_key_of_the_api() -> None:
    raw = {"date": "2023-07-31", "mrr": 1, "percentage_change": 0.5}
    assert structure(raw, MRREntry) == MRREntry(date(2023, 7, 31), 1)


def test_the_message_names_five_problems_and_counts_the_rest() -> None:
    raw = {"entries": [{"date": "2023-07-31", "mrr": None}] * 8, "summary": SUMMARY}
    with pytest.raises(DecodeError) as refused:
        structure(raw, MRR)
    expected = [f"$.entries[{index}].mrr: expected int or float, got null" for index in range(8)]
    assert refused.value.problems == tuple(expected)
    assert refused.value.message == "; ".join([*expected[:5], "and 3 more"])


@pytest.mark.parametrize("number", [5, 1])
def test_up_to_five_problems_are_all_named(number: int) -> None:
    raw = {"entries": [{"date": "2023-07-31", "mrr": None}] * number, "summary": SUMMARY}
    with pytest.raises(DecodeError) as refused:
        structure(raw, MRR)
    assert refused.value.message == "; ".join(refused.value.problems)
    assert len(refused.value.problems) == number


@pytest.mark.parametrize("into", [MRR, CustomersEnvelope], ids=["in bulk", "one by one"])
@pytest.mark.parametrize("number", [100, 101, 1000])
def test_a_hundred_problems_are_kept(number: int, into: Any) -> None:
    with pytest.raises(DecodeError) as refused:
        structure({"entries": [7] * number, "summary": SUMMARY}, into)
    expected = [f"$.entries[{index}]: expected object, got int" for index in range(100)]
    assert refused.value.problems == tuple(expected)
    assert refused.value.message == "; ".join([*expected[:5], "and 95 more" if number == 100 else "and more"])


def test_problems_in_lists_of_lists_are_counted_together() -> None:
    customer = {"external_ids": [1] * 60, "tags": [2] * 60}
    with pytest.raises(DecodeError) as refused:
        structure({"entries": [customer] * 50}, CustomersEnvelope)
    assert len(refused.value.problems) == 100
    assert refused.value.problems[60] == "$.entries[1].external_ids[0]: expected str, got int"


@pytest.mark.parametrize("parser", ["json", "orjson"])
def test_records_that_were_made_before_a_mismatch_are_no_problem(parser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pass puts records in the place of objects, and the second one finds the mismatch."""
    if parser == "json":
        monkeypatch.setattr(converter, "orjson", None)
    else:
        pytest.importorskip("orjson")
    for place, response in (
        ("$.summary.current: expected int or float, got str", response_with() | {"summary": SUMMARY | {"current": ""}}),
        ("$.entries[1].mrr: expected int or float, got str", response_with(mrr="1")),
    ):
        with pytest.raises(DecodeError) as refused:
            converter.read(json.dumps(response).encode(), MRR)
        assert refused.value.problems == (place,)


def test_records_take_the_place_of_the_objects_of_a_response() -> None:
    """So the memory of an object is free for the next record."""
    raw = response_with()
    entries = structure(raw, MRR).entries
    assert tuple(raw["entries"]) == entries != ()


def test_a_document_is_left_as_it_is_and_contains_no_records() -> None:
    summary = {"current": 1, "previous": 1, "percentage_change": 0.5}
    document: dict[str, Any] = {"entries": [{"date": "2023-07-31", "mrr": 1}], "summary": summary}
    before = deepcopy(document)
    response = structure(document, MRR, kebab=False)
    assert document == before
    document["entries"] = list(response.entries)
    with pytest.raises(DecodeError, match=r"\$\.entries\[0\]: expected object, got MRREntry"):
        structure(document, MRR, kebab=False)


def test_a_mismatch_behind_many_entries_has_its_place() -> None:
    good, bad = {"date": "2023-07-31", "mrr": 1}, {"date": "2023-07-31", "mrr": "x"}
    complete = response_with()["entries"][0]
    assert problems({"entries": [complete] * 1000 + [bad, good], "summary": SUMMARY}) == (
        "$.entries[1000].mrr: expected int or float, got str",
    )


@pytest.mark.parametrize("problems", [1, 60])
def test_a_list_is_looked_at_until_there_are_a_hundred_problems(problems: int) -> None:
    """Each problem takes more memory and time than its value."""
    looked_at: list[int] = []

    def exact(value: Any, index: int) -> Any:
        looked_at.append(index)
        several = converter._Mismatches()
        several.found += [(0, TypeError())] * problems
        raise several

    mismatches = converter._Mismatches()
    with pytest.raises(converter._Mismatches):
        mismatches.collect([None] * 1000, converter._one_by_one, exact)
    assert looked_at == list(range(101 if problems == 1 else 2))


def test_null_means_the_default_that_is_not_null() -> None:
    (customer,) = structure({"entries": [{"external_ids": None, "lead_status": None}]}, CustomersEnvelope).entries
    assert (customer.external_ids, customer.lead_status) == ((), None)


def test_any_number_of_entries_is_accepted() -> None:
    complete = response_with()["entries"][0]
    content = json.dumps({"entries": [complete] * 10_001, "summary": SUMMARY}).encode()
    assert len(structure(decode(content), MRR).entries) == 10_001
    assert len(converter.read(content, MRR).entries) == 10_001


def test_a_list_of_objects_other_than_entries_is_limited() -> None:
    assert len(structure({"entries": [{}] * 10_000}, CustomersEnvelope).entries) == 10_000
    (customer,) = structure({"entries": [{"external_ids": ["a"] * 10_001}]}, CustomersEnvelope).entries
    assert len(customer.external_ids) == 10_001
    assert problems({"entries": [{}] * 10_001}, CustomersEnvelope) == (
        "$.entries: expected a list of at most 10000 objects, got 10001",
    )


# --- JSON ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "start"),
    [
        (b"", "$: the body of 0 bytes is empty"),
        (b"   ", "$: the body of 3 bytes is empty"),
        (b'{"entries": [', "$: the body of 13 bytes is not JSON, see character 13"),
        (b"<html>", "$: the body of 6 bytes is not JSON, see character 0"),
        (b"\xff\xfe\xfa", "$: the body of 3 bytes is not JSON"),
        (b"NaN", "$: the body of 3 bytes is not JSON"),
        (b"[1, -Infinity]", "$: the body of 14 bytes is not JSON"),
        (b"9" * 5000, "$: the body of 5000 bytes is not JSON"),
        (b"[" * 10_000, "$: the body of 10000 bytes is not JSON"),
        (b'{"a":' * 10_000, "$: the body of 50000 bytes is not JSON"),
        (b"[" * 100_000, "$: the body of 100000 bytes has too many objects and lists to be parsed: 100000"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_invalid_json_is_reported_by_size_and_never_quoted(content: bytes, start: str) -> None:
    with pytest.raises(DecodeError) as refused:
        decode(content)
    (problem,) = refused.value.problems
    assert refused.value.message == problem
    assert problem.startswith(start)
    assert refused.value.__cause__ is None
    # The parser's error would contain the whole body.
    assert refused.value.__context__ is None


def test_valid_json_is_parsed_unchanged() -> None:
    assert decode(b' {"a": [1, 2.50, null, true, "\xc3\xa9"]} ') == {"a": [1, 2.5, None, True, "é"]}


def test_the_last_of_duplicate_keys_counts() -> None:
    assert decode(b'{"mrr": 1, "mrr": 2}') == {"mrr": 2}


# --- any response at all -------------------------------------------------------------------------------------


SECRET = "customer-data-7f3a"
KEYS = sorted({key for name in ("today-all", "today-mrr", "beta-customers-search") for key in re.findall(
    r'"([\w-]+)":', (RESPONSES / f"{name}.json").read_text()
)})  # fmt: skip

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([HUGE, 2**53, 1.9, -0.0, 650.0, float("nan"), float("inf")])
    | st.floats()
    | st.sampled_from(["2023-07-31", "2015-06-15T19:37", "269", SECRET])
    | st.text(max_size=6)
)
json_values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
classes = st.sampled_from([*INTO.values(), Account])


def outcome_of(value: Any, into: Any) -> Any:
    """The record, or the ``DecodeError``; any other exception comes out and fails the test."""
    try:
        return structure(value, into)
    except DecodeError as error:
        return error


def assert_is_record_or_decode_error(outcome: Any) -> None:
    if isinstance(outcome, DecodeError):
        assert outcome.problems
        assert outcome.message
        assert SECRET not in str(outcome)
        assert SECRET not in repr(outcome)
    else:
        hash(outcome)


@given(json_values, classes)
@settings(max_examples=150)
def test_any_json_becomes_a_record_or_a_decode_error(value: Any, into: Any) -> None:
    assert_is_record_or_decode_error(outcome_of(value, into))


@given(st.sampled_from(NAMES), st.data())
@settings(max_examples=80)
def test_one_changed_place_gives_a_record_or_is_named(name: str, data: st.DataObject) -> None:
    raw, _ = read(name)
    metric = re.sub(r"^(beta|today|2016-d|2022-[abc]|2026)-", "", name)
    place: Any = raw
    path = "$"
    while True:
        steps = list(range(len(place))) if isinstance(place, list) else list(place)
        step = data.draw(st.sampled_from(steps))
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
        if not place[step] or not isinstance(place[step], list | dict) or data.draw(st.booleans()):
            break
        place = place[step]
    place[step] = data.draw(json_values)
    path = path.replace("customer-count", "customers")
    outcome = outcome_of(raw, INTO[metric])
    assert_is_record_or_decode_error(outcome)
    if isinstance(outcome, DecodeError):
        assert all(problem.startswith(path) for problem in outcome.problems)


@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()), classes)
@settings(max_examples=80)
def test_any_bytes_become_a_record_or_a_decode_error(content: bytes, into: Any) -> None:
    try:
        outcome = outcome_of(decode(content), into)
    except DecodeError as error:
        outcome = error
    assert_is_record_or_decode_error(outcome)


# --- bytes, with either parser -------------------------------------------------------------------------------


@pytest.fixture(params=["orjson", "json"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the extra ``fast`` and without it."""
    if request.param == "json":
        monkeypatch.setattr(converter, "orjson", None)
    elif vars(converter)["orjson"] is None:
        pytest.skip("the extra fast is not installed")
    name: str = request.param
    return name


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("name", NAMES)
def test_either_parser_gives_the_same_records(name: str) -> None:
    raw, expected = read(name)
    metric = re.sub(r"^(beta|today|2016-d|2022-[abc]|2026)-", "", name)
    assert repr(converter.read(json.dumps(raw).encode(), INTO[metric])) == repr(expected)


@pytest.mark.usefixtures("parser")
def test_integers_keep_all_digits_with_either_parser() -> None:
    for mrr in (2**53 + 1, 2**64 - 1, 2**64, 10**30 + 1, -(10**30) - 1, HUGE):
        content = json.dumps(response_with(mrr=mrr)).encode()
        assert converter.read(content, MRR).entries[1].mrr == mrr


@pytest.mark.usefixtures("parser")
def test_custom_attributes_are_unchanged_with_either_parser() -> None:
    custom = {"id": 10**30 + 1, "score": 1e300, "list": [{"deep": 2**70, "small": 0.5}], "name": "é"}
    content = json.dumps({"entries": [{"attributes": {"custom": custom}}]}).encode()
    (customer,) = converter.read(content, CustomersEnvelope).entries
    assert customer.attributes is not None
    assert repr(customer.attributes.custom) == repr(custom)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("opening", ['{"a": ', "["])
def test_an_object_of_any_content_can_be_copied(opening: str) -> None:
    """That takes more frames for each level than to read it."""
    closing = "}" if opening[0] == "{" else "]"

    def read(levels: int) -> Any:
        custom = '{"a": ' + opening * (levels - 1) + "1" + closing * (levels - 1) + "}"
        content = f'{{"entries": [{{"attributes": {{"custom": {custom}}}}}]}}'
        return deepcopy(converter.read(content.encode(), CustomersEnvelope))

    read(100)
    for levels in (101, 400):
        with pytest.raises(DecodeError, match="custom: expected object, got one that is nested more than 100"):
            read(levels)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("content", [b"\xef\xbb\xbf", b""], ids=["with a byte order mark", "plain"])
def test_input_that_only_one_parser_accepts_is_accepted(content: bytes) -> None:
    assert converter.read(content + json.dumps(response_with()).encode(), MRR) == structure(response_with(), MRR)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity_are_refused_even_in_unknown_keys(constant: str) -> None:
    content = json.dumps(response_with()).replace('"summary"', f'"new": {constant}, "summary"').encode()
    with pytest.raises(DecodeError, match="is not JSON"):
        converter.read(content, MRR)


@pytest.mark.usefixtures("parser")
def test_a_huge_float_is_refused_with_either_parser() -> None:
    with pytest.raises(DecodeError) as refused:
        converter.read(json.dumps(response_with(mrr=1e300, percentage_change=-1e16)).encode(), MRR)
    assert refused.value.problems == (
        "$.entries[1].mrr: expected int or float, got a number out of range",
        "$.entries[1].percentage-change: expected float, got a number out of range",
    )
    content = b'{"entries": [{"date": "2023-07-31", "customers": 1e30}], "summary": %s}' % json.dumps(SUMMARY).encode()
    with pytest.raises(DecodeError, match="customers: expected int, got a number out of range"):
        converter.read(content, COUNT)


@pytest.mark.usefixtures("parser")
def test_what_matches_is_structured_by_the_fast_converter_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow one, which finds the places of mismatches, would give the same records."""
    asked: list[object] = []
    converter_of = converter._converter

    def record(*, detailed: object, **options: Any) -> Any:
        asked.append(detailed)
        return converter_of(detailed=bool(detailed), **options)

    monkeypatch.setattr(converter, "_converter", record)
    structure(response_with(), MRR)
    converter.read(json.dumps(response_with()).encode(), MRR)
    assert asked == [False, False]


def test_with_the_extra_fast_orjson_alone_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("orjson")
    monkeypatch.delattr(converter, "_parsed")
    assert converter.read(json.dumps(response_with()).encode(), MRR) == structure(response_with(), MRR)


def test_without_the_extra_fast_the_standard_library_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "orjson", None)
    spec = importlib.util.spec_from_file_location("converter_without_orjson", converter.__file__)
    assert spec is not None
    assert spec.loader is not None
    alone = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(alone)
    assert alone.orjson is None
    assert alone.read(json.dumps(response_with()).encode(), MRR) == structure(response_with(), MRR)
