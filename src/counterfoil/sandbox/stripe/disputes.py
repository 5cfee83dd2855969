"""Disputes and early fraud warnings: the calls about them."""

from typing import Any, Final

from counterfoil.sandbox.stripe import disputing, errors
from counterfoil.sandbox.stripe.api import Endpoint
from counterfoil.sandbox.stripe.lists import listed
from counterfoil.sandbox.stripe.params import LIST, Shape, boolean, expand, merged, metadata, word
from counterfoil.sandbox.stripe.session import Session
from counterfoil.sandbox.truth import Json

# What one text of the evidence may have, and all of them together.
MAX_EVIDENCE, MAX_TOGETHER = 20_000, 150_000


def _evidence(value: Any, name: str) -> str | None:
    if not isinstance(value, str):
        raise errors.invalid(f"Invalid string: {name} is a map.", param=name)
    if len(value) > MAX_EVIDENCE:
        raise errors.invalid(f"{name} has at most {MAX_EVIDENCE} characters.", param=name)
    return value or None


def update(session: Session, params: Json) -> Json:
    """Add evidence, and submit it unless told not to: at Stripe that is what an update does by itself."""
    dispute = _open(session)
    if sum(len(text or "") for text in params.get("evidence", {}).values()) > MAX_TOGETHER:
        raise errors.invalid(f"The evidence has at most {MAX_TOGETHER} characters.", param="evidence")
    dispute["metadata"] = merged(dispute["metadata"], params.get("metadata"))
    evidence = params.get("evidence", {})
    disputing.say(session, dispute, evidence, submit=params.get("submit", bool(evidence)))
    return dispute


def close(session: Session, _params: Json) -> Json:
    """Give it up: lost, for good. An inquiry is closed, and may still become a chargeback at a real bank."""
    dispute = _open(session)
    inquiry = dispute["status"] in disputing.INQUIRIES
    disputing.move(session, dispute, "warning_closed" if inquiry else "lost")
    return dispute


def _open(session: Session) -> Json:
    """The dispute, where it waits for the merchant. Raises RefusedError."""
    dispute = session.need("dispute", session.id)
    if dispute["status"] in disputing.ENDS:
        raise errors.failed("This dispute is already closed.")
    if dispute["status"] not in disputing.ANSWERS:
        raise errors.failed("The evidence for this dispute has already been submitted.")
    return dispute


def retrieve(session: Session, _params: Json) -> Json:
    return session.need("dispute", session.id)


def search(session: Session, params: Json) -> Json:
    return _listed(session, "dispute", "/v1/disputes", params)


def retrieve_warning(session: Session, _params: Json) -> Json:
    return session.need("radar.early_fraud_warning", session.id)


def search_warnings(session: Session, params: Json) -> Json:
    return _listed(session, "radar.early_fraud_warning", "/v1/radar/early_fraud_warnings", params)


def _listed(session: Session, kind: str, url: str, params: Json) -> Json:
    where = {"payment_intent": params["payment_intent"]} if "payment_intent" in params else None
    return listed(session, kind, url, params, parent=params.get("charge"), where=where)


FOUND: Final = Shape(**LIST, charge=word, payment_intent=word)
ENDPOINTS: Final = [
    Endpoint("disputes.list", "GET", "/v1/disputes", FOUND, search),
    Endpoint("disputes.retrieve", "GET", "/v1/disputes/{id}", Shape(expand=expand), retrieve),
    Endpoint(
        "disputes.update",
        "POST",
        "/v1/disputes/{id}",
        Shape(
            evidence=Shape(**dict.fromkeys(disputing.EVIDENCE, _evidence)),
            expand=expand,
            metadata=metadata,
            submit=boolean,
        ),
        update,
    ),
    Endpoint("disputes.close", "POST", "/v1/disputes/{id}/close", Shape(expand=expand), close),
    Endpoint(
        "radar.early_fraud_warnings.list", "GET", "/v1/radar/early_fraud_warnings", FOUND, search_warnings
    ),
    Endpoint(
        "radar.early_fraud_warnings.retrieve",
        "GET",
        "/v1/radar/early_fraud_warnings/{id}",
        Shape(expand=expand),
        retrieve_warning,
    ),
]
