"""The life of a payment: created, authorized, captured, refunded; and failed, which is not the end.

A payment that failed may still be authorized under the same id: late, when the bank answers at last, or at once, when
the customer of a UPI app tries again. What stays authorized is given back when the order's time for it is over.
"""

from typing import Final

from counterfoil.sandbox.razorpay import amounts, entities, refunding
from counterfoil.sandbox.razorpay.account import ORDER, PAYMENT, Account, Held
from counterfoil.sandbox.razorpay.declines import DECLINES, Decline
from counterfoil.sandbox.razorpay.instruments import Instrument
from counterfoil.sandbox.razorpay.references import bank_number
from counterfoil.sandbox.truth import Json

EXPIRE_PENDING: Final = "razorpay.expire_pending"
GIVE_BACK: Final = "razorpay.give_back"

# So long Razorpay waits for a bank before it calls the payment failed, and so long it goes on asking.
PENDING_S: Final = 10 * 60
LATE_S: Final = 3 * 86400


def begin(account: Account, order: Held, instrument: Instrument, said: Json) -> Held:
    """A new payment of the order, `created`; one attempt more."""
    order.body.update(attempts=order.body["attempts"] + 1, status="attempted")
    account.save(order)
    id_ = account.world.ids.razorpay("pay")
    payment = Held(
        PAYMENT,
        entities.payment(id_, order.body, instrument, said, now=account.now),
        {
            "base_amount": amounts.in_paise(order.body["amount"], order.body["currency"]),
            "card": instrument.card,
            "emi": instrument.emi,
        },
    )
    account.save(payment, parent=order.id)
    return payment


def wait_for_bank(account: Account, payment: Held) -> None:
    """No answer yet: `created` for ten minutes, then failed unless the bank has answered."""
    account.later(PENDING_S, EXPIRE_PENDING, payment.id)


def expire_pending(account: Account, payment_id: str) -> None:
    payment = account.find(PAYMENT, payment_id)
    if payment.body["status"] == "created":
        fail(account, payment, DECLINES["payment_timed_out"])


def fail(account: Account, payment: Held, decline: Decline) -> None:
    payment.body.update(
        status="failed",
        error_code=decline.code,
        error_description=decline.description,
        error_source=decline.source,
        error_step=decline.step,
        error_reason=decline.reason,
    )
    _tell(account, "payment.failed", payment)


def may_be_late(account: Account, payment: Held) -> bool:
    """Whether the bank may still say yes: created or failed, and not older than three days."""
    young = account.now - payment.body["created_at"] <= LATE_S
    return young and payment.body["status"] in {"created", "failed"}


def authorize(account: Account, payment: Held) -> None:
    """The bank says yes. What follows is the order's rule: capture, wait for a capture, or give back."""
    reference = next(iter(payment.body["acquirer_data"]))
    number = bank_number(payment.id, 6 if reference == "auth_code" else 12)
    payment.body.update(entities.NO_ERROR, status="authorized", acquirer_data={reference: number})
    _tell(account, "payment.authorized", payment)
    order = account.find(ORDER, payment.body["order_id"])
    if order.body["status"] == "paid":
        _give_back(account, payment, order)
    elif account.switches.captures_by_itself or _captures_now(account, payment, order):
        capture(account, payment, order)
    else:
        due = payment.body["created_at"] + 60 * order.hidden["manual_expiry_period"]
        account.later(max(0, due - account.now), GIVE_BACK, payment.id)


def _captures_now(account: Account, payment: Held, order: Held) -> bool:
    """Whether the order's payments are captured automatically, and this one came in time for it."""
    minutes = order.hidden["automatic_expiry_period"]
    in_time = minutes is None or account.now - payment.body["created_at"] <= 60 * minutes
    automatic: bool = order.hidden["capture"] == "automatic"
    return automatic and in_time


def capture(account: Account, payment: Held, order: Held) -> None:
    """The money is the merchant's, less the fee; the order is paid, and its other payments go back."""
    domestic_card = payment.body["card_id"] is not None and not payment.body["international"]
    fee, tax = amounts.fee_and_tax(payment.hidden["base_amount"], domestic_card=domestic_card)
    payment.body.update(status="captured", captured=True, fee=fee, tax=tax)
    _tell(account, "payment.captured", payment)
    order.body.update(status="paid", amount_paid=order.body["amount"], amount_due=0)
    account.save(order)
    shown = entities.snapshot(payment.body, payment.hidden)
    account.announce("order.paid", {"payment": shown, "order": order.body})
    for other in account.of(PAYMENT, order.id):
        if other["status"] == "authorized":
            _give_back(account, account.find(PAYMENT, other["id"]), order)


def give_back(account: Account, payment_id: str) -> None:
    """The time for capturing is over."""
    payment = account.find(PAYMENT, payment_id)
    if payment.body["status"] == "authorized":
        _give_back(account, payment, account.find(ORDER, payment.body["order_id"]))


def _give_back(account: Account, payment: Held, order: Held) -> None:
    wish = {"notes": [], "receipt": None, "speed_requested": order.hidden["refund_speed"]}
    refunding.make(account, payment, payment.body["amount"], wish)


def _tell(account: Account, event: str, payment: Held) -> None:
    account.save(payment)
    account.announce(event, {"payment": entities.snapshot(payment.body, payment.hidden)})
