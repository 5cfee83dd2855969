"""expand[]: ids replaced by what they name."""

from typing import Any, Final

import msgspec

from counterfoil.sandbox.stripe.errors import invalid
from counterfoil.sandbox.stripe.session import GATEWAY, Session
from counterfoil.sandbox.truth import Json

MAX_DEPTH: Final = 4
EXPANDABLE: Final = {
    "payment_intent": {"customer", "latest_charge", "payment_method"},
    "charge": {"balance_transaction", "customer", "failure_balance_transaction", "payment_intent", "refunds"},
    "refund": {"balance_transaction", "charge", "failure_balance_transaction", "payment_intent"},
    "dispute": {"charge", "payment_intent"},
    "payment_method": {"customer"},
    "radar.early_fraud_warning": {"charge", "payment_intent"},
    "balance_transaction": {"source"},
    "list": {"data"},
}


def expand(session: Session, body: Json, paths: list[str]) -> Json:
    """The object with the named parts in full. Raises RefusedError for what cannot be expanded."""
    for path in paths:
        steps = path.split(".")
        if len(steps) > MAX_DEPTH:
            raise invalid(f"You cannot expand more than {MAX_DEPTH} levels: {path}", param="expand")
        _expand(session, body, steps, path)
    return body


def _expand(session: Session, body: Json, steps: list[str], path: str) -> None:
    step, *rest = steps
    if step not in EXPANDABLE.get(body.get("object", ""), set()):
        raise invalid(f"This property cannot be expanded ({path}).", param="expand")
    found = _part(session, body, step)
    body[step] = found
    for one in found if isinstance(found, list) else [found]:
        if rest and isinstance(one, dict):
            _expand(session, one, rest, path)


def _part(session: Session, body: Json, step: str) -> Any:
    value = body.get(step)
    if step == "refunds" and value is None:
        return refunds_of(session, body["id"])
    if not isinstance(value, str):
        return value
    raw = session.world.truth.raw(GATEWAY, value)
    return value if raw is None else msgspec.json.decode(raw)


def refunds_of(session: Session, charge: str) -> Json:
    """A charge's ten newest refunds, as a list."""
    page = session.world.truth.page(GATEWAY, "refund", parent=charge, limit=10)
    return {
        "object": "list",
        "data": page.data,
        "has_more": page.has_more,
        "url": f"/v1/charges/{charge}/refunds",
    }
