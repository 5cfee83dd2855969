"""What the merchant's own backend is told of: one closed list of event types, and how one is chosen."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from counterfoil.domain.dispute import OPEN, DisputeState
from counterfoil.domain.payment import Status
from counterfoil.domain.refund import State

# A type, once published, never changes its meaning. Whoever listens must expect new ones.
TYPES: Final = {
    "payment.created": "a payment was taken on",
    "payment.pending": "the customer or the bank is acting, or an outcome is not known yet",
    "payment.authorized": "the money is held and may be captured",
    "payment.captured": "the money is taken",
    "payment.failed": "no attempt can succeed any more",
    "payment.cancelled": "the payment was ended before money was taken",
    "payment.updated": "something else changed, as the amount refunded",
    "refund.requested": "somebody or a rule asks for a refund; it may wait for approval",
    "refund.approved": "it has the approvals it needs and may be sent",
    "refund.processing": "it is on its way",
    "refund.succeeded": "the gateway has paid it out; a bank may still send it back",
    "refund.failed": "it was not paid, or came back: the money is refundable again",
    "refund.rejected": "an approver said no",
    "refund.cancelled": "it was withdrawn, not decided in time, or nothing was left of it",
    "refund.updated": "something else changed, as the bank's reference",
    "dispute.opened": "a customer's bank asks money back, or asks about a payment",
    "dispute.updated": "it goes on: another stage or deadline, money taken or given back, or our answer",
    "dispute.won": "the money stays with the merchant",
    "dispute.lost": "the money is gone for good",
    "dispute.closed": "it ended without a verdict, and holds nothing any more",
    "receipt.issued": "a receipt is there, of a payment or of a refund",
    "receipt.voided": "it is void and keeps its number",
    "receipt.requested": "somebody asks that the customer be shown it, in the app",
    "receipt_export.ready": "the file of an export in the background can be fetched",
    "receipt_export.failed": "it could not be made; `error` says why",
    "alert.opened": "something needs a person",
}
# Sent only by hand, to try an endpoint out; it is no event of the list and nothing is kept of it.
TEST: Final = "endpoint.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. `object` is the thing as the API showed it at that moment, `version` its version.

    `sequence` counts in the order of commit and has no gaps; it is None until the worker has given one.
    """

    id: str
    merchant_id: str
    mode: str
    type: str
    object_id: str
    version: int
    object: dict[str, Any] = field(repr=False)
    created_at: datetime
    sequence: int | None = None


def of_payment(before: Status | None, after: Status) -> str:
    """The type that tells how a payment's status went on; `before` is None for a new payment."""
    if before is None:
        return "payment.created"
    return "payment.updated" if before is after else f"payment.{after.value}"


def of_refund(before: State | None, after: State) -> str:
    """The type that tells how a refund went on; `before` is None for one that is new.

    One of the gateway's own dashboard is new and on its way already.
    """
    if before is None and after in {State.PENDING_APPROVAL, State.APPROVED}:
        return "refund.requested"
    if before is after or after is State.PENDING_APPROVAL:
        return "refund.updated"
    return f"refund.{after.value}"


def of_dispute(before: DisputeState | None, after: DisputeState) -> str:
    """The type that tells how a dispute went on; `before` is None for one that is new."""
    if before is not after and after not in OPEN:
        return f"dispute.{after.value}"
    return "dispute.updated" if before else "dispute.opened"


def is_filter(text: str) -> bool:
    """Whether an endpoint may ask for this: a type, or all types of a noun as payment.*"""
    noun, _, rest = text.partition(".")
    return text in TYPES or (rest == "*" and any(type_.startswith(f"{noun}.") for type_ in TYPES))
