"""Razorpay's entities in our words. Pure: what goes in is decoded, what comes out are reports; no network, no clock.

Each function takes an entity and, for one inside an event, the event's time, which is then the time of what the report
says; without it that is the entity's own time. A report's `attempt_ref` is the order, its `charge_ref` the payment.
Raises UnreadableEventError where an amount or currency means nothing to us.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from counterfoil.domain.fact import Kind, Report
from counterfoil.domain.failure import FailureCode
from counterfoil.gateways.base import Trouble
from counterfoil.gateways.razorpay import failures
from counterfoil.gateways.razorpay.shapes import (
    AcquirerData,
    Dispute,
    Downtime,
    Notes,
    Order,
    Payment,
    Refund,
)
from counterfoil.gateways.wire import Detail, known, moment, read_money

NAME: Final = "razorpay"
# Where our ids travel in an order's notes; the attempt's is its receipt too.
ATTEMPT_LABEL: Final = "counterfoil_attempt"
PAYMENT_LABEL: Final = "counterfoil_payment"
REFUND_LABEL: Final = "counterfoil_refund"

_PAYMENT: Final = {
    "created": Kind.CHARGE_CREATED,
    "failed": Kind.CHARGE_FAILED,
    "authorized": Kind.CHARGE_AUTHORIZED,
    "captured": Kind.CHARGE_CAPTURED,
}
_REFUND: Final = {
    "pending": Kind.REFUND_PENDING,
    "processed": Kind.REFUND_SUCCEEDED,
    "failed": Kind.REFUND_FAILED,
}
_DISPUTE: Final = {
    "open": Kind.DISPUTE_OPEN,
    "under_review": Kind.DISPUTE_UNDER_REVIEW,
    "won": Kind.DISPUTE_WON,
    "lost": Kind.DISPUTE_LOST,
    "closed": Kind.DISPUTE_CLOSED,
}
# A bank's suspicion and its request for papers come before a chargeback, and take no money.
_INQUIRY_PHASES: Final = frozenset({"fraud", "retrieval"})
_WHOLE_METHOD: Final = "ALL"
_UNDECIDED: Final = frozenset({"open", "under_review"})

_METHODS: Final = {"cardless_emi": "emi", "emandate": "bank_debit", "nach": "bank_debit"}
_BRANDS: Final = {"american express": "amex", "diners club": "diners"}


def of_order(order: Order, at: datetime | None = None) -> Report:
    """That the order exists. What came of it, its payments say."""
    asked = read_money(NAME, order.amount, order.currency)
    return Report(
        kind=Kind.ATTEMPT_OPENED,
        object_id=order.id,
        amount=asked,
        at=at or moment(order.created_at),
        attempt_ref=order.id,
        face=asked,
        our_reference=reference(order.notes) or order.receipt or None,
    )


def of_payment(payment: Payment, at: datetime | None = None) -> tuple[Report, ...]:
    """What a payment says of itself; a failed one also says that the order's try failed, and that the order lives on."""
    said = _of_payment(_payment_kind(payment), payment.id, payment, at)
    if payment.status == "failed" and payment.order_id:
        return said, _of_payment(Kind.ATTEMPT_DECLINED, payment.id, payment, at)
    return (said,)


def _payment_kind(payment: Payment) -> Kind:
    """Gateways 2.3, 2.4: refunded means captured and given back, or, where never captured, an auto-refund."""
    if payment.status == "refunded":
        return Kind.CHARGE_CAPTURED if payment.captured else Kind.CHARGE_VOIDED
    return _PAYMENT[payment.status]


def _of_payment(kind: Kind, object_id: str, payment: Payment, at: datetime | None) -> Report:
    amount = read_money(NAME, payment.amount, payment.currency)
    return Report(
        kind=kind,
        object_id=object_id,
        amount=amount,
        at=at or moment(payment.created_at),
        attempt_ref=payment.order_id,
        charge_ref=payment.id,
        face=amount,
        our_reference=reference(payment.notes),
        detail={**_paid_with(payment), **_failed(payment)},
    )


def of_refund(refund: Refund, payment: Payment | None, at: datetime | None = None) -> tuple[Report, ...]:
    """What a refund says of itself. One of a payment that was never captured is a hold given back, and no refund."""
    if payment is not None and not payment.captured:
        given_back = _payment_kind(payment) if refund.status == "failed" else Kind.CHARGE_VOIDED
        return (_of_payment(given_back, payment.id, payment, at),)
    failed = FailureCode.OTHER.slug if refund.status == "failed" else None
    return (
        Report(
            kind=_REFUND[refund.status],
            object_id=refund.id,
            amount=read_money(NAME, refund.amount, refund.currency),
            at=at or moment(refund.created_at),
            attempt_ref=payment.order_id if payment else None,
            charge_ref=refund.payment_id,
            detail=known(
                refund=labelled(refund.notes, REFUND_LABEL),
                arn=_bank_reference(refund),
                failure=failed,
                speed_requested=refund.speed_requested,
                speed=refund.speed_processed,
            ),
        ),
    )


def of_downtime(downtime: Downtime) -> Trouble:
    """Gateways 2.9: the instrument is one bank, network or handle; the word ALL stands for the whole method."""
    named = {name: value for name, value in downtime.instrument.items() if value}
    return Trouble(
        id=downtime.id,
        method=downtime.method,
        instrument={} if _WHOLE_METHOD in named.values() else named,
        severity=downtime.severity,
        began_at=moment(downtime.begin),
        ended_at=moment(downtime.end or downtime.updated_at) if downtime.status == "resolved" else None,
        at=moment(downtime.updated_at),
    )


def of_dispute(dispute: Dispute, payment: Payment | None, at: datetime | None = None) -> tuple[Report, ...]:
    """What a dispute says of its state, and of the money it took: Razorpay deducts when the dispute is lost.

    While it stands Razorpay refunds nothing of the payment, whatever its phase.
    """
    inquiry = dispute.phase in _INQUIRY_PHASES and dispute.status in _UNDECIDED
    state = _of_dispute(
        Kind.DISPUTE_INQUIRY if inquiry else _DISPUTE[dispute.status], dispute, dispute.amount, payment, at
    )
    if not dispute.amount_deducted:
        return (state,)
    return state, _of_dispute(Kind.DISPUTE_WITHDRAWN, dispute, dispute.amount_deducted, payment, at)


def _of_dispute(
    kind: Kind, dispute: Dispute, amount: int, payment: Payment | None, at: datetime | None
) -> Report:
    return Report(
        kind=kind,
        object_id=dispute.id,
        amount=read_money(NAME, amount, dispute.currency),
        at=at or moment(dispute.created_at),
        attempt_ref=payment.order_id if payment else None,
        charge_ref=dispute.payment_id,
        detail=known(
            reason=dispute.reason_code,
            gateway_status=dispute.status,
            phase=dispute.phase,
            respond_by=dispute.respond_by,
            refundable=False,
            evidence_count=int(bool(dispute.evidence and dispute.evidence.submitted_at)),
        ),
    )


def reference(notes: Notes) -> str | None:
    """Our attempt id in the notes."""
    return labelled(notes, ATTEMPT_LABEL)


def labelled(notes: Notes, label: str) -> str | None:
    """One of our ids in the notes; empty notes are a list."""
    ours = notes.get(label) if isinstance(notes, Mapping) else None
    return ours if isinstance(ours, str) else None


def masked(vpa: str | None) -> str | None:
    """A UPI address that tells a bank apart, and a person only to who knows them: bu***@okbank, and a***@okbank of ab."""
    if not vpa:
        return None
    name, at, handle = vpa.partition("@")
    return f"{name[: min(2, len(name) // 2)]}***{at}{handle}"


def _paid_with(payment: Payment) -> Detail:
    method, card = payment.method or "", payment.card
    network = (card.network or "").lower() if card else ""
    return known(
        method=_METHODS.get(method, method),
        brand=_BRANDS.get(network, network),
        last4=card.last4 if card else None,
        vpa=masked(payment.vpa),
        bank=payment.bank or (card.issuer if card else None),
        wallet=payment.wallet,
        fee=payment.fee,
        tax=payment.tax,
    )


def _failed(payment: Payment) -> Detail:
    if payment.status != "failed":
        return {}
    return known(
        failure=failures.of_payment(payment.error_reason, payment.error_code).slug,
        gateway_code=payment.error_reason or payment.error_code,
        message=payment.error_description,
    )


def _bank_reference(refund: Refund) -> str | None:
    data = refund.acquirer_data
    return data.arn or data.rrn if isinstance(data, AcquirerData) else None
