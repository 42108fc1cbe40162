"""The account that a key belongs to, and the response to a ping."""

from collections.abc import Iterable
from datetime import date
from typing import Any, Literal, get_args

from attrs import field, frozen

from chartmogul_async.checks import one_of, strings
from chartmogul_async.intervals import WeekStart
from chartmogul_async.periods import today_in
from chartmogul_async.structuring.record import Record

AccountSetting = Literal[
    "churn_recognition",
    "churn_when_zero_mrr",
    "auto_churn_subscription",
    "refund_handling",
    "proximate_movement_reclassification",
]
SETTINGS: tuple[AccountSetting, ...] = get_args(AccountSetting)

Setting = bool | str | dict[str, Any] | None


@frozen
class Account(Record):
    """The account that a key belongs to.

    Attributes:
        name: The company's name.
        currency: An ISO 4217 code such as ``USD``; amounts of the metrics are cents of it.
        time_zone: Determines where a day begins, such as ``Europe/Berlin``.
        week_start_on: ``monday`` or ``sunday``, for every argument ``week_start``, which refuses anything else that the
            API might send.
        id: None in responses from before April 2026.
        churn_recognition: When a cancelled customer counts as churned, such as ``churn_at_period_end``. This and the
            settings below are None unless they are requested with ``include``.
        churn_when_zero_mrr: Whether a customer without MRR counts as churned.
        auto_churn_subscription: Whether a subscription without new invoices counts as churned.
        refund_handling: Whether a refund changes the MRR, such as ``refund_ignore``.
        proximate_movement_reclassification: Within which time movements are merged, such as
            ``one_day_reclassification``.

    The settings decide what churn and MRR mean. Their values are kept as they come, a string, a bool or an object:
    ChartMogul's client libraries disagree about their types.

    Source: https://dev.chartmogul.com/reference/account; the settings as in the official client libraries of 2026
    """

    __module__ = "chartmogul_async"

    name: str
    currency: str
    time_zone: str = field(metadata={"key": "time_zone"})
    week_start_on: WeekStart = field(metadata={"key": "week_start_on"})
    id: str | None = None
    # An object has no hash.
    churn_recognition: Setting = field(default=None, hash=False, metadata={"key": "churn_recognition"})
    churn_when_zero_mrr: Setting = field(default=None, hash=False, metadata={"key": "churn_when_zero_mrr"})
    auto_churn_subscription: Setting = field(default=None, hash=False, metadata={"key": "auto_churn_subscription"})
    refund_handling: Setting = field(default=None, hash=False, metadata={"key": "refund_handling"})
    proximate_movement_reclassification: Setting = field(
        default=None, hash=False, metadata={"key": "proximate_movement_reclassification"}
    )

    def today(self) -> date:
        """Look at the clock of this machine for the current day in the account's time zone.

        Returns:
            The day, for ``periods.last``, ``periods.this`` and ``analysis.is_partial``.

        Raises:
            ArgumentError: This machine does not know the time zone; the package tzdata has them all.
        """
        return today_in(self.time_zone)


def account_params(include: str | Iterable[str] | None) -> dict[str, str]:
    """Write the parameters of a request for the account.

    Args:
        include: Names of settings, as a list or with commas; None for none of them.

    Returns:
        The parameters as the API spells them.

    Raises:
        ArgumentError: A name is not that of a setting.
    """
    if include is None:
        return {}
    names = strings("include", include.split(",") if isinstance(include, str) else include, "no settings")
    return {"include": ",".join(one_of("include", name.strip(), SETTINGS) for name in names)}


@frozen
class Pong:
    """The response to a ping.

    Attributes:
        data: A greeting, ``pong!``.
    """

    data: str
