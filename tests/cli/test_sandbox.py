"""``chartmogul sandbox``: its options, and what it prints. That it serves is shown by ``test_process.py``."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import date
from unittest.mock import Mock

import pytest

from chartmogul_async.cli import sandbox as sandbox_commands
from chartmogul_async.sandbox import Fault, Faults, Limits, Sandbox
from tests.cli.conftest import Run


def test_sandbox_reports_a_port_that_is_in_use(run: Run, sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = run("sandbox", "--port", str(taken.getsockname()[1]))
    assert (ran.code, ran.out) == (6, "")
    assert ran.err.startswith("error: cannot listen on 127.0.0.1:")


def run_once(sandbox: Sandbox, host: str, port: int, *, ready: Callable[[str], object]) -> None:
    """A server that ends as soon as it is ready."""
    ready(f"http://{host}:{port}/v1")


@pytest.mark.parametrize("host", ["", "a..b", "x" * 64, "[::1]", "\ud800"], ids=ascii)
def test_a_malformed_host_is_invalid_usage(run: Run, host: str) -> None:
    ran = run("sandbox", "--host", host)
    assert (ran.code, ran.out) == (2, "")
    assert "host must be a host name or an IP address" in ran.err


@pytest.mark.parametrize(
    ("host", "warned"), [("localhost", False), ("127.0.0.2", False), ("::1", False), ("0.0.0.0", True), ("::", True)]
)
def test_sandbox_warns_beyond_loopback(run: Run, monkeypatch: pytest.MonkeyPatch, host: str, warned: bool) -> None:
    monkeypatch.setattr(Sandbox, "run", run_once)
    ran = run("sandbox", "--host", host)
    assert ran.code == 0
    assert (ran.err == f"warning: other machines can reach the sandbox on {host}; its key is not a secret\n") is warned
    assert (ran.err == "") is not warned


@pytest.mark.parametrize(("platform", "form"), [("linux", "export {}={}"), ("win32", '$env:{} = "{}"')])
def test_sandbox_prints_the_environment_for_the_client(
    run: Run, platform: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sandbox, "run", run_once)
    monkeypatch.setattr(sandbox_commands, "sys", Mock(platform=platform))
    ran = run("sandbox", "--port", "8123")
    assert (ran.code, ran.err) == (0, "")
    lines = [line.strip() for line in ran.out.splitlines()]
    assert form.format("CHARTMOGUL_BASE_URL", "http://127.0.0.1:8123/v1") in lines
    assert form.format("CHARTMOGUL_API_KEY", "sandbox") in lines


# --- options -------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Sandbox]:
    """The sandboxes that were served, which end as soon as they are ready."""
    made: list[Sandbox] = []

    def keep(sandbox: Sandbox, host: str, port: int, *, ready: Callable[[str], object]) -> None:
        made.append(sandbox)
        run_once(sandbox, host, port, ready=ready)

    monkeypatch.setattr(Sandbox, "run", keep)
    return made


def test_without_options_it_is_the_real_one(run: Run, made: list[Sandbox]) -> None:
    assert run("sandbox").code == 0
    (sandbox,) = made
    assert (sandbox.limits, sandbox.faults.rules[0].chances) == (Limits(), ())
    assert (sandbox.latency, sandbox.latency_per_entry) == (0.0, 0.0)
    assert (sandbox.company.seed, sandbox.company.founded) == (1, date(2020, 1, 1))


def test_latency_and_limits(run: Run, made: list[Sandbox]) -> None:
    latency = ("--latency", "0.2", "--latency-per-entry", "0.001")
    limits = ("--per-second", "10", "--parallel", "none", "--counting", "bucket", "--bucket", "5")
    assert run("sandbox", *latency, *limits, "--work-per-minute", "900", "--retry-after").code == 0
    (sandbox,) = made
    assert (sandbox.latency, sandbox.latency_per_entry) == (0.2, 0.001)
    assert sandbox.limits == Limits(10, None, "bucket", 5, 900, retry_after=True)


def test_the_company(run: Run, made: list[Sandbox]) -> None:
    assert run("sandbox", "--customers", "30", "--today", "2024-05-06", "--seed", "7").code == 0
    (sandbox,) = made
    assert (sandbox.company.seed, sandbox.company.today) == (7, date(2024, 5, 6))
    assert 5 < len(sandbox.company.customers) < 60


def test_a_company_without_customers_has_none_to_search_for(run: Run, made: list[Sandbox]) -> None:
    ran = run("sandbox", "--customers", "0")
    assert ran.code == 0
    assert "chartmogul metrics mrr" in ran.out
    assert "customers search" not in ran.out


def test_faults_have_their_probabilities(run: Run, made: list[Sandbox]) -> None:
    faults = ("503=0.05", "slow:2.5=.1", "duplicate-keys=0.25", "503=0.05")
    assert run("sandbox", "--seed", "7", *(word for fault in faults for word in ("--fault", fault))).code == 0
    chances = {Fault.status(503): 0.1, Fault.slow(2.5): 0.1, Fault.duplicate_keys(): 0.25}
    assert made[0].faults == Faults.random(chances, seed=7)


@pytest.mark.parametrize("name", sandbox_commands._FAULTS)
def test_a_fault_without_probability_is_certain(run: Run, made: list[Sandbox], name: str) -> None:
    assert run("sandbox", "--fault", name).code == 0
    ((fault, probability),) = made[0].faults.rules[0].chances
    assert (fault.kind, probability) == (name, 1.0)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--latency", "-1"), "--latency must be a non-negative number of seconds, not -1.0"),
        (("--latency-per-entry", "nan"), "--latency-per-entry must be a non-negative number of seconds, not nan"),
        (("--per-second", "0"), "must be a positive integer or 'none', not '0'"),
        (("--parallel", "1e3"), "must be a positive integer or 'none', not '1e3'"),
        (("--bucket", "5"), "--bucket requires --counting bucket"),
        (("--counting", "daily"), "'daily' is not one of"),
        (("--customers", "1000000"), "1000000 is not in the range"),
        (("--today", "tomorrow"), "must be a date such as 2026-01-31, not 'tomorrow'"),
        (("--today", "2019-12-31"), "must be 2020-01-01 or later, not 2019-12-31"),
        (("--fault", "5xx"), "must be a status such as 503, slow:SECONDS, reset, "),
        (("--fault", "1000"), "must be a status such as 503, slow:SECONDS, reset, "),
        (("--fault", "042"), "a status of --fault must be an integer from 100 to 999, not 42"),
        (("--fault", "slow"), "must end with a number, not 'slow'"),
        (("--fault", "slow:-1"), "--fault slow:SECONDS must be a non-negative number of seconds, not -1.0"),
        (("--fault", "reset=often"), "must end with a number, not 'reset=often'"),
        (("--fault", "reset", "--fault", "503"), "the probabilities of --fault must add up to at most 1, not 2.0"),
    ],
    ids=" ".join,
)
def test_wrong_options_are_refused_before_it_runs(
    run: Run, made: list[Sandbox], args: tuple[str, ...], message: str
) -> None:
    ran = run("sandbox", *args)
    assert (ran.code, ran.out, made) == (2, "", [])
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert message in ran.err
