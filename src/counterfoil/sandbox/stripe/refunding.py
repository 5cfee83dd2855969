"""The life of a refund: at once, after days, never for want of money, or succeeded and then failed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from counterfoil.sandbox.stripe import balance, disputing
from counterfoil.sandbox.stripe.params import merged
from counterfoil.sandbox.stripe.plans import PLANS
from counterfoil.sandbox.stripe.session import GATEWAY, Session
from counterfoil.sandbox.truth import Json

# How long the test cards with a slow refund take; days at a real bank.
MOVES_AFTER_S: Final = 5
# When the card network's reference of a refund appears.
REFERENCE_AFTER_S: Final = 3600
FAILURES: Final = (
    *("charge_for_pending_refund_disputed", "declined", "expired_or_canceled_card", "insufficient_funds"),
    *("lost_or_stolen_card", "merchant_request", "unknown"),
)
_SWITCH: Final = "stripe_refunds"


@dataclass(frozen=True, slots=True)
class Course:
    """How a refund goes: what it is at first, and what it becomes."""

    first: str
    then: str | None = None
    waits_for: str | None = None  # pending_reason


COURSES: Final[Mapping[str, Course]] = {
    "succeeded": Course("succeeded"),
    "pending": Course("pending", "succeeded", "processing"),
    "pending_failing": Course("pending", "failed", "processing"),
    "failing": Course("succeeded", "failed"),
    "short": Course("pending", "succeeded", "insufficient_funds"),  # until the balance is filled
}
REFUSED: Final = "refused"  # the balance is short, and the refund is not even begun


def script(session: Session, given: Json) -> Json:
    """What comes of the next refunds, whatever their cards; {} ends it. Raises ValueError with a sentence."""
    wanted = {
        "course": None,
        "times": None,
        "seconds": MOVES_AFTER_S,
        "failure_reason": "expired_or_canceled_card",
        **given,
    }
    if unknown := wanted.keys() - {"course", "times", "seconds", "failure_reason"}:
        raise ValueError(f"{min(unknown)!r} is unknown here")
    if wanted["course"] not in {None, REFUSED, *COURSES}:
        raise ValueError(f"course is one of {', '.join(COURSES)}, {REFUSED}")
    if wanted["times"] is not None and not _whole(wanted["times"]):
        raise ValueError("times is a whole number from 0, or null for ever")
    if not _whole(wanted["seconds"]):
        raise ValueError("seconds is a whole number from 0")
    if wanted["failure_reason"] not in FAILURES:
        raise ValueError(f"failure_reason is one of {', '.join(FAILURES)}")
    session.world.truth.set(_SWITCH, wanted)
    return wanted


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def asked(session: Session, charge: Json) -> Json:
    """The course of a new refund, by name, and its parameters: as scripted, as often as it was, else by its card."""
    script: Json = session.world.truth.setting(_SWITCH, {})
    if script.get("course") is not None and script["times"] != 0:
        left = None if script["times"] is None else script["times"] - 1
        session.world.truth.set(_SWITCH, {**script, "times": left})
        return script
    return {
        "course": PLANS[session.hidden(charge["id"])["plan"]].refund.value,
        "seconds": MOVES_AFTER_S,
        "failure_reason": "expired_or_canceled_card",
    }


def is_refused(asked: Json) -> bool:
    """Whether the balance is so short that a refund of this course is not even begun."""
    return bool(asked["course"] == REFUSED)


def make(session: Session, charge: Json, amount: int, said: Json, asked: Json) -> Json:
    """Give back part or all of a charge. `said` holds metadata and reason, `asked` is how it goes."""
    course = COURSES[asked["course"]]
    refund = _new(session, charge, amount, said, course)
    if course.waits_for != "insufficient_funds":
        refund["balance_transaction"] = balance.enter(session, refund, -amount, "refund", at_once=True)
    hidden = {"then": course.then, "why": asked["failure_reason"]}
    session.save(refund, parent=charge["id"], hidden=hidden)
    before = _count(session, charge, amount)
    session.emit("refund.created", refund)
    session.emit("charge.refunded", charge, before)
    disputing.refunded(session, charge)
    if course.then is not None:
        session.later(asked["seconds"], "refund", refund["id"])
    elif "card" in refund["destination_details"]:
        session.later(REFERENCE_AFTER_S, "reference", refund["id"])
    return refund


def _new(session: Session, charge: Json, amount: int, said: Json, course: Course) -> Json:
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
        "metadata": merged({}, said.get("metadata")),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": said.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": course.first,
        "transfer_reversal": None,
    }
    return refund if course.waits_for is None else {**refund, "pending_reason": course.waits_for}


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
    """The timer of a slow refund: it becomes what its course says, unless it was ended by hand before."""
    hidden = session.hidden(refund_id)
    if hidden["then"] is not None:
        end(session, session.need("refund", refund_id), hidden["then"], hidden["why"])


def end(session: Session, refund: Json, status: str, why: str) -> None:
    """A refund succeeds, or fails, also after it had succeeded: then the money is back, and may be refunded again."""
    before = {"status": refund["status"]}
    waited_for = refund.pop("pending_reason", None)
    refund["status"] = status
    if status == "failed":
        _fail(session, refund, why)
    elif waited_for == "insufficient_funds":
        refund["balance_transaction"] = balance.enter(
            session, refund, -refund["amount"], "refund", at_once=True
        )
    session.save(refund, hidden={"then": None, "why": why})
    if status == "failed":
        session.emit("refund.failed", refund)
    elif "card" in refund["destination_details"]:
        session.later(REFERENCE_AFTER_S, "reference", refund["id"])
    session.emit("refund.updated", refund, before)
    session.emit("charge.refund.updated", refund, before)


def charged_back(session: Session, charge_id: str) -> None:
    """A chargeback fails the refunds of its charge that are still pending: the customer would have it twice."""
    for refund in session.world.truth.all(GATEWAY, "refund", parent=charge_id):
        if refund["status"] == "pending":
            end(session, refund, "failed", "charge_for_pending_refund_disputed")


def _fail(session: Session, refund: Json, why: str) -> None:
    refund["failure_reason"] = why
    if refund["balance_transaction"] is not None:
        refund["failure_balance_transaction"] = balance.enter(
            session, refund, refund["amount"], "refund_failure", at_once=True
        )
    _count(session, session.need("charge", refund["charge"]), -refund["amount"])


def refer(session: Session, refund_id: str) -> None:
    """The timer of a refund's reference, by which the customer's bank finds it."""
    refund = session.need("refund", refund_id)
    if refund["status"] != "succeeded":
        return
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
