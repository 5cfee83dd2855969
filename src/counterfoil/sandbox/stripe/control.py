"""The control API of this gateway, under /_sandbox/stripe: what no caller of Stripe can do.

POST /authenticate         {"payment_intent", "outcome"}: what the customer would do on the bank's page
POST /decline              {"payment_method", "decline", "times"}: what the bank says to its next charges
POST /refunds              {"course", "times", "seconds", "failure_reason"}: what comes of the next refunds
POST /refund               {"refund", "status", "failure_reason"}: what becomes of one refund, now
POST /dashboard_refund     {"charge" or "payment_intent", "amount", "reason"}: made by a person at Stripe
POST /dispute              {"charge" or "payment_intent", "amount", "reason", "inquiry"}: the cardholder disputes
POST /dispute_status       {"dispute", "status"}: how it goes on, or ends
POST /early_fraud_warning  {"charge" or "payment_intent", "fraud_type"}: the issuer suspects fraud
"""

from collections.abc import Callable
from typing import Final

from starlette.routing import Route

from counterfoil.sandbox.calls import RefusedError
from counterfoil.sandbox.control import acts
from counterfoil.sandbox.stripe import disputing, methods, pages, refunding, refunds
from counterfoil.sandbox.stripe.session import GATEWAY, Session
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.world import World

MOST_DECLINES: Final = 1000
FRAUD_TYPES: Final = (
    *("card_never_received", "fraudulent_card_application", "made_with_counterfeit_card"),
    *("made_with_lost_card", "made_with_stolen_card", "misc", "unauthorized_use_of_card"),
)
REFUND_ENDS: Final = ("succeeded", "failed")
# How a refund may go on by hand: a pending one either way, and one that succeeded may still fail.
_GOES_ON: Final = {"pending": REFUND_ENDS, "succeeded": ("failed",)}
DISPUTE_STATUSES: Final = tuple(sorted(disputing.OPEN | disputing.ENDS))

Act = Callable[[Session, Json], Json]


def controls(world: World) -> list[Route]:
    acted: dict[str, Act] = {
        "/decline": decline,
        "/refunds": refunding.script,
        "/refund": end_refund,
        "/dashboard_refund": refund_by_hand,
        "/dispute": dispute,
        "/dispute_status": dispute_status,
        "/early_fraud_warning": warn,
    }
    return [
        Route("/authenticate", acts(_authenticating(world)), methods=["POST"]),
        *(Route(path, acts(_acting(world, act)), methods=["POST"]) for path, act in acted.items()),
    ]


def _acting(world: World, act: Act) -> Callable[[Json], Json]:
    """An act in a transaction of its own; what Stripe would refuse is a ValueError with its sentence."""

    def action(given: Json) -> Json:
        try:
            with world.truth.transaction():
                return act(Session(world), given)
        except RefusedError as refused:
            raise ValueError(refused.answer.body.decode()) from refused

    return action


def _authenticating(world: World) -> Callable[[Json], Json]:
    def authenticate(given: Json) -> Json:
        id_, outcome = str(given.get("payment_intent")), given.get("outcome")
        intent = world.truth.get(GATEWAY, "payment_intent", id_)
        if intent is None:
            raise ValueError(f"there is no payment intent {id_!r}")
        return {"payment_intent": id_, "status": pages.authenticate(world, intent, outcome)["status"]}

    return authenticate


def decline(session: Session, given: Json) -> Json:
    times = given.get("times", 1)
    if type(times) is not int or not 0 <= times <= MOST_DECLINES:
        raise ValueError(f"times is a whole number from 0 to {MOST_DECLINES}")
    return methods.refuse(session, str(given.get("payment_method")), str(given.get("decline")), times)


def end_refund(session: Session, given: Json) -> Json:
    refund = _find(session, "refund", given.get("refund"))
    status, why = given.get("status"), given.get("failure_reason", "expired_or_canceled_card")
    _one_of("failure_reason", why, refunding.FAILURES)
    _one_of(f"status of a refund that is {refund['status']}", status, _GOES_ON.get(refund["status"], ()))
    refunding.end(session, refund, str(status), why)
    return refund


def refund_by_hand(session: Session, given: Json) -> Json:
    """A refund that a person made in Stripe's dashboard: without our metadata, and no call of ours."""
    charge = _charge(session, given)
    amount, asked = refunds.left(session, charge, _amount(given)), refunding.asked(session, charge)
    if refunding.is_refused(asked):
        raise ValueError("the balance is short: the next refunds are refused")
    return refunding.make(session, charge, amount, {"reason": given.get("reason")}, asked)


def dispute(session: Session, given: Json) -> Json:
    charge, amount = _charge(session, given), _amount(given)
    reason, inquiry = given.get("reason", "fraudulent"), given.get("inquiry", False)
    _one_of("reason", reason, disputing.REASONS)
    if type(inquiry) is not bool:
        raise ValueError("inquiry is true or false")
    if amount is not None and amount > charge["amount_captured"]:
        raise ValueError("amount is more than was captured")
    opened = disputing.open_(session, charge, reason=reason, inquiry=inquiry, amount=amount)
    if not inquiry:
        refunding.charged_back(session, charge["id"])
    return opened


def dispute_status(session: Session, given: Json) -> Json:
    found = _find(session, "dispute", given.get("dispute"))
    _one_of("status", given.get("status"), DISPUTE_STATUSES)
    if found["status"] in disputing.ENDS and given["status"] not in disputing.reopens(found["status"]):
        raise ValueError(f"the dispute is over: {found['status']}")
    disputing.move(session, found, given["status"])
    return found


def warn(session: Session, given: Json) -> Json:
    fraud_type = given.get("fraud_type", "unauthorized_use_of_card")
    _one_of("fraud_type", fraud_type, FRAUD_TYPES)
    return disputing.warn(session, _charge(session, given), fraud_type)


def money(world: World) -> list[Json]:
    """Of every captured charge: what was captured, refunded and taken by disputes, and what is left of it."""
    session = Session(world)
    return [
        _money(session, charge) for charge in world.truth.all(GATEWAY, "charge") if charge["amount_captured"]
    ]


def _money(session: Session, charge: Json) -> Json:
    refunded = sum(
        one["amount"]
        for one in session.world.truth.all(GATEWAY, "refund", parent=charge["id"])
        if one["status"] != "failed"
    )
    rows = (row for one in disputing.of_charge(session, charge["id"]) for row in one["balance_transactions"])
    disputed = -sum(row["amount"] for row in rows)
    captured = charge["amount_captured"] if charge["captured"] and charge["status"] == "succeeded" else 0
    return {
        "charge": charge["id"],
        "attempt": charge["payment_intent"],
        "currency": charge["currency"],
        "captured": captured,
        "refunded": refunded,
        "disputed": disputed,
        "left": captured - refunded - disputed,
    }


def _find(session: Session, kind: str, id_: object) -> Json:
    found = session.get(kind, str(id_))
    if found is None:
        raise ValueError(f"there is no {kind} {id_!r}")
    return found


def _charge(session: Session, given: Json) -> Json:
    """The captured charge that is meant, by its own id or by its intent's."""
    if "charge" in given:
        charge = _find(session, "charge", given["charge"])
    else:
        intent = _find(session, "payment_intent", given.get("payment_intent"))
        charge = _find(session, "charge", intent["latest_charge"])
    if not charge["captured"] or charge["status"] != "succeeded":
        raise ValueError(f"charge {charge['id']} was not captured")
    return charge


def _amount(given: Json) -> int | None:
    amount: int | None = given.get("amount")
    if amount is not None and (type(amount) is not int or amount < 1):
        raise ValueError("amount is a whole number from 1, in minor units")
    return amount


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} is one of {', '.join(known) or 'nothing: it is over'}")
