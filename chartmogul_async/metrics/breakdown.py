"""One metric, segment by segment, as a frozen table."""

from itertools import islice
from typing import Any, Generic, Literal, NoReturn, get_args

from attrs import evolve, frozen

from chartmogul_async.checks import shown
from chartmogul_async.metrics.adding import Discrepancy, Parts, discrepancies_of, reason_against, remainder_of
from chartmogul_async.metrics.arrow import ArrowTable
from chartmogul_async.metrics.html import breakdown_html
from chartmogul_async.metrics.outcome import Failure, Outcome
from chartmogul_async.metrics.query import MetricQuery
from chartmogul_async.metrics.records import E, S
from chartmogul_async.metrics.series import Series, column_names_of, schema_of
from chartmogul_async.metrics.stacked import arrow_of, rows_of

TOTAL, REMAINDER = "total", "remainder"
"""Names that no segment has."""
_COLUMN = "segment"

Dimension = Literal["plan", "plan_group", "country"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
By = Dimension | Literal["filter"]

# A message names so many segments at most.
_NAMED = 20
_SIMILAR = 3


class _Segments(dict[str, Any]):
    """A dict whose ``KeyError`` helps to find the right name."""

    def __init__(self, named: tuple[tuple[str, Outcome[Any, Any]], ...]) -> None:
        super().__init__((name, outcome.series) for name, outcome in named if outcome.error is None)
        self._failed = {name for name, outcome in named if outcome.error is not None}

    # What is pickled or copied is a plain dict.
    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)

    def __missing__(self, name: object) -> NoReturn:
        if name in (TOTAL, REMAINDER):
            raise KeyError(f"{name!r} is not a segment: it is breakdown.{name}")
        if name in self._failed:
            raise KeyError(f"the segment {shown(name)} failed: its error is in breakdown.failures")
        raise KeyError(f"there is no segment {shown(name)}{self._similar_to(name)}; {self._described()}")

    def _similar_to(self, name: object) -> str:
        # Loaded only where a name is wrong.
        from difflib import get_close_matches

        given = str(name).casefold()
        similar = [each for each in self if given in each.casefold()][:_SIMILAR] or get_close_matches(str(name), self)
        return f": did you mean {' or '.join(map(repr, similar))}?" if similar else ""

    def _described(self) -> str:
        more = f" and {len(self) - _NAMED} more" if len(self) > _NAMED else ""
        return f"the segments are {', '.join(map(repr, islice(self, _NAMED))) or 'none'}{more}"


@frozen(repr=False)
class Breakdown(Generic[E, S]):
    """One metric, segment by segment: what ``await client.metrics.breakdown("mrr", …)`` returns.

    ``total`` is the API's own figure for the whole, never a sum. ``remainder`` is what of it is in no segment, where
    the segments add up; ``note`` says why, where they do not. A breakdown can be pickled.

    Attributes:
        by: What it is broken down by: "plan", "plan_group", "country", or "filter" for filters of the program's own.
        query: The query of the whole.
        parts: What the segments divide without overlap: "subscriptions", "customers", or "overlapping" if they may
            overlap.
        outcomes: The outcome of each segment by its name, in the order of the segments.
        whole: The outcome of the total.
    """

    __module__ = "chartmogul_async"

    by: By
    query: MetricQuery[E, S]
    parts: Parts
    outcomes: tuple[tuple[str, Outcome[E, S]], ...]
    whole: Outcome[E, S]

    @property
    def segments(self) -> dict[str, Series[E, S]]:
        """The series of each segment that came, by its name, in the order of the segments.

        The ``KeyError`` for another name says which there are.
        """
        return _Segments(self.outcomes)

    @property
    def series(self) -> dict[str, Series[E, S]]:
        """Every series that came, by its name. ``remainder`` and ``total`` are the last ones, where there are such."""
        named = dict(self.segments)
        remainder = self.remainder
        if remainder is not None:
            named[REMAINDER] = remainder
        if self.whole.error is None:
            named[TOTAL] = self.whole.series
        return named

    @property
    def failures(self) -> dict[str, Failure[E, S]]:
        """What failed, by the name of the segment or ``"total"``; empty unless ``on_error="collect"`` was given."""
        named = (*self.outcomes, (TOTAL, self.whole))
        return {name: outcome for name, outcome in named if outcome.error is not None}

    @property
    def total(self) -> Series[E, S]:
        """The series of the whole. If it failed, its error is raised."""
        return self.whole.result()

    @property
    def remainder(self) -> Series[E, S] | None:
        """What of the total is in no segment, such as customers without a country or plans without a group.

        None where the segments do not add up, or one of them failed; ``note`` says why. Its query is that of the
        total. Where customers moved between segments, single movements may have the other sign: see
        ``discrepancies``.
        """
        if reason_against(self.query.metric, self.parts) is not None or self.failures:
            return None
        return remainder_of(self.total, list(self.segments.values()))

    @property
    def note(self) -> str:
        """How segments, remainder and total belong together, in a sentence."""
        reason = reason_against(self.query.metric, self.parts)
        if reason is None and self.failures:
            reason = f"{len(self.failures)} of {len(self.outcomes) + 1} series failed, so there is no remainder"
        if reason is None and self.remainder is None:
            reason = "the series have different dates, so there is no remainder: fetch the breakdown again"
        if reason is not None:
            return reason
        note = "the segments and the remainder add up to the total"
        if self.reconciles:
            return note
        return f"{note}, but movements do not explain all of the MRR: see discrepancies"

    @property
    def reconciles(self) -> bool:
        """Whether the movements explain the MRR everywhere; also true for other metrics, which have no movements."""
        return not self.discrepancies

    @property
    def discrepancies(self) -> tuple[Discrepancy, ...]:
        """Where movements do not explain the MRR, as where customers moved between segments; of ``mrr`` only."""
        if self.query.metric != "mrr":
            return ()
        named = list(self.segments.items())
        if self.whole.error is None:
            named.append((TOTAL, self.whole.series))
        return tuple(discrepancies_of(named, self.remainder))

    @property
    def column_names(self) -> tuple[str, ...]:
        """``segment``, ``date`` and the other fields of the metric; also where everything failed."""
        return (_COLUMN, *column_names_of(self.query.metric))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Make rows, for data frames and tables.

        Returns:
            One flat dict for each segment and entry, with ``segment``, ``date`` and the fields of the metric. The rows
            of the segments come first, then those of ``remainder`` and of ``total``, which are segments of that name.
            What failed has no rows.
        """
        return rows_of(self.series, _COLUMN)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Give a capsule with the columns of the rows; see ``to_arrow``."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_arrow(self, *, currency: str | None = None) -> ArrowTable:
        """Make a table of the rows of ``to_dicts``. Needs the extra ``arrow``.

        Whatever reads Arrow takes the breakdown itself, too, as it takes a series: ``polars.DataFrame(breakdown)``.

        Args:
            currency: What the schema's metadata says about the amounts, which are in cents: ``account.currency``.

        Returns:
            A table of arro3, as that of a series with a column ``segment`` before the others.

        Raises:
            ArgumentError: The currency is not a string.
        """
        metadata = {**schema_of(self.query, currency), "by": self.by}
        return arrow_of(self.series, _COLUMN, self.query.metric, metadata)

    def with_outcomes(self, outcomes: dict[str, Outcome[E, S]]) -> "Breakdown[E, S]":
        """Make another breakdown, in which some outcomes are others.

        Args:
            outcomes: The other outcomes, by the name of the segment, or ``"total"``.

        Returns:
            The other breakdown.
        """
        replaced = tuple((name, outcomes.get(name, outcome)) for name, outcome in self.outcomes)
        return evolve(self, outcomes=replaced, whole=outcomes.get(TOTAL, self.whole))

    def _repr_html_(self) -> str:
        """The chart and the table that a notebook shows."""
        segments = self.segments
        others = {name: series.entries for name, series in self.series.items() if name not in segments}
        return breakdown_html(
            self.query,
            self.by,
            {name: series.entries for name, series in segments.items()},
            {name: failure.error for name, failure in self.failures.items()},
            self.note,
            others,
        )

    def __repr__(self) -> str:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        count = len(self.outcomes)
        segments = f"{count} {'segment' if count == 1 else 'segments'}{failed}"
        return f"<Breakdown of {self.query.metric} by {self.by}: {segments}; {self.note}>"
