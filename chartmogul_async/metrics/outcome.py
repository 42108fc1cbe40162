"""What becomes of one query among many: a success with its series, or a failure with its error."""

from typing import Any, Generic, NoReturn, final

from attrs import field, frozen

from chartmogul_async.checks import instance_of
from chartmogul_async.errors import ArgumentError, ChartMogulError
from chartmogul_async.metrics.query import MetricQuery
from chartmogul_async.metrics.records import E, S
from chartmogul_async.metrics.series import Series
from chartmogul_async.structuring.record import Record


@final
@frozen
class Success(Record, Generic[E, S]):
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

    def to_dict(self) -> dict[str, Any]:
        """Make a document of it.

        Returns:
            ``query`` and ``series``, each of which ``from_dict`` of its class reads, and ``error``, which is None.
        """
        return {"query": self.query.to_dict(), "series": self.series.to_dict(), "error": None}

    @classmethod
    def _read(cls, document: object) -> Any:
        # Only itself: a document describes an error, of which none can be made again.
        return instance_of("outcome", document, cls)


@final
@frozen
class Failure(Record, Generic[E, S]):
    """The outcome of a query that failed.

    Attributes:
        query: The query.
        error: Its error; an ``ArgumentError`` if no request can be made from it.
        series: None.
    """

    __module__ = "chartmogul_async"

    query: MetricQuery[E, S]
    error: ChartMogulError | ArgumentError = field(metadata={"document": dict[str, Any]})
    series: None = field(default=None, init=False, repr=False)

    def result(self) -> NoReturn:
        """Raise the error.

        Raises:
            ChartMogulError: The error.
            ArgumentError: The error, if no request can be made from the query.
        """
        raise self.error

    def to_dict(self) -> dict[str, Any]:
        """Make a document of it, for whoever shows or stores it; an error cannot be made of it again.

        Returns:
            ``query``; ``error``, with ``class``, ``message``, ``status``, ``param``, ``request_id`` and
            ``is_transient``; and ``series``, which is None.
        """
        return self._fields() | {"query": self.query.to_dict()}

    def _fields(self) -> dict[str, Any]:
        return {"query": self.query, "error": _error_document(self.error), "series": None}

    @classmethod
    def _read(cls, document: object) -> Any:
        # Only itself: a document describes an error, of which none can be made again.
        return instance_of("outcome", document, cls)


def _error_document(error: ChartMogulError | ArgumentError) -> dict[str, Any]:
    """What is known about an error. Nothing of it is the API key, which is masked where an error is made."""
    described = error if isinstance(error, ChartMogulError) else ChartMogulError(str(error))
    return {
        "class": type(error).__name__,
        "message": described.message,
        "status": described.status,
        "param": described.param,
        "request_id": described.request_id,
        "is_transient": described.is_transient,
    }


# A type checker knows after ``if outcome.error is None:`` that there is a series.
Outcome = Success[E, S] | Failure[E, S]
