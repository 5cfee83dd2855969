"""The control API of this gateway, under /_sandbox/razorpay: what no caller of Razorpay can do.

POST ""                 the switches of account.py: {"refunds": "pending", "refund_seconds": 259200, …}
POST /late_authorize    {"payment_id"}: the bank says yes after all
POST /refund            {"refund_id", "status"}: what becomes of one refund, now
POST /dashboard_refund  {"payment_id", "amount", "speed"}: made by a person at Razorpay
POST /dispute           {"payment_id", "amount", "phase", "reason_code", "respond_in"}: the bank disputes
POST /dispute_status    {"dispute_id", "status", "phase", "respond_in"}: how it goes on, or ends
POST /downtime          as downtimes.py takes it
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from counterfoil.sandbox.calls import RefusedError
from counterfoil.sandbox.razorpay import disputing, downtimes, paying, refunding, refunds
from counterfoil.sandbox.razorpay.account import ADJUSTMENT, DISPUTE, PAYMENT, REFUND, Account, Held
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.world import World

Act = Callable[[Account, Json], Json]

REFUND_ENDS: Final = ("processed", "failed")
_GOES_ON: Final = {("pending", "processed"), ("pending", "failed"), ("processed", "failed")}
SPEEDS: Final = ("normal", "optimum")
# The longest time to answer, in seconds; a typing error should not give ten years.
MOST_RESPOND_S: Final = 365 * 86400


def acting(world: World, act: Act) -> Callable[[Json], Json]:
    """An act in a transaction of its own. Raises ValueError with a sentence for bad input."""

    def action(given: Json) -> Json:
        with world.truth.transaction():
            return act(Account(world), given)

    return action


def switch(account: Account, given: Json) -> Json:
    """{"captures_by_itself": true, …}: every switch as it is now. An empty object only reads."""
    return asdict(account.switch(given))


def late_authorize(account: Account, given: Json) -> Json:
    """{"payment_id"}: the bank says yes after all."""
    payment = _find(account, PAYMENT, given["payment_id"])
    if not paying.may_be_late(account, payment):
        raise ValueError(
            f"a payment is authorized late when it is created or failed, and within three days; "
            f"this one is {payment.body['status']}"
        )
    paying.authorize(account, payment)
    return payment.body


def end_refund(account: Account, given: Json) -> Json:
    """{"refund_id", "status": "processed" | "failed"}: a pending one ends, or a processed one fails after all."""
    refund = _find(account, REFUND, given["refund_id"])
    if given["status"] not in REFUND_ENDS:
        raise ValueError(f"status is one of {', '.join(REFUND_ENDS)}")
    if (refund.body["status"], given["status"]) not in _GOES_ON:
        raise ValueError(f"a refund that is {refund.body['status']} does not become {given['status']}")
    refunding.end(account, refund, fails=given["status"] == "failed")
    return refund.body


def refund_by_hand(account: Account, given: Json) -> Json:
    """A refund that a person made in Razorpay's dashboard: without notes or receipt, and no call of ours."""
    payment = _find(account, PAYMENT, given.get("payment_id"))
    speed = given.get("speed", "normal")
    if speed not in SPEEDS:
        raise ValueError(f"speed is one of {', '.join(SPEEDS)}")
    try:
        amount = refunds.allowed(account, payment, _amount(given), instant=speed == "optimum")
    except RefusedError as refused:
        raise ValueError(refused.answer.body.decode()) from refused
    wish = {"notes": [], "receipt": None, "speed_requested": speed}
    return refunding.make(account, payment, amount, wish).body


def dispute(account: Account, given: Json) -> Json:
    """The bank disputes a captured payment: all of it unless an amount is named."""
    payment = _find(account, PAYMENT, given.get("payment_id"))
    if not payment.body["captured"]:
        raise ValueError(f"payment {payment.id} was not captured")
    amount = _amount(given) or payment.body["amount"]
    if amount > payment.body["amount"]:
        raise ValueError("amount is more than was paid")
    phase, within_s = _phase(given, "chargeback"), _respond_in(given)
    reason = str(given.get("reason_code", "goods_or_services_not_received_or_partially_received"))
    return disputing.open_(
        account, payment, amount=amount, phase=phase, reason=reason, within_s=within_s
    ).body


def dispute_status(account: Account, given: Json) -> Json:
    """won, lost, closed; under_review, as after an answer; open, when the bank asks again or goes into another phase.

    What was decided is only open again in a later phase.
    """
    found = _find(account, DISPUTE, given.get("dispute_id"))
    status, later = given.get("status"), _phase(given, found.body["phase"])
    further = disputing.PHASES.index(later) - disputing.PHASES.index(found.body["phase"])
    if found.body["status"] not in disputing.UNDECIDED and (status != "open" or further <= 0):
        raise ValueError(f"the dispute is over: {found.body['status']}")
    if further < 0:
        raise ValueError(f"a dispute goes on to a later phase: it is in {found.body['phase']}")
    if status == "open":
        disputing.ask_again(account, found, phase=later, within_s=_respond_in(given))
    elif status == "under_review":
        disputing.contest(account, found, {}, submit=True)
    elif status in disputing.ENDS:
        disputing.end(account, found, str(status))
    else:
        raise ValueError(f"status is one of open, under_review, {', '.join(disputing.ENDS)}")
    return found.body


def _phase(given: Json, default: str) -> str:
    phase = given.get("phase", default)
    if phase not in disputing.PHASES:
        raise ValueError(f"phase is one of {', '.join(disputing.PHASES)}")
    return str(phase)


def _respond_in(given: Json) -> int:
    seconds = given.get("respond_in", disputing.ANSWER_WITHIN_S)
    if type(seconds) is not int or not 0 <= seconds <= MOST_RESPOND_S:
        raise ValueError(f"respond_in is a whole number of seconds, at most {MOST_RESPOND_S}")
    return seconds


def _amount(given: Json) -> int | None:
    amount: int | None = given.get("amount")
    if amount is not None and (type(amount) is not int or amount < 1):
        raise ValueError("amount is a whole number from 1, in minor units")
    return amount


def money(world: World) -> list[Json]:
    """Of every captured payment: what was captured, refunded and taken by disputes, and what is left of it."""
    account = Account(world)
    return [_money(account, payment) for payment in account.every(PAYMENT) if payment["captured"]]


def _money(account: Account, payment: Json) -> Json:
    given_back = account.of(REFUND, payment["id"])
    refunded = sum(one["amount"] for one in given_back if one["status"] != "failed")
    disputed = -sum(one["amount"] for one in account.of(ADJUSTMENT, payment["id"]))
    return {
        "charge": payment["id"],
        "attempt": payment["order_id"],
        "currency": payment["currency"],
        "captured": payment["amount"],
        "refunded": refunded,
        "disputed": disputed,
        "left": payment["amount"] - refunded - disputed,
    }


def downtime(account: Account, given: Json) -> Json:
    return downtimes.report(account, given)


def _find(account: Account, kind: str, id_: object) -> Held:
    try:
        return account.find(kind, str(id_))
    except RefusedError as unknown:
        raise ValueError(f"there is no {kind} {id_!r}") from unknown
