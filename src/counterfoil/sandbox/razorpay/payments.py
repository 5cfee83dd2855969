"""Payments: what customers paid or tried to pay, and the calls about them."""

from typing import Any

from counterfoil.sandbox.calls import Answer, Incoming
from counterfoil.sandbox.razorpay import paying
from counterfoil.sandbox.razorpay.account import ORDER, PAYMENT, Account
from counterfoil.sandbox.razorpay.errors import refused
from counterfoil.sandbox.razorpay.fields import Fields
from counterfoil.sandbox.razorpay.lists import collection, expanded, listed
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.world import World


def retrieve(world: World, call: Incoming) -> Answer:
    account = Account(world)
    return Answer.json(_shown(account, call, account.find(PAYMENT, call.ids["id"]).body))


def list_all(world: World, call: Incoming) -> Answer:
    account = Account(world)
    return collection([_shown(account, call, payment) for payment in listed(account, PAYMENT, call)])


def update(world: World, call: Incoming) -> Answer:
    """Its notes, and nothing else, may change."""
    account, fields = Account(world), Fields.of(call.body).only("notes")
    payment = account.find(PAYMENT, call.ids["id"])
    payment.body["notes"] = fields.notes(required=True)
    account.save(payment)
    return Answer.json(payment.body)


def capture(world: World, call: Incoming) -> Answer:
    """Take the whole authorized amount; there are no partial captures, and a second capture is refused."""
    account, fields = Account(world), Fields.of(call.body).only("amount", "currency")
    payment = account.find(PAYMENT, call.ids["id"])
    amount, currency = fields.integer("amount"), fields.text("currency")
    if payment.body["captured"]:
        raise refused("This payment has already been captured")
    if payment.body["status"] != "authorized":
        raise refused("Only payments which have been authorized and not yet captured can be captured")
    if currency != payment.body["currency"]:
        raise refused("Capture currency must be the currency of the payment", field="currency")
    if amount != payment.body["amount"]:
        raise refused("Capture amount must be equal to the amount authorized", field="amount")
    paying.capture(account, payment, account.find(ORDER, payment.body["order_id"]))
    return Answer.json(payment.body)


def card(world: World, call: Incoming) -> Answer:
    """The card of a card payment."""
    account = Account(world)
    found = account.find(PAYMENT, call.ids["id"]).hidden.get("card")
    if found is None:
        raise refused("The payment was not made by card")
    return Answer.json(found)


def _shown(account: Account, call: Incoming, payment: Json) -> Json:
    hidden: dict[str, Any] = {}
    if call.query:
        hidden = account.find(PAYMENT, payment["id"]).hidden
    return expanded(
        call,
        payment,
        {
            "card": lambda: hidden.get("card"),
            "emi": lambda: hidden.get("emi"),
            "upi": lambda: payment.get("upi"),
            "offers": lambda: {"entity": "collection", "count": 0, "items": []},
        },
    )
