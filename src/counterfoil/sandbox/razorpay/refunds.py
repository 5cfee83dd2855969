"""Refunds: the calls about them."""

from typing import Final

from counterfoil.sandbox.calls import Answer, Incoming
from counterfoil.sandbox.razorpay import amounts, disputing, refunding
from counterfoil.sandbox.razorpay.account import DISPUTE, PAYMENT, REFUND, Account, Held
from counterfoil.sandbox.razorpay.errors import refused, unknown_id
from counterfoil.sandbox.razorpay.fields import Fields
from counterfoil.sandbox.razorpay.lists import collection, listed
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.world import World

LONGEST_RECEIPT: Final = 40
# Older payments are not refunded at normal speed.
SIX_MONTHS_S: Final = 183 * 86400


def create_for_payment(world: World, call: Incoming) -> Answer:
    """POST /v1/payments/{id}/refund"""
    fields = Fields.of(call.body).only("amount", "speed", "notes", "receipt")
    return _create(Account(world), call.ids["id"], fields)


def create(world: World, call: Incoming) -> Answer:
    """POST /v1/refunds, which names the payment in its body."""
    fields = Fields.of(call.body).only("payment_id", "amount", "speed", "notes", "receipt")
    return _create(Account(world), fields.text("payment_id"), fields)


def _create(account: Account, payment_id: str, fields: Fields) -> Answer:
    payment = account.find(PAYMENT, payment_id)
    wish = {
        "notes": fields.notes(),
        "receipt": fields.optional_text("receipt", longest=LONGEST_RECEIPT),
        "speed_requested": fields.choice("speed", ("normal", "optimum"), "normal"),
    }
    asked = fields.integer("amount") if fields.has("amount") else None
    amount = allowed(account, payment, asked, instant=wish["speed_requested"] == "optimum")
    return Answer.json(refunding.make(account, payment, amount, wish).body)


def allowed(account: Account, payment: Held, asked: int | None, *, instant: bool) -> int:
    """The amount that a refund may have: what was asked, else all that is left. Raises RefusedError."""
    disputes = account.of(DISPUTE, payment.id)
    taken = sum(one["amount_deducted"] for one in disputes)
    left = payment.body["amount"] - payment.body["amount_refunded"] - taken
    amount = left if asked is None else asked
    if any(one["status"] in disputing.UNDECIDED for one in disputes) or (taken and not left):
        raise refused("Refund is not allowed as a dispute has been raised on the payment")
    _check(account, payment, amount, left, instant=instant)
    return amount


def _check(account: Account, payment: Held, amount: int, left: int, *, instant: bool) -> None:
    if payment.body["status"] == "refunded":
        raise refused("The payment has been fully refunded already")
    if payment.body["status"] != "captured":
        raise refused("The payment status should be captured for action to be taken")
    amounts.check_refund(amount, payment.body["currency"], instant=instant)
    if amount > left:
        raise refused("The refund amount provided is greater than amount captured", field="amount")
    if not instant and account.now - payment.body["created_at"] > SIX_MONTHS_S:
        raise refused("The payment is too old to be refunded at normal speed")
    if account.switches.refunds == "no_balance":
        raise refused("Your account does not have enough balance to carry out the refund operation.")


def retrieve(world: World, call: Incoming) -> Answer:
    return Answer.json(Account(world).find(REFUND, call.ids["id"]).body)


def retrieve_of_payment(world: World, call: Incoming) -> Answer:
    return Answer.json(_of_payment(Account(world), call).body)


def _of_payment(account: Account, call: Incoming) -> Held:
    refund = account.find(REFUND, call.ids["refund_id"])
    if refund.body["payment_id"] != call.ids["id"]:
        raise unknown_id()
    return refund


def update(world: World, call: Incoming) -> Answer:
    """Its notes, and nothing else, may change."""
    account, fields = Account(world), Fields.of(call.body).only("notes")
    refund = account.find(REFUND, call.ids["id"])
    refund.body["notes"] = fields.notes(required=True)
    account.save(refund)
    return Answer.json(refund.body)


def list_all(world: World, call: Incoming) -> Answer:
    return collection(listed(Account(world), REFUND, call))


def list_of_payment(world: World, call: Incoming) -> Answer:
    account = Account(world)
    payment: Json = account.find(PAYMENT, call.ids["id"]).body
    return collection(listed(account, REFUND, call, parent=payment["id"]))
