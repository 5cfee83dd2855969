"""What ends an uncaptured PaymentIntent: capture, cancelling, and time."""

from typing import Final

from counterfoil.sandbox.stripe import balance, disputing, errors
from counterfoil.sandbox.stripe.api import Endpoint
from counterfoil.sandbox.stripe.currencies import bad_step
from counterfoil.sandbox.stripe.params import Shape, boolean, expand, integer, merged, metadata, one_of, text
from counterfoil.sandbox.stripe.session import Session
from counterfoil.sandbox.truth import Json

CANCELABLE: Final = {
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "requires_capture",
}


def capture(session: Session, params: Json) -> Json:
    """All of the authorised amount, or a part of it: the rest is released."""
    intent = session.need("payment_intent", session.id, "intent")
    if intent["status"] != "requires_capture":
        raise errors.unexpected_state(intent, "captured")
    amount: int = {"amount_to_capture": intent["amount_capturable"], **params}["amount_to_capture"]
    _check(intent, amount, final=params.get("final_capture", True))
    charge = session.need("charge", intent["latest_charge"])
    charge.update(captured=True, amount_captured=amount)
    charge["balance_transaction"] = balance.enter_charge(session, charge)
    descriptors = ("statement_descriptor", "statement_descriptor_suffix")
    intent.update({name: params[name] for name in descriptors if name in params})
    intent.update(
        status="succeeded",
        amount_capturable=0,
        amount_received=amount,
        metadata=merged(intent["metadata"], params.get("metadata")),
    )
    session.save(charge)
    session.save(intent)
    session.emit("charge.captured", charge)
    session.emit("payment_intent.succeeded", intent)
    disputing.by_plan(session, charge)
    return intent


def _check(intent: Json, amount: int, *, final: bool) -> None:
    if amount < 1:
        raise errors.invalid(
            "Invalid positive integer: amount_to_capture",
            code="parameter_invalid_integer",
            param="amount_to_capture",
        )
    if amount > intent["amount_capturable"]:
        raise errors.invalid(
            "amount_to_capture is more than amount_capturable.",
            code="amount_too_large",
            param="amount_to_capture",
        )
    if wrong := bad_step(amount, intent["currency"], "amount_to_capture"):
        raise wrong
    if not final:
        raise errors.failed("This payment method cannot be captured several times.", param="final_capture")


def cancel(session: Session, params: Json) -> Json:
    intent = session.need("payment_intent", session.id, "intent")
    if intent["status"] not in CANCELABLE:
        raise errors.unexpected_state(intent, "canceled")
    if intent["status"] == "requires_capture":
        session.emit("charge.refunded", *_release(session, intent))
    return _end(session, intent, params.get("cancellation_reason"))


def expire(session: Session, intent_id: str) -> None:
    """The timer of an authorisation: what is still uncaptured is released."""
    intent = session.need("payment_intent", intent_id)
    if intent["status"] == "requires_capture":
        session.emit("charge.expired", _release(session, intent)[0])
        _end(session, intent, "automatic")


def _release(session: Session, intent: Json) -> tuple[Json, Json]:
    """The held amount goes back. The charge counts it as refunded, although no refund exists."""
    charge = session.need("charge", intent["latest_charge"])
    charge.update(refunded=True, amount_refunded=charge["amount"])
    session.save(charge)
    return charge, {"amount_refunded": 0, "refunded": False}


def _end(session: Session, intent: Json, reason: str | None) -> Json:
    intent.update(
        status="canceled",
        canceled_at=session.now,
        cancellation_reason=reason,
        amount_capturable=0,
        next_action=None,
    )
    session.save(intent)
    session.emit("payment_intent.canceled", intent)
    return intent


ENDPOINTS: Final = [
    Endpoint(
        "payment_intents.capture",
        "POST",
        "/v1/payment_intents/{id}/capture",
        Shape(
            amount_to_capture=integer,
            expand=expand,
            final_capture=boolean,
            metadata=metadata,
            statement_descriptor=text,
            statement_descriptor_suffix=text,
        ),
        capture,
    ),
    Endpoint(
        "payment_intents.cancel",
        "POST",
        "/v1/payment_intents/{id}/cancel",
        Shape(
            cancellation_reason=one_of("abandoned", "duplicate", "fraudulent", "requested_by_customer"),
            expand=expand,
        ),
        cancel,
    ),
]
