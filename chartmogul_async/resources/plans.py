"""``client.plans``: the plans of the account."""

from attrs import field, frozen

from chartmogul_async.resources.pages import Envelope, Pages, list_params
from chartmogul_async.structuring.record import Record
from chartmogul_async.transport.session import Session


@frozen
class Plan(Record):
    """A plan. It has neither a price nor a currency: these belong to subscriptions.

    Attributes:
        uuid: ChartMogul's id, with the prefix ``pl_``; what ``plans=`` of a metric takes for any name.
        name: The name. Several plans may have the same one.
        external_id: The id in the billing system; ChartMogul makes one where none was given.
        interval_count: How many units a billing period has.
        interval_unit: "day", "month" or "year".
        data_source_uuid: Where it comes from, with the prefix ``ds_``.

    Source: https://dev.chartmogul.com/reference/plans, and recorded responses of 2023
    """

    __module__ = "chartmogul_async"

    uuid: str
    name: str | None = None
    external_id: str | None = field(default=None, metadata={"key": "external_id"})
    interval_count: int | None = field(default=None, metadata={"key": "interval_count"})
    interval_unit: str | None = field(default=None, metadata={"key": "interval_unit"})
    data_source_uuid: str | None = field(default=None, metadata={"key": "data_source_uuid"})


@frozen(kw_only=True)
class PlansEnvelope(Envelope[Plan]):
    """One page of plans."""

    entries: tuple[Plan, ...] = field(metadata={"key": "plans"})


class Plans:
    """The plans of the account."""

    __module__ = "chartmogul_async"

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(
        self,
        *,
        data_source_uuid: str | None = None,
        system: str | None = None,
        external_id: str | None = None,
        per_page: int | None = None,
        cursor: str | None = None,
    ) -> Pages[Plan]:
        """List the plans, the newest first.

        Args:
            data_source_uuid: Only those of one data source, ``"ds_…"``.
            system: Only those of one kind of source, such as ``"Stripe"``; case-sensitive.
            external_id: Only those with this id in the billing system.
            per_page: Items on a page, from 1 to 200, which is also what the API takes by default.
            cursor: Go on after the page that had this ``cursor``.

        Returns:
            The list, to ``await`` for the first page, or to ``async for`` for every plan on every page. What requests
            meet is raised there.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.

        Source: https://dev.chartmogul.com/reference/plans/list
        """
        filters = {"data_source_uuid": data_source_uuid, "system": system, "external_id": external_id}
        return Pages(self._session, "/plans", list_params(filters, per_page, cursor), PlansEnvelope)
