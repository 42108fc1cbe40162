"""What the three web apps have in common: the client, the figures, and the page that shows them."""

from pathlib import Path
from typing import Any

from chartmogul_async import AsyncClient, FileStore, MetricQuery, Throttle
from chartmogul_async.periods import last

PAGE = Path(__file__).with_name("dashboard.html").read_text(encoding="utf-8")


def new_client() -> AsyncClient:
    """Make the client of one worker process. The store makes all of them share the limits of the key."""
    return AsyncClient(throttle=Throttle(store=FileStore()))


async def figures(client: AsyncClient, country: str) -> dict[str, Any]:
    """Fetch what the page shows, ready for JSON: at most ten seconds old, and at most five seconds in the queue."""
    page = client.with_options(max_age=10, max_wait=5, priority="interactive")
    account = await page.with_options(max_age=3600).account()
    # Where the account is, another day may have begun than where this server is.
    today = account.today()
    period = last(12, "month", today=today).start, today
    queries: list[MetricQuery] = [MetricQuery(name, *period, geo=country or None) for name in ("all", "mrr")]
    overview, movements = [outcome.result() for outcome in await page.metrics.fetch_all(queries)]
    return {
        "account": {"name": account.name, "currency": account.currency},
        "overview": overview.to_dict(),
        "movements": movements.to_dict(),
    }
