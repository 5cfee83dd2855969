"""Confirming a PaymentIntent: the bank is asked, and says yes, no, "ask the customer" or "later"."""

from typing import Any, Final

from counterfoil.sandbox.calls import Answer
from counterfoil.sandbox.stripe import balance, charges, disputing, errors, methods, tokens
from counterfoil.sandbox.stripe.api import Endpoint
from counterfoil.sandbox.stripe.params import (
    SHIPPING,
    Readers,
    Shape,
    anything,
    boolean,
    expand,
    off_session,
    one_of,
    text,
    url,
    word,
)
from counterfoil.sandbox.stripe.plans import (
    AUTHENTICATION_FAILED,
    AUTHENTICATION_REQUIRED,
    Challenge,
    Decline,
    Plan,
)
from counterfoil.sandbox.stripe.session import Session
from counterfoil.sandbox.truth import Json

# Uncaptured card payments are given up after seven days.
CAPTURE_WITHIN_S: Final = 7 * 86400
CONFIRMABLE: Final = {"requires_payment_method", "requires_confirmation", "requires_action"}
# The ways to say what to charge.
CHOICE: Final[Readers] = {
    "confirmation_token": word,
    "payment_method": word,
    "payment_method_data": methods.METHOD_DATA,
}
CIRCUMSTANCES: Final[Readers] = {
    "error_on_requires_action": boolean,
    "mandate_data": anything,
    "off_session": off_session,
    "radar_options": anything,
    "return_url": url,
    "use_stripe_sdk": boolean,
}

# What confirming may still change on the intent.
SHOWN: Final[Readers] = {
    "capture_method": one_of("automatic", "automatic_async", "manual"),
    "payment_method_options": anything,
    "receipt_email": text,
    "setup_future_usage": one_of("off_session", "on_session"),
    "shipping": SHIPPING,
}


def choose(session: Session, intent: Json, params: Json) -> Json:
    """The payment method that the call names, or the intent's own; it is set on the intent. Raises RefusedError."""
    if len(CHOICE.keys() & params.keys()) > 1:
        raise errors.invalid(f"Give one of {', '.join(CHOICE)}.", code="parameters_exclusive")
    if "confirmation_token" in params:
        token, method = tokens.spend(session, params["confirmation_token"], intent)
        _adopt(intent, token, params)
    elif "payment_method_data" in params:
        method = methods.make(session, params["payment_method_data"])
    elif id_ := params.get("payment_method", intent["payment_method"]):
        method = methods.take(session, id_, "payment_method")
    else:
        raise errors.failed(
            "You cannot confirm this PaymentIntent because it is missing a payment method.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        )
    _check_fits(session, intent, method)
    intent["payment_method"] = method["id"]
    return method


def _adopt(intent: Json, token: Json, params: Json) -> None:
    """What the customer's token says where the call says nothing."""
    for name in ("setup_future_usage", "shipping"):
        if name not in params and token[name] is not None:
            intent[name] = token[name]
    if token["return_url"] is not None:
        params.setdefault("return_url", token["return_url"])


def _check_fits(session: Session, intent: Json, method: Json) -> None:
    if method["type"] not in intent["payment_method_types"]:
        raise errors.failed(
            f"The PaymentMethod's type {method['type']} is not among the PaymentIntent's: "
            f"{', '.join(intent['payment_method_types'])}.",
            code="payment_intent_incompatible_payment_method",
            param="payment_method",
        )
    if method["type"] != "card" and intent["capture_method"] == "manual":
        raise errors.failed(
            f"The PaymentMethod's type {method['type']} does not support manual capture.",
            code="payment_intent_incompatible_payment_method",
            param="capture_method",
        )
    if method["customer"] is not None and method["customer"] != intent["customer"]:
        raise errors.failed(
            f"The PaymentMethod {method['id']} belongs to a customer; give the PaymentIntent the same one.",
            param="payment_method",
        )
    if method["customer"] is None and session.hidden(method["id"]).get("used"):
        raise errors.failed(
            f"The PaymentMethod {method['id']} was used before without being attached to a customer; "
            "it may not be used again.",
            param="payment_method",
        )


def confirm_by_id(session: Session, params: Json) -> Json | Answer:
    intent = session.need("payment_intent", session.id, "intent")
    if intent["status"] not in CONFIRMABLE:
        raise errors.unexpected_state(intent, "confirmed")
    intent.update({name: params[name] for name in SHOWN if name in params})
    return confirm(session, intent, params)


def confirm(session: Session, intent: Json, params: Json) -> Json | Answer:
    """Ask the bank. The intent, or the 402 of a decline; both leave their marks."""
    method = choose(session, intent, params)
    plan = methods.plan_of(session, method)
    return_url = params.get("return_url")
    _check_return(intent, return_url)
    _use(session, method)
    intent.update(next_action=None, last_payment_error=None)
    if _challenges(session, method, plan, away=params.get("off_session", False)):
        if params.get("off_session") or params.get("error_on_requires_action"):
            return decline(session, intent, method, AUTHENTICATION_REQUIRED)
        return _ask_customer(session, intent, return_url)
    return proceed(session, intent, method, plan)


def _check_return(intent: Json, return_url: str | None) -> None:
    automatic = intent["automatic_payment_methods"]
    if automatic and automatic["allow_redirects"] == "always" and return_url is None:
        raise errors.failed(
            "This PaymentIntent accepts methods that may redirect the customer: give a return_url, or create it with "
            "automatic_payment_methods[allow_redirects]=never.",
            param="return_url",
        )


def _use(session: Session, method: Json) -> None:
    hidden = session.hidden(method["id"])
    if not hidden.get("used"):
        session.save(method, hidden={**hidden, "used": True})


def _challenges(session: Session, method: Json, plan: Plan, *, away: bool) -> bool:
    if plan.challenge is Challenge.UNLESS_SET_UP:
        return not (away and session.hidden(method["id"]).get("set_up"))
    return plan.challenge is Challenge.ALWAYS


def _ask_customer(session: Session, intent: Json, return_url: str | None) -> Json:
    page = f"{session.origin}/3ds/{intent['id']}"
    if return_url is None:
        action: Json = {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": page},
        }
    else:
        action = {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": page}}
    intent.update(status="requires_action", next_action=action)
    session.save(intent)
    session.emit("payment_intent.requires_action", intent)
    return intent


def authenticated(session: Session, intent: Json, *, ok: bool) -> Json:
    """The customer has come through the bank's challenge, or failed it. Nobody waits for the answer."""
    method = session.need("payment_method", intent["payment_method"])
    intent["next_action"] = None
    if not ok:
        _back_to_start(
            session, intent, method, AUTHENTICATION_FAILED, charge=None, kind=errors.INVALID_REQUEST
        )
        return intent
    proceed(session, intent, method, methods.plan_of(session, method))
    return intent


def proceed(session: Session, intent: Json, method: Json, plan: Plan) -> Json | Answer:
    """What the bank says once the customer needs to do no more."""
    if plan.settles_after is not None:
        return _process(session, intent, method, plan.settles_after)
    refusal = methods.refusal(session, method)
    if refusal is not None:
        return decline(session, intent, method, refusal)
    _keep_method(session, intent, method)
    if intent["capture_method"] == "manual":
        return _authorise(session, intent, method)
    charge = charges.create(session, intent, method, "succeeded", captured=True)
    return succeed(session, intent, charge)


def succeed(session: Session, intent: Json, charge: Json) -> Json:
    """The charge has succeeded: so has the intent."""
    intent.update(
        status="succeeded",
        amount_received=charge["amount_captured"],
        latest_charge=charge["id"],
        processing=None,
    )
    if intent["capture_method"] == "automatic":
        charge["balance_transaction"] = balance.enter_charge(session, charge)
    else:
        session.later(balance.KNOWN_AFTER_S, "balance", charge["id"])
    session.save(charge)
    session.save(intent)
    session.emit("charge.succeeded", charge)
    session.emit("payment_intent.succeeded", intent)
    disputing.by_plan(session, charge)
    return intent


def _authorise(session: Session, intent: Json, method: Json) -> Json:
    charge = charges.create(session, intent, method, "succeeded")
    intent.update(status="requires_capture", amount_capturable=intent["amount"], latest_charge=charge["id"])
    session.save(intent)
    session.emit("charge.succeeded", charge)
    session.emit("payment_intent.amount_capturable_updated", intent)
    session.later(CAPTURE_WITHIN_S, "expire", intent["id"])
    return intent


def _process(session: Session, intent: Json, method: Json, seconds: int) -> Json:
    charge = charges.create(session, intent, method, "pending", captured=True)
    intent.update(status="processing", latest_charge=charge["id"], processing={"type": method["type"]})
    session.save(intent)
    session.emit("charge.pending", charge)
    session.emit("payment_intent.processing", intent)
    session.later(seconds, "settle", intent["id"])
    return intent


def settle(session: Session, intent_id: str) -> None:
    """The timer of a delayed method: the bank has paid, or not."""
    intent = session.need("payment_intent", intent_id)
    method = session.need("payment_method", intent["payment_method"])
    charge = session.need("charge", intent["latest_charge"])
    refusal = methods.plan_of(session, method).decline
    if refusal is None:
        _keep_method(session, intent, method)
        charge.update(status="succeeded", paid=True)
        succeed(session, intent, charge)
        return
    charge.update(status="failed", captured=False, amount_captured=0, **charges.failure(refusal))
    session.save(charge)
    session.emit("charge.failed", charge)
    _back_to_start(session, intent, method, refusal, charge=charge["id"])


def decline(session: Session, intent: Json, method: Json, refusal: Decline) -> Answer:
    charge = charges.create(session, intent, method, "failed", **charges.failure(refusal))
    intent["latest_charge"] = charge["id"]
    session.emit("charge.failed", charge)
    _back_to_start(session, intent, method, refusal, charge=charge["id"])
    return methods.declined(refusal, charge=charge["id"], payment_intent=intent, payment_method=method)


def _back_to_start(
    session: Session,
    intent: Json,
    method: Json,
    refusal: Decline,
    *,
    charge: str | None,
    kind: str = errors.CARD,
) -> None:
    """A failed attempt: the intent waits for another payment method, and says what was wrong with this one."""
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        processing=None,
        last_payment_error=_last_error(refusal, method, charge, kind),
    )
    session.save(intent)
    session.emit("payment_intent.payment_failed", intent)


def _last_error(refusal: Decline, method: Json, charge: str | None, kind: str) -> Json:
    facts: dict[str, Any] = {
        "advice_code": refusal.advice,
        "charge": charge,
        "code": refusal.code,
        "decline_code": refusal.reason,
        "doc_url": f"https://docs.stripe.com/error-codes/{refusal.code.replace('_', '-')}",
        "message": refusal.message,
        "network_decline_code": refusal.network,
        "payment_method": method,
        "type": kind,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _keep_method(session: Session, intent: Json, method: Json) -> None:
    """setup_future_usage: the customer keeps the method, which is set up for charges without them."""
    if intent["setup_future_usage"] is None:
        return
    hidden = session.hidden(method["id"])
    method["customer"] = method["customer"] or intent["customer"]
    session.save(method, hidden={**hidden, "set_up": intent["setup_future_usage"] == "off_session"})


ENDPOINTS: Final = [
    Endpoint(
        "payment_intents.confirm",
        "POST",
        "/v1/payment_intents/{id}/confirm",
        Shape(
            **CHOICE,
            **CIRCUMSTANCES,
            **SHOWN,
            expand=expand,
        ),
        confirm_by_id,
    ),
]
