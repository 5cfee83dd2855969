"""Facts: what a gateway has said of an object, each kept once, whichever way and however often we heard it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from counterfoil.domain.money import Money


class Kind(StrEnum):
    """The closed list of what can be reported. The part before the dot names the object, the rest what it is now."""

    ATTEMPT_OPENED = "attempt.opened"  # the PaymentIntent or order exists
    ATTEMPT_ACTION = "attempt.requires_action"  # the customer is with the bank (3-D Secure, a redirect)
    ATTEMPT_PROCESSING = "attempt.processing"  # the bank takes its time
    ATTEMPT_DECLINED = "attempt.declined"  # a try failed; the attempt lives on
    ATTEMPT_CANCELLED = "attempt.cancelled"  # the gateway will never charge on it
    CHARGE_CREATED = "charge.created"
    CHARGE_FAILED = "charge.failed"
    CHARGE_AUTHORIZED = "charge.authorized"
    CHARGE_VOIDED = (
        "charge.voided"  # an authorisation given back: released, expired, auto-refunded uncaptured
    )
    CHARGE_CAPTURED = "charge.captured"
    REFUND_PENDING = "refund.pending"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    DISPUTE_INQUIRY = "dispute.inquiry"  # a question before money moves
    DISPUTE_OPEN = "dispute.open"
    DISPUTE_UNDER_REVIEW = "dispute.under_review"
    DISPUTE_WITHDRAWN = "dispute.funds_withdrawn"
    DISPUTE_REINSTATED = "dispute.funds_reinstated"
    DISPUTE_WON = "dispute.won"
    DISPUTE_LOST = "dispute.lost"
    DISPUTE_CLOSED = "dispute.closed"
    WARNING_EARLY_FRAUD = "warning.early_fraud"  # the issuer suspects fraud, before any dispute
    OPENING_REFUNDED = (
        "opening.refunded"  # all given back before an import, where refunds are not known by name
    )

    @property
    def noun(self) -> str:
        return self.value.partition(".")[0]


# A try failed, as it is told of the attempt and of the charge.
DECLINES: Final = frozenset({Kind.ATTEMPT_DECLINED, Kind.CHARGE_FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One thing a gateway says, in our words.

    kind, object_id and amount make the fact unique within an account: `amount` is cumulative for a capture and the
    object's own for everything else, NO_MONEY where none is spoken of; of a declined try the object is what failed, so that
    each try is a fact of its own. `face` is what the attempt or charge was asked for, and must agree with our own
    record. `our_reference` is the attempt id we sent along, when the gateway gives it back. `at` is the gateway's time
    of what it says; None where an answer tells how things stand and not since when: then it is said as we hear it.
    `detail` holds plain values worth keeping, by what the report is about:

        a charge     method, brand, last4, wallet, bank, vpa, fee, tax, failure, gateway_code, message
        a refund     refund (our own refund's id), arn, speed_requested, speed, pending_reason, reason, failure,
                     failure_reason
        a dispute    reason, gateway_status, phase, respond_by (Unix seconds), refundable, evidence_count; of money that
                     moved also what the balance says: balance_transaction, settled, settled_currency, fee
        a warning    fraud_type, actionable
    """

    kind: Kind
    object_id: str
    amount: Money
    at: datetime | None
    attempt_ref: str | None = None
    charge_ref: str | None = None
    face: Money | None = None
    our_reference: str | None = None
    livemode: bool | None = None
    detail: Mapping[str, str | int | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    id: int
    object_id: str
    kind: Kind
    amount: int
    currency: str
    attempt_id: str
    charge_ref: str | None
    detail: dict[str, Any]
    said_at: datetime
