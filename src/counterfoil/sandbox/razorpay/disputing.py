"""The life of a dispute: open, answered, and won, lost or closed; lost ones take their amount from the account.

A dispute of the phases fraud and retrieval is a question: one that nobody answers is closed. One of the others that
nobody answers in time is lost.
"""

from typing import Final

from counterfoil.sandbox.razorpay import entities
from counterfoil.sandbox.razorpay.account import ADJUSTMENT, DISPUTE, PAYMENT, Account, Held
from counterfoil.sandbox.truth import Json

DEADLINE: Final = "razorpay.dispute_deadline"
ANSWER_WITHIN_S: Final = 10 * 86400

PHASES: Final = ("fraud", "retrieval", "chargeback", "pre_arbitration", "arbitration")
QUESTIONS: Final = frozenset({"fraud", "retrieval"})
UNDECIDED: Final = frozenset({"open", "under_review"})
ENDS: Final = ("won", "lost", "closed")
EVIDENCE: Final = (
    *("shipping_proof", "billing_proof", "cancellation_proof", "customer_communication", "proof_of_service"),
    *("explanation_letter", "refund_confirmation", "access_activity_log", "refund_cancellation_policy"),
    "term_and_conditions",
)


def open_(account: Account, payment: Held, *, amount: int, phase: str, reason: str, within_s: int) -> Held:
    """The bank disputes a captured payment; `within_s` is how long the merchant has to answer."""
    body: Json = {
        "id": account.world.ids.razorpay("disp"),
        "entity": "dispute",
        "payment_id": payment.id,
        "amount": amount,
        "currency": payment.body["currency"],
        "amount_deducted": 0,
        "reason_code": reason,
        "respond_by": account.now + within_s,
        "status": "open",
        "phase": phase,
        "created_at": account.now,
        "evidence": {
            "amount": amount,
            "summary": None,
            **dict.fromkeys(EVIDENCE),
            "others": None,
            "submitted_at": None,
        },
    }
    dispute = Held(DISPUTE, body)
    account.save(dispute, parent=payment.id)
    _tell(account, "created", dispute)
    account.later(within_s, DEADLINE, dispute.id)
    return dispute


def contest(account: Account, dispute: Held, evidence: Json, *, submit: bool) -> None:
    """Keep the evidence; submitted, it is with the bank, and nothing of it can change any more."""
    dispute.body["evidence"].update(evidence)
    if not submit:
        return account.save(dispute)
    dispute.body["evidence"]["submitted_at"] = account.now
    dispute.body["status"] = "under_review"
    account.save(dispute)
    return _tell(account, "under_review", dispute)


def ask_again(account: Account, dispute: Held, *, phase: str, within_s: int) -> None:
    """The bank wants more, or goes into another round: the dispute waits for the merchant again."""
    dispute.body.update(status="open", phase=phase, respond_by=account.now + within_s)
    dispute.body["evidence"]["submitted_at"] = None
    account.save(dispute)
    _tell(account, "action_required", dispute)
    account.later(within_s, DEADLINE, dispute.id)


def end(account: Account, dispute: Held, status: str) -> None:
    """Won, lost or closed. A lost one is deducted, as an adjustment of the account's balance."""
    dispute.body["status"] = status
    if status == "lost":
        dispute.body["amount_deducted"] = dispute.body["amount"]
        _deduct(account, dispute)
    account.save(dispute)
    _tell(account, status, dispute)


def expire(account: Account, dispute_id: str) -> None:
    """The timer of the time to answer; one of an earlier round has nothing to say."""
    dispute = account.find(DISPUTE, dispute_id)
    if dispute.body["status"] == "open" and account.now >= dispute.body["respond_by"]:
        end(account, dispute, "closed" if dispute.body["phase"] in QUESTIONS else "lost")


def _deduct(account: Account, dispute: Held) -> None:
    adjustment: Json = {
        "id": account.world.ids.razorpay("adj"),
        "entity": "adjustment",
        "amount": -dispute.body["amount"],
        "currency": dispute.body["currency"],
        "description": f"Debit to adjust for dispute {dispute.id}",
        "dispute_id": dispute.id,
        "payment_id": dispute.body["payment_id"],
        "created_at": account.now,
    }
    account.save(Held(ADJUSTMENT, adjustment), parent=dispute.body["payment_id"])


def _tell(account: Account, what: str, dispute: Held) -> None:
    payment = account.find(PAYMENT, dispute.body["payment_id"])
    shown = entities.snapshot(payment.body, payment.hidden)
    account.announce(f"payment.dispute.{what}", {"payment": shown, "dispute": dispute.body})
