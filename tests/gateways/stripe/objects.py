"""Stripe's objects, valid in one call; keywords replace what they name."""

import json
from typing import Any

INTENT = "pi_3Counterfoil0000000001"
CHARGE = "ch_3Counterfoil0000000001"
ATTEMPT = "att_01kasvzxm8h3e5g7j9n1q3s5t7"
MADE_AT = 1_795_000_000


def intent(**changes: Any) -> dict[str, Any]:
    return {
        "id": INTENT,
        "object": "payment_intent",
        "amount": 10000,
        "amount_capturable": 0,
        "amount_received": 0,
        "client_secret": f"{INTENT}_secret_counterfoil",
        "created": MADE_AT,
        "currency": "usd",
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {"counterfoil_attempt": ATTEMPT},
        "next_action": None,
        "status": "requires_payment_method",
        **changes,
    }


def charge(**changes: Any) -> dict[str, Any]:
    return {
        "id": CHARGE,
        "object": "charge",
        "amount": 10000,
        "amount_captured": 10000,
        "balance_transaction": None,
        "captured": True,
        "created": MADE_AT + 1,
        "currency": "usd",
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {"counterfoil_attempt": ATTEMPT},
        "outcome": {"reason": None, "type": "authorized"},
        "payment_intent": INTENT,
        "payment_method_details": {
            "type": "card",
            "card": {"brand": "visa", "last4": "4242", "wallet": None},
        },
        "refunded": False,
        "status": "succeeded",
        **changes,
    }


def refund(**changes: Any) -> dict[str, Any]:
    return {
        "id": "re_3Counterfoil0000000001",
        "object": "refund",
        "amount": 2500,
        "charge": CHARGE,
        "created": MADE_AT + 60,
        "currency": "usd",
        "destination_details": {"type": "card", "card": {"type": "refund"}},
        "metadata": {},
        "payment_intent": INTENT,
        "reason": "requested_by_customer",
        "status": "succeeded",
        **changes,
    }


def dispute(**changes: Any) -> dict[str, Any]:
    return {
        "id": "dp_1Counterfoil0000000001",
        "object": "dispute",
        "amount": 3000,
        "balance_transactions": [],
        "charge": CHARGE,
        "created": MADE_AT + 90,
        "currency": "usd",
        "evidence_details": {"due_by": MADE_AT + 900_000, "has_evidence": False, "submission_count": 0},
        "is_charge_refundable": False,
        "livemode": False,
        "payment_intent": INTENT,
        "reason": "fraudulent",
        "status": "needs_response",
        **changes,
    }


def warning(**changes: Any) -> dict[str, Any]:
    return {
        "id": "issfr_1Counterfoil00000001",
        "object": "radar.early_fraud_warning",
        "actionable": True,
        "charge": CHARGE,
        "created": MADE_AT + 80,
        "fraud_type": "unauthorized_use_of_card",
        "livemode": False,
        "payment_intent": INTENT,
        **changes,
    }


def balance_row(amount: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": "txn_1Counterfoil000000001",
        "object": "balance_transaction",
        "amount": amount,
        "currency": "eur",
        "fee": 1500,
        "fee_details": [],
        **changes,
    }


def event(type_: str, object_: Any, **changes: Any) -> bytes:
    return json.dumps(
        {
            "id": "evt_1Counterfoil000000001",
            "object": "event",
            "account": None,
            "api_version": "2026-10-28.endive",
            "created": MADE_AT + 100,
            "data": {"object": object_},
            "livemode": False,
            "request": None,
            "type": type_,
            **changes,
        }
    ).encode()
