"""The life of a refund: pending, processed, or failed; its bank reference comes later still."""

from typing import Final

from counterfoil.sandbox.razorpay import entities
from counterfoil.sandbox.razorpay.account import PAYMENT, REFUND, Account, Held
from counterfoil.sandbox.razorpay.references import bank_number
from counterfoil.sandbox.truth import Json

CHANGE_SPEED: Final = "razorpay.refund_change_speed"
SETTLE: Final = "razorpay.refund_settle"
REFERENCE: Final = "razorpay.refund_reference"

# Sandbox seconds from the refund: falling back to normal speed, the bank's reference.
CHANGE_SPEED_S: Final = 100
REFERENCE_S: Final = 86400


def make(account: Account, payment: Held, amount: int, wish: Json) -> Held:
    """Give back part or all of a payment. `wish` holds notes, receipt and speed_requested."""
    instant = wish["speed_requested"] == "optimum" and account.switches.instant_refunds
    falls_back = wish["speed_requested"] == "optimum" and not instant
    waits = falls_back or account.switches.refunds in {"pending", "failing"}
    late = account.switches.refunds == "failing_late"
    course = {
        "status": "pending" if waits else "processed",
        "speed_processed": "instant" if instant else "normal",
    }
    id_ = account.world.ids.razorpay("rfnd")
    refund = Held(REFUND, entities.refund(id_, payment.body, amount, wish, course, now=account.now))
    refund.hidden["fails"] = account.switches.refunds in {"failing", "failing_late"}
    _add(payment, amount)
    account.save(refund, parent=payment.id)
    account.save(payment)
    _announce(account, "refund.created", refund, payment)
    if falls_back:
        account.later(CHANGE_SPEED_S, CHANGE_SPEED, refund.id)
    if not waits:
        _processed(account, refund, payment)
    if waits or late:
        account.later(account.switches.refund_seconds, SETTLE, refund.id)
    return refund


def change_speed(account: Account, refund_id: str) -> None:
    """The instant refund was not possible: it goes on at normal speed."""
    refund = account.find(REFUND, refund_id)
    if refund.body["status"] == "pending":
        payment = account.find(PAYMENT, refund.body["payment_id"])
        _announce(account, "refund.speed_changed", refund, payment)


def settle(account: Account, refund_id: str) -> None:
    """A refund goes on as it was meant to when it was made, unless it was ended by hand before."""
    refund = account.find(REFUND, refund_id)
    if refund.body["status"] == "pending" or (
        refund.hidden["fails"] and refund.body["status"] == "processed"
    ):
        end(account, refund, fails=refund.hidden["fails"])


def end(account: Account, refund: Held, *, fails: bool) -> None:
    """Process a pending refund, or let one fail, processed or not: then its amount may be refunded again."""
    payment = account.find(PAYMENT, refund.body["payment_id"])
    if not fails:
        refund.body["status"] = "processed"
        account.save(refund)
        return _processed(account, refund, payment)
    refund.body["status"] = "failed"
    _add(payment, -refund.body["amount"])
    account.save(refund)
    account.save(payment)
    return _announce(account, "refund.failed", refund, payment)


def give_reference(account: Account, refund_id: str) -> None:
    """The bank's reference is known at last; no webhook tells of it."""
    refund = account.find(REFUND, refund_id)
    refund.body["acquirer_data"] = {"arn": bank_number(refund.id, 23)}
    account.save(refund)


def _processed(account: Account, refund: Held, payment: Held) -> None:
    _announce(account, "refund.processed", refund, payment)
    account.later(REFERENCE_S, REFERENCE, refund.id)


def _add(payment: Held, amount: int) -> None:
    """Count an amount as refunded; the payment itself is `refunded` only when all of it is."""
    body = payment.body
    refunded = body["amount_refunded"] + amount
    whole = refunded == body["amount"]
    unrefunded = "captured" if body["captured"] else "authorized"
    body.update(
        amount_refunded=refunded,
        refund_status="full" if whole else "partial" if refunded else None,
        status="refunded" if whole else unrefunded,
    )


def _announce(account: Account, event: str, refund: Held, payment: Held) -> None:
    shown = entities.snapshot(payment.body, payment.hidden)
    account.announce(event, {"refund": refund.body, "payment": shown})
