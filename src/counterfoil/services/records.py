"""What is told of things, to callers and to the merchant's own backend: plain values, ready for JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from counterfoil.domain.attempt import Attempt
from counterfoil.domain.charge import Charge, ChargeState
from counterfoil.domain.dispute import OPEN, Dispute
from counterfoil.domain.failure import BY_SLUG
from counterfoil.domain.payment import Status, winner_charge
from counterfoil.domain.receipt_export import Export
from counterfoil.domain.receipt_export import State as ExportState
from counterfoil.domain.refund import Refund, refundable
from counterfoil.domain.retry import Retry
from counterfoil.store.exceptions import Exceptional
from counterfoil.store.payments import Family
from counterfoil.store.receipts import Issued
from counterfoil.store.refunds import Approval


def instant(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def payment(family: Family) -> dict[str, Any]:
    """The payment: all that stands written, and no link that lets anybody act."""
    p = family.payment
    winner = winner_charge(p.winner_attempt_id, family.charges)
    surplus = [
        c for c in family.charges if c.state is ChargeState.CAPTURED and (winner is None or c.id != winner.id)
    ]
    return {
        "id": p.id,
        "object": "payment",
        "mode": p.mode,
        "status": p.status.value,
        "amount": p.amount,
        "currency": p.currency,
        "amount_captured": p.amount_captured,
        "amount_refunded": p.amount_refunded,
        "capture": p.capture,
        "gateway": family.attempts[-1].gateway if family.attempts else p.gateway,
        "method": p.method,
        "reference": p.reference,
        "description": p.description,
        "customer": dict(p.customer),
        "metadata": dict(p.metadata),
        "line_items": list(p.line_items),
        "return_url": p.return_url,
        "failure": _failure(family),
        "attempts": [_attempt(attempt, family) for attempt in family.attempts],
        "surplus": [_charge(charge) for charge in surplus],
        "refundable": refundable(winner) if winner else 0,
        "refunds": [refund(one, gateway_of(family, one.charge_id)) for one in family.refunds],
        "disputes": [dispute(one) for one in family.disputes],
        "retry": _retry(family.planned) if family.planned else None,
        "fulfilled_at": instant(p.fulfilled_at),
        "expires_at": instant(p.expires_at),
        "created_at": instant(p.created_at),
        "updated_at": instant(p.updated_at),
        "version": p.version,
    }


def _failure(family: Family) -> dict[str, Any] | None:
    """Why the last try did not succeed, while nothing has."""
    if family.payment.status in {Status.AUTHORIZED, Status.CAPTURED, Status.CANCELLED}:
        return None
    failed = [attempt.failure for attempt in family.attempts if attempt.failure]
    return _told(failed[-1]) if failed else None


def _told(failure: Any) -> dict[str, Any]:
    code = BY_SLUG.get(str(failure.get("code")), BY_SLUG["other"])
    return {
        "code": code.slug,
        "advice": code.advice.value,
        "customer_message": code.tell_customer,
        "gateway_code": failure.get("gateway_code"),
        "message": failure.get("message"),
    }


def _attempt(attempt: Attempt, family: Family) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "number": attempt.number,
        "gateway": attempt.gateway,
        "account": attempt.account_id,
        "gateway_reference": attempt.ref,
        "status": attempt.state.value,
        "reason": attempt.reason,
        "failure": _told(attempt.failure) if attempt.failure else None,
        "charges": [_charge(charge) for charge in family.charges if charge.attempt_id == attempt.id],
        "created_at": instant(attempt.created_at),
    }


def _retry(planned: Retry) -> dict[str, Any]:
    """The further try that is to come: another charge of the saved method, or an invitation to the customer."""
    return {
        "number": planned.number,
        "of": planned.out_of,
        "kind": planned.kind.value,
        "due_at": instant(planned.due_at),
    }


def _charge(charge: Charge) -> dict[str, Any]:
    shown = ("method", "brand", "last4", "vpa", "bank", "wallet")
    return {
        "id": charge.id,
        "gateway_reference": charge.ref,
        "status": charge.state.value,
        "amount": charge.amount,
        "currency": charge.currency,
        "amount_captured": charge.captured,
        "amount_refunded": charge.refunded_seen,
        "amount_disputed": charge.disputed_held,
        "method": {name: charge.detail[name] for name in shown if charge.detail.get(name) is not None},
        "created_at": instant(charge.made_at),
    }


def gateway_of(family: Family, charge_id: str) -> str:
    """The gateway of a charge."""
    charge = next(charge for charge in family.charges if charge.id == charge_id)
    return family.attempt(charge.attempt_id).gateway


def refund(refund: Refund, gateway: str) -> dict[str, Any]:
    """The refund, without who approved it; `stage` says in words how it truly stands."""
    return {
        "id": refund.id,
        "object": "refund",
        "mode": refund.mode,
        "status": refund.state.value,
        "stage": refund.stage,
        "payment": refund.payment_id,
        "charge": refund.charge_id,
        "gateway": gateway,
        "gateway_reference": refund.gateway_ref,
        "amount": refund.amount,
        "currency": refund.currency,
        "reason": refund.reason,
        "note": refund.note,
        "source": refund.source.value,
        "method": refund.method.value,
        "rule": refund.rule,
        "approvals_needed": refund.needed,
        "requested_by": refund.requested_by,
        "because": refund.because,
        "batch": refund.batch_id,
        "retry_of": refund.retry_of,
        "evidence": refund.evidence,
        "speed_requested": refund.speed,
        "speed": refund.speed_processed,
        "arn": refund.arn,
        "failure": dict(refund.failure) if refund.failure else None,
        "requested_at": instant(refund.requested_at),
        "approved_at": instant(refund.approved_at),
        "expires_at": instant(refund.expires_at),
        "sent_at": instant(refund.sent_at),
        "ended_at": instant(refund.ended_at),
        "updated_at": instant(refund.updated_at),
        "version": refund.version,
    }


def approvals(given: Sequence[Approval]) -> list[dict[str, Any]]:
    """Who agreed to a refund, as what, and when."""
    return [{"by": one.actor, "role": one.role, "at": instant(one.at)} for one in given]


def dispute(dispute: Dispute) -> dict[str, Any]:
    """The dispute. `amount_held` may not be refunded now; `answer` is ours, `waits_for_answer` whether the bank waits."""
    return {
        "id": dispute.id,
        "object": "dispute",
        "mode": dispute.mode,
        "status": dispute.state.value,
        "open": dispute.state in OPEN,
        "payment": dispute.payment_id,
        "charge": dispute.charge_id,
        "gateway": dispute.gateway,
        "account": dispute.account_id,
        "gateway_reference": dispute.ref,
        "amount": dispute.amount,
        "currency": dispute.currency,
        "amount_held": dispute.held,
        "amount_withdrawn": dispute.withdrawn,
        "amount_reinstated": dispute.reinstated,
        "amount_lost": dispute.lost,
        "reason": dispute.reason,
        "phase": dispute.phase,
        "respond_by": instant(dispute.respond_by),
        "waits_for_answer": dispute.waits_for_us,
        "answer": dispute.answer.value,
        "failure": dict(dispute.failure) if dispute.failure else None,
        "submitted_at": instant(dispute.submitted_at),
        "submitted_by": dispute.submitted_by,
        "accepted_at": instant(dispute.accepted_at),
        "accepted_by": dispute.accepted_by,
        "opened_at": instant(dispute.opened_at),
        "created_at": instant(dispute.created_at),
        "updated_at": instant(dispute.updated_at),
        "version": dispute.version,
    }


def alert(one: Exceptional) -> dict[str, Any]:
    """What needs a person, as an event tells it: `kind` says why, `subject` names the thing."""
    return {
        "id": one.id,
        "object": "alert",
        "mode": one.mode,
        "kind": one.kind,
        "subject": one.subject,
        "payment": one.payment_id,
        "sentence": one.sentence,
        "opened_at": instant(one.opened_at),
        "version": 1,
    }


def exception(one: Exceptional) -> dict[str, Any]:
    """The same as lists show it, with how it was settled."""
    return {
        "id": one.id,
        "object": "exception",
        "kind": one.kind,
        "subject": one.subject,
        "payment": one.payment_id,
        "sentence": one.sentence,
        "opened_at": instant(one.opened_at),
        "resolved_at": instant(one.resolved_at),
        "resolved_by": one.resolved_by,
        "note": one.note,
    }


def receipt(issued: Issued) -> dict[str, Any]:
    """A receipt in short, as lists and events show it. `total` is minor units of `currency`."""
    return {
        "id": issued.id,
        "object": "receipt",
        "kind": issued.kind,
        "number": issued.number,
        "payment": issued.payment_id,
        "refund": issued.refund_id,
        "total": issued.document["total"],
        "currency": issued.document["currency"],
        "issued_at": instant(issued.issued_at),
        "voided_at": instant(issued.voided_at),
        "void_reason": issued.void_reason,
    }


def receipt_export(export: Export) -> dict[str, Any]:
    """The export, and how far it is; what its file is called and how long it stands once it is ready."""
    return {
        "id": export.id,
        "object": "receipt_export",
        "mode": export.mode,
        "status": export.state.value,
        "error": export.error,
        "format": export.format,
        "issued_from": instant(export.issued_from),
        "issued_to": instant(export.issued_to),
        "done": export.done,
        "total": export.total,
        "file": export.filename if export.state is ExportState.READY else None,
        "size": export.size if export.state is ExportState.READY else None,
        "requested_by": export.asked_by,
        "requested_at": instant(export.created_at),
        "started_at": instant(export.started_at),
        "ended_at": instant(export.ended_at),
        "expires_at": instant(export.expires_at) if export.state is ExportState.READY else None,
    }
