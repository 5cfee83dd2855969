"""The life of a dispute: an inquiry or a chargeback, its money, what is said against it, and how it ends.

A chargeback takes the amount and a fee at once; a won one gives the amount back, and never the fee. One that was won and
is asked again, or lost after all, takes it once more. An inquiry moves no money, and its charge may still be refunded: that
ends it.
"""

from typing import Any, Final

from counterfoil.sandbox.stripe import balance
from counterfoil.sandbox.stripe.plans import PLANS
from counterfoil.sandbox.stripe.session import GATEWAY, Session
from counterfoil.sandbox.truth import Json

# A usual price of a chargeback, in minor units of its currency.
FEE: Final = 1500
# How long a merchant has to answer, and how long after an answer by one of the test evidences the bank decides.
ANSWER_WITHIN_S: Final = 20 * 86400
DECIDES_AFTER_S: Final = 5

REASONS: Final = (
    *(
        "bank_cannot_process",
        "check_returned",
        "credit_not_processed",
        "customer_initiated",
        "debit_not_authorized",
    ),
    *(
        "duplicate",
        "fraudulent",
        "general",
        "incorrect_account_details",
        "insufficient_funds",
        "noncompliant",
    ),
    *("product_not_received", "product_unacceptable", "subscription_canceled", "unrecognized"),
)
EVIDENCE: Final = (
    *("access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure"),
    *("cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name"),
    *("customer_purchase_ip", "customer_signature", "duplicate_charge_documentation"),
    *(
        "duplicate_charge_explanation",
        "duplicate_charge_id",
        "product_description",
        "receipt",
        "refund_policy",
    ),
    *("refund_policy_disclosure", "refund_refusal_explanation", "service_date", "service_documentation"),
    *("shipping_address", "shipping_carrier", "shipping_date", "shipping_documentation"),
    *("shipping_tracking_number", "uncategorized_file", "uncategorized_text"),
)
# What stands in the evidence decides: the words of Stripe's own test mode.
VERDICTS: Final = {
    "winning_evidence": "won",
    "losing_evidence": "lost",
    "escalate_inquiry_evidence": "needs_response",
}

# The statuses that wait for the merchant, and what each becomes by an answer.
ANSWERS: Final = {
    "warning_needs_response": "warning_under_review",
    "needs_response": "under_review",
    "appeal_needs_response": "appeal_under_review",
}
OPEN: Final = frozenset({*ANSWERS, *ANSWERS.values()})
INQUIRIES: Final = frozenset({"warning_needs_response", "warning_under_review"})
ENDS: Final = frozenset({"won", "lost", "warning_closed", "prevented"})
APPEALS: Final = frozenset({"appeal_needs_response", "appeal_under_review"})


def by_plan(session: Session, charge: Json) -> None:
    """What the card of a charge that was just captured stands for: a dispute, an inquiry, a warning, or nothing."""
    plan = PLANS[session.hidden(charge["id"])["plan"]]
    if plan.warned:
        warn(session, charge, "made_with_stolen_card")
    if plan.dispute is not None:
        open_(session, charge, reason=plan.dispute, inquiry=plan.inquiry)


def open_(
    session: Session, charge: Json, *, reason: str, inquiry: bool = False, amount: int | None = None
) -> Json:
    """The cardholder disputes a captured charge: what is left of it, or all of it, unless an amount is named."""
    left = charge["amount_captured"] - charge["amount_refunded"]
    dispute = _new(session, charge, reason, amount or left or charge["amount_captured"])
    dispute["status"] = "warning_needs_response" if inquiry else "needs_response"
    dispute["is_charge_refundable"] = inquiry
    session.save(dispute, parent=charge["id"])
    charge["disputed"] = True
    session.save(charge)
    session.emit("charge.dispute.created", dispute)
    if not inquiry:
        _withdraw(session, dispute)
    session.later(ANSWER_WITHIN_S, "deadline", dispute["id"])
    return dispute


def _new(session: Session, charge: Json, reason: str, amount: int) -> Json:
    card = charge["payment_method_details"].get("card", {"brand": "visa"})
    shown = {
        "brand": card["brand"],
        "case_type": "chargeback",
        "network": card["brand"],
        "network_reason_code": "10.4",
    }
    return {
        "id": session.new_id("dp", 1),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": session.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": session.now + ANSWER_WITHIN_S,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "livemode": session.world.config.livemode,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {"card": shown, "type": "card"},
        "reason": reason,
    }


def say(session: Session, dispute: Json, evidence: Json, *, submit: bool) -> None:
    """Keep evidence, and submit all that is kept where that is asked."""
    before = {"evidence": {name: dispute["evidence"][name] for name in evidence}}
    dispute["evidence"].update(evidence)
    details = dispute["evidence_details"]
    details["has_evidence"] = any(dispute["evidence"][name] for name in EVIDENCE)
    if submit:
        details["submission_count"] += 1
        return _answered(session, dispute, before)
    return _changed(session, dispute, before)


def _answered(session: Session, dispute: Json, before: Json) -> None:
    before["status"] = dispute["status"]
    dispute["status"] = ANSWERS[dispute["status"]]
    _changed(session, dispute, before)
    text = dispute["evidence"]["uncategorized_text"] or ""
    if any(word in text for word in VERDICTS):
        session.later(DECIDES_AFTER_S, "decide", dispute["id"])


def decide(session: Session, dispute_id: str) -> None:
    """The timer after an answer with one of the test evidences."""
    dispute = session.need("dispute", dispute_id)
    text = dispute["evidence"]["uncategorized_text"] or ""
    verdict = next((end for word, end in VERDICTS.items() if word in text), None)
    if verdict is not None and dispute["status"] in OPEN:
        inquiry = dispute["status"] in INQUIRIES
        move(session, dispute, "warning_closed" if inquiry and verdict == "won" else verdict)


def deadline(session: Session, dispute_id: str) -> None:
    """The timer of the time to answer: who said nothing has lost, and an inquiry nobody answered is closed."""
    dispute = session.need("dispute", dispute_id)
    if dispute["status"] in ANSWERS:
        dispute["evidence_details"]["past_due"] = True
        move(session, dispute, "warning_closed" if dispute["status"] in INQUIRIES else "lost")


def reopens(end: str) -> frozenset[str]:
    """What a dispute that has ended so may still become: a verdict is appealed, and what was won may be asked again."""
    again = {"won": APPEALS | {"needs_response", "under_review"}, "lost": APPEALS}
    return again.get(end, frozenset())


def move(session: Session, dispute: Json, status: str) -> None:
    """Bring a dispute into another status, with its money: what the bank, or the card network, decides."""
    before = {"status": dispute["status"]}
    escalates = dispute["status"] in INQUIRIES and status not in INQUIRIES | {"warning_closed"}
    dispute["status"] = status
    dispute["is_charge_refundable"] = status in INQUIRIES | {"won", "warning_closed"}
    if escalates or before["status"] == "won":
        _withdraw(session, dispute)
    if status in ENDS:
        return _end(session, dispute)
    return _changed(session, dispute, before)


def _end(session: Session, dispute: Json) -> None:
    if dispute["status"] == "won" and sum(row["amount"] for row in dispute["balance_transactions"]) < 0:
        _reinstate(session, dispute)
    session.save(dispute)
    session.emit("charge.dispute.closed", dispute)


def _changed(session: Session, dispute: Json, before: Json) -> None:
    session.save(dispute)
    session.emit("charge.dispute.updated", dispute, before)


def _withdraw(session: Session, dispute: Json) -> None:
    said = f"Chargeback withdrawal for {dispute['charge']}"
    _enter(session, dispute, -dispute["amount"], "dispute", fee=FEE, description=said)
    session.emit("charge.dispute.funds_withdrawn", dispute)


def _reinstate(session: Session, dispute: Json) -> None:
    said = f"Chargeback reversal for {dispute['charge']}"
    _enter(session, dispute, dispute["amount"], "dispute_reversal", description=said)
    session.emit("charge.dispute.funds_reinstated", dispute)


def _enter(session: Session, dispute: Json, amount: int, category: str, **more: Any) -> None:
    id_ = balance.enter(session, dispute, amount, category, at_once=True, **more)
    dispute["balance_transactions"].append(session.need("balance_transaction", id_))
    session.save(dispute)


def of_charge(session: Session, charge_id: str) -> list[Json]:
    """Every dispute of a charge, oldest first."""
    return session.world.truth.all(GATEWAY, "dispute", parent=charge_id)


def refunded(session: Session, charge: Json) -> None:
    """A charge that was refunded whole answers every inquiry about it."""
    for dispute in of_charge(session, charge["id"]) if charge["refunded"] else ():
        if dispute["status"] in INQUIRIES:
            move(session, dispute, "warning_closed")


def warn(session: Session, charge: Json, fraud_type: str) -> Json:
    """The issuer suspects fraud: most such charges are disputed later, unless they are refunded first."""
    warning = {
        "id": session.new_id("issfr", 1),
        "object": "radar.early_fraud_warning",
        "actionable": not charge["refunded"] and not charge["disputed"],
        "charge": charge["id"],
        "created": session.now,
        "fraud_type": fraud_type,
        "livemode": session.world.config.livemode,
        "payment_intent": charge["payment_intent"],
    }
    session.save(warning, parent=charge["id"])
    session.emit("radar.early_fraud_warning.created", warning)
    return warning
