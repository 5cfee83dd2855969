"""How a payment stands, as far as its customer is concerned: what a page shows follows from this alone."""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from counterfoil.domain.fact import DECLINES, Kind, Report
from counterfoil.domain.failure import BY_SLUG, FailureCode
from counterfoil.domain.payment import PAYABLE as OWED
from counterfoil.domain.payment import Payment, Status
from counterfoil.gateways.base import Accepted, Declined, Outcome
from counterfoil.gateways.base import facts as reports_of
from counterfoil.services.standing import live_attempt, unknown
from counterfoil.store.payments import Family


class Standing(StrEnum):
    OPEN = "open"  # nothing was tried yet
    DECLINED = "declined"  # the last try failed; another may succeed
    ACTION = "action"  # the bank still waits for the customer
    PROCESSING = "processing"  # the bank takes its time
    CHECKING = "checking"  # what came of a try is not known yet, and is being asked for
    PAID = "paid"
    APPROVED = "approved"  # set aside at the bank; the merchant takes it later
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"


PAYABLE: Final = frozenset({Standing.OPEN, Standing.DECLINED, Standing.ACTION})
WAITING: Final = frozenset({Standing.PROCESSING, Standing.CHECKING})
DONE: Final = frozenset({Standing.PAID, Standing.APPROVED})

_UNDER_WAY: Final = frozenset({Kind.ATTEMPT_PROCESSING, Kind.CHARGE_CREATED})
_TAKEN: Final = frozenset({Kind.CHARGE_AUTHORIZED, Kind.CHARGE_CAPTURED})
# What has no time of its own is so now, after everything that has one.
_NOW: Final = datetime.max.replace(tzinfo=UTC)


def of(family: Family, outcome: Outcome | None, now: datetime, *, under_way: bool = False) -> Standing:
    """How the payment stands. `outcome` is what its gateway said last, where it was asked.

    While a call is under way, and where a try was made and its gateway could not be asked, nothing is said but that we
    are checking: a customer who is told to try again might be made to pay twice.
    """
    payment, attempt = family.payment, live_attempt(family)
    if payment.status not in OWED:
        return _settled(payment, now)
    if under_way or unknown(family) or attempt is None or attempt.ref is None:
        return Standing.CHECKING
    if now >= payment.expires_at:
        return Standing.EXPIRED if payment.status is Status.CREATED else Standing.CHECKING
    if isinstance(outcome, Declined):
        return Standing.DECLINED
    if isinstance(outcome, Accepted):
        return _by_snapshot(outcome)
    return Standing.OPEN if payment.status is Status.CREATED else Standing.CHECKING


def _settled(payment: Payment, now: datetime) -> Standing:
    if payment.status is Status.AUTHORIZED:
        wanted = payment.capture == "automatic" or payment.capture_requested is not None
        return Standing.PROCESSING if wanted else Standing.APPROVED
    if payment.status is Status.FAILED:
        return Standing.EXPIRED if now >= payment.expires_at else Standing.FAILED
    return Standing.PAID if payment.status is Status.CAPTURED else Standing.CANCELLED


def _by_snapshot(said: Accepted) -> Standing:
    """What a gateway says of an attempt at one moment: each object speaks of its present state alone."""
    kinds = {report.kind for report in said.reports}
    if said.next_action is not None:
        return Standing.ACTION
    if kinds & _UNDER_WAY:
        return Standing.PROCESSING
    if kinds & _TAKEN:
        return Standing.CHECKING  # taken since we last wrote; the next look has it
    return Standing.DECLINED if kinds & DECLINES else Standing.OPEN


def why_declined(outcome: Outcome | None) -> str:
    """What the customer may be told of the last try that failed."""
    if isinstance(outcome, Declined):
        return outcome.code.tell_customer
    failures = [report for report in reports_of(outcome) if report.kind in DECLINES] if outcome else []
    return _last_of(failures).tell_customer


def _last_of(failures: Iterable[Report]) -> FailureCode:
    """The newest, and of one moment the attempt's own: it speaks of now, its charges of then."""
    newest = max(
        failures, key=lambda report: (report.kind.noun == "attempt", report.at or _NOW), default=None
    )
    return BY_SLUG.get(str(newest.detail.get("failure")) if newest else "other", FailureCode.OTHER)
