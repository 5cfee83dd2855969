"""Razorpay's entities, valid in one call; keywords replace what they name."""

import json
from typing import Any

ORDER = "order_Counterfoil01"
PAYMENT = "pay_Counterfoil0001"
ATTEMPT = "att_01kasvzxm8h3e5g7j9n1q3s5t7"
MADE_AT = 1_795_000_000


def order(**changes: Any) -> dict[str, Any]:
    return {
        "id": ORDER,
        "entity": "order",
        "amount": 50000,
        "amount_due": 50000,
        "amount_paid": 0,
        "attempts": 0,
        "created_at": MADE_AT,
        "currency": "INR",
        "notes": {"counterfoil_attempt": ATTEMPT},
        "receipt": ATTEMPT,
        "status": "created",
        **changes,
    }


def payment(**changes: Any) -> dict[str, Any]:
    return {
        "id": PAYMENT,
        "entity": "payment",
        "acquirer_data": {"rrn": "322200000001"},
        "amount": 50000,
        "amount_refunded": 0,
        "bank": None,
        "captured": True,
        "card_id": None,
        "created_at": MADE_AT + 1,
        "currency": "INR",
        "error_code": None,
        "error_description": None,
        "error_reason": None,
        "fee": 1180,
        "method": "upi",
        "notes": [],
        "order_id": ORDER,
        "refund_status": None,
        "status": "captured",
        "tax": 180,
        "vpa": "buyer@examplebank",
        "wallet": None,
        **changes,
    }


def refund(**changes: Any) -> dict[str, Any]:
    return {
        "id": "rfnd_Counterfoil01",
        "entity": "refund",
        "acquirer_data": {"arn": None},
        "amount": 20000,
        "created_at": MADE_AT + 60,
        "currency": "INR",
        "notes": [],
        "payment_id": PAYMENT,
        "speed_processed": "normal",
        "speed_requested": "normal",
        "status": "processed",
        **changes,
    }


def dispute(**changes: Any) -> dict[str, Any]:
    return {
        "id": "disp_Counterfoil01",
        "entity": "dispute",
        "amount": 30000,
        "amount_deducted": 0,
        "created_at": MADE_AT + 90,
        "currency": "INR",
        "payment_id": PAYMENT,
        "phase": "chargeback",
        "reason_code": "goods_not_received",
        "respond_by": MADE_AT + 900_000,
        "status": "open",
        **changes,
    }


def event(name: str, *, at: int | None = MADE_AT + 100, more: Any = None, **entities: Any) -> bytes:
    """An event around entities by the names they have in a payload; `more` stands beside them."""
    body = {
        "entity": "event",
        "account_id": "acc_Counterfoil01",
        "event": name,
        "contains": list(entities),
        "payload": {part: {"entity": entity} for part, entity in entities.items()} | (more or {}),
        "created_at": at,
    }
    return json.dumps({key: value for key, value in body.items() if value is not None}).encode()
