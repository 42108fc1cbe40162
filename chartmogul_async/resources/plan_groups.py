"""``client.plan_groups``: the groups of plans that were made in the account, and the plans of each."""

from attrs import field, frozen

from chartmogul_async.resources.pages import Envelope, Pages, checked_uuid, list_params
from chartmogul_async.resources.plans import Plan, PlansEnvelope
from chartmogul_async.structuring.record import Record
from chartmogul_async.transport.session import Session


@frozen
class PlanGroup(Record):
    """A group of plans. ``client.plan_groups.plans(group.uuid)`` lists its plans, which it does not contain.

    Attributes:
        uuid: ChartMogul's id, with the prefix ``plg_``.
        name: The name.
        plans_count: How many plans it has; a group may be empty.

    Source: https://dev.chartmogul.com/reference/plan-groups, and recorded responses of 2023
    """

    __module__ = "chartmogul_async"

    uuid: str
    name: str | None = None
    plans_count: int | None = field(default=None, metadata={"key": "plans_count"})


@frozen(kw_only=True)
class PlanGroupsEnvelope(Envelope[PlanGroup]):
    """One page of groups."""

    entries: tuple[PlanGroup, ...] = field(metadata={"key": "plan_groups"})


class PlanGroups:
    """The plan groups of the account."""

    __module__ = "chartmogul_async"

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, *, per_page: int | None = None, cursor: str | None = None) -> Pages[PlanGroup]:
        """List the plan groups, the newest first.

        Args:
            per_page: Items on a page, from 1 to 200, which is also what the API takes by default.
            cursor: Go on after the page that had this ``cursor``.

        Returns:
            The list, to ``await`` for the first page, or to ``async for`` for every group on every page. What requests
            meet is raised there.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.

        Source: https://dev.chartmogul.com/reference/plan-groups/list
        """
        return Pages(self._session, "/plan_groups", list_params({}, per_page, cursor), PlanGroupsEnvelope)

    def plans(self, plan_group: str, *, per_page: int | None = None, cursor: str | None = None) -> Pages[Plan]:
        """List the plans of a group, the newest first.

        Args:
            plan_group: The UUID of the group, ``"plg_…"``.
            per_page: Items on a page, from 1 to 200, which is also what the API takes by default.
            cursor: Go on after the page that had this ``cursor``.

        Returns:
            The list, to ``await`` for the first page, or to ``async for`` for every plan on every page. What requests
            meet is raised there; a ``NotFoundError`` where there is no such group.

        Raises:
            ArgumentError: An argument cannot be right; nothing was sent.

        Source: https://dev.chartmogul.com/reference/plan-groups/list-plans
        """
        path = f"/plan_groups/{checked_uuid('plan_group', plan_group, 'plg_…')}/plans"
        return Pages(self._session, path, list_params({}, per_page, cursor), PlansEnvelope)
