"""Confirmation tokens: what the customer entered in the browser, for the server to confirm with, once."""

from typing import Final

from counterfoil.sandbox.stripe import errors, methods
from counterfoil.sandbox.stripe.api import Endpoint
from counterfoil.sandbox.stripe.params import SHIPPING, Shape, anything, expand, one_of, url, word
from counterfoil.sandbox.stripe.session import Session
from counterfoil.sandbox.truth import Json

LIFE_S: Final = 12 * 3600
PREVIEWED: Final = (
    "allow_redisplay",
    "billing_details",
    "card",
    "customer",
    "sepa_debit",
    "type",
    "us_bank_account",
)
SHAPE: Final = Shape(
    expand=expand,
    payment_method=word,
    payment_method_data=methods.METHOD_DATA,
    payment_method_options=anything,
    return_url=url,
    setup_future_usage=one_of("off_session", "on_session"),
    shipping=SHIPPING,
)


def create(session: Session, params: Json) -> Json:
    method = _method(session, params)
    token: Json = {
        "id": session.new_id("ctoken", 1),
        "object": "confirmation_token",
        "created": session.now,
        "expires_at": session.now + LIFE_S,
        "livemode": session.world.config.livemode,
        "mandate_data": None,
        "metadata": None,
        "payment_intent": None,
        "payment_method_options": params.get("payment_method_options"),
        "payment_method_preview": {name: method[name] for name in PREVIEWED if name in method},
        "return_url": params.get("return_url"),
        "setup_future_usage": params.get("setup_future_usage"),
        "setup_intent": None,
        "shipping": params.get("shipping"),
        "use_stripe_sdk": True,
    }
    session.save(token, hidden={"payment_method": method["id"]})
    return token


def _method(session: Session, params: Json) -> Json:
    if "payment_method_data" in params:
        return methods.make(session, params["payment_method_data"])
    if "payment_method" in params and not session.publishable:
        return methods.take(session, params["payment_method"], "payment_method")
    raise errors.missing("payment_method_data")


def retrieve(session: Session, _params: Json) -> Json:
    return session.need("confirmation_token", session.id, "confirmation_token")


def spend(session: Session, id_: str, intent: Json) -> tuple[Json, Json]:
    """Use a token up for an intent: the token and its payment method. Raises RefusedError."""
    token = session.need("confirmation_token", id_, "confirmation_token")
    if token["payment_intent"] is not None:
        raise errors.failed(
            f"The confirmation token {id_} was used already.",
            code="token_already_used",
            param="confirmation_token",
        )
    if token["expires_at"] <= session.now:
        raise errors.failed(f"The confirmation token {id_} has expired.", param="confirmation_token")
    token["payment_intent"] = intent["id"]
    session.save(token)
    return token, session.need("payment_method", session.hidden(id_)["payment_method"])


ENDPOINTS: Final = [
    Endpoint(
        "test_helpers.confirmation_tokens.create",
        "POST",
        "/v1/test_helpers/confirmation_tokens",
        SHAPE,
        create,
    ),
    Endpoint("confirmation_tokens.create", "POST", "/v1/confirmation_tokens", SHAPE, create, browser=True),
    Endpoint(
        "confirmation_tokens.retrieve", "GET", "/v1/confirmation_tokens/{id}", Shape(expand=expand), retrieve
    ),
]
