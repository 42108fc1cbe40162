"""The commands ``sandbox`` and ``demo``: a local ChartMogul, and a demonstration that is served by one.

The sandbox is imported inside its commands: the others do not need a server, and start faster without it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, cast

import anyio
import click

from chartmogul_async import AsyncClient
from chartmogul_async.checks import shown
from chartmogul_async.cli import files, terminal
from chartmogul_async.cli.failures import SERVER, CommandError, print_note
from chartmogul_async.cli.output import reported
from chartmogul_async.cli.parameters import day, limit

if TYPE_CHECKING:
    from chartmogul_async.sandbox import Company, Fault, Faults, Sandbox
    from chartmogul_async.sandbox.limits import Counting

_FOUNDED = date(2020, 1, 1)
# A company of this size takes some seconds to simulate.
_LARGEST_COMPANY = 100_000
# The faults that need nothing more than their name, which is that of their method.
_FAULTS = ("reset", "reset-in-body", "stall", "truncated", "garbage", "duplicate-keys", "twice", "empty", "html")
_FAULT = "a status such as 503, slow:SECONDS, " + ", ".join(_FAULTS)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="The port; 0 is any free one."
)
@click.option("--latency", type=float, default=0.0, metavar="SECONDS", help="Wait before each response.")
@click.option(
    "--latency-per-entry", type=float, default=0.0, metavar="SECONDS", help="Wait longer for each entry in it."
)
@click.option(
    "--per-second", default="40", show_default=True, callback=limit, metavar="N|none", help="Requests in a second."
)
@click.option(
    "--parallel", default="20", show_default=True, callback=limit, metavar="N|none", help="Requests at the same time."
)
@click.option(
    "--counting",
    type=click.Choice(["sliding", "fixed", "bucket"]),
    default="sliding",
    show_default=True,
    help="How the requests of a second are counted: in the last second, in each second of the clock, or by a bucket "
    "of tokens.",
)
@click.option(
    "--bucket", callback=limit, metavar="N", help="The bucket's capacity; by default the requests of a second."
)
@click.option(
    "--work-per-minute",
    callback=limit,
    metavar="N",
    help="A budget of compute time: a request costs 1, and 1 more for each entry in its response.",
)
@click.option("--retry-after", is_flag=True, help="Refusals say when to try again, which the real API never did.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT[=P]",
    help=f"What goes wrong with a response, at random with the probability P, always without it: {_FAULT}. "
    "Such as 503=0.05. May be repeated.",
)
@click.option(
    "--customers",
    type=click.IntRange(0, _LARGEST_COMPANY),
    default=1500,
    show_default=True,
    help="About how many sign up in the company's first six years, from 2020 on.",
)
@click.option(
    "--today", callback=day, metavar="YYYY-MM-DD", help="The last day of the company's history; by default today."
)
@click.option(
    "--seed", type=int, default=1, show_default=True, help="Another seed gives another company and other faults."
)
def sandbox(
    host: str,
    port: int,
    latency: float,
    latency_per_entry: float,
    per_second: int | None,
    parallel: int | None,
    counting: str,
    bucket: int | None,
    work_per_minute: int | None,
    retry_after: bool,
    faults: Sequence[str],
    customers: int,
    today: date | None,
    seed: int,
) -> None:
    """Run a local ChartMogul with a fictional company until Ctrl-C.

    It responds like the real one, with the same rate limits. The client uses plain HTTP for localhost only.

    Requests must name localhost or a loopback address as their host, so that no web page can read the figures. With
    a --host beyond loopback, any IP address and that --host are accepted as well.
    """
    from chartmogul_async.sandbox import Company, Limits, Sandbox
    from chartmogul_async.sandbox.hosts import is_loopback

    if bucket is not None and counting != "bucket":
        raise click.UsageError("--bucket requires --counting bucket", click.get_current_context())
    local = Sandbox(
        Company(seed=seed, customers=customers, founded=_FOUNDED, today=_checked(today)),
        limits=Limits(per_second, parallel, cast("Counting", counting), bucket, work_per_minute, retry_after),
        faults=_faults(faults, seed),
        latency=latency,
        latency_per_entry=latency_per_entry,
    )

    def ready(url: str) -> None:
        if not is_loopback(host):
            print_note(f"warning: other machines can reach the sandbox on {host}; its key is not a secret")
        with reported():
            terminal.write(_introduction(local.company, local.api_key, url))

    try:
        local.run(host, port, ready=ready)
    except OSError as error:
        # The part in parentheses repeats the address.
        reason = str(error.strerror).partition(" (")[0]
        raise CommandError(f"cannot listen on {host}:{port}: {reason}", SERVER) from error


def _introduction(company: Company, api_key: str, url: str) -> str:
    lines = [
        f"{company.profile.name} is served at {url} until Ctrl-C. In another terminal:",
        f"  {_setting('CHARTMOGUL_BASE_URL', url)}",
        f"  {_setting('CHARTMOGUL_API_KEY', api_key)}",
        f"  chartmogul metrics mrr --start {company.today.year}-01-01 --end {company.today}",
        *(f"  chartmogul customers search {customer.email}" for customer in company.customers[:1]),
    ]
    return "".join(f"{line}\n" for line in lines)


def _setting(name: str, value: str) -> str:
    """How a shell sets a variable of its environment: PowerShell on Windows."""
    return f'$env:{name} = "{value}"' if sys.platform == "win32" else f"export {name}={value}"


def _checked(today: date | None) -> date | None:
    if today is not None and today < _FOUNDED:
        raise click.BadParameter(f"must be {_FOUNDED} or later, not {today}", param_hint="--today")
    return today


def _faults(given: Sequence[str], seed: int) -> Faults:
    from chartmogul_async.sandbox import Faults

    chances: dict[Fault, float] = {}
    for text in given:
        name, _, probability = text.partition("=")
        fault = _fault(name)
        chances[fault] = chances.get(fault, 0.0) + _number(probability or "1", text)
    return Faults.random(chances, seed=seed)


def _fault(name: str) -> Fault:
    from chartmogul_async.sandbox import Fault

    kind, _, seconds = name.partition(":")
    if kind == "slow":
        return Fault.slow(_number(seconds, name))
    if name in _FAULTS:
        return cast("Fault", getattr(Fault, name.replace("-", "_"))())
    if len(name) == len("503") and name.isascii() and name.isdigit():
        return Fault.status(int(name))
    raise click.BadParameter(f"must be {_FAULT}, not {shown(name)}", param_hint="--fault")


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"must end with a number, not {shown(whole)}", param_hint="--fault") from None


@click.command()
@click.option(
    "--report",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write a page on the company to this file, as `chartmogul report` does for an account.",
)
def demo(path: Path | None) -> None:
    """Demonstrate the client with a local, fictional company.

    Fetches nine metrics for 24 months, one request for each month, and two years of days over HTTP, within
    ChartMogul's limits; takes less than ten seconds.
    """
    from chartmogul_async.cli.demo import demonstrate
    from chartmogul_async.sandbox import Sandbox

    if path is not None:
        files.check_place(path, "--report")
    served = Sandbox(latency=0.08, latency_per_entry=0.001)
    demonstrate(served)
    if path is None:
        print_note("a page on the company: chartmogul demo --report demo.html")
        return
    files.replace(path, anyio.run(_page_of, served).encode())
    print_note(f"wrote {path}")


async def _page_of(served: Sandbox) -> str:
    from chartmogul_async.report import fetch_report, render

    async with AsyncClient(served.api_key, transport=served.transport()) as client:
        return render(await fetch_report(client, today=served.company.today))
