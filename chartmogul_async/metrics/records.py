"""The responses of the metrics endpoints, as frozen values.

Money is what the API sends: an integer number of cents of the account's currency (divide by 100, also for
currencies without cents). Old responses contained fractions of a cent; those stay floats and are never rounded.
Rates and changes are in percent. ``percentage_change`` compares with the previous entry of the same response: it
is 0.0 in the first one, and None in responses of the closed beta, which did not have it.

The metadata of each field contains its unit (``cents``, ``percent``, ``count``) and its kind: a ``stock`` (as at the
end of the interval), a ``flow`` (summed over it), an ``average`` (over customers or sales) or a ``rate``. Only flows
can be summed over intervals. A metric that the API once called differently also has its ``old_key``.

Source: https://dev.chartmogul.com/reference/metrics/all and the pages of the other metrics.
"""

# Annotations are evaluated here, not postponed: postponed ones would be looked up in the module that ``__module__``
# names, and the top of the package does not contain ``date``.

from datetime import date
from typing import Generic

from attrs import field, frozen
from typing_extensions import TypeVar

from chartmogul_async.structuring.record import Record

Money = int | float

_STOCK_CENTS = {"unit": "cents", "kind": "stock"}
_FLOW_CENTS = {"unit": "cents", "kind": "flow"}
_AVERAGE_CENTS = {"unit": "cents", "kind": "average"}
_PERCENT = {"unit": "percent", "kind": "rate"}
_COUNT = {"unit": "count", "kind": "stock"}


@frozen(weakref_slot=False)
class MetricEntry(Record):
    """What the entries of all metrics have in common.

    Attributes:
        date: The last day of the interval, or of the part of it that was asked for.
    """

    __module__ = "chartmogul_async"

    date: date


@frozen(weakref_slot=False)
class MRREntry(MetricEntry):
    """Monthly recurring revenue as at ``date``, and its movements during the interval (losses are negative).

    The movements are None in responses of the closed beta.
    """

    __module__ = "chartmogul_async"

    mrr: Money = field(metadata=_STOCK_CENTS)
    percentage_change: float | None = field(default=None, metadata=_PERCENT)
    mrr_new_business: Money | None = field(default=None, metadata=_FLOW_CENTS)
    mrr_expansion: Money | None = field(default=None, metadata=_FLOW_CENTS)
    mrr_contraction: Money | None = field(default=None, metadata=_FLOW_CENTS)
    mrr_churn: Money | None = field(default=None, metadata=_FLOW_CENTS)
    mrr_reactivation: Money | None = field(default=None, metadata=_FLOW_CENTS)


@frozen(weakref_slot=False)
class ARREntry(MetricEntry):
    """Annual run rate as at ``date``: twelve times the MRR."""

    __module__ = "chartmogul_async"

    arr: Money = field(metadata=_STOCK_CENTS)
    percentage_change: float | None = field(default=None, metadata=_PERCENT)


@frozen(weakref_slot=False)
class ARPAEntry(MetricEntry):
    """Average revenue per account and month, as at ``date``."""

    __module__ = "chartmogul_async"

    arpa: Money = field(metadata=_AVERAGE_CENTS)
    percentage_change: float | None = field(default=None, metadata=_PERCENT)


@frozen(weakref_slot=False)
class ASPEntry(MetricEntry):
    """Average sale price of the interval that ends at ``date``; 0 if there were no sales."""

    __module__ = "chartmogul_async"

    asp: Money = field(metadata=_AVERAGE_CENTS)
    percentage_change: float | None = field(default=None, metadata=_PERCENT)


@frozen(weakref_slot=False)
class CustomerCountEntry(MetricEntry):
    """Active customers as at ``date``. The closed beta called the field ``customer-count``."""

    __module__ = "chartmogul_async"

    customers: int = field(metadata={**_COUNT, "old_key": "customer-count"})
    percentage_change: float | None = field(default=None, metadata=_PERCENT)


@frozen(weakref_slot=False)
class CustomerChurnRateEntry(MetricEntry):
    """Share of the customers lost in the interval that ends at ``date``, in percent."""

    __module__ = "chartmogul_async"

    customer_churn_rate: float = field(metadata=_PERCENT)
    percentage_change: float | None = field(default=None, metadata=_PERCENT)


@frozen(weakref_slot=False)
class MRRChurnRateEntry(MetricEntry):
    """Net share of the MRR lost in the interval that ends at ``date``, in percent; negative when it grew."""

    __module__ = "chartmogul_async"

    mrr_churn_rate: float = field(metadata=_PERCENT)
    percentage_change: float | None = field(default=None, metadata=_PERCENT)


@frozen(weakref_slot=False)
class LTVEntry(MetricEntry):
    """Customer lifetime value as at ``date``; 0 while there is no churn."""

    __module__ = "chartmogul_async"

    ltv: Money = field(metadata=_AVERAGE_CENTS)
    percentage_change: float | None = field(default=None, metadata=_PERCENT)


@frozen(weakref_slot=False)
class KeyMetricsEntry(MetricEntry):
    """All eight key metrics of one interval, each with its change since the previous entry.

    Churn rates, ASP and LTV are monthly figures: on daily entries they keep their month's value.
    """

    __module__ = "chartmogul_async"

    mrr: Money = field(metadata=_STOCK_CENTS)
    arr: Money = field(metadata=_STOCK_CENTS)
    customer_churn_rate: float = field(metadata=_PERCENT)
    mrr_churn_rate: float = field(metadata=_PERCENT)
    ltv: Money = field(metadata=_AVERAGE_CENTS)
    customers: int = field(metadata=_COUNT)
    asp: Money = field(metadata=_AVERAGE_CENTS)
    arpa: Money = field(metadata=_AVERAGE_CENTS)
    mrr_percentage_change: float | None = field(default=None, metadata=_PERCENT)
    arr_percentage_change: float | None = field(default=None, metadata=_PERCENT)
    customer_churn_rate_percentage_change: float | None = field(default=None, metadata=_PERCENT)
    mrr_churn_rate_percentage_change: float | None = field(default=None, metadata=_PERCENT)
    ltv_percentage_change: float | None = field(default=None, metadata=_PERCENT)
    customers_percentage_change: float | None = field(default=None, metadata=_PERCENT)
    asp_percentage_change: float | None = field(default=None, metadata=_PERCENT)
    arpa_percentage_change: float | None = field(default=None, metadata=_PERCENT)


@frozen
class Summary(Record):
    """The figure *now*, whatever range was requested, in the unit of the metric.

    MRR, ARR, ARPA, ASP and customers: now and 30 days ago. Churn rates and LTV: the last month and the one
    before it.
    """

    __module__ = "chartmogul_async"

    current: int | float
    previous: int | float
    percentage_change: float = field(metadata=_PERCENT)


@frozen
class KeyMetricsSummary(Record):
    """All eight figures *now*, whatever range was requested; see ``Summary`` for the two dates compared."""

    __module__ = "chartmogul_async"

    current_mrr: Money = field(metadata=_STOCK_CENTS)
    previous_mrr: Money = field(metadata=_STOCK_CENTS)
    mrr_percentage_change: float = field(metadata=_PERCENT)
    current_arr: Money = field(metadata=_STOCK_CENTS)
    previous_arr: Money = field(metadata=_STOCK_CENTS)
    arr_percentage_change: float = field(metadata=_PERCENT)
    current_customer_churn_rate: float = field(metadata=_PERCENT)
    previous_customer_churn_rate: float = field(metadata=_PERCENT)
    customer_churn_rate_percentage_change: float = field(metadata=_PERCENT)
    current_mrr_churn_rate: float = field(metadata=_PERCENT)
    previous_mrr_churn_rate: float = field(metadata=_PERCENT)
    mrr_churn_rate_percentage_change: float = field(metadata=_PERCENT)
    current_ltv: Money = field(metadata=_AVERAGE_CENTS)
    previous_ltv: Money = field(metadata=_AVERAGE_CENTS)
    ltv_percentage_change: float = field(metadata=_PERCENT)
    current_customers: int = field(metadata=_COUNT)
    previous_customers: int = field(metadata=_COUNT)
    customers_percentage_change: float = field(metadata=_PERCENT)
    current_asp: Money = field(metadata=_AVERAGE_CENTS)
    previous_asp: Money = field(metadata=_AVERAGE_CENTS)
    asp_percentage_change: float = field(metadata=_PERCENT)
    current_arpa: Money = field(metadata=_AVERAGE_CENTS)
    previous_arpa: Money = field(metadata=_AVERAGE_CENTS)
    arpa_percentage_change: float = field(metadata=_PERCENT)


# Bare ``Series``, ``MetricQuery`` and ``Outcome`` are those of any metric.
E = TypeVar("E", bound=MetricEntry, default=MetricEntry, covariant=True)
S = TypeVar(
    "S",
    bound=Summary | KeyMetricsSummary | None,
    default=Summary | KeyMetricsSummary | None,
    covariant=True,
)


@frozen
class MetricResponse(Generic[E, S]):
    """One response of a metrics endpoint."""

    entries: tuple[E, ...]
    summary: S


@frozen
class KeyMetricsResponse(MetricResponse[KeyMetricsEntry, KeyMetricsSummary | None]):
    """The response of ``/metrics/all``, without a summary in the closed beta."""

    entries: tuple[KeyMetricsEntry, ...]
    summary: KeyMetricsSummary | None = None
