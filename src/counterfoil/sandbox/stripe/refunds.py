"""Refunds: whole or in parts, until the charge is exhausted."""

from typing import Any, Final

from counterfoil.sandbox.stripe import balance, errors
from counterfoil.sandbox.stripe.api import Endpoint
from counterfoil.sandbox.stripe.currencies import bad_step
from counterfoil.sandbox.stripe.lists import listed
from counterfoil.sandbox.stripe.params import LIST, Shape, expand, integer, merged, metadata, one_of, word
from counterfoil.sandbox.stripe.plans import PLANS, RefundFate
from counterfoil.sandbox.stripe.session import Session
from counterfoil.sandbox.truth import Json

# How long the test cards with a slow refund take; days at a real bank.
MOVES_AFTER_S: Final = 5
# When the card network's reference of a refund appears.
REFERENCE_AFTER_S: Final = 3600


def create(session: Session, params: Json) -> Json:
    charge = _charge(session, params)
    amount = _amount(charge, params.get("amount"))
    fate = PLANS[session.hidden(charge["id"])["plan"]].refund
    refund = _new(session, charge, amount, params, pending=fate is RefundFate.PENDING_FIRST)
    refund["balance_transaction"] = balance.enter(session, refund, -amount, "refund", at_once=True)
    session.save(refund, parent=charge["id"])
    before = _count(session, charge, amount)
    session.emit("refund.created", refund)
    session.emit("charge.refunded", charge, before)
    if fate is not RefundFate.SUCCEEDS:
        session.later(MOVES_AFTER_S, "refund", refund["id"])
    elif "card" in refund["destination_details"]:
        session.later(REFERENCE_AFTER_S, "reference", refund["id"])
    return refund


def _charge(session: Session, params: Json) -> Json:
    """The charge to refund. Raises RefusedError where nothing of it was captured."""
    if len({"charge", "payment_intent"} & params.keys()) != 1:
        raise errors.invalid(
            "Give charge or payment_intent, and not both.", code="parameter_missing", param="charge"
        )
    if "charge" in params:
        charge = session.need("charge", params["charge"], "charge")
    else:
        intent = session.need("payment_intent", params["payment_intent"], "payment_intent")
        charge = session.get("charge", intent["latest_charge"] or "") or {"status": "none"}
    if charge["status"] != "succeeded" or not charge["captured"]:
        shown = params.get("payment_intent") or params["charge"]
        raise errors.failed(
            f"{shown} does not have a successful charge to refund.", code="charge_not_refundable"
        )
    return charge


def _amount(charge: Json, asked: int | None) -> int:
    rest: int = charge["amount_captured"] - charge["amount_refunded"]
    if rest == 0:
        raise errors.failed(
            f"Charge {charge['id']} has already been refunded.",
            code="charge_already_refunded",
            charge=charge["id"],
        )
    amount = rest if asked is None else asked
    if amount < 1:
        raise errors.invalid(
            "Invalid positive integer: amount", code="parameter_invalid_integer", param="amount"
        )
    if wrong := bad_step(amount, charge["currency"]):
        raise wrong
    if amount > rest:
        raise errors.failed(
            f"Refund amount ({amount} {charge['currency']}) is greater than unrefunded amount on charge "
            f"({rest} {charge['currency']})",
            param="amount",
        )
    return amount


def _new(session: Session, charge: Json, amount: int, params: Json, *, pending: bool) -> Json:
    card = charge["payment_method_details"]["type"] == "card"
    refund: Json = {
        "id": session.new_id("re" if card else "pyr"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": session.now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": _destination(charge),
        "metadata": merged({}, params.get("metadata")),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": params.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if pending else "succeeded",
        "transfer_reversal": None,
    }
    return {**refund, "pending_reason": "processing"} if pending else refund


def _destination(charge: Json) -> Json:
    kind: str = charge["payment_method_details"]["type"]
    facts: dict[str, Any] = {"reference": None, "reference_status": "pending", "type": "refund"}
    return {kind: facts if kind == "card" else {}, "type": kind}


def _count(session: Session, charge: Json, amount: int) -> Json:
    """Add an amount to what the charge says was refunded; the fields that changed, as they were."""
    before = {"amount_refunded": charge["amount_refunded"]}
    charge["amount_refunded"] += amount
    whole = charge["amount_refunded"] == charge["amount_captured"]
    if whole != charge["refunded"]:
        before["refunded"] = charge["refunded"]
    charge["refunded"] = whole
    session.save(charge)
    return before


def move(session: Session, refund_id: str) -> None:
    """The timer of a slow refund: pending ones succeed; others turn out to have failed, and the money is back."""
    refund = session.need("refund", refund_id)
    charge = session.need("charge", refund["charge"])
    before = {"status": refund["status"]}
    if refund.pop("pending_reason", None):
        refund["status"] = "succeeded"
    else:
        refund.update(
            status="failed",
            failure_reason="expired_or_canceled_card",
            failure_balance_transaction=balance.enter(
                session, refund, refund["amount"], "refund_failure", at_once=True
            ),
        )
        _count(session, charge, -refund["amount"])
    session.save(refund)
    if refund["status"] == "failed":
        session.emit("refund.failed", refund)
    session.emit("refund.updated", refund, before)
    session.emit("charge.refund.updated", refund, before)


def refer(session: Session, refund_id: str) -> None:
    """The timer of a refund's reference, by which the customer's bank finds it."""
    refund = session.need("refund", refund_id)
    details = refund["destination_details"]["card"]
    before = {
        "destination_details": {"card": {name: details[name] for name in ("reference", "reference_status")}}
    }
    details.update(
        reference=session.world.ids.number(23),
        reference_status="available",
        reference_type="acquirer_reference_number",
    )
    session.save(refund)
    session.emit("refund.updated", refund, before)
    session.emit("charge.refund.updated", refund, before)


def retrieve(session: Session, _params: Json) -> Json:
    return session.need("refund", session.id)


def cancel(session: Session, _params: Json) -> Json:
    """Only a refund that waits for the customer can be cancelled, and none made here ever does."""
    refund = session.need("refund", session.id)
    raise errors.failed(f"A refund with a status of {refund['status']} cannot be canceled.")


def search(session: Session, params: Json) -> Json:
    where = {"payment_intent": params["payment_intent"]} if "payment_intent" in params else None
    return listed(session, "refund", "/v1/refunds", params, parent=params.get("charge"), where=where)


ENDPOINTS: Final = [
    Endpoint(
        "refunds.create",
        "POST",
        "/v1/refunds",
        Shape(
            amount=integer,
            charge=word,
            expand=expand,
            metadata=metadata,
            payment_intent=word,
            reason=one_of("duplicate", "fraudulent", "requested_by_customer"),
        ),
        create,
    ),
    Endpoint("refunds.list", "GET", "/v1/refunds", Shape(**LIST, charge=word, payment_intent=word), search),
    Endpoint("refunds.retrieve", "GET", "/v1/refunds/{id}", Shape(expand=expand), retrieve),
    Endpoint("refunds.cancel", "POST", "/v1/refunds/{id}/cancel", Shape(expand=expand), cancel),
]
