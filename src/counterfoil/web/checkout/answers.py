"""What the browser is told after it sent a confirmation: {status, message?, next_action?, redirect?}.

status is `paid`, `pending` or `ended` (go to `redirect`), `declined` (say `message`, the customer may try again),
`next_action` (hand it to the gateway's script), `working` (the same request is still at work: send it again), or
`refused` (say `message`).
"""

from datetime import datetime
from typing import Any, Final, TypeAlias

from counterfoil.domain.errors import CounterfoilError, Problem
from counterfoil.gateways.base import Accepted, Outcome, Refused
from counterfoil.store.payments import Family
from counterfoil.web.checkout import standing
from counterfoil.web.checkout.standing import DONE, PAYABLE, WAITING, Standing

Body: TypeAlias = dict[str, Any]

_SAID: Final = {
    Problem.IDEMPOTENCY_IN_FLIGHT: "Your payment is still being made.",
    Problem.DATABASE_AWAY: "We cannot be reached right now. Please wait a moment.",
    Problem.NOT_SUPPORTED_BY_GATEWAY: "This page is out of date. Please reload it, then pay.",
}
_OTHERWISE: Final = "This payment could not be made from here. Please reload the page and try again."


def of(family: Family, outcome: Outcome | None, *, now: datetime, under_way: bool, result: str) -> Body:
    """What came of a confirmation; `result` is the address of the result page."""
    if isinstance(outcome, Refused) and not outcome.already:
        return declined(outcome.code.tell_customer)
    stands = standing.of(family, outcome, now, under_way=under_way)
    if stands is Standing.ACTION and isinstance(outcome, Accepted):
        return _next(outcome)
    if stands is Standing.DECLINED:
        return declined(standing.why_declined(outcome))
    return {"status": _group(stands), "redirect": result}


def _next(outcome: Accepted) -> Body:
    action = {"type": (outcome.next_action or {}).get("type"), "client_secret": outcome.client_secret}
    return {"status": "next_action", "next_action": action}


def _group(stands: Standing) -> str:
    if stands in DONE:
        return "paid"
    return "pending" if stands in WAITING | PAYABLE else "ended"


def declined(message: str) -> Body:
    return {"status": "declined", "message": message}


def refused(message: str) -> Body:
    return {"status": "refused", "message": message}


def of_error(error: CounterfoilError) -> Body:
    status = "working" if error.problem is Problem.IDEMPOTENCY_IN_FLIGHT else "refused"
    return {"status": status, "message": _SAID.get(error.problem, _OTHERWISE)}


def kept(body: Body) -> Body:
    """What is stored of an answer: a client secret lets whoever holds it act, so it is minted again instead."""
    return body | {"next_action": None} if "next_action" in body else body
