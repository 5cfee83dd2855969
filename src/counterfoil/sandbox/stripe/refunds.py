"""Refunds: whole or in parts, until the charge is exhausted."""

from typing import Final

from counterfoil.sandbox.calls import Answer
from counterfoil.sandbox.stripe import disputing, errors, refunding
from counterfoil.sandbox.stripe.api import Endpoint
from counterfoil.sandbox.stripe.currencies import bad_step
from counterfoil.sandbox.stripe.lists import listed
from counterfoil.sandbox.stripe.params import LIST, Shape, expand, integer, metadata, one_of, word
from counterfoil.sandbox.stripe.session import Session
from counterfoil.sandbox.truth import Json


def create(session: Session, params: Json) -> Json | Answer:
    charge = _charge(session, params)
    amount, asked = left(session, charge, params.get("amount")), refunding.asked(session, charge)
    if refunding.is_refused(asked):
        message = "Insufficient funds in your Stripe balance to refund this amount."
        return errors.answer(400, message, code="balance_insufficient")
    return refunding.make(session, charge, amount, params, asked)


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


def left(session: Session, charge: Json, asked: int | None) -> int:
    """The amount that a refund of a charge may have: what was asked, else all the rest. Raises RefusedError."""
    rest: int = charge["amount_captured"] - charge["amount_refunded"] - _disputed(session, charge)
    if rest <= 0:
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


def _disputed(session: Session, charge: Json) -> int:
    """What lost disputes took of a charge. Raises RefusedError while one stands that lets nothing be refunded."""
    disputes = disputing.of_charge(session, charge["id"])
    taken: int = sum(one["amount"] for one in disputes if one["status"] == "lost")
    stands = any(one["status"] in disputing.OPEN and not one["is_charge_refundable"] for one in disputes)
    if stands or (taken and charge["amount_captured"] - charge["amount_refunded"] <= taken):
        raise errors.failed(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
            charge=charge["id"],
        )
    return taken


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
