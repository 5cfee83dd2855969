"""The control API of this gateway, under /_sandbox/razorpay: what no caller of Razorpay can do."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from counterfoil.sandbox.calls import RefusedError
from counterfoil.sandbox.razorpay import downtimes, paying, refunding
from counterfoil.sandbox.razorpay.account import PAYMENT, REFUND, Account, Held
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.world import World

Act = Callable[[Account, Json], Json]

REFUND_ENDS: Final = ("processed", "failed")


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
    """{"refund_id", "status": "processed" | "failed"}: what becomes of a pending refund, now."""
    refund = _find(account, REFUND, given["refund_id"])
    if given["status"] not in REFUND_ENDS:
        raise ValueError(f"status is one of {', '.join(REFUND_ENDS)}")
    if refund.body["status"] != "pending":
        raise ValueError(f"only a pending refund can end; this one is {refund.body['status']}")
    refunding.end(account, refund, fails=given["status"] == "failed")
    return refund.body


def downtime(account: Account, given: Json) -> Json:
    return downtimes.report(account, given)


def _find(account: Account, kind: str, id_: object) -> Held:
    try:
        return account.find(kind, str(id_))
    except RefusedError as unknown:
        raise ValueError(f"there is no {kind} {id_!r}") from unknown
