"""PaymentIntents: made, changed, read and listed. Confirming and capturing have modules of their own."""

from typing import Final

from counterfoil.sandbox.calls import Answer
from counterfoil.sandbox.stripe import confirming, errors, methods
from counterfoil.sandbox.stripe.api import Endpoint
from counterfoil.sandbox.stripe.currencies import check_amount, check_currency
from counterfoil.sandbox.stripe.instruments import CURRENCY_OF
from counterfoil.sandbox.stripe.lists import listed
from counterfoil.sandbox.stripe.params import (
    LIST,
    SHIPPING,
    Readers,
    Shape,
    anything,
    boolean,
    each,
    expand,
    integer,
    merged,
    metadata,
    one_of,
    text,
    word,
)
from counterfoil.sandbox.stripe.session import Session
from counterfoil.sandbox.truth import Json

# What creating and updating both take, and the intent shows as it was given.
SHOWN: Final[Readers] = {
    "description": text,
    "receipt_email": text,
    "setup_future_usage": one_of("off_session", "on_session"),
    "shipping": SHIPPING,
    "statement_descriptor": text,
    "statement_descriptor_suffix": text,
    "transfer_group": text,
}
CAPTURE_METHOD: Final = one_of("automatic", "automatic_async", "manual")
CHANGEABLE: Final = {"requires_payment_method", "requires_confirmation", "requires_action"}
# What may still change when the money is on its way or has moved.
ALWAYS: Final = {"description", "expand", "metadata", "receipt_email", "shipping", "transfer_group"}


def create(session: Session, params: Json) -> Json | Answer:
    currency = check_currency(params["currency"])
    check_amount(params["amount"], currency)
    if not params.get("confirm"):
        _only_when_confirming(params)
    if "customer" in params:
        session.need("customer", params["customer"], "customer")
    intent = _new(session, params, currency)
    if not params.get("confirm") and {"payment_method", "payment_method_data"} & params.keys():
        confirming.choose(session, intent, params)
        intent["status"] = "requires_confirmation"
    session.save(intent)
    session.emit("payment_intent.created", intent)
    return confirming.confirm(session, intent, params) if params.get("confirm") else intent


def _only_when_confirming(params: Json) -> None:
    """Some parameters mean something only together with confirm."""
    for name in (
        "off_session",
        "return_url",
        "confirmation_token",
        "error_on_requires_action",
        "mandate_data",
    ):
        if name in params:
            raise errors.invalid(f"{name} can only be given together with confirm=true.", param=name)


def _new(session: Session, params: Json, currency: str) -> Json:
    id_ = session.new_id("pi")
    automatic, types = _kinds(params, currency)
    return {
        "id": id_,
        "object": "payment_intent",
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        **dict.fromkeys(("application", "application_fee_amount")),
        "automatic_payment_methods": automatic,
        **dict.fromkeys(("canceled_at", "cancellation_reason")),
        "capture_method": params.get("capture_method") or "automatic_async",
        "client_secret": f"{id_}_secret_{session.world.ids.word(25)}",
        "confirmation_method": "automatic",
        "created": session.now,
        "currency": currency,
        "customer": params.get("customer"),
        "customer_account": None,
        "excluded_payment_method_types": None,
        **dict.fromkeys(("last_payment_error", "latest_charge")),
        "livemode": session.world.config.livemode,
        "managed_payments": {"enabled": False},
        "metadata": merged({}, params.get("metadata")),
        **dict.fromkeys(
            ("next_action", "on_behalf_of", "payment_method", "payment_method_configuration_details")
        ),
        "payment_method_options": params.get("payment_method_options", {}),
        "payment_method_types": types,
        **dict.fromkeys(("processing", "review", "source")),
        **{name: params.get(name) for name in SHOWN},
        "status": "requires_payment_method",
        "transfer_data": None,
    }


def _kinds(params: Json, currency: str) -> tuple[Json | None, list[str]]:
    """automatic_payment_methods and payment_method_types, of which a call gives one or neither."""
    given = params.get("automatic_payment_methods")
    if given and given["enabled"] and "payment_method_types" in params:
        raise errors.invalid(
            "Give automatic_payment_methods or payment_method_types, not both.", code="parameters_exclusive"
        )
    if params.get("payment_method_types"):
        return None, params["payment_method_types"]
    if given and not given["enabled"]:
        return None, ["card"]
    automatic = {"allow_redirects": (given or {}).get("allow_redirects") or "always", "enabled": True}
    return automatic, ["card", *(kind for kind, only in CURRENCY_OF.items() if only == currency)]


def update(session: Session, params: Json) -> Json:
    intent = session.need("payment_intent", session.id, "intent")
    if intent["status"] not in CHANGEABLE and not params.keys() <= ALWAYS:
        raise errors.unexpected_state(intent, "updated")
    intent["metadata"] = merged(intent["metadata"], params.get("metadata"))
    intent.update({name: params[name] for name in (*SHOWN, "capture_method") if name in params})
    if "currency" in params:
        intent["currency"] = check_currency(params["currency"])
    intent["amount"] = params.get("amount", intent["amount"])
    check_amount(intent["amount"], intent["currency"])
    if "customer" in params:
        intent["customer"] = session.need("customer", params["customer"], "customer")["id"]
    if {"payment_method", "payment_method_data"} & params.keys():
        confirming.choose(session, intent, params)
        intent.update(status="requires_confirmation", next_action=None)
    session.save(intent)
    return intent


def retrieve(session: Session, params: Json) -> Json:
    """With the publishable key the client secret must be given, and a part of the intent is shown."""
    intent = session.need("payment_intent", session.id, "intent")
    if "client_secret" in params and params["client_secret"] != intent["client_secret"]:
        raise errors.invalid("The client_secret does not match the PaymentIntent.", param="client_secret")
    if not session.publishable:
        return intent
    if "client_secret" not in params:
        raise errors.missing("client_secret")
    return {name: intent[name] for name in PUBLIC}


# What a browser may see (Stripe's reference: an intent retrieved with a publishable key).
PUBLIC: Final = (
    *(
        "id",
        "object",
        "amount",
        "automatic_payment_methods",
        "canceled_at",
        "cancellation_reason",
        "capture_method",
    ),
    *(
        "client_secret",
        "confirmation_method",
        "created",
        "currency",
        "description",
        "last_payment_error",
        "livemode",
    ),
    *(
        "next_action",
        "payment_method",
        "payment_method_types",
        "processing",
        "receipt_email",
        "setup_future_usage",
    ),
    *("shipping", "status"),
)


def search(session: Session, params: Json) -> Json:
    where = {"customer": params["customer"]} if "customer" in params else None
    return listed(session, "payment_intent", "/v1/payment_intents", params, where=where)


AUTOMATIC: Final = Shape("enabled", enabled=boolean, allow_redirects=one_of("always", "never"))
KIND: Final = one_of("card", *CURRENCY_OF)

ENDPOINTS: Final = [
    Endpoint(
        "payment_intents.create",
        "POST",
        "/v1/payment_intents",
        Shape(
            "amount currency",
            **SHOWN,
            **confirming.CHOICE,
            **confirming.CIRCUMSTANCES,
            amount=integer,
            automatic_payment_methods=AUTOMATIC,
            capture_method=CAPTURE_METHOD,
            confirm=boolean,
            confirmation_method=one_of("automatic"),
            currency=word,
            customer=word,
            expand=expand,
            metadata=metadata,
            payment_method_options=anything,
            payment_method_types=each(KIND),
        ),
        create,
    ),
    Endpoint("payment_intents.list", "GET", "/v1/payment_intents", Shape(**LIST, customer=word), search),
    Endpoint(
        "payment_intents.retrieve",
        "GET",
        "/v1/payment_intents/{id}",
        Shape(client_secret=word, expand=expand),
        retrieve,
        browser=True,
    ),
    Endpoint(
        "payment_intents.update",
        "POST",
        "/v1/payment_intents/{id}",
        Shape(
            **SHOWN,
            amount=integer,
            capture_method=CAPTURE_METHOD,
            currency=word,
            customer=word,
            expand=expand,
            metadata=metadata,
            payment_method=word,
            payment_method_data=methods.METHOD_DATA,
        ),
        update,
    ),
]
