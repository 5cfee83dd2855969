"""Stripe's errors: {"error": {type, code, message, param, …}} with the status it answers them with."""

from typing import Any

from counterfoil.sandbox.calls import Answer, RefusedError
from counterfoil.sandbox.truth import Json

INVALID_REQUEST = "invalid_request_error"
CARD = "card_error"


def answer(status: int, message: str, *, kind: str = INVALID_REQUEST, **more: Any) -> Answer:
    """An error answer; `more` are the further fields of the error, those that are None left out."""
    facts = {
        "type": kind,
        "message": message,
        **{name: value for name, value in more.items() if value is not None},
    }
    if code := facts.get("code"):
        facts["doc_url"] = f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}"
    return Answer.json({"error": dict(sorted(facts.items()))}, status)


def invalid(message: str, *, status: int = 400, **more: Any) -> RefusedError:
    """Parameters that are not valid: nothing began, nothing is stored under the idempotency key."""
    return RefusedError(answer(status, message, **more))


def failed(message: str, *, status: int = 400, **more: Any) -> RefusedError:
    """Refused after execution had begun: stored under the idempotency key."""
    return RefusedError(answer(status, message, **more), kept=True)


def no_such(kind: str, id_: str, param: str) -> RefusedError:
    return invalid(f"No such {kind}: '{id_}'", status=404, code="resource_missing", param=param)


def missing(param: str) -> RefusedError:
    return invalid(f"Missing required param: {param}.", code="parameter_missing", param=param)


def unexpected_state(intent: Json, doing: str) -> RefusedError:
    """A PaymentIntent in a status in which it cannot be, say, "captured"."""
    return failed(
        f"This PaymentIntent could not be {doing} because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
        payment_intent=intent,
    )
