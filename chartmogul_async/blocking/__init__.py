"""The client for programs without ``await``: the same names, types and errors, each call blocking its thread.

::

    from chartmogul_async.blocking import Client

    with Client("api-key") as client:
        mrr = client.metrics.mrr("2023-07-01", "2023-08-31")

Nothing is implemented a second time: every method runs that of ``AsyncClient`` in an event loop in another thread.
"""

from chartmogul_async.blocking.client import Client
from chartmogul_async.blocking.pages import Pages
from chartmogul_async.blocking.resources import Customers, Metrics, PlanGroups, Plans, Throttle
from chartmogul_async.blocking.stream import Outcomes

__all__ = ["Client", "Customers", "Metrics", "Outcomes", "Pages", "PlanGroups", "Plans", "Throttle"]
