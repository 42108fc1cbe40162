"""One page on an account, in a file that needs no network: MRR and its movements, trends, retention, plans, countries.

::

    from chartmogul_async.report import fetch_report, render

    async with AsyncClient() as client:
        page = render(await fetch_report(client, months=12))
"""

from chartmogul_async.report.contents import Report, fetch_report
from chartmogul_async.report.page import render

__all__ = ["Report", "fetch_report", "render"]
