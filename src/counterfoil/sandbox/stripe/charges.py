"""Charges: one attempt to take an intent's money."""

from typing import Any, Final

from counterfoil.sandbox.stripe.api import Endpoint
from counterfoil.sandbox.stripe.lists import listed
from counterfoil.sandbox.stripe.params import LIST, Shape, expand, word
from counterfoil.sandbox.stripe.plans import Decline
from counterfoil.sandbox.stripe.session import Session
from counterfoil.sandbox.truth import Json

RISK: Final = {"risk_level": "normal", "risk_score": 12}
APPROVED: Final = {
    **dict.fromkeys(("advice_code", "network_advice_code", "network_decline_code", "reason")),
    **RISK,
    "network_status": "approved_by_network",
    "seller_message": "Payment complete.",
    "type": "authorized",
}


def create(
    session: Session, intent: Json, method: Json, status: str, *, captured: bool = False, **more: Any
) -> Json:
    """Store a charge of the intent's amount on this payment method; `more` are further fields of its own."""
    card = method["type"] == "card"
    charge: Json = {
        "id": session.new_id("ch" if card else "py"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if captured else 0,
        "amount_refunded": 0,
        **dict.fromkeys(("application", "application_fee", "application_fee_amount", "balance_transaction")),
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": intent["statement_descriptor"] or "COUNTERFOIL SANDBOX",
        "captured": captured,
        "created": session.now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        **dict.fromkeys(("failure_balance_transaction", "failure_code", "failure_message")),
        "fraud_details": {},
        "livemode": session.world.config.livemode,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": APPROVED,
        "paid": status == "succeeded",
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _details(intent, method),
        "receipt_email": intent["receipt_email"],
        **dict.fromkeys(("receipt_number", "receipt_url")),
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        **dict.fromkeys(("source", "source_transfer")),
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": status,
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
        **more,
    }
    session.save(charge, parent=intent["id"], hidden={"plan": session.hidden(method["id"])["plan"]})
    return charge


def failure(decline: Decline) -> Json:
    """The fields of a charge that the bank declined."""
    return {
        "failure_code": decline.code
        if decline.code != "payment_intent_payment_attempt_failed"
        else decline.reason,
        "failure_message": decline.message,
        "outcome": {
            **RISK,
            "advice_code": decline.advice,
            "network_advice_code": None,
            "network_decline_code": decline.network,
            "network_status": "declined_by_network",
            "reason": decline.reason,
            "seller_message": "The bank returned a decline.",
            "type": "issuer_declined",
        },
    }


def _details(intent: Json, method: Json) -> Json:
    """payment_method_details: what was known of the method when it was charged."""
    kind = method["type"]
    if kind != "card":
        return {kind: {**method[kind], "mandate": None}, "type": kind}
    card = method["card"]
    kept = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    amount = intent["amount"]
    return {
        "card": {
            **{name: card[name] for name in kept},
            "amount_authorized": amount,
            "authorization_code": "123456",
            "extended_authorization": {"status": "disabled"},
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": card["brand"],
            "network_token": {"used": False},
            "network_transaction_id": None,
            "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
            "regulated_status": card["regulated_status"],
            "three_d_secure": None,
            "transaction_link_id": None,
            "wallet": None,
        },
        "type": "card",
    }


def retrieve(session: Session, _params: Json) -> Json:
    return session.need("charge", session.id)


def search(session: Session, params: Json) -> Json:
    where = {"customer": params["customer"]} if "customer" in params else None
    return listed(session, "charge", "/v1/charges", params, parent=params.get("payment_intent"), where=where)


ENDPOINTS: Final = [
    Endpoint("charges.list", "GET", "/v1/charges", Shape(**LIST, customer=word, payment_intent=word), search),
    Endpoint("charges.retrieve", "GET", "/v1/charges/{id}", Shape(expand=expand), retrieve),
]
