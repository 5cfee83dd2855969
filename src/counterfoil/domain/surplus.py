"""Surplus: money taken although its payment was paid already, or was over. It is given back by itself, and stays visible.

A gateway may capture what we never asked it to (an account that captures by itself, a person in its dashboard). Nothing
of it is ever the payment's own: what is due back is all that the charge still holds.
"""

from collections.abc import Sequence

from counterfoil.domain.attempt import ENDED, Attempt, AttemptState
from counterfoil.domain.charge import Charge, ChargeState
from counterfoil.domain.payment import PAYABLE, Status
from counterfoil.domain.refund import Refund, Source, State, refundable


def may_pay(attempt: AttemptState, payment: Status) -> bool:
    """Whether money that is first seen on this attempt may pay its payment, where nothing else has.

    On an attempt that lives, always. On one that has ended, only while the payment waits for money: once it was told to
    be cancelled or failed, the shop may have taken another payment for the same order.
    """
    return attempt not in ENDED or payment in PAYABLE


def due(charges: Sequence[Charge], refunds: Sequence[Refund]) -> Charge | None:
    """The next charge of which something is to be given back: all that is left of it. None where nothing is.

    A refund of it that has failed waits for a person, who was called.
    """
    with_a_person = {
        refund.charge_id
        for refund in refunds
        if refund.source is Source.SURPLUS and refund.state is State.FAILED
    }
    owed = (charge for charge in charges if charge.surplus and refundable(charge))
    return next((charge for charge in owed if charge.id not in with_a_person), None)


def late(
    attempts: Sequence[Attempt], charges: Sequence[Charge], winner_attempt_id: str | None
) -> Charge | None:
    """An authorisation that came on a fenced attempt, after its payment was paid through another.

    It may be left to the gateway, which gives it back after days, or be captured and given back at once, by setting.
    """
    fenced = {attempt.id for attempt in attempts if attempt.state is AttemptState.FENCED}
    paid = any(
        charge.captured and not charge.surplus and charge.attempt_id == winner_attempt_id
        for charge in charges
    )
    held = (c for c in charges if c.state is ChargeState.AUTHORIZED and c.attempt_id in fenced)
    return next(held, None) if paid else None
