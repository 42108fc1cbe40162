"""What becomes of one query among many: a success with its series, or a failure with its error."""

from typing import Generic, NoReturn, final

from attrs import field, frozen

from chartmogul_async.errors import ArgumentError, ChartMogulError
from chartmogul_async.metrics.query import MetricQuery
from chartmogul_async.metrics.records import E, S
from chartmogul_async.metrics.series import Series


@final
@frozen
class Success(Generic[E, S]):
    """The outcome of a query that succeeded.

    Attributes:
        query: The query.
        series: Its result.
        error: None.
    """

    __module__ = "chartmogul_async"

    query: MetricQuery[E, S]
    series: Series[E, S]
    error: None = field(default=None, init=False, repr=False)

    def result(self) -> Series[E, S]:
        """Get the series.

        Returns:
            The series.
        """
        return self.series


@final
@frozen
class Failure(Generic[E, S]):
    """The outcome of a query that failed.

    Attributes:
        query: The query.
        error: Its error; an ``ArgumentError`` if no request can be made from it.
        series: None.
    """

    __module__ = "chartmogul_async"

    query: MetricQuery[E, S]
    error: ChartMogulError | ArgumentError
    series: None = field(default=None, init=False, repr=False)

    def result(self) -> NoReturn:
        """Raise the error.

        Raises:
            ChartMogulError: The error.
            ArgumentError: The error, if no request can be made from the query.
        """
        raise self.error


# A type checker knows after ``if outcome.error is None:`` that there is a series.
Outcome = Success[E, S] | Failure[E, S]
