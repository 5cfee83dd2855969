"""The balance: what each charge and refund moves, and the fee it costs."""

from typing import Final

from counterfoil.sandbox.stripe.api import Endpoint
from counterfoil.sandbox.stripe.params import Shape, expand
from counterfoil.sandbox.stripe.plans import PLANS
from counterfoil.sandbox.stripe.session import Session
from counterfoil.sandbox.truth import Json

# A made-up but usual price: 2.9 % and 30 minor units; a refund does not give it back.
FEE_PER_MILLE, FEE_FIXED = 29, 30
AVAILABLE_AFTER_S: Final = 2 * 86400
# With automatic_async capture the charge learns its balance transaction this much later, by charge.updated.
KNOWN_AFTER_S: Final = 1


def enter(
    session: Session,
    source: Json,
    amount: int,
    category: str,
    *,
    fee: int = 0,
    at_once: bool = False,
    description: str | None = None,
) -> str:
    """Write a row for a charge, refund or dispute; its id. `amount` is signed, minor units of the source's currency."""
    row: Json = {
        "id": session.new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": session.now if at_once else session.now + AVAILABLE_AFTER_S,
        "balance_type": "payments",
        "created": session.now,
        "currency": source["currency"],
        "description": description or source.get("description"),
        "exchange_rate": None,
        "fee": fee,
        "fee_details": _details(fee, source["currency"], category),
        "net": amount - fee,
        "reporting_category": category,
        "source": source["id"],
        "status": "available" if at_once else "pending",
        "type": _type(source, category),
    }
    session.save(row, parent=source["id"])
    return str(row["id"])


def _details(fee: int, currency: str, category: str) -> list[Json]:
    if not fee:
        return []
    description = "Dispute fee" if category == "dispute" else "Stripe processing fees"
    return [
        {
            "amount": fee,
            "application": None,
            "currency": currency,
            "description": description,
            "type": "stripe_fee",
        }
    ]


def _type(source: Json, category: str) -> str:
    """Rows of disputes are adjustments, those of other methods than cards payments; their categories tell them apart."""
    if source["object"] == "dispute":
        return "adjustment"
    if source["id"].startswith("py"):
        return {"charge": "payment", "refund": "payment_refund", "refund_failure": "payment_failure_refund"}[
            category
        ]
    return category


def enter_charge(session: Session, charge: Json) -> str:
    """The row of a captured charge, with its fee."""
    amount = charge["amount_captured"]
    plan = PLANS[session.hidden(charge["id"])["plan"]]
    fee = min(amount, (amount * FEE_PER_MILLE + 500) // 1000 + FEE_FIXED)
    return enter(session, charge, amount, "charge", fee=fee, at_once=plan.available_at_once)


def become_known(session: Session, charge_id: str) -> None:
    """The timer after an automatic_async capture: the charge's balance transaction appears."""
    charge = session.need("charge", charge_id)
    charge["balance_transaction"] = enter_charge(session, charge)
    session.save(charge)
    session.emit("charge.updated", charge, {"balance_transaction": None})


def retrieve(session: Session, _params: Json) -> Json:
    """Pending rows become available with time; nothing is written when they do."""
    row = session.need("balance_transaction", session.id)
    row["status"] = "available" if row["available_on"] <= session.now else "pending"
    return row


ENDPOINTS: Final = [
    Endpoint(
        "balance_transactions.retrieve",
        "GET",
        "/v1/balance_transactions/{id}",
        Shape(expand=expand),
        retrieve,
    ),
]
