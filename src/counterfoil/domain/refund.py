"""A refund: money that goes back. Who may ask and who must agree is ours to decide; whether it arrived the gateway tells.

What we decide is a closed table. What the gateway reports is ranked (domain/charge.py), so that order cannot matter.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from counterfoil.domain.charge import Charge, RefundState
from counterfoil.domain.machine import Machine
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Payment


class State(StrEnum):
    PENDING_APPROVAL = "pending_approval"
    APPROVED = "approved"  # may be sent
    PROCESSING = "processing"  # on its way, or known to the gateway and not yet done
    SUCCEEDED = "succeeded"  # the gateway says so; a bank may still send it back
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class Command(StrEnum):
    APPROVE = "approve"  # the last approval that it needs
    REJECT = "reject"
    CANCEL = "cancel"  # by who asked for it, or an approver
    EXPIRE = "expire"  # nobody decided in time
    VOID = "void"  # less is left than it asks for, or it was done elsewhere
    REOPEN = "reopen"  # by now it needs more approvals than it has
    SEND = "send"
    RESUME = "resume"  # it was certainly not carried out, and may be sent again


# "." is so already; "!" is refused. From processing on, only what the gateway says moves it, but for a refusal.
DECISIONS: Final = Machine.read(
    State,
    Command,
    """
                        approve    reject    cancel     expire     void       reopen            send        resume
    pending_approval    approved   rejected  cancelled  cancelled  cancelled  .                 !           !
    approved            .          rejected  cancelled  !          cancelled  pending_approval  processing  .
    processing          !          !         !          !          !          !                 .           approved
    succeeded           !          !         !          !          !          !                 !           !
    failed              !          !         !          !          !          !                 !           !
    rejected            !          .         !          !          .          !                 !           !
    cancelled           !          !         .          .          .          !                 !           !
    """,
)

# What the gateway's word makes of a refund of ours, whatever we had decided: it is a fact.
SAID: Final = {
    RefundState.PENDING: State.PROCESSING,
    RefundState.SUCCEEDED: State.SUCCEEDED,
    RefundState.FAILED: State.FAILED,
}
LIVE: Final = frozenset({State.PENDING_APPROVAL, State.APPROVED, State.PROCESSING})
UNSENT: Final = frozenset({State.PENDING_APPROVAL, State.APPROVED})


class Source(StrEnum):
    REQUEST = "request"  # somebody asked
    RULE = "rule"  # a rule of the settings did
    SURPLUS = "surplus"  # the payment was paid already
    GATEWAY = "gateway"  # made in the gateway's own dashboard, and heard of


class Method(StrEnum):
    GATEWAY = "gateway"
    MANUAL = "manual"  # paid back in another way, and recorded with its evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """One refund of one charge. Amounts are minor units of `currency`; `person` is who stands behind `requested_by`."""

    id: str
    merchant_id: str
    mode: str
    payment_id: str
    charge_id: str
    account_id: str
    amount: int
    currency: str
    reason: str
    note: str | None
    source: Source
    method: Method
    state: State
    because: str | None  # why it was rejected, cancelled or voided
    rule: str  # which rule said how many approvals it needs
    needed: int
    requested_by: str
    person: str
    role: str
    batch_id: str | None
    retry_of: str | None
    evidence: str | None
    speed: str
    subject: str  # whose day it counts in
    day: str  # of the business, ISO 8601
    gateway_ref: str | None
    arn: str | None
    speed_processed: str | None
    failure: Mapping[str, Any] | None
    tries: int
    requested_at: datetime
    approved_at: datetime | None
    expires_at: datetime | None
    reminded_at: datetime | None
    sent_at: datetime | None
    ended_at: datetime | None
    next_check_at: datetime | None
    checks: int
    version: int
    updated_at: datetime

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def reserves(self) -> bool:
        """Whether its amount is kept for it: it lives, and the gateway, which counts it from then on, has not said so."""
        return self.state in LIVE and self.gateway_ref is None

    @property
    def why(self) -> str:
        """Why the gateway did not carry it out, as a sentence's end."""
        told = self.failure or {}
        code = told.get("code")
        return str(
            told.get("message") or (code if code != "other" else None) or "the gateway does not say why"
        )

    @property
    def stage(self) -> str:
        """How it truly stands, as a sentence's end."""
        return _STAGES[self.state](self)


def _approved(refund: Refund) -> str:
    if refund.method is Method.MANUAL:
        return "approved, not yet recorded"
    return f"approved, not yet sent: {refund.why}" if refund.failure else "approved, not yet sent"


def _processing(refund: Refund) -> str:
    if refund.gateway_ref is None:
        return "sent, the gateway has not answered yet"
    return "with the gateway, not yet paid out"


def _succeeded(refund: Refund) -> str:
    if refund.method is Method.MANUAL:
        return f"paid back in another way: {refund.evidence}"
    return f"paid out, bank reference {refund.arn}" if refund.arn else "sent, no bank reference yet"


_STAGES: Final[Mapping[State, Callable[[Refund], str]]] = {
    State.PENDING_APPROVAL: lambda refund: (
        f"waits for {'an approval' if refund.needed == 1 else 'approvals'}"
    ),
    State.APPROVED: _approved,
    State.PROCESSING: _processing,
    State.SUCCEEDED: _succeeded,
    State.FAILED: lambda refund: f"failed, the money is back: {refund.why}",
    State.REJECTED: lambda refund: f"rejected: {refund.because}",
    State.CANCELLED: lambda refund: f"cancelled: {refund.because}",
}


def subject_of(payment: Payment, charge: Charge) -> str:
    """Whose refunds of a day count together: the customer's, else the card's, else the payment's alone."""
    if customer := payment.customer.get("id"):
        return f"customer:{customer}"
    if email := payment.customer.get("email"):
        return f"email:{sha256(str(email).lower().encode()).hexdigest()[:32]}"
    if card := charge.detail.get("fingerprint"):
        return f"card:{card}"
    return f"payment:{payment.id}"


def reserved(refunds: Iterable[Refund], charge_id: str) -> int:
    """What is kept of a charge for refunds that the gateway has not been heard of."""
    return sum(refund.amount for refund in refunds if refund.charge_id == charge_id and refund.reserves)


def manually(refunds: Iterable[Refund], charge_id: str) -> int:
    """What was given back of a charge past its gateway."""
    return sum(
        refund.amount
        for refund in refunds
        if refund.charge_id == charge_id
        and refund.method is Method.MANUAL
        and refund.state is State.SUCCEEDED
    )


def refundable(charge: Charge) -> int:
    """What may still be asked for, in minor units: captured, not given back, not held by a dispute, not reserved."""
    left = charge.captured - charge.refunded_seen - charge.disputed_held - charge.reserved
    return max(left, 0)


def to_void(refunds: Iterable[Refund], charge: Charge) -> list[Refund]:
    """The refunds that are not sent yet and cannot be paid any more: the oldest first, as many as it takes."""
    missing = charge.refunded_seen + charge.disputed_held + charge.reserved - charge.captured
    chosen = []
    for refund in sorted(refunds, key=lambda one: one.id):
        if missing <= 0:
            break
        if refund.charge_id == charge.id and refund.state in UNSENT:
            chosen.append(refund)
            missing -= refund.amount
    return chosen
