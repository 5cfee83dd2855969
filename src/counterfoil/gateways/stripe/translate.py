"""Stripe's objects in our words. Pure: what goes in is decoded, what comes out are reports; no network, no clock.

Each function takes an object and, for an object inside an event, the event's time, which is then the time of what the
report says; without it that is the object's own time, or none where the object has none for it. A report's
`attempt_ref` is the PaymentIntent, its `charge_ref` the charge. Raises UnreadableEventError where an amount or currency
means nothing to us.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from counterfoil.domain.fact import Kind, Report
from counterfoil.domain.money import NO_MONEY, Money
from counterfoil.gateways.base import UnreadableEventError
from counterfoil.gateways.stripe import failures
from counterfoil.gateways.stripe.shapes import (
    BalanceTransaction,
    Card,
    Charge,
    Dispute,
    DisputeStatus,
    FraudWarning,
    Intent,
    IntentStatus,
    Method,
    PaymentError,
    Refund,
)
from counterfoil.gateways.wire import Detail, known, moment, read_money

NAME: Final = "stripe"
# Where our ids travel in an intent's metadata, which its charges copy.
ATTEMPT_LABEL: Final = "counterfoil_attempt"
PAYMENT_LABEL: Final = "counterfoil_payment"
REFUND_LABEL: Final = "counterfoil_refund"

# What an intent's status says of the attempt, and of its latest charge where we are given no more than its id.
# A status that speaks of the charge alone says nothing new of the attempt.
_ATTEMPT: Final[Mapping[IntentStatus, Kind | None]] = {
    "requires_payment_method": Kind.ATTEMPT_OPENED,
    "requires_confirmation": Kind.ATTEMPT_OPENED,
    "requires_action": Kind.ATTEMPT_ACTION,
    "processing": Kind.ATTEMPT_PROCESSING,
    "requires_capture": None,
    "succeeded": None,
    "canceled": Kind.ATTEMPT_CANCELLED,
}
_LATEST_CHARGE: Final[Mapping[IntentStatus, Kind]] = {
    "processing": Kind.CHARGE_CREATED,
    "requires_capture": Kind.CHARGE_AUTHORIZED,
    "succeeded": Kind.CHARGE_CAPTURED,
}
# Of these an intent tells that they are so, and not since when: its own times are of its making and its end.
_UNDATED: Final = frozenset({Kind.ATTEMPT_ACTION, Kind.ATTEMPT_PROCESSING, Kind.ATTEMPT_DECLINED})
_NEEDS_CHARGE: Final = frozenset({"requires_capture", "succeeded"})
_REFUND: Final = {
    "pending": Kind.REFUND_PENDING,
    "requires_action": Kind.REFUND_PENDING,
    "succeeded": Kind.REFUND_SUCCEEDED,
    "failed": Kind.REFUND_FAILED,
    "canceled": Kind.REFUND_FAILED,
}
# A warning is a question before money moves; a prevented dispute never took any.
_DISPUTE: Final[Mapping[DisputeStatus, Kind]] = {
    "warning_needs_response": Kind.DISPUTE_INQUIRY,
    "warning_under_review": Kind.DISPUTE_INQUIRY,
    "warning_closed": Kind.DISPUTE_CLOSED,
    "needs_response": Kind.DISPUTE_OPEN,
    "under_review": Kind.DISPUTE_UNDER_REVIEW,
    "appeal_needs_response": Kind.DISPUTE_OPEN,
    "appeal_under_review": Kind.DISPUTE_UNDER_REVIEW,
    "won": Kind.DISPUTE_WON,
    "lost": Kind.DISPUTE_LOST,
    "prevented": Kind.DISPUTE_CLOSED,
}


def of_intent(intent: Intent, at: datetime | None = None) -> tuple[Report, ...]:
    """What an intent says of the attempt, then of its latest charge."""
    return (*_of_attempt(intent, at), *_of_latest_charge(intent, at))


def _of_attempt(intent: Intent, at: datetime | None) -> Iterator[Report]:
    declined = intent.last_payment_error if intent.status == "requires_payment_method" else None
    kind = Kind.ATTEMPT_DECLINED if declined else _ATTEMPT[intent.status]
    if kind is None:
        return
    asked = read_money(NAME, intent.amount, intent.currency)
    detail = _declined(declined) if declined else _action(intent)
    told = None if kind in _UNDATED else moment(intent.canceled_at or intent.created)
    yield _about(intent, kind, _tried(intent, declined), asked, at or told, detail)


def _tried(intent: Intent, error: PaymentError | None) -> str:
    """What a report of the attempt is about: after a decline the charge that failed, or the method tried without one.

    A charge belongs to one intent; a method may be tried on others too.
    """
    if error is not None and error.charge is not None:
        return error.charge
    method = error.payment_method.id if error is not None and error.payment_method is not None else None
    return f"{intent.id}/{method}" if method else intent.id


def _of_latest_charge(intent: Intent, at: datetime | None) -> Iterator[Report]:
    charge, error = intent.latest_charge, intent.last_payment_error
    asked = read_money(NAME, intent.amount, intent.currency)
    if isinstance(charge, Charge):
        yield from of_charge(charge, at, given_back=intent.status == "canceled")
    elif intent.status == "requires_payment_method" and error is not None and error.charge is not None:
        yield _about(intent, Kind.CHARGE_FAILED, error.charge, asked, at, _declined(error))
    elif charge is None and intent.status in _NEEDS_CHARGE:
        raise UnreadableEventError(f"the intent is {intent.status}, but names no charge")
    elif charge is not None and (kind := _LATEST_CHARGE.get(intent.status)):
        received = read_money(NAME, intent.amount_received, intent.currency)
        yield _about(intent, kind, charge, received if kind is Kind.CHARGE_CAPTURED else asked, at, {})


def _about(
    intent: Intent, kind: Kind, object_id: str, amount: Money, at: datetime | None, detail: Detail
) -> Report:
    return Report(
        kind=kind,
        object_id=object_id,
        amount=amount,
        at=at,
        attempt_ref=intent.id,
        charge_ref=object_id if kind.noun == "charge" else None,
        face=read_money(NAME, intent.amount, intent.currency),
        our_reference=(intent.metadata or {}).get(ATTEMPT_LABEL),
        livemode=intent.livemode,
        detail=detail,
    )


def of_charge(charge: Charge, at: datetime | None = None, *, given_back: bool = False) -> tuple[Report, ...]:
    """What a charge says of itself. `given_back`: its hold is known to be released, whatever its snapshot shows."""
    kind = _charge_kind(charge, given_back=given_back)
    taken = charge.amount_captured if kind is Kind.CHARGE_CAPTURED else charge.amount
    return (
        Report(
            kind=kind,
            object_id=charge.id,
            amount=read_money(NAME, taken, charge.currency),
            at=at or moment(charge.created),
            attempt_ref=charge.payment_intent,
            charge_ref=charge.id,
            face=read_money(NAME, charge.amount, charge.currency),
            our_reference=(charge.metadata or {}).get(ATTEMPT_LABEL),
            livemode=charge.livemode,
            detail={**_paid_with(charge.payment_method_details), **_fees(charge), **_failed(charge)},
        ),
    )


def _charge_kind(charge: Charge, *, given_back: bool) -> Kind:
    """Gateways 1.5: a hold that was released is a charge that succeeded, was not captured, and is refunded."""
    if charge.status == "failed":
        return Kind.CHARGE_FAILED
    if charge.status == "pending":
        return Kind.CHARGE_CREATED
    if charge.captured:
        return Kind.CHARGE_CAPTURED
    return Kind.CHARGE_VOIDED if given_back or charge.refunded else Kind.CHARGE_AUTHORIZED


def of_refund(refund: Refund, at: datetime | None = None, *, livemode: bool | None = None) -> Report:
    """What a refund says of itself. Succeeded is not final: it may still fail days later (gateways 1.6)."""
    failed = _REFUND[refund.status] is Kind.REFUND_FAILED
    return Report(
        kind=_REFUND[refund.status],
        object_id=refund.id,
        amount=read_money(NAME, refund.amount, refund.currency),
        at=at or moment(refund.created),
        attempt_ref=refund.payment_intent,
        charge_ref=refund.charge,
        livemode=livemode,
        detail=known(
            refund=(refund.metadata or {}).get(REFUND_LABEL),
            arn=_bank_reference(refund),
            reason=refund.reason,
            pending_reason=refund.pending_reason,
            failure=failures.of_refund(refund.failure_reason).slug if failed else None,
            failure_reason=refund.failure_reason,
        ),
    )


def of_dispute(
    dispute: Dispute, at: datetime | None = None, *, moved: Kind | None = None
) -> tuple[Report, ...]:
    """What a dispute says of its state, and of the money it took or gave back.

    Of money the amount is the sum of all that went that way, in the charge's currency; the last row of the balance, which is
    in the currency of settlement, goes into `detail`. `moved`: a movement that the event names, whether or not its row is
    there yet.
    """
    rows = dispute.balance_transactions
    out, back = [row for row in rows if row.amount < 0], [row for row in rows if row.amount > 0]
    # Money goes out and comes back by turns: what is named beside as many of the other kind has no row yet.
    outs = len(back) + 1 if moved is Kind.DISPUTE_WITHDRAWN else len(out)
    backs = max(len(out), 1) if moved is Kind.DISPUTE_REINSTATED else len(back)
    moves = ((Kind.DISPUTE_WITHDRAWN, out, outs), (Kind.DISPUTE_REINSTATED, back, backs))
    return (
        _of_dispute(dispute, _DISPUTE[dispute.status], dispute.amount, at, {}),
        *(
            _of_dispute(dispute, kind, _sum(dispute, of_kind, times), at, _moved(of_kind))
            for kind, of_kind, times in moves
            if times
        ),
    )


def _sum(dispute: Dispute, rows: Sequence[BalanceTransaction], times: int) -> int:
    """What went one way in so many times: the rows' own amounts where they are in the charge's currency."""
    told = [abs(row.amount) if row.currency == dispute.currency else dispute.amount for row in rows]
    return sum(told) + (times - len(rows)) * dispute.amount


def _of_dispute(dispute: Dispute, kind: Kind, amount: int, at: datetime | None, detail: Detail) -> Report:
    evidence = dispute.evidence_details
    return Report(
        kind=kind,
        object_id=dispute.id,
        amount=read_money(NAME, amount, dispute.currency),
        at=at or moment(dispute.created),
        attempt_ref=dispute.payment_intent,
        charge_ref=dispute.charge,
        livemode=dispute.livemode,
        detail=known(
            reason=dispute.reason,
            gateway_status=dispute.status,
            refundable=dispute.is_charge_refundable,
            phase=_phase(dispute),
            respond_by=(evidence.due_by or None) if evidence else None,
            evidence_count=evidence.submission_count if evidence else None,
        )
        | detail,
    )


def _phase(dispute: Dispute) -> str:
    """Which round it is; Stripe says so in its status."""
    if dispute.status in {"warning_needs_response", "warning_under_review", "warning_closed"}:
        return "inquiry"
    return "appeal" if dispute.status in {"appeal_needs_response", "appeal_under_review"} else "chargeback"


def of_warning(warning: FraudWarning, at: datetime | None = None) -> Report:
    """That the issuer suspects fraud: a dispute will follow as a rule, and a refund now may prevent it."""
    return Report(
        kind=Kind.WARNING_EARLY_FRAUD,
        object_id=warning.id,
        amount=NO_MONEY,
        at=at or moment(warning.created),
        attempt_ref=warning.payment_intent,
        charge_ref=warning.charge,
        livemode=warning.livemode,
        detail=known(fraud_type=warning.fraud_type, actionable=warning.actionable),
    )


def _moved(rows: Sequence[BalanceTransaction]) -> Detail:
    if not rows:
        return {}
    row = rows[-1]
    return known(
        balance_transaction=row.id, settled=row.amount, settled_currency=row.currency.upper(), fee=row.fee
    )


def _declined(error: PaymentError) -> Detail:
    return _paid_with(error.payment_method) | known(
        failure=failures.of_decline(error.code, error.decline_code).slug,
        gateway_code=error.decline_code or error.code,
        message=error.message,
    )


def _failed(charge: Charge) -> Detail:
    """A charge names the step that failed in `failure_code`, and the issuer's reason in its outcome."""
    if charge.status != "failed":
        return {}
    reason = charge.outcome.reason if charge.outcome else None
    return known(
        failure=failures.of_decline(charge.failure_code, reason).slug,
        gateway_code=reason or charge.failure_code,
        message=charge.failure_message,
    )


def _action(intent: Intent) -> Detail:
    if intent.status != "requires_action":
        return {}
    return known(requires_action=str((intent.next_action or {}).get("type", "unnamed")))


def _paid_with(method: Method | None) -> Detail:
    if method is None:
        return {}
    debit = (
        method.us_bank_account
        or method.sepa_debit
        or method.bacs_debit
        or method.acss_debit
        or method.au_becs_debit
    )
    card = method.card
    account = card or debit or Card()
    return known(
        method="bank_debit" if debit else method.type,
        brand=card.brand if card else None,
        last4=account.last4,
        fingerprint=account.fingerprint,  # the same for one card or account, whoever pays with it
        wallet=card.wallet.type if card and card.wallet else None,
        bank=debit.bank_name if debit else None,
    )


def _fees(charge: Charge) -> Detail:
    """What Stripe kept, once it has settled: with automatic_async capture that is later (gateways 1.4)."""
    row = charge.balance_transaction
    if not isinstance(row, BalanceTransaction):
        return {}
    tax = sum(part.amount for part in row.fee_details if part.type == "tax")
    return known(fee=row.fee, tax=tax, fee_currency=row.currency.upper())


def _bank_reference(refund: Refund) -> str | None:
    destination = refund.destination_details
    return destination.card.reference if destination and destination.card else None
