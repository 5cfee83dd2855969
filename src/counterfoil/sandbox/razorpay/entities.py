"""The shapes of payments and refunds. Pure."""

from typing import Final

from counterfoil.sandbox.razorpay.amounts import HOME
from counterfoil.sandbox.razorpay.instruments import Instrument
from counterfoil.sandbox.truth import Json

NO_ERROR: Final = {
    "error_code": None,
    "error_description": None,
    "error_source": None,
    "error_step": None,
    "error_reason": None,
}


def payment(id_: str, order: Json, instrument: Instrument, said: Json, *, now: int) -> Json:
    """A payment of a whole order, `created`. `said` is what the customer told: email, contact, description, notes."""
    return {
        "id": id_,
        "entity": "payment",
        "amount": order["amount"],
        "currency": order["currency"],
        "status": "created",
        "order_id": order["id"],
        "invoice_id": None,
        "international": order["currency"] != HOME,
        "method": None,
        "amount_refunded": 0,
        "refund_status": None,
        "captured": False,
        "description": None,
        "card_id": None,
        "bank": None,
        "wallet": None,
        "vpa": None,
        "email": None,
        "contact": None,
        "notes": [],
        "fee": None,
        "tax": None,
        **NO_ERROR,
        "acquirer_data": {instrument.reference: None},
        "created_at": now,
        **said,
        **instrument.fields,
    }


def snapshot(body: Json, hidden: Json) -> Json:
    """A payment as webhooks carry it: with its card, and its value in rupees."""
    card = {} if hidden["card"] is None else {"card": hidden["card"]}
    return {**body, "base_amount": hidden["base_amount"], "amount_transferred": 0, **card}


def refund(id_: str, payment_: Json, amount: int, wish: Json, course: Json, *, now: int) -> Json:
    """A refund. `wish` is the caller's part (notes, receipt, speed_requested), `course` status and speed_processed."""
    return {
        "id": id_,
        "entity": "refund",
        "amount": amount,
        "currency": payment_["currency"],
        "payment_id": payment_["id"],
        "acquirer_data": {"arn": None},
        "created_at": now,
        "batch_id": None,
        **wish,
        **course,
    }
