"""Further tries after a decline: what may follow which, when, and how often.

    "productionSettings": {"paymentRetryAttempts": 3}

With the customer away, the same saved method is charged again where that may help, at a time at which it may. Where only
the customer can help, they are invited to pay by a link. A card whose issuer will not have it is never tried again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.failure import Advice

# The card networks charge merchants for more than fifteen tries of one payment in thirty days; half of that is left to
# the customer and to the merchant's own hand.
RETRIES_MOST: Final = 8
# An invitation that was not taken up three times is not wanted.
INVITATIONS_MOST: Final = 3
# A customer who is declined at the checkout mostly tries again at once: nobody is written to while they may be at it.
INVITE_AFTER: Final = timedelta(minutes=30)
# Declines so soon after an invitation come of it: the customer is at it, and is not invited once more.
SERIES: Final = timedelta(hours=1)
# How long a payment stays open after a try that was planned, so that what comes of it can still be paid.
STAYS_OPEN: Final = timedelta(hours=24)

# Days between two tries where funds or a limit are short: 1, 3, 5 and 7 days after the first decline limits of a day and
# of a week have begun anew, and a weekly wage is paid; then ever rarer to the 29th, by when a monthly one is.
LATER_DAYS: Final = (1, 2, 2, 2, 3, 4, 7, 8)
# Between two tries of what a passing fault prevented: an outage mostly ends within the hour, a long one within the day.
SOON: Final = (
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=4),
    timedelta(hours=12),
    *(timedelta(days=1),) * 4,
)


class Step(StrEnum):
    """What follows a decline."""

    SOON = "soon"  # charge the same method in minutes or hours
    LATER = "later"  # charge the same method in days
    INVITE = "invite"  # only the customer can help
    END = "end"


# With the customer away. Of a card that is lost, stolen or suspected nobody is asked for another: the letter might reach
# whoever holds it. What the merchant has to mend no customer is troubled with.
AWAY: Final[Mapping[Advice, Step]] = {
    Advice.NEVER_SAME_CARD: Step.END,
    Advice.FIX_DETAILS: Step.INVITE,
    Advice.AUTHENTICATE: Step.INVITE,
    Advice.LATER: Step.LATER,
    Advice.OTHER_METHOD: Step.INVITE,
    Advice.NOW: Step.SOON,
    Advice.MERCHANT: Step.END,
}


def step(advice: Advice, *, away: bool) -> Step:
    """What may follow; a customer who was there is never charged again behind their back."""
    then = AWAY[advice]
    return Step.INVITE if not away and then in {Step.SOON, Step.LATER} else then


def due(then: Step, number: int, failed_at: datetime, zone: tzinfo, *, away: bool) -> datetime:
    """When the `number`-th try is due. Days are the merchant's own: the same hour of the clock, across a change of it."""
    if then is Step.LATER:
        local = failed_at.astimezone(zone)
        return (local + timedelta(days=LATER_DAYS[number - 1])).astimezone(UTC)
    if then is Step.SOON:
        return failed_at + SOON[number - 1]
    return failed_at if away else failed_at + INVITE_AFTER


class Kind(StrEnum):
    CHARGE = "charge"
    INVITATION = "invitation"


class State(StrEnum):
    PLANNED = "planned"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A further try of a payment: `number` of `out_of`, in answer to the failure `reason` of an attempt."""

    payment_id: str
    number: int
    out_of: int
    kind: Kind
    after_attempt_id: str
    attempt_id: str | None
    method_ref: str | None = field(repr=False)
    reason: str
    state: State
    because: str | None
    planned_at: datetime
    due_at: datetime
    next_check_at: datetime | None
    ended_at: datetime | None


def planned(retries: Sequence[Retry]) -> Retry | None:
    """The try that is still to come."""
    return next((one for one in retries if one.state is State.PLANNED), None)


@dataclass(frozen=True, slots=True)
class Policy:
    """How many further tries a payment is given, and whose days they are counted in."""

    attempts: int = 0
    zone: tzinfo = UTC


def read(document: Mapping[str, Any]) -> Policy:
    """The policy of the settings document. Raises InvalidRequestError, which names the field."""
    attempts = document.get("productionSettings", {}).get("paymentRetryAttempts", 0)
    if not isinstance(attempts, int) or isinstance(attempts, bool) or not 0 <= attempts <= RETRIES_MOST:
        raise _wrong(
            "productionSettings.paymentRetryAttempts", f"must be a whole number from 0 to {RETRIES_MOST}"
        )
    return Policy(attempts, _zone(document.get("business", {}).get("timeZone", "UTC")))


def _zone(name: Any) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (
        TypeError,
        ValueError,
        LookupError,
        OSError,
    ):  # what ZoneInfo raises for what is no name, or no file
        raise _wrong("business.timeZone", "must be a time zone, as Europe/Berlin") from None


def _wrong(where: str, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"{where} {what}.", field=where)
