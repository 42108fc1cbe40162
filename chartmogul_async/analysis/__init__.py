"""Rates and figures that follow from the metrics, each by a named formula.

Pure functions over the entries of a series: they fetch nothing, round nothing, and give one value for each entry, in
order. Rates are in percent, as those of the API. What is undefined, as a share of nothing is, is None; what is infinite
is ``math.inf``; 0.0 is always a zero. What does not follow from what was given raises an ``ArgumentError`` that says
which data would do. ::

    series = await client.metrics.mrr("2025")
    for entry, kept in zip(series, analysis.net_mrr_retention(series)):
        print(entry.date, kept)
"""

from chartmogul_async.analysis.customers import customers_gained, customers_lost
from chartmogul_async.analysis.growth import cmgr, growth_rate, restated, year_over_year
from chartmogul_async.analysis.movements import (
    gross_mrr_churn_rate,
    gross_mrr_retention,
    net_mrr_retention,
    net_new_mrr,
    quick_ratio,
)
from chartmogul_async.analysis.totals import is_partial, total

__all__ = [
    "cmgr",
    "customers_gained",
    "customers_lost",
    "gross_mrr_churn_rate",
    "gross_mrr_retention",
    "growth_rate",
    "is_partial",
    "net_mrr_retention",
    "net_new_mrr",
    "quick_ratio",
    "restated",
    "total",
    "year_over_year",
]
