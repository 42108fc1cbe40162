"""The result of a query, and the response that each metric has."""

from collections.abc import Iterator, Sequence
from typing import Any, Generic, overload

from attrs import frozen

from chartmogul_async.metrics.query import MetricName, MetricQuery
from chartmogul_async.metrics.records import (
    ARPAEntry,
    ARREntry,
    ASPEntry,
    CustomerChurnRateEntry,
    CustomerCountEntry,
    E,
    KeyMetricsResponse,
    LTVEntry,
    MetricResponse,
    MRRChurnRateEntry,
    MRREntry,
    S,
    Summary,
)


@frozen
class Series(Sequence[E], Generic[E, S]):
    """The entries of one query, oldest first, with the summary: a frozen sequence.

    ``attrs.asdict(series)`` makes a dict of it, which FastAPI can return as it is, and of which
    ``json.dumps(attrs.asdict(series), default=str)`` makes JSON.

    Attributes:
        entries: One record for each interval.
        summary: The figures *now*; None for ``/metrics/all`` of the closed beta.
        query: The query that this is the result of.
    """

    __module__ = "chartmogul_async"

    entries: tuple[E, ...]
    summary: S
    query: MetricQuery[E, S]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[E]:
        return iter(self.entries)

    @overload
    def __getitem__(self, index: int) -> E: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[E, ...]: ...
    def __getitem__(self, index: int | slice) -> E | tuple[E, ...]:
        return self.entries[index]


RESPONSES: dict[MetricName, type[MetricResponse[Any, Any]]] = {
    "all": KeyMetricsResponse,
    "mrr": MetricResponse[MRREntry, Summary],
    "arr": MetricResponse[ARREntry, Summary],
    "arpa": MetricResponse[ARPAEntry, Summary],
    "asp": MetricResponse[ASPEntry, Summary],
    "customer_count": MetricResponse[CustomerCountEntry, Summary],
    "customer_churn_rate": MetricResponse[CustomerChurnRateEntry, Summary],
    "mrr_churn_rate": MetricResponse[MRRChurnRateEntry, Summary],
    "ltv": MetricResponse[LTVEntry, Summary],
}
"""The class of each endpoint's response."""
